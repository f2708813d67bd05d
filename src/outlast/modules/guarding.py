"""Where checks meet programs: the checks of a signature around a question, those of a module around its `forward`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from outlast.adapters.ask import Answer, Question, ask_model
from outlast.adapters.protocol import Adapter, Plan
from outlast.checks.check import Check
from outlast.checks.fitting import outputs_in
from outlast.checks.running import Checked, Tiers, Watching, in_tiers
from outlast.messages import Response
from outlast.signatures.codec import codecs


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
        return await ask_model(asked, plans, adapter), watch.report
    finally:
        if question.run.trace is not None:
            question.run.trace.note(question.path, watch.report)


def _show(question: Question, values: Mapping[str, Any]) -> None:
    """Tell the stream of outputs that no model was asked for."""
    run = question.run
    if run.sink is not None:
        from outlast.adapters.showing import Showing

        showing = Showing(run.sink, question.path, run.sample, question.signature)
        showing.confirm(values)
        showing.answered(values)
