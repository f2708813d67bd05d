"""Runs an engine and makes an evaluation of what it did."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable
from dataclasses import replace

from outlast.errors import EvaluationStopped
from outlast.evals.engine import Engine, Outcome, Turns
from outlast.evals.evaluation import UNSEEN, Evaluation
from outlast.evals.reads import Reads
from outlast.evals.rowfile import About, End, RowWriter, end_line
from outlast.runtime import run_blocking


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
    about: About, feed: Turns, engine: Engine, writer: RowWriter | None, reads: Reads | None = None
) -> Evaluation:
    """The evaluation, once everything was run. Raises `EvaluationStopped` when it could not go on."""
    outcome = await engine.run()
    result = replace(_result(about, feed, engine, outcome, writer), reads=reads)
    if outcome.raises:
        raise EvaluationStopped(f"{outcome.reason}; so far: {result.headline}", evaluation=result) from outcome.cause
    return result


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
    result = Evaluation(
        complete,
        tuple(sorted(engine.rows, key=lambda row: (row.index, row.epoch))),
        engine.tally,
        outcome.stopped,
        engine.seconds,
        engine.keep,
        str(writer.path) if writer is not None else "",
        save_error,
    )
    if result.unseen:
        warnings.warn(f"evaluate: {UNSEEN}", RuntimeWarning, stacklevel=2)
    return result
