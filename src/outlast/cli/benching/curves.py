"""Scores against what they cost, drawn as SVG: one line for each method, with intervals over seeds.

No script, no request, no font. Colours are CSS variables (`STYLE`), so that they follow light and dark; they were
chosen to be told apart by people who confuse red and green, and every line carries its name at its end as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from outlast.cli.benching.summary import Line
from outlast.evals.reports.plots import ticks
from outlast.evals.statistics import Interval

Across = Literal["rollouts", "dollars"]
Up = Literal["true", "reported"]

_WIDE, _HIGH = 470, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 152, 34, 46
_HUES = 10
_DASHES = ("", "6 3", "2 3")

STYLE = """
.curves { font: 12px system-ui, sans-serif; --ink: #1d2129; --muted: #5f6774; --line: #dfe2e7; --paper: #fff;
  --c0: #1d4ed8; --c1: #b45309; --c2: #0f766e; --c3: #9d174d; --c4: #6d28d9; --c5: #4d7c0f; --c6: #0e7490;
  --c7: #a16207; --c8: #475569; --c9: #be123c; }
@media (prefers-color-scheme: dark) {
  .curves { --ink: #e6e8ec; --muted: #9aa3b2; --line: #333842; --paper: #14161a;
    --c0: #8ab0ff; --c1: #f0a04b; --c2: #4fd1c5; --c3: #f687b3; --c4: #b794f4; --c5: #9ad04e; --c6: #5cc8e6;
    --c7: #e0c050; --c8: #a7b1c2; --c9: #fb7185; }
}
.curves text { fill: var(--muted); } .curves .head { fill: var(--ink); font-weight: 600; }
.curves .name { fill: var(--ink); } .curves .grid { stroke: var(--line); stroke-width: 1; fill: none; }
.curves .span { stroke-width: 1.4; fill: none; opacity: .75; } .curves .line { stroke-width: 2; fill: none; }
.curves .point { stroke: var(--paper); stroke-width: 1; }
"""


@dataclass(frozen=True, slots=True)
class Series:
    """One method: where its points lie (x, score, interval), in the order in which they are joined."""

    name: str
    points: tuple[tuple[float, float, Interval], ...]


def series_of(lines: Sequence[Line], across: Across, up: Up) -> list[Series]:
    """A series for each method, the one with the highest last score first."""
    names = list(dict.fromkeys(line.method for line in lines))
    found: list[Series] = []
    for name in names:
        own = sorted((line for line in lines if line.method == name), key=lambda line: line.budget)
        points = [(_x(line, across), getattr(line, up)) for line in own]
        known = tuple((x, one.value, one.interval) for x, one in points if not math.isnan(one.value) and x > 0)
        if known:
            found.append(Series(name, known))
    return sorted(found, key=lambda one: -one.points[-1][1])


def _x(line: Line, across: Across) -> float:
    return float(line.budget) if across == "rollouts" else line.dollars


def panels(lines: Sequence[Line], title: str) -> str:
    """True and reported score against rollouts and against dollars: four panels of one scale, as one SVG."""
    order = list(dict.fromkeys(line.method for line in lines))
    kinds: list[tuple[Across, Up, str]] = [
        ("rollouts", "true", "true score, by rollouts"),
        ("rollouts", "reported", "score that the method reports, by rollouts"),
        ("dollars", "true", "true score, by dollars"),
        ("dollars", "reported", "score that the method reports, by dollars"),
    ]
    drawn: list[tuple[list[Series], Across, str]] = [
        (series_of(lines, across, up), across, head) for across, up, head in kinds
    ]
    values = [value for series, _, _ in drawn for one in series for value in _reach(one)]
    scale = ticks(values or [0.0, 1.0])
    parts = [
        f'<g transform="translate({_WIDE * (place % 2)} {_HIGH * (place // 2)})">'
        f"{_panel(series, across, head, scale, order)}</g>"
        for place, (series, across, head) in enumerate(drawn)
    ]
    return _svg(title, 2 * _WIDE, 2 * _HIGH, parts, _told(lines))


def world_panel(lines: Sequence[Line], world: str, order: Sequence[str]) -> str:
    """True score against rollouts in one world, as one SVG."""
    series = series_of(lines, "rollouts", "true")
    scale = ticks([value for one in series for value in _reach(one)] or [0.0, 1.0])
    return _svg(world, _WIDE, _HIGH, [_panel(series, "rollouts", world, scale, order)], _told(lines))


def _reach(series: Series) -> list[float]:
    """All heights of a series, intervals included."""
    found: list[float] = []
    for _, value, interval in series.points:
        found += [value, *((interval.low, interval.high) if interval.known else ())]
    return found


def _panel(series: Sequence[Series], across: Across, head: str, scale: Sequence[float], order: Sequence[str]) -> str:
    marks = _marks([x for one in series for x, _, _ in one.points], across)
    low, high = math.log10(marks[0]), math.log10(marks[-1])
    right = _WIDE - _RIGHT

    def x(value: float) -> float:
        return _LEFT + (right - _LEFT) * ((math.log10(value) - low) / (high - low) if high > low else 0.5)

    def y(value: float) -> float:
        return _HIGH - _BOTTOM - (_HIGH - _BOTTOM - _TOP) * (value - scale[0]) / (scale[-1] - scale[0])

    parts = [f'<text class="head" x="{_LEFT}" y="18">{escape(head)}</text>', _frame(marks, scale, x, y, across)]
    for number, one in enumerate(series):
        parts.append(_curve(one, order.index(one.name) if one.name in order else number, number, len(series), x, y))
    return "".join(parts) + _names(series, order, y)


def _marks(values: Sequence[float], across: Across) -> list[float]:
    """Marks of a logarithmic axis that hold all values: the budgets themselves, or powers of ten with 2 and 5."""
    if not values:
        return [1.0, 10.0]
    if across == "rollouts":
        marks = sorted(set(values))
        return marks if len(marks) > 1 else [marks[0] / 2, marks[0], marks[0] * 2]
    low, high = min(values), max(values)
    steps = [factor * 10.0**power for power in range(-9, 7) for factor in (1, 2, 5)]
    first = max((one for one in steps if one <= low * (1 + 1e-9)), default=steps[0])
    last = min((one for one in steps if one >= high * (1 - 1e-9)), default=steps[-1])
    found = [one for one in steps if first <= one <= last]
    return found if len(found) > 1 else [first, first * 10]


def _frame(
    across: Sequence[float], up: Sequence[float], x: Callable[[float], float], y: Callable[[float], float], kind: Across
) -> str:
    right, bottom = _WIDE - _RIGHT, _HIGH - _BOTTOM
    every = math.ceil(len(across) / 6)
    parts = [f'<path class="grid" d="M{_LEFT} {y(mark):.1f}H{right}"/>' for mark in up]
    parts += [f'<path class="grid" d="M{x(mark):.1f} {_TOP}V{bottom}"/>' for mark in across]
    parts += [
        f'<text x="{x(mark):.1f}" y="{bottom + 16}" text-anchor="middle">{_amount(mark)}</text>'
        for place, mark in enumerate(across)
        if place % every == 0
    ]
    parts += [f'<text x="{_LEFT - 6}" y="{y(mark) + 4:.1f}" text-anchor="end">{100 * mark:g}</text>' for mark in up]
    middle = (_LEFT + right) / 2
    name = "rollouts" if kind == "rollouts" else "dollars, student and proposer"
    parts.append(f'<text x="{middle:.1f}" y="{bottom + 34}" text-anchor="middle">{name}</text>')
    return "".join(parts)


def _curve(one: Series, hue: int, place: int, of: int, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    colour, dash = f"var(--c{hue % _HUES})", _DASHES[hue // _HUES % len(_DASHES)]
    shift = (place - (of - 1) / 2) * 1.6  # intervals at one x would hide each other
    spots = [(x(a) + shift, y(value), interval) for a, value, interval in one.points]
    parts = [
        f'<path class="span" style="stroke:{colour}" d="M{px:.1f} {y(interval.low):.1f}V{y(interval.high):.1f}"/>'
        for px, _, interval in spots
        if interval.known
    ]
    path = "L".join(f"{px:.1f} {py:.1f}" for px, py, _ in spots)
    dashes = f";stroke-dasharray:{dash}" if dash else ""
    parts.append(f'<path class="line" style="stroke:{colour}{dashes}" d="M{path}"/>')
    parts += [
        f'<circle class="point" style="fill:{colour}" cx="{px:.1f}" cy="{py:.1f}" r="3.4"/>' for px, py, _ in spots
    ]
    return "".join(parts)


def _names(series: Sequence[Series], order: Sequence[str], y: Callable[[float], float]) -> str:
    """The names at the right edge, in the order of the last scores, none on another."""
    wanted = [y(one.points[-1][1]) + 4 for one in series]
    places = spread(wanted, 13.0, _TOP + 6.0, _HIGH - _BOTTOM + 10.0)
    parts: list[str] = []
    for number, (one, height) in enumerate(zip(series, places, strict=True)):
        hue = order.index(one.name) if one.name in order else number
        start = _WIDE - _RIGHT + 12
        parts.append(
            f'<rect x="{start}" y="{height - 8:.1f}" width="8" height="8" rx="2" style="fill:var(--c{hue % _HUES})"/>'
            f'<text class="name" x="{start + 12}" y="{height:.1f}">{escape(_short(one.name))}'
            f"<title>{escape(one.name)}</title></text>"
        )
    return "".join(parts)


def spread(wanted: Sequence[float], apart: float, low: float, high: float) -> list[float]:
    """Places near the wanted ones, ascending, at least `apart` from each other and within `low..high` if they fit."""
    if not wanted:
        return []
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    heights = [wanted[place] for place in order]
    for place in range(1, len(heights)):
        heights[place] = max(heights[place], heights[place - 1] + apart)
    if (over := heights[-1] - high) > 0:
        heights[-1] -= over
        for place in range(len(heights) - 2, -1, -1):
            heights[place] = min(heights[place], heights[place + 1] - apart)
    if (under := low - heights[0]) > 0:
        heights = [height + under for height in heights]
    found = [0.0] * len(wanted)
    for place, height in zip(order, heights, strict=True):
        found[place] = height
    return found


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"


def _short(name: str, most: int = 17) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _told(lines: Sequence[Line]) -> str:
    """The numbers in words, for those who cannot see the drawing."""
    return "; ".join(
        f"{line.method} at {line.budget} rollouts: true {100 * line.true.value:.1f}, reported "
        f"{100 * line.reported.value:.1f}"
        for line in lines
    )


def _svg(title: str, wide: int, high: int, parts: Sequence[str], told: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="curves" viewBox="0 0 {wide} {high}" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title><desc>{escape(told)}</desc>'
        f"<style>{STYLE}</style>{''.join(parts)}</svg>"
    )
