"""Retries: what is tried again, how long it waits, when it gives up."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from outlast.errors import (
    ConfigError,
    LMAuthError,
    LMConnectionError,
    LMError,
    LMQuotaError,
    LMRateLimited,
    LMServerError,
    LMTimeout,
)
from outlast.lms.layers import retry
from outlast.lms.layers.fallback import Fallback
from outlast.lms.layers.limit import Limited
from outlast.lms.layers.retry import Retrying
from outlast.lms.layers.retry_budget import RetryBudget
from outlast.lms.protocol import LM
from outlast.messages import Finished, Response, TextDelta


class Failing(LM):
    """Raises the given errors in turn, then answers."""

    name = "failing"
    blocking_safe = True

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def complete(self, request):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return Response(text="ok")


class Fixed(random.Random):
    """A source of randomness that always says the same."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def random(self) -> float:
        return self.value


@pytest.fixture
def waits(monkeypatch):
    """Records the waits and passes time instead of waiting."""
    now = [1000.0]
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(retry, "sleep", sleep)
    monkeypatch.setattr(retry.time, "monotonic", lambda: now[0])
    return slept


def test_it_tries_again_and_counts_the_tries(waits):
    inner = Failing(LMServerError("a"), LMConnectionError("b"), LMTimeout("c"))
    response = Retrying(inner, 3)("hi")
    assert (response.text, response.attempts, inner.calls) == ("ok", 4, 4)
    assert Retrying(Failing())("hi").attempts == 1


@pytest.mark.parametrize("error", [LMAuthError("a"), LMQuotaError("q"), LMError("x"), ValueError("v")])
def test_what_cannot_help_is_not_tried_again(waits, error):
    inner = Failing(error)
    with pytest.raises(type(error)) as caught:
        Retrying(inner)("hi")
    assert caught.value is error
    assert inner.calls == 1
    assert waits == []
    assert not hasattr(error, "__notes__")


def test_the_last_error_is_raised_with_a_note_of_the_tries(waits):
    inner = Failing(*(LMServerError(str(number)) for number in range(9)))
    with pytest.raises(LMServerError, match="2") as caught:
        Retrying(inner, 2)("hi")
    assert inner.calls == 3
    assert caught.value.__notes__[0].startswith("given up after 3 tries in ")


def test_one_error_object_raised_for_ever_keeps_one_note(waits):
    error = LMServerError("same")
    lm = Retrying(Failing(*[error] * 40), 1)
    for _ in range(20):
        with pytest.raises(LMServerError):
            lm("hi")
    assert len(error.__notes__) == 1


def test_waits_double_up_to_the_longest_and_are_fully_jittered(waits):
    errors = [LMServerError("x") for _ in range(6)]
    Retrying(Failing(*errors), 6, base=1.0, max_wait=10.0, random=Fixed(0.5))("hi")
    assert waits == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    waits.clear()
    Retrying(Failing(LMServerError("x")), random=Fixed(0.0))("hi")
    assert waits == [0.0]


def test_many_callers_do_not_come_back_together():
    lm = Retrying(Failing(), base=1.0)
    waits = {lm._wait(LMServerError("x"), 1, 0.0) for _ in range(200)}
    assert len(waits) == 200
    assert all(0 <= wait <= 1 for wait in waits)


def test_the_users_random_state_is_left_alone(waits):
    random.seed(7)
    before = random.getstate()
    Retrying(Failing(LMServerError("x")))("hi")
    assert random.getstate() == before


def test_the_servers_wish_wins_over_the_backoff(waits):
    Retrying(Failing(LMServerError("x", retry_after=20.0)), random=Fixed(0.5))("hi")
    assert waits == [pytest.approx(21.0)]
    waits.clear()
    Retrying(Failing(LMServerError("x", retry_after=0.0)), random=Fixed(0.9))("hi")
    assert waits == [0.0]


def test_a_wish_longer_than_the_longest_wait_is_refused_at_once(waits):
    inner = Failing(LMRateLimited("slow", retry_after=3600.0))
    with pytest.raises(LMRateLimited) as caught:
        Retrying(inner, max_wait=60)("hi")
    assert inner.calls == 1
    assert waits == []
    assert "asks to wait 3600 s, longer than max_wait=60" in caught.value.__notes__[0]


def test_no_try_begins_after_the_deadline(waits):
    inner = Failing(*(LMServerError("x") for _ in range(50)))
    with pytest.raises(LMServerError) as caught:
        Retrying(inner, 50, base=8.0, max_wait=8.0, deadline=20.0, random=Fixed(0.999))("hi")
    assert inner.calls == 3
    assert sum(waits) <= 20
    assert "deadline of 20 s" in caught.value.__notes__[0]


def test_after_a_rate_limit_other_calls_pause_too(waits):
    inner = Failing(LMRateLimited("slow", retry_after=10.0))
    lm = Retrying(inner, 0, random=Fixed(0.0))
    with pytest.raises(LMRateLimited):
        lm("first")
    lm("second")
    assert waits == []  # without retries nothing is known of the future
    limited = Retrying(Failing(LMRateLimited("slow", retry_after=10.0)), 1, random=Fixed(0.0))
    limited("first")
    assert waits == [10.0]
    limited._paused_until = retry.time.monotonic() + 3.0
    limited("second")
    assert waits == [10.0, 3.0]


def test_only_what_the_server_says_holds_up_others_for_long(waits):
    lm = Retrying(Failing(*(LMRateLimited("slow") for _ in range(5))), 5, base=1.0, random=Fixed(0.9))
    lm("unlucky")
    assert sum(waits) == pytest.approx(0.9 * (1 + 2 + 4 + 8 + 16))
    lm = Retrying(Failing(*(LMRateLimited("slow") for _ in range(5))), 4, base=1.0, random=Fixed(0.9))
    with pytest.raises(LMRateLimited):
        lm("unlucky")
    assert lm._paused_until - retry.time.monotonic() < 1.0


async def test_calls_in_flight_wait_out_one_rate_limit_together():
    inner = Failing(LMRateLimited("slow", retry_after=0.6))
    lm = Retrying(inner)
    first = asyncio.ensure_future(lm.acall("a"))
    await asyncio.sleep(0.01)
    started = time.perf_counter()
    await lm.acall("b")
    assert time.perf_counter() - started > 0.2
    assert (await first).attempts == 2


async def test_it_waits_without_holding_up_the_loop():
    lm = Retrying(Failing(LMServerError("x", retry_after=0.3)))
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.ensure_future(tick())
    await lm.acall("hi")
    ticking.cancel()
    assert ticks >= 3  # a wait that holds up the loop leaves room for one


async def test_cancelling_ends_the_wait_and_the_tries():
    inner = Failing(LMServerError("x", retry_after=30.0))
    call = asyncio.ensure_future(Retrying(inner).acall("hi"))
    await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert inner.calls == 1


def test_options_are_checked():
    wrong = [
        ("retries", -1),
        ("retries", 1.5),
        ("retries", True),
        ("max_wait", -1),
        ("deadline", "x"),
        ("base", float("nan")),
    ]
    for name, value in wrong:
        with pytest.raises(ConfigError, match=name):
            Retrying(Failing(), **{name: value})
    assert repr(Retrying(Failing(), 2)) == "Retrying(LM('failing'), retries=2)"


class Streaming(Failing):
    """Raises the given errors in turn, each after so many pieces, then says three."""

    def __init__(self, *failures: tuple[int, Exception]) -> None:
        super().__init__()
        self.failures = list(failures)

    async def stream(self, request):
        self.calls += 1
        pieces, error = self.failures.pop(0) if self.failures else (3, None)
        for number in range(pieces):
            yield TextDelta(str(number))
        if error is not None:
            raise error
        yield Finished(Response(text="012"))


def test_a_stream_is_tried_again_until_its_first_piece(waits):
    inner = Streaming((0, LMServerError("a")), (0, LMConnectionError("b")))
    events = list(Retrying(inner, 3).events("hi"))
    assert [event.text for event in events[:3]] == ["0", "1", "2"]
    assert (events[3].response.attempts, inner.calls) == (3, 3)


def test_a_stream_that_breaks_later_is_not_said_twice(waits):
    inner = Streaming((2, LMServerError("broke")))
    said = []
    with pytest.raises(LMServerError, match="broke"):
        said.extend(iter(Retrying(inner, 3).events("hi")))
    assert inner.calls == 1


def test_an_outage_costs_only_the_budget(waits):
    class Down(Failing):
        async def complete(self, request):
            self.calls += 1
            raise LMServerError("down")

    inner = Down()
    lm = Retrying(inner, 4, base=0.0, budget=0.2)
    for _ in range(1000):
        with pytest.raises(LMServerError) as caught:
            lm("hi")
    assert inner.calls == 1000 + 200 + 200  # 200 that are always free, and a fifth of the calls
    assert "budget=0.2 allows 200 retries a minute" in caught.value.__notes__[0]
    without = Retrying(Down(), 4, base=0.0, budget=None)
    for _ in range(100):
        with pytest.raises(LMServerError):
            without("hi")
    assert without.inner.calls == 500


def test_the_budget_comes_back_with_time(waits):
    budget = RetryBudget(0.1, 5, window=60.0)
    assert [budget.take(0.0) for _ in range(6)] == [True] * 5 + [False]
    assert not budget.take(49.0)
    assert budget.take(61.0)
    for _ in range(20):
        budget.called(62.0)
    assert [budget.take(62.0) for _ in range(7)] == [True] * 6 + [False]


def test_rate_limits_are_no_outage(waits):
    inner = Failing(*(LMRateLimited("slow", retry_after=0.0) for _ in range(600)))
    lm = Retrying(inner, 4, budget=0.0)
    for _ in range(120):
        with pytest.raises(LMRateLimited):
            lm("hi")
    assert inner.calls == 600


def test_quota_and_keys_are_final_whatever_the_server_says(waits):
    for error in (LMQuotaError("no credit"), LMAuthError("no")):
        error.retryable = True
        inner = Failing(error)
        with pytest.raises(type(error)):
            Retrying(inner)("hi")
        assert inner.calls == 1


def test_retries_inside_retries_are_refused():
    inner = Retrying(Failing(), 2)
    for wrapped in (inner, Limited(inner), Fallback(Failing(), Limited(inner))):
        with pytest.raises(ConfigError, match="would multiply the tries to 15"):
            Retrying(wrapped, 4)
    assert Retrying(Retrying(Failing(), 0), 4)("hi").text == "ok"
    assert Retrying(inner, 0)("hi").text == "ok"


def test_the_time_of_tries_before_is_told(waits):
    response = Retrying(Failing(LMServerError("x", retry_after=5.0)), random=Fixed(0.0))("hi")
    assert response.queued_seconds == pytest.approx(5.0)
    assert Retrying(Failing())("hi").queued_seconds == 0.0
    facts = Retrying(Failing(), 2).facts()
    assert (facts["retries"], facts["retried"], facts["budget"]) == (2, 0, 0.3)


def unsent(kind: type[LMError] = LMConnectionError) -> LMError:
    error = kind("no connection")
    error.sent = False
    return error


@pytest.mark.parametrize("kind", [LMConnectionError, LMTimeout])
def test_where_nothing_ever_answered_there_is_one_more_try(waits, kind: type[LMError]) -> None:
    """A wrong address or a server that is off: whoever waits at a terminal is told at once."""
    inner = Failing(*(unsent(kind) for _ in range(9)))
    with pytest.raises(kind) as caught:
        Retrying(inner, random=Fixed(1.0))("hi")
    assert (inner.calls, waits) == (2, [1.0])
    assert "nothing has answered there yet" in str(caught.value.__notes__)


@pytest.mark.parametrize("first", [None, LMServerError("busy"), LMRateLimited("slow down")])
def test_a_server_that_answered_once_is_waited_for(waits, first: LMError | None) -> None:
    inner = Failing(*([] if first is None else [first]))
    lm = Retrying(inner, random=Fixed(0.0))
    lm("hi")
    before = inner.calls
    inner.errors = [unsent() for _ in range(4)]
    assert lm("hi").text == "ok"
    assert inner.calls == before + 5
