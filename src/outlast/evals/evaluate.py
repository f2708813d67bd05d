"""Runs a program over data, many examples at a time, and judges each answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

from outlast.data.example import Example
from outlast.evals.checking import refuse_unfit
from outlast.evals.engine import Engine
from outlast.evals.evaluation import Evaluation
from outlast.evals.feed import Feed
from outlast.evals.finish import blocked, finished
from outlast.evals.forms import Metric
from outlast.evals.judging.held import rubric_told
from outlast.evals.keeping import keep_run
from outlast.evals.options import EvaluateOptions, Options
from outlast.evals.progress import Guarded, display_for
from outlast.evals.reads import note_read
from outlast.evals.resume import open_file
from outlast.evals.rowfile import About
from outlast.evals.runner import RowRunner, check_first
from outlast.evals.tally import Tally
from outlast.modules.module import Module
from outlast.modules.paths import predictors_of
from outlast.modules.settings import chosen_adapter
from outlast.runtime import current, default
from outlast.tracing.identity import JUDGED_BY, metric_hash, name_of, own_models, program_hash
from outlast.tracing.runs import stored_run


def evaluate(
    program: Any,
    data: Iterable[Example],
    metric: Metric,
    **options: Unpack[EvaluateOptions],
) -> Evaluation:
    """Run `program` on every example of `data` and score what it returns with `metric(example, prediction)`.

    `program` is a `Module` or any callable, plain or async, that takes the inputs as keywords; plain functions run in
    threads. A check or a judge can stand as the metric. Cost: the calls of the program and of the metric, times the
    epochs.

    `lm`, `adapter`, `sample` (which of several independent draws): in place of those of the surrounding block.
    `epochs` (1): how often each example is run, with draws of its own; `ol.Epochs(5, "pass@3")` says how its scores
        become one. The unit of every estimate stays the example.
    `cluster`: the name of an input or target, or a function of the example, which groups examples that are not
        independent (questions about one document); intervals are then robust to that, and say so.
    `checks`: run on every answer beside the metric, whatever their policy; `Evaluation.checks` says how often they
        pass, and for those that the program has itself how often at first and after retries. Their messages go into
        the feedback.
    `on_error` ("exclude"): an exception of the program or the metric is kept in its row. What gave no usable answer
        (`Row.answered` False) counts as 0 and every other error is left out; "exclude_all" leaves out both, "fail"
        counts each as 0, "raise" ends the run with the first. Each number says which errors it is made of.
    `max_errors` (a number) and `max_error_rate` (a share of all runs): more errors raise `EvaluationStopped`, which
        carries the result so far; so does an error that no further example can escape: no model, a refused key, an
        empty account. Ctrl-C, a cancelled task and a used-up budget return what is done, and `stopped` says why.
    `threshold` (1.0): an example passes with this score or more. `level` (0.95): that of the intervals.
    `keep`: what stays in memory: "rows" (default where `data` has a length), "traces" (rows with all exchanges) or
        "nothing" (default for a stream: totals only).
    `save`: a JSONL file to which each row is appended as it finishes. `resume=True` continues such a file of the same
        program, metric, data, models, adapter, sample, epochs, cluster and threshold; what is missing is run, and of
        what ended in an error what `retry` says: "accidents" (errors that no answer caused), "errors" (all: a
        repeated draw is likelier to be right, so how many there were is said) or "nothing". When the file can no
        longer be written, rows that are kept are not lost: the run goes on, a `RuntimeWarning` is issued and
        `save_error` set.
    `concurrency` (64; with batches 10,000): how many runs are in flight.
    `transport="batch"`: ask all models through their providers' batch interfaces: half the price, within a day. What
        is under way is kept in `<save>.batches.db` (without `save`, in `outlast/batches.db` of the cache folder), so
        that the same call after a crash or Ctrl-C goes on with it and pays nothing twice; an `ol.Batches` says more.
    `progress`: True (a bar on a terminal, else lines on stderr after ten seconds), False, or a function that gets a
        `Snapshot` at most ten times a second.

    Raises `DataError` for empty data, equal examples in a list or a stream and an example without cluster, and
    `UsageError` for a program, metric or option that cannot mean anything, before any call.
    """
    return blocked(lambda: aevaluate(program, data, metric, **options))


async def aevaluate(
    program: Any,
    data: Iterable[Example],
    metric: Metric,
    **options: Unpack[EvaluateOptions],
) -> Evaluation:
    """`evaluate` from async code. A cancelled task gets the result so far instead of `CancelledError`."""
    chosen = Options.of(options, "evaluate")
    from outlast.lms.batch.batched import carried

    with (
        carried(chosen.transport, chosen.save, subject="evaluate") as in_batches,
        stored_run("eval", name_of(program)) as kept,
    ):
        runner = RowRunner(
            program,
            metric,
            lm=chosen.lm,
            adapter=chosen.adapter,
            sample=chosen.sample,
            epochs=chosen.epochs.count,
            checks=chosen.checks,
            threshold=chosen.threshold,
            traces=chosen.keep == "traces",
        )
        display = display_for(chosen.progress)
        feed = Feed(data, epochs=chosen.epochs.count, cluster=chosen.cluster)
        check_first(program, runner.scorer.metric, feed.first)
        refuse_unfit(chosen.checks, runner.scorer.metric, program, feed.first)
        about = _about(program, runner, feed, chosen)
        opened = open_file(chosen, about)
        again = opened.resumed
        reads = None if again else note_read(data, program, about.program_hash, about.metric, by="evaluate")
        engine = Engine(
            runner,
            feed,
            chosen,
            concurrency=chosen.width(in_batches=in_batches),
            tally=Tally(about.rule, clustered=bool(about.cluster)),
            writer=opened.writer,
            prior=opened.prior,
            display=Guarded(display),
        )
        result = await finished(about, feed, engine, opened, reads)
        if kept is not None:
            keep_run(kept, result)
        return result


def _about(program: Any, runner: RowRunner, feed: Feed, options: Options) -> About:
    metric = runner.scorer.metric
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
        threshold=options.threshold,
        level=options.level,
        on_error=options.on_error,
        lm_identity="" if lm is None else lm.identity,
        adapter=repr(chosen_adapter(None, runner.run)),
        own_models=own_models(program),
        judged_by=getattr(metric, JUDGED_BY, ""),
        rubric=rubric_told(metric),
        predictors=len(predictors),
        epochs=options.epochs.count,
        reducer=options.epochs.reducer,
        checks=", ".join(f"{one.name} {metric_hash(one)[:8]}" for one in options.checks),
        cluster=_cluster_name(options.cluster),
    )


def _cluster_name(cluster: Any) -> str:
    if cluster is None:
        return ""
    return cluster if isinstance(cluster, str) else f"{name_of(cluster)} ({metric_hash(cluster)[:12]})"
