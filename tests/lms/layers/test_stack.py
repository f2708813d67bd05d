"""All layers together over servers that fail in every way: each call is answered or reported, nothing stays open."""

from __future__ import annotations

import asyncio
import random
import threading
import time

import outlast as ol
from outlast.errors import (
    LMAuthError,
    LMCircuitOpen,
    LMConnectionError,
    LMError,
    LMRateLimited,
    LMRequestError,
    LMServerError,
    LMTimeout,
)
from outlast.lms.protocol import LM
from outlast.messages import Finished, Response, TextDelta, Usage
from outlast.runtime import Meter, running, sleep

FAULTS = (
    lambda: LMConnectionError("reset"),
    lambda: LMServerError("500", status=500),
    lambda: LMServerError("503", status=503),
    lambda: LMRateLimited("429", status=429, retry_after=0.01),
    lambda: LMRateLimited("429", status=429),
    lambda: LMTimeout("slow"),
    lambda: LMRequestError("400", status=400),
    lambda: LMAuthError("401", status=401),
)


class Shaky(LM):
    """Fails a fifth of its calls, before or after the first piece, and is sometimes very slow."""

    blocking_safe = True

    def __init__(self, seed: int) -> None:
        self.name = "shaky"
        self.rng = random.Random(seed)
        self.lock = threading.Lock()
        self.calls = self.open = 0

    async def complete(self, request):
        pieces = [event async for event in self.stream(request)]
        return pieces[-1].response

    async def stream(self, request):
        with self.lock:
            self.calls += 1
            self.open += 1
            fate, fault, late = self.rng.random(), self.rng.choice(FAULTS), self.rng.random() < 0.3
        try:
            await sleep(5.0 if fate > 0.98 else 0.002)
            if fate < 0.2 and not late:
                raise fault()
            yield TextDelta(request.messages[-1].text)
            if fate < 0.2:
                raise fault()
            yield Finished(Response(text=request.messages[-1].text, model=self.name, usage=Usage(1, 1, cost=0.01)))
        finally:
            with self.lock:
                self.open -= 1


def stack(one: LM, two: LM, spare: LM) -> LM:
    def place(lm: LM) -> LM:
        return ol.CircuitBreaker(ol.AdaptiveLimited(ol.RateLimited(lm, 1e6), 16), 20, rest=0.05)

    both = ol.Retrying(ol.Balanced([place(one), place(two)]), 3, base=0.005)
    first = ol.Timeout(ol.Hedged(both, after=0.1, budget=0.2), 1.0, first_token=0.5)
    last = ol.Retrying(spare, 1, base=0.0)
    return ol.Routed(lambda request: "main", {"main": ol.Fallback(first, last)}, identity="main")


def test_every_call_is_answered_or_reported_and_nothing_is_left_open():
    models = [Shaky(seed) for seed in range(3)]
    lm = stack(*models)
    ends: list[str] = []
    wrong: list[object] = []

    def ended(text: str, prompt: str) -> None:
        ends.append("answered")
        if text != prompt:
            wrong.append((text, prompt))

    async def ask(number: int) -> None:
        prompt = f"task {number}"
        try:
            if number % 2:
                ended((await lm.acall(prompt)).text, prompt)
            else:
                pieces = [event async for event in lm.events(prompt)]
                ended("".join(piece.text for piece in pieces[:-1]), prompt)
        except LMError as error:
            ends.append(type(error).__name__)

    def in_thread(number: int) -> None:
        for call in range(15):
            prompt = f"thread {number} {call}"
            try:
                ended((list(lm.events(prompt))[-1].response if call % 3 else lm(prompt)).text, prompt)
            except LMError as error:
                ends.append(type(error).__name__)

    async def many() -> None:
        for first in range(0, 400, 50):
            await asyncio.gather(*(ask(number) for number in range(first, first + 50)))

    threads = [threading.Thread(target=in_thread, args=(number,), daemon=True) for number in range(6)]
    for thread in threads:
        thread.start()
    asyncio.run(many())
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert len(ends) == 400 + 90
    assert not wrong
    assert ends.count("answered") > 0.75 * len(ends)
    deadline = time.monotonic() + 30
    while any(model.open for model in models) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [model.open for model in models] == [0, 0, 0]
    for layer in lm.info():
        assert not layer.facts.get("in_flight"), layer
        assert not layer.facts.get("waiting"), layer
        for member in layer.facts.get("members", []) if layer.kind == "Balanced" else []:
            assert member["busy"] == 0
    assert {*ends} <= {
        "answered",
        *(kind.__name__ for kind in (LMConnectionError, LMServerError, LMRateLimited, LMTimeout)),
        *(kind.__name__ for kind in (LMRequestError, LMAuthError, LMCircuitOpen)),
    }


async def test_a_budget_over_all_layers_is_never_overspent():
    models = [Shaky(seed) for seed in range(3)]
    lm = stack(*models)
    meter = Meter(calls=100)

    async def ask() -> None:
        try:
            await lm.acall("hi")
        except (LMError, ol.OutlastError):
            return

    with running(meter=meter):
        await asyncio.gather(*(ask() for _ in range(200)))
    assert sum(model.calls for model in models) <= 100
    assert meter.used("calls") <= 100
