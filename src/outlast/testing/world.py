"""A small world for testing searches: a two-module program, data, and a model whose accuracy depends on its prompt."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass
from typing import Any, Literal

from outlast.data.dataset import Dataset
from outlast.data.example import Example
from outlast.lms.protocol import LM
from outlast.messages import Request, Response, Usage
from outlast.modules.module import Module
from outlast.modules.predict import Predict
from outlast.runtime import Bound, sleep
from outlast.signatures.field import input, output
from outlast.signatures.record import Prediction
from outlast.signatures.signature import Signature

TEAMS = ("billing", "cards", "transfers", "identity")
Team = Literal["billing", "cards", "transfers", "identity"]
_VALUE = re.compile(r"<<message>>\n(.*?)\n\n", re.DOTALL)


class Route(Signature):
    """Route a customer message to the team that can resolve it."""

    message: str = input()
    team: Team = output()


class Rate(Signature):
    """Say whether a customer message is urgent."""

    message: str = input()
    team: Team = input()
    urgent: bool = output()


class Triage(Module):
    """Two steps: who should answer, and how soon."""

    route = Predict(Route)
    rate = Predict(Rate)

    async def forward(self, message: str) -> Any:
        """Route, then rate."""
        team = (await self.route.acall(message=message)).team
        return Prediction(team=team, urgent=(await self.rate.acall(message=message, team=team)).urgent)


def truth(message: str) -> tuple[str, bool]:
    """The right team and urgency of a message of this world."""
    digest = hashlib.blake2b(message.encode(), digest_size=2).digest()
    return TEAMS[digest[0] % len(TEAMS)], digest[1] % 2 == 0


def right(example: Any, out: Any) -> bool:
    """The metric: both answers are right."""
    return out.team == example.team and out.urgent == example.urgent


@dataclass(frozen=True)
class World:
    """A task that can be solved more or less well.

    A model of this world routes a message rightly with probability `base`, plus up to `gain` as its prompt shows up to
    `demos` demonstrations; with `gain=0` no prompt makes a difference. Which messages it gets wrong depends on the
    whole prompt, by chance and `seed`; the same request gets the same answer, another `sample` a new draw.
    """

    seed: int = 0
    examples: int = 120
    base: float = 0.5
    gain: float = 0.4
    demos: int = 4

    def data(self) -> Dataset:
        """Messages with their teams and urgency."""
        rows: list[Example] = []
        for number in range(self.examples):
            message = f"message {number} of world {self.seed}"
            team, urgent = truth(message)
            rows.append(Example({"message": message}, {"team": team, "urgent": urgent}))
        return Dataset(rows)

    def lm(self, **options: Any) -> SimulatedLM:
        """A model of this world; takes what `SimulatedLM` takes."""
        return SimulatedLM(self, **options)


class SimulatedLM(LM):
    """The model of a `World`. `calls` counts the requests that reached it; `latency` is in seconds.

    Tokens are counted as words; a call costs `price` dollars.
    """

    blocking_safe = True

    def __init__(self, world: World, *, name: str = "simulated", latency: float = 0.0, price: float = 0.001) -> None:
        self.name = name
        self.world = world
        self.latency = latency
        self.price = price
        self.calls = 0
        self.flying = 0
        self.most_flying = 0
        self._lock = threading.Lock()

    async def complete(self, request: Request) -> Response:
        """Answer one step of `Triage`; other questions get an empty list of markers, which no signature accepts."""
        with self._lock:
            self.calls += 1
            self.flying += 1
            self.most_flying = max(self.most_flying, self.flying)
        try:
            if self.latency:
                await sleep(self.latency)
            text = self.answer(request)
        finally:
            with self._lock:
                self.flying -= 1
        words = sum(message.text.count(" ") + message.text.count("\n") for message in request.messages)
        usage = Usage(words, text.count("\n"), cost=self.price, cost_source="simulated")
        return Response(text, self.name, usage=usage, seconds=self.latency)

    def bound(self, request: Request) -> Bound:
        """The price is known, the length of a reply is not."""
        return Bound(None, self.price, self.name)

    def answer(self, request: Request) -> str:
        """The text of the reply."""
        asked = request.messages[-1].text
        found = _VALUE.search(asked)
        message = found.group(1) if found else ""
        team, urgent = truth(message)
        if "<<urgent>>" in asked:
            return f"<<urgent>>\n{str(urgent).lower()}\n\n<<end>>"
        if "<<team>>" not in asked:
            return "<<end>>"
        shown = (len(request.messages) - 2) // 2
        chance = self.world.base + self.world.gain * min(1.0, shown / self.world.demos)
        if self._draw(request) >= chance:
            team = TEAMS[(TEAMS.index(team) + 1) % len(TEAMS)]
        return f"<<team>>\n{team}\n\n<<end>>"

    def _draw(self, request: Request) -> float:
        digest = hashlib.blake2b(f"{self.world.seed} {request.sample}".encode(), digest_size=7)
        for message in request.messages:
            digest.update(message.text.encode())
        return int.from_bytes(digest.digest(), "big") / 2**56
