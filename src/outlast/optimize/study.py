"""The study: runs, remembers, races and counts, so that an optimizer only has to propose."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from outlast.data.example import Example, as_json, id_of
from outlast.errors import (
    AnswerError,
    BudgetExceeded,
    LMAuthError,
    LMQuotaError,
    OutlastError,
    UsageError,
    brief,
)
from outlast.messages import canonical
from outlast.modules.module import Module
from outlast.modules.paths import update
from outlast.modules.state import difference, dump_changes
from outlast.optimize.candidate import Candidate, Outcome, Step
from outlast.optimize.ledger import Ledger, Remembered
from outlast.optimize.rollout import Rolled, roll, steps_from_json
from outlast.runtime import Meter, running

FATAL = (BudgetExceeded, LMAuthError, LMQuotaError, UsageError)


@dataclass(frozen=True, slots=True)
class Point:
    """Where a search stood: calls and rollouts so far, the leader, its mean on `n` selection examples."""

    calls: int
    rollouts: int
    leader: str
    score: float
    n: int

    def to_json(self) -> dict[str, Any]:
        """By name."""
        return {
            "calls": self.calls,
            "rollouts": self.rollouts,
            "leader": self.leader,
            "score": self.score,
            "n": self.n,
        }


@dataclass(slots=True)
class Progress:
    """What a listener is told: the phase, where the search stands, what it cost so far."""

    phase: str
    rollouts: int
    candidates: int
    alive: int
    leader: str
    score: float | None
    start_score: float | None
    meter: Meter


@dataclass(slots=True)
class _Tally:
    """Values of one candidate by example."""

    values: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def mean(self) -> float:
        return math.fsum(self.values.values()) / len(self.values) if self.values else 0.0


class Study:
    """One search: the start program, the data in its parts, the metric, the ledger and the budget.

    For optimizers: `program`, `start`, `train` (for demonstrations and feedback), `select` (for ranking), `propose`,
    `evaluate`, `race`, `steps` and `rng`. Results are remembered by content; asking for one again costs nothing.
    """

    def __init__(
        self,
        program: Module,
        metric: Callable[..., Any],
        *,
        train: Sequence[Example],
        select: Sequence[Example],
        ledger: Ledger,
        meter: Meter,
        seed: int = 0,
        concurrency: int = 32,
        max_error_rate: float = 0.2,
        listener: Callable[[Progress], None] | None = None,
    ) -> None:
        self.program = program
        self.metric = metric
        self.train = tuple(train)
        self.select = tuple(select)
        self.ledger = ledger
        self.meter = meter
        self.seed = seed
        self.max_error_rate = max_error_rate
        self.listener = listener
        self.start = Candidate("start", {}, "", "the program as it is")
        self.candidates: dict[str, Candidate] = {"start": self.start}
        self.phase = "search"
        self.points: list[Point] = []
        self._programs: dict[str, Module] = {"start": program}
        self._outcomes = {(o.candidate, o.example, o.sample): o for o in ledger.rollouts()}
        self._pending: dict[tuple[str, str, int], asyncio.Future[Outcome]] = {}
        self._gate = asyncio.Semaphore(concurrency)
        self._alive = 1
        self._tallies: dict[str, _Tally] = {}
        self._asked = 0
        self._used: dict[tuple[str, str, int], int] = {}
        self._failed: list[str] = []
        self._first_failure: BaseException | None = None
        ledger.add_candidate("start", "", self.start.origin, {})
        for part, examples in (("train", self.train), ("select", self.select)):
            self.keep_examples(part, examples)

    @property
    def calls(self) -> int:
        """Calls that the results of this search took, whenever and by whichever run they were paid."""
        return sum(self._used.values())

    @property
    def rollouts(self) -> int:
        """Rollouts that this search has used so far."""
        return len(self._used)

    def keep_examples(self, part: str, examples: Sequence[Example]) -> None:
        """Write the examples of a part of the data to the ledger."""
        for example in examples:
            data = as_json(example)
            self.ledger.add_example(id_of(example), part, data["inputs"], data["targets"])

    def rng(self, name: str) -> Random:
        """A random generator that depends only on the study's seed and the name."""
        return Random(f"{self.seed}/{name}")

    def propose(self, changes: Mapping[str, Any], *, origin: str, parent: Candidate | None = None) -> Candidate:
        """A candidate: the start program with these parameters changed. Raises when the change is not valid.

        Equal changes give the same candidate; the first origin is kept. Makes no LM call.
        """
        program = update(self.program, changes)
        data = dump_changes(program, changes)
        if not data or program == self.program:
            return self.start
        key = hashlib.blake2b(canonical(data), digest_size=6).hexdigest()
        known = self.candidates.get(key)
        if known is not None:
            return known
        candidate = Candidate(key, dict(changes), parent.id if parent else "", origin)
        self.candidates[key] = candidate
        self._programs[key] = program
        self.ledger.add_candidate(key, candidate.parent, origin, data)
        return candidate

    def adopt(self, program: Module, *, origin: str) -> Candidate:
        """A candidate from another program with the same paths, such as a teacher."""
        if type(program) is not type(self.program):
            raise UsageError(f"a teacher is a program of the same kind; got {brief(program)}")
        return self.propose(difference(self.program, program), origin=origin)

    def build(self, candidate: Candidate) -> Module:
        """The program of a candidate."""
        return self._programs[candidate.id]

    def steps(self, outcome: Outcome) -> list[Step]:
        """What each module did in a rollout."""
        data = self.ledger.trace(outcome.candidate, outcome.example, outcome.sample)
        return steps_from_json(self.program, data)

    async def evaluate(self, candidate: Candidate, examples: Sequence[Example], *, sample: int = 0) -> list[Outcome]:
        """Run a candidate on examples and score it; outcomes in the order of the examples.

        `sample` numbers independent draws of a stochastic model. Cost: one rollout for each example that the ledger
        does not have. Raises `BudgetExceeded` when the budget ends before all are done; what was done is kept.
        """
        jobs = [self._outcome(candidate, example, sample) for example in examples]
        results = await asyncio.gather(*jobs, return_exceptions=True)
        failure = next((r for r in results if isinstance(r, BaseException)), None)
        if failure is not None:
            raise failure
        return [result for result in results if isinstance(result, Outcome)]

    async def race(self, field: Sequence[Candidate], *, block: int = 10, drop_below: float = 0.1) -> list[Candidate]:
        """Rank candidates, best first, on the selection examples without running all of them everywhere.

        All that are alive run on the next block of shared examples; one whose chance of being at least as good as
        the leader (normal approximation of the paired difference) falls under `drop_below` is dropped. Those that
        reached the end come first, ordered by their mean; of equals the earlier one wins.
        """
        examples = list(self.select)
        self.rng("race").shuffle(examples)
        alive = list(dict.fromkeys(field))
        dropped: list[Candidate] = []
        for begin in range(0, len(examples), block):
            part = examples[begin : begin + block]
            self._alive = len(alive)
            outcomes = await asyncio.gather(
                *(self.evaluate(candidate, part) for candidate in alive), return_exceptions=True
            )
            for candidate, found in zip(alive, outcomes, strict=True):
                if not isinstance(found, BaseException):
                    self._count(candidate, found)
            failure = next((found for found in outcomes if isinstance(found, BaseException)), None)
            if failure is not None:
                raise failure
            leader = self._leader_of(alive)
            self._mark(leader)
            if begin >= block:
                losers = [c for c in alive if c is not leader and self._chance(c, leader) < drop_below]
                dropped = [*sorted(losers, key=self._rank), *dropped]
                alive = [c for c in alive if c not in losers]
            if len(alive) == 1:
                break
        return [*sorted(alive, key=self._rank), *dropped]

    def leader(self) -> Candidate:
        """The candidate that looks best so far, means shrunk towards the start's by ten examples' worth."""
        start = self._tallies.get("start")
        if start is None or not start.values:
            return self.start
        prior = start.mean

        def shrunk(key: str) -> float:
            values = self._tallies[key].values
            return (math.fsum(values.values()) + 10 * prior) / (len(values) + 10)

        best = max(self._tallies, key=lambda key: (shrunk(key), key == "start"))
        return self.candidates[best] if shrunk(best) > prior else self.start

    def _count(self, candidate: Candidate, outcomes: Sequence[Outcome]) -> None:
        tally = self._tallies.setdefault(candidate.id, _Tally())
        for outcome in outcomes:
            if outcome.value is not None:
                tally.values[outcome.example] = outcome.value

    def _leader_of(self, alive: Sequence[Candidate]) -> Candidate:
        return min(alive, key=self._rank)

    def _rank(self, candidate: Candidate) -> float:
        tally = self._tallies.get(candidate.id)
        return -tally.mean if tally else 0.0

    def _chance(self, candidate: Candidate, leader: Candidate) -> float:
        """The probability that a candidate is at least as good as the leader on what both were run on."""
        ours, theirs = self._tallies[candidate.id].values, self._tallies[leader.id].values
        differences = [ours[key] - theirs[key] for key in ours if key in theirs]
        n = len(differences)
        if n < 2:
            return 1.0
        mean = math.fsum(differences) / n
        # One imaginary pair each way keeps the spread from being 0 on a handful of examples.
        spread = (math.fsum((d - mean) ** 2 for d in differences) + 0.5) / (n - 1)
        return 0.5 * math.erfc(-mean / math.sqrt(2 * spread / n))

    def _mark(self, leader: Candidate) -> None:
        tally = self._tallies[leader.id]
        point = Point(self.calls, self.rollouts, leader.id, tally.mean, len(tally.values))
        self.points.append(point)
        self.ledger.add_event("point", point.to_json())
        self._tell(leader)

    def _tell(self, leader: Candidate | None = None) -> None:
        if self.listener is None:
            return
        best = self._tallies.get(leader.id) if leader else None
        start = self._tallies.get("start")
        self.listener(
            Progress(
                self.phase,
                self.rollouts,
                len(self.candidates) - 1,
                self._alive,
                leader.id if leader else "",
                best.mean if best else None,
                start.mean if start and start.values else None,
                self.meter,
            )
        )

    async def _outcome(self, candidate: Candidate, example: Example, sample: int) -> Outcome:
        key = (candidate.id, id_of(example), sample)
        known = self._outcomes.get(key)
        if known is not None:
            self._used[key] = known.calls
            return known
        pending = self._pending.get(key)
        if pending is not None:
            return await asyncio.shield(pending)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._pending[key] = future
        try:
            async with self._gate:
                outcome = await self._run(candidate, example, sample)
            future.set_result(outcome)
            return outcome
        except BaseException as error:
            future.set_exception(error)
            future.exception()  # nobody else may be waiting for it
            raise
        finally:
            del self._pending[key]

    async def _run(self, candidate: Candidate, example: Example, sample: int) -> Outcome:
        program = self._programs[candidate.id]
        with running(memo=lambda lm: Remembered(lm, self.ledger), meter=self.meter, sample=sample, root=None):
            rolled = await roll(program, example, self.metric, candidate.id, sample)
        self._asked += 1
        if rolled.failure is not None and not isinstance(rolled.failure, AnswerError):
            self._note_failure(rolled)
            return rolled.outcome  # not written: the next run of this search tries it again
        self.ledger.add_rollout(rolled.outcome, rolled.spending.to_json(), rolled.parts, rolled.outputs, rolled.steps)
        key = (candidate.id, rolled.outcome.example, sample)
        self._outcomes[key] = rolled.outcome
        self._used[key] = rolled.outcome.calls
        if self.listener is not None and self.rollouts % 25 == 0:
            self._tell()
        return rolled.outcome

    def _note_failure(self, rolled: Rolled) -> None:
        """Count a failure that is not the candidate's fault; too many end the search with their cause."""
        failure = rolled.failure
        if isinstance(failure, FATAL):
            raise failure
        self._first_failure = self._first_failure or failure
        self._failed.append(rolled.outcome.error)
        self.ledger.add_event("failure", {"example": rolled.outcome.example, "error": rolled.outcome.error})
        if len(self._failed) >= 10 and len(self._failed) > self.max_error_rate * self._asked:
            raise OutlastError(
                f"{len(self._failed)} of {self._asked} rollouts failed for reasons that no prompt can mend; the first: "
                f"{self._failed[0]}. What is done is kept; mend the cause and run the same search again to go on."
            ) from self._first_failure
