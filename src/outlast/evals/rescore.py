"""Scores what was answered before by another metric, without asking the program's models again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack, cast

from outlast.data.example import Example, id_of, unshared_example
from outlast.errors import DataError, UsageError, brief
from outlast.evals.engine import Engine
from outlast.evals.evaluation import Evaluation
from outlast.evals.feed import Turn
from outlast.evals.finish import blocked, finished
from outlast.evals.forms import Metric
from outlast.evals.judging.held import rubric_told
from outlast.evals.keeping import keep_run
from outlast.evals.options import Options, RescoreOptions
from outlast.evals.progress import Guarded, display_for
from outlast.evals.resume import open_file, runs_again
from outlast.evals.row import Row, RowError
from outlast.evals.rowfile import About
from outlast.evals.runner import must_raise, refuse_missing_targets, run_for
from outlast.evals.score import Score, Unscored
from outlast.evals.scorer import Scorer, models_of
from outlast.evals.tally import Tally
from outlast.messages import Spending
from outlast.modules.guard import Guard
from outlast.runtime import Run, Trace
from outlast.signatures.codec import codecs
from outlast.signatures.record import Prediction, attach_trace, make_record
from outlast.signatures.returned import Taken
from outlast.signatures.signature import SignatureType
from outlast.tracing.identity import JUDGED_BY, metric_hash, name_of
from outlast.tracing.runs import stored_run

_NOTHING_SPENT = Spending()
_LOOKED_AT = 20  # answers, to see whether a signature is theirs
_FIXED = ("sample", "epochs", "cluster", "checks")  # how the rows were made, which no metric changes


def rescore(
    evaluation: Evaluation | str | Path,
    metric: Metric,
    *,
    program: Any = None,
    signature: Any = None,
    data: Iterable[Example] | None = None,
    **options: Unpack[RescoreOptions],
) -> Evaluation:
    """Score the saved answers of an evaluation, or of its file, by another metric. No model of the program is asked.

    `metric` may be a function, a check or a judge. Cost: its calls, once for each row; none for a function.

    The metric sees the answers as they were saved, in their JSON form: a `Prediction` of plain values, or the plain
    value that the program returned. With `program` (the one that answered) or `signature` they have their types again.
    It sees the examples as they were saved too; `data` gives the examples themselves, where their values have no plain
    JSON form.

    Rows that ended in an error of the program stay as they are, errors of the metric are scored anew. The result has
    the rows' epochs, clusters, spending and models, and is as incomplete as they are (`stopped`); `about.rescored`
    names the earlier metric. `level` and `on_error` are those of the evaluation unless given; the other keywords are
    those of `evaluate`, `save` and `resume` too: a row whose answer is another one than before is then scored again.

    Raises `DataError` when `data` lacks an example, the rows were not kept or the signature is not that of the answers,
    `UsageError` for what cannot mean anything.
    """
    return blocked(lambda: arescore(evaluation, metric, program=program, signature=signature, data=data, **options))


async def arescore(
    evaluation: Evaluation | str | Path,
    metric: Metric,
    *,
    program: Any = None,
    signature: Any = None,
    data: Iterable[Example] | None = None,
    **options: Unpack[RescoreOptions],
) -> Evaluation:
    """`rescore` from async code."""
    before = _evaluation(evaluation)
    given = {"level": before.about.level, "on_error": before.about.on_error, **options}
    chosen = Options.of(given, "rescore", without=_FIXED)
    from outlast.lms.batch.batched import carried

    with (
        carried(chosen.transport, chosen.save, subject="rescore") as in_batches,
        stored_run("eval", f"{before.program}, rescored") as kept,
    ):
        rows = before.kept_rows("rescore")
        examples = _examples(rows, data)
        scorer = Scorer(metric, chosen.threshold)
        if rows:
            refuse_missing_targets(scorer.metric, rows[0].targets)
        typed = _signature(program, signature)
        _refuse_unfit(rows, typed)
        rescorer = _Rescorer(rows, scorer, typed, chosen)
        feed = _SavedRows(rows, examples, before.about)
        about = _about(before.about, scorer.metric, chosen)
        display = Guarded(display_for(chosen.progress))
        again = runs_again(chosen.retry)
        opened = open_file(chosen, about, lambda row: again(row) and not _is_programs(row), rescorer.answered_so)
        if not opened.resumed:
            opened = opened._replace(sessions=before.sessions)
        engine = Engine(
            rescorer,
            feed,
            chosen,
            concurrency=chosen.width(in_batches=in_batches),
            tally=Tally(about.rule, clustered=bool(about.cluster)),
            writer=opened.writer,
            prior=opened.prior,
            display=display,
        )
        result = await finished(about, feed, engine, opened, stopped=before.stopped)
        if kept is not None:
            keep_run(kept, result)
        return result


def prediction_of(outputs: Any, signature: Any = None, inputs: Mapping[str, Any] | None = None) -> Any:
    """What a program returned, from its saved form; with a signature in the types of its outputs.

    Raises `DataError` for outputs that the signature does not have or whose values do not fit.
    """
    if signature is None:
        return Prediction(**cast("dict[str, Any]", outputs)) if isinstance(outputs, dict) else outputs
    table = codecs(signature)
    made = signature.__result__
    if isinstance(made, Taken):
        return made({made.name: _read(table[made.name], made.name, outputs)})
    if made is not None and isinstance(outputs, list):  # a named tuple
        outputs = dict(zip(made.names, cast("list[Any]", outputs), strict=False))
    if not isinstance(outputs, dict):
        raise DataError(
            f"the saved output {brief(outputs)} has no fields, but {signature.__name__} has: {signature.spelled}"
        )
    saved = cast("dict[str, Any]", outputs)
    missing = [name for name in signature.outputs if name not in saved]
    if missing and made is None:
        raise DataError(f"the saved outputs ({', '.join(saved)}) lack {', '.join(missing)} of {signature.spelled}")
    values = {name: _read(table[name], name, saved[name]) for name in signature.outputs if name in saved}
    if made is not None:
        return made({**dict.fromkeys(missing), **values})
    return make_record(signature, {**(inputs or {}), **saved, **values})


def _read(codec: Any, name: str, saved: Any) -> Any:
    try:
        return codec.read_data(saved)
    except ValueError as error:
        raise DataError(f"the saved output {name!r} is not of its type: {brief(saved)}: {error}") from error


class _SavedRows:
    """The runs of an evaluation as turns of a new one."""

    streamed = False

    def __init__(self, rows: Sequence[Row], examples: Sequence[Example], about: About) -> None:
        self.total = about.total
        self.data_hash = about.data_hash
        self.runs = len(rows)
        self._turns = self._all(rows, examples)

    def __next__(self) -> Turn:
        return next(self._turns)

    def _all(self, rows: Sequence[Row], examples: Sequence[Example]) -> Iterator[Turn]:
        for row, example in zip(rows, examples, strict=True):
            yield Turn(row.index, row.epoch, example, row.cluster, row.id)


class _Rescorer:
    """Makes a new row of a saved one."""

    def __init__(self, rows: Sequence[Row], scorer: Scorer, signature: Any, options: Options) -> None:
        self._rows = {(row.index, row.epoch): row for row in rows}
        self._scorer = scorer
        self._signature = signature
        self._run: Run = run_for(options.lm, options.adapter, None)

    def answered_so(self, saved: Row) -> bool:
        """Whether a row that was scored before is made of the answer that is to be scored now."""
        row = self._rows.get((saved.index, saved.epoch))
        return row is not None and _answer(row) == _answer(saved)

    async def __call__(self, index: int, example: Example, /, *, epoch: int, cluster: str) -> Row:
        row = self._rows[index, epoch]
        if _is_programs(row):
            return row if row.error is None else replace(row, error=replace(row.error, exception=None))
        judging = Trace()
        run = replace(self._run, sample=epoch)
        outcome: Score | Unscored | RowError
        try:
            prediction = prediction_of(row.outputs, self._signature, row.inputs)
            if row.trace is not None and hasattr(prediction, "_meta"):
                attach_trace(prediction, row.trace)
            outcome = await self._scorer(run, unshared_example(example), prediction, judging)
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if must_raise(run, error):
                raise
            outcome = RowError.of(error, "metric")
        return replace(
            row,
            **self._scorer.said(outcome)._asdict(),
            answered=True,
            metric_spending=judging.spending if judging else _NOTHING_SPENT,
            metric_models=models_of(judging) if judging else (),
        )


def _is_programs(row: Row) -> bool:
    """Whether a row is an error of the program: there is no answer to score."""
    return row.error is not None and row.error.subject == "program"


def _answer(row: Row) -> tuple[str, Any, str]:
    """What the program said, or the error that it ended in."""
    return row.id, row.outputs, str(row.error) if _is_programs(row) else ""


def _evaluation(given: Any) -> Evaluation:
    if isinstance(given, Evaluation):
        return given
    if isinstance(given, str | Path):
        return Evaluation.from_jsonl(given)
    raise UsageError(f"rescore takes an Evaluation or the path of its file; got {brief(given)}")


def _examples(rows: Sequence[Row], data: Iterable[Example] | None) -> list[Example]:
    """The example of each row: that of `data` with its id, or one of what the row holds."""
    if data is None:
        return [Example(row.inputs, row.targets) for row in rows]
    known = {id_of(example): example for example in data}
    for row in rows:
        if row.id not in known:
            raise DataError(
                f"rescore(data=...) lacks the example of row {row.index} ({row.id[:12]}): give the data that was "
                f"evaluated, with all its targets"
            )
    return [known[row.id] for row in rows]


def _signature(program: Any, signature: Any) -> Any:
    if signature is not None:
        if program is not None:
            raise UsageError("rescore takes program= or signature=, not both: either says the types of the outputs")
        from outlast.signatures.spelling import signature as read_signature

        return read_signature(signature)
    if program is None:
        return None
    asked = program
    while isinstance(asked, Guard):
        asked = asked.inner
    found = getattr(asked, "signature", None)
    if not isinstance(found, SignatureType):
        raise UsageError(
            f"rescore(program=...) reads the types of the outputs off the program's signature, and {brief(program)} "
            f"has none; give signature="
        )
    return found


def _refuse_unfit(rows: Sequence[Row], signature: Any) -> None:
    """Raise `DataError` for a signature that is not that of the answers: none of the first ones can be read by it."""
    first: DataError | None = None
    for row in [row for row in rows if not _is_programs(row)][:_LOOKED_AT]:
        try:
            prediction_of(row.outputs, signature, row.inputs)
            return
        except DataError as error:
            first = first or error
    if first is not None:
        raise first


def _about(before: About, metric: Any, options: Options) -> About:
    return replace(
        before,
        metric=name_of(metric),
        metric_hash=metric_hash(metric),
        judged_by=getattr(metric, JUDGED_BY, ""),
        rubric=rubric_told(metric),
        threshold=options.threshold,
        level=options.level,
        on_error=options.on_error,
        predictors=0,
        rescored=before.metric,
    )
