"""Reading back what is kept under a key: content, and conversations, whose messages lead to those before them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any

import sqlalchemy as sa

from outlast.tracing import schema
from outlast.tracing.packing import unpacked

_AT_ONCE = 500  # keys of one query


def load_blobs(connection: sa.Connection, keys: Iterable[bytes]) -> dict[bytes | None, Any]:
    """The content under keys; what is not kept is missing."""
    blobs = schema.blobs
    found: dict[bytes | None, Any] = {}
    for some in _chunks(keys):
        for key, codec, data in connection.execute(
            sa.select(blobs.c.key, blobs.c.codec, blobs.c.data).where(blobs.c.key.in_(some))
        ):
            found[bytes(key)] = unpacked(codec, bytes(data))
    return found


def load_messages(
    connection: sa.Connection, tails: Collection[bytes], depth: int | None = None
) -> dict[bytes, tuple[str, Any, bytes | None]]:
    """Messages by key, as role, content and the key of the one before; with `depth` only so many of each."""
    messages = schema.messages
    found: dict[bytes, tuple[str, Any, bytes | None]] = {}
    wanted = set(tails)
    while wanted and depth != 0:
        following: set[bytes] = set()
        for some in _chunks(wanted):
            for key, parent, role, codec, data in connection.execute(
                sa.select(messages.c.key, messages.c.parent, messages.c.role, messages.c.codec, messages.c.data).where(
                    messages.c.key.in_(some)
                )
            ):
                before = None if parent is None else bytes(parent)
                found[bytes(key)] = role, unpacked(codec, bytes(data)), before
                if before is not None:
                    following.add(before)
        wanted = following - found.keys()
        depth = None if depth is None else depth - 1
    return found


def conversation(tail: bytes, messages: dict[bytes, tuple[str, Any, bytes | None]]) -> list[dict[str, Any]] | None:
    """The messages up to a key as JSON-ready data; None when one of them is not kept."""
    told: list[dict[str, Any]] = []
    key: bytes | None = tail
    while key is not None:
        found = messages.get(key)
        if found is None:
            return None
        role, content, key = found
        told.append({"role": role, "content": content})
    return told[::-1]


def _chunks(keys: Iterable[bytes]) -> Iterator[list[bytes]]:
    left = iter(keys)
    while some := list(islice(left, _AT_ONCE)):
        yield some
