"""Checks that are code: run in a sandbox for each value anew, never here."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import date
from typing import Any

import pytest

import outlast as ol
from outlast.errors import CheckFailed, MetricError, UsageError

SHORT = """
    def check(answer):
        return len(answer) < 10, "at most ten characters"
"""


def test_the_function_says_yes_or_no_and_why() -> None:
    check = ol.checks.sandboxed(SHORT, "answer", name="short")
    assert check.run({"answer": "brief"}).ok is True  # type: ignore[union-attr]
    with pytest.raises(CheckFailed, match="at most ten characters"):
        check.demand(answer="much too long for it")
    assert asyncio.run(check.arun({"answer": "brief"})).ok is True  # type: ignore[union-attr]
    assert check.cost == "slow"


def test_values_go_by_position_as_data_and_a_bare_bool_takes_the_message() -> None:
    code = "def check(reply, wanted):\n    return all(word in reply for word in wanted)"
    check = ol.checks.sandboxed(code, "answer", "words", message="Say all the words.")
    assert check.run({"answer": "a and b", "words": ["a", "b"]}).ok is True  # type: ignore[union-attr]
    assert check.run({"answer": "a", "words": ["a", "b"]}).message == "Say all the words."  # type: ignore[union-attr]
    none = ol.checks.sandboxed("def check(answer):\n    return None", "answer")
    assert none.run({"answer": "x"}) is None


def test_text_that_looks_like_code_stays_data() -> None:
    check = ol.checks.sandboxed("def check(answer):\n    return answer.startswith('\"')", "answer")
    assert check.run({"answer": '"); import os; os.system("x") #'}).ok is True  # type: ignore[union-attr]


def test_nothing_is_remembered_from_one_value_to_the_next() -> None:
    code = "seen = []\ndef check(answer):\n    seen.append(answer)\n    return len(seen) == 1"
    check = ol.checks.sandboxed(code, "answer")
    assert all(check.run({"answer": text}).ok for text in "abc")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def check(answer):\n    return 1 / 0", "ZeroDivisionError"),
        ("def check(answer):\n    return 'yes'", "a bool, \\(bool, message\\) or None; got 'yes'"),
        ("def check(answer):\n    return open('/etc/passwd').read() == ''", "did not run"),
        ("def check(answer):\n    while True:\n        pass", "limit on time"),
        ("import os\ndef check(answer):\n    os.system('true')\n    return True", "did not run"),
    ],
)
def test_code_that_does_not_do_its_part_is_an_error_and_no_verdict(code: str, words: str) -> None:
    check = ol.checks.sandboxed(code, "answer", limits=ol.Limits(seconds=0.3))
    with pytest.raises(MetricError, match=words):
        check.run({"answer": "x"})


@pytest.mark.parametrize(
    ("words", "call"),
    [
        ("no Python", lambda: ol.checks.sandboxed("def check(answer: return", "answer")),
        ("defines no function check\\(answer\\)", lambda: ol.checks.sandboxed("x = 1", "answer")),
        ("of 2 parameters", lambda: ol.checks.sandboxed("def check(a): return True", "a", "b")),
        ("say which fields", lambda: ol.checks.sandboxed("def check(): return True")),
        ("at most 20,000 characters", lambda: ol.checks.sandboxed("#" * 30_000, "answer")),
        ("takes code", lambda: ol.checks.sandboxed(3, "answer")),  # type: ignore[arg-type]
        ("name of a field", lambda: ol.checks.sandboxed("def check(a): return True", "not a name")),
        ("name and message are texts", lambda: ol.checks.sandboxed("def check(a): return True", "a", name="")),
    ],
)
def test_misuse_is_a_clear_error(words: str, call: Any) -> None:
    with pytest.raises(UsageError, match=words):
        call()


def test_the_code_is_its_identity() -> None:
    assert ol.checks.sandboxed(SHORT, "answer") == ol.checks.sandboxed(SHORT, "answer")
    assert ol.checks.sandboxed(SHORT, "answer") != ol.checks.sandboxed(SHORT.replace("10", "11"), "answer")


def test_values_that_are_no_json_go_in_as_their_json_form() -> None:
    @dataclasses.dataclass
    class Order:
        when: date
        tags: tuple[str, ...]

    code = "def check(order):\n    return order['when'] == '2026-01-02' and order['tags'] == ['a']"
    check = ol.checks.sandboxed(code, "order")
    assert check.run({"order": Order(date(2026, 1, 2), ("a",))})
    with pytest.raises(UsageError, match="'order' has no JSON form"):
        check.run({"order": object()})
