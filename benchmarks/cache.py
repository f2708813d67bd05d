"""What a cached answer costs: `Predict` calls that hit the cache, from memory and from disk.

    python benchmarks/cache.py [--peer /path/to/python-with-dspy] [--json]

A loopback server answers 300 different prompts of about 1.1 kB once; then the same calls are repeated. The peer does
the same against the same server in its own interpreter. Bar: at least 10 times the peer's rate for hits from memory,
which every hit is after the first; hits from disk are printed. Peak rates of five rounds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

N, ROUNDS = 300, 5
FILLER = "The customer wrote about a transfer that has not arrived yet and asks what to do. " * 13 + "Thanks."
SERVER = """
import sys
from outlast.testing.server import FakeServer
with FakeServer(sys.argv[1]) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


def best(call: Callable[[int], Any]) -> float:
    """The most calls per second of CPU over the rounds."""
    rates: list[float] = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        for number in range(N):
            call(number)
        rates.append(N / (time.process_time() - begin))
    return max(rates)


def ours(url: str, folder: str) -> dict[str, float]:
    import outlast as ol

    path = str(Path(folder) / "ours.db")
    lm = ol.LM("openai/gpt-4o-mini", base_url=url, api_key="k", cache=path)
    program = ol.Predict("question -> answer", lm=lm)

    def call(number: int) -> None:
        assert program(question=f"{number} {FILLER}").answer == "yes"

    for number in range(N):
        call(number)
    memory = best(call)
    time.sleep(0.3)  # the writer's batch
    begin = time.process_time()
    fresh = ol.Predict("question -> answer", lm=ol.LM("openai/gpt-4o-mini", base_url=url, api_key="k", cache=path))
    fresh(question=f"0 {FILLER}")
    rates: list[float] = []
    for _ in range(ROUNDS):
        again = ol.LM("openai/gpt-4o-mini", base_url=url, api_key="k", cache=path)
        program = ol.Predict("question -> answer", lm=again)
        program(question=f"0 {FILLER}")  # opens the file and compiles the prompt
        begin = time.process_time()
        for number in range(1, N):
            out = program(question=f"{number} {FILLER}")
            assert out.trace[0].response.cache == "hit"
        rates.append((N - 1) / (time.process_time() - begin))
    return {"memory": memory, "disk": max(rates)}


def peer(url: str, folder: str) -> dict[str, float]:
    import dspy  # type: ignore[import-not-found]

    dspy.configure_cache(disk_cache_dir=folder, enable_disk_cache=True, enable_memory_cache=True)
    dspy.configure(lm=dspy.LM("openai/gpt-4o-mini", api_base=url, api_key="k"))
    program = dspy.Predict("question -> answer")

    def call(number: int) -> None:
        assert program(question=f"{number} {FILLER}").answer == "yes"

    for number in range(N):
        call(number)
    memory = best(call)
    dspy.configure_cache(disk_cache_dir=folder, enable_disk_cache=True, enable_memory_cache=False)
    return {"memory": memory, "disk": best(call)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="python of an environment that has dspy")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--run-peer", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run_peer:
        with tempfile.TemporaryDirectory() as folder:
            print("RESULT " + json.dumps(peer(options.run_peer, folder)))
        return 0
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        with server("<<answer>>\nyes\n\n<<end>>") as url:
            figures["ours"] = ours(url, folder)
        if options.peer:
            with server("[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]") as url:
                figures["peer"] = run_peer(options.peer, url)
    if options.json:
        print(json.dumps(figures))
        return 0
    for who, rates in figures.items():
        memory, disk = rates["memory"], rates["disk"]
        print(f"{who:5} hits from memory: {memory:9,.0f}/s   from disk: {disk:9,.0f}/s  (per CPU second)")
    if "peer" not in figures:
        print("(no --peer: the bars need it)")
        return 0
    memory, disk = (figures["ours"][kind] / figures["peer"][kind] for kind in ("memory", "disk"))
    print(f"first hit after a start, from disk, beside the peer's: x{disk:.1f}")
    met = memory >= 10
    print(f"BAR {'PASS' if met else 'FAIL'} cache hits >= 10 x the peer: x{memory:.1f}")
    return 0 if met else 1


class server:
    """The server in a process of its own, for a block; gives its URL."""

    def __init__(self, reply: str) -> None:
        self.reply = reply

    def __enter__(self) -> str:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, self.reply], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()


def run_peer(python: str, url: str) -> Any:
    done = subprocess.run(
        [python, __file__, "--run-peer", url], capture_output=True, text=True, check=False, timeout=900
    )
    line = next((text for text in done.stdout.splitlines() if text.startswith("RESULT ")), None)
    if line is None:
        sys.exit(f"the peer failed:\n{done.stderr[-2000:]}")
    return json.loads(line.removeprefix("RESULT "))


if __name__ == "__main__":
    sys.exit(main())
