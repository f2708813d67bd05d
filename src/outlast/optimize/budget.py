"""What a compile may spend."""

from __future__ import annotations

from dataclasses import dataclass, fields

from outlast.errors import UsageError
from outlast.runtime import Meter


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits on a compile; None is no limit. The first one reached ends the search.

    `calls` to models are never exceeded. `tokens` (in and out) and `dollars` are known only after a call, so they
    can be exceeded by the calls in flight at that moment; calls of unknown price count as 0 dollars and are reported.
    `seconds` is wall time. Answers from a cache or from an earlier run of the same search cost nothing.
    """

    calls: int | None = None
    tokens: int | None = None
    dollars: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise UsageError(f"Budget({f.name}=...) is a number; got {value!r}")
            if value is not None and not value > 0:
                raise UsageError(f"Budget({f.name}=...) is more than 0; got {value!r}")

    def meter(self) -> Meter:
        """A fresh meter with these limits."""
        return Meter(calls=self.calls, tokens=self.tokens, dollars=self.dollars, seconds=self.seconds)

    def __str__(self) -> str:
        parts = [f"{getattr(self, f.name)} {f.name}" for f in fields(self) if getattr(self, f.name) is not None]
        return ", ".join(parts) or "no limit"
