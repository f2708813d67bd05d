"""Gives out the runs of examples one at a time, from a data set, a sequence or a stream of unknown length."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, NamedTuple

from outlast.data.dataset import Dataset, IdHash, slice_key
from outlast.data.example import Example, id_of
from outlast.errors import DataError, UsageError, brief, did_you_mean

Cluster = str | Callable[[Example], Any]


class Turn(NamedTuple):
    """One run of one example; `place` is its index."""

    place: int
    epoch: int
    example: Example
    cluster: str
    id: str


class Feed:
    """An iterator of `Turn` that counts and hashes the examples it gives: all epochs of one, then the next.

    `total` is the number of examples, None for a stream until it is exhausted; `data_hash` is the hash of all
    of them, "" as long as it cannot be known. Raises `DataError` when there is no example, when two are equal (except
    in a `Dataset`, which was told what to do with those) and when one has no cluster, `UsageError` for other things
    than examples: on construction for a sequence, for a stream when it comes to them. A stream remembers a number for
    each example, to see repeats.
    """

    def __init__(self, data: Iterable[Example], *, epochs: int = 1, cluster: Cluster | None = None) -> None:
        if isinstance(data, str | bytes | Mapping) or not isinstance(data, Iterable):
            raise UsageError(
                f"data is a Dataset or an iterable of Examples; got {brief(data)}. Files are read by "
                f"load_examples(path, inputs=[...])."
            )
        self.total = len(data) if isinstance(data, Sized) else None
        self.streamed = self.total is None
        self.epochs = epochs
        self._cluster = cluster
        self._clusters: list[str] | None = None
        self._seen: set[int] = set()
        self._refuses_repeats = not isinstance(data, Sequence)
        self._known = self._hash_of(data)
        self._digest = IdHash()
        self._next = 0
        self._broken = False
        rest = iter(data)
        try:
            self.first = self._checked(next(rest), 0)
        except StopIteration:
            raise DataError("the data set is empty: there is nothing to evaluate") from None
        self._items: Iterator[Any] = itertools.chain((self.first,), rest)
        self._turns = self._all_turns()

    def __iter__(self) -> Iterator[Turn]:
        return self

    def __next__(self) -> Turn:
        return next(self._turns)

    @property
    def runs(self) -> int | None:
        """How many runs there are in all; None for a stream until it is exhausted."""
        return None if self.total is None else self.total * self.epochs

    @property
    def data_hash(self) -> str:
        """The hash of all examples, "" when they were not all given out."""
        return self._known or (self._digest.value if self._next == self.total else "")

    def _all_turns(self) -> Iterator[Turn]:
        while True:
            index = self._next
            try:
                example = self._checked(next(self._items), index)
                self._refuse_repeat(example, index)
                cluster = self._clusters[index] if self._clusters is not None else self._cluster_of(example, index)
            except StopIteration:
                if not self._broken:
                    self.total = index
                return
            except BaseException:
                self._broken = True
                raise
            self._next = index + 1
            key = id_of(example)
            self._digest.add(key)
            for epoch in range(self.epochs):
                yield Turn(index, epoch, example, cluster, key)

    def _hash_of(self, data: Iterable[Example]) -> str:
        """The hash of what can be read twice, "" for a stream. Looks at all of it, so that nothing is paid for before
        a defect is found."""
        if not isinstance(data, Sequence):
            return ""
        known = data.hash if isinstance(data, Dataset) else self._hash_of_list(data)
        if self._cluster is not None:
            self._clusters = [self._cluster_of(example, index) for index, example in enumerate(data)]
        return known

    def _hash_of_list(self, data: Sequence[Any]) -> str:
        digest = IdHash()
        places: dict[str, int] = {}
        for index, example in enumerate(data):
            key = id_of(self._checked(example, index))
            if (first := places.setdefault(key, index)) != index:
                raise _repeat(example, index, f"example {first}")
            digest.add(key)
        return digest.value

    def _refuse_repeat(self, example: Example, index: int) -> None:
        if self._refuses_repeats:
            number = int(id_of(example)[:16], 16)
            if number in self._seen:
                raise _repeat(example, index, "an earlier one")
            self._seen.add(number)

    def _cluster_of(self, example: Example, index: int) -> str:
        if self._cluster is None:
            return ""
        if callable(self._cluster):
            value = self._cluster(example)
        elif self._cluster in example:
            value = example[self._cluster]
        else:
            near = did_you_mean(self._cluster, example)
            raise DataError(
                f"cluster: example {index} has no field {self._cluster!r}.{near} Fields: {', '.join(example)}."
            )
        name = "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(slice_key(value))
        if not name.strip():
            raise DataError(f"cluster: example {index} has none (the value is {value!r}): {brief(example)}")
        return name

    def _checked(self, item: Any, index: int) -> Example:
        if not isinstance(item, Example):
            raise UsageError(
                f"data holds Examples; item {index} is {brief(item)}. For a list of dicts: "
                f"Dataset.from_list(rows, inputs=[...])."
            )
        try:
            id_of(item)
        except DataError as error:
            raise DataError(f"example {index}: {error}") from error
        return item


def _repeat(example: Example, index: int, earlier: str) -> DataError:
    return DataError(
        f"example {index} repeats {earlier}: {brief(example)}. Its score would count twice. ol.Dataset(examples) keeps "
        f"the first of equal ones, ol.Dataset(examples, duplicates='keep') all of them."
    )
