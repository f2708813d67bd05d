"""Presidio behind a check: with the package where it is installed, with a stand-in of its interface elsewhere."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from typing import Any

import pytest

import outlast as ol
from outlast.checks import of_presidio
from outlast.errors import ConfigError, UsageError

installed = pytest.mark.skipif(
    importlib.util.find_spec("presidio_analyzer") is None, reason="presidio-analyzer is not installed"
)


@dataclass
class Result:
    entity_type: str
    start: int
    end: int
    score: float


class Analyzer:
    """What an AnalyzerEngine gives: names, and a place inside one of them with a lower score."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def analyze(self, text: str, **options: Any) -> list[Result]:
        self.asked.append({"text": text, **options})
        at = text.find("Ann Lee")
        return [Result("PERSON", at, at + 7, 0.85), Result("PERSON", at, at + 3, 0.6)] if at >= 0 else []


def test_what_an_analyzer_finds_gives_way_to_placeholders() -> None:
    analyzer = Analyzer()
    check = ol.checks.presidio("answer", analyzer=analyzer, threshold=0.5, on_fail="fix")
    assert check.cost == "slow"
    result = check.run({"answer": "Ask Ann Lee, not Bob. \ud800"})
    assert result is not None
    assert result.message == "personal data in 'answer' (1 person); leave it out"
    assert result.fix == {"answer": "Ask <PERSON_1>, not Bob. \ud800"}
    assert result.undo == {"<PERSON_1>": "Ann Lee"}
    assert analyzer.asked[0] == {
        "text": "Ask Ann Lee, not Bob. \ufffd", "language": "en", "entities": None, "score_threshold": 0.5,
    }  # fmt: skip
    assert check.run({"answer": "Ask Bob"}) == ol.CheckResult(True)
    assert ol.checks.presidio("answer", analyzer=analyzer, allow=["Ann Lee"]).run({"answer": "Ann Lee"}) == (
        ol.CheckResult(True)
    )


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: ol.checks.presidio(), "takes names of fields"),
        (lambda: ol.checks.presidio("a", threshold=2), "threshold is a number"),
        (lambda: ol.checks.presidio("a", entities=["phone"]), "entities are names"),
        (lambda: ol.checks.presidio("a", entities=[]), "no entities"),
        (lambda: ol.checks.presidio("a", analyzer=3), "an AnalyzerEngine"),
    ],
)
def test_bad_input_is_refused(call: Any, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        call()


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    of_presidio._patterns.cache_clear()  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(ConfigError, match=r"pip install 'outlast\[pii\]'"):
        ol.checks.presidio("answer").run({"answer": "x"})


@installed
def test_its_patterns_work_without_a_model_and_without_a_network() -> None:
    text = "bob@example.com, 4111 1111 1111 1111, (212) 717-3298, 853-37-1694, GB82WEST12345698765432 \ud800"
    result = ol.checks.presidio("answer").run({"answer": text})
    assert result is not None
    assert {one.kind for one in result.found} == {
        "EMAIL_ADDRESS", "CREDIT_CARD", "PHONE_NUMBER", "US_SSN", "IBAN_CODE",
    }  # fmt: skip
    only = ol.checks.presidio("answer", entities=["IBAN_CODE"]).run({"answer": text})
    assert only is not None
    assert [one.kind for one in only.found] == ["IBAN_CODE"]
    with pytest.raises(UsageError, match="language"):
        ol.checks.presidio("answer", language="klingon").run({"answer": "x"})
