"""How pages say numbers and times."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from outlast.view import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0 ms"),
        (0.00025, "250 µs"),
        (0.0025, "2.5 ms"),
        (0.004, "4 ms"),
        (0.3404, "340 ms"),
        (1.26, "1.3 s"),
        (12.2, "12 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations(value: float | None, text: str) -> None:
    assert wording.duration(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0, "$0"), (0.00001, "<$0.0001"), (0.0123, "$0.0123"), (1234.5, "$1,234.50")]
)
def test_money(value: float | None, text: str) -> None:
    assert wording.money(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (812, "812"), (12_345, "12.3k"), (123_456, "123k"), (1_234_567, "1.2M")]
)
def test_tokens(value: int | None, text: str) -> None:
    assert wording.tokens(value) == text


def test_moments() -> None:
    assert wording.moment(1_795_980_335.39) == "2026-11-29 19:25:35"
    assert wording.moment(None) == "–"
    assert wording.moment(float("inf")) == "–"
    assert wording.ago(time.time() - 7300) == "2 h ago"
    assert wording.clock(0) == "1 Jan 1970"


def test_values_in_one_line() -> None:
    assert wording.brief_value({"text": "a\nb"}) == "a b"
    assert wording.brief_value({"a": 1, "b": {"c": "x"}}) == "a: 1 · b: x"
    assert wording.brief_value(None) == ""
    assert len(wording.brief_value(["x" * 5000])) == 240


def test_what_runs_and_steps_are_called() -> None:
    run = SimpleNamespace(name="", kind="process", provenance={"argv": ["/home/me/app.py", "x"]})
    assert wording.run_title(run) == "app.py"
    assert wording.run_title(SimpleNamespace(name="dev", kind="eval", provenance={})) == "dev"
    assert wording.step_title(SimpleNamespace(kind="lm", lm_asked="a/b", name="Predict")) == "a/b"
    assert wording.step_title(SimpleNamespace(kind="tool", lm_asked="", name="")) == "tool"


def test_the_headline_of_a_run() -> None:
    assert wording.headline_of({"score": 0.625, "n": 1200}) == "62.5% on 1,200"
    assert wording.headline_of({"headline": "61% -> 78%"}) == "61% -> 78%"
    assert wording.headline_of({}) == ""
