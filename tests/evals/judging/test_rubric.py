"""Rubrics: words with a version, and verdicts on a scale."""

from __future__ import annotations

from typing import Any

import pytest

import outlast as ol
from outlast.errors import UsageError
from outlast.evals.judging import Rubric

TONE = ol.Rubric("tone", "The reply is friendly.", passes="It thanks.", fails=["It blames.", "It sighs."])


def test_the_version_covers_the_words_not_the_name() -> None:
    assert (
        TONE.version == ol.Rubric("other", "The reply is friendly.", "It thanks.", ("It blames.", "It sighs.")).version
    )
    assert len(TONE.version) == 12
    for change in ({"criterion": "x"}, {"passes": "x"}, {"fails": "It blames."}, {"scale": (1, 5)}):
        assert TONE.edited(**change).version != TONE.version
    assert Rubric.from_json(TONE.to_json()) == TONE
    assert TONE.edited(passes=["It thanks."]) == TONE
    assert TONE.edited(name="manner") != TONE
    assert TONE.text() == "The reply is friendly.\nPasses: It thanks.\nFails: It blames.\nFails: It sighs."


@pytest.mark.parametrize(
    ("scale", "value", "verdict", "score"),
    [
        (None, "PASS", "pass", 1.0),
        (None, False, "fail", 0.0),
        (None, 1, "pass", 1.0),
        (None, "no", "fail", 0.0),
        ((1, 5), "3", 3, 0.5),
        ((1, 5), 3.667, 3.667, 0.66675),
        ((0, 10), 10.0, 10, 1.0),
        (("poor", "fair", "good"), "Fair ", "fair", 0.5),
    ],
)
def test_verdicts_are_read_and_become_numbers(scale: Any, value: Any, verdict: Any, score: float) -> None:
    rubric = ol.Rubric("r", "Good.", scale=scale)
    assert rubric.read(value) == verdict
    assert type(rubric.read(value)) is type(verdict)
    assert rubric.score(value) == pytest.approx(score)


def test_the_nearest_level_is_the_lower_of_two() -> None:
    rubric = ol.Rubric("r", "Good.", scale=(1, 5))
    assert [rubric.nearest(x) for x in (1, 1.4, 1.5, 1.6, 3.667, 5)] == [1, 1, 1, 2, 4, 5]


@pytest.mark.parametrize(
    ("scale", "value"), [(None, "good"), (None, 2), ((1, 5), 6), ((1, 5), True), ((1, 5), "nan"), (("a", "b"), 1)]
)
def test_other_verdicts_are_refused(scale: Any, value: Any) -> None:
    with pytest.raises(UsageError, match="rubric 'r': a verdict is"):
        ol.Rubric("r", "Good.", scale=scale).read(value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ol.Rubric("", "x"),
        lambda: ol.Rubric("a.b", "x"),
        lambda: ol.Rubric("a", " "),
        lambda: ol.Rubric("a", "x", passes=[3]),  # type: ignore[list-item]
        lambda: ol.Rubric("a", "x", scale=(5, 1)),
        lambda: ol.Rubric("a", "x", scale=("one",)),
        lambda: ol.Rubric("a", "x", scale=("one", "One")),
        lambda: ol.Rubric("a", "x", scale="15"),
        lambda: TONE.edited(criteria="x"),
    ],
)
def test_what_is_no_rubric_is_refused(make: Any) -> None:
    with pytest.raises(UsageError):
        make()
