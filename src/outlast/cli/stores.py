"""Which store of traces a command works with. One rule, for all of them.

It is the store that you name; else that of `OUTLAST_TRACE`; else `traces.db` of this folder; else your log.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from outlast.errors import ConfigError, DataError, OutlastError, UsageError
from outlast.lms.places import data_folder

if TYPE_CHECKING:
    from outlast.tracing.store import Store

T = TypeVar("T")

RULE = "The store is the one you name, else that of OUTLAST_TRACE, else traces.db of this folder, else your log."
HERE = "traces.db"
OFF = ("off", "0", "no", "false")  # values of a variable that switch off
_SWITCHES = (*OFF, "on", "1", "yes", "true")  # that name no store
_MAGIC, _AT = b"SQLite format 3\0", 68  # where an SQLite file says whose it is


@dataclass(frozen=True, slots=True)
class Place:
    """A place of traces, and why it is meant: it is "named" or in "OUTLAST_TRACE", it is "here", it is your "log"."""

    address: str
    why: Literal["named", "OUTLAST_TRACE", "here", "log"]

    @property
    def file(self) -> Path | None:
        """The file, None for a database on a server."""
        return None if "://" in self.address else Path(self.address).expanduser()

    @property
    def there(self) -> bool:
        """Whether there is anything, as far as that can be told without asking a server."""
        return self.file is None or self.file.is_file()

    def __str__(self) -> str:
        from outlast.tracing.database import shown_place

        shown = shown_place(self.address)
        return {
            "named": repr(shown),
            "OUTLAST_TRACE": f"{shown!r} (OUTLAST_TRACE)",
            "here": f"{HERE} of this folder",
            "log": f"your log ({shown})",
        }[self.why]


def add_store(parser: argparse.ArgumentParser, words: str = "a file or the address of a database") -> None:
    """The store as an argument of its own or as an option: `outlast view x.db`, `outlast view --store x.db`."""
    parser.add_argument("store", nargs="?", metavar="STORE", help=f"the store of traces: {words}")
    add_store_option(parser, dest="store_too", words="the same")


def add_store_option(
    parser: argparse._ActionsContainer, *, dest: str = "store", words: str = "the store of traces"
) -> None:
    """The store as an option."""
    parser.add_argument("--store", dest=dest, metavar="FILE|URL", help=words)


def named(args: argparse.Namespace) -> str | None:
    """The store that the command line names, in either way. Raises `UsageError` for two."""
    found = [one for one in (args.store, getattr(args, "store_too", None)) if one is not None]
    if len(found) > 1:
        raise UsageError(f"one store: {found[0]!r} or --store {found[1]!r}")
    return found[0] if found else None


def place_of(name: str | None = None) -> Place:
    """The place that is meant, by the rule of this module."""
    if name is not None:
        return Place(name, "named")
    told = os.environ.get("OUTLAST_TRACE", "").strip()
    if told and told.lower() not in _SWITCHES:
        return Place(told, "OUTLAST_TRACE")
    return here() if is_store(Path(HERE)) else log()


def here() -> Place:
    """The store of this folder."""
    return Place(HERE, "here")


def log() -> Place:
    """Your log: the place that `OUTLAST_LOG` names, else `log.db` in the data folder."""
    told = os.environ.get("OUTLAST_LOG", "").strip()
    return Place(told if told and told.lower() not in _SWITCHES else str(data_folder() / "log.db"), "log")


def is_store(path: Path) -> bool:
    """Whether a file is a store of traces, from its first bytes."""
    from outlast.tracing.schema import APPLICATION

    try:
        with path.open("rb") as file:
            start = file.read(_AT + 4)
    except OSError:
        return False
    return start.startswith(_MAGIC) and int.from_bytes(start[_AT : _AT + 4], "big") == APPLICATION


def opened(place: Place, *, write: bool = False, searched: bool = False) -> Store:
    """The store at a place. Raises `DataError` where there is none: nothing is made by looking.

    One that is to be `searched` is opened so that texts which came since can be indexed, where that is allowed.
    """
    from outlast.tracing.store import open_store

    if not place.there:
        raise DataError(_missing(place))
    if searched and not write:
        with suppress(ConfigError, DataError):  # not ours to write; what is indexed can be searched
            return open_store(place.address)
    return open_store(place.address, read_only=not write)


def _missing(place: Place) -> str:
    if place.why == "log":
        other = f"{HERE} of this folder is no store of traces that you can read"
        lacks = other if Path(HERE).exists() else f"no {HERE} in this folder"
        return (
            f"there are no traces yet: {lacks}, and no log at {place.address!r}. `outlast prompt` makes the log, and "
            f'ol.trace(store="{HERE}") or OUTLAST_TRACE={HERE} a store'
        )
    return f"there is no store of traces at {place}.{elsewhere(place)}"


def elsewhere(place: Place) -> str:
    """What the other places hold, as a hint that follows a sentence; empty where that is nothing."""
    held = [(other, count) for other in _others(place) if (count := _looked(other, lambda store: store.count()))]
    return "".join(
        f" {_begun(other)} holds {count:,} trace{'s' * (count != 1)}: {_how(other)}." for other, count in held
    )


def where_else(place: Place, error: DataError, id: str) -> DataError:
    """The error that there is nothing of this id, which says where there is, if it is at one of the other places."""
    from outlast.tracing.exchanges import find

    if not str(error).startswith("there is no"):
        return error
    found = [other for other in _others(place) if _looked(other, lambda store: find(store, id))]
    return DataError(f"{error}. {_begun(found[0])} has it: {_how(found[0])}") if found else error


def _others(place: Place) -> Iterator[Place]:
    """The stores of this folder and of the log, but for the one at this place. Servers are not asked."""
    for other in (here(), log()):
        same = place.file is not None and other.file is not None and place.file.absolute() == other.file.absolute()
        if not same and other.file is not None and is_store(other.file):
            yield other


def _looked(place: Place, look: Callable[[Store], T]) -> T | None:
    """What is seen at a place, None where that cannot be opened or holds nothing of the kind."""
    with suppress(OutlastError), closing(opened(place)) as store:
        return look(store)
    return None


def _begun(place: Place) -> str:
    text = str(place)
    return text if place.why == "here" else text[:1].upper() + text[1:]


def _how(place: Place) -> str:
    return f"--store {place.address}"
