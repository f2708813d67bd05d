"""JSON that is nearly JSON."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.signatures.jsontext import MAX_MEND, DuplicateKey, Number, mend, scan, strict, tolerant

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=100)
@given(JSON, st.booleans())
def test_valid_json_is_read_as_it_is(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert strict(text) == tolerant(text) == value


@settings(deadline=None, max_examples=100)
@given(JSON.filter(lambda value: isinstance(value, (dict, list)) and bool(value)))
def test_python_spelling_is_read_too(value: object) -> None:
    text = repr(value)
    if "\\x" not in text and "\\U" not in text and "inf" not in text:
        assert tolerant(text) == value


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(st.text(), JSON, max_size=3))
def test_an_object_is_found_in_prose(value: dict[str, object]) -> None:
    value = {**value, "last": 1}
    found = scan(f"Here you are: {json.dumps(value)} - and that {{was}} it.")
    assert found.values == [value]
    assert found.broken == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': 'it\\'s'}", {"a": "it's"}),
        ("{a: True, b_2: None,}", {"a": True, "b_2": None}),
        ('{"a": "x\\qy\\u00e9\\ud83d\\ude00"}', {"a": "x\\qyé😀"}),
        ("{“a”: “b”}", {"a": "b"}),
        ('{"a": +1, "b": .5, "c": 1.}', {"a": 1, "b": 0.5, "c": 1.0}),
        ('{"a": 1 /* one */, // two\n"b": 2}', {"a": 1, "b": 2}),
        ("[NaN]", None),
        ("[-Infinity]", [float("-inf")]),
        ("{}", {}),
        ("[[],]", [[]]),
    ],
)
def test_near_json(text: str, value: object) -> None:
    found = tolerant(text)
    assert value is None or found == value


@pytest.mark.parametrize("text", ["", "{", "{'a'}", "{'a' 1}", "[1 2]", "{'a': b}", "[1]]", "x", "{1: 2}", "'a"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        tolerant(text)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', "{'a': 1, 'a': 2}", '{"x": {"a": 1, "a": 2}}', "{a: 1, 'a': 2}"])
def test_a_key_given_twice_is_refused(text: str) -> None:
    for read in (tolerant, scan):
        with pytest.raises(DuplicateKey, match="'a' is given more than once"):
            read(text)


def test_numbers_keep_their_text() -> None:
    found = strict('{"version": 1.10}')["version"]
    assert isinstance(found, Number)
    assert (found, found.text) == (1.1, "1.10")


def test_broken_objects_are_told_apart_from_braces_in_prose() -> None:
    found = scan('\\frac{1}{2} {"a": 1} {"b": oops} {x} {"c": 3}')
    assert found.values == [{"a": 1}, {"c": 3}]
    assert [piece.strip() for piece in found.broken] == ['{"b": oops} {x}']


def test_too_many_values_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 1000"):
        scan('{"a": 1} ' * 1_001)
    assert len(scan('{"a": 1} ' * 1_001, most=2_000).values) == 1_001


def test_mending_is_bounded_and_never_closes_what_was_cut_off() -> None:
    assert mend('{"a": "he said "hi""}') == {"a": 'he said "hi"'}
    assert mend('{"a": "he sa') is None
    assert mend('["a", "b"') is None
    assert mend("[{]}") is None
    assert mend("[" * 200 + "]" * 200) is None
    assert mend('{"a": "' + "x" * MAX_MEND + '"}') is None
    assert mend("") is None
    assert mend("plain") is None


@pytest.mark.parametrize(
    "unit",
    [
        *(
            '{"',
            "{'",
            "{/*",
            "{a:/*",
            '{"a":',
            "{'a':",
            "{a:",
            "[",
            "[x",
            "[1,",
            '{"a":[1,',
            "{'a':\"",
            "{“",
            "[1]",
            '{"\\',
        ),
        *("{ ", "{a:   ", "[[]", "{a:'//", '"', "\\", "{{", "{}", "{'a':1}", "//", "[//"),
    ],
)
def test_every_reader_takes_time_linear_in_hostile_text(unit: str) -> None:
    for length in (20_000, 200_000):
        text = unit * (length // len(unit))
        started = time.process_time()
        for read in (strict, tolerant, scan, lambda text: scan(text, arrays=True), mend):
            try:
                read(text)
            except ValueError:
                continue
        assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "text",
    [
        "['it's', 'O'Brien']",
        "['O'Brien', 'Smith']",
        "[1, 2, ..., 10]",
        '["a","b",...]',
        '["a","b",…]',
        "[1, 2, …]",
        '["a" "b"]',
        "[1 2 3]",
        "[1, 2,, 3]",
        '["a, "b"]',
        '{"a": "x" "b": 2}',
        '{"a": "he said "hi", then left"}',
        '{"a": "x, "b": "y"}',
        '{"a": 1, "b": }',
        '["a\\qb" c]',
    ],
)
def test_what_mending_would_invent_is_refused(text: str) -> None:
    assert mend(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": "he said "hi"", "b": 3}', {"a": 'he said "hi"', "b": 3}),
        ("{'a': 'it's fine', 'y': [True, null, 1.5],}", {"a": "it's fine", "y": [True, None, 1.5]}),
        ("[don't, do]", ["don't", "do"]),
    ],
)
def test_mending_that_only_adds_quotes_is_kept(text: str, value: object) -> None:
    assert mend(text) == value
