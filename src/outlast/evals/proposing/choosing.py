"""Which candidate checks are worth having: much that is bad caught, little that is good failed, not by chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from outlast.evals.proposing.candidates import Candidate
from outlast.evals.statistics import Estimate, wilson


@dataclass(frozen=True, slots=True)
class Figures:
    """`coverage` is the share of bad outputs that fail, `false_failures` that of good ones that do. `alignment` is the
    harmonic mean of coverage and of the share of good outputs that pass (Shankar et al. 2024, EvalGen)."""

    coverage: Estimate
    false_failures: Estimate

    @property
    def alignment(self) -> float:
        """0 to 1."""
        caught, passed = self.coverage.value, 1 - self.false_failures.value
        return 2 * caught * passed / (caught + passed) if caught + passed > 0 else 0.0


class Tried(NamedTuple):
    """A candidate and which outputs fail it."""

    candidate: Candidate
    fails: tuple[bool, ...]


def figures(fails: Sequence[bool], good: Sequence[bool]) -> Figures:
    """The figures of outputs that fail, with Wilson's intervals."""
    caught = [fail for fail, fine in zip(fails, good, strict=True) if not fine]
    wrong = [fail for fail, fine in zip(fails, good, strict=True) if fine]
    return Figures(_share(caught), _share(wrong))


def choose(tried: Sequence[Tried], good: Sequence[bool], *, most_false: float, most: int, error: float) -> list[Tried]:
    """Greedily: the candidate that catches most bad outputs which are not caught yet, as long as not more than the
    share `most_false` of the good ones fails any of those chosen.

    A candidate counts only when what it adds is too much for chance: Fisher's exact test on the outputs that nothing
    fails yet, corrected for all candidates that differ (Bonferroni), at `error`. So from labels that mean nothing
    nothing is chosen, with probability 1 - `error`.
    """
    differing = {one.fails: one for one in reversed(tried) if any(one.fails)}
    pool = sorted(differing.values(), key=lambda one: tried.index(one))
    chosen: list[Tried] = []
    failed = [False] * len(good)
    goods = sum(good)
    while len(chosen) < most:
        best: tuple[float, int, Tried] | None = None
        for place, one in enumerate(pool):
            new = [fail and not before for fail, before in zip(one.fails, failed, strict=True)]
            caught = sum(add and not fine for add, fine in zip(new, good, strict=True))
            wrong = sum(add and fine for add, fine in zip(new, good, strict=True))
            already = sum(before and fine for before, fine in zip(failed, good, strict=True))
            if not caught or already + wrong > most_false * goods:
                continue
            left = [fine for fine, before in zip(good, failed, strict=True) if not before]
            if chance(caught, len(left) - sum(left), wrong, sum(left)) > error / len(pool):
                continue
            worth = caught - wrong * 0.5
            if best is None or (worth, -place) > best[:2]:
                best = worth, -place, one
        if best is None:
            return chosen
        chosen.append(best[2])
        failed = [before or fail for before, fail in zip(failed, best[2].fails, strict=True)]
    return chosen


def chance(caught: int, bad: int, wrong: int, good: int) -> float:
    """How likely it is that at least so many of those that fail are bad when failing has nothing to do with it:
    Fisher's exact test, one-sided."""
    fails, every = caught + wrong, bad + good
    total = math.comb(every, fails)
    ways = sum(math.comb(bad, k) * math.comb(good, fails - k) for k in range(caught, min(bad, fails) + 1))
    return ways / total


def _share(hits: Sequence[bool]) -> Estimate:
    count = sum(hits)
    return Estimate(count / len(hits), wilson(count, len(hits)), len(hits), "wilson")
