"""What rollouts came to, by candidate and part of the data."""

from __future__ import annotations

import pytest
from tests.optimize.studies import things

from outlast.data.example import id_of
from outlast.errors import UsageError
from outlast.optimize.candidate import Candidate, Outcome
from outlast.optimize.results import Results

TRAIN, SELECT = things(4), things(6, first=4)
START = Candidate("start")
GOOD, EQUAL, TEACHER = Candidate("good", {"a": 1}), Candidate("equal", {"a": 2}), Candidate("teacher")
KNOWN = [START, GOOD, EQUAL, TEACHER]


def outcome(one: Candidate, example: object, value: float, *, sample: int = 0) -> Outcome:
    return Outcome(one.id, id_of(example), sample, "pass" if value else "fail", value, calls=3)  # type: ignore[arg-type]


def filled() -> Results:
    results = Results(TRAIN, SELECT)
    for one, value in ((EQUAL, 1.0), (TEACHER, 1.0), (START, 0.0), (GOOD, 1.0)):
        for example in reversed(SELECT):
            results.add(outcome(one, example, value))
    results.add(outcome(GOOD, TRAIN[0], 0.0))
    return results


def test_parts_are_told_apart_and_outcomes_come_in_the_order_of_the_data() -> None:
    results = filled()
    assert len(results.outcomes) == 25
    assert results.calls == 75
    assert results.tally(GOOD, "select").mean == 1.0
    assert results.tally(GOOD, "train").mean == 0.0
    assert [one.example for one in results.outcomes_of(GOOD, "select")] == [id_of(one) for one in SELECT]
    assert len(results.items(GOOD)) == 6
    assert not results.tally(Candidate("unknown", {"a": 3}), "select").values


def test_the_leader_of_equals_is_the_one_that_was_proposed_first() -> None:
    results = filled()
    assert results.leader(KNOWN, lambda one: True) == GOOD
    assert results.leader([START, EQUAL, GOOD, TEACHER], lambda one: True) == EQUAL


def test_who_was_dropped_cannot_be_proven_or_is_a_teacher_does_not_lead() -> None:
    results = filled()
    assert results.contenders(KNOWN, lambda one: True) == [EQUAL, START, GOOD]
    results.drop(GOOD)
    assert not results.in_race(GOOD)
    assert not results.in_race(TEACHER)
    assert results.leader(KNOWN, lambda one: True) == EQUAL
    assert results.leader(KNOWN, lambda one: one != EQUAL) == START


def test_examples_are_found_by_id() -> None:
    results = filled()
    assert results.example(id_of(TRAIN[1])) is TRAIN[1]
    assert results.knows(id_of(SELECT[1]))
    assert not results.knows("other")
    with pytest.raises(UsageError, match="no training or selection example has the id 'other'"):
        results.example("other")
