"""From what was told of running code to rows of a store: content is cleaned of secrets, keyed by what it is, packed."""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, cast

from outlast.errors import LMCircuitOpen, LMError, LMReplayError
from outlast.lms.caching.hiding import hide_in_text, known_secrets, may_hold_secrets, without_secrets
from outlast.messages import NO_SETTINGS, Message, Request, Settings
from outlast.modules.module import Module
from outlast.tracing.packing import IDENTITY, dumps, packed
from outlast.tracing.record import ResultRecord
from outlast.tracing.recorder import Exchange, Open, Place, TraceState, told_of
from outlast.tracing.runs import StoredRun
from outlast.types import TRUSTED

if TYPE_CHECKING:
    pass

PREVIEW = 300  # characters of what went in and came out that a list shows
_KNOWN = 100_000  # keys of which this process knows that they are in the store
_FRESH = 1200.0  # seconds for which it knows; `gc` leaves what is younger than an hour
_PREFIXES = 512  # messages whose keys are remembered, as many requests begin with them
_PREFIX_BYTES = 8 << 20

Row = tuple[Any, ...]


@dataclass(slots=True)
class Rows:
    """What one batch puts into the tables; those of `spans`, `traces`, `runs` and `results` replace what is there."""

    runs: list[Row] = field(default_factory=list[Row])
    traces: list[Row] = field(default_factory=list[Row])
    spans: list[Row] = field(default_factory=list[Row])
    blobs: list[Row] = field(default_factory=list[Row])
    messages: list[Row] = field(default_factory=list[Row])
    programs: list[Row] = field(default_factory=list[Row])
    results: list[Row] = field(default_factory=list[Row])


class Encoder:
    """Makes rows. Used by one thread."""

    def __init__(self) -> None:
        self._known: dict[bytes, float] = {}
        self._prefixes: dict[tuple[bytes | None, Message, Any], bytes] = {}
        self._prefix_bytes = 0
        self._programs: dict[int, tuple[weakref.ref[Any], str]] = {}
        self._open_runs: dict[str, StoredRun] = {}
        self._secrets: Mapping[str, str] = {}
        self._rows = Rows()
        self._now = 0.0
        self._place: Place | None = None

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
            elif isinstance(thing, ResultRecord):
                self._rows.results.append(self._result(thing))
        for run in runs.values():
            self._run(run, dropped)
        for thing in spans.values():
            self._place = thing.state.place
            self._rows.spans.append(self._exchange(thing) if isinstance(thing, Exchange) else self._open(thing))
        for state in states.values():
            self._place = state.place
            self._rows.traces.append(self._trace(state))
        if len(self._known) > _KNOWN:
            self._known.clear()
        return self._rows

    def forget(self) -> None:
        """Take nothing for stored: another process may have removed it."""
        self._known.clear()

    # Runs, traces, spans

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
        shown = place.capture in ("full", "redacted")
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
            "" if said is None or place.capture == "off" else self._clean(f"{said[0]}: {said[1]}"),
            spent.calls,
            spent.input_tokens if spent.calls > spent.untold else None,
            spent.output_tokens if spent.calls > spent.untold else None,
            spent.dollars if known else (0.0 if not spent.calls else None),
            _list(tuple(state.models)),
            self._clean(preview(inputs)) if shown else "",
            self._clean(preview(outputs)) if shown else "",
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
            "" if said is None or span.state.place.capture == "off" else self._clean(said[1]),
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
            "" if error is None or kept.state.place.capture == "off" else self._clean(error[1]),
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
            self._clean(result.error),
            result.seconds,
            result.cost,
            *(
                dumps(without_secrets(value, self._secrets))
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

    # Content

    def _clean(self, text: str) -> str:
        """The text as it may be stored."""
        place = self._place
        text = hide_in_text(text, self._secrets)
        if place is None or not text:
            return text
        if place.capture == "redacted":
            text = redacted(text)
        return text if place.redact is None else own_redaction(place.redact, text)

    def _cleaned(self, data: Any) -> Any:
        place = self._place
        data = without_secrets(data, self._secrets)
        if place is not None and (place.capture == "redacted" or place.redact is not None):
            return each_text(data, self._clean)
        return data

    def _written(self, value: Any) -> bytes:
        """Content as the bytes that may be stored."""
        place = self._place
        plain = place is None or (place.capture != "redacted" and place.redact is None)
        if plain and isinstance(value, str):
            return dumps(hide_in_text(value, self._secrets)).encode("utf-8", "surrogatepass")
        written = dumps(value)
        if not plain or may_hold_secrets(written, self._secrets):
            written = dumps(self._cleaned(value))
        return written.encode("utf-8", "surrogatepass")

    def _blob(self, value: Any) -> bytes | None:
        """The key of some content, which goes into the store unless it is there."""
        capture = "full" if self._place is None else self._place.capture
        if value is None or capture == "off":
            return None
        raw = self._written(value)
        key = blake2b(raw, digest_size=16).digest()
        if capture != "hash" and self._is_new(key):
            self._rows.blobs.append((key, *packed(raw), self._now))
        return key

    def _request(self, request: Request, trace: str, identity: str = "") -> tuple[bytes | None, bytes | None]:
        """The keys of the last message, which leads to those before it, and of what stands beside the messages, with
        the identity of the model where that is more than its name."""
        if self._place is not None and self._place.capture == "off":
            return None, None
        tail: bytes | None = None
        last = len(request.messages) - 1
        for number, message in enumerate(request.messages):
            tail = self._message(tail, message, trace, keep=number < last)
        beside = request.beside_messages()
        if request.label is not TRUSTED:
            beside["label"] = request.label.to_json()
        if identity:
            beside[IDENTITY] = identity
        return tail, self._blob(beside) if beside else None

    def _message(self, parent: bytes | None, message: Message, trace: str, *, keep: bool) -> bytes:
        kept_in = self._place
        place = (parent, message, None if kept_in is None else (kept_in.capture, kept_in.redact))
        if keep:
            try:
                found = self._prefixes.get(place)
            except TypeError:  # a part that holds a list
                keep, found = False, None
            if found is not None and self._now - self._known.get(found, 0.0) < _FRESH:
                return found
        raw = self._written(message.to_json()["content"])
        key = blake2b(parent or b"", digest_size=16, person=message.role.encode()[:16])
        key.update(raw)
        digest = key.digest()
        if (self._place is None or self._place.capture != "hash") and self._is_new(digest):
            self._rows.messages.append((digest, parent, message.role, *packed(raw), self._now, trace))
        if keep:
            self._prefix_bytes += len(raw)
            if len(self._prefixes) >= _PREFIXES or self._prefix_bytes > _PREFIX_BYTES:
                self._prefixes.clear()
                self._prefix_bytes = len(raw)
            self._prefixes[place] = digest
            self._known.setdefault(digest, self._now)
        return digest

    def _is_new(self, key: bytes) -> bool:
        """Whether something is perhaps not in the store yet; from now on it is."""
        if self._now - self._known.get(key, 0.0) < _FRESH:
            return False
        self._known[key] = self._now
        return True

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
            row = (version, type(program).__name__, self._now, dumps(self._cleaned(shape)))
            self._rows.programs.append(row)
        return version


def version_of(program: Module) -> tuple[str, dict[str, Any]]:
    """The hash of a program and what stands in the store of it; "" when it cannot be told."""
    from outlast.modules.paths import predictors_of
    from outlast.modules.state import describe_signature, dump_changes, tuned
    from outlast.tracing.identity import program_hash

    try:
        version = program_hash(program)
    except Exception:  # code of a user that cannot be walked
        return "", {}
    shape: dict[str, Any] = {"class": type(program).__name__, "modules": {}, "parameters": {}}
    try:
        shape["modules"] = {
            path: {"module": type(part).__name__, "signature": describe_signature(part.signature)}
            for path, part in predictors_of(program).items()
        }
        shape["parameters"] = dump_changes(program, tuned(program))
    except Exception:  # a value that has no form in a file: the rest is worth having
        return version, shape
    return version, shape


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


def redacted(text: str) -> str:
    """The text without what identifies a person, as far as the built-in check finds it."""
    from outlast.checks.pii import redact

    return redact(text).text


def own_redaction(redact: Callable[[str], str], text: str) -> str:
    """What a user's function makes of a text; nothing of it is kept when that fails."""
    try:
        return str(redact(text))
    except Exception as error:
        return f"[not kept: redact raised {type(error).__name__}]"


def each_text(data: Any, change: Callable[[str], str]) -> Any:
    """JSON-ready data with every text changed."""
    if isinstance(data, str):
        return change(data)
    if isinstance(data, Mapping):
        return {name: each_text(value, change) for name, value in cast("Mapping[str, Any]", data).items()}
    if isinstance(data, (list, tuple)):
        return [each_text(value, change) for value in cast("list[Any]", data)]
    return data
