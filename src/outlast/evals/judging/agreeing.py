"""Compiling a judge: labelled items as examples, and agreement with people as the metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from outlast.data.dataset import Dataset
from outlast.data.example import Example, targets_of
from outlast.errors import DataError, MetricError, UsageError, brief
from outlast.evals.judging.asking import CRITIQUE, VERDICT
from outlast.evals.judging.judge import Judge
from outlast.evals.judging.labels import Labels
from outlast.evals.judging.rubric import Rubric
from outlast.evals.judging.truth import Truth, truths
from outlast.evals.reads import is_held_out
from outlast.evals.score import Score
from outlast.signatures.record import Record
from outlast.tracing.shape import IDENTITY


def examples_of(labels: Labels, judge: Judge) -> Dataset:
    """The labelled items as examples for a judge: what it is shown, and the verdict of people as target `verdict`.

    Where a person whose verdict counts left a note, it is the target `critique`, so that demonstrations show why.
    """
    if not isinstance(judge, Judge):
        raise UsageError(f"labels.examples takes the ol.Judge(...) that they are for; got {brief(judge)}")
    if is_held_out(labels.part):
        raise UsageError(
            f"labels.examples: these labels are the part {labels.part!r}, which measures a judge; what it was compiled "
            f"on would tell nothing of others. Compile on labels.split(...).train."
        )
    known, _ = truths(labels, judge.rubric)
    if not known:
        raise DataError(
            f"labels.examples: no label counts for rubric {judge.rubric.name!r}, version {judge.rubric.version}; "
            f"{len(labels.stale(judge.rubric))} of {len(labels)} were given under another version"
        )
    notes = {(row.item.id, row.value): row.note for row in labels.of(judge.rubric) if row.note}
    return Dataset(_example(truth, judge, notes.get((truth.item.id, truth.level), "")) for truth in known)


def _example(truth: Truth, judge: Judge, note: str) -> Example:
    targets: dict[str, Any] = {VERDICT: truth.level}
    if note:
        targets[CRITIQUE] = note
    return Example(judge.as_shown(truth.item.fields), targets)


def agrees(judge: Judge | Rubric) -> Callable[[Example, Any], Score]:
    """The metric by which a judge is compiled: 1 for the verdict of people, 0 for another; on a scale, 1 minus the
    distance as a share of the scale.

        parts = labels.split(train=0.3, dev=0.3, test=0.4)
        better = ol.compile(judge, parts.train.examples(judge), ol.agrees(judge)).program
        print(ol.align(better, parts.dev))

    The feedback says what people said, with their note where they left one. Raises `UsageError` for what is neither
    judge nor rubric. Cost: no LM call.
    """
    rubric = judge.rubric if isinstance(judge, Judge) else judge
    if not isinstance(rubric, Rubric):
        raise UsageError(f"agrees takes an ol.Judge(...) or an ol.Rubric(...); got {brief(judge)}")

    def metric(example: Example, out: Any) -> Score:
        if not isinstance(out, Record) or VERDICT not in out:
            raise MetricError(f"agrees judges what a judge says, a record with a verdict; got {brief(out)}")
        targets = targets_of(example)
        people, said = targets[VERDICT], out[VERDICT]
        apart = abs(rubric.score(people) - rubric.score(said))
        if people == said:
            return Score(1.0, f"people say {people!r} too")
        note = f": {targets[CRITIQUE]}" if targets.get(CRITIQUE) else ""
        return Score(0.0 if rubric.binary else 1 - apart, f"people say {people!r}, not {said!r}{note}")

    metric.__name__ = f"agrees on {rubric.name}"
    setattr(metric, IDENTITY, f"outlast.agrees {rubric.name} {rubric.version}")
    return metric
