"""Demonstrations out of data and out of rollouts. Every one says which example and which candidate it came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from outlast.adapters.protocol import Demo
from outlast.data.example import Example, id_of, inputs_of, targets_of
from outlast.modules.paths import predictors_of

if TYPE_CHECKING:
    from outlast.modules.module import Module
    from outlast.modules.predict import Predict
    from outlast.optimize.candidate import Candidate, Outcome, Step
    from outlast.optimize.study import Study

Demos = Mapping[str, Sequence[Demo]]  # by the path of the predictor
_FOUND = "example "  # how the source of a demonstration begins that was made from data, not written by hand


def example_of(demo: Demo) -> str:
    """The id of the example that a demonstration was made from; "" for one that was written by hand."""
    return demo.source[len(_FOUND) :].split(" ")[0] if demo.source.startswith(_FOUND) else ""


def source_of(outcome: Outcome) -> str:
    """The source of a demonstration that a rollout gave."""
    return f"{_FOUND}{outcome.example} answered by candidate {outcome.candidate}"


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
                demos.append(Demo(values, f"{_FOUND}{id_of(example)}"))
        found[path] = demos
    return found


def demos_from_steps(steps: Sequence[Step], source: str, rng: Random) -> dict[str, Demo]:
    """One demonstration for each predictor of a rollout, with the label of what it was made from.

    A predictor that was asked more than once gives its last answer half of the time and an earlier one otherwise.
    """
    by_path: dict[str, list[Step]] = {}
    for step in steps:
        by_path.setdefault(step.path, []).append(step)
    found: dict[str, Demo] = {}
    for path, some in by_path.items():
        step = some[-1] if len(some) == 1 or rng.random() < 0.5 else rng.choice(some[:-1])
        found[path] = Demo({**step.inputs, **step.values}, source, step.label)
    return found


async def bootstrapped_demos(
    study: Study,
    teacher: Candidate,
    examples: Sequence[Example],
    *,
    threshold: float | None = 1.0,
    needed: int | None = None,
) -> list[dict[str, Demo]]:
    """Demonstrations from rollouts of `teacher` that scored at least `threshold`, by path, in data order.

    `threshold` None is the full score. Stops once `needed` have passed. Cost: at most one rollout for each example;
    with `needed`, blocks of four times as many (at least 16) run at once.
    """
    found: list[dict[str, Demo]] = []
    if needed == 0:
        return found
    rng = study.rng("steps")
    block = len(examples) if needed is None else max(16, 4 * needed)
    for start in range(0, len(examples), max(block, 1)):
        for outcome in await study.evaluate(teacher, examples[start : start + block]):
            if outcome.score is not None and outcome.score >= (study.full if threshold is None else threshold):
                found.append(demos_from_steps(study.steps(outcome), source_of(outcome), rng))
        if needed is not None and len(found) >= needed:
            return found[:needed]
    return found


def teacher_candidate(study: Study, teacher: Module | None, shown: Sequence[Example]) -> Candidate:
    """The program that bootstraps: the one given, or the start program with these examples as demonstrations."""
    if teacher is not None:
        return study.adopt(teacher, origin="the teacher given")
    return study.propose(
        changes_for(study.program, labeled_demos(study.program, shown), study.locked),
        origin=f"teacher with {len(shown)} labelled demos",
    )


def demos_at(path: str) -> str:
    """The parameter path of a predictor's demonstrations."""
    return f"{path}.demos".lstrip(".")


def free_demos(study: Study) -> list[str]:
    """The predictors of the start program whose demonstrations may change."""
    return [path for path in predictors_of(study.program) if not study.locked(demos_at(path))]


def filled_up(
    program: Module, kept: Sequence[Mapping[str, Demo]], examples: Sequence[Example], most: int
) -> dict[str, list[Demo]]:
    """Up to `most` demonstrations for each predictor: those of rollouts first, then labels of other examples."""
    found: dict[str, list[Demo]] = {}
    for path, labelled in labeled_demos(program, examples).items():
        own = [demos[path] for demos in kept if path in demos]
        used = {example_of(demo) for demo in own}
        found[path] = [*own, *(demo for demo in labelled if example_of(demo) not in used)][:most]
    return found


def labeled_rows(program: Module, examples: Sequence[Example]) -> dict[str, dict[str, Demo]]:
    """Demonstrations from labels by example, each with one for every predictor that its labels are for."""
    found: dict[str, dict[str, Demo]] = {}
    for path, demos in labeled_demos(program, examples).items():
        for demo in demos:
            found.setdefault(example_of(demo), {})[path] = demo
    return found


def labels_for(study: Study) -> list[str]:
    """Those of them that the training data have labelled demonstrations for."""
    labeled = labeled_demos(study.program, study.train)
    return [path for path in free_demos(study) if labeled[path]]


def changes_for(program: Module, demos: Demos, locked: Callable[[str], bool] | None = None) -> dict[str, Any]:
    """The parameter changes that show these demonstrations.

    Those that a person wrote into the program stay in front; those of an earlier compile are replaced. Predictors for
    which there are none stay as they are, and so do those whose demonstrations are `locked` (`study.locked`).
    """
    changes: dict[str, Any] = {}
    for path, part in predictors_of(program).items():
        name = demos_at(path)
        if demos.get(path) and not (locked and locked(name)):
            changes[name] = (*_by_hand(part), *demos[path])
    return changes


def changes_to_rows(study: Study, rows: Sequence[Mapping[str, Demo]]) -> dict[str, Any]:
    """The parameter changes that show these rows, each one example for all predictors, and no others but those that a
    person wrote."""
    parts = predictors_of(study.program)
    return {
        demos_at(path): (*_by_hand(parts[path]), *(row[path] for row in rows if path in row))
        for path in free_demos(study)
    }


def _by_hand(part: Predict[..., Any]) -> list[Demo]:
    return [demo for demo in part.demos if not example_of(demo)]
