"""How close `evaluate` comes to calls x latency / concurrency, and whether its cost per example stays flat.

    python benchmarks/evaluate.py [--peer /path/to/python-with-dspy] [--json]

The model is a script that waits 50 ms; the peer runs the same in its own interpreter, within the same run.
Bars: 2,000 examples at concurrency 128 within 1.15 of the ideal time; CPU per example at 16,000 examples within
1.15 of that at 1,000 (medians of three).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

N, LATENCY, CONCURRENCY = 2_000, 0.05, 128
IDEAL = N * LATENCY / CONCURRENCY
SIZES = (1_000, 4_000, 16_000)


def ours() -> dict[str, Any]:
    import outlast as ol
    from outlast.testing import ScriptedLM

    program = ol.Predict("question -> answer")

    def correct(example: Any, out: Any) -> bool:
        return out.answer == example.answer

    def data(n: int) -> list[Any]:
        return [ol.Example({"question": f"question {i}"}, {"answer": "4"}) for i in range(n)]

    def run(n: int, latency: float, concurrency: int) -> tuple[float, float]:
        examples = data(n)
        lm = ScriptedLM(lambda _: "<<answer>>\n4\n\n<<end>>", latency=latency)
        wall, cpu = time.perf_counter(), time.process_time()
        result = ol.evaluate(program, examples, correct, lm=lm, concurrency=concurrency, progress=False)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        assert result.score.value == 1.0
        assert result.score.n == n
        return wall, cpu

    run(200, 0.0, 8)
    walls = [run(N, LATENCY, CONCURRENCY)[0] for _ in range(3)]
    flat = {n: statistics.median(run(n, 0.0, 8)[1] / n * 1e6 for _ in range(3)) for n in SIZES}
    return {"wall": statistics.median(walls), "cpu_us": flat}


def peer() -> dict[str, Any]:
    import dspy  # type: ignore[import-not-found]

    class Slow(dspy.BaseLM):  # type: ignore[misc]
        def __init__(self, latency: float) -> None:
            super().__init__(model="slow", cache=False)
            self.latency = latency

        def forward(self, prompt: Any = None, messages: Any = None, **kwargs: Any) -> Any:
            if self.latency:
                time.sleep(self.latency)
            from types import SimpleNamespace as N_

            text = "[[ ## answer ## ]]\n4\n\n[[ ## completed ## ]]"
            message = N_(content=text, tool_calls=None, reasoning_content=None)
            return N_(
                choices=[N_(message=message, finish_reason="stop", logprobs=None)],
                usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
                model="slow",
            )

    program = dspy.Predict("question -> answer")

    def run(n: int, latency: float, threads: int) -> tuple[float, float]:
        data = [dspy.Example(question=f"question {i}", answer="4").with_inputs("question") for i in range(n)]
        dspy.configure(lm=Slow(latency))
        check = dspy.Evaluate(
            devset=data, metric=lambda e, p, t=None: p.answer == e.answer, num_threads=threads, display_progress=False
        )
        wall, cpu = time.perf_counter(), time.process_time()
        check(program)
        return time.perf_counter() - wall, time.process_time() - cpu

    run(100, 0.0, 8)
    walls = [run(N, LATENCY, CONCURRENCY)[0] for _ in range(3)]
    flat = {n: run(n, 0.0, 8)[1] / n * 1e6 for n in SIZES}
    return {"wall": statistics.median(walls), "cpu_us": flat}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="python of an environment that has dspy")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--run-peer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run_peer:
        print("RESULT " + json.dumps(peer()))
        return 0
    figures: dict[str, Any] = {"ours": ours()}
    if options.peer:
        done = subprocess.run(
            [options.peer, __file__, "--run-peer"], capture_output=True, text=True, check=False, timeout=900
        )
        line = next((text for text in done.stdout.splitlines() if text.startswith("RESULT ")), None)
        if line is None:
            sys.exit(f"the peer failed:\n{done.stderr[-2000:]}")
        figures["peer"] = json.loads(line.removeprefix("RESULT "))
    if options.json:
        print(json.dumps(figures))
        return 0
    for who, result in figures.items():
        flat = ", ".join(f"{int(n):,}: {us:.0f}" for n, us in result["cpu_us"].items())
        print(f"{who:5} {N:,} x 50 ms at {CONCURRENCY}: {result['wall']:.2f} s, {result['wall'] / IDEAL:.2f} x ideal;")
        print(f"{'':5} CPU us per example by number of examples: {flat}")
    mine = figures["ours"]
    ratio = mine["wall"] / IDEAL
    growth = mine["cpu_us"][SIZES[-1]] / mine["cpu_us"][SIZES[0]]
    bars = [
        (f"evaluate within 1.15 x ideal: {ratio:.2f}", ratio <= 1.15),
        (f"CPU per example flat from 1,000 to 16,000: x{growth:.2f}", growth <= 1.15),
    ]
    for text, met in bars:
        print(f"BAR {'PASS' if met else 'FAIL'} {text}")
    return 0 if all(met for _, met in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
