"""Arguments as models write them are read, mended and made what the function takes; else the error helps."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import json
import time
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import outlast as ol
from outlast.runtime import drive
from outlast.tools.calling import Called, Toolbox


class Color(enum.Enum):
    red = "r"
    blue = "b"


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Place(pydantic.BaseModel):
    city: str
    since: date | None = None


def search(query: str, limit: int = 3, tags: list[str] | None = None) -> Any:
    """Search."""
    return [query, limit, tags]


def answer(tool: Any, arguments: Any) -> Called:
    box = Toolbox([tool])
    return drive(box.answer(next(iter(box)), arguments))


@pytest.mark.parametrize(
    "text",
    [
        '{"query": "x", "limit": 5}',
        ' \n{"query": "x", "limit": "5"}\n',
        '"{\\"query\\": \\"x\\", \\"limit\\": 5}"',
        '```json\n{"query": "x", "limit": 5}\n```',
        "{'query': 'x', 'limit': 5}",
        '{query: "x", limit: 5,}',
        '{"query": "x", // comment\n "limit": 5}',
        '{"Query": "x", "LIMIT": 5}',
        '{"arguments": {"query": "x", "limit": 5}}',
        '{"name": "search", "arguments": {"query": "x", "limit": 5}}',
        'Here you are: {"query": "x", "limit": 5}',
        '{"query": "x", "limit": 5.0}',
    ],
)
def test_what_can_mean_one_thing_only_is_read(text: str) -> None:
    assert answer(search, text).data == ["x", 5, None]


def test_an_argument_may_be_json_in_a_text() -> None:
    assert answer(search, {"query": "x", "tags": '["a", "b"]'}).data == ["x", 3, ["a", "b"]]
    assert answer(search, {"query": '["a"]'}).data == ['["a"]', 3, None]  # where text is wanted it stays text


@pytest.mark.parametrize("nothing", ["", " ", "{}", "null", "{ }", '""'])
def test_no_arguments_may_be_written_as_nothing(nothing: str) -> None:
    def now() -> str:
        return "noon"

    assert answer(now, nothing).data == "noon"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{"limit": 5}', ["the argument 'query' is missing"]),
        ('{"qury": "x"}', ["no argument 'qury'. Did you mean 'query'?", "Arguments: query, limit, tags"]),
        ('{"query": "x", "limit": "ten"}', ["limit: ", "integer", "got 'ten'"]),
        ('{"query": "x", "limit": true}', ["limit: ", "got true"]),
        ('{"query": "x", "tags": [1]}', ["tags.0: ", "string", "got 1"]),
        ('{"query": "x", "query": "y"}', ["'query' is given more than once"]),
        ('{"query": "x", "lim', ["no valid JSON"]),
        ('["x"]', ["are a JSON object", "got ['x']"]),
        ("search for x", ["no valid JSON", "got 'search for x'"]),
        ('{"query": null}', ["query: ", "string", "got None"]),
    ],
)
def test_what_is_wrong_is_told_with_the_name_the_rule_and_the_schema(arguments: str, said: list[str]) -> None:
    called = answer(search, arguments)
    assert called.why == "arguments"
    assert called.text.startswith("The arguments of search cannot be used, and nothing was done:\n- ")
    for words in said:
        assert words in called.text
    assert '"required": ["query"]' in called.text


def test_every_problem_is_told_at_once_and_many_are_counted() -> None:
    called = answer(search, '{"limit": "x", "tags": 3, "page": 1}')
    assert called.text.count("\n- ") == 4
    many = answer(search, json.dumps({"query": "x", "tags": list(range(1000))}))
    assert "- and 992 more" in many.text
    assert len(many.text) < 5_000


def test_values_arrive_as_their_types() -> None:
    seen: list[Any] = []

    def take(
        day: date,
        at: datetime,
        wait: timedelta,
        color: Color,
        point: Point,
        place: Place,
        price: Decimal,
        unit: Literal["C", "F"],
        key: UUID,
        points: dict[str, Point],
        either: int | str,
    ) -> None:
        seen.extend([day, at, wait, color, point, place, price, unit, key, points, either])

    called = answer(
        take,
        {
            "day": "2024-02-29",
            "at": "2024-02-29T12:00:00Z",
            "wait": "PT5M",
            "color": "r",
            "point": {"x": "1"},
            "place": {"city": "Rome", "since": "2020-01-01"},
            "price": "1.10",
            "unit": "c",
            "key": "12345678-1234-5678-1234-567812345678",
            "points": {"a": {"x": 1, "y": 2}},
            "either": "7",
        },
    )
    assert called.error is False, called.text
    assert seen[0] == date(2024, 2, 29)
    assert seen[1].tzinfo is not None
    assert seen[2] == timedelta(minutes=5)
    assert seen[3] is Color.red
    assert seen[4] == Point(1)
    assert seen[5] == Place(city="Rome", since=date(2020, 1, 1))
    assert seen[6] == Decimal("1.10")
    assert seen[7] == "C"
    assert seen[8] == UUID("12345678-1234-5678-1234-567812345678")
    assert seen[9] == {"a": Point(1, 2)}
    assert seen[10] == "7"


def test_defaults_are_those_of_the_function_and_not_copies() -> None:
    shared = Point(1)

    def take(point: Point = shared) -> bool:
        return point is shared

    assert answer(take, "{}").data is True


def test_names_of_any_kind_are_arguments() -> None:
    def take(self_: int, schema: int, model_config: int, cls: int, json: int) -> int:
        return self_ + schema + model_config + cls + json

    names = {"self_": 1, "schema": 2, "model_config": 3, "cls": 4, "json": 5}
    assert answer(take, names).data == 15


def test_positional_arguments_of_code_go_to_their_names() -> None:
    assert answer(search, {"0": "x", "1": 4}).data == ["x", 4, None]
    assert answer(search, {"0": "x", "limit": 4}).data == ["x", 4, None]
    assert "given twice" in answer(search, {"0": "x", "query": "y"}).text
    assert answer(search, {"0": "x", "1": 1, "2": [], "3": 9}).why == "arguments"


def test_a_tool_with_a_schema_of_its_own_is_held_to_it() -> None:
    parameters = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}, "days": {"type": ["integer", "null"]}},
        "required": ["city"],
    }

    async def anything(**arguments: Any) -> Any:
        return arguments

    box = Toolbox([ol.Tool("weather", "", parameters, function=anything)])
    assert drive(box.answer("weather", '{"city": "Rome", "days": 2}')).data == {"city": "Rome", "days": 2}
    wrong = drive(box.answer("weather", '{"town": "Rome", "unit": "K", "days": "x"}')).text
    for words in (
        "no argument 'town'",
        "'city' is missing",
        'unit: must be one of ["C", "F"]',
        "days: must be integer",
    ):
        assert words in wrong
    opened = Toolbox([ol.Tool("any", "", {"type": "object"}, function=anything)])
    assert drive(opened.answer("any", '{"x": [1.5, null]}')).data == {"x": [1.5, None]}


def test_a_typed_function_with_a_schema_of_its_own_is_checked_by_its_types() -> None:
    def double(n: int) -> int:
        return n * 2

    tool = ol.Tool("double", "", {"type": "object", "properties": {"n": {}}, "required": ["n"]}, function=double)
    assert answer(tool, '{"n": "4"}').data == 8


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"query": ' + "[" * 100_000,
        '{"query": "' + "\\" * 100_001,
        '"' * 100_000,
        '{"query": ' + "9" * 100_000 + "}",
        '{"query": "x", "limit": ' + "9" * 5_000 + "}",
        "{" * 50_000 + "}" * 50_000,
        '{"a":' * 20_000,
        "x" * 5_000_000,
    ],
)
def test_hostile_arguments_are_refused_quickly(text: str) -> None:
    clock = time.process_time()
    called = answer(search, text)
    assert called.why == "arguments"
    assert len(called.text) < 5_000
    assert time.process_time() - clock < 2


def test_lone_surrogates_and_zero_bytes_go_through() -> None:
    called = answer(search, '{"query": "\\ud800\\u0000"}')
    assert called.data[0] == "\ufffd\ufffd"


values = {
    str: st.text(),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    date: st.dates(),
    Color: st.sampled_from(Color),
    list[int]: st.lists(st.integers(-1000, 1000)),
    dict[str, float]: st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)),
    Place: st.builds(Place, city=st.text(), since=st.none() | st.dates()),
    Point: st.builds(Point, st.integers(-9, 9), st.integers(-9, 9)),
    str | None: st.none() | st.text(),
}


@pytest.mark.parametrize("kind", values, ids=str)
def test_what_json_says_is_what_the_function_gets(kind: Any) -> None:
    seen: list[Any] = []

    def take(value: Any) -> None:
        seen.append(value)

    take.__annotations__["value"] = kind
    box = Toolbox([take])
    dump = pydantic.TypeAdapter(kind).dump_json

    @settings(max_examples=30, deadline=None)
    @given(values[kind])
    def check(value: Any) -> None:
        seen.clear()
        text = f'{{"value": {dump(value).decode()}}}'
        called = drive(box.answer("take", text))
        assert called.error is False, called.text
        assert seen == [value]

    check()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(json_values | st.text().map(lambda text: text))
def test_any_arguments_give_a_result_or_an_error_for_the_model(data: Any) -> None:
    box = Toolbox([search])
    for arguments in (json.dumps(data), data if isinstance(data, dict) else str(data)):
        called = drive(box.answer("search", arguments))
        assert called.why in (None, "arguments")
        assert called.text


def test_a_trivial_call_is_cheap() -> None:
    def same(x: int) -> int:
        return x

    async def asame(x: int) -> int:
        return x

    box = Toolbox([same, asame])

    async def many(name: str) -> float:
        await box.answer(name, '{"x": 1}')
        clock = time.process_time()
        for _ in range(300):
            await box.answer(name, '{"x": 1}')
        return (time.process_time() - clock) / 300

    for name in box:  # 40 and 70 us on the machine it was written on
        assert min(asyncio.run(many(name)) for _ in range(3)) < 0.001
