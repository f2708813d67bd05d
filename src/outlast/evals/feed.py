"""Gives out examples one at a time, from a data set, a sequence or a stream of unknown length."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

from outlast.data.dataset import Dataset, IdHash
from outlast.data.example import Example, id_of
from outlast.errors import DataError, UsageError, brief


class Feed:
    """An iterator of (index, example) that counts and hashes what it gives.

    `total` is the number of examples, None for a stream until it is exhausted; `data_hash` is the hash of all
    of them, "" as long as it cannot be known. Raises `DataError` when there is no example and `UsageError` for
    other things than examples: on construction for a sequence, for a stream when it comes to them.
    """

    def __init__(self, data: Iterable[Example]) -> None:
        if isinstance(data, str | bytes | Mapping) or not isinstance(data, Iterable):
            raise UsageError(
                f"data is a Dataset or an iterable of Examples; got {brief(data)}. Files are read by "
                f"load_examples(path, inputs=[...])."
            )
        self.total = len(data) if isinstance(data, Sized) else None
        self.streamed = self.total is None
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

    def __iter__(self) -> Iterator[tuple[int, Example]]:
        return self

    def __next__(self) -> tuple[int, Example]:
        index = self._next
        try:
            example = self._checked(next(self._items), index)
        except StopIteration:
            if not self._broken:
                self.total = index
            raise
        except BaseException:
            self._broken = True
            raise
        self._next = index + 1
        self._digest.add(id_of(example))
        return index, example

    @property
    def given(self) -> int:
        """How many were given out."""
        return self._next

    @property
    def data_hash(self) -> str:
        """The hash of all examples, "" when they were not all given out."""
        return self._known or (self._digest.value if self._next == self.total else "")

    def _hash_of(self, data: Iterable[Example]) -> str:
        """The hash of what can be read twice, "" for a stream."""
        if isinstance(data, Dataset):
            return data.hash
        if not isinstance(data, Sequence):
            return ""
        digest = IdHash()
        for index, example in enumerate(data):
            digest.add(id_of(self._checked(example, index)))
        return digest.value

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
