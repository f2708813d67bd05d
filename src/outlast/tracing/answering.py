"""Answering from a recording instead of asking models: nothing inside reaches one, and what is missing is an error."""

from __future__ import annotations

import json
import os
import threading
import zlib
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outlast import errors
from outlast.errors import DataError, LMError, LMReplayError, OutlastError, UsageError, brief
from outlast.lms.caching.tape import Exchange, asked_form, difference, key_of, read_tape, shortened
from outlast.lms.protocol import LM, Capabilities, Wrapper
from outlast.messages import Request, Response, StreamEvent, events_of
from outlast.runtime import current, default, running
from outlast.tracing.exchanges import Kept, each_exchange, find, kind_of, trace_ids
from outlast.tracing.record import RunRecord, SpanRecord, TraceRecord
from outlast.tracing.results import ToolResults, tool_results
from outlast.tracing.runs import stored_run
from outlast.tracing.store import Store, open_store

Source = Store | str | os.PathLike[str]
_LOOKED_AT = 5000  # recorded requests, of which those that share most lines with a missing one ...
_NEAR = 8  # ... are compared with it
_EXPLAINED = 3  # missing requests for which that is done: what differs is mostly the same in all


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked and what came of it; `where` names it in messages. The request is kept small, as it is seldom
    looked at: in a run with long prompts all of them together would fill the memory."""

    key: bytes
    identity: str
    packed: bytes
    response: Response | None
    error: tuple[str, str] | None
    where: str
    name: str

    @classmethod
    def of(
        cls, asked: Mapping[str, Any], response: Response | None, error: tuple[str, str] | None, where: str, name: str
    ) -> Answer:
        """One of a request in the form that requests are matched in."""
        packed = zlib.compress(json.dumps(asked["request"]).encode(), 1)
        return cls(key_of(asked), str(asked["model"]), packed, response, error, where, name)

    @property
    def asked(self) -> dict[str, Any]:
        """The request in that form."""
        return {"model": self.identity, "request": json.loads(zlib.decompress(self.packed))}


class Answers:
    """What models answered, by what they were asked. Safe for threads.

    Requests are matched by the identity of the model and all that decides the answer, after secrets are hidden; where
    all that is recorded under a model's name has one identity, the name is enough. The n-th equal request gets the
    n-th answer, or the error that came of it, and the last of them from then on. `given` counts them; `missed` are the
    errors for what is not there. With `as_recorded` answers say of themselves what they said then (cached or not, what
    they cost), so that budgets and reports come out as they did; without it they are marked as replayed, and are free.
    """

    def __init__(self, answers: Iterable[Answer], place: str, *, as_recorded: bool = True, hint: str = "") -> None:
        self.place = place
        self.as_recorded = as_recorded
        self.given = 0
        self.missed: list[LMReplayError] = []
        self._hint = hint
        self._all = list(answers)
        self._turns = Counter[bytes]()
        self._lock = threading.Lock()
        self._found: dict[bytes, list[Answer]] = {}
        self._identities: dict[str, set[str]] = {}
        for one in self._all:
            self._found.setdefault(one.key, []).append(one)
            self._identities.setdefault(one.name, set()).add(one.identity)
        for found in self._found.values():
            _paid_first(found)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def asked_most(self) -> tuple[str, str] | None:
        """Name and identity of the model that was asked most often."""
        counts = Counter((one.name, one.identity) for one in self._all)
        return counts.most_common(1)[0][0] if counts else None

    def capabilities(self, name: str) -> Capabilities:
        """What a model can do, as far as what it was asked tells."""
        asked = [one.asked["request"] for one in self._all if one.name == name]
        outputs = [request.get("output") for request in asked]
        return Capabilities(
            tools=any(request.get("tools") for request in asked),
            json_schema=any(isinstance(output, Mapping) for output in outputs),
            json_object=any(output is not None for output in outputs),
            decisions=any(request.get("questions") for request in asked),
            reasoning=any(request.get("settings", {}).get("reasoning") for request in asked),
            logprobs=any(request.get("settings", {}).get("logprobs") for request in asked),
            prefill=any(
                request["messages"][-1:] and request["messages"][-1]["role"] == "assistant" for request in asked
            ),
        )

    def answer(self, lm: LM, request: Request) -> Response:
        """The recorded answer. Raises the error that was recorded, or `LMReplayError`."""
        asked = asked_form(self._identity(lm), request)
        key = key_of(asked)
        found = self._found.get(key)
        if found is None:
            error = self._missing(lm, asked, request)
            self.missed.append(error)
            raise error
        with self._lock:
            one = found[min(self._turns[key], len(found) - 1)]
            self._turns[key] += 1
            self.given += 1
        if one.response is None:
            raise _error_of(one, request)
        return one.response if self.as_recorded else one.response.as_cached("replayed")

    def _identity(self, lm: LM) -> str:
        known = self._identities.get(lm.name, set())
        identity = lm.identity
        return next(iter(known)) if len(known) == 1 and identity not in known else identity

    def _missing(self, lm: LM, asked: Mapping[str, Any], request: Request) -> LMReplayError:
        count = f"{len(self._all)} recorded exchange{'' if len(self._all) == 1 else 's'}"
        text = f"this request of {lm.name!r} is not in the recording {self.place} ({count}). {self._hint}".rstrip()
        told = self._difference(asked) if len(self.missed) < _EXPLAINED else ""
        if told:
            where = told.partition("\n")[0].removeprefix("--- ").removeprefix(f"{self.place[1:-1]}, ")
            text += f" The nearest, {where}, differs:\n{shortened(told)}"
        elif self._all:
            last = request.messages[-1].shown if request.messages else ""
            text += f" It ends: {brief(last[-100:])}"
        error = LMReplayError(text, request=request)
        error.difference = told
        return error

    def _difference(self, asked: Mapping[str, Any]) -> str:
        """How a request differs from the nearest recorded one. Costs up to a second for long prompts."""
        wanted = _lines(asked)
        near = sorted(self._all[-_LOOKED_AT:], key=lambda one: len(wanted & _lines(one.asked)))[-_NEAR:]
        listed = [Exchange(number, one.asked, Response("")) for number, one in enumerate(near)]
        return difference(asked, listed, named=lambda number: near[number].where, most=None)

    def check(self) -> None:
        """Raise the first error for something that was not there, though the code inside went on."""
        if self.missed:
            first, *others = self.missed
            first.others = tuple(map(str, others))
            raise first


class Answered(Wrapper):
    """A model whose answers come from a recording; it is never asked."""

    spends = False
    _checked = True

    def __init__(self, inner: LM, answers: Answers) -> None:
        super().__init__(inner)
        self._answers = answers

    async def complete(self, request: Request) -> Response:
        """The recorded answer. Raises `LMReplayError`."""
        return self._answers.answer(self.inner, request)

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        """The recorded answer, in one piece of each kind."""
        for event in events_of(self._answers.answer(self.inner, request)):
            yield event


class StandIn(LM):
    """A model that is known by name only: it stands where one was asked, for its answers to be replayed."""

    def __init__(self, name: str, identity: str, capabilities: Capabilities) -> None:
        self.name = name
        self.capabilities = capabilities
        self._identity = identity

    @property
    def identity(self) -> str:
        """That of the model which was asked."""
        return self._identity

    async def complete(self, request: Request) -> Response:
        """It cannot be asked."""
        raise LMReplayError(f"{self.name!r} stands for a model whose answers are replayed; it cannot be asked")


class Offline:
    """The way to every model inside a replay: none is reached, not in batches either."""

    offline = True

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def __call__(self, lm: LM) -> LM:
        return lm if isinstance(lm, Answered) else Answered(lm, self._answers)


@contextmanager
def replaying(
    source: Source, id: str | None = None, *, lm: LM | str | None = None, as_recorded: bool = True
) -> Generator[Answers]:
    """Run a block offline: whatever it asks any model is answered from a recording, and no model is reached.

        with ol.replaying("traces.db", run_id):
            again = ol.compile(program, data, metric, study=False)

    `source` is a store of traces, with `id` a run, a trace or a span of it (all that it holds without one), or a
    cassette (a file named *.jsonl). A run stands for the runs inside it too. With a store tools are not run either:
    they give what they gave. Answers that came from a cache count like others. See `Answers` for how requests are
    matched, and for `as_recorded`. `lm` is the model for modules without one when none is configured, by its name;
    else it is the one that was asked most often. Where traces are kept, those of the block are kept in a run of kind
    "replay".

    Raises `DataError` at once for what is not there or was recorded without content, and `LMReplayError` for a request
    that is not in the recording: where it was asked, and once more when the block ends, for code that went on without
    the answer.
    """
    answers, results = recorded_in(source, id, as_recorded=as_recorded)
    with stored_run("replay", id or "") as run, offline(answers, results, lm):
        if run is not None:
            run.attributes = {"of": id or "", "mode": "cache"}
        yield answers


@contextmanager
def offline(answers: Answers, results: ToolResults | None, lm: LM | str | None = None) -> Generator[None]:
    """Run a block with these answers, see `replaying`; without results of tools these run."""
    changes: dict[str, Any] = {"transport": Offline(answers), "memo": None}
    if results is not None:
        results.on_missing = answers.missed.append
        changes["journal"] = results
    model = _model(lm, answers)
    if model is not None:
        changes["lm"] = model
    with running(**changes):
        yield
        answers.check()


def recorded_in(source: Source, id: str | None, *, as_recorded: bool = True) -> tuple[Answers, ToolResults | None]:
    """What a recording holds: the answers of models, and what tools gave (None for a cassette, which does not say)."""
    if isinstance(source, Store):
        return _in_store(source, id, as_recorded)
    if not isinstance(source, (str, os.PathLike)) or not os.fspath(source):
        raise UsageError(f"a recording is a store of traces or a cassette, by its path; got {brief(source)}")
    path = os.fspath(source)
    if isinstance(path, str) and path.endswith(".jsonl"):
        if id is not None:
            raise UsageError(f"a cassette is replayed whole; leave the id {id!r} out")
        if not Path(path).is_file():
            raise DataError(f"there is no cassette at {path!r}")
        found = [_of_tape(one, path) for one in read_tape(Path(path))]
        return Answers(found, repr(path), as_recorded=as_recorded), None
    with open_store(path, read_only=True) as store:
        return _in_store(store, id, as_recorded)


def _of_tape(one: Exchange, path: str) -> Answer:
    model = str(one.asked["model"])
    return Answer.of(one.asked, one.response, None, f"{path}, line {one.line}", one.name or model)


def _in_store(store: Store, id: str | None, as_recorded: bool) -> tuple[Answers, ToolResults]:
    if id is None:
        whole = [run for run in store.runs(limit=1_000_000) if not run.parent_id and run.kind != "replay"]
        records: list[RunRecord | TraceRecord | SpanRecord] = [*whole]
        place = f"{store.database.place!r}"
    else:
        records = [find(store, id)]
        place = f"{store.database.place!r} ({kind_of(records[0])} {records[0].id})"
    ids = [trace for record in records for trace in trace_ids(store, record)]
    found = [(kept.span.started, answer_of(kept)) for record in records for kept in each_exchange(store, record)]
    found.sort(key=lambda one: one[0])
    dropped = sum(record.dropped for record in records if isinstance(record, RunRecord))
    hint = f"{dropped} spans were dropped while it was recorded, so it is not whole." if dropped else ""
    answers = [one for _, one in found if one is not None]
    return Answers(answers, place, as_recorded=as_recorded, hint=hint), tool_results(store, ids)


def answer_of(kept: Kept) -> Answer | None:
    """An exchange as it is matched; None for one that was given up before anything came of it."""
    span = kept.span
    if kept.response is None and _kind_of_error(span.error_type) is None:
        return None
    error = None if kept.response is not None else (span.error_type, span.error)
    asked = asked_form(kept.identity or span.lm_asked, kept.request)
    return Answer.of(asked, kept.response, error, f"span {span.id}", span.lm_asked)


def _paid_first(answers: list[Answer]) -> None:
    """Of an answer that several got at the same time, the one that was paid for comes first, as the others only waited
    for it."""
    first = answers[0].response
    if first is None or first.cache == "miss":
        return
    for at, one in enumerate(answers):
        if one.response is not None and one.response.cache == "miss" and one.response.text == first.text:
            answers[0], answers[at] = answers[at], answers[0]
            return


def _kind_of_error(name: str) -> type[LMError] | None:
    kind = getattr(errors, name, None) if name.startswith("LM") else None
    return kind if isinstance(kind, type) and issubclass(kind, LMError) and kind is not LMReplayError else None


def _error_of(one: Answer, request: Request) -> LMError:
    assert one.error is not None
    kind = _kind_of_error(one.error[0]) or LMError
    text = f"{one.error[1]} (recorded: {one.where})"
    return LMError(text, request=request) if kind is errors.LMModelChanged else kind(text, request=request)


def _lines(asked: Mapping[str, Any]) -> set[str]:
    request = asked["request"]
    texts = [str(message.get("content")) for message in request.get("messages", ())]
    beside = [f"{name}: {value}" for name, value in request.items() if name != "messages"]
    return {line for text in texts for line in text.split("\n")} | {*beside, f"model: {asked['model']}"}


def _model(lm: LM | str | None, answers: Answers) -> LM | None:
    """The model for modules without one; None where one is configured."""
    from outlast.modules.settings import as_lm

    if isinstance(lm, LM):
        return as_lm(lm)
    if lm is None and (current().lm is not None or default("lm") is not None):
        return None
    most = answers.asked_most
    name, identity = most if lm is None and most is not None else (lm or "", lm or "")
    return stand_in(name, identity, answers) if name else None


def stand_in(name: str, identity: str, answers: Answers | None = None) -> LM:
    """What stands for a model that was asked: it can what one of that name can where it can be opened, else what it was
    asked for. It is never asked."""
    try:
        capabilities = LM(name, cache=False).capabilities
    except OutlastError:  # a model of somebody's own, or of an engine that is not installed
        capabilities = Capabilities() if answers is None else answers.capabilities(name)
    return StandIn(name, identity, capabilities)
