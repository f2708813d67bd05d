"""DSPy's optimizers on a world: how each is called, and what it had as best when its rollouts were used up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import dspy
from benchmarks.peers import settings
from benchmarks.peers.dspy_world import GymLM, examples_of, metric_of, program_of, told_metric_of
from benchmarks.peers.meter import OutOfRollouts, Proposer, Student
from dspy.utils.callback import BaseCallback


@dataclass
class Bench:
    """What a peer is run with. `seed` is that of the world and of the peer."""

    world: Any
    seed: int
    budget: int
    student: Student
    proposer: Proposer

    @property
    def predictors(self) -> int:
        """How many predictors the program has."""
        return len(self.world.steps)

    def data(self, val: int) -> tuple[list[Any], list[Any]]:
        """Training examples and that many validation examples."""
        parts = self.world.parts()
        return examples_of(parts["train"]), examples_of(settings.subset(parts["val"], val, self.seed))


@dataclass
class Found:
    """A peer's result: its program, the score that it claims (0 to 1), and how it was set."""

    program: Any
    claimed: float | None
    options: dict[str, Any] = field(default_factory=dict[str, Any])


class Evaluations(BaseCallback):
    """The best program that was scored on all `size` examples: what DSPy's optimizers have as best at any time.

    The first of equals, as theirs.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.best: tuple[float, Any] | None = None
        self._running: dict[str, tuple[Any, int]] = {}

    def on_evaluate_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Remember what is scored; it may change before the score is there."""
        examples = inputs.get("devset") or instance.devset
        self._running[call_id] = (inputs["program"].deepcopy(), len(examples))

    def on_evaluate_end(self, call_id: str, outputs: Any, exception: Any = None) -> None:
        """Take the score of a whole evaluation into account."""
        program, size = self._running.pop(call_id)
        if exception is None and outputs is not None and size >= self.size:
            value = float(outputs.score) / 100
            if self.best is None or value > self.best[0]:
                self.best = (value, program)


def _with_best(bench: Bench, size: int, options: dict[str, Any], compile: Callable[[], Any]) -> Found:
    """Run an optimizer that scores candidates on `size` examples by DSPy's `Evaluate`; its best so far when it must
    stop."""
    watch = Evaluations(size)
    with dspy.context(callbacks=[watch]):
        try:
            program = compile()
        except OutOfRollouts:
            program = None
    if program is None:
        if watch.best is None:
            return Found(program_of(bench.world), None, options)
        return Found(watch.best[1], watch.best[0], options)
    claimed = getattr(program, "score", None)
    if claimed is None and getattr(program, "candidate_programs", None):
        claimed = program.candidate_programs[0]["score"]
    return Found(program, None if claimed is None else float(claimed) / 100, options)


def random_search(bench: Bench) -> Found:
    """`BootstrapFewShotWithRandomSearch` with the 4 and 4 demonstrations of DSPy's guide (by default up to 16 labelled
    ones, which did far worse on dev seeds); candidates until the budget ends."""
    size = settings.val_size(bench.budget)
    train, val = bench.data(size)
    options = {"max_bootstrapped_demos": 4, "max_labeled_demos": 4, "num_candidate_programs": 200}
    optimizer = dspy.BootstrapFewShotWithRandomSearch(metric=metric_of(bench.world), num_threads=1, **options)
    return _with_best(
        bench,
        len(val),
        {**options, "val": size},
        lambda: optimizer.compile(program_of(bench.world), trainset=train, valset=val),
    )


def mipro(bench: Bench) -> Found:
    """`MIPROv2` with demonstrations, the number of candidates of its presets, and trials for the budget."""
    options = settings.mipro(bench.budget, bench.predictors, 100)
    train, val = bench.data(options.val)
    optimizer = dspy.MIPROv2(
        metric=metric_of(bench.world),
        auto=None,
        num_candidates=options.candidates,
        prompt_model=GymLM(bench.proposer),
        task_model=dspy.settings.lm,
        num_threads=1,
        seed=bench.seed + 1,  # it takes 0 for none
    )
    return _with_best(
        bench,
        len(val),
        settings.told(options),
        lambda: optimizer.compile(
            program_of(bench.world),
            trainset=train,
            valset=val,
            num_trials=2 * options.trials,  # combinations come again, for nothing; the budget ends it
            minibatch_size=options.minibatch,
            minibatch_full_eval_steps=settings.FULL_EVERY,
        ),
    )


def copro(bench: Bench) -> Found:
    """`COPRO` on as many training examples as the budget pays for its candidates."""
    options = settings.copro(bench.budget, bench.predictors, 150)
    train = examples_of(settings.subset(bench.world.parts()["train"], options.train, bench.seed))
    optimizer = dspy.COPRO(
        prompt_model=GymLM(bench.proposer),
        metric=metric_of(bench.world),
        breadth=options.breadth,
        depth=options.depth,
    )
    return _with_best(
        bench,
        len(train),
        settings.told(options),
        lambda: optimizer.compile(
            program_of(bench.world), trainset=train, eval_kwargs={"num_threads": 1, "display_progress": False}
        ),
    )


def simba(bench: Bench) -> Found:
    """`SIMBA` on train and val together, which it does not tell apart; steps for the budget."""
    parts = bench.world.parts()
    rows = [*parts["train"], *parts["val"]]
    options = settings.simba(bench.budget, len(rows))
    train = examples_of(settings.subset(rows, options.train, bench.seed))
    optimizer = dspy.SIMBA(
        metric=told_metric_of(bench.world),
        bsize=options.bsize,
        num_candidates=options.num_candidates,
        max_steps=options.max_steps,
        prompt_model=GymLM(bench.proposer),
        num_threads=1,
    )
    try:
        program = optimizer.compile(program_of(bench.world), trainset=train, seed=bench.seed)
    except OutOfRollouts as stop:
        program, claimed = _simbas_best(stop)
        return Found(program, claimed, settings.told(options))
    return Found(program, float(program.candidate_programs[0]["score"]), settings.told(options))


def _simbas_best(stop: BaseException) -> tuple[Any, float | None]:
    """The program with the best mean over its batches, by which SIMBA itself ranks, from where it was stopped."""
    trace = stop.__traceback__
    while trace is not None:
        known = trace.tb_frame.f_locals
        if trace.tb_frame.f_code.co_name == "compile" and "program_scores" in known:
            means = {at: sum(some) / len(some) for at, some in known["program_scores"].items() if some}
            if not means:
                return known["programs"][0], None
            best = max(means, key=lambda at: means[at])
            return next(one for one in known["programs"] if one.simba_idx == best), means[best]
        trace = trace.tb_next
    raise RuntimeError("SIMBA was stopped outside its compile")


def dspy_gepa(bench: Bench) -> Found:
    """DSPy's `GEPA` with its defaults (minibatches of 3, Pareto parents, merging)."""
    from benchmarks.peers.gepa_peer import Watch

    size = settings.val_size(bench.budget)
    train, val = bench.data(size)
    watch = Watch(bench.student, bench.world.calls)
    program = program_of(bench.world)
    optimizer = dspy.GEPA(
        metric=told_metric_of(bench.world),
        max_metric_calls=10 * bench.budget,  # the watch ends it when the rollouts that were paid for are used up
        reflection_lm=GymLM(bench.proposer),
        num_threads=1,
        track_stats=True,
        seed=bench.seed,
        gepa_kwargs={"stop_callbacks": [watch], "callbacks": [watch]},
    )
    try:
        found = optimizer.compile(program, trainset=train, valset=val)
    except OutOfRollouts:
        found = _with_instructions(program, watch.best)
    if watch.failure is not None:
        raise watch.failure
    return Found(found, watch.claimed, {"val": size, "reflection_minibatch_size": 3, "use_merge": True})


def _with_instructions(program: Any, texts: dict[str, str] | None) -> Any:
    found = program.deepcopy()
    for name, part in found.named_predictors():
        if texts and name in texts:
            part.signature = part.signature.with_instructions(texts[name])
    return found
