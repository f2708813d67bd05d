"""The `any-llm-sdk` package as a way to some fifty providers: `LM("any-llm:mistral/...")`."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from outlast.errors import ConfigError
from outlast.lms.engines import package
from outlast.lms.engines.chat import Answer, ChatEngine
from outlast.lms.engines.clients import PerLoop
from outlast.lms.wire.transport import Secret

NO_KEY = "no-key"  # or the SDK would send the key of the environment to a server that is not its own


class AnyLLM(ChatEngine):
    """Asks with `any_llm.AnyLLM`, one client for each event loop, retries off where the provider's SDK has them.

    "provider/model" names both. Each provider needs its own package (`pip install 'any-llm-sdk[mistral]'`). What a
    provider's adapter of any-llm knows not to take it refuses, which is then left out and told as with servers.
    """

    engine = "any-llm"
    library = "any_llm"

    def __init__(self, model: str, *args: Any, **options: Any) -> None:
        super().__init__(model, *args, **options)
        self._provider, slash, self._named = model.partition("/")
        if not slash or not self._named:
            raise ConfigError(f"any-llm names a model as 'any-llm:provider/model'; got {self.name!r}")
        self._clients: dict[Secret | None, PerLoop[Any]] = {}

    async def ask(self, body: dict[str, Any], key: Secret | None) -> Answer:
        """One chat completion."""
        client = await self._client(key)
        reply: Any = await client.acompletion(**{**body, "model": self._named})
        return reply.model_dump(mode="json"), {}

    async def pieces(self, body: dict[str, Any], key: Secret | None) -> AsyncGenerator[Mapping[str, Any]]:
        """The chunks of one chat completion."""
        client = await self._client(key)
        stream: Any = await client.acompletion(**{**body, "model": self._named})
        async with aclosing(stream):
            async for chunk in stream:
                yield chunk.model_dump(mode="json")

    async def _client(self, key: Secret | None) -> Any:
        clients = self._clients.get(key)
        if clients is None:
            clients = self._clients[key] = PerLoop(lambda: self._new(key), _close)
        return await clients.get()

    def _new(self, key: Secret | None) -> Any:
        given: dict[str, Any] = {}
        if key is not None:
            given["api_key"] = key.reveal()
        if self.endpoint.base_url:
            given.setdefault("api_key", NO_KEY)
            given["api_base"] = self.endpoint.base_url
        create: Any = package("any_llm").AnyLLM.create
        if "unified_exceptions" in inspect.signature(create).parameters:
            given["unified_exceptions"] = True
        try:
            return create(self._provider, max_retries=0, **given)
        except Exception as error:  # an SDK that has no count of retries to set
            if "UnsupportedParameter" not in type(error).__name__ and not isinstance(error, TypeError):
                raise
        return create(self._provider, **given)


async def _close(client: Any) -> None:
    """Close the HTTP client below, where there is one."""
    inner: Any = getattr(client, "client", None)
    close = getattr(inner, "aclose", None) or getattr(inner, "close", None)
    if close is not None:
        closing: Any = close()
        if hasattr(closing, "__await__"):
            await closing
