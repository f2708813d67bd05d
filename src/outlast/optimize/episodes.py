"""What a proposer is shown of a study: rollouts as text, what the program is, what the data look like."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from outlast.data.example import Example, inputs_of, targets_of
from outlast.modules.module import Module
from outlast.modules.paths import predictors_of
from outlast.optimize.function import Function

if TYPE_CHECKING:
    from outlast.optimize.candidate import Outcome, Step
    from outlast.optimize.study import Study

_LONGEST = 600  # characters of one value
_MOST_SOURCE = 4000  # characters of the program's code


def episode(study: Study, outcome: Outcome, *, path: str | None = None) -> str:
    """One rollout as text: the inputs, what each module did, what was expected, the metric's words, the score.

    With `path` only that module's steps are told. Cost: no LM call.
    """
    example = study.example(outcome.example)
    lines = [f"Inputs: {_values(inputs_of(example))}"]
    steps = study.steps(outcome)
    for step in steps:
        if path is None or step.path == path:
            lines.append(_step(step, told=path is None))
    if not steps and not outcome.error:  # a function that asks its models itself
        given = study.ledger.outputs(outcome.candidate, outcome.example, outcome.sample)
        lines.append(f"The program answered: {_short(_text(given))}")
    return "\n".join([*lines, verdict_of(study, outcome)])


def verdict_of(study: Study, outcome: Outcome) -> str:
    """What came of a rollout, as text: what was expected, the metric's words, the score. Cost: no LM call."""
    lines: list[str] = []
    if outcome.error:
        lines.append(f"Error: {_short(outcome.error)}")
    targets = targets_of(study.example(outcome.example))
    if targets:
        lines.append(f"Expected: {_values(targets)}")
    if outcome.feedback:
        lines.append(f"Feedback: {_short(outcome.feedback)}")
    lines.append(
        "Score: 0 (no usable answer)"
        if not outcome.answered
        else f"Score: {outcome.score:g}"
        if outcome.score is not None
        else "Score: none"
    )
    return "\n".join(lines)


def told_step(step: Step) -> str:
    """What one module was given and what it answered, as text."""
    return _step(step, told=True)


def about_program(program: Module) -> str:
    """The program's code where it can be read, and what each of its modules takes and gives."""
    lines = [
        f"module {path or '(the program itself)'}: {', '.join(part.signature.inputs)} -> "
        f"{', '.join(part.signature.outputs)}"
        for path, part in predictors_of(program).items()
    ]
    if isinstance(program, Function):
        return program.source
    if type(program).__module__.startswith("outlast."):
        return "\n".join(lines)
    try:
        source = inspect.getsource(type(program))
    except (OSError, TypeError):  # made in a prompt, say
        return "\n".join(lines)
    return "\n".join([source[:_MOST_SOURCE], *lines])


def about_module(program: Module, path: str) -> str:
    """One module: its path, its fields with their descriptions and types, what it is asked in the start program."""
    part = predictors_of(program)[path]
    asked = part.asked()
    lines = [f"{path or 'the program'}: {', '.join(asked.inputs)} -> {', '.join(asked.outputs)}"]
    for name, described in asked.fields.items():
        if text := part.fields.get(name, described.desc):
            lines.append(f"{name}: {text}")
    return "\n".join(lines)


def about_data(examples: Sequence[Example], *, shown: int = 5) -> str:
    """How many examples there are, how often each short target occurs, and the first few in full."""
    lines = [f"{len(examples)} examples."]
    targets: dict[str, Counter[str]] = {}
    for example in examples:
        for name, value in targets_of(example).items():
            targets.setdefault(name, Counter())[str(value)] += 1
    for name, counts in targets.items():
        if len(counts) <= max(20, len(examples) // 10) and all(len(value) <= 60 for value in counts):
            listed = ", ".join(f"{value} ({count})" for value, count in counts.most_common(20))
            lines.append(f"Values of {name}: {listed}")
    for example in examples[:shown]:
        lines.append(labelled(inputs_of(example), targets_of(example)))
    return "\n".join(lines)


def labelled(inputs: Mapping[str, Any], targets: Mapping[str, Any]) -> str:
    """One example as text: what goes in and what is expected."""
    return f"Inputs: {_values(inputs)}\nExpected: {_values(targets)}"


def _step(step: Step, *, told: bool) -> str:
    given = f"Module {step.path or '(the program)'} was given {_values(step.inputs)} and " if told else "It "
    return f"{given}answered: {_values(step.values)}"


def _values(values: Any) -> str:
    return "; ".join(f"{name} = {_short(_text(value))}" for name, value in values.items()) or "(none)"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(value)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
