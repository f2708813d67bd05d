"""The headroom test: what a few rollouts say before a search."""

from __future__ import annotations

from typing import Any

import pytest

import outlast as ol
from outlast.errors import BudgetExceeded, DataError, UsageError
from outlast.optimize.headroom import Headroom
from outlast.testing import ScriptedLM
from outlast.testing.world import Triage, World, right


def found(world: World, **options: object) -> Headroom:
    return ol.headroom(Triage(), world.data(), right, lm=world.lm(), **options)  # pyright: ignore[reportArgumentType]


def test_draws_that_differ_and_demos_that_help_are_headroom():
    world = World(examples=200, base=0.5, gain=0.5)
    seen = found(world, examples=40, draws=4)
    assert seen.n == 40
    assert 0.3 < seen.mean < 0.7
    assert seen.best_of > seen.mean + 0.25
    assert seen.demos is not None
    assert seen.demos.mean > 0.25
    assert not seen.none
    assert "best of 4 draws" in str(seen)


def test_a_program_that_is_right_already_has_none():
    seen = found(World(base=1.0, gain=0.0))
    assert (seen.mean, seen.missing, seen.none) == (1.0, 0.0, True)
    assert str(seen).endswith(": no headroom")


def test_a_stronger_model_is_a_probe():
    weak, strong = World(base=0.3, gain=0.0), World(base=1.0, gain=0.0)
    seen = found(weak, strong=strong.lm(name="strong"), examples=30)
    assert seen.strong is not None
    assert seen.strong.mean > 0.4
    assert found(weak, demos=False).strong is None


def test_answers_that_cannot_be_read_are_told():
    lm = ScriptedLM(lambda messages: "")
    seen = ol.headroom(Triage(), World().data(), right, lm=lm, draws=1, demos=False)
    assert seen.unanswered == 1.0
    assert not seen.none


def test_what_it_costs_is_bounded_and_known():
    world = World(base=0.5, gain=0.0)
    lm = world.lm()
    ol.headroom(Triage(), world.data(), right, lm=lm, examples=10, draws=2)
    assert lm.calls <= 2 * 10 * 3
    with pytest.raises(BudgetExceeded):
        ol.headroom(Triage(), world.data(), right, lm=world.lm(), budget=ol.Budget(calls=10))


@pytest.mark.parametrize("options", [{"examples": 1}, {"draws": 0}, {"draws": True}])
def test_bad_options_are_refused(options: dict[str, object]):
    with pytest.raises(UsageError, match="headroom"):
        found(World(), **options)


def test_too_little_data_is_refused():
    with pytest.raises(DataError, match="at least 20"):
        ol.headroom(Triage(), World(examples=10).data(), right, lm=World().lm())


def test_a_metric_on_another_scale_is_not_taken_for_perfect():
    world = World(examples=200, base=0.5, gain=0.5)

    def points(example: object, prediction: object) -> float:
        return 1.0 + 9.0 * right(example, prediction)

    seen = ol.headroom(Triage(), world.data(), points, lm=world.lm(), examples=30)
    assert seen.full == 10.0
    assert not seen.none
    assert "%" not in str(seen).split(";")[0]


def test_data_by_part_are_used_as_a_compile_would_and_the_proof_stays_unseen():
    world = World(examples=120, base=0.5, gain=0.5)
    rows = list(world.data())
    lm = world.lm()
    asked: list[str] = []

    def seen(example: Any, out: Any) -> bool:
        asked.append(example.message)
        return right(example, out)

    data = {"train": rows[:40], "select": rows[40:80], "confirm": rows[80:]}
    found = ol.headroom(Triage(), data, seen, lm=lm, draws=1)
    assert found.n == 20
    assert found.demos is not None
    assert set(asked) <= {row.message for row in rows[40:80]}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"train": [], "dev": []}, "data has no part 'dev'. Parts: train, select, confirm"),
        ({"train": []}, "'select' is missing"),
        ("train.jsonl", "data is a Dataset or a list of Examples; got 'train.jsonl'"),
        (7, "data is a Dataset or a list of Examples; got 7"),
    ],
)
def test_data_of_another_form_are_refused_in_words(data: object, said: str):
    with pytest.raises(UsageError) as caught:
        ol.headroom(Triage(), data, right, lm=World().lm())  # pyright: ignore[reportArgumentType]
    assert said in str(caught.value)
