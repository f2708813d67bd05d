"""The models of a world as a peer sees them: counted, remembered, and ended when the rollouts are used up."""

from __future__ import annotations

from typing import Any

from outlast.lms.protocol import LM
from outlast.messages import Request, Response


class OutOfRollouts(BaseException):
    """The budget is used up. Not an `Exception`, so that no peer takes it for a failed example and goes on."""


class Student(LM):
    """The model that the program runs on, up to `calls` calls.

    The same request is answered from memory and costs nothing, as by the cache that DSPy has on by default; a request
    is the same when messages, temperature and `sample` are. `gone` is True once a call was refused.
    """

    blocking_safe = True

    def __init__(self, inner: LM, calls: int) -> None:
        self.inner = inner
        self.name = inner.name
        self.limit = calls
        self.calls = 0
        self.recalled = 0
        self.dollars = 0.0
        self.gone = False
        self._known: dict[Any, Response] = {}

    async def complete(self, request: Request) -> Response:
        """The answer, from memory where it is known. Raises `OutOfRollouts` when the calls are used up."""
        said = tuple((message.role, message.text) for message in request.messages)
        key = (said, request.sample, request.settings.temperature)
        known = self._known.get(key)
        if known is not None:
            self.recalled += 1
            return known
        if self.calls >= self.limit:
            self.gone = True
            raise OutOfRollouts
        self.calls += 1
        response = self._known[key] = await self.inner.complete(request)
        self.dollars += response.usage.cost or 0.0
        return response

    @property
    def left(self) -> int:
        """Calls that may still be made."""
        return self.limit - self.calls

    def __deepcopy__(self, memo: Any) -> Student:
        return self  # peers copy programs with all that is in them; there is one meter


class Proposer(LM):
    """The model that writes proposals, counted. Each call is a fresh draw, as of a model without a cache."""

    blocking_safe = True

    def __init__(self, inner: LM) -> None:
        self.inner = inner
        self.name = inner.name
        self.calls = 0
        self.dollars = 0.0

    async def complete(self, request: Request) -> Response:
        """The answer."""
        from dataclasses import replace

        response = await self.inner.complete(replace(request, sample=self.calls))
        self.calls += 1
        self.dollars += response.usage.cost or 0.0
        return response

    def __deepcopy__(self, memo: Any) -> Proposer:
        return self


def ask(lm: LM, messages: list[tuple[str, str]], *, sample: int = 0, temperature: float | None = None) -> str:
    """The text that a model answers, asked in place: models of the gym never wait."""
    from outlast.messages import Message, Settings

    request = Request(
        tuple(Message(role, text) for role, text in messages),  # type: ignore[arg-type]
        settings=Settings(temperature=temperature),
        sample=sample,
    )
    coroutine = lm.complete(request)
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value.text
    raise RuntimeError(f"{lm!r} waits; peers are run with models that answer at once")
