"""The exceptions: one root, builtin kinds, picklable, and messages that name what is near."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import pytest

import outlast.errors as errors
from outlast.errors import OutlastError, ParseError, brief, did_you_mean, refuse_unknown
from outlast.messages import Response

KINDS = [
    kind
    for kind in vars(errors).values()
    if inspect.isclass(kind) and issubclass(kind, Exception) and kind.__module__ == "outlast.errors"
]


def made(kind: type[Exception]) -> Exception:
    init = kind.__init__
    needed: dict[str, Any] = {}
    if inspect.isfunction(init):
        parameters = inspect.signature(init).parameters.values()
        needed = {p.name: p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty}
    return kind("message", **needed)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_the_root_and_stands_in_the_tree(kind: type[Exception]) -> None:
    assert issubclass(kind, OutlastError)
    assert kind.__name__ in (errors.__doc__ or "")
    assert inspect.getdoc(kind)
    assert str(made(kind)) == "message"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_crosses_processes(kind: type[Exception]) -> None:
    error = made(kind)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.__dict__) == (kind, "message", error.__dict__)


def test_a_parse_error_keeps_what_it_carries() -> None:
    error = ParseError("m", for_model="mend it", response=Response("r"), final=True)
    again = pickle.loads(pickle.dumps(error))
    assert (again.for_model, again.response, again.final, again.attempts) == ("mend it", Response("r"), True, 1)


def test_near_names_are_suggested() -> None:
    assert did_you_mean("mesage", ["message", "team"]) == " Did you mean 'message'?"
    assert did_you_mean("xyz", ["message"]) == ""
    assert did_you_mean("a" * 1_000_000, ["message"] * 100) == ""


def test_unknown_options_list_the_known_ones() -> None:
    refuse_unknown({"a": 1}, ["a", "b"], "thing()")
    with pytest.raises(errors.UsageError, match=r"thing\(\) has no option 'ab'.*Options: abc, b"):
        refuse_unknown({"ab": 1}, ["abc", "b"], "thing()")


def test_brief_cuts_and_survives_a_broken_repr() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert brief("x" * 1_000, 10) == "'xxxxxxxx…"
    assert brief(3) == "3"
    assert "Broken whose repr failed: RuntimeError" in brief(Broken())
