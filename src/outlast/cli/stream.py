"""A program over a stream of rows: many in flight, answers in order, memory for those in flight only."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from outlast.data.jsonform import json_form
from outlast.errors import ConfigError, DataError, LMAuthError, LMQuotaError
from outlast.modules.module import Module
from outlast.runtime import run_blocking
from outlast.signatures.record import Record, outputs_of

FATAL = (ConfigError, LMAuthError, LMQuotaError)  # no further row can escape these
Row = Mapping[str, Any] | DataError


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one row: outputs, or the exception that it ended in."""

    outputs: Any
    failure: Exception | None = None

    def to_json(self) -> dict[str, Any]:
        """The line of this row. A program that returns a plain value gives {"output": value}."""
        if self.failure is not None:
            return {"error": {"type": type(self.failure).__name__, "message": str(self.failure)}}
        outputs = cast("object", self.outputs)
        return cast("dict[str, Any]", outputs) if isinstance(outputs, dict) else {"output": outputs}


def answer_all(program: Module, rows: Iterator[Row], concurrency: int, write: Callable[[Answer], None]) -> None:
    """Run `program` on every row and give the answers to `write` in the order of the rows.

    At most `concurrency` rows are in flight, and no more are read ahead. A row's error is its answer; only those that
    every row would meet (no model, a refused key, an empty account) are raised, after the answers before them.
    Cost: the calls of the program for each row.
    """
    run_blocking(lambda: _answer_all(program, rows, concurrency, write))


async def _answer_all(program: Module, rows: Iterator[Row], concurrency: int, write: Callable[[Answer], None]) -> None:
    gate = asyncio.Semaphore(concurrency)
    tasks: asyncio.Queue[asyncio.Task[Answer] | None] = asyncio.Queue()
    feeder = _Feeder(rows)

    async def feed() -> None:
        while True:
            await gate.acquire()
            row = await feeder.next()
            if row is None:
                await tasks.put(None)
                return
            await tasks.put(asyncio.create_task(_answer(program, row)))

    feeding = asyncio.create_task(feed())
    try:
        while True:
            getting = asyncio.create_task(tasks.get())
            await asyncio.wait([getting, feeding], return_when=asyncio.FIRST_COMPLETED)
            if feeding.done() and feeding.exception() is not None and not getting.done():
                getting.cancel()
                feeding.result()
            task = await getting
            if task is None:
                return
            answer = await task
            write(answer)
            gate.release()
    finally:
        feeding.cancel()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


class _Feeder:
    """Reads rows in a thread of its own, one when asked: reading may block, the loop must not."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._loop = asyncio.get_running_loop()
        self._wanted = threading.Semaphore(0)
        self._future: asyncio.Future[Row | None] | None = None
        # A daemon, so that a reader that waits for more input does not keep an interrupted process alive.
        threading.Thread(target=self._read, name="outlast-rows", daemon=True).start()

    async def next(self) -> Row | None:
        """The next row, None after the last. Raises what reading raises."""
        self._future = self._loop.create_future()
        self._wanted.release()
        return await self._future

    def _read(self) -> None:
        while True:
            self._wanted.acquire()
            try:
                row, error = next(self._rows, None), None
            except Exception as raised:
                row, error = None, raised
            try:
                self._loop.call_soon_threadsafe(self._deliver, row, error)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return
            if row is None:
                return

    def _deliver(self, row: Row | None, error: Exception | None) -> None:
        future = self._future
        if future is None or future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(row)


async def _answer(program: Module, row: Row) -> Answer:
    try:
        if isinstance(row, DataError):
            raise row
        result = await program.acall(**row)
        values = outputs_of(result) if isinstance(result, Record) else result
        return Answer(json_form(values, lenient=True))
    except FATAL:
        raise
    except Exception as error:
        return Answer(None, error)
