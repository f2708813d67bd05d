"""The loop around a question: re-asks within the conversation, limits, fallback, spans, errors."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Literal

import pydantic
import pytest

import outlast as ol
from outlast.errors import AnswerError, LMServerError, ParseError, UsageError
from outlast.lms.protocol import Capabilities
from outlast.messages import Message, OutputSchema, Response, TextPart, Thought, assistant, user
from outlast.signatures import Signature, input, output
from outlast.testing import ScriptedLM


class Triage(Signature):
    """Route it."""

    message: str = input()
    team: Literal["billing", "cards"] = output()
    urgency: int = output(ge=1, le=5)


GOOD = "<<team>>\ncards\n<<urgency>>\n3\n<<end>>"


def asked(replies: list[Any], *, capabilities: Capabilities | None = None, **options: Any) -> tuple[Any, ScriptedLM]:
    lm = ScriptedLM(replies, keep=True, capabilities=capabilities)
    return ol.Predict(Triage, lm=lm, **options), lm


def test_a_reply_that_can_be_read_costs_one_call() -> None:
    predict, lm = asked([GOOD])
    out = predict(message="x")
    assert (out.team, out.urgency, lm.calls) == ("cards", 3, 1)
    assert [(span.attempt, span.error, dict(span.values or {})) for span in out.trace] == [
        (0, None, {"team": "cards", "urgency": 3})
    ]


def test_defect_15_a_failed_reply_is_asked_for_again_in_the_same_conversation_and_traced() -> None:
    predict, lm = asked(["Cards!", "<<team>>\nbank\n<<urgency>>\n9\n<<end>>", GOOD])
    out = predict(message="x")
    assert out.team == "cards"
    assert [span.attempt for span in out.trace] == [0, 1, 2]
    assert [type(span.error) for span in out.trace] == [ParseError, ParseError, type(None)]
    assert [span.values for span in out.trace] == [None, None, {"team": "cards", "urgency": 3}]
    first, second, third = (request.messages for request in lm.requests)
    assert second[: len(first)] == first
    assert third[: len(second)] == second
    assert [message.role for message in third] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert second[-2].text == "Cards!"
    assert "there is no marker in it" in second[-1].text
    assert 'team: must be one of: "billing", "cards"; got' in third[-1].text
    assert "urgency: Input should be less than or equal to 5; got 9" in third[-1].text
    assert third[-1].text.endswith("Reply again with every output. Reply with <<team>>, <<urgency>>, then <<end>>.")


@pytest.mark.parametrize("adapter", [ol.Chat(reasks=0), ol.Chat(reasks=1), ol.Chat(), ol.JSON(reasks=3)])
def test_the_limit_of_re_asks_is_kept_and_the_error_carries_everything(adapter: Any) -> None:
    predict, lm = asked(["bad"] * 9, adapter=adapter)
    with pytest.raises(AnswerError) as caught:
        predict(message="x")
    assert lm.calls == adapter.reasks + 1 == caught.value.attempts
    assert caught.value.response is not None
    assert caught.value.response.text == "bad"
    assert "Reply: 'bad'" in str(caught.value)
    if adapter.reasks:
        assert f"after {lm.calls} tries ({lm.calls} with {type(adapter).__name__})" in str(caught.value)
        assert isinstance(caught.value.__cause__, ParseError)
    else:
        assert isinstance(caught.value, ParseError)


def test_the_fallback_is_a_visible_policy() -> None:
    values = {"team": "billing", "urgency": 1}
    predict, lm = asked(["bad", "bad", "worse", json.dumps(values)], adapter=ol.Chat(reasks=1, fallback=ol.JSON()))
    out = predict(message="x")
    assert out.team == "billing"
    assert [span.attempt for span in out.trace] == [0, 1, 2, 3]
    assert "<<team>>" in lm.requests[1].messages[0].text
    assert "one JSON object" in lm.requests[2].messages[0].text
    assert len(lm.requests[2].messages) == 2  # a fresh conversation
    without, only = asked(["bad"] * 9, adapter=ol.Chat(reasks=1))
    with pytest.raises(AnswerError):
        without(message="x")
    assert only.calls == 2  # no fallback that nobody asked for


def test_an_exhausted_fallback_says_who_tried_what() -> None:
    predict, lm = asked(["bad"] * 9, adapter=ol.Chat(reasks=1, fallback=ol.JSON(reasks=0)))
    with pytest.raises(AnswerError, match=r"after 3 tries \(2 with Chat and 1 with JSON\)") as caught:
        predict(message="x")
    assert (lm.calls, caught.value.attempts) == (3, 3)


def test_a_reply_cut_off_is_asked_for_again_with_the_reason() -> None:
    predict, lm = asked([Response(GOOD.replace("<<end>>", ""), finish="length"), GOOD])
    assert predict(message="x").team == "cards"
    assert "cut off at the token limit" in lm.requests[1].messages[-1].text


def test_a_filtered_reply_is_not_asked_for_again() -> None:
    predict, lm = asked([Response("", finish="content_filter")] * 9, adapter=ol.Chat(fallback=ol.JSON()))
    with pytest.raises(AnswerError, match="content filter"):
        predict(message="x")
    assert lm.calls == 1


def test_an_empty_reply_leaves_no_empty_turn() -> None:
    predict, lm = asked(["", " \n", GOOD])
    assert predict(message="x").team == "cards"
    assert all(message.text.strip() for request in lm.requests for message in request.messages)


def test_an_error_of_the_model_is_no_answer_and_is_traced() -> None:
    predict, lm = asked(["bad", LMServerError("down")])
    with ol.trace() as trace, pytest.raises(LMServerError):
        predict(message="x")
    assert lm.calls == 2
    assert [(span.attempt, type(span.error), span.response is None) for span in trace] == [
        (0, ParseError, False),
        (1, LMServerError, True),
    ]


def test_two_calls_fail_alike() -> None:
    predict, _ = asked(["bad"] * 6)
    messages = []
    for _ in range(2):
        with pytest.raises(AnswerError) as caught:
            predict(message="x")
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


async def test_async_calls_re_ask_too() -> None:
    predict, lm = asked(["bad", GOOD])
    assert (await predict.acall(message="x")).team == "cards"
    assert lm.calls == 2


@pytest.mark.parametrize("adapter", [ol.Chat, ol.JSON, ol.XML, ol.Tools])
@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"reasks": -1}, "reasks=...) is a whole number"),
        ({"reasks": True}, "got True"),
        ({"reasks": "2"}, "got '2'"),
        ({"fallback": "json"}, "fallback=...) is an adapter"),
        ({"fallback": ol.JSON}, "fallback=...) is an adapter"),
    ],
)
def test_wrong_options_of_an_adapter_are_refused(adapter: Any, options: dict[str, Any], part: str) -> None:
    with pytest.raises(UsageError) as caught:
        adapter(**options)
    assert part in str(caught.value)


def test_adapters_are_values() -> None:
    assert ol.Chat() == ol.Chat(reasks=2)
    assert ol.Chat(fallback=ol.JSON()) == ol.Chat(fallback=ol.JSON())
    assert hash(ol.JSON(reasks=1)) == hash(ol.JSON(reasks=1))
    assert ol.Chat() != ol.JSON()
    assert ol.XML() == ol.XML(reasks=2)
    assert len({ol.XML(), ol.Tools(), ol.Tools(fallback=ol.XML()), ol.XML()}) == 3


# JSON mode


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        (Capabilities(), None),
        (Capabilities(json_object=True), "json"),
        (Capabilities(json_schema=True), OutputSchema),
        (Capabilities(json_schema=True, json_object=True), OutputSchema),
    ],
)
def test_json_asks_for_a_schema_only_when_the_model_has_that_mode(capabilities: Capabilities, expected: Any) -> None:
    reply = json.dumps({"team": "cards", "urgency": 3})
    predict, lm = asked([reply], adapter=ol.JSON(), capabilities=capabilities)
    assert predict(message="x").urgency == 3
    sent = lm.requests[0].output
    assert sent == expected or isinstance(sent, OutputSchema)
    if isinstance(sent, OutputSchema):
        assert sent.name == "Triage"
        assert sent.schema["required"] == ["team", "urgency"]
        assert sent.schema["properties"]["urgency"] == {"maximum": 5, "minimum": 1, "type": "integer"}
        assert sent.schema["additionalProperties"] is False
    chat, other = asked([GOOD], capabilities=capabilities)
    chat(message="x")
    assert other.requests[0].output is None


def test_a_reply_in_schema_mode_is_validated_all_the_same() -> None:
    predict, lm = asked(
        [json.dumps({"team": "cards", "urgency": 9}), json.dumps({"team": "cards", "urgency": 5})],
        adapter=ol.JSON(),
        capabilities=Capabilities(json_schema=True),
    )
    assert predict(message="x").urgency == 5
    assert "less than or equal to 5" in lm.requests[1].messages[-1].text
    assert lm.requests[1].output == lm.requests[0].output


def test_messages_are_what_render_shows() -> None:
    predict, lm = asked([GOOD])
    predict(message="x")
    assert predict.render(message="x") == lm.requests[0].messages
    assert all(isinstance(message, Message) for message in predict.render(message="x"))


class Span(pydantic.BaseModel):
    start: int
    stop: int

    @pydantic.model_validator(mode="after")
    def ordered(self) -> Span:
        if self.stop < self.start:
            raise ValueError("stop lies before start")
        return self


def locate(text: str) -> Span:
    """Find it."""
    raise NotImplementedError


@pytest.mark.parametrize("strategy", [ol.Predict, ol.ChainOfThought])
def test_values_that_do_not_go_together_are_asked_for_again(strategy: Any) -> None:
    lead = "<<reasoning>>\nhm\n" if strategy is ol.ChainOfThought else ""
    lm = ScriptedLM(
        [f"{lead}<<start>>\n5\n<<stop>>\n3\n<<end>>", f"{lead}<<start>>\n3\n<<stop>>\n5\n<<end>>"], keep=True
    )
    assert strategy(locate, lm=lm)("x") == Span(start=3, stop=5)
    assert "stop lies before start" in lm.requests[1].messages[-1].text


@dataclasses.dataclass(frozen=True)
class Curt(ol.Chat):
    """Says what was wrong in one word, without repeating the reply."""

    def compile(self, task: Any, capabilities: Capabilities) -> Any:
        plan = super().compile(task, capabilities)
        prepare = plan.prepare
        plan.prepare = lambda inputs: dataclasses.replace(
            prepare(inputs), again=lambda response, error: (assistant("(a reply)"), user("Wrong."))
        )
        return plan


def test_an_adapter_decides_how_an_error_is_said() -> None:
    predict, lm = asked(["bad", GOOD], adapter=Curt())
    assert predict(message="x").team == "cards"
    assert [(message.role, message.text) for message in lm.requests[1].messages[-2:]] == [
        ("assistant", "(a reply)"),
        ("user", "Wrong."),
    ]


def test_native_reasoning_goes_back_with_the_reply_that_is_asked_again() -> None:
    thought = Thought("hm", '{"signature": "x"}', "anthropic")
    predict, lm = asked([Response("bad", thoughts=(thought,)), Response(" ", thoughts=(thought,)), GOOD])
    assert predict(message="x").team == "cards"
    said = lm.requests[2].messages
    assert said[-4].parts == (thought, TextPart("bad"))
    assert said[-2].parts == (thought, TextPart("(empty reply)"))


@dataclasses.dataclass
class Broken:
    size: int

    def __post_init__(self) -> None:
        raise TypeError("a bug of the user's")


def build(text: str) -> Broken:
    """Build it."""
    raise NotImplementedError


def test_a_bug_in_the_users_type_is_not_blamed_on_the_model() -> None:
    lm = ScriptedLM(["<<size>>\n5\n<<end>>"] * 3)
    with pytest.raises(TypeError, match="a bug of the user's") as caught:
        ol.Predict(build, lm=lm)("x")
    assert not isinstance(caught.value, ol.OutlastError)
    assert lm.calls == 1
