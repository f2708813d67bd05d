"""Ten thousand calls through a server that fails every fifth of them in every way that it knows.

Everything is answered or reported, nothing is answered with what belongs to another, nothing is paid for twice, and
neither sockets nor memory grow with the number of calls.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import resource
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import outlast as ol
from outlast.errors import BudgetExceeded, LMError, LMRateLimited, LMResponseError, LMTimeout
from outlast.lms.protocol import LM
from outlast.messages import Response
from outlast.testing import Answer, FakeServer, Fault

pytestmark = [pytest.mark.server, pytest.mark.slow]
CALLS, SHARE = 10_000, 0.2
BODY_LIMIT = 100_000
FAULTS: dict[str, Fault] = {
    "rate": Fault.error(429, "slow down", retry_after=0.01),
    "error": Fault.error(500, "oops"),
    "busy": Fault.error(503, "busy"),
    "slow": Fault.slow(0.05),
    "cut": Fault.cut(after=1),
    "drop": Fault.drop(),
    "malformed": Fault.malformed(after=1),
    "garbage": Fault.garbage(),
    "empty": Fault.empty(),
    "type": Fault.html(),
    "huge": Fault.huge(4 * BODY_LIMIT),
    "announced": Fault.huge(4 * BODY_LIMIT, announced=True),
    "not_http": Fault.not_http(),
    "error_event": Fault.error_event("it broke off", after=1),
}
STREAM_FAULTS = {
    "no_finish": Fault.form("no_finish"),
    "flood": Fault.flood(4 * BODY_LIMIT),
    "late_cut": Fault.cut(after=5),
    "late_malformed": Fault.malformed(after=5),
}
FORMS = (
    ("crlf",),
    ("cr", "bom"),
    ("lines",),
    ("comments", "fields", "tight"),
    ("no_usage",),
    ("whole",),
    ("json_type",),
)


class Unreliable:
    """A handler that says back what it is asked, or goes wrong on the way; which, is drawn from a seed."""

    def __init__(self, share: float = SHARE, seed: int = 7) -> None:
        self.share = share
        self.random = random.Random(seed)
        self.shown: Counter[str] = Counter()

    def __call__(self, body: dict[str, Any]) -> Any:
        said = f"you said {body['messages'][-1]['content']}, which is all"
        streams = bool(body.get("stream"))
        if self.random.random() >= self.share:
            if streams and self.random.random() < 0.3:
                return Fault.form(*self.random.choice(FORMS[:4]), answer=said)
            return said
        faults = {**FAULTS, **STREAM_FAULTS} if streams else FAULTS
        name = self.random.choice(list(faults))
        self.shown[name] += 1
        return replace(faults[name], answer=said)


def opened(server: FakeServer, **options: Any) -> LM:
    options = {"cache": False, "retries": 4, "concurrency": 256, "max_response_bytes": BODY_LIMIT, **options}
    return ol.LM("openai/m", base_url=server.url, **options)


async def whole(lm: LM, prompt: str) -> Response:
    return await lm.acall(prompt)


async def in_pieces(lm: LM, prompt: str) -> Response:
    async for _ in (events := lm.events(prompt)):
        pass
    assert events.response is not None
    assert events.text == events.response.text
    return events.response


async def ask_all(lm: LM, calls: int, ask: Callable[[LM, str], Any], at_once: int = 300) -> dict[int, Any]:
    """What became of each call: a response or an error. `at_once` are started; the LM holds back what it must."""
    ended: dict[int, Any] = {}
    numbers = iter(range(calls))

    async def work() -> None:
        for number in numbers:
            try:
                ended[number] = await ask(lm, f"number {number}")
            except LMError as error:
                ended[number] = error

    await asyncio.gather(*(work() for _ in range(at_once)))
    return ended


def check(ended: dict[int, Any], server: FakeServer, calls: int) -> dict[int, Response]:
    """Each call has its own answer or an error, and what the server says was used was counted once."""
    assert sorted(ended) == list(range(calls)), "a call was lost"
    answered = {number: end for number, end in ended.items() if isinstance(end, Response)}
    for number, response in answered.items():
        assert response.text == f"you said number {number}, which is all"
    assert server.answered == len(answered), "an answer was thrown away or counted twice"
    used = [response.usage for response in answered.values()]
    assert (sum(u.input_tokens for u in used), sum(u.output_tokens for u in used)) == server.told
    return answered


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def peak_memory() -> int:
    """The most memory that this process ever held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def test_ten_thousand_calls_are_answered_or_reported_and_none_is_paid_for_twice():
    unreliable, most_files = Unreliable(), 0
    with FakeServer(unreliable) as server:
        before = open_files()

        async def watch() -> None:
            nonlocal most_files
            while True:
                most_files = max(most_files, open_files())
                await asyncio.sleep(0.05)

        watching = asyncio.create_task(watch())
        ended = await asyncio.wait_for(ask_all(opened(server), CALLS, whole), 300)
        watching.cancel()
        answered = check(ended, server, CALLS)
        assert server.max_in_flight <= 256
    shown = unreliable.shown
    assert set(shown) == set(FAULTS)
    assert 0.15 < sum(shown.values()) / server.count < 0.25
    # A reply that makes no sense may have been paid for, so it is not asked for again; all else is.
    nonsense = sum(isinstance(end, LMResponseError) for end in ended.values())
    assert 0.05 * CALLS < nonsense < 0.15 * CALLS
    assert len(answered) + nonsense > 0.99 * CALLS
    assert sum(response.attempts for response in answered.values()) <= server.count
    assert any(response.attempts > 2 for response in answered.values())
    assert most_files - before < 2 * 256 + 100, "client and server each have one for a connection"
    kinds = {type(end).__name__ for end in ended.values() if not isinstance(end, Response)}
    assert kinds <= {"LMConnectionError", "LMServerError", "LMRateLimited", "LMResponseError"}


async def test_streams_are_answered_or_reported_and_begin_anew_only_before_their_first_word():
    unreliable = Unreliable()
    with FakeServer(unreliable) as server:
        ended = await asyncio.wait_for(ask_all(opened(server), 2_000, in_pieces), 120)
        answered = check(ended, server, 2_000)
    assert set(unreliable.shown) == {*FAULTS, *STREAM_FAULTS}
    broken = [end for end in ended.values() if not isinstance(end, Response)]
    assert 0.85 * 2_000 < len(answered) < 2_000
    assert broken
    assert any(response.attempts > 1 for response in answered.values())


async def test_memory_does_not_grow_with_the_number_of_calls():
    with FakeServer(Unreliable()) as server:
        lm = opened(server)
        await ask_all(lm, 1_000, whole)
        gc.collect()
        early = peak_memory()
        for _ in range(2):
            await ask_all(lm, 1_000, whole)
            server.requests.clear()
        gc.collect()
        assert peak_memory() - early < 40 << 20


async def test_silence_ends_with_the_time_limit_whole_or_in_a_stream():
    silent = Fault.stall(60, after=3, answer=Answer("some words and then nothing"))
    with FakeServer(silent) as server:
        lm = opened(server, timeout=0.5, retries=0)
        for ask in (whole, in_pieces):
            ended = await asyncio.wait_for(ask_all(lm, 64, ask), 20)
            assert {type(end) for end in ended.values()} == {LMTimeout}
        for _ in range(100):
            if server.in_flight == 0:
                break
            await asyncio.sleep(0.05)
        assert (server.in_flight, server.disconnects) == (0, 128), "the connections were closed"


@pytest.mark.parametrize("ask", [whole, in_pieces])
async def test_a_budget_is_never_exceeded_whatever_fails(ask):
    prompt_bytes, price = 60, (1.0, 10.0)
    with FakeServer(Unreliable()) as server:
        lm = opened(server, price=price, max_tokens=8)
        most = (prompt_bytes * price[0] + 8 * price[1]) / 1e6
        limit = 400 * most
        stopped = Counter[str]()
        with ol.budget(dollars=limit) as spent:

            async def one(number: int) -> None:
                try:
                    await ask(lm, f"number {number}")
                except BudgetExceeded:
                    stopped["budget"] += 1
                except LMError:
                    stopped["error"] += 1

            await asyncio.wait_for(asyncio.gather(*(one(number) for number in range(6_000))), 120)
        billed = (server.told.input * price[0] + server.told.output * price[1]) / 1e6
    assert stopped["budget"] > 0
    assert spent.dollars + spent.uncertain_dollars <= limit * (1 + 1e-6)
    assert billed <= spent.dollars + spent.uncertain_dollars + 1e-9
    assert billed == pytest.approx(spent.dollars)
    assert spent.calls == server.count


async def test_a_budget_in_calls_counts_tries_and_stops_at_the_number():
    with FakeServer(Unreliable()) as server:
        lm = opened(server)
        with ol.budget(calls=500) as spent:
            ended = await asyncio.gather(*(lm.acall(f"number {n}") for n in range(1_000)), return_exceptions=True)
    assert spent.calls == server.count == 500
    assert any(isinstance(end, BudgetExceeded) for end in ended)


async def test_everybody_waits_when_the_server_says_so():
    """A 429 pauses all calls of a model, so that 300 callers do not come back at once to be refused again."""
    told: list[float] = []

    def limited(body: dict[str, Any]) -> Any:
        told.append(asyncio.get_running_loop().time())
        return Fault.error(429, retry_after=0.3) if len(told) <= 20 else "fine"

    with FakeServer(limited) as server:
        ended = await ask_all(opened(server), 200, whole, at_once=20)
    assert all(isinstance(end, Response) for end in ended.values())
    pause = [later - earlier for earlier, later in zip(sorted(told), sorted(told)[1:])]
    assert max(pause) >= 0.25
    assert len(told) == 220, "nobody was refused twice"


async def test_a_refusal_that_lasts_is_reported_with_its_wait():
    with FakeServer(Fault.error(429, "not today", retry_after=4000)) as server:
        ended = await ask_all(opened(server), 50, whole)
        assert server.count == 50
    assert {type(end) for end in ended.values()} == {LMRateLimited}
