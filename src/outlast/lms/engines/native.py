"""What engines have in common whose library has types of its own for messages and replies."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any, ClassVar

from outlast.errors import LMConnectionError, LMError, LMRequestError, LMUnsupported, UsageError
from outlast.lms.bounds import Bound, asked_tier, bound_of
from outlast.lms.engines import load
from outlast.lms.engines.clients import close_soon
from outlast.lms.engines.failures import error_of, hiding, ours, said
from outlast.lms.options import check_tools
from outlast.lms.prices import Price, as_price, possible_prices, priced
from outlast.lms.protocol import LM, Capabilities
from outlast.lms.wire.dialect import ANYTHING, Notes
from outlast.lms.wire.openai_chat_turns import check_turn
from outlast.lms.wire.reply import serialize
from outlast.lms.wire.transport import Endpoint, Secret
from outlast.messages import (
    NO_SETTINGS,
    Finished,
    Request,
    Response,
    Settings,
    StreamEvent,
    canonical,
)
from outlast.runtime import io


class NativeEngine(LM):
    """A model asked through a library, whose words a subclass translates both ways.

    It names its `engine` and its `library` and defines `write`, a request as the library wants it, and `ask` and
    `pieces`, which answer it and run on an event loop. What they raise is told apart by `failures`. The endpoint's
    timeout bounds a whole exchange, and each piece of a stream.
    """

    engine: ClassVar[str]
    library: ClassVar[str]
    blocking_safe = True

    def __init__(
        self,
        model: str,
        endpoint: Endpoint,
        *,
        name: str,
        key: Callable[[], Secret | None],
        settings: Settings = NO_SETTINGS,
        capabilities: Capabilities = ANYTHING,
        price: Price | tuple[float, float] | None = None,
        seller: str = "",
        adapt: str = "note",
    ) -> None:
        self.model = model
        self.endpoint = endpoint
        self.name = name
        self.capabilities = capabilities
        self.settings = settings
        self.price = as_price(price)
        self.seller = seller
        self.adapt = adapt
        self._key = key

    @abstractmethod
    def write(self, request: Request, notes: Notes) -> Any:
        """The request in the library's types. Raises `LMUnsupported` for what cannot be left out."""

    @abstractmethod
    async def ask(self, written: Any, key: Secret | None) -> Response:
        """The whole reply, without price, time and label."""

    @abstractmethod
    def pieces(self, written: Any, key: Secret | None) -> AsyncGenerator[StreamEvent]:
        """The reply in pieces, the last of which is `Finished`."""

    @property
    def identity(self) -> str:
        """Engine, model, server, settings, policy; extra settings by their hash."""
        facts: dict[str, Any] = {
            "engine": self.engine,
            "server": self.endpoint.base_url,
            "model": self.model,
            "json_schema": self.capabilities.json_schema,
            "json_object": self.capabilities.json_object,
            "settings": replace(self.settings, extra={}).to_json(),
        }
        if self.capabilities.without:
            facts["without"] = sorted(self.capabilities.without)
        if self.adapt != "note":
            facts["adapt"] = self.adapt
        if self.settings.extra:
            facts["extra"] = blake2b(canonical(dict(self.settings.extra)), digest_size=8).hexdigest()
        return json.dumps(facts, sort_keys=True)

    @property
    def account(self) -> str:
        """Whom a rate limit belongs to: this engine, server, model and key, by its hash."""
        key = self._key()
        digest = "" if key is None else blake2b(key.reveal().encode(), digest_size=12, person=b"account").hexdigest()
        return f"{self.engine} {self.endpoint.base_url} {self.model} {digest}"

    def facts(self) -> Mapping[str, Any]:
        """Engine, model and server."""
        return {"engine": self.engine, "model": self.model, "server": self.endpoint.base_url}

    def bound(self, request: Request) -> Bound:
        """The most that a call can take: its price is known when the user said it or the table lists it."""
        settings = request.settings.over(self.settings)
        prices = possible_prices(self.model, self.seller, tier=asked_tier(settings), price=self.price)
        return bound_of(request, settings, model=self.name, prices=prices)

    async def complete(self, request: Request) -> Response:
        """Answer one request. Raises an `LMError`."""
        await self._load()
        asked, written, notes = self._written(request)
        started = time.perf_counter()
        outcome = await io(self._answer(written))
        if isinstance(outcome, LMError):
            outcome.request = asked
            raise outcome  # here and not where it was found: the library's error may hold the key
        return self._finished(outcome, asked, notes, time.perf_counter() - started)

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        """Answer one request in pieces. Raises what `complete` raises; closing the generator closes the connection."""
        await self._load()
        asked, written, notes = self._written(request)
        started, first = time.perf_counter(), None
        reading = _Reading(self.pieces(written, self._key()))
        try:
            while True:
                outcome = await io(self._step(reading))
                if isinstance(outcome, LMError):
                    outcome.request = asked
                    raise outcome
                seconds = time.perf_counter() - started
                if isinstance(outcome, Finished):
                    response = self._finished(outcome.response, asked, notes, seconds)
                    yield Finished(replace(response, first_token_seconds=first))
                    return
                first = seconds if first is None else first
                yield outcome
        finally:
            reading.abandon()

    async def _load(self) -> None:
        if self.library not in sys.modules:
            await io(load(self.library))

    def _written(self, request: Request) -> tuple[Request, Any, Notes]:
        if not request.messages:
            raise UsageError("a request needs at least one message; got none")
        if request.questions:
            raise LMUnsupported(f"{self.name} answers no typed questions (capability 'decisions')", request=request)
        request = replace(request, settings=request.settings.over(self.settings))
        notes = Notes()
        asked = replace(request, settings=self._taken(request.settings, notes))
        outcome = self._tried(asked, notes)
        if isinstance(outcome, LMError):
            outcome.request = request
            raise outcome
        written: Any = outcome
        if notes.dropped and self.adapt == "refuse":
            raise LMUnsupported(f"{self.name}, with adapt='refuse': {'; '.join(notes.dropped)}", request=request)
        return request, written, notes

    def _tried(self, request: Request, notes: Notes) -> Any:
        """What `write` gives, or the error that it raised."""
        try:
            check_tools(request.tools, request.tool_choice)
            for message in request.messages:
                check_turn(message, self.model, notes)
            return self.write(request, notes)
        except (ValueError, TypeError) as error:
            if ours(error):
                return self._failure(error, None)
            return LMRequestError(f"{self.name}: {self.engine} refuses the request: {hiding(str)(said(error))}")
        except Exception as error:
            return self._failure(error, None)

    def _taken(self, settings: Settings, notes: Notes) -> Settings:
        """The settings without those that the model is known not to take."""
        for name in sorted(self.capabilities.without & settings.to_json().keys()):
            self.drop(name, getattr(settings, name), "the model is known not to take it", notes)
            settings = replace(settings, **{name: None})
        serialize(settings.extra)
        return settings

    def drop(self, name: str, value: Any, why: str, notes: Notes) -> None:
        """Note that a setting is left out, when it was set at all."""
        if value is not None:
            shown = f"{value:g}" if isinstance(value, float) else repr(value)
            notes.drop(f"{name}={shown} not sent: {why}")

    async def _answer(self, written: Any) -> Response | LMError:
        key = self._key()
        try:
            async with asyncio.timeout(self.endpoint.timeout):
                return await self.ask(written, key)
        except BaseException as error:
            return self._failure(error, key)

    async def _step(self, reading: _Reading) -> StreamEvent | LMError:
        key = self._key()
        try:
            async with asyncio.timeout(self.endpoint.timeout):
                event = await reading.next()
        except BaseException as error:
            return self._failure(error, key)
        return event or LMConnectionError(f"{self.name}: the stream ended before the reply did")

    def _failure(self, error: BaseException, key: Secret | None) -> LMError:
        if isinstance(error, LMError):
            return error
        if ours(error):
            raise error
        redact = hiding(str if key is None else key.redact)
        if any("unsupportedfeature" in kind.__name__.lower() for kind in type(error).__mro__):
            return LMUnsupported(f"{self.name}: {redact(said(error))}")
        return error_of(error, self.name, redact, self.endpoint.timeout)

    def _finished(self, response: Response, request: Request, notes: Notes, seconds: float) -> Response:
        asked, served = self.model, response.model or self.model
        usage = priced(
            response.usage,
            served,
            self.seller,
            tier=response.tier,
            asked_tier=asked_tier(request.settings),
            price=self.price,
            asked=asked,
        )
        return replace(
            response,
            model=served,
            usage=usage,
            seconds=seconds,
            adaptations=(*notes.texts, *response.adaptations),
            label=request.label,
        )

    def __repr__(self) -> str:
        where = f" at {self.endpoint.base_url!r}" if self.endpoint.base_url else ""
        return f"{type(self).__name__}({self.model!r}{where})"


class _Reading:
    """The pieces of one reply and the loop that they are read on."""

    def __init__(self, pieces: AsyncGenerator[StreamEvent]) -> None:
        self._pieces = pieces
        self._loop: asyncio.AbstractEventLoop | None = None

    async def next(self) -> StreamEvent | None:
        self._loop = asyncio.get_running_loop()
        return await anext(self._pieces, None)

    def abandon(self) -> None:
        """Close the connection unless all was read. From any thread."""
        if self._loop is not None:
            close_soon(self._loop, self._pieces)
