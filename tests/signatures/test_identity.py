"""Equality, hash, key and pickling: the same here, in another process, and after a round trip."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import AfterValidator

from outlast.signatures import Signature, input, output, signature
from outlast.signatures.field import REQUIRED, Field
from outlast.testing import ScriptedLM  # noqa: F401


class Triage(Signature):
    """Route it."""

    message: str = input(desc="the message")
    team: Literal["billing", "cards"] = output()
    urgency: int = output(ge=1, le=5)


class Outer:
    class Inner(Signature):
        a: str = input()
        b: str = output()


PROGRAM = '''
from typing import Literal, Annotated
from outlast.signatures import Signature, input, output, signature
class T(Signature):
    """Say it."""
    a: str = input(default="x")
    b: dict[str, list[Literal["y", "z"]]] = output(desc="d")
    c: frozenset[str] = output(default=frozenset({"p", "q", "r", "s"}))
    d: object = output(default=None)
print(T.key, T.with_description("Say \\ud800").key, signature("a: int | None, b: Literal['x'] -> c: list[float]").key)
'''


def test_the_key_is_the_same_in_every_process() -> None:
    seen = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(seen) == 1
    assert len(next(iter(seen)).split()[0]) == 16


def test_the_key_does_not_hold_addresses() -> None:
    def checked(value: int) -> int:
        return value

    def keyed() -> str:
        return signature("a -> b").append("c", object, output(default=checked)).key

    first = keyed()
    checked = type(checked)(checked.__code__, {})  # the same function at another address
    assert keyed() == first


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "made",
    [
        Triage,
        Outer.Inner,
        Triage.with_description("Other words.").append("why", str, output()),
        signature("a: int | None, b: list[str] -> c: Literal['x', 'y']"),
    ],
)
def test_pickling_keeps_the_value(made: Any, protocol: int) -> None:
    again = pickle.loads(pickle.dumps(made, protocol))
    assert again == made
    assert again.key == made.key
    assert again.__name__ == made.__name__


def test_classes_pickle_by_name_and_edits_by_value() -> None:
    assert pickle.loads(pickle.dumps(Triage)) is Triage
    assert pickle.loads(pickle.dumps(Outer.Inner)) is Outer.Inner
    again = pickle.loads(pickle.dumps(Triage.delete("urgency")))
    assert issubclass(again, Triage)
    assert copy.deepcopy(Triage) is Triage


def test_equality_with_other_things_is_false() -> None:
    assert Triage != "message -> team"
    assert (Triage == 3) is False
    assert len({Triage, Triage.with_description(Triage.description)}) == 1


def test_field_defaults_compare_by_type_and_never_fail() -> None:
    def field(default: Any) -> Field:
        return Field("a", "input", object, "", default)

    assert field(1) == field(1)
    assert field(1) != field(True)
    assert field(1) != field(1.0)
    assert field(REQUIRED) != field(None)
    assert field(np.array([1, 2])) != field(np.array([1, 2]))  # no single truth: different, not an exception
    shared = np.array([1, 2])
    assert field(shared) == field(shared)
    assert field(float("nan")) != field(0.0)
    assert field(1) != "a"


def test_field_types_compare_by_what_they_mean() -> None:
    def field(kind: Any) -> Field:
        return Field("a", "input", kind)

    assert field(signature("a: Optional[int] -> b").fields["a"].type) == field(int | None)
    assert field(list[int | None]) == field(signature("a: List[Optional[int]] -> b").fields["a"].type)
    assert field(int | str) != field(str | int)
    assert field(Literal["a", "b"]) != field(Literal["b", "a"])
    assert field(Literal[1]) != field(Literal[True])
    one, other = AfterValidator(abs), AfterValidator(abs)
    from typing import Annotated

    assert field(Annotated[int, one]) == field(Annotated[int, other])
    assert field(Annotated[int, one]) != field(int)
