"""A local transformers model in this process: `LM("hf/<folder or hub id>")`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outlast.errors import ConfigError, LMContextError, LMError, LMRequestError, LMTimeout, LMUnsupported, UsageError
from outlast.lms.bounds import Bound, bound_of
from outlast.lms.hf.batch import Row, Sampling
from outlast.lms.hf.text import Spoken
from outlast.lms.hf.weights import Weights, constrains, fingerprint
from outlast.lms.hf.worker import Job, Worker, worker_of
from outlast.lms.prices import Price, as_price, priced
from outlast.lms.protocol import LM, Capabilities
from outlast.lms.wire.dialect import Notes
from outlast.messages import (
    NO_SETTINGS,
    Finished,
    Message,
    OutputSchema,
    Request,
    Response,
    Settings,
    StreamEvent,
    TextDelta,
    TextPart,
    Thought,
    Usage,
)
from outlast.runtime import io
from outlast.types import Document

ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class _Plan:
    """A request in the words of the template, and what of it could not be done as asked."""

    messages: tuple[Mapping[str, str], ...]
    variables: Mapping[str, Any]
    goes_on: bool
    settings: Settings
    schema: Mapping[str, Any] | None
    schema_name: str
    sample: int
    notes: tuple[str, ...]


class HF(LM):
    """A causal language model of the transformers library, decoded in a thread of this process.

    `folder` holds the model. Requests that wait are decoded together, at most `batch` at once; the weights are read
    at the first one and shared with other LMs of the same folder, device and dtype. `device` None is the first GPU,
    else the CPU; `dtype` "auto" is that of the file. `timeout` is in seconds, for one request, its wait for a place
    in the batch and the loading of the model included.

    A temperature or top_p that is not set is that of the model's generation defaults, `max_tokens` what its window
    holds. The same seed and sample give the same draw only in a batch of the same shape: rounding differs. With
    llguidance installed, replies are held to a JSON schema while they are decoded. Tools and media are refused with
    `LMUnsupported`; a prompt longer than the window with `LMContextError`.
    """

    blocking_safe = True

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        settings: Settings = NO_SETTINGS,
        capabilities: Capabilities | None = None,
        device: str | None = None,
        dtype: str = "auto",
        batch: int = 8,
        timeout: float = 600.0,
        price: Price | tuple[float, float] | None = None,
        adapt: str = "note",
    ) -> None:
        held = constrains()
        self.folder = folder
        self.name = name
        self.capabilities = capabilities or Capabilities(
            json_schema=held, json_object=held, prefill=True, logprobs=True, streaming=True
        )
        self.settings = settings
        self.device = device
        self.dtype = dtype
        self.batch = batch
        self.timeout = timeout
        self.price = as_price(price)
        self.adapt = adapt
        self._worker: Worker | None = None
        self._fingerprint: str | None = None

    @property
    def identity(self) -> str:
        """Content of the model's files (of large ones size and time of change), dtype, default settings, policy."""
        facts: dict[str, Any] = {
            "dialect": "hf",
            "weights": self._weights(),
            "dtype": self.dtype,
            "json_schema": self.capabilities.json_schema,
            "json_object": self.capabilities.json_object,
            "settings": self.settings.to_json(),
        }
        if self.adapt != "note":
            facts["adapt"] = self.adapt
        return json.dumps(facts, sort_keys=True)

    def _weights(self) -> str:
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.folder)
        return self._fingerprint

    def facts(self) -> Mapping[str, Any]:
        """Folder, device, dtype, and how many wait."""
        worker = self._worker
        return {
            "name": self.name,
            "folder": str(self.folder),
            "device": self.device,
            "dtype": self.dtype,
            "batch": self.batch,
            "waiting": 0 if worker is None else worker.waiting,
        }

    def bound(self, request: Request) -> Bound:
        """The most that a call can take; without `max_tokens` the window bounds it, which is not known before."""
        prices = () if self.price is None else (self.price,)
        return bound_of(request, request.settings.over(self.settings), model=self.name, prices=prices)

    async def complete(self, request: Request) -> Response:
        """Answer one request. Raises an `LMError`."""
        async with aclosing(self._events(request, streaming=False)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    return event.response
        raise AssertionError("unreachable: the events end with Finished or an error")

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        """Answer one request in pieces. Closing the generator ends the decoding."""
        async with aclosing(self._events(request, streaming=True)) as events:
            async for event in events:
                yield event

    async def _events(self, request: Request, *, streaming: bool) -> AsyncGenerator[StreamEvent]:
        plan = self._plan(request)
        started = time.perf_counter()
        post = await io(self._begin(plan, streaming))
        first: float | None = None
        try:
            while True:
                left = self.timeout - (time.perf_counter() - started)
                piece, row = await io(post.next(left, f"{self.name}: no whole reply within timeout={self.timeout:g} s"))
                if piece and streaming:
                    first = first if first is not None else time.perf_counter() - started
                    yield TextDelta(piece)
                if row is not None:
                    break
        except LMError as error:
            error.request = request
            raise
        finally:
            post.job.give_up()
        seconds = time.perf_counter() - started
        yield Finished(self._response(row, request, (*plan.notes, *post.notes), seconds, first))

    async def _begin(self, plan: _Plan, streaming: bool) -> _Post:
        if self._worker is None:
            self._worker = worker_of(self.folder, self.device, self.dtype, self.batch)
        post = _Post(lambda weights: self._row(weights, plan, post, streaming))
        self._worker.submit(post.job)
        return post

    def _plan(self, request: Request) -> _Plan:
        """Check a request and put it in the template's words. Raises `LMUnsupported`, `UsageError`."""
        if not request.messages:
            raise UsageError("a request needs at least one message; got none")
        if request.questions:
            raise LMUnsupported(f"{self.name} answers no typed questions (capability 'decisions')", request=request)
        if request.tools and request.tool_choice != "none":
            raise LMUnsupported(f"{self.name} takes no native tools; use an adapter that asks for them in text")
        settings = request.settings.over(self.settings)
        notes = Notes()
        variables: dict[str, Any] = dict(settings.extra)
        if settings.reasoning is not None:
            variables.setdefault("enable_thinking", settings.reasoning != "none")
            if settings.reasoning != "none":
                variables.setdefault("reasoning_effort", settings.reasoning)
            notes.say(f"reasoning={settings.reasoning!r} given to the chat template, which may ignore it")
        for name in ("tier", "prediction", "show_reasoning", "parallel_tools"):
            if getattr(settings, name) is not None:
                notes.drop(f"{name}={getattr(settings, name)!r} not done: a local model has no such thing")
        schema, called = _schema_of(request.output, self.capabilities, notes)
        if notes.dropped and self.adapt == "refuse":
            raise LMUnsupported(f"{self.name}, with adapt='refuse': {'; '.join(notes.dropped)}", request=request)
        return _Plan(
            tuple(_turn(message, self.name) for message in request.messages),
            variables,
            request.messages[-1].role == "assistant",
            settings,
            schema,
            called,
            request.sample,
            tuple(notes.texts),
        )

    def _row(self, weights: Weights, plan: _Plan, post: _Post, streaming: bool) -> Row:
        """The row of a request; in the worker's thread."""
        try:
            prompt = weights.tokenize(plan.messages, plan.variables, goes_on=plan.goes_on)
        except ConfigError:
            raise
        except Exception as error:  # templates are programs of the model's makers
            raise LMRequestError(f"{self.name}: the chat template refuses the messages: {error}") from None
        room = weights.window - len(prompt)
        if room < 1:
            raise LMContextError(
                f"{self.name}: the prompt has {len(prompt)} tokens and the window of the model {weights.window}"
            )
        asked, settings = plan.settings.max_tokens, plan.settings
        if asked is not None and asked > room:
            post.notes.append(f"max_tokens={asked} cut to {room}: the window holds no more")
        matcher = None
        if plan.schema is not None:
            matcher, why = weights.matcher(plan.schema)
            if matcher is None:
                post.notes.append(f"{plan.schema_name} not enforced: {why}")
                if self.adapt == "refuse":
                    raise LMUnsupported(f"{self.name}, with adapt='refuse': {post.notes[-1]}")
        return Row(
            prompt,
            room if asked is None else min(asked, room),
            Spoken(weights.decode, settings.stop or ()),
            _sampling(weights, settings, plan.sample),
            matcher,
            post.told if streaming else post.told_at_end,
        )

    def _response(
        self, row: Row, request: Request, notes: tuple[str, ...], seconds: float, first: float | None
    ) -> Response:
        usage = priced(Usage(len(row.prompt), row.count), self.name, "hf", price=self.price)
        return Response(
            text=row.spoken.text,
            model=self.name,
            usage=usage,
            finish=row.ended or "other",
            seconds=seconds,
            adaptations=notes,
            label=request.label,
            logprobs=None if row.sampling.alternatives is None else tuple(row.logprobs),
            first_token_seconds=first,
            provider_finish=row.ended,
            fingerprint=self._weights(),
        )

    def __repr__(self) -> str:
        return f"HF({str(self.folder)!r})"


class _Post:
    """Where the worker's thread leaves what it has for one request, and a task of an event loop finds it."""

    def __init__(self, begin: Callable[[Weights], Row]) -> None:
        self.job = Job(begin, self._put)
        self.notes: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[tuple[str, Row | None] | Exception] = asyncio.Queue()

    def told(self, row: Row) -> None:
        """One more token; called in the worker's thread, to which the row belongs until it has ended."""
        piece = row.spoken.delta(last=row.ended is not None)
        if piece or row.ended is not None:
            self._put((piece, None if row.ended is None else row))

    def told_at_end(self, row: Row) -> None:
        """The same for who reads the whole only."""
        if row.ended is not None:
            self._put(("", row))

    def _put(self, item: tuple[str, Row | None] | Exception) -> None:
        try:
            self._loop.call_soon_threadsafe(self._arrived.put_nowait, item)
        except RuntimeError:  # the loop is closed: nobody waits
            self.job.give_up()

    async def next(self, seconds: float, late: str) -> tuple[str, Row | None]:
        """The next piece, with the row once it has ended. Raises what went wrong, or `LMTimeout(late)`."""
        try:
            async with asyncio.timeout(seconds):
                item = await self._arrived.get()
        except TimeoutError:
            raise LMTimeout(late) from None
        if isinstance(item, Exception):
            raise item
        return item


def _turn(message: Message, name: str) -> dict[str, str]:
    """A message for the template: text only. Thoughts of an earlier turn are left out, as templates do themselves."""
    texts: list[str] = []
    for part in message.parts:
        if isinstance(part, (TextPart, Document)):
            texts.append(part.text if isinstance(part, TextPart) else part.__prompt__())
        elif not isinstance(part, Thought):
            kind = type(part).__name__
            raise LMUnsupported(f"{name} takes text only; got a {kind} in a message of the role {message.role!r}")
    return {"role": message.role, "content": "".join(texts)}


def _schema_of(
    output: OutputSchema | str | None, capabilities: Capabilities, notes: Notes
) -> tuple[Mapping[str, Any] | None, str]:
    """The schema to hold the reply to, and how to speak of it."""
    if output is None:
        return None, ""
    if isinstance(output, OutputSchema):
        called, able, schema = f"the JSON schema {output.name!r}", capabilities.json_schema, output.schema
    else:
        called, able, schema = "output='json'", capabilities.json_object, ANY_OBJECT
    if able:
        return schema, called
    notes.drop(f"{called} not enforced: the model is not known to do it (pip install llguidance)")
    return None, called


def _sampling(weights: Weights, settings: Settings, sample: int) -> Sampling:
    """The asked settings over the model's own generation defaults."""
    own = weights.defaults
    drawn = bool(getattr(own, "do_sample", False))
    temperature = settings.temperature
    if temperature is None:
        default = getattr(own, "temperature", None)
        temperature = (1.0 if default is None else float(default)) if drawn else 0.0
    top_p = settings.top_p
    if top_p is None:
        top_p = float(getattr(own, "top_p", None) or 1.0) if drawn else 1.0
    top_k = int(getattr(own, "top_k", None) or 0) if drawn else 0
    seed = None if settings.seed is None else settings.seed * 1_000_003 + sample
    return Sampling(temperature, top_p, top_k, seed, settings.logprobs)
