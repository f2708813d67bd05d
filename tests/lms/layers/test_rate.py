"""Requests and tokens a minute: kept in one process and in several, learned from headers, given back when not used."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import outlast as ol
from outlast.errors import ConfigError, LMRateLimited, LMServerError
from outlast.lms.layers.rate import RateLimited
from outlast.lms.protocol import LM
from outlast.messages import RateState, RateStates, Response, Usage
from outlast.runtime import sleep
from outlast.testing.server import FakeServer, Fault


class Fast(RateLimited):
    """Has a minute of one second."""

    window = 1.0


class Noting(LM):
    """Notes when it is asked; answers what it is told to, or with so many tokens."""

    name = "noting"
    blocking_safe = True

    def __init__(self, tokens: int | None = None, seconds: float = 0.0, **fields) -> None:
        self.tokens = tokens
        self.seconds = seconds
        self.fields = fields
        self.times: list[float] = []
        self.prompts: list[str] = []
        self.error: Exception | None = None

    async def complete(self, request):
        self.times.append(time.monotonic())
        self.prompts.append(request.messages[-1].text)
        await sleep(self.seconds)
        if self.error is not None:
            raise self.error
        usage = Usage() if self.tokens is None else Usage(0, self.tokens)
        return Response(text="ok", usage=usage, **self.fields)

    def fullest(self, window: float) -> int:
        return max(sum(1 for other in self.times if when - window < other <= when) for when in self.times)


async def test_no_more_requests_go_than_allowed_and_in_the_order_of_asking():
    inner = Noting()
    lm = Fast(inner, 40, burst=0.1)
    started = time.monotonic()
    await asyncio.gather(*(lm.acall(str(number)) for number in range(90)))
    took = time.monotonic() - started
    places = [int(prompt) - place for place, prompt in enumerate(inner.prompts)]
    assert max(places) <= 8  # those of one moment may change places
    assert len(inner.prompts) == 90
    assert inner.fullest(1.0) <= 41  # one more where a call was on its way for longer than another
    assert 1.1 < took < 15


def test_threads_keep_it_together_and_know_how_long_they_waited():
    inner = Noting()
    lm = Fast(inner, 30, burst=0.0)
    answers: list[Response] = []

    def ask(number: int) -> None:
        answers.append(lm(str(number)))

    threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(answers) == 12
    gaps = [after - before for before, after in zip(inner.times, inner.times[1:], strict=False)]
    assert sum(gaps) > 0.33  # 11 gaps of a thirtieth of a second
    assert max(answer.queued_seconds for answer in answers) > 0.3
    assert lm.facts()["waited_seconds"] > 0.3


async def test_tokens_are_estimated_settled_and_learned():
    inner = Noting(tokens=50)
    lm = Fast(inner, None, 500, burst=1.0)
    before = lm._estimate.of(ol.Request((ol.Message("user", "hi"),)))[1]
    for _ in range(8):
        await lm.acall("hi")
    after = lm._estimate.of(ol.Request((ol.Message("user", "hi"),)))[1]
    assert before > 250
    assert after == pytest.approx(50, abs=6)
    assert lm.facts()["tokens_a_call"] == 50
    await asyncio.gather(*(lm.acall("hi") for _ in range(16)))
    assert inner.fullest(1.0) <= 11


async def test_a_refusal_costs_no_tokens_and_a_cached_answer_nothing():
    cached = Fast(Noting(tokens=100, cache="hit", rate=RateStates(RateState(1, 0, 99.0))), 2, 200)
    for _ in range(20):
        await asyncio.wait_for(cached.acall("hi"), 0.5)
    unsent = Noting()
    unsent.error = LMServerError("no connection")
    unsent.error.sent = False
    lm = Fast(unsent, 2, 200)
    for _ in range(20):
        with pytest.raises(LMServerError):
            await asyncio.wait_for(lm.acall("hi"), 0.5)
    inner = Noting()
    inner.error = LMServerError("busy", status=503)
    lm = Fast(inner, None, 300, burst=1.0)
    for _ in range(20):
        with pytest.raises(LMServerError):
            await asyncio.wait_for(lm.acall("hi"), 0.5)


async def test_who_is_cancelled_while_waiting_is_no_hindrance():
    inner = Noting()
    lm = RateLimited(inner, 1, burst=0.0)
    await lm.acall("first")
    waiting = [asyncio.ensure_future(lm.acall("never")) for _ in range(5)]
    await asyncio.sleep(0.05)
    assert lm.facts()["waiting"] == 4
    for call in waiting:
        call.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert lm.facts()["waiting"] == 0
    with lm._store.account() as account:
        assert account.used(0) == 1
    assert inner.prompts == ["first"]


async def test_limits_come_from_the_headers_when_none_are_given():
    told = RateStates(RateState(20, 19, 1.0), RateState(None, None, None))
    inner = Noting(rate=told)
    lm = Fast(inner)
    await lm.acall("first")
    assert lm.facts()["requests_per_minute"] == 20
    started = time.monotonic()
    await asyncio.gather(*(lm.acall("x") for _ in range(30)))
    assert time.monotonic() - started > 0.9


async def test_what_others_use_of_a_learned_limit_counts():
    inner = Noting(rate=RateStates(RateState(20, 2, 1.0)))
    lm = Fast(inner, burst=1.0)
    await lm.acall("first")
    started = time.monotonic()
    inner.fields = {}
    await asyncio.gather(*(lm.acall("x") for _ in range(4)))
    assert time.monotonic() - started > 0.9
    own = Fast(Noting(rate=RateStates(RateState(20, 2, 30.0))), 1000, burst=1.0)
    await own.acall("first")
    started = time.monotonic()
    await asyncio.gather(*(own.acall("x") for _ in range(4)))
    assert time.monotonic() - started < 10  # a limit that was given is the user's business


async def test_nothing_goes_while_the_server_asks_to_wait():
    inner = Noting()
    inner.error = LMRateLimited("slow down", status=429, retry_after=0.4)
    lm = RateLimited(inner, 6000, burst=1.0)
    with pytest.raises(LMRateLimited):
        await lm.acall("x")
    inner.error, started = None, time.monotonic()
    await asyncio.gather(*(lm.acall("x") for _ in range(3)))
    assert 0.35 < time.monotonic() - started < 10


async def test_an_empty_limit_waits_for_the_first_request_to_come_back():
    inner = Noting(rate=RateStates(RateState(10, 0, 4.0)))
    lm = RateLimited(inner, 6000, burst=1.0)
    await lm.acall("x")
    started = time.monotonic()
    await lm.acall("x")
    assert 0.3 < time.monotonic() - started < 3.5


def test_headers_of_a_real_reply_and_of_a_refusal_arrive():
    headers = {"x-ratelimit-limit-requests": "77", "x-ratelimit-remaining-requests": "5"}
    with FakeServer(Fault.error(429, headers=headers)) as server:
        lm = ol.LM("m", base_url=server.url, cache=False, retries=0, tokens_per_minute=1e6)
        with pytest.raises(LMRateLimited) as caught:
            lm("hi")
        assert caught.value.rate.requests == (77, 5, None)
        limited = next(told for told in lm.info() if told.kind == "RateLimited")
        assert limited.facts["requests_per_minute"] == 77


def test_a_notebook_cell_that_holds_up_its_loop_is_not_stuck():
    async def cell() -> None:
        lm = Fast(Noting(), 20, burst=0.0)
        waiting = [asyncio.ensure_future(lm.acall("task")) for _ in range(4)]
        await asyncio.sleep(0.01)
        assert lm("blocking").text == "ok"
        await asyncio.gather(*waiting)

    asyncio.run(asyncio.wait_for(cell(), 10))


WORKER = """
import asyncio, json, sys, time
import outlast as ol
from outlast.lms.layers.rate import RateLimited

RateLimited.window = 6.0

async def main(url, path, seconds):
    lm = ol.LM("m", base_url=url, api_key="k", cache=False, retries=0, requests_per_minute=120, shared_rate=path)
    end = time.monotonic() + seconds

    async def ask():
        while time.monotonic() < end:
            await lm.acall("hi")

    tasks = [asyncio.ensure_future(ask()) for _ in range(8)]
    await asyncio.wait(tasks, timeout=seconds)

asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
"""


@pytest.mark.slow
@pytest.mark.server
def test_four_processes_keep_one_limit_and_one_that_is_killed_gives_its_share_back(tmp_path):
    arrived: list[float] = []

    def answer(request):
        arrived.append(time.monotonic())
        return "ok"

    with FakeServer(answer, latency=0.05) as server:
        command = [sys.executable, "-c", WORKER, server.url, str(tmp_path / "rates.db"), "20"]
        processes = [subprocess.Popen(command) for _ in range(4)]
        time.sleep(9)
        processes[0].kill()
        for process in processes:
            process.wait(60)
    fullest = max(sum(1 for other in arrived if when - 6.0 < other <= when) for when in arrived)
    # benchmarks/rates.py holds whole minutes to 2%; what delays a request by 0.1 s is ten times as much of this one
    assert fullest <= 1.1 * 120, fullest
    middle = [when for when in arrived if 6.0 < when - arrived[0] < 18.0]
    assert len(middle) >= 0.75 * 240, len(middle)  # a busy machine takes its share of so short a time


def test_the_file_holds_no_key_and_accounts_are_apart(tmp_path):
    path = tmp_path / "rates.db"
    with FakeServer("ok") as server:
        for key, model in (("sk-one-secret", "m"), ("sk-two-secret", "m"), ("sk-one-secret", "n")):
            ol.LM(model, base_url=server.url, api_key=key, cache=False, requests_per_minute=2, shared_rate=path)("hi")
    content = b"".join(Path(f"{path}{end}").read_bytes() for end in ("", "-wal") if Path(f"{path}{end}").exists())
    assert b"secret" not in content
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT value FROM accounts").fetchall()
    assert [sum(slot[1] for slot in json.loads(value)[0]) for (value,) in rows] == [1, 1, 1]


def test_the_same_account_by_name_is_shared(tmp_path):
    path = tmp_path / "rates.db"
    one = RateLimited(Noting(), 100, shared=path, account="team")
    two = RateLimited(ol.Limited(Noting()), 100, shared=str(path), account="team")
    one("x")
    two("x")
    with two._store.account() as account:
        assert account.used(0) == 2


async def test_a_file_that_breaks_during_a_call_stops_the_next_one_and_not_its_answer(tmp_path):
    path = tmp_path / "rates.db"
    inner = Noting(tokens=3, seconds=0.1)
    lm = RateLimited(inner, 100, 1000, shared=path)
    call = asyncio.ensure_future(lm.acall("x"))
    await asyncio.sleep(0.05)
    for end in ("", "-wal", "-shm"):
        (tmp_path / f"rates.db{end}").unlink(missing_ok=True)
    path.write_text("no database " * 500)
    assert (await call).text == "ok"
    with pytest.raises(ConfigError, match="delete it when it is damaged"):
        await lm.acall("x")


async def test_a_process_that_does_not_let_go_of_the_file_holds_up_no_loop(tmp_path):
    path = tmp_path / "rates.db"
    lm = RateLimited(Noting(), 100, shared=path)
    await lm.acall("first")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    call = asyncio.ensure_future(lm.acall("second"))
    longest = 0.0
    for _ in range(12):
        before = time.monotonic()
        await asyncio.sleep(0.02)
        longest = max(longest, time.monotonic() - before)
        assert not call.done()
    assert longest < 2
    other.execute("COMMIT")
    other.close()
    assert (await asyncio.wait_for(call, 60)).text == "ok"


def test_no_key_is_needed_before_the_first_call(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    lm = ol.LM("openai/gpt-5-mini", shared_rate=tmp_path / "rates.db", cache=False)
    assert "RateLimited" in [told.kind for told in lm.info()]
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        lm("hi")


@pytest.mark.parametrize(
    "wrong",
    [
        {"requests_per_minute": 0},
        {"requests_per_minute": -1},
        {"requests_per_minute": True},
        {"tokens_per_minute": "many"},
        {"tokens_per_minute": float("nan")},
        {"burst": 1.5},
        {"burst": -0.1},
        {"shared": ""},
        {"shared": 3},
        {"account": ""},
    ],
)
def test_options_are_checked(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RateLimited(Noting(), **wrong)


@pytest.mark.parametrize("wrong", [{"requests_per_minute": 0}, {"tokens_per_minute": "x"}, {"shared_rate": ""}])
def test_options_of_an_opened_model_are_checked(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong)).replace("shared_rate", "shared")):
        ol.LM("openai/gpt-5-mini", **wrong)
