"""Whether a shared rate limit holds: four processes against one server that counts what arrives.

    python benchmarks/rates.py [--seconds 125] [--requests 600] [--tokens 60000]

Four processes of 32 threads of work each ask a loopback server as fast as `RateLimited(shared=...)` lets them, three
times: with a limit on requests, with one on tokens (replies of random length, 40 to 160 tokens, so that every
estimate is wrong), and with one of the processes killed in the middle. The server notes when each request arrives and
how many tokens it takes. Every sliding minute is looked at. Bar: no minute holds more than 102% of the limit. Printed
too: how much of the limit is used once it binds, the share that each process got, and the CPU time that one call costs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

WINDOW = 60.0
PROCESSES, WORKERS = 4, 32


def worker(url: str, path: str, requests: float, tokens: float, seconds: float) -> None:
    """One process: ask until the time is up."""
    import outlast as ol

    lm = ol.LM(
        "openai/m",
        base_url=url,
        api_key="key",
        cache=False,
        retries=0,
        requests_per_minute=requests or None,
        tokens_per_minute=tokens or None,
        shared_rate=path,
        max_tokens=200,
    )

    async def ask(end: float) -> int:
        done = 0
        while time.monotonic() < end:
            try:
                async with asyncio.timeout(max(0.0, end - time.monotonic())):
                    await lm.acall(f"process {os.getpid()} asks for a reply")
                    done += 1
            except TimeoutError:
                break
        return done

    async def all_of_them() -> int:
        end = time.monotonic() + seconds
        return sum(await asyncio.gather(*(ask(end) for _ in range(WORKERS))))

    begin = time.process_time()
    calls = asyncio.run(all_of_them())
    print(json.dumps({"calls": calls, "cpu": time.process_time() - begin}), flush=True)


def measure(requests: float, tokens: float, seconds: float, kill: bool = False) -> bool:
    """Run four processes; print what arrived; say whether the limits were kept."""
    from outlast.testing.server import FakeServer

    rng = random.Random(7)
    arrived: list[tuple[float, int, str]] = []

    def answer(request: dict) -> str:
        words = rng.randint(40, 160)
        text = request["messages"][-1]["content"]
        arrived.append((time.monotonic(), words + len(text.split()), text.split()[1]))
        return " ".join(["word"] * words)

    with FakeServer(answer, latency=0.1) as server, tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--worker", server.url, str(Path(folder) / "rates.db")]
        command += [str(requests), str(tokens), str(seconds)]
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
        if kill:
            time.sleep(seconds / 2)
            processes[0].send_signal(signal.SIGKILL)
        told = [json.loads(out) for out, _ in (process.communicate() for process in processes) if out]
    name = f"{requests:g} requests" if requests else f"{tokens:g} tokens"
    name += " a minute" + (", one process killed" if kill else "")
    return report(name, arrived, requests or tokens, bool(tokens), told, seconds)


def report(name: str, arrived: list, limit: float, by_tokens: bool, told: list, seconds: float) -> bool:
    """Look at every minute that ends with an arrival, and at how much was used after the first minute."""
    amounts = [(when, tokens if by_tokens else 1) for when, tokens, _ in arrived]
    most = total = first = 0
    for when, amount in amounts:
        total += amount
        while amounts[first][0] <= when - WINDOW:
            total -= amounts[first][1]
            first += 1
        most = max(most, total)
    begin = amounts[0][0]
    minutes = int((seconds - 2) / WINDOW) - 1
    later = sum(amount for when, amount in amounts if WINDOW <= when - begin < WINDOW * (1 + minutes))
    used = later / (limit * minutes)
    shares = sorted(count / len(arrived) for count in Counter(who for _, _, who in arrived).values())
    cpu = sum(each["cpu"] for each in told) / max(1, sum(each["calls"] for each in told))
    print(
        f"{name}: fullest minute {most / limit:.1%} of the limit, {used:.1%} used after the first minute, "
        f"{len(arrived)} calls, shares {shares[0]:.0%} to {shares[-1]:.0%}, {cpu * 1e3:.2f} ms CPU a call"
    )
    kept = most <= 1.02 * limit
    print(f"BAR {'PASS' if kept else 'FAIL'} {name}: no minute above 102% ({most / limit:.1%})")
    return kept


def main() -> int:
    """Measure the three cases."""
    if sys.argv[1:2] == ["--worker"]:
        url, path, *numbers = sys.argv[2:]
        worker(url, path, *map(float, numbers))
        return 0
    parser = argparse.ArgumentParser(description="Whether shared rate limits hold.")
    parser.add_argument("--seconds", type=float, default=125.0)
    parser.add_argument("--requests", type=float, default=600.0)
    parser.add_argument("--tokens", type=float, default=60_000.0)
    options = parser.parse_args()
    kept = [
        measure(options.requests, 0, options.seconds),
        measure(0, options.tokens, options.seconds),
        measure(options.requests, 0, options.seconds, kill=True),
    ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
