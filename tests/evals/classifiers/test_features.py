"""Features of texts: one function for training and serving, tf-idf as written down, bounded."""

from __future__ import annotations

import math
import time
from collections import Counter

import numpy as np
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer

from outlast.evals.classifiers.features import MOST_CHARACTERS, Vocabulary, character_grams, normal, word_grams
from outlast.evals.classifiers.figures import PAIR, SHAPE, figures, pair_row, shape_row
from outlast.evals.classifiers.linear import Features, Seen
from outlast.evals.classifiers.training import matrix

WORDS = ("card", "transfer", "fee", "refund", "limit", "pay", "wait", "sorry", "thanks", "rate")
TEXTS = [
    f"About the {WORDS[n % 10]} no {n}: {WORDS[n * 7 % 10]}, {WORDS[n * n % 10]} and {n * 7919 % 997}."
    for n in range(80)
]


def test_the_features_are_tf_idf_as_scikit_learn_computes_it() -> None:
    texts = TEXTS
    vocabulary = Vocabulary.of(texts, most=100_000)
    ours = matrix(Features(vocabulary), Seen(texts)).toarray()

    def grams(text: str) -> list[str]:
        return [gram for word in normal(text).split() for gram in character_grams(word)]

    parts = [
        TfidfVectorizer(analyzer=lambda text: list(word_grams(normal(text))), min_df=2, sublinear_tf=True),
        TfidfVectorizer(analyzer=grams, min_df=2, sublinear_tf=True),
    ]
    theirs = hstack([part.fit_transform(texts) for part in parts]).toarray()
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 1e-6  # weights are kept with six decimals


def test_digits_count_as_a_form_and_case_and_width_do_not_count() -> None:
    assert normal("ＩＢＡＮ DE89 3704") == "iban de00 0000"
    texts = ["Pay 12 now", "pay 99 now", "other words here"]
    vocabulary = Vocabulary.of(texts, most=1000)
    assert vocabulary.row(texts[0]) == vocabulary.row(texts[1])
    assert "pay 00" in vocabulary.words


def test_the_vocabulary_is_bounded_by_the_commonest_and_does_not_depend_on_the_order() -> None:
    texts = TEXTS
    small = Vocabulary.of(texts, most=10)
    assert len(small.words) == len(small.characters) == 10
    counts = Counter(gram for text in texts for gram in set(word_grams(normal(text))))
    assert min(counts[word] for word in small.words) >= sorted(counts.values())[-10]
    assert small == Vocabulary.of(texts[::-1], most=10)


def test_a_text_without_anything_known_has_no_features() -> None:
    vocabulary = Vocabulary.of(["alpha beta", "alpha beta"], most=10)
    assert vocabulary.row("") == ([], [])
    assert vocabulary.row("zzz qqq \ud800") == ([], [])
    _, values = vocabulary.row("alpha beta")
    assert math.isclose(sum(value * value for value in values), 2.0)  # words and characters each have length 1


def test_hostile_texts_cost_little() -> None:
    vocabulary = Vocabulary.of(["alpha beta", "alpha beta"], most=10)
    for text in ("a" * 10_000_000, "ﷺ" * 300_000, "a " * 5_000_000, "\n" * 5_000_000):
        started = time.perf_counter()
        vocabulary.row(text)
        assert time.perf_counter() - started < 10.0
    assert len(normal("a" * 10_000_000)) == MOST_CHARACTERS


def test_pairs_tell_what_of_an_output_stands_in_its_source() -> None:
    source = "Ann Miller paid 1,200 euros for the red car in May. The seller was Bob."
    good = dict(zip(PAIR, pair_row(source, "In May the seller Bob got 1,200 euros."), strict=True))
    bad = dict(zip(PAIR, pair_row(source, "In June Carla sold 77 blue vans."), strict=True))
    assert good["numbers in the source"] == 1.0
    assert bad["numbers in the source"] == 0.0
    assert bad["numbers that are not"] == math.log1p(1)
    assert good["names in the source"] == 1.0
    assert bad["names that are not"] == math.log1p(2)
    copied = dict(zip(PAIR, pair_row(source, source), strict=True))
    assert copied["words in the source"] == copied["triples of words in the source"] == 1.0
    assert copied["longest copied run"] == math.log1p(16)
    assert len(pair_row("", "")) == len(PAIR)
    assert all(math.isfinite(value) for value in pair_row("", ""))


def test_figures_tell_the_form_of_a_text() -> None:
    text = "We met Ann . It was 12 o'clock!\n- one\n- two\n"
    found = dict(zip(SHAPE, shape_row(text), strict=True))
    assert found["length"] == math.log1p(10)
    assert found["lines"] == math.log1p(3)
    assert found["list items"] == 2 / 3
    assert found["marks set apart"] == math.log1p(1)
    assert found["digits"] == 2 / len(text)
    assert found["capitals"] == 3 / len(text)
    assert found["begins with a capital"] == 1.0
    assert found["ends in a mark"] == 0.0
    assert all(math.isfinite(value) for value in [*shape_row(""), *shape_row(" \n\r\u2028 ")])
    assert len(figures(text)) == len(SHAPE)
    assert len(figures(text, "source")) == len(SHAPE) + len(PAIR)


def test_a_long_copied_run_costs_little() -> None:
    text = "word " * 200_000
    started = time.perf_counter()
    pair_row(text, text)
    assert time.perf_counter() - started < 10.0
