"""The sample program and its data."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest

import outlast as ol
from outlast.samples.triage import Team, Triage, messages, triaged


def test_there_are_400_messages_50_for_each_team() -> None:
    data = messages()
    assert len(data) == 400
    assert Counter(example.team for example in data) == dict.fromkeys(get_args(Team), 50)
    assert {example.urgency for example in data} == {1, 2, 3, 4, 5}
    assert all(set(example.inputs) == {"message"} for example in data)
    assert len({example.message for example in data}) == 400


def test_the_counts_of_the_readme_are_those_of_the_data() -> None:
    from pathlib import Path

    import outlast.samples

    text = (Path(outlast.samples.__file__).parent / "README.md").read_text()
    counts = Counter((example.team, example.urgency) for example in messages())
    for team in get_args(Team):
        row = next(line for line in text.splitlines() if line.startswith(f"| `{team}` |") and line.count("|") == 8)
        assert [int(cell) for cell in row.split("|")[2:7]] == [counts[team, urgency] for urgency in (5, 4, 3, 2, 1)]


def test_the_program_answers_with_typed_outputs() -> None:
    with ol.context(lm="outlast/baseline"):
        out = Triage()(message="my card is gone")
    assert out.team in get_args(Team)
    assert out.urgency in range(1, 6)
    assert set(ol.modules_of(Triage())) == {"", "route", "rate"}


@pytest.mark.parametrize(
    ("team", "urgency", "value"), [("cards", 4, 1.0), ("cards", 2, 0.85), ("app", 4, 0.3), ("app", 1, 0.075)]
)
def test_the_metric(team: str, urgency: int, value: float) -> None:
    example = ol.Example({"message": "x"}, {"team": "cards", "urgency": 4})
    score = triaged(example, ol.Prediction(team=team, urgency=urgency))
    assert score.value == pytest.approx(value)
    assert score.parts["team"] == (team == "cards")
    assert ("the team is cards" in score.feedback) == (team != "cards")
    assert ("the urgency is 4" in score.feedback) == (urgency != 4)


@pytest.mark.parametrize("seed", [1])
def test_compiling_it_is_a_proven_gain_whatever_the_split(seed: int) -> None:
    search = ol.RandomSearch(candidates=2, max_demos=48)
    compiled = ol.compile(
        Triage(), messages(), triaged, optimizer=search, lm="outlast/baseline", study=False, progress=False, seed=seed
    )
    assert compiled.improved, compiled.report
