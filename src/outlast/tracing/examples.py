"""From traces to a data set: what was answered well becomes examples, and none of it gets into a test split."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, cast, get_args

from outlast.data.dataset import Dataset
from outlast.data.example import inputs_of
from outlast.data.files import write_lines
from outlast.data.jsonform import json_form
from outlast.data.near import NearTexts
from outlast.errors import DataError, UsageError, brief, did_you_mean
from outlast.modules.module import Module
from outlast.tracing.hygiene import Found, Held, scored, without_copies
from outlast.tracing.record import ALL, ELSEWHERE, LabelRecord, SpanRecord, TraceFilter, TraceRecord
from outlast.tracing.store import Store, open_store
from outlast.tracing.targets import OutputTypes, check_name

Targets = Literal["outputs", "corrections", "labels"]
TARGETS = get_args(Targets)
RANKS = ("human", "user", "code", "judge", "classifier")  # whose word counts, first to last
_PAGE = 400
_SAME = {True: "pass", False: "fail"}


@dataclass(frozen=True, slots=True)
class TraceExamples:
    """Examples that were made of traces: a version of a data set, known by `data.hash`.

    `traces` says which trace each example is from, by its id; `dropped` counts what was left out, by the reason;
    `about` says where they come from: the store, the filter, what counted, and the hashes of data they were kept from.
    """

    data: Dataset
    traces: Mapping[str, str]
    dropped: Mapping[str, int] = field(default_factory=dict[str, int])
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def hash(self) -> str:
        """That of the data set."""
        return self.data.hash

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the examples as JSON lines, and beside them `<path>.about.json`: the version, where they come from,
        what was left out, and the trace of each. Raises `DataError`."""
        place = Path(path)
        self.data.to_jsonl(place)
        write_lines(place.with_name(f"{place.name}.about.json"), json.dumps(self.to_json(), indent=2).split("\n"))

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, without the examples."""
        return {
            "data": self.hash,
            "examples": len(self.data),
            "dropped": dict(self.dropped),
            **self.about,
            "traces": dict(self.traces),
        }

    def __str__(self) -> str:
        count = len(self.data)
        left = ", ".join(f"{number} {reason}" for reason, number in self.dropped.items())
        return f"{count} example{'s' * (count != 1)} ({self.hash[:12]})" + (f"; left out: {left}" if left else "")


def examples_from_traces(
    store: Store | str | os.PathLike[str],
    where: TraceFilter = ALL,
    *,
    program: Module | str | None = None,
    path: str | None = None,
    label: str | float | bool | None = None,
    label_name: str | None = None,
    targets: Targets = "outputs",
    fields: Iterable[str] | None = None,
    never_into: Dataset | Sequence[Dataset] = (),
    near: float | None = 0.8,
    evaluated: bool = False,
    limit: int | None = None,
) -> TraceExamples:
    """Make a data set of what programs were given and gave in production.

    `where` and `program` (a program, the name of its class, or the beginning of a version's hash) say which traces;
    those of evaluations, compilations and replays are not among them, unless `where` names their run. `path` takes the
    module at that path in each trace, instead of the whole program. Traces that failed or are not over are left out.

    `label` keeps only what was labelled so: "pass" (or True), "fail" (or False), or another value, under `label_name`
    (any name when None). Where several people say something of a trace, people count before users, code, judges and
    classifiers, in that order; those of one rank who disagree make it "disputed", and it is left out.

    `targets`: "outputs", what was given; "corrections", the same with labels under the name of an output in its place
    (the right value, as somebody says), from traces that have one or are labelled as `label` says; "labels", the labels
    by name. `fields` keeps only these targets. Where `program` is a program, a correction is read as a value of its
    output's type, and left out when it is none. What holds a value that JSON cannot (infinity) is left out.

    Equal inputs are one example, and none when their targets differ ("conflicting"). Near copies are left out: `near`
    is the least likeness, see `NearTexts`; None leaves them in. So that no test is trained on, what stands in a data
    set of `never_into`, or was scored by an evaluation in this store (unless `evaluated`), is left out, near copies of
    it too. `limit` is how many traces are looked at, the newest first. The order is that of the traces, oldest first.

    Raises `DataError` when nothing is left, with what was left out, `UsageError` for options that mean nothing. Cost:
    no call; some 0.3 ms for an example.
    """
    _check(targets, near, limit)
    kept_from = [never_into] if isinstance(never_into, Dataset) else list(never_into)
    for one in kept_from:
        if not isinstance(one, Dataset):
            raise UsageError(f"never_into is a Dataset or a list of them; got {brief(one)}")
    opened = store if isinstance(store, Store) else open_store(store, read_only=True)
    try:
        narrowed = _narrowed(where, program, label, targets)
        types = OutputTypes(program if isinstance(program, Module) else None, path)
        maker = _Maker(opened, narrowed, path, label, label_name, targets, fields, types)
        found = list(maker.found(limit))
        if not maker.looked_at:
            raise DataError(_none_fits(opened, narrowed))
        held = Held(near)
        for one in kept_from:
            held.add_all("in a test split", (dict(inputs_of(example)) for example in one))
        if not evaluated:
            held.add_all("scored by an evaluation", scored(opened))
        rows, traces = without_copies(found, held, near, maker.dropped)
        about = {
            "store": opened.database.place,
            "filter": _set(where),
            "program": program if isinstance(program, str) else type(program).__name__ if program else None,
            "path": path,
            "label": {"value": label, "name": label_name} if label is not None else None,
            "targets": targets,
            "never_into": [one.hash for one in kept_from],
            "near": near,
            "looked_at": maker.looked_at,
        }
    finally:
        if opened is not store:
            opened.close()
    dropped = dict(sorted(maker.dropped.items()))
    if not rows:
        told = ", ".join(f"{number} {reason}" for reason, number in dropped.items())
        raise DataError(f"no example is left of {maker.looked_at} traces of {opened.database.place}: {told}")
    return TraceExamples(Dataset(rows), traces, dropped, about)


def _check(targets: Any, near: Any, limit: Any) -> None:
    if targets not in TARGETS:
        near_name = did_you_mean(str(targets), TARGETS)
        raise UsageError(f"targets are {', '.join(map(repr, TARGETS))}; got {brief(targets)}.{near_name}")
    if near is not None:
        NearTexts(near)
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise UsageError(f"limit is a whole number from 1; got {brief(limit)}")


def _narrowed(where: TraceFilter, program: Any, label: Any, targets: Targets) -> TraceFilter:
    """The filter with what the other options say."""
    changes: dict[str, Any] = {}
    if isinstance(program, Module):
        changes["name"] = type(program).__name__
    elif isinstance(program, str):
        digits = len(program) >= 6 and all(digit in "0123456789abcdef" for digit in program)
        changes["program" if digits else "name"] = program
    elif program is not None:
        raise UsageError(f"program is an ol.Module, the name of one or the hash of a version; got {brief(program)}")
    if label is not None or targets != "outputs":
        changes["labelled"] = True
    for name in changes:
        if getattr(where, name) not in (None, changes[name]):
            raise UsageError(f"the filter says {name}={getattr(where, name)!r}, and the options {changes[name]!r}")
    return replace(where, **changes)


def _none_fits(store: Store, where: TraceFilter) -> str:
    """Why no trace was looked at: a name that none has, a label that is missing, or the rest of the filter."""
    of = f" of {where.name!r}" if where.name is not None else f" of version {where.program}" if where.program else ""
    if of and not store.count(TraceFilter(name=where.name, program=where.program)):
        names = store.facets()["names"]
        near = did_you_mean(where.name, names) if where.name is not None else ""
        listed = f" Programs: {', '.join(map(repr, names[:20]))}." if names else " It holds no trace."
        return f"there is no trace{of} in {store.database.place}.{near}{listed}"
    others = store.count(replace(where, labelled=None)) if where.labelled else 0
    if others:
        count = f"{others:,} trace{'s' * (others != 1)}{of}"
        return (
            f"{count} in {store.database.place}, and none has a label. Labels come from `outlast view`, from "
            "ol.feedback and from judges"
        )
    return f"no trace{of} in {store.database.place} fits the filter"


def _set(where: TraceFilter) -> dict[str, Any]:
    return {f.name: value for f in fields(where) if (value := getattr(where, f.name)) is not None}


class _Maker:
    """Reads traces and makes an example of each that will do."""

    def __init__(
        self,
        store: Store,
        where: TraceFilter,
        path: str | None,
        label: Any,
        label_name: str | None,
        targets: Targets,
        names: Iterable[str] | None,
        types: OutputTypes,
    ) -> None:
        self._types = types
        self.dropped = Counter[str]()
        self.looked_at = 0
        self._store = store
        self._where = where
        self._path = path
        self._label = _SAME.get(label, label) if isinstance(label, bool) else label
        self._label_name = label_name
        self._targets: Targets = targets
        self._names = None if names is None else [names] if isinstance(names, str) else list(names)
        self._elsewhere: set[str] = set()
        if where.run is None:
            self._elsewhere = {run.id for kind in ELSEWHERE for run in store.runs(kind, limit=1_000_000)}
        self._labels: dict[str, list[LabelRecord]] = {}
        if label is not None or targets != "outputs":
            for one in store.labels():
                self._labels.setdefault(one.trace_id, []).append(one)

    def found(self, limit: int | None) -> list[Found]:
        """What the traces give, oldest first."""
        made: list[Found] = []
        for page in self._pages(limit):
            wanted = [one for one in page if self._wanted(one)]
            if wanted:
                made.extend(self._read(wanted))
        return made[::-1]

    def _pages(self, limit: int | None) -> Iterator[list[TraceRecord]]:
        found = self._store.all_traces(self._where, limit)
        while page := list(islice(found, _PAGE)):
            self.looked_at += len(page)
            yield page

    def _wanted(self, trace: TraceRecord) -> bool:
        if self._of_no_use(trace):
            self.dropped["of evaluations, compilations or replays"] += 1
        elif trace.kind != "program":
            self.dropped["of no program"] += 1
        elif trace.status != "ok":
            self.dropped["failed or not over"] += 1
        else:
            return True
        return False

    def _of_no_use(self, trace: TraceRecord) -> bool:
        if self._where.run is not None:
            return False
        return trace.run_id in self._elsewhere or "replay" in trace.tags or trace.attributes.get("of") == "metric"

    def _read(self, traces: list[TraceRecord]) -> Iterator[Found]:
        spans: dict[str, list[SpanRecord]] = {}
        for span in self._store.spans_of([trace.id for trace in traces]):
            if (not span.parent_id) if not self._path else span.path == self._path and span.kind == "module":
                spans.setdefault(span.trace_id, []).append(span)
        contents = self._store.contents_of([one.id for some in spans.values() for one in some], of="span")
        for trace in traces:
            some = spans.get(trace.id, [])[::-1]
            if not some:
                self.dropped[f"without a module at {self._path!r}"] += 1
            for span in some:
                content = contents[span.id]
                made = self._made(trace, span, content.inputs, content.outputs)
                if made is not None:
                    yield made

    def _made(self, trace: TraceRecord, span: SpanRecord, inputs: Any, outputs: Any) -> Found | None:
        if not isinstance(inputs, dict) or outputs is None:
            self.dropped["without content" if span.status == "ok" else "failed or not over"] += 1
            return None
        given: dict[str, Any] = (
            dict(cast("dict[str, Any]", outputs)) if isinstance(outputs, dict) else {"output": outputs}
        )
        labels = self._judged(trace, span)
        if labels is None:
            return None
        if self._targets == "labels":
            given = {name: one.value for name, one in labels.items()}
        elif self._targets == "corrections":
            right = self._right(labels, given)
            if right is None:
                return None
            if not right and not self._agrees(labels):
                self.dropped["without a correction"] += 1
                return None
            given |= right
        targets = given if self._names is None else {name: given[name] for name in self._names if name in given}
        missing = [] if self._names is None else [name for name in self._names if name not in given]
        if missing or not targets:
            self.dropped[f"without {', '.join(map(repr, missing)) or 'targets'}"] += 1
            return None
        found = Found(trace.id, dict(cast("dict[str, Any]", inputs)), targets)
        if not _has_json_form(found):
            self.dropped["with a value that JSON cannot hold"] += 1
            return None
        return found

    def _right(self, labels: Mapping[str, LabelRecord], given: Mapping[str, Any]) -> dict[str, Any] | None:
        """The right values that labels say, by the output; None when one is not of its type."""
        right: dict[str, Any] = {}
        for name, one in labels.items():
            if _is_verdict(one):
                continue
            check_name(name, given)
            if name in given:
                try:
                    right[name] = self._types.read(name, one.value, given[name])
                except ValueError:
                    self.dropped[f"not of the type of {name}"] += 1
                    return None
        return right

    def _judged(self, trace: TraceRecord, span: SpanRecord) -> dict[str, LabelRecord] | None:
        """The labels that count, by name; None when the trace is not wanted for what they say."""
        if self._label is None and self._targets == "outputs":
            return {}
        said = [one for one in self._labels.get(trace.id, ()) if one.span_id in ("", span.id)]
        by_name: dict[str, list[LabelRecord]] = {}
        for one in said:
            by_name.setdefault(one.name, []).append(one)
        counted: dict[str, LabelRecord] = {}
        for name, some in by_name.items():
            first = min(RANKS.index(one.source) if one.source in RANKS else len(RANKS) for one in some)
            ranked = [one for one in some if RANKS.index(one.source) == first] if first < len(RANKS) else some
            if len({json.dumps(_meant(one.value)) for one in ranked}) > 1:
                self.dropped["disputed"] += 1
                return None
            counted[name] = ranked[-1]
        if self._targets != "corrections" and self._label is not None and not self._agrees(counted):
            self.dropped["labelled otherwise" if counted else "without a label"] += 1
            return None
        return counted

    def _agrees(self, labels: Mapping[str, LabelRecord]) -> bool:
        """Whether a label says what is asked for, and none under such a name says otherwise."""
        if self._label is None:
            return False
        names = [self._label_name] if self._label_name is not None else list(labels)
        said = [_meant(labels[name].value) for name in names if name in labels]
        opposite = {"pass": "fail", "fail": "pass"}.get(str(self._label))
        return self._label in said and (opposite is None or opposite not in said)


def _has_json_form(found: Found) -> bool:
    """Whether an example can hold it: a correction may say infinity, which no file of JSON lines has."""
    try:
        json_form([found.inputs, found.targets])
    except DataError:
        return False
    return True


def _is_verdict(label: LabelRecord) -> bool:
    """Whether a label judges the whole, though an output may have the same name."""
    return label.name in ("label", "feedback") and _meant(label.value) in ("pass", "fail", "defer")


def _meant(value: Any) -> Any:
    return _SAME[value] if isinstance(value, bool) else value
