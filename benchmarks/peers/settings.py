"""How each peer is set for a budget: as its documentation says, scaled so that it ends near the budget.

Pure functions of budget, predictors and sizes of the data, without the peers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

MINIBATCH, FULL_EVERY = 35, 5  # MIPROv2's defaults
BOOTSTRAP = 10  # rollouts of one bootstrapped set of demonstrations, about, when 40 % of the examples are solved


TUNED_VAL: dict[int, int] = {}  # validation examples by budget, while they are tuned


def val_size(budget: int) -> int:
    """Validation examples for the peers that score every candidate on all of them.

    GEPA's guide asks for the smallest set that stands for the task; with all 100 examples, 300 rollouts would pay for
    two or three candidates. Of 25, 50 and 100 the best for `gepa` on dev seeds, by true score.
    """
    return TUNED_VAL.get(budget) or (25 if budget < 2000 else 50)


@dataclass(frozen=True, slots=True)
class Mipro:
    """`num_candidates`, `num_trials` and the sizes of minibatch and validation set."""

    candidates: int
    trials: int
    minibatch: int
    val: int

    def rollouts(self) -> int:
        """What a run takes, about."""
        full = self.trials // FULL_EVERY + 1 + (self.trials % FULL_EVERY != 0)
        return self.val * full + self.trials * self.minibatch + max(0, self.candidates - 2) * BOOTSTRAP


def mipro(budget: int, predictors: int, val: int) -> Mipro:
    """The candidates of `auto="heavy"` (18), "medium" (12) or "light" (6), the most for which the budget pays the
    number of trials that MIPROv2 recommends for them; then as many trials as the budget pays.

    Where not even "light" fits, fewer candidates, and minibatches of 20 on 50 validation examples.
    """
    for candidates, minibatch, size in ((18, MINIBATCH, val), (12, MINIBATCH, val), (6, MINIBATCH, val), (6, 20, 50)):
        found = Mipro(candidates, recommended_trials(predictors, candidates), min(minibatch, val), min(size, val))
        if found.rollouts() <= budget:
            return _longest(found, budget)
    return _longest(Mipro(4, 4, min(20, val), min(40, val)), budget)


def recommended_trials(predictors: int, candidates: int) -> int:
    """MIPROv2's own formula, with demonstrations: two choices for each predictor."""
    return int(max(2 * 2 * predictors * math.log2(candidates), 1.5 * candidates))


def _longest(found: Mipro, budget: int) -> Mipro:
    longer = found
    while longer.rollouts() <= budget:
        found = longer
        longer = Mipro(found.candidates, found.trials + 1, found.minibatch, found.val)
    return found


@dataclass(frozen=True, slots=True)
class Simba:
    """Options of SIMBA, and how many examples it is given (it has one set only, and scores its finalists on all)."""

    bsize: int
    num_candidates: int
    max_steps: int
    train: int

    def rollouts(self) -> int:
        """What a run takes: each step samples and scores, and the winners of the steps are scored at the end."""
        step = self.bsize * (2 * self.num_candidates + 1)
        return self.max_steps * step + min(self.max_steps + 1, self.num_candidates + 1) * self.train


def simba(budget: int, examples: int) -> Simba:
    """The defaults (batches of 32, 6 candidates, 8 steps) where the budget pays them, else smaller by and by: the
    examples of the last scoring first, then batches and candidates, then steps."""
    for bsize, candidates in ((32, 6), (32, 4), (16, 6), (16, 4), (16, 3), (12, 3), (8, 3)):
        for steps in (8, 7, 6, 5, 4, 3, 2):
            for train in (examples, 150, 100, 60, 40):
                found = Simba(bsize, candidates, steps, min(train, examples))
                if steps >= (4 if bsize > 16 else 2) and found.train >= bsize and found.rollouts() <= budget:
                    return found
    return Simba(8, 3, 1, min(40, examples))


@dataclass(frozen=True, slots=True)
class Copro:
    """Options of COPRO, and how many training examples it is given (it scores every candidate on all of them)."""

    breadth: int
    depth: int
    train: int


def copro(budget: int, predictors: int, examples: int) -> Copro:
    """The defaults (breadth 10, depth 3) on the number of examples that the budget pays, 25 at least; else less
    breadth and depth."""
    for breadth, depth in ((10, 3), (10, 2), (6, 2), (4, 2)):
        # with several predictors all earlier candidates are scored again in every round
        rounds = depth if predictors == 1 else depth * (depth + 1) / 2
        each = int(budget / (breadth * rounds * predictors))
        if each >= 25:
            return Copro(breadth, depth, min(each, examples))
    return Copro(4, 2, 25)


def told(options: Any) -> dict[str, Any]:
    """Options as they are written into results."""
    return asdict(options)


def subset(rows: Sequence[Any], size: int, seed: int) -> list[Any]:
    """That many rows, drawn by seed."""
    return list(rows) if size >= len(rows) else Random(f"peers {seed}").sample(list(rows), size)
