"""What it costs to keep traces, how fast they are written, and how fast a large store answers.

    python benchmarks/traces.py [--calls 4000] [--spans 1000000] [--processes 2] [--store FILE]

Calls are those of one `Predict` with four demonstrations, about 1,200 characters of input and 150 of reply, against a
model in this process that answers at once. Off and on take turns; the CPU of a call is that of the thread that makes
it, and that of the whole process with the thread that writes, until all is written and can be searched. Spans are
written in turns of their own, too, from what was told of calls before.

The large store is made by calling programs, too: two spans a call, from several processes, each waiting while more than
5,000 things are unwritten. Its text is then indexed. Queries are timed in this process, the median and the worst of
eleven, after one that is not counted.

Bars: less than 5% more CPU a call; 10,000 spans a second; each query of a store with a million spans within 300 ms;
memory of the process that writes grows by less than 50 MB.
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import outlast as ol
from outlast.messages import Response, Usage
from outlast.runtime import recording
from outlast.testing import ScriptedLM
from outlast.tracing.record import TraceFilter
from outlast.tracing.switch import flush

WORDS = """
account card transfer balance refund charge limit app login phone address statement interest fee loan mortgage branch
customer agent message yesterday today tomorrow twice never always please help wrong missing blocked stolen lost new old
pending declined approved currency euro dollar pound exchange rate abroad holiday shop online cash machine pin
""".split()  # noqa: SIM905 - easier to read
MOST_UNWRITTEN = 5_000


class Answer(ol.Signature):
    """Answer the question of a customer of our bank from what is known, in one sentence, and say how sure you are."""

    question: str = ol.input()
    known: str = ol.input()
    answer: str = ol.output()
    sure: int = ol.output(ge=1, le=5)


def text(draw: random.Random, words: int) -> str:
    """Words, the first of the list most often, and a rare number."""
    weights = [1 / (place + 1) for place in range(len(WORDS))]
    return " ".join(draw.choices(WORDS, weights, k=words)) + f" {draw.randrange(1_000_000)}"


def program(draw: random.Random) -> ol.Predict[..., Any]:
    replies = [text(draw, 20) for _ in range(1000)]

    def reply(messages: Any) -> Response:
        answer = replies[len(messages[-1].text) % 1000]
        return Response(f"<<answer>>\n{answer}\n<<sure>>\n3\n<<end>>", "scripted-1", usage=Usage(400, 40, cost=0.0004))

    demos = [
        {"question": text(draw, 10), "known": text(draw, 80), "answer": text(draw, 20), "sure": 4} for _ in range(4)
    ]
    return ol.Predict(Answer, demos=demos, lm=ScriptedLM(reply))


def ask(one: Any, inputs: list[tuple[str, str]]) -> tuple[float, float, float]:
    """Seconds of CPU of this thread and of the process, and seconds, for all calls."""
    thread, process, clock = time.thread_time(), time.process_time(), time.perf_counter()
    for question, known in inputs:
        one(question=question, known=known)
        wait_for_room()
    return time.thread_time() - thread, time.process_time() - process, time.perf_counter() - clock


def wait_for_room() -> None:
    place: Any = recording()
    while place is not None and len(place.writer._queue) > MOST_UNWRITTEN and place.writer._thread is not None:
        time.sleep(0.01)


def settle() -> None:
    """Wait until all is written and can be searched, and the thread that did it has ended."""
    place: Any = recording()
    assert flush(120)
    while place.writer._thread is not None:
        place.writer._news.set()
        time.sleep(0.01)


def costs(calls: int) -> dict[str, float]:
    """Microseconds of CPU a call, off and on, the medians of five turns, and spans written a second."""
    draw = random.Random(1)
    one = program(draw)
    ask(one, inputs_for(draw, 500))
    turns: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(5):
            inputs = inputs_for(draw, calls)
            off, _, _ = ask(one, inputs)
            with ol.trace(store=Path(folder) / f"{turn}.db"):
                ask(one, inputs[:1])  # what is done once: the file, the version of the program, git
                settle()
                process, clock = time.process_time(), time.perf_counter()
                on, _, _ = ask(one, inputs)
                assert flush(120)
                seconds = time.perf_counter() - clock
                settle()
            turns.append(
                {
                    "off": off / calls * 1e6,
                    "thread": on / calls * 1e6,
                    "process": (time.process_time() - process) / calls * 1e6,
                    "rate": 2 * calls / seconds,
                }
            )
    return {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}


def written(calls: int) -> tuple[float, float]:
    """Spans a second that are written while nothing else runs, and microseconds of CPU a span: what was told of some
    calls is kept back until then."""
    draw = random.Random(2)
    one, inputs = program(draw), inputs_for(draw, calls)
    rates: list[float] = []
    cpus: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(5):
            with ol.trace(store=Path(folder) / f"{turn}.db"):
                ask(one, inputs[:1])
                settle()
                place: Any = recording()
                begin, place.writer._start = place.writer._start, lambda: None
                ask(one, inputs)
                place.writer._start = begin
                clock, cpu = time.perf_counter(), time.process_time()
                assert flush(120)
                rates.append(2 * calls / (time.perf_counter() - clock))
                cpus.append((time.process_time() - cpu) / (2 * calls) * 1e6)
                settle()
    return statistics.median(rates), statistics.median(cpus)


def inputs_for(draw: random.Random, calls: int) -> list[tuple[str, str]]:
    return [(text(draw, 12), text(draw, 180)) for _ in range(calls)]


def fill(path: Path, calls: int, seed: int) -> None:
    """Make calls; says by how many kB the process grew after the first tenth."""
    draw = random.Random(seed)
    one = program(draw)
    grown = 0
    with ol.trace(store=path):
        for tenth in range(10):
            ask(one, inputs_for(draw, calls // 10))
            now = most_memory()
            grown = now if tenth == 0 else grown
    assert flush(600)
    print(most_memory() - grown)


def most_memory() -> int:
    """kB that this process held at most; `ru_maxrss` would be that of its parent, when that is larger."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def filled(path: Path, spans: int, processes: int) -> tuple[float, int]:
    """Seconds until so many spans are in the store, and the most kB that a process grew by."""
    began = time.perf_counter()
    command = [sys.executable, __file__, "--fill", str(path), str(spans // 2 // processes)]
    workers = [subprocess.Popen([*command, str(seed)], stdout=subprocess.PIPE, text=True) for seed in range(processes)]
    grown = [int(worker.communicate()[0]) for worker in workers]
    assert all(worker.returncode == 0 for worker in workers)
    return time.perf_counter() - began, max(grown)


def timed(query: Callable[[], Any]) -> tuple[float, float]:
    """Milliseconds, the median and the most."""
    query()
    taken: list[float] = []
    for _ in range(11):
        clock = time.perf_counter()
        query()
        taken.append((time.perf_counter() - clock) * 1000)
    return statistics.median(taken), max(taken)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--store", type=Path, help="keep the large store here, or use the one that is there")
    parser.add_argument("--fill", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill:
        fill(Path(options.fill[0]), int(options.fill[1]), int(options.fill[2]))
        return 0
    cost = costs(options.calls)
    rate, cpu = written(options.calls)
    print(
        f"CPU a call: off {cost['off']:.0f} us; on {cost['thread']:.0f} us in the thread that calls, "
        f"{cost['process']:.0f} us in the whole process; {cost['rate']:,.0f} spans a second with the calls that make "
        f"them, {rate:,.0f} by themselves ({cpu:.0f} us of CPU a span)"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = options.store or Path(folder) / "large.db"
        seconds, grown = 0.0, 0
        if not path.exists():
            seconds, grown = filled(path, options.spans, options.processes)
            print(
                f"{options.spans:,} spans from {options.processes} processes in {seconds:.0f} s; "
                f"each grew by at most {grown / 1000:.0f} MB"
            )
        with ol.open_store(path) as store:
            clock = time.perf_counter()
            while store.database.index_some():
                pass
            stats = store.stats()
            print(
                f"text indexed in {time.perf_counter() - clock:.0f} s; {stats['spans']:,} spans, "
                f"{stats['bytes'] / 1e6:,.0f} MB"
            )
            some = store.traces(TraceFilter(until=time.time() - seconds / 2), limit=1)[0].id
            queries: dict[str, Callable[[], Any]] = {
                "the newest 50 traces": lambda: store.traces(limit=50),
                "runs": lambda: store.runs(),
                "what runs came to": lambda: store.totals(store.runs()),
                "one trace with its content": lambda: (store.trace(some), store.spans(some), store.contents(some)),
                "search: two frequent words": lambda: store.search("account transfer"),
                "search: a rare number": lambda: store.search(str(some_number(store, some))),
                "search: a phrase": lambda: store.search('"card transfer balance"'),
                "failed traces": lambda: store.traces(TraceFilter(status="error"), limit=50),
            }
            worst = 0.0
            for name, query in queries.items():
                median, most = timed(query)
                worst = max(worst, median)
                print(f"  {name:<28} {median:7.1f} ms (at most {most:.1f})")
    more = cost["process"] / cost["off"] - 1
    bars = [
        (
            more < 0.05,
            f"less than 5% more CPU a call: {more:.0%} ({cost['thread'] / cost['off'] - 1:.0%} in the calling thread)",
        ),
        (rate >= 10_000, f"10,000 spans a second are written: {rate:,.0f}"),
        (worst <= 300, f"each query of {stats['spans']:,} spans within 300 ms: {worst:.0f} ms"),
        (grown <= 50_000, f"memory grows by less than 50 MB: {grown / 1000:.0f} MB"),
    ]
    for good, bar in bars:
        print(f"BAR {'PASS' if good else 'FAIL'} {bar}")
    return 0 if all(good for good, _ in bars) else 1


def some_number(store: ol.Store, trace: str) -> str:
    """The rare word at the end of an input of a trace."""
    return str(store.content(store.spans(trace)[0]).inputs["known"]).rsplit(" ", 1)[1]


if __name__ == "__main__":
    sys.exit(main())
