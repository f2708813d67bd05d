"""Runs a program over data, many examples at a time, and judges each answer."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from outlast.data.example import Example
from outlast.errors import DataError, EvaluationStopped, UsageError, brief
from outlast.evals.engine import Engine, Outcome
from outlast.evals.evaluation import UNSEEN, Evaluation
from outlast.evals.feed import Feed
from outlast.evals.identity import metric_hash, name_of, own_models, program_hash
from outlast.evals.progress import Guarded, Snapshot, display_for
from outlast.evals.rowfile import About, End, RowWriter, about_line, end_line, read_evaluation
from outlast.evals.runner import RowRunner, check_first
from outlast.modules.module import Module
from outlast.modules.paths import predictors_of
from outlast.modules.settings import chosen_adapter
from outlast.runtime import current, default, run_blocking

if TYPE_CHECKING:
    from outlast.adapters.protocol import Adapter
    from outlast.lms.batch.batched import Transport
    from outlast.lms.protocol import LM

Keep = Literal["rows", "traces", "nothing"]
Errors = Literal["apart", "fail"]
_IN_FLIGHT, _IN_BATCHES = 64, 10_000


def evaluate(
    program: Any,
    data: Iterable[Example],
    metric: Callable[[Example, Any], Any],
    *,
    lm: LM | str | None = None,
    adapter: Adapter | None = None,
    sample: int | None = None,
    concurrency: int | None = None,
    max_errors: float | None = None,
    errors: Errors = "apart",
    threshold: float = 1.0,
    level: float = 0.95,
    keep: Keep | None = None,
    save: str | Path | None = None,
    resume: bool = False,
    transport: Transport = "direct",
    progress: bool | Callable[[Snapshot], Any] = True,
) -> Evaluation:
    """Run `program` on every example of `data` and score what it returns with `metric(example, prediction)`.

    `program` is a `Module` or any callable, plain or async, that takes the inputs as keywords; plain
    functions run in threads. At most `concurrency` examples are in flight (64; with batches 10,000). `lm`, `adapter`
    and `sample`
    (which of several independent draws) stand in for those of the surrounding block. Cost: the calls of the
    program and of the metric.

    An example ends as pass (score >= `threshold`), fail, error or unscored. An exception of the program or
    the metric is kept in its row and is never a 0 in the mean unless `errors="fail"`. More than `max_errors`
    errors (a number, or below 1 a share of all examples) raise `EvaluationStopped`, which carries the result
    so far; so does an error that no further example can escape: no model, a refused key, an empty account.
    An error
    that lies in what the model said has `answered` False in its row. Ctrl-C, a cancelled
    task and a used-up budget return what is done, and `stopped` says why it ended.

    `keep` says what stays in memory: "rows" (default where `data` has a length), "traces" (rows with all
    exchanges) or "nothing" (default for a stream: totals only). `save` appends each row to a JSONL file as it
    finishes; `resume=True` continues such a file of the same program, metric, data, models, adapter, sample and
    threshold, running again only
    what is missing or ended in an error. When the file can no longer be written, rows that are kept are not
    lost: the run goes on, a `RuntimeWarning` is issued and `save_error` set.

    `transport="batch"` asks all models through their providers' batch interfaces: half the price, within a day. What
    is under way is kept in `<save>.batches.db` (without `save`, in `outlast/batches.db` of the cache folder), so that
    the same call after a crash or Ctrl-C goes on with it and pays nothing twice; an `ol.Batches` says more.

    `progress` is True (a bar on a terminal, else lines on stderr after ten seconds), False, or a function
    that gets a `Snapshot` at most ten times a second. `level` is that of the intervals. Raises `DataError`
    for empty data and `UsageError` for a program, metric or option that cannot mean anything, before any
    call.
    """
    finished: list[Evaluation] = []

    async def run() -> None:
        finished.append(
            await aevaluate(
                program,
                data,
                metric,
                lm=lm,
                adapter=adapter,
                sample=sample,
                concurrency=concurrency,
                max_errors=max_errors,
                errors=errors,
                threshold=threshold,
                level=level,
                keep=keep,
                save=save,
                resume=resume,
                transport=transport,
                progress=progress,
            )
        )

    try:
        run_blocking(run)
    except KeyboardInterrupt:  # where a loop was running in this thread: the run was cancelled in another one
        if not finished:
            raise
    return finished[0]


async def aevaluate(
    program: Any,
    data: Iterable[Example],
    metric: Callable[[Example, Any], Any],
    *,
    lm: LM | str | None = None,
    adapter: Adapter | None = None,
    sample: int | None = None,
    concurrency: int | None = None,
    max_errors: float | None = None,
    errors: Errors = "apart",
    threshold: float = 1.0,
    level: float = 0.95,
    keep: Keep | None = None,
    save: str | Path | None = None,
    resume: bool = False,
    transport: Transport = "direct",
    progress: bool | Callable[[Snapshot], Any] = True,
) -> Evaluation:
    """`evaluate` from async code. A cancelled task gets the result so far instead of `CancelledError`."""
    _check_options(concurrency, max_errors, errors, threshold, level, keep, save, resume)
    from outlast.lms.batch.batched import carried

    with carried(transport, save, subject="evaluate") as in_batches:
        runner = RowRunner(
            program, metric, lm=lm, adapter=adapter, sample=sample, threshold=threshold, traces=keep == "traces"
        )
        display = display_for(progress)
        feed = Feed(data)
        check_first(program, metric, feed.first)
        about = _about(program, metric, runner, feed, threshold, level, errors)
        writer, prior = _open_file(save, about, feed, resume=resume)
        engine = Engine(
            runner,
            feed,
            concurrency=concurrency or (_IN_BATCHES if in_batches else _IN_FLIGHT),
            max_errors=max_errors,
            keep=not feed.streamed if keep is None else keep != "nothing",
            writer=writer,
            prior=prior,
            level=level,
            display=Guarded(display),
        )
        outcome = await engine.run()
    result = _result(about, feed, engine, outcome, writer)
    if outcome.raises:
        raise EvaluationStopped(f"{outcome.reason}; so far: {result.headline}", evaluation=result) from outcome.cause
    return result


def _about(
    program: Any, metric: Any, runner: RowRunner, feed: Feed, threshold: float, level: float, errors: Errors
) -> About:
    lm = runner.run.lm or current().lm or default("lm")
    predictors = predictors_of(program) if isinstance(program, Module) else ()
    return About(
        program=name_of(program),
        program_hash=program_hash(program),
        metric=name_of(metric),
        metric_hash=metric_hash(metric),
        lm="" if lm is None else lm.name,
        sample=runner.run.sample,
        data_hash=feed.data_hash,
        total=feed.total,
        threshold=threshold,
        level=level,
        errors=errors,
        lm_identity="" if lm is None else lm.identity,
        adapter=repr(chosen_adapter(None, runner.run)),
        own_models=own_models(program),
        predictors=len(predictors),
    )


def _open_file(
    save: str | Path | None, about: About, feed: Feed, *, resume: bool
) -> tuple[RowWriter | None, dict[str, list[Any]]]:
    """The file for rows, and the rows by example id that it holds already."""
    prior: dict[str, list[Any]] = {}
    if save is None:
        return None, prior
    path = Path(save)
    if resume and path.is_file() and path.stat().st_size:
        then, rows, _ = read_evaluation(path)
        _refuse_other(then, about, path)
        for row in rows:
            if row.state != "error":
                prior.setdefault(row.id, []).append(row)
    writer = RowWriter(path, resume=resume)
    if writer.fresh:
        writer.write(about_line(about))
    return writer, prior


_DECIDING = {  # what decides the rows of a file, and the field of `About` that tells
    "program": "program_hash",
    "metric": "metric_hash",
    "lm": "lm",
    "settings of the lm": "lm_identity",
    "models of the modules": "own_models",
    "adapter": "adapter",
    "sample": "sample",
    "data": "data_hash",
    "threshold": "threshold",
}


def _refuse_other(then: About, now: About, path: Path) -> None:
    found: list[str] = []
    for name, field in _DECIDING.items():
        old, new = getattr(then, field), getattr(now, field)
        if old == new or (field == "data_hash" and "" in (old, new)) or (field == "lm_identity" and then.lm != now.lm):
            continue
        if field in ("program_hash", "metric_hash"):
            shown, shows = getattr(then, name), getattr(now, name)
            same = " by this name, but its code or what that names was another" if shown == shows else ""
            found.append(f"{name} ({brief(shown)} then, {brief(shows)} now{same})")
        else:
            found.append(f"{name} ({brief(old)} then, {brief(new)} now)")
    if found:
        raise DataError(
            f"resume: {str(path)!r} belongs to another evaluation: its {'; its '.join(found)} differ"
            f"{'s' * (len(found) == 1)}. Use another path."
        )


def _result(about: About, feed: Feed, engine: Engine, outcome: Outcome, writer: RowWriter | None) -> Evaluation:
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
        tuple(sorted(engine.rows, key=lambda row: row.index)),
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


def _check_options(
    concurrency: int | None,
    max_errors: float | None,
    errors: str,
    threshold: float,
    level: float,
    keep: str | None,
    save: str | Path | None,
    resume: bool,
) -> None:
    if concurrency is not None and (type(concurrency) is not int or concurrency < 1):
        raise UsageError(f"concurrency is a whole number of at least 1; got {concurrency!r}")
    if max_errors is not None and (isinstance(max_errors, bool) or not _is_count_or_share(max_errors)):
        raise UsageError(f"max_errors is a whole number, or a share below 1 such as 0.05; got {max_errors!r}")
    if errors not in ("apart", "fail"):
        raise UsageError(f"errors is 'apart' (left out of the mean) or 'fail' (0 in the mean); got {errors!r}")
    if not isinstance(threshold, int | float) or not math.isfinite(threshold):
        raise UsageError(f"threshold is a finite number; got {threshold!r}")
    if not isinstance(level, int | float) or not 0 < level < 1:
        raise UsageError(f"level is a share between 0 and 1 such as 0.95; got {level!r}")
    if keep not in (None, "rows", "traces", "nothing"):
        raise UsageError(f"keep is 'rows', 'traces' or 'nothing'; got {keep!r}")
    if resume and save is None:
        raise UsageError("resume=True continues the file that save= names; give save=")


def _is_count_or_share(value: object) -> bool:
    return (isinstance(value, int) and value >= 0) or (isinstance(value, float) and 0 <= value < 1)
