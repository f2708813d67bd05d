"""A guard against models that change behind an unchanged name."""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, Literal

from outlast.errors import ConfigError, LMModelChanged, brief
from outlast.lms.layers.remade import Remade
from outlast.lms.protocol import LM, Wrapper, ask, ask_stream
from outlast.messages import Finished, Request, Response, StreamEvent
from outlast.runtime.waiting import ForkSafeLock

FIRST = "first"


class Pinned(Remade, Wrapper):
    """Sees to it that every answer of `inner` comes from the version that you tested.

    `model` is the name that `Response.model` must have, or a pattern of it with `*` and `?`; "first" pins whatever
    answers first, for as long as this object lives. An answer of another version raises `LMModelChanged`, which holds
    it; with `on_change="warn"` it is given, noted in `Response.adaptations`, and each new version is warned of once.
    An answer that names no model is one of another version. A pinned name is part of the identity, so a cache around
    this one holds no answers of other versions. Cost: one call of `inner`, paid also when its answer is refused.
    """

    spends = False

    def __init__(self, inner: LM | str, model: str = FIRST, *, on_change: Literal["error", "warn"] = "error") -> None:
        if not isinstance(model, str) or not model:
            raise ConfigError(f"pin is the name of a model version, a pattern, or 'first'; got {brief(model)}")
        if on_change not in ("error", "warn"):
            raise ConfigError(f"on_change is 'error' or 'warn'; got {brief(on_change)}")
        super().__init__(inner)
        self.pinned: str | None = None if model == FIRST else model
        self.on_change = on_change
        self._named = "" if model == FIRST else model
        self._warned: set[str] = set()
        self._lock = ForkSafeLock()

    @property
    def identity(self) -> str:
        return f"{self.inner.identity} pinned to {self._named}" if self._named else self.inner.identity

    async def complete(self, request: Request) -> Response:
        """Answer one request. Raises `LMModelChanged`."""
        return self._as_pinned(await ask(self.inner, request), request)

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        """Answer one request in pieces. Which version it was is known at the end: `LMModelChanged` comes last."""
        async with aclosing(ask_stream(self.inner, request)) as events:
            async for event in events:
                yield Finished(self._as_pinned(event.response, request)) if isinstance(event, Finished) else event

    def facts(self) -> Mapping[str, Any]:
        return {"model": self.pinned or FIRST, "on_change": self.on_change}

    def _as_pinned(self, response: Response, request: Request) -> Response:
        answered = response.model
        with self._lock:
            if self.pinned is None and answered:
                self.pinned = answered
            pinned = self.pinned or FIRST
            if answered and (answered == pinned or (self._named and fnmatchcase(answered, pinned))):
                return response
            new = answered not in self._warned
            self._warned.add(answered)
        said = f"{self.name} is pinned to {pinned!r}, and {answered or 'a model without a name'!r} answered"
        if self.on_change == "error":
            raise LMModelChanged(
                f"{said}. Test the new version and pin it, or ask for the pinned one by its full name",
                pinned=pinned,
                response=response,
                request=request,
            )
        if new:
            warnings.warn(said, RuntimeWarning, stacklevel=2)
        return replace(response, adaptations=(*response.adaptations, said))
