"""Asking for proposals: from a model and a purse of their own, remembered, and never fatal when they are rubbish."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
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
    writer: ol.Module = field(default_factory=lambda: ol.Predict(ProposeInstruction))

    def rollouts(self, train: int, select: int) -> int:
        return select

    async def search(self, study: ol.Study) -> Candidate:
        found: list[Candidate] = []
        for number in range(self.times):
            out = await study.ask(
                self.writer,
                sample=number,
                program="p",
                module="route",
                instruction="Route.",
                data="d",
                tip=f"tip {number}",
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
    options.setdefault("study", False)
    return ol.compile(Triage(), WORLD.data(), right, lm=WORLD.lm(), proposer=lm, progress=False, **options)


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
    assert str(found.report).count("3 of 3 proposals failed; the last: ") == 1


class Written(ol.Module):
    """A proposer without a model, that gives a dict as programs do."""

    async def forward(self, **inputs: str) -> dict[str, str]:
        return {"proposed": "Route by hand."}


def test_a_proposer_may_give_a_dict():
    report = compiled(writer("One."), optimizer=Asks(1, Written())).report
    assert report.candidate.changes == {"route.instruction": "Route by hand."}


class Faulty(ol.Module):
    """A proposer with a fault, from the `good`-th proposal on."""

    good: int = 0

    def __init__(self, good: int) -> None:
        self.good = good

    async def forward(self, module: str, instruction: str, tip: str, **others: Any) -> Any:
        if int(tip.split()[-1]) >= self.good:
            raise RuntimeError("a fault\nof mine.")
        return SimpleNamespace(proposed=f"Route {tip}.")


def test_a_proposer_that_fails_on_each_or_most_is_told_with_its_error(tmp_path: Path):
    found = compiled(writer("One."), optimizer=Asks(4, Faulty(0)), study=tmp_path / "s.db")
    said = "4 of 4 proposals failed; the last: RuntimeError: a fault of mine"
    reason = f"The search found nothing better than the program as it is: {said}."
    assert found.report.verdict.reason == found.report.record["result"]["reason"] == reason
    assert str(found.report).startswith(f"inconclusive: {reason.rstrip('.')}; 0 candidates")
    assert str(found.report).count(said) == 1
    assert said in found.to_html(tmp_path / "r.html").read_text()
    most = compiled(writer("One."), optimizer=Asks(4, Faulty(1)))
    assert "; 3 of 4 proposals failed; the last: RuntimeError: a fault of mine" in str(most.report)
    assert most.report.verdict.paired is not None
    assert "proposals failed" not in str(compiled(writer("One."), optimizer=Asks(4, Faulty(2))).report)


def test_a_purse_of_its_own_ends_the_proposals_and_not_the_search():
    found = compiled(
        writer("One.", "Two.", "Three."), proposer_budget=ol.Budget(calls=2), budget=ol.Budget(calls=2 * 90)
    )
    assert [out is None for out in ASKED] == [False, False, True]
    assert found.report.proposing.calls == 2
    assert found.report.stopped == ""
    assert "proposals: 2 calls" in str(found.report)
    none = compiled(writer("One."), proposer_budget=ol.Budget(calls=1), optimizer=Asks(9))
    assert "proposals failed" not in str(none.report)


def test_without_one_the_common_budget_pays():
    found = compiled(writer("One.", "Two.", "Three."))
    assert found.report.proposing is None
    assert found.report.spending.calls == found.report.record["cost"]["calls"]


def test_a_server_of_the_proposer_that_is_dead_stops_the_search_with_its_cause():
    def dead(request: Any) -> str:
        raise ol.errors.LMServerError("no server", status=500)

    with pytest.raises(SearchStopped, match=r"20 proposals in a row failed; .*again, from the start, as study=False"):
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
