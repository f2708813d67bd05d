"""How many examples a proof is made on: fewer when the budget is small, more again when the search leaves some over."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import outlast as ol
from outlast.errors import UsageError
from outlast.optimize.candidate import Candidate
from outlast.testing.world import Triage, World, right

WORLD = World(examples=300)  # 79 of them in confirm, 2 calls a rollout


@dataclass(frozen=True, slots=True)
class Spends(ol.Optimizer):
    """Runs one candidate on `some` selection examples."""

    some: int = 10

    def rollouts(self, train: int, select: int) -> int:
        return self.some

    async def search(self, study: ol.Study) -> Candidate:
        made = study.propose({"route.instruction": "Route it."}, origin="by hand")
        await study.evaluate(made, study.select[: self.some])
        return made


def proof(calls: int | None, some: int = 10, data: object = None) -> int:
    found = ol.compile(
        Triage(),
        data or WORLD.data(),  # pyright: ignore[reportArgumentType]
        right,
        lm=WORLD.lm(),
        optimizer=Spends(some),
        budget=ol.Budget(calls=calls),
        study=False,
        progress=False,
    )
    assert found.report.verdict.paired is not None
    assert calls is None or found.report.spending.calls <= calls
    return found.report.verdict.paired.n


def test_a_proof_that_the_budget_pays_is_made_on_all():
    assert proof(None) == 79
    assert proof(2 * 600) == 79  # 30% of 600 rollouts are 90 pairs


def test_a_small_budget_gets_a_smaller_proof_and_what_is_left_over_goes_into_it():
    assert proof(2 * 200, some=90) == 55  # 30 pairs at first; 200 - 90 rollouts are left in the end
    assert proof(2 * 200, some=10) == 79


def test_parts_that_were_given_are_used_whole():
    parts = {name: list(part) for name, part in WORLD.data().split(seed=1, train=0.4, select=0.3, confirm=0.3).items()}
    with pytest.raises(UsageError, match="does not pay for the proof"):
        proof(2 * 100, data=parts)


def test_twenty_examples_are_the_fewest():
    with pytest.raises(UsageError, match="does not pay for the proof"):
        proof(2 * 39)
