"""`Predict`: one question to a model. The leaf of every program."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, cast, overload

from pydantic import ValidationError

from outlast.adapters.ask import Answer, Question, ask_model
from outlast.adapters.layout import explain
from outlast.adapters.nearest import compiled
from outlast.adapters.placing import fitted
from outlast.adapters.protocol import Adapter, Demo, Nearest, Plan, Task
from outlast.errors import InputError, SignatureError, UsageError, brief, did_you_mean, refuse_unknown
from outlast.lms.options import SETTING_NAMES, check_settings, settings_from
from outlast.lms.protocol import LM, Capabilities
from outlast.messages import History, Message, Settings
from outlast.modules.settings import DEFAULT_ADAPTER, as_adapter, as_lm, chosen_adapter, chosen_lm, usual_adapter
from outlast.modules.strategy import P, R, Strategy, bound_to
from outlast.modules.values import FrozenDict, hidden_of
from outlast.runtime import current
from outlast.signatures.codec import codecs
from outlast.signatures.field import Field
from outlast.signatures.ordering import as_order, ordered
from outlast.signatures.record import attach_checks, attach_trace, make_record
from outlast.signatures.signature import bind_defaults, type_name
from outlast.signatures.spelling import signature as read_signature

if TYPE_CHECKING:
    from outlast.checks.check import Check

TUNED = ("instruction", "demos", "shown", "fields", "order", "lm", "adapter", "settings")
_MOST_PLANS = 32  # of one module: pairs of adapter and capabilities that it is used with


Types = Mapping[str, Any] | Iterable[type]


class Options(TypedDict, total=False):
    """What `Predict` takes besides the signature."""

    instruction: str | None
    demos: Iterable[Demo | Mapping[str, Any]]
    shown: Nearest | None
    fields: Mapping[str, str] | None
    order: Iterable[str] | None
    lm: LM | str | None
    adapter: Adapter | None
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    stop: str | Sequence[str] | None
    seed: int | None
    reasoning: str | None
    extra: Mapping[str, Any] | None
    show_reasoning: bool | None
    logprobs: int | None
    tier: str | None
    prediction: str | None
    parallel_tools: bool | None
    grammar: str | None
    checks: Iterable[Check]


class Predict(Strategy[P, R]):
    """Ask a model once for the outputs of a signature.

    `signature` is a signature class, a typed function or a string. `instruction` replaces the signature's
    description in the prompt, `fields` the descriptions of fields by name, `demos` are shown before the question, or,
    with `shown=Nearest(k=8)`, those of them that are most like it, `order` names the outputs in the order in which they
    are asked for (None or () is as the signature has them); these are what optimizers tune. `lm` and `adapter` win over
    those of `context` and `configure`. `checks` are put on the signature, besides those that it has: `Predict(QA,
    checks=[...])` answers `QA.with_checks(...)`. Other keywords are those of `Settings` (`temperature`, `top_p`,
    `max_tokens`, `stop`, `seed`, `reasoning`, ...).
    Cost of a call: one LM call, at most the adapter's re-asks when replies cannot be read, and what its checks ask for.
    """

    blocking_safe = True
    _guards_signature = False
    signature: Any
    instruction: str
    demos: tuple[Demo, ...]
    shown: Nearest | None
    fields: Mapping[str, str]
    order: tuple[str, ...]
    lm: LM | None
    adapter: Adapter | None
    settings: Settings

    @overload
    def __init__(self, signature: str, *, types: Types = (), **options: Unpack[Options]) -> None: ...
    @overload
    def __init__(self, signature: Callable[P, R], **options: Unpack[Options]) -> None: ...

    def __init__(
        self,
        signature: Any,
        *,
        types: Types = (),
        instruction: str | None = None,
        demos: Iterable[Demo | Mapping[str, Any]] = (),
        shown: Nearest | None = None,
        fields: Mapping[str, str] | None = None,
        order: Iterable[str] | None = None,
        lm: LM | str | None = None,
        adapter: Adapter | None = None,
        checks: Iterable[Check] = (),
        **settings: Any,
    ) -> None:
        refuse_unknown(settings, (*TUNED[:-1], *SETTING_NAMES), type(self).__name__)
        self.signature = with_checks(read_signature(signature, types=types), checks)
        self.instruction = self.read("instruction", self.signature.description if instruction is None else instruction)
        self.demos = self.read("demos", demos)
        self.shown = self.read("shown", shown)
        self.fields = self.read("fields", {} if fields is None else fields)
        self.order = self.read("order", order)
        self.lm = self.read("lm", lm)
        self.adapter = self.read("adapter", adapter)
        self.settings = settings_from(settings)

    @classmethod
    def _instead(cls, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """A recipe when there is no signature yet; it has no checks, which a compiled file could not keep."""
        recipe = super()._instead(args, kwargs)
        if recipe is not None and kwargs.get("checks"):
            raise UsageError(
                f"{cls.__name__}(checks=...) without a signature: checks stand on a signature, which every strategy "
                f"keeps; use QA.with_checks(...), or {cls.__name__}(QA, checks=[...])"
            )
        return recipe

    if TYPE_CHECKING:

        def render(self, *args: P.args, **inputs: P.kwargs) -> tuple[Message, ...]: ...  # pyright: ignore[reportIncompatibleMethodOverride]

        async def forward(self, *args: P.args, **inputs: P.kwargs) -> R: ...

    else:

        async def forward(self, /, **inputs):
            """Ask the model and read its answer."""
            run = current()
            question = Question(
                run.paths.get(id(self)),
                type(self).__name__,
                self.asked(),
                self.checked(inputs),
                self.settings,
                chosen_lm(self.lm, run),
                run,
            )
            signature = self.signature
            checked = None
            if signature.__checks__:
                from outlast.modules.guarding import ask_checked

                adapter = chosen_adapter(self.adapter, run)
                answer, checked = await ask_checked(signature, question, self._plan, adapter)
            else:
                answer = await ask_model(question, self._plan, chosen_adapter(self.adapter, run))
            outputs, reasoning = self.result(answer)
            if signature.__result__ is not None:
                return signature.__result__(outputs)
            if self.order:
                outputs = {name: outputs[name] for name in signature.outputs if name in outputs}
            values = {**question.inputs, **outputs}
            record = make_record(signature, values, reasoning, answer.response.decisions)
            attach_trace(record, run.trace)
            if checked is not None:
                attach_checks(record, checked)
            return record

    def read(self, name: str, value: Any) -> Any:
        """A value for the attribute `name`, one of `TUNED`, in its one form; raises `UsageError` when it is none."""
        if name == "instruction":
            return _text(value, "instruction")
        if name == "demos":
            return _demos(value, self.asked())
        if name == "fields":
            return _descriptions(value, self.asked())
        if name == "order":
            return as_order(value, self.signature, self.asked())
        if name == "settings":
            if not isinstance(value, Settings):
                raise UsageError(f"settings are ol.Settings(...); got {brief(value)}")
            return check_settings(value)
        if value is None:
            return None
        if name == "shown":
            return _shown(value)
        return as_lm(value) if name == "lm" else as_adapter(value)

    def asked(self) -> Any:
        """The signature that the model is asked for; a strategy may add fields to the declared one."""
        return self.signature

    def task(self, capabilities: Capabilities) -> Task:
        """All that is invariant between calls on a model with these capabilities."""
        del capabilities
        told = self.instruction
        if told == self.signature.description:  # one that is made from the names of the fields has them in order
            told = ordered(self.signature, self.order).description
        return Task(ordered(self.asked(), self.order), told, self.fields, self.demos, self.settings, self.shown)

    def result(self, answer: Answer) -> tuple[dict[str, Any], str | None]:
        """The values of the declared outputs, and the reasoning, of an answer."""
        return answer.values, answer.response.reasoning

    def _check(self, inputs: Mapping[str, Any]) -> None:
        self.checked(inputs)

    def _bind(self, args: tuple[Any, ...], inputs: dict[str, Any]) -> dict[str, Any]:
        return bound_to(self.signature, args, inputs)

    def checked(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Inputs with defaults, each as its field's type; raises `InputError`."""
        return checked_inputs(self.signature, inputs)

    def _plan(self, adapter: Adapter) -> Plan:
        """The prompt for an adapter and the model of this call, compiled at the first call that needs it."""
        capabilities = chosen_lm(self.lm, current()).capabilities
        unset = adapter is DEFAULT_ADAPTER
        cache = hidden_of(self).plans
        found: Plan | None = cache.get((unset, adapter, capabilities))
        if found is None:
            if len(cache) >= _MOST_PLANS:
                cache.clear()
            task = self.task(capabilities)
            by = usual_adapter(task, capabilities) if unset else adapter
            # Two threads may both compile; the plans are equal, and either may stay.
            found = cache[unset, adapter, capabilities] = compiled(by, task, capabilities)
        return found

    def __repr__(self) -> str:
        parts = [self.signature.__name__]
        if self.instruction != self.signature.description:
            parts.append(f"instruction={brief(self.instruction, 60)}")
        if self.demos:
            parts.append(f"{len(self.demos)} demos")
        if self.shown is not None:
            parts.append(f"shown={self.shown!r}")
        if self.fields:
            parts.append(f"fields={brief(dict(self.fields), 60)}")
        if self.order:
            parts.append(f"order={list(self.order)}")
        parts += [f"{name}={value!r}" for name in ("lm", "adapter") if (value := getattr(self, name)) is not None]
        parts += [f"{name}={value!r}" for name, value in self.settings.to_json().items()]
        return f"{type(self).__name__}({', '.join(parts)})"


def with_checks(signature: Any, checks: Iterable[Check]) -> Any:
    """The signature with more checks, itself without any. Raises `SignatureError`."""
    if isinstance(checks, tuple) and not checks:
        return signature
    given: Any = checks
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise UsageError(f"checks are a list of checks; got {brief(given)}")
    found = tuple(cast("Iterable[Any]", given))
    return signature.with_checks(*found) if found else signature


def checked_inputs(signature: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs of a signature with defaults, each as its field's type; raises `InputError`."""
    fields = signature.inputs
    if len(inputs) != len(fields) or any(name not in fields for name in inputs):
        inputs = bind_defaults(signature, inputs)
    values: dict[str, Any] = {}
    table = codecs(signature)
    for name in fields:
        try:
            values[name] = table[name].check(inputs[name])
        except ValidationError as error:
            kind = type_name(fields[name].type)
            raise InputError(
                f"input {name!r} of {signature.__name__} is not of the type {kind}: {explain(error)}"
            ) from error
    return values


def shown_inputs(signature: Any) -> inspect.Signature:
    """The inputs of a signature as the parameters of a function."""
    kind = inspect.Parameter
    how = kind.POSITIONAL_OR_KEYWORD if signature.__positional__ else kind.KEYWORD_ONLY
    fields: Iterable[Field] = signature.inputs.values()
    parameters = [kind(f.name, how, annotation=f.type, default=kind.empty if f.required else f.default) for f in fields]
    if how is kind.POSITIONAL_OR_KEYWORD:
        parameters.sort(key=lambda p: p.default is not kind.empty)
    return inspect.Signature(parameters)


def _text(value: Any, what: str) -> str:
    if isinstance(value, str):
        return value
    raise UsageError(f"{what} is text; got {brief(value)}")


def _shown(value: Any) -> Nearest:
    if isinstance(value, Nearest):
        return value
    raise UsageError(f"shown is ol.Nearest(k=...), or None to show every demonstration; got {brief(value)}")


def _descriptions(value: Any, signature: Any) -> FrozenDict:
    """Descriptions that differ from the declared ones."""
    if not isinstance(value, Mapping):
        raise UsageError(f"fields are descriptions by field name; got {brief(value)}")
    found: dict[str, str] = {}
    for name, text in cast("Mapping[Any, Any]", value).items():
        _check_field(name, signature, "to describe")
        if _text(text, f"the description of {name!r}") != signature.fields[name].desc:
            found[name] = text
    return FrozenDict(found)


def _demos(value: Any, signature: Any) -> tuple[Demo, ...]:
    if isinstance(value, str | bytes | Mapping | Demo) or not isinstance(value, Iterable):
        raise UsageError(f"demos are a list of ol.Demo(...) or of mappings; got {brief(value)}")
    items = cast("Iterable[Any]", value)
    return tuple(_demo(item, signature, number) for number, item in enumerate(items, 1))


def _demo(value: Any, signature: Any, number: int) -> Demo:
    """A demonstration whose values fit the fields."""
    demo = value if isinstance(value, Demo) else None
    given: Any = value if demo is None else demo.values
    if not isinstance(given, Mapping):
        raise UsageError(f"a demo is an ol.Demo(...) or a mapping of values by field name; got {brief(value)}")
    table = codecs(signature)
    values: dict[str, Any] = {}
    for name, item in cast("Mapping[Any, Any]", given).items():
        _check_field(name, signature, f"for demo {number}")
        try:
            checked = values[name] = table[name].check(item)
            if isinstance(checked, History):
                values[name] = fitted(signature, checked, name)
        except ValidationError as error:
            source = f" ({demo.source})" if demo is not None and demo.source else ""
            raise UsageError(
                f"demo {number}{source} for {signature.__name__} has a {name!r} that does not fit: {explain(error)}"
            ) from error
    if demo is None:
        return Demo(FrozenDict(values), "hand")
    if isinstance(demo.values, FrozenDict) and demo.values == values:
        return demo
    return replace(demo, values=FrozenDict(values))


def _check_field(name: Any, signature: Any, what: str) -> None:
    names = signature.fields
    if name not in names:
        raise UsageError(
            f"{signature.__name__} has no field {name!r} {what}.{did_you_mean(str(name), names)} "
            f"Fields: {', '.join(names)}."
        )


@overload
def predict(function: Callable[P, R], /) -> Predict[P, R]: ...


@overload
def predict(**options: Unpack[Options]) -> Callable[[Callable[P, R]], Predict[P, R]]: ...


def predict(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Turn a typed function into a `Predict`: `@ol.predict def triage(message: str) -> Team: "..."`.

    The docstring is the description, the parameters are the inputs, the return type is the output; the body is
    never run (`...` after the docstring tells type checkers so). A call gives the plain return value. Options are
    those of `Predict`: `@ol.predict(lm="...")`.
    """

    def wrap(function: Callable[..., Any]) -> Predict[..., Any]:
        if isinstance(function, type) or not callable(function):
            raise SignatureError(f"@predict is for typed functions; got {brief(function)}. Use Predict(...) here.")
        return Predict(function, **options)

    return wrap if function is None else wrap(function)
