from __future__ import annotations

from random import Random
from typing import Any

import pytest
from tests.optimize.studies import study_of, within

import outlast as ol
from outlast.optimize.operators.tune import Tune, at, share_of, stepped

SPACES: list[Any] = [
    ol.Float(0, 1),
    ol.Float(-2, 2, start=1.5),
    ol.Float(1e-5, 1, log=True),
    ol.Int(1, 3),
    ol.Int(1, 1000, log=True),
    ol.Choice(["a", "b", None]),
]


class Knobs(ol.Module):
    """A program with numbers, a choice and a text."""

    share = ol.param(ol.Float(0, 1, start=0.5))
    count = ol.param(ol.Int(1, 9))
    kind = ol.param(ol.Choice(["a", "b"]))
    words = ol.param(ol.Text("as they are"))

    async def forward(self, thing: str) -> ol.Prediction:
        return ol.Prediction(colour="red")


@pytest.mark.parametrize("space", SPACES)
def test_steps_stay_in_the_space_and_move(space: Any):
    rng, value = Random(1), space.start
    seen: set[Any] = set()
    for _ in range(300):
        new = stepped(space, value, rng)
        assert space.check(new, "x") == new
        if not isinstance(space, ol.Float):
            assert new != value
        value = new
        seen.add(value)
    assert len(seen) >= min(3, 300)


def test_a_place_and_its_value_belong_together():
    assert [at(ol.Float(0, 10), share) for share in (0, 0.25, 1, 1.5)] == [0, 2.5, 10, 10]
    assert at(ol.Float(1e-4, 1, log=True), 0.5) == pytest.approx(0.01)
    assert [at(ol.Int(1, 5), share) for share in (0, 0.5, 1)] == [1, 3, 5]
    assert [at(ol.Choice(["a", "b"]), share) for share in (0, 0.49, 0.5, 1)] == ["a", "a", "b", "b"]
    assert share_of(ol.Float(1, 100, log=True), 10) == pytest.approx(0.5)


def test_values_have_few_digits():
    assert len(repr(at(ol.Float(0, 1), 1 / 3))) <= 5
    assert at(ol.Float(0, 3e-7), 1 / 3) == pytest.approx(1e-7, rel=0.02)


def test_it_moves_what_may_be_moved_and_leaves_texts_alone():
    study = study_of(Knobs(), lock=["kind"])
    tune = Tune()
    assert tune.applies(study, study.start)
    found = [within(study, lambda n=n: tune.propose(study, study.start, n)) for n in range(30)]
    paths = {path for some in found for one in some for path in one.changes}
    assert paths == {"share", "count"}
    assert all(one.operator == "tune" and one.origin for some in found for one in some)
    again = study_of(Knobs(), lock=["kind"])
    assert [within(again, lambda n=n: tune.propose(again, again.start, n)) for n in range(30)] == found


def test_a_program_without_numbers_has_nothing_to_tune():
    class Plain(ol.Module):
        words = ol.param(ol.Text("as they are"))

        async def forward(self, thing: str) -> str:
            return thing

    assert not Tune().applies(study_of(Plain()), study_of(Plain()).start)
