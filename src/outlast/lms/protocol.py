"""What an LM is: one coroutine from `Request` to `Response`, and a few facts about itself."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from outlast.errors import UsageError, brief
from outlast.messages import NO_SETTINGS, Message, OutputSchema, Request, Response, Settings, user
from outlast.runtime import current, drive, run_on_io_loop, running


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do beyond text: data that adapters and strategies ask, never guesses by name.

    `json_schema`: output constrained by a JSON schema; `json_object`: valid JSON without a schema; `reasoning`:
    native reasoning before the answer.
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

    `LM("provider/model", ...)` opens a model by name with caching, retries and a concurrency limit around it; see
    `outlast.lms.models.open_model` for the options. To write one, subclass it and define `complete`:

        class Echo(LM):
            name = "echo"

            async def complete(self, request):
                return Response(text=request.messages[-1].text)

    `complete` is awaited on an event loop. If it waits only through `outlast.io`, `outlast.sleep` and other LMs, set
    `blocking_safe = True`: then blocking calls drive it in place and save a thread hop.
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

    @abstractmethod
    async def complete(self, request: Request) -> Response:
        """Answer one request. Raises an `LMError`."""

    @property
    def identity(self) -> str:
        """All that decides the answers of this model besides the request; never holds a secret."""
        return self.name

    def __call__(self, prompt: str | Sequence[Message], /, **options: Any) -> Response:
        """Ask and wait. `options` are the fields of `Settings`, `sample` and `output`. Cost: one call."""
        request = as_request(prompt, options)
        if self.blocking_safe:
            with running(blocking=True):
                return drive(self.complete(request))
        return run_on_io_loop(self.complete(request))

    async def acall(self, prompt: str | Sequence[Message], /, **options: Any) -> Response:
        """Ask from async code. Takes what `__call__` takes. Cost: one call."""
        with running(blocking=False):
            return await self.complete(as_request(prompt, options))

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


async def send(lm: LM, request: Request) -> Response:
    """Ask `lm` within the current run: under its budget, remembered by its memo, waiting the way it waits.

    Every call to a model goes through here, wrappers' calls to what they wrap too (those by `ask`).
    """
    run = current()
    if run.memo is not None:
        lm = run.memo(lm)
    meter = run.meter
    if meter is None:
        return await ask(lm, request)
    meter.reserve()
    response = None
    try:
        response = await ask(lm, request)
    finally:
        meter.settle(response)
    return response


async def ask(lm: LM, request: Request) -> Response:
    """Ask `lm` as it is, in place when it can be driven in place and on the I/O loop when it cannot."""
    if not lm.blocking_safe and current().blocking:
        return run_on_io_loop(lm.complete(request))
    return await lm.complete(request)


_SETTING_NAMES = ("temperature", "top_p", "max_tokens", "stop", "seed", "reasoning", "extra")


def as_request(prompt: str | Sequence[Message], options: dict[str, Any]) -> Request:
    """A request from what a person types."""
    from outlast.errors import refuse_unknown

    refuse_unknown(options, (*_SETTING_NAMES, "sample", "output"), "LM call")
    if isinstance(prompt, str):
        messages: tuple[Message, ...] = (user(prompt),)
    else:
        messages = tuple(prompt)
        for message in messages:
            if not isinstance(message, Message):
                raise UsageError(f"an LM takes text or messages; got {brief(message)} in the list")
    output: OutputSchema | Literal["json"] | None = options.pop("output", None)
    sample: int = options.pop("sample", 0)
    return Request(messages, settings_from(options), output, sample)


def settings_from(options: dict[str, Any]) -> Settings:
    """`Settings` from keywords, with `stop` as a list or one string."""
    if not options:
        return NO_SETTINGS
    stop = options.get("stop")
    if stop is not None:
        options = {**options, "stop": (stop,) if isinstance(stop, str) else tuple(stop)}
    return Settings(
        **{name: value for name, value in options.items() if value is not None or name != "extra"}
    )


MakeLM = Callable[..., LM]
