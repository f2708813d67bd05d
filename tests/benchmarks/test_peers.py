"""What of the peers' harness needs no peer: budgets, settings, the meter, the file of recorded results."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from benchmarks.peers import settings
from benchmarks.peers.meter import OutOfRollouts, Proposer, Student, ask

from outlast.cli.benching.records import read
from outlast.testing import ScriptedLM

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "peers.jsonl"
BUDGETS = (300, 1000, 3000)


@pytest.mark.parametrize("predictors", [1, 3])
@pytest.mark.parametrize("budget", BUDGETS)
def test_settings_end_near_the_budget(budget: int, predictors: int) -> None:
    mipro = settings.mipro(budget, predictors, 100)
    assert 0.85 * budget <= mipro.rollouts() <= budget
    assert mipro.minibatch <= mipro.val
    simba = settings.simba(budget, 250)
    assert 0.6 * budget <= simba.rollouts() <= budget
    assert simba.bsize <= simba.train
    copro = settings.copro(budget, predictors, 150)
    assert copro.breadth > 1
    assert 25 <= copro.train <= 150


def test_the_settings_that_documentation_names_are_taken_where_the_budget_pays_them() -> None:
    assert settings.mipro(3000, 1, 100).candidates == 18  # auto="heavy"
    assert settings.mipro(3000, 1, 100).minibatch == 35
    assert settings.mipro(3000, 1, 100).trials >= settings.recommended_trials(1, 18)
    assert settings.recommended_trials(1, 6) == 10
    assert settings.recommended_trials(3, 6) == 31
    assert settings.simba(5000, 150) == settings.Simba(32, 6, 8, 150)
    assert settings.copro(5000, 1, 150) == settings.Copro(10, 3, 150)


def test_more_rollouts_never_mean_fewer_validation_examples() -> None:
    sizes = [settings.val_size(budget) for budget in BUDGETS]
    assert sizes == sorted(sizes)
    assert settings.subset(range(100), 25, 1) == settings.subset(range(100), 25, 1)
    assert settings.subset(range(100), 25, 1) != settings.subset(range(100), 25, 2)
    assert settings.subset([1, 2], 25, 1) == [1, 2]


def test_a_request_that_is_known_is_free_and_the_budget_is_hard() -> None:
    student = Student(ScriptedLM(lambda messages: messages[-1].text.upper(), price=0.5), 2)
    assert ask(student, [("user", "a")]) == "A"
    assert ask(student, [("user", "a")]) == "A"
    assert (student.calls, student.recalled, student.left, student.dollars) == (1, 1, 1, 0.5)
    assert ask(student, [("user", "a")], sample=1) == "A"
    with pytest.raises(OutOfRollouts):
        ask(student, [("user", "a")], temperature=0.7)
    assert student.gone
    assert ask(student, [("user", "a")], sample=1) == "A"  # still free
    assert copy.deepcopy(student) is student
    assert not issubclass(OutOfRollouts, Exception)


def test_every_call_of_the_proposer_is_a_fresh_draw() -> None:
    inner = ScriptedLM(lambda messages: "x", price=0.1, keep=True)
    proposer = Proposer(inner)
    for _ in range(3):
        ask(proposer, [("user", "the same")])
    assert [request.sample for request in inner.requests] == [0, 1, 2]
    assert (proposer.calls, round(proposer.dollars, 3)) == (3, 0.3)


def test_recorded_results_are_of_this_gym() -> None:
    from outlast.testing import gym

    records = read(RESULTS)
    assert records
    assert {one.world for one in records} <= set(gym.names())
    firsts: dict[str, Any] = {}
    for one in records:
        assert one.about["gepa"]
        assert one.rollouts <= one.budget
        assert 0 <= one.true <= 1
        if one.method == "gepa":  # it runs our program; DSPy's has a second try for replies that cannot be read
            firsts.setdefault(one.world, one)
    for name, one in firsts.items():
        world: Any = gym.world(name, seed=one.seed)
        assert world.best() == pytest.approx(one.best, abs=1e-5)
        assert world.expected(world.program()) == pytest.approx(one.start, abs=1e-5)
