"""Nested XML where JSON inside a tag was asked for: read along the type, or refused."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

import pydantic
import pytest

from outlast.adapters import XML, Task
from outlast.errors import ParseError
from outlast.lms.protocol import Capabilities
from outlast.messages import Response
from outlast.signatures import signature


class Person(pydantic.BaseModel):
    name: str
    age: int | None = None
    born: date | None = None
    emails: list[str] = []
    friends: list[Person] = []
    kind: Literal["a", "b"] = "a"
    sure: bool = True


KINDS = {"Person": Person, "People": list[Person], "Open": dict[str, Any], "Mixed": int | list[int]}


def read(kind: str, inside: str) -> Any:
    task = Task(signature(f"q -> out: {kind}", types=KINDS), "x")
    call = XML().compile(task, Capabilities()).prepare({"q": "x"})
    return call.read(Response(f"<out>{inside}</out>"))["out"]


ADA = "<name>Ada</name><age>36</age>"

RIGHT: list[tuple[str, str, Any]] = [
    ("list[str]", "<item>a</item><item>b &amp; c</item>", ["a", "b & c"]),
    ("list[str]", "\n  <tag>a</tag>\n", ["a"]),
    ("list[int]", "<n>1</n><n>2</n>", [1, 2]),
    ("Person", ADA, Person(name="Ada", age=36)),
    ("Person", f"\n  {ADA}\n  <born>1815-12-10</born><sure>false</sure><kind>b</kind>", Person(
        name="Ada", age=36, born=date(1815, 12, 10), sure=False, kind="b")),
    ("Person", "<name>Ada</name><age/>", Person(name="Ada")),
    ("Person", "<name>Ada</name><emails><email>a@b.c</email></emails>", Person(name="Ada", emails=["a@b.c"])),
    ("Person", "<name>Ada</name><emails>a@b.c</emails><emails>d@e.f</emails>", Person(
        name="Ada", emails=["a@b.c", "d@e.f"])),
    ("Person", "<name>Ada</name><emails></emails>", Person(name="Ada")),
    ("Person", f"<name>Bob</name><friends><person>{ADA}</person></friends>", Person(
        name="Bob", friends=[Person(name="Ada", age=36)])),
    ("People", f"<person>{ADA}</person><person><name>Bob</name></person>", [
        Person(name="Ada", age=36), Person(name="Bob")]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "inside", "value"), RIGHT)
def test_elements_are_read_along_the_type(kind: str, inside: str, value: Any) -> None:
    assert read(kind, inside) == value


WRONG = [
    ("Person", "<name>Ada</name><emails>a@b.c, d@e.f</emails>"),  # one text or two
    ("Person", "<name>Ada</name><name>Bob</name>"),
    ("Person", "<name>Ada</name><shoe>42</shoe>"),
    ("Person", "<name>Ada</name>and more"),
    ("Person", "<age>36</age>"),
    ("Person", "<name>Ada</name><age>many</age>"),
    ("Person", "<name>Ada"),
    ("Person", "<name>Ada</nam>"),
    ("Person", "<name>Ada<b>!</b></name>"),
    ("list[str]", "<a>x</a><b>y</b>"),
    ("Open", "<a>1</a>"),  # the number or its text
    ("Mixed", "<a>1</a>"),
    ("list[int]", "<n>" * 50 + "1" + "</n>" * 50),
]


@pytest.mark.parametrize(("kind", "inside"), WRONG)
def test_what_the_type_does_not_explain_is_refused(kind: str, inside: str) -> None:
    with pytest.raises(ParseError):
        read(kind, inside)
