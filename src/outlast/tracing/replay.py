"""`replay`: what is stored runs again, from the store alone, or with a model and beside what it was."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from outlast.errors import ConfigError, DataError, LMError, UsageError, brief
from outlast.lms.protocol import LM, recorded
from outlast.lms.wire.model import WireLM
from outlast.messages import Message, Request
from outlast.modules.module import Module
from outlast.runtime import current, default, gather, run_blocking, running
from outlast.tracing.aligned import Pair, Side, new_sides, of, paired, stored_sides
from outlast.tracing.answering import Answered, Answers, offline, recorded_in, stand_in
from outlast.tracing.collecting import Collected, collected
from outlast.tracing.exchanges import Kept, exchanges, find, inputs_of_trace, kind_of, trace_ids
from outlast.tracing.identity import program_hash
from outlast.tracing.record import RunRecord, SpanRecord, TraceRecord
from outlast.tracing.recorder import Exchange
from outlast.tracing.store import Store, open_store
from outlast.tracing.switch import store_in_use

Mode = Literal["cache", "live", "diff"]
MODES = get_args(Mode)


@dataclass(frozen=True, slots=True)
class ReplayedTrace:
    """One trace that was replayed. `trace_id` is the stored one, `new_id` that of what ran now, under which it is kept
    where `mode` is not "cache"; `pairs` are the spans of both; `note` says what to know of it."""

    trace_id: str
    new_id: str
    name: str
    pairs: tuple[Pair, ...]
    note: str = ""

    @property
    def same(self) -> bool:
        """Whether the same came out: of the program, else of each exchange."""
        roots = [pair for pair in self.pairs if pair.kind == "program"] or list(self.pairs)
        return all(not {"outputs", "error", "missing", "added"} & {*pair.changed} for pair in roots)

    @property
    def outputs(self) -> Any:
        """What came out now."""
        root = next((pair for pair in self.pairs if pair.kind == "program"), self.pairs[-1] if self.pairs else None)
        return None if root is None or root.new is None else root.new.outputs

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "trace": self.trace_id,
            "new": self.new_id,
            "name": self.name,
            "same": self.same,
            "note": self.note,
            "spans": [pair.to_json() for pair in self.pairs],
        }


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a replay. `run_id` is the run of kind "replay" in which it is kept, "" with `mode="cache"`; `calls`
    counts exchanges with models that were made now, and `given` those that were answered from the store."""

    id: str
    kind: str
    mode: str
    traces: tuple[ReplayedTrace, ...]
    run_id: str = ""
    calls: int = 0
    given: int = 0
    left_out: int = 0

    @property
    def same(self) -> bool:
        """Whether the same came out of everything."""
        return all(trace.same for trace in self.traces)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "of": self.id,
            "kind": self.kind,
            "mode": self.mode,
            "same": self.same,
            "run": self.run_id,
            "calls": self.calls,
            "given": self.given,
            "left_out": self.left_out,
            "traces": [trace.to_json() for trace in self.traces],
        }

    def __str__(self) -> str:
        count = len(self.traces)
        same = sum(trace.same for trace in self.traces)
        asked = f"{self.given} answers from the store" if self.mode == "cache" else f"{self.calls} calls"
        return f"{count} trace{'s' * (count != 1)} replayed ({asked}): {same} the same, {count - same} not"


def replay(
    id: str | Any,
    program: Module | None = None,
    *,
    store: Store | str | os.PathLike[str] | None = None,
    mode: Mode = "cache",
    lm: LM | str | None = None,
    messages: tuple[Message, ...] | None = None,
    concurrency: int = 8,
) -> Replay:
    """Run something again that is in a store of traces; gives old and new beside each other.

    `id` names a span, a trace or a run, or is what a program gave while its trace was kept. With `program`, traces of
    that program run again with the inputs they had, others of a run are left out; without it each exchange is sent as
    it was, whatever came before it. `mode`: "cache" answers from the store, reaches no model and runs no tool, and
    raises `LMReplayError` for what is not there; "live" and "diff" ask models (and run tools), and keep what happens
    in the store, in a run of kind "replay". They are the same but for what a command line shows of them.

    `lm` is the model to ask: for each exchange, or for the modules of the program that have none of their own; without
    it the one that was asked, by its name. `messages` are sent in place of those of a single exchange. `store` is the
    one in use unless given. Cost: none with "cache", else what the program or the exchanges take. Raises `DataError`
    for what is not there or has no content, `LMError` for a model without a key, `UsageError`, and what the program
    raises for inputs that it cannot take.
    """
    return run_blocking(
        lambda: areplay(id, program, store=store, mode=mode, lm=lm, messages=messages, concurrency=concurrency)
    )


async def areplay(
    id: str | Any,
    program: Module | None = None,
    *,
    store: Store | str | os.PathLike[str] | None = None,
    mode: Mode = "cache",
    lm: LM | str | None = None,
    messages: tuple[Message, ...] | None = None,
    concurrency: int = 8,
) -> Replay:
    """`replay` from async code."""
    _check(program, mode, lm, messages)
    opened = store if isinstance(store, Store) else open_store(store or store_in_use(), read_only=mode == "cache")
    try:
        record = find(opened, id if isinstance(id, str) else _id_of(id))
        if messages is not None and kind_of(record) != "span":
            raise UsageError("messages are sent in place of those of one exchange: give the id of its span")
        if program is None:
            return await _exchanges(opened, record, mode, lm, messages, concurrency)
        if isinstance(record, SpanRecord):
            raise UsageError(
                f"the span {record.id} is {record.kind!r} and is replayed by itself; to run the program again give "
                f"the id of its trace, {record.trace_id}"
            )
        return await _programs(opened, record, program, mode, lm, concurrency)
    finally:
        if opened is not store:
            opened.close()


def _check(program: Any, mode: Any, lm: Any, messages: Any) -> None:
    if mode not in MODES:
        raise UsageError(f"mode is {', '.join(map(repr, MODES[:-1]))} or {MODES[-1]!r}; got {brief(mode)}")
    if program is not None and not isinstance(program, Module):
        raise UsageError(f"replay takes a program (an ol.Module); got {brief(program)}")
    if mode == "cache" and messages is not None:
        raise UsageError("mode='cache' answers from the store, which holds no answer to other messages; use 'live'")
    if mode == "cache" and lm is not None and program is None:
        raise UsageError("mode='cache' asks no model, so it takes no lm; use mode='live' or 'diff'")


def _id_of(prediction: Any) -> str:
    found = getattr(getattr(prediction, "trace", None), "id", None)
    if not isinstance(found, str):
        raise UsageError(f"what is replayed is named by its id, or is what a program gave; got {brief(prediction)}")
    if not found:
        raise DataError("the trace of this result was not kept: no store of traces was in use when it was made")
    return found


# Exchanges by themselves


async def _exchanges(
    store: Store,
    record: RunRecord | TraceRecord | SpanRecord,
    mode: Mode,
    lm: LM | str | None,
    messages: tuple[Message, ...] | None,
    concurrency: int,
) -> Replay:
    kept = exchanges(store, record)
    if not kept:
        raise DataError(f"the {kind_of(record)} {record.id} holds no exchange with a model")
    if mode != "cache":
        for asked in {one.span.lm_asked for one in kept} if lm is None else (lm,):
            _askable(opened_model(asked))
    with collected(store, record, mode) as told:
        answers = recorded_in(store, record.id)[0] if mode == "cache" else None
        pairs = await gather(*(_again(one, answers, lm, messages, told) for one in kept), limit=max(1, concurrency))
    contents = store.contents_of(list({one.span.trace_id for one in kept}))
    by_trace: dict[str, list[Pair]] = {}
    for one, (side, _) in zip(kept, pairs, strict=True):
        [(key, before)] = stored_sides([one.span], contents)
        by_trace.setdefault(one.span.trace_id, []).append(Pair(*key, before, side))
    names = {id: store.trace(id).name for id in by_trace}
    new = pairs[0][1] if len(kept) == 1 and mode != "cache" else ""  # else each is a trace of its own
    note = "" if len(kept) == 1 else "each exchange by itself"
    traces = tuple(ReplayedTrace(id, new, names[id], tuple(some), note) for id, some in by_trace.items())
    given = 0 if answers is None else answers.given
    return Replay(record.id, kind_of(record), mode, traces, told.run_id, 0 if answers else len(kept), given)


async def _again(
    one: Kept, answers: Answers | None, lm: LM | str | None, messages: tuple[Message, ...] | None, told: Collected
) -> tuple[Side, str]:
    """One exchange, asked again."""
    request: Request = one.request if messages is None else replace(one.request, messages=messages)
    if answers is not None:
        model: LM = Answered(stand_in(one.span.lm_asked, one.identity or one.span.lm_asked), answers)
    else:
        model = opened_model(one.span.lm_asked if lm is None else lm)
    place = told.place(one.span.id)
    failure: Exception | None = None
    with running(recording=place, lm=None, root=None, memo=None, trace=None, transport=None):
        try:
            await recorded(model, request, one.span.name or "LM")
        except Exception as error:  # it stands on the span
            failure = error
    found = told.of(place)
    if not found:
        assert failure is not None
        raise failure
    if answers is not None:
        answers.check()
    exchange = next(thing for thing in found if isinstance(thing, Exchange))
    return of(exchange), exchange.state.id


def _askable(lm: LM) -> LM:
    """The model. Raises `LMError` for one that has no key, before anything is kept: without an answer there is nothing
    to set beside what is stored."""
    leaf = getattr(lm, "leaf", None)
    if isinstance(leaf, WireLM):
        try:
            leaf.check_key()
        except ConfigError as error:
            raise LMError(f"{error}. Nothing was asked, and nothing is kept") from error
    return lm


def opened_model(lm: LM | str) -> LM:
    """A model to ask anew: one that is given by name is opened without its cache."""
    if isinstance(lm, LM):
        return lm
    from outlast.lms.models import BUILT_IN, open_model

    return open_model(lm) if lm in BUILT_IN else open_model(lm, cache=False)


# Programs


async def _programs(
    store: Store,
    record: RunRecord | TraceRecord,
    program: Module,
    mode: Mode,
    lm: LM | str | None,
    concurrency: int,
) -> Replay:
    every = [store.trace(id) for id in trace_ids(store, record)]
    mine = [one for one in every if one.kind == "program" and (len(every) == 1 or one.name == type(program).__name__)]
    if not mine:
        names = ", ".join(sorted({one.name for one in every})) or "none"
        raise DataError(
            f"the {kind_of(record)} {record.id} holds no trace of a {type(program).__name__}; it has traces of {names}"
        )
    version = program_hash(program)
    with _models(store, record, mode, lm) as answers, collected(store, record, mode) as told:
        jobs = [_run(store, one, program, version, told, tools=mode != "cache") for one in mine]
        done = await gather(*jobs, limit=max(1, concurrency))
    given = 0 if answers is None else answers.given
    return Replay(
        record.id, kind_of(record), mode, tuple(done), told.run_id, told.calls(), given, len(every) - len(mine)
    )


@contextmanager
def _models(
    store: Store, record: RunRecord | TraceRecord, mode: Mode, lm: LM | str | None
) -> Generator[Answers | None]:
    """Who answers inside a block: the store, or a model."""
    if mode == "cache":
        answers, results = recorded_in(store, record.id)
        with offline(answers, results, lm):
            yield answers
        return
    chosen = lm
    if chosen is None and current().lm is None and default("lm") is None:
        most = recorded_in(store, record.id)[0].asked_most
        chosen = None if most is None else most[0]
    with running(**({} if chosen is None else {"lm": _askable(opened_model(chosen))}), memo=None, root=None):
        yield None


async def _run(
    store: Store, trace: TraceRecord, program: Module, version: str, told: Collected, *, tools: bool
) -> ReplayedTrace:
    """One trace, run again."""
    root, inputs, _ = inputs_of_trace(store, trace)
    place = told.place(trace.id)
    sample = trace.attributes.get("sample", 0)
    with running(recording=place, trace=None, root=None, sample=sample if isinstance(sample, int) else 0):
        try:
            await program.acall(**inputs)
        except Exception:  # it stands on the span of the program, unless that did not begin
            if not told.of(place):
                raise
    found = told.of(place)
    spans = store.spans(trace.id)
    pairs = paired(stored_sides(spans, store.contents(trace.id), tools=tools), new_sides(found, tools=tools))
    then = trace.program or root.program
    note = f"the program was version {then[:12]}, and is {version[:12]}" if then and then != version else ""
    new = found[0].state.id if told.run_id else ""
    return ReplayedTrace(trace.id, new, trace.name, pairs, note)
