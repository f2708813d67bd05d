"""Closed outputs as typed questions: from a model's own probabilities, or from marked evidence in their place."""

from __future__ import annotations

import enum
import math
import pickle
from typing import Literal

import pytest

import outlast as ol
from outlast.errors import AnswerError, LMUnsupported, SignatureError, UsageError
from outlast.lms.decide import values_text
from outlast.lms.protocol import LM, Capabilities
from outlast.messages import Decision, FinishReason, Message, Question, Request, Response, TokenLogprob, Usage
from outlast.testing import ScriptedLM


class Team(enum.Enum):
    CARDS = "cards"
    LOANS = "loans"


class Triage(ol.Signature):
    """Route a message."""

    message: str = ol.input()
    urgent: bool = ol.output(desc="money is leaving now")
    team: Team = ol.output()
    mood: Literal["calm", "angry"] = ol.output()
    rating: int = ol.output(ge=1, le=5)


class Deciding(LM):
    """A model with decisions of its own, which are the same for every message."""

    name = "deciding"
    blocking_safe = True
    capabilities = Capabilities(decisions=True)

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def complete(self, request: Request) -> Response:
        self.requests.append(request)
        found: list[tuple[str, Decision]] = []
        for name, question in request.questions:
            answers = question.answers
            shares = {answer: 0.1 / (len(answers) - 1) for answer in answers[1:]} | {answers[0]: 0.9}
            found.append((name, Decision(question.value(answers[0]), shares, "native")))
        decisions = tuple(found)
        return Response(values_text(decisions), self.name, decisions=decisions, usage=Usage(7, 0))


class Lettering(LM):
    """A model that gives the log-probabilities of its first token."""

    name = "lettering"
    blocking_safe = True
    capabilities = Capabilities(logprobs=True)

    def __init__(self, *tops: tuple[tuple[str, float], ...]) -> None:
        self.tops = list(tops)
        self.requests: list[Request] = []

    async def complete(self, request: Request) -> Response:
        self.requests.append(request)
        top = self.tops[min(len(self.requests), len(self.tops)) - 1]
        tokens = (
            TokenLogprob("\n", -0.1),
            TokenLogprob(top[0][0], math.log(top[0][1]), tuple((t, math.log(p)) for t, p in top)),
        )
        return Response(top[0][0], self.name, logprobs=tokens, usage=Usage(10, 1, cost=0.5, cost_source="test"))


def test_a_model_with_decisions_answers_closed_outputs_in_one_call_without_being_told():
    lm = Deciding()
    out = ol.Predict(Triage, lm=lm)(message="My card is gone")
    assert (out.urgent, out.team, out.mood, out.rating) == (True, Team.CARDS, "calm", 1)
    assert len(lm.requests) == 1
    questions = dict(lm.requests[0].questions)
    assert questions["urgent"] == Question("yes_no", "urgent: money is leaving now")
    assert questions["team"].options == ("cards", "loans")
    assert (questions["rating"].low, questions["rating"].high) == (1, 5)
    assert "My card is gone" in lm.requests[0].messages[-1].text
    assert out.decisions["urgent"].probability == pytest.approx(0.9)
    assert out.decisions["rating"].mean == pytest.approx(1 * 0.9 + (2 + 3 + 4 + 5) * 0.025)
    assert pickle.loads(pickle.dumps(out)).decisions == out.decisions


def test_an_adapter_that_somebody_chose_is_kept():
    lm = ScriptedLM(
        [{"urgent": True, "team": "cards", "mood": "calm", "rating": 2}] * 2,
        keep=True,
        capabilities=Capabilities(decisions=True),
    )
    out = ol.Predict(Triage, lm=lm, adapter=ol.Chat())(message="x")
    assert not lm.requests[0].questions
    assert dict(out.decisions) == {}
    with ol.context(adapter=ol.JSON()):
        ol.Predict(Triage, lm=lm)(message="x")
    assert not lm.requests[1].questions


def test_open_outputs_are_asked_as_text():
    lm = ScriptedLM([{"answer": "x"}], keep=True, capabilities=Capabilities(decisions=True))
    ol.Predict("question -> answer", lm=lm)(question="q")
    assert not lm.requests[0].questions
    with pytest.raises(SignatureError, match="no typed question can answer: answer"):
        ol.Predict("question -> answer", lm=lm, adapter=ol.Decisions())(question="q")


def test_demos_are_shown_as_turns():
    lm = Deciding()
    demo = {"message": "old", "urgent": False, "team": "loans", "mood": "angry", "rating": 3}
    ol.Predict(Triage, lm=lm, demos=[demo])(message="new")
    roles = [message.role for message in lm.requests[0].messages]
    assert roles == ["system", "user", "assistant", "user"]
    assert '"loans"' in lm.requests[0].messages[2].text


def test_log_probabilities_of_letters_stand_in_and_say_so():
    lm = Lettering((("A", 0.6), (" b", 0.2), ("the", 0.1)))
    reply = lm.decide("The sky is blue.", {"true": "Is it true?"})
    decision = dict(reply.decisions)["true"]
    assert decision.value is True
    assert decision.evidence == "logprobs"
    assert decision.probabilities == pytest.approx({"yes": 0.75, "no": 0.25})
    assert "A: yes\nB: no" in lm.requests[0].messages[-1].text
    assert reply.text == '{"true": true}'
    assert reply.usage.cost == 0.5
    assert "decided by logprobs in 1 calls" in reply.adaptations[-1]


def test_a_first_token_that_is_no_answer_is_not_taken_for_one():
    lm = Lettering((("The", 0.9), ("A", 0.05)))
    with pytest.raises(AnswerError, match="none of yes, no"):
        lm.decide("x", {"q": "?"}, by=["logprobs"])


def test_samples_are_counted_and_each_has_a_number_of_its_own():
    replies = iter(["yes", "Yes.", "no", "yes", "who knows"])
    lm = ScriptedLM(lambda messages: next(replies), keep=True)
    decision = dict(lm.decide("x", {"q": "Is it?"}, sample=2).decisions)["q"]
    assert decision == Decision(True, {"yes": 0.75, "no": 0.25}, "samples")
    assert sorted(request.sample for request in lm.requests) == [10, 11, 12, 13, 14]


def test_samples_that_cannot_be_read_are_told_and_most_must_be_readable():
    replies = iter(["yes", "Not yes", "no", "yes", "yes"])
    reply = ScriptedLM(lambda messages: next(replies)).decide("x", {"q": "Is it?"})
    assert dict(reply.decisions)["q"].probabilities == {"yes": 0.75, "no": 0.25}
    assert "'q': 1 of 5 samples not counted: they name no answer beyond doubt" in reply.adaptations
    replies = iter(["yes", "hm", "no", "hm"])
    with pytest.raises(AnswerError, match="2 of 4 samples not counted"):
        ScriptedLM(lambda messages: next(replies)).decide("x", {"q": "Is it?"}, samples=4)
    replies = iter(["yes", "hm", "hm", "yes: 70%\nno: 30%"])
    reply = ScriptedLM(lambda messages: next(replies)).decide("x", {"q": "Is it?"}, by=["samples", "verbal"], samples=3)
    assert dict(reply.decisions)["q"] == Decision(True, {"yes": 0.7, "no": 0.3}, "verbal")
    assert "'q': 2 of 3 samples not counted: they name no answer beyond doubt" in reply.adaptations


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_a_reply_that_was_cut_is_no_sample_and_no_percentage(finish: FinishReason):
    lm = ScriptedLM(
        lambda messages: Response("yes: 70%" if "How likely" in messages[-1].text else "yes", finish=finish)
    )
    with pytest.raises(AnswerError, match=f"5 of 5 samples not counted.*ended with '{finish}'"):
        lm.decide("x", {"q": "Is it?"}, by=["samples", "verbal"])


def test_percentages_that_leave_answers_out_are_no_answer():
    with pytest.raises(AnswerError, match="with none of cards, loans"):
        ScriptedLM(["cards: 80%"]).decide("x", {"q": Question("choice", "?", ("cards", "loans"))}, by=["verbal"])


def test_percentages_are_the_last_resort_and_only_when_asked_for():
    lm = ScriptedLM(["cards: 70%\nloans: 20 %\nother: 10%"])
    question = Question("choice", "Which?", ("cards", "loans", "other"))
    decision = dict(lm.decide("x", {"q": question}, by=["native", "verbal"]).decisions)["q"]
    assert decision.evidence == "verbal"
    assert decision.probabilities == pytest.approx({"cards": 0.7, "loans": 0.2, "other": 0.1})


def spread(samples: int = 3) -> tuple[ol.Predict, ScriptedLM]:
    class Two(ol.Signature):
        message: str = ol.input()
        urgent: bool = ol.output()
        mood: Literal["calm", "angry"] = ol.output()

    def answer(messages: tuple[Message, ...]) -> Response:
        said = "calm" if "- calm" in messages[-1].text else "yes"
        return Response(said, "m", usage=Usage(10, 1, cost=0.5, cost_source="test"))

    lm = ScriptedLM(answer, keep=True)
    return ol.Predict(Two, lm=lm, adapter=ol.Decisions(by=("samples",), samples=samples)), lm


def test_a_trace_holds_what_was_sent_and_counts_it_once():
    program, lm = spread()
    with ol.trace():
        out = program(message="x")
        shown = repr(ol.history())
    *parts, joined = out.trace
    assert [span.module for span in parts] == ["decide"] * 6
    assert {id(span.request) for span in parts} == {id(request) for request in lm.requests}
    # as they ended: calls at the same time have no order
    assert sorted(span.response.text for span in parts if span.response is not None) == ["calm"] * 3 + ["yes"] * 3
    assert (joined.module, joined.joined, joined.values) == ("Predict", 6, {"urgent": True, "mood": "calm"})
    spent = out.trace.spending
    assert (spent.calls, spent.input_tokens, spent.dollars) == (6, 60, 3.0)
    assert shown.count("Reply with one of these answers") == 6
    assert shown.count('{"message": "x"}') == 6
    assert shown.count("joined from their replies") == 1


def test_a_trace_tells_what_was_sent_before_it_went_wrong():
    program, _ = spread()
    lm = ScriptedLM(["hm"] * 6)
    with ol.trace() as spans, pytest.raises(AnswerError):
        ol.update(program, {"lm": lm})(message="x")
    assert [span.module for span in spans][-1] == "Predict"
    assert [span.joined for span in spans if span.module == "Predict"] == [len(spans) - 1]
    assert spans.spending.calls == lm.calls


def test_questions_put_to_a_model_by_hand_are_in_the_trace():
    deciding, other = Deciding(), ScriptedLM(["yes"] * 2)
    with ol.trace() as spans:
        deciding.decide("x", {"q": "?"})
        other.decide("x", {"q": "?"}, samples=2)
    assert [span.module for span in spans] == ["LM", "decide", "decide"]


def test_what_a_model_with_decisions_was_asked_is_one_exchange():
    lm = Deciding()
    out = ol.Predict(Triage, lm=lm)(message="x")
    (span,) = out.trace
    assert span.request is lm.requests[0]
    assert (span.joined, out.trace.spending.calls) == (0, 1)


def test_no_prompt_is_shown_that_is_never_sent():
    program, lm = spread()
    with pytest.raises(UsageError, match="no one prompt to export.*one question at a time"):
        ol.export(program)
    shown = program.render(message="x")
    program(message="x")
    assert shown in [request.messages for request in lm.requests]
    assert ol.export(ol.Predict(Triage, lm=Deciding(), adapter=ol.Decisions()))[""].fill(message="x")


def test_what_cannot_be_had_is_a_clear_error():
    lm = ScriptedLM(["x"])
    with pytest.raises(LMUnsupported, match="Allow other evidence with by="):
        lm.decide("x", {"q": "?"}, by=["native", "logprobs"])
    with pytest.raises(LMUnsupported, match="allow others with by="):
        ol.Predict(Triage, lm=lm, adapter=ol.Decisions(by=("native",)))(message="x")
    with pytest.raises(UsageError, match="by is a list of 'native'"):
        ol.Decisions(by=("guess",))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a mapping of names"):
        lm.decide("x", {})
    with pytest.raises(UsageError, match="2 to 255 different texts"):
        Question("choice", "?", ("a", "a"))


async def test_the_async_form_asks_the_same():
    decision = dict((await Deciding().adecide("x", {"q": "?"})).decisions)["q"]
    assert decision.value is True


def test_questions_are_part_of_the_cache_key_and_decisions_are_kept(tmp_path):
    from outlast.lms.caching.cache import Cached

    inner = Deciding()
    lm = Cached(inner, tmp_path / "c.db")
    first = lm.decide("x", {"q": "one?"})
    again = lm.decide("x", {"q": "one?"})
    lm.decide("x", {"q": "two?"})
    assert len(inner.requests) == 2
    assert again.cache == "hit"
    assert again.decisions == first.decisions
    lm.close()
    reopened = Cached(inner, tmp_path / "c.db")
    assert reopened.decide("x", {"q": "one?"}).decisions == first.decisions
    assert len(inner.requests) == 2
    reopened.close()


def test_an_output_that_a_check_replaced_has_no_probability_any_more() -> None:
    calmer = ol.check(on_fail=ol.checks.fallback("angry"), name="calmer")(lambda mood: mood == "angry")
    out = ol.Predict(Triage, checks=[calmer], lm=Deciding(), adapter=ol.Decisions())(message="x")
    assert out.mood == "angry"
    assert set(out.decisions) == {"urgent", "team", "rating"}
