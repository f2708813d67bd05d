"""From notes to categories: tags are counted, merged and given. Every change is a new label; what was said stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from outlast.tracing.record import LabelRecord
from outlast.tracing.verdicts import PEOPLE, verdict_of

if TYPE_CHECKING:
    from outlast.tracing.store import Store


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag, on how many traces it stands and how many of these failed."""

    name: str
    traces: int
    failed: int
    authors: tuple[str, ...]


def people_say(store: Store, name: str) -> list[LabelRecord]:
    """What people say today under a name of traces and of their steps, newest first."""
    return [one for one in reversed(store.labels(name=name)) if one.source in PEOPLE]


def tags_of(labels: Iterable[LabelRecord]) -> list[Tag]:
    """The tags, the commonest first."""
    traces: dict[str, set[str]] = {}
    failed: dict[str, set[str]] = {}
    authors: dict[str, Counter[str]] = {}
    for one in labels:
        for tag in one.tags:
            traces.setdefault(tag, set()).add(one.trace_id)
            authors.setdefault(tag, Counter())[one.author] += 1
            if verdict_of(one.value) == "fail":
                failed.setdefault(tag, set()).add(one.trace_id)
    found = [
        Tag(tag, len(ids), len(failed.get(tag, ())), tuple(author for author, _ in authors[tag].most_common()))
        for tag, ids in traces.items()
    ]
    return sorted(found, key=lambda tag: (-tag.traces, tag.name))


def merge(store: Store, name: str, tags: Sequence[str], into: str) -> int:
    """Put one tag in the place of several, or rename one; gives how many labels say so now."""
    chosen = set(tags)

    def change(old: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(into if tag in chosen else tag for tag in old))

    return _rewritten(store, people_say(store, name), change)


def drop(store: Store, name: str, tags: Sequence[str]) -> int:
    """Take tags away; gives how many labels are without them now."""
    chosen = set(tags)
    return _rewritten(store, people_say(store, name), lambda old: tuple(tag for tag in old if tag not in chosen))


def give(store: Store, name: str, ids: Sequence[str], tag: str) -> int:
    """Add a tag to labels, by their ids; gives how many have it that had not."""
    wanted = set(ids)
    some = [one for one in people_say(store, name) if one.id in wanted]
    return _rewritten(store, some, lambda old: (*old, tag) if tag not in old else old)


def _rewritten(
    store: Store, labels: Iterable[LabelRecord], change: Callable[[tuple[str, ...]], tuple[str, ...]]
) -> int:
    """New labels of the same authors in the place of those whose tags change; they took nobody's time."""
    count = 0
    for one in labels:
        tags = change(one.tags)
        if tags != one.tags:
            store.add_label(
                one.trace_id,
                one.value,
                name=one.name,
                note=one.note,
                tags=tags,
                author=one.author,
                source=one.source,
                span_id=one.span_id,
                rubric=one.rubric,
                rubric_version=one.rubric_version,
            )
            count += 1
    return count
