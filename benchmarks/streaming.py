"""What a program's stream costs beside a client that reads server-sent events by itself.

    python benchmarks/streaming.py [--rounds 60]

The server is a process of its own; it says nothing for 100 ms, then a token every 2 ms. Both sides read the same
reply, in turns: raw aiohttp (one session, lines, JSON) and `program.stream(...)` with the adapters `Chat`, `JSON` and
`XML`, async and blocking, with retries and limits as users have them, but without a cache. Medians of all rounds.

"first token" is the first text of the reply, which is a piece of the adapter's marker; "first of the field" the first
text behind the marker, which is what a reader sees; the markers are cut as common tokenizers cut them. CPU
per token is the client's own, of a reply of 2,000 tokens that comes as fast as it can; it is not judged, as a raw
client gives text and a stream typed values.

Bars, for every adapter: the first event of a field comes within 1.1 times the raw client's first token, and within
1.05 times the raw client's first of the same field.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any

FIRST, PACE, TOKENS, LONG = 0.1, 0.002, 40, 2_000
WORDS = [f" word{number}" for number in range(LONG)]
FORMS = {
    "Chat": (["<<", "answer", ">>", "\n", "Well"], ["\n\n", "<<", "end", ">>"]),
    "JSON": (['{"', "answer", '":', ' "', "Well"], ['"}']),
    "XML": (["<", "answer", ">", "Well"], ["</", "answer", ">"]),
}
BAR, SAME = 1.1, 1.05


def tokens_of(form: str, count: int) -> list[str]:
    opening, closing = FORMS[form]
    return [*opening, *WORDS[:count], *closing]


def chunk(data: Any) -> bytes:
    line = b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(line), line)


def streamed(tokens: list[str]) -> list[bytes]:
    """A reply of these tokens as the chunks of an event stream."""
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas = [{"delta": {"content": token}, "finish_reason": None} for token in tokens]
    deltas.append({"delta": {}, "finish_reason": "stop"})
    chunks = [chunk({**frame, "choices": [{"index": 0, **delta}]}) for delta in deltas]
    return [*chunks, chunk(b"[DONE]") + b"0\r\n\r\n"]


async def serve() -> None:
    """Serve until the input ends. The model's name says what to reply: "Chat", or "Chat-long" without any pauses."""
    from _model_server import Connection

    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    short = {form: streamed(tokens_of(form, TOKENS)) for form in FORMS}
    long = {form: b"".join(streamed(tokens_of(form, LONG))) for form in FORMS}

    class Paced(Connection):
        def answer(self, body: bytes) -> None:
            form, _, how = json.loads(body)["model"].partition("-")
            if how:
                self.transport.write(head + long[form])
                return
            self.transport.write(head)
            self.pieces = short[form]
            self.later(FIRST, lambda: self.send_next(0, PACE))

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Paced(loop, 0.0, {}, b"", []), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


@contextmanager
def served() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()


async def raw(session: Any, url: str, model: str) -> AsyncGenerator[str]:
    """The text of a reply in pieces, read by hand."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    async with session.post(f"{url}/chat/completions", json=body) as response:
        async for line in response.content:
            if line.startswith(b"data: {"):
                for choice in json.loads(line[6:])["choices"]:
                    text = choice["delta"].get("content")
                    if text:
                        yield text


async def first_raw(session: Any, url: str, form: str) -> tuple[float, float]:
    """Seconds to the first token, and to the first of the field."""
    began = time.perf_counter()
    first = 0.0
    async for text in raw(session, url, form):
        first = first or time.perf_counter() - began
        if text.strip() == "Well":
            return first, time.perf_counter() - began
    raise AssertionError("no field came")


async def first_async(program: Any) -> float:
    import outlast as ol

    began = time.perf_counter()
    async for event in program.stream(question="hello"):
        if isinstance(event, ol.FieldDelta):
            return time.perf_counter() - began
    raise AssertionError("no field came")


def first_blocking(program: Any) -> float:
    import outlast as ol

    began = time.perf_counter()
    for event in program.stream(question="hello"):
        if isinstance(event, ol.FieldDelta):
            return time.perf_counter() - began
    raise AssertionError("no field came")


def program_of(form: str, url: str, model: str) -> Any:
    import outlast as ol

    lm = ol.LM(f"openai/{model}", base_url=url, api_key="k", cache=False)
    return ol.Predict("question -> answer", lm=lm, adapter=getattr(ol, form)())


async def firsts(url: str, rounds: int) -> dict[str, dict[str, float]]:
    """Medians by adapter, in milliseconds."""
    import aiohttp

    found: dict[str, dict[str, list[float]]] = {}
    programs = {form: program_of(form, url, form) for form in FORMS}
    async with aiohttp.ClientSession() as session:
        for number in range(rounds + 3):
            for form, program in programs.items():
                first, of_field = await first_raw(session, url, form)
                mine = await first_async(program)
                blocking = await asyncio.to_thread(first_blocking, program)
                if number < 3:  # opens connections, imports, compiles
                    continue
                times = found.setdefault(form, {"first": [], "of_field": [], "async": [], "blocking": []})
                for name, value in zip(times, (first, of_field, mine, blocking), strict=True):
                    times[name].append(value * 1e3)
    return {form: {name: statistics.median(values) for name, values in times.items()} for form, times in found.items()}


async def cpu(url: str) -> dict[str, dict[str, float]]:
    """Microseconds of CPU for a token, the least of five."""
    import aiohttp

    import outlast as ol

    async def by_hand(session: Any, form: str) -> None:
        assert len("".join([text async for text in raw(session, url, f"{form}-long")])) > LONG

    async def by_program(program: Any) -> None:
        stream = program.stream(question="hello")
        seen = 0
        async for event in stream:
            seen += isinstance(event, ol.FieldDelta)
        assert len(stream.result.answer.split()) == LONG + 1
        assert seen > 20  # a chunk of the network is several tokens

    def by_loop(program: Any) -> None:
        stream = program.stream(question="hello")
        for _ in stream:
            pass
        assert len(stream.result.answer.split()) == LONG + 1

    found: dict[str, dict[str, float]] = {}
    async with aiohttp.ClientSession() as session:
        for form in FORMS:
            program = program_of(form, url, f"{form}-long")
            ways = {
                "raw": lambda form=form: by_hand(session, form),
                "async": lambda program=program: by_program(program),
                "blocking": lambda program=program: asyncio.to_thread(by_loop, program),
            }
            found[form] = dict.fromkeys(ways, float("inf"))
            for _ in range(5):
                for name, way in ways.items():
                    gc.collect()
                    began = time.process_time()
                    await way()
                    found[form][name] = min(found[form][name], (time.process_time() - began) / LONG * 1e6)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60, help="of each kind, for the medians (%(default)s)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return 0
    with served() as url:
        times = asyncio.run(firsts(url, options.rounds))
        costs = asyncio.run(cpu(url))
    return report(times, costs)


def report(times: dict[str, dict[str, float]], costs: dict[str, dict[str, float]]) -> int:
    """Print the tables and judge the bar."""
    print(f"{'ms to the first':18}{'raw token':>12}{'raw of field':>14}{'stream':>10}{'blocking':>10}{'ratio':>8}")
    bars: list[str] = []
    met = True
    for form, found in times.items():
        ratio = found["async"] / found["first"]
        same = found["async"] / found["of_field"]
        met = met and ratio < BAR and same < SAME
        print(
            f"{form:18}{found['first']:12.2f}{found['of_field']:14.2f}{found['async']:10.2f}{found['blocking']:10.2f}"
            f"{ratio:8.3f}"
        )
        for what, value, most in (("raw first token", ratio, BAR), ("the same by the raw client", same, SAME)):
            bars.append(f"BAR {'PASS' if value < most else 'FAIL'} {form}: first field < {most} x {what}: x{value:.3f}")
    print(f"\n{'us of CPU a token':18}{'raw':>12}{'stream':>14}{'blocking':>10}{'ratio':>8}")
    for form, found in costs.items():
        ratio = found["async"] / found["raw"]
        print(f"{form:18}{found['raw']:12.2f}{found['async']:14.2f}{found['blocking']:10.2f}{ratio:8.2f}")
    print("\n".join(bars))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
