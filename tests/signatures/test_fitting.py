"""Nested values are read as exactly, and refused as strictly, as values that stand alone."""

from __future__ import annotations

import dataclasses
import enum
import math
import re
import subprocess
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, Optional
from uuid import UUID

import pydantic
import pytest
import typing_extensions

from outlast.signatures.codec import Codec
from outlast.signatures.field import Field
from outlast.signatures.jsontext import strict

LONG = "12345678901234567.89"


class Color(enum.Enum):
    DARK_RED = "dark red"
    BLUE = "blue"


class Event(pydantic.BaseModel):
    when: date
    n: int = 0
    amount: Decimal = Decimal(0)
    color: Color | None = None
    parts: list[Event] = []
    seen: datetime | None = pydantic.Field(default=None, alias="seenAt")


@dataclasses.dataclass
class Paid:
    amount: Decimal
    on: date | None = None


class Row(typing_extensions.TypedDict):
    amount: Decimal


class Pair(NamedTuple):
    left: Decimal
    right: int


def codec(kind: Any) -> Codec:
    return Codec(Field("x", "output", kind))


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Decimal, LONG, Decimal(LONG)),
        (Decimal, "1.10", Decimal("1.10")),
        (Decimal, "**1.10**", Decimal("1.10")),
        (Decimal | None, LONG, Decimal(LONG)),
        (Decimal | int, "1.10", Decimal("1.10")),
        (Decimal | int, "3", 3),
        (list[Decimal], f"[{LONG}, 1.10]", [Decimal(LONG), Decimal("1.10")]),
        (list[Decimal], f"Here: [{LONG},]", [Decimal(LONG)]),
        (dict[str, Decimal], f"{{'a': {LONG}}}", {"a": Decimal(LONG)}),
        (tuple[str, Decimal], f'["a", {LONG}]', ("a", Decimal(LONG))),
        (tuple[Decimal, ...], f"[{LONG}, 1]", (Decimal(LONG), Decimal(1))),
        (Row, f'{{"amount": {LONG}}}', {"amount": Decimal(LONG)}),
        (Paid, f'{{"amount": {LONG}}}', Paid(Decimal(LONG))),
        (Paid | str, f'{{"amount": {LONG}}}', Paid(Decimal(LONG))),
        (Pair, f"[{LONG}, 9007199254740993.0]", Pair(Decimal(LONG), 9007199254740993)),
        (Event, '{"when": "2024-01-02", "amount": 1.10}', Event(when=date(2024, 1, 2), amount=Decimal("1.10"))),
        (int, "9007199254740993.0", 9007199254740993),
        (list[int], "[9007199254740993.0]", [9007199254740993]),
        (int | float, "3.0", 3.0),
        (float | None, "3", 3.0),
        (list[Color], '["Dark Red", "BLUE"]', [Color.DARK_RED, Color.BLUE]),
        (list[Literal["a b", "c"]], "['A_B', 'C.']", ["a b", "c"]),
        (Literal["a"] | None, "None", None),
        (Optional[Literal["a"]], "N/A", None),  # noqa: UP045
        (Optional[Color], "null", None),  # noqa: UP045
        (Literal["a", "none"] | None, "None", "none"),
        (date | str, "2024", "2024"),
        (int | date, "2024", 2024),
        (list[date | int], "[2024]", [2024]),
        (list[bool], "[true, 1]", [True, True]),
        (Annotated[float, pydantic.AllowInfNan(True)], "1e400", math.inf),
    ],
)
def test_what_is_read_is_what_was_written(kind: Any, text: str, value: Any) -> None:
    found = codec(kind).read(text)
    assert (type(found), repr(found)) == (type(value), repr(value))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (list[date], "[0, 86400]"),
        (list[datetime], "[2024]"),
        (list[time], "[90]"),
        (list[timedelta], "[90]"),
        (list[date], '["86400"]'),
        (dict[str, date | None], '{"a": 5}'),
        (list[int], "[true, false]"),
        (list[float], "[true]"),
        (list[int | None], "[true]"),
        (list[Decimal], "[true]"),
        (dict[str, int], '{"a": true}'),
        (Event, '{"when": 86400}'),
        (Event, '{"when": "2024-01-02", "n": true}'),
        (Event, '{"when": "2024-01-02", "parts": [{"when": 86400}]}'),
        (Event, '{"when": "2024-01-02", "seenAt": 5}'),
        (Paid, '{"amount": 1, "on": 5}'),
        (list[float], "[NaN]"),
        (list[float], "[1e400]"),
        (list[float], '["nan"]'),
        (float, "NaN"),
        (float, "inf"),
        (float, "1e400"),
        (float, "**-Infinity**"),
        (list[Literal["a", "b"]], '["a or b"]'),
    ],
)
def test_what_another_kind_says_is_refused_inside_too(kind: Any, text: str) -> None:
    made = codec(kind)
    with pytest.raises(ValueError):
        made.read(text)
    if text[0] in "[{":
        with pytest.raises(ValueError):
            made.read_data(strict(text))


def test_a_refusal_says_where() -> None:
    with pytest.raises(ValueError, match=r"^parts\.0\.when: must be date as YYYY-MM-DD; got 86400$"):
        codec(Event).read('{"when": "2024-01-02", "parts": [{"when": 86400}]}')


def test_what_the_users_validator_takes_first_is_left_alone() -> None:
    kind = Annotated[date, pydantic.BeforeValidator(lambda v: date(v, 1, 1) if isinstance(v, int) else v)]
    assert codec(list[kind]).read("[2024]") == [date(2024, 1, 1)]


SETS = """
from outlast.signatures.codec import Codec
from outlast.signatures.field import Field
words = {"a", "b", "c", "dd", "e"}
for kind, value in [
    (set[str], words), (frozenset[str], frozenset(words)), (dict[str, set[str]], {"k": words}),
    (list[frozenset[str]], [frozenset(words)]), (set[frozenset[str]], {frozenset(words), frozenset({"x", "y"})}),
]:
    codec = Codec(Field("x", "input", kind))
    print(codec.write(value), codec.dump(value))
"""


def test_sets_are_written_in_one_order_whatever_the_hash_seed() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", SETS], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1
    assert said.pop().startswith('["a","b","c","dd","e"] [')


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (date, "2024-02-30", "must be date as YYYY-MM-DD; got '2024-02-30'"),
        (date | None, "soon", "must be date as YYYY-MM-DD or null; got 'soon'"),
        (bool, "maybe", "must be true or false; got 'maybe'"),
        (float, "50%", "must be number; got '50%'"),
        (int | None, "three", "must be integer or null; got 'three'"),
        (UUID, "x-1", "must be UUID; got 'x-1'"),
        (Decimal, "a lot", "must be number; got 'a lot'"),
        (list[str], "[oops", "is not valid JSON; got '[oops'"),
    ],
)
def test_refusals_are_in_plain_words(kind: Any, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        codec(kind).read(text)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (list[str], "- a\n- b [c]", ["a", "b [c]"]),
        (list[str], "* a\n\n* b", ["a", "b"]),
        (list[str], "1. a\n2. b", ["a", "b"]),
        (list[int], "1) 5\n2) 7", [5, 7]),
        (list[Decimal], "- 1.10", [Decimal("1.10")]),
        (list[Literal["a b", "c"]], "- A_B\n- c", ["a b", "c"]),
    ],
)
def test_lists_of_lines_are_read(kind: Any, text: str, value: Any) -> None:
    assert codec(kind).read(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (list[str], "Here:\n- a\n- b"),
        (list[str], "- a\n  - b"),
        (list[str], "- a\nmore"),
        (list[str], "2. a\n1. b"),
        (list[str], "- a\n* b"),
        (list[int], "-1\n-2"),
        (list[list[str]], "- a"),
        (list[int], "- a"),
    ],
)
def test_lines_that_are_no_plain_list_are_refused(kind: Any, text: str) -> None:
    with pytest.raises(ValueError):
        codec(kind).read(text)


def test_infinities_that_a_program_holds_can_be_stored_and_read_again() -> None:
    made = codec(float)
    assert made.read_data(made.dump(math.inf)) == math.inf
