"""From what was told of running code to rows of a store."""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from outlast.errors import LMCircuitOpen, LMError, LMReplayError
from outlast.lms.caching.hiding import hide_in_text, without_secrets
from outlast.messages import NO_SETTINGS, Settings
from outlast.modules.module import Module
from outlast.tracing.filing import Filing, Row, Rows, each_text, own_redaction
from outlast.tracing.packing import dumps
from outlast.tracing.record import ResultRecord
from outlast.tracing.recorder import Exchange, Open, Result, TraceState, remember_secrets, told_of
from outlast.tracing.runs import StoredRun
from outlast.tracing.versions import version_of
from outlast.types import TRUSTED


class Encoder(Filing):
    """Makes rows of what was told. Used by one thread."""

    def __init__(self) -> None:
        super().__init__()
        self._programs: dict[int, tuple[weakref.ref[Any], str, bool]] = {}  # version, and whether its shape was kept
        self._names: dict[str, str] = {}
        self._names_hide = 0  # secrets that were known when they were looked at

    def rows(self, batch: list[Any], dropped: int) -> Rows:
        """The rows of what was told."""
        self._rows, self._now = Rows(), time.time()
        self._hide(remember_secrets())
        spans: dict[str, Open | Exchange] = {}
        states: dict[str, TraceState] = {}
        runs: dict[str, StoredRun] = {}
        for thing in batch:
            if isinstance(thing, (Open, Exchange)):
                if isinstance(thing, Open):
                    thing.seen += 1
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
        self._cleans.clear()
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
                self._named(run.lm),
                dumps(self._provenance(run)),
                dumps(without_secrets(run.summary, self._secrets)),
                dumps(without_secrets(run.attributes, self._secrets)),
                run.dropped,
            )
        )

    def _provenance(self, run: StoredRun) -> Any:
        """Where a run comes from, cleaned: what it was started with and what was changed may hold anything."""
        told = dict(run.provenance or {})
        if not run.shows:
            told = {name: value for name, value in told.items() if name not in ("diff", "argv")}
        told = without_secrets(told, self._secrets)
        if run.redact is not None:
            redact = run.redact
            for name in ("argv", "diff"):
                if name in told:
                    told[name] = each_text(told[name], lambda text: own_redaction(redact, text))
        return told

    def _named(self, name: str) -> str:
        """The name of a model as it may be stored: an address in it may hold a key."""
        if len(self._names) > 1000 or self._names_hide != len(self._secrets):
            self._names, self._names_hide = {}, len(self._secrets)
        found = self._names.get(name)
        if found is None:
            found = self._names[name] = hide_in_text(name, self._secrets)
        return found

    def _settings(self, settings: Settings) -> str:
        """Settings as JSON, without what somebody wrote where no text is kept."""
        if settings is NO_SETTINGS:
            return "{}"
        told = settings.to_json()
        if not self._shows:
            told = {name: value for name, value in told.items() if isinstance(value, int | float)}
        return dumps(self._cleaned(told))

    def _trace(self, state: TraceState) -> Row:
        root, place, spent = state.root, state.place, state.spent
        seconds: float | None
        if isinstance(root, Exchange):
            span = root.span
            kind, name, program = "lm", self._named(span.lm or span.signature), ""
            started, seconds, error = span.started, span.seconds, span.error
            said = None if error is None else told_of(error)
            messages = span.request.messages
            inputs = messages[-1].text if messages else ""
            outputs = "" if span.response is None else span.response.text
        else:
            assert root is not None
            kind, name, program = root.kind, root.name, self._program(root.module_value)
            over = root.seen > 1  # else what is inside it may still wait to be written
            started, seconds, said = root.started, root.seconds if over else None, root.error if over else None
            inputs, outputs = root.inputs, root.outputs if over else None
        status = "error" if said is not None else "open" if seconds is None else "ok"
        known = spent.calls > 0 and spent.unpriced == 0
        return (
            state.id,
            place.run_id,
            kind if kind in ("lm", "tool") else "program",
            name,
            program,
            hide_in_text(place.session, self._secrets),
            place.example,
            started,
            seconds,
            status,
            "" if said is None else self._told(f"{said[0]}: {said[1]}") or said[0],
            spent.calls,
            spent.input_tokens if spent.calls > spent.untold else None,
            spent.output_tokens if spent.calls > spent.untold else None,
            spent.dollars if known else (0.0 if not spent.calls else None),
            _list(tuple(map(self._named, state.models))),
            self._preview(inputs),
            self._preview(outputs),
            self._own_words(place.tags),
            _attributes(place.attributes, spent.cached, state.sample),
            0,
        )

    def _open(self, span: Open) -> Row:
        over = span.seen > 1
        seconds, said = (span.seconds, span.error) if over else (None, None)
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
            seconds,
            "error" if said is not None else "open" if seconds is None else "ok",
            "" if said is None else said[0],
            "" if said is None else self._told(said[1]),
            *(0, 0, "", "", "", "", "", "{}", None, None, None, None, None, "", None, 0.0, "", ""),
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
                "",
                self._settings(span.request.settings),
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
                self._named(response.model),
                self._named(response.fingerprint),
                response.request_id or "",
                self._settings(span.request.settings),
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
            self._named(span.module),
            span.path,
            self._named(span.signature),
            "",
            span.started,
            span.seconds,
            "ok" if error is None else "error",
            "" if error is None else error[0],
            "" if error is None else self._told(error[1]),
            span.attempt,
            span.joined,
            span.adapter,
            self._named(span.lm),
            *facts,
            None if span.label is TRUSTED else dumps(span.label.to_json()),
            "[]",
            "{}",
            None,
            # The values of an answer that is given stand on the module; those of one that was refused only here.
            self._blob(span.values) if error is not None and span.values else None,
            tail,
            beside,
            None if response is None else self._blob(response.to_json(), parts=True),
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
            dumps(without_secrets(dict(result.parts), self._secrets)) if self._shows else "{}",
            self._group(result.cluster),
            self._clean(result.error) or result.error.partition(":")[0],
            result.seconds,
            result.cost,
            *(
                dumps(self._cleaned(value)) if self._shows else "null"
                for value in (result.inputs, result.targets, result.outputs)
            ),
        )

    def _group(self, name: str) -> str:
        """The name of a group of examples: by its hash where it may not be stored as it is, as two groups must not
        become one."""
        if not name or (self._place is not None and self._place.capture == "off"):
            return ""
        told = self._clean(name)
        return told if told == name else f"#{blake2b(name.encode('utf-8', 'replace'), digest_size=8).hexdigest()}"

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
        found, shows = self._programs.get(id(program)), self._shows
        if found is not None and found[0]() is program and (found[2] or not shows):
            return found[1]
        version, shape = version_of(program)
        if len(self._programs) > 2000:
            self._programs = {key: one for key, one in self._programs.items() if one[0]() is not None}
        self._programs[id(program)] = (weakref.ref(program), version, shows)
        if version:
            row = (version, type(program).__name__, self._now, dumps(self._cleaned(shape) if shows else {}))
            self._rows.programs.append(row)
        return version


@functools.lru_cache(maxsize=256)
def _list(values: tuple[str, ...]) -> str:
    return dumps(values)


def _attributes(told: Mapping[str, Any], cached: int, sample: int) -> str:
    if not (told or cached or sample):
        return "{}"
    return dumps({**told, **({"cached": cached} if cached else {}), **({"sample": sample} if sample else {})})


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
