"""What `outlast bench-optimizers` prints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from outlast.cli.benching.records import Record
from outlast.cli.benching.summary import Line, by_world, comparable, counted, gain, summarize

if TYPE_CHECKING:
    from rich.console import RenderableType

    from outlast.evals.statistics import Estimate

_VERDICTS = ("better", "no worse", "inconclusive", "worse", "unproven")


def overview(records: Sequence[Record], *, ours: str | None = None, level: float = 0.95) -> list[RenderableType]:
    """A table for each budget, the scores by world, and by how much `ours` is above each other method."""
    from rich.text import Text

    kept, left = comparable(records)
    lines = summarize(kept, level)
    parts: list[RenderableType] = []
    for budget in sorted({line.budget for line in lines}):
        parts.append(_budget(budget, [line for line in lines if line.budget == budget], kept, ours, level))
    if len({one.world for one in kept}) > 1:
        parts.append(_worlds(kept, level))
    if left:
        parts.append(
            Text(f"{left} of {len(records)} runs are left out: another method lacks that world, seed and budget.")
        )
    parts.append(
        Text(
            "true: exact expected test score of what was returned, mean over worlds, interval over seeds; reported: "
            "what the method says of it; worse: returned programs below the start.",
            style="dim",
        )
    )
    return parts


def _budget(budget: int, lines: Sequence[Line], records: Sequence[Record], ours: str | None, level: float) -> Any:
    one = lines[0]
    seeds = len({record.seed for record in records if record.budget == budget})
    worlds = len({record.world for record in records if record.budget == budget})
    runs = f"{counted(worlds, 'world')}, {counted(seeds, 'seed')}, {counted(one.runs, 'run')} of each method"
    table = _table(f"{budget:,} rollouts: {runs}")
    heads = ["true", "reported - true", "found", "worse", "verdicts", "rollouts", "proposals", "dollars", "CPU ms"]
    versus = ours is not None and any(line.method == ours for line in lines) and len(lines) > 1
    table.add_column("method", overflow="fold")
    for head in heads + ([f"{ours} is above by"] if versus else []):
        table.add_column(head, justify="right", no_wrap=head != "verdicts")
    for line in lines:
        cells = [
            _with_span(line.true),
            _with_span(line.optimism, points=True),
            _score(line.found.value),
            str(line.worse),
            _verdicts(line),
            f"{line.rollouts:.0f}",
            f"{line.proposer_calls:.0f}",
            f"{line.dollars:.3f}",
            "" if line.cpu_ms is None else f"{line.cpu_ms:.2f}",
        ]
        if versus and ours is not None:
            above = None if line.method == ours else gain(records, ours, line.method, budget, level)
            cells.append("" if above is None else _with_span(above, points=True))
        table.add_row(line.method, *cells)
    return table


def _worlds(records: Sequence[Record], level: float) -> Any:
    scores = by_world(records, level)
    table = _table("true score by world (start and best known: what the world can do)")
    table.add_column("world")
    table.add_column("rollouts", justify="right")
    methods = list(dict.fromkeys(one.method for one in records))
    for head in ("start", *methods, "best"):
        table.add_column(head, justify="right", overflow="fold")
    for world in dict.fromkeys(one.world for one in records):
        for budget in sorted({one.budget for one in records if one.world == world}):
            here = [one for one in records if one.world == world and one.budget == budget]
            start = math.fsum(one.start for one in here) / len(here)
            best = math.fsum(one.best for one in here) / len(here)
            cells = [scores.get((world, budget, method)) for method in methods]
            row = ["" if cell is None else _with_half(cell) for cell in cells]
            table.add_row(world, f"{budget:,}", _score(start), *row, _score(best))
    return table


def _table(title: str) -> Any:
    from rich.table import Table

    return Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 1))


def _verdicts(line: Line) -> str:
    return ", ".join(f"{line.verdicts[word]} {word}" for word in _VERDICTS if line.verdicts.get(word))


def _score(value: float) -> str:
    return "" if math.isnan(value) else f"{100 * value:.1f}"


def _points(value: float) -> str:
    return "" if math.isnan(value) else f"{100 * value:+.1f}"


def _with_span(one: Estimate, *, points: bool = False) -> str:
    """The value and its interval, or the value alone when the data do not bound it."""
    value = _points(one.value) if points else _score(one.value)
    if not one.interval.known:
        return value
    sign = "+" if points else ""
    return f"{value} ({100 * one.interval.low:{sign}.1f}..{100 * one.interval.high:{sign}.1f})"


def _with_half(one: Estimate) -> str:
    half = f"±{50 * one.interval.width:.1f}" if one.interval.known else ""
    return f"{_score(one.value)}{half}"
