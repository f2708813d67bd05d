"""When the next call may go: what was let through lately, and what fits into a sliding window. Pure; time is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

SLOTS = 100  # a window is counted in so many slots
_SPAN = SLOTS + 1  # slots before its own that a call is counted with: one more, as the way to a server is not always
# equally long, and the limit is counted at its end
_ANEW = 20 * SLOTS  # nothing is reserved so far ahead, so the clock began anew
REQUESTS, TOKENS = 0, 1  # the two kinds of limits, where pairs are indexed


class Limits(NamedTuple):
    """What may pass within any `window` seconds; None for no limit. `burst` is the share of it that may go at once."""

    requests: float | None
    tokens: float | None
    window: float = 60.0
    burst: float = 0.05


class Paced(NamedTuple):
    """By when what was let through would have been earned at an even pace, and when the latest lease begins."""

    requests: float = 0.0
    tokens: float = 0.0
    latest: float = 0.0


class Lease(NamedTuple):
    """The right to make one call at the time `at` or soon after it, counted in `slot`. `paced` is the pace of the
    account before it and with it."""

    at: float
    slot: int
    tokens: float
    paced: tuple[Paced, Paced]


@dataclass(slots=True)
class Account:
    """What was let through lately, by slot: (requests, tokens).

    Nobody goes before `held`. Times are seconds of a clock that never goes back. Only the slots of the window, and of
    what is reserved ahead, are kept.
    """

    slots: dict[int, tuple[float, float]] = field(default_factory=dict[int, tuple[float, float]])
    paced: Paced = field(default_factory=Paced)
    held: float = 0.0

    def reserve(self, limits: Limits, tokens: float, now: float) -> Lease:
        """The earliest lease for a call of about `tokens` tokens, after all leases given before it.

        The sum over any 102 slots in a row, so over any window whichever way it lies, stays within the limits. An even
        pace with a bounded burst (a leaky bucket, ITU-T I.371) keeps calls from crowding at the start of a window.
        """
        step = limits.window / SLOTS
        if max(self.paced) > now + step * _ANEW:
            self.paced = Paced()
        self.forget(int(now / step))
        amounts = (1.0, tokens)
        held = self.held if self.held <= now + limits.window else 0.0  # no longer than anybody may say
        at = max(now, held, self.paced.latest)
        for kind in (REQUESTS, TOKENS):
            if limits[kind] is not None:
                at = max(at, self.paced[kind] - limits.burst * limits.window)
        slot = max(int(at / step), max(self.slots, default=0))
        for kind in (REQUESTS, TOKENS):
            limit = limits[kind]
            if limit is not None:
                slot = self._first_fit(kind, limit, amounts[kind], slot)
        if slot > int(at / step):
            at = slot * step
        before = self.paced
        self.paced = Paced(max(before.requests, at), max(before.tokens, at), at)
        self.settle(limits, slot, 1.0, tokens)
        return Lease(at, slot, tokens, (before, self.paced))

    def release(self, limits: Limits, lease: Lease) -> None:
        """Take a lease back that was not used, so that nobody waits behind it."""
        last = self.paced == lease.paced[1]
        self.settle(limits, lease.slot, -1.0, -lease.tokens)
        if last:
            self.paced = lease.paced[0]

    def settle(self, limits: Limits, slot: int, requests: float, tokens: float) -> None:
        """Count more in a slot, or take back what was not used after all."""
        earned = [
            paced + (amount * limits.window / limit if limit else 0.0)
            for paced, amount, limit in zip(self.paced[:2], (requests, tokens), limits[:2], strict=True)
        ]
        self.paced = Paced(earned[REQUESTS], earned[TOKENS], self.paced.latest)
        if before := self.slots.get(slot):
            requests, tokens = before[0] + requests, before[1] + tokens
        if requests > 0 or tokens > 0:
            self.slots[slot] = (max(0.0, requests), max(0.0, tokens))
        else:
            self.slots.pop(slot, None)

    def _first_fit(self, kind: int, limit: float, amount: float, slot: int) -> int:
        """The first slot from `slot` on in which `amount` fits; an amount above the limit waits for an empty window.
        No lease is later than `slot`, so going on only frees."""
        if sum([counts[kind] for counts in self.slots.values()]) + amount <= limit:
            return slot
        used = [(number, counts[kind]) for number, counts in sorted(self.slots.items()) if number >= slot - _SPAN]
        total = sum(count for _, count in used)
        for number, count in used:
            if total + amount <= limit or total <= 0:
                break
            total -= count
            slot = max(slot, number + _SPAN + 1)
        return slot

    def used(self, kind: int) -> float:
        """What the window holds now, leases of the near future included. Call `forget` first."""
        return sum(counts[kind] for counts in self.slots.values())

    def forget(self, slot: int) -> None:
        """Drop what no window holds any more, and everything after the clock began anew (a restarted machine)."""
        if max(self.slots, default=slot) > slot + _ANEW:
            self.slots, self.paced, self.held = {}, Paced(), 0.0
        if self.slots and min(self.slots) < slot - _SPAN:
            self.slots = {number: counts for number, counts in self.slots.items() if number >= slot - _SPAN}
