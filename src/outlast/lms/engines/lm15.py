"""The `lm15` package as a way to some forty providers in their own dialects: `LM("lm15:anthropic:...")`."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator
from typing import Any

from outlast.lms.engines import package
from outlast.lms.engines.clients import PerLoop
from outlast.lms.engines.lm15_words import refuse_prefill, response_of, settings_of, tools_of, turns_of, wanted_back
from outlast.lms.engines.native import NativeEngine
from outlast.lms.wire.dialect import Notes
from outlast.lms.wire.transport import CONNECT_SECONDS, Secret
from outlast.messages import Finished, Request, Response, StreamEvent, TextDelta, ThoughtDelta, ToolDelta

NO_KEY = "no-key"  # or lm15 would send the key of the environment to a server that is not its own
_CONNECTIONS = 1024  # outlast's own cap comes first


class LM15(NativeEngine):
    """Asks with `lm15.AsyncLMRouter`, one for each event loop; lm15 has no retries.

    Reasoning that a provider wants back in the next turn is carried in `Response.thoughts`. What lm15 adapts is told
    in `Response.adaptations`; with `adapt="refuse"` it refuses instead.
    """

    engine = "lm15"
    library = "lm15"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._routers: dict[Secret | None, PerLoop[Any]] = {}

    def write(self, request: Request, notes: Notes) -> Any:
        """An `lm15.Request`."""
        refuse_prefill(request, self.name, self._route.adapter)
        turns = turns_of(request.messages, wanted_back(self._route), notes)
        return package("lm15").Request(
            self.model,
            turns.messages,
            turns.system,
            tools_of(request, notes),
            settings_of(request, turns.cache, notes),
        )

    async def ask(self, written: Any, key: Secret | None) -> Response:
        """One reply."""
        router = await self._router(key)
        return response_of(await router.complete(written), self._route.adapter)

    async def pieces(self, written: Any, key: Secret | None) -> AsyncGenerator[StreamEvent]:
        """One reply in pieces."""
        router = await self._router(key)
        stream = package("lm15").AsyncResponseStream(router.stream(written), written)
        calls: dict[int, int] = {}
        async with stream:
            async for event in stream.events():
                if event.type == "delta":
                    for piece in _pieces(event.delta, calls):
                        yield piece
            yield Finished(response_of(await stream.response(), self._route.adapter))

    @functools.cached_property
    def _route(self) -> Any:
        """The provider, the model and the class that speaks to it, as lm15 reads the name."""
        lm15 = package("lm15")
        return lm15.AsyncLMRouter(lm15.RouterConfig(env={})).resolve(self.model)

    async def _router(self, key: Secret | None) -> Any:
        routers = self._routers.get(key)
        if routers is None:
            routers = self._routers[key] = PerLoop(lambda: self._new(key), lambda router: router.aclose())
        return await routers.get()

    def _new(self, key: Secret | None) -> Any:
        lm15 = package("lm15")
        provider, base_url, seconds = self._route.provider, self.endpoint.base_url, self.endpoint.timeout
        given: dict[str, Any] = {}
        if key is not None:
            given["api_keys"] = {provider: key.reveal()}
        if base_url:
            given.setdefault("api_keys", {provider: NO_KEY})
            given |= {"base_urls": {provider: base_url}, "env": {}}
        return lm15.AsyncLMRouter(
            lm15.RouterConfig(
                timeouts=lm15.Timeouts(connect=min(CONNECT_SECONDS, seconds), read=seconds, write=seconds, pool=None),
                max_connections=_CONNECTIONS,
                adaptations=self.adapt,
                **given,
            )
        )


def _pieces(delta: Any, calls: dict[int, int]) -> list[StreamEvent]:
    """A delta of lm15 as ours; `calls` numbers the tool calls, which lm15 numbers among all parts."""
    if delta.type == "text" and delta.text:
        return [TextDelta(delta.text)]
    if delta.type == "thinking" and delta.text:
        return [ThoughtDelta(delta.text)]
    if delta.type == "tool_call":
        first = delta.part_index not in calls
        index = calls.setdefault(delta.part_index, len(calls))
        return [ToolDelta(index, delta.id or "" if first else "", delta.name or "" if first else "", delta.input)]
    return []
