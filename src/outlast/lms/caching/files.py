"""The stores of this process: one object for a place, left in peace during a fork, written out before the end."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from pathlib import Path
from typing import Protocol
from weakref import WeakSet, WeakValueDictionary

from outlast.lms.caching.file import CacheFile


class Store(Protocol):
    """Where a cache keeps texts beyond this process: a file, a Redis server.

    A store never raises for trouble of its own: it then knows nothing, and says why in `problem`.
    """

    problem: str | None

    @property
    def tier(self) -> str:
        """What `cache.stats()` calls it: "disk" or "redis"."""
        ...

    @property
    def place(self) -> str:
        """Where it is, without any secret."""
        ...

    @property
    def leases(self) -> bool:
        """Whether processes that ask the same wait for one another: `lead` and `led`."""
        ...

    async def lead(self, key: bytes) -> bool:
        """Wait until this process is to ask (True), or another one has answered (False)."""
        ...

    def led(self, key: bytes) -> None:
        """This process asks no longer."""
        ...

    async def get(self, key: bytes) -> tuple[bytes, int] | None:
        """The text under a key and when it was made (milliseconds since 1970), None when there is none."""
        ...

    def put(self, key: bytes, value: bytes, made: int, ttl: float | None = None) -> None:
        """Keep a text soon, for `ttl` seconds if the store forgets by itself."""
        ...

    def forget(self, key: bytes, made: int) -> None:
        """Drop soon what was made at this time or before."""
        ...

    def size(self) -> int:
        """Bytes in use, 0 when that is not known."""
        ...

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait for what is pending; False when it takes longer than `timeout` seconds."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...

    def close(self) -> None:
        """Write what is pending and let go; opened again when it is used again."""
        ...


_files: WeakValueDictionary[Path, CacheFile] = WeakValueDictionary()
_to_flush: WeakSet[Store] = WeakSet()
_opening = threading.Lock()
_still: list[CacheFile] = []
_hooked = [0]


def open_file(path: Path, max_bytes: int) -> CacheFile:
    """The one `CacheFile` of this process for a path. When several bounds are asked for the smallest holds."""
    with _opening:
        resolved = Path(os.path.abspath(path.expanduser()))
        found = _files.get(resolved)
        if found is None:
            found = _files[resolved] = CacheFile(resolved, max_bytes)
        flush_at_end(found)
        found.max_bytes = min(found.max_bytes, max_bytes)
        return found


def flush_at_end(store: Store) -> None:
    """Have a store written out before this process ends.

    Children of `multiprocessing` leave without running `atexit`; they run its own finalizers.
    """
    _to_flush.add(store)
    if "multiprocessing.util" in sys.modules and _hooked[0] != os.getpid():
        from multiprocessing.util import Finalize

        Finalize(None, _flush_all, exitpriority=10)
        _hooked[0] = os.getpid()


def _flush_all() -> None:
    for store in list(_to_flush):
        store.flush(timeout=5.0)


atexit.register(_flush_all)


def _before_fork() -> None:
    for file in list(_files.values()):
        file.hold_still()
        _still.append(file)


def _after_fork_in_parent() -> None:
    while _still:
        _still.pop().go_on()


def _after_fork_in_child() -> None:
    global _opening
    _opening = threading.Lock()
    _still.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
