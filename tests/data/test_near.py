"""Texts that are nearly the same are found, others are not."""

from __future__ import annotations

import random

import pytest

from outlast.data.near import NearTexts, grams_of, likeness, text_of
from outlast.errors import UsageError
from outlast.samples.triage import messages


def test_case_punctuation_and_layout_do_not_count() -> None:
    texts = NearTexts(1.0)
    texts.add("a", "My card was charged TWICE!")
    assert texts.find("my  card was charged twice") == "a"
    assert texts.find("my card was charged once") is None


def test_the_likest_of_several_is_found() -> None:
    texts = NearTexts(0.5)
    texts.add("far", "the quick brown fox jumps over the lazy dog in the morning")
    texts.add("near", "the quick brown fox jumps over the lazy dog in the evening")
    assert texts.find("the quick brown fox jumps over the lazy dog in the evenings") == "near"


def test_near_texts_are_found_among_many_without_comparing_all() -> None:
    rng = random.Random(0)
    known = [example.message for example in messages()]
    texts = NearTexts(0.8)
    for number, text in enumerate(known):
        texts.add(str(number), text)
    found = near = 0
    for number, text in enumerate(known):
        words = text.split()
        words[rng.randrange(len(words))] = "changed"
        changed = " ".join(words)
        if likeness(grams_of(changed), grams_of(text)) >= 0.8:
            near += 1
            found += texts.find(changed) == str(number)
    assert near > 200
    assert found == near


def test_different_messages_are_not_near() -> None:
    texts = NearTexts(0.8)
    hits = 0
    for number, example in enumerate(messages()):
        hits += texts.find(example.message) is not None
        texts.add(str(number), example.message)
    assert hits == 0


@pytest.mark.parametrize("text", ["", "...", "\n"])
def test_a_text_without_words_is_near_to_nothing(text: str) -> None:
    texts = NearTexts()
    texts.add("a", text)
    assert len(texts) == 0
    assert texts.find(text) is None


def test_short_and_foreign_texts_are_compared_too() -> None:
    texts = NearTexts(0.8)
    texts.add("a", "hi")
    texts.add("b", "你好，我的卡不见了")
    assert texts.find("Hi!") == "a"
    assert texts.find("你好 我的卡不见了！") == "b"
    assert texts.find("no") is None


def test_the_texts_of_nested_inputs_are_taken_in_order() -> None:
    assert text_of({"a": "x", "b": {"c": ["y", 3, ("z",)]}, "d": None}) == "x\ny\nz"


@pytest.mark.parametrize("threshold", [0, 1.5, True, "0.8"])
def test_a_likeness_is_a_share(threshold: object) -> None:
    with pytest.raises(UsageError, match="a likeness is a number above 0"):
        NearTexts(threshold)  # pyright: ignore[reportArgumentType]
