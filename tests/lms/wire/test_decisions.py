"""Typed questions on the wire: what is asked, and what an answer means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import outlast as ol
from outlast.errors import LMRequestError, LMResponseError, LMServerError, LMUnsupported, UsageError
from outlast.lms.wire.decisions import (
    DECISIONS,
    SYSTEM_ONE,
    decode_decisions,
    decode_systemone,
    encode_asked,
    encode_decisions,
    encode_systemone,
)
from outlast.lms.wire.dialect import DecisionDialect, Told
from outlast.lms.wire.dialects import decisions_named
from outlast.messages import (
    Message,
    Question,
    Request,
    Response,
    Settings,
    TextPart,
    Thought,
    ToolCall,
    ToolResult,
    assistant,
    system,
    user,
)
from outlast.testing.server import FakeServer, Fault, decisions, systemone
from outlast.types import Document, File, Image, Tool

URGENT = Question("yes_no", "Is it urgent?", described=(("yes", "money is leaving"), ("no", "it can wait")))
TEAM = Question("choice", "Which team?", ("cards", "billing"), described=(("cards", "plastic"),))
GRADE = Question("score", "How angry?", low=1, high=3, described=(("3", "shouting"),))
LONG = Question("score", "How long?", low=0, high=20)
QUESTIONS = (("urgent", URGENT), ("team", TEAM), ("grade", GRADE), ("long", LONG))
ASKED = Request((user("My card was charged twice"),), questions=QUESTIONS)
VALUES = {
    "urgent": 0.9,
    "team": {"cards": 0.2, "billing": 0.6},
    "grade": {0: 0.1, 2: 0.9},
    "long": {"20": 0.7, "3": 0.3},
}


def test_openai_is_asked_in_its_words():
    assert encode_decisions(ASKED, "gpt-6-luna") == {
        "model": "gpt-6-luna",
        "input": "My card was charged twice",
        "questions": [
            {
                "name": "urgent",
                "type": "predicate",
                "instructions": "Is it urgent?\nyes: money is leaving\nno: it can wait",
            },
            {
                "name": "team",
                "type": "choice",
                "instructions": "Which team?",
                "choices": [{"value": "cards", "description": "plastic"}, {"value": "billing"}],
            },
            {
                "name": "grade",
                "type": "score",
                "instructions": "How angry?",
                "levels": [{"label": "1"}, {"label": "2"}, {"label": "3", "description": "shouting"}],
            },
            {
                "name": "long",
                "type": "choice",
                "instructions": "How long?",
                "choices": [{"value": str(step)} for step in range(21)],
            },
        ],
    }


def test_system_one_is_asked_in_its_words():
    assert encode_systemone(ASKED, "m") == {
        "model": "m",
        "state": "My card was charged twice",
        "questions": {
            "urgent": {
                "type": "noul",
                "instructions": "Is it urgent?",
                "criteria": {"true": "money is leaving", "false": "it can wait"},
            },
            "team": {
                "type": "choice",
                "instructions": "Which team?",
                "criteria": {"cards": "plastic", "billing": "billing"},
            },
            "grade": {"type": "score", "instructions": "How angry?", "criteria": ["1", "2", "3: shouting"]},
            "long": {
                "type": "choice",
                "instructions": "How long?",
                "criteria": {str(step): str(step) for step in range(21)},
            },
        },
    }
    plain = Request((user("x"),), questions=(("q", Question("yes_no", "Q?")),))
    assert encode_systemone(plain, "m")["questions"] == {"q": {"type": "noul", "instructions": "Q?"}}


CONVERSATION = (
    system("Rules."),
    user("q"),
    Message("assistant", (Thought("hm"), TextPart("wait"), ToolCall("c1", "find", '{"a": 1}'))),
    Message("tool", (ToolResult("c1", "nothing", error=True),)),
    assistant("done"),
)


def test_a_conversation_is_told_whole():
    asked = Request(CONVERSATION, questions=QUESTIONS[:1])
    assert encode_decisions(asked, "m")["input"] == [
        {"role": "system", "content": "Rules."},
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "wait"}]},
        {"type": "function_call", "call_id": "c1", "name": "find", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "ERROR: nothing"},
        {"role": "assistant", "content": "done"},
    ]
    assert encode_systemone(asked, "m")["state"] == [
        {"role": "system", "content": "Rules."},
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "wait", "tool_calls": [{"name": "find", "arguments": '{"a": 1}'}]},
        {"role": "tool", "content": "nothing"},
        {"role": "assistant", "content": "done"},
    ]


def test_images_go_to_openai_only_and_files_nowhere():
    picture = Request((Message("user", (TextPart("?"), Image("image/png", b"x"))),), questions=QUESTIONS[:1])
    (item,) = encode_decisions(picture, "m")["input"]
    assert item["content"][1]["type"] == "input_image"
    with pytest.raises(LMUnsupported, match="decides on text"):
        encode_systemone(picture, "m")
    letter = Request((Message("user", (File("application/pdf", b"x"),)),), questions=QUESTIONS[:1])
    with pytest.raises(LMUnsupported, match="text and images"):
        encode_decisions(letter, "m")


def test_documents_are_text_to_both():
    letter = Document("Dear Sir", title="Letter")
    asked = Request((Message("user", (TextPart("Read: "), letter)),), questions=QUESTIONS[:1])
    (item,) = encode_decisions(asked, "m")["input"]
    assert item["content"][1] == {"type": "input_text", "text": letter.__prompt__()}
    assert encode_systemone(asked, "m")["state"] == "Read: " + letter.__prompt__()


# Answers

BOTH = [
    (DECISIONS, decisions),
    (SYSTEM_ONE, systemone),
]


@pytest.mark.parametrize(("dialect", "answered"), BOTH)
def test_answers_become_decisions(dialect: DecisionDialect, answered: Any):
    asked = Request(ASKED.messages, questions=QUESTIONS)
    reply = answered(VALUES, dialect.encode(asked, "m"))
    response = dialect.decode(reply, asked, Told("m", adaptations=("a",)))
    found = dict(response.decisions)
    assert [found[name].value for name, _ in QUESTIONS] == [True, "billing", 3, 20]
    assert found["urgent"].probabilities == pytest.approx({"yes": 0.9, "no": 0.1})
    assert found["team"].probabilities == pytest.approx({"cards": 0.25, "billing": 0.75})
    assert found["grade"].probabilities == pytest.approx({"1": 0.1, "2": 0.0, "3": 0.9})
    assert found["grade"].mean == pytest.approx(2.8)
    assert {decision.evidence for decision in found.values()} == {"native"}
    assert response.text == '{"urgent": true, "team": "billing", "grade": 3, "long": 20}'
    assert response.usage.input_tokens == 5
    assert response.adaptations == ("a", "the score 'long' asked as a choice between its 21 numbers")


@pytest.mark.parametrize(("dialect", "answered"), BOTH)
def test_a_question_that_is_declined_leaves_the_others(dialect: DecisionDialect, answered: Any):
    asked = Request(ASKED.messages, questions=QUESTIONS[:3])
    reply = answered({**VALUES, "team": "refused"}, dialect.encode(asked, "m"))
    if dialect is DECISIONS:
        reply["answers"] = reply["answers"][:2]
    else:
        del reply["answers"]["grade"]
    response = dialect.decode(reply, asked, Told())
    assert [name for name, _ in response.decisions] == ["urgent"]
    assert response.undecided == (
        ("team", "the model declined to answer"),
        ("grade", "the server gave no answer"),
    )


def test_answers_without_names_come_in_the_order_of_the_questions():
    asked = Request(ASKED.messages, questions=QUESTIONS[:3])
    reply = decisions(VALUES, encode_decisions(asked, "m"))
    for answer in reply["answers"]:
        answer["name"] = None
    assert [name for name, _ in decode_decisions(reply, asked, Told()).decisions] == ["urgent", "team", "grade"]


@given(st.dictionaries(st.sampled_from(["1", "2", "3"]), st.floats(0, 1), min_size=1).filter(lambda p: sum(p.values())))
def test_probabilities_sum_to_one(given_: dict[str, float]):
    levels = [{"label": label, "value": int(label) - 1, "probability": p} for label, p in given_.items()]
    reply = {"answers": [{"type": "score", "name": "grade", "probabilities": levels}]}
    response = decode_decisions(reply, Request(ASKED.messages, questions=(("grade", GRADE),)), Told())
    decision = dict(response.decisions)["grade"]
    assert sum(decision.probabilities.values()) == pytest.approx(1)
    assert list(decision.probabilities) == ["1", "2", "3"]
    assert decision.probability == decision.probabilities[str(decision.value)]


@pytest.mark.parametrize(
    "answer",
    [
        {"type": "predicate", "probability": "high"},
        {"type": "predicate", "probability": float("nan")},
        {"type": "choice", "choice": "cards", "probabilities": []},
        {},
        "yes",
    ],
)
def test_an_answer_without_probabilities_is_an_error(answer: Any):
    asked = Request(ASKED.messages, questions=(("team", TEAM), ("urgent", URGENT)))
    told = {"team": answer, "urgent": answer}
    with pytest.raises(LMResponseError, match="no probabilities"):
        decode_systemone({"answers": told}, asked, Told())


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ({"answers": None}, LMResponseError),
        ({"detail": "no"}, LMResponseError),
        ({"error": {"type": "server_error", "message": "oops"}}, LMServerError),
    ],
)
def test_what_is_no_answer_is_an_error(reply: dict[str, Any], error: type[Exception]):
    for decode in (decode_decisions, decode_systemone):
        with pytest.raises(error):
            decode(reply, ASKED, Told())


# Through a server


def ask(lm: ol.LM, **options: Any) -> Response:
    import asyncio

    return asyncio.run(lm.complete(Request(ASKED.messages, questions=QUESTIONS, **options)))


@pytest.mark.server
@pytest.mark.parametrize(
    ("name", "path", "answered"),
    [("openai", "/v1/decisions", decisions), ("systemone", "/v1/systemone", systemone)],
)
def test_a_server_is_asked_and_its_faults_are_told(name: str, path: str, answered: Any):
    def answer(request: dict[str, Any]) -> Any:
        return answered(VALUES, request) if len(server.requests) == 1 else Fault.error(400, "not supported here")

    with FakeServer(answer) as server:
        lm = ol.LM("m", base_url=server.url, decisions=name, cache=False, retries=0)
        assert lm.capabilities.decisions
        response = ask(lm)
        assert dict(response.decisions)["grade"].value == 3
        assert server.requests[0].path == path
        with pytest.raises(LMRequestError, match="not supported here"):
            ask(lm)


FULL = Settings(
    temperature=0.5,
    max_tokens=9,
    tier="flex",
    prediction="long text",
    show_reasoning=True,
    extra={"safety_identifier": "u1"},
)


@pytest.mark.parametrize("dialect", [DECISIONS, SYSTEM_ONE])
def test_what_has_no_place_is_told_and_what_is_extra_is_sent(dialect: DecisionDialect):
    tool = Tool("find", "Finds.", {"type": "object"})
    asked = Request(ASKED.messages, FULL, "json", questions=QUESTIONS[:1], tools=(tool,))
    encoded = encode_asked(dialect, asked, "m")
    assert encoded.body == {**dialect.encode(asked, "m"), "safety_identifier": "u1"}
    told = "temperature=0.5 max_tokens=9 show_reasoning=True tier='flex' prediction the output"
    assert [text.split(" ")[0] for text in encoded.dropped] == told.split()
    assert encoded.adaptations == encoded.dropped
    assert encode_asked(dialect, ASKED, "m").adaptations == ()
    with pytest.raises(UsageError, match="extra may not hold 'questions'"):
        encode_asked(dialect, replace(asked, settings=Settings(extra={"questions": []})), "m")


@pytest.mark.server
def test_settings_of_the_model_are_sent_noted_or_refused_and_answers_are_cached(tmp_path: Path):
    with FakeServer(lambda request: decisions({"q": 0.9}, request)) as server:
        options: Any = {"base_url": server.url, "decisions": "openai", "temperature": 0.5}
        lm = ol.LM("m", **options, extra={"prompt_cache_key": "k"}, cache=str(tmp_path / "c.db"))
        first, again = (lm.decide("x", {"q": "Is it?"}, tier="flex") for _ in range(2))
        assert len(server.requests) == 1
        assert server.requests[0].body["prompt_cache_key"] == "k"
        assert first.adaptations == tuple(
            f"{told} not sent: '/decisions' has no place for it" for told in ("temperature=0.5", "tier='flex'")
        )
        assert (again.cache, again.text, again.decisions) == ("hit", '{"q": true}', first.decisions)
        with pytest.raises(LMUnsupported, match="adapt='refuse': temperature=0.5 not sent"):
            ol.LM("m", **options, adapt="refuse", cache=False).decide("x", {"q": "Is it?"})


def test_models_that_decide_are_known_and_others_refuse():
    assert ol.LM("openai/gpt-6-luna", cache=False).capabilities.decisions
    assert not ol.LM("openai/gpt-5-mini", cache=False).capabilities.decisions
    with pytest.raises(LMUnsupported, match="answers no typed questions"):
        ask(ol.LM("m", base_url="http://127.0.0.1:9", cache=False))
    assert decisions_named("systemone") is SYSTEM_ONE
