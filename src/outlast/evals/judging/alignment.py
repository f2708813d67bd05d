"""How far a judge agrees with people: the figures, and one sentence on what they allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from outlast.data.files import write_lines
from outlast.data.jsonform import json_form
from outlast.evals import wording
from outlast.evals.judging.label import Item
from outlast.evals.judging.rubric import Rubric
from outlast.evals.judging.truth import Humans
from outlast.evals.reads import Reads
from outlast.evals.statistics.agreement import Confusion
from outlast.evals.statistics.values import Estimate
from outlast.messages import Spending

if TYPE_CHECKING:
    from rich.console import RenderableType

TARGET, FLOOR = 0.9, 0.8  # of TPR and TNR
RELIABLE, TENTATIVE = 0.8, 0.667  # of kappa on a scale: Krippendorff 2004, "Content Analysis", chapter 11
_FEW = 10  # labels of a kind from which on its rate says something

Standing = Literal["aligned", "usable", "weak", "untold"]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An item on which the judge and people differ: what people say, what the judge says and why.

    `distance` is how far apart they are, 0 to 1; `unanimity` the share of people who say what counts.
    """

    item: Item
    people: Any
    judge: Any
    critique: str
    distance: float
    unanimity: float


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Labels and items that the figures do not cover, and why.

    `stale` labels are of another version of the rubric, `waiting` ones have no value yet. Of items, people are evenly
    `divided` on some, the judge gave no verdict on the `unscored`, ended in `errors`, or was never asked (`missing`).
    """

    stale: int = 0
    waiting: int = 0
    divided: int = 0
    unscored: int = 0
    errors: int = 0
    missing: int = 0

    def __str__(self) -> str:
        told = {
            "stale labels": self.stale,
            "labels without a value": self.waiting,
            "items that people are divided on": self.divided,
            "unscored": self.unscored,
            "errors": self.errors,
            "never judged": self.missing,
        }
        return ", ".join(f"{name}: {count}" for name, count in told.items() if count)


@dataclass(frozen=True, eq=False, repr=False)
class Alignment:
    """How far a judge agrees with people on `n` items, with an interval for every figure.

    For pass and fail: `tpr` is the share of what people pass that the judge passes, `tnr` the share of what they fail
    that it fails. On a scale: `spearman` is the rank correlation with the mean of people, `distance` the mean absolute
    difference as a share of the scale. `accuracy` is the share of equal verdicts, `kappa` agreement beyond chance
    (weighted by squared distance on a scale), `baseline` how often the most frequent label alone is right, `humans` how
    far people agree among themselves. `flips` is the share of items on which runs of the judge differ, None after one
    run; the other figures are of the first run. `cluster` names what groups items that are not independent: the
    intervals of `tpr`, `tnr`, `accuracy` and `distance` allow for it, those of the other figures do not. `part` is the
    part of a split that was used, `reads` how often this test part was read so far (None: no test part).
    """

    name: str
    rubric: Rubric
    judged_by: str
    metric_hash: str
    part: str
    labels_hash: str
    n: int
    level: float
    accuracy: Estimate
    kappa: Estimate
    baseline: tuple[Any, float]
    confusion: Confusion
    tpr: Estimate | None
    tnr: Estimate | None
    spearman: Estimate | None
    distance: Estimate | None
    humans: Humans | None
    disagreements: tuple[Disagreement, ...]
    flips: Estimate | None
    runs: int
    left_out: LeftOut
    reads: Reads | None
    spending: Spending
    cluster: str = ""

    @property
    def standing(self) -> Standing:
        """ "aligned" (TPR and TNR of at least 0.9; on a scale kappa of at least 0.8), "usable" (0.8; 0.667), "weak"
        below, or "untold" with fewer than 10 labels of a kind (10 items)."""
        figures = self._figures()
        if any(figure.n < _FEW for figure in figures.values()):
            return "untold"
        high, low = (TARGET, FLOOR) if self.rubric.binary else (RELIABLE, TENTATIVE)
        worst = min(figure.value for figure in figures.values())
        return "aligned" if worst >= high else "usable" if worst >= low else "weak"

    @property
    def verdict(self) -> str:
        """What can be said, in one sentence."""
        figures, percent = self._figures(), self.rubric.binary
        said = " and ".join(f"{name} {_figure(figure, percent)}" for name, figure in figures.items())
        high, low = (TARGET, FLOOR) if percent else (RELIABLE, TENTATIVE)
        target, floor = _share(high, percent), _share(low, percent)
        unsure = any(not figure.interval.known or figure.interval.low < low for figure in figures.values())
        match self.standing:
            case "untold":
                few = ", ".join(f"{figure.n} for {name}" for name, figure in figures.items() if figure.n < _FEW)
                return f"Too few labels to tell: {few}, at least {_FEW} are needed; {said}."
            case "aligned":
                more = f", though less than {floor} cannot be ruled out" if unsure else ""
                return f"Aligned with people: {said}, at or above the target of {target}{more}."
            case "usable":
                return (
                    f"Usable, with its rates corrected (ol.estimate_rate): {said}, below the target of {target} but at "
                    f"or above the floor of {floor}."
                )
            case "weak":
                return f"Not to be relied on: {said}, below the floor of {floor}{self._worse()}."

    def _figures(self) -> dict[str, Estimate]:
        if self.tpr is None or self.tnr is None:
            return {"weighted kappa": self.kappa}
        return {"TPR": self.tpr, "TNR": self.tnr}

    def _worse(self) -> str:
        label, share = self.baseline
        return f"; saying {label!r} every time is as often right" if share >= self.accuracy.value else ""

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON-ready data; the items of disagreements in full."""
        form: dict[str, Any] = json_form({name: getattr(self, name) for name in _PLAIN}, lenient=True)
        for name in ("accuracy", "kappa", "tpr", "tnr", "spearman", "distance", "flips"):
            form[name] = estimate_form(getattr(self, name))
        form |= {"standing": self.standing, "verdict": self.verdict, "rubric_version": self.rubric.version}
        form["rubric"] = self.rubric.to_json()
        form["baseline"] = {"label": self.baseline[0], "share": self.baseline[1]}
        form["reads"] = None if self.reads is None else self.reads.to_json()
        form["spending"] = self.spending.to_json()
        form["humans"] = None if self.humans is None else _humans(self.humans)
        form["disagreements"] = [
            {**json_form({"fields": one.item.fields}, lenient=True), "id": one.item.id, **_said(one)}
            for one in self.disagreements
        ]
        return form

    def print_table(self, *, limit: int = 10, file: Any = None) -> None:
        """Print the verdict, the figures, the confusion and the worst disagreements."""
        from rich.console import Console

        from outlast.evals.judging.tables import alignment

        Console(file=file).print(alignment(self, limit))

    def to_html(self, path: str | Path, *, limit: int = 500) -> None:
        """Write one page that needs nothing else: the verdict, the figures, the confusion, and at most `limit` of the
        disagreements with what was judged. No script, no request."""
        from outlast.evals.judging.page import alignment_page

        write_lines(path, alignment_page(self, limit).split("\n"))

    def __repr__(self) -> str:
        where = f" on {self.part}" if self.part else ""
        left = f" Left out: {self.left_out}." if str(self.left_out) else ""
        read = "" if self.reads is None or self.reads.count < 2 else f" The {self.reads}."
        return f"{self.name}{where}, {self.n} item{'s' * (self.n != 1)}: {self.verdict}{left}{read}"

    def __rich__(self) -> RenderableType:
        from rich.text import Text

        colours = {"aligned": "green", "usable": "yellow", "weak": "red", "untold": "yellow"}
        head, _, rest = repr(self).partition(": ")
        return Text.assemble(f"{head}: ", (rest, colours[self.standing]))


_PLAIN = (
    "name",
    "judged_by",
    "metric_hash",
    "part",
    "labels_hash",
    "n",
    "level",
    "confusion",
    "runs",
    "left_out",
    "cluster",
)


def _share(value: float, percent: bool) -> str:
    return f"{100 * value:.0f}%" if percent else f"{value:g}"


def _figure(figure: Estimate, percent: bool) -> str:
    if not figure.n:
        return "unknown"
    value = wording.number(figure.value, True) if percent else f"{figure.value:.2f}"
    if not figure.interval.known:
        return value
    low, high = figure.interval.low, figure.interval.high
    span = wording.span(figure.interval, True) if percent else f"{low:.2f}..{high:.2f}"
    return f"{value} ({span})"


def estimate_form(figure: Estimate | None) -> dict[str, Any] | None:
    """A figure as JSON can hold it: what is unknown is null."""
    if figure is None:
        return None
    known = figure.interval.known
    return {
        "value": figure.value if figure.value == figure.value else None,
        "low": figure.interval.low if known else None,
        "high": figure.interval.high if known else None,
        "n": figure.n,
        "method": figure.method,
    }


def _humans(humans: Humans) -> dict[str, Any]:
    figures = {name: estimate_form(getattr(humans, name)) for name in ("agreement", "alpha", "kappa")}
    return {"authors": list(humans.authors), "items": humans.items, **figures}


def _said(one: Disagreement) -> Mapping[str, Any]:
    return {
        "people": one.people,
        "judge": one.judge,
        "critique": one.critique,
        "distance": one.distance,
        "unanimity": one.unanimity,
    }
