"""Whether the compiled program is better, decided on data that the search never ranked on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from outlast.evals.statistics import Estimate, Interval, Paired
    from outlast.optimize.candidate import Outcome
    from outlast.optimize.vectors import Cost

INTERRUPTED = "interrupted"  # why a compile ended that was told to
KEPT_NOWHERE = "from the start, as study=False kept its ledger in memory"

Word = Literal["better", "no worse", "inconclusive", "worse", "unproven"]


@dataclass(frozen=True, slots=True)
class Saving:
    """What a rollout of the winner takes against one of the start, on the confirmation examples.

    `what` is "dollars", "seconds" or "tokens"; `proven` says that the paired interval lies below 0 and p agrees.
    """

    what: Cost
    start: float
    winner: float
    paired: Paired
    proven: bool

    def __str__(self) -> str:
        change = 100 * (self.winner / self.start - 1) if self.start else 0.0
        return f"{change:+.0f}% {self.what} a rollout ({_amount(self.start)} -> {_amount(self.winner)})"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "what": self.what,
            "start": float(f"{self.start:.6g}"),
            "winner": float(f"{self.winner:.6g}"),
            "interval": [float(f"{end:.6g}") for end in (self.paired.interval.low, self.paired.interval.high)],
            "p": float(f"{self.paired.p:.4g}"),
            "proven": self.proven,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement on the winner of a search, against the start program, on the confirmation examples.

    "better": the interval of the paired difference lies above 0 and p is at most 1 - level. "worse": it lies below 0
    and p is. "no worse": it lies above -margin. "inconclusive": none of these, or the search found no better candidate.
    "unproven": the search was stopped before the winner could be confirmed. `reason` says it in a sentence. `saving` is
    there when the compile was told to prefer what costs less; then "no worse" covers a small proven loss, too, that
    lies within the margin. `share` says that all scores lie within 0 to 1, so that they are said in per cent.
    """

    word: Word
    reason: str
    start: Estimate | None = None
    winner: Estimate | None = None
    paired: Paired | None = None
    level: float = 0.95
    margin: float = 0.0
    saving: Saving | None = None
    share: bool = True

    @property
    def better(self) -> bool:
        """True when the winner is proven better."""
        return self.word == "better"

    @property
    def ships(self) -> bool:
        """True when the winner replaces the start: proven better, or no worse and proven to take less where wished."""
        return self.better or (self.word == "no worse" and self.saving is not None and self.saving.proven)

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
        if self.saving is not None:
            data["saving"] = self.saving.to_json()
        return data


def _bounds(interval: Interval) -> list[float | None]:
    """Both ends; None for one that the data do not bound."""
    return [round(end, 6) if math.isfinite(end) else None for end in (interval.low, interval.high)]


def without_winner(word: Word, reason: str, proof: Sequence[Outcome], *, level: float, margin: float) -> Verdict:
    """The verdict when no winner was measured: what the start program scored in the proof still holds."""
    from outlast.evals.statistics import estimate_mean
    from outlast.evals.wording import is_share

    values = [one.value for one in proof if one.value is not None]
    start = estimate_mean(values, level=level) if values else None
    return Verdict(word, reason, start, level=level, margin=margin, share=is_share(values))


def judge(
    start: Sequence[float],
    winner: Sequence[float],
    *,
    level: float,
    margin: float,
    seed: int,
    saving: Saving | None = None,
) -> Verdict:
    """Compare paired scores of the start and the winner; with a saving, a loss within the margin is "no worse"."""
    from outlast.evals.comparing.gate import word_for
    from outlast.evals.statistics import estimate_mean, paired_difference
    from outlast.evals.wording import is_share

    paired = paired_difference(start, winner, level=level, seed=seed)
    word: Word = word_for(paired.interval, paired.p, level, -margin)
    if saving is not None and word == "worse" and margin and paired.interval.low > -margin:
        word = "no worse"
    said = _Words(paired, level, margin, is_share([*start, *winner]))
    reason = said.reason(word) if saving is None else said.traded(word, saving)
    estimates = estimate_mean(start, level=level), estimate_mean(winner, level=level)
    return Verdict(word, reason, *estimates, paired, level, margin, saving, said.share)


def saving_of(what: Cost, start: Sequence[float], winner: Sequence[float], *, level: float, seed: int) -> Saving:
    """Compare paired costs of the start and the winner."""
    from outlast.evals.statistics import paired_difference

    paired = paired_difference(start, winner, level=level, seed=seed)
    proven = paired.interval.high < 0 and paired.p <= 1 - level + 1e-12
    return Saving(what, math.fsum(start) / len(start), math.fsum(winner) / len(winner), paired, proven)


@dataclass(frozen=True, slots=True)
class _Words:
    """A paired difference in sentences."""

    paired: Paired
    level: float
    margin: float
    share: bool

    def gain(self) -> str:
        """The difference with its interval and p, and which of these two decides where they disagree."""
        from outlast.evals.wording import difference, p_figure

        interval, edge = self.paired.interval, f"{1 - self.level:.3g}"
        low, high = difference(interval.low, self.share), difference(interval.high, self.share)
        p = p_figure(self.paired.p, self.level, 2, "g")
        said = f"{self.points(self.paired.difference, sign=True)} ({self.level:.0%} CI {low}..{high}, p={p}"
        significant = self.paired.p <= 1 - self.level + 1e-12
        if (interval.low > 0 or interval.high < 0) and not significant:
            return f"{said}: the interval leaves 0 out, but p is above {edge}, and it takes both)"
        if significant and interval.low <= 0 <= interval.high:
            return f"{said}: p is at most {edge}, but the interval holds 0, and it takes both)"
        return f"{said})"

    def points(self, value: float, *, sign: bool = False) -> str:
        """An amount of score: "12.5 points" of a share, else the number."""
        from outlast.evals.wording import difference

        if sign:
            return difference(value, self.share) + (" points" if self.share else "")
        return f"{100 * value:g} points" if self.share else f"{value:g}"

    def reason(self, word: Word) -> str:
        """The verdict in a sentence or two."""
        gain = self.gain()
        return {
            "better": f"The compiled program is better: {gain}.",
            "worse": f"The compiled program is worse: {gain}. The original is kept.",
            "no worse": f"No significant gain, but no loss beyond {self.points(self.margin)}: {gain}.",
        }.get(word, f"No significant gain: {gain}. The original is kept.")

    def traded(self, word: Word, saving: Saving) -> str:
        """The verdict of a compile that prefers what costs less, in sentences."""
        gain, allowed = self.gain(), f"the {self.points(self.margin)} that were allowed"
        if word == "better":
            return f"The compiled program is better: {gain}; {saving}."
        if word == "no worse" and saving.proven:
            return f"No loss beyond {allowed}: {gain}; and it takes less: {saving}."
        if word == "no worse":
            return f"No loss beyond {allowed}: {gain}; but not proven to take less: {saving}. The original is kept."
        if word == "worse":
            return f"The compiled program is worse: {gain}; {saving}. The original is kept."
        return (
            f"Neither a gain nor that the loss is within {allowed} is proven: {gain}; {saving}. The original is kept."
            f"{_needed(self.paired, self.level, self.margin)}"
        )


def _needed(paired: Paired, level: float, margin: float) -> str:
    """How many examples would tell, at a power of 80%, if the true difference is none."""
    from outlast.evals.statistics import normal_quantile

    if not margin or not math.isfinite(paired.interval.low):
        return ""
    z = normal_quantile(0.5 + level / 2)
    spread = (paired.wins + paired.losses) / paired.n  # of differences of at most 1
    most = math.ceil(max((z + normal_quantile(0.8)) ** 2 * spread / margin**2, z * z * (1 - margin) / margin))
    return f" About {most:,} held-out examples would tell."


def _amount(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
