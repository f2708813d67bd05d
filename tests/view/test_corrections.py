"""Lists and objects that are put right on the page: checked against their type, kept, and read back as examples."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

import outlast as ol
from outlast.errors import UsageError
from outlast.testing import ScriptedLM
from outlast.tracing.record import QueueRecord
from outlast.tracing.store import Store, open_store
from outlast.view.corrections import Output
from outlast.view.reviewing import COOKIE
from outlast.view.schemas import misfits, schema_in
from tests.view.conftest import PHONE, opened
from tests.view.serving import Page, served
from tests.view.test_browser import AXE

pytestmark = pytest.mark.server


class Item(BaseModel):
    name: str
    price: float = Field(ge=0)
    tags: list[str] = []


class Read(ol.Signature):
    """Read the receipt."""

    receipt: str = ol.input()
    items: list[Item] = ol.output()
    shop: dict[str, str] = ol.output()
    counts: dict[str, int] = ol.output()
    days: int = ol.output()


ITEMS = [{"name": "milk", "price": 1.2, "tags": ["food"]}, {"name": "茶", "price": 3.0, "tags": []}]
ANSWER = {"items": ITEMS, "shop": {"name": "Lund"}, "counts": {"milk": 1}, "days": 3}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    place = tmp_path / "traces.db"
    with ol.trace(store=place), ol.context(lm=ScriptedLM([ANSWER])):
        ol.Predict(Read)(receipt="milk 1.20, tea 3.00")
    with open_store(place) as made:
        yield made


@pytest.fixture
def queue(store: Store) -> QueueRecord:
    return store.add_queue("one", "picked", [store.traces(limit=1)[0].id], {"label": "right"})


@pytest.fixture
def page(store: Store) -> Iterator[Page]:
    with served(store) as running:
        yield running


def say(page: Page, queue: QueueRecord, **fields: Any) -> Any:
    return page.post(f"/review/{queue.id}/1/say", {"seconds": "2", **fields}, Cookie=f"{page.cookie}; {COOKIE}=ann")


def field(text: str, name: str) -> str:
    found = re.search(rf'<textarea [^>]*name="{re.escape(name)}"[^>]*>(.*?)</textarea>', text, re.S)
    assert found is not None
    return html.unescape(found[1])


def test_a_list_is_edited_as_json_and_kept_for_a_data_set(store: Store, page: Page, queue: QueueRecord) -> None:
    text = page.get(f"/review/{queue.id}/1").text
    was = field(text, "right.items")
    assert json.loads(was) == ITEMS
    assert "茶" in was
    right = [{**ITEMS[0], "price": 1.3}]
    form = {"right.items": json.dumps(right), "was.items": was.replace("\\n", "\\r\\n")}
    assert say(page, queue, value="fail", **form).status == 303
    labels = {one.name: one.value for one in store.labels()}
    assert (labels["right"], json.loads(labels["items"])) == ("fail", right)
    again = page.get(f"/review/{queue.id}/1", Cookie=f"{page.cookie}; {COOKIE}=ann").text
    assert json.loads(field(again, "right.items")) == right
    for program in (ol.Predict(Read), "Predict"):
        made = ol.examples_from_traces(store, program=program, targets="corrections")
        assert made.data[0].targets["items"] == right
        assert made.data[0].targets["days"] == 3
    say(page, queue, value="keep", **{"right.items": was, "was.items": field(again, "right.items")})
    assert {one.name for one in store.labels()} == {"right"}


@pytest.mark.parametrize(
    ("name", "typed", "why"),
    [
        ("items", "[{", "is no JSON: expecting property name enclosed in double quotes at line 1, column 3"),
        ("items", "[NaN]", "'items' cannot be kept: NaN is no number of JSON"),
        ("items", '[{"name": "a", "price": 1e999}]', "'items' cannot be kept: 1e999 is too large a number"),
        ("items", '[{"name": "a", "price": -Infinity}]', "-Infinity is no number of JSON"),
        ("items", f'[{{"name": "a", "price": {"9" * 5000}}}]', "a number of 5,000 digits is too large"),
        ("items", '[{"name": "a", "price": 1, "price": 2}]', "'price' stands twice in one object"),
        (
            "items",
            '[{"name": "a", "price": 2, "qty": 3}]',
            "item 0 has 'qty', which is none of 'name', 'price', 'tags'",
        ),
        ("items", "[" * 5_000, "more than 40 deep inside each other"),
        ("counts", '{"a": 1.0}', "a must be a whole number; got 1.0"),
        ("days", "9" * 400, "'days' is a number"),
        ("days", "9" * 5_000, "'days' is a number"),
        ("items", '{"name": "milk"}', "it must be a list; got"),
        ("items", '[{"name": "milk"}]', "item 0 lacks 'price'"),
        ("items", '[{"name": "milk", "price": "cheap"}]', "item 0.price must be a number; got 'cheap'"),
        ("items", '[{"name": "milk", "price": -1}]', "item 0.price must be at least 0; got -1"),
        ("shop", '{"name": 3}', "name must be a text; got 3"),
        ("days", "3.5", "it must be a whole number; got 3.5"),
    ],
)
def test_what_does_not_fit_is_said_and_nothing_that_was_written_is_lost(
    store: Store, page: Page, queue: QueueRecord, name: str, typed: str, why: str
) -> None:
    answer = say(
        page, queue, value="fail", note="the <price>", new_tags="price", **{f"right.{name}": typed, f"was.{name}": "x"}
    )
    text = html.unescape(answer.text)
    assert (answer.status, store.labels()) == (422, [])
    assert why in text
    assert not re.search("recursion|sys[.]|decoding", text)
    assert "the <price></textarea>" in text
    assert re.search(r'value="price" checked', text)
    assert re.search(rf'name="right.{name}"[^>]*aria-invalid="true"', text)
    assert typed in text
    assert page.get(f"/review/{queue.id}/1/say").headers["location"] == f"/review/{queue.id}/1"


def test_a_schema_says_what_does_not_fit() -> None:
    deep = {
        "$defs": {
            "Node": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}}}
        },
        "$ref": "#/$defs/Node",
    }
    assert misfits(deep, {"next": {"next": None}}) == []
    assert misfits(deep, {"next": {"next": 3}}) == ["next.next must be an object or null; got 3"]
    closed = {
        "type": "object",
        "properties": {"a": {"enum": ["x", "y"]}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert misfits(closed, {"b": 1}) == ["it lacks 'a'", "it has 'b', which is none of 'a'"]
    assert misfits(closed, {"a": "z"}) == ['a must be one of "x", "y"; got \'z\'']
    pair = {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "minItems": 2, "maxItems": 2}
    assert misfits(pair, ["a", 1]) == []
    assert misfits(pair, ["a"]) == ["it must be of at least 2 items; got 1 items"]
    assert misfits(pair, ["a", True]) == ["item 1 must be a whole number; got True"]
    assert misfits({"type": "array", "uniqueItems": True}, [1, 1]) == ["it has an item twice"]
    assert len(misfits({"type": "array", "items": {"type": "string"}}, list(range(100)))) == 8


def test_a_hostile_schema_costs_nothing() -> None:
    loop = {"$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}, "$ref": "#/$defs/A"}
    assert misfits(loop, {}) == []
    forever: dict[str, Any] = {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}
    assert misfits(forever, 1) == []
    slow = {"type": "string", "pattern": "(a+)+$"}
    assert misfits(slow, "a" * 40 + "!") == []
    assert schema_in("x", "output x: " + "{'a': " * 3_000 + "}" * 3_000 + " | ") == {}
    assert schema_in("x", "output x: {'type': 'array'} = [1] | of | bars") == {"type": "array"}
    assert schema_in("x", "input x: {'type': 'array'} | ") == {}


def test_fields_that_a_type_does_not_list_are_wrong_unless_what_came_has_such() -> None:
    listed = {"type": "object", "properties": {"a": {"type": "integer"}}}
    schemas: Any = (listed,)
    strict = Output("found", "data", {"a": 1}, {"a": 1}, (), schemas)
    with pytest.raises(UsageError, match="it has 'b', which is none of 'a'"):
        strict.read('{"a": 2, "b": 1}')
    assert strict.read('{"a": 2}') == {"a": 2}
    computed = Output("found", "data", {"a": 1, "sum": 1}, {"a": 1, "sum": 1}, (), schemas)
    assert computed.read('{"a": 2, "sum": 2}') == {"a": 2, "sum": 2}
    open_one = Output("found", "data", {}, {}, (), ({**listed, "additionalProperties": True},))
    assert open_one.read('{"b": 2}') == {"b": 2}
    table = Output("found", "data", {}, {}, (), ({"type": "object"},))
    assert table.read('{"b": "a [[ \\" {{ text"}') == {"b": 'a [[ " {{ text'}


def test_an_output_without_a_schema_takes_any_json() -> None:
    output = Output("found", "data", {"a": 1}, {"a": 1})
    assert output.read('[1, "two", null]') == [1, "two", None]
    with pytest.raises(UsageError, match="is no JSON"):
        output.read("a: 1")


def test_the_editor_in_a_browser_keeps_what_is_wrong_until_it_is_right(
    chromium: Any, store: Store, page: Page, queue: QueueRecord
) -> None:
    with opened(chromium, page) as seen:
        tab = seen.tab
        tab.set_default_timeout(10_000)
        seen.open(f"/review/{queue.id}/1")
        tab.get_by_text("What it should have been", exact=True).click()
        editor = tab.locator('[name="right.items"]')
        editor.fill('[{"name": "milk", ')
        assert "no JSON yet" in tab.locator(".wrong").first.inner_text()
        editor.fill('[{"name": "milk", "price": "1,30"}]')
        assert tab.locator(".wrong").first.inner_text() == ""
        tab.locator("#note").fill("the price")
        tab.locator("#note").press("Escape")
        tab.keyboard.press("2")
        tab.locator('[name="right.items"][aria-invalid=true]').wait_for()
        assert "item 0.price must be a number; got '1,30'" in tab.locator(".wrong").first.inner_text()
        assert editor.input_value() == '[{"name": "milk", "price": "1,30"}]'
        assert tab.locator("#note").input_value() == "the price"
        assert tab.evaluate("document.activeElement.name") == "right.items"
        editor.fill('[{"name": "milk", "price": 1.3}]')
        tab.get_by_role("button", name="Fail").click()
        tab.wait_for_url(lambda url: "/done" in url)
        values = {one.name: one.value for one in store.labels()}
        assert (values["right"], json.loads(values["items"])) == ("fail", [{"name": "milk", "price": 1.3}])
        assert [one for one in seen.troubles if "422" not in one] == []


@pytest.mark.parametrize("look", ["light", "dark"])
def test_a_form_that_was_refused_is_accessible(chromium: Any, page: Page, queue: QueueRecord, look: str) -> None:
    with opened(chromium, page, color_scheme=look, viewport=PHONE, bypass_csp=True) as seen:
        tab = seen.tab
        tab.set_default_timeout(10_000)
        seen.open(f"/review/{queue.id}/1")
        tab.get_by_text("What it should have been", exact=True).click()
        tab.locator('[name="right.items"]').fill('["milk"]')
        tab.get_by_role("button", name="Save what it should have been").click()
        tab.locator('[name="right.items"][aria-invalid=true]').wait_for()
        tab.add_script_tag(path=AXE)
        result = tab.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert [(one["id"], one["nodes"][0]["html"]) for one in result["violations"]] == []
        assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_right_answers_are_not_left_unseen(chromium: Any, store: Store, page: Page, queue: QueueRecord) -> None:
    with opened(chromium, page) as seen:
        tab = seen.tab
        tab.set_default_timeout(10_000)
        seen.open(f"/review/{queue.id}/1")
        tab.get_by_text("What it should have been", exact=True).click()
        tab.locator('[name="right.days"]').fill("4")
        tab.locator('[name="right.days"]').press("Escape")
        tab.keyboard.press("j")
        assert "press again" in tab.locator("#saved").inner_text()
        assert tab.url.endswith(f"/review/{queue.id}/1")
        tab.keyboard.press("j")
        tab.wait_for_url(lambda url: "/done" in url)
        assert [one.name for one in store.labels()] == []
