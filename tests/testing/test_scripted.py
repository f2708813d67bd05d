"""The scripted model: the replies of a test, with everything else as a real model has it."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import outlast as ol
from outlast.errors import LMTimeout, UsageError
from outlast.messages import Message, Response, Usage
from outlast.testing import ScriptedLM

PROGRAM = ol.Predict("question -> answer, score: float")


def test_replies_from_a_list_come_in_turn() -> None:
    lm = ScriptedLM(["one", "two"])
    assert [lm("x").text, asyncio.run(lm.acall("x")).text] == ["one", "two"]
    with pytest.raises(UsageError, match="no reply left for call 3"):
        lm("x")


def test_replies_from_any_iterable() -> None:
    lm = ScriptedLM(str(i) for i in range(2))
    assert [lm("x").text for _ in range(2)] == ["0", "1"]


def test_replies_from_a_function_see_the_messages() -> None:
    lm = ScriptedLM(lambda messages: messages[-1].text.upper())
    assert lm("hello").text == "HELLO"
    assert lm([Message("system", "a"), Message("user", "b")]).text == "B"


@pytest.mark.parametrize("adapter", [ol.Chat(), ol.JSON()])
def test_a_mapping_is_an_answer_for_every_adapter(adapter: ol.Adapter) -> None:
    lm = ScriptedLM(lambda _: {"answer": "ünï\n<<end>>", "score": 0.5})
    with ol.context(lm=lm, adapter=adapter):
        out = PROGRAM(question="x")
    assert (out.answer, out.score) == ("ünï\n<<end>>", 0.5)


def test_an_async_function_works_both_ways() -> None:
    async def handler(messages: tuple[Message, ...]) -> str:
        await asyncio.sleep(0.001)
        return messages[-1].text

    lm = ScriptedLM(handler)
    assert lm("x").text == "x"
    assert asyncio.run(lm.acall("x")).text == "x"


def test_an_exception_is_raised_as_often_as_asked() -> None:
    error = LMTimeout("late")
    lm = ScriptedLM(lambda _: error)
    depths: set[int] = set()
    for _ in range(5):
        with pytest.raises(LMTimeout) as caught:
            lm("x")
        depths.add(len(caught.traceback))
    assert len(depths) == 1  # the traceback does not grow


def test_a_response_is_given_as_it_is() -> None:
    usage = Usage(1, 2, cost=0.5)
    lm = ScriptedLM([Response("x", usage=usage), Response("y", "other")], name="script")
    assert lm("q") == Response("x", "script", usage=usage)
    assert lm("q").model == "other"


def test_usage_is_counted_in_words_and_priced() -> None:
    response = ScriptedLM(["one two three"], price=0.01)("four five")
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.cost) == (2, 3, 0.01)
    assert ScriptedLM(["x"], price=None)("y").usage.cost is None


def test_requests_are_kept_on_demand() -> None:
    kept, plain = ScriptedLM(lambda _: "x", keep=True), ScriptedLM(lambda _: "x")
    for lm in (kept, plain):
        lm("q", temperature=0.5)
        assert lm.calls == 1
    assert [request.settings.temperature for request in kept.requests] == [0.5]
    assert plain.requests == []


def test_latency_holds_nobody_up() -> None:
    lm = ScriptedLM(lambda _: "x", latency=0.05)

    async def main() -> Any:
        return await asyncio.gather(*(lm.acall("q") for _ in range(50)))

    started = time.perf_counter()
    found = asyncio.run(main())
    with ThreadPoolExecutor(20) as pool:
        found += list(pool.map(lambda _: lm("q"), range(20)))
    assert time.perf_counter() - started < 2.5  # 3.5 s one after another
    assert [response.seconds for response in found] == [0.05] * 70
    assert lm.calls == 70


def test_a_list_may_be_used_from_many_threads() -> None:
    lm = ScriptedLM(str(i) for i in range(500))
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: lm("q").text, range(500)))
    assert sorted(found, key=int) == [str(i) for i in range(500)]


@pytest.mark.parametrize("script", [None, 3, "text", {"answer": "x"}])
def test_what_is_no_script_is_refused(script: Any) -> None:
    with pytest.raises(UsageError, match="function of the messages or a list of replies"):
        ScriptedLM(script)


@pytest.mark.parametrize("reply", [None, 3, ["x"], LMTimeout])
def test_what_is_no_reply_is_refused(reply: Any) -> None:
    with pytest.raises(UsageError, match="a scripted reply is text, a mapping, a Response or an exception"):
        ScriptedLM(lambda _: reply)("q")
