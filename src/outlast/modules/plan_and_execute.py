"""`PlanAndExecute`: a plan first, then its steps one after another, and the answer from what they gave."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from outlast.adapters.protocol import Given
from outlast.messages.progress import Status
from outlast.modules.attempts import Allowance, Outcome, allowance, attempt, check_budget, check_count, told
from outlast.modules.continuing import continued
from outlast.modules.deriving import answer_of, for_step, free_name
from outlast.modules.predict import Predict, checked_inputs
from outlast.modules.react import ReAct
from outlast.modules.strategy import P, R, Strategy
from outlast.modules.tool_text import spelled
from outlast.runtime import Budget
from outlast.runtime.watching import emit
from outlast.signatures.contract import make_contract
from outlast.signatures.field import Field, FieldSpec
from outlast.signatures.signature import dynamic
from outlast.signatures.spelling import signature as read_signature
from outlast.tools.calling import Toolbox
from outlast.types import Tool

_PLAN = (
    "Do not do the task yet. Say what steps lead to it, in order, each one a thing that can be done and checked by "
    "itself, as few as will do. Where some were done already, plan only what is left, in view of what they gave."
)
_WORK = (
    "This is one step of a longer task. Do this step only, with what the earlier ones gave. Say in the result all that "
    "later steps need from it; where it cannot be done, say why."
)
_ANSWER = "The work on this has ended. Give the outputs now, from what the steps gave."


@dataclass(frozen=True, slots=True)
class PlanStep:
    """A step that was done: what it was, what it gave or why it failed, and whether it succeeded."""

    step: str
    result: str
    succeeded: bool

    def __str__(self) -> str:
        return f"{self.step}\n-> {'' if self.succeeded else 'FAILED: '}{self.result}"


class PlanAndExecute(Strategy[P, R]):
    """Plan, do the steps of the plan one after another, and answer from what they gave (plan-and-solve, Wang et al.
    2023, arXiv 2305.04091).

    With `tools` each step is done by an agent (`work` is a `ReAct` with `max_turns`), without by one question. A step
    that fails, or says that it did, leads to a new plan for what is left, at most `replans` times; after that the
    remaining steps are tried all the same. At most `max_steps` steps are done; then, and at the end of the `budget`,
    `answer` gives the outputs from what there is. `out.outcome.facts["steps"]` has every step.
    Cost: 1 + `replans` LM calls at most for plans, those of each step (one without tools), and one for the answer.
    """

    signature: Any
    max_steps: int
    replans: int
    max_turns: int
    budget: Budget | None

    def __init__(
        self,
        signature: Callable[P, R] | str | None = None,
        *,
        tools: Iterable[Any] | Mapping[str, Tool] = (),
        max_steps: int = 8,
        replans: int = 2,
        max_turns: int = 10,
        budget: Budget | None = None,
    ) -> None:
        self.signature = read_signature(signature)
        self.max_steps = check_count("PlanAndExecute", "max_steps", max_steps)
        self.replans = check_count("PlanAndExecute", "replans", replans, least=0)
        self.max_turns = check_count("PlanAndExecute", "max_turns", max_turns)
        self.budget = check_budget(budget, "PlanAndExecute")
        offered = dict(Toolbox(cast("Mapping[str, Any]", tools).values() if isinstance(tools, Mapping) else tools))
        self.plan = Predict(_planning(self.signature))
        step = _working(self.signature)
        self.work = ReAct(step, tools=offered, max_turns=max_turns) if offered else Predict(step)
        self.answer = Predict(self.signature)

    @property
    def tools(self) -> Mapping[str, Tool]:
        """The tools of the steps; their texts are tuned at `work.tools`."""
        return self.work.tools if isinstance(self.work, ReAct) else {}

    async def forward(self, /, **inputs: Any) -> Any:
        given = checked_inputs(self.signature, inputs)
        with allowance(self.budget, keep_calls=1) as allowed:
            steps, stopped = await self._worked(given, allowed)
            allowed.free()
            work = "\n\n".join(str(one) for one in steps) or "(no step was done)"
            result = await continued(self.answer, given, [Given((("work", work),), _ANSWER)])
        outcome = Outcome("PlanAndExecute", (), None, stopped, {"steps": steps})
        return told(answer_of(self.signature, given, result), outcome)

    async def _worked(self, given: Mapping[str, Any], allowed: Allowance) -> tuple[tuple[PlanStep, ...], str | None]:
        """The steps that were done, and what ended them early."""
        steps: list[PlanStep] = []
        plans = 0
        todo = await self._planned(given, steps, allowed)
        while todo and not allowed.stopped:
            if len(steps) == self.max_steps:
                return tuple(steps), "steps"
            steps.append(await self._done(todo.pop(0), given, steps, allowed))
            if not steps[-1].succeeded and plans < self.replans and not allowed.stopped:
                plans += 1
                todo = await self._planned(given, steps, allowed) or todo
        return tuple(steps), allowed.stopped

    async def _planned(self, given: Mapping[str, Any], steps: Sequence[PlanStep], allowed: Allowance) -> list[str]:
        """The steps that are left to do; none when the plan cannot be read or the budget has ended."""
        tools, done = list(self.plan.signature.inputs)[-2:]
        shown = {tools: [spelled(tool) for tool in self.tools.values()], done: [str(one) for one in steps]}
        made = await attempt(self.plan, {**for_step(self.signature, given), **shown}, 0, 1, allowed, part="plan")
        if made.error is not None:
            if not steps and not allowed.owns(made.error):
                raise made.error
            return []
        (steps_field,) = self.plan.signature.outputs
        return [step for step in made.result[steps_field] if step.strip()]

    async def _done(
        self, step: str, given: Mapping[str, Any], steps: Sequence[PlanStep], allowed: Allowance
    ) -> PlanStep:
        """Do one step; what goes wrong is its result."""
        name, done = list(self.work.signature.inputs)[-2:]
        emit(Status, text=f"step {len(steps) + 1}: {step.strip()}")
        asked = {**for_step(self.signature, given), name: step, done: [str(one) for one in steps]}
        made = await attempt(self.work, asked, 0, 1, allowed, part="work")
        if made.error is not None:
            return PlanStep(step, str(made.error), succeeded=False)
        result, succeeded = self.work.signature.outputs
        return PlanStep(step, made.result[result], made.result[succeeded])


def _derived(signature: Any, note: str, inputs: Mapping[str, tuple[Any, str]], outputs: Mapping[str, Any]) -> Any:
    """The declared inputs and more, to other outputs, under names that no declared field has."""
    fields: list[Field] = list(signature.inputs.values())
    fields += [
        FieldSpec("input", desc).field(free_name(signature, name), kind) for name, (kind, desc) in inputs.items()
    ]
    fields += [
        FieldSpec("output", desc).field(free_name(signature, name), kind) for name, (kind, desc) in outputs.items()
    ]
    description = f"{signature.description}\n\n{note}" if signature.description else note
    return dynamic(signature.__name__, make_contract(signature.__name__, description, fields))


def _planning(signature: Any) -> Any:
    inputs = {
        "tools": (list[str], "what can be called in a step"),
        "done": (list[str], "the steps that were done, with what they gave"),
    }
    return _derived(signature, _PLAN, inputs, {"steps": (list[str], "the steps that are left, in order")})


def _working(signature: Any) -> Any:
    inputs = {
        "step": (str, "the step to do now"),
        "done": (list[str], "the steps that were done, with what they gave"),
    }
    outputs = {
        "result": (str, "what the step gave, or why it cannot be done"),
        "succeeded": (bool, "whether the step is done"),
    }
    return _derived(signature, _WORK, inputs, outputs)
