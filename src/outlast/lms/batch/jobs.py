"""Collects requests into batches, sends them, looks after them until they end, and hands the results out."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from outlast.errors import ConfigError, LMConnectionError, LMError, LMRequestError, LMTimeout, OutlastError, brief
from outlast.lms.batch.store import BatchStore
from outlast.lms.batch.wire import BatchWire, Job, Result, identifier_of, listed, object_of
from outlast.lms.wire.dialect import Encoded
from outlast.lms.wire.model import WireLM
from outlast.lms.wire.openai_errors import error_from
from outlast.lms.wire.reply import serialize
from outlast.lms.wire.transport import Reply, fetch, post, upload
from outlast.messages import Request
from outlast.runtime.ioloop import submit
from outlast.runtime.waiting import ForkSafeLock, Waiter

_SENDING = 600.0  # seconds that a process on another machine gets to send a batch
_GROWTH = 1.5
_TOO_MUCH = re.compile(r"token_limit|enqueued|too many|limit reached", re.I)  # why a provider refuses a whole batch
_MOST_BYTES = 100 << 20  # of one batch; providers take 200 MB
_REPLY_BYTES = 1 << 30
_EXCHANGE = 600.0  # seconds for one exchange with so much in it


@dataclass(frozen=True, slots=True)
class Pace:
    """How requests are collected and looked after; see `Batched`."""

    idle: float
    most: int
    poll: tuple[float, float]
    retries: int

    def checked(self) -> Pace:
        """The same, or `ConfigError` for a value that means nothing."""
        poll: Any = self.poll
        if not isinstance(poll, tuple) or len(self.poll) != 2 or not all(_is_number(each) for each in self.poll):
            raise ConfigError(f"poll is (first, last) in seconds, such as (5, 60); got {brief(poll)}")
        if not 0 < self.poll[0] <= self.poll[1]:
            raise ConfigError(f"poll is (first, last) in seconds above 0, rising; got {brief(poll)}")
        if not _is_number(self.idle) or self.idle < 0:
            raise ConfigError(f"idle is a number of seconds from 0; got {brief(self.idle)}")
        for name, value, least in (("most", self.most, 1), ("retries", self.retries, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"{name} is a whole number from {least}; got {brief(value)}")
        return self


class Answer(NamedTuple):
    """What came of a request: the JSON of a reply or an error; `first` for one of those who asked the same."""

    outcome: Any
    first: bool


@dataclass(slots=True, eq=False)
class _Asked:
    """A request that somebody waits for."""

    request: Request
    waiters: list[Waiter] = field(default_factory=list[Waiter])
    sent: Encoded | None = None
    answer: Any = None
    claimed: bool = False


@dataclass(slots=True)
class _Watched:
    """A job under way, and when to look at it."""

    next_look: float
    interval: float


class Jobs:
    """The batches of one model. `ask` may be called from any thread or loop; the work is done on the I/O loop."""

    def __init__(self, leaf: WireLM, wire: BatchWire, store: BatchStore, pace: Pace) -> None:
        self.leaf = leaf
        self.wire = wire
        self.store = store
        self.pace = pace
        self._endpoint = replace(leaf.endpoint, timeout=max(leaf.endpoint.timeout, _EXCHANGE), max_bytes=_REPLY_BYTES)
        self._lock = ForkSafeLock()
        self._asked: dict[str, _Asked] = {}  # by key: everything that is waited for
        self._queue: list[str] = []
        self._arrived = 0.0
        self._most = pace.most
        self._held_until = 0.0  # after the provider had too much to do
        self._working = False
        self._watched: dict[str, _Watched] = {}  # by token; touched on the I/O loop only

    async def ask(self, key: str, request: Request) -> Answer:
        """Wait for the reply to a request, which is sent unless it is under way. Ctrl-C ends only the wait."""
        waiter = Waiter()
        with self._lock:
            asked = self._asked.get(key)
            if asked is None:
                asked = self._asked[key] = _Asked(request)
                self._queue.append(key)
                self._arrived = time.monotonic()
            asked.waiters.append(waiter)
            if not self._working:
                self._working = True
                submit(self._work())
        try:
            await waiter.wait()
        except BaseException:
            with self._lock:
                if waiter in asked.waiters:
                    asked.waiters.remove(waiter)
            raise
        with self._lock:
            first, asked.claimed = not asked.claimed, True
        return Answer(asked.answer, first)

    async def _work(self) -> None:
        """Send and look until nobody waits."""
        try:
            while True:
                with self._lock:
                    for key in [key for key, asked in self._asked.items() if not asked.waiters]:
                        del self._asked[key]  # given up: its batch stays under way
                    self._queue = [key for key in self._queue if key in self._asked]
                    if not self._asked:
                        self._working = False
                        return
                    ready = self._ready()
                if ready:
                    await self._send(ready)
                await self._look()
                await asyncio.sleep(self._pause())
        except BaseException as error:
            self._give_up(error)
            raise

    def _ready(self) -> list[str]:
        """The requests that go out now. The caller holds the lock."""
        now, most = time.monotonic(), self._most
        quiet = now - self._arrived >= self.pace.idle
        if not self._queue or now < self._held_until or not (quiet or len(self._queue) >= most):
            return []
        ready, self._queue = self._queue[:most], self._queue[most:]
        return ready

    def _pause(self) -> float:
        looks = [watched.next_look - time.monotonic() for watched in self._watched.values()]
        queued = [self.pace.idle / 3] if self._queue else [self.pace.idle]  # new requests may come at any time
        return max(0.005, min([*looks, *queued]))

    def _give_up(self, error: BaseException) -> None:
        failure = error if isinstance(error, Exception) else OutlastError("interrupted")
        with self._lock:
            self._working = False
            self._queue = []
            keys = list(self._asked)
        for key in keys:
            self._tell(key, failure)

    def _tell(self, key: str, answer: Any) -> None:
        """Hand out what came of a request."""
        with self._lock:
            asked = self._asked.pop(key, None)
            if asked is None:
                return
            asked.answer = answer
            waiters, asked.waiters = asked.waiters, []
        for waiter in waiters:
            waiter.wake()

    async def _send(self, keys: list[str]) -> None:
        """Send what nobody has sent yet; watch the batches that hold the rest."""
        bodies: dict[str, Any] = {}
        later: list[str] = []
        size = 0
        for key, state in (await asyncio.to_thread(self.store.states, keys)).items():
            if state.reply is not None:
                self._tell(key, state.reply)
            elif state.job is not None:
                self._watch(state.job)
            elif (body := self._body(key)) is not None:
                size += len(serialize(body)[0])
                if bodies and size > _MOST_BYTES:
                    later.append(key)
                else:
                    bodies[key] = body
        self._requeue(later)
        if bodies:
            await self._make(bodies)

    def _body(self, key: str) -> dict[str, Any] | None:
        """The JSON of a request; None when nobody waits for it any more, or it cannot be written."""
        asked = self._asked.get(key)
        if asked is None:
            return None
        try:
            asked.sent = self.leaf.write(asked.request)
            return asked.sent.body
        except OutlastError as error:
            self._tell(key, error)
            return None

    def _requeue(self, keys: list[str]) -> None:
        with self._lock:
            self._queue[:0] = [key for key in keys if key in self._asked]

    async def _make(self, bodies: dict[str, Any]) -> None:
        """Make a job of these requests; those that another process was quicker with are watched."""
        token = secrets.token_hex(12)
        server, dialect = self._endpoint.base_url, self.leaf.dialect.name
        mine = await asyncio.to_thread(self.store.claim, token, server, dialect, bodies)
        self._requeue([key for key in bodies if key not in set(mine)])
        if not mine:
            return
        try:
            remote = await self._create({key: bodies[key] for key in mine}, token)
        except (LMError, ConfigError) as error:
            self.store.forget(token)
            for key in mine:
                self._tell(key, error)
            return
        self.store.made(token, remote)
        self._watch(token)

    async def _create(self, bodies: Mapping[str, Any], token: str) -> str:
        """The server's id of a new job. Tries again as long as it is certain that none was made."""
        wait = self.pace.poll[0]
        for attempt in range(self.pace.retries + 1):
            uncertain = False
            try:
                file = await self._upload(bodies)
                uncertain = True
                body = self.wire.create(self.leaf.dialect.path, bodies, file, token)
                payload = serialize(body)[0]
                reply = self._checked(await post(self._endpoint, self.wire.jobs, payload, self.leaf.secret()))
                return identifier_of(object_of(reply.body, self.leaf.name))
            except LMError as error:
                found = await self._find(token) if uncertain and error.sent else None
                if found:
                    return found
                certain = not uncertain or self.wire.listing is not None or (error.status or 0) in (429, 503, 529)
                if not error.retryable or attempt == self.pace.retries:
                    raise
                if not certain:
                    raise LMConnectionError(
                        f"{self.leaf.name}: it is not known whether a batch of {len(bodies)} requests was made: "
                        f"{error}. Asking again sends them again"
                    ) from error
                await asyncio.sleep(error.retry_after or wait)
                wait = min(wait * _GROWTH, self.pace.poll[1])
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _upload(self, bodies: Mapping[str, Any]) -> str:
        if self.wire.write is None:
            return ""
        content = self.wire.write(self.leaf.dialect.path, bodies)
        fields = {"purpose": "batch"}
        reply = await upload(self._endpoint, "/files", content, self.leaf.secret(), name="outlast.jsonl", fields=fields)
        return identifier_of(object_of(self._checked(reply).body, self.leaf.name))

    async def _find(self, token: str) -> str | None:
        """The server's id of the job that carries our token; None when there is none, or when nobody can tell."""
        if self.wire.listing is None:
            return None
        try:
            reply = self._checked(await fetch(self._endpoint, self.wire.listing, self.leaf.secret()))
            for entry in listed(object_of(reply.body, self.leaf.name)):
                job = self.wire.read(entry)
                if job.token == token:
                    return job.id
        except LMError:
            return None
        return None

    def _checked(self, reply: Reply) -> Reply:
        if 200 <= reply.status < 300:
            return reply
        key = self.leaf.secret()
        error = error_from(*reply, subject=f"{self.leaf.name} (batch)", redact=str if key is None else key.redact)
        raise error

    def _watch(self, token: str) -> None:
        first = self.pace.poll[0]
        if token not in self._watched:
            self._watched[token] = _Watched(time.monotonic() + first, first)

    async def _look(self) -> None:
        """Look at every job whose time has come."""
        for token, watched in list(self._watched.items()):
            if watched.next_look > time.monotonic():
                continue
            watched.interval = min(watched.interval * _GROWTH, self.pace.poll[1])
            watched.next_look = time.monotonic() + watched.interval
            try:
                await self._look_at(token)
            except (LMError, ConfigError) as error:
                if not (isinstance(error, LMError) and error.retryable):
                    self._fail(token, error)

    async def _look_at(self, token: str) -> None:
        stored = self.store.job(token)
        if stored is None:  # another process settled it
            self._end(token)
            return
        remote = stored.remote
        if not remote:
            if stored.sender and time.time() - stored.created < _SENDING:
                return
            remote = await self._find(token) or ""
            if not remote:
                self.store.forget(token)
                self._end(token)
                return
            self.store.made(token, remote)
        reply = await fetch(self._endpoint, f"{self.wire.jobs}/{remote}", self.leaf.secret())
        job = self.wire.read(object_of(self._checked(reply).body, self.leaf.name))
        if job.ended:
            await self._settle(token, job)

    async def _settle(self, token: str, job: Job) -> None:
        """Take the results of a job that has ended."""
        if job.failed:
            keys = self.store.keys(token)
            self.store.settle(token, {})
            if _TOO_MUCH.search(job.failed) and all(self.store.tries(key) <= self.pace.retries for key in keys):
                self._most = min(self._most, max(1, len(keys) // 2))
                self._held_until = time.monotonic() + self.pace.poll[1]
                self._end(token)
            else:
                self._fail(token, LMRequestError(f"{self.leaf.name}: the provider refused the batch: {job.failed}"))
            return
        results: dict[str, Result] = {}
        for path in job.results:
            reply = self._checked(await fetch(self._endpoint, path, self.leaf.secret()))
            results.update((result.key, result) for result in self.wire.results(reply.body))
        keys = self.store.keys(token)
        good = {key: results[key].body for key in keys if key in results and _is_reply(results[key])}
        await asyncio.to_thread(self.store.settle, token, good)
        self._watched.pop(token, None)
        for key in keys:
            result = results.get(key, Result(key, 0, {}, "expired"))
            if _is_reply(result):
                self._tell(key, dict(result.body))
            else:
                self._answer_failure(key, result)

    def _answer_failure(self, key: str, result: Result) -> None:
        """Send a request again when that may help, or say why there is no reply."""
        asked = self._asked.get(key)
        if asked is None:
            return
        error = self._error(result, asked)
        if error is None or (error.retryable and self.store.tries(key) <= self.pace.retries):
            self._requeue([key])
        else:
            self._tell(key, error)

    def _error(self, result: Result, asked: _Asked) -> LMError | None:
        if not result.missing:
            return self.leaf.failed(result.status, serialize(result.body)[0], asked.request, asked.sent)
        if "cancel" in result.missing:
            return LMRequestError(f"{self.leaf.name}: the batch was cancelled before this request was answered")
        return LMTimeout(f"{self.leaf.name}: the batch ended before this request was answered ({result.missing})")

    def _end(self, token: str) -> None:
        """A job that is settled or was never made: its requests are looked up again."""
        self._watched.pop(token, None)
        with self._lock:
            waiting = [key for key in self._asked if key not in self._queue]
        self._requeue([key for key in waiting if self.store.job_of(key) not in self._watched])

    def _fail(self, token: str, error: Exception) -> None:
        """Nothing more can be learnt of a job: tell those who wait for it."""
        self._watched.pop(token, None)
        with self._lock:
            waiting = [key for key in self._asked if key not in self._queue]
        for key in waiting:
            if self.store.job_of(key) in (token, None):
                self._tell(key, error)


def _is_reply(result: Result) -> bool:
    return not result.missing and 200 <= result.status < 300 and bool(result.body)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
