"""The seconds of a budget: what runs when they end is given up, and the proof has its own."""

from __future__ import annotations

import asyncio
import math
import time
from pathlib import Path
from typing import Any

import pytest
from tests.optimize.studies import COLOURS, Pick, knows, matches, study_of, things, within

import outlast as ol
from outlast.errors import BudgetExceeded, UsageError
from outlast.optimize.budget import Purse
from outlast.optimize.candidate import Outcome
from outlast.optimize.proof import spare_of
from outlast.optimize.reserve import Reserve
from outlast.runtime import Budget, run_blocking
from outlast.testing import ScriptedLM
from outlast.testing.world import Triage, World, right

GOOD = f"Say one of {', '.join(COLOURS)}."
FOREVER = 3600.0
SOON = 60.0  # what hangs was given up, however busy the machine is


class Blocking(ol.Module):
    """`Pick` in blocking code, which runs in threads."""

    pick = ol.Predict("thing -> colour: str", instruction="Pick a colour.")

    def forward(self, thing: str) -> Any:
        return self.pick(thing=thing)


class Then(ol.Optimizer):
    """Finds a good candidate, then goes on to another instruction, or to what `after` does."""

    def __init__(self, instruction: str = "", after: Any = None) -> None:
        self.instruction = instruction
        self.after = after

    def rollouts(self, train: int, select: int) -> int:
        return 3 * select

    async def search(self, study: ol.Study) -> ol.Candidate:
        good = study.propose({"pick.instruction": GOOD}, origin="good")
        await study.evaluate(study.start, study.select)
        await study.evaluate(good, study.select)
        if self.instruction:
            await study.evaluate(study.propose({"pick.instruction": self.instruction}, origin="x"), study.select)
        if self.after is not None:
            await self.after(study)
        return good


def hanging(latency: float = 0.0) -> ScriptedLM:
    """It never answers what says "hang"."""

    async def answer(messages: Any) -> Any:
        if "hang" in messages[0].text:
            await asyncio.sleep(FOREVER)
        return knows(messages)

    return ScriptedLM(answer, latency=latency)


def compiled(optimizer: Any, seconds: float = 1.0, program: Any = None, lm: Any = None, **options: Any) -> Any:
    options.setdefault("study", False)
    options.setdefault("lm", lm or hanging())
    data = {name: things(20, first=40 * number) for number, name in enumerate(("train", "select", "confirm"))}
    budget = options.pop("budget", Budget(seconds=seconds))
    return ol.compile(program or Pick(), data, matches, optimizer=optimizer, budget=budget, progress=False, **options)


@pytest.mark.parametrize("program", [Pick(), Blocking()], ids=["async", "blocking"])
def test_calls_in_flight_are_given_up_and_the_leader_is_proven(program: Any, tmp_path: Path):
    path = tmp_path / "a.study.db"
    found = compiled(Then("hang"), 2, program=program, study=path)
    assert found.report.seconds < SOON
    assert found.report.stopped == "the budget of seconds was used up"
    assert found.report.verdict.word == "better"
    assert found.program.pick.instruction == GOOD
    again = compiled(Then(), program=program, study=path, lm=ScriptedLM([]))  # all that was paid is there
    assert again.report.verdict.word == "better"


def test_it_is_the_same_in_async_code():
    async def main() -> Any:
        data = {name: things(20, first=40 * number) for number, name in enumerate(("train", "select", "confirm"))}
        return await ol.acompile(
            Pick(), data, matches, optimizer=Then("hang"), lm=hanging(), budget=Budget(seconds=1), study=False,
            progress=False,
        )  # fmt: skip

    found = asyncio.run(main())
    assert found.report.verdict.word == "better"
    assert found.report.seconds < SOON


def test_what_was_given_up_may_be_billed_and_is_counted():
    found = compiled(Then("hang"), budget=Budget(seconds=1, calls=1000))
    assert found.report.spending.calls == 40 + 20 * 2 + 20
    assert found.report.spending.uncertain_tokens > 0


def test_a_slow_search_leaves_its_proof_the_time_that_it_needs():
    world = World(examples=80, base=0.1, gain=0.9, demos=1)
    found = ol.compile(
        Triage(),
        world.data(),
        right,
        lm=world.lm(latency=0.05),
        optimizer=ol.RandomSearch(candidates=16),
        budget=Budget(seconds=3),
        concurrency=16,
        study=False,
        progress=False,
    )
    assert found.report.stopped == "the budget of seconds was used up"
    assert found.report.verdict.word == "better"
    assert found.report.seconds < SOON


def test_the_proof_itself_is_cut_and_says_so():
    async def answer(messages: Any) -> Any:
        if messages[-1].text.count("thing 8") and GOOD in messages[0].text:  # of the proof only
            await asyncio.sleep(FOREVER)
        return knows(messages)

    found = compiled(Then(), 0.5, lm=ScriptedLM(answer))
    assert found.report.verdict.word == "unproven"
    assert found.report.stopped == "the budget of seconds was used up"
    assert found.winner.pick.instruction == GOOD
    assert found.program.pick.instruction == "Pick a colour."
    assert found.report.seconds < SOON


def test_a_function_that_asks_nobody_is_cut_too():
    async def paint(thing: str, hue: str) -> Any:
        if hue == "c":
            await asyncio.sleep(FOREVER)
        return hue

    found = ol.optimize(
        paint,
        things(60),
        lambda example, out: out == "b",
        params={"hue": ol.Choice(["a", "b", "c"])},
        optimizer=ol.SpaceSearch({"hue": ["b", "c"]}, trials=12, parallel=3, sampler="random"),
        budget=Budget(seconds=1),
        study=False,
        progress=False,
    )
    assert found.report.stopped == "the budget of seconds was used up"
    assert found.report.seconds < SOON
    assert found.params == {"hue": "b"}


def test_a_proposer_that_hangs_is_given_up():
    async def ask(study: ol.Study) -> None:
        await study.ask(ol.Predict("text -> improved: str", instruction="hang"), text="x")

    found = compiled(Then(after=ask), 0.8)
    assert found.report.verdict.word == "better"
    assert found.report.seconds < SOON


def test_the_time_of_a_proposers_own_budget_ends_proposals_and_nothing_else():
    answers: list[Any] = []

    async def ask(study: ol.Study) -> None:
        module = ol.Predict("text -> improved: str", instruction="hang")
        answers.append(await study.ask(module, text="x"))
        answers.append(await study.ask(module, text="y"))

    found = compiled(Then(after=ask), budget=None, proposer=hanging(), proposer_budget=Budget(seconds=0.3))
    assert answers == [None, None]
    assert found.report.verdict.word == "better"
    assert found.report.stopped == ""


def test_a_search_that_waits_for_something_else_is_ended():
    async def dream(study: ol.Study) -> None:
        await asyncio.sleep(FOREVER)

    found = compiled(Then(after=dream), 0.8)
    assert found.report.verdict.word == "better"
    assert found.report.seconds < SOON


def test_a_search_may_still_say_what_it_would_ship():
    class Graceful(Then):
        async def search(self, study: ol.Study) -> ol.Candidate:
            try:
                return await super().search(study)
            except BudgetExceeded:
                return study.propose({"pick.instruction": GOOD + "!"}, origin="of its own")

    found = compiled(Graceful("hang"), 1)
    assert found.report.candidate.origin == "of its own"


def test_too_little_time_for_the_proof_is_found_after_a_first_look():
    lm = ScriptedLM(knows, latency=0.05)
    with pytest.raises(UsageError, match=r"budget of 0.5 seconds does not pay for the proof.*a rollout takes 0\.0"):
        compiled(Then(), 0.5, lm=lm, concurrency=2)
    assert lm.calls == 10


def test_a_program_that_hangs_from_the_start_ends_in_time():
    began = time.monotonic()
    with pytest.raises(UsageError, match=r"does not pay for the proof.*the budget of 0.3 seconds is used up"):
        compiled(Then(), 0.3, lm=ScriptedLM(lambda messages: asyncio.sleep(FOREVER)))
    assert time.monotonic() - began < SOON


def test_of_a_budget_in_seconds_around_a_compile_the_proof_has_its_time_too():
    lm = hanging(latency=0.02)
    with ol.budget(seconds=3):
        found = compiled(Then("hang"), budget=None, lm=lm, concurrency=8)
    assert found.report.stopped == "the budget of seconds was used up"
    assert found.report.verdict.word == "better"
    assert found.program.pick.instruction == GOOD


def test_a_proof_is_made_smaller_for_the_time_of_a_budget_around_too():
    study = study_of(Pick(), purse=Purse(Budget(), ol.Budget(seconds=100).meter()))
    within(study, lambda: study.evaluate(study.start, study.select[:4]), ScriptedLM(knows, latency=0.01))
    assert study.plan.share(0.25) < math.inf
    assert study.plan.affordable() == math.inf


def test_a_request_to_end_is_no_end_of_the_time():
    async def main() -> Any:
        data = {name: things(20, first=40 * number) for number, name in enumerate(("train", "select", "confirm"))}
        job = asyncio.ensure_future(
            ol.acompile(
                Pick(), data, matches, optimizer=Then("hang"), lm=hanging(), budget=Budget(seconds=20), study=False,
                progress=False,
            )
        )  # fmt: skip
        await asyncio.sleep(0.4)
        job.cancel()
        return await job

    found = asyncio.run(main())
    assert found.report.stopped == "interrupted"
    assert found.report.verdict.word == "unproven"


def test_how_much_a_proof_grows_is_decided_once_however_fast_it_is_repeated():
    study = study_of(Pick(), budget=Budget(seconds=30), confirm=12)
    within(study, lambda: study.evaluate(study.start, study.select), ScriptedLM(knows, latency=0.01))
    first, free = spare_of(study, study.start), study.plan.spare(study.start)
    time.sleep(0.05)
    assert study.plan.spare(study.start) < free
    assert spare_of(study, study.start) == first > 12
    unbounded = study_of(Pick())
    assert spare_of(unbounded, unbounded.start) == math.inf


def test_who_waits_for_a_rollout_of_another_hears_that_the_time_is_over():
    study = study_of(Pick(), budget=Budget(seconds=0.2))
    slow = study.propose({"pick.instruction": "hang"}, origin="x")

    async def twice() -> Any:
        some = study.select[:3]
        return await asyncio.gather(study.evaluate(slow, some), study.evaluate(slow, some), return_exceptions=True)

    failures = within(study, twice, hanging())
    assert [type(one) for one in failures] == [BudgetExceeded, BudgetExceeded]
    assert {one.limit for one in failures} == {"seconds"}


def test_an_error_of_time_of_the_program_stays_its_own():
    def late(messages: Any) -> Any:
        raise TimeoutError("my own")

    study = study_of(Pick(), budget=Budget(seconds=30))
    (outcome,) = within(study, lambda: study.evaluate(study.start, study.select[:1]), ScriptedLM(late))
    assert "my own" in outcome.error


def test_a_judge_takes_time_from_the_proof_too():
    async def judge(example: Any, out: Any) -> bool:
        await asyncio.sleep(0.05)
        return out.colour == example.colour

    study = study_of(Pick(), metric=judge, confirm=20, concurrency=4)
    within(study, lambda: study.evaluate(study.start, study.select))
    assert study.plan.reserve.need("start")["seconds"] >= 20 * 0.05 / 4 + 0.05


def test_the_proof_needs_the_time_of_all_and_of_the_longest():
    reserve = Reserve(20, concurrency=4)
    for number in range(20):
        reserve.add(Outcome("start", str(number), 0, "", 1.0, seconds=1.0), 2.0)
    assert reserve.need("start")["seconds"] == pytest.approx(20 * 2 / 4 + 2)
    assert reserve.amounts()["seconds"] == pytest.approx(1.25 * (20 * 2 / 4 + 2) + 0.3)


def test_seconds_left_are_those_of_the_narrowest_budget_without_what_is_held_back():
    around = ol.Budget(seconds=10).meter()
    purse = Purse(Budget(seconds=100), around)
    purse.hold(seconds=4)
    assert 5 < purse.seconds_left() <= 6
    assert 9 < purse.free("seconds") <= 10
    assert purse.late().limit == "seconds"
    assert around.refused is None  # others may still use what is held back here
    purse.hold()
    assert 9 < purse.seconds_left() <= 10
    assert purse.late().limit == "seconds"
    assert "10 seconds" in str(purse.late())


def test_a_study_without_a_limit_sets_no_timer():
    study = study_of(Pick())

    async def look() -> Any:
        async with study.plan.deadline.within():
            return asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]

    assert run_blocking(look) == []
