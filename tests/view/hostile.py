"""A store in which every text that a model or a user wrote is an attack."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from outlast.tracing.record import Content, ProgramRecord, ResultRecord, RunRecord, SpanRecord, TraceRecord
from tests.view.payloads import PAYLOADS
from tests.view.samples import PIXEL, START, Records

TRACE, BEFORE, AFTER = "f" * 32, "a" * 32, "b" * 32
VERSIONS = "1" * 32, "2" * 32


def hostile_records() -> Records:
    """One trace a payload and one trace with all of them, two runs of them, two versions of a program."""
    records = Records()
    for number, bad in enumerate(PAYLOADS):
        records.traces.append(_trace(f"{number:032x}", number, bad))
        records.spans.append(
            SpanRecord(
                f"{number:016x}",
                f"{number:032x}",
                "",
                "program",
                bad,
                error=bad,
                status="error",
                started=START + number,
                seconds=1.0,
            )
        )
        records.contents[f"{number:016x}"] = Content(
            {bad: bad}, {"answer": bad, "rows": [{"a": bad, "b": 1}, {"a": bad, "b": 2}]}
        )
    _everything(records)
    for run_id, flip in ((BEFORE, 0), (AFTER, 1)):
        bad = PAYLOADS[flip]
        run = RunRecord(
            run_id,
            "eval",
            bad,
            "done",
            START + flip,
            START + 60,
            "",
            VERSIONS[flip],
            "data",
            "metric",
            bad,
            {"command": bad, "git": {"commit": bad}},
            {"score": 0.5, "n": len(PAYLOADS)},
            {bad: bad},
        )
        records.runs.append(replace(run, metric=PAYLOADS[2], dataset=PAYLOADS[3]))
        records.results += [_result(run_id, number, bad, flip) for number, bad in enumerate(PAYLOADS)]
    for version, more in zip(VERSIONS, ("", " and more"), strict=True):
        parameters: dict[str, Any] = {f"{bad}.instruction": bad + more for bad in PAYLOADS}
        parameters["x.demos"] = [{"values": {bad: bad + more}, "source": bad} for bad in PAYLOADS]
        modules = {bad: {"module": bad + more, "signature": {"name": bad, "description": bad}} for bad in PAYLOADS}
        records.programs.append(
            ProgramRecord(
                version, PAYLOADS[0], START, {"class": PAYLOADS[0], "modules": modules, "parameters": parameters}
            )
        )
    return records


def _trace(id: str, number: int, bad: str) -> TraceRecord:
    return TraceRecord(
        id,
        BEFORE,
        "program",
        bad,
        VERSIONS[0],
        bad,
        bad,
        START + number,
        1.0,
        "error",
        bad,
        1,
        10,
        10,
        0.001,
        (bad,),
        bad[:300],
        bad[:300],
        (bad,),
    )


def _result(run: str, number: int, bad: str, flip: int) -> ResultRecord:
    failed = number % 7 == 5
    passed = (number + flip) % 2
    return ResultRecord(
        run,
        number,
        0,
        f"{number:032x}",
        f"{number:032x}",
        "error" if failed else "pass" if passed else "fail",
        None if failed else float(passed),
        bad,
        {bad: 1.0},
        f"{bad}: {bad}" if failed else "",
        1.0,
        0.001,
        {"text": bad, bad: bad, "kind": PAYLOADS[number % 3]},
        {"answer": bad},
        {"answer": f"{bad} {flip}"},
    )


def _everything(records: Records) -> None:
    """One trace whose every step is an attack, of every kind of step."""
    records.traces.append(_trace(TRACE, 900, PAYLOADS[0]))
    root = "e" * 16
    records.spans.append(SpanRecord(root, TRACE, "", "program", "root", started=START, seconds=9.0, status="ok"))
    records.contents[root] = Content(dict(enumerate(PAYLOADS)), list(PAYLOADS))
    for number, bad in enumerate(PAYLOADS):
        for kind in ("lm", "tool", "module"):
            id = f"{kind[0]}{number:015x}".replace("l", "c").replace("t", "d").replace("m", "b")
            records.spans.append(
                SpanRecord(
                    id,
                    TRACE,
                    root,
                    kind,
                    bad,
                    bad,
                    bad,
                    VERSIONS[0],
                    START + number * 0.01,
                    0.5,
                    "ok",
                    "",
                    "",
                    2,
                    0,
                    bad,
                    bad,
                    bad,
                    bad,
                    bad,
                    {bad: bad},
                    1,
                    1,
                    1,
                    1,
                    0.1,
                    bad,
                    0.1,
                    0.0,
                    bad,
                    bad,
                    None,
                    ({"check": bad},),
                    {bad: bad},
                )
            )
            records.contents[id] = _exchange(bad) if kind == "lm" else Content({bad: bad}, bad)


def _exchange(bad: str) -> Content:
    call = {"type": "tool_call", "id": bad, "name": bad, "arguments": bad}
    picture = {"type": "image", "mime": "image/png", "data": PIXEL, "name": bad}
    messages = [
        {"role": "system", "content": bad},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": bad},
                picture,
                {"type": "image", "mime": "image/png", "url": "http://evil.example/m.png"},
            ],
        },
        {"role": "assistant", "content": [call]},
        {"role": "tool", "content": [{"type": "tool_result", "id": bad, "text": bad}]},
        {"role": bad, "content": [{"type": "thought", "text": bad}, {"type": bad, "text": bad}]},
    ]
    request = {
        "messages": messages,
        "settings": {bad: bad},
        "tools": [{"name": bad, "description": bad, "parameters": {bad: bad}}],
    }
    response = {
        "text": bad,
        "model": bad,
        "finish": bad,
        "reasoning": bad,
        "tool_calls": [[bad, bad, bad]],
        "decisions": {bad: {"value": bad}},
    }
    return Content(None, None, request, response)
