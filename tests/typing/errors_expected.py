"""Mistakes that a type checker finds in the editor. Never run and left out of the normal check: test_typing.py
sees that pyright complains about each line that ends with `# error`, and about no other."""

from __future__ import annotations

from typing import Literal

import outlast as ol

Team = Literal["billing", "cards"]


class Triage(ol.Signature):
    """Route a message."""

    message: str = ol.input()
    team: Team = ol.output()


@ol.predict
def triage(message: str) -> Team:
    """Route a message."""
    ...  # noqa: PIE790 - pyright takes a body of a docstring alone for one that forgot to return


class Program(ol.Module):
    decide = ol.Predict(Triage)

    def forward(self, question: str):
        return self.decide(message=question)


class Waiting(ol.Module):
    async def forward(self, question: str) -> int:
        return 3


async def mistakes(data: ol.Dataset) -> None:
    ol.compile(triage, data, ol.exact_match("team"), optimzer=ol.Auto())  # error
    await ol.aoptimize(len, data, ol.exact_match("team"), params={}, lm="openai/gpt-5")  # error
    ol.Predict(Triage)(mesage="x")  # error
    ol.Predict(Triage).stream(mesage="x")  # error
    Program().stream(question=3)  # error
    ol.Predict(Triage)(message=3)  # error
    ol.Predict(Triage)()  # error
    ol.Predict(Triage)("x")  # error
    ol.Predict(Triage)(message="x", team="cards")  # error
    ol.Predict(Triage)(message="x").tema  # error
    ol.Predict(Triage)(message="x").team = "cards"  # error
    if ol.Predict(Triage)(message="x").team == "fraud":  # error
        pass
    ol.ChainOfThought(Triage)(mesage="x")  # error
    await ol.ChainOfThought(Triage).acall(message=3)  # error
    ol.ChainOfThought(Triage).render(mesage="x")  # error
    triage(mesage="x")  # error
    triage(3)  # error
    triage("x").upper().foo  # error
    await triage.acall()  # error
    Program()(qestion="x")  # error
    Program()(question=3)  # error
    Program()(question="x").tema  # error
    await Program().acall()  # error
    Waiting()(question="x").upper()  # error
    ol.update(Program(), ["decide"])  # error
    ol.update(Program(), {}).decied  # error
    ol.configure(model="openai/x")  # error
    ol.Predict(3)  # error
    ol.Predict(Triage, temprature=0.5)  # error
    ol.Predict("question -> answer", temperature="hot")  # error
    ol.ChainOfThought(Triage, lm=3)  # error
    ol.predict(lmm="openai/gpt-5-mini")  # error
    ol.evaluate(Program(), [], ol.exact_match("team"), num_threads=4)  # error
    ol.evaluate(Program(), [], ol.exact_match("team"), on_error="ignore")  # error
    ol.compare(ol.evaluate(Program(), [], ol.exact_match("team")), "old.jsonl")  # error
    ol.rescore("rows.jsonl", ol.exact_match("team"), epochs=3)  # error
    ol.nothing_of_this_name  # error
