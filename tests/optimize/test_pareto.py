from __future__ import annotations

import time
from random import Random

import pytest

import outlast as ol
from outlast.errors import UsageError
from outlast.optimize.candidate import Outcome
from outlast.optimize.pareto import dominance, front
from outlast.optimize.vectors import Item, items_of, vector_of


def items(scores: list[float], dollars: float = 1.0, seconds: float = 1.0, tokens: float = 100.0) -> dict[str, Item]:
    return {f"e{number:03}": Item(score, dollars, seconds, tokens) for number, score in enumerate(scores)}


def outcome(example: str, score: float | None, sample: int = 0, **about: float) -> Outcome:
    state = "unscored" if score is None else "pass" if score == 1 else "fail"
    return Outcome("c", example, sample, state, score, seconds=about.get("seconds", 0.0), tokens=int(about.get("t", 0)))


def test_a_vector_averages_draws_and_leaves_out_what_nobody_can_score():
    some = items_of(
        [
            outcome("a", 1.0, seconds=1, t=10),
            outcome("a", 0.0, 1, seconds=3, t=30),
            outcome("b", 1.0, seconds=4, t=40),
            outcome("c", None, seconds=99, t=999),
        ]
    )
    vector = vector_of(some)
    assert (vector.n, vector.score, vector.tokens, vector.seconds) == (2, 0.75, 30.0, 3.0)
    assert vector.slow_seconds == pytest.approx(3.9)
    assert vector_of(some, priced=False).dollars is None


def test_an_answer_that_nobody_could_use_counts_as_0():
    broken = Outcome("c", "a", 0, "error", None, error="ParseError", answered=False, tokens=7)
    assert items_of([broken]) == {"a": Item(0.0, 0.0, 0.0, 7)}


def test_the_front_holds_what_none_beats_on_everything():
    spots = front(
        {
            "start": items([0, 1] * 20, tokens=100),
            "long": items([1, 1, 1, 0] * 10, tokens=400),
            "worse": items([0, 1, 0, 0] * 10, tokens=400),
            "equal": items([1, 1, 1, 0] * 10, tokens=400),
        },
        ["tokens"],
    )
    standing = {spot.candidate: spot.on_front for spot in spots}
    assert standing == {"long": True, "equal": True, "start": True, "worse": False}
    assert [spot.candidate for spot in spots][-1] == "worse"
    sure = {spot.candidate: spot.sure or 0.0 for spot in spots}
    assert sure["start"] == 1.0  # nothing takes fewer tokens
    assert sure["worse"] < 0.05


def test_a_near_tie_is_not_sure():
    rng = Random(1)
    one = [float(rng.random() < 0.6) for _ in range(60)]
    two = [float(rng.random() < 0.6) for _ in range(60)]
    spots = front({"one": items(one, tokens=100), "two": items(two, tokens=90)}, ["tokens"])
    by = {spot.candidate: spot for spot in spots}
    assert by["two"].sure == 1.0
    assert 0.02 < (by["one"].sure or 0.0) < 0.98


def test_dominance_is_a_probability_over_shared_examples():
    better, base = items([1.0] * 30 + [0.0] * 10, tokens=50), items([1.0] * 20 + [0.0] * 20, tokens=60)
    assert dominance(better, base, ["tokens"]) > 0.99
    assert dominance(base, better, ["tokens"]) == 0.0
    assert dominance(base, base, ["tokens"]) == 0.0  # equal is not better
    assert dominance({"x": Item(1, 1, 1, 1)}, base, ["tokens"]) == 0.0  # nothing in common


def test_dominance_is_calibrated_where_the_truth_is_a_tie():
    rng = Random(3)
    found: list[float] = []
    for _ in range(30):
        one = items([float(rng.random() < 0.5) for _ in range(50)], tokens=10)
        two = items([float(rng.random() < 0.5) for _ in range(50)], tokens=10)
        found.append(dominance(one, two, ["tokens"]))
    assert 0.35 < sum(found) / len(found) < 0.65


def test_a_front_of_many_candidates_is_quick():
    rng = Random(0)
    many = {str(k): items([rng.random() for _ in range(100)], tokens=100 + k) for k in range(40)}
    began = time.process_time()
    spots = front(many, ["tokens"])
    assert time.process_time() - began < 3
    assert sum(spot.sure is not None for spot in spots) == 16


@pytest.mark.parametrize("costs", [[], ["price"]])
def test_a_cost_that_is_none_is_refused(costs: list[str]):
    with pytest.raises(UsageError, match="cost"):
        front({"a": items([1.0])}, costs)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("best", ol.Prefer()),
        ("cheapest within 1 point", ol.Prefer("dollars", 1)),
        ("fastest within 2 points", ol.Prefer("seconds", 2)),
        ("fewest tokens within 0.5 points", ol.Prefer("tokens", 0.5)),
    ],
)
def test_a_wish_is_read_and_said(text: str, wish: ol.Prefer):
    assert ol.Prefer.read(text) == wish
    assert ol.Prefer.read(str(wish)) == wish
    assert ol.Prefer.read(wish) is wish


@pytest.mark.parametrize(
    "text", ["cheap", "cheapest", "cheapest within 1", "cheapest within -1 points", "Cheapest within 1 point", 3, ""]
)
def test_a_wish_that_is_none_is_refused_with_examples(text: object):
    with pytest.raises(UsageError, match="cheapest within 1 point"):
        ol.Prefer.read(text)


def test_a_misspelt_wish_is_told_what_is_near():
    with pytest.raises(UsageError, match="cheapest'\\?"):
        ol.Prefer.read("cheepest within 1 point")


@pytest.mark.parametrize(("what", "within"), [("price", 1.0), ("dollars", -1.0), ("dollars", "1"), ("score", 1.0)])
def test_a_wish_as_a_value_is_checked(what: str, within: object):
    with pytest.raises(UsageError, match="Prefer"):
        ol.Prefer(what, within)  # pyright: ignore[reportArgumentType]
