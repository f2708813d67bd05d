"""`TextGrad`: criticism of the final answers, passed back through the modules of a program to their instructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from outlast.modules.module import Module
from outlast.modules.predict import Predict
from outlast.optimize.candidate import Candidate, Outcome, Step
from outlast.optimize.episodes import episode, told_step, verdict_of
from outlast.optimize.proposers import ApplyCriticism, CriticizeStep
from outlast.optimize.protocol import Optimizer, must_have
from outlast.optimize.study import Study
from outlast.optimize.texts import (
    about_text,
    instruction_at,
    minibatch,
    module_of,
    proposer_modules,
    text_in,
    text_of,
    texts,
    together,
    whole_numbers,
)

_RIGHT = "The final answer was right; nothing needs to change."
_TELLING = 4  # characters from which a text is known again inside another


@dataclass(frozen=True, slots=True)
class TextGrad(Optimizer):
    """Textual gradient descent: `steps` times, rewrite all texts by what was criticised on `batch` training examples.

    The metric's words about each final answer go back through the trace: a proposer criticises the answer of each
    module, the last first, and is told what was said of the modules that used that answer; those that nobody used are
    judged by the metric. What was said of a module, over the batch, is what its instruction is rewritten by. The new
    program is run on all selection examples and kept unless it does worse. `criticize` is any module that takes the
    inputs of `CriticizeStep`, `apply` one that takes those of `ApplyCriticism`.
    Cost: for each step one criticism for each module and each example that is not right, one proposal for each text,
    `batch` rollouts, and a pass over the selection examples.
    Source: Yuksekgonul et al. 2024 (TextGrad, arXiv 2406.07496), with the reversion of worse prompts of its section 3.
    """

    steps: int = 12
    batch: int = 3
    criticize: Module = field(default_factory=lambda: Predict(CriticizeStep))
    apply: Module = field(default_factory=lambda: Predict(ApplyCriticism))

    def __post_init__(self) -> None:
        whole_numbers(self, steps=1, batch=1)
        proposer_modules(self, criticize=CriticizeStep, apply=ApplyCriticism)

    def rollouts(self, train: int, select: int) -> int:
        """The start and every step."""
        return (1 + self.steps) * select + self.steps * min(self.batch, train)

    def check(self, study: Study) -> None:
        """Raise `UsageError` when no text may change."""
        must_have(self, study, "texts", texts(study))

    async def search(self, study: Study) -> Candidate:
        """The program after the last step that was kept."""
        paths = texts(study)
        if not paths or not study.train:
            return study.start
        now = study.start
        await study.evaluate(now, study.select)
        for step in range(self.steps):
            outcomes = await study.evaluate(now, minibatch(study, step, self.batch))
            wrong = [outcome for outcome in outcomes if outcome.value is not None and outcome.value < study.full]
            if not wrong:
                continue
            said = await together(self._backward(study, now, outcome, step) for outcome in wrong)
            changes = await self._rewritten(study, now, paths, said, len(outcomes) - len(wrong), step)
            cause = [outcome.example for outcome in wrong]
            made = study.propose(
                changes, origin=f"criticism of step {step}", parent=now, operator="textgrad", cause=cause
            )
            if made != now:
                await study.evaluate(made, study.select)
                kept = study.tally(made).mean >= study.tally(now).mean
                study.judged(made, accepted=kept)
                now = made if kept else now
                study.mark(now)
        return now

    async def _backward(
        self, study: Study, now: Candidate, outcome: Outcome, number: int
    ) -> dict[str | None, list[str]]:
        """What is criticised in one rollout, by the path of the module; under None what holds for all of it."""
        steps = study.steps(outcome)
        verdict = verdict_of(study, outcome)
        found: dict[str | None, list[str]] = {None: []}
        said: dict[int, str] = {}
        for at in reversed(range(len(steps))):
            users = [said[later] for later in users_of(steps, at) if later in said]
            instruction = instruction_at(steps[at].path)
            answer = await study.ask(
                self.criticize,
                sample=number,
                module=about_text(study, instruction),
                instruction=text_of(study, now, instruction),
                step=told_step(steps[at]),
                verdict="\n\n".join(users) if users else verdict,
            )
            if text := text_in(answer, "criticism"):
                said[at] = f"Of module {steps[at].path or '(the program)'}: {text}"
                found.setdefault(steps[at].path, []).append(f"{told_step(steps[at])}\nCriticism: {text}")
        # what is no instruction of a module had a part in everything
        found[None] = [f"{episode(study, outcome)}\n{said.get(len(steps) - 1, '')}".strip()]
        return found

    async def _rewritten(
        self,
        study: Study,
        now: Candidate,
        paths: Sequence[str],
        said: Sequence[Mapping[str | None, Sequence[str]]],
        right: int,
        number: int,
    ) -> dict[str, str]:
        """The texts as the proposer rewrote them; those that nothing was said about stay."""
        criticised: dict[str, list[str]] = {}
        for path in paths:
            words = [text for one in said for text in one.get(module_of(study, path), ())]
            if words:
                criticised[path] = [*words, *[_RIGHT] * right]
        answers: Sequence[Any] = await together(
            study.ask(
                self.apply,
                sample=number,
                module=about_text(study, path),
                instruction=text_of(study, now, path),
                criticism="\n\n".join(words),
            )
            for path, words in criticised.items()
        )
        found = {path: text_in(answer, "improved") for path, answer in zip(criticised, answers, strict=True)}
        return {path: text for path, text in found.items() if text}


def users_of(steps: Sequence[Step], at: int) -> list[int]:
    """The later steps of a rollout that were given something that this one answered.

    A value counts when it stands under the same name, or when it is text that an input holds.
    """
    answered = {name: value for name, value in steps[at].values.items() if value not in (None, "")}
    return [later for later in range(at + 1, len(steps)) if _uses(steps[later].inputs, answered)]


def _uses(given: Mapping[str, Any], answered: Mapping[str, Any]) -> bool:
    if any(name in given and given[name] == value for name, value in answered.items()):
        return True
    words = "\n".join(str(value) for value in given.values())
    return any(isinstance(value, str) and len(value) >= _TELLING and value in words for value in answered.values())
