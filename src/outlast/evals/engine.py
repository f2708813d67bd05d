"""The workers of an evaluation: a fixed number of tasks that take examples from one feed."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from outlast.data.example import id_of
from outlast.errors import BudgetExceeded, ConfigError, LMAuthError, LMQuotaError
from outlast.evals.feed import Feed
from outlast.evals.progress import INTERVAL, Guarded, Snapshot
from outlast.evals.row import Row
from outlast.evals.rowfile import RowWriter, Stopped, dumps
from outlast.evals.runner import RowRunner
from outlast.evals.statistics import Running
from outlast.evals.tally import Tally

_HOPELESS = (ConfigError, LMAuthError, LMQuotaError)  # what fails one example fails all
_BREATH = 0.002  # seconds after which a worker lets others run, so that instant programs do not starve Ctrl-C
_FAREWELL = 5.0  # seconds that cancelled workers get


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the run ended; with `raises` as an error, because of `cause`."""

    stopped: Stopped = ""
    reason: str = ""
    cause: BaseException | None = None
    raises: bool = False


class _Halt(Exception):
    """Ends all workers."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


class Engine:
    """One run. After `run`, `rows` (in the order in which they finished), `tally` and `seconds` hold the
    result."""

    def __init__(
        self,
        runner: RowRunner,
        feed: Feed,
        *,
        concurrency: int,
        max_errors: float | None,
        keep: bool,
        writer: RowWriter | None,
        prior: Mapping[str, list[Row]],
        level: float,
        display: Guarded,
    ) -> None:
        self.rows: list[Row] = []
        self.tally = Tally()
        self.seconds = 0.0
        self.keep = keep
        self._runner = runner
        self._feed = feed
        self._concurrency = concurrency if feed.total is None else min(concurrency, feed.total)
        self._max_errors = max_errors
        self._writer = writer
        self._prior = prior
        self._level = level
        self._display = display
        self._running = Running()
        self._started = self._breathed = perf_counter()

    async def run(self) -> Outcome:
        """Run everything; never raises for what happens to an example."""
        workers = [asyncio.ensure_future(self._work()) for _ in range(self._concurrency)]
        ticker = asyncio.ensure_future(self._tick()) if self._display.active else None
        try:
            # Not `gather`: when cancelled, that waits for workers that may not heed the cancellation.
            done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            for worker in done:
                worker.result()
            outcome = Outcome()
        except _Halt as halt:
            outcome = halt.outcome
        except asyncio.CancelledError:
            outcome = Outcome("interrupted")
            if (task := asyncio.current_task()) is not None:
                task.uncancel()  # the request is answered by returning what is done
        except Exception as error:  # a defect of ours must not cost the rows that are done
            outcome = Outcome("failed", f"{type(error).__name__}: {error}", error, True)
        finally:
            await _end(workers if ticker is None else [*workers, ticker])
            self.seconds = perf_counter() - self._started
            self._display.show(self.snapshot(finished=True))
            self._display.close()
        return outcome

    def snapshot(self, *, finished: bool = False) -> Snapshot:
        """How far it is."""
        return Snapshot(
            self.tally.done,
            self._feed.total,
            self._running.estimate(self._level) if self._running.n else None,
            dict(self.tally.states),
            self.tally.spending,
            perf_counter() - self._started,
            finished,
        )

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            self._display.show(self.snapshot())

    async def _work(self) -> None:
        while True:
            try:
                index, example = next(self._feed)
            except StopIteration:
                return
            except Exception as error:
                raise _Halt(Outcome("failed", f"the data could not be read on: {error}", error, True)) from error
            earlier = self._prior.get(id_of(example)) if self._prior else None
            if earlier:
                row = earlier.pop(0)
                self._count(replace(row, index=index), write=row.index != index)
            else:
                try:
                    row = await self._runner(index, example)
                except BudgetExceeded as error:
                    raise _Halt(Outcome("budget", str(error), error)) from error
                self._count(row, write=True)
            now = perf_counter()
            if now - self._breathed > _BREATH:
                self._breathed = now
                await asyncio.sleep(0)

    def _count(self, row: Row, *, write: bool) -> None:
        row = self.tally.add(row)
        if row.score is not None:
            self._running.add(row.score)
        if self.keep:
            self.rows.append(row)
        if write and self._writer is not None and not self._writer.write(dumps(row.to_json())) and not self.keep:
            error = self._writer.error
            reason = f"rows can no longer be saved to {str(self._writer.path)!r} ({error}) and are not kept either"
            raise _Halt(Outcome("failed", reason, error, True))
        if row.error is not None:
            self._count_error(row.error.exception)

    def _count_error(self, error: BaseException | None) -> None:
        if isinstance(error, _HOPELESS):
            reason = f"every further example would fail like this: {type(error).__name__}: {error}"
            raise _Halt(Outcome("failed", reason, error, True))
        limit, count, total = self._max_errors, self.tally.states["error"], self._feed.total
        if limit is None:
            return
        allowed = limit
        if isinstance(limit, float):
            allowed = limit * (total if total is not None else max(self.tally.done, 20)) + 1e-9
        if count > allowed:
            first = next(iter(self.tally.groups.values()))
            reason = f"more than max_errors={limit} errors; the first: {first.type}: {first.message}"
            raise _Halt(Outcome("errors", reason, first.exception, True))

    def warn_unsaved(self, writer: RowWriter) -> None:
        """Say that the file is not whole."""
        kept = "all rows are in memory: write them elsewhere with to_jsonl(path)" if self.keep else "rows are lost"
        warnings.warn(
            f"the evaluation could not be saved to {str(writer.path)!r} ({writer.error}); {kept}",
            RuntimeWarning,
            stacklevel=2,
        )


async def _end(tasks: Sequence[asyncio.Future[None]]) -> None:
    """Cancel what still runs and wait a little for it."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=_FAREWELL)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain about it
