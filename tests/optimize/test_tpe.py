"""Samplers of combinations: they find good choices sooner than chance, and the same ones for the same seed."""

from __future__ import annotations

import importlib.util
from random import Random
from typing import Any

import pytest

from outlast.errors import ConfigError
from outlast.optimize.tpe import Parzen, chosen_kind, sampler

SPACE = {"instruction": 20, "demos": 20, "other": 4}


def score(point: Any) -> float:
    """Two dimensions matter together; the third is noise."""
    return -abs(point["instruction"] - 5) - abs(point["demos"] - 2) + 2 * (point["instruction"] == 5)


def best_of(made: Any, trials: int) -> float:
    found = -100.0
    for _ in range(trials):
        point = made.ask()
        made.tell(point, score(point))
        found = max(found, score(point))
    return found


def test_it_finds_better_points_than_chance_does():
    ours = [best_of(Parzen(SPACE, Random(seed)), 40) for seed in range(20)]
    chance = []
    for seed in range(20):
        rng = Random(seed)
        chance.append(max(score({name: rng.randrange(count) for name, count in SPACE.items()}) for _ in range(40)))
    assert sum(ours) / 20 > sum(chance) / 20 + 1


def test_the_same_seed_asks_for_the_same_points():
    one, two = (Parzen(SPACE, Random(3)) for _ in range(2))
    for _ in range(25):
        point = one.ask()
        assert two.ask() == point
        for made in (one, two):
            made.tell(point, score(point))


def test_every_choice_comes_and_then_the_best_one():
    made = Parzen({"a": 9}, Random(0))
    asked: list[int] = []
    for _ in range(60):
        point = made.ask()
        asked.append(point["a"])
        made.tell(point, float(point["a"] == 1))
    assert set(asked) == set(range(9))
    assert asked[-20:].count(1) > 15


def test_points_that_nobody_asked_for_count_too():
    made = Parzen(SPACE, Random(0))
    for _ in range(30):
        made.tell({"instruction": 5, "demos": 2, "other": 1}, 2.0)
        made.tell({"instruction": 1, "demos": 7, "other": 1}, -9.0)
    asked = [made.ask()["instruction"] for _ in range(20)]
    assert asked.count(5) >= 8  # by chance one in twenty


@pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="the extra is not installed")
def test_optuna_takes_the_same_questions():
    made = sampler("optuna", SPACE, Random(0))
    made.tell({"instruction": 5, "demos": 2, "other": 1}, 2.0)
    assert best_of(made, 30) > -6


def test_optuna_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert chosen_kind("auto") == "own"
    with pytest.raises(ConfigError, match="pip install"):
        chosen_kind("optuna")
