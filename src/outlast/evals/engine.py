"""The workers of an evaluation: a fixed number of tasks that take examples from one feed."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from outlast.data.example import Example
from outlast.errors import BudgetExceeded, ConfigError, DataError, LMAuthError, LMQuotaError
from outlast.evals.feed import Turn
from outlast.evals.keeping import keep_row
from outlast.evals.options import Options
from outlast.evals.progress import INTERVAL, Guarded, Snapshot
from outlast.evals.resume import Prior
from outlast.evals.row import Row
from outlast.evals.rowfile import RowWriter, Stopped, dumps
from outlast.evals.statistics import Estimate
from outlast.evals.statistics.values import unknown
from outlast.evals.tally import Tally
from outlast.runtime import recording
from outlast.tracing.recorder import Place

_HOPELESS = (ConfigError, LMAuthError, LMQuotaError)  # what fails one example fails all
_BREATH = 0.002  # seconds after which a worker lets others run, so that instant programs do not starve Ctrl-C
_FIRST = 20  # runs of a stream before a share of them means anything
_MOVED = "resume: example {} is another one than in the file: other data, or in another order. Use another path."
_FAREWELL = 5.0  # seconds that cancelled workers get


class Turns(Protocol):
    """What gives out the runs; see `feed.Feed`."""

    @property
    def total(self) -> int | None: ...
    @property
    def runs(self) -> int | None: ...
    @property
    def streamed(self) -> bool: ...
    @property
    def data_hash(self) -> str: ...
    def __next__(self) -> Turn: ...


class Runner(Protocol):
    """What makes a row of a run; see `runner.RowRunner`."""

    def __call__(self, index: int, example: Example, /, *, epoch: int, cluster: str) -> Awaitable[Row]: ...


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
        runner: Runner,
        feed: Turns,
        options: Options,
        *,
        concurrency: int,
        tally: Tally,
        writer: RowWriter | None,
        prior: Prior,
        display: Guarded,
    ) -> None:
        self.rows: list[Row] = []
        self.tally = tally
        self.seconds = 0.0
        self.keep = not feed.streamed if options.keep is None else options.keep != "nothing"
        self._runner = runner
        self._feed = feed
        self._options = options
        self._concurrency = concurrency if feed.runs is None else min(concurrency, feed.runs)
        self._writer = writer
        self._prior = prior
        self._display = display
        place = recording()
        self._kept = place if isinstance(place, Place) else None
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
            self.tally.finish()
            self._display.show(self.snapshot(finished=True))
            self._display.close()
        return outcome

    def snapshot(self, *, finished: bool = False) -> Snapshot:
        """How far it is."""
        return Snapshot(
            self.tally.done,
            self._feed.runs,
            self._estimate(),
            dict(self.tally.states),
            self.tally.spending,
            perf_counter() - self._started,
            finished,
        )

    def _estimate(self) -> Estimate | None:
        running, level = self.tally.running, self._options.level
        if not running.n:
            return None
        if self._options.cluster is not None:  # an interval that took the examples for independent would mislead
            return Estimate(running.mean, unknown(level), running.n, "unknown")
        return running.estimate(level)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            self._display.show(self.snapshot())

    async def _work(self) -> None:
        while True:
            try:
                turn = next(self._feed)
            except StopIteration:
                return
            except Exception as error:
                raise _Halt(Outcome("failed", f"the data could not be read on: {error}", error, True)) from error
            index, epoch, example, cluster, key = turn
            if self._prior.is_elsewhere(index, key):
                raise _Halt(Outcome("failed", _MOVED.format(index), DataError(_MOVED.format(index)), True))
            row = self._prior.take(index, epoch)
            if row is not None:
                self._count(row, write=False)
            else:
                try:
                    row = await self._runner(index, example, epoch=epoch, cluster=cluster)
                except BudgetExceeded as error:
                    raise _Halt(Outcome("budget", str(error), error)) from error
                self._count(self._prior.marked(row), write=True)
            now = perf_counter()
            if now - self._breathed > _BREATH:
                self._breathed = now
                await asyncio.sleep(0)

    def _count(self, row: Row, *, write: bool) -> None:
        row = self.tally.add(row)
        if self._kept is not None:
            keep_row(self._kept, row)
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
        if reason := self._limit_passed(self.tally.states["error"]):
            first = next(iter(self.tally.groups.values()))
            raise _Halt(Outcome("errors", f"{reason}; the first: {first.type}: {first.message}", first.exception, True))

    def _limit_passed(self, errors: int) -> str:
        """Which limit on errors is passed by so many; "" for none."""
        options = self._options
        if options.on_error == "raise":
            return "an error, and on_error='raise'"
        if options.max_errors is not None and errors > options.max_errors:
            return f"more than max_errors={options.max_errors} errors"
        runs = self._feed.runs if self._feed.runs is not None else max(self.tally.done, _FIRST)
        if options.max_error_rate is not None and errors > options.max_error_rate * runs + 1e-9:
            return f"{errors} errors, more than max_error_rate={options.max_error_rate:g}"
        return ""

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
