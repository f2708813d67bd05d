"""What cross-validation says of a classifier: every figure is about texts that were not trained on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from outlast.evals.classifiers.calibration import Bin, Reliability
from outlast.evals.classifiers.reading import Class
from outlast.evals.statistics import Estimate, Interval
from outlast.evals.statistics.clusters import cluster_totals, cluster_variance, clustered_mean
from outlast.evals.statistics.quantiles import two_sided_t


@dataclass(frozen=True, slots=True)
class Band:
    """What happens with the band in which the classifier says nothing. A verdict must be at least as sure as `least`.
    `accuracy` is the share that is right among those decided, `coverage` the share decided; both with thresholds that
    were chosen without these texts. `wanted` says what was asked for."""

    wanted: str
    least: float
    coverage: Estimate
    accuracy: Estimate


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """Of `n` texts in `groups` groups, each judged by a model trained without its group, in `folds` folds.

    `accuracy` is the share of verdicts that is right, `baseline` that of always giving the commonest class; `recall`
    the share right of each class (for two classes: the true negative and the true positive rate); `balanced` their
    mean, which is 1 over the number of classes for every baseline that looks at no text. `agreement` is Cohen's kappa,
    `confusion` counts (truth, verdict). `regularisation` is the C of the final model. The unit of
    all intervals is the group; `dropped` items had no majority among their labels.
    """

    classes: tuple[Class, ...]
    counts: tuple[int, ...]
    n: int
    groups: int
    folds: int
    regularisation: float
    accuracy: Estimate
    baseline: float
    recall: tuple[Estimate, ...]
    balanced: Estimate
    agreement: float
    confusion: tuple[tuple[int, ...], ...]
    calibration: str
    reliability: Reliability
    band: Band | None = None
    dropped: int = 0

    @property
    def better(self) -> bool:
        """Whether the verdicts are better than any baseline that looks at no text: the whole interval of `balanced` is
        above 1 over the number of classes, widened since all folds share their training texts (Nadeau & Bengio 2003,
        "Inference for the generalization error"). Of 100 sets of 80 texts with random labels 1 gets through so, 8
        would without."""
        widened = math.sqrt(1 + self.folds / (self.folds - 1))
        half = (self.balanced.value - self.balanced.interval.low) * widened
        return self.balanced.value - half > 1 / len(self.classes)

    def __str__(self) -> str:
        shares = ", ".join(f"{one!r}: {count}" for one, count in list(zip(self.classes, self.counts, strict=True))[:6])
        more = f" and {len(self.classes) - 6} more" if len(self.classes) > 6 else ""
        held = self.reliability
        lines = [
            f"{self.n} texts ({shares}{more}), {self.folds} folds, C={self.regularisation:g}",
            f"accuracy     {shown(self.accuracy)}; always the commonest class: {self.baseline:.1%}",
            f"balanced     {shown(self.balanced)}; without looking: {1 / len(self.classes):.1%}",
        ]
        if len(self.classes) <= 6:
            rates = zip(self.classes, self.recall, strict=True)
            lines += [f"right of {one!r:<10} {shown(rate)}" for one, rate in rates]
        lines.append(
            f"probability  Brier {held.brier:.3f} (shares alone {held.brier_baseline:.3f}), ECE {held.ece:.3f}, "
            f"{self.calibration}"
        )
        if self.band is not None:
            right = f", of which {shown(self.band.accuracy)} right" if self.band.accuracy.n else ""
            decides = shown(self.band.coverage)
            lines.append(f"abstains     below {self.band.least:.3f} ({self.band.wanted}): decides {decides}{right}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form; `from_json` reads it back."""
        data: dict[str, Any] = {name: getattr(self, name) for name in _PLAIN}
        data |= {name: _estimate(getattr(self, name)) for name in ("accuracy", "balanced")}
        data["recall"] = [_estimate(one) for one in self.recall]
        held = self.reliability
        data["reliability"] = [held.brier, held.brier_baseline, held.ece, [list(_cells(one)) for one in held.bins]]
        if self.band is not None:
            band = self.band
            data["band"] = [band.wanted, band.least, _estimate(band.coverage), _estimate(band.accuracy)]
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TrainingReport:
        """The report that `to_json` wrote. Raises `KeyError`, `TypeError` or `ValueError` for other things."""
        values = {name: _frozen(data[name]) for name in _PLAIN}
        values |= {name: _read_estimate(data[name]) for name in ("accuracy", "balanced")}
        values["recall"] = tuple(map(_read_estimate, data["recall"]))
        brier, baseline, ece, bins = data["reliability"]
        values["reliability"] = Reliability(brier, baseline, ece, tuple(Bin(*one) for one in bins))
        if "band" in data:
            wanted, least, coverage, accuracy = data["band"]
            values["band"] = Band(wanted, least, _read_estimate(coverage), _read_estimate(accuracy))
        return cls(**values)


_PLAIN = (
    "classes",
    "counts",
    "n",
    "groups",
    "folds",
    "regularisation",
    "baseline",
    "agreement",
    "confusion",
    "calibration",
    "dropped",
)


def share(hits: Sequence[bool], groups: Sequence[str]) -> Estimate:
    """The share of hits: Wilson's interval, or one for clusters where texts belong to groups."""
    if not hits:
        return Estimate(math.nan, Interval(0.0, 1.0, 0.95, "wilson"), 0, "wilson")
    found = clustered_mean([float(hit) for hit in hits], groups)
    return found if found.interval.known else Estimate(found.value, Interval(0, 1, 0.95, "unknown"), found.n, "unknown")


def mean_recall(hits: Sequence[bool], right: Sequence[int], groups: Sequence[str]) -> Estimate:
    """The mean over the classes of the share of hits among its texts. The variance is that of groups, and at least that
    of independent texts with two more for each class, one hit and one miss: no mistake in ten is not certainty."""
    counts, good = Counter(right), Counter(one for one, hit in zip(right, hits, strict=True) if hit)
    recall = {one: good[one] / count for one, count in counts.items()}
    n, classes = len(right), len(counts)
    value = math.fsum(recall.values()) / classes
    parts = [(hit - recall[one]) * n / (classes * counts[one]) for hit, one in zip(hits, right, strict=True)]
    totals = cluster_totals(parts, groups, "mean_recall")
    if len(totals.sizes) < 2:
        return Estimate(value, Interval(0, 1, 0.95, "unknown"), n, "unknown")
    variance, df = cluster_variance(totals, 0.0)
    smooth = [((good[one] + 1) / (count + 2), count) for one, count in counts.items()]
    least = math.fsum(p * (1 - p) / count for p, count in smooth) / classes**2
    half = two_sided_t(0.95, df) * math.sqrt(max(variance, least))
    method = "t" if totals.single else f"cluster-robust, {totals.named}"
    return Estimate(value, Interval(max(0.0, value - half), min(1.0, value + half), 0.95, method), n, method)


def kappa(confusion: Sequence[Sequence[int]]) -> float:
    """Cohen's kappa of a table of counts; 0 where chance alone explains everything."""
    n = sum(map(sum, confusion))
    agreed = sum(row[place] for place, row in enumerate(confusion)) / n
    chance = sum(sum(row) * sum(r[place] for r in confusion) for place, row in enumerate(confusion)) / n**2
    return (agreed - chance) / (1 - chance) if chance < 1 else 0.0


def shown(estimate: Estimate) -> str:
    """A share in words."""
    interval = estimate.interval
    return f"{estimate.value:.1%} (95% CI {interval.low * 100:.1f}..{interval.high * 100:.1f}) of {estimate.n}"


def _estimate(one: Estimate) -> list[Any]:
    value = None if math.isnan(one.value) else one.value
    return [value, one.interval.low, one.interval.high, one.interval.level, one.interval.method, one.n]


def _read_estimate(data: list[Any]) -> Estimate:
    value, low, high, level, method, n = data
    return Estimate(math.nan if value is None else float(value), Interval(low, high, level, method), n, method)


def _cells(one: Bin) -> tuple[Any, ...]:
    return one.low, one.high, one.n, one.said, one.held


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, cast("list[Any]", value))) if isinstance(value, list) else value
