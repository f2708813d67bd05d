"""The LM behind a server: encodes in its dialect, sends, learns what the server refuses, decodes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from functools import cache
from hashlib import blake2b
from typing import Any, Literal

from outlast.errors import ConfigError, LMAuthError, LMConnectionError, LMError, LMUnsupported
from outlast.lms.bounds import asked_tier, bound_of
from outlast.lms.prices import Price, as_price, may_be_listed, possible_prices, prepare, priced
from outlast.lms.protocol import LM, Capabilities
from outlast.lms.wire.decisions import encode_asked
from outlast.lms.wire.dialect import ANYTHING, DecisionDialect, Dialect, Encoded, Shape, Told, Wire
from outlast.lms.wire.openai_errors import error_from, refused_parameter, refuses_schema
from outlast.lms.wire.providers import COMMON, Quirks
from outlast.lms.wire.quirks import SHAPING
from outlast.lms.wire.rate_headers import rate_states
from outlast.lms.wire.reply import object_in, raise_error_in, serialize
from outlast.lms.wire.sse import EventBytes
from outlast.lms.wire.stops import Cutter, cut
from outlast.lms.wire.strict_schema import StrictSchema
from outlast.lms.wire.transport import Endpoint, Reply, Secret, Stream, open_stream, post
from outlast.messages import (
    NO_SETTINGS,
    Finished,
    OutputSchema,
    Request,
    Response,
    Settings,
    StreamEvent,
    TextDelta,
    canonical,
    events_of,
)
from outlast.runtime import Bound, io

Policy = Literal["note", "refuse"]
_MOST_LESSONS = 8  # more than there are parameters to refuse
_MOST_SCHEMAS = 128
_NEVER_DROPPED = frozenset(("model", "messages", "input", "stream", "tools"))


def no_key() -> Secret | None:
    """The key of a server that wants none."""
    return None


class WireLM(LM):
    """A model behind a server, asked once per request: no cache, no retry, no limit.

    `model` is the server's name for it, `key` gives the key at each call and may raise `ConfigError`. What the server
    refuses with a 400 that names the parameter is left out, remembered by this object and told in
    `Response.adaptations`; such a lesson costs one more exchange, once. With `adapt="refuse"` a request of which
    something would be left out raises `LMUnsupported` instead. `price` is
    what the user says it costs; without it the table of `outlast.lms.prices` may know, by the `seller`.
    """

    blocking_safe = True
    _checked = True

    def __init__(
        self,
        model: str,
        endpoint: Endpoint,
        dialect: Dialect,
        *,
        name: str | None = None,
        key: Callable[[], Secret | None] = no_key,
        settings: Settings = NO_SETTINGS,
        quirks: Quirks = COMMON,
        capabilities: Capabilities = ANYTHING,
        price: Price | tuple[float, float] | None = None,
        seller: str = "",
        adapt: Policy = "note",
        decisions: DecisionDialect | None = None,
    ) -> None:
        self.model = model
        self.endpoint = endpoint
        self.dialect = dialect
        self.name = name or model
        self.capabilities = capabilities
        self.settings = settings
        self.price = as_price(price)
        self.seller = seller
        self._looked_up = self.price is None and may_be_listed(seller)
        self.adapt: Policy = adapt
        self._decisions = decisions
        self._key = key
        self._wire = Wire(model, quirks, capabilities, frozenset[str](), self._strict)
        self._schemas: dict[int, tuple[OutputSchema, StrictSchema]] = {}
        self._identity = self._identify(quirks)

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def account(self) -> str:
        """Whom a rate limit belongs to: this server, model and key, by its hash. Raises `ConfigError` without key."""
        key = self._key()
        digest = "" if key is None else blake2b(key.reveal().encode(), digest_size=12, person=b"account").hexdigest()
        return f"{self.endpoint.base_url} {self.model} {digest}"

    def _identify(self, quirks: Quirks) -> str:
        """Name, server, settings and all else that shapes the request or decides which are answered. Extra settings
        by their hash: they may hold what is nobody's business."""
        facts: dict[str, Any] = {
            "dialect": self.dialect.name,
            "server": self.endpoint.base_url,
            "model": self.model,
            "json_schema": self.capabilities.json_schema,
            "json_object": self.capabilities.json_object,
            "settings": replace(self.settings, extra={}).to_json(),
            "reasoning_style": quirks.reasoning,
            "strict": quirks.strict,
        }
        for name in SHAPING.difference(("reasoning", "strict")):  # in keys only where it is not the usual
            if (value := getattr(quirks, name)) != getattr(COMMON, name):
                facts[name] = value
        for name in self.dialect.shaped_by:
            facts[f"can_{name}"] = getattr(self.capabilities, name)
        if self._decisions is not None:
            facts["decisions"] = self._decisions.name
        if self.adapt != "note":
            facts["adapt"] = self.adapt
        if self.capabilities.without:
            facts["without"] = sorted(self.capabilities.without)
        if self.settings.extra:
            digest = blake2b(canonical(dict(self.settings.extra)), digest_size=8)
            facts["extra"] = digest.hexdigest()
        return json.dumps(facts, sort_keys=True)

    def facts(self) -> Mapping[str, Any]:
        return {
            "model": self.model,
            "dialect": self.dialect.name,
            "server": self.endpoint.base_url,
            "learned": sorted(self._wire.refused),
        }

    def check_key(self) -> None:
        """Raise `ConfigError` when this model needs a key and there is none. Asks nobody."""
        self._key()

    async def complete(self, request: Request) -> Response:
        """Answer one request. Raises an `LMError`, or `ConfigError` when there is no key, before any network."""
        if request.questions:
            return await self._decide(request)
        key = self._key()
        request = self._with_settings(request)
        for lesson in range(1, _MOST_LESSONS + 1):
            wire = self._wire
            encoded, payload, notes = self._encoded(request, stream=False)
            stop = encoded.stop
            del encoded  # with thousands of calls in flight, the garbage collector visits what each of them holds
            started = time.perf_counter()
            try:
                reply = await io(self._post(payload, key))
            except LMError as error:
                error.request = request
                raise
            if 200 <= reply.status < 300:
                told = self._told(request, key, reply, notes, time.perf_counter() - started)
                return cut(self._decoded(reply, told, request), stop)
            if lesson == _MOST_LESSONS or not self._learn(reply, request, self.dialect.encode(request, wire, False)):
                raise self._error(reply, request, key)
        raise AssertionError("unreachable: the last round returns or raises")

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        """Answer one request in pieces, as the server sends them. Raises what `complete` raises.

        Closing the generator closes the connection.
        """
        if request.questions:
            for event in events_of(await self._decide(request)):
                yield event
            return
        key = self._key()
        request = self._with_settings(request)
        for lesson in range(1, _MOST_LESSONS + 1):
            encoded, payload, notes = self._encoded(request, stream=True)
            started = time.perf_counter()
            try:
                stream = await io(self._open(payload, key))
            except LMError as error:
                error.request = request
                raise
            try:
                if 200 <= stream.status < 300:
                    async for event in self._read(stream, request, key, notes, started, encoded.stop):
                        yield event
                    return
                reply = await io(stream.rest())
            except LMError as error:
                error.request = request
                raise
            finally:
                stream.abandon()
            if lesson == _MOST_LESSONS or not self._learn(reply, request, encoded):
                raise self._error(reply, request, key)

    async def _post(self, payload: bytes, key: Secret | None) -> Reply:
        """One exchange. Runs on an event loop; what carries it there is for a subclass to change."""
        return await post(self.endpoint, self.dialect.path, payload, key)

    async def _open(self, payload: bytes, key: Secret | None) -> Stream:
        """The same, for a reply in pieces."""
        return await open_stream(self.endpoint, self.dialect.path, payload, key)

    async def _read(
        self,
        stream: Stream,
        request: Request,
        key: Secret | None,
        notes: tuple[str, ...],
        started: float,
        stop: tuple[str, ...],
    ) -> AsyncGenerator[StreamEvent]:
        """The events of a stream that has begun well."""
        if "text/event-stream" not in stream.headers.get("content-type", ""):
            reply = await io(stream.rest())  # a server that does not stream answers whole
            notes = (*notes, "answered in one piece: the server did not stream")
            told = self._told(request, key, reply, notes, time.perf_counter() - started)
            response = cut(self._decoded(reply, told, request), stop)
            for event in events_of(response):
                yield event
            return
        lines, reader, cutter = EventBytes(), self.dialect.reader(), Cutter(stop)
        first: float | None = None
        ended = False
        while not ended:
            chunk = await io(stream.read())
            ended = not chunk
            for told_event in lines.finish() if ended else lines.feed(chunk):
                for event in cutter.shown(reader.feed(told_event)):
                    if first is None:
                        first = time.perf_counter() - started
                    yield event
        if rest := cutter.rest():
            yield TextDelta(rest)
        data = reader.whole()
        if data is None:
            raise LMConnectionError(f"{self.endpoint.base_url}: the stream ended before the reply did")
        reply = Reply(stream.status, stream.headers, b"")
        told = self._told(request, key, reply, notes, time.perf_counter() - started)
        raise_error_in(data, told)
        response = cut(self._priced_and_rated(self.dialect.decode(data, told), request, told), stop)
        yield Finished(replace(response, first_token_seconds=first))

    async def _decide(self, request: Request) -> Response:
        """Answer typed questions with the model's own probabilities."""
        dialect = self._decisions
        if dialect is None:
            raise LMUnsupported(f"{self.name} answers no typed questions (capability 'decisions')", request=request)
        key = self._key()
        request = self._with_settings(request)
        _, payload, notes = self._encoded(request, stream=False)
        started = time.perf_counter()
        try:
            reply = await io(post(self.endpoint, dialect.path, payload, key))
            if not 200 <= reply.status < 300:
                raise self._error(reply, request, key)
            told = self._told(request, key, reply, notes, time.perf_counter() - started)
            return _rated(self._priced(dialect.decode(object_in(reply.body, told), request, told)), told)
        except LMError as error:
            error.request = request
            raise

    def _with_settings(self, request: Request) -> Request:
        if self.settings is NO_SETTINGS:
            return request
        return replace(request, settings=request.settings.over(self.settings))

    def _encoded(self, request: Request, *, stream: bool) -> tuple[Encoded, bytes, tuple[str, ...]]:
        if self._looked_up:
            prepare()
        try:
            if request.questions and self._decisions is not None:
                encoded = encode_asked(self._decisions, request, self.model)
            else:
                encoded = self.dialect.encode(request, self._wire, stream)
        except LMUnsupported as error:
            error.request = request
            raise
        if encoded.dropped and self.adapt == "refuse":
            raise LMUnsupported(f"{self.name}, with adapt='refuse': {'; '.join(encoded.dropped)}", request=request)
        payload, mended = serialize(encoded.body)
        notes = encoded.adaptations
        return encoded, payload, (*notes, "lone surrogates in the request replaced by U+FFFD") if mended else notes

    def _told(self, request: Request, key: Secret | None, reply: Reply, notes: tuple[str, ...], seconds: float) -> Told:
        return Told(
            self.model,
            self.name,
            self._wire.quirks,
            seconds,
            notes,
            request.label,
            str if key is None else key.redact,
            reply.status,
            reply.headers,
        )

    def _decoded(self, reply: Reply, told: Told, request: Request) -> Response:
        try:
            return self._priced_and_rated(self.dialect.decode(object_in(reply.body, told), told), request, told)
        except LMError as error:
            error.request = request
            raise

    def _priced_and_rated(self, response: Response, request: Request, told: Told) -> Response:
        return _rated(self._priced(response, asked_tier(request.settings)), told)

    def _priced(self, response: Response, asked_tier: str | None = None) -> Response:
        usage = priced(
            response.usage,
            response.model,
            self.seller,
            tier=response.tier,
            asked_tier=asked_tier,
            price=self.price,
            asked=self.model,
        )
        return response if usage is response.usage else replace(response, usage=usage)

    def write(self, request: Request) -> Encoded:
        """What `complete` would send, for those who send it in another way. Raises `LMUnsupported`, `UsageError`."""
        if request.questions:
            raise LMUnsupported(f"{self.name}: typed questions cannot be sent in this way", request=request)
        return self._encoded(self._with_settings(request), stream=False)[0]

    def read(self, data: dict[str, Any], request: Request, sent: Encoded, *, tier: str) -> Response:
        """The response in the JSON of a reply to what was `sent` in another way, priced at `tier`. Raises an
        `LMError`."""
        told = self._told(request, None, Reply(200, {}, b""), sent.adaptations, 0.0)._replace(redact=str)
        raise_error_in(data, told)
        return cut(self._priced(replace(self.dialect.decode(data, told), tier=tier)), sent.stop)

    def failed(self, status: int, body: bytes, request: Request, sent: Encoded | None = None) -> LMError | None:
        """The error in a reply that came in another way; None when it taught what the server refuses, so that the
        same request is written otherwise now than `sent`, which is how it was written then."""
        now = self.write(request)
        if sent is not None and sent.body != now.body:  # another reply taught it already
            return None
        reply = Reply(status, {}, body)
        if self._learn(reply, self._with_settings(request), now):
            return None
        return self._error(reply, request, self._key())

    def secret(self) -> Secret | None:
        """The key, to be handed to `transport`. Raises `ConfigError` when it is needed and missing."""
        return self._key()

    def bound(self, request: Request) -> Bound:
        """The most that a call can take: its price is known when the user said it or the table lists it."""
        settings = self.sent(request)
        prices = possible_prices(self.model, self.seller, tier=asked_tier(settings), price=self.price)
        return bound_of(request, settings, model=self.name, prices=prices)

    def sent(self, request: Request) -> Settings:
        """The settings that a request goes out with, its bound on output included where one is sent anyway."""
        asked = self._with_settings(request)
        settings = asked.settings
        if settings.max_tokens is None:
            settings = replace(settings, max_tokens=self.dialect.own_bound(asked, self._wire))
        if self._wire.quirks.max_tokens in self._wire.refused:
            settings = replace(settings, max_tokens=None)
        return settings

    def _error(self, reply: Reply, request: Request, key: Secret | None) -> LMError:
        error = error_from(*reply, subject=self.name, redact=str if key is None else key.redact)
        if isinstance(error, LMAuthError) and key is None:
            error.args = (f"{error.args[0]}. No key was sent: pass api_key=, as base_url= names another server",)
        error.request = request
        error.rate = rate_states(reply.headers, time.time())
        return error

    def _learn(self, reply: Reply, request: Request, encoded: Encoded) -> bool:
        """Remember what the reply says the server refuses, of what we sent on our own. False when it says nothing."""
        own = encoded.body.keys() - request.settings.extra.keys() - _NEVER_DROPPED
        if encoded.strict and isinstance(request.output, OutputSchema) and refuses_schema(reply.status, reply.body):
            loose = StrictSchema(request.output.schema, False, "the server refuses its strict form")
            self._remember(request.output, loose)
            return True
        name = refused_parameter(reply.status, reply.body, own)
        if name is None:
            return False
        wire = self._wire
        other = self.dialect.other_names.get(name)
        if other is not None and other not in wire.refused:
            wire = replace(wire, quirks=replace(wire.quirks, max_tokens=other))
        lesson = encoded.lessons.get(name, name)
        self._wire = replace(wire, refused=frozenset(wire.refused) | {lesson})
        return True

    def _strict(self, output: OutputSchema, shape: Shape) -> StrictSchema:
        """The form of a schema, made once per schema object: adapters reuse theirs."""
        found = self._schemas.get(id(output))
        if found is not None and found[0] is output:
            return found[1]
        made = shape(output.schema)
        self._remember(output, made)
        return made

    def _remember(self, output: OutputSchema, made: StrictSchema) -> None:
        if len(self._schemas) >= _MOST_SCHEMAS:
            self._schemas = {}
        self._schemas[id(output)] = (output, made)

    def __repr__(self) -> str:
        return f"WireLM({self.model!r} at {self.endpoint.base_url!r})"


def _rated(response: Response, told: Told) -> Response:
    """The response with what its headers tell of rate limits."""
    rate = rate_states(told.headers, time.time())
    return response if rate is None else replace(response, rate=rate)


def key_from(variable: str, subject: str, *, needed: bool) -> Secret | None:
    """The key in an environment variable, else in the keyring of the system, else in the file of keys; None when there
    is none.

    The keyring is looked at when the package `keyring` is installed, for the service "outlast" and the name of the
    variable; the file is that of `outlast keys`. Raises `ConfigError` when the key is needed and missing, or holds
    what no header can, and for a file of keys that others can read.
    """
    found = Secret(os.environ.get(variable, ""))
    if found != Secret(""):
        return found.checked(f"the environment variable {variable}")
    kept = _from_keyring(variable)
    if kept is not None:
        return kept.checked(f"the keyring's entry {variable!r} of the service 'outlast'")
    from outlast.lms.keys import key_in_file

    kept = key_in_file(variable)
    if kept is not None:
        return kept.checked(f"the entry {variable!r} of the file of keys")
    if needed:
        raise ConfigError(
            f"{subject} needs a key and there is none: set the environment variable {variable}, pass api_key=, or keep "
            f"it with `outlast keys set {variable}`. To try things without a model, use 'outlast/baseline'"
        )
    return None


@cache
def _from_keyring(variable: str) -> Secret | None:
    """The key that the system's keyring holds; asked once, as it may ask the person."""
    try:
        from importlib import import_module

        keyring: Any = import_module("keyring")
    except ImportError:
        return None
    try:
        found = keyring.get_password("outlast", variable)
    except Exception:  # no keyring on this machine, or a locked one: every backend has errors of its own
        return None
    return Secret(found) if isinstance(found, str) and found else None
