"""A store with what real programs leave behind: an agent, a triage with errors, two evaluations, versions."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from outlast.tracing import schema
from outlast.tracing.record import (
    Content,
    ProgramRecord,
    ResultRecord,
    RunRecord,
    SpanRecord,
    TraceRecord,
)
from outlast.tracing.saving import WholeTrace
from outlast.tracing.store import Store, open_store

START = 1_796_000_000.0  # 29 November 2026
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SYSTEM = """You are the support agent of a bank. Answer the customer's question.

Rules
- Look things up before you answer; never guess an amount.
- Say what you did and what happens next, in at most 120 words.
- Money that left the account without consent is urgent."""
ROUTE = "Route a customer message to the team that can resolve it."
URGENT = "Urgency 5 means that money is leaving the account now."
OLD, NEW = "0badc0de" * 4, "5eed5eed" * 4


@dataclass
class Records:
    """Everything that goes into a store."""

    runs: list[RunRecord] = field(default_factory=list)
    traces: list[TraceRecord] = field(default_factory=list)
    spans: list[SpanRecord] = field(default_factory=list)
    contents: dict[str, Content] = field(default_factory=dict)
    results: list[ResultRecord] = field(default_factory=list)
    programs: list[ProgramRecord] = field(default_factory=list)


def sample_records() -> Records:
    """The store of a few days of work."""
    records = Records()
    records.programs += [
        _program(OLD, START - 90_000, ""),
        _program(NEW, START - 4_000, " Ask back when a date is missing."),
    ]
    process = RunRecord(_id(1, "a"), "process", "app.py", "open", START - 100_000, provenance=PROVENANCE)
    records.runs.append(process)
    for number in range(36):
        _triage(records, number, process.id)
    for number in range(3):
        _agent(records, 40 + number, process.id)
    _evaluation(records, 60, OLD, seed=1, right=0.62)
    _evaluation(records, 70, NEW, seed=2, right=0.78)
    return records


PROVENANCE = {
    "started": "2026-11-29T09:12:44Z",
    "command": "python app.py",
    "machine": "worker-3 (Linux, Python 3.11.7)",
    "git": {"commit": "a3be0681c9", "dirty": True, "branch": "main"},
    "packages": {"outlast": "0.1.0"},
}
QUESTIONS = [
    "My card was charged twice at the petrol station, can you give me the 40 euros back?",
    "Where is the transfer I sent to my sister on Friday?",
    "I cannot log in any more, the app says that my identity is not confirmed",
    "Why did you close my account without telling me???",
    "Could you raise my card limit for a trip to Japan next week",
    "Somebody in another country is spending my money RIGHT NOW",
]
TEAMS = ["cards", "transfers", "identity", "billing", "cards", "cards"]


def _id(number: int, tail: str) -> str:
    """An id that sorts by its number."""
    return f"{number:012x}{tail * 20}"[:32]


def _span_id(trace: str, number: int) -> str:
    return f"{trace[8:20]}{number:04x}"


def _program(version: str, seen: float, more: str) -> ProgramRecord:
    signature = {
        "name": "Triage",
        "description": "Route a customer message to the team that can resolve it.",
        "inputs": [{"name": "message", "type": "str"}],
        "outputs": [
            {"name": "team", "type": "Literal['billing', 'cards', 'transfers', 'identity']"},
            {"name": "urgency", "type": "int"},
        ],
    }
    demos = [
        {"values": {"message": text, "team": team, "urgency": 3}, "source": "train:12"}
        for text, team in list(zip(QUESTIONS, TEAMS, strict=True))[: 2 if more else 4]
    ]
    parameters = {
        "answer.instruction": f"{ROUTE}{more}\n{URGENT}",
        "answer.demos": demos,
    }
    return ProgramRecord(
        version,
        "Triage",
        seen,
        {
            "class": "Triage",
            "modules": {"answer": {"module": "ChainOfThought", "signature": signature}},
            "parameters": parameters,
        },
    )


def _triage(records: Records, number: int, run: str, version: str | None = None, example: str = "") -> TraceRecord:
    dice = random.Random(number)
    text, team = QUESTIONS[number % 6], TEAMS[number % 6]
    trace_id, began = _id(1000 + number, f"{number % 16:x}"), START - 90_000 + number * 2_300
    failed = number % 9 == 7
    seconds = round(dice.uniform(0.4, 2.6), 3)
    tokens = dice.randint(380, 900), dice.randint(30, 160)
    cost = round(tokens[0] * 2.5e-7 + tokens[1] * 2e-6, 7)
    root, module, lm = (_span_id(trace_id, step) for step in range(3))
    error = "RateLimitError: openai/gpt-5-mini: 429 too many requests, retry after 20 s" if failed else ""
    outputs = {"reasoning": f"The message is about **{team}**.", "team": team, "urgency": dice.randint(1, 5)}
    system = f"{ROUTE}\n{URGENT}"
    request = {
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": f"[[ ## message ## ]]\n{text}"},
        ],
        "settings": {"temperature": 0.0, "max_tokens": 800},
    }
    said = "\n\n".join(f"[[ ## {name} ## ]]\n{value}" for name, value in outputs.items())
    response = {
        "text": said,
        "model": "gpt-5-mini-2026-08-07",
        "finish": "stop",
        "usage": {"input_tokens": tokens[0], "output_tokens": tokens[1]},
        "seconds": seconds,
    }
    trace = TraceRecord(
        trace_id,
        run,
        "program",
        "Triage",
        version or (OLD if number < 20 else NEW),
        f"chat-{number // 4}",
        example,
        began,
        seconds,
        "error" if failed else "ok",
        error,
        1,
        tokens[0],
        tokens[1],
        None if failed else cost,
        ("gpt-5-mini-2026-08-07",),
        f"message: {text}",
        "" if failed else f"team: {team}, urgency: {outputs['urgency']}",
        ("night",) if number % 5 == 0 else (),
    )
    records.traces.append(trace)
    base = SpanRecord(root, trace_id, "", "program", "Triage", "", "", trace.program, began, seconds, trace.status)
    records.spans += [
        replace(base, error_type="RateLimitError" if failed else "", error=error),
        replace(
            base,
            id=module,
            parent_id=root,
            kind="module",
            name="ChainOfThought",
            path="answer",
            signature="Triage",
            started=began + 0.001,
            seconds=seconds - 0.002,
        ),
        replace(
            base,
            id=lm,
            parent_id=module,
            kind="lm",
            name="openai/gpt-5-mini",
            path="answer",
            started=began + 0.004,
            seconds=seconds - 0.01,
            adapter="Chat",
            lm_asked="openai/gpt-5-mini",
            lm_answered="gpt-5-mini-2026-08-07",
            request_id=f"req_{number:08x}",
            settings={"temperature": 0.0, "max_tokens": 800},
            input_tokens=tokens[0],
            output_tokens=tokens[1],
            cached_tokens=256,
            cost=trace.cost,
            cost_source="table",
            first_token_seconds=0.31,
            cache="miss",
            finish="stop",
            error_type="RateLimitError" if failed else "",
            error=error,
        ),
    ]
    records.contents[root] = Content({"message": text}, None if failed else outputs)
    records.contents[module] = Content({"message": text}, None if failed else outputs)
    records.contents[lm] = Content(None, None, request, None if failed else response)
    return trace


ANSWER = """You were charged **twice** for the same purchase, so I asked for the second charge back.

| booking | amount | state |
|---|---:|---|
| 27 Nov, Shell 4411 | 40.00 € | kept |
| 27 Nov, Shell 4411 | 40.00 € | **refund asked for** |

What happens next:

1. The shop has 5 days to object.
2. The money is back by *4 December*.

```json
{"refund": "rf_2219", "amount": 40.0, "currency": "EUR"}
```
More in [the terms](https://bank.example/terms)."""
TOOLS = [
    {
        "name": "find_bookings",
        "description": "Bookings of the customer's card.",
        "parameters": {"type": "object", "properties": {"days": {"type": "integer"}}},
    },
    {
        "name": "refund",
        "description": "Ask for a booking back.",
        "parameters": {"type": "object", "properties": {"booking": {"type": "string"}}},
    },
]


def _agent(records: Records, number: int, run: str) -> None:
    """An agent: three exchanges that share their beginning, two tools between them, one of which fails at first."""
    trace_id, began = _id(1000 + number, "e"), START - 3_000 + 700 * number
    ids = [_span_id(trace_id, step) for step in range(9)]
    root, react, lm1, tool1, lm2, tool2, lm3, final = ids[:8]
    bookings = [
        {"id": "bk_81", "shop": "Shell 4411", "amount": 40.0, "when": "2026-11-27T08:14"},
        {"id": "bk_82", "shop": "Shell 4411", "amount": 40.0, "when": "2026-11-27T08:14"},
        {"id": "bk_77", "shop": "Bakery Lund", "amount": 6.4, "when": "2026-11-26T07:50"},
    ]
    messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTIONS[0]}]
    call1 = {"type": "tool_call", "id": "c1", "name": "find_bookings", "arguments": '{"days": 7}'}
    call2 = {"type": "tool_call", "id": "c2", "name": "refund", "arguments": '{"booking": "bk_82"}'}
    second = [
        *messages,
        {"role": "assistant", "content": [{"type": "text", "text": "I look at the bookings first."}, call1]},
        {"role": "tool", "content": [{"type": "tool_result", "id": "c1", "text": json.dumps(bookings)}]},
    ]
    third = [
        *second,
        {"role": "assistant", "content": [call2]},
        {
            "role": "tool",
            "content": [{"type": "tool_result", "id": "c2", "text": '{"refund": "rf_2219", "state": "asked for"}'}],
        },
    ]
    trace = TraceRecord(
        trace_id,
        run,
        "program",
        "SupportAgent",
        NEW,
        "chat-11",
        "",
        began,
        7.9,
        "ok",
        "",
        3,
        4_210,
        512,
        0.00214,
        ("gpt-5-mini-2026-08-07",),
        f"question: {QUESTIONS[0]}",
        "answer: You were charged twice for the same purchase, so I asked for the second charge back.",
        ("vip", "refund"),
    )
    records.traces.append(trace)

    def span(id: str, parent: str, kind: str, name: str, at: float, seconds: float, **more: Any) -> SpanRecord:
        return SpanRecord(
            id, trace_id, parent, kind, name, started=began + at, seconds=seconds, status="ok", program=NEW, **more
        )

    def lm(id: str, at: float, seconds: float, tokens: tuple[int, int]) -> SpanRecord:
        return span(
            id,
            react,
            "lm",
            "openai/gpt-5-mini",
            at,
            seconds,
            path="agent.react",
            adapter="Tools",
            lm_asked="openai/gpt-5-mini",
            lm_answered="gpt-5-mini-2026-08-07",
            settings={"temperature": 0.2, "reasoning": "low"},
            input_tokens=tokens[0],
            output_tokens=tokens[1],
            cost=0.0007,
            finish="tool_calls" if id != lm3 else "stop",
            first_token_seconds=0.42,
            cache="miss",
        )

    records.spans += [
        span(root, "", "program", "SupportAgent", 0, 7.9),
        span(react, root, "module", "ReAct", 0.002, 7.6, path="agent", signature="Support"),
        lm(lm1, 0.01, 1.9, (820, 60)),
        span(tool1, react, "tool", "find_bookings", 1.93, 0.4),
        lm(lm2, 2.4, 1.6, (1_400, 48)),
        span(tool2, react, "tool", "refund", 4.02, 1.3, notes=({"check": "approved by", "value": "policy"},)),
        lm(lm3, 5.4, 2.15, (1_990, 404)),
        span(final, root, "module", "Predict", 7.62, 0.25, path="agent.extract", signature="Support"),
    ]
    usage = {"input_tokens": 820, "output_tokens": 60}
    head = {"model": "gpt-5-mini-2026-08-07", "usage": usage, "seconds": 1.9}
    base = {"settings": {"temperature": 0.2}, "tools": TOOLS}
    receipt = {"type": "image", "mime": "image/png", "data": PIXEL, "name": "receipt.png"}
    records.contents |= {
        root: Content(
            {"question": QUESTIONS[0], "customer": {"id": 8812, "tier": "gold", "since": 2019, "receipt": receipt}},
            {"answer": ANSWER, "refunded": 40.0},
        ),
        react: Content({"question": QUESTIONS[0]}, {"answer": ANSWER}),
        lm1: Content(
            None,
            None,
            {"messages": messages, **base},
            {
                **head,
                "text": "I look at the bookings first.",
                "finish": "tool_calls",
                "tool_calls": [["c1", "find_bookings", '{"days": 7}']],
                "reasoning": "The customer says twice. I need the list of bookings.",
            },
        ),
        tool1: Content({"days": 7}, bookings),
        lm2: Content(
            None,
            None,
            {"messages": second, **base},
            {**head, "text": "", "finish": "tool_calls", "tool_calls": [["c2", "refund", '{"booking": "bk_82"}']]},
        ),
        tool2: Content({"booking": "bk_82"}, {"refund": "rf_2219", "state": "asked for"}),
        lm3: Content(None, None, {"messages": third, **base}, {**head, "text": ANSWER, "finish": "stop"}),
        final: Content({"trajectory": 2}, {"answer": ANSWER, "refunded": 40.0}),
    }


def _evaluation(records: Records, number: int, version: str, *, seed: int, right: float, rows: int = 120) -> None:
    run = RunRecord(
        _id(number, "b"),
        "eval",
        "triage dev",
        "done",
        START + 600 * (number - 60),
        START + 600 * (number - 60) + 214,
        "",
        version,
        "d5" * 16,
        "e8" * 16,
        "openai/gpt-5-mini",
        PROVENANCE,
        {},
        {},
    )
    dice, counts = random.Random(seed), {"pass": 0, "fail": 0, "error": 0}
    for index in range(rows):
        text, team = QUESTIONS[index % 6], TEAMS[index % 6]
        hard = random.Random(index).random()
        state = "error" if index % 37 == 30 else "pass" if hard * 0.75 + dice.random() * 0.25 < right else "fail"
        guess = team if state == "pass" else dice.choice([name for name in TEAMS if name != team])
        counts[state] += 1
        error = "" if state != "error" else f"ParseError: the reply has no field 'team' (request req_{index:05d})"
        records.results.append(
            ResultRecord(
                run.id,
                index,
                0,
                f"{index:032x}",
                records.traces[index % 36].id,
                state,
                None if state == "error" else float(state == "pass"),
                "" if state == "pass" else f"expected {team}",
                {},
                error,
                round(dice.uniform(0.4, 3), 3),
                0.0004,
                {"message": text, "lang": "en" if index % 3 else "de"},
                {"team": team},
                None if error else {"team": guess, "reasoning": f"It is about {guess}, because the customer says so."},
            )
        )
    scored = counts["pass"] + counts["fail"]
    share = counts["pass"] / scored
    spread = 1.96 * (share * (1 - share) / scored) ** 0.5
    spending = {"calls": rows, "input_tokens": 612 * rows, "output_tokens": 80 * rows, "dollars": 0.0004 * rows}
    summary = {
        "score": share,
        "low": share - spread,
        "high": share + spread,
        "states": counts,
        "n": rows,
        "spending": spending,
        "headline": f"{100 * share:.1f}% on {rows:,}",
    }
    attributes = {"program": "Triage", "metric": "exact", "epochs": 1, "total": rows}
    records.runs.append(replace(run, summary=summary, attributes=attributes))


def large_run(rows: int = 10_000) -> Records:
    """One evaluation of many rows."""
    records = sample_records()
    _evaluation(records, 90, NEW, seed=3, right=0.7, rows=rows)
    return records


def filled(path: Path, records: Records) -> Store:
    """A store with these records; its file is new."""
    store = open_store(path, create=True)
    spans: dict[str, list[SpanRecord]] = {}
    for span in records.spans:
        spans.setdefault(span.trace_id, []).append(span)
    traces = {trace.id: trace for trace in records.traces}
    wholes = [WholeTrace(one, tuple(spans.get(one.id, ())), records.contents) for one in records.traces]
    rows = (WholeTrace(traces[one.trace_id], result=one) for one in records.results)
    store.save_records(records.runs, [*wholes, *rows])
    with store.database.changing() as connection:
        for one in records.programs:
            connection.execute(sa.insert(schema.programs).values(**{**asdict(one), "shape": json.dumps(one.shape)}))
    return store
