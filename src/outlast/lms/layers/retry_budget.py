"""How much may be tried again: a bound on the load that retries add while everything fails."""

from __future__ import annotations

from outlast.runtime.waiting import ForkSafeLock

_PARTS = 6  # of the window


class RetryBudget:
    """Within `window` seconds at most `spare` retries and `share` of the calls may be tried again.

    So that an outage is not answered with several times the usual load (Beyer et al., "Site Reliability
    Engineering", 2016, ch. 21). The window moves in sixths. Thread-safe; its size does not grow.
    """

    def __init__(self, share: float, spare: float, window: float = 60.0) -> None:
        self.share = share
        self.spare = spare
        self._step = window / _PARTS
        self._parts: dict[int, list[int]] = {}  # number of the part: calls, retries
        self._lock = ForkSafeLock()

    def called(self, now: float) -> None:
        """A call began."""
        with self._lock:
            self._part(now)[0] += 1

    def take(self, now: float) -> bool:
        """Take one retry; False when none is left."""
        with self._lock:
            part = self._part(now)
            calls = sum(counts[0] for counts in self._parts.values())
            retries = sum(counts[1] for counts in self._parts.values())
            if retries + 1 > self.spare + self.share * calls:
                return False
            part[1] += 1
            return True

    def _part(self, now: float) -> list[int]:
        number = int(now // self._step)
        part = self._parts.get(number)
        if part is None:
            self._parts = {n: counts for n, counts in self._parts.items() if number - _PARTS < n <= number}
            part = self._parts[number] = [0, 0]
        return part
