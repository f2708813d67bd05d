"""Checks of factories are values: equal calls are equal, and pickle writes the call."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from pydantic import create_model

import outlast as ol
from outlast import checks
from outlast.errors import CheckFailed

TONE = ol.Rubric("tone", "The reply is friendly.")
MADE: dict[str, Any] = {
    "cites": lambda: checks.cites("answer", sources="context"),
    "json_schema": lambda: checks.json_schema("answer", {"type": "object"}),
    "json_type": lambda: checks.json_schema("answer", dict[str, int]),
    "length": lambda: checks.length("answer", max=3),
    "no_pii": lambda: checks.no_pii("answer", allow=["@example.com"]),
    "not_copied": lambda: checks.not_copied("answer", ["a text that stands elsewhere, of some length"]),
    "numbers_supported": lambda: checks.numbers_supported("answer", source="context"),
    "sandboxed": lambda: checks.sandboxed("def check(answer):\n    return True", "answer"),
    "supported": lambda: checks.supported("answer", source="context"),
    "judge": lambda: ol.Judge(TONE, ["answer"], lm="openai/gpt-5-mini").as_check(on_fail="retry"),
    "judges": lambda: ol.Judge.each({"tone": "kind", "facts": "true"}, ["answer"], lm="openai/gpt-5-mini").as_check(),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_a_check_comes_back_from_pickle_and_copy(make: Any) -> None:
    one = make()
    assert one == make()
    assert pickle.loads(pickle.dumps(one)) == one == copy.deepcopy(one)
    other = one.named("other").with_policy("log")
    assert pickle.loads(pickle.dumps(other)) == other != one


def test_types_that_are_called_alike_make_different_checks() -> None:
    assert checks.json_schema("answer", dict[str, int]) != checks.json_schema("answer", dict[str, str])
    one, other = (create_model("Order", count=(kind, ...)) for kind in (int, str))
    assert checks.json_schema("answer", one) != checks.json_schema("answer", other)


def test_a_failure_with_what_was_hidden_goes_through_pickle() -> None:
    with pytest.raises(CheckFailed) as caught:
        checks.no_pii("answer").demand(answer="Write to ann@example.com.")
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.check == "no_pii"
    assert again.result == caught.value.result
    assert "ann@" not in repr(again.result)
    redacted = checks.redact("Write to ann@example.com.")
    assert pickle.loads(pickle.dumps(redacted)) == redacted


def test_the_check_of_a_factory_can_be_called_by_position() -> None:
    assert not checks.length("answer", max=3)("four")
    assert checks.length("answer", max=3)(answer="abc")
