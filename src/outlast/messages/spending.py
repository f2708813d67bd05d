"""Sums over calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from outlast.messages.response import Response

_RARE = ("saved", "failed", "uncertain", "uncertain_tokens", "uncertain_dollars")


@dataclass(slots=True)
class Spending:
    """A running sum over calls. Not thread-safe by itself.

    `calls` went to a model, `cached` were answered without one and `saved` that many dollars. `unpriced` counts calls
    whose cost is unknown, so that `dollars` is never mistaken for the whole; `untold` counts calls without token
    counts. `failed` calls brought no answer; `uncertain` ones of them broke off so that the provider may have billed
    them. `uncertain_tokens` and `uncertain_dollars` are what those, and calls that told no usage under a budget, took
    at most, as far as that is known; it is not in `dollars`.
    """

    calls: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    dollars: float = 0.0
    unpriced: int = 0
    untold: int = 0
    seconds: float = 0.0
    saved: float = 0.0
    failed: int = 0
    uncertain: int = 0
    uncertain_tokens: int = 0
    uncertain_dollars: float = 0.0

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def add(self, response: Response) -> None:
        """Count one response."""
        if response.cache != "miss":
            self.cached += 1
            self.saved += response.usage.cost or 0.0
            return
        usage = response.usage
        self.calls += 1
        self.seconds += response.seconds
        if usage.input_tokens is None or usage.output_tokens is None:
            self.untold += 1
        self.input_tokens += usage.input_tokens or 0
        self.output_tokens += usage.output_tokens or 0
        if usage.cost is None:
            self.unpriced += 1
        else:
            self.dollars += usage.cost

    def fail(self, tokens: int = 0, dollars: float = 0.0, *, uncertain: bool = False) -> None:
        """Count a call that brought no answer; an `uncertain` one may have taken so many tokens and dollars."""
        self.calls += 1
        self.failed += 1
        if uncertain:
            self.uncertain += 1
            self.uncertain_tokens += tokens
            self.uncertain_dollars += dollars

    def include(self, other: Spending) -> None:
        """Count everything that `other` counted."""
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))

    def to_json(self) -> dict[str, Any]:
        """The counters by name; those after `seconds` only where they are not zero."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in data.items() if value or name not in _RARE}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Spending:
        """The sum that `to_json` wrote."""
        return cls(**data)

    def __str__(self) -> str:
        money = f"${self.dollars:.4f}" if self.dollars or not self.unpriced else "cost unknown"
        if self.dollars and self.unpriced:
            money += f" + {self.unpriced} calls of unknown cost"
        if self.uncertain_dollars:
            money += f" + up to ${self.uncertain_dollars:.4f} that may have been billed"
        return f"{self.calls} calls ({self.cached} cached), {self.tokens} tokens, {money}"
