"""The circuit breaker: when it opens, what it says, the one probe, and what counts as a failure."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from types import SimpleNamespace

import pytest

from outlast.errors import (
    ConfigError,
    LMAuthError,
    LMCircuitOpen,
    LMConnectionError,
    LMRateLimited,
    LMServerError,
    LMTimeout,
)
from outlast.lms.layers import breaker
from outlast.lms.layers.breaker import CircuitBreaker
from outlast.lms.layers.retry import Retrying
from outlast.lms.protocol import LM
from outlast.messages import Response, TextDelta
from outlast.runtime import sleep


class Server(LM):
    """Answers, or raises `error`."""

    name = "server"
    blocking_safe = True

    def __init__(self, error: Exception | None = None, seconds: float = 0.0) -> None:
        self.error = error
        self.seconds = seconds
        self.calls = 0

    async def complete(self, request):
        self.calls += 1
        await sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return Response(text="ok")


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(breaker, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def fail(lm: LM, times: int, kind: type[Exception] = LMServerError) -> None:
    for _ in range(times):
        with pytest.raises(kind):
            lm("hi")


@pytest.mark.parametrize("error", [LMServerError("x"), LMConnectionError("x"), LMTimeout("x")])
def test_it_opens_after_failures_in_a_row_and_then_asks_no_more(clock, error):
    server = Server(error)
    lm = CircuitBreaker(server, 3, rest=30)
    fail(lm, 3, type(error))
    assert lm.state == "open"
    clock[0] += 10
    with pytest.raises(LMCircuitOpen, match="open after 3 failures in a row; the server is asked again in 20.0 s") as e:
        lm("hi")
    assert (e.value.retryable, e.value.retry_after, e.value.sent) == (False, pytest.approx(20.0), False)
    assert server.calls == 3
    assert lm.facts()["refused"] == 1


@pytest.mark.parametrize("error", [LMRateLimited("x"), LMAuthError("x"), ValueError("x")])
def test_other_errors_are_no_failures(clock, error):
    lm = CircuitBreaker(Server(error), 2)
    fail(lm, 6, type(error))
    assert lm.state == "closed"


def test_a_success_or_a_live_refusal_ends_the_row(clock):
    server = Server()
    lm = CircuitBreaker(server, 3)
    for between in (None, LMRateLimited("slow down")):
        server.error = LMServerError("x")
        fail(lm, 2)
        server.error = between
        fail(lm, 1, LMRateLimited) if between else lm("hi")
        server.error = LMServerError("x")
        fail(lm, 2)
        assert lm.state == "closed"
        server.error = None
        lm("hi")


def test_failures_far_apart_are_no_row(clock):
    lm = CircuitBreaker(Server(LMServerError("x")), 3, within=60)
    for _ in range(8):
        fail(lm, 1)
        clock[0] += 31
    assert lm.state == "closed"


def test_one_probe_closes_it_or_begins_the_rest_again(clock):
    server = Server(LMServerError("x"))
    lm = CircuitBreaker(server, 1, rest=30)
    fail(lm, 1)
    clock[0] += 30
    assert lm.state == "half_open"
    fail(lm, 1)
    assert lm.state == "open"
    fail(lm, 1, LMCircuitOpen)
    clock[0] += 30
    server.error = None
    assert lm("hi").text == "ok"
    assert lm.state == "closed"
    assert server.calls == 3


async def test_only_one_call_probes_and_one_that_is_cancelled_lets_the_next_try(clock):
    server = Server(LMServerError("x"))
    lm = CircuitBreaker(server, 1, rest=30)
    with pytest.raises(LMServerError):
        await lm.acall("hi")
    clock[0] += 31
    server.error, server.seconds = None, 5.0
    probe = asyncio.ensure_future(lm.acall("probe"))
    await asyncio.sleep(0.01)
    with pytest.raises(LMCircuitOpen, match="is being asked once"):
        await lm.acall("hi")
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    server.seconds = 0.0
    assert (await lm.acall("hi")).text == "ok"
    assert lm.state == "closed"


def test_calls_from_before_it_opened_change_nothing(clock):
    async def main() -> None:
        server = Server(LMServerError("x"), seconds=0.01)
        lm = CircuitBreaker(server, 2, rest=30)
        results = await asyncio.gather(*(lm.acall("hi") for _ in range(6)), return_exceptions=True)
        assert all(isinstance(result, LMServerError) for result in results)
        assert lm._open_until == clock[0] + 30

    asyncio.run(main())


def test_streams_count(clock):
    class Broken(Server):
        async def stream(self, request):
            yield TextDelta("a")
            raise LMConnectionError("cut")

    lm = CircuitBreaker(Broken(), 2)
    for _ in range(2):
        with pytest.raises(LMConnectionError):
            list(lm.events("hi"))
    with pytest.raises(LMCircuitOpen):
        list(lm.events("hi"))


def test_retries_end_when_it_opens(clock):
    server = Server(LMServerError("x"))
    with pytest.raises(LMCircuitOpen):
        Retrying(CircuitBreaker(server, 2), 9, base=0.0)("hi")
    assert server.calls == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_the_probe_of_its_parent():
    server = Server(LMServerError("x"))
    lm = CircuitBreaker(server, 1, rest=0.01)
    fail(lm, 1)
    time.sleep(0.02)
    server.error, server.seconds = None, 0.5
    probe = threading.Thread(target=lm, args=("probe",), daemon=True)
    probe.start()
    while lm._probe is None:
        time.sleep(0.001)
    fail(lm, 1, LMCircuitOpen)
    child = os.fork()
    if child == 0:
        os._exit(0 if lm("hi").text == "ok" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    probe.join(5)


@pytest.mark.parametrize("wrong", [{"failures": 0}, {"failures": 1.5}, {"within": 0}, {"rest": -1}, {"rest": "x"}])
def test_options_are_checked(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        CircuitBreaker(Server(), **wrong)
