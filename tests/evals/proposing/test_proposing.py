"""Checks from labelled outputs: planted defects are found, noise gives nothing, the figures are of held-out labels."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest
from scipy.stats import fisher_exact

import outlast as ol
from outlast.errors import DataError, UsageError
from outlast.evals.judging import Item
from outlast.evals.proposing import Candidate, Proposals
from outlast.evals.proposing.choosing import Tried, chance, choose, figures
from outlast.testing import ScriptedLM

OPENINGS = ("Thank you for your message.", "We are glad to help.", "Good to hear from you.", "Here is what we found.")
MIDDLES = ("Your card is on its way", "The fee was charged once", "The transfer takes two days", "The limit is raised")
ENDS = ("today.", "this week.", "as agreed.", "in the app.", "by Monday.")


def sentence(draw: random.Random) -> str:
    return f"{draw.choice(OPENINGS)} {draw.choice(MIDDLES)} {draw.choice(ENDS)} Case {draw.randrange(10_000)}"


def outputs(count: int, spoil: Any, *, seed: int = 0, bad: float = 0.4) -> tuple[list[dict[str, str]], list[str]]:
    """Replies of which the share `bad` is spoilt, and their labels."""
    draw = random.Random(seed)
    items: list[dict[str, str]] = []
    values: list[str] = []
    for number in range(count):
        worse = draw.random() < bad
        text = sentence(draw)
        items.append({"question": f"question {number}", "reply": spoil(text, draw) if worse else text})
        values.append("fail" if worse else "pass")
    return items, values


DEFECTS = {
    "unwanted": lambda text, draw: f"As an AI, I cannot be sure. {text}",
    "missing": lambda text, draw: text.split(" Case")[0],
    "long": lambda text, draw: " ".join(sentence(draw) for _ in range(6)),
    "placeholder": lambda text, draw: text.replace("Case", "Dear [CUSTOMER NAME], case"),
    "secret data": lambda text, draw: f"{text}, write to ann{draw.randrange(99)}.miller@mail.example.org",
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_found_by_a_check_that_holds_on_fresh_outputs(defect: str) -> None:
    found = ol.propose_checks(outputs(120, DEFECTS[defect]), fields="reply")
    assert found.chosen
    assert found.held_out.coverage.value >= 0.9
    assert found.held_out.false_failures.value <= 0.1
    items, values = outputs(60, DEFECTS[defect], seed=77)
    failed = [any(not check.run(item).ok for check in found.checks) for item in items]  # type: ignore[union-attr]
    right = sum(fail == (value == "fail") for fail, value in zip(failed, values, strict=True))
    assert right >= 55


def test_two_defects_take_two_checks() -> None:
    def spoil(text: str, draw: random.Random) -> str:
        return DEFECTS["missing" if draw.random() < 0.5 else "long"](text, draw)

    found = ol.propose_checks(outputs(240, spoil), fields="reply")
    assert len(found.chosen) >= 2
    assert all(one.selection.coverage.value < 0.75 for one in found.chosen)
    assert found.held_out.coverage.value >= 0.9
    assert found.held_out.alignment > 0.9


def test_labels_that_are_noise_give_no_check() -> None:
    chosen = 0
    for seed in range(6):
        items, _ = outputs(80, lambda text, draw: text, seed=seed)
        draw = random.Random(f"labels {seed}")
        chosen += len(ol.propose_checks((items, [draw.random() < 0.5 for _ in items]), fields="reply").chosen)
    assert chosen == 0


def test_json_and_its_keys_are_proposed() -> None:
    def row(draw: random.Random, worse: bool, number: int) -> str:
        data = {"team": draw.choice(["a", "b"]), "urgency": draw.randrange(5), "note": f"n{number}"}
        if worse:
            key = draw.choice(["team", "urgency"])
            data[f"the_{key}"] = data.pop(key)
        return json.dumps(data)

    draw = random.Random(0)
    good = [draw.random() < 0.6 for _ in range(120)]
    items = [{"answer": row(draw, not fine, number)} for number, fine in enumerate(good)]
    found = ol.propose_checks((items, good))
    assert any("json_schema" in one.candidate.source and "'required'" in one.candidate.source for one in found.chosen)
    assert found.held_out.coverage.value == 1.0


def test_numbers_that_the_input_does_not_have_are_found() -> None:
    draw = random.Random(4)
    labels: list[ol.Label] = []
    rubric = ol.Rubric("faithful", "The reply says what the page says.")
    for number in range(100):
        fee, other, fine = draw.randrange(100, 999), draw.randrange(100, 999), draw.random() < 0.6
        fields = {"page": f"The fee is {fee} euros.", "reply": f"You pay {fee if fine else other} euros in all."}
        labels.append(ol.Label(Item(fields, ["page"]), "pass" if fine else "fail", rubric=rubric))
    found = ol.propose_checks(ol.Labels(labels), rubric=rubric)
    assert any(
        one.candidate.source.startswith("ol.checks.numbers_supported('reply', source='page'") for one in found.chosen
    )
    assert found.held_out.coverage.value > 0.9


def test_the_source_makes_the_same_checks() -> None:
    found = ol.propose_checks(outputs(120, DEFECTS["unwanted"]), fields="reply")
    space: dict[str, Any] = {}
    exec(found.to_python("reply_checks"), space)
    assert tuple(space["reply_checks"]) == found.checks
    assert "held out: catches" in found.to_python()


WRITTEN = {
    "functions": [
        {
            "name": "even case",
            "message": "Give an even case number.",
            "code": "import re\ndef check(reply):\n    found = re.search(r'Case (\\d+)', reply)\n"
            "    return found is None or int(found.group(1)) % 2 == 0",
        },
        {"name": "broken", "message": "x", "code": "def check(reply):\n    return undefined_name"},
        {"name": "no function", "message": "x", "code": "print('hello')"},
        {"name": "hostile", "message": "x", "code": "import os\ndef check(reply):\n    return os.system('true') == 0"},
    ]
}


def even(text: str, draw: random.Random) -> str:
    head, _, number = text.partition(" Case ")
    return f"{head} Case {int(number) // 2 * 2 + 1}"


def test_a_rule_that_no_template_says_is_written_by_a_model_and_runs_in_the_sandbox_only() -> None:
    items, values = outputs(100, even, seed=3)
    fixed = [
        {**item, "reply": item["reply"] if value == "fail" else even(item["reply"], random.Random(0))[:-1] + "4"}
        for item, value in zip(items, values, strict=True)
    ]
    rubric = ol.Rubric("even", "The number of the case is even.")
    labels = ol.Labels([ol.Label(item, value, rubric=rubric) for item, value in zip(fixed, values, strict=True)])
    lm = ScriptedLM([WRITTEN], keep=True)
    found = ol.propose_checks(labels, fields="reply", rubric=rubric, lm=lm)
    assert lm.calls == 1
    assert found.unable == 3
    assert [one.candidate.origin for one in found.chosen] == ["model"]
    assert found.held_out.coverage.value == 1.0
    asked = lm.requests[0].messages[-1].text
    assert "The number of the case is even." in asked
    space: dict[str, Any] = {}
    exec(found.to_python(), space)
    assert tuple(space["checks"]) == found.checks
    held = sum(item["reply"] in "".join(message.text for message in lm.requests[0].messages) for item in fixed)
    assert held <= 12, "a model sees few examples, of the part to choose on"
    assert "by\n" in found.table()
    assert "even case" in found.table()


def test_the_code_of_a_model_cannot_leave_its_string() -> None:
    code = 'def check(reply):\n    return "\'\'\'" not in reply and """\\n""" not in reply\n# \'\'\' """ \\'
    lm = ScriptedLM([{"functions": [{"name": "quote' \"", "message": "a\n'''b", "code": code}]}])
    items, values = outputs(60, lambda text, draw: text + "'''")
    found = ol.propose_checks((items, values), fields="reply", lm=lm, max_checks=8)
    written = [one for one in found.chosen if one.candidate.origin == "model"]
    space: dict[str, Any] = {}
    exec(found.to_python(), space)
    assert tuple(space["checks"]) == found.checks
    if not written:  # a template said the same in fewer words
        assert found.held_out.coverage.value == 1.0


def test_a_program_of_ones_own_may_write_and_async_code_may_ask() -> None:
    from outlast.evals.proposing import CheckWriter

    lm = ScriptedLM([WRITTEN])
    found = asyncio.run(ol.apropose_checks(outputs(60, DEFECTS["unwanted"]), fields="reply", lm=CheckWriter(lm)))
    assert isinstance(found, Proposals)
    assert lm.calls == 1


def test_checks_of_ones_own_compete() -> None:
    mine = Candidate(ol.checks.matches("reply", "Case"), "my_checks.case")
    found = ol.propose_checks(outputs(100, DEFECTS["missing"]), fields="reply", extra=[mine])
    assert found.held_out.coverage.value >= 0.9


def test_fishers_test_is_that_of_scipy() -> None:
    for table in ((5, 20, 1, 30), (8, 8, 0, 12), (3, 40, 7, 60), (1, 1, 0, 1)):
        caught, bad, wrong, good = table
        expected = fisher_exact([[caught, bad - caught], [wrong, good - wrong]], alternative="greater").pvalue
        assert chance(caught, bad, wrong, good) == pytest.approx(expected)


def test_the_choice_is_greedy_within_the_limit_on_good_outputs() -> None:
    good = [True] * 20 + [False] * 20

    def tried(bad: range, wrong: range = range(0)) -> Tried:
        fails = tuple([n in wrong for n in range(20)] + [n in bad for n in range(20)])
        return Tried(Candidate(ol.checks.length("a", max=len(bad) + 1), f"{bad} {wrong}"), fails)

    wide, narrow, rest, sloppy = tried(range(12)), tried(range(8)), tried(range(12, 20)), tried(range(20), range(4))
    assert choose([narrow, sloppy, rest, wide], good, most_false=0.1, most=8, error=0.05) == [wide, rest]
    assert choose([narrow, sloppy, rest, wide], good, most_false=0.1, most=1, error=0.05) == [wide]
    assert choose([narrow, sloppy, rest, wide], good, most_false=0.3, most=8, error=0.05)[0] == sloppy
    both = figures([a or b for a, b in zip(wide.fails, rest.fails, strict=True)], good)
    assert (both.coverage.value, both.false_failures.value, both.alignment) == (1.0, 0.0, 1.0)


def test_of_checks_that_say_the_same_the_reason_comes_before_the_accident_and_the_others_are_told() -> None:
    found = ol.propose_checks(outputs(120, DEFECTS["placeholder"]), fields="reply")
    first = found.chosen[0]
    assert "has a placeholder in brackets" in first.candidate.source
    assert any("'customer name'" in other.source for other in first.same)
    assert f"# said the same: {first.same[0].source}" in found.to_python()


def test_nothing_found_is_said_plainly() -> None:
    draw = random.Random("nothing")
    items, _ = outputs(60, lambda text, draw: text)
    found = ol.propose_checks((items, [draw.random() < 0.5 for _ in items]), fields="reply")
    assert "no check proposed" in str(found) == found.table()
    assert found.checks == ()
    assert found.to_python().endswith("checks = [\n]\n")


@pytest.mark.parametrize(
    ("kind", "words", "call"),
    [
        (DataError, "too few labels", lambda: ol.propose_checks((["a"] * 12, [True] * 10 + [False] * 2))),
        (
            DataError,
            "no field 'answer'. Fields",
            lambda: ol.propose_checks(outputs(60, DEFECTS["long"]), fields="answer"),
        ),
        (UsageError, "is a share between 0 and 1", lambda: ol.propose_checks(outputs(60, DEFECTS["long"]), held_out=1)),
        (UsageError, "is a whole number", lambda: ol.propose_checks(outputs(60, DEFECTS["long"]), max_checks=0)),
        (UsageError, "Say positive=", lambda: ol.propose_checks((list("abc") * 20, list("xyz") * 20))),
        (UsageError, "at least one field", lambda: ol.propose_checks(outputs(60, DEFECTS["long"]), fields=())),
        (DataError, "propose_checks tells at least two", lambda: ol.propose_checks((["a"] * 12, ["pass"] * 12))),
        (UsageError, "propose_checks takes ol.Labels", lambda: ol.propose_checks([["a"], ["pass"]])),  # type: ignore[arg-type]
        (
            UsageError,
            r"holds Candidate\(check, source\)",
            lambda: ol.propose_checks(
                outputs(60, DEFECTS["long"]),
                extra=[ol.checks.length("reply", max=9)],  # type: ignore[list-item]
            ),
        ),
        (
            UsageError,
            "is a Python identifier",
            lambda: ol.propose_checks(outputs(60, DEFECTS["long"]), fields="reply").to_python("checks; import os"),
        ),
    ],
)
def test_misuse_is_a_clear_error(kind: type[Exception], words: str, call: Any) -> None:
    with pytest.raises(kind, match=words):
        call()


def test_a_misspelt_option_is_told_the_right_one() -> None:
    with pytest.raises(UsageError, match="Did you mean 'held_out'"):
        ol.propose_checks((["a", "b"], [True, False]), heldout=0.5)  # pyright: ignore[reportCallIssue]
