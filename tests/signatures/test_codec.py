"""Values written as text or JSON come back exactly, whatever they hold."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pydantic
import pytest
import typing_extensions
from annotated_types import Ge, MinLen
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.errors import InputError
from outlast.signatures.codec import Codec
from outlast.signatures.field import Field


class Team(enum.Enum):
    BILLING = "billing"
    CARDS = "Cards & PIN"
    ODD = ' "quoted" '


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Person(pydantic.BaseModel):
    name: str
    title: str = "Dr"
    friends: list[Person] = []


@dataclasses.dataclass
class Point:
    x: int
    label: str | None = None


class Size(typing_extensions.TypedDict):
    width: int
    unit: Literal["cm", "in"]


class Pair(NamedTuple):
    left: str
    right: float


# Text that has to survive: quotes, whitespace, markers, tags, fences, JSON, escapes, surrogates.
NASTY = st.sampled_from(
    [
        *("", " ", "\n", "...", '"', '""', '"a"', "'a'", "null", "None", "true", "3", "<<end>>", "<</end>>", "<<a#1>>"),
        *("```\nx\n```", "</think>", "<think>x", '{"a": 1}', "[1, 2]", "\\", '\\"', "\u2028", "\xa0", "\x00", "\x1f"),
        *("\ud800", "\udfff x", "😀", "a\r\nb", "- **", "***", "#", ">", "N/A", "\ufeff", "\x85", "x\n***", "**\n"),
    ]
)
TEXT = st.one_of(
    st.text(st.characters(blacklist_categories=())),
    NASTY,
    st.tuples(NASTY, st.text(max_size=5), NASTY).map("".join),
)
KEYS = st.text()  # pydantic replaces lone surrogates in the keys of dicts, and only there
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
PEOPLE = st.recursive(
    st.builds(Person, name=TEXT, title=TEXT),
    lambda inner: st.builds(Person, name=TEXT, friends=st.lists(inner, max_size=2)),
    max_leaves=4,
)
LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, TEXT),
    (int, st.integers()),
    (float, NUMBERS),
    (bool, st.booleans()),
    (Annotated[str, MinLen(1)], KEYS.filter(bool)),
    (Annotated[int, Ge(3)], st.integers(min_value=3)),
    (Literal["a", "A b", '"c"', " d", "null", "..."], st.sampled_from(["a", "A b", '"c"', " d", "null", "..."])),
    (Literal[1, -2, True, "1x"], st.sampled_from([1, -2, True, "1x"])),
    (Literal["1", 1], st.sampled_from(["1", 1])),
    (Team, st.sampled_from(Team)),
    (Level, st.sampled_from(Level)),
    (date, st.dates()),
    (datetime, st.datetimes()),
    (time, st.times()),
    (timedelta, st.timedeltas(timedelta(days=-10_000), timedelta(days=10_000))),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (UUID, st.uuids()),
    (bytes, st.binary()),
    (Size, st.fixed_dictionaries({"width": st.integers(), "unit": st.sampled_from(["cm", "in"])})),
    (Point, st.builds(Point, x=st.integers(), label=st.none() | TEXT)),
    (Pair, st.builds(Pair, left=TEXT, right=NUMBERS)),
    (Person, PEOPLE),
]


def around(kind: Any, values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    """A type made from another, with a value."""
    return st.one_of(
        st.tuples(st.just(kind), values),
        st.tuples(st.just(kind | None), st.none() | values),
        st.tuples(st.just(list[kind]), st.lists(values, max_size=3)),
        st.tuples(st.just(list[kind | None]), st.lists(st.none() | values, max_size=3)),
        st.tuples(st.just(dict[str, kind]), st.dictionaries(KEYS, values, max_size=3)),
        st.tuples(st.just(tuple[kind, int]), st.tuples(values, st.integers())),
        st.tuples(st.just(tuple[kind, ...]), st.lists(values, max_size=3).map(tuple)),
        st.tuples(st.just(dict[int, list[kind]]), st.dictionaries(st.integers(), st.lists(values, max_size=2))),
    )


UNIONS: list[st.SearchStrategy[tuple[Any, Any]]] = [
    st.tuples(st.just(int | str), st.integers() | TEXT),
    st.tuples(st.just(str | list[str]), TEXT | st.lists(TEXT)),
    st.tuples(st.just(bool | int | None), st.booleans() | st.integers() | st.none()),
    st.tuples(st.just(Team | None), st.none() | st.sampled_from(Team)),
    st.tuples(st.just(Literal["a", "b"] | None), st.sampled_from(["a", "b", None])),
    st.tuples(st.just(Team | Literal["other"]), st.sampled_from([*Team, "other"])),
    st.tuples(st.just(Person | Point), PEOPLE | st.builds(Point, x=st.integers())),
    st.tuples(st.just(set[int]), st.sets(st.integers())),
    st.tuples(st.just(Any), st.recursive(TEXT | st.integers() | st.none(), lambda v: st.lists(v), max_leaves=3)),
]
TYPED = st.one_of(st.one_of([around(*leaf) for leaf in LEAVES]), *UNIONS)


def codec(kind: Any, **options: Any) -> Codec:
    return Codec(Field("x", "output", kind, **options))


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return type(one) is type(other) and one == other


@settings(deadline=None, max_examples=150)
@given(TYPED)
def test_written_values_are_read_back_exactly(typed: tuple[Any, Any]) -> None:
    kind, value = typed
    made = codec(kind)
    value = made.check(value)
    assert same(made.read(made.write(value)), value)


@settings(deadline=None, max_examples=150)
@given(TYPED)
def test_dumped_values_are_read_back_exactly(typed: tuple[Any, Any]) -> None:
    kind, value = typed
    made = codec(kind)
    value = made.check(value)
    dumped = made.dump(value)
    assert same(made.read_data(dumped), value)
    assert same(made.read_data(json.loads(json.dumps(dumped))), value)


@settings(deadline=None, max_examples=150)
@given(TEXT)
def test_text_with_space_around_it_is_read_as_it_was_written(text: str) -> None:
    made = codec(str)
    assert made.read(f"\n\n {made.write(text)}\t\n") == text


@pytest.mark.parametrize("text", ["Paris", "two\nlines", 'say "hi" now', '"a" and "b', "{x}", "a\n\n\nb"])
def test_ordinary_text_is_written_as_it_is(text: str) -> None:
    assert codec(str).write(text) == text


def test_what_does_not_fit_the_type_is_still_shown() -> None:
    assert codec(int).write("many") == '"many"'
    assert codec(Team).write("nobody") == "nobody"
    assert codec(str).write(3) == "3"
    assert codec(list[str]).write({"a": {1}}) == '{"a": [1]}'
    assert codec(int).dump({"a": object}) == {"a": str(object)}
    assert codec(bytes).write(b"\xff") == '"_w=="'


def test_a_value_that_holds_itself_is_refused_by_name() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(InputError, match="'x' cannot be written as text"):
        codec(Any).write(circle)


def test_an_adapter_is_built_once_for_a_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    made = codec(list[Person])
    monkeypatch.setattr(pydantic.TypeAdapter, "__init__", None)
    for _ in range(3):
        made.read(made.write([Person(name="a")]))
        made.read_data(made.dump([Person(name="a")]))
        made.describe()
        assert made.schema() is made.schema()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (str, "text"),
        (int, "integer"),
        (Annotated[int, Ge(1), pydantic.Field(le=5)], "integer, 1 to 5"),
        (Annotated[float, pydantic.Field(gt=0, lt=1)], "number, more than 0, less than 1"),
        (Annotated[int, Ge(1)], "integer, at least 1"),
        (Annotated[int, pydantic.Field(multiple_of=5)], "integer, a multiple of 5"),
        (Annotated[str, MinLen(2)], "text, at least 2 characters"),
        (Annotated[str, pydantic.StringConstraints(max_length=3, pattern="^a")], "text, at most 3 characters, "),
        (bool, "true or false"),
        (date, "date as YYYY-MM-DD"),
        (Literal["a", 'b "c"'], 'one of: "a", "b \\"c\\""'),
        (Literal[1, None, True], "one of: 1, null, true"),
        (Team | None, 'one of: "billing", "Cards & PIN", " \\"quoted\\" ", null'),
        (Level, "one of: 1, 2"),
        (str | None, "text or null"),
        (list[str], "JSON: array of string"),
        (Point, "JSON of type {x: integer, label?: string | null}"),
        (list[str] | None, "JSON of type string[] | null"),
        (Any, "any JSON value"),
    ],
)
def test_types_are_told_in_words(kind: Any, words: str) -> None:
    assert codec(kind).describe().startswith(words)


def test_schemas_lose_titles_but_not_properties_called_title() -> None:
    schema = codec(Person).schema()
    assert schema is not None
    assert "title" in schema["$defs"]["Person"]["properties"]
    assert "title" not in schema["$defs"]["Person"]
    assert schema["$defs"]["Person"]["properties"]["title"] == {"default": "Dr", "type": "string"}


class Loose(pydantic.BaseModel):
    data: dict[str, str] = pydantic.Field(default={"title": "kept"}, examples=[{"title": "kept"}])
    properties: int = 1


def test_data_inside_a_schema_is_left_alone() -> None:
    schema = codec(Loose).schema()
    assert schema is not None
    assert schema["properties"]["data"]["default"] == {"title": "kept"}
    assert schema["properties"]["data"]["examples"] == [{"title": "kept"}]
    assert schema["properties"]["properties"] == {"default": 1, "type": "integer"}


def check_lower(text: str) -> str:
    if text != text.lower():
        raise ValueError("must be lower case")
    return text


def test_the_users_validators_run_on_choices_too() -> None:
    kind = Annotated[Literal["a", "B"], pydantic.AfterValidator(check_lower)]
    assert codec(kind).read("a") == "a"
    with pytest.raises(ValueError, match="must be lower case"):
        codec(kind).read("B")


def broken(value: Any) -> Any:
    raise TypeError("a bug of the user's")


def test_a_bug_in_the_users_validator_is_not_blamed_on_the_model() -> None:
    made = codec(Annotated[int, pydantic.AfterValidator(broken)])
    read: Callable[[str], Any] = made.read
    with pytest.raises(TypeError, match="a bug of the user's"):
        read("3")
