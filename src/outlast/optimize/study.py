"""The study: what a search proposes to, runs through and is judged by, so that an optimizer only has to propose."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, Literal

from outlast.data.example import Example, id_of
from outlast.lms.protocol import LM
from outlast.modules.module import Module
from outlast.optimize.advisor import Advisor
from outlast.optimize.budget import Purse
from outlast.optimize.candidate import Candidate, Outcome, Step
from outlast.optimize.candidates import Candidates
from outlast.optimize.failures import Failures
from outlast.optimize.ledger import Ledger
from outlast.optimize.locks import Locks
from outlast.optimize.memory import Memory
from outlast.optimize.plan import Plan
from outlast.optimize.race import Tally, race
from outlast.optimize.results import Results
from outlast.optimize.rollout import steps_from_json
from outlast.optimize.runner import Runner
from outlast.optimize.standing import Point, Progress, Standing
from outlast.optimize.vectors import Item, Vector, vector_of
from outlast.runtime import Budget, running

__all__ = ["Point", "Progress", "Study"]


class Study:
    """One search: the start program, the data in its parts, the metric, the ledger and the budget.

    For optimizers: `program`, `start`, `train` (for demonstrations and feedback), `select` (for ranking), `propose`,
    `evaluate`, `race`, `leader`, `steps` and `rng`. Results are remembered by content; asking for one again costs
    nothing. LM modules that write proposals are asked through `ask`.

    It is made of parts with one task each: `Candidates` makes and builds them, the `runner` runs them and resumes, the
    `results` are what came of it, the `plan` knows what the budget still pays for, the `advisor` asks proposers, the
    `standing` is what is told of it all. `derived` is for operators: what they made of the data, for the next one; it
    can be made anew.
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
        self.train, self.select = tuple(train), tuple(select)
        self.ledger = ledger
        self.purse = purse or Purse(Budget())
        self.seed = seed
        self.locks = Locks.on(program, lock)
        self.phase = "search"
        self.alive = 1
        self.known = ledger.count("reply")
        self._candidates = Candidates(program, self.locks, ledger)
        self.start, self.candidates = self._candidates.start, self._candidates.known
        self.plan = Plan(self.purse, most=expected, fills=fills, proof=confirm, concurrency=concurrency)
        self.results = Results(self.train, self.select)
        self.failures = Failures(ledger, max_error_rate)
        self.memory = Memory(ledger, self.purse)
        self._runner = Runner(
            metric, self.memory, self.plan.deadline, self.failures, concurrency=concurrency, count=self._count
        )
        paid = proposer_purse or self.purse
        self.advisor = Advisor(ledger, paid, lm=proposer, own=proposer_purse is not None, adapter=None)
        self.standing = Standing(self, listener)
        self.accepted: list[Candidate] = []
        self.rejected: list[Candidate] = []
        self.derived: dict[str, Any] = {}
        self.notes: dict[str, Any] = {}
        ledger.add_examples("train", self.train)
        ledger.add_examples("select", self.select)

    @property
    def calls(self) -> int:
        """Calls that the results of this search cost from scratch, whenever and by whichever run they were paid."""
        return self.results.calls

    @property
    def rollouts(self) -> int:
        """Rollouts that this search has used so far, known ones included."""
        return len(self.results.outcomes)

    @property
    def outcomes(self) -> list[Outcome]:
        """All rollouts that this search has used so far, in no order."""
        return list(self.results.outcomes)

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
        return self._candidates.propose(changes, origin=origin, parent=parent, operator=operator, cause=cause)

    def check(self, changes: Mapping[str, Any]) -> None:
        """Raise what `propose` would for these changes of the start program, and propose nothing."""
        self._candidates.check(changes)

    def adopt(self, program: Module, *, origin: str) -> Candidate:
        """A candidate from another program with modules at the same paths, such as a teacher with its own model.

        It is for `evaluate` and `steps` only: it is never the winner. Makes no LM call.
        """
        return self._candidates.adopt(program, origin=origin)

    def build(self, candidate: Candidate) -> Module:
        """The program of a candidate. Raises `UsageError` when it was not proposed to this study."""
        return self._candidates.build(candidate)

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
        return await self._runner.run(candidate, self.build(candidate), examples, sample)

    async def ask(self, module: Module, /, *, sample: int = 0, **inputs: Any) -> Any:
        """What an LM module that writes proposals answers to these inputs; None when it is nothing that can be used.

        It is asked with the proposer's model (the program's when none was given) and paid from the proposer's purse;
        replies are remembered like all others. `sample` numbers independent draws. A reply that cannot be read costs
        its call and nothing else, and once a purse of its own is empty every answer is None. Raises `BudgetExceeded`
        when the common budget ends, and `SearchStopped` when proposals keep failing for other reasons.
        Cost: the calls of the module, and its re-asks.
        """
        async with self.plan.deadline.within():
            return await self.advisor.ask(module, sample, inputs)

    async def race(self, entries: Sequence[Candidate], *, behind: float = 2.0) -> list[Candidate]:
        """Rank candidates, best first, on the selection examples, dropping clear losers early; see `race.race`."""
        return await race(self, entries, behind=behind)

    def leader(self) -> Candidate:
        """The candidate that looks best so far on the selection examples; the start when none looks better.

        Ranked by the paired gain over the start, shrunk by ten examples' worth of no gain. Those that were dropped, and
        those whose proof the rest of the budget cannot pay, do not count.
        """
        return self.results.leader(list(self.candidates.values()), self.plan.proves)

    def contenders(self) -> list[Candidate]:
        """The start and all that may still win: ranked, not dropped, and proven within what is left of the budget."""
        ranked = self.results.contenders(self.candidates.values(), self.plan.proves)
        return [self.start, *(one for one in ranked if one != self.start)]

    def drop(self, candidates: Sequence[Candidate]) -> None:
        """These cannot win any more."""
        for candidate in candidates:
            self.results.drop(candidate)
            self.plan.reserve.drop(candidate.id)

    def judged(self, candidate: Candidate, *, accepted: bool) -> None:
        """Note what a search made of a candidate: it is built on, or was given up. Proposers learn from both."""
        if accepted and candidate in self.rejected:
            self.rejected.remove(candidate)
        some = self.accepted if accepted else self.rejected
        if candidate not in some and candidate not in self.accepted:
            some.append(candidate)

    def tally(self, candidate: Candidate, part: Literal["select", "train"] = "select") -> Tally:
        """The values of a candidate on the selection (or training) examples, as far as it was run on them."""
        return self.results.tally(candidate, part)

    def outcomes_of(self, candidate: Candidate, part: Literal["select", "train"]) -> list[Outcome]:
        """The outcomes that this search has used of a candidate on a part of the data, in the order of the data."""
        return self.results.outcomes_of(candidate, part)

    def items(self, candidate: Candidate) -> dict[str, Item]:
        """Score and costs of a candidate on each selection example that it was run on, by the example's id."""
        return self.results.items(candidate)

    def vector(self, candidate: Candidate) -> Vector:
        """Score, dollars, seconds and tokens of a rollout of a candidate, over the selection examples it was run on."""
        return vector_of(self.items(candidate), priced=not self.ledger.unpriced(candidate.id))

    @property
    def full(self) -> float:
        """The score of an example that nothing is missing from; see `Experience`."""
        return self.plan.experience.full

    @property
    def spread(self) -> float:
        """How far scores lie apart at most; see `Experience`."""
        return self.plan.experience.spread

    def affordable(self) -> float:
        """How many more rollouts the search can pay for beside the proof; infinite without a limit. See `Plan`."""
        return self.plan.affordable()

    @staticmethod
    def key_of(example: Example) -> str:
        """The id of an example."""
        return id_of(example)

    def knows(self, key: str) -> bool:
        """Whether a training or selection example has this id."""
        return self.results.knows(key)

    def example(self, key: str) -> Example:
        """A training or selection example by its id. Raises `UsageError` for another one."""
        return self.results.example(key)

    def mark(self, leader: Candidate) -> None:
        """Note where the search stands, for the curve of score against calls."""
        self.standing.mark(leader)

    def note(self, text: str = "", **facts: Any) -> None:
        """What the search wants told: `text` to those who watch, `facts` (JSON-ready) in the record under "notes"."""
        if text:
            self.standing.note(text)
        self.notes.update(facts)

    @contextmanager
    def stage(self, phase: str) -> Generator[None]:
        """A phase of the compile, in which LM calls are remembered and paid from the purse."""
        self.phase = phase
        self.failures.begin_stage()
        self.plan.begin_stage(search=phase == "search")
        self.standing.tell(now=True)
        with running(memo=self.memory.recording(), meter=None, root=None, trace=None, sample=0):
            yield

    def close(self) -> None:
        """End what still runs for this study; it asks no model any more."""
        self.memory.closed = self.advisor.memory.closed = True
        self._runner.close()

    def _count(self, outcome: Outcome, took: float) -> None:
        """Take a result into account that this run of the search had not used yet."""
        self.results.add(outcome)
        self.plan.learn(outcome, took, wins=self.results.in_race(self.candidates[outcome.candidate]))
        self.standing.tell()
