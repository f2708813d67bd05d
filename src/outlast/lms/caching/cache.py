"""The same question gets the same answer, once paid for: a cache of responses in memory and in a shared store."""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from weakref import WeakKeyDictionary

from outlast.errors import ConfigError, brief
from outlast.lms.caching.file import logger
from outlast.lms.caching.files import Store, open_file
from outlast.lms.caching.flights import Flight, Flights
from outlast.lms.caching.key import Keys
from outlast.lms.caching.memory import CacheStats, Recent, Tally
from outlast.lms.caching.redis_cache import RedisCache, is_redis, open_redis
from outlast.lms.protocol import LM, Wrapper, ask, ask_stream
from outlast.messages import (
    Finished,
    Request,
    Response,
    StreamEvent,
    canonical,
    events_of,
)
from outlast.runtime.waiting import forks, holds_up_loop


def default_place() -> str | Path | None:
    """Where responses are cached: `OUTLAST_CACHE` (a path, a "redis://..." address, or "off"), else `responses.db` in
    `outlast` under `XDG_CACHE_HOME` or `~/.cache`. None means off. Raises `ConfigError` for what is no place."""
    named = os.environ.get("OUTLAST_CACHE", "").strip()
    if named.lower() == "off":
        return None
    if is_redis(named):
        return named
    if named:
        _refuse_no_place(named, "OUTLAST_CACHE")
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "outlast" / "responses.db"


def uncached(inner: LM | str, outer: str) -> LM | str:
    """The model to keep answers of: a name is opened without a cache of its own.

    Raises `ConfigError` for one that has a cache already, whose answers would pass for new ones.
    """
    if isinstance(inner, str):
        from outlast.lms.models import BUILT_IN, open_model

        return open_model(inner) if inner in BUILT_IN else open_model(inner, cache=False)  # the former has none
    layer: Any = inner
    while isinstance(layer, Wrapper):
        if isinstance(layer, Cached):
            raise ConfigError(
                f"{outer}(...) around a model that has a cache already ({inner.name!r}) would take its old answers for "
                "new ones. Open the model with cache=False"
            )
        layer = layer.inner
    return inner


class Cached(Wrapper):
    """Answers what was answered before, from memory (some 5 us) or from a store (a file, some 50 us; a Redis server).

    Two requests are the same when the model's identity and all that decides the answer are: messages, settings,
    output schema, tools, `sample`, label; and `namespace`, so that one store holds separate worlds. Draw another
    answer to the same question with another `sample`. Equal requests in flight in this process are sent once; when
    the one that was sent is cancelled another takes over, when it fails with an `LMError` all get the error. Blocking
    and async calls share everything; whole replies, streams and decisions are all kept. A stream that is read to its
    end is kept, one that is given up is not; a request beside an equal stream is sent, since nobody can tell whether
    that stream will ever be read on.

    `path` is a file, "redis://host:port/0", a `RedisCache`, or None for the default (see `default_place`); with
    `OUTLAST_CACHE=off` nothing is cached, not even in memory. An answer older than `ttl` seconds is asked again and
    dropped. A file is bounded to about `max_bytes`, memory to `memory` answers (and 256 MB); both drop what was used
    least recently. Not kept: errors, empty answers, and answers cut off by the token limit or a content filter, so
    that asking again can help. A file that is damaged is moved aside, a store that cannot be used is done without;
    either is logged once to "outlast.cache". Raises `ConfigError` for options out of range. Cost: at most one call.
    """

    spends = False

    def __init__(
        self,
        inner: LM | str,
        path: str | os.PathLike[str] | RedisCache | None = None,
        *,
        namespace: str = "",
        ttl: float | None = None,
        max_bytes: int = 1 << 30,
        memory: int = 4096,
    ) -> None:
        super().__init__(uncached(inner, "Cached"))
        check_options(namespace, ttl, max_bytes, memory)
        self.namespace = namespace
        self.ttl = ttl
        self.max_bytes = max_bytes
        self._named = named_place(path)
        self._memory = Recent(memory)
        self._keys = Keys(namespace)
        self._tally = Tally()
        self._place: _Place | None = None
        self._forks = forks()

    async def complete(self, request: Request) -> Response:
        """Answer one request, from the cache if it can."""
        place = self._here()
        key = self._keys.of(self.inner.identity, request) if place.on else None
        if key is None:
            return await ask(self.inner, request)
        found = self._recent(key)
        if found is not None:
            return found
        while True:
            flight, leads = place.flights.join(key)
            if leads:
                return await self._lead(flight, key, request, place)
            if holds_up_loop():
                return await ask(self.inner, request)
            answer = await flight.outcome(place.flights)
            if answer is not None:
                self._tally.saved("shared", answer)
                return answer.as_cached("shared")

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        """Answer one request in pieces; what is known comes in one piece of each kind."""
        place = self._here()
        key = self._keys.of(self.inner.identity, request) if place.on else None
        found = None if key is None else await self._known(key, place)
        if found is not None:
            for event in events_of(found):
                yield event
            return
        if key is not None:
            self._tally.count("miss")
        async with aclosing(ask_stream(self.inner, request)) as events:
            async for event in events:
                if key is not None and isinstance(event, Finished):
                    self._keep(key, event.response, place)
                yield event

    async def _known(self, key: bytes, place: _Place) -> Response | None:
        """What there is without asking: in memory, from an equal whole request in flight, or in the store."""
        found = self._recent(key)
        if found is not None:
            return found
        flight = place.flights.find(key)
        if flight is not None and not holds_up_loop():
            answer = await flight.outcome(place.flights)
            if answer is not None:
                self._tally.saved("shared", answer)
                return answer.as_cached("shared")
        return await self._stored(key, place)

    async def _lead(self, flight: Flight, key: bytes, request: Request, place: _Place) -> Response:
        """Answer a request for all who wait for the same."""
        try:
            answer = await self._stored(key, place)
            if answer is None:
                answer = await self._ask_for_all(key, request, place)
        except BaseException as error:
            place.flights.land(key, flight, None, error)
            raise
        place.flights.land(key, flight, answer, None)
        return answer

    async def _ask_for_all(self, key: bytes, request: Request, place: _Place) -> Response:
        """Ask the model, unless a process elsewhere that was asking the same has answered meanwhile."""
        store = place.store
        if store is None or not store.leases:
            return await self._ask_and_keep(key, request, place)
        leads = await store.lead(key)
        try:
            answer = None if leads else await self._stored(key, place)
            return answer or await self._ask_and_keep(key, request, place)
        finally:
            if leads:
                store.led(key)

    async def _ask_and_keep(self, key: bytes, request: Request, place: _Place) -> Response:
        self._tally.count("miss")
        answer = await ask(self.inner, request)
        self._keep(key, answer, place)
        return answer

    def _recent(self, key: bytes) -> Response | None:
        kept = self._memory.get(key)
        if kept is None:
            return None
        if self._expired(kept[1]):
            self._memory.forget(key)
            return None
        self._tally.saved("memory", kept[0])
        return kept[0]

    async def _stored(self, key: bytes, place: _Place) -> Response | None:
        store = place.store
        found = None if store is None else await store.get(key)
        if store is None or found is None:
            return None
        text, made = found
        if self._expired(made):
            self._tally.count("expired")
            store.forget(key, made)
            return None
        try:
            answer = Response.from_json(json.loads(text)).as_cached("hit")
        except (ValueError, KeyError, TypeError, AttributeError):  # written by something else than us
            return None
        self._tally.saved(store.tier, answer)
        self._memory.put(key, answer, made, len(text))
        return answer

    def _expired(self, made: int) -> bool:
        # A clock that was set back must not make an answer live for ever.
        return self.ttl is not None and abs(time.time() * 1000 - made) > self.ttl * 1000

    def _keep(self, key: bytes, answer: Response, place: _Place) -> None:
        if not is_worth_keeping(answer):
            return
        text, made = canonical(answer.to_json()), int(time.time() * 1000)
        self._tally.count("stored")
        self._memory.put(key, answer.as_cached("hit"), made, len(text))
        if place.store is not None:
            place.store.put(key, text, made, self.ttl)

    def _here(self) -> _Place:
        """Where this cache keeps things, found again in a process that was forked."""
        if self._forks != forks():
            self._forks, self._place = forks(), None
            self._tally.renew()
            self._memory.renew()
        place = self._place
        if place is None:
            place = self._place = self._find_place()
        return place

    def _find_place(self) -> _Place:
        try:
            named = default_place() if self._named is None else self._named
            if named is None:
                return _Place(False, None, Flights())
            if isinstance(named, Path):
                store = open_file(named, self.max_bytes) if self.max_bytes else None
            else:
                store = named if isinstance(named, RedisCache) else open_redis(named)
        except (RuntimeError, OSError) as error:  # no home directory, or a working directory that is gone
            logger.warning("response cache: %s; going on in memory only", error)
            store = None
        return _Place(True, store, _flights_of(store))

    def stats(self) -> CacheStats:
        """What this cache did since it was made."""
        place = self._here()
        store, tally, counts = place.store, self._tally, self._tally.counts
        return CacheStats(
            memory_hits=counts["memory"],
            disk_hits=counts["disk"],
            redis_hits=counts["redis"],
            shared=counts["shared"],
            misses=counts["miss"],
            stored=counts["stored"],
            expired=counts["expired"],
            tokens_saved=tally.tokens,
            dollars_saved=tally.dollars,
            unpriced=tally.unpriced,
            entries=len(self._memory),
            path=None if store is None else store.place,
            file_bytes=0 if store is None else store.size(),
            problem=None if store is None else store.problem,
        )

    def facts(self) -> Mapping[str, Any]:
        named = self._named
        place = named.place if isinstance(named, RedisCache) else None if named is None else str(named)
        counts = self._tally.counts
        hits = sum(counts[name] for name in ("memory", "disk", "redis", "shared"))
        told = {"path": place, "namespace": self.namespace, "ttl": self.ttl, "hits": hits, "misses": counts["miss"]}
        return {name: value for name, value in told.items() if value}

    def clear(self) -> None:
        """Forget every response: those of this LM in memory, and those of every model in the store."""
        self._memory.clear()
        store = self._here().store
        if store is not None:
            store.clear()

    def close(self) -> None:
        """Write what is pending and close the store. Not needed: it happens at exit, and the next use opens it."""
        if self._place is not None and self._place.store is not None:
            self._place.store.close()

    def __reduce__(self) -> tuple[Any, ...]:
        options = {"namespace": self.namespace, "ttl": self.ttl, "max_bytes": self.max_bytes}
        return _rebuilt, (self.inner, self._named, {**options, "memory": self._memory.entries})


def _rebuilt(inner: LM, path: Any, options: Mapping[str, Any]) -> Cached:
    return Cached(inner, path, **options)


def check_options(namespace: Any, ttl: Any, max_bytes: Any, memory: Any) -> None:
    """Raise `ConfigError` for the first option of a cache that is out of range."""
    if not isinstance(namespace, str):
        raise ConfigError(f"namespace is text; got {brief(namespace)}")
    if ttl is not None and (
        not isinstance(ttl, int | float) or isinstance(ttl, bool) or not math.isfinite(ttl) or ttl <= 0
    ):
        raise ConfigError(f"ttl is seconds above 0, or None for ever; got {brief(ttl)}")
    for name, value in (("max_bytes", max_bytes), ("memory", memory)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ConfigError(f"{name} is a whole number from 0; got {brief(value)}")


def is_worth_keeping(answer: Response) -> bool:
    """Whether asking again would not help: the answer is whole, not empty, and one to this question."""
    if answer.finish in ("length", "content_filter") or answer.undecided or answer.cache == "semantic":
        return False
    return bool(answer.text or answer.tool_calls or answer.decisions or answer.finish == "tool_calls")


def named_place(path: Any) -> Path | RedisCache | None:
    """Where a cache keeps things that was told so, None for the default. Raises `ConfigError` for what is no place."""
    if path is None or isinstance(path, RedisCache):
        return path
    if isinstance(path, str) and is_redis(path):
        return open_redis(path)
    if not isinstance(path, (str, os.PathLike)) or path == "":
        raise ConfigError(f"the place of a cache is a path, 'redis://host:port/0' or a RedisCache; got {brief(path)}")
    _refuse_no_place(path, "cache")
    return Path(cast("str", path))


_ADDRESS = re.compile(r"\s*[a-z][a-z0-9+.-]+:/", re.I)  # of a scheme; a drive has one letter
_SWITCHES = ("off", "on", "true", "false", "none")


def _refuse_no_place(path: Any, subject: str) -> None:
    """Raise `ConfigError` for what would become a file and was not meant to."""
    text = os.fsdecode(path)
    if _ADDRESS.match(text):  # not shown: it may hold a password
        raise ConfigError(
            f"{subject} is an address of a kind that no cache is kept at. There are 'redis://host:port/0', "
            "'rediss://host:port/0' and the path of a file, as text or as a pathlib.Path"
        )
    if isinstance(path, str) and text.strip().lower() in _SWITCHES:  # whoever says a `Path` means a file
        raise ConfigError(
            f"{subject}={text!r} is no place for a cache. Off for one model: cache=False; off everywhere: "
            f"OUTLAST_CACHE=off; on: leave it out. A file of that name is './{text.strip()}'"
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a cache keeps things. `on` is False when caching is switched off."""

    on: bool
    store: Store | None
    flights: Flights


_flights: WeakKeyDictionary[Store, Flights] = WeakKeyDictionary()


if hasattr(os, "register_at_fork"):  # those who lead them stayed in the parent
    os.register_at_fork(after_in_child=_flights.clear)


def _flights_of(store: Store | None) -> Flights:
    """All caches on one store share their flights."""
    return Flights() if store is None else _flights.setdefault(store, Flights())
