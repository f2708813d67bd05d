"""Asks each question of a search once: replies come from the ledger, from a call in flight, or from the model."""

from __future__ import annotations

import itertools
import threading
from typing import NamedTuple

from outlast.errors import StudyError
from outlast.lms.asking import ask_within
from outlast.lms.protocol import LM, Wrapper
from outlast.messages import Request, Response, user
from outlast.optimize.budget import Purse
from outlast.optimize.ledger import Form, Ledger
from outlast.runtime import current
from outlast.runtime.meter import Joined
from outlast.runtime.waiting import Waiter, holds_up_loop


class Asked(NamedTuple):
    """One question of a rollout: the identity of its request object, the key of its reply, the reply."""

    request: int
    key: str
    response: Response


class Memory:
    """What the models have answered so far, and the purse that new answers are paid from. Safe for threads."""

    def __init__(self, ledger: Ledger, purse: Purse) -> None:
        self.ledger = ledger
        self.purse = purse
        self.closed = False
        self._lock = threading.RLock()
        self._flights: dict[str, list[Waiter]] = {}

    def recording(self, asked: list[Asked] | None = None, rollout: str = "") -> Recorder:
        """A wrapper for the models of a run; what they are asked is added to `asked`. `rollout` names the rollout
        that it is for."""
        return Recorder(self, asked, rollout)

    async def answer(self, lm: LM, request: Request) -> tuple[str, Response]:
        """The key and the reply. Cost: at most one call. Raises `BudgetExceeded`, `StudyError` or what `lm` raises.

        Equal requests in flight are sent once; when that one fails, another takes over.
        """
        form = self.ledger.form(lm.identity, request)
        while True:
            known = self.ledger.reply(form.key)
            if known is not None:
                self.purse.charge(form.key, known)
                return form.key, known.as_cached("hit")
            if holds_up_loop():  # waiting for a task of this thread's loop would never end
                return form.key, await self._ask(lm, request, form)
            waiter = self._join(form.key)
            if waiter is not None:
                await waiter.wait()
                continue
            try:
                return form.key, await self._ask(lm, request, form)
            finally:
                self._land(form.key)

    async def _ask(self, lm: LM, request: Request, form: Form) -> Response:
        if self.closed:
            raise StudyError("this search has ended; its programs can ask no more")
        if self.ledger.failure is not None:
            raise self.ledger.failure
        outer = current().meter
        response = await ask_within(self.purse if outer is None else Joined(self.purse, outer), lm, request)
        self.purse.own(form.key)  # before others find it in the ledger
        return self.ledger.add_reply(form, lm.name, response)

    def report(self, name: str, response: Response, asked: list[Asked] | None) -> None:
        """Count what a function says that it spent, and keep it, so that it counts in later runs too."""
        form = self.ledger.form("reported", Request((user(name),)))
        self.purse.own(form.key)
        self.purse.note(response)
        self.ledger.add_reply(form, "reported", response)
        if asked is not None:
            asked.append(Asked(0, form.key, response))

    def _join(self, key: str) -> Waiter | None:
        """A place to wait at when the question is in flight; None makes the caller the one who asks."""
        with self._lock:
            waiters = self._flights.get(key)
            if waiters is None:
                self._flights[key] = []
                return None
            waiter = Waiter()
            waiters.append(waiter)
            return waiter

    def _land(self, key: str) -> None:
        with self._lock:
            waiters = self._flights.pop(key)
        for waiter in waiters:
            waiter.wake()


class Recorder:
    """What a run's models are wrapped by, so that the search remembers them; it also takes what a function reports."""

    def __init__(self, memory: Memory, asked: list[Asked] | None, rollout: str) -> None:
        self._memory = memory
        self._asked = asked
        self._rollout = rollout
        self._reports = itertools.count()

    def __call__(self, lm: LM) -> LM:
        return Remembered(lm, self._memory, self._asked)

    @property
    def purse(self) -> Purse:
        """What pays."""
        return self._memory.purse

    @property
    def count(self) -> int:
        """How many replies and reports there were so far."""
        return 0 if self._asked is None else len(self._asked)

    def report(self, response: Response) -> None:
        """Count and keep what a call took that was made elsewhere."""
        self._memory.report(f"{self._rollout} {next(self._reports)}", response, self._asked)


class Remembered(Wrapper):
    """A model within a search."""

    spends = False

    def __init__(self, inner: LM, memory: Memory, asked: list[Asked] | None) -> None:
        super().__init__(inner)
        self._memory = memory
        self._asked = asked

    async def complete(self, request: Request) -> Response:
        """The reply, from memory if it can."""
        key, response = await self._memory.answer(self.inner, request)
        if self._asked is not None:
            self._asked.append(Asked(id(request), key, response))
        return response
