"""Length, patterns, allowed values, JSON and Python: what passes, what fails, and what hostile text costs."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

import outlast as ol
from outlast.checks.reading import sentences, words
from outlast.errors import UsageError

HOSTILE = [
    "",
    " " * 1_000_000,
    "\n" * 1_000_000,
    "." * 1_000_000 + "x",
    "a. " * 330_000,
    "a-" * 500_000,
    "\udc80" * 1_000_000,
    "(" * 1_000_000,
    "'" * 1_000_000,
    "\0é漢" * 300_000,
]


def result(check: ol.Check, value: Any) -> ol.CheckResult:
    """The result for a value of the field that the check looks at."""
    given = check.run({check.needs[0]: value})
    assert given is not None
    return given


@pytest.mark.parametrize(
    ("unit", "size"), [("characters", 37), ("words", 10), ("sentences", 2), ("lines", 2), ("tokens~", 10)]
)
def test_length_is_counted_in_units(unit: Any, size: int) -> None:
    text = "Dr. Ng isn't in.\n\nCall her at 9 p.m.!"
    assert result(ol.checks.length("answer", min=size, max=size, unit=unit), text).ok
    short = result(ol.checks.length("answer", min=size + 1, unit=unit), text)
    assert not short.ok
    assert f"at least {size + 1}" in short.message
    long = result(ol.checks.length("answer", max=size - 1, unit=unit), text)
    assert not long.ok
    assert f"at most {size - 1}" in long.message
    assert long.fix is None


@pytest.mark.parametrize(
    ("options", "fixed"),
    [
        ({"max": 5, "unit": "words"}, "One two."),
        ({"max": 12}, "One two."),
        ({"max": 5}, "One"),
        ({"max": 1, "unit": "sentences"}, "One two."),
        ({"max": 2, "unit": "tokens~"}, "One two."),
        ({"max": 2}, None),
        ({"min": 9, "max": 12}, None),
    ],
)
def test_a_cut_keeps_whole_sentences_or_whole_words(options: Any, fixed: str | None) -> None:
    given = result(ol.checks.length("answer", cut=True, **options), "One two. Three four five six.")
    assert given.fix == (None if fixed is None else {"answer": fixed})
    if fixed is not None and "min" not in options:
        assert result(ol.checks.length("answer", **options), fixed).ok


def test_sentences_know_abbreviations_initials_and_other_full_stops() -> None:
    text = (
        'Dr. Smith met J. R. Jones at 3.5 p.m. on Jan. 5. "Why?" she asked.\n- one\n- two etc. and more. 你好。再见！'
    )
    found = [text[start:end] for start, end in sentences(text)]
    first = "Dr. Smith met J. R. Jones at 3.5 p.m. on Jan. 5."
    assert found == [first, '"Why?" she asked.', "- one", "- two etc. and more.", "你好。", "再见！"]


def test_words_are_joined_by_hyphens_and_apostrophes_and_cjk_counts_by_character() -> None:
    text = "It's well-known: 你好, x_1!"
    assert [text[start:end] for start, end in words(text)] == ["It's", "well-known", "你", "好", "x_1"]


@pytest.mark.parametrize(
    ("pattern", "options", "text", "ok"),
    [
        (r"\d{4}", {}, "in 2020", True),
        (r"\d{4}", {"full": True}, "in 2020", False),
        (r"\d{4}", {"full": True}, "2020", True),
        (r"(?i)sorry", {"absent": True}, "I am SORRY to", False),
        (r"(?i)sorry", {"absent": True}, "Done", True),
        (re.compile("abc", re.IGNORECASE), {"full": True}, "ABC", True),
        (re.compile("a.c", re.DOTALL), {}, "a\nc", True),
        (r"(?<=a)b", {}, "ab", True),
        (r"(.)\1", {"absent": True}, "hello", False),
        (r"^x|y$", {"absent": True}, "an x", True),
        ("a|b", {"full": True}, "ab", False),
    ],
)
def test_patterns(pattern: Any, options: Any, text: str, ok: bool) -> None:
    assert result(ol.checks.matches("answer", pattern, **options), text).ok is ok


def test_what_must_be_absent_is_shown_where_it_stands() -> None:
    given = result(ol.checks.matches("answer", r"foo\d", absent=True), "hello foo1 and foo4")
    assert given.found == (ol.Found("answer", 6, 10, "match", "foo1"),)
    assert "foo1" in given.message
    told = result(ol.checks.matches("answer", r"foo\d", absent=True, message="Name no codes."), "foo1")
    assert told.message == "Name no codes."


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*$", r"(a|aa)+$", r"(.*)*x", r"\s+$"])
def test_patterns_that_explode_elsewhere_take_linear_time(pattern: str) -> None:
    check = ol.checks.matches("answer", pattern)
    for text in ("a" * 1_000_000 + "b", " " * 1_000_000 + "b"):
        started = time.process_time()
        result(check, text)
        assert time.process_time() - started < 2


def test_a_pattern_without_a_linear_engine_reads_no_long_text() -> None:
    given = result(ol.checks.matches("answer", r"(a+)\1"), "a" * 20_001)
    assert not given.ok
    assert "at most 20,000" in given.message


def test_one_of_proposes_the_value_that_is_the_same_but_for_its_form() -> None:
    check = ol.checks.one_of("team", ["cards", "wire transfers", "A", "a"])
    assert result(check, "cards").ok
    assert result(check, " Wire-Transfers.").fix == {"team": "wire transfers"}
    assert result(check, "CARDS").fix == {"team": "cards"}
    assert result(check, "a.").fix is None
    near = result(check, "card")
    assert (near.ok, near.fix) == (False, None)
    assert "Did you mean 'cards'?" in near.message
    numbers = ol.checks.one_of("n", [1, 2])
    assert result(numbers, 2).ok
    assert not result(numbers, True).ok
    assert not result(numbers, [1]).ok
    assert numbers.run({"n": None}) is None


SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "day": {"type": "string", "format": "date"}},
    "required": ["a"],
}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ('{"a": 1, "day": "2020-01-05"}', ""),
        ({"a": 2}, ""),
        ('{"a": "b"}', "a: 'b' is not of type 'integer'"),
        ('{"a": 1, "day": "soon"}', "day: 'soon' is not a 'date'"),
        ("{}", "'a' is a required property"),
        ("[1", "no JSON"),
        ('{"a": NaN}', "no JSON"),
        ('{"a": "\udc80"}', "no JSON"),
        ("[" * 500_000, "no JSON"),
        ('{"a": ' + "1" * 500_000 + "}", "no JSON"),
        ('{"a": 1}' + " " * 1_000_000, "1,000,008 characters"),
    ],
)
def test_json_schema(value: Any, problem: str) -> None:
    given = result(ol.checks.json_schema("data", SCHEMA), value)
    assert given.ok is (problem == "")
    assert problem in given.message
    assert len(given.message) < 1_000


def test_json_is_taken_out_of_a_fence_and_a_type_is_a_schema() -> None:
    assert result(ol.checks.json_schema("data", SCHEMA), '```json\n{"a": 1}\n```').fix == {"data": '{"a": 1}'}
    assert result(ol.checks.json_schema("data", SCHEMA), "```json\n[]\n```").fix is None
    check = ol.checks.json_schema("data", dict[str, int])
    assert result(check, '{"a": 1}').ok
    assert "valid integer" in result(check, {"a": "x"}).message


def test_a_schema_is_never_fetched() -> None:
    check = ol.checks.json_schema("data", {"$ref": "http://127.0.0.1:9/schema.json"})
    with pytest.raises(UsageError, match="refers to what it does not hold"):
        check.run({"data": "1"})


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("import math\nfrom os import path\nimport os.path\nprint(math.pi)", ""),
        ("import os", "imports 'os'; it may import math, os.path"),
        ("import mathx", "mathx"),
        ("from . import x", "imports '.'"),
        ("__import__('os')", "__import__"),
        ("import math as m\nm.import_module('os')", "import_module"),
        ("def f(:\n  pass", "line 1: invalid syntax"),
        ("", "no program"),
        ("\0", "no Python"),
        ("x = '\udc80'", "no Python"),
        ("-" * 90_000 + "1", "nested too deeply"),
        ("1+" * 45_000 + "1", "nested too deeply"),
        ("(" * 90_000, "too many nested parentheses"),
        ("x" * 100_001, "at most 100,000"),
    ],
)
def test_python_parses_and_imports_what_it_may(program: str, problem: str) -> None:
    given = result(ol.checks.parses_python("code", imports=["math", "os.path"]), program)
    assert given.ok is (problem == "")
    assert problem in given.message


def test_python_in_a_fence_is_taken_out_and_code_is_read() -> None:
    check = ol.checks.parses_python("code")
    assert result(check, "```python\nx = 1\n```").fix == {"code": "x = 1"}
    assert result(check, "```python\nx =\n```").fix is None
    assert result(check, ol.Code("import anything", "python")).ok
    wrong = result(check, "a = 1\nb = = 2\n")
    assert wrong.found == (ol.Found("code", 6, 13, "syntax", "b = = 2"),)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ol.checks.length("answer"),
        lambda: ol.checks.length("answer", min=3, max=2),
        lambda: ol.checks.length("answer", max=-1),
        lambda: ol.checks.length("answer", max=True),
        lambda: ol.checks.length("answer", max=3, unit="word"),
        lambda: ol.checks.length("", max=3),
        lambda: ol.checks.length(["answer"], max=3),
        lambda: ol.checks.matches("answer", "("),
        lambda: ol.checks.matches("answer", b"x"),
        lambda: ol.checks.matches("answer", "x", full="yes"),
        lambda: ol.checks.one_of("answer", []),
        lambda: ol.checks.one_of("answer", "abc"),
        lambda: ol.checks.json_schema("answer", {"type": "nothing"}),
        lambda: ol.checks.json_schema("answer", 3),
        lambda: ol.checks.parses_python("answer", imports=["os; x"]),
        lambda: ol.checks.parses_python("answer", most=0),
        lambda: ol.checks.length("answer", max=3, on_fail="retyr"),
    ],
)
def test_wrong_options_are_refused_at_once(make: Any) -> None:
    with pytest.raises(UsageError):
        make()


@pytest.mark.parametrize("value", [3, ["a"], {"a": 1}, b"x", object()])
def test_a_value_that_is_no_text_is_an_error_of_the_program(value: Any) -> None:
    for check in (ol.checks.length("answer", max=3), ol.checks.matches("answer", "x")):
        with pytest.raises(UsageError, match="looks at text"):
            check.run({"answer": value})


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_takes_little_time(text: str) -> None:
    checks = [ol.checks.length("answer", max=3, unit=unit, cut=True) for unit in ("characters", "words", "sentences")]
    checks += [ol.checks.matches("answer", "x{3}y", absent=True), ol.checks.one_of("answer", ["a"])]
    checks += [ol.checks.json_schema("answer", {}), ol.checks.parses_python("answer")]
    for check in checks:
        started = time.process_time()
        result(check, text)
        assert time.process_time() - started < 3, check


def test_each_looks_at_the_items_of_a_list() -> None:
    given = result(ol.checks.length("names", max=3, each=True), ["abc", "abcd", "ab"])
    assert (given.ok, given.fix) == (False, {"names": ["abc", "ab"]})


def test_equal_calls_make_equal_checks() -> None:
    assert ol.checks.length("a", max=3) == ol.checks.length("a", max=3)
    assert ol.checks.length("a", max=3) != ol.checks.length("a", max=4)
    assert ol.checks.matches("a", "x") != ol.checks.matches("a", "x", absent=True)
    assert ol.checks.json_schema("a", {"type": "object"}) == ol.checks.json_schema("a", {"type": "object"})
    assert ol.checks.parses_python("a", imports=["os", "re"]) == ol.checks.parses_python("a", imports=("re", "os"))
