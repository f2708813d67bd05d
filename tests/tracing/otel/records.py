"""A trace with everything in it."""

from __future__ import annotations

from typing import Any

from outlast.messages import Request, Response, Settings, ToolCall, Usage, system, tool_result, user
from outlast.messages.parts import Message, TextPart
from outlast.tracing.record import Content, LabelRecord, SpanRecord, TraceRecord
from outlast.types import Image, Tool

TRACE = "018f" + "0" * 27 + "1"
STARTED = 1_790_000_000.25


def spans() -> list[SpanRecord]:
    """An agent in a program: a call that asks for a tool, the tool, and a call that failed."""

    def one(identifier: int, parent: int | None, kind: str, name: str, offset: float, **more: Any) -> SpanRecord:
        fields: dict[str, Any] = {
            "id": f"{identifier:016x}",
            "trace_id": TRACE,
            "parent_id": "" if parent is None else f"{parent:016x}",
            "kind": kind,
            "name": name,
            "path": "",
            "signature": "Weather",
            "program": "a" * 32,
            "started": STARTED + offset,
            "seconds": 0.5,
            "status": "ok",
            **more,
        }
        return SpanRecord(**fields)

    return [
        one(1, None, "program", "Forecast", 0, seconds=4.0, status="error", error_type="LMTimeout", error="too slow"),
        one(2, 1, "module", "ReAct", 0.1, path="answer", seconds=3.5),
        one(
            3,
            2,
            "lm",
            "lm",
            0.2,
            path="answer",
            adapter="Tools",
            lm_asked="openai/gpt-5-mini",
            lm_answered="gpt-5-mini-2026-01-01",
            request_id="resp-1",
            settings={"temperature": 0.5, "max_tokens": 100, "stop": ["END"], "prediction": "secret draft"},
            input_tokens=120,
            output_tokens=30,
            cached_tokens=100,
            reasoning_tokens=10,
            cost=0.0012,
            cost_source="genai-prices",
            first_token_seconds=0.15,
            queued_seconds=0.01,
            cache="miss",
            finish="tool_calls",
        ),
        one(4, 2, "tool", "look", 1.0, attributes={"call_id": "call_1"}),
        one(
            5,
            2,
            "lm",
            "lm",
            2.0,
            path="answer",
            lm_asked="hf:tiny",
            attempt=1,
            status="error",
            error_type="LMTimeout",
            error="no answer to: what of my secret?",
        ),
    ]


def trace(**more: Any) -> TraceRecord:
    """The trace that the spans belong to."""
    fields: dict[str, Any] = {
        "id": TRACE,
        "run_id": "018e" + "0" * 28,
        "kind": "program",
        "name": "Forecast",
        "program": "a" * 32,
        "session": "chat-17",
        "example": "ex-9",
        "started": STARTED,
        "seconds": 4.0,
        "status": "error",
        "error": "LMTimeout: too slow",
        "calls": 2,
        "input_tokens": 120,
        "output_tokens": 30,
        "cost": 0.0012,
        "models": ("openai/gpt-5-mini",),
        "input": "What of Paris?",
        "output": "",
        "tags": ("prod", "a"),
        "attributes": {},
        **more,
    }
    return TraceRecord(**fields)


def contents() -> dict[str, Content]:
    """What was sent and what came back, by span."""
    call = ToolCall("call_1", "look", '{"city": "Paris"}')
    picture = Message("user", (TextPart("And this?"), Image("image/png", b"\x89PNG1234")))
    link = Message("user", (TextPart("Or this?"), Image("image/png", url="https://a.example/x.png?sig=secret")))
    tool = Tool("look", "Looks.", {"type": "object", "properties": {"city": {"type": "string"}}})
    asked = Request(
        (system("Be brief."), user("What of Paris?"), picture, link), Settings(temperature=0.5), tools=(tool,)
    )
    reply = Response(
        "", "gpt-5-mini-2026-01-01", "I should look.", Usage(120, 30, 100, 10), "tool_calls", 0.5, tool_calls=(call,)
    )
    again = Request((user("What of Paris?"), reply.message, tool_result(call, "rain, 14 degrees")))
    return {
        f"{1:016x}": Content({"city": "Paris"}, None, None, None),
        f"{2:016x}": Content({"city": "Paris"}, {"answer": "Rain."}, None, None),
        f"{3:016x}": Content(None, None, asked.to_json(), reply.to_json()),
        f"{4:016x}": Content({"city": "Paris"}, "rain, 14 degrees", None, None),
        f"{5:016x}": Content(None, None, again.to_json(), None),
    }


def label(value: Any = "fail", **more: Any) -> LabelRecord:
    """What somebody thought of the trace."""
    fields: dict[str, Any] = {
        "id": "l1",
        "trace_id": TRACE,
        "span_id": "",
        "name": "helpful",
        "value": value,
        "note": "my private note",
        "tags": (),
        "author": "ann",
        "source": "human",
        "rubric": "",
        "rubric_version": "",
        "created": STARTED + 60,
        "seconds_spent": None,
        **more,
    }
    return LabelRecord(**fields)
