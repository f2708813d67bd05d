"""Where checks meet programs: the checks of a signature around a question, those of a module around its `forward`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from outlast.adapters.ask import Answer, Question, ask_model
from outlast.adapters.protocol import Adapter, Plan
from outlast.checks.check import Check
from outlast.checks.fitting import outputs_in
from outlast.checks.reported import Checked, Tiers, in_tiers
from outlast.checks.running import Watching
from outlast.messages import Response
from outlast.runtime import current, running
from outlast.signatures.codec import codecs
from outlast.signatures.record import Prediction, Record, attach_checks, checks_of, fields_of, outputs_of
from outlast.signatures.rules import is_rule

if TYPE_CHECKING:
    from outlast.modules.module import Forward, Module

Run = Callable[[Mapping[str, Any]], Coroutine[Any, Any, Any]]


def watching(signature: Any, inputs: Mapping[str, Any]) -> Watching:
    """The checks of a signature for one question to a model."""
    before, after = checks_in_order(signature)
    return Watching(
        signature.__name__,
        before,
        after,
        inputs,
        outputs=tuple(signature.outputs),
        table=codecs(signature),
        asks=True,
    )


def checks_in_order(signature: Any) -> tuple[Tiers, Tiers]:
    """The checks of a signature before the model is asked and after it, by cost; sorted once."""
    found: tuple[Tiers, Tiers] | None = signature.__dict__.get("__ordered__")
    if found is None:
        rules: tuple[Check, ...] = signature.__checks__
        fields = signature.fields
        before = in_tiers(one for one in rules if not outputs_in(one, fields))
        found = before, in_tiers(one for one in rules if outputs_in(one, fields))
        type.__setattr__(signature, "__ordered__", found)
    return found


async def ask_checked(
    signature: Any, question: Question, plans: Callable[[Adapter], Plan], adapter: Adapter
) -> tuple[Answer, Mapping[str, Checked]]:
    """The answer to a question about a signature with checks, and what became of them.

    Raises `CheckFailed`. Cost: that of the question, of the checks, and one call for each time that one of them has the
    model asked again; none when a check of the inputs settles it.
    """
    watch = watching(signature, question.inputs)
    try:
        await watch.begin()
        if watch.instead is not None:
            _show(question, watch.instead)
            return Answer(watch.instead, Response("")), watch.report
        asked = replace(question, inputs=watch.given, watch=watch)
        answer = await ask_model(asked, plans, adapter)
        return answer, watch.report
    finally:
        if question.run.trace is not None:
            question.run.trace.note(question.path, watch.report)
        if question.run.recording is not None:
            question.run.recording.note(watch.report)


def class_checks(cls: type) -> tuple[Check, ...]:
    """The checks in the body of a module class and of those that it inherits from, each under its attribute's name."""
    found: dict[str, Check] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if is_rule(value):
                found[name] = cast("Check", value if value.name == name else value.named(name))
            else:
                found.pop(name, None)
    return tuple(found.values())


async def guarded(module: Module, how: Forward, inputs: Mapping[str, Any], run: Run) -> Any:
    """What `forward` gives, between the checks of the class and, for a strategy, those of its signature.

    Checks of the signature that a part has run on this very answer are not run again.
    """
    checks = list(class_checks(type(module)))
    signature = getattr(module, "signature", None) if module._guards_signature else None
    if signature is not None and signature.__checks__:
        checks += cast("tuple[Check, ...]", signature.__checks__)
    elif not checks:
        return await run(inputs)
    names = how.names if signature is None else tuple(signature.inputs)
    before = [one for one in checks if all(name in names for name in one.needs)]
    after = [one for one in checks if one not in before]
    return await run_between(module, before, after, inputs, run, signature)


async def run_between(
    module: Module, before: Iterable[Check], after: Iterable[Check], inputs: Mapping[str, Any], run: Run, signature: Any
) -> Any:
    """What `run(inputs)` gives, with checks before it and on its result; `signature` is the one that it answers, None
    when that is not known. Raises `CheckFailed`. A stream shows nothing from inside while a check may still refuse it.
    """
    outer = current()
    before, after = tuple(before), tuple(after)
    inputs = _with_defaults(module, signature, inputs, (*before, *after))
    watch = Watching(
        type(module).__name__ if signature is None else signature.__name__,
        in_tiers(before),
        in_tiers(after),
        inputs,
        outputs=None if signature is None else tuple(signature.outputs),
        table={} if signature is None else codecs(signature),
    )
    try:
        await watch.begin()
        if watch.instead is not None:
            return _with_checks(_made(signature, inputs, watch.instead), watch)
        if outer.sink is not None and watch.holds:
            with running(sink=None):
                result = await run(watch.given)
        else:
            result = await run(watch.given)
        watch.skip(name for name, one in checks_of(result).items() if one.final is not None)
        values = _values(signature, result)
        looked = await watch.look(values, None)
        if looked.values is not values or watch.given != inputs:
            result = _changed(signature, inputs, result, looked.values)
        return _with_checks(result, watch)
    finally:
        if outer.trace is not None:
            outer.trace.note(outer.paths.get(id(module)), watch.report)
        if outer.recording is not None:
            outer.recording.note(watch.report)


def _with_defaults(
    module: Module, signature: Any, inputs: Mapping[str, Any], checks: Iterable[Check]
) -> Mapping[str, Any]:
    """The inputs with the defaults of those that checks look at and the caller left out."""
    outputs: Mapping[str, Any] = {} if signature is None else signature.outputs
    lacking = {name for one in checks for name in one.needs if name not in inputs and name not in outputs}
    if not lacking:
        return inputs
    known = module._shown().parameters.values()
    return {
        **inputs,
        **{one.name: one.default for one in known if one.name in lacking and one.default is not one.empty},
    }


def _values(signature: Any, result: Any) -> dict[str, Any]:
    """What a program gave by name; a plain value has the name `answer`."""
    if signature is not None:
        from outlast.modules.deriving import outputs_from

        return outputs_from(signature, result)
    if isinstance(result, Record):
        return outputs_of(result)
    return dict(cast("Mapping[str, Any]", result)) if isinstance(result, Mapping) else {"answer": result}


def _changed(signature: Any, inputs: Mapping[str, Any], result: Any, values: Mapping[str, Any]) -> Any:
    """The result with other values, and with the inputs as they were given."""
    if signature is not None and signature.__result__ is not None and not isinstance(result, Record):
        return signature.__result__(values)
    if isinstance(result, Record):
        fields = fields_of(result)
        given = {name: value for name, value in inputs.items() if name in fields and name not in values}
        return result._with({**fields, **given, **values})
    return dict(values) if isinstance(result, Mapping) else values["answer"]


def _made(signature: Any, inputs: Mapping[str, Any], values: Any) -> Any:
    """A result out of what stands in for one."""
    if signature is not None:
        from outlast.modules.deriving import answer_of

        return answer_of(signature, inputs, values)
    if isinstance(values, dict):
        named = cast("dict[str, Any]", values)
        return named["answer"] if set(named) == {"answer"} else Prediction(**named)
    return values


def _with_checks(result: Any, watch: Watching) -> Any:
    """The result with the report on it, as a record of its own."""
    if not isinstance(result, Record) or not watch.report:
        return result
    own = result._with(dict(vars(result)))
    attach_checks(own, watch.report)
    return own


def _show(question: Question, values: Mapping[str, Any]) -> None:
    """Tell the stream of outputs that no model was asked for."""
    run = question.run
    if run.sink is not None:
        from outlast.adapters.showing import Showing

        showing = Showing(run.sink, question.path, run.sample, question.signature)
        showing.confirm(values)
        showing.answered(values)
