"""`align`: run a judge over items that people labelled, and report how far it agrees with them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol, TypedDict, Unpack, cast

from outlast.data.dataset import Dataset
from outlast.data.example import Example
from outlast.data.jsonform import content_hash, json_form
from outlast.errors import DataError, UsageError, brief, did_you_mean, refuse_unknown
from outlast.evals.judging.alignment import Alignment, Disagreement, LeftOut
from outlast.evals.judging.asked import Said, Verdicts, rubric_of, verdicts_on
from outlast.evals.judging.judge import Judge
from outlast.evals.judging.label import Item
from outlast.evals.judging.labels import Labels
from outlast.evals.judging.rubric import FAIL, PASS, Rubric
from outlast.evals.judging.truth import Truth, humans_of, level_at, truths
from outlast.evals.reads import Reads, is_held_out, note_read
from outlast.evals.statistics.agreement import cohen_kappa, confusion, weighted_kappa
from outlast.evals.statistics.clusters import clustered_mean
from outlast.evals.statistics.intervals import estimate_mean, wilson
from outlast.evals.statistics.ranks import spearman
from outlast.evals.statistics.values import Estimate, check_level, unknown
from outlast.modules.attempts import check_count, check_number
from outlast.modules.paths import predictors_of
from outlast.runtime import run_blocking

PARTS = ("train", "dev", "test")
Shares = Sequence[float] | Mapping[str, float]
Cluster = str | Callable[[Item], Any]
Scores = Literal["share", "verdict"]


class Scoring(Protocol):
    """What says which verdict a score means."""

    @property
    def threshold(self) -> float: ...
    @property
    def scores(self) -> Any: ...


class AlignOptions(TypedDict, total=False):
    """The keywords of `align` and `aalign`, for editors and type checkers; `Options` has the defaults."""

    rubric: Rubric | None
    split: Shares | None
    part: str | None
    epochs: int
    cluster: Cluster | None
    threshold: float
    scores: Scores
    level: float
    concurrency: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The keywords with their defaults, checked."""

    rubric: Any = None
    split: Any = None
    part: str | None = None
    epochs: int = 1
    cluster: Any = None
    threshold: float = 1.0
    scores: Any = "share"
    level: float = 0.95
    concurrency: int = 16

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        """The options of a call; an unknown keyword raises `UsageError` that names the nearest."""
        refuse_unknown(given, [field.name for field in fields(cls)], "align")
        return cls(**given)

    def __post_init__(self) -> None:
        check_level(self.level)
        check_count("align", "epochs", self.epochs)
        check_count("align", "concurrency", self.concurrency)
        check_number("align", "threshold", self.threshold)
        check_scores(self.scores, "align")
        if self.cluster is not None and not (callable(self.cluster) or isinstance(self.cluster, str)):
            raise UsageError(f"align(cluster=...) is a field or a function of the item; got {brief(self.cluster)}")


def align(judge: Any, labels: Labels, **options: Unpack[AlignOptions]) -> Alignment:
    """How far a judge agrees with what people said of the same items.

        report = ol.align(judge, labels, split=(0.2, 0.4, 0.4))      # on the dev part; part="test" when all is done
        print(report.verdict); report.print_table()

    `judge` is an `ol.Judge`, a classifier, a check or any metric, or an evaluation by one; `rubric=` says which rubric
    it judges by, where it does not itself. A score from `threshold` (1.0) on passes; on a scale, scores go from 0 to 1,
    or are verdicts with `scores="verdict"`. `labels` are split into train, dev and test by `split`, and `part` (default
    "dev") is used; without `split` all that are given are used, such as `labels.split(...).dev`. Labels of another
    version of the rubric are left out and counted; several labels of an item count as one, by majority, or by the mean
    on a scale. `epochs` runs the judge so many times and tells how often its verdicts differ. `cluster` (a field, or a
    function of the item) groups items that are not independent, such as answers about one document. `level` is that of
    the intervals.

    Raises `DataError` when no item has both a label and a verdict, and when the judge was shown labelled items as
    demonstrations. Cost: `epochs` verdicts for each item, `concurrency` (16) at a time. `aalign` is the same for async
    code.
    """
    return run_blocking(lambda: aalign(judge, labels, **options))


async def aalign(judge: Any, labels: Labels, **options: Unpack[AlignOptions]) -> Alignment:
    """What `align` does, from async code."""
    chosen = Options.of(options)
    rubric = rubric_of(judge, chosen.rubric, "align")
    used = part_of(labels, chosen.split, chosen.part, "align")
    known, divided = truths(used, rubric)
    if not known:
        raise DataError(_nothing(used, rubric))
    items = [truth.item for truth in known]
    refuse_shown(judge, items, "align")
    verdicts = await verdicts_on(items, judge, "align", epochs=chosen.epochs, concurrency=chosen.concurrency)
    pairs = [(truth, verdicts.said[truth.item.id]) for truth in known if truth.item.id in verdicts.said]
    left = LeftOut(
        stale_in(used, rubric),
        len(used.open(rubric)),
        divided,
        sum(said[0].unscored for _, said in pairs),
        sum(said[0].error is not None for _, said in pairs),
        len(known) - len(pairs),
    )
    return _report(pairs, verdicts, used, rubric, left, chosen)


def stale_in(labels: Labels, rubric: Rubric) -> int:
    """How many labels are stale and were neither confirmed nor given anew by their author."""
    current = {(row.item.id, row.author) for row in labels.of(rubric)}
    return sum((row.item.id, row.author) not in current for row in labels.stale(rubric))


def check_scores(scores: Any, subject: str) -> None:
    """Raise `UsageError` unless it says what scores mean."""
    if scores not in ("share", "verdict"):
        raise UsageError(
            f"{subject}(scores=...) is 'share' (from 0 to 1) or 'verdict' (on the scale); got {brief(scores)}"
        )


def part_of(labels: Any, split: Shares | None, part: str | None, subject: str) -> Labels:
    """The labels that are used: those given, or a part of them."""
    if not isinstance(labels, Labels):
        raise UsageError(f"{subject} takes ol.Labels(...); got {brief(labels)}")
    if split is None:
        if part is not None:
            raise UsageError(f"{subject}: part={part!r} needs split=(...), the shares of the parts")
        return labels
    shares = dict(split) if isinstance(split, Mapping) else dict(zip(PARTS, split, strict=False))
    if not isinstance(split, Mapping) and len(split) != len(PARTS):
        raise UsageError(
            f"{subject}: split is three shares, of train, dev and test, or shares by name; got {brief(split)}"
        )
    wanted = "dev" if part is None else part
    if wanted not in shares:
        near = did_you_mean(wanted, shares)
        raise UsageError(f"{subject}: the split has no part {wanted!r}.{near} Parts: {', '.join(shares)}.")
    return cast("Labels", labels.split(**shares)[wanted])  # pyright: ignore[reportCallIssue, reportArgumentType]


def refuse_shown(judge: Any, items: Sequence[Item], subject: str) -> None:
    """Raise `DataError` when a judge has items that measure it among its demonstrations."""
    if not isinstance(judge, Judge):
        return
    shown = {
        content_hash(json_form({name: demo.values.get(name) for name in judge.fields}, lenient=True))
        for one in predictors_of(judge).values()
        for demo in one.demos
    }
    if not shown:
        return
    both = [item for item in items if _shown_hash(judge, item) in shown]
    if both:
        raise DataError(
            f"{subject}: the judge {judge.name!r} was shown {len(both)} of these items as demonstrations, so it would "
            f"be measured on what it was told. Take demonstrations from labels.split(...).train, measure on the others."
        )


def _shown_hash(judge: Judge, item: Item) -> str:
    return content_hash(json_form(judge.as_shown(item.fields), lenient=True))


def _nothing(labels: Labels, rubric: Rubric) -> str:
    stale, waiting = len(labels.stale(rubric)), len(labels.open(rubric))
    about = f"{len(labels)} labels, {stale} of them given under another version, {waiting} without a value"
    names = ", ".join(map(repr, labels.rubrics)) or "none"
    return (
        f"align: no label counts for rubric {rubric.name!r}, version {rubric.version}: {about}; rubrics of these "
        f"labels: {names}. Label again, or confirm those that still hold with labels.confirmed(rubric, author)."
    )


_Pair = tuple[Truth, tuple[Said, ...]]


def _report(
    pairs: Sequence[_Pair], verdicts: Verdicts, labels: Labels, rubric: Rubric, left: LeftOut, options: Options
) -> Alignment:
    scored = [(truth, said[0]) for truth, said in pairs if said[0].score is not None]
    if not scored:
        first = pairs[0][1][0] if pairs else Said()
        why = first.critique if first.error is None else f"{first.error.type}: {first.error.message}"
        raise DataError(
            f"align: the judge {verdicts.name!r} gave no verdict on any labelled item. Left out: {left}. "
            f"Why the first: {why}"
        )
    level = options.level
    people = [truth.level for truth, _ in scored]
    scores = [share_of(cast("float", said.score), rubric, options, verdicts.name) for _, said in scored]
    judged = [level_at(score, rubric) for score in scores]
    groups = None if options.cluster is None else [_group(options.cluster, truth.item) for truth, _ in scored]
    equal = [float(a == b) for a, b in zip(people, judged, strict=True)]
    common, times = Counter(people).most_common(1)[0]
    rank = distance = tpr = tnr = None
    if rubric.binary:
        kappa = cohen_kappa(people, judged, level, labels=rubric.levels)
        tpr, tnr = (_rate(equal, people, groups, one, level) for one in (PASS, FAIL))
    else:
        kappa = weighted_kappa(people, judged, level=level, labels=rubric.levels)
        rank = spearman([truth.score for truth, _ in scored], scores, level)
        apart = [abs(truth.score - score) for (truth, _), score in zip(scored, scores, strict=True)]
        distance = _mean(apart, groups, level)
    return Alignment(
        name=verdicts.name,
        rubric=rubric,
        judged_by=verdicts.judged_by,
        metric_hash=verdicts.hash,
        part=labels.part,
        labels_hash=labels.hash,
        n=len(scored),
        level=level,
        accuracy=_mean(equal, groups, level),
        kappa=kappa,
        baseline=(common, times / len(people)),
        confusion=confusion(people, judged, rubric.levels),
        tpr=tpr,
        tnr=tnr,
        spearman=rank,
        distance=distance,
        humans=humans_of(labels, rubric, level),
        disagreements=_disagreements(scored, judged, rubric),
        flips=_flips([said for _, said in pairs], rubric, options),
        runs=max(len(said) for _, said in pairs),
        left_out=left,
        reads=_noted(labels, [truth.item for truth, _ in pairs], verdicts),
        spending=verdicts.spending,
        cluster=_cluster_name(options.cluster),
    )


def _cluster_name(cluster: Cluster | None) -> str:
    return "" if cluster is None else cluster if isinstance(cluster, str) else getattr(cluster, "__name__", "function")


def _noted(labels: Labels, items: Sequence[Item], verdicts: Verdicts) -> Reads | None:
    """That a test part is read, and how often it was."""
    if not is_held_out(labels.part):
        return None
    ordered = sorted(items, key=lambda item: item.id)
    data = Dataset(Example(item.fields) for item in ordered).named(labels.part)
    return note_read(data, verdicts, verdicts.hash, verdicts.name, by="align")


def share_of(score: float, rubric: Rubric, options: Scoring, name: str) -> float:
    """What a score means as a number from 0 to 1."""
    if rubric.binary:
        return float(score >= options.threshold)
    if options.scores == "verdict":
        return rubric.score(score)
    if not 0 <= score <= 1:
        raise DataError(
            f"{name!r} gives scores from 0 to 1, as a share of the scale; got {score:g}. Where they are verdicts on "
            f"the scale itself, say scores='verdict'."
        )
    return score


def level_of(score: float, rubric: Rubric, options: Scoring, name: str) -> Any:
    """The verdict that a score means."""
    return level_at(share_of(score, rubric, options, name), rubric)


def _rate(
    equal: Sequence[float], people: Sequence[Any], groups: Sequence[Any] | None, one: Any, level: float
) -> Estimate:
    """How often the judge is right on what people call `one`."""
    places = [place for place, verdict in enumerate(people) if verdict == one]
    if not places:
        return Estimate(math.nan, unknown(level), 0, "unknown")
    return _mean([equal[p] for p in places], None if groups is None else [groups[p] for p in places], level)


def _mean(values: Sequence[float], groups: Sequence[Any] | None, level: float) -> Estimate:
    return estimate_mean(values, level) if groups is None else clustered_mean(values, groups, level)


def _group(cluster: Cluster, item: Item) -> Any:
    return content_hash(json_form(part_by(cluster, item, "align(cluster=...)"), lenient=True))


def part_by(by: Cluster, item: Item, subject: str) -> Any:
    """What a field of an item, or a function of it, says; raises `DataError` for a field that it has not."""
    if callable(by):
        return by(item)
    if by not in item.fields:
        near = did_you_mean(by, item.fields)
        raise DataError(f"{subject}: an item has no field {by!r}.{near} Fields: {', '.join(item.fields)}.")
    return item[by]


def _disagreements(
    scored: Sequence[tuple[Truth, Said]], judged: Sequence[Any], rubric: Rubric
) -> tuple[Disagreement, ...]:
    """Where they differ, the farthest first, of equals those that people are surest of."""
    found = [
        Disagreement(
            truth.item,
            truth.level,
            verdict,
            said.critique,
            abs(rubric.score(truth.level) - rubric.score(verdict)),
            truth.unanimity,
        )
        for (truth, said), verdict in zip(scored, judged, strict=True)
        if truth.level != verdict
    ]
    return tuple(sorted(found, key=lambda one: (-one.distance, -one.unanimity)))


def _flips(runs: Sequence[tuple[Said, ...]], rubric: Rubric, options: Options) -> Estimate | None:
    """The share of items whose verdicts differ between runs; None when no item has two."""
    changed: list[bool] = []
    for said in runs:
        scores = [one.score for one in said if one.score is not None]
        if len(scores) > 1:
            changed.append(len({level_of(score, rubric, options, "the judge") for score in scores}) > 1)
    if not changed:
        return None
    interval = wilson(sum(changed), len(changed), options.level)
    return Estimate(sum(changed) / len(changed), interval, len(changed), "wilson")
