"""What many runs say together: means with intervals over seeds, by method and budget."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from outlast.cli.benching.records import Record
from outlast.evals.statistics import Estimate, Interval, t_interval

_SAME = 1e-9  # of two expected scores that were computed differently


@dataclass(frozen=True, slots=True)
class Line:
    """One method at one budget. Scores are means over worlds, their intervals over seeds."""

    method: str
    budget: int
    runs: int
    true: Estimate
    reported: Estimate
    optimism: Estimate
    found: Estimate
    dollars: float
    rollouts: float
    proposer_calls: float
    seconds: float
    cpu_ms: float | None
    verdicts: Mapping[str, int]
    worse: int


def comparable(records: Sequence[Record]) -> tuple[list[Record], int]:
    """The runs of those (world, seed, budget) that every method with this budget has, and how many were left out.

    A method that lacks runs would otherwise be compared over easier or harder worlds than the others; so would a seed
    that lacks worlds, which is left out unless all do.
    """
    methods: dict[int, set[str]] = {}
    have: dict[tuple[str, int, int], set[str]] = {}
    for one in records:
        methods.setdefault(one.budget, set()).add(one.method)
        have.setdefault((one.world, one.seed, one.budget), set()).add(one.method)
    shared = [one for one in records if have[one.world, one.seed, one.budget] == methods[one.budget]]
    kept = [one for budget in methods for one in _whole([one for one in shared if one.budget == budget])]
    return kept, len(records) - len(kept)


def _whole(records: Sequence[Record]) -> Sequence[Record]:
    """The runs of the seeds that have every world; all when no seed has."""
    worlds: dict[int, set[str]] = {}
    for one in records:
        worlds.setdefault(one.seed, set()).add(one.world)
    every = set[str]().union(*worlds.values())
    whole = [one for one in records if worlds[one.seed] == every]
    return whole or records


def summarize(records: Iterable[Record], level: float = 0.95) -> list[Line]:
    """One line for each method and budget, by budget and the best first."""
    groups: dict[tuple[int, str], list[Record]] = {}
    for one in records:
        groups.setdefault((one.budget, one.method), []).append(one)
    lines = [_line(method, budget, group, level) for (budget, method), group in groups.items()]
    return sorted(lines, key=lambda line: (line.budget, -line.true.value, line.method))


def _line(method: str, budget: int, group: Sequence[Record], level: float) -> Line:
    cpu = [one.cpu_ms for one in group if one.cpu_ms is not None]
    return Line(
        method,
        budget,
        len(group),
        true=over_seeds(((one.seed, one.true) for one in group), level),
        reported=over_seeds(((one.seed, one.reported) for one in group), level),
        optimism=over_seeds(((one.seed, one.optimism) for one in group), level),
        found=over_seeds(((one.seed, one.found) for one in group), level),
        dollars=_mean([one.dollars for one in group]),
        rollouts=_mean([one.rollouts for one in group]),
        proposer_calls=_mean([one.proposer_calls for one in group]),
        seconds=_mean([one.seconds for one in group]),
        cpu_ms=_mean(cpu) if cpu else None,
        verdicts=Counter(one.verdict for one in group if one.verdict),
        worse=sum(one.true < one.start - _SAME for one in group),
    )


def over_seeds(values: Iterable[tuple[int, float | None]], level: float = 0.95) -> Estimate:
    """The mean of values by seed, with Student's interval over the means of the seeds: worlds are fixed, seeds drawn.

    Values that are not known are left out.
    """
    seeds: dict[int, list[float]] = {}
    for seed, value in values:
        if value is not None:
            seeds.setdefault(seed, []).append(value)
    means = [_mean(one) for one in seeds.values()]
    n = sum(len(one) for one in seeds.values())
    if not means:
        return Estimate(math.nan, Interval(-math.inf, math.inf, level, "unknown"), 0, "unknown")
    interval = t_interval(means, level)
    return Estimate(_mean(means), interval, n, interval.method)


def gain(records: Sequence[Record], ours: str, theirs: str, budget: int, level: float = 0.95) -> Estimate:
    """By how much the true score of `ours` is above that of `theirs` on the runs that both have, over seeds."""
    by = {one.key[1:]: one.true for one in records if one.method == theirs and one.budget == budget}
    pairs = [(one.seed, one.true - by[one.key[1:]]) for one in records if one.method == ours and one.key[1:] in by]
    return over_seeds(pairs, level)


def by_world(records: Iterable[Record], level: float = 0.95) -> dict[tuple[str, int, str], Estimate]:
    """True score by (world, budget, method)."""
    groups: dict[tuple[str, int, str], list[tuple[int, float]]] = {}
    for one in records:
        groups.setdefault((one.world, one.budget, one.method), []).append((one.seed, one.true))
    return {key: over_seeds(values, level) for key, values in groups.items()}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def counted(number: int, word: str) -> str:
    """ "1 seed", "10 seeds"."""
    return f"{number} {word}{'s' * (number != 1)}"
