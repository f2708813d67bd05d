"""The exact messages of a program, without asking anybody."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest

import outlast as ol
from outlast.errors import InputError, OutlastError
from outlast.runtime import current
from outlast.testing import ScriptedLM

Team = Literal["billing", "cards"]


class Triage(ol.Signature):
    """Route a message."""

    message: str = ol.input()
    team: Team = ol.output()


class Composite(ol.Module):
    decide = ol.ChainOfThought(Triage)

    def forward(self, message: str) -> Any:
        return self.decide(message=message.upper())


class AsyncComposite(ol.Module):
    inner = Composite()

    async def forward(self, message: str) -> Any:
        await asyncio.sleep(0)
        return await self.inner.acall(message=message)


class InParallel(ol.Module):
    parts = [ol.Predict(Triage) for _ in range(3)]

    async def forward(self, message: str) -> Any:
        return await ol.gather(*(part.acall(message=message) for part in self.parts))


class InParallelInPlace(InParallel):
    blocking_safe = True


class AsksDirectly(ol.Module):
    def __init__(self, lm: ol.LM) -> None:
        self.lm = lm

    def forward(self, message: str) -> Any:
        return self.lm(message).text


class Swallows(ol.Module):
    decide = ol.Predict(Triage)

    def forward(self, message: str) -> Any:
        for _ in range(3):
            try:
                return self.decide(message=message)
            except Exception:
                continue


def programs(lm: ol.LM) -> list[Any]:
    return [
        ol.Predict(Triage),
        ol.ChainOfThought(Triage),
        Composite(),
        AsyncComposite(),
        InParallel(),
        InParallelInPlace(),
        AsksDirectly(lm),
        Swallows(),
    ]


def test_rendering_asks_nobody_and_needs_no_model() -> None:
    lm = ScriptedLM(lambda _: ValueError("asked"))
    for program in programs(lm):
        for message in program.render(message="hello")[-1:]:
            assert "hello" in message.text.lower()
    assert lm.calls == 0
    before = current()
    with ol.context(lm=lm), ol.trace() as spans:
        for program in programs(lm):
            program.render(message="hello")
    assert lm.calls == 0
    assert list(spans) == []
    assert current() is before


async def test_rendering_works_under_a_running_loop() -> None:
    for program in programs(ScriptedLM([])):
        assert program.render(message="hello")


def test_what_is_rendered_is_what_is_sent() -> None:
    reply = {"reasoning": "r", "team": "cards"}
    for capabilities in (ol.Capabilities(), ol.Capabilities(reasoning=True), ol.Capabilities(json_schema=True)):
        for adapter in (ol.Chat(), ol.JSON()):
            lm = ScriptedLM(lambda _: reply, capabilities=capabilities, keep=True)
            with ol.context(lm=lm, adapter=adapter):
                for program in (ol.Predict(Triage), ol.ChainOfThought(Triage), Composite(), AsyncComposite()):
                    program(message="hello")
                    assert program.render(message="hello") == lm.requests[-1].messages


def test_a_part_with_its_own_model_is_rendered_for_that_model() -> None:
    native = ScriptedLM([], capabilities=ol.Capabilities(reasoning=True))
    program = ol.update(Composite(), {"decide.lm": native})
    assert "reasoning" in str(Composite().render(message="x"))
    assert "reasoning" not in str(program.render(message="x"))


def test_inputs_are_checked() -> None:
    program: Any = Composite()
    with pytest.raises(InputError, match="mesage"):
        program.render(mesage="x")
    assert program.render("x") == program.render(message="x")


def test_a_program_that_asks_nobody_says_so() -> None:
    class Plain(ol.Module):
        def forward(self, message: str) -> str:
            return message

    with pytest.raises(OutlastError, match="Plain asks no model"):
        Plain().render(message="x")


def test_errors_of_the_program_arrive() -> None:
    class Breaks(ol.Module):
        def forward(self, message: str) -> str:
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        Breaks().render(message="x")


def test_rendering_under_a_used_up_budget_is_free() -> None:
    from outlast.runtime import Meter, running

    with running(meter=Meter(calls=0)):
        assert ol.Predict(Triage).render(message="x")
