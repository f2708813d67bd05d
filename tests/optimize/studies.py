"""Studies for tests of optimizers: a small program, few examples, models that are scripts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import outlast as ol
from outlast.messages import Message
from outlast.optimize.budget import Purse
from outlast.optimize.ledger import Ledger
from outlast.runtime import run_blocking, running
from outlast.testing import ScriptedLM

COLOURS = ("red", "green", "blue", "grey")


class Paint(ol.Module):
    """Two steps: what is meant, and which colour that is."""

    read = ol.Predict("text -> thing: str", instruction="Read it.")
    pick = ol.Predict("thing -> colour: str", instruction="Pick a colour.")

    async def forward(self, text: str) -> Any:
        return await self.pick.acall(thing=(await self.read.acall(text=text)).thing)


class Pick(ol.Module):
    """One step."""

    pick = ol.Predict("thing -> colour: str", instruction="Pick a colour.")

    async def forward(self, thing: str) -> Any:
        return await self.pick.acall(thing=thing)


def things(count: int, *, first: int = 0, name: str = "thing") -> list[ol.Example]:
    """Examples whose colours go round: the colour of number n is the n-th."""
    return [
        ol.Example({name: f"thing {n}"}, {"colour": COLOURS[n % len(COLOURS)]}) for n in range(first, first + count)
    ]


def matches(example: Any, out: Any) -> ol.Score:
    """The metric, with words."""
    right = out.colour == example.colour
    return ol.Score(float(right), feedback="right" if right else f"the colour is {example.colour}")


def field_of(messages: tuple[Message, ...], name: str) -> str:
    """What the last message gives for an input field."""
    return messages[-1].text.rpartition(f"<<{name}>>\n")[2].partition("\n\n<<")[0].partition("\n\n")[0].strip()


def knows(messages: tuple[Message, ...]) -> dict[str, str]:
    """A student: it knows the colour of a thing when its instruction names that colour; else it says "none"."""
    if "<<text>>" in messages[-1].text:
        return {"thing": field_of(messages, "text")}
    number = int(field_of(messages, "thing").split()[-1])
    colour = COLOURS[number % len(COLOURS)]
    return {"colour": colour if colour in messages[0].text else "none"}


def study_of(program: ol.Module, *, train: int = 12, select: int = 12, budget: Any = None, **options: Any) -> ol.Study:
    """A study in memory on `things`."""
    name = "text" if isinstance(program, Paint) else "thing"
    return ol.Study(
        program,
        options.pop("metric", matches),
        train=things(train, name=name),
        select=things(select, first=train, name=name),
        ledger=options.pop("ledger", None) or Ledger(None, {}),
        purse=Purse(budget) if budget is not None else options.pop("purse", None),
        **options,
    )


def within(study: ol.Study, work: Callable[[], Awaitable[Any]], lm: Any = knows) -> Any:
    """Run work in the search stage of a study; `lm` answers the program."""
    model = lm if isinstance(lm, ol.LM) else ScriptedLM(lm)

    async def run() -> Any:
        with running(lm=model), study.stage("search"):
            return await work()

    return run_blocking(run)


def writer(answer: Callable[[Mapping[str, str]], Any], *fields: str) -> ScriptedLM:
    """A proposer: `answer` gets what the last message says for these input fields."""
    return ScriptedLM(lambda messages: answer({name: whole_field(messages, name) for name in fields}), keep=True)


def whole_field(messages: tuple[Message, ...], name: str) -> str:
    """What the last message gives for an input field, empty lines included."""
    return messages[-1].text.partition(f"<<{name}>>\n")[2].partition("\n\n<<")[0].strip()
