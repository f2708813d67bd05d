"""The `gepa` package driven directly: our program behind its adapter interface, the gym's models on both sides."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.peers import settings
from benchmarks.peers.meter import OutOfRollouts, Proposer, Student, ask
from gepa import EvaluationBatch, optimize

from outlast.errors import OutlastError
from outlast.modules.paths import parameters, predictors_of, update
from outlast.runtime import running


class Watch:
    """Stops GEPA when the rollouts are used up, and remembers its best candidate by validation score."""

    def __init__(self, student: Student, calls: int) -> None:
        self.student = student
        self.calls = calls
        self.best: dict[str, str] | None = None
        self.claimed: float | None = None
        self.failure: Exception | None = None

    def __call__(self, state: Any) -> bool:
        return self.student.left < self.calls or self.failure is not None

    def on_error(self, event: Any) -> None:
        """GEPA goes on after errors of an adapter; here they are errors of ours."""
        self.failure = event["exception"]

    def on_valset_evaluated(self, event: Any) -> None:
        """A candidate was scored on the whole validation set."""
        score = float(event["average_score"])
        if self.claimed is None or score > self.claimed:
            self.best, self.claimed = dict(event["candidate"]), score


class OutlastAdapter:
    """A program of ours as GEPA's system: a component for each instruction, traces with the metric's feedback."""

    propose_new_texts = None  # GEPA's own proposer

    def __init__(self, world: Any, student: Student) -> None:
        self.world = world
        self.student = student
        self.program = world.program()

    def built(self, candidate: Mapping[str, str]) -> Any:
        """The program with these instructions."""
        return update(self.program, dict(candidate))

    def evaluate(self, batch: list[Any], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        """Run the program on a batch."""
        program = self.built(candidate)
        outputs: list[Any] = []
        scores: list[float] = []
        traces: list[dict[str, Any]] = []
        for example in batch:
            output, score, trace = self._rollout(program, example)
            outputs.append(output)
            scores.append(score)
            traces.append(trace)
        return EvaluationBatch(outputs=outputs, scores=scores, trajectories=traces if capture_traces else None)

    def _rollout(self, program: Any, example: Any) -> tuple[Any, float, dict[str, Any]]:
        said: Any = None
        try:
            with running(lm=self.student):
                said = program(**dict(example.inputs))
            score = self.world.metric(example, said)
            value, feedback = float(score.value), score.feedback
        except OutlastError as error:
            value, feedback = 0.0, f"The reply could not be read: {error}"
        return said, value, {"example": example, "said": said, "feedback": feedback}

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Inputs, outputs and feedback of the step that a component belongs to."""
        found: dict[str, list[dict[str, Any]]] = {}
        for component in components_to_update:
            path = component.removesuffix("instruction").rstrip(".")
            found[component] = [self._record(path, one) for one in eval_batch.trajectories]
        return found

    def _record(self, path: str, trace: dict[str, Any]) -> dict[str, Any]:
        part = predictors_of(self.program)[path]
        inputs, said = trace["example"].inputs, trace["said"]

        def value(name: str) -> str:
            return str(inputs[name] if name in inputs else getattr(said, name, "(nothing)"))

        given = {name: value(name) for name in part.signature.inputs}
        outputs = {name: value(name) for name in part.signature.outputs}
        return {"Inputs": given, "Generated Outputs": outputs, "Feedback": trace["feedback"]}


class _Quiet:
    def log(self, message: str) -> None:
        """GEPA tells much."""


def run(world: Any, seed: int, budget: int, student: Student, proposer: Proposer) -> tuple[Any, float | None, Any]:
    """GEPA with its defaults; gives the program, the claimed score and the options."""
    size = settings.val_size(budget)
    parts = world.parts()
    adapter, watch = OutlastAdapter(world, student), Watch(student, world.calls)
    texts = {path: str(text) for path, text in parameters(adapter.program).items() if path.endswith("instruction")}
    with contextlib.suppress(OutOfRollouts):
        optimize(
            seed_candidate=texts,
            trainset=list(parts["train"]),
            valset=settings.subset(parts["val"], size, seed),
            adapter=adapter,  # type: ignore[arg-type]
            reflection_lm=lambda prompt: ask(proposer, [("user", prompt)]),
            max_metric_calls=10 * budget,  # the watch ends it when the rollouts that were paid for are used up
            stop_callbacks=[watch],
            callbacks=[watch],  # type: ignore[list-item]
            logger=_Quiet(),
            seed=seed,
        )
    if watch.failure is not None:
        raise watch.failure
    return adapter.built(watch.best or texts), watch.claimed, {"val": size, "reflection_minibatch_size": 3}
