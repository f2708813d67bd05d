"""How many examples a proof is made on: fewer when the budget is small, more again when the search leaves some over."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import SearchStopped, UsageError
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


def compile_within(optimizer: ol.Optimizer, **limits: int) -> ol.Compiled[Triage]:
    budget, lm = ol.Budget(**limits), WORLD.lm()
    options: dict[str, Any] = {"optimizer": optimizer, "budget": budget, "lm": lm, "study": False, "progress": False}
    return ol.compile(Triage(), WORLD.data(), right, **options)


def searched(optimizer: ol.Optimizer, **limits: int) -> ol.Report:
    return compile_within(optimizer, **limits).report


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({"calls": 80}, "80 calls left no rollouts"),
        ({"calls": 130}, "130 calls left only 25 rollouts"),
        ({"rollouts": 46}, "46 rollouts left only 6 rollouts"),
    ],
)
def test_a_budget_that_pays_the_proof_and_hardly_a_search_is_called_so(limits: dict[str, int], left: str):
    report = searched(ol.Auto(), **limits)
    assert report.verdict.word == "inconclusive"
    assert report.verdict.reason.startswith(f"The budget of {left} for a search beside the proof; about ")
    assert report.stopped == report.record["search"]["stopped"] == "the budget left too little for a search"
    assert "nothing better" not in str(report)
    found = re.search(r"about (\d+) (\w+) would do", report.verdict.reason)
    assert found is not None
    enough = searched(ol.Auto(), **{found[2]: int(found[1])})
    assert enough.stopped == ""
    assert enough.points
    assert enough.candidates


def test_a_search_that_ran_out_before_it_came_to_anything_says_how_much_would_do():
    report = searched(ol.GEPA(), rollouts=60)
    assert "left only 20 rollouts for a search beside the proof; about " in report.verdict.reason
    assert report.stopped == "the budget of rollouts was used up"


def test_what_had_no_budget_for_a_search_goes_over_no_file_of_before(tmp_path: Path):
    path = tmp_path / "a.outlast.json"
    path.write_text("a better one")
    found = compile_within(ol.Auto(), calls=80)
    assert not found.report.searched
    with pytest.raises(
        SearchStopped, match=r"nothing is saved: .* too little budget for a search.*would do\. Raise it"
    ):
        found.save(path)
    assert path.read_text() == "a better one"
    assert found.save(path, anyway=True).read_text().startswith("{")
    assert compile_within(ol.Auto(), calls=400).report.searched


def test_twenty_examples_are_the_fewest():
    with pytest.raises(UsageError, match="does not pay for the proof"):
        proof(2 * 39)
