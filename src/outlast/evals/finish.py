"""Runs an engine and makes an evaluation of what it did."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

from outlast.errors import EvaluationStopped
from outlast.evals.engine import Engine, Outcome, Turns
from outlast.evals.evaluation import Evaluation
from outlast.evals.headline import UNSEEN
from outlast.evals.reads import Reads
from outlast.evals.resume import Opened
from outlast.evals.rowfile import About, End, RowWriter, Stopped, end_line, provenance_line
from outlast.runtime import in_thread, run_blocking
from outlast.tracing.provenance import Provenance, gather

_PATIENCE = 5.0  # seconds for what `gather` ends within by itself


def blocked(main: Callable[[], Awaitable[Evaluation]]) -> Evaluation:
    """The result of `main()`, waited for by blocking; after Ctrl-C what was done."""
    done: list[Evaluation] = []

    async def run() -> None:
        done.append(await main())

    try:
        run_blocking(run)
    except KeyboardInterrupt:  # where a loop was running in this thread: the run was cancelled in another one
        if not done:
            raise
    return done[0]


async def finished(
    about: About, feed: Turns, engine: Engine, opened: Opened, reads: Reads | None = None, *, stopped: Stopped = ""
) -> Evaluation:
    """The evaluation, once everything was run; where it comes from is found out meanwhile, so that it need not wait.

    `stopped` says why what was run on was no longer whole. Raises `EvaluationStopped` when it could not go on.
    """
    told = asyncio.ensure_future(_tell(opened.writer))
    outcome = await engine.run()
    outcome = replace(outcome, stopped=outcome.stopped or stopped)
    sessions = (*opened.sessions, *await _within_reason(told))
    result = replace(_result(about, feed, engine, outcome, opened.writer), reads=reads, sessions=sessions)
    if result.unseen:
        warnings.warn(f"evaluate: {UNSEEN}", RuntimeWarning, stacklevel=2)
    if outcome.raises:
        raise EvaluationStopped(f"{outcome.reason}; so far: {result.headline}", evaluation=result) from outcome.cause
    return result


async def _tell(writer: RowWriter | None) -> Provenance:
    """Find out where this session stands, and write it into the file of rows."""
    started = datetime.now(UTC)
    session = await in_thread(lambda: gather(started))
    if writer is not None:
        writer.write(provenance_line(session))
    return session


async def _within_reason(told: asyncio.Future[Provenance]) -> list[Provenance]:
    """The session of a run that is over; none when that cannot be found out, or Ctrl-C comes first."""
    try:
        await asyncio.wait([told], timeout=_PATIENCE)
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is not None:
            task.uncancel()
    if told.done() and not told.cancelled() and told.exception() is None:
        return [told.result()]
    told.cancel()
    return []


def _result(about: About, feed: Turns, engine: Engine, outcome: Outcome, writer: RowWriter | None) -> Evaluation:
    complete = replace(about, data_hash=feed.data_hash, total=feed.total)
    end = End(outcome.stopped, engine.seconds, feed.data_hash, feed.total)
    save_error = ""
    if writer is not None:
        writer.write(end_line(end))
        writer.close()
        if writer.error is not None:
            save_error = f"{writer.error.strerror or writer.error}"
            engine.warn_unsaved(writer)
    return Evaluation(
        complete,
        tuple(sorted(engine.rows, key=lambda row: (row.index, row.epoch))),
        engine.tally,
        outcome.stopped,
        engine.seconds,
        engine.keep,
        str(writer.path) if writer is not None else "",
        save_error,
    )
