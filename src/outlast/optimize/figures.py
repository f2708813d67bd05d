"""The geometry of a report's drawings; the page's template turns it into SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from outlast.optimize.study import Point
from outlast.optimize.verdict import Verdict

if TYPE_CHECKING:
    from outlast.evals.statistics import Estimate, Interval

WIDTH = 720


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of values laid over a range of pixels, with round ticks as (pixel, text)."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[tuple[float, str], ...]

    def at(self, value: float) -> float:
        """The pixel of a value; values outside are put on the edge."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


@dataclass(frozen=True, slots=True)
class Bar:
    """A value with its interval at `y`: pixels of the value and of both ends."""

    name: str
    kind: str
    y: float
    low: float
    mid: float
    high: float
    text: str


@dataclass(frozen=True, slots=True)
class Forest:
    """Before and after on one axis, their difference on its own; `zero` is the pixel of no difference."""

    axis: Axis
    bars: tuple[Bar, ...]
    height: float
    gain_axis: Axis
    gain: Bar
    zero: float


@dataclass(frozen=True, slots=True)
class Whisker:
    """A confirmed score beside the curve: pixels of the score and of its interval."""

    name: str
    kind: str
    x: float
    y: float
    low: float
    high: float
    text: str


@dataclass(frozen=True, slots=True)
class Dot:
    """Where the search stood once: pixels, a radius whose area grows with the examples behind it, and words."""

    x: float
    y: float
    r: float
    text: str


@dataclass(frozen=True, slots=True)
class Curve:
    """The leader's score against calls: the dots, and the line through them as steps."""

    x: Axis
    y: Axis
    dots: tuple[Dot, ...]
    line: str
    whiskers: tuple[Whisker, ...]
    height: float


def forest(verdict: Verdict) -> Forest | None:
    """The drawing of the verdict; None when nothing was confirmed."""
    start, winner, paired = verdict.start, verdict.winner, verdict.paired
    if start is None or winner is None or paired is None:
        return None
    share = _is_share(start, winner)
    left, right = 150.0, WIDTH - 170.0
    axis = axis_of([*_ends(start.interval, start.value), *_ends(winner.interval, winner.value)], left, right, share)
    bars = (
        _bar("before", "before", 26, start.value, start.interval, axis, share),
        _bar("after", "after", 58, winner.value, winner.interval, axis, share),
    )
    gain_axis = axis_of([0.0, *_ends(paired.interval, paired.difference)], left, right, share, sign=True)
    gain = _bar("difference", "gain", 142, paired.difference, paired.interval, gain_axis, share, sign=True)
    return Forest(axis, bars, 196, gain_axis, gain, gain_axis.at(0.0))


def curve(points: Sequence[Point], verdict: Verdict) -> Curve | None:
    """The drawing of the search; None when it ranked nothing."""
    if not points:
        return None
    confirmed = [
        (name, kind, estimate)
        for name, kind, estimate in (("before", "before", verdict.start), ("after", "after", verdict.winner))
        if estimate is not None
    ]
    share = all(0 <= p.score <= 1 for p in points) and all(0 <= e.value <= 1 for _, _, e in confirmed)
    values = [p.score for p in points]
    for _, _, estimate in confirmed:
        values += _ends(estimate.interval, estimate.value)
    right = WIDTH - (176.0 if confirmed else 20.0)
    x = axis_of([0.0, float(points[-1].calls or 1)], 64.0, right, False)
    y = axis_of(values, 262.0, 16.0, share)
    most = max(p.n for p in points) or 1
    dots = tuple(
        Dot(
            x.at(p.calls),
            y.at(p.score),
            round(2 + 4 * math.sqrt(p.n / most), 1),
            f"{said(p.score, share)} on {p.n} after {p.calls:,} calls ({p.leader})",
        )
        for p in points
    )
    steps = f"M{dots[0].x},{dots[0].y}" + "".join(f"H{dot.x}V{dot.y}" for dot in dots[1:])
    whiskers = tuple(
        Whisker(
            name,
            kind,
            right + 52 + 22 * place,
            y.at(estimate.value),
            y.at(estimate.interval.low),
            y.at(estimate.interval.high),
            said(estimate.value, share),
        )
        for place, (name, kind, estimate) in enumerate(confirmed)
    )
    return Curve(x, y, dots, steps, whiskers, 306)


@dataclass(frozen=True, slots=True)
class Mark:
    """A candidate on the plot of score against cost: pixels, a kind ("winner", "start", "front", "other"), words."""

    x: float
    y: float
    kind: str
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Scatter:
    """Score against the cost of a rollout: the candidates, and the steps of the front."""

    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    line: str
    cost: str
    height: float


def scatter(front: Mapping[str, Any], winner: str) -> Scatter | None:
    """The drawing of the front as a record holds it; None when it has less than two candidates or no known cost."""
    cost = str(front.get("cost"))
    spots: list[Mapping[str, Any]] = [one for one in front.get("candidates", ()) if one.get(cost) is not None]
    if len(spots) < 2:
        return None
    share = all(0 <= one["score"] <= 1 for one in spots)
    times, unit = (1000, "dollars of 1,000 rollouts") if cost == "dollars" else (1, f"{cost} of a rollout")
    spots = [{**one, cost: one[cost] * times} for one in spots]
    x = axis_of([0.0, *(one[cost] for one in spots)], 64.0, WIDTH - 20.0, False)
    y = axis_of([one["score"] for one in spots], 262.0, 16.0, share)
    marks: list[Mark] = []
    for one in sorted(spots, key=lambda one: (one["id"] == winner, one["id"] == "start", one["front"])):
        kind = "winner" if one["id"] == winner else "start" if one["id"] == "start" else ""
        sure = "" if one["sure"] is None else f", on the front in {one['sure']:.0%} of resamplings"
        words = f"{one['id']}: {said(one['score'], share)} at {one[cost]:.4g} {unit} on {one['n']} examples{sure}"
        marks.append(
            Mark(x.at(one[cost]), y.at(one["score"]), kind or ("front" if one["front"] else "other"), kind, words)
        )
    best = sorted({(one[cost], one["score"]) for one in spots if one["front"]})
    line = f"M{x.at(best[0][0])},{y.at(best[0][1])}" + "".join(f"H{x.at(a)}V{y.at(b)}" for a, b in best[1:])
    return Scatter(x, y, tuple(marks), line, unit, 306)


def axis_of(values: Sequence[float], start: float, end: float, share: bool, *, sign: bool = False) -> Axis:
    """An axis that holds all values, with about five round ticks; shares are said in per cent."""
    low, high = min(values), max(values)
    if high - low < 1e-9:
        low, high = low - 0.05, high + 0.05
    step = _round_step((high - low) / 4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ends = (first * step, last * step)
    ticks = [index * step for index in range(first, last + 1)]
    plain = Axis(*ends, start, end, ())
    return Axis(*ends, start, end, tuple((plain.at(tick), _tick(tick, share, sign)) for tick in ticks))


def said(value: float, share: bool) -> str:
    """A score in words: "61.0%" for a share, else four digits."""
    return f"{100 * value:.1f}%" if share else f"{value:.4g}"


def _tick(value: float, share: bool, sign: bool) -> str:
    value = 0.0 if abs(value) < 1e-12 else value
    plus = "+" if sign and value > 0 else ""
    if share:
        return f"{plus}{100 * value:.4g}" + ("" if sign else "%")
    return plus + (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}")


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough * 0.999)


def _is_share(*estimates: Estimate) -> bool:
    return all(0 <= estimate.value <= 1 for estimate in estimates)


def _ends(interval: Interval, value: float) -> list[float]:
    """The ends of an interval, as far as they are known, and the value."""
    return [value, *(end for end in (interval.low, interval.high) if math.isfinite(end))]


def _bar(
    name: str, kind: str, y: float, value: float, interval: Interval, axis: Axis, share: bool, *, sign: bool = False
) -> Bar:
    if sign:
        text = f"{100 * value:+.1f} points" if share else f"{value:+.4g}"
    else:
        text = said(value, share)
    return Bar(name, kind, y, axis.at(interval.low), axis.at(value), axis.at(interval.high), text)
