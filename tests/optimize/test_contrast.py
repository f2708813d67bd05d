"""Runs of one example that came out differently."""

from __future__ import annotations

from typing import Any

from tests.optimize.studies import Pick, study_of, within

import outlast as ol
from outlast.optimize.contrast import advised, contrasts
from outlast.optimize.proposers import AdviseFromContrast
from outlast.testing import ScriptedLM

ADVISE = ol.Predict(AdviseFromContrast)


def said(advice: Any, instruction: str = "Pick a colour.", **options: Any) -> dict[str, str]:
    """What becomes of advice."""
    program = ol.update(Pick(), {"pick.instruction": instruction})
    study = study_of(program, proposer=ScriptedLM(lambda messages: {"advice": advice}), **options)

    async def ask() -> dict[str, str]:
        best, worst = await study.evaluate(study.start, study.select[:2])
        return await advised(study, study.start, best, worst, ADVISE, sample=0)

    return within(study, ask)


def test_examples_whose_runs_differ_most_come_first_and_the_best_run_is_the_first() -> None:
    study = study_of(Pick())
    knowing = study.propose({"pick.instruction": "Say red or green."}, origin="x")
    buckets = within(study, lambda: contrasts(study, [study.start, knowing], study.select[:4]))
    values = [[run.value for run in runs] for runs in buckets]
    assert values == [[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    assert buckets[0][0].candidate == knowing.id


def test_who_is_drawn_twice_makes_another_draw() -> None:
    study = study_of(Pick())
    buckets = within(study, lambda: contrasts(study, [study.start, study.start], study.select[:1]))
    assert sorted(run.sample for run in buckets[0]) == [0, 1]


def test_advice_is_added_below_the_instruction_it_is_for() -> None:
    assert said({"pick": "Grey things are grey."}) == {"pick.instruction": "Pick a colour.\nGrey things are grey."}


def test_advice_for_nobody_that_is_locked_or_too_long_changes_nothing() -> None:
    assert said({"other": "x"}) == {}
    assert said({"pick": "Grey things are grey."}, lock=["pick.instruction"]) == {}
    assert said({"pick": "Rules. " * 1000}) == {"pick.instruction": "Pick a colour."}
