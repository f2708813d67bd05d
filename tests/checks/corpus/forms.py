"""What the checks of form are measured on: ../shared/data, the standard library of Python, and seeded changes of them.

What is fine is said by somebody else than the check: labels of the data, another count, `strptime`, `urlsplit`, the
compiler of Python and its bytecode, SQLite with an authorizer, or the way a case was made. `json_schema` and
`urls` are in `form_calls.py`, `sql` is in `form_queries.py`.
"""

from __future__ import annotations

import dis
import math
import random
import re
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

import form_calls
import form_queries
from texts import SEED, Case, corpus, rows

import outlast as ol

PARTS = ("train", "dev", "test")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
CLOCK = r"(?i)(0?\d|1\d|2[0-3])[:.][0-5]\d ?([ap]\.?m\.?)?"
BY_NAME = {"__import__", "import_module", "find_spec", "exec_module", "load_module"}


def length_cases(most: int = 1181) -> Iterator[Case]:
    """Prompts of ifeval and summaries of summeval, with a bound that is just kept, or broken by one."""
    counts: dict[str, Callable[[str], int]] = {
        "characters": lambda text: sum(1 for _ in text),
        "lines": lambda text: sum(1 for line in re.split("\r\n|\r|\n", text) if line.strip()),
        "tokens~": lambda text: math.ceil(len(text.encode()) / 4),
    }
    for text in _written()[:most]:
        for unit, count in counts.items():
            yield from _bounds(text, unit, count(text))


def word_cases(most: int = 1181) -> Iterator[Case]:
    """The same texts in words, against the pieces between spaces that hold a letter or digit."""
    for text in _written()[:most]:
        yield from _bounds(text, "words", sum(1 for piece in text.split() if any(map(str.isalnum, piece))))


def sentence_cases(most: int = 5183) -> Iterator[Case]:
    """Abstracts of scifact, which come in sentences."""
    for row in random.Random(SEED).sample(corpus("scifact"), most):
        yield from _bounds(" ".join(row["sentences"]), "sentences", len(row["sentences"]))


def _bounds(text: str, unit: Any, size: int) -> Iterator[Case]:
    length = ol.checks.length
    yield length("answer", min=size, max=size, unit=unit), {"answer": text}, True
    yield length("answer", min=size + 1, unit=unit), {"answer": text}, False
    if size:
        yield length("answer", max=size - 1, unit=unit), {"answer": text}, False


@cache
def _written() -> tuple[str, ...]:
    prompts = [row["prompt"] for part in PARTS for row in rows("ifeval", part)]
    held = [*prompts, *(row["summary"] for row in rows("summeval", "test"))]
    random.Random(SEED).shuffle(held)
    return tuple(held)


def clock(text: str) -> bool:
    """True for a time of day with minutes, as `strptime` reads it."""
    plain = re.sub(r"\.(?=m)|(?<=m)\.", "", text.lower()).replace(".", ":")
    for form in ("%H:%M", "%I:%M%p", "%I:%M %p", "%H:%M%p", "%H:%M %p"):
        try:
            datetime.strptime(plain, form)  # noqa: DTZ007 - a time without a day
        except ValueError:
            continue
        return True
    return False


def full_cases() -> Iterator[Case]:
    """Slots of restaurant8k that are a time with minutes; or another slot, or a time with one mistake."""
    check = ol.checks.matches("answer", CLOCK, full=True)
    draw = random.Random(SEED)
    for row in rows("restaurant8k", "test"):
        for slot, value in row["slots"].items():
            fine = clock(value)
            if slot != "time" or fine:
                yield check, {"answer": value}, fine
            if fine:
                hour, mark, rest = re.split("([:.])", value, maxsplit=1)
                late = f"{draw.randint(25, 99)}{mark}{rest}"
                many = f"{hour}{mark}{draw.randint(60, 99)}{rest[2:]}"
                wrong = draw.choice([late, many, hour + rest, f"{value} or {value}", f"{value}\n", f"{hour}{mark}"])
                yield check, {"answer": wrong}, False


def absent_cases() -> Iterator[Case]:
    """Utterances of restaurant8k with a time; fine are those with it cut out and no other left."""
    check = ol.checks.matches("answer", CLOCK.replace("(?i)", r"(?i)\b"), absent=True)
    for row in rows("restaurant8k", "test"):
        text = row["text"]
        spans = [span for span in row["spans"] if span["slot"] == "time" and clock(span["value"])]
        if spans:
            yield check, {"answer": text}, False
        for span in sorted(spans, key=lambda span: -span["start"]):
            text = f"{text[: span['start']]}soon{text[span['end'] :]}"
        if not any(clock(piece.strip(".,!?")) for piece in text.split()):
            yield check, {"answer": text}, True


def label_cases(most: int = 1000) -> Iterator[Case]:
    """Labels of rows; or a label of the other data set, one with a letter wrong, or with other case or space."""
    draw = random.Random(SEED)
    banking = sorted({row["label"] for row in rows("banking77", "train")})
    mails = sorted({one for part in PARTS for row in rows("facility_support", part) for one in _topics(row)})
    for labels, others, seen in (
        (banking, mails, [row["label"] for row in rows("banking77", "test")]),
        (mails, banking, [one for part in PARTS for row in rows("facility_support", part) for one in _topics(row)]),
    ):
        check = ol.checks.one_of("answer", labels)
        for label in draw.sample(seen, min(most, len(seen))):
            yield check, {"answer": label}, True
            for wrong in (draw.choice(others), _misspelt(label, draw), draw.choice(_variants(label))):
                if wrong not in labels:
                    yield check, {"answer": wrong}, False


def mended() -> tuple[int, int]:
    """How many labels in other case, space or quotes have the right fix, and how many there are."""
    labels = sorted({row["label"] for row in rows("banking77", "train")})
    check = ol.checks.one_of("answer", labels)
    given = [(label, wrong) for label in labels for wrong in _variants(label) if wrong not in labels]
    results = [(label, check.run({"answer": wrong})) for label, wrong in given]
    return sum(1 for label, got in results if got is not None and got.fix == {"answer": label}), len(given)


def _topics(row: dict[str, Any]) -> list[str]:
    held = row["categories"]
    return list(held) if isinstance(held, list) else [name for name, holds in held.items() if holds]


def _variants(label: str) -> list[str]:
    return [label.upper(), label.replace("_", " ").title(), f" {label}\n", f'"{label}".', label.replace("_", "-")]


def _misspelt(label: str, draw: random.Random) -> str:
    place = draw.choice([at for at, letter in enumerate(label) if letter.isalpha()])
    letter = draw.choice([one for one in LETTERS if one != label[place].lower()])
    return label[:place] + draw.choice(["", letter, label[place] + letter]) + label[place + 1 :]


@cache
def _files(most: int) -> tuple[str, ...]:
    """Files of the standard library that compile without a warning."""
    root = Path(sysconfig.get_path("stdlib"))
    paths = sorted(path for path in root.rglob("*.py") if not {"site-packages", "test", "tests"} & {*path.parts})
    random.Random(SEED).shuffle(paths)
    found: list[str] = []
    for path in paths:
        text = path.read_text("utf-8", "replace")
        if len(found) < most and 500 < len(text) < 40_000 and compiled(text, "error") is not None:
            found.append(text)
    return tuple(found)


def compiled(text: str, warned: Any = "ignore") -> CodeType | None:
    """The bytecode of a program; None where Python refuses it."""
    with warnings.catch_warnings():
        warnings.simplefilter(warned)
        try:
            return compile(text, "answer", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, Warning):
            return None


def python_cases(most: int = 200) -> Iterator[Case]:
    """Files of the standard library; or with a bracket, a colon or an indentation taken out, so that they do not
    compile."""
    check = ol.checks.parses_python("answer")
    draw = random.Random(SEED)
    for text in _files(most):
        yield check, {"answer": text}, True
        for pattern in (r"[()\[\]{}]", r":(?=\n)", r"(?<=\n) {4}(?=\S)"):
            places = [match.span() for match in re.finditer(pattern, text)]
            if places:
                start, end = draw.choice(places)
                wrong = text[:start] + text[end:]
                if compiled(wrong) is None:
                    yield check, {"answer": wrong}, False


def import_cases(most: int = 200) -> Iterator[Case]:
    """The same files, where what their bytecode imports is allowed; or all but one of these modules."""
    draw = random.Random(SEED)
    for text in _files(most):
        code = compiled(text)
        assert code is not None
        names, relative = _imported(code)
        if names and not relative:
            yield ol.checks.parses_python("answer", imports=names), {"answer": text}, True
            left = draw.choice(sorted(names))
            fewer = {name for name in names if not f"{left}.".startswith(f"{name}.")}
            yield ol.checks.parses_python("answer", imports=fewer), {"answer": text}, False


def _imported(code: CodeType) -> tuple[set[str], bool]:
    """The modules that a program imports, and whether one is relative or imported by its name."""
    names: set[str] = set()
    relative = bool(BY_NAME & {*code.co_names})
    steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
    for at, step in enumerate(steps):
        if step.opname == "IMPORT_NAME":
            names.add(step.argval)
            relative |= steps[at - 2].argval != 0
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            more, also = _imported(inner)
            names |= more
            relative |= also
    return names, relative


SETS: dict[str, tuple[str, Callable[..., Iterator[Case]]]] = {
    "length": ("ifeval prompts, summeval test: characters, lines, tokens~", length_cases),
    "length words": ("the same texts", word_cases),
    "length sentences": ("scifact, abstracts", sentence_cases),
    "matches full": ("restaurant8k test, slots", full_cases),
    "matches absent": ("restaurant8k test, utterances", absent_cases),
    "one_of": ("banking77 test, facility_support", label_cases),
    "json_schema": ("bfcl_mini, calls", form_calls.call_cases),
    "parses_python": ("200 files of Python's library", python_cases),
    "parses_python imports": ("the same files", import_cases),
    "sql": ("statements from a grammar", form_queries.query_cases),
    "urls": ("texts of five sets with an address", form_calls.url_cases),
}
