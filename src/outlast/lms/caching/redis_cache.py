"""A cache that a fleet shares: a Redis server, which never fails a call and never holds one up for long."""

from __future__ import annotations

import asyncio
import atexit
import importlib.util
import logging
import math
import os
import threading
import time
import zlib
from concurrent.futures import CancelledError, Future
from typing import Any
from urllib.parse import unquote, urlsplit

from outlast.errors import ConfigError, OutlastError, brief
from outlast.lms.caching.files import flush_at_end
from outlast.lms.caching.redis_wire import Command, RedisLine
from outlast.lms.caching.rows import proof_of
from outlast.lms.wire.transport import Secret
from outlast.runtime import blocking, sleep
from outlast.runtime.driving import run_on_io_loop
from outlast.runtime.ioloop import in_io_thread, submit
from outlast.runtime.waiting import forks

logger = logging.getLogger("outlast.cache")

PASSWORD_VARIABLE = "OUTLAST_REDIS_PASSWORD"
_SCHEMES = ("redis://", "rediss://")
_SHORT = 200  # bytes that are not worth compressing
_MOST_BYTES = 64 << 20  # of one text
_PENDING_BYTES = 64 << 20  # when this much waits to be sent Redis is too slow, and responses are not stored
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


def is_redis(text: str) -> bool:
    """Whether a text is the address of a Redis server."""
    return text.lower().startswith(_SCHEMES)


class RedisCache:
    """Responses in a Redis server, for `Cached(lm, RedisCache("redis://host:6379/0"))` or `LM(..., cache="redis://...")`.

    `url` is "redis://[user[:password]@]host[:port][/db]", or "rediss://" for TLS. The password is shown nowhere and is
    not part of a pickle; without one in the URL it comes from `OUTLAST_REDIS_PASSWORD`. All commands of a process share
    one connection and travel in batches. A look-up waits at most `timeout` seconds; when Redis is dead, slow or full
    the answer comes from the model, that is logged once to "outlast.cache", and Redis is left alone for `rest` seconds
    and then until a probe that nobody waits for gets through. Values are canonical JSON, compressed, with a proof of
    their key. `Cached(ttl=)` becomes the time to live in Redis; without one, let Redis evict (`maxmemory-policy
    allkeys-lru`).

    `lease` (seconds): processes that ask the same at the same time wait for the first of them, at most this long; None
    lets each ask. Needs the package `redis` (extra `redis`). Raises `ConfigError` for an option out of range.
    """

    tier = "redis"

    def __init__(self, url: str, *, timeout: float = 0.25, rest: float = 5.0, lease: float | None = None) -> None:
        self.place, self._secret = _parsed(url)
        for name, value in (("timeout", timeout), ("rest", rest), ("lease", lease)):
            if value is None and name == "lease":
                continue
            fine = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
            if not fine:
                raise ConfigError(f"{name} is seconds above 0; got {brief(value)}")
        if importlib.util.find_spec("redis") is None:
            raise ConfigError("a Redis cache needs the package redis: pip install 'outlast[redis]'")
        self.timeout = timeout
        self.rest = rest
        self.lease = lease
        self.problem: str | None = None
        self._told: set[str] = set()
        self._begin()

    def _begin(self) -> None:
        self._forks = forks()
        self._lock = threading.Lock()
        self._line: RedisLine | None = None
        self._pending: set[Future[Any]] = set()
        self._pending_bytes = 0
        self._tokens: dict[bytes, bytes] = {}

    @property
    def leases(self) -> bool:
        """Whether processes that ask the same wait for one another."""
        return self.lease is not None

    async def get(self, key: bytes) -> tuple[bytes, int] | None:
        """The text under a key and when it was made (milliseconds since 1970), None when there is none."""
        (found,) = await self._ask(("GET", _name(key)))
        if not isinstance(found, bytes):
            self._note(found)
            return None
        return _unpacked(key, found)

    def put(self, key: bytes, value: bytes, made: int, ttl: float | None = None) -> None:
        """Store a text soon, for `ttl` seconds."""
        packed = _packed(key, value, made)
        if len(value) > _MOST_BYTES or self._pending_bytes + len(packed) > _PENDING_BYTES:
            self._warn("slow", "it is too slow for the responses that arrive, or one is too long; some are not stored")
            return
        expiry: Command = () if ttl is None else ("PX", max(1, int(ttl * 1000)))
        self._send(("SET", _name(key), packed, *expiry), len(packed))

    def forget(self, key: bytes, made: int) -> None:
        """Drop soon what is stored under a key. Cost: a command."""
        self._send(("DEL", _name(key)), 0)

    async def lead(self, key: bytes) -> bool:
        """Wait until this process is to ask (True), or another one has answered (False); at most `lease` seconds."""
        if self.lease is None:
            return True
        token = os.urandom(8).hex().encode()
        try:
            return await self._taken(key, token, self.lease)
        except BaseException:  # given up, perhaps after the server heard of it
            self._tokens[key] = token
            self.led(key)
            raise

    async def _taken(self, key: bytes, token: bytes, lease: float) -> bool:
        until, pause = time.monotonic() + lease, 0.01
        take: Command = ("SET", _name(key, "lease"), token, "NX", "PX", max(1, int(lease * 1000)))
        while True:
            taken, there = await self._ask(take, ("EXISTS", _name(key)))
            if taken is not None:  # it is ours, or Redis cannot say
                self._tokens[key] = token
            if there == 1:  # perhaps since we looked: who held the lease stores before it lets go
                self.led(key)
                return False
            if taken is not None or time.monotonic() > until:
                return True
            await sleep(pause)
            pause = min(pause * 1.5, 0.2)

    def led(self, key: bytes) -> None:
        """Let others ask again, if the lease is still ours."""
        token = self._tokens.pop(key, None)
        if token is not None:
            self._send(("EVAL", _RELEASE, 1, _name(key, "lease"), token), 0)

    def size(self) -> int:
        """Not known: the server holds more than this cache."""
        return 0

    async def _ask(self, *commands: Command) -> list[Any]:
        line = self._here()
        if blocking() and not in_io_thread():
            return run_on_io_loop(line.ask(*commands))
        if in_io_thread():
            return await line.ask(*commands)
        return await asyncio.wrap_future(submit(line.ask(*commands)))

    def _send(self, command: Command, size: int) -> None:
        """Send a command that nobody waits for."""
        try:
            future = submit(self._here().ask(command))
        except OutlastError:  # the process is ending
            return
        with self._lock:
            self._pending.add(future)
            self._pending_bytes += size
        future.add_done_callback(lambda done: self._sent(done, size))

    def _sent(self, future: Future[Any], size: int) -> None:
        with self._lock:
            self._pending.discard(future)
            self._pending_bytes -= size
        if not future.cancelled() and future.exception() is None:
            self._note(future.result()[0])

    def _here(self) -> RedisLine:
        if self._forks != forks():  # the connection stays with the parent, which still uses it
            if self._line is not None:
                _inherited.append(self._line)
            self._begin()
        if self._line is None:
            import redis.asyncio  # noqa: F401  # pyright: ignore[reportUnusedImport] - not on the I/O loop

            with self._lock:
                if self._line is None:
                    secret = self._secret or _password_from_environment()
                    self._line = RedisLine(self.place, secret, self.timeout, self.rest, self._report)
                    _open.add(self)
                    flush_at_end(self)
        return self._line

    def _note(self, result: Any) -> None:
        """A command that Redis refused (it is full, it is a replica, a password is needed) is a problem too."""
        if isinstance(result, Exception) and not isinstance(result, (ConnectionError, TimeoutError)):
            self._report(result)

    def _report(self, error: BaseException) -> None:
        text = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        secret = self._secret or _password_from_environment()
        kind = "refused" if type(error).__name__ == "ResponseError" else "gone"
        self._warn(kind, f"{text if secret is None else secret.redact(text)}; going on without it")

    def _warn(self, kind: str, problem: str) -> None:
        """Say each kind of problem once: a server that comes and goes would fill the log."""
        self.problem = problem
        if kind not in self._told:
            self._told.add(kind)
            logger.warning("response cache %s: %s", self.place, problem)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until all that was put is stored or given up; False when it takes longer than `timeout` seconds."""
        if self._forks != forks() or in_io_thread():
            return True
        until = time.monotonic() + timeout
        with self._lock:
            waiting = list(self._pending)
        for future in waiting:
            try:
                future.exception(max(0.0, until - time.monotonic()))
            except (TimeoutError, CancelledError):
                return False
        return True

    def clear(self) -> None:
        """Remove every response of outlast, of every model and process, from this database."""
        self.flush()
        if not in_io_thread():
            submit(_clear(self._here())).result(60.0)

    def close(self) -> None:
        """Send what is pending and close the connection. It is opened again when it is used again."""
        self.flush()
        line = self._line
        if line is not None and self._forks == forks() and not in_io_thread():
            submit(line.close()).result(5.0)
        _open.discard(self)

    def __repr__(self) -> str:
        return f"RedisCache({self.place!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.place, self.timeout, self.rest, self.lease)


def _reopened(place: str, timeout: float, rest: float, lease: float | None) -> RedisCache:
    return RedisCache(place, timeout=timeout, rest=rest, lease=lease)


def open_redis(url: str) -> RedisCache:
    """The one `RedisCache` of this process for an address. Raises `ConfigError` for one that is none."""
    named = _parsed(url)
    with _opening:
        found = _named.get(named)
        if found is None:
            found = _named[named] = RedisCache(url)
        return found


def safe_place(place: Any) -> Any:
    """A place to cache in, fit to be shown and pickled: the `RedisCache` in place of its address with a password."""
    return open_redis(place) if isinstance(place, str) and is_redis(place) else place


def _parsed(url: Any) -> tuple[str, Secret | None]:
    """The address without the password, and the password. Messages never show the text that was given."""
    wanted = "the address of a Redis server is 'redis://host:6379/0' (or rediss:// for TLS)"
    if not isinstance(url, str) or not is_redis(url):
        raise ConfigError(f"{wanted}; got {brief(url) if not isinstance(url, str) else 'another text'}")
    try:
        parts = urlsplit(url.strip())
        port = parts.port or 6379
    except ValueError:
        raise ConfigError(f"{wanted}; the host or port of this one is malformed") from None
    database = parts.path.strip("/") or "0"
    if not parts.hostname or not database.isdecimal() or parts.query or parts.fragment:
        raise ConfigError(f"{wanted}, with a number after the slash and no query; this one is different")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    scheme = parts.scheme.lower()
    user = f"{parts.username}@" if parts.username else ""
    secret = Secret(unquote(parts.password)) if parts.password else None
    return f"{scheme}://{user}{host}:{port}/{database}", secret


def _password_from_environment() -> Secret | None:
    found = os.environ.get(PASSWORD_VARIABLE, "")
    return Secret(found) if found else None


def _name(key: bytes, kind: str = "r") -> str:
    return f"outlast:{kind}:{key.hex()}"


def _packed(key: bytes, value: bytes, made: int) -> bytes:
    """The proof, the time, how the text is written, and the text."""
    small = zlib.compress(value, 1) if len(value) > _SHORT else value
    body = b"z" + small if len(small) < len(value) else b"=" + value
    return proof_of(key, value, made) + b"%d " % made + body


def _unpacked(key: bytes, packed: bytes) -> tuple[bytes, int] | None:
    """The text and its time; None when these bytes are not what was stored under this key."""
    try:
        proof, (time_text, body) = packed[:8], packed[8:].split(b" ", 1)
        made = int(time_text)
        value = body[1:]
        if body[:1] == b"z":
            value = zlib.decompressobj().decompress(value, _MOST_BYTES)
    except (ValueError, zlib.error):
        return None
    return (value, made) if proof == proof_of(key, value, made) else None


async def _clear(line: RedisLine) -> None:
    cursor: Any = 0
    while True:
        (found,) = await line.ask(("SCAN", cursor, "MATCH", "outlast:r:*", "COUNT", 1000))
        if isinstance(found, Exception):
            return
        cursor, names = found
        if names:
            await line.ask(("UNLINK", *names))
        if int(cursor) == 0:
            return


_named: dict[tuple[str, Secret | None], RedisCache] = {}
_opening = threading.Lock()
_open: set[RedisCache] = set()
_inherited: list[RedisLine] = []  # lines of the parent: closing one here would end it there


def _close_all() -> None:
    for cache in list(_open):
        cache.close()


atexit.register(_close_all)


def _after_fork() -> None:
    global _opening
    _opening = threading.Lock()
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
