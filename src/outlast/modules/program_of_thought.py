"""`ProgramOfThought`: the model writes a program, and the program computes the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from outlast.modules.attempts import Outcome, allowance, check_budget, check_count, told
from outlast.modules.coding import (
    Submission,
    Work,
    check_limits,
    check_sandbox,
    coding_signature,
    finished,
    usual_sandbox,
    variables_of,
)
from outlast.modules.deriving import answer_of, for_step
from outlast.modules.predict import Predict, checked_inputs
from outlast.modules.strategy import P, R, Strategy
from outlast.runtime import Budget
from outlast.sandbox.protocol import Sandbox
from outlast.sandbox.values import Limits
from outlast.signatures.spelling import signature as read_signature

_WRITE = (
    "Do not answer yourself: write a Python program that computes the answer. The inputs are there as variables of "
    "their names. The program ends with a call of submit({outputs}), with the outputs by name, or with an expression "
    "whose value is a dict of them. It has no files and no network."
)


class ProgramOfThought(Strategy[P, R]):
    """The model writes a program, a sandbox runs it, and what the program hands in is the answer (Chen et al. 2022,
    arXiv 2211.12588).

    The inputs are variables of the program, as JSON data (media are not). What is handed in is read and checked as any
    answer is. A program that fails, or hands in what does not fit, is shown with its error and written again, up to
    `tries` times; then `answer` gives the outputs from the work so far. `sandbox` is `Monty()` when not given;
    `out.outcome.facts["steps"]` has every program with what it did.
    Cost: one LM call when the first program works, at most `tries` + 1, plus re-asks.
    """

    signature: Any
    sandbox: Sandbox | None
    tries: int
    limits: Limits | None
    budget: Budget | None

    def __init__(
        self,
        signature: Callable[P, R] | str | None = None,
        *,
        sandbox: Sandbox | None = None,
        tries: int = 3,
        limits: Limits | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.signature = read_signature(signature)
        self.sandbox = check_sandbox(sandbox, "ProgramOfThought")
        self.tries = check_count("ProgramOfThought", "tries", tries)
        self.limits = check_limits(limits, "ProgramOfThought")
        self.budget = check_budget(budget, "ProgramOfThought")
        note = _WRITE.format(outputs=", ".join(f"{name}=..." for name in self.signature.outputs))
        self.write = Predict(coding_signature(self.signature, note, {}, tuple(self.signature.inputs)))
        self.answer = Predict(self.signature)

    async def forward(self, /, **inputs: Any) -> Any:
        given = checked_inputs(self.signature, inputs)
        submission = Submission(self.signature)
        with allowance(self.budget, keep_calls=1) as allowed:
            work = Work(
                self.write,
                for_step(self.signature, given),
                variables_of(self.signature, given),
                self.tries,
                4_000,
                allowed,
                takes_value=True,
            )
            async with usual_sandbox(self.sandbox).session([submission.tool], self.limits) as session:
                worked = await work.run(session, submission)
            if worked.outputs is None:
                allowed.free()
                result = await finished(self.answer, given, worked.steps, 4_000)
            else:
                result = worked.outputs
        outcome = Outcome("ProgramOfThought", (), None, worked.stopped, {"steps": worked.steps})
        return told(answer_of(self.signature, given, result), outcome)
