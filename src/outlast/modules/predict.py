"""`Predict`: one question to a model. The leaf of every program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

from pydantic import ValidationError

from outlast.adapters.ask import Answer, Question, ask_model
from outlast.adapters.layout import explain
from outlast.adapters.protocol import Adapter, Demo, Plan, Task
from outlast.errors import InputError, SignatureError, UsageError, brief, did_you_mean, refuse_unknown
from outlast.lms.protocol import LM, Capabilities, settings_from
from outlast.messages import Message, Settings
from outlast.modules.module import FrozenDict, Module, plans_of
from outlast.modules.settings import as_adapter, as_lm, chosen_adapter, chosen_lm
from outlast.runtime import Run, current
from outlast.signatures.codec import codecs
from outlast.signatures.record import Prediction, make_record
from outlast.signatures.signature import bind_defaults
from outlast.signatures.spelling import signature as read_signature

P = ParamSpec("P")
R = TypeVar("R")

_SETTINGS = ("temperature", "top_p", "max_tokens", "stop", "seed", "reasoning", "extra")


class Predict(Module, Generic[P, R]):
    """Ask a model once for the outputs of a signature.

    `signature` is a signature class, a typed function or a string. `instruction` replaces the signature's
    description in the prompt, `fields` the descriptions of fields by name, `demos` are shown before the question;
    these are what optimizers tune. `lm` and `adapter` win over those of `context` and `configure`. Other keywords are
    sampling settings (`temperature`, `top_p`, `max_tokens`, `stop`, `seed`, `reasoning`, `extra`).
    Cost of a call: one LM call, and at most the adapter's re-asks when replies cannot be read.
    """

    signature: Any
    instruction: str
    demos: tuple[Demo, ...]
    fields: Mapping[str, str]
    lm: LM | None
    adapter: Adapter | None
    settings: Settings

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: Predict[..., Prediction],
            signature: str,
            *,
            types: Any = (),
            instruction: str | None = None,
            demos: Sequence[Demo | Mapping[str, Any]] = (),
            fields: Mapping[str, str] | None = None,
            lm: LM | str | None = None,
            adapter: Adapter | None = None,
            **settings: Any,
        ) -> None: ...

        @overload
        def __init__(
            self,
            signature: Callable[P, R],
            *,
            instruction: str | None = None,
            demos: Sequence[Demo | Mapping[str, Any]] = (),
            fields: Mapping[str, str] | None = None,
            lm: LM | str | None = None,
            adapter: Adapter | None = None,
            **settings: Any,
        ) -> None: ...

        def __init__(self, signature: Any, **options: Any) -> None: ...

        def __call__(self, /, *args: P.args, **inputs: P.kwargs) -> R: ...

        async def acall(self, /, *args: P.args, **inputs: P.kwargs) -> R: ...

        def render(self, /, *args: P.args, **inputs: P.kwargs) -> tuple[Message, ...]: ...

    else:

        def __init__(
            self,
            signature,
            *,
            types=(),
            instruction=None,
            demos=(),
            fields=None,
            lm=None,
            adapter=None,
            **settings,
        ):
            refuse_unknown(
                settings, (*_SETTINGS, "instruction", "demos", "fields", "lm", "adapter"), "Predict"
            )
            self.signature = read_signature(signature, types=types)
            self.instruction = self.signature.description if instruction is None else instruction
            self.demos = tuple(as_demo(demo) for demo in demos)
            self.fields = FrozenDict(fields or {})
            self.lm = None if lm is None else as_lm(lm)
            self.adapter = None if adapter is None else as_adapter(adapter)
            self.settings = settings_from(settings)
            self.check()

    def check(self) -> None:
        """Raise when an attribute is not what it must be; run after construction and after every update."""
        names = self.signature.fields
        if not isinstance(self.instruction, str):
            raise UsageError(f"instruction is text; got {brief(self.instruction)}")
        for name in self.fields:
            if name not in names:
                raise UsageError(
                    f"{self.signature.__name__} has no field {name!r} to describe.{did_you_mean(name, names)} "
                    f"Fields: {', '.join(names)}."
                )
        for demo in self.demos:
            for name in demo.values:
                if name not in self.asked().fields:
                    raise UsageError(
                        f"a demo for {self.signature.__name__} has the value {name!r}, which is no field."
                        f"{did_you_mean(name, names)} Fields: {', '.join(self.asked().fields)}."
                    )

    def asked(self) -> Any:
        """The signature that the model is asked for; a strategy may add fields to the declared one."""
        return self.signature

    def task(self, capabilities: Capabilities) -> Task:
        """All that is invariant between calls on a model with these capabilities."""
        del capabilities
        return Task(self.asked(), self.instruction, self.fields, self.demos, self.settings)

    def result(self, answer: Answer) -> tuple[dict[str, Any], str | None]:
        """The values of the declared outputs, and the reasoning, of an answer."""
        return answer.values, answer.response.reasoning

    def _bind(self, args: tuple[Any, ...], inputs: dict[str, Any]) -> dict[str, Any]:
        names = list(self.signature.inputs)
        if not self.signature.__positional__:
            raise InputError(
                f"{self.signature.__name__} takes its inputs by name: {', '.join(f'{name}=...' for name in names)}"
            )
        if len(args) > len(names):
            raise InputError(f"{self.signature.__name__} takes {len(names)} inputs; got {len(args)}")
        bound = dict(zip(names, args, strict=False))
        for name in inputs:
            if name in bound:
                raise InputError(f"{self.signature.__name__} got the input {name!r} twice")
        return {**bound, **inputs}

    def checked(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Inputs with defaults, each as its field's type; raises `InputError`."""
        signature = self.signature
        if len(inputs) != len(signature.inputs) or any(name not in signature.inputs for name in inputs):
            inputs = bind_defaults(signature, inputs)
        values: dict[str, Any] = {}
        table = codecs(signature)
        for name in signature.inputs:
            try:
                values[name] = table[name].check(inputs[name])
            except ValidationError as error:
                raise InputError(
                    f"input {name!r} of {signature.__name__} is no {signature.fields[name].type}: {explain(error)}"
                ) from error
        return values

    async def _invoke(self, inputs: Mapping[str, Any]) -> Any:
        run = current()
        values = self.checked(inputs)
        lm = chosen_lm(self.lm, run)
        answer = await self._ask(values, lm, run)
        outputs, reasoning = self.result(answer)
        signature = self.signature
        if signature.__result__ is not None:
            return signature.__result__(outputs)
        return make_record(signature, {**values, **outputs}, reasoning)

    async def _ask(self, values: Mapping[str, Any], lm: LM, run: Run) -> Answer:
        question = Question(
            run.paths.get(id(self)), type(self).__name__, self.asked(), values, self.settings, lm, run
        )
        capabilities = lm.capabilities
        cache = plans_of(self)

        def plan(adapter: Adapter) -> Plan:
            key = (adapter, capabilities)
            found: Plan | None = cache.get(key)
            if found is None:
                found = cache[key] = adapter.compile(self.task(capabilities), capabilities)
            return found

        return await ask_model(question, plan, chosen_adapter(self.adapter, run))

    def __repr__(self) -> str:
        parts = [self.signature.__name__]
        if self.instruction != self.signature.description:
            parts.append(f"instruction={brief(self.instruction, 60)}")
        if self.demos:
            parts.append(f"{len(self.demos)} demos")
        for name in ("lm", "adapter"):
            if getattr(self, name) is not None:
                parts.append(f"{name}={getattr(self, name)!r}")
        return f"{type(self).__name__}({', '.join(parts)})"


def as_demo(demo: Demo | Mapping[str, Any]) -> Demo:
    """A `Demo` from one, or from a mapping of values."""
    if isinstance(demo, Demo):
        return demo
    if isinstance(demo, Mapping):
        return Demo(dict(demo), "hand")
    raise UsageError(f"a demo is a Demo or a mapping of values by field name; got {brief(demo)}")


@overload
def predict(function: Callable[P, R], /) -> Predict[P, R]: ...


@overload
def predict(**options: Any) -> Callable[[Callable[P, R]], Predict[P, R]]: ...


def predict(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Turn a typed function into a `Predict`: `@ol.predict def triage(message: str) -> Team: "..."`.

    The docstring is the description, the parameters are the inputs, the return type is the output; the body is
    never run. A call gives the plain return value. Options are those of `Predict`: `@ol.predict(lm="...")`.
    """
    if function is None:
        return lambda inner: predict(inner, **options) if not options else Predict(inner, **options)
    if isinstance(function, type) or not callable(function):
        raise SignatureError(
            f"@predict is for typed functions; got {brief(function)}. Use Predict(...) here."
        )
    return Predict(cast("Callable[..., Any]", function), **options)
