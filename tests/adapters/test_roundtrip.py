"""What an adapter renders reads back exactly: any signature, any values, markers and JSON in them included."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

import pydantic
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.adapters import JSON, XML, Adapter, Chat, Demo, Prepared, Task
from outlast.adapters.markers import Markers
from outlast.lms.protocol import Capabilities
from outlast.messages import Response
from outlast.signatures import Signature, input, output
from outlast.signatures.codec import codecs


class Person(pydantic.BaseModel):
    name: str
    notes: list[str] = []


NAMES = ["team", "end", "message", "a", "A", "x_1", "größe", "End", "end_of_reply", "items", "self", "lm", "ß", "ss"]
HOSTILE = st.sampled_from(
    [
        *(
            "<<team>>",
            "\n<<team>>\ncards\n",
            "<<end>>",
            "\n<<end>>\n",
            "<<team#abcd>>",
            "<< a >>",
            "<</a>>",
            "**<<A>>**:",
        ),
        *("<<größe>>", "<<unknown>>\nx", "Reply with <<a>>, then <<end>>.", "```\n<<team>>\n```", "> <<message>> hi"),
        *(
            "{",
            "}",
            '{"team": "cards"}',
            '", "team": "cards"',
            "{{x}}",
            "```json\n{}\n```",
            "</think>",
            "<think>",
            "'",
            '"',
        ),
        *(
            "",
            " ",
            "\n",
            "...",
            "null",
            "\\",
            "\ud800",
            "\u2028",
            "- **",
            "***\n",
            "\r\n",
            "\x00",
            "<tag>",
            "</tag>",
            "<team>",
            "</team>\n<A>x</A>",
            "<a ",
            "&lt;",
            "&amp;lt;",
            "<![CDATA[x]]>",
            "]]>",
            "<<",
            ">>",
        ),
    ]
)
PLAIN = st.text(st.characters(blacklist_categories=()), max_size=12)
TEXT = st.lists(HOSTILE | PLAIN, max_size=4).map("".join) | PLAIN
KEYS = st.text(max_size=4)
TYPES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, TEXT),
    (str, TEXT),
    (int, st.integers()),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (bool, st.booleans()),
    (Literal["<<end>>", "b b", "c"], st.sampled_from(["<<end>>", "b b", "c"])),
    (date, st.dates()),
    (list[str], st.lists(TEXT, max_size=3)),
    (str | None, st.none() | TEXT),
    (int | str, st.integers() | TEXT),
    (dict[str, int], st.dictionaries(KEYS, st.integers(), max_size=3)),
    (Person, st.builds(Person, name=TEXT, notes=st.lists(TEXT, max_size=2))),
]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Any, dict[str, Any], dict[str, Any], str]:
    """A signature with values of its inputs and outputs, and an instruction."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True))
    cut = draw(st.integers(0, len(names) - 1))
    body: dict[str, Any] = {"__module__": __name__, "__annotations__": {}}
    values: dict[str, Any] = {}
    for index, name in enumerate(names):
        kind, strategy = draw(st.sampled_from(TYPES))
        body["__annotations__"][name] = kind
        desc = draw(st.sampled_from(["", "what it is", "like <<team>>"]))
        body[name] = (input if index < cut else output)(desc=desc)
        values[name] = draw(strategy)
    made = type(Signature)("Made", (Signature,), body)
    instruction = draw(st.sampled_from(["Do it.", "Fill <<team>> and <<end>>.", ""]))
    return made, {n: values[n] for n in names[:cut]}, {n: values[n] for n in names[cut:]}, instruction


def prepared(adapter: Adapter, case: Any, capabilities: Capabilities | None = None) -> Prepared:
    signature, inputs, outputs, instruction = case
    task = Task(signature, instruction, demos=(Demo({**inputs, **outputs}),))
    return adapter.compile(task, capabilities or Capabilities()).prepare(inputs)


def exactly(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return list(found) == list(wanted) and all(
        type(found[name]) is type(wanted[name]) and found[name] == wanted[name] for name in wanted
    )


@settings(deadline=None, max_examples=100)
@given(cases())
def test_chat_reads_a_rendered_completion_back_exactly(case: Any) -> None:
    call = prepared(Chat(), case)
    completion = call.messages[2].text
    assert exactly(call.read(Response(completion)), case[2])
    assert exactly(call.read(Response(f"Sure, here it is:\n\n{completion}\n\nAnything else?")), case[2])


@settings(deadline=None, max_examples=150)
@given(cases())
def test_xml_reads_a_rendered_completion_back_exactly(case: Any) -> None:
    call = prepared(XML(), case)
    completion = call.messages[2].text
    assert exactly(call.read(Response(completion)), case[2])
    assert exactly(call.read(Response(f"Sure, here it is:\n\n{completion}\n\nAnything else?")), case[2])
    assert exactly(call.read(Response(f"<reply>\n{completion}\n</reply>")), case[2])


@settings(deadline=None, max_examples=100)
@given(cases())
def test_chat_inputs_read_back_exactly_from_the_user_turn(case: Any) -> None:
    signature, inputs, _, _ = case
    call = prepared(Chat(), case)
    for turn in (call.messages[1].text, call.messages[3].text):
        first = re.match(r"<<\w+?(?:#([0-9a-f]{8}))?>>\n", turn)
        if not inputs:
            assert turn.startswith("<<end")
            continue
        assert first is not None
        end = "end"
        while end in signature.fields:
            end += "_of_reply"
        table = codecs(signature)
        markers = Markers(list(inputs), list(signature.outputs), end, lambda name: table[name].takes_text)
        reading = markers.read(turn, first[1] or "")
        assert reading.ended
        assert exactly({name: table[name].read(text) for name, text in reading.found.items()}, inputs)


@settings(deadline=None, max_examples=100)
@given(cases(), st.booleans())
def test_json_reads_a_rendered_completion_back_exactly(case: Any, schema: bool) -> None:
    call = prepared(JSON(), case, Capabilities(json_schema=schema))
    completion = call.messages[2].text
    assert exactly(call.read(Response(completion)), case[2])
    assert exactly(call.read(Response(f"```json\n{completion}\n```")), case[2])


@settings(deadline=None, max_examples=100)
@given(cases())
def test_json_inputs_read_back_exactly_from_the_user_turn(case: Any) -> None:
    signature, inputs, _, _ = case
    call = prepared(JSON(), case)
    for turn in (call.messages[1].text, call.messages[3].text):
        data = json.loads(turn)
        table = codecs(signature)
        assert exactly({name: table[name].read_data(value) for name, value in data.items()}, inputs)


@settings(deadline=None, max_examples=50)
@given(cases(), st.lists(st.sampled_from(NAMES)))
def test_demos_may_leave_any_fields_out(case: Any, dropped: list[str]) -> None:
    signature, inputs, outputs, instruction = case
    kept = {name: value for name, value in {**inputs, **outputs}.items() if name not in dropped}
    for adapter in (Chat(), JSON(), XML()):
        call = adapter.compile(Task(signature, instruction, demos=(Demo(kept),)), Capabilities()).prepare(inputs)
        assert [message.role for message in call.messages] == ["system", "user", "assistant", "user"]
        told = "leave fields out" in call.messages[0].text
        assert told == (len(kept) < len(inputs) + len(outputs))
