from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.data import Example
from outlast.errors import DataError, UsageError
from outlast.evals import About, Evaluation, Row, compare, evaluate

ABOUT = About(program="p", program_hash="p", metric="m", metric_hash="m", data_hash="d", total=10)


def evaluation(scores, about=ABOUT, ids=None, **more):
    """An evaluation with these scores; None is an error, "?" unscored."""
    rows = []
    for index, score in enumerate(scores):
        state = "error" if score is None else "unscored" if score == "?" else "pass" if score >= 1 else "fail"
        value = None if state in ("error", "unscored") else float(score)
        name = f"id{index}" if ids is None else ids[index]
        rows.append(Row(index, name, {"q": index}, {}, None, value, state))
    return Evaluation.of(about, rows, **more)


def test_what_was_not_answered_counts_as_a_failure_and_other_errors_are_left_out():
    before = evaluation([1] * 8 + [0, None])
    after = evaluation([1] * 4 + [None] * 5 + [1])
    after = Evaluation.of(ABOUT, [replace(row, answered=row.score is not None) for row in after.rows])
    result = compare(before, after)
    assert (result.n, result.a_mean, result.b_mean) == (9, 8 / 9, 4 / 9)
    assert (result.a_errors, result.a_unanswered, result.b_errors, result.b_unanswered) == (1, 0, 5, 5)
    assert "0 before and 5 after that gave no usable answer count as 0" in repr(result)
    assert compare(before, after, errors="exclude").n == 4
    assert compare(before, after, errors="fail").n == 10


def test_a_clear_gain_is_better_and_its_reverse_worse():
    a, b = evaluation([0] * 30 + [1] * 30), evaluation([1] * 55 + [0] * 5)
    better = compare(a, b)
    assert better.verdict == "better"
    assert better.paired.difference == pytest.approx(25 / 60)
    assert better.paired.interval.low > 0
    assert better.paired.p < 0.001
    assert (better.a_mean, better.b_mean) == (0.5, 55 / 60)
    assert repr(better).startswith("50.0% -> 91.7% (+41.7, 95% CI ")
    assert repr(better).endswith(", p<0.001) on 60: better; 30 up, 5 down")
    worse = compare(b, a)
    assert worse.verdict == "worse"
    assert worse.paired.difference == -better.paired.difference
    assert worse.paired.p == better.paired.p


def test_noise_is_inconclusive_unless_a_margin_allows_it():
    a, b = evaluation([0, 1] * 200), evaluation([0, 1] * 199 + [1, 0])
    assert compare(a, b).verdict == "inconclusive"
    assert compare(a, b, margin=0.05).verdict == "no worse"
    assert compare(a, b, margin=0.0001).verdict == "inconclusive"
    assert compare(a, a).verdict == "inconclusive"
    assert compare(a, a).paired.p == 1


def test_a_gain_needs_both_interval_and_test():
    a, b = evaluation([0] * 20), evaluation([1] * 5 + [0] * 15)
    result = compare(a, b)
    assert result.paired.p > 0.05
    assert result.verdict == "inconclusive"
    assert compare(a, b, level=0.9).verdict == "better"


def test_graded_scores():
    a, b = evaluation([0.1 * (i % 5) for i in range(60)]), evaluation([0.1 * (i % 5) + 0.2 for i in range(60)])
    assert compare(a, b).verdict == "better"
    assert compare(a, b).paired.difference == pytest.approx(0.2)


def test_flips_are_the_changed_rows_worst_first():
    result = compare(evaluation([1, 0, 0.5, 1]), evaluation([0, 1, 0.4, 1]))
    assert [flip.id for flip in result.flips] == ["id0", "id2", "id1"]
    assert (result.flips[0].a_score, result.flips[0].b_score, result.flips[0].change) == (1, 0, -1)
    assert result.flips[0].b.state == "fail"
    assert (result.paired.wins, result.paired.losses, result.paired.ties) == (1, 2, 1)


def test_rows_are_aligned_by_id_not_by_order():
    a = evaluation([1, 0, 1], ids=["x", "y", "z"])
    b = evaluation([1, 1, 0], ids=["z", "x", "y"])
    assert compare(a, b).flips == ()


def test_repeated_ids_are_aligned_one_by_one():
    a = evaluation([1, 0, 1], ids=["x", "x", "y"])
    b = evaluation([1, 1, 1], ids=["x", "x", "y"])
    result = compare(a, b)
    assert result.n == 3
    assert result.paired.wins == 1
    fewer = compare(a, evaluation([1, 1], ids=["x", "y"]))
    assert fewer.unmatched == ("x",)


def test_errors_are_left_out_and_reported_or_count_as_zero():
    a, b = evaluation([1, 1, None, 0, "?"]), evaluation([1, None, 1, 1, 1])
    apart = compare(a, b)
    assert (apart.n, apart.a_errors, apart.b_errors, apart.unscored) == (2, 1, 1, 1)
    assert "(1 errors before, 1 errors after, 1 unscored; errors left out)" in repr(apart)
    zero = compare(a, b, errors="fail")
    assert (zero.n, zero.a_mean, zero.b_mean) == (4, 0.5, 0.75)
    assert "errors counted as 0" in repr(zero)
    assert [flip.change for flip in zero.flips] == [-1, 1, 1]


def test_unmatched_rows_are_reported():
    result = compare(evaluation([1, 0, 1]), evaluation([1, 0], stopped="interrupted"))
    assert result.unmatched == ("id2",)
    assert "1 unmatched" in repr(result)
    assert result.n == 2


def test_what_cannot_be_compared_is_refused():
    a = evaluation([1, 0])
    other = About(**{**{name: getattr(ABOUT, name) for name in About.__slots__}, "metric": "f1", "metric_hash": "x"})
    with pytest.raises(DataError, match=r"different metrics: 'm' \(m\) and 'f1' \(x\). Score both with one metric"):
        compare(a, evaluation([1, 0], other))
    other = About(**{**{name: getattr(ABOUT, name) for name in About.__slots__}, "data_hash": "elsewhere"})
    with pytest.raises(DataError, match="ran on different data"):
        compare(a, evaluation([1, 0], other))
    with pytest.raises(DataError, match="no example is scored in both evaluations: 0 in both.* 4 in one only"):
        compare(a, evaluation([1, 0], ids=["s", "t"]))
    with pytest.raises(DataError, match="2 errors before"):
        compare(evaluation([None, None]), a)
    with pytest.raises(DataError, match="were not kept"):
        compare(a, evaluation([1, 0], kept=False))
    with pytest.raises(UsageError, match="two Evaluations; got 0.5"):
        compare(a, 0.5)
    for options in ({"level": 95}, {"margin": -1}, {"margin": float("nan")}, {"errors": "apart"}):
        with pytest.raises(UsageError):
            compare(a, a, **options)
    with pytest.raises(TypeError):
        compare(a, a, alpha=0.05)


@given(st.lists(st.tuples(st.sampled_from([0, 1]), st.sampled_from([0, 1])), min_size=1, max_size=60))
@settings(max_examples=40, deadline=None)
def test_swapping_the_two_swaps_the_verdict(pairs):
    a, b = evaluation([x for x, _ in pairs]), evaluation([y for _, y in pairs])
    swapped = {"better": "worse", "worse": "better", "inconclusive": "inconclusive"}
    assert swapped[compare(a, b).verdict] == compare(b, a).verdict
    assert compare(a, b).paired.difference == pytest.approx(-compare(b, a).paired.difference)


def test_two_runs_of_real_programs():
    data = [Example({"q": i}, {"a": i % 3}) for i in range(90)]

    def correct(example, out):
        return out == example.a

    async def always_zero(q):
        return 0

    async def right(q):
        return q % 3

    before = evaluate(always_zero, data, correct, progress=False)
    after = evaluate(right, data, correct, progress=False)
    result = compare(before, after)
    assert result.verdict == "better"
    out = io.StringIO()
    result.print_table(file=out, limit=3)
    assert "33.3% -> 100.0%" in out.getvalue()
    assert "3 of 60" in out.getvalue()
