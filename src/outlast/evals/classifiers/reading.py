"""What a classifier is trained on: texts with the class that people, or a judge, gave them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from outlast.data.jsonform import json_form
from outlast.errors import DataError, UsageError, brief, did_you_mean
from outlast.evals.classifiers.linear import Seen
from outlast.evals.judging.labels import Labels
from outlast.evals.judging.rubric import Rubric
from outlast.evals.judging.truth import truths
from outlast.messages import canonical

FEWEST = 10
"""Labels that each class needs at least."""

Class = str | int | bool
_PASSING: tuple[Class, ...] = ("pass", "yes", "good", "true", "ok")


@dataclass(frozen=True)
class Labelled:
    """Texts with their classes. `groups` says which of them belong together (equal texts do, and those made from equal
    inputs): a group is never in two folds. `dropped` counts items that the people who labelled them disagree on."""

    seen: Seen
    values: tuple[Class, ...]
    groups: tuple[str, ...]
    dropped: int = 0

    @property
    def classes(self) -> tuple[Class, ...]:
        """The classes, in their order: False before True, numbers by size, texts by the alphabet."""
        return tuple(sorted(set(self.values)))


def text_of(value: Any) -> str:
    """A field as text: texts as they are, other values as JSON."""
    return value if isinstance(value, str) else canonical(json_form(value, lenient=True)).decode()


def read_labelled(
    labels: Any, field: str, source: str | None, rubric: Rubric | None, groups: str | Sequence[Any] | None
) -> Labelled:
    """Labels, or a pair of texts (or mappings of fields) and values. Raises `UsageError` and `DataError`."""
    if isinstance(labels, Labels):
        items, values, origins, dropped = _of_labels(labels, rubric)
    else:
        (items, values), origins, dropped = _of_pair(labels), None, 0
        values = values if rubric is None else [rubric.nearest(value) for value in values]
    check_classes(values)
    texts = [text_of(_field(item, field, place)) for place, item in enumerate(items)]
    sources = None
    if source is not None:
        sources = [text_of(_field(item, source, place, strict=True)) for place, item in enumerate(items)]
    keys = _groups(groups, items, origins, texts)
    return Labelled(Seen(texts, sources), tuple(values), keys, dropped)


def check_classes(values: Sequence[Any], subject: str = "train_classifier") -> None:
    """Raise `DataError` unless the values are classes of one kind, with enough labels each."""
    for place, value in enumerate(values):
        if not isinstance(value, str | int):
            raise DataError(
                f"a class is a text, a whole number or a bool; value {place} is {brief(value)}. Cut a graded label "
                f"into classes first, such as value >= 4.5"
            )
    kinds = {type(value).__name__ for value in values}
    if len(kinds) > 1:
        raise DataError(f"all values are of one kind; these are of {' and '.join(sorted(kinds))}")
    counts = Counter(values)
    told = ", ".join(f"{value!r}: {count}" for value, count in sorted(counts.items())[:20])
    if len(counts) < 2:
        raise DataError(f"{subject} tells at least two classes apart; the labels have {told or 'none'}")
    few = [value for value, count in sorted(counts.items()) if count < FEWEST]
    if few:
        raise DataError(
            f"{subject}: too few labels of {', '.join(map(repr, few[:10]))}: each class needs at least {FEWEST}, "
            f"and figures worth reading some 50. There are {told}. Label more, or join classes."
        )


def passing(classes: Sequence[Class], positive: Any) -> Class | None:
    """The class that counts as a pass; None where there are several classes and nothing says which."""
    if positive is not None:
        for one in classes:
            if one == positive and type(one) is type(positive):
                return one
        near = did_you_mean(str(positive), map(str, classes))
        raise UsageError(
            f"positive={positive!r} is none of the classes.{near} Classes: {', '.join(map(repr, classes))}"
        )
    if len(classes) > 2:
        return None
    if classes in ((False, True), (0, 1)):
        return classes[1]
    for one in classes:
        if isinstance(one, str) and one.casefold() in _PASSING:
            return one
    raise UsageError(
        f"the classes are {classes[0]!r} and {classes[1]!r}: say which of them counts as a pass, positive=..."
    )


def items_of(
    labels: Any, rubric: Rubric | None, subject: str
) -> tuple[list[Any], list[Any], list[str], frozenset[str], int]:
    """Items (mappings of fields, or texts), their values, what belongs together, the names of inputs, and how many
    items people are divided on. Raises `UsageError`."""
    if isinstance(labels, Labels):
        fields, values, origins, dropped = _of_labels(labels, rubric, subject)
        inputs = frozenset(name for item in labels.items for name in item.inputs)
        return list(fields), values, origins, inputs, dropped
    items, values = _of_pair(labels, subject)
    values = values if rubric is None else [rubric.nearest(value) for value in values]
    return items, values, list(_groups(None, items, None, [text_of(item) for item in items])), frozenset(), 0


def _of_labels(
    labels: Labels, rubric: Rubric | None, subject: str = "train_classifier"
) -> tuple[list[Mapping[str, Any]], list[Any], list[str], int]:
    """Fields, values and origins of the items, and how many items people are divided on."""
    if rubric is not None:
        known, divided = truths(labels, rubric)
        items = [truth.item for truth in known]
        return [one.fields for one in items], [truth.level for truth in known], [one.origin for one in items], divided
    said = {(row.rubric, row.rubric_version) for row in labels if row.value is not None}
    if len(said) != 1:
        names = ", ".join(sorted(f"{name} (version {version})" for name, version in said)) or "no label with a value"
        raise UsageError(f"{subject} takes one version of one rubric; there is {names}. Say rubric=...")
    votes: dict[str, dict[str, Any]] = {}
    for row in labels:
        if row.value is not None:
            votes.setdefault(row.item.id, {})[row.author] = row.value
    fields: list[Mapping[str, Any]] = []
    values: list[Any] = []
    origins: list[str] = []
    for item in labels.items:
        counts = Counter(votes.get(item.id, {}).values()).most_common(2)
        if counts and (len(counts) == 1 or counts[0][1] > counts[1][1]):
            fields.append(item.fields)
            values.append(counts[0][0])
            origins.append(item.origin)
    return fields, values, origins, len(votes) - len(fields)


def _of_pair(given: Any, subject: str = "train_classifier") -> tuple[list[Any], list[Any]]:
    if not isinstance(given, tuple) or len(cast("tuple[Any, ...]", given)) != 2:
        raise UsageError(
            f"{subject} takes ol.Labels, or a pair (texts, values) of as many texts and classes; got "
            f"{brief(cast('object', given))}"
        )
    parts: list[list[Any]] = []
    for part in cast("tuple[Any, Any]", given):
        if isinstance(part, str | bytes | Mapping) or not isinstance(part, Iterable):
            raise UsageError(f"(texts, values) are two lists; got {brief(cast('object', part))}")
        parts.append([_plain(one) for one in cast("Iterable[Any]", part)])
    if len(parts[0]) != len(parts[1]):
        raise UsageError(f"(texts, values) belong together; got {len(parts[0])} texts and {len(parts[1])} values")
    return parts[0], parts[1]


def _plain(value: Any) -> Any:
    """A scalar of numpy as one of Python."""
    return value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value


def _field(item: Any, name: str, place: int, *, strict: bool = False) -> Any:
    if isinstance(item, Mapping):
        fields = cast("Mapping[str, Any]", item)
        if name not in fields:
            raise DataError(
                f"item {place} has no field {name!r}.{did_you_mean(name, fields)} Fields: {', '.join(fields)}."
            )
        if fields[name] is None:
            raise DataError(f"item {place} has None for {name!r}, which is no text; leave such items out")
        return fields[name]
    if strict or not isinstance(item, str):
        wanted = (
            f"a mapping of fields, since {name!r} is to be read of it" if strict else "text, or a mapping of fields"
        )
        raise UsageError(f"text {place} is {wanted}; got {brief(item)}")
    return item


def _groups(
    groups: str | Sequence[Any] | None, items: Sequence[Any], origins: Sequence[str] | None, texts: Sequence[str]
) -> tuple[str, ...]:
    """A key for each text: what has a key in common with another, or the same text, gets one key."""
    if isinstance(groups, str):
        keys = [text_of(_field(item, groups, place, strict=True)) for place, item in enumerate(items)]
    elif groups is not None:
        keys = [text_of(_plain(one)) for one in groups]
        if len(keys) != len(items):
            raise UsageError(f"groups has one value for each text; got {len(keys)} for {len(items)}")
    else:
        keys = list(origins) if origins is not None else [str(place) for place in range(len(items))]
    home: dict[str, str] = {}  # union of keys by equal texts

    def root(key: str) -> str:
        while home.setdefault(key, key) != key:
            key = home[key]
        return key

    first: dict[str, str] = {}
    for key, text in zip(keys, texts, strict=True):
        home[root(key)] = root(first.setdefault(text, key))
    return tuple(root(key) for key in keys)
