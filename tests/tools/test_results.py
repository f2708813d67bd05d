"""What tools return becomes JSON data and a bounded text, whatever it is, with a bounded amount of work."""

from __future__ import annotations

import collections
import dataclasses
import decimal
import enum
import gc
import itertools
import json
import math
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import numpy
import pandas
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import outlast as ol
from outlast.tools.results import MOST_CHARACTERS, shown


class Color(enum.Enum):
    red = "r"


class Word(enum.StrEnum):
    yes = "y"


class Number(enum.IntEnum):
    one = 1


@dataclasses.dataclass
class Point:
    x: int
    y: Any = None


class Account(pydantic.BaseModel):
    name: str
    password: pydantic.SecretStr = pydantic.SecretStr("hunter2")
    token: str = pydantic.Field(default="secret", exclude=True)
    since: date = date(2024, 1, 2)


class Named:
    def __str__(self) -> str:
        return "a name"


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Bag:
    def __iter__(self) -> Any:
        return iter([1, 2])


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (1.5, 1.5),
        ("x", "x"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (Color.red, "r"),
        (Word.yes, "y"),
        (Number.one, 1),
        (date(2024, 1, 2), "2024-01-02"),
        (datetime(2024, 1, 2, tzinfo=UTC), "2024-01-02T00:00:00+00:00"),
        (timedelta(minutes=5), "0:05:00"),
        (decimal.Decimal("1.10"), "1.10"),
        (UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        (PurePosixPath("/a/b"), "/a/b"),
        ({1: Color.red, (2, 3): [None]}, {"1": "r", "[2, 3]": [None]}),
        ((1, (2,)), [1, [2]]),
        ({5}, [5]),
        (range(3), [0, 1, 2]),
        (collections.deque([1]), [1]),
        ((n * n for n in range(3)), [0, 1, 4]),
        ({"a": 1}.items(), [["a", 1]]),
        (Point(1, Point(2)), {"x": 1, "y": {"x": 2, "y": None}}),
        (Account(name="x"), {"name": "x", "password": "**********", "since": "2024-01-02"}),
        (ol.Prediction(answer="Rome"), "Rome"),
        (ol.Prediction(answer="Rome", sure=0.9), {"answer": "Rome", "sure": 0.9}),
        (b"\x00\x01", "<2 bytes of binary data>"),
        (ol.Code("x = 1"), "```\nx = 1\n```"),
        (ol.Image("image/png", data=b"\x89PNG\r\n\x1a\n"), "<image/png, 8 bytes, which cannot be shown here>"),
        (ol.Image("image/png", url="https://x/y?key=1"), "<image/png, at an address, which cannot be shown here>"),
        (Named(), "a name"),
        (Bag(), [1, 2]),
        (Point, "Point"),
        (ValueError("x"), "ValueError: x"),
        (numpy.float64(1.5), 1.5),
        (numpy.int64(3), 3),
        (numpy.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_of_value_has_data(value: Any, data: Any) -> None:
    found = shown(value, 1_000)
    assert found.data == data
    assert type(found.data) is type(data)
    assert found.text == (data if isinstance(data, str) else json.dumps(data))
    assert not found.cut
    assert not found.partial


def test_a_table_is_shown_as_it_shows_itself() -> None:
    found = shown(pandas.DataFrame({"a": [1, 2]}), 1_000)
    assert found.text.split() == ["a", "0", "1", "1", "2"]


def test_a_broken_repr_and_broken_code_of_a_value_do_no_harm() -> None:
    class Getter:
        @property
        def __prompt__(self) -> Any:
            raise LookupError

    assert shown(Broken(), 100).text == "<Broken whose repr failed: RuntimeError>"
    assert "RuntimeError" in shown([Broken()], 100).text
    assert "Getter" in shown(Getter(), 200).text


def test_what_holds_itself_ends() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    assert shown(loop, 100).data == [1, "<the same as above, which holds it>"]
    point = Point(1)
    point.y = {"again": point}
    assert shown(point, 200).data["y"]["again"] == "<the same as above, which holds it>"
    twice = [1]
    assert shown([twice, twice], 100).data == [[1], [1]]


def test_deep_nesting_ends() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    found = shown(deep, 1_000)
    assert found.partial
    assert len(found.text) < 1_100
    json.dumps(found.data)


def test_a_text_is_cut_and_says_how_much_is_missing() -> None:
    found = shown("x" * 50, 20)
    assert found.text == "x" * 20 + "\n(cut here: 30 of 50 characters are missing)"
    assert found.cut
    assert found.data == "x" * 50
    listed = shown(["x" * 50], 20)
    assert listed.text.endswith("(cut here: 34 of 54 characters are missing)")
    assert not listed.partial


@pytest.mark.parametrize(
    "make",
    [
        lambda: "x" * 100_000_000,
        lambda: b"x" * 100_000_000,
        lambda: ["x" * 1_000_000] * 100,
        lambda: list(range(5_000_000)),
        lambda: dict.fromkeys(range(500000), "x"),
        lambda: itertools.count(),
        lambda: itertools.repeat("x" * 1_000_000),
        lambda: Account(name="x" * 100_000_000),
        lambda: 10**200_000,
        lambda: numpy.zeros(50_000_000, dtype="int8"),
        lambda: Point(1, list(range(5_000_000))),
        lambda: RuntimeError("x" * 100_000_000),
        lambda: collections.UserString("x" * 100_000_000),
    ],
)
def test_huge_results_cost_little(make: Any) -> None:
    value = make()
    gc.disable()  # what other tests left in memory is not to be gone through at our cost
    clock = time.process_time()
    try:
        found = shown(value, 20_000)
        assert time.process_time() - clock < 1.5
    finally:
        gc.enable()
    assert len(found.text) < 20_200
    assert len(json.dumps(found.data)) < 2 * MOST_CHARACTERS


def test_what_apis_refuse_is_replaced() -> None:
    assert shown("a\0b\ud800c", 100).text == "a\ufffdb\ufffdc"
    assert shown({"\ud800": "\0"}, 100).data == {"\ufffd": "\ufffd"}
    assert shown("\n\t\x1b é 😀", 100).text == "\n\t\x1b é 😀"


def test_an_iterator_that_fails_is_the_failure_of_the_tool() -> None:
    def numbers() -> Any:
        yield 1
        raise LookupError("lost")

    with pytest.raises(LookupError):
        shown(numbers(), 100)


leaves: Any = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.dates()
    | st.decimals()
    | st.timedeltas()
    | st.uuids()
    | st.sampled_from([Color.red, Word.yes, Named(), object(), int, len])
    | st.builds(Broken)
)
things = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.dates(), inner, max_size=4)
        | st.builds(Point, st.integers(), inner)
        | st.builds(lambda value: ol.Prediction(a=value, b=value), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(things, st.integers(1, 300))
def test_anything_gives_bounded_text_and_json_data(value: Any, limit: int) -> None:
    found = shown(value, limit)
    found.text.encode()
    assert "\0" not in found.text
    assert len(found.text) <= limit + 80
    assert json.loads(json.dumps(found.data, allow_nan=False)) == found.data
