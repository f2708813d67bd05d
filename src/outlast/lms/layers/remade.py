"""Layers that travel as what they were made of: their locks, queues and figures stay behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlast.lms.protocol import LM


class Remade(LM):
    """A layer whose copy or pickle is a new one, made with the same arguments."""

    _made: tuple[tuple[Any, ...], Mapping[str, Any]]

    def __new__(cls, *args: Any, **options: Any) -> Any:
        new = super().__new__(cls)
        new._made = (args, options)
        return new

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, (type(self), *self._made)


def _remake(kind: type[Any], args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    return kind(*args, **options)
