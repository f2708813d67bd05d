"""A predictor that is asked in the middle of a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from outlast.adapters.ask import Question, ask_model
from outlast.adapters.protocol import Adapter, Following, Plan, Prepared
from outlast.modules.predict import Predict
from outlast.modules.settings import chosen_adapter, chosen_lm
from outlast.runtime import current
from outlast.signatures.record import attach_checks, attach_trace, make_record


class _Continued(Plan):
    """A compiled task whose question is followed by turns."""

    def __init__(self, plan: Plan, following: Sequence[Following]) -> None:
        self._plan = plan
        self._following = following

    def prepare(self, inputs: Mapping[str, Any]) -> Prepared:
        """Render the question and what follows it."""
        return self._plan.prepare(inputs).then(self._following)


async def continued(predictor: Predict[..., Any], inputs: Mapping[str, Any], following: Sequence[Following]) -> Any:
    """What the predictor answers after its question and the turns that follow it, as a record of its signature.

    What the turns hold is data. Cost: one LM call, plus re-asks.
    """
    run = current()
    question = Question(
        run.paths.get(id(predictor)),
        type(predictor).__name__,
        predictor.asked(),
        predictor.checked(inputs),
        predictor.settings,
        chosen_lm(predictor.lm, run),
        run,
    )

    def plan(adapter: Adapter) -> Plan:
        return _Continued(predictor._plan(adapter), following)

    adapter, checked = chosen_adapter(predictor.adapter, run), None
    if predictor.signature.__checks__:
        from outlast.modules.guarding import ask_checked

        answer, checked = await ask_checked(predictor.signature, question, plan, adapter)
    else:
        answer = await ask_model(question, plan, adapter)
    outputs, reasoning = predictor.result(answer)
    values = {**question.inputs, **outputs}
    record = make_record(predictor.signature, values, reasoning, answer.response.decisions)
    if run.trace is not None:
        attach_trace(record, run.trace)
    if checked is not None:
        attach_checks(record, checked)
    return record
