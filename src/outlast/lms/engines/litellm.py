"""The `litellm` package as a way to more than a hundred providers: `LM("litellm:bedrock/...")`."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from outlast.errors import ConfigError
from outlast.lms.engines import load, package
from outlast.lms.engines.chat import Answer, ChatEngine
from outlast.lms.wire.transport import Secret

NO_KEY = "no-key"  # or litellm would send the key of the environment to a server that is not its own
_LOCAL_PRICES = "LITELLM_LOCAL_MODEL_COST_MAP"
_lock = threading.Lock()


class LiteLLM(ChatEngine):
    """Asks with `litellm.acompletion`: its retries and fallbacks off, nothing dropped, no word to the terminal.

    Parameters that litellm knows a provider not to take are refused by it before the call, and then left out and told
    as those that a server refuses. With `litellm.drop_params` or `litellm.modify_params` set to True by the program
    it would do so in silence: then a call raises `ConfigError`.
    """

    engine = "litellm"
    library = "litellm"

    async def load(self) -> None:
        """Import litellm, off the loop and without its look at the network."""
        await load(self.library, _load)

    async def ask(self, body: dict[str, Any], key: Secret | None) -> Answer:
        """One chat completion."""
        reply: Any = await _loaded().acompletion(**self._arguments(body, key))
        return reply.model_dump(mode="json"), _headers(reply)

    async def pieces(self, body: dict[str, Any], key: Secret | None) -> AsyncGenerator[Mapping[str, Any]]:
        """The chunks of one chat completion."""
        stream: Any = await _loaded().acompletion(**self._arguments(body, key))
        try:
            async for chunk in stream:
                yield chunk.model_dump(mode="json")
        finally:
            await _close(stream)

    def _arguments(self, body: Mapping[str, Any], key: Secret | None) -> dict[str, Any]:
        given: dict[str, Any] = {
            **body,
            "timeout": self.endpoint.timeout,
            "num_retries": 0,
            "max_retries": 0,
            "drop_params": False,
        }
        if key is not None:
            given["api_key"] = key.reveal()
        if self.endpoint.base_url:
            given["api_base"] = self.endpoint.base_url
            given.setdefault("api_key", NO_KEY)
        return given


def _loaded() -> Any:
    """litellm, quiet. Raises `ConfigError` when it is set to change requests in silence."""
    litellm = package("litellm")
    litellm.suppress_debug_info = True  # else it prints advice with every error
    for name in ("drop_params", "modify_params"):
        if getattr(litellm, name, False):
            raise ConfigError(
                f"litellm.{name} is True: requests would be changed in silence. Set litellm.{name} = False; what a "
                "provider does not take is then left out and told in Response.adaptations"
            )
    return litellm


def _load() -> None:
    """Import it without the fetching of prices from the network that this does."""
    with _lock:
        told = os.environ.get(_LOCAL_PRICES)
        os.environ[_LOCAL_PRICES] = told or "True"
        try:
            package("litellm")
        finally:
            if told is None:
                del os.environ[_LOCAL_PRICES]


def _headers(reply: Any) -> Mapping[str, str]:
    """Headers of the provider, which litellm gives with a prefix."""
    hidden: Any = getattr(reply, "_hidden_params", None) or {}
    told: Mapping[str, Any] = hidden.get("additional_headers") or {}
    return {name.removeprefix("llm_provider-"): str(value) for name, value in told.items()}


async def _close(stream: Any) -> None:
    """Close the connection of a stream that is not read to its end."""
    for held in (stream, getattr(stream, "completion_stream", None)):
        for name in ("aclose", "close"):
            close = getattr(held, name, None)
            if close is not None:
                closing = close()
                if hasattr(closing, "__await__"):
                    await closing
                break
