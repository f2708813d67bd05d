# ruff: noqa: E501 - one reply a line
"""A corpus of replies as models write them: each is read right or refused, none is read wrong."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

from outlast.adapters import JSON, Chat, Prepared, Task
from outlast.errors import ParseError
from outlast.lms.protocol import Capabilities
from outlast.messages import FinishReason, Response
from outlast.signatures import Signature, input, output, signature


class Triage(Signature):
    """Route the message."""

    message: str = input()
    reasoning: str = output()
    team: Literal["billing", "cards", "lost_card"] = output()
    urgency: int = output(ge=1, le=5)


class Note(Signature):
    """Write."""

    topic: str = input()
    title: str = output()
    text: str = output()


class Extract(Signature):
    """Extract."""

    text: str = input()
    names: list[str] = output()
    total: float | None = output()
    version: str = output(default="none given")


SIGNATURES = {
    "triage": (Triage, {"message": "I lost it"}),
    "note": (Note, {"topic": "tea"}),
    "extract": (Extract, {"text": "x"}),
    "answer": (signature("question -> answer"), {"question": "q?"}),
    "label": (signature("text -> label: Literal['yes', 'no']"), {"text": "t"}),
    "items": (signature("text -> items: list[int]"), {"text": "t"}),
}


def call(adapter: Chat | JSON, name: str) -> Prepared:
    kind, inputs = SIGNATURES[name]
    return adapter.compile(Task(kind, kind.description), Capabilities()).prepare(inputs)


GOOD = {"reasoning": "They lost it.", "team": "lost_card", "urgency": 4}
TEA = {"title": "Tea", "text": "Tea is hot."}

CHAT: list[tuple[str, str, dict[str, Any] | str]] = [
    # as asked
    ("triage", "<<reasoning>>\nThey lost it.\n\n<<team>>\nlost_card\n\n<<urgency>>\n4\n\n<<end>>", GOOD),
    # values on the markers' lines
    ("triage", "<<reasoning>> They lost it.\n<<team>> lost_card\n<<urgency>> 4\n<<end>>", GOOD),
    ("triage", "<<reasoning>>: They lost it.\n<<team>>: lost_card\n<<urgency>>: 4\n<<end>>", GOOD),
    ("triage", "<<reasoning>> They lost it. <<team>> lost_card <<urgency>> 4 <<end>>", GOOD),
    ("triage", "Here: <<reasoning>> They lost it. <<team>> lost_card <<urgency>> 4", GOOD),
    ("note", "<<title>> Tea <<text>> Tea is hot. <<end>>", TEA),
    ("note", "<<title>> Tea\n<<text>> Tea is hot. <<end>> Bye!", TEA),
    # end marker
    ("triage", "<<reasoning>>\nThey lost it.\n<<team>>\nlost_card\n<<urgency>>\n4", GOOD),
    ("triage", "<<reasoning>>\nThey lost it.\n<<end>>\n<<team>>\nlost_card\n<<end>>\n<<urgency>>\n4\n<<end>>", GOOD),
    ("note", "<<title>>\nTea\n<<text>>\nTea is hot.\n<<end>>\n\n<<topic>>\ncoffee\n<<end>>\n<<title>>\nCoffee", TEA),
    ("note", "<<title>>\nTea\n<<text>>\nTea is hot.\n<<end>>\nI hope this helps!", TEA),
    ("note", "<<end>>\n<<title>>\nTea\n<<text>>\nTea is hot.\n<<end>>", TEA),
    # decoration and spelling of markers
    ("triage", "**<<reasoning>>**\nThey lost it.\n\n**<<team>>**\nlost_card\n\n**<<urgency>>** 4\n\n**<<end>>**", GOOD),
    ("triage", "**<<reasoning>>:** They lost it.\n**<<team>>:** lost_card\n**<<urgency>>:** 4", GOOD),
    ("triage", "### <<reasoning>>\nThey lost it.\n### <<team>>\nlost_card\n### <<urgency>>\n4", GOOD),
    ("triage", "- <<reasoning>> They lost it.\n- <<team>> lost_card\n- <<urgency>> 4", GOOD),
    ("triage", "1. <<reasoning>> They lost it.\n2. <<team>> lost_card\n3. <<urgency>> 4", GOOD),
    ("triage", "> <<reasoning>>\nThey lost it.\n> <<team>>\nlost_card\n> <<urgency>>\n4", GOOD),
    ("triage", "`<<reasoning>>`\nThey lost it.\n`<<team>>`\nlost_card\n`<<urgency>>`\n4\n`<<end>>`", GOOD),
    ("triage", "<< reasoning >>\nThey lost it.\n<<  team>>\nlost_card\n<<urgency >>\n4\n<< end >>", GOOD),
    ("triage", "<<Reasoning>>\nThey lost it.\n<<TEAM>>\nlost_card\n<<Urgency>>\n4\n<<END>>", GOOD),
    ("triage", "<<<reasoning>>>\nThey lost it.\n<<<team>>>\nlost_card\n<<<urgency>>>\n4", GOOD),
    ("triage", "<<reasoning>>They lost it.<</reasoning>>\n<<team>>lost_card<</team>>\n<<urgency>>4<</urgency>>", GOOD),
    ("triage", "\r\n<<reasoning>>\r\nThey lost it.\r\n<<team>>\r\nlost_card\r\n<<urgency>>\r\n4\r\n<<end>>\r\n", GOOD),
    # fences
    ("triage", "```\n<<reasoning>>\nThey lost it.\n<<team>>\nlost_card\n<<urgency>>\n4\n<<end>>\n```", GOOD),
    ("note", "```\n<<title>>\nTea\n<<text>>\nTea is hot.\n```", TEA),
    ("note", "<<title>>\nTea\n<<text>>\n```\ncode\n```\n<<end>>", {"title": "Tea", "text": "```\ncode\n```"}),
    ("extract", '<<names>>\n```json\n["a", "b"]\n```\n<<total>>\n```\n3\n```\n<<end>>',
     {"names": ["a", "b"], "total": 3.0, "version": "none given"}),
    # prose and order
    ("triage", "Sure! Here is my reply.\n\n<<reasoning>>\nThey lost it.\n<<team>>\nlost_card\n<<urgency>>\n4\n<<end>>", GOOD),
    ("triage", "<<urgency>>\n4\n<<team>>\nlost_card\n<<reasoning>>\nThey lost it.\n<<end>>", GOOD),
    ("triage", "<think>\n<<team>> billing?\nNo.\n</think>\n<<reasoning>>\nThey lost it.\n<<team>>\nlost_card\n<<urgency>>\n4", GOOD),
    ("triage", "Hm, cards?\n</think>\n<<reasoning>>\nThey lost it.\n<<team>>\nlost_card\n<<urgency>>\n4\n<<end>>", GOOD),
    ("triage", "<<message>>\nI lost it\n\n<<end>>\n\nReply with <<reasoning>>, <<team>>, <<urgency>>, then <<end>>.\n\n"
     "<<reasoning>>\nThey lost it.\n<<team>>\nlost_card\n<<urgency>>\n4\n<<end>>", GOOD),
    ("triage", "Reply with <<reasoning>>, <<team>>, <<urgency>>, then <<end>>.\n<<reasoning>>\nThey lost it.\n<<team>>\n"
     "lost_card\n<<urgency>>\n4\n<<end>>", GOOD),
    # sloppy values
    ("triage", "<<reasoning>>\nThey lost it.\n<<team>>\n**Lost Card.**\n<<urgency>>\n**4**\n<<end>>", GOOD),
    ("triage", '<<reasoning>>\n"They lost it."\n<<team>>\n"lost_card"\n<<urgency>>\n"4"\n<<end>>', GOOD),
    ("triage", "<<reasoning>>\nThey lost it.\n<<team>>\nlost_card\n<<urgency>>\n4\n\nLet me know!", "urgency"),
    ("extract", "<<names>>\n['a', 'b',]\n<<total>>\nNone\n<<version>>\n1.10\n<<end>>",
     {"names": ["a", "b"], "total": None, "version": "1.10"}),
    ("extract", "<<names>>\n[]\n<<total>>\n\n<<version>>\n\n<<end>>", {"names": [], "total": None, "version": ""}),
    # markers mentioned in text
    ("triage", "<<reasoning>>\nThe <<team>> should be fast.\nThey lost it.\n<<team>>\nlost_card\n<<urgency>>\n4\n<<end>>",
     {**GOOD, "reasoning": "The <<team>> should be fast.\nThey lost it."}),
    ("note", "<<title>>\nThe <<text>> marker and <<end>>\n<<text>>\nIt is <<end>> odd.\n<<end>>",
     {"title": "The <<text>> marker and <<end>>", "text": "It is <<end>> odd."}),
    ("note", "<<title>>\nI will write the <<text>> later", "middle of a sentence"),
    ("note", "I do not know what <<title>> or <<text>> mean", "middle of a sentence"),
    ("note", "<<title>>\nTea\n<<text>>\nDear all,\n<<name>>\nis here.\n<<end>>", "the marker of no output"),
    ("note", '<<title>>\nTea\n<<text>>\n"Dear all,\\n<<name>>\\nis here."\n<<end>>',
     {"title": "Tea", "text": "Dear all,\n<<name>>\nis here."}),
    ("note", "<<title>>\nTea\n<<text>>\nDear <<name>>, hi.\n<<end>>", {"title": "Tea", "text": "Dear <<name>>, hi."}),
    # fields that nobody asked for
    ("triage", "<<reasoning>> They lost it.\n<<team>>\nlost_card\n<<confidence>>\n0.9\n<<urgency>>\n4\n<<end>>", GOOD),
    ("triage", "<<thoughts>>\nhm\n<<reasoning>>\nThey lost it.\n<<team>>\nlost_card\n<<urgency>>\n4\n<<note>>\nx\n<<end>>", GOOD),
    ("note", "<<title>>\nTea\n<<subtitle>>\nHot\n<<text>>\nTea is hot.\n<<end>>", "the marker of no output"),
    ("note", "<<title>>\nTea\n<<text>>\nTea is hot.\n<<topic>>\ncoffee\n", "the marker of no output"),
    # JSON instead
    ("triage", json.dumps(GOOD), GOOD),
    ("triage", f"```json\n{json.dumps(GOOD, indent=2)}\n```", GOOD),
    ("triage", f"Here is the JSON:\n{json.dumps(GOOD)}\nDone.", GOOD),
    ("triage", "{'reasoning': 'They lost it.', 'team': 'Lost Card', 'urgency': '4',}", GOOD),
    ("triage", '{"team": "lost_card"}', "reasoning: the key is missing"),
    # a bare value where one is asked for
    ("answer", "Paris", {"answer": "Paris"}),
    ("answer", "<think>Rome? No.</think>Paris", {"answer": "Paris"}),
    ("answer", "Rome? No.</think>\nParis", {"answer": "Paris"}),
    ("answer", '{"answer": "Paris"}', {"answer": "Paris"}),
    ("answer", 'Use {"answer": 42} here.', {"answer": 'Use {"answer": 42} here.'}),
    ("answer", "<<answer>>Paris", {"answer": "Paris"}),
    ("answer", "The answer is: <<answer>> Paris", {"answer": "Paris"}),
    ("answer", "<<answer>>\n\n<<end>>", "is empty"),
    ("label", "Yes.", {"label": "yes"}),
    ("label", "**No**", {"label": "no"}),
    ("label", "I think yes", "must be one of"),
    ("items", "[1, 2]", {"items": [1, 2]}),
    ("items", "The items are [1, 2].", {"items": [1, 2]}),
    ("items", "```json\n[1, 2]\n```", {"items": [1, 2]}),
    # never right
    ("triage", "", "empty"),
    ("triage", " \n\t ", "empty"),
    ("triage", "I'm sorry, but I can't help with that.", "no marker"),
    ("triage", "Team: lost_card\nUrgency: 4", "no marker"),
    ("triage", "<team>lost_card</team>", "no marker"),
    ("triage", "<<reasoning>>\nThey lost it.\n<<urgency>>\n4\n<<end>>", "team: the marker is missing"),
    ("triage", "<<reasoning>>\nThey lost it.\n<<team>>\ncards or billing\n<<urgency>>\n4\n<<end>>", "team: must be one of"),
    ("triage", "<<reasoning>>\nThey lost it.\n<<team>>\ncards\n<<urgency>>\n9\n<<end>>", "less than or equal to 5"),
    ("triage", "<<reasoning>>\nhm\n<<team>>\ncards\n<<urgency>>\nvery\n<<end>>", "urgency:"),
    ("triage", "<<reasoning>>\nhm\n<<team>>\ncards\n<<team>>\nbilling\n<<urgency>>\n4\n<<end>>", "team: is given more than once"),
    ("triage", "<<reasoning>>\n...\n<<team>>\n...\n<<urgency>>\n...\n<<end>>", "placeholder"),
    ("note", "<<title>>\nTea\n<<text>>\n...\n<<end>>", "placeholder"),
    ("triage", "<<message>>\nI lost it\n<<end>>", "no marker of an output"),
    ("answer", "<think>Rome? No, wait", "nothing after the thinking"),
    ("triage", "<<end>>", "no marker of an output"),
    ("triage", "<<reasoning>> a <<team>> cards <<urgency>> 4 <<team>> billing", "more than once"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "reply", "expected"), CHAT)
def test_chat_reads_or_refuses(name: str, reply: str, expected: dict[str, Any] | str) -> None:
    check(call(Chat(), name), reply, expected)


def check(prepared: Prepared, reply: str, expected: dict[str, Any] | str, finish: FinishReason = "stop") -> None:
    if isinstance(expected, dict):
        found = prepared.read(Response(reply, finish=finish))
        assert found == expected
        assert [type(value) for value in found.values()] == [type(expected[name]) for name in found]
    else:
        with pytest.raises(ParseError) as caught:
            prepared.read(Response(reply, "m", finish=finish))
        assert expected in str(caught.value)
        assert caught.value.for_model.startswith("Your reply could not be used:")
        assert "Reply " in caught.value.for_model


OBJECT = {"reasoning": "They lost it.", "team": "lost_card", "urgency": 4}

JSONS: list[tuple[str, str, dict[str, Any] | str]] = [
    ("triage", json.dumps(OBJECT), OBJECT),
    ("triage", "\ufeff" + json.dumps(OBJECT), OBJECT),
    ("triage", json.dumps(OBJECT, indent=4), OBJECT),
    ("triage", f"```json\n{json.dumps(OBJECT)}\n```", OBJECT),
    ("triage", f"```\n{json.dumps(OBJECT)}\n```", OBJECT),
    ("triage", f"Sure:\n```json\n{json.dumps(OBJECT)}\n```\nThat is it.", OBJECT),
    ("triage", f"Sure: {json.dumps(OBJECT)} That is it.", OBJECT),
    ("triage", f"<think>{{}}</think>{json.dumps(OBJECT)}", OBJECT),
    ("triage", json.dumps(json.dumps(OBJECT)), OBJECT),
    ("triage", f"[{json.dumps(OBJECT)}]", OBJECT),
    ("triage", json.dumps({"message": "I lost it"}) + "\n" + json.dumps(OBJECT), OBJECT),
    ("triage", json.dumps({"message": "I lost it"}) + json.dumps(OBJECT), OBJECT),
    ("triage", json.dumps({**OBJECT, "extra": 1}), OBJECT),
    ("triage", json.dumps({"Reasoning": "They lost it.", "Team": "lost_card", "URGENCY": 4}), OBJECT),
    ("triage", json.dumps({**OBJECT, "urgency": "4"}), OBJECT),
    ("triage", json.dumps({**OBJECT, "team": "Lost Card"}), OBJECT),
    ("triage", "{'reasoning': 'They lost it.', 'team': 'lost_card', 'urgency': 4}", OBJECT),
    ("triage", "{reasoning: 'They lost it.', team: 'lost_card', urgency: 4,}", OBJECT),
    ("triage", '{"reasoning": "They lost it.", "team": "lost_card", // sure\n"urgency": 4}', OBJECT),
    ("triage", '{"reasoning": "They\nlost it.", "team": "lost_card", "urgency": 4}', {**OBJECT, "reasoning": "They\nlost it."}),
    ("triage", '{"reasoning": "They said "lost" it.", "team": "lost_card", "urgency": 4}',
     {**OBJECT, "reasoning": 'They said "lost" it.'}),
    ("triage", 'By \\frac{1}{2} and {x}: {"reasoning": "They lost it.", "team": "lost_card", "urgency": 4}', OBJECT),
    ("triage", '{"team": "cards"}\n' + json.dumps(OBJECT), OBJECT),
    ("extract", '{"names": ["a"], "total": null, "version": 1.10}', {"names": ["a"], "total": None, "version": "1.10"}),
    ("extract", '{"names": ["a"], "total": 3, "version": null}', {"names": ["a"], "total": 3.0, "version": "none given"}),
    ("extract", "{'names': ['a'], 'total': None}", {"names": ["a"], "total": None, "version": "none given"}),
    ("answer", '{"answer": 42}', {"answer": "42"}),
    ("answer", '{"answer": "a {b} \\"c\\""}', {"answer": 'a {b} "c"'}),
    # never right
    ("triage", "", "empty"),
    ("triage", "I cannot do that.", "no JSON object"),
    ("triage", "{}", "no JSON object"),
    ("triage", '{"result": {"team": "cards"}}', "no JSON object"),
    ("triage", '["a"]', "no JSON object"),
    ("triage", "<<team>>\ncards", "no JSON object"),
    ("triage", '{"reasoning": "x", "team": "cards"}', "urgency: the key is missing"),
    ("triage", '{"reasoning": "x", "team": "cards", "urgency": "5 stars"}', "urgency:"),
    ("triage", '{"reasoning": "x", "team": "cards", "urgency": true}', "urgency:"),
    ("triage", '{"reasoning": "x", "team": "cards", "urgency": NaN}', "urgency:"),
    ("triage", '{"reasoning": "x", "team": ["cards"], "urgency": 1}', "team:"),
    ("triage", '{"reasoning": null, "team": "cards", "urgency": 1}', "reasoning:"),
    ("triage", '{"reasoning": "x", "team": "cards", "urgency": 3', "broken or not closed"),
    ("triage", '{"reasoning": "x", "team": "cards", "urgency": 1} {"reasoning": "y", "team": "cards", "urgency": 1}', "several"),
    ("triage", json.dumps(OBJECT) + " or {'team': 'cards", "several"),
    ("triage", '{"team": "cards", "Team": "billing", "reasoning": "x", "urgency": 1}', "more than once"),
    ("triage", "{'team': 'cards', 'team': 'billing', 'reasoning': 'x', 'urgency': 1}", "more than once"),
    ("triage", '{"reasoning": "He said "team": "cards"", "team": "billing", "urgency": 1}', "more than once"),
    ("answer", '{"answer": true}', "answer:"),
    ("answer", "Paris", "no JSON object"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "reply", "expected"), JSONS)
def test_json_reads_or_refuses(name: str, reply: str, expected: dict[str, Any] | str) -> None:
    check(call(JSON(), name), reply, expected)


CUT: list[tuple[Chat | JSON, str, str, dict[str, Any] | str]] = [
    (Chat(), "triage", "<<reasoning>>\nThey lost it.\n<<team>>\nlost_card\n<<urgency>>\n4", "cut off"),
    (Chat(), "triage", "<<reasoning>>\nThey lost it.\n<<team>>\nlost_card\n<<urgency>>\n4\n<<end>>", GOOD),
    (Chat(), "triage", "<<reasoning>>\nThey lost", "cut off"),
    (Chat(), "triage", "", "cut off"),
    (Chat(), "answer", "Par", "cut off"),
    (JSON(), "triage", json.dumps(OBJECT), OBJECT),
    (JSON(), "triage", json.dumps(OBJECT)[:-2], "cut off"),
    (JSON(), "triage", "{'reasoning': 'x', 'team': 'cards', 'urgency': 4}", "cut off"),
    (JSON(), "triage", f"So {json.dumps(OBJECT)} and", "cut off"),
    (JSON(), "triage", "", "cut off"),
]


@pytest.mark.parametrize(("adapter", "name", "reply", "expected"), CUT)
def test_a_reply_cut_off_is_used_only_when_it_is_whole(
    adapter: Chat | JSON, name: str, reply: str, expected: dict[str, Any] | str
) -> None:
    check(call(adapter, name), reply, expected, "length")


@pytest.mark.parametrize("adapter", [Chat(), JSON()])
def test_a_reply_stopped_by_a_filter_is_final(adapter: Chat | JSON) -> None:
    with pytest.raises(ParseError, match="content filter") as caught:
        call(adapter, "triage").read(Response("", finish="content_filter"))
    assert caught.value.final


def test_the_corpus_is_large() -> None:
    assert len(CHAT) >= 60
    assert len(JSONS) >= 40
