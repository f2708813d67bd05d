"""Runs candidates on examples, each once: what is known is used again, what is in flight is waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from outlast.data.example import Example, id_of
from outlast.errors import OutlastError
from outlast.modules.module import Module
from outlast.optimize.candidate import Candidate, Outcome
from outlast.optimize.deadline import Deadline
from outlast.optimize.failures import Failures
from outlast.optimize.memory import Memory
from outlast.optimize.rollout import Roller

Key = tuple[str, str, int]  # candidate, example, sample


class Runner:
    """Runs up to `concurrency` rollouts at once, and writes each into the ledger.

    Rollouts that the ledger has are what makes a search resume: they are used as if they had just run, and what their
    replies cost is charged the first time. `count` is told of each one that this search uses, once, with the seconds
    that it took here (0 when it was known). Those that failed for no fault of a candidate are given back and not kept,
    so that the next run of the search tries them again.
    """

    def __init__(
        self,
        metric: Callable[..., Any],
        memory: Memory,
        deadline: Deadline,
        failures: Failures,
        *,
        concurrency: int,
        count: Callable[[Outcome, float], None],
    ) -> None:
        self._metric = metric
        self._memory = memory
        self._ledger, self._purse = memory.ledger, memory.purse
        self._deadline = deadline
        self._failures = failures
        self._told = count
        self._known: dict[Key, Outcome] = {(o.candidate, o.example, o.sample): o for o in self._ledger.rollouts()}
        self._used: set[Key] = set()
        self._pending: dict[Key, asyncio.Future[Outcome]] = {}
        self._rollers: dict[str, Roller] = {}
        self._gate = asyncio.Semaphore(concurrency)

    async def run(
        self, candidate: Candidate, program: Module, examples: Sequence[Example], sample: int
    ) -> list[Outcome]:
        """The outcomes of a candidate in the order of the examples; see `Study.evaluate`.

        All are waited for even when one fails, so that nothing that was paid for is lost.
        """
        jobs = [self._one(candidate, program, example, sample) for example in examples]
        results = await asyncio.gather(*jobs, return_exceptions=True)
        failure = next((result for result in results if isinstance(result, BaseException)), None)
        if failure is not None:
            raise failure
        return [result for result in results if isinstance(result, Outcome)]

    def close(self) -> None:
        """Let the threads of blocking metrics end."""
        for roller in self._rollers.values():
            roller.close()

    async def _one(self, candidate: Candidate, program: Module, example: Example, sample: int) -> Outcome:
        key = (candidate.id, id_of(example), sample)
        known = self._known.get(key)
        if known is not None:
            self._use_again(key, known)
            return known
        pending = self._pending.get(key)
        if pending is not None:
            return await asyncio.shield(pending)
        self._deadline.check()
        self._purse.begin_rollout()  # before anything is awaited: which ones begin is the same in every run
        future = self._pending[key] = asyncio.get_running_loop().create_future()
        try:
            async with self._deadline.within(), self._gate:
                self._failures.refuse_further()
                outcome = await self._roll(key, program, example)
            future.set_result(outcome)
            return outcome
        except BaseException as error:
            future.set_exception(error if isinstance(error, Exception) else OutlastError("interrupted"))
            future.exception()  # nobody else may be waiting for it
            raise
        finally:
            del self._pending[key]

    def _use_again(self, key: Key, known: Outcome) -> None:
        """Count a result that the ledger had, the first time that this run of the search uses it."""
        if key in self._used:
            return
        self._purse.begin_rollout()
        for reply, response in self._ledger.replies([one for one in known.replies if not self._purse.knows(one)]):
            self._purse.charge(reply, response)
        self._count(key, known, 0.0)

    async def _roll(self, key: Key, program: Module, example: Example) -> Outcome:
        roller = self._rollers.get(key[0])
        if roller is None:
            roller = self._rollers[key[0]] = Roller(program, self._metric, self._memory, key[0])
        began = time.monotonic()
        rolled = await roller.roll(example, key[2])
        self._failures.see(rolled)
        if rolled.failure is not None:
            return rolled.outcome
        outcome = self._ledger.add_rollout(
            rolled.outcome, parts=rolled.parts, outputs=rolled.outputs, trace=rolled.steps
        )
        self._known[key] = outcome
        self._count(key, outcome, time.monotonic() - began)
        return outcome

    def _count(self, key: Key, outcome: Outcome, took: float) -> None:
        self._used.add(key)
        self._told(outcome, took)
