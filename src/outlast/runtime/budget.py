"""What may be spent, as a value."""

from __future__ import annotations

from dataclasses import dataclass, fields

from outlast.errors import UsageError
from outlast.runtime.meter import Meter


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits on a compile or on one call of a strategy; None is no limit. The first one reached ends the search,
    and the best so far is the result.

    Every request to a model is a call, also one that fails or is tried again; `calls` are never exceeded. The most that
    a call can take in `tokens` (in and out) and `dollars` is set aside before it, so with `max_tokens` set and the
    price known these are never exceeded either; where one of the two is missing, what the dearest recent calls took is
    set aside, and calls in flight that take more can exceed the limit. A model whose price nobody knows is refused
    under a limit in dollars. These three bound a compile over all its runs: what an earlier, interrupted run of the
    same search paid counts, so a crash never doubles a bill, and a search that ran out goes on with a larger budget.
    Answers from the response cache cost nothing. `seconds` is wall time of one run; a compile gives calls in flight up
    when they end.

    `rollouts` bounds how often a compile runs a program on an example, in search and proof together, and is never
    exceeded. Known results that the search uses count, so that a search run again ends where it ended; so do rollouts
    that failed. It is what remains to count where a model is asked behind the back of outlast.
    """

    calls: int | None = None
    tokens: int | None = None
    dollars: float | None = None
    seconds: float | None = None
    rollouts: int | None = None

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UsageError(f"Budget({f.name}=...) is a number; got {value!r}")
            if not value > 0:
                raise UsageError(f"Budget({f.name}=...) is more than 0; got {value!r}")
            if f.name in ("calls", "tokens", "rollouts") and value != int(value):
                raise UsageError(f"Budget({f.name}=...) is a whole number; got {value!r}")

    def to_json(self) -> dict[str, float]:
        """Only the limits that are set."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

    def __str__(self) -> str:
        parts = [f"${value:g}" if name == "dollars" else f"{value:g} {name}" for name, value in self.to_json().items()]
        return ", ".join(parts) or "no limit"

    def meter(self, outer: Meter | None = None) -> Meter:
        """A new meter with these limits, inside `outer`. Raises `UsageError` for a limit in rollouts."""
        if self.rollouts is not None:
            raise UsageError("Budget(rollouts=...) limits a compile; here limit calls, tokens, dollars or seconds")
        return Meter(calls=self.calls, tokens=self.tokens, dollars=self.dollars, seconds=self.seconds, outer=outer)
