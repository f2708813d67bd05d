"""An evaluation and a comparison as tables for the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from outlast.evals import wording
from outlast.evals.comparing.slices import CORRECTIONS, By, fields_of
from outlast.evals.policy import policy_text

if TYPE_CHECKING:
    from outlast.evals.comparing.compare import Comparison, Comparisons
    from outlast.evals.evaluation import Evaluation
    from outlast.evals.row import Row


def summary(evaluation: Evaluation, by: By | None = None) -> RenderableType:
    """The totals; the slices when asked for; the errors when there are any."""
    parts: list[RenderableType] = [evaluation, _facts(evaluation)]
    if evaluation.parts:
        parts.append(_parts(evaluation))
    if evaluation.checks:
        parts.append(_checks(evaluation))
    parts += [_slices(evaluation, one) for one in ([] if by is None else fields_of(by))]
    if evaluation.kept and evaluation.tally.flaky:
        parts.append(_flaky(evaluation))
    if evaluation.errors:
        parts.append(_errors(evaluation))
    if evaluation.save_error:
        parts.append(Text(f"not saved to {evaluation.saved}: {evaluation.save_error}", style="red"))
    return Group(*parts)


def comparison(result: Comparison, limit: int = 10) -> RenderableType:
    """The verdict, how it was reached, the slices, and the examples that changed, worst first."""
    parts: list[RenderableType] = [result, Text(f"method  {result.method}", style="dim")]
    for field in dict.fromkeys(one.field for one in result.slices):
        parts.append(_changes(result, field))
    if any(one.small for one in result.slices):
        parts.append(Text("too few: fewer examples than min_n, so shown without a verdict", style="dim"))
    flips = result.flips[:limit]
    if flips:
        table = _table(f"changed examples ({len(flips)} of {len(result.flips)}, worst first)")
        for column in ("example", "inputs", "before", "after"):
            table.add_column(column, overflow="fold")
        for flip in flips:
            inputs = _foreign(_inputs(flip.a))
            table.add_row(flip.id[:8], inputs, f"{flip.a_score:g}", f"{flip.b_score:g}")
        parts.append(table)
    return Group(*parts)


def comparisons(results: Comparisons) -> RenderableType:
    """A line for each candidate, and how it was reached."""
    table = _table(f"against {results.base.program}")
    _columns(table, "candidate", "before", "after", "change", "interval", "p", "examples", "verdict")
    for name, one in results.items():
        before, after = wording.number(one.a_mean, one.is_share), wording.number(one.b_mean, one.is_share)
        change = wording.difference(one.paired.difference, one.is_share)
        interval = wording.span(one.paired.interval, one.is_share)
        p = wording.p_text(one.p).removeprefix("p=").removeprefix("p")
        table.add_row(_foreign(name), before, after, change, interval, p, str(one.n), one.verdict)
    methods = dict.fromkeys(one.method for one in results.values())
    return Group(table, *(Text(f"method  {method}", style="dim") for method in methods))


def _changes(result: Comparison, field: str) -> Table:
    tested = sum(not one.small for one in result.slices)
    told = f"p: {CORRECTIONS[result.correction]} over {tested} slice{'s' * (tested != 1)}; intervals are not corrected"
    table = _table(f"change by {field} ({told})")
    _columns(table, "", "before", "after", "change", "interval", "p", "examples", "verdict")
    for one in result.slices:
        if one.field == field:
            share, interval = result.is_share, one.paired.interval
            table.add_row(
                _foreign(one.value),
                wording.number(one.a_mean, share),
                wording.number(one.b_mean, share),
                wording.difference(one.paired.difference, share),
                wording.span(interval, share) if interval.known else "",
                "" if one.small else wording.p_text(one.p).removeprefix("p=").removeprefix("p"),
                str(one.n),
                one.verdict,
            )
    return table


def _facts(evaluation: Evaluation) -> Table:
    table = Table.grid(padding=(0, 2))
    about = evaluation.about
    facts = {
        "program": about.program,
        "metric": about.metric,
        "errors": policy_text(about.on_error),
        "retried": f"{evaluation.retried} rows, after errors" if evaluation.retried else "",
        "epochs": str(about.rule.epochs) if about.epochs > 1 else "",
        "variance": str(evaluation.variance) if about.epochs > 1 else "",
        "clusters": about.cluster,
        "model": wording.models_text(evaluation.model_counts, about.lm),
        "spent": str(evaluation.spending),
        "spent by metric": str(evaluation.metric_spending) if evaluation.metric_spending.calls else "",
        "time": f"{wording.duration(evaluation.seconds)}; an example "
        f"{wording.duration(evaluation.latency())}, 95% within {wording.duration(evaluation.latency(0.95))}",
        "data": str(evaluation.reads or ""),
        "code": evaluation.provenance.code
        if evaluation.provenance is not None and evaluation.provenance.commit
        else "",
        "saved": evaluation.saved if not evaluation.save_error else "",
    }
    for name, value in facts.items():
        if value:
            table.add_row(Text(name, style="dim"), _foreign(value))
    return table


def _flaky(evaluation: Evaluation, limit: int = 10) -> Table:
    flaky = evaluation.flaky
    table = _table(f"flaky examples ({min(limit, len(flaky))} of {len(flaky)}): some runs pass, others do not")
    for column in ("example", "inputs", "passed", "score"):
        table.add_column(column, overflow="fold")
    for item in flaky[:limit]:
        inputs = _foreign(_inputs(item.row))
        passed = sum(row.state == "pass" for row in item.rows)
        score = "" if item.score is None else f"{item.score:.3g}"
        table.add_row(item.id[:8], inputs, f"{passed} of {len(item.rows)}", score)
    return table


def _parts(evaluation: Evaluation) -> Table:
    table = _table("parts of the score")
    _columns(table, "", "mean", "interval", "rows")
    for name, estimate in evaluation.parts.items():
        share = estimate.interval.low >= 0 and estimate.interval.high <= 1
        interval = wording.span(estimate.interval, share) if estimate.interval.known else ""
        table.add_row(_foreign(name), wording.number(estimate.value, share), interval, str(estimate.n))
    return table


def _checks(evaluation: Evaluation) -> Table:
    what = "runs that" if evaluation.about.epochs > 1 else "what"
    table = _table(f"checks: first answers that pass, answers as given; {what} failed at first")
    _columns(table, "", "first", "interval", "given", "interval", "n", "failed", "mended", "calls")
    for name, one in evaluation.checks.items():
        shown: list[str] = []
        for estimate in (one.first, one.final):
            known = estimate.n and estimate.interval.known
            shown += [wording.number(estimate.value, share=True) if estimate.n else "-"]
            shown += [wording.span(estimate.interval, share=True) if known else ""]
        table.add_row(_foreign(name), *shown, str(one.n), str(one.failed), str(one.mended), str(one.added_calls))
    return table


def _slices(evaluation: Evaluation, by: str | Callable[[Row], Any]) -> Table:
    table = _table(f"by {by if isinstance(by, str) else getattr(by, '__name__', 'function')}")
    _columns(table, "", "score", "interval", "examples")
    table.add_column("states", overflow="fold")
    for value, part in evaluation.slices(by).items():
        estimate = part.score
        interval = wording.span(estimate.interval, part.is_share) if estimate.interval.known else ""
        table.add_row(
            _foreign(value),
            wording.number(estimate.value, part.is_share),
            interval,
            str(part.n),
            wording.states_text(part.states),
        )
    return table


def _errors(evaluation: Evaluation, limit: int = 10) -> Table:
    shown = evaluation.errors[:limit]
    table = _table(f"errors ({len(shown)} of {len(evaluation.errors)} kinds)")
    for column in ("times", "in", "first at", "error"):
        table.add_column(column)
    for group in shown:
        text = f"{group.type}: {group.message}"[:300]
        table.add_row(str(group.count), group.subject, str(group.index), _foreign(text))
    return table


def _inputs(row: Row) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in row.inputs.items())[:200]


def _foreign(value: Any) -> Text:
    """What data or a model wrote: control characters, which could steer the terminal, as escapes."""
    text = str(value)
    if text.isprintable():
        return Text(text)
    return Text(
        "".join(char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode() for char in text)
    )


def _table(title: str) -> Table:
    return Table(title=_foreign(title), title_justify="left", title_style="bold", box=None, pad_edge=False)


def _columns(table: Table, name: str, *figures: str) -> None:
    """A column of names and columns of figures: where the terminal is narrow, names are folded and figures whole."""
    table.add_column(name, overflow="fold")
    for figure in figures:
        table.add_column(figure, no_wrap=True)
