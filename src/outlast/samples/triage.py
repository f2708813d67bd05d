"""The program that the quickstart compiles: two steps that route and rate messages to a bank's support desk."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from outlast.data.dataset import Dataset
from outlast.data.example import Example
from outlast.evals.score import Score, metric
from outlast.modules.module import Module
from outlast.modules.predict import Predict
from outlast.signatures.field import input, output
from outlast.signatures.record import Prediction
from outlast.signatures.signature import Signature

Team = Literal["billing", "cards", "transfers", "identity", "fraud", "app", "lending", "complaints"]


class Route(Signature):
    """Route a customer message to the team that can resolve it."""

    message: str = input()
    team: Team = output()


class Rate(Signature):
    """Rate how urgent a customer message is."""

    message: str = input()
    team: Team = input()
    urgency: int = output(ge=1, le=5, desc="5: money is leaving the account now; 1: a question")


class Triage(Module):
    """Which team should get a message, then how urgent it is."""

    route = Predict(Route)
    rate = Predict(Rate)

    async def forward(self, message: str) -> Prediction:
        """Two questions to the model; the second sees the answer to the first."""
        team = (await self.route.acall(message=message)).team
        urgency = (await self.rate.acall(message=message, team=team)).urgency
        return Prediction(team=team, urgency=urgency)


@metric
def triaged(example: Example, out: Prediction) -> Score:
    """0..1: seven tenths for the right team, three tenths for the urgency, less the further off it is."""
    team = float(out.team == example.team)
    urgency = 1 - abs(out.urgency - example.urgency) / 4
    wrong = [] if team else [f"the team is {example.team}, not {out.team}"]
    if urgency < 1:
        wrong.append(f"the urgency is {example.urgency}, not {out.urgency}")
    return Score(0.7 * team + 0.3 * urgency, feedback="; ".join(wrong), parts={"team": team, "urgency": urgency})


def messages() -> Dataset:
    """The 400 labelled messages of `support.jsonl`, which `README.md` beside it describes."""
    return Dataset.from_jsonl(Path(__file__).with_name("support.jsonl"), inputs="message")
