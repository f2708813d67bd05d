"""The first judgement of a candidate: on the failures that caused it, and by whom feedback names."""

from __future__ import annotations

from typing import Any

from tests.optimize.studies import COLOURS, Paint, Pick, field_of, study_of, within

import outlast as ol
from outlast.messages import Message
from outlast.optimize.gate import AHEAD, Gate
from outlast.optimize.operators.reflect import seen
from outlast.optimize.pool import Pool


def in_two_steps(messages: tuple[Message, ...]) -> dict[str, str]:
    """A student that reads a thing rightly when it is told to, and never picks the right colour."""
    if "<<text>>" in messages[-1].text:
        thing = field_of(messages, "text")
        return {"thing": thing if "carefully" in messages[0].text else "nothing"}
    return {"colour": "none"}


def blames(example: Any, out: Any) -> ol.Score:
    """A metric that sees in which step it went wrong: the first that did."""
    if out.colour == example.colour:
        return ol.Score(1.0, "right")
    return ol.Score(0.0, f"it went wrong in {'pick' if getattr(out, 'thing', '') == example.text else 'read'}")


class Told(Paint):
    """The same, and it tells what it read."""

    async def forward(self, text: str) -> Any:
        thing = (await self.read.acall(text=text)).thing
        return ol.Prediction(thing=thing, colour=(await self.pick.acall(thing=thing)).colour)


def edited(study: ol.Study, path: str, text: str) -> Any:
    keys = tuple(study.key_of(example) for example in list(study.train)[:3])
    return study.propose({path: text}, origin=f"edit of {path}: + {text}", operator="reflect", cause=keys)


def scores(*edits: tuple[str, str]) -> list[float]:
    study = study_of(Told(), metric=blames)
    gate = Gate(study, Pool(study))
    gate.luck = 0.0

    async def judge() -> list[float]:
        await study.evaluate(study.start, list(study.train))
        return [await gate.score(edited(study, *edit), study.start) for edit in edits]

    return within(study, judge, in_two_steps)


def test_an_edit_counts_that_mends_its_module_though_another_one_still_fails() -> None:
    good, idle, other = scores(
        ("read.instruction", "Read it.\nRead carefully."),
        ("read.instruction", "Read it.\nMind the tone."),
        ("pick.instruction", "Pick a colour.\nPick well."),
    )
    assert good > AHEAD
    assert idle <= 0
    assert other <= 0


def test_in_a_program_of_one_module_only_the_score_counts() -> None:
    def moody(example: Any, out: Any) -> ol.Score:
        return ol.Score(0.0, "pick" if out.colour == "none" else "something else")

    def student(messages: tuple[Message, ...]) -> dict[str, str]:
        return {"colour": "pink" if "pink" in messages[0].text else "none"}

    study = study_of(Pick(), metric=moody)
    gate = Gate(study, Pool(study))

    async def judge() -> float:
        await study.evaluate(study.start, list(study.train))
        return await gate.score(edited(study, "pick.instruction", "Pick a colour.\nSay pink."), study.start)

    assert within(study, judge, student) <= 0


def test_what_an_ancestor_failed_on_is_looked_at_first() -> None:
    study = study_of(Pick(), train=40)
    knows_one = study.propose({"pick.instruction": f"Pick a colour.\n{COLOURS[0]}"}, origin="one", parent=study.start)

    def student(messages: tuple[Message, ...]) -> dict[str, str]:
        number = int(field_of(messages, "thing").split()[-1])
        colour = COLOURS[number % len(COLOURS)]
        return {"colour": colour if number < 30 or colour in messages[0].text else "none"}

    async def look() -> tuple[set[str], set[str]]:
        started = await study.evaluate(study.start, list(study.train))
        failed, passed = await seen(study, knows_one, study.rng("t"), 3, 8, 0)
        return {o.example for o in started if o.value == 0}, {o.example for o in (*failed, *passed)}

    before, ran = within(study, look, student)
    assert len(before) == 10
    assert len(ran & before) >= 4
    assert len(ran) in (8, 16)
