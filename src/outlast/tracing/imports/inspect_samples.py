"""A sample of an Inspect log as a trace: its solvers and agents, the models and tools that they called, its score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from outlast.messages import Response, Settings, Usage
from outlast.messages.response import FinishReason
from outlast.tracing.imports import gathered
from outlast.tracing.imports.gathered import listed, mapping, moment, number, objects, preview, text, whole
from outlast.tracing.imports.inspect_words import Words
from outlast.tracing.record import Content, ResultRecord, RunRecord, SpanRecord, TraceRecord
from outlast.tracing.saving import WholeTrace

_FINISH: Final[Mapping[str, FinishReason]] = {
    "stop": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}
_LETTERS: Final = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}  # correct, partly, incorrect, no answer
_STEPS: Final = ("solver", "agent", "handoff", "subtask")


def sample_of(
    sample: Mapping[str, Any], about: Mapping[str, Any], run: RunRecord, index: int, leading: str
) -> WholeTrace:
    """The trace, its spans and its result. `leading` names the score that counts."""
    epoch = whole(sample.get("epoch")) or 1
    example = text(sample["id"])
    # Older logs do not say when a sample began: then a millionth of a second apart, as lists go by time.
    started = moment(sample.get("started_at")) or _first(sample) or run.started + (1000 * index + epoch) * 1e-6
    trace = gathered.trace_id(started, run.id, example, epoch)
    tree = Tree(sample, trace, started, text(about.get("task")))
    error = mapping(sample.get("error"))
    failed = text(error.get("message"))
    seconds = number(sample.get("total_time")) or 0.0
    output = mapping(sample.get("output"))
    answer = text(tree.words.whole(output.get("completion")))
    inputs, outputs = {"input": tree.words.plain(sample.get("input"))}, {"completion": answer}
    root = tree.root(seconds, failed, inputs, None if failed and not answer else outputs)
    spans = (root, *tree.spans)
    calls = [span for span in tree.spans if span.kind == "lm" and span.cache != "hit"]
    record = TraceRecord(
        id=trace,
        run_id=run.id,
        kind="program",
        name=run.name,
        example=example,
        started=started,
        seconds=seconds,
        status="error" if failed else "ok",
        error=failed,
        calls=len(calls),
        input_tokens=_sum(span.input_tokens for span in calls),
        output_tokens=_sum(span.output_tokens for span in calls),
        models=tuple(dict.fromkeys(span.lm_answered or span.lm_asked for span in calls)),
        input=preview(inputs["input"]),
        output=preview(answer),
        tags=("inspect",),
        attributes={"sample": example, "epoch": epoch},
    )
    return WholeTrace(record, spans, tree.contents, _result(sample, record, index, epoch - 1, leading, inputs, outputs))


def _first(sample: Mapping[str, Any]) -> float | None:
    return next((found for event in objects(sample.get("events")) if (found := moment(event.get("timestamp")))), None)


def _sum(counts: Any) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


class Tree:
    """The events of a sample as spans; `spans` come parents before children, `contents` by their ids."""

    def __init__(self, sample: Mapping[str, Any], trace: str, started: float, task: str) -> None:
        self.words = Words(sample)
        self.spans: list[SpanRecord] = []
        self.contents: dict[str, Content] = {}
        self._trace = trace
        self._started = started
        self._task = task
        self._root = gathered.span_id(trace, "root")
        events = objects(sample.get("events"))
        self._begun = {text(e.get("id")): e for e in events if e.get("event") == "span_begin"}
        self._ended = {text(e.get("id")): e for e in events if e.get("event") == "span_end"}
        self._steps: dict[str, str] = {}
        for place, event in enumerate(events):
            if event.get("event") == "model" and not event.get("pending"):
                self._model(place, event)
            elif event.get("event") == "tool":
                self._tool(place, event)

    def root(self, seconds: float, failed: str, inputs: Any, outputs: Any) -> SpanRecord:
        """The span of the whole sample."""
        self.contents[self._root] = Content(gathered.finite(inputs), gathered.finite(outputs))
        return SpanRecord(
            id=self._root,
            trace_id=self._trace,
            kind="program",
            name=self._task,
            path="",
            started=self._started,
            seconds=seconds,
            status="error" if failed else "ok",
            error_type="SampleError" if failed else "",
            error=failed,
        )

    def _parent(self, event: Mapping[str, Any]) -> str:
        """The span of the nearest solver or agent around an event; they become spans when something is in them."""
        key = text(event.get("span_id"))
        seen: set[str] = set()
        while key and key not in seen and len(seen) < 100:
            seen.add(key)
            begun = self._begun.get(key, {})
            if begun.get("type") in _STEPS:
                return self._step(key, begun)
            key = text(begun.get("parent_id"))
        return self._root

    def _step(self, key: str, begun: Mapping[str, Any]) -> str:
        if key not in self._steps:
            self._steps[key] = identifier = gathered.span_id(self._trace, "step", key)
            above = self._parent({"span_id": begun.get("parent_id")})
            start = moment(begun.get("timestamp")) or self._started
            end = moment(self._ended.get(key, {}).get("timestamp")) or start
            self.spans.append(
                SpanRecord(
                    id=identifier,
                    trace_id=self._trace,
                    parent_id=above,
                    kind="module",
                    name=text(begun.get("name")),
                    path=text(begun.get("name")),
                    started=start,
                    seconds=max(0.0, end - start),
                    status="ok",
                )
            )
        return self._steps[key]

    def _span(self, place: int, event: Mapping[str, Any], kind: str, failed: str, **more: Any) -> SpanRecord:
        start = moment(event.get("timestamp")) or self._started
        end = moment(event.get("completed"))
        took = number(event.get("working_time"))
        return SpanRecord(
            id=gathered.span_id(self._trace, place),
            trace_id=self._trace,
            parent_id=self._parent(event),
            kind=kind,
            started=start,
            seconds=took if took is not None else max(0.0, (end or start) - start),
            status="error" if failed else "ok",
            error=failed,
            **more,
        )

    def _tool(self, place: int, event: Mapping[str, Any]) -> None:
        failed = mapping(event.get("error"))
        span = self._span(
            place,
            event,
            "tool",
            text(failed.get("message")),
            name=text(event.get("function")),
            error_type=text(failed.get("type")),
            attributes={"call_id": text(event.get("id"))},
        )
        result = self.words.plain(event.get("result"))
        self.contents[span.id] = Content(gathered.finite(mapping(event.get("arguments"))), gathered.finite(result))
        self.spans.append(span)

    def _model(self, place: int, event: Mapping[str, Any]) -> None:
        output, failed = mapping(event.get("output")), text(event.get("error"))
        choice = next(iter(objects(output.get("choices"))), None)
        usage = mapping(output.get("usage"))
        settings = _settings(mapping(event.get("config")))
        asked = text(event.get("model"))
        finish = "" if choice is None else _FINISH.get(text(choice.get("stop_reason")), "other")
        span = self._span(
            place,
            event,
            "lm",
            failed,
            name="generate",
            error_type="ModelError" if failed else "",
            lm_asked=asked,
            lm_answered=text(output.get("model")) if choice is not None else "",
            settings=gathered.finite(settings.to_json()),
            input_tokens=_inputs(usage),
            output_tokens=whole(usage.get("output_tokens")),
            cached_tokens=whole(usage.get("input_tokens_cache_read")),
            reasoning_tokens=whole(usage.get("reasoning_tokens")),
            cost=number(usage.get("total_cost")),
            cost_source="inspect" if number(usage.get("total_cost")) is not None else "",
            cache="hit" if event.get("cache") == "read" else "miss",
            finish=finish,
        )
        tools = [
            gathered.tool_of(one.get("name"), one.get("description"), one.get("parameters"))
            for one in objects(event.get("tools"))
        ]
        request = gathered.request_of(
            self.words.messages(event), settings=settings, tools=[tool for tool in tools if tool is not None]
        )
        response = None if choice is None or failed else gathered.response_of(self._reply(choice, span))
        self.contents[span.id] = Content(request=request, response=response)
        self.spans.append(span)

    def _reply(self, choice: Mapping[str, Any], span: SpanRecord) -> Response:
        told = self.words.said(mapping(choice.get("message")))
        finish: FinishReason = _FINISH.get(text(choice.get("stop_reason")), "other")
        usage = Usage(span.input_tokens, span.output_tokens, span.cached_tokens, span.reasoning_tokens, span.cost)
        return Response(
            told.text,
            span.lm_answered,
            told.reasoning or None,
            usage,
            finish,
            span.seconds or 0.0,
            tool_calls=told.calls,
        )


def _inputs(usage: Mapping[str, Any]) -> int | None:
    """All input tokens: Inspect counts those of a cache apart."""
    fresh = whole(usage.get("input_tokens"))
    if fresh is None:
        return None
    return fresh + sum(whole(usage.get(f"input_tokens_cache_{way}")) or 0 for way in ("read", "write"))


def _settings(config: Mapping[str, Any]) -> Settings:
    return gathered.settings_of(config, stop="stop_seqs", known=("top_k", "frequency_penalty", "presence_penalty"))


def _result(
    sample: Mapping[str, Any],
    trace: TraceRecord,
    index: int,
    epoch: int,
    leading: str,
    inputs: Any,
    outputs: Any,
) -> ResultRecord:
    scores = mapping(sample.get("scores"))
    parts = {name: value for name, told in scores.items() if (value := _value(mapping(told).get("value"))) is not None}
    name = leading if leading in scores else next(iter(scores), "")
    score = parts.get(name)
    state = "error" if trace.status == "error" else "unscored" if score is None else "pass" if score >= 1 else "fail"
    targets = listed(sample.get("target")) or [text(sample.get("target"))]
    return ResultRecord(
        run_id=trace.run_id,
        index=index,
        epoch=epoch,
        example=trace.example,
        trace_id=trace.id,
        state=state,
        score=None if state == "error" else score,
        feedback=text(mapping(scores.get(name)).get("explanation")),
        parts=parts,
        error=trace.error,
        seconds=trace.seconds or 0.0,
        cost=trace.cost,
        inputs=gathered.finite(inputs),
        targets=gathered.finite({"target": targets[0] if len(targets) == 1 else targets}),
        outputs=gathered.finite(outputs),
    )


def _value(value: Any) -> float | None:
    if isinstance(value, bool):
        return float(value)
    return _LETTERS.get(value) if isinstance(value, str) else number(value)
