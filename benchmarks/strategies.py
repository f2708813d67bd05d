"""Strategies against theory, and what an agent's turn costs.

    python benchmarks/strategies.py [--peer /path/to/python-with-dspy]

Accuracy: a simulated model reads the question in the prompt it gets and is right as often as is planted for that
question (30% to 75%, by a hash); when it is wrong it always gives the same wrong number, so the accuracy of a vote is
exactly the binomial one, and with a perfect verifier that of n draws is 1 - (1 - p)^n. Questions are those of GSM8K
where `../shared/data` is there, else made up. Bars: every strategy within 3 standard errors of its theory.

Agents: 64 conversations of 10 turns with a model that takes 50 ms, at the same time. Bars: within 1.2 of the ideal
half second with a tool that is `async def`; CPU per turn at most 1/3 of the peer's ReAct. A plain function as a tool
costs a thread per call, which is shown and has no bar.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import outlast as ol
from outlast.lms.protocol import LM
from outlast.messages import Request, Response, ToolCall
from outlast.testing import ScriptedLM

ITEMS, WIDE, TURNS, LATENCY, ROUNDS = 400, 64, 10, 0.05, 5
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "gsm8k"


class Solve(ol.Signature):
    """Solve the problem."""

    problem: str = ol.input()
    number: int = ol.output()


class Planted(LM):
    """A model that is right with the probability planted for the question in its prompt."""

    name = "planted"
    blocking_safe = True

    def __init__(self, answers: dict[str, int]) -> None:
        self.answers = answers
        self.calls = 0

    async def complete(self, request: Request) -> Response:
        self.calls += 1
        text = "\n".join(message.text for message in request.messages)
        problem = next(p for p in self.answers if p in text)
        right = random.Random(f"{request.sample} {text}").random() < reliability(problem)
        return Response(text=f"<<number>>\n{self.answers[problem] if right else -1}\n<<end>>", model=self.name)


def reliability(problem: str) -> float:
    """What is planted for a question: 0.3 to 0.75."""
    return 0.3 + 0.45 * random.Random(problem).random()


def questions() -> dict[str, int]:
    """Questions with their answers."""
    files = sorted(DATA.glob("*.jsonl"))
    found: dict[str, int] = {}
    for file in files:
        for line in file.read_text(encoding="utf-8").strip().split("\n"):
            row = json.loads(line)
            text, answer = str(row.get("question", "")), str(row.get("answer", "")).rpartition("####")[2]
            digits = answer.strip().replace(",", "")
            if text and digits.lstrip("-").isdigit() and all(text not in one and one not in text for one in found):
                found[text] = int(digits)
            if len(found) == ITEMS:
                return found
    print("(../shared/data/gsm8k is not there: made-up questions)")
    return {f"Problem {n}: how much is {n} and {n}?": 2 * n for n in range(ITEMS)}


def vote(p: float, n: int) -> float:
    """The chance that more than half of n draws are right."""
    return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n // 2 + 1, n + 1))


def curves() -> list[str]:
    """Accuracy by strategy and number of answers, beside the theory."""
    answers = questions()

    def verified(inputs: Any, out: Any) -> bool:
        return out.number == answers[inputs.problem]

    def best(p: float, n: int) -> float:
        return 1 - (1 - p) ** n

    def tree(method: Any) -> Any:
        return lambda n: ol.TreeSearch(Solve, n=n, reward=verified, method=method, threshold=1, branch=4)

    families: list[tuple[str, Any, Any, tuple[int, ...]]] = [
        ("Majority", lambda n: ol.Majority(Solve, n=n), vote, (1, 3, 5, 9)),
        ("BestOfN", lambda n: ol.BestOfN(Solve, n=n, reward=verified), best, (1, 2, 4, 8)),
        ("TreeSearch, mcts", tree("mcts"), best, (1, 2, 4, 8)),
        ("TreeSearch, beam", tree("beam"), best, (1, 2, 4, 8)),
    ]
    print(f"{'':20}{'answers':>9}{'calls':>9}{'accuracy':>10}{'theory':>9}{'off by':>9}")
    bars: list[str] = []
    for name, make, theory, counts in families:
        worst = 0.0
        for n in counts:
            lm = Planted(answers)
            with ol.context(lm=lm):
                program = make(n)
                right = sum(program(problem=one).number == answers[one] for one in answers)
            chances = [theory(reliability(one), n) for one in answers]
            expected = statistics.fmean(chances)
            error = math.sqrt(sum(p * (1 - p) for p in chances)) / len(answers)
            off = (right / len(answers) - expected) / error
            worst = max(worst, abs(off))
            share = f"{lm.calls / len(answers):9.2f}{right / len(answers):10.1%}{expected:9.1%}"
            print(f"{name:20}{n:9}{share}{off:+7.1f} SE")
        bars.append(f"BAR {'PASS' if worst <= 3 else 'FAIL'} {name} within 3 SE of theory: {worst:.1f}")
    return bars


def look(city: str) -> str:
    """The weather."""
    return f"warm in {city}"


async def look_later(city: str) -> str:
    """The weather."""
    return f"warm in {city}"


def reply(messages: Any) -> Any:
    """A model that calls the tool in every turn but the last."""
    done = sum(message.role == "assistant" for message in messages)
    if done == TURNS - 1:
        return {"warm": True}
    name = next(iter(TOOL))
    return Response(text="", tool_calls=(ToolCall(f"c{done}", name, json.dumps({"city": f"c{done}"})),))


TOOL: list[str] = []


def conversations(tool: Any) -> tuple[float, float]:
    """Wall seconds and CPU seconds of a turn for all conversations at the same time, the median of the rounds."""
    TOOL[:] = [tool.__name__]
    lm = ScriptedLM(reply, capabilities=ol.Capabilities(tools=True), latency=LATENCY)
    agent = ol.ReAct("question -> warm: bool", tools=[tool], lm=lm)

    async def once() -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        await ol.gather(*(agent.acall(question=str(number)) for number in range(WIDE)))
        return time.perf_counter() - wall, (time.process_time() - cpu) / (WIDE * TURNS)

    async def rounds() -> list[tuple[float, float]]:
        await agent.acall(question="warm up")
        return [await once() for _ in range(ROUNDS)]

    found = asyncio.run(rounds())
    return statistics.median(wall for wall, _ in found), statistics.median(cpu for _, cpu in found)


PEER = """
import json, statistics, time
import dspy
from dspy.utils import DummyLM
TURNS, ROUNDS = 10, 5
def look(city: str) -> str:
    "The weather."
    return f"warm in {city}"
steps = [{"next_thought": "t", "next_tool_name": "look", "next_tool_args": json.dumps({"city": f"c{i}"})}
         for i in range(TURNS - 1)]
steps += [{"next_thought": "t", "next_tool_name": "finish", "next_tool_args": "{}"}, {"reasoning": "r", "warm": "True"}]
dspy.configure(lm=DummyLM(steps * (ROUNDS + 1)))
agent = dspy.ReAct("question -> warm: bool", tools=[look], max_iters=TURNS + 2)
agent(question="warm up")
times = []
for i in range(ROUNDS):
    begin = time.process_time()
    agent(question=str(i))
    times.append((time.process_time() - begin) / len(steps))
print(json.dumps([dspy.__version__, statistics.median(times)]))
"""


def agents(peer: str | None) -> list[str]:
    """What the turns of agents cost, beside the peer."""
    ideal = TURNS * LATENCY
    later, plain = conversations(look_later), conversations(look)
    print(f"\n{WIDE} conversations of {TURNS} turns, {LATENCY * 1e3:.0f} ms each: ideal {ideal:.2f} s")
    for name, (wall, cpu) in (("tool is async", later), ("tool is plain", plain)):
        print(f"  {name:16}{wall:6.2f} s, {wall / ideal:.2f} of the ideal, {cpu * 1e6:6.0f} us of CPU a turn")
    fine = later[0] <= 1.2 * ideal
    bars = [f"BAR {'PASS' if fine else 'FAIL'} agents within 1.2 of the ideal time: {later[0] / ideal:.2f}"]
    if peer is None:
        print("(no --peer: the bar of CPU needs it)")
        return bars
    done = subprocess.run([peer, "-c", PEER], capture_output=True, text=True, check=True)
    version, cpu = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"  peer (dspy {version}), one at a time, a plain tool: {cpu * 1e6:.0f} us of CPU a turn")
    ratio = plain[1] / cpu
    return [*bars, f"BAR {'PASS' if ratio <= 1 / 3 else 'FAIL'} CPU of a turn <= 1/3 of the peer: {ratio:.2f}"]


def main() -> int:
    """Print the tables and judge the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", metavar="PYTHON", help="python of an environment that has the peer (dspy)")
    options = parser.parse_args()
    bars = [*curves(), *agents(options.peer)]
    print("\n".join(bars))
    return 1 if any("BAR FAIL" in bar for bar in bars) else 0


if __name__ == "__main__":
    sys.exit(main())
