"""A free answer by one model, its fields read out by another."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

import outlast as ol
from outlast.errors import AnswerError, ConfigError, LMServerError, UsageError
from outlast.lms.protocol import Capabilities
from outlast.messages import OutputSchema, Response
from outlast.signatures import Signature, input, output
from outlast.testing import FakeServer, ScriptedLM


class Triage(Signature):
    """Route it to the team that can resolve it."""

    message: str = input()
    team: Literal["billing", "cards"] = output(desc="who answers")
    urgency: int = output(ge=1, le=5)


SAID = "The card is gone, so cards should see to it, at urgency 3."
READ = json.dumps({"team": "cards", "urgency": 3})


def asked(said: list[Any], read: list[Any], **options: Any) -> tuple[Any, ScriptedLM, ScriptedLM]:
    strong = ScriptedLM(said, name="strong", keep=True)
    small = ScriptedLM(read, name="small", keep=True, capabilities=options.pop("capabilities", None))
    settings = options.pop("settings", {})
    return ol.Predict(Triage, lm=strong, adapter=ol.TwoStep(small, **options), **settings), strong, small


def test_one_call_of_each_model() -> None:
    predict, strong, small = asked([SAID], [READ])
    out = predict(message="My card is gone")
    assert (out.team, out.urgency) == ("cards", 3)
    assert (strong.calls, small.calls) == (1, 1)


def test_the_first_prompt_demands_no_format() -> None:
    predict, strong, _ = asked([SAID], [READ])
    predict(message="My card is gone")
    system, user = (message.text for message in strong.requests[0].messages)
    assert not any(word in system + user for word in ("JSON", "marker", "<<", "<team>", "tags"))
    assert 'team (one of: "billing", "cards"): who answers' in system
    assert "<message>My card is gone</message>" in user
    assert strong.requests[0].output is None


def test_the_second_prompt_has_the_answer_and_the_outputs_but_not_the_inputs() -> None:
    predict, _, small = asked([SAID], [READ], capabilities=Capabilities(json_schema=True))
    predict(message="A secret of the customer")
    system, user = (message.text for message in small.requests[0].messages)
    assert json.loads(user) == {"answer": SAID}
    assert "secret" not in system + user
    assert 'team (one of: "billing", "cards"): who answers' in system
    assert "Route it to the team" in system
    assert isinstance(small.requests[0].output, OutputSchema)


def test_each_model_keeps_its_own_settings() -> None:
    predict, strong, small = asked([SAID], [READ], settings={"temperature": 0.9, "max_tokens": 9})
    with ol.context(sample=3):
        predict(message="x")
    assert strong.requests[0].settings.temperature == 0.9
    assert small.requests[0].settings.to_json() == {}
    assert (strong.requests[0].sample, small.requests[0].sample) == (3, 3)


def test_an_extraction_that_cannot_be_read_is_asked_of_the_extractor_again() -> None:
    predict, strong, small = asked([SAID], ["Hm.", READ])
    out = predict(message="x")
    assert (out.team, strong.calls, small.calls) == ("cards", 1, 2)
    assert "no JSON object" in small.requests[1].messages[-1].text


def test_an_answer_that_is_empty_or_cut_off_is_asked_of_the_model_again() -> None:
    for bad in (Response("  "), Response("The card", finish="length"), Response("<think>So")):
        predict, strong, small = asked([bad, SAID], [READ])
        assert predict(message="x").team == "cards"
        assert (strong.calls, small.calls) == (2, 1)


def test_both_are_in_the_trace_and_metered() -> None:
    predict, _, _ = asked([Response(SAID, "strong", reasoning="native"), SAID], ["Hm.", READ])
    with ol.trace() as spans:
        predict(message="x")
    first, failed, second = spans
    assert (first.path, first.module, dict(first.values or {})) == ("", "Predict", {"team": "cards", "urgency": 3})
    assert dict(first.inputs) == {"message": "x"}
    assert [(span.path, span.module, span.attempt) for span in (failed, second)] == [
        (None, "TwoStep", 0),
        (None, "TwoStep", 1),
    ]
    assert (failed.values, type(failed.error).__name__) == (None, "ParseError")
    assert spans.spending.calls == 3


def test_native_reasoning_of_the_first_model_is_kept() -> None:
    strong = ScriptedLM([Response(SAID, "strong", reasoning="native")], capabilities=Capabilities(reasoning=True))
    think = ol.ChainOfThought(Triage, lm=strong, adapter=ol.TwoStep(ScriptedLM([READ])))
    assert think(message="x").reasoning == "native"


def test_an_extraction_that_fails_to_the_end_is_an_answer_error_with_a_span() -> None:
    predict, strong, small = asked([SAID], ["Hm."] * 9, adapter=ol.JSON(reasks=1))
    with (
        ol.trace() as spans,
        pytest.raises(
            AnswerError, match=r"after 3 tries \(1 with TwoStep and 2 with JSON\); the last: the reply of small"
        ),
    ):
        predict(message="x")
    assert (strong.calls, small.calls) == (1, 2)
    assert isinstance(spans[0].error, AnswerError)
    assert spans[0].values is None


def test_the_fallback_of_two_steps_takes_over() -> None:
    predict, strong, small = asked([SAID, READ], ["Hm."] * 9, adapter=ol.JSON(reasks=0), fallback=ol.JSON())
    assert predict(message="x").team == "cards"
    assert (strong.calls, small.calls) == (2, 1)


def test_an_error_of_the_extractor_is_an_error_of_the_call() -> None:
    predict, _, _ = asked([SAID], [LMServerError("down")])
    with ol.trace() as spans, pytest.raises(LMServerError):
        predict(message="x")
    assert [type(span.error) for span in spans] == [LMServerError, LMServerError]
    assert spans[0].values is None


def test_any_adapter_may_read() -> None:
    for adapter, reply in (
        (ol.Chat(), "<<team>>\ncards\n<<urgency>>\n3\n<<end>>"),
        (ol.XML(), "<team>cards</team><urgency>3</urgency>"),
    ):
        predict, _, _ = asked([SAID], [reply], adapter=adapter)
        assert predict(message="x").urgency == 3


def test_functions_and_their_checks_go_through_both_steps() -> None:
    def total(text: str, answer: str) -> float:
        """Sum it."""
        raise NotImplementedError

    strong, small = ScriptedLM(["It is 7."]), ScriptedLM(['{"answer": 7}'], keep=True)
    kind: Any = ol.signature("text, answer -> total: float")
    out = ol.Predict(kind, lm=strong, adapter=ol.TwoStep(ScriptedLM(['{"total": 7}'])))(text="x", answer="y")
    assert out.total == 7.0
    with pytest.raises(Exception, match="answer"):
        ol.Predict(total, lm=strong, adapter=ol.TwoStep(small))("x", "y")


def test_demonstrations_answer_in_plain_words() -> None:
    predict, strong, small = asked([SAID], [READ])
    ol.update(predict, {"demos": [{"message": "a", "team": "billing", "urgency": 1}]})(message="x")
    assert strong.requests[0].messages[2].text == "team: billing\nurgency: 1"
    assert len(small.requests[0].messages) == 2


async def test_two_steps_in_async_code() -> None:
    predict, _, _ = asked([SAID], [READ])
    assert (await predict.acall(message="x")).team == "cards"


def test_wrong_parts_are_refused() -> None:
    with pytest.raises(UsageError, match="extractor"):
        ol.TwoStep(3)
    with pytest.raises(UsageError, match="adapter"):
        ol.TwoStep(ScriptedLM([]), adapter="json")
    with pytest.raises(ConfigError):
        ol.TwoStep("nobody/nothing")


def test_an_extractor_may_be_named() -> None:
    first, second = ol.TwoStep("openai/gpt-5-nano"), ol.TwoStep("openai/gpt-5-nano")
    assert isinstance(first.extractor, ol.LM)
    assert (first == second, hash(first) == hash(second)) == (True, True)


@pytest.mark.server
def test_both_calls_are_cached(tmp_path: Any) -> None:
    with FakeServer([SAID, READ]) as server:
        options: dict[str, Any] = {"base_url": server.url, "cache": str(tmp_path / "calls.db")}
        adapter = ol.TwoStep(ol.LM("small", **options))
        predict = ol.Predict(Triage, lm=ol.LM("strong", **options), adapter=adapter)
        first, again = predict(message="x"), predict(message="x")
        assert server.count == 2
    assert (first.team, again.team) == ("cards", "cards")
    assert [span.response.cache for span in again.trace] == ["hit", "hit"]
