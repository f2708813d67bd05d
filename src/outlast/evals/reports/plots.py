"""Plots as markup: inline SVG drawn from plain numbers, and beside each the numbers as a table.

No script, no request, no font: colours are CSS variables of the page (`report.css`), so that they follow light and
dark. Every text is escaped here, whoever wrote it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from outlast.evals import wording
from outlast.evals.statistics import Interval, wilson

_WIDE, _HIGH = 460, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 14, 14, 44
_BINS = 10


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One line of a forest plot. `tone` colours it: "", "better", "worse" or "few" (pale)."""

    name: str
    n: int
    value: float
    interval: Interval
    cells: tuple[str, ...] = ()
    note: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a scatter plot, with an interval for its height."""

    name: str
    x: float
    y: float
    interval: Interval
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of about one confidence: how sure they were on average, and how many were right."""

    confidence: float
    right: float
    interval: Interval
    n: int


def forest(
    title: str,
    rows: Sequence[ForestRow],
    *,
    share: bool,
    heads: Sequence[str] = (),
    reference: float | None = None,
    signed: bool = False,
    last: str = "",
) -> str:
    """A table whose lines carry their interval drawn to one scale; `reference` is the dashed line.

    `heads` name the `cells` of the rows, `last` their notes where there are any. `signed` writes differences. An
    interval that is unknown is left out of the drawing and of the scale. A long name is cut; whole it stands in the
    title of its line.
    """
    last = last if any(row.note for row in rows) else ""
    ends = [end for row in rows if row.interval.known for end in (row.interval.low, row.interval.high)]
    values = [*ends, *(row.value for row in rows), *([] if reference is None else [reference])]
    if share and not signed and min(values, default=1.0) >= 0.9:  # or equal shares would have an axis beyond 100 %
        values += [0.8, 1.0]
    marks = ticks(values)
    place = _scale(marks[0], marks[-1], 0, 100)
    grid = "".join(f'<path class="grid" d="M{place(mark):.2f} 0V20"/>' for mark in marks)
    if reference is not None:
        grid += f'<path class="reference" d="M{place(reference):.2f} 0V20"/>'
    written = wording.difference if signed else wording.number
    lines = [_forest_line(row, place, grid, share, written, bool(last)) for row in rows]
    axis = "".join(f'<text x="{place(mark):.2f}%" y="14">{_tick(mark, share)}</text>' for mark in marks)
    named = ["change" if signed else "score", "interval", *heads]
    head = '<td></td><td class="plot"></td>'
    head += "".join(f'<th scope="col" class="num">{escape(name)}</th>' for name in named)
    head += f'<th scope="col">{escape(last)}</th>' if last else ""
    head += '<th scope="col" class="num">examples</th>'
    rest = len(named) + (2 if last else 1)
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(title)}"><table class="forest">'
        f"<caption>{escape(title)}</caption><thead><tr>{head}</tr></thead>"
        f'<tbody>{"".join(lines)}</tbody><tfoot aria-hidden="true"><tr><td></td><td class="plot">'
        f'<svg class="axis">{axis}</svg></td><td colspan="{rest}"></td></tr></tfoot></table></div>'
    )


def _forest_line(
    row: ForestRow,
    place: Callable[[float], float],
    grid: str,
    share: bool,
    written: Callable[[float, bool], str],
    noted: bool,
) -> str:
    span = _span(row.interval, share)
    drawn = grid
    if row.interval.known:
        drawn += f'<path class="span" d="M{place(row.interval.low):.2f} 10H{place(row.interval.high):.2f}"/>'
    drawn += f'<path class="dot" d="M{place(row.value):.2f} 10h0"/>'
    told = f"{row.name}: {written(row.value, share)}, interval {span}"
    cells = "".join(f'<td class="num">{escape(cell)}</td>' for cell in row.cells)
    note = f"<td>{escape(row.note)}</td>" if noted else ""
    return (
        f'<tr class="{escape(row.tone)}"><th scope="row">{escape(_short(row.name, 60))}</th>'
        f'<td class="plot"><svg viewBox="0 0 100 20" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(told)}"><title>{escape(told)}</title>{drawn}</svg></td>'
        f'<td class="num">{written(row.value, share)}</td><td class="num">{span}</td>{cells}{note}'
        f'<td class="num">{row.n}</td></tr>'
    )


def scatter(title: str, points: Sequence[Point], *, share: bool, x_name: str, y_name: str) -> str:
    """Points with vertical intervals and their names; x begins at 0."""
    across = ticks([0.0, *(point.x for point in points)])
    heights = [end for point in points if point.interval.known for end in (point.interval.low, point.interval.high)]
    up = ticks([*heights, *(point.y for point in points)])
    x, y = _scale(across[0], across[-1], _LEFT, _WIDE - _RIGHT), _scale(up[0], up[-1], _HIGH - _BOTTOM, _TOP)
    parts = [_frame(across, up, x, y, lambda mark: f"{mark:g}", lambda mark: _tick(mark, share), x_name, y_name)]
    taken: list[tuple[float, float, float]] = []
    for point in sorted(points, key=lambda one: -one.y):
        px, py = x(point.x), y(point.y)
        if point.interval.known:
            parts.append(f'<path class="span" d="M{px:.1f} {y(point.interval.low):.1f}V{y(point.interval.high):.1f}"/>')
        parts.append(f'<circle class="point {escape(point.tone)}" cx="{px:.1f}" cy="{py:.1f}" r="4.5"/>')
        parts.append(_label(_short(point.name, 22), px, py, taken))
    told = "; ".join(f"{one.name}: {y_name} {wording.number(one.y, share)} at {x_name} {one.x:g}" for one in points)
    rows = [
        (point.name, f"{point.x:.4g}", wording.number(point.y, share), _span(point.interval, share)) for point in points
    ]
    return _figure(title, told, parts, ("", x_name, y_name, "interval"), rows)


def reliability(title: str, bins: Sequence[Bin]) -> str:
    """How often answers are right against how sure they were; on the diagonal the confidence is honest."""
    marks = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    x, y = _scale(0, 1, _LEFT, _WIDE - _RIGHT), _scale(0, 1, _HIGH - _BOTTOM, _TOP)
    parts = [_frame(marks, marks, x, y, _per_cent, _per_cent, "confidence", "right")]
    parts.append(f'<path class="reference" d="M{x(0):.1f} {y(0):.1f}L{x(1):.1f} {y(1):.1f}"/>')
    most = max((one.n for one in bins), default=1)
    for one in bins:
        px = x(one.confidence)
        parts.append(f'<path class="span" d="M{px:.1f} {y(one.interval.low):.1f}V{y(one.interval.high):.1f}"/>')
        size = 3 + 4 * math.sqrt(one.n / most)
        parts.append(f'<circle class="point" cx="{px:.1f}" cy="{y(one.right):.1f}" r="{size:.1f}"/>')
    rows = [
        (
            wording.number(one.confidence, True),
            wording.number(one.right, True),
            wording.span(one.interval, True),
            str(one.n),
        )
        for one in bins
    ]
    told = "; ".join(f"{row[0]} sure: {row[1]} right, {row[3]} examples" for row in rows)
    return _figure(title, told, parts, ("confidence", "right", "interval", "examples"), rows)


def bins_of(pairs: Iterable[tuple[float, bool]], level: float = 0.95) -> list[Bin]:
    """Pairs of confidence (0 to 1) and whether it was right, in ten bins of equal width; empty ones are left out."""
    groups: dict[int, list[tuple[float, bool]]] = {}
    for confidence, right in pairs:
        groups.setdefault(min(_BINS - 1, int(confidence * _BINS)), []).append((confidence, right))
    found: list[Bin] = []
    for _, group in sorted(groups.items()):
        hits, n = sum(right for _, right in group), len(group)
        found.append(Bin(math.fsum(one for one, _ in group) / n, hits / n, wilson(hits, n, level), n))
    return found


def calibration_error(bins: Sequence[Bin]) -> float:
    """The mean distance of confidence and share right over the bins, weighted by examples (Naeini et al. 2015)."""
    n = sum(one.n for one in bins)
    return math.fsum(one.n * abs(one.confidence - one.right) for one in bins) / n if n else math.nan


def ticks(values: Sequence[float], about: int = 5) -> list[float]:
    """Round marks that hold all values, about as many as asked, two at least."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if high - low < 1e-12 * max(1.0, abs(high)):
        pad = abs(high) * 0.1 or 0.5
        low, high = low - pad, high + pad
    raw = (high - low) / about
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * (1 - 1e-9)) * power
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (end - start) * (min(max(value, low), high) - low) / (high - low)


def _tick(mark: float, share: bool) -> str:
    return f"{100 * mark:g}" if share else f"{mark:g}"


def _per_cent(mark: float) -> str:
    return f"{100 * mark:g}"


def _frame(
    across: Sequence[float],
    up: Sequence[float],
    x: Callable[[float], float],
    y: Callable[[float], float],
    x_text: Callable[[float], str],
    y_text: Callable[[float], str],
    x_name: str,
    y_name: str,
) -> str:
    lines = [f'<path class="grid" d="M{x(mark):.1f} {_TOP}V{_HIGH - _BOTTOM}"/>' for mark in across]
    lines += [f'<path class="grid" d="M{_LEFT} {y(mark):.1f}H{_WIDE - _RIGHT}"/>' for mark in up]
    lines += [
        f'<text x="{x(mark):.1f}" y="{_HIGH - _BOTTOM + 17}" text-anchor="middle">{x_text(mark)}</text>'
        for mark in across
    ]
    lines += [f'<text x="{_LEFT - 7}" y="{y(mark) + 4:.1f}" text-anchor="end">{y_text(mark)}</text>' for mark in up]
    middle = (_LEFT + _WIDE - _RIGHT) / 2
    lines.append(f'<text class="name" x="{middle:.1f}" y="{_HIGH - 8}" text-anchor="middle">{escape(x_name)}</text>')
    height = (_TOP + _HIGH - _BOTTOM) / 2
    lines.append(
        f'<text class="name" transform="translate(13 {height:.1f}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_name)}</text>"
    )
    return "".join(lines)


def _label(name: str, px: float, py: float, taken: list[tuple[float, float, float]]) -> str:
    """A name beside its point, where no other name is yet."""
    width = 6.6 * len(name)
    for side, shift in ((1, 4), (-1, 4), (1, -11), (-1, -11), (1, 19), (-1, 19), (1, 33), (1, -25)):
        start = px + 9 if side > 0 else px - 9 - width
        if start < _LEFT or start + width > _WIDE:
            continue
        if all(abs(py + shift - high) > 12 or start > right or start + width < left for left, right, high in taken):
            break
    else:
        start, shift = max(_LEFT, min(px + 9, _WIDE - width)), 4
    taken.append((start, start + width, py + shift))
    return f'<text class="label" x="{start:.1f}" y="{py + shift:.1f}">{escape(name)}</text>'


def _span(interval: Interval, share: bool) -> str:
    return wording.span(interval, share) if interval.known else "unknown"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _numeric(place: int) -> str:
    return ' class="num"' if place else ""


def _figure(title: str, told: str, parts: Sequence[str], heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col"{_numeric(place)}>{escape(name)}</th>' for place, name in enumerate(heads))
    lines = ("".join(f"<td{_numeric(place)}>{escape(cell)}</td>" for place, cell in enumerate(row)) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return (
        f'<figure><svg class="chart" viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><desc>{escape(told)}</desc>{''.join(parts)}</svg>"
        f'<div class="scroll"><table class="beside"><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></figure>"
    )
