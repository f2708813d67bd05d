"""One run: an optimizer of ours on one world of the gym with one budget, scored by what the world knows exactly."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from outlast.cli.benching.metered import Metered
from outlast.cli.benching.optimizers import optimizer_of
from outlast.cli.benching.records import Key, Record

if TYPE_CHECKING:
    from outlast.data.dataset import Dataset
    from outlast.optimize.compile import Compiled


@dataclass(frozen=True, slots=True)
class Job:
    """What to run. `strength` is that of the simulated proposer (None: the world's own); it may be called `proposals`
    times, a tenth of the student's calls unless said."""

    method: str
    world: str
    seed: int
    budget: int
    strength: float | None = None
    proposals: int | None = None

    @property
    def key(self) -> Key:
        """Which run this is."""
        return Key(self.method, self.world, self.seed, self.budget)


def run_job(job: Job) -> Record:
    """Compile the start program of the world within the budget and score what is shipped.

    The data are train and val of the world together, which the compile splits itself; the budget pays search and proof
    alike. Cost: at most `budget` x calls of a rollout.
    """
    import outlast as ol
    from outlast.testing import gym

    world: Any = gym.world(job.world, seed=job.seed)
    student = Metered(world.lm())
    proposer = Metered(world.reflector() if job.strength is None else world.reflector(strength=job.strength))
    start, compiling = world.program(), ol.compile  # loads the optimizers, which is no rollout's work
    wall, cpu = time.perf_counter(), time.process_time()
    compiled = compiling(
        start,
        data_of(world),
        world.metric,
        optimizer=optimizer_of(job.method),
        budget=ol.Budget(calls=job.budget * world.calls),
        proposer=proposer,
        proposer_budget=ol.Budget(calls=job.proposals or max(1, job.budget * world.calls // 10)),
        lm=student,
        seed=job.seed,
        study=False,
        progress=False,
    )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rollouts = student.calls / world.calls
    return Record(
        job.method,
        job.world,
        job.seed,
        job.budget,
        true=world.expected(compiled.program),
        found=world.expected(compiled.winner),
        reported=claim(compiled),
        start=world.expected(start),
        best=float(world.best()),
        verdict=compiled.report.verdict.word,
        rollouts=rollouts,
        proposer_calls=proposer.calls,
        dollars=student.dollars + proposer.dollars,
        seconds=wall,
        cpu_ms=1000 * (cpu - student.cpu - proposer.cpu) / max(1, compiled.report.rollouts),
        stopped=bool(compiled.report.stopped),
        about={"outlast": ol.__version__, "candidates": compiled.report.candidates, "ranked": compiled.report.ranked},
    )


def data_of(world: Any) -> Dataset | dict[str, list[Any]]:
    """Train and val of a world together, as a user has them.

    Where training labels are partly wrong, val alone ranks and proves, in two halves: peers score on it alone too.
    """
    from outlast.data.dataset import Dataset

    train, val = list(world.parts()["train"]), list(world.parts()["val"])
    if not world.mislabelled:
        return Dataset([*train, *val])
    half = len(val) // 2
    return {"train": train, "select": val[:half], "confirm": val[half:]}


def claim(compiled: Compiled[Any]) -> float | None:
    """What a report says of the program that was shipped: its score in the proof, None when there was no proof."""
    verdict = compiled.report.verdict
    proof = verdict.winner if verdict.better else verdict.start
    return None if proof is None else proof.value
