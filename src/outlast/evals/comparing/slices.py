"""What changed in each part of the data: a paired difference for every slice, with p values that count how many."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from outlast.data.dataset import slice_key
from outlast.errors import DataError, UsageError, brief, did_you_mean
from outlast.evals.comparing.gate import Word, word_for
from outlast.evals.comparing.pairing import Flip, difference_of
from outlast.evals.row import Row
from outlast.evals.statistics import Paired, benjamini_hochberg, holm

Correction = Literal["holm", "bh", "none"]
By = str | Callable[[Row], Any] | Sequence[str | Callable[[Row], Any]]
CORRECTIONS = {"holm": "Holm", "bh": "Benjamini-Hochberg", "none": "no correction"}


@dataclass(frozen=True, slots=True)
class SliceChange:
    """What changed among the examples whose `field` has this `value`.

    `paired` is the difference with its interval, which is not corrected, and its own p; `p` is corrected for the number
    of slices. A slice is `small` with fewer than `min_n` examples: it is shown, but carries no verdict, and its p is
    NaN.
    """

    field: str
    value: Any
    a_mean: float
    b_mean: float
    paired: Paired
    level: float
    small: bool
    p: float = math.nan

    @property
    def n(self) -> int:
        """How many examples it holds."""
        return self.paired.n

    @property
    def verdict(self) -> Word | Literal["too few"]:
        """ "better", "worse" or "inconclusive" by the interval and the corrected p; "too few" for a small slice."""
        return "too few" if self.small else word_for(self.paired.interval, self.p, self.level)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        interval = self.paired.interval
        return {
            "field": self.field,
            "value": self.value if isinstance(self.value, str | int | float | bool | None) else str(self.value),
            "n": self.n,
            "before": self.a_mean,
            "after": self.b_mean,
            "difference": self.paired.difference,
            "interval": [interval.low, interval.high] if interval.known else None,
            "p": None if self.small else self.p,
            "p_uncorrected": self.paired.p,
            "verdict": self.verdict,
        }


def changes_by(by: By, pairs: Iterable[Flip], *, level: float, min_n: int, seed: int) -> tuple[SliceChange, ...]:
    """A change for each value of each field, in the order of the data; p is not corrected yet."""
    chosen = tuple(pairs)
    found: list[SliceChange] = []
    for field in fields_of(by):
        read = field if callable(field) else _shared_field(field)
        groups: dict[Any, list[Flip]] = {}
        for pair in chosen:
            groups.setdefault(slice_key(read(pair.a)), []).append(pair)
        name = field if isinstance(field, str) else getattr(field, "__name__", "function")
        for value, group in groups.items():
            paired = difference_of(group, level, seed)
            before = math.fsum(pair.a_score for pair in group) / len(group)
            found.append(
                SliceChange(name, value, before, before + paired.difference, paired, level, len(group) < min_n)
            )
    return tuple(found)


def corrected(groups: Sequence[Sequence[SliceChange]], correction: Correction) -> list[tuple[SliceChange, ...]]:
    """The same slices with their p values corrected over all that are large enough, in all groups together."""
    p_values = iter(corrected_p([one.paired.p for group in groups for one in group if not one.small], correction))
    return [tuple(one if one.small else replace(one, p=next(p_values)) for one in group) for group in groups]


def corrected_p(p_values: Sequence[float], correction: Correction) -> list[float]:
    """p values corrected for their number."""
    if correction == "none" or not p_values:
        return list(p_values)
    return holm(p_values) if correction == "holm" else benjamini_hochberg(p_values)


def check_correction(correction: Any, min_n: Any) -> None:
    """Raise `UsageError` for options that mean nothing."""
    if correction not in CORRECTIONS:
        raise UsageError(f"correction is 'holm', 'bh' or 'none'; got {brief(correction)}")
    if type(min_n) is not int or min_n < 1:
        raise UsageError(f"min_n is a whole number of at least 1; got {brief(min_n)}")


def fields_of(by: By) -> list[str | Callable[[Row], Any]]:
    """One field or several as a list; raises `UsageError` for what is none."""
    fields = [by] if isinstance(by, str) or callable(by) else list(by) if isinstance(by, Sequence) else []
    if not fields or not all(isinstance(field, str) or callable(field) for field in fields):
        raise UsageError(f"by is the name of an input or target, a function of the row, or a list of these; got {by!r}")
    return fields


def _shared_field(name: str) -> Callable[[Row], Any]:
    def read(row: Row) -> Any:
        for part in (row.inputs, row.targets):
            if name in part:
                return part[name]
        names = [*row.inputs, *row.targets]
        raise DataError(
            f"row {row.index} has no input or target {name!r}.{did_you_mean(name, names)} Fields: {', '.join(names)}. "
            f"Slices of a comparison are made by what both runs share; for another value give a function of the row."
        )

    return read
