"""`estimate_rate`: the rate that people would give, from many verdicts of a judge and few labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict, Unpack

from outlast.errors import DataError, UsageError, brief
from outlast.evals.evaluation import Evaluation
from outlast.evals.judging.align import Scores, refuse_shown, stale_in
from outlast.evals.judging.alignment import Alignment
from outlast.evals.judging.asked import Verdicts, every_verdict, rubric_of, verdicts_on
from outlast.evals.judging.correcting import CorrectedRate, Judged, Method, Options
from outlast.evals.judging.label import Item, Label
from outlast.evals.judging.labels import Labels
from outlast.evals.judging.rubric import Rubric
from outlast.evals.judging.truth import truths
from outlast.runtime import run_blocking


class RateOptions(TypedDict, total=False):
    """The keywords of `estimate_rate`, for editors and type checkers; `Options` has the defaults."""

    rubric: Rubric | None
    method: Method
    strata: str | Callable[[Item], Any] | None
    threshold: float
    scores: Scores
    level: float
    concurrency: int


def estimate_rate(judge: Any, labels: Labels | Alignment, **options: Unpack[RateOptions]) -> CorrectedRate:
    """The share of all items that people would pass (on a scale: their mean score, 0 to 1), with an interval.

        run = ol.evaluate(program, data, judge)                       # 3,000 answers, judged
        sheet = ol.Labels.from_rows(run, tone).sample(100)            # 100 of them, drawn at random, for a person
        ol.estimate_rate(run, labels)                                 # 79.8% (95% CI 73.2..86.0) ...

    `judge` is an evaluation by a judge; or a judge (or any metric), which is then asked about every item of `labels`,
    those that wait for a value being the items without a label. `rubric` says what the labels are about, where the
    judge does not. Answers to equal inputs, as in several epochs, and answers of one cluster of the evaluation are no
    independent ones: the interval takes each such group for one answer, which is wide where they are hardly alike. The
    judge's own rate is biased by its errors, and more verdicts make it more certain of the wrong number. `method`:

    "ppi++" (default; Angelopoulos et al. 2023) corrects it by how labels and verdicts differ, and is never far worse
    than the labels alone. The labelled items must be a random sample of all; when their verdicts are clearly unlike
    those of the others, that is refused. Where items were drawn for labelling from groups, `strata` says which:
    "verdict" (so many passes and so many fails of the judge), a field, or a function of the item.
    "rogan-gladen" (1978) corrects it by the judge's TPR and TNR; labels may be from any sample on which the judge errs
    as on the others (also so many passes and fails by people, but not by the judge), and pass/fail only.

    An `Alignment` in place of labels gives the judge's TPR and TNR from an earlier report, for rogan-gladen: answers of
    today, labels of last month.

    Raises `DataError` for a judge that is no better than chance (TPR + TNR - 1 below 0.2), for labels that are all
    stale, and for too few. Labels should be none that the judge was tuned on. Cost: none for an evaluation, else one
    verdict for each item. `aestimate_rate` is the same for async code.
    """
    return run_blocking(lambda: aestimate_rate(judge, labels, **options))


async def aestimate_rate(judge: Any, labels: Labels | Alignment, **options: Unpack[RateOptions]) -> CorrectedRate:
    """What `estimate_rate` does, from async code."""
    chosen = Options.of(options)
    if isinstance(labels, Alignment):
        return Judged.by_report(_run_of(judge), labels, chosen).rate(0, 0)
    if not isinstance(labels, Labels):
        raise UsageError(f"estimate_rate takes ol.Labels(...) or a report of ol.align(...); got {brief(labels)}")
    rubric = rubric_of(judge, chosen.rubric, "estimate_rate")
    known, divided = truths(labels, rubric)
    stale = stale_in(labels, rubric)
    if not known:
        raise DataError(
            f"estimate_rate: no label counts for rubric {rubric.name!r}, version {rubric.version}; {stale} of "
            f"{len(labels)} labels were given under another version. Label again, or confirm those that still hold "
            f"with labels.confirmed(rubric, author)."
        )
    refuse_shown(judge, [truth.item for truth in known], "estimate_rate")
    items, verdicts, missing = await _judged(judge, labels, rubric, chosen)
    scores = {truth.item.id: rubric.score(truth.level) if rubric.binary else truth.score for truth in known}
    return Judged.of(items, verdicts, missing, scores, rubric, chosen).rate(stale, divided)


def _run_of(judge: Any) -> Evaluation:
    if isinstance(judge, Evaluation):
        return judge
    raise UsageError(
        f"estimate_rate with a report of ol.align(...) takes an evaluation by the judge; got {brief(judge)}"
    )


async def _judged(judge: Any, labels: Labels, rubric: Rubric, options: Options) -> tuple[list[Item], Verdicts, int]:
    """All items, each as often as it occurs, what the judge says of them, and how many could not be judged at all."""
    if isinstance(judge, Evaluation):
        return every_verdict(judge, labels.items, "estimate_rate")
    items = list(labels.filter(lambda row: _counts(row, rubric)).items)
    return items, await verdicts_on(items, judge, "estimate_rate", epochs=1, concurrency=options.concurrency), 0


def _counts(row: Label, rubric: Rubric) -> bool:
    return row.rubric == rubric.name and (row.value is None or row.rubric_version == rubric.version)
