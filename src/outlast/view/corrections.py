"""The right answer as somebody gives it on the page: a field for each plain output, kept as a label named after it."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from outlast.errors import DataError, UsageError, brief
from outlast.tracing.record import LabelRecord, TraceRecord
from outlast.view.forms import Form
from outlast.view.reviewing import Task
from outlast.view.texts import unseen

if TYPE_CHECKING:
    from outlast.tracing.store import Store

LONGEST = 8_000  # characters of an output that can be put right in a form
MOST = 40  # outputs
FEW = 20  # different targets up to which they are a list to choose from
ROWS = 400  # of an evaluation that are looked at for its targets
RIGHT, WAS = "right.", "was."  # before the name of an output: what it should be, and what the page showed
_CUTS = 20


@dataclass(frozen=True, slots=True)
class Output:
    """An output that can be put right: what came, what stands now, and the values that it can have, if they are told.

    `kind` is "choice", "truth", "number" or "text".
    """

    name: str
    kind: str
    came: Any
    now: Any
    choices: tuple[Any, ...] = ()

    @property
    def is_corrected(self) -> bool:
        """Whether somebody said that it should have been something else."""
        return written(self.now) != written(self.came)

    def read(self, text: str) -> Any:
        """What somebody wrote, as a value. Raises `UsageError`."""
        known = {written(one): one for one in (*self.choices, self.came, self.now)}
        if text in known:
            return known[text]
        if self.kind in ("choice", "truth"):
            raise UsageError(f"{self.name!r} is one of {', '.join(map(written, self.choices))}; got {brief(text)}")
        if self.kind != "number":
            return text
        try:
            number = int(text) if text.lstrip("+-").isdecimal() else float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise UsageError(f"{self.name!r} is a number; got {brief(text)}")
        return number


def written(value: Any) -> str:
    """A plain value as it stands in a field."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value).replace("\r\n", "\n").replace("\r", "\n").strip()


def outputs_of(store: Store, task: Task, trace_id: str, author: str) -> list[Output]:
    """What can be put right of a trace. An output with the name of the queue's own labels is left out: both would be
    one label. So is a text that is long, or has characters that a form would not give back."""
    try:
        trace = store.trace(trace_id)
    except DataError:
        return []
    tops = [span for span in store.spans(trace.id) if not span.parent_id]
    given = store.content(tops[0]).outputs if tops else None
    came = _plain(given)
    came.pop(task.label, None)
    if not came:
        return []
    mine = {one.name: one.value for one in _mine(store, trace.id, author) if one.name in came}
    told = _from_shape(store, trace)
    seen = _from_targets(store, trace, [name for name in came if name not in told])
    return [
        _output(name, value, mine.get(name, value), told.get(name) or seen.get(name, ()))
        for name, value in came.items()
    ]


def keep(store: Store, form: Form, outputs: Sequence[Output], trace_id: str, author: str) -> int:
    """Label what a form says otherwise than its page did; gives how many. What is put back to what came is taken back.

    Raises `UsageError`, before anything is kept.
    """
    changes: list[tuple[Output, Any]] = []
    for one in outputs:
        text, was = form.text(RIGHT + one.name), form.text(WAS + one.name)
        if text is None or text.strip() == (written(one.now) if was is None else was.strip()):
            continue
        changes.append((one, one.read(text.strip())))
    for one, value in changes:
        if written(value) == written(one.came):
            for label in _mine(store, trace_id, author, one.name):
                store.undo_label(label.id)
        elif value != one.now:
            store.add_label(trace_id, value, name=one.name, author=author, source="human")
    return len(changes)


def _mine(store: Store, trace_id: str, author: str, name: str | None = None) -> list[LabelRecord]:
    """By name what somebody says today; of one name everything that was not taken back."""
    found = store.labels(trace_id, name, author, "human", history=name is not None)
    return [one for one in found if not one.span_id]


def _plain(outputs: Any) -> dict[str, Any]:
    """The outputs that are one value each; a lone one is called "output", as in a data set."""
    table = cast("Mapping[Any, Any]", outputs) if isinstance(outputs, Mapping) else {"output": outputs}
    found = {str(name): value for name, value in table.items() if _fits(value)}
    if not isinstance(outputs, Mapping) and outputs is None:
        return {}
    return dict(list(found.items())[:MOST])


def _fits(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST and not unseen(value)
    return value is None or (isinstance(value, bool | int | float) and math.isfinite(value))


def _output(name: str, came: Any, now: Any, choices: Sequence[Any]) -> Output:
    if isinstance(came, bool):
        return Output(name, "truth", came, now, (True, False))
    if choices:
        every = {written(one): one for one in (*choices, came, now) if one is not None}
        return Output(name, "choice", came, now, tuple(every.values()))
    kind = "number" if isinstance(came, int | float) else "text"
    return Output(name, kind, came, now)


def _from_shape(store: Store, trace: TraceRecord) -> dict[str, tuple[Any, ...]]:
    """The values that the signatures of the program allow, by the name of the output."""
    if not trace.program:
        return {}
    try:
        modules = store.program(trace.program).shape.get("modules")
    except DataError:
        return {}
    found: dict[str, tuple[Any, ...]] = {}
    for module in _table(modules).values():
        for name, line in _table(_table(_table(module).get("signature")).get("fields")).items():
            if (values := _allowed(str(name), str(line))) and str(name) not in found:
                found[str(name)] = values
    return found


def _allowed(name: str, line: str) -> tuple[Any, ...]:
    """The values in the line that a signature keeps of a field: `output team: {'enum': [...]} | description`."""
    start = f"output {name}: "
    if not line.startswith(start) or ("'enum'" not in line and "'const'" not in line):
        return ()
    pieces = line.removeprefix(start).split(" | ", _CUTS)
    for count in range(1, len(pieces) + 1):
        try:
            return _values(ast.literal_eval(" | ".join(pieces[:count])))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return ()


def _values(schema: Any) -> tuple[Any, ...]:
    """What a schema of a closed type allows, without null; () for an open one."""
    told = _table(schema)
    if isinstance(told.get("enum"), list):
        return tuple(one for one in told["enum"] if isinstance(one, str | int | float))
    if "const" in told:
        return (told["const"],) if isinstance(told["const"], str | int | float) else ()
    found: list[Any] = []
    for part in cast("list[Any]", told.get("anyOf") or []):
        inner = _values(part)
        if not inner and _table(part).get("type") != "null":
            return ()
        found += inner
    return tuple(found)


def _from_targets(store: Store, trace: TraceRecord, names: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """The targets in the run of a trace, by name, where they are few and come again and again."""
    if not trace.run_id or not names:
        return {}
    import sqlalchemy as sa

    from outlast.tracing import schema

    c = schema.results.c
    with store.reading() as connection:
        query = sa.select(c.targets).where(c.run_id == trace.run_id).limit(ROWS)
        rows = [_table(json.loads(text)) for text in connection.execute(query).scalars()]
    found: dict[str, tuple[Any, ...]] = {}
    for name in names:
        values = [row[name] for row in rows if isinstance(row.get(name), str | int) and _fits(row[name])]
        every = {written(one): one for one in values}
        if every and len(every) <= FEW and len(values) >= 2 * len(every):
            found[name] = tuple(sorted(every.values(), key=written))
    return found


def _table(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
