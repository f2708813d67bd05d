"""Which few of many examples to show."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest

from outlast.optimize.choosing import balanced, cover, likeness, orders, relevant, spread, varied


def clusters(sizes: list[int], inside: float = 0.9, outside: float = 0.1) -> list[list[float]]:
    """Likenesses of points in clusters."""
    of = [number for number, size in enumerate(sizes) for _ in range(size)]
    return [[1.0 if i == j else inside if of[i] == of[j] else outside for j in range(len(of))] for i in range(len(of))]


def reach(similar: list[list[float]], chosen: tuple[int, ...] | list[int]) -> float:
    return sum(max(row[place] for place in chosen) for row in similar)


def test_likeness_is_symmetric_and_greatest_for_equal_texts() -> None:
    found = likeness(["a lost card", "the card was lost", "transfer of money", "a lost card"])
    assert found[0][3] == pytest.approx(1.0)
    assert found[0][1] > found[0][2]
    for i in range(4):
        for j in range(4):
            assert found[i][j] == pytest.approx(found[j][i])
    assert likeness([]) == []


def test_cover_takes_one_of_each_cluster_the_greatest_first() -> None:
    similar = clusters([5, 3, 2])
    chosen = cover(similar, 3, allowed=range(10))
    assert [place < 5 for place in chosen] == [True, False, False]
    assert {place // 5 if place < 5 else 1 + (place >= 8) for place in chosen} == {0, 1, 2}


def test_cover_is_within_63_percent_of_the_best_choice() -> None:
    rng = Random(3)
    for _ in range(5):
        points = [(rng.random(), rng.random()) for _ in range(12)]
        similar = [[max(0.0, 1 - 1.2 * abs(a - c) - 1.2 * abs(b - d)) for c, d in points] for a, b in points]
        best = max(reach(similar, chosen) for chosen in combinations(range(12), 3))
        assert reach(similar, cover(similar, 3, allowed=range(12))) >= 0.95 * best


def test_lazy_greedy_is_greedy() -> None:
    rng = Random(5)
    similar = [[rng.random() for _ in range(15)] for _ in range(20)]
    chosen: list[int] = []
    for _ in range(6):
        chosen.append(max((j for j in range(15) if j not in chosen), key=lambda j: (reach(similar, [*chosen, j]), -j)))
    assert cover(similar, 6, allowed=range(15)) == chosen


def test_cover_counts_what_is_given_already_and_keeps_to_what_is_allowed() -> None:
    similar = clusters([4, 4])
    assert cover(similar, 1, allowed=range(8), given=[0])[0] >= 4
    assert set(cover(similar, 5, allowed=[1, 2, 6])) == {1, 2, 6}
    assert cover(similar, 0, allowed=range(8)) == []
    assert cover([], 2, allowed=[4, 5]) == [4, 5]


def test_cover_leaves_what_nobody_trusts_to_the_end() -> None:
    similar = clusters([4])
    chosen = cover(similar, 4, allowed=range(4), worth=[0.1, 0.9, 0.9, 0.9])
    assert chosen[-1] == 0


def test_cover_balances_labels() -> None:
    similar = clusters([12])
    labels = ["a"] * 10 + ["b", "c"]
    assert {labels[place] for place in cover(similar, 3, allowed=range(12), groups=labels)} == {"a", "b", "c"}


def test_spread_goes_to_the_farthest() -> None:
    points = [0.0, 0.1, 0.2, 0.9, 1.0]
    similar = [[1 - abs(a - b) for b in points] for a in points]
    assert spread(similar, 3) == [2, 4, 0]
    assert spread(similar, 9, allowed=[0, 3]) == [0, 3]
    assert spread([], 2) == []


def test_varied_does_not_take_the_same_twice() -> None:
    similar = [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    assert varied([0.9, 0.9, 0.5], similar, 2) == [0, 2]
    assert varied([0.9, 0.9, 0.5], similar, 2, taste=1.0) == [0, 1]


def test_relevance_is_of_columns() -> None:
    assert relevant([[1.0, 0.0, 0.5]]) == [1.0, 0.0, 0.5]
    assert relevant([]) == []


def test_balanced_takes_from_each_group_in_turn() -> None:
    assert balanced([0, 1, 2, 3], ["a", "a", "b", "a"]) == [0, 2, 1, 3]


def test_orders_differ_and_begin_with_the_most_relevant_last() -> None:
    found = orders(4, Random(1), 6, relevance=[0.5, 0.9, 0.1, 0.3])
    assert found[0] == [2, 3, 0, 1]
    assert found[1] == [1, 0, 3, 2]
    assert len({tuple(order) for order in found}) == 6
    assert all(sorted(order) == [0, 1, 2, 3] for order in found)
    assert orders(1, Random(1), 5, relevance=[0.0]) == [[0]]
    assert len(orders(2, Random(1), 5)) == 2
