"""What an LM is: one coroutine from `Request` to `Response`, and a few facts about itself."""

from __future__ import annotations

import inspect
import time
from abc import ABCMeta, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, cast

from outlast.errors import ConfigError, StreamAborted, UsageError, brief, did_you_mean
from outlast.lms.asking import ask as ask
from outlast.lms.asking import ask_stream as ask_stream
from outlast.lms.asking import send as send
from outlast.lms.asking import send_stream as send_stream
from outlast.lms.events import Events
from outlast.lms.options import SETTING_NAMES, as_request
from outlast.messages import (
    Evidence,
    Finished,
    Message,
    Question,
    Request,
    Response,
    StreamEvent,
    TextDelta,
    events_of,
)
from outlast.runtime import Bound, Span, current, drive, gather, recording, running, running_loop

if TYPE_CHECKING:
    import os

    from outlast.lms.caching.redis_cache import RedisCache
    from outlast.lms.prices import Price


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do beyond text: data that adapters and strategies ask, never guesses by name.

    `json_schema`: output constrained by a JSON schema; `json_object`: valid JSON without a schema; `reasoning`: native
    reasoning before the answer; `tools`: native tool calls; `prefill`: goes on from the start of a reply; `logprobs`:
    log-probabilities of tokens; `images`, `audio`, `files`: such parts in messages; `citations`: names sources;
    `decisions`: answers typed questions with probabilities of its own; `streaming`: replies in pieces. `without` names
    the `Settings` that the model is known to refuse ("temperature", "seed").
    """

    json_schema: bool = False
    json_object: bool = False
    reasoning: bool = False
    tools: bool = False
    prefill: bool = False
    logprobs: bool = False
    images: bool = False
    audio: bool = False
    files: bool = False
    citations: bool = False
    decisions: bool = False
    streaming: bool = False
    without: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for f in fields(self):
            value: Any = getattr(self, f.name)
            if f.name != "without" and not isinstance(value, bool):
                raise ConfigError(f"Capabilities({f.name}=...) is True or False; got {brief(value)}")
        names: Any = self.without
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise ConfigError(f"Capabilities(without=...) is a set of names; got {brief(names)}")
        known = (*SETTING_NAMES, *(f.name for f in fields(self)))
        for name in cast("Iterable[Any]", names):
            if name not in known:
                raise ConfigError(
                    f"Capabilities(without=...) names settings and capabilities; there is no {name!r}."
                    f"{did_you_mean(str(name), known)}"
                )
        object.__setattr__(self, "without", frozenset(cast("Iterable[str]", names)))


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """One layer of the stack that an LM is: its kind and what it says of itself. Never a secret."""

    kind: str
    facts: Mapping[str, Any]

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self.facts.items())
        return f"{self.kind}({told})"


class LMType(ABCMeta):
    """Makes `LM("openai/...")` open a model, while subclasses construct as usual."""

    if not TYPE_CHECKING:

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            if cls is LM:
                from outlast.lms.models import open_model

                return open_model(*args, **kwargs)
            return super().__call__(*args, **kwargs)


class LM(metaclass=LMType):
    """A language model: `complete` takes a `Request` and gives a `Response` or raises an `LMError`.

    `LM("provider/model", ...)` opens a model by name with caching, retries and a concurrency limit around it;
    see `outlast.lms.models.open_model` for the options. To write one, subclass it and define `complete`:

        class Echo(LM):
            name = "echo"

            async def complete(self, request):
                return Response(text=request.messages[-1].text)

    `complete` is awaited on an event loop: that of the caller in async code, one that lives as long as the process
    for all blocking callers. What belongs to one loop, such as a connection, is kept per loop. If it waits only
    through `outlast.io`, `outlast.sleep` and other LMs, set `blocking_safe = True`: then blocking calls drive it in
    place and save a thread hop.
    `name` identifies the model in traces and reports; `identity` is all that decides its answers besides the
    request (name, base URL, default settings; never a key), and is part of every cache key.
    `spends` says that a call of this LM may itself cost something, so that budgets count it; False for a layer that
    only asks other LMs, by `ask`.
    """

    name: str = "lm"
    capabilities: Capabilities = Capabilities()
    blocking_safe: bool = False
    spends: bool = True
    _checked: bool = False  # `complete` is ours and gives a Response or raises: it is not looked at again

    if TYPE_CHECKING:

        def __init__(
            self,
            model: str = ...,
            *,
            base_url: str | None = None,
            api_key: str | None = None,
            capabilities: Capabilities | None = None,
            dialect: str | None = None,
            decisions: str | None = None,
            adapt: str = "note",
            cache: bool | str | os.PathLike[str] | RedisCache = True,
            retries: int = 4,
            timeout: float = 120.0,
            concurrency: int | Literal["adaptive"] = 256,
            requests_per_minute: float | None = None,
            tokens_per_minute: float | None = None,
            shared_rate: str | None = None,
            price: tuple[float, float] | Price | None = None,
            pin: str | None = None,
            fallback_tier: str | None = None,
            max_response_bytes: int = 16 << 20,
            temperature: float | None = None,
            top_p: float | None = None,
            max_tokens: int | None = None,
            stop: Sequence[str] | None = None,
            seed: int | None = None,
            reasoning: str | None = None,
            extra: dict[str, Any] | None = None,
            show_reasoning: bool | None = None,
            logprobs: int | None = None,
            tier: str | None = None,
            prediction: str | None = None,
            parallel_tools: bool | None = None,
            grammar: str | None = None,
            device: str | None = None,
            dtype: str = "auto",
            batch: int = 8,
            download: bool = False,
        ) -> None: ...

    async def complete(self, request: Request) -> Response:
        """Answer one request. Raises an `LMError`."""
        raise NotImplementedError

    if not TYPE_CHECKING:  # a type checker would refuse `LM("provider/model")` of an abstract class
        complete = abstractmethod(complete)

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        """Answer one request in pieces; the last is `Finished`, with the whole response. Raises an `LMError`.

        A model that cannot stream answers whole, in one piece. Closing the generator gives the call up.
        """
        for event in events_of(await self.complete(request)):
            yield event

    def bound(self, request: Request) -> Bound:
        """The most that a call can take, which a budget sets aside before it: tokens by the length of the text and
        `max_tokens`; the price is not known unless a subclass knows it."""
        from outlast.lms.bounds import bound_of

        return bound_of(request, model=self.name)

    def facts(self) -> Mapping[str, Any]:
        """What this layer says of itself in `info`: options and live figures. Never a secret."""
        return {"name": self.name}

    def info(self) -> tuple[LayerInfo, ...]:
        """The stack that this LM is, from the outside in."""
        return (LayerInfo(type(self).__name__, self.facts()),)

    @property
    def identity(self) -> str:
        """All that decides the answers of this model besides the request; never holds a secret."""
        return self.name

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        complete = cls.__dict__.get("complete")
        if complete is not None and "_checked" not in cls.__dict__:
            cls._checked = False
        plain = inspect.isfunction(complete) and not inspect.iscoroutinefunction(complete)
        if plain and not hasattr(complete, "__wrapped__"):  # a decorator may wrap one that is async
            raise UsageError(f"{cls.__name__}.complete is a plain function; write `async def complete`")

    def __call__(self, prompt: str | Sequence[Message], /, **options: Any) -> Response:
        """Ask and wait. `options` are the fields of `Settings`, `sample`, `output`, `tools` and `tool_choice`.
        Cost: one call."""
        request = as_request(prompt, options)
        loop = running_loop()
        if loop is not None and not current().blocking:
            raise UsageError(f"{self!r} was called without await inside async code; use `await lm.acall(...)` there")
        with running(blocking=True, loop=loop):
            return drive(recorded(self, request))

    async def acall(self, prompt: str | Sequence[Message], /, **options: Any) -> Response:
        """Ask from async code. Takes what `__call__` takes. Cost: one call."""
        request = as_request(prompt, options)
        return await (send if current().trace is None and recording() is None else recorded)(self, request)

    def draw(self, prompt: str | Sequence[Message], /, n: int, **options: Any) -> tuple[Response, ...]:
        """Ask `n` times at the same time and wait: `n` independent draws, numbered from `sample` on.

        Each has a cache entry of its own, so asking for more later pays only for those. `options` are those of
        `__call__`. Cost: `n` calls.
        """
        requests = _draws(as_request(prompt, options), n)
        loop = running_loop()
        if loop is not None and not current().blocking:
            raise UsageError(f"{self!r} was asked without await inside async code; use `await lm.adraw(...)` there")
        with running(blocking=True, loop=loop):
            return drive(gather(*(recorded(self, request) for request in requests)))

    async def adraw(self, prompt: str | Sequence[Message], /, n: int, **options: Any) -> tuple[Response, ...]:
        """Like `draw`, from async code."""
        return await gather(*(recorded(self, request) for request in _draws(as_request(prompt, options), n)))

    def decide(
        self,
        prompt: str | Sequence[Message],
        /,
        questions: Mapping[str, Question | str],
        *,
        by: Sequence[Evidence] = ("native", "logprobs", "samples"),
        samples: int = 5,
        **options: Any,
    ) -> Response:
        """Answer typed questions about a text with probabilities, and wait: `response.decisions`.

        `questions` are by name; a text is a yes/no question. `by` says what evidence may be used, the best first; see
        `outlast.lms.decide.decide` for what each costs. `options` are those of `__call__`. Raises `LMUnsupported`
        when the model can give none of it.
        """
        from outlast.lms.decide import as_questions, decide

        request = replace(as_request(prompt, options), questions=as_questions(questions))
        loop = running_loop()
        if loop is not None and not current().blocking:
            raise UsageError(f"{self!r} was asked without await inside async code; use `await lm.adecide(...)` there")
        with running(blocking=True, loop=loop):
            return drive(decide(self, request, by=by, samples=samples, native=recorded))

    async def adecide(
        self,
        prompt: str | Sequence[Message],
        /,
        questions: Mapping[str, Question | str],
        *,
        by: Sequence[Evidence] = ("native", "logprobs", "samples"),
        samples: int = 5,
        **options: Any,
    ) -> Response:
        """Like `decide`, from async code."""
        from outlast.lms.decide import as_questions, decide

        request = replace(as_request(prompt, options), questions=as_questions(questions))
        return await decide(self, request, by=by, samples=samples, native=recorded)

    def events(self, prompt: str | Sequence[Message], /, **options: Any) -> Events:
        """Ask and get the reply in pieces: `for event in lm.events(...)`, or `async for` in async code.

        Takes what `__call__` takes. The call begins with the first piece. Cost: one call.
        """
        request = as_request(prompt, options)
        return Events(lambda: _recorded_stream(self, request))

    def __repr__(self) -> str:
        return f"LM({self.name!r})"


def opened(owner: str, inner: Any) -> LM:
    """What goes into the layer `owner` as an LM; a name is opened. Raises `ConfigError` for anything else."""
    if isinstance(inner, str):
        return LM(inner)
    if not isinstance(inner, LM):
        raise ConfigError(f"{owner}(...) takes models such as ol.LM('openai/gpt-5-mini'); got {brief(inner)}")
    return inner


class Wrapper(LM):
    """An LM around an LM, which may be given by name. Says the inner model's name, identity and capabilities unless it
    knows better. Raises `ConfigError` for what is neither.

    One that reaches `inner` by `ask` alone, and may answer without it, says `spends = False`: then an answer of its own
    needs no room in a budget.
    """

    blocking_safe = True

    def __init__(self, inner: LM | str) -> None:
        self.inner = opened(type(self).__name__, inner)

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.inner.name

    @property
    def capabilities(self) -> Capabilities:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.inner.capabilities

    @property
    def identity(self) -> str:
        return self.inner.identity

    def bound(self, request: Request) -> Bound:
        return self.inner.bound(request)

    def facts(self) -> Mapping[str, Any]:
        return {}

    def info(self) -> tuple[LayerInfo, ...]:
        return (LayerInfo(type(self).__name__, self.facts()), *self.inner.info())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"


_NOTHING: Mapping[str, Any] = MappingProxyType({})


def _draws(request: Request, n: int) -> list[Request]:
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise UsageError(f"n is a whole number from 1; got {brief(n)}")
    return [replace(request, sample=request.sample + number) for number in range(n)]


async def recorded(lm: LM, request: Request, asker: str = "LM") -> Response:
    """`send` for a call that no module makes: it leaves a span of its own, which names the `asker`."""
    trace, kept = current().trace, recording()
    if trace is None and kept is None:
        return await send(lm, request)
    started, clock = time.time(), time.perf_counter()
    response: Response | None = None
    failure: Exception | None = None
    try:
        response = await send(lm, request)
        return response
    except Exception as error:
        failure = error
        raise
    except BaseException:  # interrupted, or whoever waited for it left
        failure = None if response is not None else _given_up("")
        raise
    finally:
        span = _span(lm, asker, request, response, failure, started, time.perf_counter() - clock)
        if trace is not None:
            trace.append(span)
        if kept is not None:
            kept.exchange(span)


async def _recorded_stream(lm: LM, request: Request) -> AsyncGenerator[StreamEvent]:
    trace, kept = current().trace, recording()
    started, clock = time.time(), time.perf_counter()
    response: Response | None = None
    failure: Exception | None = None
    said: list[str] = []
    try:
        async with aclosing(send_stream(lm, request)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    response = event.response
                elif isinstance(event, TextDelta):
                    said.append(event.text)
                yield event
    except Exception as error:
        failure = error
        raise
    except BaseException:  # whoever read it left, or was interrupted
        failure = None if response is not None else _given_up("".join(said))
        raise
    finally:
        if trace is not None or kept is not None:
            span = _span(lm, "LM", request, response, failure, started, time.perf_counter() - clock)
            if trace is not None:
                trace.append(span)
            if kept is not None:
                kept.exchange(span)


def _given_up(said: str) -> StreamAborted:
    """What stands in a trace for the rest of a reply that nobody read."""
    so_far = f"after {len(said):,} characters: {brief(said, 300)}" if said else "before it began"
    return StreamAborted(f"the reply was given up {so_far}", reason="given up", partial={"": {"": said}})


def _span(
    lm: LM,
    asker: str,
    request: Request,
    response: Response | None,
    failure: Exception | None,
    started: float,
    seconds: float,
) -> Span:
    outputs = None if response is None else _NOTHING
    return Span(
        None,
        asker,
        lm.name,
        _NOTHING,
        request,
        response,
        outputs,
        failure,
        0,
        started,
        seconds,
        request.label,
        lm=lm.name,
        identity=lm.identity,
    )
