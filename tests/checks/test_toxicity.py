"""Toxic language: listed words in every disguise, harmless neighbours left alone, and a classifier beside the list."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.checks.toxicity import find_toxic
from outlast.errors import MetricError, UsageError

sys.path.insert(0, str(Path(__file__).parent / "corpus"))

import safety  # noqa: E402

needs_data = pytest.mark.skipif(not safety.DATA.exists(), reason="no ../shared/data here")


def found(text: str, **options: Any) -> list[tuple[str, str]]:
    return [(one.kind, text[one.start : one.end]) for one in find_toxic(text, **options)]


DISGUISED = ["shit", "SHIT", "sh1t", "$hit", "sh!t", "s.h.i.t", "s h i t", "S-H-I-T", "shiiiiit", "sh*t", "s**t"]
DISGUISED += ["shít", "ѕhіt", "ｓｈｉｔ", "s\u200bhit", "shits", "shitting"]  # noqa: RUF001


@pytest.mark.parametrize("written", DISGUISED)
def test_disguise_does_not_help(written: str) -> None:
    assert found(f"this is {written}, really") == [("profanity", written)]
    assert [kind for kind, _ in found(f"*{written}*!")] == ["profanity"]


@pytest.mark.parametrize(
    "text",
    [
        "Scunthorpe, Penistone, Cockburn, Dickens, assassins, class, bass, Essex, therapist, analysis, shitake",
        "a chink in his armour; spic and span; skin prick test; great tits in the garden; Pussy Riot",
        "455 people, 2*3*4, a*b, x**y, **bold**, $a$$, 8008135, A.S.A.P., U S A, f(x) = x * y",
        "spices, spicy, retarded growth, fire retardant, dyke, degenerate primers, cockpit, hello, shell",
        "The order should arrive; I could die of shame.",
        "",
    ],
)
def test_harmless_text_stands(text: str) -> None:
    assert found(text) == []


def test_kinds_weights_and_threshold() -> None:
    assert found("you idiot, kill yourself") == [("insult", "idiot"), ("threat", "kill yourself")]
    assert found("You're stupid") == [("insult", "You're stupid")]
    assert found("you idiot, damnit", kinds=["profanity"]) == [("profanity", "damnit")]
    assert found("wtf, crap", allow=["WTF"]) == [("profanity", "crap")]
    lenient = ol.checks.no_toxicity("answer", threshold=0.7)
    assert lenient.run({"answer": "what a shit day"}) == ol.CheckResult(True, score=1.0 - 0.5)
    worse = lenient.run({"answer": "kill yourself"})
    assert worse is not None
    assert not worse.ok


def test_the_fix_puts_stars_and_the_message_repeats_nothing() -> None:
    result = ol.checks.no_toxicity("answer").run({"answer": "What the f.u.c.k, idiots"})
    assert result is not None
    assert result.message == "toxic language in 'answer' (1 profanity, 1 insult); say it without"
    assert result.fix == {"answer": "What the *******, ******"}
    assert result.score == 0.5
    assert [(one.field, one.kind, one.text) for one in result.found] == [
        ("answer", "profanity", ""),
        ("answer", "insult", ""),
    ]


def test_a_classifier_sees_what_no_list_holds() -> None:
    asked: list[str] = []

    def classifier(text: str) -> float:
        asked.append(text)
        return 0.8 if "your kind" in text else 0.1

    check = ol.checks.no_toxicity("answer", classifier=classifier)
    result = check.run({"answer": "we do not serve your kind"})
    assert result is not None
    assert (result.ok, result.fix, round(result.score or 0, 6)) == (False, None, 0.2)
    assert "a classifier says 0.80" in result.message
    assert check.run({"answer": "welcome"}) == ol.CheckResult(True, score=0.9)
    assert asked == ["we do not serve your kind", "welcome"]
    with pytest.raises(MetricError, match="a probability"):
        ol.checks.no_toxicity("answer", classifier=lambda text: float("nan")).run({"answer": "x"})


@pytest.mark.slow
def test_a_classifier_that_was_trained_here_stands_beside_the_list() -> None:
    cruel = [
        f"people like {who} should not be {what}"
        for who in ("you", "them", "her")
        for what in ["served", "hired", "seen"]
    ]
    kind = [
        f"thank you for {what}, {who}" for who in ("Ann", "Bob", "Eve") for what in ["helping", "waiting", "asking"]
    ]
    texts, classes = [*cruel, *kind] * 3, [*["toxic"] * len(cruel), *["fine"] * len(kind)] * 3
    trained = ol.train_classifier((texts, classes), positive="fine", folds=2)
    check = ol.checks.no_toxicity("answer", classifier=trained.probability_of("toxic"))
    assert check == ol.checks.no_toxicity("answer", classifier=trained.probability_of("toxic"))
    assert check.cost == "slow"
    bad, good = check.run({"answer": "people like you should not be heard"}), check.run({"answer": "thank you, Ann"})
    assert bad is not None
    assert good is not None
    assert (bad.ok, good.ok) == (False, True)
    assert "a classifier says" in bad.message


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: ol.checks.no_toxicity(), "takes names of fields"),
        (lambda: ol.checks.no_toxicity("a", threshold=0), "threshold is a number"),
        (lambda: ol.checks.no_toxicity("a", threshold=True), "threshold is a number"),
        (lambda: ol.checks.no_toxicity("a", classifier=3), "classifier is called"),
        (lambda: ol.checks.no_toxicity("a", kinds=["insults"]), "insult"),
        (lambda: ol.checks.no_toxicity("a", kinds=[]), "no kinds"),
        (lambda: find_toxic(b"x"), "takes a text"),  # pyright: ignore[reportArgumentType]
        (lambda: ol.checks.no_toxicity("a").run({"a": b"x"}), "looks at text"),
    ],
)
def test_bad_input_is_refused(call: Any, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        call()


@pytest.mark.parametrize(
    "piece", ["a", "a ", "a.", "s*", "shit ", "kill ", "\u0301", "\ud800", "@$!", "1", "é", "i will "]
)
def test_hostile_text_takes_time_in_proportion_to_its_length(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    began = time.process_time()
    find_toxic(text)
    assert time.process_time() - began < 6


def test_listed_words_are_found_as_people_disguise_them() -> None:
    made = safety.disguised(600, seed=20261129)
    hit = sum(any(one.start <= at < one.end for one in find_toxic(text)) for text, at in made)
    assert hit / len(made) >= 0.97


@needs_data
def test_texts_of_customers_and_scientists_are_left_alone() -> None:
    texts = [
        text for name, some in safety.clean_texts().items() for text in (some if name != "banking77" else some[:4000])
    ]
    sample = random.Random(1).sample(texts, 1500)
    assert sum(bool(find_toxic(text)) for text in sample) <= 2
