"""Balancing: who is asked, who rests, and what makes the members one model."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from types import SimpleNamespace

import pytest

from outlast.errors import ConfigError, LMConnectionError, LMRateLimited, LMRequestError, LMServerError
from outlast.lms.layers import balance
from outlast.lms.layers.balance import Balanced
from outlast.lms.layers.breaker import CircuitBreaker
from outlast.lms.layers.retry import Retrying
from outlast.lms.protocol import LM
from outlast.messages import Response, system, user
from outlast.runtime import sleep


class Server(LM):
    """One of several; answers with its number after so many seconds, or raises."""

    name = "m"
    blocking_safe = True

    def __init__(self, number: int, seconds: float = 0.0, error: Exception | None = None) -> None:
        self.number = number
        self.seconds = seconds
        self.error = error
        self.calls = self.now = self.most = 0
        self.lock = threading.Lock()

    async def complete(self, request):
        with self.lock:
            self.calls += 1
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            await sleep(self.seconds)
            if self.error is not None:
                raise self.error
        finally:
            with self.lock:
                self.now -= 1
        return Response(text=str(self.number))


def refused() -> LMConnectionError:
    error = LMConnectionError("refused")
    error.sent = False
    return error


def three(*seconds: float) -> list[Server]:
    return [Server(number, each) for number, each in enumerate(seconds or (0, 0, 0))]


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(balance, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def counts(servers: list[Server]) -> list[int]:
    return [server.calls for server in servers]


async def test_the_least_busy_is_asked():
    servers = three(0.2, 0.01, 0.01)
    lm = Balanced(servers)

    async def worker() -> None:
        for _ in range(10):
            await lm.acall("hi")

    await asyncio.gather(*(worker() for _ in range(6)))
    assert sum(counts(servers)) == 60
    assert servers[0].calls <= 12
    assert servers[0].most <= 4
    assert [told["busy"] for told in lm.facts()["members"]] == [0, 0, 0]


def test_equals_take_turns():
    for by in ("least_busy", "round_robin"):
        servers = three()
        lm = Balanced(servers, by)
        for _ in range(9):
            lm("hi")
        assert counts(servers) == [3, 3, 3]


def test_weights_share_the_calls_in_proportion_and_without_runs():
    servers = three()
    lm = Balanced(servers, [5, 1, 1])
    order = [lm("hi").text for _ in range(70)]
    assert Counter(order) == {"0": 50, "1": 10, "2": 10}
    assert order[:7] == ["0", "0", "1", "0", "2", "0", "0"]


def test_the_fastest_is_asked_most():
    servers = three(0.03, 0.001, 0.03)
    lm = Balanced(servers, "latency")
    for _ in range(30):
        lm("hi")
    assert servers[1].calls >= 26


def test_a_member_that_says_when_is_not_asked_before(clock):
    servers = three()
    servers[0].error = LMRateLimited("slow down", retry_after=30.0)
    lm = Balanced(servers, "round_robin")
    assert {lm("hi").text for _ in range(10)} == {"1", "2"}
    assert servers[0].calls == 1
    clock[0] += 31
    servers[0].error = None
    assert {lm("hi").text for _ in range(6)} == {"0", "1", "2"}


def test_when_all_said_so_the_error_says_when_the_first_is_back(clock):
    servers = three()
    for server, seconds in zip(servers, (30.0, 10.0, 20.0), strict=True):
        server.error = LMRateLimited("slow down", retry_after=seconds)
    lm = Balanced(servers)
    with pytest.raises(LMRateLimited, match="slow down"):
        lm("hi")
    assert counts(servers) == [1, 1, 1]
    clock[0] += 4
    with pytest.raises(LMRateLimited, match="all 3 members asked to wait; the first is back in 6.0 s") as caught:
        lm("hi")
    assert (caught.value.retry_after, caught.value.retryable, caught.value.sent) == (pytest.approx(6.0), True, False)
    assert counts(servers) == [1, 1, 1]


def test_one_that_cannot_be_reached_comes_last_but_is_not_forgotten(clock):
    servers = three()
    servers[0].error = refused()
    lm = Balanced(servers, "round_robin")
    assert lm("hi").attempts == 2
    assert {lm("hi").text for _ in range(6)} == {"1", "2"}
    assert servers[0].calls == 1
    servers[1].error = servers[2].error = refused()
    servers[0].error = None
    assert lm("hi").text == "0"
    clock[0] += 1.1
    assert lm("hi").text == "0"


def test_an_open_circuit_is_passed_over(clock):
    servers = three()
    servers[0].error = LMServerError("down")
    lm = Balanced([CircuitBreaker(server, 1) for server in servers], "round_robin")
    with pytest.raises(LMServerError):
        lm("hi")
    assert {lm("hi").text for _ in range(12)} == {"1", "2"}
    assert servers[0].calls == 1


@pytest.mark.parametrize("error", [LMServerError("x"), LMRequestError("x"), LMConnectionError("broke on its way")])
def test_other_errors_go_out(error):
    servers = three()
    servers[0].error = error
    with pytest.raises(type(error)):
        Balanced(servers, "round_robin")("hi")
    assert sum(counts(servers)) == 1


def test_a_retry_around_it_goes_to_another():
    servers = three()
    servers[0].error = LMServerError("down", retry_after=0.01)
    assert Retrying(Balanced(servers), base=0.0)("hi").text in "12"


def test_sticky_calls_stay_where_their_prefix_is(clock):
    servers = three()
    lm = Balanced(servers, sticky=True)
    places: dict[str, set[str]] = {}
    for number in range(60):
        prompt = f"you are {number % 12} " * 400
        for question in ("a", "b"):
            answer = lm([system(prompt), user(question)])
            places.setdefault(prompt, set()).add(answer.text)
    assert all(len(where) == 1 for where in places.values())
    assert min(counts(servers)) > 0
    away = next(iter(places["you are 3 " * 400]))
    servers[int(away)].error = LMRateLimited("slow", retry_after=60.0)
    before = {prompt: next(iter(where)) for prompt, where in places.items()}
    for prompt, where in before.items():
        assert (lm([system(prompt), user("c")]).text == where) == (where != away)  # only those of the one that is away


def test_identity_must_be_one():
    class Elsewhere(Server):
        @property
        def identity(self) -> str:
            return f"m at {self.number}"

    apart = [Elsewhere(1), Elsewhere(2)]
    with pytest.raises(ConfigError, match=r"identities differ: 'm at 1' and 'm at 2'.*identity='...'"):
        Balanced(apart)
    assert Balanced(apart, identity="m").identity == "m"
    assert Balanced(three()).identity == "m"
    assert Balanced(three()).name == "m"
    assert [told.kind for told in Balanced(three()).info()] == ["Balanced", "Server", "Server", "Server"]


@pytest.mark.parametrize(
    ("models", "options", "message"),
    [
        ([], {}, "takes 1 models or more"),
        ("openai/m", {}, "a list of models"),
        ([3], {}, "takes models"),
        ([Server(0)], {"by": "least_bussy"}, "Did you mean 'least_busy'"),
        ([Server(0)], {"by": [1, 2]}, "one weight for each"),
        ([Server(0)], {"by": [0]}, "weight"),
        ([Server(0)], {"identity": ""}, "identity is text"),
    ],
)
def test_options_are_checked(models, options, message):
    with pytest.raises(ConfigError, match=message):
        Balanced(models, **options)
