"""The LM behind every OpenAI-compatible server: encodes, sends, learns what the server refuses, decodes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from outlast.errors import ConfigError, LMAuthError, LMError
from outlast.lms.openai_chat import ANYTHING, decode, encode, serialize
from outlast.lms.openai_errors import error_from, refused_parameter, refuses_schema
from outlast.lms.protocol import LM, Capabilities
from outlast.lms.providers import COMMON, Quirks
from outlast.lms.strict_schema import StrictSchema, strict_schema
from outlast.lms.transport import Endpoint, Reply, Secret, post
from outlast.messages import NO_SETTINGS, OutputSchema, Request, Response, Settings, canonical
from outlast.runtime import io

_PATH = "/chat/completions"
_MOST_LESSONS = 8  # more than there are parameters to refuse
_MOST_SCHEMAS = 128
_OTHER_NAME = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_NEVER_DROPPED = frozenset(("model", "messages"))


def no_key() -> Secret | None:
    """The key of a server that wants none."""
    return None


class OpenAIChat(LM):
    """A model behind an OpenAI-compatible server, asked once per request: no cache, no retry, no limit.

    `model` is the server's name for it, `key` gives the key at each call and may raise `ConfigError`. What the server
    refuses with a 400 that names the parameter is left out, remembered by this object and told in
    `Response.adaptations`; such a lesson costs one more exchange, once. `price` is dollars per million tokens,
    (input, output).
    """

    blocking_safe = True

    def __init__(
        self,
        model: str,
        endpoint: Endpoint,
        *,
        name: str | None = None,
        key: Callable[[], Secret | None] = no_key,
        settings: Settings = NO_SETTINGS,
        quirks: Quirks = COMMON,
        capabilities: Capabilities = ANYTHING,
        price: tuple[float, float] | None = None,
    ) -> None:
        self.model = model
        self.endpoint = endpoint
        self.name = name or model
        self.capabilities = capabilities
        self.settings = settings
        self.price = price
        self._key = key
        self._quirks = quirks
        self._refused: frozenset[str] = frozenset()
        self._schemas: dict[int, tuple[OutputSchema, StrictSchema]] = {}
        self._identity = self._identify(quirks)

    @property
    def identity(self) -> str:
        return self._identity

    def _identify(self, quirks: Quirks) -> str:
        """Name, server, settings and all else that shapes the request. Extra settings by their hash: they may hold
        what is nobody's business."""
        facts: dict[str, Any] = {
            "dialect": "openai-chat",
            "server": self.endpoint.base_url,
            "model": self.model,
            "json_schema": self.capabilities.json_schema,
            "json_object": self.capabilities.json_object,
            "settings": replace(self.settings, extra={}).to_json(),
            "reasoning_style": quirks.reasoning,
            "strict": quirks.strict,
        }
        if self.settings.extra:
            digest = blake2b(canonical(dict(self.settings.extra)), digest_size=8)
            facts["extra"] = digest.hexdigest()
        return json.dumps(facts, sort_keys=True)

    async def complete(self, request: Request) -> Response:
        """Answer one request. Raises an `LMError`, or `ConfigError` when there is no key, before any network."""
        key = self._key()
        if self.settings is not NO_SETTINGS:
            request = replace(request, settings=request.settings.over(self.settings))
        for lesson in range(1, _MOST_LESSONS + 1):
            encoded = encode(
                request,
                self.model,
                self._quirks,
                capabilities=self.capabilities,
                refused=self._refused,
                strict=self._strict,
            )
            payload, mended = serialize(encoded.body)
            notes = encoded.adaptations
            if mended:
                notes = (*notes, "lone surrogates in the request replaced by U+FFFD")
            started = time.perf_counter()
            try:
                reply = await io(post(self.endpoint, _PATH, payload, key))
            except LMError as error:
                error.request = request
                raise
            if 200 <= reply.status < 300:
                return self._read(reply, request, notes, time.perf_counter() - started, key)
            if lesson == _MOST_LESSONS or not self._learn(reply, request, encoded.body):
                raise self._error(reply, request, key)
        raise AssertionError("unreachable: the last round returns or raises")

    def _read(
        self, reply: Reply, request: Request, notes: tuple[str, ...], seconds: float, key: Secret | None
    ) -> Response:
        try:
            return decode(
                *reply,
                model=self.model,
                subject=self.name,
                quirks=self._quirks,
                price=self.price,
                seconds=seconds,
                adaptations=notes,
                label=request.label,
                redact=str if key is None else key.redact,
            )
        except LMError as error:
            error.request = request
            raise

    def _error(self, reply: Reply, request: Request, key: Secret | None) -> LMError:
        error = error_from(*reply, subject=self.name, redact=str if key is None else key.redact)
        if isinstance(error, LMAuthError) and key is None:
            error.args = (f"{error.args[0]}. No key was sent: pass api_key=, as base_url= names another server",)
        error.request = request
        return error

    def _learn(self, reply: Reply, request: Request, body: dict[str, Any]) -> bool:
        """Remember what the reply says the server refuses, of what we sent on our own. False when it says nothing."""
        own = body.keys() - request.settings.extra.keys() - _NEVER_DROPPED
        form: dict[str, Any] = body["response_format"] if "response_format" in own else {}
        strict = form.get("json_schema", {}).get("strict", False)
        if strict and isinstance(request.output, OutputSchema) and refuses_schema(reply.status, reply.body):
            loose = StrictSchema(request.output.schema, False, "the server refuses its strict form")
            self._remember(request.output, loose)
            return True
        name = refused_parameter(reply.status, reply.body, own)
        if name is None:
            return False
        other = _OTHER_NAME.get(name)
        if other is not None and other not in self._refused:
            self._quirks = replace(self._quirks, max_tokens=other)
        self._refused |= {form["type"] if name == "response_format" else name}
        return True

    def _strict(self, output: OutputSchema) -> StrictSchema:
        """The strict form of a schema, made once per schema object: adapters reuse theirs."""
        found = self._schemas.get(id(output))
        if found is not None and found[0] is output:
            return found[1]
        made = strict_schema(output.schema)
        self._remember(output, made)
        return made

    def _remember(self, output: OutputSchema, made: StrictSchema) -> None:
        if len(self._schemas) >= _MOST_SCHEMAS:
            self._schemas = {}
        self._schemas[id(output)] = (output, made)

    def __repr__(self) -> str:
        return f"OpenAIChat({self.model!r} at {self.endpoint.base_url!r})"


def key_from(variable: str, subject: str, *, needed: bool) -> Secret | None:
    """The key in an environment variable, None when there is none.

    Raises `ConfigError` when it is needed and missing, or holds what no header can.
    """
    found = Secret(os.environ.get(variable, ""))
    if found != Secret(""):
        return found.checked(f"the environment variable {variable}")
    if needed:
        raise ConfigError(
            f"{subject} needs a key and there is none: set the environment variable {variable}, or pass api_key=. "
            "To try things without a model, use 'outlast/baseline'"
        )
    return None
