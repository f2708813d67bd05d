"""`each=True`: what a check says of a list, out of what it says of its items."""

from __future__ import annotations

import outlast as ol
from outlast.testing import ScriptedLM


def test_the_message_of_the_first_item_that_fails_is_told() -> None:
    lower = ol.check(each=True, message="Tags are lower case.")(lambda tags: tags.islower())
    result = lower.run({"tags": ["a", "B"]})
    assert result is not None
    assert result.message == "item 2 of 2 in 'tags': Tags are lower case."


def test_a_model_that_is_asked_again_hears_what_is_wrong_with_the_item() -> None:
    lower = ol.check(each=True, on_fail="retry", message="Tags are lower case.", name="lower")(
        lambda tags: tags.islower()
    )
    lm = ScriptedLM([{"tags": ["A", "b"]}, {"tags": ["a", "b"]}], keep=True)
    out = ol.Predict("q -> tags: list[str]", checks=[lower], lm=lm)(q="x")
    assert out.tags == ["a", "b"]
    assert "Tags are lower case." in lm.requests[1].messages[-1].text


def test_a_list_that_is_none_has_no_items() -> None:
    lower = ol.check(each=True, name="lower")(lambda tags: tags.islower())
    assert lower.run({"tags": None}) is None
    out = ol.Predict("q -> tags: list[str] | None", checks=[lower], lm=ScriptedLM([{"tags": None}]))(q="x")
    assert out.tags is None
    assert out.checks["lower"].final is None


def test_a_fix_mends_items_and_filter_leaves_them_out() -> None:
    people = ["Ann is ann@example.com", "nobody", "Bob is bob@example.com"]
    made = ol.checks.no_pii("people", each=True, on_fail="fix").run({"people": people})
    assert made is not None
    assert made.fix == {"people": ["Ann is <EMAIL_1>", "nobody", "Bob is <EMAIL_2>"]}
    assert made.undo == {"<EMAIL_1>": "ann@example.com", "<EMAIL_2>": "bob@example.com"}
    assert [place.field for place in made.found] == ["people[0]", "people[2]"]
    left = ol.checks.no_pii("people", each=True, on_fail="filter").run({"people": people})
    assert left is not None
    assert left.fix == {"people": ["nobody"]}
    assert left.undo is None


def test_what_was_hidden_in_items_is_put_back_each_in_its_place() -> None:
    lm = ScriptedLM([{"answer": "<EMAIL_2> and <EMAIL_1>"}], keep=True)
    check = ol.checks.no_pii("people", each=True, on_fail="fix")
    out = ol.Predict("people: list[str] -> answer", checks=[check], lm=lm)(people=["a@b.com", "c@d.com"])
    assert "@" not in lm.requests[0].messages[-1].text
    assert out.answer == "c@d.com and a@b.com"
