"""Results of promptfoo, as `promptfoo eval --output results.json` writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

from outlast.errors import DataError
from outlast.messages import Message, Response, Usage, user
from outlast.messages.parts import Role
from outlast.messages.response import FinishReason
from outlast.tracing.imports import gathered
from outlast.tracing.imports.files import json_file, readable
from outlast.tracing.imports.gathered import Reading, mapping, moment, number, objects, preview, text, whole
from outlast.tracing.record import Content, ResultRecord, RunRecord, SpanRecord, TraceRecord
from outlast.tracing.saving import WholeTrace

_ERROR: Final = 2  # what `failureReason` says where no answer came; 1 is an assertion that did not hold
_FINISH: Final[Mapping[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}


def read_promptfoo(path: str | Path) -> Reading:
    """An evaluation of promptfoo: a run for each of its columns (a prompt with a provider), a trace and a result for
    each cell. Reads what versions 2 and 3 of the format have. Raises `DataError`."""
    place = readable(path, "results of promptfoo")
    told = mapping(json_file(place, "results of promptfoo"))
    summary = mapping(told.get("results")) if isinstance(told.get("results"), dict) else told
    rows = objects(summary.get("results"))
    if not isinstance(summary.get("version"), int) or not isinstance(summary.get("results"), list):
        raise DataError(
            f"{str(place)!r} holds no results of promptfoo: write them with `promptfoo eval -o results.json`"
        )
    if summary["version"] not in (2, 3):
        raise DataError(f"{str(place)!r} has results of version {summary['version']}; those of 2 and 3 are read")
    identity = text(told.get("evalId")) or gathered.id_of(gathered.as_json(summary))
    started = moment(summary.get("timestamp")) or 0.0
    runs = {
        column: _run_of(identity, column, row, started, told, place)
        for column, row in {_column(row): row for row in reversed(rows)}.items()
    }
    reading = Reading([runs[column] for column in sorted(runs)], iter(()))
    reading.traces = _all(rows, runs, started, reading)
    return reading


def _column(row: Mapping[str, Any]) -> int:
    return whole(row.get("promptIdx")) or 0


def _run_of(
    identity: str, column: int, row: Mapping[str, Any], started: float, told: Mapping[str, Any], place: Path
) -> RunRecord:
    config = mapping(told.get("config"))
    provider = _provider(row)
    label = preview(mapping(row.get("prompt")).get("label"))[:80]
    described = preview(config.get("description")) if config.get("description") else "promptfoo"
    duration = number(mapping(mapping(told.get("results")).get("stats")).get("durationMs")) or 0.0
    return RunRecord(
        id=gathered.id_of("promptfoo", identity, column),
        kind="import",
        name=" · ".join(one for one in (described, label, provider) if one),
        status="done",
        started=started,
        ended=started + duration / 1000,
        lm=provider,
        attributes={
            "source": "promptfoo",
            "path": str(place.resolve()),
            "eval_id": identity,
            "prompt": gathered.finite(mapping(row.get("prompt")).get("label")),
        },
    )


def _provider(row: Mapping[str, Any]) -> str:
    told = row.get("provider")
    return text(told) if isinstance(told, str) else text(mapping(told).get("id"))


def _all(
    rows: list[dict[str, Any]], runs: Mapping[int, RunRecord], started: float, reading: Reading
) -> Iterator[WholeTrace]:
    times: dict[tuple[int, int], int] = {}
    for place, row in enumerate(rows):
        test = whole(row.get("testIdx"))
        cell = _column(row), place if test is None else test
        epoch = times[cell] = times.get(cell, -1) + 1
        try:
            # A millionth of a second apart, as the file has one time for all and lists go by time.
            found = _cell(row, runs[cell[0]], cell[1], epoch, started + place * 1e-6)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            reading.skipped += 1
            continue
        reading.last = found.trace.example
        yield found


def _cell(row: Mapping[str, Any], run: RunRecord, test: int, epoch: int, started: float) -> WholeTrace:
    trace = gathered.trace_id(started, run.id, test, epoch)
    span = gathered.span_id(trace, "call")
    response = mapping(row.get("response"))
    came = row.get("failureReason") != _ERROR and response.get("output") is not None
    failed = "" if came else text(row.get("error")) or text(response.get("error"))
    usage = _usage(row, response)
    seconds = max(0.0, (number(row.get("latencyMs")) or 0.0) / 1000)
    messages = _messages(mapping(row.get("prompt")).get("raw"))
    answer = text(response.get("output"))
    inputs = gathered.finite(mapping(row.get("vars")) or mapping(mapping(row.get("testCase")).get("vars")))
    finish = _FINISH.get(text(response.get("finishReason")), "stop")
    reply = Response(answer, run.lm, None, usage, finish, seconds) if came else None
    cache = "hit" if response.get("cached") is True else "miss"
    common: dict[str, Any] = {
        "started": started,
        "seconds": seconds,
        "status": "ok" if came else "error",
        "error": failed,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost": usage.cost,
    }
    record = TraceRecord(
        id=trace,
        run_id=run.id,
        kind="lm",
        name=run.lm,
        example=str(test),
        calls=int(cache == "miss"),
        models=(run.lm,),
        input=preview(messages[-1].text if messages else ""),
        output=preview(answer) if came else "",
        tags=("promptfoo",),
        attributes={"description": gathered.finite(mapping(row.get("testCase")).get("description"))},
        **common,
    )
    call = SpanRecord(
        id=span,
        trace_id=trace,
        kind="lm",
        name="promptfoo",
        error_type="" if came else "ProviderError",
        lm_asked=run.lm,
        lm_answered=run.lm if came else "",
        reasoning_tokens=usage.reasoning_tokens,
        cost_source="promptfoo" if usage.cost is not None else "",
        cache=cache,
        finish=finish if came else "",
        **common,
    )
    content = Content(
        request=gathered.request_of(messages), response=None if reply is None else gathered.response_of(reply)
    )
    return WholeTrace(record, (call,), {span: content}, _result(row, record, test, epoch, came, inputs, answer))


def _messages(raw: Any) -> list[Message]:
    """The prompt as it was sent: messages where it is a list of them in JSON, else one of the user."""
    shown = text(raw)
    if shown.lstrip().startswith("["):
        try:
            told: Any = json.loads(shown)
        except (ValueError, RecursionError):
            told = None
        found = objects(told)
        roles = ("system", "user", "assistant", "tool")
        if found and all(one.get("role") in roles and isinstance(one.get("content"), str) for one in found):
            return [Message(cast("Role", one["role"]), text(one["content"])) for one in found]
    return [user(shown)]


def _usage(row: Mapping[str, Any], response: Mapping[str, Any]) -> Usage:
    told = mapping(response.get("tokenUsage")) or mapping(row.get("tokenUsage"))
    if not whole(told.get("total")) and not whole(told.get("prompt")):
        told = {}  # promptfoo says 0 where a provider says nothing
    cost = number(row.get("cost"))
    details = mapping(told.get("completionDetails"))
    return Usage(
        whole(told.get("prompt")),
        whole(told.get("completion")),
        None,
        whole(details.get("reasoning")),
        cost if told or cost else None,
    )


def _result(
    row: Mapping[str, Any], trace: TraceRecord, test: int, epoch: int, came: bool, inputs: Any, answer: str
) -> ResultRecord:
    graded, score = mapping(row.get("gradingResult")), number(row.get("score"))
    named = mapping(row.get("namedScores")) or mapping(graded.get("namedScores"))
    asserted = objects(mapping(row.get("testCase")).get("assert"))
    state = "error" if not came else "unscored" if score is None else "pass" if row.get("success") is True else "fail"
    return ResultRecord(
        run_id=trace.run_id,
        index=test,
        epoch=epoch,
        example=trace.example,
        trace_id=trace.id,
        state=state,
        score=score if state in ("pass", "fail") else None,
        feedback=text(graded.get("reason")),
        parts={name: value for name, told in named.items() if (value := number(told)) is not None},
        error=trace.error,
        seconds=trace.seconds or 0.0,
        cost=trace.cost,
        inputs=inputs,
        targets=gathered.finite({"assert": asserted}) if asserted else {},
        outputs={"output": answer} if came else None,
    )
