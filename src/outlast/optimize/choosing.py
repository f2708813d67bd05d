"""Which few of many examples to show: coverage, diversity, likeness and order. Pure functions over likenesses.

A row of likenesses says how alike one text is to each place of a pool, from 0 to 1. Of equals the earlier place wins,
so equal data give equal choices.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Hashable, Sequence
from random import Random

from outlast.lms.baseline.text import Index, clip, terms

__all__ = ["balanced", "cover", "likeness", "orders", "relevant", "spread", "varied"]

Likeness = Sequence[Sequence[float]]


def likeness(texts: Sequence[str]) -> list[list[float]]:
    """How alike each two texts are, by words and character n-grams weighed as in tf-idf; see `baseline.text.Index`.

    Row i compares text i with all. Cost: some 0.3 ms of CPU for each of 400 short texts; no model is asked.
    """
    read = [terms(clip(text)) for text in texts]
    index = Index(read)
    return [index.similarities(one) for one in read]


def cover(
    goals: Likeness,
    k: int,
    *,
    allowed: Sequence[int],
    given: Sequence[int] = (),
    worth: Sequence[float] | None = None,
    groups: Sequence[Hashable] | None = None,
    balance: float = 0.5,
) -> list[int]:
    """The `k` of `allowed` that together, and with those `given`, are near to all goals; the most useful first.

    Each goal is a row of likenesses. Maximises sum over goals of max over chosen j of goal[j] * worth[j], plus, with
    `groups` (labels, say), `balance` * goals * the mean over groups of (1 - 2^-chosen of the group). Both parts are
    submodular, so greedy choice reaches 63% of the optimum or more. `worth` (default 1) is the trust in each, 0..1.
    Source: facility location and diversity rewards, Lin and Bilmes 2011 (ACL); lazy greedy, Minoux 1978.
    Cost: about len(allowed) * len(goals) steps of CPU, and little more for each of the k.
    """
    trust = [1.0] * (max(allowed, default=0) + 1) if worth is None else worth
    held = [(place, 1.0 if worth is None else worth[place]) for place in given]
    reached = [max((row[place] * sure for place, sure in held), default=0.0) for row in goals]
    counts: Counter[Hashable] = Counter(groups[place] for place in given) if groups is not None else Counter()
    kinds = len({groups[place] for place in allowed}) if groups is not None and allowed else 1

    def gain(place: int) -> float:
        sure = trust[place]
        found = sum(more for row, far in zip(goals, reached, strict=True) if (more := row[place] * sure - far) > 0)
        if groups is not None:
            found += sure * balance * len(goals) * 0.5 ** (counts[groups[place]] + 1) / kinds
        return found

    queue = [(-gain(place), at, place) for at, place in enumerate(allowed)]
    heapq.heapify(queue)
    chosen: list[int] = []
    while queue and len(chosen) < k:
        _, at, place = heapq.heappop(queue)
        fresh = -gain(place)
        if queue and (fresh, at) > queue[0][:2]:
            heapq.heappush(queue, (fresh, at, place))
            continue
        chosen.append(place)
        if groups is not None:
            counts[groups[place]] += 1
        reached = [max(far, row[place] * trust[place]) for row, far in zip(goals, reached, strict=True)]
    return chosen


def spread(similar: Likeness, k: int, *, allowed: Sequence[int] | None = None) -> list[int]:
    """The `k` that lie farthest apart: the most central first, then always the one least like those chosen.

    Source: k-center by farthest-first traversal, Gonzalez 1985 (at most twice the optimal radius).
    """
    pool = list(range(len(similar)) if allowed is None else allowed)
    if not pool or k < 1:
        return []
    chosen = [max(pool, key=lambda place: (math.fsum(similar[place][other] for other in pool), -place))]
    near = {place: similar[place][chosen[0]] for place in pool if place != chosen[0]}
    while near and len(chosen) < k:
        place = min(near, key=lambda one: near[one])
        chosen.append(place)
        del near[place]
        for other in near:
            near[other] = max(near[other], similar[other][place])
    return chosen


def varied(
    relevance: Sequence[float],
    similar: Likeness,
    k: int,
    *,
    allowed: Sequence[int] | None = None,
    taste: float = 0.7,
) -> list[int]:
    """The `k` that are relevant and yet unlike each other: `taste` * relevance - (1 - `taste`) * nearest chosen.

    Source: maximal marginal relevance, Carbonell and Goldstein 1998 (SIGIR).
    """
    left = dict.fromkeys(range(len(relevance)) if allowed is None else allowed, 0.0)
    chosen: list[int] = []
    while left and len(chosen) < k:
        place = max(left, key=lambda one: taste * relevance[one] - (1 - taste) * left[one])
        chosen.append(place)
        del left[place]
        for other in left:
            left[other] = max(left[other], similar[other][place])
    return chosen


def relevant(goals: Likeness, power: float = 2.0) -> list[float]:
    """How much each place resembles the goals, rows of likenesses: the root mean square, near goals counting most."""
    if not goals:
        return []
    return [
        (math.fsum(one**power for one in column) / len(goals)) ** (1 / power) for column in zip(*goals, strict=True)
    ]


def balanced(places: Sequence[int], groups: Sequence[Hashable]) -> list[int]:
    """The same places, taken from each group in turn; within a group their order stays."""
    waiting: dict[Hashable, list[int]] = {}
    for place in places:
        waiting.setdefault(groups[place], []).append(place)
    queues = list(waiting.values())
    longest = max(map(len, queues), default=0)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


def orders(size: int, rng: Random, count: int, *, relevance: Sequence[float] | None = None) -> list[list[int]]:
    """At most `count` orders of `size` things, all different: most relevant last, most relevant first, then shuffles.

    Order matters much for few-shot prompts and the last place most (Lu et al. 2022, arXiv 2104.08786; Zhao et al. 2021,
    arXiv 2102.09690); no order is best for all models, so a few are to be tried.
    """
    found: list[list[int]] = []
    if relevance is not None:
        rising = sorted(range(size), key=lambda place: relevance[place])
        found += [rising, rising[::-1]][: min(count, size)]
    most = math.factorial(size) if size < 8 else count
    tries = 0
    while len(found) < min(count, most) and tries < 20 * count:
        order = list(range(size))
        rng.shuffle(order)
        tries += 1
        if order not in found:
            found.append(order)
    return found
