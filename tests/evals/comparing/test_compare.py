from __future__ import annotations

import io
import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.data import Example
from outlast.errors import DataError, UsageError
from outlast.evals import About, Evaluation, Row, compare, evaluate
from outlast.evals.comparing.slices import corrected
from outlast.evals.row import CheckOutcome

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
    assert (result.pairs.a_errors, result.pairs.a_unanswered, result.pairs.b_errors, result.pairs.b_unanswered) == (
        1,
        0,
        5,
        5,
    )
    assert "0 before and 5 after that gave no usable answer count as 0" in repr(result)
    assert compare(before, after, on_error="exclude_all").n == 4
    assert compare(before, after, on_error="fail").n == 10


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
    assert compare(a, b, min_delta=-0.05).verdict == "no worse"
    assert compare(a, b, min_delta=-0.0001).verdict == "inconclusive"
    assert compare(a, a).verdict == "inconclusive"
    assert compare(a, a).paired.p == 1


def test_a_gain_needs_both_interval_and_test():
    a, b = evaluation([0] * 20), evaluation([1] * 4 + [0] * 16)
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


def test_an_id_that_comes_twice_is_refused():
    a = evaluation([1, 0, 1], ids=["x", "x", "y"])
    with pytest.raises(DataError, match=r"before holds example 'x' twice \(rows 0 and 1\)"):
        compare(a, a)


def test_errors_are_left_out_and_reported_or_count_as_zero():
    a, b = evaluation([1, 1, None, 0, "?"]), evaluation([1, None, 1, 1, 1])
    apart = compare(a, b)
    assert (apart.n, apart.pairs.a_errors, apart.pairs.b_errors, apart.pairs.unscored) == (2, 1, 1, 1)
    assert "(1 errors before, 1 errors after, 1 unscored; errors left out)" in repr(apart)
    zero = compare(a, b, on_error="fail")
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
    with pytest.raises(UsageError, match="takes Evaluations.*got 0.5"):
        compare(a, 0.5)
    for options in ({"level": 95}, {"min_delta": True}, {"min_delta": float("nan")}, {"on_error": "apart"}):
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


def fielded(scores, langs, **more):
    """An evaluation whose examples have a language."""
    rows = [
        replace(row, inputs={"q": row.index, "lang": lang}, targets={"tier": row.index % 2})
        for row, lang in zip(evaluation(scores).rows, langs, strict=True)
    ]
    return Evaluation.of(ABOUT, rows, **more)


def sliced():
    langs = ["de"] * 40 + ["en"] * 40 + ["fr"] * 5
    return fielded([0] * 80 + [0] * 5, langs), fielded([1] * 8 + [0] * 32 + [0] * 40 + [1] * 5, langs)


def test_slices_are_paired_corrected_and_small_ones_flagged():
    a, b = sliced()
    result = compare(a, b, by="lang")
    by_value = {one.value: one for one in result.slices}
    assert list(by_value) == ["de", "en", "fr"]
    assert by_value["de"].p == 2 * by_value["de"].paired.p < 0.05  # two slices are large enough
    assert (by_value["de"].verdict, by_value["en"].verdict, by_value["fr"].verdict) == (
        "better",
        "inconclusive",
        "too few",
    )
    assert by_value["fr"].small
    assert (by_value["fr"].n, by_value["fr"].a_mean, by_value["fr"].b_mean) == (5, 0, 1)
    uncorrected = compare(a, b, by="lang", correction="none").slices
    assert [one.p for one in uncorrected if not one.small] == [one.paired.p for one in uncorrected if not one.small]
    assert compare(a, b, by="lang", min_n=5).slices[2].verdict == "inconclusive"  # 5 of 5, p = 0.0625
    out = io.StringIO()
    result.print_table(file=out)
    assert "change by lang (p: Holm over 2 slices; intervals are not corrected)" in out.getvalue()
    assert "too few" in out.getvalue()


def test_slices_by_several_fields_and_functions_are_one_family():
    a, b = sliced()

    def half(row):
        return "early" if row.index < 40 else "late"

    result = compare(a, b, by=["lang", "tier", half])
    assert [(one.field, one.value) for one in result.slices] == [
        ("lang", "de"),
        ("lang", "en"),
        ("lang", "fr"),
        ("tier", 0),
        ("tier", 1),
        ("half", "early"),
        ("half", "late"),
    ]
    germans = result.slices[0]
    assert 4 * germans.paired.p <= germans.p <= 6 * germans.paired.p  # six slices are tested, two with smaller p
    assert sum(one.n for one in result.slices if one.field == "tier") == result.n == 85


def test_slices_by_what_the_runs_do_not_share_are_refused():
    a, b = sliced()
    with pytest.raises(DataError, match="no input or target 'lan'. Did you mean 'lang'"):
        compare(a, b, by="lan")
    for by in ((), 3, ["lang", 3]):
        with pytest.raises(UsageError, match="by is the name"):
            compare(a, b, by=by)
    for options in ({"correction": "bonferroni"}, {"min_n": 0}, {"min_n": 2.5}):
        with pytest.raises(UsageError):
            compare(a, b, by="lang", **options)


def test_several_candidates_share_one_correction():
    base = evaluation([0] * 40)
    runs = {"one": evaluation([1] * 6 + [0] * 34), "two": evaluation([1] * 10 + [0] * 30), "same": base}
    result = compare(base, runs)
    assert list(result) == ["one", "two", "same"]
    assert result["two"].p == 3 * result["two"].paired.p < 0.05
    assert result["one"].p == 2 * result["one"].paired.p
    assert (result["two"].verdict, result.best) == ("better", "two")
    assert compare(base, runs["one"]).p == result["one"].paired.p == compare(base, runs, correction="none")["one"].p
    assert compare(base, {"same": base}).best is None
    assert "p of 3 candidates, Holm" in result["one"].method
    out = io.StringIO()
    result.print_table(file=out)
    assert "against p" in out.getvalue()
    assert repr(result).startswith("one: 0.0% -> 15.0%")
    with pytest.raises(DataError, match="no candidate 'tow'. Did you mean 'two'"):
        result["tow"]


def test_gates_of_several_candidates_use_wider_intervals():
    base = evaluation([1, 0] * 100)
    run = evaluation([1, 0] * 98 + [0, 1] * 2)
    alone = compare(base, run).gate(-0.035)
    among = compare(base, {"a": run, "b": base, "c": base, "d": base}).gate(-0.035)["a"]
    assert alone.decision == "PASS"
    assert among.decision == "INCONCLUSIVE"
    assert "98.75% CI" in among.reason


def test_candidates_are_named():
    base = evaluation([0, 1])
    for candidates in ({}, {"": base}, {1: base}):
        with pytest.raises(UsageError, match="given by name"):
            compare(base, candidates)
    with pytest.raises(UsageError, match="takes Evaluations.*got 1"):
        compare(base, {"x": 1})
    other = replace(ABOUT, metric_hash="other")
    with pytest.raises(DataError, match=r"different metrics \(candidate 'x'\).*They have one name, but"):
        compare(base, {"x": evaluation([0, 1], other)})


def test_a_part_of_the_score_is_compared():
    def parted(values):
        rows = [
            replace(row, parts={} if value is None else {"style": value})
            for row, value in zip(evaluation([1] * len(values)).rows, values, strict=True)
        ]
        return Evaluation.of(ABOUT, rows)

    a, b = parted([0.5] * 20 + [None]), parted([0.8] * 20 + [0.9])
    assert compare(a, b).paired.difference == 0
    result = compare(a, b, part="style")
    assert (result.n, result.verdict) == (20, "better")
    assert result.paired.difference == pytest.approx(0.3)
    assert repr(result).startswith("style: 50.0% -> 80.0%")
    with pytest.raises(DataError, match="no row of an evaluation has a part 'styl'. Did you mean 'style'"):
        compare(a, b, part="styl")


def test_what_this_many_examples_could_have_seen():
    a, b = evaluation([0, 1] * 100), evaluation([1, 1] * 20 + [0, 1] * 80)
    assert compare(a, b).mde() == pytest.approx(0.062, abs=0.003)
    assert compare(a, b).mde(power=0.5) < compare(a, b).mde() < compare(a, b).mde(power=0.95)
    assert 0.02 < compare(a, a).mde() < 0.05  # some 8 changes of 200, all one way
    graded = compare(evaluation([0.5] * 50), evaluation([0.5 + 0.01 * (i % 7) for i in range(50)]))
    assert graded.mde() == pytest.approx(0.0082, abs=0.0005)
    assert compare(evaluation([1]), evaluation([0])).mde() == float("inf")


def repeated(scores, epochs=3, reducer="mean", clusters=None, **about):
    """An evaluation in which each example was run several times: a score is one number, or one for each epoch."""
    rows = []
    for index, score in enumerate(scores):
        for epoch in range(epochs):
            value = score[epoch] if isinstance(score, tuple) else score
            cluster = "" if clusters is None else clusters[index]
            state = "error" if value is None else "pass" if value >= 1 else "fail"
            rows.append(Row(index, f"id{index}", {"q": index}, {}, None, value, state, epoch=epoch, cluster=cluster))
    fields = {"epochs": epochs, "reducer": reducer, "cluster": "" if clusters is None else "doc", **about}
    return Evaluation.of(replace(ABOUT, **fields), rows)


def test_epochs_of_one_example_are_no_further_evidence():
    once = compare(evaluation([0] * 20), evaluation([1] * 5 + [0] * 15))
    thrice = compare(repeated([0] * 20), repeated([1] * 5 + [0] * 15))
    assert (thrice.n, thrice.paired.p) == (once.n, once.paired.p)
    assert thrice.paired.interval == once.paired.interval
    assert thrice.method.endswith("; mean of 3 epochs of each example")
    mixed = compare(repeated([(0, 1, 1)] * 30), evaluation([1] * 30))  # as many epochs are not needed for means
    assert mixed.paired.difference == pytest.approx(1 / 3)
    flip = compare(repeated([1, 1]), repeated([(1, 0, 1), 1])).flips[0]
    assert (flip.a_score, flip.b_score, flip.b.epoch) == (1, pytest.approx(2 / 3), 1)


def test_scores_made_in_different_ways_are_refused():
    a, b = repeated([1, 0], reducer="pass@2"), repeated([1, 0])
    with pytest.raises(DataError, match="made in different ways: pass@2 of 3 epochs and mean of 3"):
        compare(a, b)
    assert compare(a, b.reduced("pass@2")).n == 2
    with pytest.raises(DataError, match="made in different ways"):
        compare(repeated([1, 0], reducer="max"), repeated([1, 0], 2, "max"))
    assert compare(a, repeated([1, 0], 2, "pass@2")).n == 2
    strict, lax = (repeated([0.6, 0.6], reducer="pass@2", threshold=threshold) for threshold in (0.9, 0.5))
    with pytest.raises(DataError, match=r"pass@2 counts runs that pass, with a score of 0.9 or more in one and 0.5"):
        compare(strict, lax)
    assert compare(strict.reduced("mean"), lax.reduced("mean")).paired.difference == 0


def test_errors_that_count_differently_need_one_rule():
    a, b = evaluation([1, 0, None]), evaluation([1, 1, 1], replace(ABOUT, on_error="fail"))
    with pytest.raises(DataError, match="errors count differently.*'exclude' and 'fail'"):
        compare(a, b)
    assert compare(a, b, on_error="fail").n == 3
    assert compare(a, b, on_error="exclude").n == 2


def test_clusters_are_the_unit_where_a_run_has_them():
    clusters = [f"doc{index // 10}" for index in range(40)]
    before, after = [0] * 40, [1] * 10 + [0] * 30
    loose = compare(evaluation(before), evaluation(after))
    tight = compare(repeated(before, 1, clusters=clusters), evaluation(after))
    assert loose.verdict == "better"
    assert tight.verdict == "inconclusive"  # one document of four
    assert "4 clusters" in tight.method
    moved = repeated(after, 1, clusters=["other", *clusters[1:]])
    with pytest.raises(DataError, match="in cluster 'doc0' before and 'other' after"):
        compare(repeated(before, 1, clusters=clusters), moved)


def test_files_that_were_joined_or_mixed_are_refused(tmp_path):
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    evaluation([1, 0]).to_jsonl(first)
    evaluation([1, 0], replace(ABOUT, data_hash="e"), ids=["s", "t"]).to_jsonl(second)
    joined = tmp_path / "joined.jsonl"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.raises(DataError, match="joined.jsonl, line 5: another evaluation begins"):
        Evaluation.from_jsonl(joined)
    lines = [*first.read_bytes().splitlines(True)[:-1], *second.read_bytes().splitlines(True)[1:]]
    joined.write_bytes(b"".join(lines))
    with pytest.raises(DataError, match="line 4: row 0 is another example than before; data sets are mixed"):
        Evaluation.from_jsonl(joined)


def test_slices_without_a_change_are_seldom_called_changed():
    chance = random.Random(4)
    found = uncorrected = 0
    for _ in range(100):
        langs = [f"l{index % 8}" for index in range(200)]
        a, b = (fielded([chance.random() < 0.5 for _ in langs], langs) for _ in range(2))
        loose = compare(a, b, by="lang", correction="none").slices
        uncorrected += any(one.verdict in ("better", "worse") for one in loose)
        found += any(one.verdict in ("better", "worse") for one in corrected([loose], "holm")[0])
    assert found <= 8  # 5 of 100 but for chance
    assert uncorrected >= 20  # what the correction is for


def test_what_data_hold_steers_no_terminal():
    a, b = (fielded([0, 1] * 10, ["\x1b]0;owned\x07\u202e"] * 20) for _ in range(2))
    out = io.StringIO()
    compare(a, b, by="lang").print_table(file=out)
    a.print_table("lang", file=out)
    assert "\x1b" not in out.getvalue()
    assert "\u202e" not in out.getvalue()
    assert out.getvalue().count("\\x1b]0;owned\\x07\\u202e") >= 1


def test_no_name_steers_the_terminal():
    evil = "\x1b[31m\u202e"
    about = About(evil, "p", evil, "m", data_hash="d", cluster=evil)
    checks = {evil: CheckOutcome(False, True, 2)}
    rows = [
        Row(
            i,
            f"id{i}",
            {f"q{evil}": evil},
            {},
            None,
            i % 2,
            "pass" if i % 2 else "fail",
            parts={evil: 0.5},
            models=(evil,),
            checks=checks,
            cluster=f"c{i}",
        )
        for i in range(12)
    ]
    run = Evaluation.of(about, rows)
    text = io.StringIO()
    run.print_table(f"q{evil}", file=text)
    turned = [replace(row, score=1 - row.score, state="fail" if row.score else "pass") for row in rows]
    other = Evaluation.of(about, turned)
    compare(run, other).print_table(file=text)
    compare(run, {evil: other}).print_table(file=text)
    assert "\x1b" not in text.getvalue()
    assert "\u202e" not in text.getvalue()
    assert "\\x1b[31m" in text.getvalue()


def test_results_are_json_without_nan_for_other_programs():
    a, b = fielded([0, 1] * 10, ["de", "fr"] * 10), fielded([1, 1] * 10, ["de", "fr"] * 10)
    none = Evaluation.of(ABOUT, [Row(0, "id0", {}, {}, None, None, "unscored", "why")])
    change = compare(a, b, by="lang", min_n=20)
    data = [a.to_json(), none.to_json(), change.to_json(limit=1), compare(a, {"b": b, "a": a}).to_json()]
    a_data, none_data, change_data, several = json.loads(json.dumps(data, allow_nan=False))
    assert (a_data["score"], a_data["n"], none_data["score"], none_data["interval"]) == (0.5, 20, None, None)
    assert (change_data["difference"], len(change_data["flips"]), len(change_data["slices"])) == (0.5, 1, 2)
    assert (several["best"], set(several["candidates"])) == ("b", {"a", "b"})


def test_what_could_have_been_seen_heeds_equal_gains_few_examples_and_clusters():
    def mde(n, gain=0.25, clusters=None):
        before = repeated([0.0] * n, 1, clusters=clusters)
        after = repeated([gain(i) if callable(gain) else gain for i in range(n)], 1, clusters=clusters)
        return compare(before, after).mde()

    assert mde(5) == float("inf")  # the sign-flip test of five pairs has p >= 1/16
    assert 0.1 < mde(6) < 0.4  # equal gains are no proof that gains do not vary
    assert mde(60, lambda i: 0.1 * (i % 3)) == pytest.approx(0.0303, abs=0.001)  # (2.00 + 0.85) x sd / 60^.5

    documents = [f"d{i // 5}" for i in range(60)]
    alike = mde(60, lambda i: 0.1 * (i // 5 % 3), documents)
    assert alike > 2 * mde(60, lambda i: 0.1 * (i // 5 % 3))  # about as 12 examples would tell, not as 60
    assert mde(60, lambda i: 0.1 * (i % 3), [f"d{i % 5}" for i in range(60)]) == float("inf")
