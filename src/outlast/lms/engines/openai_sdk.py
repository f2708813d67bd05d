"""The official `openai` package as a way to OpenAI and to servers that speak its chat dialect."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from outlast.lms.engines import package
from outlast.lms.engines.chat import Answer, ChatEngine
from outlast.lms.engines.clients import PerLoop
from outlast.lms.wire.transport import Secret

NO_KEY = "no-key"  # the SDK wants one for servers that do not


class OpenAISDK(ChatEngine):
    """Asks with `openai.AsyncOpenAI`, its own retries off, and its aiohttp transport where that is installed.

    Without `base_url` the SDK's environment variables decide (OPENAI_API_KEY, OPENAI_BASE_URL, organisation, project,
    proxy); with it, only `api_key=` is sent.
    """

    engine = "openai-sdk"
    library = "openai"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._clients: dict[Secret | None, PerLoop[Any]] = {}

    async def ask(self, body: dict[str, Any], key: Secret | None) -> Answer:
        """One chat completion."""
        client = await self._client(key)
        given, rest = _split(body)
        raw: Any = await client.chat.completions.with_raw_response.create(**given, extra_body=rest)
        return raw.http_response.content, raw.headers

    async def pieces(self, body: dict[str, Any], key: Secret | None) -> AsyncGenerator[Mapping[str, Any]]:
        """The chunks of one chat completion."""
        client = await self._client(key)
        given, rest = _split(body)
        stream: Any = await client.chat.completions.create(**given, extra_body=rest)
        async with stream:
            async for chunk in stream:
                yield chunk.to_dict(mode="json")

    async def _client(self, key: Secret | None) -> Any:
        clients = self._clients.get(key)
        if clients is None:
            clients = self._clients[key] = PerLoop(lambda: self._new(key), lambda client: client.close())
        return await clients.get()

    def _new(self, key: Secret | None) -> Any:
        openai = package("openai")
        given: dict[str, Any] = {"max_retries": 0, "timeout": self.endpoint.timeout}
        if key is not None:
            given["api_key"] = key.reveal()
        if self.endpoint.base_url:
            given.setdefault("api_key", NO_KEY)
            given["base_url"] = self.endpoint.base_url
            given["default_headers"] = {name: openai.Omit() for name in ("OpenAI-Organization", "OpenAI-Project")}
        return openai.AsyncOpenAI(**given)


def _split(body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the SDK needs to know of a body, and the rest, which it passes on as it is."""
    known = ("model", "messages", "stream")
    return {n: body[n] for n in known if n in body}, {n: v for n, v in body.items() if n not in known}
