"""Kappa, alpha and rank correlations against scikit-learn, statsmodels, scipy and a published example."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import scipy.stats

from outlast.errors import DataError, UsageError
from outlast.evals.statistics import (
    Confusion,
    cohen_kappa,
    confusion,
    kendall,
    krippendorff_alpha,
    spearman,
    weighted_kappa,
)
from outlast.evals.statistics.agreement import _kappa_variance
from outlast.evals.statistics.ranks import ranks


def two_raters(n: int, seed: int = 0, levels: int = 5, noise: float = 0.9):
    rng = random.Random(seed)
    truth = [rng.randrange(levels) for _ in range(n)]
    return truth, [min(levels - 1, max(0, round(t + rng.gauss(0, noise)))) for t in truth]


# Confusion


def test_confusion_agrees_with_scikit_learn():
    from sklearn.metrics import confusion_matrix

    a, b = two_raters(200)
    table = confusion(a, b)
    assert table.labels == (0, 1, 2, 3, 4)
    assert np.array_equal(table.counts, confusion_matrix(a, b))
    assert table.n == 200
    assert table.agreement == np.mean(np.equal(a, b))
    assert table.count(1, 2) == table.counts[1][2]
    assert table.count(1, 77) == 0


def test_confusion_takes_labels_in_the_order_given_and_of_any_kind():
    assert confusion(["x"], ["y"], labels=["y", "z", "x"]).counts == ((0, 0, 0), (0, 0, 0), (1, 0, 0))
    assert confusion([True, False], [True, True]) == Confusion((False, True), ((0, 1), (0, 1)))
    assert confusion(["a", 1], ["a", 1]).agreement == 1


def test_labels_that_do_not_fit_are_refused():
    for bad in (None, math.nan):
        with pytest.raises(DataError, match="is no label"):
            cohen_kappa([1, bad], [1, 0])
    with pytest.raises(DataError, match="got 2 and 1"):
        cohen_kappa([1, 0], [1])
    with pytest.raises(DataError, match="at least one item"):
        weighted_kappa([], [])
    with pytest.raises(DataError, match="label 'c' is not among labels: 'a', 'b'"):
        confusion("abc", "abc", labels="ab")
    with pytest.raises(DataError, match="hashable"):
        confusion([[1]], [[1]])
    with pytest.raises(UsageError, match="Did you mean 'linear'"):
        weighted_kappa([1], [1], "linea")


# Kappa


@pytest.mark.parametrize("seed", range(5))
def test_kappas_agree_with_scikit_learn(seed):
    from sklearn.metrics import cohen_kappa_score

    a, b = two_raters(40, seed)
    assert cohen_kappa(a, b).value == pytest.approx(cohen_kappa_score(a, b), abs=1e-12)
    for weights in ("linear", "quadratic"):
        expected = cohen_kappa_score(a, b, weights=weights)
        assert weighted_kappa(a, b, weights).value == pytest.approx(expected, abs=1e-12)
    expected = cohen_kappa_score(a, b, labels=list(range(8)), weights="linear")
    assert weighted_kappa(a, b, "linear", labels=range(8)).value == pytest.approx(expected, abs=1e-12)


def test_the_variance_of_kappa_agrees_with_statsmodels():
    from statsmodels.stats.inter_rater import cohens_kappa

    table = confusion(*two_raters(120)).counts
    size = len(table)
    for weighting, power in ((None, 0), ("linear", 1), ("quadratic", 2)):
        expected = cohens_kappa(table, wt=weighting)
        weights = [
            [float(i == j) if not power else 1 - (abs(i - j) / (size - 1)) ** power for j in range(size)]
            for i in range(size)
        ]
        value, variance = _kappa_variance([[float(c) for c in row] for row in table], weights)
        assert value == pytest.approx(expected.kappa, abs=1e-12)
        assert math.sqrt(variance) == pytest.approx(expected.std_kappa, rel=1e-9)


def test_the_interval_of_kappa_is_that_of_the_logarithm_with_half_a_pseudo_item():
    from statsmodels.stats.inter_rater import cohens_kappa

    a, b = two_raters(60)
    fit = cohens_kappa(np.array(confusion(a, b).counts) + 0.5 / 25)
    factor = math.exp(scipy.stats.t.isf(0.025, 59) * fit.std_kappa / (1 - fit.kappa))
    interval = cohen_kappa(a, b).interval
    assert interval.low == pytest.approx(1 - (1 - fit.kappa) * factor, rel=1e-3)
    assert interval.high == pytest.approx(1 - (1 - fit.kappa) / factor, rel=1e-3)
    assert interval.method == "log kappa"


@pytest.mark.parametrize(("hit", "false"), [(0.9, 0.1), (0.98, 0.02)])
def test_the_interval_of_kappa_covers_where_the_usual_one_does_not(hit, false):
    from statsmodels.stats.inter_rater import cohens_kappa

    rng, truth, covered, usual = random.Random(0), hit - false, 0, 0
    for _ in range(200):
        a = [i % 2 for i in range(50)]
        b = [int(rng.random() < (hit if x else false)) for x in a]
        covered += truth in cohen_kappa(a, b).interval
        table = confusion(a, b).counts
        if a != b:
            fit = cohens_kappa(table)
            usual += fit.kappa_low <= truth <= fit.kappa_upp
    assert covered / 200 >= 0.92
    assert usual / 200 < 0.92


def test_perfect_agreement_is_no_certainty_and_one_label_says_nothing():
    perfect = cohen_kappa("ab" * 15, "ab" * 15)
    assert perfect.value == 1
    assert 0.7 < perfect.interval.low < 0.95
    assert perfect.interval.high == 1
    constant = cohen_kappa("aaaa", "aaaa")
    assert math.isnan(constant.value)
    assert constant.method == "unknown"
    assert cohen_kappa("aabb", "bbaa").value == -1
    assert -1 in cohen_kappa("aabb", "bbaa").interval
    assert cohen_kappa("aaab", "bbbb").value == 0


# Krippendorff's alpha

_ = None
RELIABILITY = [  # Krippendorff 2011, section E: four observers, twelve units
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
]


@pytest.mark.parametrize(
    ("scale", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)]
)
def test_alpha_of_the_published_example(scale, published):
    items = list(zip(*RELIABILITY, strict=True))
    estimate = krippendorff_alpha(items, scale)
    assert estimate.value == pytest.approx(published, abs=5e-4)
    assert estimate.n == 11, "the last unit has one rating only"
    assert estimate.value in estimate.interval
    named = [{f"rater {i}": value for i, value in enumerate(item)} for item in items]
    assert krippendorff_alpha(named, scale) == estimate


def alpha_by_coincidences(items, distance) -> float:
    """The textbook form: a matrix of coincidences and its margins."""
    values = sorted({v for item in items for v in item})
    o = np.zeros((len(values), len(values)))
    for item in items:
        for i, x in enumerate(item):
            for j, y in enumerate(item):
                if i != j:
                    o[values.index(x), values.index(y)] += 1 / (len(item) - 1)
    n = o.sum(0)
    d = np.array([[distance(i, j, values, n) for j in range(len(values))] for i in range(len(values))])
    return 1 - (n.sum() - 1) * (o * d).sum() / (np.outer(n, n) * d).sum()


DISTANCES = {
    "nominal": lambda i, j, v, n: float(i != j),
    "ordinal": lambda i, j, v, n: (n[min(i, j) : max(i, j) + 1].sum() - (n[i] + n[j]) / 2) ** 2,
    "interval": lambda i, j, v, n: (v[i] - v[j]) ** 2,
    "ratio": lambda i, j, v, n: ((v[i] - v[j]) / (v[i] + v[j])) ** 2 if v[i] + v[j] else 0.0,
}


@pytest.mark.parametrize("scale", DISTANCES)
def test_alpha_agrees_with_the_coincidence_matrix(scale):
    rng = random.Random(1)
    items = [
        [min(6, max(0, t + rng.choice([-1, 0, 0, 2]))) for _ in range(rng.randint(2, 4))] for t in [0, 1, 3, 5] * 8
    ]
    assert krippendorff_alpha(items, scale).value == pytest.approx(alpha_by_coincidences(items, DISTANCES[scale]))


@pytest.mark.parametrize("accuracy", [0.8, 0.97])
def test_the_interval_of_alpha_covers(accuracy):
    rng, covered = random.Random(3), 0
    truth = 1 - (1 - accuracy**2 - (1 - accuracy) ** 2) / 0.5
    for _ in range(150):
        items = [[t if rng.random() < accuracy else 1 - t for _ in range(3)] for t in (0, 1) * 20]
        covered += truth in krippendorff_alpha(items).interval
    assert covered / 150 >= 0.92


def test_alpha_without_disagreement_or_variety():
    perfect = krippendorff_alpha([["a", "a"], ["b", "b"]] * 15)
    assert perfect.value == 1
    assert 0.6 < perfect.interval.low < 0.9
    one = krippendorff_alpha([["a", "a"], ["b", "b"]] * 15 + [["a", "b"]])
    assert one.interval.low < one.value < one.interval.high < 1
    for items in ([], [["a", "a"]] * 9, [["a"], [None, "b"], [math.nan, "c"]]):
        assert math.isnan(krippendorff_alpha(items).value)
        assert krippendorff_alpha(items).method == "unknown"
    assert krippendorff_alpha([["a", "b"]] * 10 + [["b", "a"]] * 10).value < 0


def test_alpha_refuses_what_its_scale_does_not_take():
    with pytest.raises(UsageError, match="Did you mean 'ordinal'"):
        krippendorff_alpha([[1, 2]], "ordinary")
    with pytest.raises(DataError, match="item 0.*finite number"):
        krippendorff_alpha([["a", "b"]], "interval")
    with pytest.raises(DataError, match="not negative"):
        krippendorff_alpha([[1, -1]], "ratio")
    with pytest.raises(DataError, match="item 0 is a list of ratings, got 'ab'"):
        krippendorff_alpha(["ab", "ab"])


# Rank correlations


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_rank_correlations_agree_with_scipy(ties, seed):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=60)
    b = a + rng.normal(size=60)
    if ties:
        a, b = np.round(a), np.round(b)
    assert ranks(list(a)) == list(scipy.stats.rankdata(a))
    assert spearman(a, b).value == pytest.approx(scipy.stats.spearmanr(a, b).statistic, abs=1e-12)
    assert kendall(a, b).value == pytest.approx(scipy.stats.kendalltau(a, b).statistic, abs=1e-12)
    assert kendall(a, -b).value == pytest.approx(-kendall(a, b).value)


@pytest.mark.parametrize("correlate", [spearman, kendall])
def test_intervals_of_rank_correlations_cover(correlate):
    rng, rho, covered = np.random.default_rng(0), 0.7, 0
    truth = 6 / math.pi * math.asin(rho / 2) if correlate is spearman else 2 / math.pi * math.asin(rho)
    for _ in range(300):
        x = rng.normal(size=40)
        y = rho * x + math.sqrt(1 - rho * rho) * rng.normal(size=40)
        covered += truth in correlate(x, y).interval
    assert covered / 300 >= 0.92


@pytest.mark.parametrize("correlate", [spearman, kendall])
def test_rank_correlations_at_the_edge(correlate):
    perfect = correlate(range(20), range(20))
    assert (perfect.value, perfect.interval.high) == (1, 1)
    assert 0.9 < perfect.interval.low < 1
    assert math.isnan(correlate([1, 1, 1, 1, 1, 1], [1, 2, 3, 4, 5, 6]).value)
    assert not correlate([1, 2, 3], [1, 2, 3]).interval.known
    with pytest.raises(DataError, match="same items, got 2 and 1"):
        correlate([1, 2], [1])
    with pytest.raises(DataError, match="at least one item"):
        correlate([], [])


def test_no_limit_of_kappa_is_below_minus_one():
    for first, second in ((["a", "b"] * 15, ["b", "a"] * 15), (["a", "b", "a"], ["a", "a", "a"])):
        assert cohen_kappa(first, second).interval.low >= -1
    assert weighted_kappa([1, 2, 3] * 5, [3, 2, 1] * 5).interval.low >= -1
