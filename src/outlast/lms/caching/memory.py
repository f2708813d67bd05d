"""The first tier of a cache: what was answered last, in this process; and the count of what a cache did."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass

from outlast.messages import Response

MEMORY_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What a cache did since it was made. `path` is None without a store; `problem` is the last trouble with it.

    `memory_hits`, `disk_hits` and `redis_hits` were answered without the model, `shared` waited for an equal request
    in flight, `misses` went to the model, `stored` of them were kept. `expired` were found but older than `ttl`.
    `tokens_saved` (input and output) and `dollars_saved` sum what the answers that were not asked anew had cost, as
    far as that is known; `unpriced` of them have no known price. `entries` are in memory, `file_bytes` on disk.
    """

    memory_hits: int
    disk_hits: int
    redis_hits: int
    shared: int
    misses: int
    stored: int
    expired: int
    tokens_saved: int
    dollars_saved: float
    unpriced: int
    entries: int
    path: str | None
    file_bytes: int
    problem: str | None

    @property
    def hits(self) -> int:
        """All that was answered without asking the model anew."""
        return self.memory_hits + self.disk_hits + self.redis_hits + self.shared

    @property
    def hit_rate(self) -> float:
        """The share of hits among all that was asked, 0 when nothing was."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0

    def __str__(self) -> str:
        tiers = ((self.memory_hits, "memory"), (self.disk_hits, "disk"), (self.redis_hits, "redis"))
        told = [f"{number} from {name}" for number, name in tiers if number]
        told += [f"{self.shared} shared"] if self.shared else []
        money = f"${self.dollars_saved:.4f}"
        if self.unpriced:
            money += f" + {self.unpriced} of unknown price" if self.unpriced < self.hits else " (no price known)"
        where = f" ({', '.join(told)})" if told else ""
        return (
            f"{self.hits} hits{where}, {self.misses} misses, {self.hit_rate:.1%}; "
            f"saved {self.tokens_saved} tokens, {money}"
        )


class Tally:
    """Running counts by name, and what hits saved. Safe for threads."""

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self.tokens = 0
        self.dollars = 0.0
        self.unpriced = 0
        self.renew()

    def renew(self) -> None:
        """Take a new lock after a fork, which may have happened while another thread held it."""
        self._lock = threading.Lock()

    def count(self, event: str) -> None:
        """Count one event."""
        with self._lock:
            self.counts[event] += 1

    def saved(self, tier: str, response: Response) -> None:
        """Count one answer that was not asked anew."""
        usage = response.usage
        tokens = (usage.input_tokens or 0) + (usage.output_tokens or 0)
        with self._lock:
            self.counts[tier] += 1
            self.tokens += tokens
            if usage.cost is None:
                self.unpriced += 1
            else:
                self.dollars += usage.cost


class Recent:
    """The answers used last with the time they were made at, bounded by number and by size."""

    def __init__(self, entries: int) -> None:
        self.entries = entries
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, tuple[Response, int, int]] = OrderedDict()
        self._bytes = 0

    def renew(self) -> None:
        """Take a new lock after a fork, which may have happened while another thread held it."""
        self._lock = threading.Lock()

    def get(self, key: bytes) -> tuple[Response, int, int] | None:
        """The answer under a key, when it was made (milliseconds since 1970), and its size."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
            return kept

    def put(self, key: bytes, response: Response, made: int, size: int) -> None:
        """Keep an answer and drop what was used least recently beyond the bounds."""
        with self._lock:
            replaced = self._kept.pop(key, None)
            self._bytes += size - (replaced[2] if replaced else 0)
            self._kept[key] = (response, made, size)
            while self._kept and (len(self._kept) > self.entries or self._bytes > MEMORY_BYTES):
                self._bytes -= self._kept.popitem(last=False)[1][2]

    def forget(self, key: bytes) -> None:
        """Drop what is kept under a key."""
        with self._lock:
            dropped = self._kept.pop(key, None)
            if dropped is not None:
                self._bytes -= dropped[2]

    def __len__(self) -> int:
        return len(self._kept)
