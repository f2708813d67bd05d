"""`CodeAct`: an agent that acts by writing code, in which its tools are functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from outlast.errors import UsageError
from outlast.modules.attempts import Outcome, allowance, check_budget, check_count, told
from outlast.modules.coding import (
    SUBMIT,
    Submission,
    Work,
    check_limits,
    check_sandbox,
    coding_signature,
    finished,
    stub,
    usual_sandbox,
    variables_of,
)
from outlast.modules.deriving import answer_of, for_step, free_name
from outlast.modules.predict import Predict, checked_inputs
from outlast.modules.strategy import P, R, Strategy
from outlast.runtime import Budget
from outlast.sandbox.protocol import Sandbox
from outlast.sandbox.values import Limits
from outlast.signatures.spelling import signature as read_signature
from outlast.tools.calling import Toolbox
from outlast.types import Tool

_ACT = (
    "Work on this step by step, by Python code that is run for you. Variables are kept from step to step; the inputs "
    "are there as variables of their names. After each step you are shown what the code printed, and the value of its "
    "last line. The functions that are listed can be called in it. When you know the outputs, call submit({outputs})."
)


class CodeAct(Strategy[P, R]):
    """An agent whose actions are code: it may call several tools in one step, keep what they give in variables, loop
    and compute (Wang et al. 2024, arXiv 2402.01030).

    `tools` are functions, `ol.tool(...)`s, or programs; the code calls them by name, from inside the sandbox, while
    they run out here. The agent ends by handing in the outputs, which are read and checked as any answer is; after
    `max_turns`, at the end of its `budget`, or when it runs in circles, `answer` gives them from the work so far.
    `show` is how many characters of each result the model sees. `sandbox` is `Monty()` when not given.
    `out.outcome.facts["steps"]` has every step.
    Cost: one LM call for each step, at most `max_turns` + 1, plus re-asks and what tools ask.
    """

    signature: Any
    tools: Mapping[str, Tool]
    sandbox: Sandbox | None
    max_turns: int
    show: int
    limits: Limits | None
    budget: Budget | None

    def __init__(
        self,
        signature: Callable[P, R] | str | None = None,
        *,
        tools: Iterable[Any] | Mapping[str, Tool] = (),
        sandbox: Sandbox | None = None,
        max_turns: int = 12,
        show: int = 4_000,
        limits: Limits | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.signature = read_signature(signature)
        self.tools = check_tools(tools, "CodeAct")
        self.sandbox = check_sandbox(sandbox, "CodeAct")
        self.max_turns = check_count("CodeAct", "max_turns", max_turns)
        self.show = check_count("CodeAct", "show", show, least=100)
        self.limits = check_limits(limits, "CodeAct")
        self.budget = check_budget(budget, "CodeAct")
        note = _ACT.format(outputs=", ".join(f"{name}=..." for name in self.signature.outputs))
        functions = free_name(self.signature, "functions")
        extra = {functions: (list[str], "what the code can call besides Python itself")}
        self.act = Predict(coding_signature(self.signature, note, extra, tuple(self.signature.inputs)))
        self.answer = Predict(self.signature)

    async def forward(self, /, **inputs: Any) -> Any:
        given = checked_inputs(self.signature, inputs)
        submission = Submission(self.signature)
        tools = [*self.tools.values(), submission.tool]
        functions = list(self.act.signature.inputs)[-1]
        with allowance(self.budget, keep_calls=1) as allowed:
            shown = {**for_step(self.signature, given), functions: [stub(tool) for tool in tools]}
            work = Work(self.act, shown, variables_of(self.signature, given), self.max_turns, self.show, allowed)
            async with usual_sandbox(self.sandbox).session(tools, self.limits) as session:
                worked = await work.run(session, submission)
            if worked.outputs is None:
                allowed.free()
                result = await finished(self.answer, given, worked.steps, self.show)
            else:
                result = worked.outputs
        outcome = Outcome("CodeAct", (), None, worked.stopped, {"steps": worked.steps})
        return told(answer_of(self.signature, given, result), outcome)


def check_tools(tools: Iterable[Any] | Mapping[str, Tool], subject: str) -> dict[str, Tool]:
    """Tools by name; raises `UsageError` for one that cannot be called by name from code."""
    given: Iterable[Any] = cast("Mapping[str, Any]", tools).values() if isinstance(tools, Mapping) else tools
    box = Toolbox(given)
    for name in box:
        if not name.replace("-", "_").isidentifier() or name == SUBMIT:
            raise UsageError(f"{subject}: the tool {name!r} cannot be called in code by this name; give it another one")
    return dict(box)
