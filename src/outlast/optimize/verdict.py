"""Whether the compiled program is better, decided on data that the search never ranked on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from outlast.evals.statistics import Estimate, Interval, Paired

Word = Literal["better", "no worse", "inconclusive", "worse", "unproven"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement on the winner of a search, against the start program, on the confirmation examples.

    "better": the interval of the paired difference lies above 0 and p is at most 1 - level. "worse": it lies below 0
    and p is. "no worse": it lies above -margin. "inconclusive": none of these, or the search found no better candidate.
    "unproven": the search was stopped before the winner could be confirmed. `reason` says it in a sentence.
    """

    word: Word
    reason: str
    start: Estimate | None = None
    winner: Estimate | None = None
    paired: Paired | None = None
    level: float = 0.95
    margin: float = 0.0

    @property
    def better(self) -> bool:
        """True when the winner is proven better."""
        return self.word == "better"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        data: dict[str, Any] = {"verdict": self.word, "reason": self.reason, "level": self.level}
        for name, estimate in (("start", self.start), ("winner", self.winner)):
            if estimate is not None:
                data[name] = {
                    "score": round(estimate.value, 6),
                    "interval": _bounds(estimate.interval),
                    "method": estimate.method,
                    "n": estimate.n,
                }
        if self.paired is not None:
            paired = self.paired
            data["difference"] = {
                "score": round(paired.difference, 6),
                "interval": _bounds(paired.interval),
                "p": float(f"{paired.p:.4g}"),
                "method": paired.method,
                "n": paired.n,
                "wins": paired.wins,
                "losses": paired.losses,
                "ties": paired.ties,
            }
        if self.margin:
            data["margin"] = self.margin
        return data


def _bounds(interval: Interval) -> list[float | None]:
    """Both ends; None for one that the data do not bound."""
    return [round(end, 6) if math.isfinite(end) else None for end in (interval.low, interval.high)]


def judge(start: Sequence[float], winner: Sequence[float], *, level: float, margin: float, seed: int) -> Verdict:
    """Compare paired scores of the start and the winner."""
    from outlast.evals.comparing.gate import word_for
    from outlast.evals.statistics import estimate_mean, paired_difference

    paired = paired_difference(start, winner, level=level, seed=seed)
    low, high = paired.interval.low, paired.interval.high
    gain = (
        f"{100 * paired.difference:+.1f} points ({level:.0%} CI {100 * low:+.1f}..{100 * high:+.1f}, p={paired.p:.2g})"
    )
    word = word_for(paired.interval, paired.p, level, -margin)
    reason = {
        "better": f"The compiled program is better: {gain}.",
        "worse": f"The compiled program is worse: {gain}. The original is kept.",
        "no worse": f"No significant gain, but no loss beyond {100 * margin:g} points: {gain}.",
        "inconclusive": f"No significant gain: {gain}. The original is kept.",
    }[word]
    return Verdict(
        word,
        reason,
        estimate_mean(start, level=level),
        estimate_mean(winner, level=level),
        paired,
        level,
        margin,
    )
