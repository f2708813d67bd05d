"""Copied text: the longest common run against a plain search for it, and large sets of references."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

import outlast as ol
from outlast.errors import UsageError

REFERENCE = "The quick brown fox jumps over the lazy dog, and then it sleeps in the warm sun all day."


def judged(text: str, references: Any = (REFERENCE,), **options: Any) -> ol.CheckResult:
    """The result for a text."""
    given = ol.checks.not_copied("answer", references, **options).run({"answer": text})
    assert given is not None
    return given


def longest(text: list[str], references: list[list[str]]) -> int:
    """The longest common run of words, by the plain table of all pairs."""
    best = 0
    for reference in references:
        before = [0] * (len(reference) + 1)
        for word in text:
            now = [0] * (len(reference) + 1)
            for index, other in enumerate(reference):
                if word == other:
                    now[index + 1] = before[index] + 1
            best = max(best, *now)
            before = now
    return best


@pytest.mark.parametrize("seed", range(30))
def test_a_run_is_found_exactly_when_there_is_one(seed: int) -> None:
    draw = random.Random(seed)
    words = [f"w{number}" for number in range(draw.choice((3, 6, 40)))]
    references = [draw.choices(words, k=draw.randrange(60)) for _ in range(4)]
    text = draw.choices(words, k=20)
    for _ in range(3):
        part = draw.choice(references)
        start = draw.randrange(max(1, len(part)))
        text += [*part[start : start + draw.randrange(16)], draw.choice(words)]
    for most in (3, 4, 7, 12):
        given = judged(" ".join(text), [" ".join(reference) for reference in references], max_run=most)
        assert given.ok is (longest(text, references) <= most)


def test_the_message_shows_the_run_and_where_it_is_from() -> None:
    text = "I think: the quick BROWN fox — jumps over the lazy dog! Really."
    given = judged(text, ["something else", REFERENCE], max_run=5)
    assert "repeats 9 words in a row of reference 2" in given.message
    assert [text[place.start : place.end] for place in given.found] == ["the quick BROWN fox — jumps over the lazy dog"]
    assert given.score == pytest.approx(1 - 9 / 12)
    assert judged(text, max_run=9).ok


def test_small_pieces_are_counted_by_share() -> None:
    pieces = "The quick brown fox jumps x over the lazy dog and then y it sleeps in the warm sun z"
    assert judged(pieces, max_run=8).ok
    given = judged(pieces, max_run=8, max_share=0.2)
    assert not given.ok
    assert "of its five-word windows" in given.message
    assert judged("nothing of the kind is said here at all", max_share=0.2).ok


def test_ten_thousand_references_are_indexed_and_asked_fast() -> None:
    draw = random.Random(0)
    words = [f"w{number}" for number in range(5000)]
    references = [" ".join(draw.choices(words, k=100)) for _ in range(10_000)]
    started = time.process_time()
    check = ol.checks.not_copied("answer", references)
    assert time.process_time() - started < 15
    copied = " ".join(references[7000].split()[30:50])
    started = time.process_time()
    given = check.run({"answer": f"so {copied} so"})
    assert time.process_time() - started < 0.2
    assert given is not None
    assert "20 words in a row of reference 7001" in given.message


@pytest.mark.parametrize("piece", ["a ", "a b ", "a " * 11 + "c ", "\udc80 ", "x"])
def test_hostile_text_takes_linear_time(piece: str) -> None:
    started = time.process_time()
    judged(piece * (100_000 // len(piece)), ["a " * 20_000, "a b " * 10_000], max_share=0.5)
    assert time.process_time() - started < 10


@pytest.mark.parametrize("references", [[], "text", [3], [None], 3])
def test_wrong_references_are_refused(references: Any) -> None:
    with pytest.raises(UsageError, match="references is"):
        ol.checks.not_copied("answer", references)
    with pytest.raises(UsageError, match="max_run"):
        ol.checks.not_copied("answer", ["x"], max_run=2)
    with pytest.raises(UsageError, match="max_share"):
        ol.checks.not_copied("answer", ["x"], max_share=1)


def test_equal_references_make_equal_checks() -> None:
    assert ol.checks.not_copied("a", ["x", "y"]) == ol.checks.not_copied("a", (ol.Document("x"), "y"))
    assert ol.checks.not_copied("a", ["x"]) != ol.checks.not_copied("a", ["y"])
