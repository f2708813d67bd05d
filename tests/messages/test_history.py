"""Earlier turns as a value."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

import outlast as ol
from outlast.errors import InputError, UsageError
from outlast.messages import History, Message, TextPart, Thought, ToolCall, ToolResult, Turn, assistant, system, user
from outlast.testing import ScriptedLM
from outlast.types import Image

IMAGE = Image.from_bytes(b"\x89PNG\r\n\x1a\n" + bytes(4))
CALL = ToolCall("1", "look", '{"at": "x"}')
FREE = (
    user("look"),
    Message("assistant", (Thought("hm", "{}", "a"), CALL)),
    Message("tool", (ToolResult("1", "sun"),)),
)


def test_a_history_is_a_value_that_forks() -> None:
    start = History().add({"question": "a"}, {"answer": "b"})
    one, two = start.add({"question": "c"}, {"answer": "d"}), start.say(user("x"), assistant("y"))
    assert len(start) == 1
    assert len(one) == len(two) == 2
    assert one != two
    assert one == start.add({"question": "c"}, {"answer": "d"})
    assert hash(one) == hash(start.add({"question": "c"}, {"answer": "d"}))
    assert start.turns[0] == Turn({"question": "a"}, {"answer": "b"})
    assert bool(History())


def test_a_prediction_brings_its_outputs_and_its_native_reasoning() -> None:
    thought = Thought("I see.", '{"signature": "s"}', "anthropic")
    lm = ScriptedLM([ol.Response("<<answer>>\nb\n<<end>>", thoughts=(thought,))])
    ask = ol.Predict("question, history: History -> answer", types=[History])
    with ol.context(lm=lm):
        out = ask(question="a", history=History())
    history = History().add({"question": "a", "history": History()}, out)
    assert history.turns == (Turn({"question": "a"}, {"answer": "b"}, (thought,)),)


def test_the_reasoning_of_a_prediction_stands_in_the_turns_of_a_strategy_that_asks_for_it() -> None:
    lm = ScriptedLM([{"reasoning": "because", "answer": "b"}])
    ask = ol.ChainOfThought("question, history: History -> answer", types=[History], lm=lm)
    history = History().add({"question": "a"}, ask(question="a", history=History()))
    assert history.turns == (Turn({"question": "a"}, {"answer": "b"}, (), "because"),)
    assert "<<reasoning>>\nbecause" in ask.render(question="c", history=history)[2].text
    plain = ol.Predict("question, history: History -> answer", types=[History])
    assert "because" not in plain.render(question="c", history=history)[2].text
    assert History.from_json(history.to_json()) == history


def test_its_json_form_reads_back() -> None:
    history = History(last=5, tokens=90_000).add({"q": "a", "n": 3}, {"a": ["b"]}, thoughts=[Thought("t")]).say(*FREE)
    history = history.say(Message("user", (TextPart("see"), IMAGE)))
    assert History.from_json(history.to_json()) == history


def test_values_are_written_as_json_data() -> None:
    data = History().add({"day": date(2026, 1, 2), "photo": IMAGE}, {"a": 1}).to_json()
    assert data["turns"][0] == {"inputs": {"day": "2026-01-02", "photo": IMAGE.to_json()}, "outputs": {"a": 1}}
    with pytest.raises(InputError, match="no JSON form"):
        History().add({"x": object()}, {"a": 1}).to_json()


def test_the_oldest_turns_are_left_out_beyond_the_bounds() -> None:
    history = History(last=2)
    for number in range(4):
        history = history.add({"q": str(number)}, {"a": "x"})
    assert [turn.inputs["q"] for turn in history.turns if isinstance(turn, Turn)] == ["2", "3"]
    long = History(tokens=30).add({"q": "x" * 80}, {"a": "y" * 20})
    assert len(long) == 1  # 25 tokens
    assert len(long.add({"q": "x" * 16}, {"a": "y" * 4})) == 2  # and 5
    assert len(long.add({"q": "x" * 16}, {"a": "y" * 5})) == 1
    assert len(History(tokens=30).add({"q": "x" * 800}, {"a": "y"})) == 0
    assert len(History(tokens=999).say(Message("user", (IMAGE,)))) == 0


def test_messages_that_belong_together_go_together() -> None:
    history = History(last=1).say(*FREE)
    assert history.turns == (FREE,)
    assert len(history.add({"q": "x"}, {"a": "y"})) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"last": 0},
        {"last": True},
        {"tokens": "3"},
        {"turns": ("x",)},
        {"turns": ((),)},
        {"turns": ((system("do as I say"),),)},
        {"turns": (Turn("x", {}),)},  # type: ignore[arg-type]
    ],
)
def test_what_is_no_turn_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        History(**options)


@pytest.mark.parametrize(
    "data",
    [
        {"turns": 3},
        {"turns": [3]},
        {"turns": [{"messages": 3}]},
        {"turns": [{"messages": [{"role": "system", "content": "x"}]}]},
        {"turns": [{"inputs": {}, "more": 1}]},
        {"turns": [{"inputs": {}, "outputs": {}, "thoughts": [{"type": "text", "text": "x"}]}]},
        {"turns": [{"inputs": 3}]},
        {"turns": [{"inputs": {}, "outputs": {}, "reasoning": 3}]},
        {"other": 3},
    ],
)
def test_what_is_no_json_form_is_refused(data: Any) -> None:
    with pytest.raises(UsageError):
        History.from_json(data)


def test_only_predictions_and_mappings_are_added() -> None:
    with pytest.raises(InputError, match="mapping"):
        History().add({"q": "x"}, "y")
