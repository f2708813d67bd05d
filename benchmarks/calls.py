"""What a call costs besides the model: CPU per call, calls in flight, and the import.

    python benchmarks/calls.py [--peer /path/to/python-with-dspy] [--json]

Both sides answer the same questions with a model that is instant (or, for the calls in flight, waits 100 ms), in
processes of their own that take turns; the best of the rounds counts. Bars: `import` at most 1/10 of the peer's CPU
time, a call at most 1/5, the rate with 5,000 calls in flight at least 10 times.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

ROUNDS = 3
IN_FLIGHT, LATENCY = 5_000, 0.1
INPUTS: dict[str, Any] = {
    "title": "Charged twice for one ride",
    "body": "My card shows two payments of 12.50 for the ride on Monday evening, please give one back.",
    "tags": ["payment", "ride", "refund"],
    "visits": 3,
    "amount": 12.5,
}
OUTPUTS: dict[str, Any] = {
    "team": "billing",
    "urgency": 3,
    "summary": "Two payments for one ride",
    "refund": True,
    "topics": ["double charge", "refund"],
}
CASES = {
    "one": "1 input, 1 output",
    "typed": "5 typed inputs, 5 typed outputs",
    "typed_async": "the same, async",
    "demos": "the same with 16 demos",
}
IMPORTS = {"ours": "import outlast", "peer": "import dspy"}
FIRST_NAME = "import outlast; outlast.Predict"


def per_call(call: Callable[[], Any], n: int = 300) -> float:
    """Microseconds of CPU for a call: the best of five rounds."""
    for _ in range(20):
        call()
    gc.collect()
    best = float("inf")
    for _ in range(5):
        begin = time.process_time()
        for _ in range(n):
            call()
        best = min(best, (time.process_time() - begin) / n)
    return best * 1e6


async def per_acall(call: Callable[[], Awaitable[Any]], n: int = 300) -> float:
    """The same for async calls, one after the other in one task."""
    for _ in range(20):
        await call()
    gc.collect()
    best = float("inf")
    for _ in range(5):
        begin = time.process_time()
        for _ in range(n):
            await call()
        best = min(best, (time.process_time() - begin) / n)
    return best * 1e6


async def rate(call: Callable[[], Awaitable[Any]]) -> float:
    """Calls per second with all of them in flight at once: the better of two times."""
    await call()
    best = float("inf")
    for _ in range(2):
        gc.collect()
        begin = time.perf_counter()
        await asyncio.gather(*(call() for _ in range(IN_FLIGHT)))
        best = min(best, time.perf_counter() - begin)
    return IN_FLIGHT / best


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def ours() -> dict[str, float]:
    from typing import Literal

    import outlast as ol
    from outlast.testing import ScriptedLM

    fields: dict[str, Any] = {
        "title": (str, ol.input()),
        "body": (str, ol.input()),
        "tags": (list[str], ol.input()),
        "visits": (int, ol.input()),
        "amount": (float, ol.input()),
        "team": (Literal["billing", "cards", "rides"], ol.output()),
        "urgency": (int, ol.output(ge=1, le=5)),
        "summary": (str, ol.output()),
        "refund": (bool, ol.output()),
        "topics": (list[str], ol.output()),
    }
    signature: Any = ol.signature("title -> team").with_description("Route a support ticket.")
    for name, (kind, spec) in fields.items():
        signature = signature.with_field(name, kind, spec)
    many = "\n\n".join(f"<<{name}>>\n{as_text(value)}" for name, value in OUTPUTS.items()) + "\n\n<<end>>"
    typed_lm = ScriptedLM(lambda _: many)
    one = ol.Predict("question -> answer", lm=ScriptedLM(lambda _: "<<answer>>\nParis\n\n<<end>>"))
    slow = ol.Predict("question -> answer", lm=ScriptedLM(lambda _: "<<answer>>\nParis\n\n<<end>>", latency=LATENCY))
    typed = ol.Predict(signature, lm=typed_lm)
    shown = ol.update(typed, {"demos": [{**INPUTS, **OUTPUTS}] * 16})
    assert ol.outputs_of(shown(**INPUTS)) == OUTPUTS
    return {
        "one": per_call(lambda: one(question="What is the capital of France?")),
        "typed": per_call(lambda: typed(**INPUTS)),
        "typed_async": asyncio.run(per_acall(lambda: typed.acall(**INPUTS))),
        "demos": per_call(lambda: shown(**INPUTS)),
        "in_flight": asyncio.run(rate(lambda: slow.acall(question="What is the capital of France?"))),
    }


def peer() -> dict[str, float]:
    from typing import Literal

    import dspy  # type: ignore[import-not-found]

    class Instant(dspy.BaseLM):  # type: ignore[misc]
        """Answers in the shape of the OpenAI API: the faster of the two ways to bring one's own model there."""

        def __init__(self, fields: dict[str, Any], latency: float = 0.0) -> None:
            super().__init__(model="instant", cache=False)
            text = "\n\n".join(f"[[ ## {name} ## ]]\n{as_text(value)}" for name, value in fields.items())
            self.text = text + "\n\n[[ ## completed ## ]]"
            self.latency = latency

        def response(self) -> Any:
            from types import SimpleNamespace as Made

            message = Made(content=self.text, role="assistant", tool_calls=None, reasoning_content=None)
            choice = Made(message=message, finish_reason="stop", index=0)
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            return Made(choices=[choice], model="instant", usage=usage, _hidden_params={})

        def forward(self, prompt: Any = None, messages: Any = None, **options: Any) -> Any:
            return self.response()

        async def aforward(self, prompt: Any = None, messages: Any = None, **options: Any) -> Any:
            if self.latency:
                await asyncio.sleep(self.latency)
            return self.response()

    class Ticket(dspy.Signature):  # type: ignore[misc]
        """Route a support ticket."""

        title: str = dspy.InputField()
        body: str = dspy.InputField()
        tags: list[str] = dspy.InputField()
        visits: int = dspy.InputField()
        amount: float = dspy.InputField()
        team: Literal["billing", "cards", "rides"] = dspy.OutputField()
        urgency: int = dspy.OutputField(ge=1, le=5)
        summary: str = dspy.OutputField()
        refund: bool = dspy.OutputField()
        topics: list[str] = dspy.OutputField()

    one, slow = dspy.Predict("question -> answer"), dspy.Predict("question -> answer")
    one.lm, slow.lm = Instant({"answer": "Paris"}), Instant({"answer": "Paris"}, LATENCY)
    typed, shown = dspy.Predict(Ticket), dspy.Predict(Ticket)
    typed.lm = shown.lm = Instant(OUTPUTS)
    shown.demos = [dspy.Example(**INPUTS, **OUTPUTS).with_inputs(*INPUTS)] * 16
    out = shown(**INPUTS)
    assert {name: getattr(out, name) for name in OUTPUTS} == OUTPUTS
    return {
        "one": per_call(lambda: one(question="What is the capital of France?"), 60),
        "typed": per_call(lambda: typed(**INPUTS), 60),
        "typed_async": asyncio.run(per_acall(lambda: typed.acall(**INPUTS), 60)),
        "demos": per_call(lambda: shown(**INPUTS), 60),
        "in_flight": asyncio.run(rate(lambda: slow.acall(question="What is the capital of France?"))),
    }


def import_time(python: str, statement: str) -> float:
    """Milliseconds of CPU for an import in a fresh interpreter; of two, so that the second finds it compiled."""
    code = f"import time; begin = time.process_time(); {statement}; print(time.process_time() - begin)"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    times: list[float] = []
    for _ in range(2):
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, env=env)
        times.append(float(done.stdout.split()[-1]) * 1e3)
    return min(times)


def measured(python: str, side: str) -> dict[str, float]:
    """All figures of one side, from a process of its own."""
    command = [python, "-W", "ignore", __file__, "--side", side]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    line = next((text for text in done.stdout.splitlines() if text.startswith("RESULT ")), None)
    if line is None:
        sys.exit(f"{side} failed:\n{done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(line.removeprefix("RESULT "))
    return {**figures, "import": import_time(python, IMPORTS[side])}


def best(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The highest rate and the lowest of all else."""
    return {name: (max if name == "in_flight" else min)(found[name] for found in rounds) for name in rounds[0]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", metavar="PYTHON", help="python of an environment that has dspy")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="processes for each side (%(default)s)")
    parser.add_argument("--side", choices=["ours", "peer"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print("RESULT " + json.dumps(ours() if options.side == "ours" else peer()))
        return 0
    sides = {"ours": sys.executable, **({"peer": options.peer} if options.peer else {})}
    rounds: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for _ in range(options.rounds):
        for side, python in sides.items():
            rounds[side].append(measured(python, side))
    figures = {side: best(found) for side, found in rounds.items()}
    if options.json:
        print(json.dumps(figures))
        return 0
    return report(figures, import_time(sys.executable, FIRST_NAME))


def report(figures: dict[str, dict[str, float]], first_name: float) -> int:
    """Print the table and judge the bars."""
    mine, other = figures["ours"], figures.get("peer")
    rows = [(name, text, "us of CPU", 5.0) for name, text in CASES.items()]
    rows += [
        ("import", "the import", "ms of CPU", 10.0),
        ("in_flight", f"{IN_FLIGHT:,} calls in flight", "calls/s", 10),
    ]
    print(f"{'':34}{'ours':>12}{'peer':>12}{'ratio':>9}")
    met = True
    bars: list[str] = []
    for name, text, unit, factor in rows:
        line = f"{text:34}{mine[name]:12,.1f}"
        if other is not None:
            ratio = mine[name] / other[name] if name == "in_flight" else other[name] / mine[name]
            line += f"{other[name]:12,.1f}{f'x{ratio:.1f}':>9}"
            fine = ratio >= factor
            met = met and fine
            rule = f">= {factor:.0f} x the peer" if name == "in_flight" else f"<= 1/{factor:.0f} of the peer"
            bars.append(f"BAR {'PASS' if fine else 'FAIL'} {text} {rule}: x{ratio:.1f}")
        print(f"{line}  {unit}")
    print(f"{'the import and the first name':34}{first_name:12,.1f}{'':21}  ms of CPU")
    print("\n".join(bars) if bars else "(no --peer: the bars need it)")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
