"""The rate that people would give, from many verdicts of a judge and few labels of people.

A judge's rate is biased, and more verdicts make it more certain of the wrong number. Both functions take the
same three lists: what people said of the labelled items, what the judge said of the same items in the same
order, and what it said of further items that nobody labelled.

    ppi_mean       labels are a random sample of the items; also for graded scores; never far worse than labels alone
    rogan_gladen   labels may be from elsewhere or hold as many fails as passes, pass/fail only
    informedness   how far the judge is from chance: TPR + TNR - 1
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable
from typing import NamedTuple

from outlast.errors import DataError, UsageError, did_you_mean
from outlast.evals.statistics.intervals import wilson
from outlast.evals.statistics.quantiles import two_sided_t, two_sided_z
from outlast.evals.statistics.values import Estimate, Interval, check_level, in_unit, is_binary, some

_METHODS = ("auto", "clt")
_HALF = 0.5  # pseudo-items with a disagreement each way; see ppi_mean
_INFORMED = 0.2


class _Paired(NamedTuple):
    """Labels and verdicts, aligned, and the verdicts on further items."""

    truth: list[float]
    judged: list[float]
    unlabelled: list[float]

    @property
    def bounded(self) -> bool:
        return in_unit(self.truth) and in_unit(self.judged) and in_unit(self.unlabelled)

    @property
    def binary(self) -> bool:
        return is_binary(self.truth) and is_binary(self.judged) and is_binary(self.unlabelled)


class _Moments(NamedTuple):
    """What PPI needs of the data: means, and sums of squares about them (divided by the count)."""

    truth: float
    judged: float
    unlabelled: float
    var_truth: float
    var_judged: float
    covariance: float
    var_unlabelled: float
    pooled: float  # variance of all verdicts, divisor n - 1

    def weight(self, n: float, more: float) -> float:
        """The weight of the judge that makes the variance least, within 0..1."""
        if self.pooled <= 0:
            return 0.0
        return min(1.0, max(0.0, self.covariance / ((1 + n / more) * self.pooled)))

    def residual(self, weight: float) -> float:
        """The variance of label minus weighted verdict."""
        return max(0.0, self.var_truth - 2 * weight * self.covariance + weight * weight * self.var_judged)

    def value(self, weight: float) -> float:
        return self.truth + weight * (self.unlabelled - self.judged)


def ppi_mean(
    truth: Iterable[float],
    judged: Iterable[float],
    unlabelled: Iterable[float],
    level: float = 0.95,
    method: str = "auto",
    effective: tuple[float, float] | None = None,
) -> Estimate:
    """The mean of `truth` over all items, labelled and not, by prediction-powered inference (PPI++).

    `mean(truth) + w x (mean(unlabelled) - mean(judged))`, where `w` in 0..1 is the weight that makes the
    variance least: a judge that says nothing gets 0 and leaves the mean of the labels. Labelled items must be
    a random sample of all; `unlabelled` holds the others only. `n` of the result counts labels. Where items are
    not independent, such as answers to one question, `effective` says how many independent ones the labelled and
    the further ones are worth; see `worth`.

    method "clt" is the interval as published: normal quantiles, not cut to 0..1. Its coverage falls where
    labels rarely differ: .92 at 100 labels and a true rate of .9, .78 to .87 at .98. "auto" is, for pass/fail,
    Wilson's interval at the effective number of labels, with t quantiles (n - 2 degrees of freedom) and, in
    the variance, half a pseudo-item of each kind of disagreement: simulated over true rates .5 to .98, four
    judges, 50 and 100 labels and 100 to 3,000 verdicts, it covered .950 to 1.00 and is 2 to 5 % wider than
    "clt" for a judge of TPR .92 and TNR .85 at 100 labels and a true rate of .8. For graded scores "auto" is
    the t interval, cut to 0..1 when all are there; where label and verdict never differ, one difference of
    the whole range is assumed. Values and limits of pass/fail lie in 0..1.

    Raises `DataError` for lists that do not fit, fewer than 3 labels or no further verdict. Sources:
    Angelopoulos, Duchi & Zrnic 2023, "PPI++: efficient prediction-powered inference"; Wilson's interval at an
    effective sample size: Korn & Graubard 1998, "Confidence intervals for proportions with small expected
    number of positive counts".

    >>> estimate = ppi_mean([1, 1, 0, 1, 0, 1, 1, 0, 1, 1], [1, 1, 0, 1, 1, 1, 1, 0, 1, 0], [1, 1, 1, 0] * 50)
    >>> round(estimate.value, 3), estimate.n, estimate.method
    (0.72, 10, 'ppi++ wilson')
    """
    check_level(level)
    if method not in _METHODS:
        raise UsageError(
            f"ppi_mean has no method {method!r}.{did_you_mean(method, _METHODS)} Methods: {', '.join(_METHODS)}."
        )
    data = _paired("ppi_mean", truth, judged, unlabelled)
    n, more = len(data.truth), len(data.unlabelled)
    sizes = (float(n), float(more)) if effective is None else effective
    if min(n, sizes[0]) < 3:
        raise DataError(f"ppi_mean needs at least 3 labels, got {min(n, sizes[0]):g}. 100 are usual.")
    if method == "clt":
        moments = _moments(data, 0.0)
        weight = moments.weight(*sizes)
        error = math.sqrt(moments.residual(weight) / sizes[0] + weight * weight * moments.var_unlabelled / sizes[1])
        half, value = two_sided_z(level) * error, moments.value(weight)
        return Estimate(value, Interval(value - half, value + half, level, "ppi++ clt"), n, "ppi++ clt")
    return _binary_ppi(data, level, *sizes) if data.binary else _graded_ppi(data, level, *sizes)


def worth(clusters: Iterable[Hashable]) -> float:
    """How many independent items those are worth that come in these clusters, one key for each, when items of one
    cluster are taken to be wholly alike: as many as there are clusters, fewer where sizes differ (Kish 1965, "Survey
    Sampling")."""
    sizes = Counter(clusters).values()
    squares = sum(size * size for size in sizes)
    return sum(sizes) ** 2 / squares if squares else 0.0


def _binary_ppi(data: _Paired, level: float, n: float, more: float) -> Estimate:
    smoothed = _moments(data, _HALF * len(data.truth) / n)
    weight = smoothed.weight(n, more)
    value = min(1.0, max(0.0, _moments(data, 0.0).value(weight)))
    variance = smoothed.residual(weight) / (n - 2) + weight * weight * smoothed.var_unlabelled / more
    effective = smoothed.truth * (1 - smoothed.truth) / variance
    low, high = _wilson(value, effective, two_sided_t(level, n - 2))
    return Estimate(value, Interval(low, high, level, "ppi++ wilson"), len(data.truth), "ppi++ wilson")


def _graded_ppi(data: _Paired, level: float, n: float, more: float) -> Estimate:
    moments = _moments(data, 0.0)
    weight = moments.weight(n, more)
    residual = moments.residual(weight)
    scores = data.truth + data.judged + data.unlabelled
    if data.truth == data.judged:
        span = 1.0 if data.bounded else max(scores) - min(scores)
        residual = span * span / n
    error = math.sqrt(residual / (n - 2) + weight * weight * moments.var_unlabelled / more)
    half, value = two_sided_t(level, n - 2) * error, moments.value(weight)
    low, high = value - half, value + half
    if data.bounded:
        value, low, high = (min(1.0, max(0.0, x)) for x in (value, low, high))
    return Estimate(value, Interval(low, high, level, "ppi++ t"), len(data.truth), "ppi++ t")


def _wilson(share: float, n: float, quantile: float) -> tuple[float, float]:
    """Wilson's limits for a number of trials that need not be whole."""
    shrink = 1 + quantile * quantile / n
    middle = (share + quantile * quantile / (2 * n)) / shrink
    half = quantile * math.sqrt(share * (1 - share) / n + quantile * quantile / (4 * n * n)) / shrink
    return max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share))


def _moments(data: _Paired, pseudo: float) -> _Moments:
    """The moments, with `pseudo` items passed by people and failed by the judge, and as many the other way."""
    y, f, g = data
    n, more = len(y) + 2 * pseudo, len(g) + 2 * pseudo
    truth, judged, unlabelled = ((math.fsum(x) + pseudo) / m for x, m in ((y, n), (f, n), (g, more)))
    extra = pseudo * (1 - truth) ** 2 + pseudo * truth**2
    var_truth = (math.fsum((a - truth) ** 2 for a in y) + extra) / n
    extra = pseudo * (1 - judged) ** 2 + pseudo * judged**2
    var_judged = (math.fsum((b - judged) ** 2 for b in f) + extra) / n
    extra = pseudo * (1 - truth) * -judged + pseudo * -truth * (1 - judged)
    covariance = (math.fsum((a - truth) * (b - judged) for a, b in zip(y, f, strict=True)) + extra) / n
    extra = pseudo * (1 - unlabelled) ** 2 + pseudo * unlabelled**2
    var_unlabelled = (math.fsum((b - unlabelled) ** 2 for b in g) + extra) / more
    both = (n * judged + more * unlabelled) / (n + more)
    squares = n * (var_judged + (judged - both) ** 2) + more * (var_unlabelled + (unlabelled - both) ** 2)
    pooled = squares / (n + more - 1)
    return _Moments(truth, judged, unlabelled, var_truth, var_judged, covariance, var_unlabelled, pooled)


def rogan_gladen(
    truth: Iterable[float],
    judged: Iterable[float],
    unlabelled: Iterable[float],
    level: float = 0.95,
    effective: tuple[float, float] | None = None,
) -> Estimate:
    """The share of true passes among the `unlabelled` items, from the judge's errors on the labelled ones.

    `(rate + TNR - 1) / (TPR + TNR - 1)`, cut to 0..1: `rate` is how often the judge passes an unlabelled item,
    TPR and TNR how often it is right on labelled passes and fails. Labels need not be a random sample (they may
    hold half fails), but the judge must err on them as it does on the rest. All three rates count as uncertain:
    the limits are those of a Fieller test, with z^2/2 pseudo-verdicts each way in the rate and one in TPR and
    TNR. Simulated over true rates .5 to .97, four judges, 100 labels (random, or half fails) and 100 to 3,000
    verdicts it covered .945 to 1.00; the delta method .53 to .99, a bootstrap of the labels alone .71 to .89
    in one of these settings. `n` of the result counts labels. `effective` as for `ppi_mean`.

    Raises `DataError` unless the judge is clearly better than chance: TPR + TNR - 1 of at least 0.2, and above
    0 beyond doubt at this `level`. Sources: Rogan & Gladen 1978, "Estimating prevalence from the results of a
    screening test"; Fieller 1954, "Some problems in interval estimation"; pseudo-counts as Lang & Reiczigel
    2014, "Confidence limits for prevalence of disease adjusted for estimated sensitivity and specificity", whose
    own limits covered .915.

    >>> labels, verdicts = [1] * 50 + [0] * 50, [1] * 46 + [0] * 4 + [0] * 42 + [1] * 8
    >>> estimate = rogan_gladen(labels, verdicts, [1] * 380 + [0] * 120)
    >>> round(estimate.value, 3), round(estimate.interval.low, 3), round(estimate.interval.high, 3)
    (0.789, 0.699, 0.914)
    """
    check_level(level)
    data = _paired("rogan_gladen", truth, judged, unlabelled)
    if not data.binary:
        raise DataError("rogan_gladen: labels and verdicts are 0 or 1 (fail or pass); for graded scores take ppi_mean.")
    right, passes, refused, fails = _confusion("rogan_gladen", data.truth, data.judged)
    n, hits = len(data.unlabelled), sum(data.unlabelled)
    above = right / passes + refused / fails - 1
    z2 = two_sided_z(level) ** 2
    known, rest = (1.0, 1.0) if effective is None else (effective[0] / len(data.truth), effective[1] / n)
    tpr, tpr_var = _smoothed(right * known, passes * known, 1.0)
    tnr, tnr_var = _smoothed(refused * known, fails * known, 1.0)
    rate, rate_var = _smoothed(hits * rest, n * rest, z2 / 2)
    slope, start = tpr + tnr - 1, rate + tnr - 1
    a = slope * slope - z2 * (tpr_var + tnr_var)
    if above < _INFORMED or slope <= 0 or a <= 0:
        raise DataError(
            f"rogan_gladen: the judge is not clearly better than chance: TPR {right / passes:.2f} + TNR "
            f"{refused / fails:.2f} - 1 = {above:.2f} from {passes} passes and {fails} fails. Mend the judge, or "
            "label more (fails above all); ppi_mean falls back on the labels alone."
        )
    b, c = z2 * tnr_var - start * slope, start * start - z2 * (rate_var + tnr_var)
    root = math.sqrt(max(0.0, b * b - a * c))
    value = min(1.0, max(0.0, (hits / n + refused / fails - 1) / above))
    low, high = max(0.0, min((-b - root) / a, value)), min(1.0, max((-b + root) / a, value))
    return Estimate(value, Interval(low, high, level, "rogan-gladen"), len(data.truth), "rogan-gladen")


def informedness(truth: Iterable[float], judged: Iterable[float], level: float = 0.95) -> Estimate:
    """TPR + TNR - 1 of a pass/fail judge: 1 is perfect, 0 is chance (also for a judge that always says the same).

    Youden's index 1950, with Newcombe's hybrid score interval (1998, "Interval estimation for the difference
    between independent proportions", method 10). Raises `DataError` unless there are passes and fails.

    >>> estimate = informedness([1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0, 1, 0])
    >>> estimate.value, round(estimate.interval.low, 2)
    (0.5, -0.14)
    """
    check_level(level)
    y, f = _aligned("informedness", truth, judged)
    if not (is_binary(y) and is_binary(f)):
        raise DataError("informedness: labels and verdicts are 0 or 1 (fail or pass).")
    right, passes, refused, fails = _confusion("informedness", y, f)
    tpr, fpr = right / passes, 1 - refused / fails
    up, down = wilson(right, passes, level), wilson(fails - refused, fails, level)
    low = tpr - fpr - math.hypot(tpr - up.low, down.high - fpr)
    high = tpr - fpr + math.hypot(up.high - tpr, fpr - down.low)
    interval = Interval(max(-1.0, low), min(1.0, high), level, "Newcombe")
    return Estimate(tpr - fpr, interval, len(y), "Newcombe")


def _smoothed(count: float, n: float, pseudo: float) -> tuple[float, float]:
    """A share with pseudo-counts each way, and its variance."""
    share = (count + pseudo) / (n + 2 * pseudo)
    return share, share * (1 - share) / (n + 2 * pseudo)


def _confusion(subject: str, truth: list[float], judged: list[float]) -> tuple[int, int, int, int]:
    """Passes that the judge passed, all passes, fails that it failed, all fails."""
    passes = sum(y == 1 for y in truth)
    fails = len(truth) - passes
    if not passes or not fails:
        raise DataError(
            f"{subject}: labelled passes and labelled fails are both needed, got {passes} and {fails}. Label more."
        )
    right = sum(y == 1 and f == 1 for y, f in zip(truth, judged, strict=True))
    refused = sum(y == 0 and f == 0 for y, f in zip(truth, judged, strict=True))
    return right, passes, refused, fails


def _aligned(subject: str, truth: Iterable[float], judged: Iterable[float]) -> tuple[list[float], list[float]]:
    y, f = some(truth, f"{subject}, truth"), some(judged, f"{subject}, judged")
    if len(y) != len(f):
        raise DataError(f"{subject}: each labelled item needs a verdict of the judge; got {len(y)} and {len(f)}.")
    return y, f


def _paired(subject: str, truth: Iterable[float], judged: Iterable[float], unlabelled: Iterable[float]) -> _Paired:
    y, f = _aligned(subject, truth, judged)
    return _Paired(y, f, some(unlabelled, f"{subject}, unlabelled"))
