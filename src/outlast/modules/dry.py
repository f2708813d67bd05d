"""Rendering without a model: a program runs until its first question, which is caught before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from outlast.errors import OutlastError
from outlast.lms.protocol import LM, Wrapper
from outlast.messages import Message, Request, Response
from outlast.runtime import current, default, drive, enter, leave, running_loop

if TYPE_CHECKING:
    from outlast.modules.module import Module


class Caught(BaseException):
    """Carries the first request out of a program; not an Exception, so that no program swallows it."""

    def __init__(self, request: Request) -> None:
        super().__init__("a program was rendered, not run")
        self.request = request


class DryLM(LM):
    """Stands in for a model that is not configured; has no capabilities."""

    name = "dry"
    blocking_safe = True

    async def complete(self, request: Request) -> Response:
        """Never answers."""
        raise Caught(request)


class Catching(Wrapper):
    """Catches requests to a model, whose capabilities it keeps."""

    spends = False

    async def complete(self, request: Request) -> Response:
        """Never asks the model."""
        raise Caught(request)


def render_first(module: Module, inputs: Mapping[str, Any]) -> tuple[Message, ...]:
    """The messages of the first question of a program."""
    run = current()
    lm = run.lm if run.lm is not None else default("lm")
    run = replace(
        run,
        lm=DryLM() if lm is None else lm,
        memo=Catching,
        meter=None,
        trace=None,
        root=None,
        blocking=True,
        loop=running_loop(),
    )
    token = enter(run)
    try:
        drive(module._start(inputs, blocking=True))
    except Caught as caught:
        return caught.request.messages
    finally:
        leave(token)
    raise OutlastError(f"{type(module).__name__} asks no model with these inputs, so there is nothing to render")
