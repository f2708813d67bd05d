"""A cheaper service tier that may have no room, and the tier to go to when it has none."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from outlast.errors import ConfigError, LMError, LMRateLimited, brief
from outlast.lms.layers.trying import Attempt, Mark, Trying
from outlast.lms.prices import STANDARD
from outlast.lms.protocol import LM, Wrapper, ask, ask_stream
from outlast.messages import Request, Response, StreamEvent

T = TypeVar("T")

_NO_ROOM = re.compile(r"resource[_ ]unavailable|capacity", re.I)
_NO_ROOM_STATUS = 498  # Groq's


class TierFallback(Trying, Wrapper):
    """Asks `inner` once more in `tier` when the tier that was asked for has no room.

    Without it such an answer (429 `resource_unavailable` at OpenAI, 498 at Groq) is a rate limit like any other: it is
    tried again later, in the same tier. The response says in `adaptations` that another tier was asked, and costs what
    that costs. Requests in the plain tier are left alone. Cost: one call of `inner`; a tier without room bills nothing.
    """

    def __init__(self, inner: LM | str, tier: str = "default") -> None:
        if not isinstance(tier, str) or not tier:
            raise ConfigError(f"fallback_tier is the name of a service tier, such as 'default'; got {brief(tier)}")
        super().__init__(inner)  # pyright: ignore[reportCallIssue]
        self.tier = tier
        self._fell = 0

    async def reach(self, request: Request, attempt: Attempt[T]) -> tuple[T, Mark]:
        """The answer in the tier that was asked for, or in the other one."""
        try:
            return await attempt(self.inner), Mark()
        except LMRateLimited as error:
            if not has_no_room(error) or request.settings.tier == self.tier:
                raise
        self._fell += 1
        asked = request.settings.tier
        note = (
            f"the tier {asked!r} had no room: asked in {self.tier!r}"
            if asked not in STANDARD
            else (f"the service tier had no room: asked in {self.tier!r}")
        )
        return await attempt(_InTier(self.inner, self.tier)), Mark(attempts=1, adaptations=(note,))

    def facts(self) -> Mapping[str, Any]:
        return {"tier": self.tier, "fell_back": self._fell}


class _InTier(Wrapper):
    """The same model, asked in one tier."""

    spends = False

    def __init__(self, inner: LM | str, tier: str) -> None:
        super().__init__(inner)
        self.tier = tier

    async def complete(self, request: Request) -> Response:
        return await ask(self.inner, self._changed(request))

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        async with aclosing(ask_stream(self.inner, self._changed(request))) as events:
            async for event in events:
                yield event

    def _changed(self, request: Request) -> Request:
        return replace(request, settings=replace(request.settings, tier=self.tier))


def has_no_room(error: LMError) -> bool:
    """Whether a server says that the tier has no room, and not that we ask too often."""
    return error.status == _NO_ROOM_STATUS or bool(_NO_ROOM.search(error.code))
