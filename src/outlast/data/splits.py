"""Which part of a split an example belongs to: decided by a hash, so that it never changes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeVar

from outlast.errors import DataError, UsageError, did_you_mean

T = TypeVar("T")


class Splits(tuple[T, ...]):
    """The parts of a split, in order: unpack them, index them, or reach them by name as attribute or item.

    Parts given without a name are called "0", "1", ...
    """

    names: tuple[str, ...]

    def __new__(cls, parts: Mapping[str, T]) -> Splits[T]:
        self = super().__new__(cls, parts.values())
        self.names = tuple(parts)
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (dict(self.items()),)

    def items(self) -> Iterator[tuple[str, T]]:
        """Pairs of name and part."""
        return zip(self.names, self, strict=True)

    if not TYPE_CHECKING:

        def __getitem__(self, key):
            return getattr(self, key) if isinstance(key, str) else super().__getitem__(key)

    def __getattr__(self, name: str) -> T:
        if not name.startswith("_") and name in self.names:
            return self[self.names.index(name)]
        raise AttributeError(
            f"the split has no part {name!r}.{did_you_mean(name, self.__dict__.get('names', ()))} "
            f"Parts: {', '.join(self.__dict__.get('names', ()))}."
        )

    def __repr__(self) -> str:
        return f"<Splits {', '.join(f'{name}: {_size(part)}' for name, part in self.items())}>"


def _size(part: Any) -> int:
    return len(part)


def fractions_of(positional: Sequence[float], named: Mapping[str, float]) -> dict[str, float]:
    """The shares by name; raises `UsageError` when they cannot mean a split."""
    if bool(positional) == bool(named):
        raise UsageError("split takes shares, either in order (0.7, 0.3) or by name (train=0.7, dev=0.3)")
    shares = dict(named) or {str(index): share for index, share in enumerate(positional)}
    for name, share in shares.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise UsageError(
                f"split: the share of {name!r} is a fraction above 0 and at most 1; got {share!r}. "
                f"For a fixed number: data.shuffle(seed)[:n]."
            )
    total = math.fsum(shares.values())
    if total > 1 + 1e-9:
        raise UsageError(f"split: the shares sum to {total:g}, more than 1")
    return shares


def assign(rows: Sequence[T], keys: Iterable[str], shares: Mapping[str, float], salt: str) -> dict[str, list[T]]:
    """Each row in the part where its key falls: the key's salted hash as a number in 0..1 against the shares.

    Raises `DataError` when all hashes lie so close together as chance does once in 10^9 data sets: then the rows
    are a part of an earlier split with the same salt, read back from a file, and nearly all would go to one part.
    """
    parts: dict[str, list[T]] = {name: [] for name in shares}
    edges: list[tuple[float, list[T]]] = []
    edge = 0.0
    for name, share in shares.items():
        edge += share
        edges.append((edge if edge < 1 - 1e-9 else 1.0, parts[name]))
    prefix = f"outlast split {salt}\n".encode()
    places = [_place(prefix, key) for key in keys]
    _refuse_a_part(places)
    for row, place in zip(rows, places, strict=True):
        for edge, part in edges:
            if place < edge:
                part.append(row)
                break
    return parts


def _place(prefix: bytes, key: str) -> float:
    return int.from_bytes(blake2b(prefix + key.encode(), digest_size=7).digest(), "big") / 2**56


def _refuse_a_part(places: Sequence[float]) -> None:
    n = len(set(places))
    if n < 2:
        return
    span = max(places) - min(places)
    if n * span ** (n - 1) - (n - 1) * span**n < 1e-9:  # the chance that n uniform numbers span so little
        raise DataError(
            f"split: these {len(places)} examples are a part of an earlier split with the same seed, so nearly all "
            f"would go to one part. Use another seed."
        )
