"""Programs without text, locked texts, proposers that are silent and budgets that end: none of it breaks a search."""

from __future__ import annotations

from typing import Any

import pytest
from tests.optimize.studies import Pick, matches, study_of, within

import outlast as ol
from outlast.testing import ScriptedLM

EVERY = [
    ol.COPRO(breadth=3, depth=2),
    ol.OPRO(steps=2, per_step=2),
    ol.MIPRO(candidates=2, trials=3, minibatch=5, sampler="own"),
    ol.GEPA(steps=3),
    ol.TextGrad(steps=2),
    ol.InferRules(candidates=2),
    ol.CAPO(population=3, steps=2, crossovers=2, block=5),
]
every = pytest.mark.parametrize("optimizer", EVERY, ids=lambda one: type(one).__name__)


class Table(ol.Module):
    """A program that asks no model and has no text."""

    limit = ol.param(2)

    def forward(self, thing: str) -> Any:
        return ol.Prediction(colour="red" if int(thing.split()[-1]) % 4 < self.limit else "blue")


@every
def test_a_program_without_text_stays_as_it_is(optimizer: Any):
    lm = ScriptedLM([])
    study = study_of(Table(), proposer=lm)
    assert within(study, lambda: optimizer.search(study)) == study.start
    assert all(candidate.changes == {} for candidate in study.candidates.values())


@every
def test_what_is_locked_stays_as_it_is(optimizer: Any):
    study = study_of(Pick(), lock=["pick"], proposer=ScriptedLM(lambda _: {"improved": "x y", "rules": ["x y"]}))
    assert within(study, lambda: optimizer.search(study)) == study.start


@every
def test_locked_instructions_leave_the_demonstrations_free(optimizer: Any):
    study = study_of(Pick(), train=20, lock=["pick.instruction"], proposer=ScriptedLM(lambda _: {"improved": "x y"}))
    within(study, lambda: optimizer.search(study))
    assert {path for candidate in study.candidates.values() for path in candidate.changes} <= {"pick.demos"}


@every
def test_a_proposer_whose_purse_is_empty_does_not_end_the_search(optimizer: Any):
    found = ol.compile(
        Pick(),
        [*study_of(Pick(), train=60).train],
        matches,
        optimizer=optimizer,
        proposer=ScriptedLM(lambda _: {"improved": "Say red.", "rules": ["Say red."], "proposed": "Say red."}),
        proposer_budget=ol.Budget(calls=1),
        lm=ScriptedLM(lambda _: {"colour": "none"}),
        study=False,
        progress=False,
    )
    assert found.report.proposing.calls <= 1
    assert found.report.stopped == ""


@every
@pytest.mark.parametrize("calls", [1, 7, 12])
def test_the_end_of_the_budget_passes_through(optimizer: Any, calls: int):
    lm = ScriptedLM(lambda _: {"colour": "none"})
    study = study_of(Pick(), budget=ol.Budget(calls=calls), select=40, train=40)
    with pytest.raises(ol.errors.BudgetExceeded):
        within(study, lambda: optimizer.search(study), lm)
    assert lm.calls <= calls
