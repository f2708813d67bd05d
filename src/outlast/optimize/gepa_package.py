"""`GepaPackage`: the `gepa` package itself as an optimizer of a study."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

from outlast.data.example import Example, inputs_of, targets_of
from outlast.errors import UsageError
from outlast.lms.protocol import send
from outlast.messages import Request, user
from outlast.modules.module import Module
from outlast.modules.settings import chosen_lm
from outlast.optimize.candidate import Candidate, Outcome
from outlast.optimize.gepa_adapter import batch_of, components_of, feedback_of, package, record
from outlast.optimize.protocol import Optimizer, must_have
from outlast.optimize.study import Study
from outlast.optimize.texts import instruction_at, texts, whole_numbers
from outlast.runtime import current, in_thread
from outlast.runtime.driving import wait

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GepaPackage(Optimizer):
    """Run `gepa.optimize` of the package as it is, on the texts of the program; the study runs, counts and remembers.

    `most` is its `max_metric_calls`; `minibatch`, `merge` and `selection` are its `reflection_minibatch_size`,
    `use_merge` and `candidate_selection_strategy`. Reflection is asked of the study's proposer in the package's own
    words. Its metric calls are more than our rollouts, since a known result costs nothing here and counts there; run
    again, it goes the same way for nothing. Its winner has the best mean on the selection examples, and is proven like
    any other. Needs `outlast[gepa]`. `GEPA` is our own engine after the same paper.
    Cost: up to `most` rollouts and those of one more iteration, and one proposal for each iteration.
    Source: Agrawal et al. 2025 (arXiv 2507.19457), package gepa 0.1.4.
    """

    most: int = 1000
    minibatch: int = 3
    merge: bool = True
    selection: Literal["pareto", "current_best", "epsilon_greedy", "top_k_pareto"] = "pareto"

    def __post_init__(self) -> None:
        whole_numbers(self, most=1, minibatch=1)
        known = ("pareto", "current_best", "epsilon_greedy", "top_k_pareto")
        if self.selection not in known:
            raise UsageError(f"GepaPackage(selection=...) is one of {', '.join(known)}; got {self.selection!r}")

    def rollouts(self, train: int, select: int) -> int:
        """The package looks at its limit between iterations only."""
        return self.most + 2 * self.minibatch + 2 * select

    def check(self, study: Study) -> None:
        """Raise `UsageError` when no text may change."""
        must_have(self, study, "texts", texts(study))

    async def search(self, study: Study) -> Candidate:
        """The candidate with the best mean score."""
        gepa = package()
        bridge = _Bridge(study)
        result = await in_thread(
            lambda: gepa.optimize(
                seed_candidate=dict(bridge.seed),
                trainset=list(study.train),
                valset=list(study.select),
                adapter=bridge,
                reflection_lm=bridge.reflect,
                candidate_selection_strategy=self.selection,
                reflection_minibatch_size=self.minibatch,
                use_merge=self.merge,
                max_metric_calls=self.most,
                stop_callbacks=[bridge.failed],
                logger=_Silent(),
                seed=study.seed,
                raise_on_exception=False,  # a rejected proposal must not end the search; what must is in `failure`
                display_progress_bar=False,
                track_best_outputs=False,
            )
        )
        if bridge.failure is not None:
            raise bridge.failure
        best = bridge.candidate(cast("Mapping[str, str]", result.best_candidate))
        study.mark(best)
        return best


class _NoProposalError(Exception):
    """The proposer gave nothing; the package goes on with its next iteration."""


class _Silent:
    def log(self, message: str) -> None:
        """Say nothing."""


class _Ask(Module):
    """Asks the model in the words of the package."""

    async def forward(self, prompt: str) -> str:
        run = current()
        request = Request((user(prompt),), sample=run.sample, label=run.label)
        return (await send(chosen_lm(None, run), request)).text


class _Bridge:
    """The adapter that the package calls from its thread; everything is done on the loop of the study."""

    propose_new_texts = None

    def __init__(self, study: Study) -> None:
        self.seed = components_of(study.program, study.locks.paths)
        self.failure: BaseException | None = None
        self._study = study
        self._ask = _Ask()
        self._asked: dict[str, int] = {}
        self._known: dict[tuple[str, ...], Candidate] = {}
        self._reflected: tuple[Mapping[str, str], tuple[str, ...]] = ({}, ())
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()

    def evaluate(self, batch: Sequence[Example], candidate: Mapping[str, str], capture_traces: bool = False) -> Any:
        """Run a candidate through the study."""
        made = self.candidate(candidate)
        outcomes = self._wait(lambda: self._study.evaluate(made, batch))
        scores = [outcome.value or 0.0 for outcome in outcomes]
        return batch_of(outcomes, scores, outcomes if capture_traces else None)

    def make_reflective_dataset(
        self, candidate: Mapping[str, str], eval_batch: Any, components_to_update: Sequence[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """What each component did in these rollouts."""
        outcomes = cast("Sequence[Outcome]", eval_batch.trajectories or ())
        failed = tuple(outcome.example for outcome in outcomes if (outcome.value or 0.0) < self._study.full)
        self._reflected = (dict(candidate), failed)
        return {name: [self._record(outcome, name) for outcome in outcomes] for name in components_to_update}

    def failed(self, state: Any) -> bool:
        """Whether the package has to stop."""
        return self.failure is not None

    def reflect(self, prompt: Any) -> str:
        """What the proposer writes."""
        text = prompt if isinstance(prompt, str) else str(prompt)
        sample = self._asked[text] = self._asked.get(text, -1) + 1
        answer = self._wait(lambda: self._study.ask(self._ask, sample=sample, prompt=text))
        if not isinstance(answer, str) or not answer.strip():
            raise _NoProposalError("the proposer gave nothing")
        return answer

    def candidate(self, texts: Mapping[str, str]) -> Candidate:
        """Our candidate for one of the package."""
        key = tuple(texts[name] for name in self.seed)
        if key not in self._known:
            self._known[key] = self._propose(texts)
        return self._known[key]

    def _propose(self, texts: Mapping[str, str]) -> Candidate:
        """One is a child of that whose rollouts were reflected on last, unless it differs elsewhere too: then it was
        merged from several, and stands beside the start."""
        study = self._study
        parent, cause = study.start, ()
        before, failed = self._reflected
        changed = [name for name in self.seed if texts[name] != before.get(name)]
        if before and len(changed) == 1:
            parent, cause = self.candidate(before), failed
        changes = {name: text for name, text in texts.items() if text != self.seed[name] or parent != study.start}
        origin = f"gepa wrote {', '.join(changed)}" if cause else "gepa merged " + ", ".join(changes)
        return study.propose(changes, origin=origin, parent=parent, operator="gepa", cause=cause)

    def _record(self, outcome: Outcome, component: str) -> dict[str, Any]:
        study = self._study
        example = study.example(outcome.example)
        found = [step for step in study.steps(outcome) if instruction_at(step.path) == component]
        steps = [(step.inputs, step.values) for step in found]
        gave = study.ledger.outputs(outcome.candidate, outcome.example, outcome.sample)
        feedback = feedback_of(outcome.score, outcome.feedback, outcome.error, targets_of(example))
        return record(steps or [(inputs_of(example), gave)], feedback)

    def _wait(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do it on the study's loop and wait in the package's thread. What ends the search is kept: the package would
        only log it."""
        if self.failure is not None:
            raise self.failure
        future = self._context.copy().run(asyncio.run_coroutine_threadsafe, make(), self._loop)
        try:
            return wait(future)
        except Exception as error:
            self.failure = error
            raise
