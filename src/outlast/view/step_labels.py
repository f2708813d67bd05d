"""What is said of single steps of a trace: labels that hold the id of a span beside that of its trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from outlast.tracing.record import LabelRecord
from outlast.tracing.verdicts import DEFAULT
from outlast.view import reviewing
from outlast.view.reviewing import Task

if TYPE_CHECKING:
    from outlast.tracing.store import Store


@dataclass(frozen=True, slots=True)
class Asked:
    """Under which name somebody labels the steps of a trace, and by which words: those of a queue where they come from
    one. `task` is None outside of queues; `number` is the place of the trace in the queue."""

    label: str = DEFAULT
    task: Task | None = None
    number: int = 0

    @property
    def query(self) -> dict[str, str]:
        """What addresses of a step say of it."""
        return {} if self.task is None else {"queue": self.task.queue.id}

    @property
    def version(self) -> str:
        """The version of the criterion, "" where there is none."""
        return "" if self.task is None else self.task.version


@dataclass(frozen=True, slots=True)
class Steps:
    """What may be shown of the labels of a trace's steps, `said` by the id of the step. `asked` is None where nothing
    more can be said, as in an export."""

    said: Mapping[str, tuple[LabelRecord, ...]]
    author: str = ""
    asked: Asked | None = None

    def of(self, span_id: str) -> tuple[LabelRecord, ...]:
        """The labels of a step, oldest first."""
        return self.said.get(span_id, ())

    def mine(self, span_id: str) -> LabelRecord | None:
        """What the one who looks says of a step under the name that is asked for."""
        if self.asked is None:
            return None
        return next((one for one in self.of(span_id) if is_of(one, self.author, self.asked.label)), None)


def is_of(label: LabelRecord, author: str, name: str) -> bool:
    """Whether a person gave a label under this name."""
    return (label.author, label.name, label.source) == (author, name, "human")


def steps_of_labels(
    labels: Iterable[LabelRecord], author: str = "", asked: Asked | None = None, *, blind: bool = False
) -> Steps:
    """The labels of steps among those of a trace; `blind` leaves out what is not the author's own."""
    found: dict[str, tuple[LabelRecord, ...]] = {}
    for one in labels:
        if one.span_id and _says(one) and not (blind and not (one.author == author and one.source == "human")):
            found[one.span_id] = (*found.get(one.span_id, ()), one)
    return Steps(found, author, asked)


def _says(label: LabelRecord) -> bool:
    return label.value is not None or bool(label.note) or bool(label.tags)


def asked_of(store: Store, trace_id: str, queue_id: str = "") -> Asked:
    """By which words the steps of a trace are labelled: those of a queue that has it, else the plain name.

    Raises `DataError` for a queue that is none, or that does not have the trace.
    """
    from outlast.errors import DataError

    if not queue_id:
        places = reviewing.places_of(store, trace_id)
        return Asked(Task.of(places[0][0]).label) if places else Asked()
    task = Task.of(store.queue(queue_id))
    if trace_id not in task.ids:
        raise DataError(f"the queue {task.queue.name!r} does not have the trace {trace_id[:12]!r}")
    return Asked(task.label, task, task.ids.index(trace_id) + 1)


def keep(store: Store, trace_id: str, span_id: str, author: str, asked: Asked, **said: Any) -> None:
    """Keep what somebody says of a step: `value` ("" leaves the verdict as it was), `note`, `tags`, `seconds`.

    Nothing is kept where nothing is new.
    """
    before = mine(store, trace_id, span_id, author, asked.label)
    value = cast("str", said["value"]) or (before.value if before is not None else None)
    told = (value, said["note"], tuple(said["tags"]))
    same = told == ((None, "", ()) if before is None else (before.value, before.note, before.tags))
    confirmed = bool(said["value"]) and before is not None and before.rubric_version != asked.version
    if same and not confirmed:
        return
    worded = asked.task is not None and bool(asked.task.criterion)
    store.add_label(
        trace_id,
        value,
        name=asked.label,
        note=said["note"],
        tags=said["tags"],
        author=author,
        span_id=span_id,
        rubric=asked.label if worded else "",
        rubric_version=asked.version if said["value"] or before is None else before.rubric_version,
        seconds_spent=said["seconds"],
    )


def mine(store: Store, trace_id: str, span_id: str, author: str, name: str) -> LabelRecord | None:
    """What somebody says of a step today."""
    found = [one for one in store.labels(trace_id, name, author, "human") if one.span_id == span_id]
    return found[-1] if found else None
