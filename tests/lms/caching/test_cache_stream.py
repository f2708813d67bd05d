"""Streams and decisions through the cache: replayed when known, kept when whole, and nobody ever hangs."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from outlast.errors import LMServerError
from outlast.lms.caching.cache import Cached
from outlast.lms.protocol import LM
from outlast.messages import (
    Decision,
    Finished,
    Question,
    Request,
    Response,
    StreamEvent,
    TextDelta,
    ThoughtDelta,
    ToolCall,
    ToolDelta,
    Usage,
    user,
)
from outlast.runtime import sleep

HI = Request((user("hi"),))


class Talking(LM):
    """Says "one two three" with the number of the call, in pieces; notes how its streams end."""

    blocking_safe = True
    name = "talking"

    def __init__(self, pause: float = 0.0, **response: Any) -> None:
        self.pause = pause
        self.response = response
        self.calls = 0
        self.ended: list[str] = []
        self.failure: Exception | None = None
        self.lock = threading.Lock()

    def _whole(self) -> Response:
        with self.lock:
            self.calls += 1
            return Response(**{"text": f"one two {self.calls}", "usage": Usage(3, 4, cost=0.25), **self.response})

    async def complete(self, request: Request) -> Response:
        whole = self._whole()
        await sleep(self.pause)
        return whole

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        whole = self._whole()
        try:
            if whole.reasoning:
                yield ThoughtDelta(whole.reasoning)
            for word in whole.text.split(" "):
                await sleep(self.pause)
                yield TextDelta(word + " ")
            if self.failure is not None:
                raise self.failure
            yield Finished(whole)
            self.ended.append("read")
        except GeneratorExit:
            self.ended.append("given up")
            raise


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "responses.db"


async def read(lm: LM, request: Request = HI) -> list[StreamEvent]:
    return [event async for event in lm.stream(request)]


def last(events: list[StreamEvent]) -> Response:
    event = events[-1]
    assert isinstance(event, Finished)
    return event.response


async def test_a_miss_passes_the_pieces_through_and_a_hit_replays_them(path: Path) -> None:
    inner = Talking(reasoning="hm", tool_calls=(ToolCall("1", "look", "{}"), ToolCall("2", "find", "[")))
    lm = Cached(inner, path)
    first = await read(lm)
    assert first[:-1] == [ThoughtDelta("hm"), TextDelta("one "), TextDelta("two "), TextDelta("1 ")]
    assert last(first).cache == "miss"
    whole = [
        ThoughtDelta("hm"),
        TextDelta("one two 1"),
        ToolDelta(0, "1", "look", "{}"),
        ToolDelta(1, "2", "find", "["),
    ]
    for tier in (lm, Cached(inner, path)):
        again = await read(tier)
        assert again[:-1] == whole
        assert (last(again).cache, last(again).text, last(again).tool_calls) == (
            "hit",
            "one two 1",
            inner.response["tool_calls"],
        )
    assert inner.calls == 1


async def test_streams_and_whole_replies_share_what_is_kept(path: Path) -> None:
    inner = Talking()
    lm = Cached(inner, path)
    await read(lm)
    assert (await lm.complete(HI)).cache == "hit"
    other = Request((user("other"),))
    await lm.complete(other)
    assert last(await read(lm, other)).cache == "hit"
    assert inner.calls == 2


def test_blocking_code_reads_streams_too(path: Path) -> None:
    inner = Talking()
    lm = Cached(inner, path)
    assert [type(event).__name__ for event in lm.events("hi")] == ["TextDelta"] * 3 + ["Finished"]
    assert [type(event).__name__ for event in lm.events("hi")] == ["TextDelta", "Finished"]
    assert inner.calls == 1


async def test_a_stream_that_is_given_up_keeps_nothing_and_closes_the_call(path: Path) -> None:
    inner = Talking()
    lm = Cached(inner, path)
    events = lm.stream(HI)
    assert await anext(events) == TextDelta("one ")
    await events.aclose()
    assert inner.ended == ["given up"]
    assert lm.stats().stored == 0
    assert last(await read(lm)).text == "one two 2"
    assert (await lm.complete(HI)).text == "one two 2"


async def test_a_stream_that_is_closed_at_its_last_event_is_kept(path: Path) -> None:
    lm = Cached(Talking(), path)
    events = lm.stream(HI)
    async for event in events:
        if isinstance(event, Finished):
            break
    await events.aclose()
    assert last(await read(lm)).cache == "hit"


async def test_a_stream_that_fails_keeps_nothing(path: Path) -> None:
    inner = Talking()
    inner.failure = LMServerError("cut off")
    lm = Cached(inner, path)
    with pytest.raises(LMServerError):
        await read(lm)
    assert lm.stats().stored == 0
    inner.failure = None
    assert last(await read(lm)).text == "one two 2"


@pytest.mark.parametrize("response", [{"finish": "length"}, {"text": ""}])
async def test_an_answer_that_asking_again_may_better_is_not_kept(path: Path, response: dict[str, Any]) -> None:
    inner = Talking(**response)
    lm = Cached(inner, path)
    await read(lm)
    assert last(await read(lm)).cache == "miss"


async def test_nobody_waits_for_a_stream_that_nobody_reads(path: Path) -> None:
    inner = Talking()
    lm = Cached(inner, path)
    stopped = lm.stream(HI)
    await anext(stopped)  # in flight, and never read on
    other = lm.stream(HI)
    await asyncio.wait_for(anext(other), 60)
    assert last(await asyncio.wait_for(read(lm), 60)).text == "one two 3"
    assert (await asyncio.wait_for(lm.complete(HI), 60)).text == "one two 3"
    await other.aclose()
    del stopped
    gc.collect()
    await asyncio.sleep(0)
    assert last(await asyncio.wait_for(read(lm), 60)).cache == "hit"


async def test_equal_streams_in_flight_all_end(path: Path) -> None:
    inner = Talking(pause=0.01)
    lm = Cached(inner, path)
    tasks = [asyncio.ensure_future(read(lm)) for _ in range(20)]
    await asyncio.sleep(0.015)
    tasks[0].cancel()
    done = await asyncio.wait_for(asyncio.gather(*tasks[1:]), 10)
    assert all(last(events).text.startswith("one two") for events in done)
    assert last(await read(lm)).cache == "hit"


async def test_a_stream_waits_for_a_whole_reply_in_flight(path: Path) -> None:
    inner = Talking(pause=0.05)
    lm = Cached(inner, path)
    whole = asyncio.ensure_future(lm.complete(HI))
    await asyncio.sleep(0.01)
    events = await read(lm)
    assert (last(events).cache, last(events).text) == ("shared", (await whole).text)
    assert inner.calls == 1
    fresh = Request((user("fresh"),))
    leader = asyncio.ensure_future(lm.complete(fresh))
    await asyncio.sleep(0.01)
    follower = asyncio.ensure_future(read(lm, fresh))
    await asyncio.sleep(0.01)
    leader.cancel()
    assert last(await asyncio.wait_for(follower, 60)).cache == "miss"


def test_threads_that_stream_the_same_all_get_it(path: Path) -> None:
    lm = Cached(Talking(pause=0.005), path)
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(list(lm.events("hi"))[-1].response.text)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert len(texts) == 8
    assert list(lm.events("hi"))[-1].response.cache == "hit"


DECISION = Decision(True, {"yes": 0.75, "no": 0.25}, "native")
ASK = Request((user("My card is lost"),), questions=(("lost", Question("yes_no", "Is the card lost?")),))


async def test_decisions_are_kept_in_memory_and_on_disk(path: Path) -> None:
    inner = Talking(decisions=(("lost", DECISION),))
    lm = Cached(inner, path)
    first = await lm.complete(ASK)
    assert (first.cache, dict(first.decisions)["lost"].value) == ("miss", True)
    for tier in (lm, Cached(inner, path)):
        again = await tier.complete(ASK)
        assert (again.cache, again.attempts, again.decisions, again.usage) == ("hit", 0, first.decisions, first.usage)
    assert inner.calls == 1
    other = replace(ASK, questions=(("lost", Question("yes_no", "Is it gone?")),))
    assert (await lm.complete(other)).cache == "miss"
    assert (await lm.complete(Request(ASK.messages))).cache == "miss"
    assert lm.stats().tokens_saved == 7


async def test_decisions_with_refused_questions_are_not_kept(path: Path) -> None:
    lm = Cached(Talking(decisions=(("lost", DECISION),), undecided=(("other", "too vague"),)), path)
    assert [(await lm.complete(ASK)).cache for _ in range(2)] == ["miss", "miss"]
