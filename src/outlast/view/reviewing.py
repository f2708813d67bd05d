"""Labelling as the page sees it: a queue with its criterion, who labels, how far each is, and what others may show."""

from __future__ import annotations

import getpass
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote

from outlast.errors import OutlastError
from outlast.tracing.record import LabelRecord, QueueRecord
from outlast.tracing.verdicts import DEFAULT, PEOPLE

if TYPE_CHECKING:
    from starlette.requests import Request

    from outlast.tracing.store import Store

VALUES = ("pass", "fail", "defer")
COOKIE = "outlast_reviewer"
LONGEST_NAME = 60
LONGEST_NOTE = 8_000
MOST_TAGS = 12
LONGEST_LOOK = 1_800.0  # seconds; whoever takes longer was away


@dataclass(frozen=True, slots=True)
class Task:
    """A queue and what is asked of each trace in it: labels go under `label`, by the words of `criterion`.

    `version` changes with these words; labels that were given under another version have to be confirmed.
    """

    queue: QueueRecord
    label: str
    criterion: str
    version: str

    @classmethod
    def of(cls, queue: QueueRecord) -> Task:
        """As the queue says."""
        told = queue.about
        criterion = str(told.get("criterion") or "")
        label = str(told.get("label") or DEFAULT)
        return cls(queue, label, criterion, version_of(label, criterion))

    @property
    def ids(self) -> tuple[str, ...]:
        """The traces, in order."""
        return self.queue.trace_ids

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why a trace is in the queue, by its id."""
        told = self.queue.about.get("reasons")
        if not isinstance(told, Mapping):
            return {}
        return {str(id): str(why) for id, why in cast("Mapping[Any, Any]", told).items()}

    def is_current(self, label: LabelRecord) -> bool:
        """Whether a label was given by the words of today."""
        return label.rubric_version == self.version


def places_of(store: Store, trace_id: str) -> list[tuple[QueueRecord, int]]:
    """The queues that a trace is in, newest first, with its number in each; not those whose words were replaced."""
    found = store.queues()
    replaced = {str(one.about.get("follows")) for one in found}
    return [
        (one, one.trace_ids.index(trace_id) + 1)
        for one in found
        if one.id not in replaced and trace_id in one.trace_ids
    ]


def version_of(label: str, criterion: str) -> str:
    """The version of a criterion, as `ol.Rubric` counts it; "" without words."""
    if not criterion:
        return ""
    from outlast.evals.judging.rubric import Rubric

    try:
        return Rubric(label, criterion).version
    except OutlastError:
        return ""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far somebody is: how many of the queue they said what of, and the seconds that it took them."""

    total: int
    counts: Mapping[str, int]
    seconds: float

    @property
    def done(self) -> int:
        """Passed and failed."""
        return self.counts.get("pass", 0) + self.counts.get("fail", 0)

    @property
    def left(self) -> int:
        """Neither passed nor failed nor put off."""
        return self.total - self.done - self.counts.get("defer", 0)


def newest(labels: Iterable[LabelRecord]) -> dict[str, LabelRecord]:
    """By trace: the last of labels that stand in the order in which they were made."""
    return {one.trace_id: one for one in labels if not one.span_id}


def mine(store: Store, task: Task, author: str) -> dict[str, LabelRecord]:
    """What somebody says of the traces of a queue today, by trace."""
    return newest(store.labels(task.ids, task.label, author, "human"))


def standing(store: Store, task: Task, author: str) -> Standing:
    """How far somebody is in a queue."""
    found = mine(store, task, author)
    counts = Counter(str(one.value) for one in found.values() if one.value in VALUES and task.is_current(one))
    history = store.labels(name=task.label, author=author, source="human", history=True)
    inside = set(task.ids)
    return Standing(len(task.ids), counts, sum(one.seconds_spent or 0.0 for one in history if one.trace_id in inside))


def is_labelled(label: LabelRecord | None, task: Task) -> bool:
    """Whether somebody has said pass or fail by the words of today: only then others may be shown."""
    return label is not None and label.value in ("pass", "fail") and task.is_current(label)


def first_open(store: Store, task: Task, author: str) -> int | None:
    """The number, from 1, of the first trace that somebody has said nothing of; None when there is none."""
    found = mine(store, task, author)
    for number, id in enumerate(task.ids, 1):
        label = found.get(id)
        if label is None or label.value not in VALUES or not task.is_current(label):
            return number
    return None


def last_act(store: Store, task: Task, author: str) -> LabelRecord | None:
    """The newest label that somebody gave in a queue on this page; what a merge of tags wrote does not count."""
    history = store.labels(task.ids, task.label, author, "human", history=True)
    acts = [one for one in history if one.seconds_spent is not None]
    return acts[-1] if acts else None


def known_tags(store: Store, label: str, most: int = 24) -> list[str]:
    """Tags that people's labels have today, the commonest first."""
    import sqlalchemy as sa

    from outlast.tracing import schema

    c = schema.labels.c
    last = sa.func.row_number().over(
        partition_by=[c.trace_id, c.span_id, c.author], order_by=[c.created.desc(), c.id.desc()]
    )
    people = sa.select(c.tags, last.label("place")).where(
        c.name == label, c.undone.is_(None), c.source.in_(sorted(PEOPLE))
    )
    found = people.subquery()
    counts: Counter[str] = Counter()
    with store.reading() as connection:
        for (text,) in connection.execute(sa.select(found.c.tags).where(found.c.place == 1, found.c.tags != "[]")):
            counts.update(json.loads(text))
    return [tag for tag, _ in counts.most_common(most)]


def label_names(store: Store) -> list[str]:
    """The names under which people labelled, the commonest first."""
    import sqlalchemy as sa

    from outlast.tracing import schema

    c = schema.labels.c
    query = sa.select(c.name).where(c.undone.is_(None), c.source.in_(sorted(PEOPLE))).group_by(c.name)
    with store.reading() as connection:
        return list(connection.execute(query.order_by(sa.func.count().desc(), c.name)).scalars())


def tags_of(chosen: Sequence[str], written: str) -> tuple[str, ...]:
    """Tags that were ticked, and those that were written with commas between them; each once."""
    words = [" ".join(word.split())[:LONGEST_NAME] for word in [*chosen, *written.split(",")]]
    return tuple(dict.fromkeys(word for word in words if word))[:MOST_TAGS]


def spent(opened: float | None, seconds: float | None) -> float:
    """The seconds that a look took: as the browser counted them, else since the page was made."""
    took = seconds if seconds is not None else time.time() - opened if opened is not None else 0.0
    return round(min(LONGEST_LOOK, max(0.0, took)), 1)


# Who labels


@cache
def login_name() -> str:
    """Who runs this process, as far as the machine says."""
    try:
        return getpass.getuser()[:LONGEST_NAME]
    except (KeyError, OSError, ImportError):
        return ""


def author_of(request: Request) -> str:
    """Who looks: the name that was given on the page, else that of who runs it."""
    return unquote(request.cookies.get(COOKIE, ""))[:LONGEST_NAME].strip() or login_name()


def author_cookie(name: str) -> dict[str, Any]:
    """The arguments of `Response.set_cookie` that keep a name."""
    value = quote(" ".join(name.split())[:LONGEST_NAME], safe="")
    return {"key": COOKIE, "value": value, "httponly": True, "samesite": "strict", "max_age": 31_536_000, "path": "/"}
