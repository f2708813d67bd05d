"""What comparing evaluations gives: a value that says what changed, decides, and writes itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from outlast.data.files import write_lines
from outlast.errors import DataError, UsageError, brief, did_you_mean
from outlast.evals import wording
from outlast.evals.comparing.gate import Gate, Word, decide, difference_gate, word_for
from outlast.evals.comparing.pairing import Flip, Pairs, difference_of
from outlast.evals.comparing.slices import CORRECTIONS, Correction, SliceChange
from outlast.evals.evaluation import Evaluation
from outlast.evals.policy import OnError
from outlast.evals.statistics import Interval, Paired, minimum_detectable_difference, t_quantile
from outlast.evals.statistics.quantiles import two_sided_t

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What evaluation `b` (after) changed against `a` (before), on the examples that both scored.

    The unit is the example. `paired.difference` is the mean of b minus a, with its interval; `p` is that of the paired
    test, corrected when b is one of `family` candidates. `slices` is what changed by each field of `by`. `unmatched`
    holds the ids that only one of the two ran.
    """

    a: Evaluation
    b: Evaluation
    paired: Paired
    pairs: Pairs
    p: float
    level: float
    min_delta: float
    on_error: OnError
    correction: Correction
    seed: int
    part: str | None = None
    slices: tuple[SliceChange, ...] = ()
    family: int = 1

    # What changed

    @property
    def verdict(self) -> Word:
        """What can be said, at this level of confidence.

        "better": the interval lies above 0 and p <= 1 - level. "worse": it lies below 0 and p <= 1 - level.
        "no worse": the interval lies above `min_delta`, when that is a loss (below 0). Else "inconclusive".
        """
        return word_for(self.paired.interval, self.p, self.level, self.min_delta)

    def gate(self, min_delta: float | None = None) -> Gate:
        """Whether b may replace a: PASS, FAIL or INCONCLUSIVE; `min_delta` is that of the comparison when None.

        PASS: the whole interval of the change lies above `min_delta`; FAIL: the whole interval lies below;
        INCONCLUSIVE: it holds `min_delta`. Below 0 `min_delta` is the loss that is tolerated, above 0 the gain that is
        demanded. Where a decision says that b is better (PASS at 0 or more) or worse (FAIL at 0 or less) the test must
        say so too, p <= 1 - level. With several candidates p is corrected, and the interval is widened to
        1 - (1 - level) / number (Bonferroni), unless correction="none". INCONCLUSIVE in place of PASS when a run
        stopped early or more than 5 % of the examples have no pair of scores.
        """
        limit = self.min_delta if min_delta is None else checked_delta(min_delta)
        interval = self._gate_interval()
        gate = difference_gate(
            interval,
            self.p,
            limit,
            level=self.level,
            shown=f"{self._change(interval)} on {self.n}",
            share=self.is_share,
            runs=(self.a, self.b),
            left_out=self.pairs.left_out,
        )
        undecided = decide(interval, self.p, limit, self.level) == "INCONCLUSIVE"  # and not for what was left out
        if not undecided or not math.isfinite(seen := self.mde()):
            return gate
        seen_text = wording.difference(seen, self.is_share).lstrip("+")
        more = f" This many examples find a true change of {seen_text} in 4 of 5 cases."
        return replace(gate, reason=gate.reason + more)

    def mde(self, power: float = 0.8) -> float:
        """The smallest true change that a comparison like this one, on as many examples, finds with this probability.

        In score, from how the differences (those of whole clusters where there are some) spread here; where too few
        scores changed to go by, for changes that all go one way. `inf` when no change could be found. An approximation;
        see `minimum_detectable_difference`.
        """
        clusters = len({pair.cluster for pair in self.pairs.pairs})
        if self.pairs.clustered and clusters < self.n:
            return _detectable_of_clusters(self.paired.interval, clusters, power)
        return _detectable([pair.change for pair in self.pairs.pairs], power, self.level)

    @property
    def n(self) -> int:
        """How many examples were compared."""
        return self.paired.n

    @property
    def a_mean(self) -> float:
        """The mean score before, over the examples compared."""
        return self._means[0]

    @property
    def b_mean(self) -> float:
        """The mean score after."""
        return self._means[1]

    @cached_property
    def flips(self) -> tuple[Flip, ...]:
        """The examples whose score changed, worst first."""
        return tuple(sorted((pair for pair in self.pairs.pairs if pair.change), key=lambda pair: pair.change))

    @property
    def unmatched(self) -> tuple[str, ...]:
        """The ids of examples that only one of the two ran."""
        return self.pairs.unmatched

    @cached_property
    def is_share(self) -> bool:
        """Whether all scores lie within 0..1."""
        return all(0 <= pair.a_score <= 1 and 0 <= pair.b_score <= 1 for pair in self.pairs.pairs)

    @cached_property
    def _means(self) -> tuple[float, float]:
        return self.pairs.means()

    # In words

    @property
    def method(self) -> str:
        """How the numbers were made: "Tango score interval, exact unconditional McNemar test"."""
        text = self.paired.method
        if epochs := max(self.a.about.epochs, self.b.about.epochs) - 1:
            text += f"; {self.a.about.reducer} of {epochs + 1} epochs of each example"
        if self.family > 1:
            text += f"; p of {self.family} candidates, {CORRECTIONS[self.correction]}"
        return text

    @property
    def headline(self) -> str:
        """One line: "61.0% -> 78.5% (+17.5, 95% CI 11.2..23.8, p<0.001) on 200: better; 40 up, 5 down"."""
        share, paired = self.is_share, self.paired
        part = "" if self.part is None else f"{self.part}: "
        means = f"{part}{wording.number(self.a_mean, share)} -> {wording.number(self.b_mean, share)}"
        line = f"{means} ({self._change(paired.interval)}) on {self.n}: {self.verdict}; "
        line += f"{paired.wins} up, {paired.losses} down"
        left = {
            "errors before": self.pairs.a_errors,
            "errors after": self.pairs.b_errors,
            "unscored": self.pairs.unscored,
            "unmatched": len(self.unmatched),
        }
        notes = ", ".join(f"{count} {name}" for name, count in left.items() if count)
        return f"{line} ({notes}; errors {self._errors_counted()})" if notes else line

    def _change(self, interval: Interval) -> str:
        share = self.is_share
        change, span = wording.difference(self.paired.difference, share), wording.span(interval, share)
        return f"{change}, {wording.level(interval.level)} CI {span}, {wording.p_text(self.p, interval.level)}"

    def _errors_counted(self) -> str:
        before, after = self.pairs.a_unanswered, self.pairs.b_unanswered
        if self.on_error not in ("exclude_all", "fail") and (before or after):
            return f"left out, but {before} before and {after} after that gave no usable answer count as 0"
        return "counted as 0" if self.on_error == "fail" else "left out"

    def print_table(self, *, limit: int = 10, file: Any = None) -> None:
        """Print the verdict, the slices, and the examples that changed, worst first."""
        from rich.console import Console

        from outlast.evals.reports.tables import comparison

        Console(file=file).print(comparison(self, limit))

    def to_json(self, *, limit: int = 10) -> dict[str, Any]:
        """JSON-ready, as `outlast compare --json` prints it, with the `limit` worst of the examples that changed."""
        from outlast.evals.totals import comparison_json

        return comparison_json(self, limit)

    def to_markdown(self, gates: Sequence[Gate] = (), *, limit: int = 10) -> str:
        """The comparison, with these gates, for the summary of a CI run; what models wrote cannot be markup in it."""
        from outlast.evals.reports.markdown import comparison_markdown

        return comparison_markdown(self, gates, limit=limit)

    def to_junit(self, path: str | Path | IO[str], gates: Sequence[Gate] = ()) -> None:
        """Write JUnit XML: each example a test case, a failure when its score fell; each gate one more."""
        from outlast.evals.reports.junit import comparison_xml

        write_lines(path, comparison_xml(self, gates))

    def to_html(self, path: str | Path, *, limit: int = 500) -> None:
        """Write one page that needs nothing else: the verdict, a plot of the slices, and at most `limit` of the
        examples that changed, worst first, with both answers side by side. No script, no request."""
        from outlast.evals.reports.comparison_page import comparison_page

        write_lines(path, comparison_page(self, limit).split("\n"))

    def _gate_interval(self) -> Interval:
        if self.family == 1 or self.correction == "none":
            return self.paired.interval
        return difference_of(self.pairs.pairs, 1 - (1 - self.level) / self.family, self.seed).interval

    def __repr__(self) -> str:
        return self.headline

    def __rich__(self) -> RenderableType:
        from rich.text import Text

        colours = {"better": "green", "no worse": "green", "worse": "red", "inconclusive": "yellow"}
        before, verdict, after = self.headline.partition(f": {self.verdict}; ")
        return Text.assemble(
            before, ": ", (self.verdict, f"bold {colours[self.verdict]}"), "; ", after if verdict else ""
        )


class Comparisons(Mapping[str, Comparison]):
    """Several candidates against one baseline: a comparison by name, with p values corrected for their number."""

    __slots__ = ("_by_name", "base")

    def __init__(self, base: Evaluation, by_name: Mapping[str, Comparison]) -> None:
        self.base = base
        self._by_name = dict(by_name)

    def __getitem__(self, name: str) -> Comparison:
        try:
            return self._by_name[name]
        except KeyError:
            near = did_you_mean(name, self._by_name) if isinstance(name, str) else ""
            raise DataError(f"no candidate {name!r}.{near} Candidates: {', '.join(self._by_name)}.") from None

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def best(self) -> str | None:
        """The name of the candidate with the largest gain among those that are better; None when none is proven so."""
        better = [name for name, one in self.items() if one.verdict == "better"]
        return max(better, key=lambda name: self[name].paired.difference, default=None)

    def gate(self, min_delta: float | None = None) -> dict[str, Gate]:
        """The gate of each candidate; see `Comparison.gate`."""
        return {name: one.gate(min_delta) for name, one in self.items()}

    def print_table(self, *, file: Any = None) -> None:
        """Print a line for each candidate."""
        from rich.console import Console

        from outlast.evals.reports.tables import comparisons

        Console(file=file).print(comparisons(self))

    def to_json(self, *, limit: int = 10) -> dict[str, Any]:
        """JSON-ready: each candidate as `Comparison.to_json` gives it, and the name of the best."""
        return {"candidates": {name: one.to_json(limit=limit) for name, one in self.items()}, "best": self.best}

    def to_markdown(self, gates: Sequence[Gate] = ()) -> str:
        """A line for each candidate, for the summary of a CI run."""
        from outlast.evals.reports.markdown import comparisons_markdown

        return comparisons_markdown(self, gates)

    def to_html(self, path: str | Path) -> None:
        """Write one page: the score of each run against its cost, and the change of each candidate with its verdict."""
        from outlast.evals.reports.comparison_page import comparisons_page

        write_lines(path, comparisons_page(self).split("\n"))

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {one.headline}" for name, one in self.items())


def checked_delta(value: Any) -> float:
    """The least change that a gate demands; raises `UsageError` for what is no difference in score."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(
            f"min_delta is a difference in score, such as -0.02 for two points of loss; got {brief(value)}"
        )
    return float(value)


def _detectable(changes: Sequence[float], power: float, level: float) -> float:
    n, changed = len(changes), sum(change != 0 for change in changes)
    if n < 2:
        return math.inf
    if not all(change in (-1.0, 0.0, 1.0) for change in changes):
        if not _can_tell(n, level):
            return math.inf
        mean = math.fsum(changes) / n
        squares = math.fsum((change - mean) ** 2 for change in changes)
        if max(changes) - min(changes) <= 1e-9 * max(map(abs, changes)):  # as `adjusted_t`: equal gains prove no more
            squares = 4 * mean * mean * (n + 1) / (n + 2)
        spread = math.sqrt(squares / (n - 1))
        return minimum_detectable_difference(n, sd=spread, power=power, level=level)

    def found(share: float) -> float:
        return minimum_detectable_difference(n, discordance=share, power=power, level=level)

    low, high = changed / n, 1.0
    if math.isfinite(seen := found(low)) or not math.isfinite(found(high)):
        return seen
    for _ in range(40):  # the least share of changes at which something could be found
        middle = (low + high) / 2
        low, high = (low, middle) if math.isfinite(found(middle)) else (middle, high)
    return found(high)


def _detectable_of_clusters(interval: Interval, clusters: int, power: float) -> float:
    """From the width of the interval, which holds how whole clusters spread."""
    if not interval.known or not _can_tell(clusters, interval.level):
        return math.inf
    usual = two_sided_t(interval.level, clusters - 1)
    return interval.width / 2 * (usual + t_quantile(power, clusters - 1)) / usual


def _can_tell(units: int, level: float) -> bool:
    """Whether the sign-flip test of so many units can be significant at all: its least p is that of equal signs."""
    return units > 1 and math.ldexp(1.0, 1 - units) <= 1 - level + 1e-12
