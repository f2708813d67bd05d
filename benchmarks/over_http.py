"""Rate and client CPU of calls over HTTP: raw aiohttp beside `LM`, against a server with 100 ms latency.

    python benchmarks/over_http.py [--calls 2000] [--concurrency 64 256 1000]

The server (`outlast.testing.FakeServer`) runs in a process of its own, so the CPU time printed is the client's alone.
On few cores the two compete: the rate falls short of concurrency / latency when either uses up its core.
Each is run twice and the better run counts. `LM` is measured with its cache off, as every request is new; retries
and limit are on, as users have them.
Bar: at most twice the CPU time of raw aiohttp at every concurrency.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import outlast as ol

LATENCY = 0.1
PROMPT = "Which team should answer this message? " * 9
REPLY = "The billing team, since a charge appears twice on the statement. " * 11
SERVER = """
import sys
from outlast.testing.server import FakeServer
with FakeServer(sys.argv[1], latency=float(sys.argv[2])) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""

Call = Callable[[int], Awaitable[int]]


async def measure(call: Call, calls: int, concurrency: int) -> tuple[float, float]:
    """Calls per second and client CPU milliseconds per call; every reply is checked."""
    gate = asyncio.Semaphore(concurrency)

    async def one(number: int) -> int:
        async with gate:
            return await call(number)

    await asyncio.gather(*(one(-number) for number in range(1, concurrency + 1)))  # opens the connections
    started, cpu = time.perf_counter(), time.process_time()
    lengths = await asyncio.gather(*(one(number) for number in range(calls)))
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - started
    assert set(lengths) == {len(REPLY)}, "a reply was lost or changed"
    return calls / seconds, cpu / calls * 1000


async def raw(url: str, calls: int, concurrency: int) -> tuple[float, float]:
    """The least that Python can do: aiohttp, one session, JSON in and out."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call(number: int) -> int:
            body = {"model": "m", "messages": [{"role": "user", "content": f"{PROMPT}{number}"}]}
            async with session.post(f"{url}/chat/completions", json=body) as response:
                return len((await response.json())["choices"][0]["message"]["content"])

        return await measure(call, calls, concurrency)


async def ours(url: str, calls: int, concurrency: int) -> tuple[float, float]:
    """`LM(...)` as a user has it, but for the cache."""
    lm = ol.LM("openai/m", base_url=url, cache=False, concurrency=concurrency)

    async def call(number: int) -> int:
        return len((await lm.acall(f"{PROMPT}{number}")).text)

    return await measure(call, calls, concurrency)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64, 256, 1000])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    given = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, REPLY, str(LATENCY)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    assert server.stdin is not None
    try:
        url = server.stdout.readline().strip()
        rows = []
        for concurrency in given.concurrency:
            for name, run in (("aiohttp", raw), ("outlast", ours)):
                rounds = [asyncio.run(run(url, given.calls, concurrency)) for _ in range(2)]
                rate, cpu = max(rate for rate, _ in rounds), min(cpu for _, cpu in rounds)
                rows.append({"client": name, "concurrency": concurrency, "rate": rate, "cpu_ms": cpu})
    finally:
        server.stdin.close()
        server.wait(timeout=10)
    if given.json:
        print(json.dumps({"latency_s": LATENCY, "calls": given.calls, "rows": rows}))
        return
    pairs = zip(rows[::2], rows[1::2], strict=True)
    worst = max(mine["cpu_ms"] / bare["cpu_ms"] for bare, mine in pairs)
    print(f"{given.calls} calls each, {LATENCY * 1000:.0f} ms latency")
    print(f"{'in flight':>9}  {'client':<8} {'calls/s':>8} {'ideal':>7} {'CPU ms/call':>12}")
    for row in rows:
        ideal = row["concurrency"] / LATENCY
        print(f"{row['concurrency']:>9}  {row['client']:<8} {row['rate']:>8.0f} {ideal:>7.0f} {row['cpu_ms']:>12.3f}")
    verdict = "PASS" if worst <= 2 else "FAIL"
    print(f"BAR {verdict} a call over HTTP costs {worst:.2f}x the CPU of raw aiohttp (at most 2x)")


if __name__ == "__main__":
    main()
