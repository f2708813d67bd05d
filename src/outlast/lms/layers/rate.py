"""So many requests and tokens a minute and no more, in this process or in all processes of this machine together."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, cast

from outlast.errors import ConfigError, LMError, LMRateLimited, brief
from outlast.lms.layers.guard import Guard
from outlast.lms.layers.pace import REQUESTS, SLOTS, TOKENS, Lease, Limits
from outlast.lms.layers.rate_estimate import Estimate
from outlast.lms.layers.rate_store import InFile, InProcess, Store, StoreBusy
from outlast.lms.layers.remade import Remade
from outlast.lms.layers.slots import Slots
from outlast.lms.layers.trying import checked_number, layers
from outlast.lms.protocol import LM
from outlast.messages import RateState, RateStates, Request, Response
from outlast.runtime import sleep

_AHEAD = 0.25  # seconds that leases are given in advance: long enough for threads and tasks to be there in time

_PATIENCE = 30.0  # seconds to wait for a process that has the shared file and does not go on


class _Pass(NamedTuple):
    lease: Lease
    characters: float


class RateLimited(Remade, Guard):
    """At most so many requests and tokens of `inner` within any minute, whichever way the minute lies.

    Calls go in the order in which they came, at an even pace; after a quiet time the share `burst` of a minute's
    amount may go at once. The tokens of a call are estimated before it, from the length of its prompt and from what
    replies were like so far (`max_tokens` at first), and set right after it. A limit that is None is taken from the
    provider's headers, where it has them; when they say that others use up the same limit, or a 429 says how long to
    wait, that holds too.

    `shared` is the path of a file on a local disk through which all processes of this machine keep the limits
    together: those whose wrapped models have the same server, key and model, or the same `account` when it is given.
    A process that is killed gives back what it had reserved within a minute.

    Put it innermost, under `Limited` and `Retrying`, so that each try counts and nothing waits between here and the
    server; a cache belongs outside, as its hits need no limit. Costs no calls; 15 us, some 200 us with `shared`.
    """

    window = 60.0  # seconds; a subclass may have limits per second or per hour

    def __init__(
        self,
        inner: LM | str,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        *,
        shared: str | os.PathLike[str] | None = None,
        account: str | None = None,
        burst: float = 0.05,
    ) -> None:
        super().__init__(inner)
        for name, value in (("requests_per_minute", requests_per_minute), ("tokens_per_minute", tokens_per_minute)):
            if value is not None:
                checked_number(name, value, least=1)
        checked_number("burst", burst)
        if burst > 1:
            raise ConfigError(f"burst is a share of a minute's amount, from 0 to 1; got {brief(burst)}")
        if account is not None and (not isinstance(account, str) or not account):
            raise ConfigError(f"account is text that names what the limit belongs to; got {brief(account)}")
        self._asked = Limits(requests_per_minute, tokens_per_minute, self.window, burst)
        self._limits = self._asked
        if shared is not None and (not isinstance(shared, str | os.PathLike) or not os.fspath(shared)):
            raise ConfigError(f"shared is the path of a file, or None; got {brief(shared)}")
        self._path = None if shared is None else Path(os.fspath(shared))
        self._account = account
        self._opened: Store | None = InProcess() if shared is None else None
        self._turns = Slots(1)
        self._estimate = Estimate()
        self._held_until = 0.0
        self._waited = 0.0

    @property
    def _store(self) -> Store:
        """Opened with the first call: only then is a key needed, whose hash tells accounts apart."""
        if self._opened is None:
            leaf: Any = list(layers(self.inner))[-1]
            named = self._account or getattr(leaf, "account", None) or leaf.identity
            key = blake2b(f"{named}\n{self.window:g}\n{_boot()}".encode(), digest_size=16).hexdigest()
            self._opened = InFile(cast("Path", self._path), key)
        return self._opened

    async def before(self, request: Request) -> Any:
        """Wait until the call may go."""
        characters, tokens = self._estimate.of(request)
        began = time.monotonic()
        turn = await self._turns.take()
        try:
            lease = await self._reserved(tokens)
            await self._until(lease.at - _AHEAD, lease)
        finally:
            self._turns.give(turn)
        await self._until(lease.at, lease)
        while (held := self._held_until) > time.monotonic():
            await self._until(held, lease)
        self._waited += time.monotonic() - began
        return _Pass(self._in_time(lease), characters)

    async def _reserved(self, tokens: float) -> Lease:
        patience = time.monotonic() + _PATIENCE
        while True:
            try:
                with self._store.account() as account:
                    return account.reserve(self._limits, tokens, time.monotonic())
            except StoreBusy:  # a process that was stopped while it wrote: this loop has other things to do
                if time.monotonic() > patience:
                    raise
            await sleep(0.05)

    async def _until(self, moment: float, lease: Lease) -> None:
        left = moment - time.monotonic()
        if left > 0:
            try:
                await sleep(left)
            except BaseException:
                self._release(lease)
                raise

    def _in_time(self, lease: Lease) -> Lease:
        """The lease, moved to where it is used when this process was held up."""
        slot = int(time.monotonic() * SLOTS / self.window)
        if slot <= lease.slot:
            return lease
        with suppress(ConfigError), self._store.account() as account:
            account.settle(self._limits, lease.slot, -1.0, -lease.tokens)
            account.settle(self._limits, slot, 1.0, lease.tokens)
        return lease._replace(slot=slot)

    def after(self, token: Any, response: Response | None, error: BaseException | None) -> None:
        """Count what was really used, and learn from what the provider says."""
        with suppress(ConfigError):  # a file that cannot be used any more stops the next call, not this answer
            self._learn(token, response, error)

    def _learn(self, token: _Pass, response: Response | None, error: BaseException | None) -> None:
        lease = token.lease
        hit = response is not None and response.cache != "miss"
        if hit or (isinstance(error, LMError) and not error.sent):  # nothing reached the server
            self._release(lease)
            return
        states = response.rate if response is not None else error.rate if isinstance(error, LMError) else None
        if response is not None:
            used = self._estimate.learn(token.characters, response)
            if used is not None:
                self._settle(lease, used - lease.tokens)
        elif isinstance(error, LMError) and error.status is not None:
            self._settle(lease, -lease.tokens)  # refused: nothing was read or written
        if states is not None:
            self._told(states)
        if isinstance(error, LMRateLimited) and error.retry_after:
            self._hold(error.retry_after)

    def _settle(self, lease: Lease, tokens: float) -> None:
        if tokens and self._limits.tokens is not None:
            with self._store.account() as account:
                account.settle(self._limits, lease.slot, 0.0, tokens)

    def _release(self, lease: Lease) -> None:
        with suppress(ConfigError), self._store.account() as account:
            account.release(self._limits, lease)

    def _told(self, states: RateStates) -> None:
        """Learn limits that were not given, and what others use of them."""
        self._limits = self._asked._replace(
            requests=self._asked.requests or states.requests.limit or self._limits.requests,
            tokens=self._asked.tokens or states.tokens.limit or self._limits.tokens,
        )
        used = [self._used(kind, state) for kind, state in enumerate(states)]
        if any(used):
            slot = int(time.monotonic() * SLOTS / self.window)
            with self._store.account() as account:
                account.forget(slot)
                others = [max(0.0, all_used - account.used(kind)) for kind, all_used in enumerate(used)]
                if any(others):
                    account.settle(self._limits, slot, others[REQUESTS], others[TOKENS])
        empty = [state for state in states if state.remaining == 0 and state.reset]
        if empty:
            self._hold(max((state.reset or 0.0) / max(1.0, state.limit or 1.0) for state in empty))

    def _used(self, kind: int, state: RateState) -> float:
        """How much of a learned limit the provider says is used, by us and by others; of one that was given, nothing:
        it may be meant to be only a part of the provider's."""
        if self._asked[kind] is not None or state.limit is None or state.remaining is None:
            return 0.0
        return max(0.0, state.limit - state.remaining)

    def _hold(self, seconds: float) -> None:
        until = time.monotonic() + min(seconds, self.window)
        self._held_until = max(self._held_until, until)
        with self._store.account() as account:
            account.held = max(account.held, until)

    def facts(self) -> Mapping[str, Any]:
        return {
            "requests_per_minute": self._limits.requests,
            "tokens_per_minute": self._limits.tokens,
            "shared": None if self._path is None else str(self._path),
            "waiting": self._turns.waiting,
            "waited_seconds": round(self._waited, 3),
            "tokens_a_call": self._estimate.typical,
        }

    def __repr__(self) -> str:
        told = f"{self._asked.requests}, {self._asked.tokens}"
        return f"RateLimited({self.inner!r}, {told})"


def _boot() -> str:
    """Which start of the machine the clock counts from, where that can be told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
