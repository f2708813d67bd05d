"""What a verdict says: p beside its threshold, an interval and a test that disagree, scores that are no shares."""

from __future__ import annotations

from outlast.evals.wording import p_text
from outlast.messages import Spending
from outlast.optimize.candidate import Candidate
from outlast.optimize.lineage import Effect
from outlast.optimize.report import Report
from outlast.optimize.screen import said_together
from outlast.optimize.verdict import judge


def test_an_interval_and_a_test_that_disagree_say_that_it_takes_both():
    said = judge([0.0] * 4 + [1.0] * 44, [1.0] * 48, level=0.95, margin=0.0, seed=0).reason
    assert said == (
        "No significant gain: +8.3 points (95% CI +0.3..+19.6, p=0.062: the interval leaves 0 out, but p is above "
        "0.05, and it takes both). The original is kept."
    )
    assert "takes both" not in judge([0.0, 0.0, 1.0] * 9, [0.0, 1.0, 1.0] * 9, level=0.95, margin=0.0, seed=0).reason
    assert "takes both" not in judge([0.0, 1.0] * 9, [0.0, 1.0] * 9, level=0.95, margin=0.0, seed=0).reason


def test_p_is_never_rounded_onto_its_threshold():
    assert p_text(0.0504) == "p=0.0504"
    assert p_text(0.04998) == "p=0.04998"
    assert p_text(0.05) == "p=0.050"
    assert p_text(0.0504, 0.9) == "p=0.050"
    assert p_text(0.10001, 0.9) == "p=0.10001"
    assert p_text(0.0421) == "p=0.042"


def test_scores_beyond_1_are_no_shares():
    found = judge([40.0, 50.0] * 30, [95.0, 100.0] * 30, level=0.95, margin=0.5, seed=0)
    assert not found.share
    assert "+52.5 (95% CI" in found.reason
    assert "points" not in found.reason
    assert said_together(47.22, 97.22, 90.0, 100.0) == ["47.22", "97.22", "90", "100"]
    assert said_together(0.5, 0.75) == ["50.0%", "75.0%"]
    assert str(Effect(50.0, 40.0, 60.0, 20)) == "+50 (+40..+60) on 20 selection examples"
    assert judge([0.0, 1.0], [1.0, 1.0], level=0.95, margin=0.0, seed=0).share


def test_the_gain_while_ranking_was_higher_or_lower():
    verdict = judge([0.0, 1.0] * 30, [1.0, 1.0] * 30, level=0.95, margin=0.0, seed=0)

    def told(ranked: float) -> str:
        start = Candidate("start", {}, "", "the program as it is")
        return Report(verdict, start, 0, 0, Spending(), 0.0, (), "", {}, ranked=ranked).flattery

    assert told(0.54) == "+4.0 points higher"
    assert told(0.41) == "9.0 points lower"
