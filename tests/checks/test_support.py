"""Claims of a text that its source has, and those that it does not."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

import outlast as ol
from outlast.checks.dates import dates
from outlast.checks.entities import entities
from outlast.checks.numbers import numbers
from outlast.checks.quotes import quotes
from outlast.errors import UsageError


def judged(check: ol.Check, answer: Any, context: Any) -> ol.CheckResult:
    """The result for an answer and its source."""
    given = check.run({"answer": answer, "context": context})
    assert given is not None
    return given


@pytest.mark.parametrize(
    ("text", "values", "unit"),
    [
        ("1,234.5", ["1234.5"], ""),
        ("1.234,5", ["1234.5"], ""),
        ("1,234", ["1234", "1.234"], ""),
        ("1 234 567", ["1234567"], ""),
        ("1'234", ["1234"], ""),
        ("1,00,000", ["100000"], ""),
        ("$2.5 million", ["2500000"], "usd"),
        ("US$3bn", ["3000000000"], "usd"),
        ("5€", ["5"], "eur"),
        ("5 %", ["5"], "%"),
        ("five per cent", ["5"], "%"),
        ("-5", ["-5"], ""),
        ("5k", ["5000", "5"], ""),
        ("21st", ["21"], ""),
        ("1990s", ["1990"], "s"),
        ("twenty-five", ["25"], ""),
        ("two hundred and five", ["205"], ""),
        ("three million two hundred thousand", ["3200000"], ""),
        ("nineteen eighty-four", ["1984"], ""),
        ("third", ["3"], ""),
        ("minus three", ["-3"], ""),
    ],
)
def test_the_ways_to_write_a_number(text: str, values: list[str], unit: str) -> None:
    (found,) = numbers(f"about {text} then")
    assert (sorted(found.values), found.unit) == (sorted(map(Decimal, values)), unit)
    assert f"about {text} then"[found.start : found.end] == found.text


def test_what_is_no_claim_of_a_number() -> None:
    assert [one.text for one in numbers("1. One of them [1], first,\n2) in 2020 [2, 3].", claims=True)] == ["2020"]


NUMBERS = ol.checks.numbers_supported("answer", source="context")


@pytest.mark.parametrize(
    ("answer", "context", "ok"),
    [
        ("It cost $2.5m.", "a price of 2,500,000 dollars", True),
        ("It cost €2.5m.", "a price of $2,500,000", False),
        ("three men", "3 men", True),
        ("52.9 percent", "52.9% of votes", True),
        ("52.9%", "52.9 votes", False),
        ("5%", "a share of 0.05", True),
        ("the 1990s", "in 1994", True),
        ("the 1980s", "in 1994", False),
        ("version 3.11.7", "Python 3.11.7", True),
        ("version 3.11.8", "Python 3.11.7", False),
        ("no claim", "", True),
        ("7", "", False),
        ("-5 degrees", "5 degrees", False),
    ],
)
def test_numbers_are_found_however_they_are_written(answer: str, context: str, ok: bool) -> None:
    assert judged(NUMBERS, answer, context).ok is ok


def test_tolerance_and_rounding() -> None:
    assert not judged(NUMBERS, "3.1", "3.14159").ok
    assert judged(ol.checks.numbers_supported("answer", source="context", rounding=True), "3.1", "3.14159").ok
    assert not judged(ol.checks.numbers_supported("answer", source="context", rounding=True), "3.2", "3.14159").ok
    about = ol.checks.numbers_supported("answer", source="context", rounding=True)
    assert judged(about, "1.2 million", "1,234,567").ok
    assert judged(ol.checks.numbers_supported("answer", source="context", tolerance=0.02), "101", "100").ok
    assert not judged(ol.checks.numbers_supported("answer", source="context", tolerance=0.02), "103", "100").ok


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("2020-01-05", {(2020, 1, 5)}),
        ("2020-01-05T10:00", {(2020, 1, 5)}),
        ("5/1/2020", {(2020, 1, 5), (2020, 5, 1)}),
        ("31/1/2020", {(2020, 1, 31)}),
        ("5.1.2020", {(2020, 1, 5), (2020, 5, 1)}),
        ("Jan. 5th, 2020", {(2020, 1, 5)}),
        ("5th of January 2020", {(2020, 1, 5)}),
        ("5. Januar 2020", {(2020, 1, 5)}),
        ("5 de enero de 2020", {(2020, 1, 5)}),
        ("January 2020", {(2020, 1, None)}),
        ("5 January", {(None, 1, 5)}),
        ("2020", {(2020, None, None)}),
    ],
)
def test_the_ways_to_write_a_date(text: str, readings: Any) -> None:
    (found,) = dates(f"on {text} there")
    assert set(found.readings) == readings


def test_what_is_no_date() -> None:
    assert dates("2020 people, 1,2020, 12:2020, €2020, 555-2020, room 99/99/2020, he may 3 times") == []


@pytest.mark.parametrize(
    ("answer", "context", "ok"),
    [
        ("on 5 January 2020", "2020-01-05", True),
        ("in January 2020", "5 January 2020", True),
        ("in 2020", "5/1/2020", True),
        ("on 5 January", "2020-01-05", True),
        ("on 5 January 2020", "in January 2020", False),
        ("on 5 January 2020", "6 January 2020", False),
        ("in 2021", "2020-01-05", False),
    ],
)
def test_a_date_is_found_when_the_source_says_so_much(answer: str, context: str, ok: bool) -> None:
    assert judged(ol.checks.dates_supported("answer", source="context"), answer, context).ok is ok


@pytest.mark.parametrize(
    ("answer", "ok"),
    [
        ('He said "we must act now".', True),
        ("He said “We  must ... together”.", True),
        ("He said “[w]e must act [at once] and act”.", True),
        ("> We must act now", True),
        ("He said 'x', it's \"odd\".", True),
        ('He said "we should act now".', False),
        ("He said „together we must“.", False),
        ("«must now act»", False),
    ],
)
def test_quotations_are_found_word_by_word(answer: str, ok: bool) -> None:
    context = "Then he said: 'We must act now — and act together!'"
    assert judged(ol.checks.quotes_supported("answer", source="context"), answer, context).ok is ok


def test_the_least_words_of_a_quotation() -> None:
    assert [one.text for one in quotes('the "odd" word and "two words"', 1)] == ["odd", "two words"]
    assert not judged(ol.checks.quotes_supported("answer", source="context", least=1), 'an "odd" word', "none").ok


def test_names_are_runs_of_capitals() -> None:
    text = "Yesterday Barack Obama met NASA. Researchers at the University of Kent said so. It was in Paris, France."
    assert [one.text for one in entities(text)] == ["Barack Obama", "NASA", "University of Kent", "Paris", "France"]


@pytest.mark.parametrize(
    ("answer", "ok"),
    [
        ("It was Barack Obama.", True),
        ("It was President Obama's idea.", True),
        ("Obama is American.", True),
        ("He met the UN.", True),
        ("He met Élysée staff.", True),
        ("He is from Kenya.", False),
        ("It was Michelle Obama.", False),
        ("He met Obama Barack.", False),
        ("He met the EU.", False),
    ],
)
def test_names_are_found_in_order(answer: str, ok: bool) -> None:
    context = "Barack Hussein Obama, born in America, spoke at the United Nations and the Elysee."
    assert judged(ol.checks.entities_supported("answer", source="context"), answer, context).ok is ok


def test_supported_puts_the_four_into_one_message_with_places() -> None:
    check = ol.checks.supported("answer", source=["context", "question"])
    answer = "In 1962 Angela Merkel said “it is over now”."
    given = check.run({"answer": answer, "context": "In 1961 nobody said so.", "question": "Who is Angela Merkel?"})
    assert given is not None
    assert "the number '1962' and the date '1962' and the quotation 'it is over now'" in given.message
    assert "which 'context' and 'question' do not support" in given.message
    assert [(place.kind, answer[place.start : place.end]) for place in given.found] == [
        ("number", "1962"),
        ("date", "1962"),
        ("quotation", "it is over now"),
    ]
    assert given.score == 0.25


@pytest.mark.parametrize(
    "context",
    [
        "It was 1961.",
        ["no", "It was 1961."],
        [{"title": "t", "text": "It was 1961."}],
        {"a": {"b": [1961]}},
        [ol.Document("It was 1961.", title="t")],
        ol.Document("nothing", title="in 1961"),
    ],
)
def test_a_source_may_have_many_forms(context: Any) -> None:
    check = ol.checks.supported("answer", source="context")
    assert judged(check, "In 1961.", context).ok
    assert not judged(check, "In 1962.", context).ok


def test_no_answer_is_not_judged_and_no_claim_passes() -> None:
    check = ol.checks.supported("answer", source="context")
    assert check.run({"answer": None, "context": "x"}) is None
    assert judged(check, "fine, thanks", "").ok
    assert not judged(check, "In 1961.", None).ok


def test_wrong_values_are_errors_of_the_program() -> None:
    check = ol.checks.supported("answer", source="context")
    with pytest.raises(UsageError, match="looks at text"):
        check.run({"answer": ["x"], "context": ""})
    with pytest.raises(UsageError, match="'context' holds object"):
        check.run({"answer": "x", "context": [object()]})
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert judged(check, "fine", deep).ok
    with pytest.raises(UsageError, match="more than 200,000 values"):
        check.run({"answer": "x", "context": [""] * 200_001})


@pytest.mark.parametrize(
    "make",
    [
        lambda: ol.checks.supported("answer", source="answer"),
        lambda: ol.checks.supported("answer", source=[]),
        lambda: ol.checks.supported("answer", source="context", kinds=["number"]),
        lambda: ol.checks.numbers_supported("answer", source="context", tolerance=-1),
        lambda: ol.checks.numbers_supported("answer", source="context", rounding=1),
        lambda: ol.checks.quotes_supported("answer", source="context", least=0),
        lambda: ol.checks.dates_supported("answer", source=3),
    ],
)
def test_wrong_options_are_refused_at_once(make: Any) -> None:
    with pytest.raises(UsageError):
        make()


HOSTILE = [
    "1 ",
    "one and ",
    "2020-01-",
    "New York. ",
    "Ab of ",
    "“",
    "\udc80A1",
    '"a b" ',
    "X.Y.",
    "January ",
    "$ ",
    "[1",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_takes_linear_time(piece: str) -> None:
    check = ol.checks.supported("answer", source="context", rounding=True)
    text = piece * (200_000 // len(piece))
    started = time.process_time()
    judged(check, text, text[::-1])
    assert time.process_time() - started < 8
