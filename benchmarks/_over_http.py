"""The measurements of `http.py`.

The server waits 100 ms and is a process of its own (`_model_server.py`), so that CPU times are the client's alone; its
own are shown too, as a server that is busy all the time would be what is measured. Raw aiohttp is one session, the
same JSON out and in, and every reply checked; `LM` is as users have it, with retries and limit, but with its cache
off. The two take turns within one process; medians of their rounds are shown, and the bars judge the median of the
ratios of neighbouring rounds, which other work on the machine touches least. On few cores client and server
compete: the rate falls short of concurrency / latency when either uses up its core.

Bars: `LM` reaches at least 80% of raw aiohttp's rate, for at most 1.5 times its CPU, at every concurrency; `Predict`
with 256 in flight at least 5 times the rate of the peer's; 256 streams at once all come to their end.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from _model_server import TEXT

HERE = Path(__file__).parent
LATENCY, STREAM_SECONDS = 0.1, 1.0
PROMPT = "Which team should answer this message? " * 9
IN_FLIGHT, PREDICTS = 256, {"ours": 1.5, "peer": 0.5}  # calls of a round, as multiples of --calls: it is slower

Call = Callable[[int], Awaitable[str]]


class Figures(NamedTuple):
    """Calls per second, and milliseconds of the client's CPU for each."""

    rate: float
    cpu_ms: float


async def measure(call: Call, calls: int, concurrency: int) -> Figures:
    """Make the calls, `concurrency` at a time; every reply is checked."""
    numbers = iter(range(calls))

    async def work() -> None:
        for number in numbers:
            said = await call(number)
            assert said == TEXT, f"a reply was lost or changed: {said[:80]!r}"

    await asyncio.gather(*(call(-number) for number in range(1, concurrency + 1)))  # opens the connections
    gc.collect()
    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - started
    return Figures(calls / seconds, cpu / calls * 1000)


async def raw(url: str, calls: int, concurrency: int) -> Figures:
    """The least that Python can do: aiohttp, one session, JSON out and in."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call(number: int) -> str:
            body = {"model": "m", "messages": [{"role": "user", "content": f"{PROMPT}{number}"}]}
            async with session.post(f"{url}/chat/completions", json=body) as response:
                return (await response.json())["choices"][0]["message"]["content"]

        return await measure(call, calls, concurrency)


async def ours(url: str, calls: int, concurrency: int) -> Figures:
    """`LM(...)` as a user has it, but for the cache."""
    import outlast as ol

    lm = ol.LM("openai/m", base_url=url, cache=False, concurrency=concurrency)

    async def call(number: int) -> str:
        return (await lm.acall(f"{PROMPT}{number}")).text

    return await measure(call, calls, concurrency)


async def raw_streams(url: str, calls: int, concurrency: int) -> Figures:
    """Streams by raw aiohttp: lines, JSON, the deltas joined."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call(number: int) -> str:
            said: list[str] = []
            body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": f"{PROMPT}{number}"}]}
            async with session.post(f"{url}/chat/completions", json=body) as response:
                async for line in response.content:
                    if line.startswith(b"data: {"):
                        for choice in json.loads(line[6:])["choices"]:
                            said.append(choice["delta"].get("content", ""))
            return "".join(said)

        return await measure(call, calls, concurrency)


async def our_streams(url: str, calls: int, concurrency: int) -> Figures:
    """Streams by `LM(...)`: typed events."""
    import outlast as ol

    lm = ol.LM("openai/m", base_url=url, cache=False, concurrency=concurrency)

    async def call(number: int) -> str:
        deltas = 0
        async for event in (events := lm.events(f"{PROMPT}{number}")):
            deltas += hasattr(event, "text")
        assert deltas > 40, f"{deltas} deltas: that was no stream"
        assert events.response is not None
        return events.response.text

    return await measure(call, calls, concurrency)


async def our_predict(url: str, calls: int) -> Figures:
    """Our `Predict`, from typed inputs to typed outputs."""
    import outlast as ol

    lm = ol.LM("openai/m", base_url=url, cache=False, concurrency=IN_FLIGHT)
    program = ol.Predict("question -> answer", lm=lm)

    async def call(number: int) -> str:
        return (await program.acall(question=f"{PROMPT}{number}")).answer + " "

    return await measure(call, calls, IN_FLIGHT)


async def peer_predict(url: str, calls: int) -> Figures:
    """The peer's `Predict`, its cache off too."""
    import dspy  # type: ignore[import-not-found]

    dspy.configure(lm=dspy.LM("openai/m", api_base=url, api_key="none", cache=False))
    program = dspy.Predict("question -> answer")

    async def call(number: int) -> str:
        return (await program.acall(question=f"{PROMPT}{number}")).answer + " "

    return await measure(call, calls, IN_FLIGHT)


@contextmanager
def server(latency: float) -> Iterator[tuple[str, Callable[[], float]]]:
    """The address of a server of its own process, and a function that gives the CPU seconds that it has used."""
    command = [sys.executable, str(HERE / "_model_server.py"), str(latency)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    with process, process.stdin, process.stdout:
        yield process.stdout.readline().strip(), lambda: _cpu_of(process.pid)


def _cpu_of(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Turns(NamedTuple):
    """The figures of clients that took turns, each round by round."""

    rounds: dict[str, list[Figures]]

    def median(self, name: str) -> Figures:
        return Figures(*(statistics.median(figures) for figures in zip(*self.rounds[name], strict=True)))

    def ratio(self, one: str, other: str) -> Figures:
        """The medians of the ratios within each round."""
        pairs = list(zip(self.rounds[one], self.rounds[other], strict=True))
        return Figures(
            statistics.median(mine.rate / bare.rate for mine, bare in pairs),
            statistics.median(mine.cpu_ms / bare.cpu_ms for mine, bare in pairs),
        )


Side = Callable[[str, int, int], Awaitable[Figures]]


def taking_turns(url: str, sides: dict[str, Side], calls: int, concurrency: int, rounds: int) -> Turns:
    """Let some clients take turns, each going first in every other round."""
    found: dict[str, list[Figures]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in sides if number % 2 == 0 else reversed(list(sides)):
            found[name].append(asyncio.run(_run(sides[name], url, calls, concurrency)))
    return Turns(found)


async def _run(side: Side, url: str, calls: int, concurrency: int) -> Figures:
    return await side(url, calls, concurrency)


def in_process(python: str, side: str, url: str, calls: int) -> Figures:
    """`Predict` of one side, measured in a process of its own."""
    command = [python, "-W", "ignore", str(HERE / "http.py"), "--side", side, "--url", url, "--calls", str(calls)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    line = next((text for text in done.stdout.splitlines() if text.startswith("RESULT ")), None)
    if line is None:
        sys.exit(f"{side} failed:\n{done.stderr[-2000:]}")
    return Figures(*json.loads(line.removeprefix("RESULT ")))


def main() -> int:
    """Run what the command line asks for; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64, 256, 1000, 4000])
    parser.add_argument("--rounds", type=int, default=5, help="turns of each client (%(default)s)")
    parser.add_argument(
        "--calls", type=int, default=2000, help="least calls of a round; more with many in flight (%(default)s)"
    )
    parser.add_argument("--peer", metavar="PYTHON", help="python of an environment that has the peer (dspy)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--side", choices=["ours", "peer"], help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    given = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if given.side:
        predict = our_predict if given.side == "ours" else peer_predict
        print("RESULT " + json.dumps(asyncio.run(predict(given.url, given.calls))))
        return 0
    rows, busy = calls_table(given.concurrency, given.rounds, given.calls)
    streams = streams_table(max(1, given.rounds - 2))
    predicts = predict_table(given.peer, max(1, given.rounds - 2), given.calls)
    if given.json:
        print(json.dumps({"calls": rows, "streams": streams, "predict": predicts, "server_cpu": busy}))
        return 0
    return report(rows, busy, streams, predicts)


def calls_table(levels: list[int], rounds: int, calls: int) -> tuple[dict[int, Turns], dict[int, float]]:
    """Figures for each number in flight, and how busy the server was."""
    rows: dict[int, Turns] = {}
    busy: dict[int, float] = {}
    with server(LATENCY) as (url, cpu):
        for concurrency in levels:
            began, used = time.perf_counter(), cpu()
            sides: dict[str, Side] = {"aiohttp": raw, "outlast": ours}
            rows[concurrency] = taking_turns(
                url, sides, max(calls, min(4 * concurrency, 4 * calls)), concurrency, rounds
            )
            busy[concurrency] = (cpu() - used) / (time.perf_counter() - began)
    return rows, busy


def streams_table(rounds: int) -> Turns:
    """Figures of streams of a second, all at once."""
    with server(STREAM_SECONDS) as (url, _):
        return taking_turns(url, {"aiohttp": raw_streams, "outlast": our_streams}, 2 * IN_FLIGHT, IN_FLIGHT, rounds)


def predict_table(peer: str | None, rounds: int, calls: int) -> Turns:
    """Figures of `Predict`, ours and, when there is one, the peer's."""
    sides = {"ours": sys.executable, **({"peer": peer} if peer else {})}
    found: dict[str, list[Figures]] = {side: [] for side in sides}
    with server(LATENCY) as (url, _):
        for _ in range(rounds):
            for side, python in sides.items():
                found[side].append(in_process(python, side, url, int(PREDICTS[side] * calls)))
    return Turns(found)


def report(rows: dict[int, Turns], busy: dict[int, float], streams: Turns, predicts: Turns) -> int:
    """Print the tables and judge the bars."""
    bars: list[tuple[bool, str]] = []
    print(f"{'in flight':>10}  {'client':<18} {'calls/s':>8} {'ideal':>7} {'CPU ms/call':>12} {'server busy':>12}")
    for concurrency, turns in rows.items():
        for name in turns.rounds:
            show(concurrency, name, turns.median(name), concurrency / LATENCY, f"{busy[concurrency]:.0%}")
        share, factor = turns.ratio("outlast", "aiohttp")
        bars.append((share >= 0.8, f"{concurrency:,} in flight: >= 80% of raw aiohttp's rate: {share:.0%}"))
        bars.append((factor <= 1.5, f"{concurrency:,} in flight: <= 1.5 x its CPU per call: x{factor:.2f}"))
    for name in streams.rounds:
        show(IN_FLIGHT, f"{name}, streams", streams.median(name), IN_FLIGHT / STREAM_SECONDS)
    bars.append((True, f"{IN_FLIGHT} streams at once: all came whole, none timed out"))  # or measure() had raised
    for name in predicts.rounds:
        show(IN_FLIGHT, f"{name}, Predict", predicts.median(name), IN_FLIGHT / LATENCY)
    if "peer" in predicts.rounds:
        ratio = predicts.ratio("ours", "peer").rate
        bars.append((ratio >= 5, f"Predict with {IN_FLIGHT} in flight >= 5 x the peer's rate: x{ratio:.1f}"))
    for met, text in bars:
        print(f"BAR {'PASS' if met else 'FAIL'} {text}")
    return 0 if all(met for met, _ in bars) else 1


def show(concurrency: int, name: str, figures: Figures, ideal: float, busy: str = "") -> None:
    print(f"{concurrency:>10,}  {name:<18} {figures.rate:>8.0f} {ideal:>7.0f} {figures.cpu_ms:>12.3f} {busy:>12}")
