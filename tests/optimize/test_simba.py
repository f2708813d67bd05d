"""`SIMBA`: what sets the best run apart from the worst."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

import outlast as ol
from outlast.errors import UsageError
from outlast.optimize.demos import example_of
from outlast.optimize.ledger import Ledger
from outlast.optimize.simba import SIMBA, _poisson
from outlast.optimize.study import Study
from outlast.runtime import run_blocking, running
from outlast.testing import ScriptedLM
from outlast.testing.contracts import check_optimizer
from outlast.testing.gym import world
from outlast.testing.world import Triage, World, right


def search(optimizer: SIMBA, program: Any, train: Any, select: Any, metric: Any, lm: Any, proposer: Any = None) -> Any:
    async def run() -> Any:
        study = Study(program, metric, train=train, select=select, ledger=Ledger(None, {}), proposer=proposer)
        with running(lm=lm), study.stage("search"):
            return await optimizer.search(study), study

    return run_blocking(run)


def test_it_keeps_the_contract_of_optimizers() -> None:
    check_optimizer(SIMBA(steps=2, batch=8, samples=2, children=2))


def test_runs_that_passed_become_demonstrations_of_every_module() -> None:
    data = list(World(examples=70, base=0.6).data())
    lm = World(examples=70, base=0.6).lm()
    _, study = search(SIMBA(steps=2, batch=12, children=4), Triage(), data[:40], data[40:], right, lm)
    made = [one for one in study.candidates.values() if one.operator == "simba"]
    shown = [one for one in made if "demonstration" in one.origin]
    assert shown
    for one in shown:
        assert {path for path in one.changes if path.endswith("demos")} == {"route.demos", "rate.demos"}
        assert example_of(one.changes["route.demos"][-1]) == example_of(one.changes["rate.demos"][-1])


def test_advice_goes_to_the_module_that_it_names_once() -> None:
    data = list(World(examples=70, base=0.5).data())
    lm = World(examples=70, base=0.5).lm()
    asked: list[str] = []

    def advise(messages: Any) -> str:
        asked.append(str(messages[-1].content))
        return '<<advice>>\n{"rate": "Look at the clock.", "nobody": "Nothing."}'

    simba = SIMBA(steps=2, batch=12, children=6, max_demos=0)
    _, study = search(simba, Triage(), data[:40], data[40:], right, lm, ScriptedLM(advise))
    made = [one for one in study.candidates.values() if one.operator == "simba"]
    assert made
    assert all(set(one.changes) == {"rate.instruction"} for one in made)
    assert all(one.changes["rate.instruction"].count("Look at the clock.") == 1 for one in made)
    assert "Score: 1" in asked[0]
    assert "Score: 0" in asked[0]


def test_a_program_that_always_does_the_same_gets_no_advice() -> None:
    data = [ol.Example({"message": f"m{n}"}, {"team": "cards"}) for n in range(40)]
    lm = ScriptedLM(lambda messages: "<<team>>\nbilling")
    program = ol.Predict("message -> team")
    winner, study = search(
        SIMBA(steps=2, batch=8), program, data[:20], data[20:], lambda e, o: e.team == o.team, lm, ScriptedLM([])
    )
    assert winner == study.start
    assert len(study.candidates) == 1


def test_it_makes_itself_smaller_for_a_small_budget() -> None:
    one = world("DemoShelf", seed=1)
    parts = one.parts()
    result = ol.compile(
        one.program(),
        {"train": parts["train"], "select": parts["val"], "confirm": list(parts["test"])[:50]},
        one.metric,
        optimizer=SIMBA(),
        budget=ol.Budget(calls=900),
        lm=one.lm(),
        proposer=one.reflector(),
        study=False,
        progress=False,
    )
    assert result.report.rollouts <= 900
    assert result.report.candidates > 3
    assert result.report.candidate.operator in ("simba", "")


def test_a_poisson_draw_has_its_mean() -> None:
    rng = Random(1)
    draws = [_poisson(1.5, rng) for _ in range(2000)]
    assert sum(draws) / len(draws) == pytest.approx(1.5, abs=0.1)
    assert _poisson(0.0, rng) == 0


@pytest.mark.parametrize("options", [{"steps": 0}, {"batch": 0}, {"max_demos": -1}, {"samples": 1.5}])
def test_options_are_whole_numbers(options: Any) -> None:
    with pytest.raises(UsageError, match="whole number"):
        SIMBA(**options)


def test_the_proposer_is_a_program() -> None:
    wrong: Any = "rules"
    with pytest.raises(UsageError, match="advise"):
        SIMBA(advise=wrong)
