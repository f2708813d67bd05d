"""One rule decides: gates, the words of a comparison, and what a gate does not let pass."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.data import Example
from outlast.errors import DataError, UsageError
from outlast.evals import About, Evaluation, Row, compare, evaluate
from outlast.evals.comparing.gate import decide, word_for, worst
from outlast.evals.statistics import Interval

ABOUT = About(program="p", program_hash="p", metric="m", metric_hash="m", data_hash="d", total=10)


def evaluation(scores, **more):
    """An evaluation with these scores; None is an error, "?" unscored."""
    rows = []
    for index, score in enumerate(scores):
        state = "error" if score is None else "unscored" if score == "?" else "pass" if score >= 1 else "fail"
        value = None if state in ("error", "unscored") else float(score)
        rows.append(Row(index, f"id{index}", {"q": index}, {}, None, value, state))
    return Evaluation.of(ABOUT, rows, **more)


@pytest.mark.parametrize(
    ("low", "high", "p", "limit", "decision"),
    [
        (0.01, 0.2, 0.01, 0.0, "PASS"),
        (0.01, 0.2, 0.06, 0.0, "INCONCLUSIVE"),  # the test does not agree
        (-0.01, 0.2, 0.06, -0.02, "PASS"),  # no loss beyond the limit; nothing is said of a gain
        (-0.02, 0.2, 0.06, -0.02, "INCONCLUSIVE"),  # the interval holds the limit
        (-0.3, -0.1, 0.01, -0.02, "FAIL"),
        (-0.3, -0.1, 0.06, -0.02, "INCONCLUSIVE"),
        (0.01, 0.05, 0.01, 0.1, "FAIL"),  # a gain, but not the one that is demanded
        (-0.05, 0.05, 0.9, 0.1, "FAIL"),
        (0.2, 0.3, 0.01, 0.1, "PASS"),
        (-math.inf, math.inf, math.nan, -0.5, "INCONCLUSIVE"),
        (0.1, 0.2, math.nan, 0.0, "INCONCLUSIVE"),
    ],
)
def test_the_whole_interval_decides_and_the_test_must_agree(low, high, p, limit, decision) -> None:
    assert decide(Interval(low, high, 0.95, "x"), p, limit, 0.95) == decision


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.floats(-1, 1), st.floats(0, 1))
def test_who_passes_a_gate_passes_every_lower_one(low, width, p, limit, less) -> None:
    interval = Interval(low, low + width, 0.95, "x")
    order = ["FAIL", "INCONCLUSIVE", "PASS"]
    assert order.index(decide(interval, p, limit - less, 0.95)) >= order.index(decide(interval, p, limit, 0.95))


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.floats(-1, -0.001))
def test_the_words_of_a_comparison_are_gates(low, width, p, tolerated) -> None:
    interval = Interval(low, low + width, 0.95, "x")
    word = word_for(interval, p, 0.95, tolerated)
    assert (word == "better") == (decide(interval, p, 0, 0.95) == "PASS")
    assert (word == "worse") == (decide(interval, p, 0, 0.95) == "FAIL")
    if word == "no worse":
        assert decide(interval, p, tolerated, 0.95) == "PASS"


def test_a_comparison_passes_fails_or_cannot_tell() -> None:
    a, b = evaluation([0] * 30 + [1] * 30), evaluation([1] * 55 + [0] * 5)
    gate = compare(a, b).gate()
    assert gate.decision == "PASS"
    assert gate.passed
    assert gate.rule == "the change has to be a gain"
    assert "It is +41.7, 95% CI" in gate.reason
    assert "p<0.001 on 60" in gate.reason
    assert compare(a, b).gate(0.1).decision == "PASS"
    assert compare(a, b).gate(0.4).decision == "INCONCLUSIVE"
    assert compare(a, b).gate(0.9).decision == "FAIL"
    assert compare(b, a).gate(-0.02).decision == "FAIL"
    same = compare(a, a, min_delta=-0.2)
    assert same.gate().decision == "PASS"
    assert same.verdict == "no worse"
    close = compare(a, a, min_delta=-0.001).gate()
    assert close.decision == "INCONCLUSIVE"
    assert "the interval holds -0.1 points" in close.reason
    assert "find a true change of" in close.reason
    with pytest.raises(UsageError, match="min_delta is a difference in score"):
        same.gate("2%")


def test_what_was_not_scored_passes_no_gate() -> None:
    a, b = evaluation([0] * 50 + [1] * 50), evaluation([1] * 100)
    assert compare(a, b).gate().passed
    stopped = compare(a, evaluation([1] * 100, stopped="budget")).gate()
    assert stopped.decision == "INCONCLUSIVE"
    assert "stopped early (budget, after 100)" in stopped.reason
    few = compare(a, evaluation([1] * 95 + [None] * 5)).gate()
    assert few.passed
    many = compare(a, evaluation([1] * 90 + [None] * 10)).gate()
    assert many.decision == "INCONCLUSIVE"
    assert "10 of 100 examples are left out" in many.reason
    assert compare(evaluation([1] * 100), evaluation([0] * 90 + [None] * 10)).gate().decision == "FAIL"


def test_the_score_itself_passes_fails_or_cannot_tell() -> None:
    run = evaluation([1] * 90 + [0] * 10)
    assert run.gate(0.8).decision == "PASS"
    assert run.gate(0.9).decision == "INCONCLUSIVE"
    assert "the interval holds 90.0%" in run.gate(0.9).reason
    assert run.gate(0.99).decision == "FAIL"
    errors = evaluation([1] * 90 + [None] * 10)
    assert errors.gate(0.8).decision == "PASS"
    assert "10 errors counted as 0" in errors.gate(0.8).reason
    assert errors.gate(0.99).decision == "FAIL"
    assert evaluation([1] * 90 + ["?"] * 10).gate(0.8).decision == "INCONCLUSIVE"
    assert evaluation([1] * 100, stopped="interrupted").gate(0.8).decision == "INCONCLUSIVE"
    with pytest.raises(UsageError, match="takes a number"):
        run.gate(True)
    with pytest.raises(DataError, match="none is scored"):
        evaluation(["?"]).gate(0.5)


def test_several_gates_are_as_good_as_the_worst() -> None:
    run = evaluation([1] * 90 + [0] * 10)
    assert worst([run.gate(0.8), run.gate(0.5)]) == "PASS"
    assert worst([run.gate(0.8), run.gate(0.9)]) == "INCONCLUSIVE"
    assert worst([run.gate(0.9), run.gate(0.99)]) == "FAIL"


def test_a_gate_without_a_real_gain_seldom_passes() -> None:
    chance = random.Random(7)
    passed = 0
    for _ in range(400):
        before = [chance.random() < 0.6 for _ in range(60)]
        after = [chance.random() < 0.6 for _ in range(60)]
        passed += compare(evaluation(before), evaluation(after)).gate().passed
    assert passed / 400 <= 0.04  # 2.5 % each way, less what is discrete


def test_totals_without_rows_pass_a_gate_where_nothing_went_wrong():
    def run(broken):
        def program(q):
            if q == broken:
                raise ConnectionError("gone")
            return q

        stream = (Example({"q": q}, {}) for q in range(20))
        return evaluate(program, stream, lambda example, out: 1.0, progress=False)

    assert run(None).gate(0.8).passed
    with pytest.raises(DataError, match="needs the rows"):
        run(3).gate(0.8)


def test_more_examples_are_no_answer_to_what_was_left_out():
    a, b = evaluation([0.0] * 40), evaluation([1.0] * 40)
    stopped = compare(a, replace(b, stopped="budget")).gate()
    assert stopped.decision == "INCONCLUSIVE"
    assert stopped.reason.endswith("But an evaluation stopped early (budget, after 40).")
    assert compare(a, a).gate().reason.endswith("in 4 of 5 cases.")
