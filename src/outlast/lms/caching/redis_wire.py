"""One connection to a Redis server for a whole process: commands gather and travel together.

It lives on the I/O loop that blocking callers share, so that threads and event loops use it alike and nothing is left
open when a loop ends. redis-py is imported at the first use (extra `redis`).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

from outlast.lms.wire.transport import Secret

_BATCH = 256  # commands in one round trip
_BATCH_BYTES = 8 << 20

Command = tuple[str | bytes | int, ...]


class RedisLine:
    """Sends commands in batches, one batch in flight. All methods run on one event loop.

    Raises nothing: a command that could not be sent or answered within `timeout` seconds gives an exception as its
    result. After a failure everything is answered so for `rest` seconds, and then until a probe got through.
    """

    def __init__(
        self, url: str, password: Secret | None, timeout: float, rest: float, report: Callable[[BaseException], None]
    ) -> None:
        self._url = url
        self._password = password
        self._timeout = timeout
        self._rest = rest
        self._report = report
        self._queue: deque[tuple[Command, int, asyncio.Future[Any]]] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._client: Any = None
        self._away_until = 0.0
        self._probe: asyncio.Task[None] | None = None

    @property
    def away(self) -> bool:
        """Whether the server is left alone because it failed."""
        return self._away_until > 0.0

    async def ask(self, *commands: Command) -> list[Any]:
        """The results of some commands; an exception in place of each that failed."""
        if self.away:
            self._look_when_due()
            return [ConnectionError("the server is left alone")] * len(commands)
        futures = [self._enqueue(command) for command in commands]
        try:
            async with asyncio.timeout(self._timeout):
                return [await future for future in futures]
        except TimeoutError as error:
            self._fail(error)
            return [error] * len(commands)

    def _look_when_due(self) -> None:
        """Find out whether the server is back, once in a while; nobody waits for it."""
        if time.monotonic() >= self._away_until and self._probe is None:
            self._probe = asyncio.ensure_future(self._find_out())

    async def _find_out(self) -> None:
        try:
            async with asyncio.timeout(max(self._timeout, 1.0)):
                await self._execute([("PING",)])
            self._away_until = 0.0
        except Exception as error:  # whatever it is, the server is not back
            await self._let_go(error)
        finally:
            self._probe = None

    def _enqueue(self, command: Command) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        size = sum(len(part) for part in command if not isinstance(part, int))
        self._queue.append((command, size, future))
        if self._pump is None:
            self._pump = asyncio.ensure_future(self._send_all())
        return future

    async def _send_all(self) -> None:
        try:
            while self._queue:
                batch: list[tuple[Command, int, asyncio.Future[Any]]] = []
                size = 0
                while self._queue and len(batch) < _BATCH and size < _BATCH_BYTES:
                    batch.append(self._queue.popleft())
                    size += batch[-1][1]
                batch = [entry for entry in batch if not entry[2].done()]
                if not batch:
                    continue
                try:
                    async with asyncio.timeout(self._timeout):
                        results = await self._execute([command for command, _, _ in batch])
                except Exception as error:  # of redis-py, of the system, of a broken server
                    _resolve(batch, [error] * len(batch))
                    await self._let_go(error)
                else:
                    _resolve(batch, results)
        finally:
            self._pump = None
            _resolve(list(self._queue), [ConnectionError("the connection ended")] * len(self._queue))
            self._queue.clear()

    async def _execute(self, commands: Sequence[Command]) -> list[Any]:
        client = self._connected()
        pipeline = client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return cast("list[Any]", await pipeline.execute(raise_on_error=False))

    def _connected(self) -> Any:
        if self._client is None:
            from redis.asyncio import Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff

            connect = cast("Callable[..., Any]", Redis.from_url)  # pyright: ignore[reportUnknownMemberType]
            self._client = connect(
                self._url,
                password=None if self._password is None else self._password.reveal(),
                retry=Retry(NoBackoff(), 0),
                socket_connect_timeout=max(self._timeout, 1.0),
                protocol=2,
            )
        return self._client

    def _fail(self, error: BaseException) -> None:
        self._away_until = time.monotonic() + self._rest
        self._report(error)

    async def _let_go(self, error: BaseException) -> None:
        """Leave the server alone for a while, and the connection for good: its answers could be those of before."""
        self._fail(error)
        await self.close()

    async def close(self) -> None:
        """Close the connection. It is opened again when it is needed."""
        client, self._client = self._client, None
        if client is not None:
            try:
                async with asyncio.timeout(1.0):
                    await client.aclose()
            except Exception:  # it is given up anyhow
                return


def _resolve(batch: Sequence[tuple[Command, int, asyncio.Future[Any]]], results: Sequence[Any]) -> None:
    for (_, _, future), result in zip(batch, results, strict=True):
        if not future.done():
            future.set_result(result)
