"""What a compile shows while it runs."""

from __future__ import annotations

from typing import Any

import pytest

import outlast as ol
from outlast.adapters.protocol import Demo
from outlast.optimize.budget import Purse
from outlast.optimize.candidate import Candidate
from outlast.optimize.screen import change_lines, interval_of, screen, sparkline, success_counts
from outlast.optimize.standing import Progress
from outlast.runtime import Budget
from outlast.testing.world import Triage, World, right


def state(**about: Any) -> Progress:
    given: dict[str, Any] = {
        "phase": "search",
        "rollouts": 250,
        "expected": 1000,
        "expected_calls": 2000,
        "candidates": 9,
        "alive": 3,
        "leader": "abc123",
        "score": 0.5,
        "start_score": 0.4,
        "meter": Purse(Budget()),
        "known": 0,
        "curve": (0.4, 0.45, 0.5),
        "low": 0.42,
        "high": 0.58,
        "best_origin": "edit of instruction",
        "best_diff": ("+ Pick one.", "- Pick."),
        "operators": {"reflect": (2, 8)},
    }
    return Progress(**{**given, **about})


def lines(**about: Any) -> list[str]:
    return screen(state(**about), Budget(dollars=2), 65, about.pop("width", 100)).plain.split("\n")


def test_it_shows_how_far_the_score_the_spending_and_the_best_prompt():
    shown = lines(proposing=Purse(Budget()), note="plateau: other operators", known=12)
    assert shown[0].startswith("search     ━━━━━━╌")
    assert "250 of at most 1,000 rollouts · 1:05 · resumed, 12 replies known" in shown[0]
    assert shown[1] == "score      ▁▅█ start 40.0%, best 50.0% (42.0%..58.0%) while ranking"
    assert shown[2].startswith("spent      0 calls")
    assert shown[2].endswith("of $2")
    assert shown[3].startswith("proposals  0 calls")
    assert shown[4] == "tried      9 candidates · 3 alive · reflect 2/8"
    assert shown[5:] == [
        "best       abc123: edit of instruction",
        "           + Pick one.",
        "           - Pick.",
        "note       plateau: other operators",
    ]


def test_before_anything_is_ranked_it_shows_less():
    shown = lines(score=None, leader="", curve=(), operators={}, alive=1)
    assert [line.split()[0] for line in shown] == ["search", "spent", "tried"]


def test_texts_of_models_cannot_move_the_cursor_or_fill_the_screen():
    text = screen(state(best_diff=("+ \x1b[2J" + "x" * 500,)), Budget(), 0, 80).plain
    assert "\x1b" not in text
    assert max(map(len, text.split("\n"))) <= 80


def test_a_curve_is_one_short_line():
    assert sparkline([]) == ""
    assert sparkline([0.5, 0.5]) == "▄▄"
    assert sparkline([0.0, 1.0]) == "▁█"
    assert len(sparkline([number / 100 for number in range(300)])) == 40


def test_changes_are_told_in_few_lines():
    demos = tuple(Demo({"message": str(number), "team": "cards"}) for number in range(3))
    start = Triage()
    best = ol.update(start, {"route.instruction": "Pick a team.", "route.demos": demos})
    assert change_lines(start, best) == [
        f"- {start.route.instruction}",
        "+ Pick a team.",
        "route.demos: 0 -> 3 demonstrations",
    ]
    long = ol.update(start, {"route.instruction": "\n".join(f"line {number}" for number in range(30))})
    assert len(change_lines(start, long)) == 6
    assert change_lines(start, long)[-1] == "… 26 more"
    assert change_lines(start, start) == []


def test_successes_are_counted_by_operator():
    made = [Candidate(str(number), operator="edit" if number else "") for number in range(4)]
    assert success_counts(made, made[2:3]) == {"edit": (1, 3)}


def test_an_interval_while_ranking_needs_two_values():
    assert interval_of({"a": 1.0}) is None
    low, high = interval_of({str(k): float(k % 2) for k in range(100)}) or (0, 0)
    assert low == pytest.approx(0.404, abs=0.001)
    assert high == pytest.approx(0.596, abs=0.001)


def test_a_listener_is_told_the_curve_and_what_differs():
    world = World(examples=100, base=0.3, gain=0.65)
    told: list[Progress] = []
    ol.compile(
        Triage(),
        world.data(),
        right,
        lm=world.lm(),
        optimizer=ol.RandomSearch(candidates=4),
        study=False,
        progress=told.append,
    )
    last = told[-1]
    assert last.curve
    assert last.best_diff
    assert any("demonstrations" in line for line in last.best_diff)
    assert last.best_origin
    assert last.low is not None
    assert last.score is not None
    assert last.low < last.score
