"""The study: runs, remembers, races and counts, so that an optimizer only has to propose."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any, Literal

from outlast.data.example import Example, id_of
from outlast.errors import ArtifactError, BudgetExceeded, OutlastError, SearchStopped, UsageError, brief
from outlast.lms.protocol import LM
from outlast.messages import canonical
from outlast.modules.module import Module
from outlast.modules.paths import parameters, predictors_of, update
from outlast.modules.state import difference, dump_changes, with_strategies
from outlast.optimize.advisor import Advisor
from outlast.optimize.budget import Purse
from outlast.optimize.candidate import Candidate, Outcome, Step
from outlast.optimize.deadline import Deadline
from outlast.optimize.experience import Experience
from outlast.optimize.ledger import Ledger
from outlast.optimize.locks import Locks
from outlast.optimize.memory import Memory
from outlast.optimize.race import Tally, race, shrunken_gain
from outlast.optimize.reserve import Reserve
from outlast.optimize.rollout import HOPELESS, Rolled, Roller, steps_from_json
from outlast.optimize.screen import change_lines, interval_of, success_counts
from outlast.optimize.standing import Point, Progress
from outlast.optimize.vectors import Item, Vector, items_of, vector_of
from outlast.runtime import Budget, running
from outlast.tracing.identity import program_hash

__all__ = ["Point", "Progress", "Study"]

_TELL_EVERY = 0.1  # seconds
_IN_A_ROW = 20  # failures without a success between them
_AT_LEAST = 10  # failures before their share counts


class Study:
    """One search: the start program, the data in its parts, the metric, the ledger and the budget.

    For optimizers: `program`, `start`, `train` (for demonstrations and feedback), `select` (for ranking), `propose`,
    `evaluate`, `race`, `leader`, `steps` and `rng`. Results are remembered by content; asking for one again costs
    nothing. LM modules that write proposals are asked through `ask`.
    """

    def __init__(
        self,
        program: Module,
        metric: Callable[..., Any],
        *,
        train: Sequence[Example],
        select: Sequence[Example],
        ledger: Ledger,
        purse: Purse | None = None,
        confirm: int = 0,
        expected: int = 0,
        fills: bool = False,
        seed: int = 0,
        concurrency: int = 32,
        proposer: LM | None = None,
        proposer_purse: Purse | None = None,
        max_error_rate: float = 0.2,
        listener: Callable[[Progress], None] | None = None,
        lock: Sequence[str] = (),
    ) -> None:
        self.program = program
        self.metric = metric
        self.train = tuple(train)
        self.select = tuple(select)
        self.ledger = ledger
        self.purse = purse or Purse(Budget())
        self._planned, self._fills = expected, fills  # rollouts of search and proof; a budget replaces that number
        self.seed = seed
        self.max_error_rate = max_error_rate
        self.listener = listener
        self.locks = Locks.on(program, lock)
        self.phase = "search"
        self.alive = 1
        self.known = ledger.count("reply")
        self.points: list[Point] = []
        self.start = Candidate("start", {}, "", "the program as it is")
        self.candidates: dict[str, Candidate] = {"start": self.start}
        self.reserve = Reserve(confirm, concurrency)
        self.deadline = Deadline(self.purse)
        self.memory = Memory(ledger, self.purse)
        paid = proposer_purse or self.purse
        self.advisor = Advisor(ledger, paid, lm=proposer, own=proposer_purse is not None, adapter=None)
        self._programs: dict[str, Module] = {"start": program}
        self._rollers: dict[str, Roller] = {}
        self._outcomes = {(o.candidate, o.example, o.sample): o for o in ledger.rollouts()}
        self._pending: dict[tuple[str, str, int], asyncio.Future[Outcome]] = {}
        self._gate = asyncio.Semaphore(concurrency)
        self._examples = {id_of(example): example for example in (*self.train, *self.select)}
        self._places = {
            name: {id_of(example): number for number, example in enumerate(part)}
            for name, part in (("select", self.select), ("train", self.train))
        }
        self.experience = Experience(concurrency)
        self.accepted: list[Candidate] = []
        self.rejected: list[Candidate] = []
        self.derived: dict[str, Any] = {}  # what operators made of the data, for the next one; can be made anew
        self._tallies: dict[str, Tally] = {}
        self._train_tallies: dict[str, Tally] = {}
        self._dropped: set[str] = set()
        self._used: set[tuple[str, str, int]] = set()
        self._outcomes_by: dict[str, list[Outcome]] = {}  # of what is used, by candidate
        self._calls = 0
        self._asked = 0
        self._failures: list[str] = []
        self._marked: Candidate | None = None
        self._told = 0.0
        self._note = ""
        self._shown: tuple[str, tuple[str, ...]] = ("", ())
        self.notes: dict[str, Any] = {}
        self._in_a_row = 0
        self._last_failure: BaseException | None = None
        self._metric_failed = False
        self._stop: BaseException | None = None
        ledger.add_candidate(self.start, {})
        ledger.add_examples("train", self.train)
        ledger.add_examples("select", self.select)

    @property
    def calls(self) -> int:
        """Calls that the results of this search cost from scratch, whenever and by whichever run they were paid."""
        return self._calls

    @property
    def rollouts(self) -> int:
        """Rollouts that this search has used so far, known ones included."""
        return len(self._used)

    @property
    def outcomes(self) -> list[Outcome]:
        """All rollouts that this search has used so far, in no order."""
        return [self._outcomes[key] for key in self._used]

    @property
    def last_failure(self) -> BaseException | None:
        """The newest exception that was no fault of a candidate."""
        return self._last_failure

    @property
    def metric_failed(self) -> bool:
        """Whether the newest of these exceptions is one of the metric."""
        return self._metric_failed

    @property
    def failures(self) -> int:
        """Rollouts that failed for no fault of their candidate, in this run."""
        return len(self._failures)

    @property
    def expected(self) -> int:
        """The most rollouts that search and proof take: what was planned, or what the budget pays for at the cost of
        rollouts so far; of time every run has its own, so that it does not count."""
        limits = self.purse.limits
        paid = self._affords(
            lambda name: math.inf if name == "seconds" else (limits[name] or 0) - self.purse.used(name)
        )
        if math.isinf(paid):  # no rollout yet, or no limit
            calls = limits["calls"]
            return self._planned if calls is None or not self._fills else int(calls)
        paid = self.rollouts + max(0, int(paid))
        return paid if self._fills else min(self._planned, paid)

    def expected_calls(self) -> int | None:
        """The most calls that search and proof take, from what rollouts took so far; None before the first."""
        each, limit = self.reserve.calls_each(), self.purse.limits["calls"]
        if not each:
            return None
        most = round(self.purse.used("calls") + each * (self.expected - self.rollouts))
        return most if limit is None else min(most, int(limit))

    def rng(self, name: str) -> Random:
        """A random generator that depends only on the study's seed and the name."""
        return Random(f"{self.seed}/{name}")

    @property
    def tunable(self) -> tuple[str, ...]:
        """The parameters of the start program that candidates may change; locked ones and models are not among them."""
        return self.locks.tunable(self.program)

    def locked(self, path: str) -> bool:
        """Whether a parameter path is locked, by itself or by a prefix: then no candidate may change it."""
        return self.locks.holds(path)

    def propose(
        self,
        changes: Mapping[str, Any],
        *,
        origin: str,
        parent: Candidate | None = None,
        operator: str = "",
        cause: Sequence[str] = (),
    ) -> Candidate:
        """A candidate: its parent (the start program when None) with these parameters changed. Makes no LM call.

        `origin` says in words how it came about, `operator` names what made it, and `cause` holds the ids of the
        examples whose failures caused it; they explain it later and do not change what it is.

        Equal results are one candidate, however they came about; the first origin is kept, and a change that changes
        nothing gives the start. Raises `PathError` or `UsageError` for changes that the program cannot take (whole
        parts among them) or that touch a locked path. A model stands in the ledger and in files by its name.
        """
        base = self.start if parent is None else parent
        program = self._changed(self.build(base), changes)
        whole = difference(self.program, program, models=True)
        data = _held(program, whole)
        return self._admit(program, data, Candidate("", whole, base.id, origin, operator, tuple(cause)))

    def check(self, changes: Mapping[str, Any]) -> None:
        """Raise what `propose` would for these changes of the start program, and propose nothing."""
        self._changed(self.program, changes)

    def _changed(self, before: Module, changes: Mapping[str, Any]) -> Module:
        """A program with changes that a candidate may have."""
        known = parameters(with_strategies(before, changes))
        for path in changes:
            if path not in known:
                update(before, changes)  # says what is wrong with the path
                raise UsageError(f"a candidate changes parameters; {path!r} is a part. Parameters: {', '.join(known)}.")
        program = update(before, changes)
        self.locks.check(before, changes, program)
        values = parameters(program)
        _held(program, {path: values[path] for path in changes})
        return program

    def adopt(self, program: Module, *, origin: str) -> Candidate:
        """A candidate from another program with modules at the same paths, such as a teacher with its own model.

        It is for `evaluate` and `steps` only: it is never the winner. Makes no LM call.
        """
        own = predictors_of(program) if isinstance(program, Module) else {}
        if not any(path in own for path in predictors_of(self.program)):
            raise UsageError(
                f"a teacher is a program with modules at the paths of the student's "
                f"({', '.join(map(repr, predictors_of(self.program)))}); got {brief(program)}"
            )
        models = {path: part.lm.identity for path, part in own.items() if part.lm is not None}
        data = {"program": type(program).__name__, "hash": program_hash(program), "models": models}
        return self._admit(program, data, Candidate("", {}, "start", origin))

    def _admit(self, program: Module, data: dict[str, Any], made: Candidate) -> Candidate:
        if not data:
            return self.start
        key = hashlib.blake2b(canonical(data), digest_size=6).hexdigest()
        known = self.candidates.get(key)
        if known is not None:
            return known
        candidate = replace(made, id=key)
        self.candidates[key] = candidate
        self._programs[key] = program
        self.ledger.add_candidate(candidate, data)
        return candidate

    def build(self, candidate: Candidate) -> Module:
        """The program of a candidate. Raises `UsageError` when it was not proposed to this study."""
        program = self._programs.get(candidate.id)
        if program is None:
            raise UsageError(f"candidate {candidate.id!r} was not proposed to this study; use propose(...)")
        return program

    def steps(self, outcome: Outcome) -> list[Step]:
        """What each module did in a rollout, in order, as values of the start program's signatures."""
        return steps_from_json(self.program, self.ledger.trace(outcome.candidate, outcome.example, outcome.sample))

    async def evaluate(self, candidate: Candidate, examples: Sequence[Example], *, sample: int = 0) -> list[Outcome]:
        """Run a candidate on examples and score it; outcomes in the order of the examples.

        `sample` numbers independent draws of a stochastic model; the same number is the same draw. Cost: one rollout
        for each example that the ledger does not have. Raises `BudgetExceeded` when the budget ends before all are
        done, `SearchStopped` when most rollouts fail for reasons that no prompt can mend, and at once what every
        further call would raise too (a refused key, an empty account); what was done is kept. What still runs when
        the time of the budget ends is given up.
        """
        self.build(candidate)
        jobs = [self._outcome(candidate, example, sample) for example in examples]
        results = await asyncio.gather(*jobs, return_exceptions=True)
        failure = next((result for result in results if isinstance(result, BaseException)), None)
        if failure is not None:
            raise failure
        return [result for result in results if isinstance(result, Outcome)]

    async def ask(self, module: Module, /, *, sample: int = 0, **inputs: Any) -> Any:
        """What an LM module that writes proposals answers to these inputs; None when it is nothing that can be used.

        It is asked with the proposer's model (the program's when none was given) and paid from the proposer's purse;
        replies are remembered like all others. `sample` numbers independent draws. A reply that cannot be read costs
        its call and nothing else, and once a purse of its own is empty every answer is None. Raises `BudgetExceeded`
        when the common budget ends, and `SearchStopped` when proposals keep failing for other reasons.
        Cost: the calls of the module, and its re-asks.
        """
        async with self.deadline.within():
            return await self.advisor.ask(module, sample, inputs)

    async def race(self, entries: Sequence[Candidate], *, behind: float = 2.0) -> list[Candidate]:
        """Rank candidates, best first, on the selection examples, dropping clear losers early; see `race.race`."""
        return await race(self, entries, behind=behind)

    def leader(self) -> Candidate:
        """The candidate that looks best so far on the selection examples; the start when none looks better.

        Ranked by the paired gain over the start, shrunk by ten examples' worth of no gain. Those that were dropped, and
        those whose proof the rest of the budget cannot pay, do not count.
        """
        base = self.tally(self.start).values
        every = [value for tally in self._tallies.values() for value in tally.values.values()]
        pooled = math.fsum(every) / len(every) if every else 0.0
        best, most = self.start, 0.0
        for key, tally in self._tallies.items():
            candidate = self.candidates[key]
            if key not in self._dropped and _may_win(candidate) and self._can_prove(candidate):
                gain = shrunken_gain(tally, base, pooled)
                if gain > most or (gain == most > 0 and self._earlier(candidate, best)):
                    best, most = candidate, gain
        return best

    def _earlier(self, one: Candidate, other: Candidate) -> bool:
        order = list(self.candidates)
        return order.index(one.id) < order.index(other.id)

    def _can_prove(self, candidate: Candidate) -> bool:
        """Whether the budget still pays for the confirmation of a candidate."""
        need = self.reserve.need(candidate.id)
        return all(self.purse.limits[name] is None or self.purse.free(name) >= need[name] for name in need)

    def tally(self, candidate: Candidate, part: Literal["select", "train"] = "select") -> Tally:
        """The values of a candidate on the selection (or training) examples, as far as it was run on them."""
        return (self._tallies if part == "select" else self._train_tallies).get(candidate.id) or Tally()

    def outcomes_of(self, candidate: Candidate, part: Literal["select", "train"]) -> list[Outcome]:
        """The outcomes that this search has used of a candidate on a part of the data, in the order of the data."""
        place = self._places[part]
        found = [outcome for outcome in self._outcomes_by.get(candidate.id, ()) if outcome.example in place]
        return sorted(found, key=lambda outcome: (place[outcome.example], outcome.sample))

    def judged(self, candidate: Candidate, *, accepted: bool) -> None:
        """Note what a search made of a candidate: it is built on, or was given up. Proposers learn from both."""
        if accepted and candidate in self.rejected:
            self.rejected.remove(candidate)
        some = self.accepted if accepted else self.rejected
        if candidate not in some and candidate not in self.accepted:
            some.append(candidate)

    @property
    def full(self) -> float:
        """The score of an example that nothing is missing from; see `Experience`."""
        return self.experience.full

    @property
    def spread(self) -> float:
        """How far scores lie apart at most; see `Experience`."""
        return self.experience.spread

    def affordable(self) -> float:
        """How many more rollouts the search can pay for, by what they have cost so far; infinite without a limit.

        Time does not count, of which every run has its own: run again, a search plans as it did before.
        """
        return self._affords(lambda name: math.inf if name == "seconds" else self.purse.left(name))

    def share(self, part: float) -> float:
        """How many rollouts this part of the whole budget pays for; infinite without a limit."""
        return self._affords(lambda name: part * (self.purse.limits[name] or 0))

    def spare(self, winner: Candidate) -> float:
        """How many rollouts can be paid beyond the proof of this candidate; infinite without a limit."""
        need = self.reserve.need(winner.id)
        return max(0.0, self._affords(lambda name: self.purse.free(name) - need.get(name, 0.0)))

    def _affords(self, amount: Callable[[str], float]) -> float:
        return self.experience.affords(lambda name: None if self.purse.limits[name] is None else amount(name))

    @staticmethod
    def key_of(example: Example) -> str:
        """The id of an example."""
        return id_of(example)

    def contenders(self) -> list[Candidate]:
        """The start and all that may still win: ranked, not dropped, and proven within what is left of the budget."""
        ranked = [self.candidates[key] for key in self._tallies if key != "start" and key not in self._dropped]
        return [self.start, *(one for one in ranked if _may_win(one) and self._can_prove(one))]

    def items(self, candidate: Candidate) -> dict[str, Item]:
        """Score and costs of a candidate on each selection example that it was run on, by the example's id."""
        return items_of(self.outcomes_of(candidate, "select"))

    def vector(self, candidate: Candidate) -> Vector:
        """Score, dollars, seconds and tokens of a rollout of a candidate, over the selection examples it was run on."""
        return vector_of(self.items(candidate), priced=not self.ledger.unpriced(candidate.id))

    def knows(self, key: str) -> bool:
        """Whether a training or selection example has this id."""
        return key in self._examples

    def example(self, key: str) -> Example:
        """A training or selection example by its id. Raises `UsageError` for another one."""
        found = self._examples.get(key)
        if found is None:
            raise UsageError(f"no training or selection example has the id {key!r}")
        return found

    def drop(self, candidates: Sequence[Candidate]) -> None:
        """These cannot win any more."""
        for candidate in candidates:
            self._dropped.add(candidate.id)
            self.reserve.drop(candidate.id)

    def mark(self, leader: Candidate) -> None:
        """Note where the search stands, for the curve of score against calls."""
        tally = self.tally(leader)
        point = Point(self.calls, self.rollouts, leader.id, tally.mean, len(tally.values))
        self.points.append(point)
        self.ledger.add_event("point", point.to_json())
        self._marked = leader
        self.tell(now=True)

    def tell(self, *, now: bool = False) -> None:
        """Tell the listener where the search stands; ten times a second at most unless `now`."""
        clock = time.monotonic()
        if self.listener is None or (clock - self._told < _TELL_EVERY and not now):
            return
        self._told = clock
        self.listener(self._progress())

    def _progress(self) -> Progress:
        leader = self._marked
        best = self.tally(leader) if leader is not None else Tally()
        start = self.tally(self.start)
        ends = interval_of(best.values)
        return Progress(
            phase=self.phase,
            rollouts=self.rollouts,
            expected=self.expected,
            expected_calls=self.expected_calls(),
            candidates=len(self.candidates) - 1,
            alive=self.alive,
            leader=leader.id if leader is not None else "",
            score=best.mean if best.values else None,
            start_score=start.mean if start.values else None,
            meter=self.purse,
            known=self.known,
            curve=tuple(point.score for point in self.points),
            low=ends[0] if ends else None,
            high=ends[1] if ends else None,
            proposing=self.advisor.purse if self.advisor.purse is not self.purse else None,
            best_origin=leader.origin if leader is not None else "",
            best_diff=self._best_diff(leader),
            operators=success_counts(list(self.candidates.values()), self.accepted),
            note=self._note,
        )

    def _best_diff(self, leader: Candidate | None) -> tuple[str, ...]:
        """What differs in the leader, made once for each."""
        if leader is None or leader == self.start:
            return ()
        if self._shown[0] != leader.id:
            self._shown = (leader.id, tuple(change_lines(self.program, self.build(leader))))
        return self._shown[1]

    def note(self, text: str = "", **facts: Any) -> None:
        """What the search wants told: `text` to those who watch, `facts` (JSON-ready) in the record under "notes"."""
        if text:
            self._note = text
            self.tell(now=True)
        self.notes.update(facts)

    @contextmanager
    def stage(self, phase: str) -> Generator[None]:
        """A phase of the compile, in which LM calls are remembered and paid from the purse."""
        self.phase = phase
        if isinstance(self._stop, BudgetExceeded):
            self._stop = None
        self._hold_back()
        self.tell(now=True)
        with running(memo=self.memory.recording(), meter=None, root=None, trace=None, sample=0):
            yield

    def close(self) -> None:
        """End what still runs for this study; it asks no model any more."""
        self.memory.closed = self.advisor.memory.closed = True
        for roller in self._rollers.values():
            roller.close()

    async def _outcome(self, candidate: Candidate, example: Example, sample: int) -> Outcome:
        key = (candidate.id, id_of(example), sample)
        known = self._outcomes.get(key)
        if known is not None:
            if key not in self._used:
                self.purse.begin_rollout()
                for reply, response in self.ledger.replies([r for r in known.replies if not self.purse.knows(r)]):
                    self.purse.charge(reply, response)
                self._count(key, known)
            return known
        pending = self._pending.get(key)
        if pending is not None:
            return await asyncio.shield(pending)
        self.deadline.check()
        self.purse.begin_rollout()  # before anything is awaited: which ones begin is the same in every run
        future = self._pending[key] = asyncio.get_running_loop().create_future()
        try:
            async with self.deadline.within(), self._gate:
                if self._stop is not None:
                    raise self._stop
                outcome = await self._run(key, candidate, example)
            future.set_result(outcome)
            return outcome
        except BaseException as error:
            future.set_exception(error if isinstance(error, Exception) else OutlastError("interrupted"))
            future.exception()  # nobody else may be waiting for it
            raise
        finally:
            del self._pending[key]

    async def _run(self, key: tuple[str, str, int], candidate: Candidate, example: Example) -> Outcome:
        roller = self._rollers.get(candidate.id)
        if roller is None:
            roller = Roller(self._programs[candidate.id], self.metric, self.memory, candidate.id)
            self._rollers[candidate.id] = roller
        began = time.monotonic()
        rolled = await roller.roll(example, key[2])
        if self.ledger.failure is not None:
            self._stop = self.ledger.failure
            raise self._stop
        self._asked += 1
        if rolled.failure is not None:
            self._fail(rolled, rolled.failure)
            return rolled.outcome  # not written: the next run of this search tries it again
        self._in_a_row = 0
        outcome = self.ledger.add_rollout(
            rolled.outcome, parts=rolled.parts, outputs=rolled.outputs, trace=rolled.steps
        )
        self._outcomes[key] = outcome
        self._count(key, outcome, time.monotonic() - began)
        return outcome

    def _count(self, key: tuple[str, str, int], outcome: Outcome, took: float = 0.0) -> None:
        """Take a result into account that this run of the search had not used yet; `took` is its time, when it ran."""
        self._used.add(key)
        self._outcomes_by.setdefault(outcome.candidate, []).append(outcome)
        self._calls += outcome.calls
        self.experience.add(outcome)
        for name, tallies in (("select", self._tallies), ("train", self._train_tallies)):
            if outcome.example in self._places[name]:
                tallies.setdefault(outcome.candidate, Tally()).add(outcome)
        candidate = self.candidates.get(outcome.candidate)
        if candidate is not None and outcome.candidate not in self._dropped and _may_win(candidate):
            self.reserve.add(outcome, took)
            self._hold_back()
        self.tell()

    def _hold_back(self) -> None:
        """Keep the price of the proof from the search, and from nothing else."""
        if self.purse.budget != Budget():
            self.purse.hold(**(self.reserve.amounts() if self.phase == "search" else {}))
            self.deadline.moved()

    def _fail(self, rolled: Rolled, failure: BaseException) -> None:
        """Count a failure that is not the candidate's fault; too many end the search with their cause."""
        if isinstance(failure, HOPELESS):
            self._stop = self._stop or failure
            raise failure
        self._in_a_row += 1
        self._last_failure, self._metric_failed = failure, rolled.in_metric
        self._failures.append(rolled.outcome.error)
        self.ledger.add_event("failure", {"example": rolled.outcome.example, "error": rolled.outcome.error})
        count = len(self._failures)
        if self._in_a_row >= _IN_A_ROW or (count >= _AT_LEAST and count > self.max_error_rate * self._asked):
            self._stop = self._stop or SearchStopped(
                f"{count} of {self._asked} rollouts failed for reasons that no prompt can mend; the last"
                f"{', in the metric' if rolled.in_metric else ''}: "
                f"{rolled.outcome.error.rstrip('.')}. {self.ledger.after_failure}"
            )
            raise self._stop from failure


def _held(program: Module, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes as a file holds them; raises `UsageError` for what none can hold."""
    try:
        return dump_changes(program, changes, models=True)
    except ArtifactError as error:
        raise UsageError(f"this change cannot be a candidate: {error}") from error


def _may_win(candidate: Candidate) -> bool:
    """Not so a teacher that was adopted: it is no change of the start program."""
    return candidate.id == "start" or bool(candidate.changes)
