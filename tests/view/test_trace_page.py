"""What the page of a trace is made of: the tree, the waterfall, and conversations without repetition."""

from __future__ import annotations

import pytest

from outlast.tracing.record import Content, SpanRecord, TraceRecord
from outlast.view.conversation import Reader
from outlast.view.pages.trace import _ticks, shown_steps, steps_of
from outlast.view.wording import duration
from tests.view.samples import _id, sample_records


def span(id: str, parent: str = "", at: float = 0.0, seconds: float | None = 1.0, kind: str = "module") -> SpanRecord:
    return SpanRecord(id, "t", parent, kind, id, started=100.0 + at, seconds=seconds)


def test_the_tree_is_in_order_and_has_depth() -> None:
    steps = steps_of(
        TraceRecord("t", started=100.0, seconds=4.0),
        [span("a", seconds=4.0), span("b", "a"), span("c", "b", 0.2), span("d", "a", 2.0)],
    )
    assert [(step.span.id, step.depth) for step in steps] == [("a", 0), ("b", 1), ("c", 2), ("d", 1)]
    assert [(step.left, step.width) for step in steps] == [(0, 100), (0, 25), (5, 25), (50, 25)]


def test_spans_without_a_parent_and_in_a_circle_do_not_hang_it() -> None:
    steps = steps_of(
        TraceRecord("t", started=100.0), [span("a", "lost"), span("b", "b"), span("c", "d"), span("d", "c")]
    )
    assert [step.span.id for step in steps[:2]] == ["a", "b"]


def test_a_step_that_goes_on_reaches_to_the_end() -> None:
    steps = steps_of(TraceRecord("t", started=100.0), [span("a", at=0, seconds=4.0), span("b", "a", 3.0, None)])
    assert steps[1].left + steps[1].width == 100


@pytest.mark.parametrize("seconds", [1e-9, 0.0004, 0.03, 0.9, 1.0, 7.9, 10.0, 59.0, 3600.0, 1e6])
def test_the_axis_has_a_few_round_times(seconds: float) -> None:
    ticks = _ticks(seconds)
    assert 1 <= len(ticks) <= 6
    assert all(0 < place < 100 for _, place in ticks)


@pytest.mark.parametrize("seconds", [0.00003, 0.0004, 0.0021, 0.03, 0.9])
def test_the_times_of_the_axis_can_be_told_apart(seconds: float) -> None:
    said = [duration(at) for at, _ in _ticks(seconds)]
    assert len(set(said)) == len(said)
    assert "0 ms" not in said


def message(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def test_what_was_said_before_is_folded() -> None:
    reader = Reader.of([])
    first = reader.read(Content(request={"messages": [message("system", "s"), message("user", "a")]}))
    assert (len(first.earlier), [turn.role for turn in first.turns]) == (0, ["system", "user"])
    again = reader.read(Content(request={"messages": [message("system", "s"), message("user", "b")]}))
    assert ([turn.role for turn in again.earlier], [turn.role for turn in again.turns]) == (["system"], ["user"])
    same = reader.read(Content(request={"messages": [message("system", "s"), message("user", "b")]}))
    assert [turn.role for turn in same.turns] == ["user"]  # the question stands in the open


def test_a_call_has_its_result_beside_it_wherever_that_is() -> None:
    records = sample_records()
    exchanges = [
        records.contents[one.id] for one in records.spans if one.trace_id == _id(1042, "e") and one.kind == "lm"
    ]
    reader = Reader.of(exchanges)
    talks = [reader.read(one) for one in exchanges]
    answer = talks[0].answer
    assert answer is not None
    assert "Bakery Lund" in (answer.calls[0].result or "")
    assert [turn.role for turn in talks[1].turns] == ["assistant"]  # the tool's message is inside the call
    assert not talks[1].turns[0].calls[0].failed


def test_a_tool_message_without_its_call_is_shown() -> None:
    part = {"type": "tool_result", "id": "x", "text": "lost"}
    talk = Reader.of([]).read(Content(request={"messages": [{"role": "tool", "content": [part]}]}))
    assert "lost" in talk.turns[0].parts[0]


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"messages": None},
        {"messages": ["x", 3]},
        {"messages": [{"role": 3, "content": 4}]},
        {"messages": [{"content": [1]}], "tools": "x", "settings": []},
    ],
)
def test_content_of_no_known_form_is_borne(request_: dict[str, object]) -> None:
    assert (
        Reader.of([Content(request=request_)])
        .read(Content(request=request_, response={"tool_calls": [1, [2]], "text": None}))
        .kept
    )


def test_one_step_alone_is_as_in_the_whole() -> None:
    records = sample_records()
    trace = next(one for one in records.traces if one.id == _id(1042, "e"))
    steps = steps_of(trace, [one for one in records.spans if one.trace_id == trace.id])
    whole = shown_steps(steps, records.contents, at_once=100)
    for one in whole:
        assert shown_steps(steps, records.contents, at_once=100, only=one.step.span.id) == [one]
    assert [one.later for one in shown_steps(steps, records.contents, at_once=3)] == [False] * 3 + [True] * 5
