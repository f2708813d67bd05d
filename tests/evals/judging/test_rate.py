"""`estimate_rate`: its interval covers, by simulation through the public function; what misleads is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import DataError, UsageError
from outlast.evals import Evaluation, Row
from outlast.evals.rowfile import About
from outlast.testing import JudgingLM

TONE = ol.Rubric("tone", "The reply is friendly.")
HELP = ol.Rubric("help", "The reply helps.", scale=(1, 5))
TPR, TNR = 0.92, 0.85


def judged(scores: list[float], name: str = "tone") -> Evaluation:
    """An evaluation by a judge that gave these scores to answers 0, 1, 2, ..."""
    about = About(program="p", program_hash="p", metric=name, metric_hash="m", threshold=1.0)
    return Evaluation.of(
        about,
        [
            Row(k, str(k), {"q": k}, {}, {"a": k}, score, "pass" if score >= 1 else "fail")
            for k, score in enumerate(scores)
        ],
    )


def label(k: int, value: Any, rubric: ol.Rubric = TONE, **more: Any) -> ol.Label:
    return ol.Label({"q": k, "a": k}, value, rubric=rubric, time=more.pop("time", "2026-01-01"), **more)


def drawn(seed: int, n: int, rate: float) -> tuple[list[bool], list[float]]:
    """The truth and the verdicts of a judge of TPR and TNR."""
    rng = random.Random(seed)
    truth = [rng.random() < rate for _ in range(n)]
    return truth, [float((rng.random() < (TPR if good else TNR)) == good) for good in truth]


Pick = Callable[[random.Random, list[bool], list[float]], list[int]]


def covered(rate: float, pick: Pick, **options: Any) -> Iterator[bool]:
    """Whether the interval covers the rate, in simulations with labels of the items that `pick` draws."""
    for seed in range(300):
        truth, scores = drawn(seed, 300, rate)
        chosen = pick(random.Random(-seed - 1), truth, scores)
        labels = ol.Labels([label(k, truth[k]) for k in chosen])
        yield rate in ol.estimate_rate(judged(scores), labels, rubric=TONE, **options).interval


def at_random(rng: random.Random, truth: list[bool], scores: list[float]) -> list[int]:
    return rng.sample(range(len(truth)), 100)


def of_each_verdict(rng: random.Random, truth: list[bool], scores: list[float]) -> list[int]:
    return fifty(rng, [k for k, score in enumerate(scores) if score]) + fifty(
        rng, [k for k, score in enumerate(scores) if not score]
    )


def of_each_kind(rng: random.Random, truth: list[bool], scores: list[float]) -> list[int]:
    return fifty(rng, [k for k, good in enumerate(truth) if good]) + fifty(
        rng, [k for k, good in enumerate(truth) if not good]
    )


def fifty(rng: random.Random, places: list[int]) -> list[int]:
    return rng.sample(places, min(50, len(places)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "pick", "options"),
    [
        (0.8, at_random, {}),
        (0.8, at_random, {"method": "rogan-gladen"}),
        (0.8, of_each_verdict, {"strata": "verdict"}),
        (0.8, of_each_kind, {"method": "rogan-gladen"}),
    ],
)
def test_the_interval_covers_the_rate_that_people_would_give(rate: float, pick: Any, options: dict[str, Any]) -> None:
    hits = list(covered(rate, pick, **options))
    assert sum(hits) / len(hits) >= 0.93


def test_the_raw_rate_is_certain_of_the_wrong_number_and_the_corrected_one_is_not() -> None:
    truth, scores = drawn(7, 3000, 0.8)
    run = judged(scores)
    labels = ol.Labels.from_rows(run, TONE, value=lambda row: truth[row.inputs["q"]]).sample(100, seed=3)
    rate = ol.estimate_rate(run, labels, rubric=TONE)
    share = sum(truth) / 3000
    assert share not in rate.raw.interval
    assert share in rate.interval
    assert rate.interval.width < rate.people.interval.width
    assert (rate.labelled, rate.judged) == (100, 3000)
    assert rate.better_than_chance is not None
    assert TPR + TNR - 1 in rate.better_than_chance.interval
    assert repr(rate).startswith(f"{100 * rate.value:.1f}% (95% CI ")
    assert "of 3000 items, from 100 labels; the judge alone says" in repr(rate)
    assert float(rate) == rate.value
    assert json.loads(json.dumps(rate.to_json()))["labelled"] == 100


def test_a_judge_is_asked_about_all_items_and_those_without_a_label_are_the_rest() -> None:
    truth, scores = drawn(1, 300, 0.7)
    lm = JudgingLM(lambda fields: "pass" if scores[int(fields["a"])] else "fail")
    judge = ol.Judge(TONE, ["a"], lm=lm)
    labels = ol.Labels([label(k, truth[k] if k % 3 == 0 else None) for k in range(300)])
    rate = ol.estimate_rate(judge, labels)
    assert (rate.labelled, rate.judged, lm.calls) == (100, 300, 300)
    assert rate.value == pytest.approx(ol.estimate_rate(judged(scores), labels, rubric=TONE).value)


def test_a_mean_on_a_scale_is_corrected_too() -> None:
    rng = random.Random(5)
    truth = [rng.randint(1, 5) for _ in range(1000)]
    scores = [(min(5, one + 1) - 1) / 4 if rng.random() < 0.5 else (one - 1) / 4 for one in truth]
    labels = ol.Labels([label(k, truth[k], HELP) for k in rng.sample(range(1000), 150)])
    rate = ol.estimate_rate(judged(scores, "help"), labels, rubric=HELP)
    mean = sum(truth) / 1000
    assert (mean - 1) / 4 in rate.interval
    assert (mean - 1) / 4 not in rate.raw.interval
    with pytest.raises(DataError, match="0 or 1"):
        ol.estimate_rate(judged(scores, "help"), labels, rubric=HELP, method="rogan-gladen")


def test_the_report_of_an_earlier_alignment_corrects_a_run_of_today() -> None:
    truth, scores = drawn(2, 400, 0.5)
    lm = JudgingLM(lambda fields: "pass" if scores[int(fields["a"])] else "fail", name="sim")
    judge = ol.Judge(TONE, ["a"], lm=lm)
    report = ol.align(judge, ol.Labels([label(k, truth[k]) for k in range(400)]))
    data = ol.Dataset.from_list([{"q": k} for k in range(400)], inputs=["q"])
    run = ol.evaluate(lambda q: ol.Prediction(a=q), data, judge, progress=False)
    rate = ol.estimate_rate(run, report, method="rogan-gladen")
    assert sum(truth) / 400 in rate.interval
    assert (rate.labelled, rate.judged) == (400, 400)
    with pytest.raises(UsageError, match="corrects rates of pass and fail by method='rogan-gladen'"):
        ol.estimate_rate(run, report)
    other = ol.evaluate(
        lambda q: ol.Prediction(a=q), data, ol.Judge(TONE, ["a"], lm=JudgingLM(lambda _: "pass")), progress=False
    )
    with pytest.raises(DataError, match=r"judged by 'tone' \(scripted\), the report is about 'tone' \(sim\)"):
        ol.estimate_rate(other, report, method="rogan-gladen")


def test_labels_that_are_no_random_sample_are_refused() -> None:
    truth, scores = drawn(3, 1000, 0.85)
    chosen = of_each_verdict(random.Random(0), truth, scores)
    labels = ol.Labels([label(k, truth[k]) for k in chosen])
    with pytest.raises(DataError, match=r"no random sample of all: the judge gives them 50.0% .*strata='verdict'"):
        ol.estimate_rate(judged(scores), labels, rubric=TONE)
    assert sum(truth) / 1000 in ol.estimate_rate(judged(scores), labels, rubric=TONE, strata="verdict").interval
    few = ol.Labels([label(k, truth[k]) for k in [*chosen[:50], *chosen[98:]]])
    with pytest.raises(DataError, match="the stratum 0.0 has 2 labels"):
        ol.estimate_rate(judged(scores), few, rubric=TONE, strata="verdict")


def test_strata_may_be_a_field_or_a_function() -> None:
    truth, scores = drawn(4, 900, 0.7)
    labels = ol.Labels([label(k, truth[k]) for k in range(900) if k % 2 and (k < 300 or k % 5 == 0)])
    rate = ol.estimate_rate(judged(scores), labels, rubric=TONE, strata=lambda item: item["q"] < 300)
    assert rate.method == "stratified, 2 strata"
    assert sum(truth) / 900 in rate.interval


def test_a_judge_at_chance_is_refused() -> None:
    rng = random.Random(0)
    truth = [rng.random() < 0.7 for _ in range(500)]
    scores = [float(rng.random() < 0.7) for _ in range(500)]
    labels = ol.Labels([label(k, truth[k]) for k in range(100)])
    for method in ("ppi++", "rogan-gladen"):
        with pytest.raises(DataError, match="no better than chance: TPR .* the labels alone say"):
            ol.estimate_rate(judged(scores), labels, rubric=TONE, method=method)  # type: ignore[arg-type]


def test_stale_labels_are_refused_and_counted() -> None:
    truth, scores = drawn(6, 500, 0.7)
    old = TONE.edited(fails="It sighs.")
    stale = [label(k, truth[k], old) for k in range(400, 420)]
    with pytest.raises(DataError, match="20 of 20 labels were given under another version"):
        ol.estimate_rate(judged(scores), ol.Labels(stale), rubric=TONE)
    mixed = ol.Labels([*stale, *(label(k, truth[k]) for k in range(100))])
    rate = ol.estimate_rate(judged(scores), mixed, rubric=TONE)
    assert (rate.stale, rate.labelled) == (20, 100)
    assert "; stale labels: 20" in repr(rate)


def test_what_cannot_be_estimated_is_refused() -> None:
    truth, scores = drawn(8, 60, 0.7)
    run, labels = judged(scores), ol.Labels([label(k, truth[k]) for k in range(60)])
    with pytest.raises(DataError, match="all 60 judged items are labelled, so there is nothing to correct: people say"):
        ol.estimate_rate(run, labels, rubric=TONE)
    with pytest.raises(UsageError, match="Did you mean 'ppi\\+\\+'"):
        ol.estimate_rate(run, labels, rubric=TONE, method="ppi")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="strata= is for method='ppi"):
        ol.estimate_rate(run, labels, rubric=TONE, method="rogan-gladen", strata="verdict")
    with pytest.raises(UsageError, match="which rubric"):
        ol.estimate_rate(run, labels)
    with pytest.raises(UsageError, match=r"takes ol.Labels\(...\) or a report"):
        ol.estimate_rate(run, [True], rubric=TONE)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="none of the 60 labelled items has a verdict"):
        ol.estimate_rate(judged([]), labels, rubric=TONE)


async def test_it_runs_in_async_code_too() -> None:
    truth, scores = drawn(9, 200, 0.7)
    labels = ol.Labels([label(k, truth[k]) for k in range(60)])
    assert 0 < (await ol.aestimate_rate(judged(scores), labels, rubric=TONE)).value < 1


def test_an_evaluation_says_by_which_rubric_it_was_judged(tmp_path: Path) -> None:
    judge = ol.Judge(TONE, ["answer"], lm=JudgingLM(lambda shown: "pass" if "thanks" in str(shown) else "fail"))

    def answer(n: int) -> str:
        return "thanks" if n % 3 else "no"

    data = ol.Dataset([ol.Example({"n": n}) for n in range(90)])
    run = ol.evaluate(answer, data, judge, progress=False, save=tmp_path / "run.jsonl")
    drawn = ol.Labels.from_rows(run, TONE).sample(30)
    labels = ol.Labels([ol.Label(one.item, "pass" if one.item["n"] % 3 else "fail", rubric=TONE) for one in drawn])
    assert ol.estimate_rate(run, labels).labelled == 30
    again = Evaluation.from_jsonl(tmp_path / "run.jsonl")
    assert ol.estimate_rate(again, labels).value == ol.estimate_rate(run, labels, rubric=TONE).value
    assert ol.align(again, labels).rubric == TONE
    with pytest.raises(UsageError, match="which is not"):
        ol.estimate_rate(run, labels, rubric=TONE.edited(fails="It sighs."))


@pytest.mark.parametrize("options", [{}, {"method": "rogan-gladen"}, {"strata": "verdict"}])
def test_the_same_answer_in_every_epoch_tells_nothing_more(options: Any) -> None:
    truth, scores = drawn(11, 300, 0.7)
    once = judged(scores)
    rows = [replace(row, epoch=epoch) for row in once.rows for epoch in range(3)]
    thrice = Evaluation.of(replace(once.about, epochs=3), rows)
    labels = ol.Labels([label(k, truth[k]) for k in range(80)])
    one, three = (ol.estimate_rate(run, labels, rubric=TONE, **options) for run in (once, thrice))
    assert three.value == pytest.approx(one.value, abs=0.01)
    widths = [rate.interval.high - rate.interval.low for rate in (one, three)]
    assert widths[1] == pytest.approx(widths[0], rel=0.06)
    assert three.people.interval.high - three.people.interval.low > 0.95 * (
        one.people.interval.high - one.people.interval.low
    )


@pytest.mark.parametrize("method", ["ppi++", "rogan-gladen"])
def test_the_interval_covers_where_documents_are_good_or_bad_as_a_whole(method: Any) -> None:
    held = 0
    for seed in range(120):
        rng = random.Random(seed)
        good = [rng.random() < 0.7 for _ in range(100)]  # one for each document, of five answers
        truth = [good[k // 5] for k in range(500)]
        plain = judged([float((rng.random() < (TPR if fine else TNR)) == fine) for fine in truth])
        rows = [replace(row, cluster=str(row.index // 5)) for row in plain.rows]
        labels = ol.Labels([label(k, truth[k]) for k in range(250)])  # of half of the documents
        run = Evaluation.of(replace(plain.about, cluster="doc"), rows)
        rate = ol.estimate_rate(run, labels, rubric=TONE, method=method)
        held += 0.7 in rate.interval
        alone = ol.estimate_rate(judged([row.score or 0.0 for row in rows]), labels, rubric=TONE, method="rogan-gladen")
        assert rate.interval.width > alone.interval.width
    assert held >= 0.93 * 120


def test_a_field_that_items_lack_is_named() -> None:
    truth, scores = drawn(12, 100, 0.7)
    labels = ol.Labels([label(k, truth[k]) for k in range(40)])
    with pytest.raises(DataError, match="has no field 'lang'"):
        ol.estimate_rate(judged(scores), labels, rubric=TONE, strata="lang")
    with pytest.raises(DataError, match="has no field 'doc'"):
        ol.align(judged(scores), labels, rubric=TONE, cluster="doc")
