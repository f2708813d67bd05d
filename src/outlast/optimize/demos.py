"""Demonstrations out of data and out of rollouts. Every one says which example and which candidate it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from outlast.adapters.protocol import Demo
from outlast.data.example import Example, id_of, inputs_of, targets_of
from outlast.modules.paths import predictors_of

if TYPE_CHECKING:
    from outlast.modules.module import Module
    from outlast.optimize.candidate import Step
    from outlast.optimize.study import Study

Demos = Mapping[str, tuple[Demo, ...]]  # by the path of the predictor


def labeled_demos(program: Module, examples: Sequence[Example]) -> dict[str, list[Demo]]:
    """Demonstrations from labels, for each predictor that has an input and an output named in the data.

    Fields that the data does not have are left out, so a demonstration may be partial.
    """
    found: dict[str, list[Demo]] = {}
    for path, part in predictors_of(program).items():
        demos: list[Demo] = []
        for example in examples:
            known = {**inputs_of(example), **targets_of(example)}
            values = {name: known[name] for name in part.signature.fields if name in known}
            has_input = any(name in values for name in part.signature.inputs)
            has_output = any(name in values for name in part.signature.outputs)
            if has_output and (has_input or not part.signature.inputs):
                demos.append(Demo(values, f"example {id_of(example)}"))
        found[path] = demos
    return found


def demos_from_steps(steps: Sequence[Step], source: str, rng: Random) -> dict[str, Demo]:
    """One demonstration for each predictor of a rollout.

    A predictor that was asked more than once gives its last answer half of the time and an earlier one otherwise.
    """
    by_path: dict[str, list[Step]] = {}
    for step in steps:
        by_path.setdefault(step.path, []).append(step)
    found: dict[str, Demo] = {}
    for path, some in by_path.items():
        step = some[-1] if len(some) == 1 or rng.random() < 0.5 else rng.choice(some[:-1])
        found[path] = Demo({**step.inputs, **step.values}, source)
    return found


async def bootstrapped_demos(
    study: Study, teacher: Any, examples: Sequence[Example], *, needed: int | None = None
) -> list[dict[str, Demo]]:
    """Demonstrations from rollouts of `teacher` that passed, one mapping from path to demo for each, in data order.

    Stops once `needed` have passed. Cost: at most one rollout for each example.
    """
    found: list[dict[str, Demo]] = []
    rng = study.rng("steps")
    block = len(examples) if needed is None else max(8, needed)
    for start in range(0, len(examples), block):
        for outcome in await study.evaluate(teacher, examples[start : start + block]):
            if outcome.state == "pass":
                source = f"example {outcome.example} answered by candidate {outcome.candidate}"
                found.append(demos_from_steps(study.steps(outcome), source, rng))
        if needed is not None and len(found) >= needed:
            return found[:needed]
    return found


def changes_for(demos: Demos) -> dict[str, Any]:
    """The parameter changes that set these demonstrations."""
    return {f"{path}.demos" if path else "demos": tuple(some) for path, some in demos.items()}
