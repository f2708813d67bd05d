"""What an answer from a Redis server costs, and what a Redis that is dead or silent costs.

    python benchmarks/cache_redis.py [--json]

A Redis server on loopback holds 2,000 answers of about 0.8 kB. They are asked for one by one from blocking code, and
256 at a time from async code, without the memory tier. Then the server is stopped, and replaced by one that takes
connections and never answers; 1,000 calls of a model that answers at once are made beside each. CPU is that of this
process, its I/O thread included; peak rates of three rounds.

Bar: a dead or silent Redis adds less than a second to 1,000 calls.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import shutil
import socket
import subprocess
import sys
import time

from outlast.lms.caching.cache import Cached
from outlast.lms.caching.redis_cache import RedisCache
from outlast.lms.protocol import LM
from outlast.messages import Request, Response, Usage, user
from outlast.runtime import drive, running

N, AT_ONCE, ROUNDS, BESIDE = 2000, 256, 3, 1000
FILLER = "The customer wrote about a transfer that has not arrived yet and asks what to do about it. " * 10


class Echo(LM):
    name, blocking_safe = "echo", True

    async def complete(self, request: Request) -> Response:
        return Response(request.messages[-1].text[-400:], "echo-1", usage=Usage(250, 100, cost=0.001))


def requests(count: int) -> list[Request]:
    return [Request((user(f"{FILLER}{number}"),)) for number in range(count)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def hits(store: RedisCache) -> dict[str, float]:
    """Seconds and CPU seconds of a hit."""
    lm, asked = Cached(Echo(), store, memory=0), requests(N)
    with running(blocking=True):
        for one in asked:
            drive(lm.complete(one))
    assert store.flush(60)

    async def together() -> None:
        gate = asyncio.Semaphore(AT_ONCE)

        async def ask(one: Request) -> None:
            async with gate:
                assert (await lm.complete(one)).cache == "hit"

        with running(blocking=False):
            await asyncio.gather(*(ask(one) for one in asked))

    def one_by_one() -> None:
        with running(blocking=True):
            for one in asked:
                assert drive(lm.complete(one)).cache == "hit"

    told: dict[str, float] = {}
    for name, run in (("alone", one_by_one), ("together", lambda: asyncio.run(together()))):
        best = cpu = float("inf")
        for _ in range(ROUNDS):
            began, used = time.perf_counter(), time.process_time()
            run()
            best = min(best, (time.perf_counter() - began) / N)
            cpu = min(cpu, (time.process_time() - used) / N)
        told[f"{name}_us"], told[f"{name}_cpu_us"] = best * 1e6, cpu * 1e6
    return told


def beside(port: int) -> float:
    """Seconds that calls take whose cache is at this port, beyond those without a cache."""
    store = RedisCache(f"redis://127.0.0.1:{port}/0")
    lm, bare, asked = Cached(Echo(), store, memory=0), Cached(Echo(), memory=0, max_bytes=0), requests(BESIDE)
    with running(blocking=True):
        drive(bare.complete(asked[0]))
        began = time.perf_counter()
        for one in asked:
            drive(bare.complete(one))
        without = time.perf_counter() - began
        began = time.perf_counter()
        for one in asked:
            drive(lm.complete(one))
        added = time.perf_counter() - began - without
    store.close()
    return added


def measured(binary: str) -> dict[str, float]:
    port = free_port()
    options = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"]
    server = subprocess.Popen(options, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
        store = RedisCache(f"redis://127.0.0.1:{port}/0", timeout=5)
        figures = hits(store)
        store.close()
    finally:
        server.kill()
        server.wait()
    logging.getLogger("outlast.cache").setLevel(logging.CRITICAL)
    figures["dead_s"] = beside(port)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        figures["silent_s"] = beside(silent.getsockname()[1])
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    binary = shutil.which("redis-server")
    if binary is None:
        print("no redis-server here, nothing was measured: apt-get install -y redis-server")
        return 1
    figures = measured(binary)
    if options.json:
        print(json.dumps(figures))
        return 0
    for name, text in (("alone", "one by one, blocking"), ("together", f"{AT_ONCE} at once, async")):
        print(f"hit, {text:22} {figures[f'{name}_us']:7.0f} us   CPU {figures[f'{name}_cpu_us']:5.0f} us")
    met = True
    for name in ("dead", "silent"):
        added = figures[f"{name}_s"]
        good = added < 1.0
        met = met and good
        print(f"BAR {'PASS' if good else 'FAIL'} a {name} Redis adds < 1 s to {BESIDE:,} calls: {added:.2f} s")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
