"""Requests, responses and their sums: frozen, JSON-ready, nothing mistaken for something else."""

from __future__ import annotations

import dataclasses
import json
import pickle
from typing import Any

import pytest

from outlast.errors import UsageError
from outlast.messages import (
    NO_SETTINGS,
    Message,
    OutputSchema,
    Question,
    Request,
    Response,
    Settings,
    Spending,
    TextPart,
    Usage,
    assistant,
    canonical,
    system,
    user,
)
from outlast.types import TRUSTED, Label

REQUEST = Request((system("s"), user("u"), assistant("a")))


def test_messages_are_values() -> None:
    assert user("x") == Message("user", "x")
    assert hash(user("x")) == hash(Message("user", "x"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        user("x").content = "y"  # type: ignore[misc]


def test_a_message_of_parts_joins_their_text() -> None:
    message = Message("user", (TextPart("a"), TextPart("b")))
    assert message.text == "ab"
    assert message.to_json() == {
        "role": "user",
        "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
    }
    assert user("x").to_json() == {"role": "user", "content": "x"}


def test_settings_lie_over_others() -> None:
    base = Settings(temperature=0.5, max_tokens=10, extra={"a": 1, "b": 1})
    over = Settings(temperature=0.0, stop=("x",), extra={"b": 2}).over(base)
    assert over == Settings(temperature=0.0, max_tokens=10, stop=("x",), extra={"a": 1, "b": 2})
    assert NO_SETTINGS.over(base) is base
    assert base.over(NO_SETTINGS) is base
    assert Settings().over(base) == base
    assert over.to_json() == {"temperature": 0.0, "max_tokens": 10, "stop": ("x",), "extra": {"a": 1, "b": 2}}
    assert Settings(temperature=0.0, seed=0).to_json() == {"temperature": 0.0, "seed": 0}  # 0 is set, None is not


def test_a_request_says_only_what_decides_the_answer() -> None:
    assert list(REQUEST.to_json()) == ["messages"]
    assert Request((user("u"),), Settings(), sample=0).to_json() == Request((user("u"),)).to_json()
    full = Request((user("u"),), Settings(seed=1), OutputSchema("N", {"type": "object"}), 2, Label(frozenset({"x"})))
    assert full.to_json() == {
        "messages": [{"role": "user", "content": "u"}],
        "settings": {"seed": 1},
        "output": {"name": "N", "schema": {"type": "object"}},
        "sample": 2,
    }
    assert Request((user("u"),), output="json").to_json()["output"] == "json"


@pytest.mark.parametrize(
    "response",
    [
        Response("text"),
        Response("", "m", finish="length"),
        Response(
            "t",
            "m",
            "because",
            Usage(1, 2, 0, None, 0.5, "list"),
            "stop",
            1.25,
            request_id="r1",
            adaptations=("seed dropped",),
            label=Label(frozenset({"web"}), frozenset({"ann"})),
        ),
    ],
)
def test_a_response_travels_as_json(response: Response) -> None:
    data = json.loads(json.dumps(response.to_json()))
    assert Response.from_json(data) == response
    assert Response.from_json(data, cache="hit").cache == "hit"
    assert pickle.loads(pickle.dumps(response)) == response


def test_a_cached_response_counts_no_attempt() -> None:
    cached = Response("t", attempts=3).as_cached("hit")
    assert (cached.cache, cached.attempts, cached.text) == ("hit", 0, "t")


def test_unknown_usage_is_not_zero() -> None:
    assert Usage().to_json() == {}
    assert Usage(0, 0, cost=0.0).to_json() == {"input_tokens": 0, "output_tokens": 0, "cost": 0.0}
    assert "label" not in Response("x", label=TRUSTED).to_json()


def test_one_value_has_one_byte_form() -> None:
    assert canonical({"b": 1, "a": [1, None, "é"]}) == '{"a":[1,null,"é"],"b":1}'.encode()
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})
    assert canonical("\ud800") == b'"\\ud800"'
    assert json.loads(canonical(["\ud800", "é"])) == ["\ud800", "é"]


def test_spending_tells_unknown_from_zero() -> None:
    total = Spending()
    total.add(Response("a", usage=Usage(10, 5, cost=0.25), seconds=1.0))
    total.add(Response("b", usage=Usage(None, None)))
    total.add(Response("c", usage=Usage(1, 1, cost=0.0)))
    total.add(Response("d", usage=Usage(100, 100, cost=9.0), cache="hit"))
    total.add(Response("e", usage=Usage(100, 100, cost=9.0), cache="shared"))
    assert (total.calls, total.cached, total.tokens, total.dollars) == (3, 2, 17, 0.25)
    assert (total.unpriced, total.untold, total.seconds) == (1, 1, 1.0)
    assert str(total) == "3 calls (2 cached), 17 tokens, $0.2500 + 1 calls of unknown cost"


@pytest.mark.parametrize(
    ("usage", "money"),
    [(Usage(1, 1), "cost unknown"), (Usage(1, 1, cost=0.0), "$0.0000"), (Usage(1, 1, cost=1.5), "$1.5000")],
)
def test_spending_shows_money_honestly(usage: Usage, money: str) -> None:
    total = Spending()
    total.add(Response("a", usage=usage))
    assert str(total).endswith(money)


def test_sums_join_and_travel() -> None:
    one, other = Spending(calls=1, dollars=0.5, unpriced=1), Spending(calls=2, cached=1, seconds=0.5)
    one.include(other)
    assert one == Spending(calls=3, cached=1, dollars=0.5, unpriced=1, seconds=0.5)
    assert Spending.from_json(json.loads(json.dumps(one.to_json()))) == one


@pytest.mark.parametrize("value", [REQUEST, Settings(seed=1), OutputSchema("x", {}), Usage(1)])
def test_values_pickle(value: Any) -> None:
    assert pickle.loads(pickle.dumps(value)) == value


def test_questions_have_a_constructor_for_each_kind() -> None:
    assert Question.yes_no("Is it?") == Question("yes_no", "Is it?")
    assert Question.choice("Which?", ["a", "b"]) == Question("choice", "Which?", ("a", "b"))
    described = Question.choice("Which?", {"a": "first", "b": "second"})
    assert (described.options, described.described) == (("a", "b"), (("a", "first"), ("b", "second")))
    assert Question.score("How?", 1, 3).answers == ("1", "2", "3")
    with pytest.raises(UsageError, match=r"Question\.choice\(text, options\)"):
        Question("Which team?", "cards")  # type: ignore[arg-type]
