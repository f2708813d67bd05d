from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from outlast.errors import BudgetExceeded, ConfigError, LMServerError, StudyError
from outlast.messages import Request, Response, user
from outlast.optimize.budget import Purse
from outlast.optimize.ledger import Ledger
from outlast.optimize.memory import Asked, Memory
from outlast.runtime import Budget, drive, running
from outlast.testing import ScriptedLM

QUESTION = Request((user("q"),))


def memory(budget: Budget | None = None) -> Memory:
    return Memory(Ledger(None, {}), Purse(budget or Budget()))


def test_equal_questions_in_flight_are_sent_once():
    lm, mind = ScriptedLM(lambda _: "a", latency=0.01), memory()

    async def work() -> list[Any]:
        with running(blocking=False):
            return await asyncio.gather(*(mind.answer(lm, QUESTION) for _ in range(20)))

    answers = asyncio.run(work())
    assert lm.calls == 1
    assert {key for key, _ in answers} == {mind.ledger.form(lm.identity, QUESTION).key}
    assert [response.cache for _, response in answers].count("miss") == 1
    assert mind.purse.spent.calls == mind.purse.paid.calls == 1


def test_when_the_one_that_was_sent_fails_another_takes_over():
    replies = iter([LMServerError("sorry"), "a"])
    lm, mind = ScriptedLM(lambda _: next(replies), latency=0.01), memory()

    async def work() -> list[Any]:
        with running(blocking=False):
            return await asyncio.gather(*(mind.answer(lm, QUESTION) for _ in range(5)), return_exceptions=True)

    answers = asyncio.run(work())
    assert lm.calls == 2
    assert sum(isinstance(answer, LMServerError) for answer in answers) == 1
    assert mind.purse.spent.calls == 2


def test_when_the_one_that_was_sent_is_cancelled_another_takes_over():
    lm, mind = ScriptedLM(lambda _: "a", latency=0.02), memory()

    async def work() -> Response:
        with running(blocking=False):
            first = asyncio.create_task(mind.answer(lm, QUESTION))
            second = asyncio.create_task(mind.answer(lm, QUESTION))
            await asyncio.sleep(0.005)
            first.cancel()
            return (await second)[1]

    assert asyncio.run(work()).text == "a"
    assert lm.calls == 2
    assert mind.purse.spent.calls == 2  # a call that was given up may be billed too
    assert mind.purse.spent.uncertain == 1


def test_blocking_threads_wait_for_each_other_too():
    lm, mind = ScriptedLM(lambda _: "a", latency=0.02), memory()
    answers: list[str] = []

    def work() -> None:
        with running(blocking=True):
            answers.append(drive(mind.answer(lm, QUESTION))[1].text)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert answers == ["a"] * 6
    assert lm.calls == 1


def test_what_was_asked_is_recorded_with_its_key():
    lm, mind = ScriptedLM(lambda _: "a"), memory()
    asked: list[Asked] = []
    remembered = mind.recording(asked)(lm)
    assert remembered.name == lm.name
    for _ in range(2):
        with running(blocking=True):
            drive(remembered.complete(QUESTION))
    assert [item.request for item in asked] == [id(QUESTION)] * 2
    assert asked[0].key == asked[1].key
    assert lm.calls == 1


def test_an_empty_purse_stops_new_questions_and_no_known_ones():
    lm, mind = ScriptedLM(lambda _: "a"), memory(Budget(calls=1))

    async def work() -> None:
        with running(blocking=False):
            await mind.answer(lm, QUESTION)
            await mind.answer(lm, QUESTION)
            with pytest.raises(BudgetExceeded):
                await mind.answer(lm, Request((user("other"),)))

    asyncio.run(work())
    assert lm.calls == 1


def test_an_error_of_the_model_itself_costs_a_call_and_one_before_it_nothing():
    class Broken(ScriptedLM):
        async def complete(self, request: Request) -> Response:
            raise ConfigError("no such option")

    mind = memory()

    async def work() -> None:
        with running(blocking=False):
            with pytest.raises(ConfigError, match="no such option"):
                await mind.answer(Broken([]), QUESTION)
            with pytest.raises(LMServerError):
                await mind.answer(ScriptedLM(lambda _: LMServerError("sorry")), QUESTION)

    asyncio.run(work())
    assert mind.purse.spent.calls == 1
    assert mind.purse.exceeded() is None


def test_when_nothing_can_be_kept_nothing_is_asked():
    lm, mind = ScriptedLM(lambda _: "a"), memory()
    mind.ledger._file.failure = StudyError("disk full")

    async def work() -> None:
        with running(blocking=False), pytest.raises(StudyError, match="disk full"):
            await mind.answer(lm, QUESTION)

    asyncio.run(work())
    assert lm.calls == 0
