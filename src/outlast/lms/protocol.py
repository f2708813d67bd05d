"""What an LM is: one coroutine from `Request` to `Response`, and a few facts about itself."""

from __future__ import annotations

import inspect
import math
import time
from abc import ABCMeta, abstractmethod
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, cast

from outlast.errors import UsageError, brief, refuse_unknown
from outlast.messages import NO_SETTINGS, Message, OutputSchema, Request, Response, Settings, user
from outlast.runtime import Meter, Span, current, drive, io, running, running_loop


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do beyond text: data that adapters and strategies ask, never guesses by name.

    `json_schema`: output constrained by a JSON schema; `json_object`: valid JSON without a schema;
    `reasoning`: native reasoning before the answer.
    """

    json_schema: bool = False
    json_object: bool = False
    reasoning: bool = False


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
    """

    name: str = "lm"
    capabilities: Capabilities = Capabilities()
    blocking_safe: bool = False

    if TYPE_CHECKING:

        def __init__(
            self,
            model: str = ...,
            *,
            base_url: str | None = None,
            api_key: str | None = None,
            capabilities: Capabilities | None = None,
            cache: bool | str = True,
            retries: int = 4,
            timeout: float = 120.0,
            concurrency: int = 256,
            price: tuple[float, float] | None = None,
            max_response_bytes: int = 16 << 20,
            temperature: float | None = None,
            top_p: float | None = None,
            max_tokens: int | None = None,
            stop: Sequence[str] | None = None,
            seed: int | None = None,
            reasoning: str | None = None,
            extra: dict[str, Any] | None = None,
        ) -> None: ...

    async def complete(self, request: Request) -> Response:
        """Answer one request. Raises an `LMError`."""
        raise NotImplementedError

    if not TYPE_CHECKING:  # a type checker would refuse `LM("provider/model")` of an abstract class
        complete = abstractmethod(complete)

    @property
    def identity(self) -> str:
        """All that decides the answers of this model besides the request; never holds a secret."""
        return self.name

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        complete = cls.__dict__.get("complete")
        plain = inspect.isfunction(complete) and not inspect.iscoroutinefunction(complete)
        if plain and not hasattr(complete, "__wrapped__"):  # a decorator may wrap one that is async
            raise UsageError(f"{cls.__name__}.complete is a plain function; write `async def complete`")

    def __call__(self, prompt: str | Sequence[Message], /, **options: Any) -> Response:
        """Ask and wait. `options` are the fields of `Settings`, `sample` and `output`. Cost: one call."""
        request = as_request(prompt, options)
        loop = running_loop()
        if loop is not None and not current().blocking:
            raise UsageError(f"{self!r} was called without await inside async code; use `await lm.acall(...)` there")
        with running(blocking=True, loop=loop):
            return drive(_recorded(self, request))

    async def acall(self, prompt: str | Sequence[Message], /, **options: Any) -> Response:
        """Ask from async code. Takes what `__call__` takes. Cost: one call."""
        return await _recorded(self, as_request(prompt, options))

    def __repr__(self) -> str:
        return f"LM({self.name!r})"


class Wrapper(LM):
    """An LM around an LM. Says the inner model's name, identity and capabilities unless it knows better."""

    blocking_safe = True

    def __init__(self, inner: LM) -> None:
        self.inner = inner

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.inner.name

    @property
    def capabilities(self) -> Capabilities:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.inner.capabilities

    @property
    def identity(self) -> str:
        return self.inner.identity

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"


def send(lm: LM, request: Request) -> Coroutine[Any, Any, Response]:
    """Ask `lm` within the current run: under its budget, remembered by its memo, waiting the way it waits.

    Every question to a model goes through here. Wrappers reach what they wrap by `ask`. To be awaited at once.
    """
    run = current()
    if run.memo is not None:
        lm = run.memo(lm)
    return ask(lm, request) if run.meter is None else _metered(lm, request, run.meter)


async def _metered(lm: LM, request: Request, meter: Meter) -> Response:
    meter.reserve()
    response: Response | None = None
    try:
        return (response := await ask(lm, request))
    finally:
        meter.settle(response)


async def ask(lm: LM, request: Request) -> Response:
    """Ask `lm` as it is, in place when it can be driven in place and on an event loop when it cannot."""
    answer = lm.complete(request)
    response = await (answer if lm.blocking_safe else io(answer))
    if not isinstance(response, Response):
        raise UsageError(f"{lm!r} must answer with a Response; got {brief(response)}")
    return response


_NOTHING: Mapping[str, Any] = MappingProxyType({})


async def _recorded(lm: LM, request: Request) -> Response:
    """`send` for a call that no module makes: it leaves a span of its own."""
    trace = current().trace
    if trace is None:
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
    finally:
        seconds = time.perf_counter() - clock
        trace.append(
            Span(
                None,
                "LM",
                lm.name,
                _NOTHING,
                request,
                response,
                None if response is None else _NOTHING,
                failure,
                0,
                started,
                seconds,
                request.label,
            )
        )


SETTING_NAMES = ("temperature", "top_p", "max_tokens", "stop", "seed", "reasoning", "extra")


def as_request(prompt: str | Sequence[Message], options: Mapping[str, Any]) -> Request:
    """A request from what a person types. `sample` is that of the surrounding `context` unless given."""
    refuse_unknown(options, (*SETTING_NAMES, "sample", "output"), "LM call")
    messages = (user(prompt),) if isinstance(prompt, str) else tuple(prompt)
    for message in messages:
        if not isinstance(message, Message):
            raise UsageError(f"an LM takes text or messages; got {brief(message)} in the list")
    output: OutputSchema | Literal["json"] | None = options.get("output")
    if output is not None and output != "json" and not isinstance(output, OutputSchema):
        raise UsageError(f"output is None, 'json' or an OutputSchema(...); got {brief(output)}")
    sample = options.get("sample", current().sample)
    if not _is_whole(sample, 0):
        raise UsageError(f"sample is a whole number from 0; got {brief(sample)}")
    return Request(messages, settings_from({n: options[n] for n in SETTING_NAMES if n in options}), output, sample)


def settings_from(options: Mapping[str, Any]) -> Settings:
    """Checked `Settings` from keywords; `stop` may be a list or one text. Raises `UsageError`."""
    given = {name: value for name, value in options.items() if value is not None}
    if not given:
        return NO_SETTINGS
    if isinstance(given.get("stop"), str):
        given["stop"] = (given["stop"],)
    elif isinstance(given.get("stop"), list):
        given["stop"] = tuple(given["stop"])
    return check_settings(Settings(**given))


def check_settings(settings: Settings) -> Settings:
    """The settings, or `UsageError` for the first value that no model can follow."""
    _check("temperature", settings.temperature, "a number from 0 to 2", _within(settings.temperature, 2))
    _check("top_p", settings.top_p, "a number from 0 to 1", _within(settings.top_p, 1))
    _check("max_tokens", settings.max_tokens, "a whole number from 1", _is_whole(settings.max_tokens, 1))
    _check("seed", settings.seed, "a whole number", _is_whole(settings.seed, -math.inf))
    words = settings.reasoning
    _check("reasoning", words, "an effort word such as 'low'", isinstance(words, str) and bool(words))
    stop: Any = settings.stop
    texts = cast("tuple[Any, ...]", stop if isinstance(stop, tuple) else (None,))
    _check("stop", stop, "a list of texts", all(isinstance(text, str) and text for text in texts))
    extra: Any = settings.extra
    names = cast("Mapping[Any, Any]", extra if isinstance(extra, Mapping) else {0: 0})
    _check("extra", extra, "a mapping by name", all(isinstance(name, str) for name in names))
    return settings


def _check(name: str, value: Any, rule: str, fine: bool) -> None:
    if value is not None and not fine:
        raise UsageError(f"{name} is {rule}; got {brief(value)}")


def _is_whole(value: Any, least: float) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _within(value: Any, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
