from __future__ import annotations

import asyncio
import math
from random import Random
from typing import Any

import pytest

from outlast.errors import UsageError
from outlast.optimize.candidate import Candidate, Outcome
from outlast.optimize.race import Tally, lag, race, shrunken_gain


class Track:
    """What a race needs of a study, with answers drawn by chance: `chances[k]` for candidate k."""

    def __init__(self, seed: int, chances: list[float], examples: int) -> None:
        self.select = [f"e{number}" for number in range(examples)]
        self.field = [Candidate("start" if k == 0 else f"c{k}") for k in range(len(chances))]
        self.start = self.field[0]
        self.alive = 0
        self.rollouts = 0
        self.marked: list[Candidate] = []
        self.tallies: dict[str, Tally] = {}
        self.ran: dict[str, list[str]] = {}
        draw = Random(seed)
        ease = {example: draw.gauss(0, 1) for example in self.select}
        self.answers: dict[tuple[str, str], float] = {}
        for candidate, chance in zip(self.field, chances, strict=True):
            for example in self.select:
                level = math.log(chance / (1 - chance)) + ease[example] + draw.gauss(0, 0.8)
                self.answers[candidate.id, example] = float(draw.random() < 1 / (1 + math.exp(-level)))

    def rng(self, name: str) -> Random:
        return Random(name)

    def tally(self, candidate: Candidate) -> Tally:
        return self.tallies.setdefault(candidate.id, Tally())

    def mark(self, leader: Candidate) -> None:
        self.marked.append(leader)

    def drop(self, candidates: Any) -> None:
        pass

    async def evaluate(self, candidate: Candidate, examples: list[str]) -> list[Outcome]:
        for example in examples:
            self.rollouts += 1
            self.ran.setdefault(candidate.id, []).append(example)
            value = self.answers[candidate.id, example]
            self.tally(candidate).add(Outcome(candidate.id, example, 0, "", value))
        return []

    def full(self) -> Candidate:
        """The winner of a pass of all candidates over all examples."""
        return max(self.field, key=lambda c: sum(self.answers[c.id, e] for e in self.select))


def run(track: Track, **options: Any) -> list[Candidate]:
    return asyncio.run(race(track, track.field, **options))  # type: ignore[arg-type]


def test_the_best_is_kept_and_a_third_of_the_rollouts_is_saved():
    chances = [0.5, 0.3, 0.35, 0.4, 0.4, 0.45, 0.45, 0.5, 0.5, 0.55, 0.6, 0.65, 0.8]
    kept = same = rollouts = 0
    races = 120
    for seed in range(races):
        track = Track(seed, chances, 100)
        ranking = run(track)
        kept += len(track.ran["c12"]) == 100 or ranking[0].id == "c12"
        winner = track.full()
        same += sum(track.answers[ranking[0].id, e] - track.answers[winner.id, e] for e in track.select) == 0
        rollouts += track.rollouts
    assert kept >= 0.95 * races
    assert same >= 0.95 * races
    assert rollouts <= 0.7 * races * len(chances) * 100


def test_equal_candidates_are_seldom_dropped():
    dropped = entered = 0
    for seed in range(40):
        track = Track(seed, [0.5] * 8, 60)
        run(track)
        entered += 7
        dropped += sum(len(track.ran[f"c{k}"]) < 60 for k in range(1, 8))
    assert dropped <= 0.35 * entered  # the leader of equals is the luckiest, so a few lie two errors behind


def test_all_run_on_the_same_examples_in_the_same_order_and_the_start_on_all():
    track = Track(3, [0.5, 0.2, 0.9, 0.3], 80)
    ranking = run(track)
    longest = track.ran["start"]
    assert len(longest) == 80
    assert longest != track.select  # shuffled
    for ran in track.ran.values():
        assert ran == longest[: len(ran)]
    assert ranking[0].id == "c2"
    assert {candidate.id for candidate in ranking} == {"start", "c1", "c2", "c3"}
    assert len(track.ran["c1"]) < 80


def test_nothing_is_dropped_before_twenty_examples():
    track = Track(0, [0.01, 0.99, 0.01], 100)
    run(track)
    assert all(len(ran) >= 20 for ran in track.ran.values())


def test_a_cautious_race_drops_fewer():
    counts = []
    for behind in (0.5, 2.0, 6.0):
        track = Track(5, [0.5, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7], 100)
        run(track, behind=behind)
        counts.append(track.rollouts)
    assert counts[0] < counts[1] < counts[2]


def test_of_equals_the_earlier_one_wins_and_doubles_enter_once():
    track = Track(0, [0.5, 0.5], 30)
    track.answers = dict.fromkeys(track.answers, 1.0)
    ranking = asyncio.run(race(track, [*track.field, *track.field]))  # type: ignore[arg-type]
    assert [candidate.id for candidate in ranking] == ["start", "c1"]
    assert track.rollouts == 60


def test_a_race_without_candidates_has_no_winner_and_one_of_one_does_not_run_it_everywhere():
    track = Track(0, [0.5], 50)
    assert asyncio.run(race(track, [])) == []  # type: ignore[arg-type]
    assert len(run(track)) == 1


@pytest.mark.parametrize("behind", [0, -1, float("nan")])
def test_a_race_refuses_a_margin_that_means_nothing(behind: float):
    with pytest.raises(UsageError, match="behind"):
        run(Track(0, [0.5], 30), behind=behind)


def test_the_lag_is_in_standard_errors_of_the_paired_difference():
    track = Track(0, [0.5, 0.5], 4)
    ahead, back = track.field
    for example, a, b in zip(track.select, [1, 1, 1, 0], [0, 1, 0, 0], strict=True):
        track.tally(ahead).add(Outcome("start", example, 0, "", float(a)))
        track.tally(back).add(Outcome("c1", example, 0, "", float(b)))
    # differences 1 0 1 0: mean .5, squares around it 1, with half a pair (1 + .5) / 3 = .5
    assert lag(track, back, ahead) == pytest.approx(0.5 / math.sqrt(0.5 / 4))  # type: ignore[arg-type]
    assert lag(track, ahead, back) == pytest.approx(-0.5 / math.sqrt(0.5 / 4))  # type: ignore[arg-type]


def test_a_gain_is_shrunk_by_ten_examples_of_none():
    tally = Tally({"a": 1.0, "b": 1.0})
    assert shrunken_gain(tally, {"a": 0.0}, 0.5) == pytest.approx(1.5 / 12)
