"""Asking for proposals: from a model and a purse of their own, remembered, and never fatal when they are rubbish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

import outlast as ol
from outlast.errors import SearchStopped, UsageError
from outlast.optimize.candidate import Candidate
from outlast.optimize.proposers import ProposeInstruction
from outlast.testing import ScriptedLM
from outlast.testing.world import Triage, World, right

WORLD = World(examples=90)
ASKED: list[Any] = []


@dataclass(frozen=True, slots=True)
class Asks(ol.Optimizer):
    """Asks for `times` instructions and proposes those that came."""

    times: int = 3

    def rollouts(self, train: int, select: int) -> int:
        return select

    async def search(self, study: ol.Study) -> Candidate:
        writer = ol.Predict(ProposeInstruction)
        found: list[Candidate] = []
        for number in range(self.times):
            out = await study.ask(
                writer, sample=number, program="p", module="route", instruction="Route.", data="d", tip=f"tip {number}"
            )
            ASKED.append(out)
            if out is not None:
                found.append(
                    study.propose(
                        {"route.instruction": out.proposed}, origin="written", operator="asks", cause=("an example",)
                    )
                )
        return found[-1] if found else study.start


def compiled(lm: Any, **options: Any) -> Any:
    ASKED.clear()
    options.setdefault("optimizer", Asks())
    return ol.compile(Triage(), WORLD.data(), right, lm=WORLD.lm(), proposer=lm, study=False, progress=False, **options)


def writer(*texts: str) -> ScriptedLM:
    return ScriptedLM([f"<<proposed>>\n{text}\n\n<<end>>" for text in texts])


def test_proposals_come_from_the_proposer_and_keep_what_made_them():
    lm = writer("Route well.", "Route better.", "Route best.")
    report = compiled(lm).report
    assert report.candidate.changes == {"route.instruction": "Route best."}
    assert (report.candidate.operator, report.candidate.cause) == ("asks", ("an example",))
    assert lm.calls == 3


def test_rubbish_costs_its_call_and_nothing_else():
    lm = ScriptedLM(lambda messages: "")
    found = compiled(lm)
    assert ASKED == [None, None, None]
    assert found.report.verdict.word == "inconclusive"
    assert found.report.spending.calls >= 3


def test_a_purse_of_its_own_ends_the_proposals_and_not_the_search():
    found = compiled(
        writer("One.", "Two.", "Three."), proposer_budget=ol.Budget(calls=2), budget=ol.Budget(calls=2 * 90)
    )
    assert [out is None for out in ASKED] == [False, False, True]
    assert found.report.proposing.calls == 2
    assert found.report.stopped == ""
    assert "proposals: 2 calls" in str(found.report)


def test_without_one_the_common_budget_pays():
    found = compiled(writer("One.", "Two.", "Three."))
    assert found.report.proposing is None
    assert found.report.spending.calls == found.report.record["cost"]["calls"]


def test_a_server_of_the_proposer_that_is_dead_stops_the_search_with_its_cause():
    def dead(request: Any) -> str:
        raise ol.errors.LMServerError("no server", status=500)

    with pytest.raises(SearchStopped, match="20 proposals in a row"):
        compiled(ScriptedLM(dead), optimizer=Asks(30))


def test_the_budget_of_the_proposer_is_a_budget():
    with pytest.raises(UsageError, match="proposer_budget"):
        compiled(writer("One."), proposer_budget=3)


def test_rerunning_asks_no_proposal_again(tmp_path: Any):
    lm = writer("One.", "Two.", "Three.")
    options = {"lm": WORLD.lm(), "proposer": lm, "study": tmp_path / "s.db", "progress": False, "optimizer": Asks()}
    first = ol.compile(Triage(), WORLD.data(), right, **options)
    again = ol.compile(Triage(), WORLD.data(), right, **options)
    assert lm.calls == 3
    assert again.report.candidate == first.report.candidate
    assert again.report.spending.calls == 0


def test_a_proposer_that_raises_what_no_model_raises_costs_nothing_more():
    def broken(messages: Any) -> str:
        raise RuntimeError("a bug of the proposer")

    found = compiled(ScriptedLM(broken))
    assert ASKED == [None, None, None]
    assert found.report.verdict.word == "inconclusive"


def test_a_proposal_that_is_too_dear_for_what_is_left_does_not_end_the_search():
    dear = ScriptedLM(["<<proposed>>\nRoute.\n\n<<end>>"] * 3, price=5.0)
    found = compiled(dear, budget=ol.Budget(dollars=1.0))
    assert ASKED == [None, None, None]
    assert dear.calls == 0
    assert found.report.stopped == ""
