"""The `llm` package and its plugins as a way to their models: `LM("llm:gpt-4o")`."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator
from typing import Any

from outlast.errors import ConfigError, LMUnsupported
from outlast.lms.engines import package
from outlast.lms.engines.clients import PerLoop
from outlast.lms.engines.llm_words import (
    as_older,
    asked_of,
    hides_reasoning,
    options_of,
    response_of,
    schema_of,
    tools_of,
)
from outlast.lms.engines.native import NativeEngine
from outlast.lms.wire.dialect import Notes
from outlast.lms.wire.transport import Secret
from outlast.messages import Finished, Request, Response, StreamEvent, TextDelta, ThoughtDelta, ToolDelta

NO_KEY = "no-key"  # or llm would send a key of its own to a server that is not the provider's


class LLMEngine(NativeEngine):
    """Asks a model that `llm` knows, by its id or alias there, of any installed plugin.

    Nothing is written to llm's log. Keys are `api_key=`, else those that llm keeps or finds. `base_url` works for its
    OpenAI models; for these the SDK's retries are off as well, while other plugins keep the retries of their SDK.
    A plugin without an async model is asked in a thread, answers in one piece, and cannot be given up. One of the
    older interface, which knows no messages, sees a conversation of several turns as one text.
    """

    engine = "llm"
    library = "llm"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._found: Any = None
        self._clients: dict[Secret | None, PerLoop[Any]] = {}

    def write(self, request: Request, notes: Notes) -> Any:
        """The arguments of llm's `prompt`."""
        model = self._model()
        if request.messages[-1].role == "assistant":
            raise LMUnsupported(
                f"{self.name} cannot go on from the start of a reply (a last message of the role 'assistant')"
            )
        return {
            **asked_of(request.messages, model, notes),
            "older": request.messages,
            "tools": tools_of(request, model, notes),
            "schema": schema_of(request, model, notes),
            "options": options_of(request, model, notes),
            **hides_reasoning(request.settings),
        }

    async def ask(self, written: Any, key: Secret | None) -> Response:
        """One reply."""
        model = await self._ready(key, [])
        if not self._is_async(model):
            return await asyncio.to_thread(self._ask_blocking, model, written, key)
        reply = self._prompted(model, written, key, stream=False)
        return response_of(reply, await reply.messages())

    def _prompted(self, model: Any, written: Any, key: Secret | None, *, stream: bool) -> Any:
        """A reply that is not asked for yet: llm does that when it is read."""
        arguments = {name: value for name, value in written.items() if name != "older"}
        reply: Any = model.prompt(**arguments, stream=stream, **_with(key))
        if "messages" in arguments:
            as_older(reply.prompt, written["older"])
        return reply

    def _ask_blocking(self, model: Any, written: Any, key: Secret | None) -> Response:
        reply = self._prompted(model, written, key, stream=False)
        reply.text()
        return response_of(reply, reply.messages())

    async def pieces(self, written: Any, key: Secret | None) -> AsyncGenerator[StreamEvent]:
        """One reply in pieces."""
        opened: list[Any] = []
        model = await self._ready(key, opened)
        if not (self._is_async(model) and model.can_stream):
            yield Finished(await self.ask(written, key))
            return
        reply = self._prompted(model, written, key, stream=True)
        calls: list[str] = []
        events: Any = reply.astream_events()
        try:
            async for event in events:
                piece = _piece(event, calls)
                if piece is not None:
                    yield piece
        finally:
            await events.aclose()
            for stream in opened:
                await stream.close()
        yield Finished(response_of(reply, await reply.messages()))

    def _model(self) -> Any:
        """llm's object for the model, its async one where there is one. Raises llm's `UnknownModelError`."""
        if self._found is None:
            llm = package("llm")
            try:
                self._found = llm.get_async_model(self.model)
            except llm.UnknownModelError:
                self._found = llm.get_model(self.model)
            if self.endpoint.base_url and not hasattr(self._found, "api_base"):
                raise ConfigError(f"base_url= works for OpenAI models of llm only; {self.name!r} is none")
        return self._found

    async def _ready(self, key: Secret | None, opened: list[Any]) -> Any:
        """The model with its address, and with a client of ours where it takes one. `opened` gets the streams that
        are opened: llm leaves them to the garbage collector when a reply is not read to its end."""
        model = self._model()
        if not hasattr(model, "get_client") or not self._is_async(model):
            return model
        made = copy.copy(model)
        if self.endpoint.base_url:
            made.api_base = self.endpoint.base_url
            made.key = NO_KEY if key is None else None
        clients = self._clients.get(key)
        if clients is None:
            template = copy.copy(made)
            clients = PerLoop(lambda: self._client(template, key), lambda client: client.close())
            self._clients[key] = clients
        client = _Noting(await clients.get(), opened)

        def get_client(*args: Any, **options: Any) -> _Noting:
            return client

        made.get_client = get_client
        return made

    def _client(self, model: Any, key: Secret | None) -> Any:
        plain = model.get_client(None if key is None else key.reveal(), async_=True)
        return plain.with_options(max_retries=0, timeout=self.endpoint.timeout)

    def _is_async(self, model: Any) -> bool:
        llm = package("llm")
        return isinstance(model, (llm.AsyncModel, llm.AsyncKeyModel))


class _Noting:
    """The SDK's client, with a note of the streams that it opens."""

    def __init__(self, inner: Any, opened: list[Any]) -> None:
        self._inner = inner
        self._opened = opened

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name in ("chat", "completions", "responses"):
            return _Noting(found, self._opened)
        return self._create if name == "create" else found

    async def _create(self, *args: Any, **options: Any) -> Any:
        made = await self._inner.create(*args, **options)
        if options.get("stream"):
            self._opened.append(made)
        return made


def _with(key: Secret | None) -> dict[str, str]:
    return {} if key is None else {"key": key.reveal()}


def _piece(event: Any, calls: list[str]) -> StreamEvent | None:
    """An event of llm as ours; `calls` are the ids of the tool calls so far."""
    if event.type == "text":
        return TextDelta(event.chunk) if event.chunk else None
    if event.type == "reasoning":
        return ThoughtDelta(event.chunk) if event.chunk else None
    identifier = str(event.tool_call_id or "")
    if event.type == "tool_call_name":
        calls.append(identifier)
        return ToolDelta(len(calls) - 1, identifier, event.chunk)
    if event.type == "tool_call_args" and calls:
        index = calls.index(identifier) if identifier in calls else len(calls) - 1
        return ToolDelta(index, arguments=event.chunk)
    return None
