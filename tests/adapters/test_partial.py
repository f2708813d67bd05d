"""Readers of replies in pieces: what they show is what is read in the end, however a reply was cut."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import outlast as ol
from outlast.adapters import Task
from outlast.adapters.partial_json import Growth
from outlast.adapters.showing import Showing
from outlast.errors import AnswerError
from outlast.lms.protocol import LM
from outlast.messages import Request, Response, StreamEvent, TextDelta, ToolCall, ToolDelta, events_of
from outlast.messages.progress import ProgramEvent
from outlast.runtime.watching import Channel, Sink
from outlast.signatures.codec import codecs

sys.path.insert(0, str(Path(__file__).parent / "corpus"))
from kinds import KINDS, inputs_of, rows, text_of

ADAPTERS: dict[str, Any] = {
    "chat": ol.Chat(reasks=0),
    "json": ol.JSON(reasks=0),
    "xml": ol.XML(reasks=0),
    "tools": ol.Tools(reasks=0),
}
CAN = ol.Capabilities(tools=True)


class Pet(BaseModel):
    name: str
    age: int


class Told(ol.Signature):
    """Tell."""

    question: str = ol.input()
    answer: str = ol.output()
    team: Literal["cards", "billing"] = ol.output()
    numbers: list[int] = ol.output()
    pets: list[Pet] = ol.output()
    note: str = ol.output(default="none")


class Cut(LM):
    """Gives one reply in the pieces that it was cut into."""

    name = "cut"
    blocking_safe = True
    capabilities = CAN

    def __init__(self, reply: Response, places: Sequence[int]) -> None:
        self.reply = reply
        self.places = places

    async def complete(self, request: Request) -> Response:
        return self.reply

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        for event in events_of(self.reply):
            if isinstance(event, TextDelta):
                for piece in cut(event.text, self.places):
                    yield TextDelta(piece)
            elif isinstance(event, ToolDelta):
                for piece in cut(event.arguments, self.places):
                    yield ToolDelta(event.index, event.id, event.name, piece)
            else:
                yield event


def cut(text: str, places: Sequence[int]) -> Iterator[str]:
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    for start, stop in pairwise(edges):
        yield text[start:stop]


def every(text: str) -> range:
    return range(len(text))


def streamed(program: ol.Predict[..., Any], reply: Response, places: Sequence[int], inputs: Any) -> list[ProgramEvent]:
    program = ol.update(program, {"lm": Cut(reply, places)})
    return list(program.stream(**inputs))


def last_shown(events: Sequence[ProgramEvent]) -> dict[str, str]:
    """The text of each field, of the attempt that counts."""
    found: dict[str, str] = {}
    for event in events:
        if isinstance(event, ol.Restarted):
            found = {}
        elif isinstance(event, ol.FieldDelta):
            found[event.field] = found.get(event.field, "") + event.text
    return found


def check(signature: Any, events: Sequence[ProgramEvent]) -> int:
    """The rules that hold for every stream with an answer; gives how often something was taken back."""
    answered = next(event for event in events if isinstance(event, ol.Answered))
    texts = last_shown(events)
    complete = {e.field: e.value for e in events if isinstance(e, ol.Partial) and e.complete}
    assert complete == dict(answered.values)
    for name, value in answered.values.items():
        codec = codecs(signature)[name]
        text = texts.get(name, "")
        if codec.style == "text":
            assert text.strip() == value.strip(), (name, text, value)
        else:
            assert value in read_in_any_way(codec, text), (name, text, value)
    attempts = [event.attempt for event in events if not isinstance(event, ol.Final)]
    assert attempts == sorted(attempts)
    return attempts[-1]


def read_in_any_way(codec: Any, text: str) -> list[Any]:
    found: list[Any] = []
    for read in (codec.read, lambda text: codec.read_data(json.loads(text)), codec.read_data):
        try:
            found.append(read(text))
        except (ValueError, RecursionError):
            continue
    return found


def outcome_of(call: Callable[[], Any]) -> Any:
    """What a call gives, or the text of its error."""
    try:
        return call()
    except AnswerError as error:
        return str(error)


def written(form: str, values: dict[str, Any]) -> Response:
    table = codecs(Told)
    if form in ("json", "tools"):
        text = json.dumps({name: table[name].dump(value) for name, value in values.items()}, ensure_ascii=False)
        return Response(text) if form == "json" else Response("", tool_calls=(ToolCall("c", "Told", text),))
    plan: Any = ADAPTERS[form].compile(Task(Told, "Tell."), CAN)
    return Response(
        plan.markers.answer([(name, plan.written_output(table[name], value)) for name, value in values.items()], "")
    )


VALUES: dict[str, Any] = {
    "answer": 'Two lines:\n\n  - one < two << three\n  - `code` & "quotes" \\ and 😀 end',
    "team": "cards",
    "numbers": [1, 20, 300],
    "pets": [Pet(name="Rex [a]", age=3), Pet(name='Mi"a', age=4)],
    "note": "**bold**",
}


@pytest.mark.parametrize("form", ADAPTERS)
def test_fields_come_as_they_are_written_and_lists_item_by_item(form: str) -> None:
    reply = written(form, VALUES)
    program = ol.Predict(Told, adapter=ADAPTERS[form])
    whole = reply.text or reply.tool_calls[0].arguments
    events = streamed(program, reply, every(whole), {"question": "x"})
    assert check(Told, events) == 0
    assert isinstance(events[-1], ol.Final)
    pieces = [event.text for event in events if isinstance(event, ol.FieldDelta) and event.field == "answer"]
    assert len(pieces) > 30
    assert "".join(pieces) == VALUES["answer"]
    lists = [e.value for e in events if isinstance(e, ol.Partial) and e.field == "pets"]
    assert lists[0] == VALUES["pets"][:1]
    assert lists[-1] == VALUES["pets"]
    assert next(event for event in events if isinstance(event, ol.FieldDelta)).text == "T"


@pytest.mark.parametrize("form", ADAPTERS)
def test_all_replies_of_the_corpus_show_what_is_read_however_they_are_cut(form: str) -> None:
    """Also those that are refused: they raise the same error, and nothing is `complete` that was not valid."""
    random = Random(form)
    restarts = answered = 0
    for row in rows():
        if row["form"] != form:
            continue
        signature = signature_of(row["signature"])
        program = ol.Predict(signature, adapter=ADAPTERS[form])
        reply = reply_of(row, form, signature)
        if len(reply.text) > 5_000:
            continue
        program = ol.update(program, {"lm": Cut(reply, ())})
        wanted = outcome_of(lambda: program(**inputs_of(row)))
        if isinstance(wanted, str):
            assert outcome_of(lambda: streamed(program, reply, every(reply.text), inputs_of(row))) == wanted
            continue
        for places in (every("x" * 5_000), (), [random.randrange(1_000) for _ in range(5)]):
            events = streamed(program, reply, places, inputs_of(row))
            assert isinstance(events[-1], ol.Final)
            assert events[-1].prediction == wanted
            restarts += check(signature, events)
            answered += 1
    assert answered > 100
    assert restarts < answered / 10, (restarts, answered)


def signature_of(name: str) -> Any:
    instruction, inputs, outputs = KINDS[name]
    kind: Any = ol.signature("-> placeholder").with_description(instruction)
    for field, type_ in inputs.items():
        kind = kind.append(field, type_, ol.input())
    for field, type_ in outputs.items():
        kind = kind.append(field, type_, ol.output())
    return kind.delete("placeholder")


def reply_of(row: dict[str, Any], form: str, signature: Any) -> Response:
    finish = row.get("finish", "stop")
    if form != "tools":
        return Response(text_of(row["raw"]), finish=finish)
    tool = ADAPTERS[form].compile(Task(signature, ""), CAN).name
    text = "".join(text_of(raw) for kind, raw, *_ in row["raw"] if kind == "text")
    made = [(raw, *name) for kind, raw, *name in row["raw"] if kind == "call"]
    calls = tuple(
        ToolCall(f"call_{at}", name[0] if name else tool, text_of(raw)) for at, (raw, *name) in enumerate(made)
    )
    return Response(text, finish=finish, tool_calls=calls)


BITS = st.sampled_from(
    [
        "<<answer>>",
        "<<end>>",
        "<<",
        "<",
        ">>",
        "<<ans",
        "<answer>",
        "</answer>",
        "</ans",
        "```",
        "```json",
        "\n",
        "\n\n",
    ]
    + ["  ", "\t", "**", "- ", '"', "\\", "\\n", "&lt;", "&", "{", "}", "[", "]", ",", ":", "word", "<<note>>", "😀"]
    + ["<think>", "</think>", "<<unknown>>", "Sure:", "1.", "#", "<note>", "\ud83d", "é"]
)


@settings(max_examples=300, deadline=None)
@given(
    form=st.sampled_from(list(ADAPTERS)),
    bits=st.lists(BITS, max_size=12),
    note=st.lists(BITS, max_size=6),
    before=st.lists(BITS, max_size=3),
    after=st.lists(BITS, max_size=3),
    places=st.lists(st.integers(0, 400), max_size=60),
)
def test_what_is_shown_last_is_what_is_read(
    form: str, bits: list[str], note: list[str], before: list[str], after: list[str], places: list[int]
) -> None:
    values = {**VALUES, "answer": "".join(bits).strip() or "x", "note": "".join(note).strip() or "y"}
    reply = written(form, values)
    if reply.text:
        reply = Response("".join(before) + reply.text + "".join(after))
    program = ol.Predict(Told, adapter=ADAPTERS[form])
    try:
        events = streamed(program, reply, places, {"question": "x"})
    except AnswerError:
        return
    check(Told, events)


@settings(max_examples=200, deadline=None)
@given(
    form=st.sampled_from(["chat", "json", "xml"]),
    bits=st.lists(BITS, max_size=40),
    places=st.lists(st.integers(0, 400)),
)
def test_whatever_a_model_writes_is_read_the_same_in_pieces(form: str, bits: list[str], places: list[int]) -> None:
    reply = Response("".join(bits))
    program = ol.Predict("question -> answer, note", adapter=ADAPTERS[form])
    wanted = outcome_of(lambda: ol.update(program, {"lm": Cut(reply, ())})(question="x"))
    events = outcome_of(lambda: streamed(program, reply, places, {"question": "x"}))
    if isinstance(wanted, str):
        assert events == wanted
        return
    check(program.signature, events)
    assert events[-1].prediction == wanted


@pytest.mark.parametrize("form", ["chat", "xml"])
def test_no_half_marker_is_ever_shown(form: str) -> None:
    reply = written(form, VALUES)
    program = ol.Predict(Told, adapter=ADAPTERS[form])
    for stop in range(len(reply.text)):
        shown = ""
        try:
            for event in ol.update(
                program, {"lm": Cut(Response(reply.text[:stop], finish="length"), range(stop))}
            ).stream(question="x"):
                shown += event.text if isinstance(event, ol.FieldDelta) and event.field == "answer" else ""
        except AnswerError:
            assert VALUES["answer"].startswith(shown)


@pytest.mark.parametrize("form", ADAPTERS)
@pytest.mark.parametrize(
    "flood",
    ["word ", "<<", "<", " \n", "\\", '"', "[", "```\n", "**", "<<answer", "&", "{", "- ", "<answer ", "\\u00e9"],
)
def test_a_long_reply_takes_linear_time(form: str, flood: str) -> None:
    """A megabyte in pieces of four characters; the quadratic way would take hours."""
    plan: Any = ADAPTERS[form].compile(Task(Told, "Tell."), CAN)
    call = plan.prepare({"question": "x"})
    opening = {"chat": "<<answer>>\n", "xml": "<answer>"}.get(form, '{"answer": "')
    text = opening + flood * (200_000 // len(flood))
    began = time.process_time()
    showing = Showing(Sink(Channel()), "", 0, Told)
    showing._reader = call.partial()
    for start in range(0, len(text), 4):
        showing._show(
            ToolDelta(0, "", "Told", text[start : start + 4]) if form == "tools" else TextDelta(text[start : start + 4])
        )
    assert time.process_time() - began < 5


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_growth_gives_the_parts_that_are_whole(size: int) -> None:
    data = [{"a": 'x]},\\"'}, [1, [2, "]"]], 'text, " more', 5, None, {}]
    text = "```json\n" + json.dumps(data, indent=1) + "\n```"
    growth = Growth(pairs=False)
    seen: list[int] = []
    for start in range(0, len(text), size):
        growth.feed(text[start : start + size])
        seen.append(len(growth.parts))
    assert growth.parts == data
    assert growth.ended
    assert size > 3 or sorted(set(seen)) == list(range(7))
    pairs = Growth(pairs=True)
    for piece in cut('{"a": {"b": [1, 2]}, "c": "}", "d": 5', range(0, 40, size)):
        pairs.feed(piece)
    assert pairs.parts == [("a", {"b": [1, 2]}), ("c", "}")]
