"""A simulated model that reads the prompt and is right as often as it is told to be."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from outlast.lms.protocol import LM
from outlast.messages import Request, Response, Usage


class Sim(LM):
    """`answer(prompt, luck)` gives the reply; `luck` is a random generator made of the whole request and its sample, so
    the same draw is the same in every process and another one is independent."""

    name = "sim"
    blocking_safe = True

    def __init__(self, answer: Callable[[str, random.Random], str | BaseException], seed: int = 0) -> None:
        self.answer = answer
        self.seed = seed
        self.calls = 0
        self.prompts: list[str] = []
        self.samples: list[int] = []

    async def complete(self, request: Request) -> Response:
        self.calls += 1
        prompt = "\n\n".join(message.text for message in request.messages)
        self.prompts.append(prompt)
        self.samples.append(request.sample)
        reply = self.answer(prompt, random.Random(f"{self.seed} {request.sample} {prompt}"))
        if isinstance(reply, BaseException):
            raise reply
        return Response(text=reply, model=self.name, usage=Usage(input_tokens=10, output_tokens=5, cost=0.01))


@pytest.fixture
def sim() -> type[Sim]:
    return Sim
