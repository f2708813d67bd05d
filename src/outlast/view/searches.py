"""A search drawn: its score against what was spent, its candidates as a tree, training beside held-out examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from outlast.optimize.figures import Axis, axis_of, said
from outlast.optimize.lineage import Effect
from outlast.optimize.summary import Tried
from outlast.optimize.watching import Mean, Moment, Watched, chain_of

WIDTH, HEIGHT = 720, 300
BY = {"calls": "calls to a model", "dollars": "US dollars", "rollouts": "rollouts", "minutes": "minutes"}
MOST = 400  # candidates in the tree
RANKED = 10  # candidates whose parts are held beside each other
PARTS = (("train", "training"), ("select", "selection"), ("confirm", "held out"))


@dataclass(frozen=True, slots=True)
class Dot:
    """A moment: pixels, a radius that grows with the examples behind it, words."""

    x: float
    y: float
    r: float
    text: str
    leader: str


@dataclass(frozen=True, slots=True)
class Proof:
    """A score on held-out examples with its interval, in pixels, and in words."""

    name: str
    kind: str
    x: float
    y: float
    low: float
    high: float
    text: str


@dataclass(frozen=True, slots=True)
class Curve:
    """The leader's mean against what was spent."""

    x: Axis
    y: Axis
    dots: tuple[Dot, ...]
    line: str
    proofs: tuple[Proof, ...]
    unit: str


@dataclass(frozen=True, slots=True)
class Node:
    """A candidate in the tree: `bar` are the pixels of its mean on selection examples on an axis of 100."""

    tried: Tried
    depth: int
    role: str
    means: Mapping[str, Mean]
    at: float | None
    children: int
    on_path: bool


@dataclass(frozen=True, slots=True)
class Beside:
    """A candidate's means on the three parts, in per cent of an axis, and in words."""

    tried: Tried
    role: str
    dots: tuple[tuple[str, float, str], ...]
    low: float
    high: float


def spent(moment: Moment, by: str, began: float) -> float:
    """What had been spent by a moment."""
    match by:
        case "dollars":
            return moment.dollars or 0.0
        case "rollouts":
            return float(moment.point.rollouts)
        case "minutes":
            return max(0.0, moment.at - began) / 60
        case _:
            return float(moment.point.calls)


def choices(watched: Watched) -> dict[str, str]:
    """What the curve can be drawn against: dollars only where a price is known."""
    priced = any(one.dollars for one in watched.moments)
    return {name: text for name, text in BY.items() if name != "dollars" or priced}


def is_share(watched: Watched) -> bool:
    """Whether all means lie within 0 to 1, so that they are said in per cent."""
    means = [mean.value for one in watched.means.values() for mean in one.values()]
    return all(0 <= value <= 1 for value in [*means, *(one.point.score for one in watched.moments)])


def curve(watched: Watched, by: str) -> Curve | None:
    """The drawing; None before anything was ranked."""
    moments = watched.moments
    if not moments:
        return None
    share = is_share(watched)
    proofs = estimates(watched.summary.record)
    values = [one.point.score for one in moments]
    for told in proofs.values():
        values += [value for value in told if value is not None]
    right = WIDTH - (186.0 if proofs else 24.0)
    places = [spent(one, by, watched.began) for one in moments]
    x = axis_of([0.0, max(places) or 1.0], 60.0, right, False)
    y = axis_of(values, HEIGHT - 48.0, 14.0, share)
    most = max(one.point.n for one in moments) or 1
    dots = tuple(
        Dot(
            x.at(place),
            y.at(one.point.score),
            round(2 + 2.5 * (one.point.n / most) ** 0.5, 1),
            f"{said(one.point.score, share)} on {one.point.n} examples at {_amount(place, by)}: {one.point.leader}",
            one.point.leader,
        )
        for one, place in zip(moments, places, strict=True)
    )
    line = f"M{dots[0].x},{dots[0].y}" + "".join(f"H{dot.x}V{dot.y}" for dot in dots[1:])
    return Curve(x, y, dots, line, tuple(_proofs(proofs, y, right, share)), BY[by])


def _amount(value: float, by: str) -> str:
    if by == "dollars":
        return f"${value:.4g}"
    return f"{value:,.0f} {by}" if by != "minutes" else f"{value:.1f} min"


def _proofs(told: Mapping[str, tuple[float, float | None, float | None]], y: Axis, right: float, share: bool) -> Any:
    for place, (name, (value, low, high)) in enumerate(told.items()):
        text = said(value, share)
        ends = [y.at(value if end is None else end) for end in (low, high)]
        shown = "before" if name == "start" else "after"
        yield Proof(shown, name, right + 40 + 26 * place, y.at(value), ends[0], ends[1], text)


def estimates(record: Mapping[str, Any] | None) -> dict[str, tuple[float, float | None, float | None]]:
    """The held-out scores of start and winner that a record holds: value, low, high."""
    result = table(record, "result")
    found: dict[str, tuple[float, float | None, float | None]] = {}
    for name in ("start", "winner"):
        told = table(result, name)
        value, ends = told.get("score"), told.get("interval")
        if isinstance(value, int | float):
            pair = cast("Sequence[Any]", ends) if isinstance(ends, list) else (None, None)
            low, high = (end if isinstance(end, int | float) else None for end in pair[:2])
            found[name] = (float(value), low, high)
    return found


def tree(watched: Watched) -> list[Node]:
    """The candidates, parents first and otherwise as they came; the path to the leader is marked."""
    known = watched.by_id
    below: dict[str, list[str]] = {}
    for id in watched.order[:MOST]:
        parent = known[id].parent
        below.setdefault(parent if parent in known and parent != id else "", []).append(id)
    path = {one.id for one in chain_of(known, watched.leader)}
    axis = _scores(watched)
    nodes: list[Node] = []
    waiting = [(id, 0) for id in reversed(below.get("", []))]
    while waiting:
        id, depth = waiting.pop()
        means = watched.means.get(id, {})
        mean = means.get("select") or means.get("train")
        at = None if mean is None or axis is None else axis.at(mean.value)
        inside = below.get(id, [])
        nodes.append(Node(known[id], depth, role_of(watched, id), means, at, len(inside), id in path))
        waiting += [(child, depth + 1) for child in reversed(inside)]
    return nodes


def role_of(watched: Watched, id: str) -> str:
    """ "start", "winner" or "leader", "" for others."""
    if id == "start":
        return "start"
    if id == watched.leader:
        return "winner" if watched.state == "done" else "leader"
    return ""


def _scores(watched: Watched) -> Axis | None:
    """All means on an axis of 0 to 100."""
    values = [mean.value for one in watched.means.values() for mean in one.values()]
    return axis_of(values, 5.0, 95.0, is_share(watched)) if values else None


def start_at(watched: Watched) -> float | None:
    """Where the start stands on the axis of the tree."""
    axis, mean = _scores(watched), watched.means.get("start", {}).get("select")
    return None if axis is None or mean is None else axis.at(mean.value)


def beside(watched: Watched) -> tuple[list[Beside], Axis | None]:
    """The best candidates and the start with their means on training, selection and held-out examples."""
    axis, share = _scores(watched), is_share(watched)
    if axis is None:
        return [], None
    chosen = [one for one in watched.summary.candidates if one.n][:RANKED]
    for id in ("start", watched.leader):
        one = watched.by_id.get(id)
        if one is not None and one not in chosen:
            chosen.append(one)
    found: list[Beside] = []
    for one in chosen:
        means = watched.means.get(one.id, {})
        dots = tuple(
            (part, axis.at(means[part].value), f"{name} {said(means[part].value, share)} on {means[part].n}")
            for part, name in PARTS
            if part in means
        )
        places = [at for _, at, _ in dots]
        if places:
            found.append(Beside(one, role_of(watched, one.id), dots, min(places), max(places)))
    return found, axis


def promised(watched: Watched) -> str:
    """What the winner's gain looked like while ranking, beside what held-out examples say; "" where not known."""
    record, share = watched.summary.record, is_share(watched)
    ranked, difference = table(table(record, "winner"), "ranked"), table(table(record, "result"), "difference")
    gain, proven, ends = ranked.get("gain"), difference.get("score"), difference.get("interval")
    if not isinstance(gain, int | float) or not isinstance(proven, int | float) or not isinstance(ends, list):
        return ""
    effect = Effect(
        float(proven), *cast("tuple[Any, Any]", tuple(cast("list[Any]", ends))), int(difference.get("n", 0)), "held-out"
    )
    points = f"{100 * gain:+.1f} points" if share else f"{gain:+.4g}"
    return f"While ranking, the gain looked like {points}. Held out it is {effect}."


def table(data: Any, name: str) -> Mapping[str, Any]:
    """The mapping under a name, empty where there is none."""
    value = cast("Mapping[str, Any]", data).get(name) if isinstance(data, Mapping) else None
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
