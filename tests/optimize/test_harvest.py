"""What could be shown: labels, own answers that passed, and who doubts them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import pytest

import outlast as ol
from outlast.data.example import id_of
from outlast.optimize.demos import example_of
from outlast.optimize.harvest import doubt, harvest, likeness_to, neighbours, shown_as, within
from outlast.optimize.ledger import Ledger
from outlast.optimize.study import Study
from outlast.runtime import run_blocking, running
from outlast.testing import ScriptedLM
from outlast.testing.world import Triage, World, right


class Climate(ol.Signature):
    """Say what the weather is like."""

    text: str = ol.input()
    weather: Literal["warm", "cold"] = ol.output()


def rows(count: int, *, wrong: Collection[int] = ()) -> list[ol.Example]:
    """Texts in two clusters, each with its label; some with the other one."""
    found: list[ol.Example] = []
    for number in range(count):
        warm = number % 2 == 0
        said = "sunny beach holiday" if warm else "snow storm glacier"
        label = "warm" if warm != (number in wrong) else "cold"
        found.append(ol.Example({"text": f"{said} day{number}"}, {"weather": label}))
    return found


def study_of(program: Any, train: Any, select: Any, metric: Any, **options: Any) -> Study:
    return Study(program, metric, train=train, select=select, ledger=Ledger(None, {}), **options)


def same(example: Any, out: Any) -> bool:
    return example.weather == out.weather


def knows(messages: Any) -> str:
    """A model that knows the weather."""
    return f"<<weather>>\n{'warm' if 'sunny' in str(messages[-1].content) else 'cold'}"


def evaluated(study: Study, lm: Any, candidate: Any, examples: Any) -> None:
    async def run() -> None:
        with running(lm=lm), study.stage("search"):
            await study.evaluate(candidate, examples)

    run_blocking(run)


def test_every_label_is_a_row_in_the_order_of_the_data_and_costs_nothing() -> None:
    study = study_of(ol.Predict(Climate), rows(12), rows(20)[12:], same)
    shelf = harvest(study)
    assert [row.example for row in shelf.rows] == [id_of(example) for example in study.train]
    assert all(row.outcome is None for row in shelf.rows)
    demos = shown_as(study, shelf, [3])[""]
    assert dict(demos[0].values) == {"text": "snow storm glacier day3", "weather": "cold"}
    assert example_of(demos[0]) == shelf.rows[3].example
    assert study.rollouts == 0


def test_a_label_that_the_neighbours_contradict_is_doubted() -> None:
    study = study_of(ol.Predict(Climate), rows(24, wrong={5, 8}), rows(30)[24:], same)
    shelf = harvest(study)
    doubted = {row.place for row in shelf.rows if row.doubt > 0.5}
    assert doubted == {5, 8}
    assert not doubted & set(shelf.trusted)


def test_rollouts_that_contradict_a_label_raise_the_doubt_and_others_lower_it() -> None:
    study = study_of(ol.Predict(Climate), rows(24, wrong={5}), rows(30)[24:], same)
    before = harvest(study)
    evaluated(study, ScriptedLM(knows), study.start, study.train)
    after = harvest(study)
    assert after.rows[5].doubt > before.rows[5].doubt > 0.5
    assert after.rows[4].doubt < before.rows[4].doubt
    assert after.rows[5].outcome is None
    assert after.rows[4].outcome is not None
    own = shown_as(study, after, [4])[""][0]
    assert own.source.endswith("answered by candidate start")


def test_selection_examples_never_become_rows() -> None:
    study = study_of(ol.Predict(Climate), rows(12), rows(24)[12:], same)
    evaluated(study, ScriptedLM(knows), study.start, [*study.train, *study.select])
    assert {row.example for row in harvest(study).rows} == {id_of(example) for example in study.train}


def test_a_rollout_that_was_shown_its_own_example_is_no_witness() -> None:
    study = study_of(ol.Predict(Climate), rows(12), rows(24)[12:], same)
    first = study.train[0]
    told = study.propose(
        {"demos": [ol.Demo({"text": first.text, "weather": "warm"}, f"example {id_of(first)}")]}, origin="x"
    )
    evaluated(study, ScriptedLM(knows), told, study.train)
    shelf = harvest(study)
    assert shelf.rows[0].outcome is None
    assert shelf.rows[2].outcome is not None


def test_steps_of_inner_modules_come_from_the_rollout() -> None:
    world = World(examples=40, base=0.9)
    data = list(world.data())
    study = study_of(Triage(), data[:24], data[24:], right)
    evaluated(study, world.lm(), study.start, study.train)
    shelf = harvest(study)
    own = [place for place, row in enumerate(shelf.rows) if row.outcome is not None]
    assert own
    demos = shown_as(study, shelf, own)
    assert len(demos["route"]) == len(demos["rate"]) == len(own)
    assert set(demos["rate"][0].values) == {"message", "team", "urgent"}


def test_the_same_search_harvests_the_same() -> None:
    def once() -> Any:
        study = study_of(ol.Predict(Climate), rows(24, wrong={5}), rows(30)[24:], same)
        evaluated(study, ScriptedLM(knows), study.start, study.train)
        shelf = harvest(study)
        return [(row.example, row.doubt) for row in shelf.rows], shown_as(study, shelf, range(len(shelf.rows)))

    assert once() == once()


@pytest.mark.parametrize(
    ("rollouts", "votes", "low", "high"),
    [
        ([], None, 0.09, 0.11),
        ([(False, 0.9)], None, 0.3, 0.7),
        ([(True, 0.9)], None, 0.0, 0.02),
        ([(False, 0.5)], None, 0.1, 0.25),
        ([(False, 0.9)] * 4, None, 0.8, 1.0),
        ([], (False, 0.8), 0.3, 0.6),
        ([(False, 0.8)], (False, 0.8), 0.6, 1.0),
        ([(True, 0.8)], (False, 0.8), 0.0, 0.2),
    ],
)
def test_doubt_weighs_the_witnesses(rollouts: Any, votes: Any, low: float, high: float) -> None:
    assert low <= doubt(rollouts, votes) <= high


def test_neighbours_say_nothing_where_every_answer_is_another() -> None:
    similar = [[1.0 if i == j else 0.5 for j in range(9)] for i in range(9)]
    assert neighbours(similar, [str(n) for n in range(9)]) == {}
    assert neighbours([], []) == {}


def test_likeness_to_an_example_of_another_part() -> None:
    study = study_of(ol.Predict(Climate), rows(12), rows(24)[12:], same)
    row = likeness_to(study, harvest(study), study.select[0])
    assert len(row) == 12
    assert max(row[::2]) > max(row[1::2])


def test_demonstrations_stay_within_their_tokens() -> None:
    demos = {"": [ol.Demo({"text": "word " * 50}) for _ in range(5)]}
    assert len(within(demos, 120)[""]) == 2
    assert len(within(demos, 1)[""]) == 1
