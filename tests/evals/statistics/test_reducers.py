"""Reducers of epochs against brute force over all choices of runs."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from outlast.errors import DataError, UsageError
from outlast.evals.statistics import check_reducer, estimate_mean, fewest_scores, reduce_epochs


@pytest.mark.parametrize("passed", range(6))
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_pass_at_k_and_pass_hat_k_count_the_choices_of_k_runs(passed, k):
    scores = [1] * passed + [0] * (5 - passed)
    choices = list(itertools.combinations(scores, k))
    assert reduce_epochs(scores, f"pass@{k}") == pytest.approx(sum(any(c) for c in choices) / len(choices), abs=1e-15)
    assert reduce_epochs(scores, f"pass^{k}") == pytest.approx(sum(all(c) for c in choices) / len(choices), abs=1e-15)
    assert reduce_epochs(scores, f"at_least_{k}") == (passed >= k)


def test_pass_at_k_estimates_without_bias_where_the_plug_in_formula_does_not():
    rng, rate, k, n = random.Random(0), 0.2, 3, 4
    runs = [[rng.random() < rate for _ in range(n)] for _ in range(20_000)]
    mean = sum(reduce_epochs(run, f"pass@{k}") for run in runs) / len(runs)
    plug_in = sum(1 - (1 - sum(run) / n) ** k for run in runs) / len(runs)
    assert mean == pytest.approx(1 - (1 - rate) ** k, abs=0.01)
    assert plug_in < mean - 0.03


@pytest.mark.parametrize(
    ("reducer", "expected"),
    [("mean", 0.5), ("median", 0.4), ("max", 1), ("min", 0.1), ("majority", 0.4)],
)
def test_plain_reducers(reducer, expected):
    assert reduce_epochs([0.1, 0.4, 0.6, 1.0, 0.4], reducer) == pytest.approx(expected)


def test_a_tied_majority_is_the_mean_of_the_tied():
    assert reduce_epochs([1, 0], "majority") == 0.5
    assert reduce_epochs([1, 1, 0, 0, 0.3], "majority") == 0.5


def test_graded_scores_pass_from_the_threshold_on():
    assert reduce_epochs([0.5, 0.7, 0.8], "at_least_2", threshold=0.7) == 1
    assert reduce_epochs([0.5, 0.7, 0.8], "at_least_2") == 0
    assert reduce_epochs([0.5, 0.7, 0.8], "pass^2", threshold=0.7) == pytest.approx(1 / 3)


def test_many_runs_stay_exact():
    assert reduce_epochs([1] + [0] * 999, "pass@500") == pytest.approx(0.5, abs=1e-12)


def test_unknown_reducers_are_refused_and_told():
    with pytest.raises(UsageError, match=r"no reducer 'meen'\. Did you mean 'mean'\?"):
        reduce_epochs([1], "meen")
    with pytest.raises(UsageError, match=r"Write for instance 'pass@2'"):
        check_reducer("pass@k", 5)
    for reducer in ("pass@0", "pass@-1", "pass@", "at_least_1.5", "pass@2x", "pass@٢", ["mean"], None):
        with pytest.raises(UsageError, match="no reducer"):
            fewest_scores(reducer)


def test_a_reducer_that_needs_more_runs_than_there_are_is_refused():
    assert check_reducer("pass@3", 3) == "pass@3"
    with pytest.raises(UsageError, match=r"needs at least 4 epochs, got 3"):
        check_reducer("at_least_4", 3)
    for epochs in (0, -1, 2.0, True):
        with pytest.raises(UsageError, match="whole number from 1"):
            check_reducer("mean", epochs)
    with pytest.raises(DataError, match="needs at least 3 scored runs of an example, got 2"):
        reduce_epochs([1, 1], "pass@3")


def test_scores_must_be_numbers():
    with pytest.raises(DataError, match="at least one score"):
        reduce_epochs([], "max")
    for bad in (math.nan, math.inf, "1", None):
        with pytest.raises(DataError, match="finite number"):
            reduce_epochs([1, bad], "mean")
    with pytest.raises(DataError, match="threshold"):
        reduce_epochs([1], "pass@1", threshold=math.nan)


@pytest.mark.parametrize("reducer", ["mean", "median", "max", "min", "majority"])
def test_equal_scores_reduce_to_just_that_score(reducer):
    for score in (0.1, 0.7, 0.8, 0.9):
        for n in range(1, 50):
            assert reduce_epochs([score] * n, reducer) == score
            assert estimate_mean([score] * n).value == score
