"""The right answer as somebody gives it on the page: a field for each output, kept as a label named after it.

A list or an object is edited as JSON, held against the schema of the signature where the store has it, and kept as
JSON text: the value of a label is plain. A data set made of such labels reads it back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from outlast.errors import DataError, UsageError, brief
from outlast.tracing.record import LabelRecord, TraceRecord
from outlast.view.forms import Form
from outlast.view.jsontext import read_json
from outlast.view.reviewing import Task
from outlast.view.schemas import choices_in, misfits, schemas_in, table
from outlast.view.texts import unseen

if TYPE_CHECKING:
    from outlast.tracing.store import Store

LONGEST = 8_000  # characters of an output that can be put right in a form
LONGEST_DATA = 16_000  # of its JSON
SHORT = 40  # characters of JSON that stand on one line
MOST = 40  # outputs
FEW = 20  # different targets up to which they are a list to choose from
ROWS = 400  # of an evaluation that are looked at for its targets
RIGHT, WAS = "right.", "was."  # before the name of an output: what it should be, and what the page showed
Schemas = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Output:
    """An output that can be put right: what came, what stands now, and the values that it can have, if they are told.

    `kind` is "choice", "truth", "number", "text" or "data"; `schemas` are those that what came fits, none where the
    store knows none. `typed` is what somebody wrote that could not be kept, and `wrong` says why.
    """

    name: str
    kind: str
    came: Any
    now: Any
    choices: tuple[Any, ...] = ()
    schemas: tuple[Mapping[str, Any], ...] = ()
    typed: str | None = None
    wrong: str = ""

    @property
    def is_corrected(self) -> bool:
        """Whether somebody said that it should have been something else."""
        return self.written(self.now) != self.written(self.came)

    @property
    def field(self) -> str:
        """What stands in its field."""
        return self.written(self.now) if self.typed is None else self.typed

    def written(self, value: Any) -> str:
        """A value as it stands in the field."""
        return as_json(value) if self.kind == "data" else written(value)

    def read(self, text: str) -> Any:
        """What somebody wrote, as a value. Raises `UsageError`."""
        known = {self.written(one): one for one in (*self.choices, self.came, self.now)}
        if text in known:
            return known[text]
        if self.kind in ("choice", "truth"):
            raise UsageError(f"{self.name!r} is one of {', '.join(map(written, self.choices))}; got {brief(text)}")
        value = self._value(text)
        if self.schemas and (wrong := min((self._misfits(one, value) for one in self.schemas), key=len)):
            raise UsageError(f"{self.name!r} does not have its type: {'; '.join(wrong)}")
        return value

    def _misfits(self, schema: Mapping[str, Any], value: Any) -> list[str]:
        """Fields that the type does not know are wrong, unless what came has such, as computed ones."""
        return misfits(schema, value, closed=not misfits(schema, self.came, closed=True))

    def _value(self, text: str) -> Any:
        if self.kind == "data":
            return read_json(self.name, text)
        if not text and any(not misfits(one, None) for one in self.schemas):
            return None
        return _number(self.name, text) if self.kind == "number" else text


def _number(name: str, text: str) -> float:
    try:
        number = int(text) if text.lstrip("+-").isdecimal() else float(text)
        finite = math.isfinite(number)
    except (ValueError, OverflowError):
        number, finite = math.nan, False
    if not finite:
        raise UsageError(f"{name!r} is a number; got {brief(text)}")
    return number


def written(value: Any) -> str:
    """A plain value as it stands in a field."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value).replace("\r\n", "\n").replace("\r", "\n").strip()


def as_json(value: Any) -> str:
    """A list or an object as it stands in a field, what is short on one line; characters that cannot be seen are
    escaped."""
    text = _lines(value, "", False)
    return _lines(value, "", True) if unseen(text) else text


def _lines(value: Any, margin: str, escaped: bool) -> str:
    line = json.dumps(value, ensure_ascii=escaped, default=str)
    if not isinstance(value, list | dict) or len(line) <= SHORT:
        return line
    inner = margin + "  "
    if isinstance(value, list):
        parts, ends = [_lines(one, inner, escaped) for one in cast("list[Any]", value)], "[]"
    else:
        told = cast("dict[str, Any]", value).items()
        parts = [f"{json.dumps(str(name), ensure_ascii=escaped)}: {_lines(one, inner, escaped)}" for name, one in told]
        ends = "{}"
    return f"{ends[0]}\n{inner}" + f",\n{inner}".join(parts) + f"\n{margin}{ends[1]}"


def outputs_of(store: Store, task: Task, trace_id: str, author: str) -> list[Output]:
    """What can be put right of a trace. An output with the name of the queue's own labels is left out: both would be
    one label. So is a text that is long, or has characters that a form would not give back, and data whose JSON is
    longer than 16,000 characters."""
    try:
        trace = store.trace(trace_id)
    except DataError:
        return []
    tops = [span for span in store.spans(trace.id) if not span.parent_id]
    given = store.content(tops[0]).outputs if tops else None
    came = _fitting(given)
    came.pop(task.label, None)
    if not came:
        return []
    mine = {one.name: one.value for one in _mine(store, trace.id, author) if one.name in came}
    known = _schemas(store, trace)
    told = {name: choices_in(some[0]) for name, some in known.items()}
    seen = _from_targets(store, trace, [name for name in came if not told.get(name)])
    return [
        _output(name, value, mine.get(name, value), told.get(name) or seen.get(name, ()), known.get(name, ()))
        for name, value in came.items()
    ]


def read(form: Form, outputs: Iterable[Output]) -> tuple[list[Output], list[tuple[Output, Any]]]:
    """The outputs with what a form says of them, and those that it changes with their new values. What cannot be read
    is `typed` and `wrong`."""
    found: list[Output] = []
    changes: list[tuple[Output, Any]] = []
    for one in outputs:
        text, was = form.text(RIGHT + one.name), form.text(WAS + one.name)
        if text is None or text.strip() == (one.written(one.now) if was is None else was.strip()):
            found.append(one)
            continue
        try:
            changes.append((one, one.read(text.strip())))
            found.append(replace(one, typed=text))
        except UsageError as error:
            found.append(replace(one, typed=text, wrong=str(error)))
    return found, changes


def keep(store: Store, changes: Iterable[tuple[Output, Any]], trace_id: str, author: str) -> None:
    """Label what was changed. What is put back to what came is taken back."""
    for one, value in changes:
        if one.written(value) == one.written(one.came):
            for label in _mine(store, trace_id, author, one.name):
                store.undo_label(label.id)
        elif one.written(value) != one.written(one.now):
            plain = value is None or isinstance(value, str | int | float | bool)
            kept = value if plain else json.dumps(value, ensure_ascii=False)
            store.add_label(trace_id, kept, name=one.name, author=author, source="human")


def _mine(store: Store, trace_id: str, author: str, name: str | None = None) -> list[LabelRecord]:
    """By name what somebody says today; of one name everything that was not taken back."""
    found = store.labels(trace_id, name, author, "human", history=name is not None)
    return [one for one in found if not one.span_id]


def _fitting(outputs: Any) -> dict[str, Any]:
    """The outputs that fit into a field each; a lone one is called "output", as in a data set."""
    whole = cast("Mapping[Any, Any]", outputs) if isinstance(outputs, Mapping) else {"output": outputs}
    found = {str(name): value for name, value in whole.items() if _fits(value)}
    if not isinstance(outputs, Mapping) and outputs is None:
        return {}
    return dict(list(found.items())[:MOST])


def _fits(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST and not unseen(value)
    if isinstance(value, list | dict):
        try:
            return len(json.dumps(value, ensure_ascii=True, indent=2, allow_nan=False)) <= LONGEST_DATA
        except (ValueError, TypeError, RecursionError):
            return False
    return value is None or (isinstance(value, bool | int | float) and math.isfinite(value))


def _output(name: str, came: Any, now: Any, choices: Sequence[Any], schemas: Schemas) -> Output:
    held = tuple(one for one in schemas if not misfits(one, came))
    if isinstance(came, bool):
        return Output(name, "truth", came, now, (True, False))
    if choices and not isinstance(came, list | dict):
        every = {written(one): one for one in (*choices, came, now) if one is not None}
        return Output(name, "choice", came, now, tuple(every.values()))
    kind = _kind(came, held)
    if kind == "data" and isinstance(now, str) and now != came:
        with suppress(ValueError):  # somebody may have labelled it with a word
            now = json.loads(now)
    return Output(name, kind, came, now, (), held)


def _kind(came: Any, schemas: Schemas) -> str:
    """The kind of field; where nothing came, what the schema would have."""
    if isinstance(came, list | dict):
        return "data"
    if isinstance(came, int | float):
        return "number"
    if came is None and schemas and all(misfits(one, "") for one in schemas):
        return "number" if any(not misfits(one, 1) or not misfits(one, 0.5) for one in schemas) else "data"
    return "text"


def _schemas(store: Store, trace: TraceRecord) -> dict[str, list[Mapping[str, Any]]]:
    """What the signatures of the program say of the outputs, by their names."""
    try:
        return schemas_in(store.program(trace.program).shape) if trace.program else {}
    except DataError:
        return {}


def _from_targets(store: Store, trace: TraceRecord, names: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """The targets in the run of a trace, by name, where they are few and come again and again."""
    if not trace.run_id or not names:
        return {}
    import sqlalchemy as sa

    from outlast.tracing import schema

    c = schema.results.c
    with store.reading() as connection:
        query = sa.select(c.targets).where(c.run_id == trace.run_id).limit(ROWS)
        rows = [table(json.loads(text)) for text in connection.execute(query).scalars()]
    found: dict[str, tuple[Any, ...]] = {}
    for name in names:
        values = [row[name] for row in rows if isinstance(row.get(name), str | int) and _fits(row[name])]
        every = {written(one): one for one in values}
        if every and len(every) <= FEW and len(values) >= 2 * len(every):
            found[name] = tuple(sorted(every.values(), key=written))
    return found
