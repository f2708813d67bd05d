"""What the checks of support, language, copying and citation are measured on: ../shared/data and seeded changes of it.

Each function gives cases: a check, values, and whether they are fine. Fine cases of `hotpot_mini` are sentences of
Wikipedia with their own passage as the source, with numbers and dates written in another form; the others have one
number, date, name or quoted word changed for one that the passage does not have.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import language_samples

import outlast as ol
from outlast.checks.dates import dates
from outlast.checks.entities import entities
from outlast.checks.numbers import numbers

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("OUTLAST_DATA") or ROOT.parent / "shared" / "data")
SEED = 20261129
MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905
SMALL = "two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905
Case = tuple[ol.Check, dict[str, Any], bool]


@dataclass
class Measured:
    """How well a check tells what is wrong: of those that it fails, and of those that are wrong."""

    caught: int = 0
    missed: int = 0
    alarms: int = 0
    passed: int = 0

    @property
    def precision(self) -> float:
        """Of what failed, the share that was wrong, with as many fine as wrong cases as there are."""
        return self.caught / (self.caught + self.alarms) if self.caught + self.alarms else float("nan")

    @property
    def recall(self) -> float:
        """Of what is wrong, the share that failed."""
        return self.caught / (self.caught + self.missed) if self.caught + self.missed else float("nan")


def measured(cases: Iterator[Case]) -> Measured:
    """Run cases; a check that does not apply counts as passed."""
    found = Measured()
    for check, values, fine in cases:
        given = check.run(values)
        failed = given is not None and not given.ok
        name = ("alarms" if fine else "caught") if failed else ("passed" if fine else "missed")
        setattr(found, name, getattr(found, name) + 1)
    return found


@cache
def corpus(name: str) -> tuple[dict[str, Any], ...]:
    """The passages of a data set."""
    with gzip.open(DATA / name / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        return tuple(map(json.loads, file))


@cache
def rows(name: str, part: str) -> tuple[dict[str, Any], ...]:
    """The rows of a part of a data set."""
    with (DATA / name / f"{part}.jsonl").open(encoding="utf-8") as file:
        return tuple(map(json.loads, file))


def _sentences(most: int) -> Iterator[tuple[str, str, str]]:
    """Sentences with their passage, and with another one."""
    passages = corpus("hotpot_mini")
    draw = random.Random(SEED)
    for passage in draw.sample(passages, most):
        other = " ".join(draw.choice(passages)["sentences"])
        text = " ".join(passage["sentences"])
        yield draw.choice(passage["sentences"]).strip(), f"{passage['title']}. {text}", other


def number_cases(most: int = 5863) -> Iterator[Case]:
    """Sentences with numbers, written differently; or with one changed."""
    check = ol.checks.numbers_supported("answer", source="context")
    draw = random.Random(SEED)
    for sentence, context, _ in _sentences(most):
        found = [one for one in numbers(sentence, claims=True) if one.text.replace(",", "").isdecimal()]
        if not found:
            continue
        one = draw.choice(found)
        value = int(one.text.replace(",", ""))
        form = SMALL[value - 2] if 2 <= value <= 12 else f"{value}" if "," in one.text else one.text
        yield check, {"answer": _changed(sentence, one, form), "context": context}, True
        wrong = value + draw.randint(13, 60)
        while re.search(rf"(?<!\d){wrong}(?!\d)", context.replace(",", "")):
            wrong += 10
        yield check, {"answer": _changed(sentence, one, str(wrong)), "context": context}, False


def date_cases(most: int = 5863) -> Iterator[Case]:
    """Sentences with whole dates, in ISO form or the other order; or with another day or year."""
    check = ol.checks.dates_supported("answer", source="context")
    draw = random.Random(SEED)
    for sentence, context, _ in _sentences(most):
        found = [one for one in dates(sentence) if len(one.readings) == 1 and None not in one.readings[0]]
        if not found:
            continue
        one = draw.choice(found)
        year, month, day = (int(part or 0) for part in one.readings[0])
        forms = [
            f"{year}-{month:02}-{day:02}",
            f"{day} {MONTHS[month - 1]} {year}",
            f"{MONTHS[month - 1][:3]}. {day}, {year}",
        ]
        yield check, {"answer": _changed(sentence, one, draw.choice(forms)), "context": context}, True
        other = draw.choice([(year + 1, month, day), (year, month % 12 + 1, min(day, 28)), (year, month, day % 28 + 1)])
        wrong = f"{other[2]} {MONTHS[other[1] - 1]} {other[0]}"
        if wrong not in context and f"{MONTHS[other[1] - 1]} {other[2]}, {other[0]}" not in context:
            yield check, {"answer": _changed(sentence, one, wrong), "context": context}, False


def name_cases(most: int = 5863) -> Iterator[Case]:
    """Sentences with names; or with one put in that is of another passage."""
    check = ol.checks.entities_supported("answer", source="context")
    draw = random.Random(SEED)
    for sentence, context, other in _sentences(most):
        own = [one for one in entities(sentence) if not one.opening]
        new = [one.text for one in entities(other) if not one.opening and one.words[-1] not in context.lower()]
        if not own or not new:
            continue
        yield check, {"answer": sentence, "context": context}, True
        yield check, {"answer": _changed(sentence, draw.choice(own), draw.choice(new)), "context": context}, False


def quote_cases(most: int = 5863) -> Iterator[Case]:
    """Six words of a passage in quotation marks, in other case and space; or with one word changed."""
    check = ol.checks.quotes_supported("answer", source="context")
    draw = random.Random(SEED)
    for sentence, context, other in _sentences(most):
        plain = [word for word in re.sub(r"[\"“”]", "", sentence).split() if not re.search(r"[\[\]…]|\.\.", word)]
        if len(plain) < 8:
            continue
        start = draw.randrange(len(plain) - 5)
        part = plain[start : start + 6]
        opening, closing = draw.choice(["“”", '""', "«»", "„“"])
        yield check, {"answer": f"It says {opening}{'  '.join(part).upper()}{closing}.", "context": context}, True
        wrong = next((w for w in other.split() if w.isalpha() and w.lower() not in context.lower()), "zebra")
        part[draw.randrange(6)] = wrong
        yield check, {"answer": f"It says {opening}{' '.join(part)}{closing}.", "context": context}, False


def claim_cases() -> Iterator[Case]:
    """Claims that people wrote, which the abstract supports (scifact): all are fine."""
    check = ol.checks.supported("answer", source="context", rounding=True)
    abstracts = {row["id"]: row for row in corpus("scifact")}
    for part in ("train", "dev", "test"):
        for row in rows("scifact", part):
            if row["label"] == "SUPPORT":
                texts = [
                    abstracts[name]["title"] + " " + " ".join(abstracts[name]["sentences"]) for name in row["evidence"]
                ]
                yield check, {"answer": row["claim"], "context": texts}, True


def language_cases() -> Iterator[Case]:
    """English questions of banking77, and sentences in 29 other languages."""
    check = ol.checks.language("answer", "en")
    for row in rows("banking77", "test"):
        yield check, {"answer": row["text"]}, True
    for texts in language_samples.SAMPLES.values():
        for text in texts:
            yield check, {"answer": text}, False


def german_cases() -> Iterator[Case]:
    """The same questions where German is expected."""
    check = ol.checks.language("answer", "de")
    for row in rows("banking77", "test"):
        yield check, {"answer": row["text"]}, False
    for text in language_samples.SAMPLES["de"]:
        yield check, {"answer": text}, True


def copied_cases() -> Iterator[Case]:
    """The last 1,183 abstracts of scifact against the first 4,000, as they are or with 15 words of one put in."""
    texts = [" ".join(row["sentences"]) for row in corpus("scifact")]
    check = ol.checks.not_copied("answer", texts[:4000], max_run=12)
    draw = random.Random(SEED)
    for text in texts[4000:]:
        yield check, {"answer": text}, True
        words = draw.choice(texts[:4000]).split()
        if len(words) > 20:
            start = draw.randrange(len(words) - 15)
            place = draw.randrange(len(text.split()))
            mixed = [*text.split()[:place], *words[start : start + 15], *text.split()[place:]]
            yield check, {"answer": " ".join(mixed)}, False


def citation_cases(most: int = 2000) -> Iterator[Case]:
    """Passages with a marker behind each sentence; or with one that names no source, or one missing."""
    check = ol.checks.cites("answer", sources="sources", every="sentence")
    draw = random.Random(SEED)
    for passage in draw.sample(corpus("hotpot_mini"), most):
        texts = [text.strip() for text in passage["sentences"] if len(text.split()) > 5 and "[" not in text]
        if not texts:
            continue
        marks = [draw.randint(1, len(texts)) for _ in texts]
        yield check, {"answer": _cited(texts, marks), "sources": texts}, True
        wrong: list[int | None] = [*marks]
        wrong[draw.randrange(len(marks))] = draw.choice((None, len(texts) + 1, 0))
        yield check, {"answer": _cited(texts, wrong), "sources": texts}, False


def _cited(texts: list[str], marks: Any) -> str:
    return " ".join(text if mark is None else f"{text} [{mark}]" for text, mark in zip(texts, marks, strict=True))


def _changed(sentence: str, place: Any, new: str) -> str:
    return sentence[: place.start] + new + sentence[place.end :]


SETS: dict[str, tuple[str, Callable[[], Iterator[Case]]]] = {
    "numbers_supported": ("hotpot_mini, sentences with a number", number_cases),
    "dates_supported": ("hotpot_mini, sentences with a whole date", date_cases),
    "entities_supported": ("hotpot_mini, sentences with a name", name_cases),
    "quotes_supported": ("hotpot_mini, six quoted words", quote_cases),
    "supported": ("scifact, claims that the abstract supports", claim_cases),
    "cites": ("hotpot_mini, 2,000 passages", citation_cases),
    "language en": ("banking77 test, and sentences in 29 languages", language_cases),
    "language de": ("banking77 test as wrong, 3 sentences as fine", german_cases),
    "not_copied": ("scifact, 1,183 abstracts against 4,000", copied_cases),
}
