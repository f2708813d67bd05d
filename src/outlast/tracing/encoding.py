"""From what was told of running code to rows of a store."""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from outlast.errors import LMCircuitOpen, LMError, LMReplayError
from outlast.lms.caching.hiding import known_secrets
from outlast.messages import NO_SETTINGS, Settings
from outlast.modules.module import Module
from outlast.tracing.filing import Filing, Row, Rows
from outlast.tracing.packing import dumps
from outlast.tracing.record import ResultRecord
from outlast.tracing.recorder import Exchange, Open, Result, TraceState, told_of
from outlast.tracing.runs import StoredRun
from outlast.tracing.versions import version_of
from outlast.types import TRUSTED

PREVIEW = 300  # characters of what went in and came out that a list shows


class Encoder(Filing):
    """Makes rows of what was told. Used by one thread."""

    def __init__(self) -> None:
        super().__init__()
        self._programs: dict[int, tuple[weakref.ref[Any], str]] = {}

    def rows(self, batch: list[Any], dropped: int) -> Rows:
        """The rows of what was told."""
        self._rows, self._now, self._secrets = Rows(), time.time(), known_secrets()
        spans: dict[str, Open | Exchange] = {}
        states: dict[str, TraceState] = {}
        runs: dict[str, StoredRun] = {}
        for thing in batch:
            if isinstance(thing, (Open, Exchange)):
                spans[thing.id] = thing
                states[thing.state.id] = thing.state
            elif isinstance(thing, StoredRun):
                runs[thing.id] = thing
            elif isinstance(thing, Result):
                self._place = thing.place
                self._rows.results.append(self._result(thing.record))
        for run in runs.values():
            self._run(run, dropped)
        for thing in spans.values():
            self._place = thing.state.place
            self._rows.spans.append(self._exchange(thing) if isinstance(thing, Exchange) else self._open(thing))
        for state in states.values():
            self._place = state.place
            self._rows.traces.append(self._trace(state))
        return self._rows

    def _run(self, run: StoredRun, dropped: int) -> None:
        if run.provenance is None:
            from outlast.tracing.provenance import gather

            run.provenance = gather(datetime.fromtimestamp(run.started, UTC)).to_json()
        if run.kind == "process":
            run.dropped = dropped
        self._rows.runs.append(
            (
                run.id,
                run.parent_id,
                run.kind,
                run.name,
                run.status,
                run.started,
                run.ended,
                run.program,
                run.dataset,
                run.metric,
                run.lm,
                dumps(run.provenance),
                dumps(run.summary),
                dumps(run.attributes),
                run.dropped,
            )
        )

    def _trace(self, state: TraceState) -> Row:
        root, place, spent = state.root, state.place, state.spent
        seconds: float | None
        if isinstance(root, Exchange):
            span = root.span
            kind, name, program = "lm", span.lm or span.signature, ""
            started, seconds, error = span.started, span.seconds, span.error
            said = None if error is None else told_of(error)
            messages = span.request.messages
            inputs = messages[-1].text if messages else ""
            outputs = "" if span.response is None else span.response.text
        else:
            assert root is not None
            kind, name, program = root.kind, root.name, self._program(root.module_value)
            started, seconds, said = root.started, root.seconds, root.error
            inputs, outputs = root.inputs, root.outputs
        status = "error" if said is not None else "open" if seconds is None else "ok"
        known = spent.calls > 0 and spent.unpriced == 0
        return (
            state.id,
            place.run_id,
            kind if kind in ("lm", "tool") else "program",
            name,
            program,
            place.session,
            place.example,
            started,
            seconds,
            status,
            "" if said is None else self._clean(f"{said[0]}: {said[1]}") or said[0],
            spent.calls,
            spent.input_tokens if spent.calls > spent.untold else None,
            spent.output_tokens if spent.calls > spent.untold else None,
            spent.dollars if known else (0.0 if not spent.calls else None),
            _list(tuple(state.models)),
            self._clean(preview(inputs)) if self._shows else "",
            self._clean(preview(outputs)) if self._shows else "",
            _list(place.tags),
            _attributes(place.attributes, spent.cached, state.sample),
            0,
        )

    def _open(self, span: Open) -> Row:
        said = span.error
        return (
            span.id,
            span.state.id,
            span.parent,
            span.kind,
            span.name,
            span.path,
            _signature(span.module_value),
            self._program(span.module_value) if span.kind == "program" else "",
            span.started,
            span.seconds,
            "error" if said is not None else "open" if span.seconds is None else "ok",
            "" if said is None else said[0],
            "" if said is None else self._clean(said[1]),
            *(0, 0, "", "", "", "", "{}", None, None, None, None, None, "", None, 0.0, "", ""),
            None if span.label is TRUSTED else dumps(span.label.to_json()),
            self._notes(span.notes),
            "{}",
            self._blob(span.inputs),
            None if span.seconds is None else self._blob(span.outputs),
            None,
            None,
            None,
        )

    def _exchange(self, kept: Exchange) -> Row:
        span = kept.span
        response, error = span.response, None if span.error is None else told_of(span.error)
        if not kept.counted:
            kept.counted = True
            _count(kept)
        tail, beside = self._request(span.request, kept.state.id, span.identity if span.identity != span.lm else "")
        facts: tuple[Any, ...]
        if response is None:
            facts = (
                "",
                "",
                _settings(span.request.settings),
                None,
                None,
                None,
                None,
                None,
                "",
                None,
                0.0,
                "",
                "",
            )
        else:
            usage = response.usage
            facts = (
                response.model,
                response.request_id or "",
                _settings(span.request.settings),
                usage.input_tokens,
                usage.output_tokens,
                usage.cached_tokens,
                usage.reasoning_tokens,
                usage.cost,
                usage.cost_source or "",
                response.first_token_seconds,
                response.queued_seconds,
                response.cache,
                response.finish,
            )
        return (
            kept.id,
            kept.state.id,
            kept.parent,
            "lm",
            span.module,
            span.path,
            span.signature,
            "",
            span.started,
            span.seconds,
            "ok" if error is None else "error",
            "" if error is None else error[0],
            "" if error is None else self._clean(error[1]),
            span.attempt,
            span.joined,
            span.adapter,
            span.lm,
            *facts,
            None if span.label is TRUSTED else dumps(span.label.to_json()),
            "[]",
            "{}",
            None,
            # The values of an answer that is given stand on the module; those of one that was refused only here.
            self._blob(span.values) if error is not None and span.values else None,
            tail,
            beside,
            None if response is None else self._blob(response.to_json()),
        )

    def _result(self, result: ResultRecord) -> Row:
        return (
            result.run_id,
            result.index,
            result.epoch,
            result.example,
            result.trace_id,
            result.state,
            result.score,
            self._clean(result.feedback),
            dumps(dict(result.parts)),
            self._clean(result.error) or result.error.partition(":")[0],
            result.seconds,
            result.cost,
            *(
                dumps(self._cleaned(value)) if self._shows else "null"
                for value in (result.inputs, result.targets, result.outputs)
            ),
        )

    def _notes(self, notes: Mapping[str, Any] | None) -> str:
        if not notes:
            return "[]"
        return dumps(
            [
                {
                    "name": name,
                    "first": one.first,
                    "final": one.final,
                    "attempts": one.attempts,
                    "actions": list(one.actions),
                    "message": self._clean(one.message),
                }
                for name, one in notes.items()
            ]
        )

    def _program(self, program: object) -> str:
        """The version of a program, which goes into the store when it is new."""
        if not isinstance(program, Module):
            return ""
        found = self._programs.get(id(program))
        if found is not None and found[0]() is program:
            return found[1]
        version, shape = version_of(program)
        if len(self._programs) > 2000:
            self._programs = {key: one for key, one in self._programs.items() if one[0]() is not None}
        self._programs[id(program)] = (weakref.ref(program), version)
        if version:
            row = (version, type(program).__name__, self._now, dumps(self._cleaned(shape) if self._shows else {}))
            self._rows.programs.append(row)
        return version


@functools.lru_cache(maxsize=256)
def _list(values: tuple[str, ...]) -> str:
    return dumps(values)


def _attributes(told: Mapping[str, Any], cached: int, sample: int) -> str:
    if not (told or cached or sample):
        return "{}"
    return dumps({**told, **({"cached": cached} if cached else {}), **({"sample": sample} if sample else {})})


def _settings(settings: Settings) -> str:
    return "{}" if settings is NO_SETTINGS else dumps(settings.to_json())


def _signature(module: object) -> str:
    signature = getattr(module, "signature", None)
    name = getattr(signature, "__name__", "")
    return name if isinstance(name, str) else ""


def _count(kept: Exchange) -> None:
    state, span = kept.state, kept.span
    if span.joined:
        return
    if span.response is not None:
        state.spent.add(span.response)
        if span.response.model:
            state.models[span.response.model] = None
        return
    if span.lm:
        state.models.setdefault(span.lm)
    if isinstance(span.error, LMError) and not isinstance(span.error, LMCircuitOpen | LMReplayError):
        state.spent.fail()


def preview(value: Any) -> str:
    """The beginning of a value, for a list: a text as it is, one text of a mapping alone, else `name: text`s."""
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value)
        if len(items) == 1:
            return preview(next(iter(items.values())))
        text = " · ".join(f"{name}: {_short(one)}" for name, one in list(items.items())[:12])
    else:
        text = _short(value)
    text = " ".join(text[: 2 * PREVIEW].split())
    return text if len(text) <= PREVIEW else f"{text[: PREVIEW - 1]}…"


def _short(value: Any) -> str:
    if isinstance(value, str):
        return value[: 2 * PREVIEW]
    if value is None:
        return ""
    return dumps(value)[: 2 * PREVIEW]
