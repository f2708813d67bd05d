"""The program of the README: two typed steps, compiled and saved. Run it: python examples/support_triage.py"""

from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

import outlast as ol

Team = Literal["billing", "cards", "transfers", "identity", "fraud", "app", "lending", "complaints"]


class Route(ol.Signature):
    """Route a customer message to the team that can resolve it."""

    message: str = ol.input()
    team: Team = ol.output()


class Rate(ol.Signature):
    """Rate how urgent a customer message is."""

    message: str = ol.input()
    team: Team = ol.input()
    urgency: int = ol.output(ge=1, le=5, desc="5: money is leaving the account now; 1: a question")


@dataclass(frozen=True)
class Ticket:
    team: Team
    urgency: int


class Triage(ol.Module):
    route, rate = ol.Predict(Route), ol.Predict(Rate)

    def forward(self, message: str) -> Ticket:
        team = self.route(message=message).team
        return Ticket(team, self.rate(message=message, team=team).urgency)


if __name__ == "__main__":
    ol.configure(lm="outlast/baseline")  # or "openai/gpt-5-mini", "ollama/qwen3", any OpenAI-compatible server
    data = ol.Dataset.from_jsonl(files("outlast.samples") / "support.jsonl", inputs=["message"])
    compiled = ol.compile(Triage(), data, ol.exact_match("team"), progress=False)
    print(compiled.report)
    compiled.save("triage.outlast.json")
