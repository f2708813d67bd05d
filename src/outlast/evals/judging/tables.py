"""What judges agree and disagree on, as tables for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from outlast.errors import brief
from outlast.evals import wording
from outlast.evals.judging.page import figures_of

if TYPE_CHECKING:
    from outlast.evals.judging.alignment import Alignment
    from outlast.evals.judging.pairs import Pairwise
    from outlast.evals.statistics.values import Estimate


def alignment(report: Alignment, limit: int) -> RenderableType:
    """The verdict, the figures, the confusion and the worst disagreements."""
    parts: list[RenderableType] = [report, _figures(report), _confusion(report)]
    if report.disagreements and limit > 0:
        parts.append(_disagreements(report, limit))
    return Group(*parts)


def _figures(report: Alignment) -> Table:
    table = _table("figures")
    for column in ("", "value", f"{wording.level(report.level)} interval", "of"):
        table.add_column(column)
    for line in figures_of(report):
        table.add_row(*map(Text, line))
    if report.judged_by:
        table.add_row("model", Text(report.judged_by), "", "")
    if report.cluster:
        table.add_row("clusters", Text(report.cluster), "", "")
    if report.reads is not None:
        table.add_row("times that this test part was read", str(report.reads.count), "", "")
    return table


def _row(table: Table, name: str, figure: Estimate | None, *, share: bool) -> None:
    if figure is None:
        return
    value = wording.number(figure.value, share) if share or figure.value != figure.value else f"{figure.value:.3f}"
    interval = figure.interval
    shown = wording.span(interval, True) if share else f"{interval.low:.3f}..{interval.high:.3f}"
    table.add_row(name, value if figure.n else "", shown if interval.known else "unknown", str(figure.n))


def _confusion(report: Alignment) -> Table:
    table = _table("confusion")
    counts = report.confusion
    table.add_column("people / judge")
    for label in counts.labels:
        table.add_column(str(label), justify="right")
    for label, line in zip(counts.labels, counts.counts, strict=True):
        table.add_row(str(label), *map(str, line))
    return table


def _disagreements(report: Alignment, limit: int) -> Table:
    shown = report.disagreements[:limit]
    table = _table(f"disagreements ({len(shown)} of {len(report.disagreements)}, worst first)")
    for column in ("item", "people", "judge", "critique"):
        table.add_column(column, overflow="fold")
    for one in shown:
        fields = ", ".join(f"{name}={brief(value, 60)}" for name, value in one.item.fields.items())
        table.add_row(Text(fields[:300]), _verdict(one.people), _verdict(one.judge), Text(brief_text(one.critique)))
    return table


def brief_text(text: str, most: int = 200) -> str:
    """A text cut to `most` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _verdict(value: Any) -> Text:
    return Text(str(value))


def _table(title: str) -> Table:
    return Table(title=Text(title), title_justify="left", title_style="bold", box=None, pad_edge=False)


def pairwise(report: Pairwise, limit: int) -> RenderableType:
    """The result, the figures, and pairs on which the orders disagree."""
    table = _table("figures")
    for column in ("", "value", f"{wording.level(report.level)} interval", "of"):
        table.add_column(column)
    _row(table, "b wins (ties half)", report.win_rate, share=True)
    _row(table, "one verdict in both orders", report.consistency, share=True)
    _row(table, "first place preferred", report.first_slot, share=True)
    _row(table, "longer one wins", report.length.longer_wins, share=True)
    _row(table, "log-odds for 100 characters more", report.length.slope, share=False)
    parts: list[RenderableType] = [report, table]
    torn = [pair for pair in report.pairs if pair.asked and not pair.consistent][:limit]
    if torn:
        more = _table(f"orders that disagree ({len(torn)} shown)")
        for column in ("inputs", "a", "b", "a first", "b first"):
            more.add_column(column, overflow="fold")
        for pair in torn:
            texts = [", ".join(map(str, values.values()))[:120] for values in (pair.given, pair.a, pair.b)]
            more.add_row(*map(Text, texts), str(pair.forward), str(pair.backward))
        parts.append(more)
    return Group(*parts)
