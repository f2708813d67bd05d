"""Two evaluations of the same examples by the same metric: what changed, and whether it is more than
chance."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from outlast.errors import DataError, UsageError, brief
from outlast.evals import wording
from outlast.evals.evaluation import Evaluation
from outlast.evals.row import Row
from outlast.evals.statistics import Paired, paired_difference

if TYPE_CHECKING:
    from rich.console import RenderableType

Verdict = Literal["better", "no worse", "inconclusive", "worse"]
Errors = Literal["answers", "exclude", "fail"]
_KEY = tuple[str, int]  # example id, and the how-many-th example with this id


@dataclass(frozen=True, slots=True)
class Flip:
    """An example whose score changed."""

    id: str
    a_score: float
    b_score: float
    a: Row
    b: Row

    @property
    def change(self) -> float:
        """The score after minus the score before."""
        return self.b_score - self.a_score


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What evaluation `b` (after) changed against `a` (before), on the examples that both scored.

    `paired.difference` is the mean of b minus a, with its interval and the p-value of the paired test.
    `a_errors` and `b_errors` count all errors, of which `a_unanswered` and `b_unanswered` gave no usable answer; which
    of them count as 0 and which are left out says `errors` (see `compare`). `unscored` counts examples left out;
    `unmatched` holds ids that only one of the two ran.
    """

    a: Evaluation
    b: Evaluation
    paired: Paired
    a_mean: float
    b_mean: float
    flips: tuple[Flip, ...]
    unmatched: tuple[str, ...]
    a_errors: int
    b_errors: int
    a_unanswered: int
    b_unanswered: int
    unscored: int
    level: float
    margin: float
    errors: Errors

    @property
    def verdict(self) -> Verdict:
        """What can be said, at this level of confidence.

        "better": the interval lies above 0 and p <= 1 - level. "worse": it lies below 0 and p <= 1 - level.
        "no worse": the interval lies above -margin, when a margin was given. Else "inconclusive".
        """
        low, high, p = self.paired.interval.low, self.paired.interval.high, self.paired.p
        significant = p <= 1 - self.level + 1e-12
        if low > 0 and significant:
            return "better"
        if high < 0 and significant:
            return "worse"
        if self.margin > 0 and low > -self.margin:
            return "no worse"
        return "inconclusive"

    @property
    def n(self) -> int:
        """How many examples were compared."""
        return self.paired.n

    @property
    def is_share(self) -> bool:
        """Whether all scores lie within 0..1."""
        return self.a.is_share and self.b.is_share

    @property
    def headline(self) -> str:
        """One line: "61.0% -> 78.5% (+17.5, 95% CI 11.2..23.8, p<0.001) on 200: better; 40 up, 5 down"."""
        share, paired = self.is_share, self.paired
        means = f"{wording.number(self.a_mean, share)} -> {wording.number(self.b_mean, share)}"
        interval = f"{wording.level(self.level)} CI {wording.span(paired.interval, share)}"
        change = f"{wording.difference(paired.difference, share)}, {interval}, {wording.p_text(paired.p)}"
        line = f"{means} ({change}) on {self.n}: {self.verdict}; {paired.wins} up, {paired.losses} down"
        left = {
            "errors before": self.a_errors,
            "errors after": self.b_errors,
            "unscored": self.unscored,
            "unmatched": len(self.unmatched),
        }
        notes = ", ".join(f"{count} {name}" for name, count in left.items() if count)
        counted = "counted as 0" if self.errors == "fail" else "left out"
        if self.errors == "answers" and (self.a_unanswered or self.b_unanswered):
            missing = f"{self.a_unanswered} before and {self.b_unanswered} after"
            counted = f"left out, but {missing} that gave no usable answer count as 0"
        return f"{line} ({notes}; errors {counted})" if notes else line

    def print_table(self, *, limit: int = 10, file: Any = None) -> None:
        """Print the verdict and the rows that changed, worst first."""
        from rich.console import Console

        from outlast.evals.tables import comparison

        Console(file=file).print(comparison(self, limit))

    def __repr__(self) -> str:
        return self.headline

    def __rich__(self) -> RenderableType:
        from rich.text import Text

        colours = {"better": "green", "no worse": "green", "worse": "red", "inconclusive": "yellow"}
        before, verdict, after = self.headline.partition(f": {self.verdict}; ")
        return Text.assemble(
            before, ": ", (self.verdict, f"bold {colours[self.verdict]}"), "; ", after if verdict else ""
        )


def compare(
    a: Evaluation, b: Evaluation, *, level: float = 0.95, margin: float = 0.0, errors: Errors = "answers", seed: int = 0
) -> Comparison:
    """Compare `b` with `a`, example by example, aligned by example id.

    `level` is that of the interval and the test. `margin` is how much lower b may be and still count as "no
    worse". `errors`: "answers" counts a row that was not answered (`Row.answered`: the program failed on what the model
    said) as 0, as `compile` does, and leaves out examples with any other error in either; "exclude" leaves out all
    that either ended in an error, "fail" counts every error as 0. Examples unscored in either are always left out.
    `seed` is that of resampling, where the test uses it.

    Raises `DataError` when the metrics or the data differ, or when no example is scored in both. Cost: no LM
    call.
    """
    _check(a, b, level, margin, errors)
    rows_a, rows_b = _by_id(a), _by_id(b)
    shared = [key for key in rows_a if key in rows_b]
    unmatched = tuple(key[0] for key in (*rows_a, *rows_b) if not (key in rows_a and key in rows_b))
    pairs: list[Flip] = []
    a_errors = b_errors = a_unanswered = b_unanswered = unscored = 0
    for key in shared:
        row_a, row_b = rows_a[key], rows_b[key]
        a_errors += row_a.state == "error"
        b_errors += row_b.state == "error"
        a_unanswered += not row_a.answered
        b_unanswered += not row_b.answered
        if "unscored" in (row_a.state, row_b.state):
            unscored += 1
            continue
        score_a, score_b = _score(row_a, errors), _score(row_b, errors)
        if score_a is not None and score_b is not None:
            pairs.append(Flip(key[0], score_a, score_b, row_a, row_b))
    if not pairs:
        raise DataError(
            f"no example is scored in both evaluations: {len(shared)} in both, {a_errors} errors before, "
            f"{b_errors} after, {unscored} unscored, {len(unmatched)} in one only"
        )
    before, after = [pair.a_score for pair in pairs], [pair.b_score for pair in pairs]
    return Comparison(
        a,
        b,
        paired_difference(before, after, level=level, seed=seed),
        math.fsum(before) / len(before),
        math.fsum(after) / len(after),
        tuple(sorted((pair for pair in pairs if pair.change), key=lambda pair: pair.change)),
        unmatched,
        a_errors,
        b_errors,
        a_unanswered,
        b_unanswered,
        unscored,
        level,
        margin,
        errors,
    )


def _check(a: Any, b: Any, level: float, margin: float, errors: str) -> None:
    for value in (a, b):
        if not isinstance(value, Evaluation):
            raise UsageError(f"compare takes two Evaluations; got {brief(value)}")
    if not isinstance(level, int | float) or not 0 < level < 1:
        raise UsageError(f"level is a share between 0 and 1 such as 0.95; got {level!r}")
    if not isinstance(margin, int | float) or not 0 <= margin < math.inf:
        raise UsageError(f"margin is a number of at least 0; got {margin!r}")
    if errors not in ("answers", "exclude", "fail"):
        raise UsageError(
            f"errors is 'answers' (what was not answered counts as 0), 'exclude' or 'fail' (each error counts as 0); "
            f"got {errors!r}"
        )
    if a.metric == b.metric and a.about.judged_by != b.about.judged_by:
        raise DataError(
            f"the evaluations were judged by different models: {a.metric!r} asked {brief(a.about.judged_by)} and "
            f"{brief(b.about.judged_by)}, so a difference may be the judge's. Judge both with one model, "
            f"ol.Judge(..., lm=...)."
        )
    if a.about.metric_hash != b.about.metric_hash:
        raise DataError(
            f"the evaluations have different metrics: {a.metric!r} ({a.about.metric_hash[:8]}) and {b.metric!r} "
            f"({b.about.metric_hash[:8]}). Score both with one metric."
        )
    if a.data_hash and b.data_hash and a.data_hash != b.data_hash:
        raise DataError(
            f"the evaluations ran on different data ({a.data_hash[:8]}, {a.about.total} examples; {b.data_hash[:8]}, "
            f"{b.about.total} examples). Run both on the same data set."
        )


def _by_id(evaluation: Evaluation) -> dict[_KEY, Row]:
    if not evaluation.kept:
        where = f"; read them with Evaluation.from_jsonl({evaluation.saved!r})" if evaluation.saved else ""
        raise DataError(f"compare needs the rows, which were not kept (keep='rows' keeps them){where}")
    seen: Counter[str] = Counter()
    rows: dict[_KEY, Row] = {}
    for row in evaluation.rows:
        rows[row.id, seen[row.id]] = row
        seen[row.id] += 1
    return rows


def _score(row: Row, errors: Errors) -> float | None:
    if row.state == "error":
        return 0.0 if errors == "fail" or (errors == "answers" and not row.answered) else None
    return row.score
