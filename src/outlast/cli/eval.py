"""Score a program on data: the mean with its interval, what failed, what it cost."""

from __future__ import annotations

import argparse
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlast.cli import gates, options
from outlast.cli.app import INTERRUPTED, MODEL, NO, OK
from outlast.cli.output import console, emit_pretty, say
from outlast.errors import DataError, EvaluationStopped, LMError, UsageError, did_you_mean

if TYPE_CHECKING:
    from outlast.data.dataset import Dataset
    from outlast.evals.comparing.compare import Comparison
    from outlast.evals.comparing.gate import Gate
    from outlast.evals.evaluation import Evaluation
    from outlast.modules.module import Module

EPILOG = """\
examples:
  outlast eval app.py:triage dev.jsonl --metric app.py:correct --lm openai/gpt-5-mini
  outlast eval app.py:triage dev.csv --targets team --metric app.py:correct --from triage.outlast.json --save new.jsonl
  outlast eval app.py:triage dev.jsonl --metric app.py:correct --gate --min-score 0.8
  outlast eval app.py:triage dev.jsonl --metric app.py:correct --gate --against main.jsonl --min-delta -0.02
  outlast eval app.py:triage dev.jsonl --metric app.py:correct --lm openai/gpt-5-mini --estimate

DATA is .jsonl, .json, .csv, .tsv or .parquet; - is JSON lines from standard input. Columns named like the program's
inputs are its inputs unless --inputs or --targets says otherwise."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("target", metavar="TARGET", help="module.py:name")
    parser.add_argument("data", metavar="DATA", help="examples")
    parser.add_argument(
        "--metric", required=True, metavar="FILE.py:NAME", help="function (example, prediction) -> score"
    )
    parser.add_argument(
        "--save", metavar="ROWS.jsonl", help="write each row as it finishes; `outlast compare` reads it"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the evaluation in --save")
    parser.add_argument(
        "--retry",
        choices=("accidents", "errors", "nothing"),
        default="accidents",
        help="which errors --resume runs again: those that no answer caused (accidents), all, or none",
    )
    parser.add_argument("--html", metavar="PAGE.html", help="write one self-contained page")
    parser.add_argument(
        "--by", type=options.names, metavar="F,G", help="a line for each value of these inputs, targets or outputs"
    )
    parser.add_argument("--epochs", type=options.count, default=1, metavar="N", help="run each example N times (1)")
    parser.add_argument(
        "--reducer",
        default="mean",
        metavar="NAME",
        help="makes one score of them: mean, median, pass@k, pass^k... (mean)",
    )
    parser.add_argument(
        "--cluster", metavar="FIELD", help="examples with one value of this field are not independent of each other"
    )
    options.add_on_error(parser, default="exclude")
    parser.add_argument("--max-errors", type=int, metavar="N", help="stop after more than N errors")
    parser.add_argument("--max-error-rate", type=float, metavar="X", help="stop when more than this share are errors")
    parser.add_argument("--level", type=float, default=0.95, metavar="X", help="of the intervals (0.95)")
    group = gates.add_gate(parser)
    group.add_argument(
        "--min-score",
        type=float,
        metavar="X",
        help="exit with 1 when the mean, each error counted as 0, is below X; with --gate the interval decides: PASS "
        "when its lower end is at least X, FAIL when its upper end is below",
    )
    group.add_argument("--against", metavar="BASE.jsonl", help="compare with the evaluation in this file (--save)")
    options.add_artifact(parser)
    options.add_model(parser, concurrency=64)
    parser.add_argument(
        "--transport",
        choices=("direct", "batch"),
        default="direct",
        help="batch: half the price, within a day, by the provider's batch interface",
    )
    parser.set_defaults(concurrency=None)
    parser.add_argument(
        "--estimate", action="store_true", help="ask no model: say what the evaluation will take, and end"
    )
    options.add_data(parser)
    options.add_trace(parser)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives its exit code."""
    from outlast.cli.targets import load_metric
    from outlast.evals.epochs import Epochs
    from outlast.evals.evaluation import Evaluation

    if args.resume and not args.save:
        raise UsageError("--resume goes on with the evaluation in --save; give --save too")
    gates.check_gate(args, decides=args.against is not None or args.min_score is not None)
    if args.min_delta is not None and args.against is None:
        raise UsageError("--min-delta is about the change against another run; give --against BASE.jsonl too")
    base = None if args.against is None else Evaluation.from_jsonl(args.against)
    program = options.program_of(args)
    metric = load_metric(args.metric)
    with options.model_in_use(args):
        options.need_model(program)
    data = options.data_of(args, program)
    _check_by(program, data, args)
    if args.estimate:
        return _estimate(args, program, data)
    if base is not None:
        _check_base(base, metric, data, args)
    result = _evaluated(
        args,
        program,
        data,
        metric,
        lm=options.model_of(args),
        adapter=options.adapter_of(args),
        concurrency=args.concurrency,
        transport=args.transport,
        epochs=Epochs(args.epochs, args.reducer),
        cluster=args.cluster,
        on_error=args.on_error,
        max_errors=args.max_errors,
        max_error_rate=args.max_error_rate,
        level=args.level,
        save=args.save,
        resume=args.resume,
        retry=args.retry,
        progress=not args.no_progress,
    )
    change = None if base is None or not result.score.n else _change(base, result, args)
    decided = _gates(result, change, args) if args.gate and result.score.n else []
    _show(result, change, decided, args)
    _write(result, change, decided, args)
    return _code(result, decided, args)


def _check_by(program: Module, data: Dataset, args: argparse.Namespace) -> None:
    """Refuse a field that no row can have, before the run is paid for; programs of one's own may give any."""
    from outlast.modules.predict import Predict

    if not isinstance(program, Predict):
        return
    known = [*data[0], *program.signature.outputs]
    for name in args.by or ():
        if name not in known:
            raise UsageError(f"--by: there is no field {name!r}.{did_you_mean(name, known)} Fields: {', '.join(known)}")


def _evaluated(args: argparse.Namespace, program: Module, data: Dataset, metric: Any, **options: Any) -> Evaluation:
    """The evaluation; of one that could not go on the files that were asked for show what was done."""
    from outlast.evals.evaluate import evaluate

    try:
        return evaluate(program, data, metric, **options)
    except EvaluationStopped as stop:
        with suppress(DataError):  # what stopped it is the news
            _write(stop.evaluation, None, [], args)
        raise


def _check_base(base: Evaluation, metric: Any, data: Dataset, args: argparse.Namespace) -> None:
    """Refuse a base that the run could not be compared with, before the run is paid for."""
    from outlast.evals.comparing.compare import check_comparable
    from outlast.evals.forms import as_metric
    from outlast.evals.judging.held import rubric_told
    from outlast.evals.options import Options
    from outlast.tracing.identity import metric_hash, name_of
    from outlast.tracing.shape import JUDGED_BY

    scoring = as_metric(metric)
    coming = replace(
        base.about,
        metric=name_of(scoring),
        metric_hash=metric_hash(scoring),
        judged_by=getattr(scoring, JUDGED_BY, ""),
        rubric=rubric_told(scoring),
        data_hash=data.hash,
        total=len(data),
        epochs=args.epochs,
        reducer=args.reducer,
        on_error=args.on_error,
        threshold=Options().threshold,
    )
    check_comparable(base.about, coming)


def _change(base: Evaluation, result: Evaluation, args: argparse.Namespace) -> Comparison:
    """Slices by an output are those of the evaluation alone: the two runs have different ones."""
    from outlast.evals.comparing.compare import compare

    shared = {name for row in result.rows[:1] for name in (*row.inputs, *row.targets)}
    by = [name for name in args.by or () if name in shared]
    return compare(base, result, level=args.level, min_delta=args.min_delta or 0.0, by=by or None)


def _gates(result: Evaluation, change: Comparison | None, args: argparse.Namespace) -> list[Gate]:
    from outlast.evals.comparing.gate import score_gate

    decided = [] if args.min_score is None else [score_gate(result, args.min_score)]
    return decided if change is None else [*decided, change.gate()]


def _show(result: Evaluation, change: Comparison | None, decided: list[Gate], args: argparse.Namespace) -> None:
    from outlast.evals.reports.tables import comparison, summary

    if not args.json:
        console().print(summary(result, args.by))
        if change is not None:
            console().print(comparison(change))
        return
    data = result.to_json()
    if change is not None:
        data["against"] = change.to_json()
    if decided:
        data["gate"] = [gate.to_json() for gate in decided]
    emit_pretty(data)


def _write(result: Evaluation, change: Comparison | None, decided: list[Gate], args: argparse.Namespace) -> None:
    if args.html:
        result.to_html(Path(args.html), by=args.by or None)
    if args.junit:
        result.to_junit(args.junit, decided)
    if args.markdown:
        text = result.to_markdown(decided, args.by)
        gates.write_markdown(args.markdown, text if change is None else f"{text}\n{change.to_markdown()}")


def _estimate(args: argparse.Namespace, program: Module, data: Dataset) -> int:
    from outlast.evals.estimate import estimate

    with options.model_in_use(args):
        found = estimate(program, data)
    emit_pretty(found.to_json()) if args.json else console().print(str(found))
    return OK


def _code(result: Evaluation, decided: list[Gate], args: argparse.Namespace) -> int:
    if result.stopped == "interrupted":
        say("outlast: interrupted; what was done is above")
        return INTERRUPTED
    if not result.score.n:
        say("outlast: nothing was scored")
        unasked = [group for group in result.errors if isinstance(group.exception, LMError)]
        return MODEL if unasked and len(unasked) == len(result.errors) else NO
    if args.gate:
        return gates.code_of(decided, args)
    return OK if args.min_score is None else _mean_gate(result, args.min_score)


def _mean_gate(result: Evaluation, least: float) -> int:
    """A gate lets nothing through that was not answered: each error counts as 0."""
    errors = result.run_states["error"]
    value = result.counting("fail").score.value
    counted = f" with its {errors} error{'s' * (errors != 1)} counted as 0" if errors else ""
    if result.stopped:
        say(f"outlast: the gate failed: the evaluation stopped early ({result.stopped})")
        return NO
    if not value >= least:
        say(f"outlast: the gate failed: the score{counted} is {value:.4g}, below --min-score {least:g}")
        return NO
    if errors:
        say(f"outlast: the gate passed: the score{counted} is {value:.4g}")
    return OK
