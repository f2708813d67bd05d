"""Races that keep a number of candidates: block after block, who is behind too many others is out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING

from outlast.evals.statistics.quantiles import t_quantile
from outlast.modules.paths import parameters
from outlast.optimize.texts import together

if TYPE_CHECKING:
    from outlast.data.example import Example
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study

Penalty = Callable[["Candidate"], float]


def no_penalty(one: Candidate) -> float:
    """Nothing, whoever it is."""
    return 0.0


def length_penalty(study: Study, weight: float, some: Sequence[Candidate], paths: Sequence[str]) -> Penalty:
    """The penalty that is `weight` for a prompt as long as the longest of `some`, and in proportion for others.

    Length is that of the texts at `paths` and of all demonstrations, in characters.
    """

    def length(one: Candidate) -> int:
        values = parameters(study.build(one))
        shown = [str(dict(demo.values)) for path in values if path.endswith("demos") for demo in values[path]]
        return sum(map(len, shown)) + sum(len(values[path]) for path in paths)

    longest = max(1, *map(length, some))
    return lambda one: weight * length(one) / longest


async def keep(
    study: Study,
    entries: Sequence[Candidate],
    most: int,
    rng: Random,
    *,
    block: int,
    blocks: int,
    alpha: float,
    penalty: Penalty,
) -> list[Candidate]:
    """The `most` best candidates, best first, on as few blocks of shared selection examples as it takes.

    All that are alive run on the next block; those behind which at least `most` others are by a paired t-test at level
    `alpha` (uncorrected) are out. It ends when `most` are left, or after `blocks` blocks. `rng` orders the blocks,
    whose content is the same in every race. `penalty` is taken off the score of a candidate.
    Cost: at most `block` x `blocks` rollouts for each entry. Source: Zehle et al. 2025 (CAPO, arXiv 2504.16005).
    """
    alive = list(entries)
    examples = list(study.select)
    study.rng("blocks").shuffle(examples)
    parts = [examples[at : at + block] for at in range(0, len(examples), block)]
    rng.shuffle(parts)
    seen: list[Example] = []
    for part in parts[:blocks]:
        if len(alive) <= most:
            break
        study.alive = len(alive)
        await together(study.evaluate(one, part) for one in alive)
        seen += part
        scores = {one: _penalised(study, one, seen, penalty) for one in alive}
        behind = {one: sum(ahead(scores[other], scores[one], alpha) for other in alive) for one in alive}
        alive = [one for one in alive if behind[one] < most]
    return ranked(study, alive, penalty, seen)[:most]


def ranked(study: Study, some: Sequence[Candidate], penalty: Penalty, seen: Sequence[Example] = ()) -> list[Candidate]:
    """Best first by the mean less the penalty, on these examples; without any, on all that each was run on."""

    def score(one: Candidate) -> float:
        values = _penalised(study, one, seen, penalty)
        return math.fsum(values.values()) / len(values) if values else study.tally(one).mean - penalty(one)

    return sorted(some, key=score, reverse=True)


def ahead(ours: Mapping[str, float], theirs: Mapping[str, float], alpha: float) -> bool:
    """Whether the first is better by a one-sided paired t-test."""
    gaps = [value - theirs[key] for key, value in ours.items() if key in theirs]
    n = len(gaps)
    if n < 2:
        return False
    mean = math.fsum(gaps) / n
    error = math.sqrt(math.fsum((gap - mean) ** 2 for gap in gaps) / (n - 1) / n)
    return mean > error * t_quantile(1 - alpha, n - 1) if error > 0 else mean > 0


def _penalised(study: Study, one: Candidate, seen: Sequence[Example], penalty: Penalty) -> dict[str, float]:
    values, cost = study.tally(one).values, penalty(one)
    keys = [study.key_of(example) for example in seen]
    return {key: values[key] - cost for key in keys if key in values}
