"""What came of comparing two programs answer by answer: who wins, and what the judge is biased by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from outlast.data.jsonform import json_form
from outlast.evals import wording
from outlast.evals.judging.alignment import estimate_form
from outlast.evals.judging.length import LengthBias
from outlast.evals.judging.pair import Better
from outlast.evals.judging.rubric import Rubric
from outlast.evals.row import RowError
from outlast.evals.statistics.clusters import clustered_mean
from outlast.evals.statistics.intervals import estimate_mean
from outlast.evals.statistics.values import Estimate
from outlast.messages import Spending

if TYPE_CHECKING:
    from rich.console import RenderableType

Winner = Literal["a", "b", "tie"]
_CHOSEN: Mapping[tuple[Better, Better], Winner] = {("first", "second"): "a", ("second", "first"): "b"}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one task, and what the judge says of them in either order.

    `forward` is the verdict with `a` first, `backward` that with `b` first, None where the reply could not be read or
    the model failed (`error`), and for answers that are the same, which nobody is asked about; `critiques` go with it.
    `example` is what pairs have in common that are answers to one example.
    """

    id: str
    given: Mapping[str, Any]
    a: Mapping[str, Any]
    b: Mapping[str, Any]
    forward: Better | None = None
    backward: Better | None = None
    critiques: tuple[str, str] = ("", "")
    error: RowError | None = None
    example: str = ""

    @property
    def same(self) -> bool:
        """Whether both answers are the same."""
        return self.a == self.b

    @property
    def asked(self) -> bool:
        """Whether there is a verdict in both orders."""
        return self.forward is not None and self.backward is not None

    @property
    def winner(self) -> Winner | None:
        """The answer that wins in both orders; "tie" when the orders disagree, None when one of them has no verdict."""
        if self.same:
            return "tie"
        if self.forward is None or self.backward is None:
            return None
        return _CHOSEN.get((self.forward, self.backward), "tie")

    @property
    def consistent(self) -> bool:
        """Whether both orders mean the same."""
        return (self.forward, self.backward) in (*_CHOSEN, ("tie", "tie"))


@dataclass(frozen=True, eq=False, repr=False)
class Pairwise:
    """Which of two programs answers better, on pairs judged in both orders.

    `win_rate` is the share of pairs that `b` wins, ties half. What the judge is biased by: `consistency` is the share
    of pairs on which both orders mean the same, `first_slot` how often the first of the two is preferred where one is
    (0.5 when the place plays no part), `length` how winning goes with length. Every figure has its interval; examples
    are the unit, so that epochs of one are a cluster. `unscored` and `errors` count pairs without a verdict,
    `unmatched` answers without a partner.
    """

    name: str
    rubric: Rubric
    judged_by: str
    pairs: tuple[Pair, ...]
    unmatched: int
    level: float
    length: LengthBias
    spending: Spending

    @cached_property
    def judged(self) -> Sequence[Pair]:
        """The pairs that have a verdict."""
        return [pair for pair in self.pairs if pair.winner is not None]

    @cached_property
    def counts(self) -> dict[Winner, int]:
        """How many pairs each wins, and how many are ties."""
        found = Counter(pair.winner for pair in self.pairs)
        return {"a": found["a"], "b": found["b"], "tie": found["tie"]}

    @cached_property
    def win_rate(self) -> Estimate:
        """The share of pairs that `b` wins, ties half."""
        return self._mean(self.judged, won_by_b)

    @cached_property
    def consistency(self) -> Estimate:
        """The share of pairs on which both orders mean the same."""
        return self._mean([pair for pair in self.pairs if pair.asked], lambda pair: float(pair.consistent))

    @cached_property
    def first_slot(self) -> Estimate:
        """How often the first place is preferred where one is; both verdicts of a pair are one cluster."""
        found = [
            (pair.example or pair.id, float(verdict == "first"))
            for pair in self.pairs
            for verdict in (pair.forward, pair.backward)
            if pair.asked and verdict != "tie"
        ]
        if not found:
            return estimate_mean([], self.level)
        return clustered_mean([value for _, value in found], [key for key, _ in found], self.level)

    def _mean(self, pairs: Sequence[Pair], value: Callable[[Pair], float]) -> Estimate:
        if not pairs:
            return estimate_mean([], self.level)
        return clustered_mean([value(pair) for pair in pairs], [pair.example or pair.id for pair in pairs], self.level)

    @property
    def unscored(self) -> int:
        """Pairs for which the judge gave no verdict in one of the orders."""
        return sum(pair.winner is None and pair.error is None for pair in self.pairs)

    @property
    def errors(self) -> int:
        """Pairs that ended in an error of the judge's model."""
        return sum(pair.error is not None for pair in self.pairs)

    @property
    def verdict(self) -> Literal["b is better", "a is better", "inconclusive"]:
        """What the win rate says, at this level of confidence."""
        interval = self.win_rate.interval
        return "b is better" if interval.low > 0.5 else "a is better" if interval.high < 0.5 else "inconclusive"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What speaks against the judge, in words."""
        found: list[str] = []
        slot, slope = self.first_slot, self.length.slope
        if slot.n and 0.5 not in slot.interval:
            place = "first" if slot.value > 0.5 else "second"
            found.append(f"the judge prefers the {place} place: {_told(slot)} of its verdicts are for the first")
        if self.consistency.n and self.consistency.value < 0.8:
            found.append(f"only {wording.number(self.consistency.value, True)} of pairs get one verdict in both orders")
        if slope.n and slope.interval.known and 0 not in slope.interval:
            kind = "longer" if slope.value > 0 else "shorter"
            found.append(f"{kind} answers win: the longer one in {_told(self.length.longer_wins)} of pairs")
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON-ready data."""
        names = ("name", "judged_by", "unmatched", "level", "counts", "unscored", "errors", "verdict", "warnings")
        figures = {name: estimate_form(getattr(self, name)) for name in ("win_rate", "consistency", "first_slot")}
        figures |= {name: estimate_form(getattr(self.length, name)) for name in ("longer_wins", "slope")}
        pairs = [
            {
                "id": pair.id,
                "given": pair.given,
                "a": pair.a,
                "b": pair.b,
                "winner": pair.winner,
                "forward": pair.forward,
                "backward": pair.backward,
                "critiques": pair.critiques,
                "error": None if pair.error is None else str(pair.error),
            }
            for pair in self.pairs
        ]
        plain = {name: getattr(self, name) for name in names}
        form = {**plain, **figures, "rubric": self.rubric.to_json(), "rubric_version": self.rubric.version}
        return json_form({**form, "spending": self.spending.to_json(), "pairs": pairs}, lenient=True)

    def print_table(self, *, limit: int = 10, file: Any = None) -> None:
        """Print the result, the figures on bias, and pairs on which the orders disagree."""
        from rich.console import Console

        from outlast.evals.judging.tables import pairwise

        Console(file=file).print(pairwise(self, limit))

    def __repr__(self) -> str:
        counts = self.counts
        left = {"unscored": self.unscored, "errors": self.errors, "unmatched": self.unmatched}
        told = "".join(f"; {name}: {count}" for name, count in left.items() if count)
        warned = "".join(f". {text[0].upper()}{text[1:]}" for text in self.warnings)
        return (
            f"{self.name}: b wins {_told(self.win_rate)} of {_pairs(self.win_rate.n)} ({counts['b']} won, "
            f"{counts['a']} lost, {counts['tie']} ties, counted half): {self.verdict}{told}{warned}"
        )

    def __rich__(self) -> RenderableType:
        from rich.text import Text

        return Text(repr(self))


def won_by_b(pair: Pair) -> float:
    """1 when `b` wins, 0 when `a` does, 0.5 for a tie."""
    return {"a": 0.0, "b": 1.0}.get(pair.winner or "tie", 0.5)


def _pairs(count: int) -> str:
    return f"{count} pair{'s' * (count != 1)}"


def _told(figure: Estimate) -> str:
    if not figure.n or not figure.interval.known:
        return wording.number(figure.value, True)
    return f"{wording.number(figure.value, True)} ({wording.span(figure.interval, True)})"
