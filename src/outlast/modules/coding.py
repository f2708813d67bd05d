"""What strategies that think in code share: one session, code after code, until the outputs are handed in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from outlast.adapters.placing import is_history
from outlast.adapters.protocol import Following, Given
from outlast.errors import AnswerError, BudgetExceeded, LMContextError, UsageError, brief
from outlast.messages import Turn
from outlast.messages.progress import Status
from outlast.modules.attempts import Allowance
from outlast.modules.continuing import continued
from outlast.modules.predict import Predict
from outlast.modules.tool_text import spelled
from outlast.runtime.watching import emit
from outlast.sandbox.protocol import Sandbox, Session
from outlast.sandbox.values import Executed, Limits
from outlast.signatures.codec import codecs
from outlast.signatures.contract import make_contract
from outlast.signatures.field import Field, FieldSpec
from outlast.signatures.signature import dynamic
from outlast.types import Code, Tool

SUBMIT = "submit"
_SAME = 3  # the same code with the same result so many times in a row is a loop
_LEFT_OUT = "(this result was left out to save space)"


@dataclass(frozen=True, slots=True)
class Ran:
    """One step: what the model thought, the code that it wrote and what the code did."""

    thought: str
    code: str
    executed: Executed

    def told(self, most: int) -> str:
        """The result as the model is told it, with at most `most` characters."""
        text = self.executed.told()
        return text if len(text) <= most else f"{text[:most]}\n(and {len(text) - most} more characters)"


@dataclass(frozen=True, slots=True)
class Worked:
    """How a session went: its steps, the outputs that were handed in (None: none were), and what stopped it early."""

    steps: tuple[Ran, ...]
    outputs: dict[str, Any] | None
    stopped: str | None


class Submission:
    """The host function by which code hands in the outputs: checked as any answer is, an error tells what is wrong."""

    def __init__(self, signature: Any) -> None:
        self.signature = signature
        self.outputs: dict[str, Any] | None = None
        names = list(signature.outputs)
        properties = {name: codec.schema() or {} for name, codec in codecs(signature).items() if name in names}
        required = [name for name in names if signature.outputs[name].required]
        schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        self.tool = Tool(SUBMIT, "Hand in the outputs. Ends the work.", schema, function=self.take, _inner=True)

    async def take(self, **outputs: Any) -> str:
        """Check the outputs and keep them. Raises `ValueError` that says what does not fit."""
        self.outputs = read_outputs(self.signature, outputs)
        return "handed in"


def read_outputs(signature: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """Output values from JSON data by name; raises `ValueError` that says what does not fit."""
    table = codecs(signature)
    found: dict[str, Any] = {}
    wrong: list[str] = []
    for name, field in signature.outputs.items():
        if name not in data:
            if field.required:
                wrong.append(f"{name} is missing")
            else:
                found[name] = field.fresh_default()
            continue
        try:
            found[name] = table[name].read_data(data[name])
        except (ValueError, TypeError, RecursionError) as error:
            wrong.append(f"{name}: {error}")
    wrong += [f"there is no output {name!r}" for name in data if name not in signature.outputs]
    if wrong:
        raise ValueError("; ".join(wrong))
    return found


def coding_signature(signature: Any, note: str, extra: Mapping[str, tuple[Any, str]], keep: Sequence[str]) -> Any:
    """The signature of a step that writes code: the inputs in `keep` and the `extra` ones, to a thought and code."""
    fields: list[Field] = [signature.inputs[name] for name in keep]
    fields += [FieldSpec("input", desc).field(name, kind) for name, (kind, desc) in extra.items()]
    taken = {field.name for field in fields}
    for name, kind, desc in (
        ("thought", str, "what you know and what the code is to find out, briefly"),
        ("code", Code, "the Python code to run next"),
    ):
        fields.append(FieldSpec("output", desc).field(name if name not in taken else f"{name}_", kind))
    description = f"{signature.description}\n\n{note}" if signature.description else note
    return dynamic(signature.__name__, make_contract(signature.__name__, description, fields))


def stub(tool: Tool) -> str:
    """A tool as code calls it."""
    return spelled(tool, tool.name.replace("-", "_"))


def variable_names(signature: Any) -> tuple[str, ...]:
    """The inputs that can be variables of code: media and histories stay outside, where the model sees them."""
    table = codecs(signature)
    return tuple(name for name in signature.inputs if not table[name].holds_media and not is_history(table[name]))


def variables_of(signature: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The values of these inputs as JSON data for a sandbox."""
    table = codecs(signature)
    return {name: table[name].dump(inputs[name]) for name in variable_names(signature)}


def check_sandbox(sandbox: Any, subject: str) -> Sandbox | None:
    """Raise `UsageError` unless it is a sandbox or None."""
    if sandbox is None or isinstance(sandbox, Sandbox):
        return sandbox
    raise UsageError(f"{subject}(sandbox=...) is a sandbox such as ol.Monty(); got {brief(sandbox)}")


def check_limits(limits: Any, subject: str) -> Limits | None:
    """Raise `UsageError` unless they are limits or None."""
    if limits is None or isinstance(limits, Limits):
        return limits
    raise UsageError(f"{subject}(limits=...) is ol.Limits(seconds=..., ...); got {brief(limits)}")


def usual_sandbox(sandbox: Sandbox | None) -> Sandbox:
    """The sandbox, or the default one."""
    if sandbox is not None:
        return sandbox
    from outlast.sandbox.monty import Monty

    return Monty()


@dataclass(frozen=True, slots=True)
class Work:
    """What a session of code is about: who writes the code (`act`), what it is shown, the variables that the code
    finds, how many steps there are, and how many characters of each result are shown."""

    act: Predict[..., Any]
    shown: Mapping[str, Any]
    variables: Mapping[str, Any]
    turns: int
    most_shown: int
    allowed: Allowance
    takes_value: bool = False

    async def run(self, session: Session, submission: Submission) -> Worked:
        """Code after code until the outputs are handed in, a limit is reached, or nothing changes any more."""
        steps: list[Ran] = []
        following: list[Following] = []
        fresh, stopped = True, "turns"
        for _ in range(self.turns):
            try:
                made = await self._asked(following)
            except BudgetExceeded as error:
                if not self.allowed.owns(error):
                    raise
                stopped = self.allowed.stopped
                break
            except AnswerError:
                if not steps:
                    raise
                stopped = "unreadable"
                break
            thought, code = (getattr(made, name) for name in self.act.signature.outputs)
            emit(Status, text=f"step {len(steps) + 1}: {thought.strip()}")
            executed = await session.aexecute(code.text, self.variables if fresh else None)
            fresh = executed.state_lost
            steps.append(Ran(thought, code.text, executed))
            self._take(executed, submission)
            if submission.outputs is not None:
                return Worked(tuple(steps), submission.outputs, None)
            if _is_loop(steps):
                stopped = "loop"
                break
            following += self._turn(steps[-1])
        return Worked(tuple(steps), None, stopped)

    def _take(self, executed: Executed, submission: Submission) -> None:
        """Where the value of the last line counts as handed in: the outputs by name, or the only one."""
        if not self.takes_value or submission.outputs is not None or not executed.ok:
            return
        names = list(submission.signature.outputs)
        value = executed.value
        data: dict[str, Any] = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        if set(data) != set(names) and len(names) == 1 and value is not None:
            data = {names[0]: value}
        if data:
            try:
                submission.outputs = read_outputs(submission.signature, data)
            except ValueError:
                return

    def _turn(self, ran: Ran) -> tuple[Following, Following]:
        names = list(self.act.signature.outputs)
        values = {names[0]: ran.thought, names[1]: Code(ran.code, "python")}
        return Turn({}, values), Given((("result", ran.told(self.most_shown)),))

    async def _asked(self, following: list[Following]) -> Any:
        """Ask for the next code; when the window is full, without the older results."""
        try:
            return await continued(self.act, self.shown, following)
        except LMContextError:
            if not any(_can_shrink(one) for one in following[:-2]):
                raise
            following[:-2] = [_shrunk(one) for one in following[:-2]]
            return await continued(self.act, self.shown, following)


def _can_shrink(one: Following) -> bool:
    return isinstance(one, Given) and one.texts != (("result", _LEFT_OUT),)


def _shrunk(one: Following) -> Following:
    return Given((("result", _LEFT_OUT),)) if isinstance(one, Given) else one


def _is_loop(steps: Sequence[Ran]) -> bool:
    last = steps[-_SAME:]
    same = {(one.code, json.dumps(one.executed.value, default=str), one.executed.stdout) for one in last}
    return len(last) == _SAME and len(same) == 1


def transcript(steps: Sequence[Ran], most: int) -> str:
    """The steps as one text for the model that has to answer from them."""
    parts = [f"[{number}] {one.thought}\n{one.code}\n-> {one.told(most)}" for number, one in enumerate(steps, 1)]
    return "\n\n".join(parts) or "(nothing was done)"


async def finished(answer: Predict[..., Any], inputs: Mapping[str, Any], steps: Sequence[Ran], most: int) -> Any:
    """The declared outputs from the work that was done, when it handed in none. Cost: one LM call, plus re-asks."""
    note = "The work on this has ended. Give the outputs now, as well as it allows."
    return await continued(answer, inputs, [Given((("work", transcript(steps, most)),), note)])
