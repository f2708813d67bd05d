"""What is said around here of a store, for blocks that name it again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from outlast.runtime import default, recording
from outlast.tracing.recorder import Place

if TYPE_CHECKING:
    from outlast.tracing.database import Database


def place_around() -> Place | None:
    """Where traces begin here, also inside a program whose trace has begun; None where nothing is kept."""
    found = recording()
    while found is not None and not isinstance(found, Place):  # an open span
        found = getattr(getattr(found, "state", None), "place", None)
    return found


def said_of(database: Database, place: Place | None) -> Place | None:
    """The innermost of a place, those around it and that of the process which keeps traces in this store."""
    while place is not None:
        if _keeps_in(place, database):
            return place
        place = place.around
    process = default("recording")
    return process if isinstance(process, Place) and _keeps_in(process, database) else None


def _keeps_in(place: Place, database: Database) -> bool:
    other: Database | None = getattr(place.writer, "database", None)
    return other is not None and same_store(other, database)


def same_store(one: Database, other: Database) -> bool:
    """Whether two are one store, however they are named: by another path, as another user, with the usual port."""
    if one.address == other.address:
        return True
    if one.lite != other.lite:
        return False
    try:
        if one.lite:
            return os.path.samefile(one.address, other.address)
        return _server(one.address) == _server(other.address)
    except (OSError, ValueError):  # there is no such file, or no such address
        return False


def _server(address: str) -> tuple[Any, ...]:
    parts = urlsplit(address)
    return (parts.hostname or "localhost").lower(), parts.port or 5432, parts.path
