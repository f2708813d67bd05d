"""What the layers around a model cost, and what two of them gain.

    python benchmarks/layers.py

CPU time that each layer adds to an awaited call, best of seven rounds of 1,000. Then, against loopback servers over
HTTP: `Hedged` where 2% of the replies are slow (bar: the 99th percentile at most half, at most 6% more requests);
and a fixed cap of 256 against `AdaptiveLimited` where the server refuses more than 24 requests at once with 429, both
under `Retrying` (bar: at most a fifth of the refusals).
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import outlast as ol
from outlast.messages import Request, Response, user
from outlast.runtime import running
from outlast.testing.server import FakeServer, Fault

ANSWER = Response(text="ok")


class Instant(ol.LM):
    """Answers at once."""

    name = "instant"
    blocking_safe = True

    async def complete(self, request: Request) -> Response:
        return ANSWER


def always(request: Request) -> str:
    return "a"


LAYERS: dict[str, Callable[[ol.LM], ol.LM]] = {
    "Limited": ol.Limited,
    "AdaptiveLimited": ol.AdaptiveLimited,
    "RateLimited": lambda lm: ol.RateLimited(lm, 1e6),
    "Retrying": ol.Retrying,
    "Timeout": lambda lm: ol.Timeout(lm, 30),
    "Hedged": lambda lm: ol.Hedged(lm, 20.0),
    "CircuitBreaker": ol.CircuitBreaker,
    "Fallback": lambda lm: ol.Fallback(lm, lm),
    "Balanced": lambda lm: ol.Balanced([lm, lm]),
    "Routed": lambda lm: ol.Routed(always, {"a": lm}),
}


async def cost(lm: ol.LM) -> float:
    """CPU microseconds of one call."""
    request, best = Request((user("x"),)), 1.0
    for _ in range(7):
        started = time.process_time()
        for _ in range(1000):
            await lm.complete(request)
        best = min(best, (time.process_time() - started) / 1000)
    return best * 1e6


def costs() -> None:
    with running(blocking=False):
        bare = asyncio.run(cost(Instant()))
        for name, make in LAYERS.items():
            print(f"{name:16} {asyncio.run(cost(make(Instant()))) - bare:6.1f} us")


async def asked(lm: ol.LM, calls: int, workers: int) -> tuple[list[float], float]:
    """Seconds of each call, and of all."""
    numbers, seconds = iter(range(calls)), []

    async def worker() -> None:
        for number in numbers:
            began = time.perf_counter()
            await lm.acall(f"call {number}")
            seconds.append(time.perf_counter() - began)

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(workers)))
    return sorted(seconds), time.perf_counter() - started


def hedging() -> bool:
    """The tail with and without a second request."""
    found: dict[str, tuple[float, int]] = {}
    for name in ("plain", "hedged"):
        rng = random.Random(3)

        async def answer(request: dict[str, Any], rng: random.Random = rng) -> str:
            await asyncio.sleep(1.0 if rng.random() < 0.02 else 0.05)
            return "ok"

        with FakeServer(answer) as server:
            lm = ol.LM("m", base_url=server.url, cache=False, retries=0)
            asyncio.run(lm.adraw("warm", 16))
            before = server.count
            seconds, _ = asyncio.run(asked(ol.Hedged(lm) if name == "hedged" else lm, 2000, 16))
            found[name] = (seconds[int(0.99 * len(seconds))], server.count - before)
            slow, sent = found[name]
            print(f"{name}: median {seconds[1000]:.3f} s, 99th percentile {slow:.3f} s, {sent} requests")
    share, more = found["hedged"][0] / found["plain"][0], found["hedged"][1] / 2000 - 1
    kept = share <= 0.5 and more <= 0.06
    text = f"99th percentile {share:.0%} of the plain one, {more:.1%} more requests"
    print(f"BAR {'PASS' if kept else 'FAIL'} hedging: {text}")
    return kept


def overload() -> bool:
    """Refusals by a server with room for 24."""
    refused: dict[str, int] = {}
    for cap in (256, "adaptive"):
        state = {"now": 0, "refused": 0}

        async def answer(request: dict[str, Any], state: dict[str, int] = state) -> str | Fault:
            if state["now"] >= 24:
                state["refused"] += 1
                return Fault.error(429)
            state["now"] += 1
            try:
                await asyncio.sleep(0.1)
            finally:
                state["now"] -= 1
            return "ok"

        with FakeServer(answer) as server:
            lm = ol.LM("m", base_url=server.url, cache=False, retries=60, concurrency=cap)
            _, took = asyncio.run(asked(lm, 2000, 256))
            refused[str(cap)] = state["refused"]
            print(
                f"cap {cap}: {took:.1f} s for 2000 calls, {state['refused']} refused (at best {2000 / 24 * 0.1:.1f} s)"
            )
    kept = refused["adaptive"] <= refused["256"] / 5
    print(f"BAR {'PASS' if kept else 'FAIL'} adaptive cap: {refused['adaptive']} refusals against {refused['256']}")
    return kept


if __name__ == "__main__":
    costs()
    sys.exit(0 if all([hedging(), overload()]) else 1)
