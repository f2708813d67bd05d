"""The same question gets the same answer, once paid for: a cache of responses in memory and on disk."""

from __future__ import annotations

import copy
import json
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast
from weakref import WeakKeyDictionary

from outlast.errors import ConfigError, LMError, brief
from outlast.lms.cache_file import CacheFile, logger, open_file
from outlast.lms.protocol import LM, Wrapper, ask
from outlast.lms.waiting import Waiter, forks, holds_up_loop
from outlast.messages import NO_SETTINGS, Request, Response, canonical
from outlast.types import TRUSTED

_FORMAT = "outlast-cache-2"
_MEMORY_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What a cache did since it was made. `path` is None without a disk; `problem` is the last trouble with it.

    `memory_hits` and `disk_hits` were answered without the model, `shared` waited for an equal request in flight,
    `misses` went to the model, `stored` of them were kept. `entries` are in memory, `file_bytes` on disk.
    """

    memory_hits: int
    disk_hits: int
    shared: int
    misses: int
    stored: int
    entries: int
    path: str | None
    file_bytes: int
    problem: str | None


def default_path() -> Path | None:
    """Where responses are cached: `OUTLAST_CACHE` (a path, or "off"), else `responses.db` in `outlast` under
    `XDG_CACHE_HOME` or `~/.cache`. None means off."""
    named = os.environ.get("OUTLAST_CACHE", "")
    if named.strip().lower() == "off":
        return None
    if named.strip():
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "outlast" / "responses.db"


class Cached(Wrapper):
    """Answers a request that was answered before from memory (some 20 us) or from a file (some 100 us).

    Two requests are the same when the model's identity and all that decides the answer are: messages, settings,
    output schema, `sample`, label. Draw another answer to the same question with another `sample`. Equal requests
    in flight at the same time in this process are sent once; when the one that was sent is cancelled another takes
    over, when it fails with an `LMError` all get the error. Blocking and async calls share everything.

    Not kept: errors, empty answers, and answers cut off by the token limit or a content filter, so that asking again
    can help. `path` None is the default file (see `default_path`); with `OUTLAST_CACHE=off` nothing is cached,
    not even in memory. The file is bounded to about `max_bytes`, memory to `memory` responses (and 256 MB); both
    drop what was used least recently. A file that is damaged is moved aside, one that cannot be used is done
    without; either is logged once to "outlast.cache". Cost: at most one call of `inner`.
    """

    def __init__(
        self,
        inner: LM,
        path: str | os.PathLike[str] | None = None,
        *,
        max_bytes: int = 1 << 30,
        memory: int = 4096,
    ) -> None:
        for name, value in (("max_bytes", max_bytes), ("memory", memory)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ConfigError(f"{name} is a whole number from 0; got {brief(value)}")
        super().__init__(inner)
        self.max_bytes = max_bytes
        self._named = None if path is None else Path(path)
        self._memory = _Memory(memory)
        self._identity = ""
        self._prefix = blake2b(digest_size=20)
        self._counts = Counter[str]()
        self._counting = threading.Lock()
        self._place: _Place | None = None
        self._forks = forks()

    async def complete(self, request: Request) -> Response:
        """Answer one request, from the cache if it can."""
        if self._forks != forks():
            self._forks, self._place, self._counting = forks(), None, threading.Lock()
            self._memory.renew()
        place = self._place
        if place is None:
            place = self._place = self._find_place()
        key = self._key(request) if place.on else None
        if key is None:
            return await ask(self.inner, request)
        found = self._memory.get(key)
        if found is not None:
            return found
        while True:
            flight, leads = place.flights.join(key)
            if leads:
                return await self._lead(flight, key, request, place)
            if holds_up_loop():
                return await ask(self.inner, request)
            response = await flight.outcome(place.flights)
            if response is not None:
                self._count("shared")
                return response.as_cached("shared")

    async def _lead(self, flight: _Flight, key: bytes, request: Request, place: _Place) -> Response:
        """Answer a request for all who wait for the same."""
        try:
            response = self._stored(key, place)
            if response is None:
                self._count("miss")
                response = await ask(self.inner, request)
                self._keep(key, response, place)
        except BaseException as error:
            place.flights.land(key, flight, None, error)
            raise
        place.flights.land(key, flight, response, None)
        return response

    def _stored(self, key: bytes, place: _Place) -> Response | None:
        text = None if place.file is None else place.file.get(key)
        if text is None:
            return None
        try:
            response = Response.from_json(json.loads(text)).as_cached("hit")
        except (ValueError, KeyError, TypeError, AttributeError):  # written by something else than us
            return None
        self._count("disk")
        self._memory.put(key, response, len(text))
        return response

    def _keep(self, key: bytes, response: Response, place: _Place) -> None:
        if response.finish in ("length", "content_filter") or not (response.text or response.finish == "tool_calls"):
            return
        text = canonical(response.to_json())
        self._count("stored")
        self._memory.put(key, response.as_cached("hit"), len(text))
        if place.file is not None:
            place.file.put(key, text)

    def _count(self, event: str) -> None:
        with self._counting:
            self._counts[event] += 1

    def _key(self, request: Request) -> bytes | None:
        """The key of a request; None when it holds what JSON cannot, and so cannot be compared."""
        identity = self.inner.identity
        if identity is not self._identity:
            self._prefix = blake2b(f"{_FORMAT}\n{identity}\n".encode(errors="surrogatepass"), digest_size=20)
            self._identity = identity
        digest = self._prefix.copy()
        plain = True
        for message in request.messages:
            content = message.content
            if type(content) is not str:
                plain = False
                break
            text = content.encode("utf-8", "surrogatepass")
            digest.update(b"%s %d\n" % (message.role.encode(), len(text)))
            digest.update(text)
        usual = request.settings is NO_SETTINGS and request.output is None and request.label is TRUSTED
        data = {} if plain and usual and not request.sample else request.to_json()
        if plain:
            data.pop("messages", None)
        if request.label != TRUSTED:
            data["label"] = request.label.to_json()
        if plain and not data:
            return digest.digest()
        try:
            # Not sorted: the order of a schema's properties is the order in which the model writes them.
            rest = _ENCODE(data)
        except (TypeError, ValueError, RecursionError):
            return None
        digest.update(b"= ")  # no role starts like this, so what follows cannot be taken for a message
        digest.update(rest.encode("ascii"))
        return digest.digest()

    def _find_place(self) -> _Place:
        try:
            path = self._named or default_path()
            if path is None:
                return _Place(False, None, _Flights())
            file = open_file(path, self.max_bytes) if self.max_bytes else None
        except (RuntimeError, OSError) as error:  # no home directory, or a working directory that is gone
            logger.warning("response cache: %s; going on in memory only", error)
            file = None
        return _Place(True, file, _flights_of(file))

    def stats(self) -> CacheStats:
        """What this cache did since it was made."""
        place = self._place or self._find_place()
        file, counts = place.file, self._counts
        try:
            size = 0 if file is None else file.path.stat().st_size
        except OSError:
            size = 0
        return CacheStats(
            memory_hits=self._memory.hits,
            disk_hits=counts["disk"],
            shared=counts["shared"],
            misses=counts["miss"],
            stored=counts["stored"],
            entries=len(self._memory),
            path=None if file is None else str(file.path),
            file_bytes=size,
            problem=None if file is None else file.problem,
        )

    def clear(self) -> None:
        """Forget every response: those of this LM in memory, and those of every model in the file."""
        self._memory.clear()
        file = (self._place or self._find_place()).file
        if file is not None:
            file.clear()

    def close(self) -> None:
        """Write what is pending and close the file. Not needed: it happens at exit, and using the LM opens it again."""
        if self._place is not None and self._place.file is not None:
            self._place.file.close()


def _as_dict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    raise TypeError(type(value).__name__)


_ENCODE = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=_as_dict).encode


class _Memory:
    """The responses used last, bounded by number and by size."""

    def __init__(self, entries: int) -> None:
        self.entries = entries
        self.hits = 0
        self.clear()

    def clear(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, tuple[Response, int]] = OrderedDict()
        self._bytes = 0

    def renew(self) -> None:
        """Take a new lock after a fork, which may have happened while another thread held it."""
        self._lock = threading.Lock()

    def get(self, key: bytes) -> Response | None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            self._kept.move_to_end(key)
            self.hits += 1
            return kept[0]

    def put(self, key: bytes, response: Response, size: int) -> None:
        with self._lock:
            replaced = self._kept.pop(key, None)
            self._bytes += size - (replaced[1] if replaced else 0)
            self._kept[key] = (response, size)
            while self._kept and (len(self._kept) > self.entries or self._bytes > _MEMORY_BYTES):
                self._bytes -= self._kept.popitem(last=False)[1][1]

    def __len__(self) -> int:
        return len(self._kept)


class _Flight:
    """One request on its way to the model, and those who wait for its answer."""

    __slots__ = ("error", "landed", "response", "waiters")

    def __init__(self) -> None:
        self.waiters: list[Waiter] = []
        self.landed = False
        self.response: Response | None = None
        self.error: BaseException | None = None

    async def outcome(self, flights: _Flights) -> Response | None:
        """The response; None when there is none and the request has to be made again. Raises a shared `LMError`."""
        waiter = Waiter()
        with flights.lock:
            if not self.landed:
                self.waiters.append(waiter)
        if not self.landed:
            await waiter.wait()
        if isinstance(self.error, LMError):
            raise _copied(self.error)
        return self.response


class _Flights:
    """The requests now in flight, by key."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may close an abandoned call, which lands its flight, while we hold it.
        self.lock = threading.RLock()
        self._flying: dict[bytes, _Flight] = {}

    def join(self, key: bytes) -> tuple[_Flight, bool]:
        """The flight of a key, and whether the caller is to make the request because there was none."""
        with self.lock:
            flight = self._flying.get(key)
            if flight is not None:
                return flight, False
            flight = self._flying[key] = _Flight()
            return flight, True

    def land(self, key: bytes, flight: _Flight, response: Response | None, error: BaseException | None) -> None:
        with self.lock:
            self._flying.pop(key, None)
            flight.response, flight.error, flight.landed = response, error, True
            waiters, flight.waiters = flight.waiters, []
        for waiter in waiters:
            waiter.wake()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a cache keeps things. `on` is False when caching is switched off."""

    on: bool
    file: CacheFile | None
    flights: _Flights


_flights: WeakKeyDictionary[CacheFile, _Flights] = WeakKeyDictionary()


def _flights_of(file: CacheFile | None) -> _Flights:
    """All caches on one file share their flights."""
    return _Flights() if file is None else _flights.setdefault(file, _Flights())


def _copied(error: LMError) -> LMError:
    """An equal error for another caller: raising one object in several threads would mix up their tracebacks."""
    try:
        twin = copy.copy(error)
    except Exception:  # an error of somebody's own making that cannot be copied
        return error
    twin.__cause__ = error.__cause__
    if hasattr(error, "__notes__"):
        twin.__notes__ = list(error.__notes__)
    return twin
