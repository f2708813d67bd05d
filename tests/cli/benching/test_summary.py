"""What many runs say together."""

from __future__ import annotations

import math
from typing import Any

import pytest

from outlast.cli.benching.records import Record
from outlast.cli.benching.summary import by_world, comparable, gain, over_seeds, summarize


def record(method: str, world: str, seed: int, true: float, **options: Any) -> Record:
    given: dict[str, Any] = {"budget": 300, "reported": true, "start": 0.5, "best": 0.9, "rollouts": 300.0}
    given |= {"proposer_calls": 10, "dollars": 0.1, "seconds": 1.0} | options
    return Record(method, world, seed, true=true, **given)


TWO = [
    record("A", "X", 0, 0.6, reported=0.7, verdict="better"),
    record("A", "Y", 0, 0.4, reported=0.5, verdict="worse"),
    record("A", "X", 1, 0.8, reported=0.8, verdict="better"),
    record("A", "Y", 1, 0.6, reported=0.6, dollars=0.5),
    record("B", "X", 0, 0.5),
    record("B", "Y", 0, 0.5),
    record("B", "X", 1, 0.5),
]


def test_means_are_over_worlds_and_intervals_over_seeds() -> None:
    a, b = summarize(TWO)
    assert (a.method, b.method) == ("A", "B")
    assert a.true.value == pytest.approx(0.6)
    assert a.true.n == 4
    half = 12.706 * 0.1  # the two seeds have the means 0.5 and 0.7
    assert a.true.interval.low == pytest.approx(0.6 - half, abs=1e-3)
    assert a.optimism.value == pytest.approx(0.05)
    assert a.dollars == pytest.approx(0.2)
    assert dict(a.verdicts) == {"better": 2, "worse": 1}
    assert a.worse == 1
    assert b.worse == 0
    assert a.cpu_ms is None


def test_only_runs_that_all_methods_have_are_compared() -> None:
    kept, left = comparable([one for one in TWO if one.world == "X" or one.seed == 1])
    assert left == 1  # of Y with seed 1 there is only A
    assert {(one.method, one.world, one.seed) for one in kept} == {
        (name, "X", seed) for name in "AB" for seed in (0, 1)
    }
    other = [record("C", "Z", 0, 0.1, budget=1000)]
    assert comparable([*kept, *other])[1] == 0  # a budget that only C has does not take others' runs away


def test_a_seed_that_lacks_worlds_is_left_out() -> None:
    kept, left = comparable(TWO)
    assert left == 3
    assert {(one.world, one.seed) for one in kept} == {("X", 0), ("Y", 0)}
    apart = [record("A", "X", 0, 0.5), record("A", "Y", 1, 0.5)]
    assert comparable(apart) == (apart, 0)


def test_what_is_not_known_is_left_out() -> None:
    unknown = over_seeds([(0, None)])
    assert math.isnan(unknown.value)
    assert not unknown.interval.known
    one = over_seeds([(0, 0.5), (0, None)])
    assert (one.value, one.n) == (0.5, 1)
    assert not one.interval.known


def test_a_gain_is_paired() -> None:
    above = gain(TWO, "A", "B", 300)
    assert above.value == pytest.approx((0.0 + 0.3) / 2)  # seed 0: +0.1 and -0.1; seed 1: +0.3
    assert gain(TWO, "A", "B", 1000).n == 0


def test_scores_by_world() -> None:
    assert by_world(TWO)["X", 300, "A"].value == pytest.approx(0.7)
