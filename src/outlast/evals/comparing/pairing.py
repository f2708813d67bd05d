"""Two evaluations side by side: the score of each example before and after, and what has no such pair."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from outlast.errors import DataError, did_you_mean
from outlast.evals.evaluation import Evaluation
from outlast.evals.item import Item
from outlast.evals.policy import OnError, counted
from outlast.evals.row import Row
from outlast.evals.statistics import Paired, paired_difference
from outlast.evals.statistics.values import mean_of


@dataclass(frozen=True, slots=True)
class Flip:
    """An example with its score before and after. `a` and `b` are a row of each run: of several epochs the worst."""

    id: str
    a_score: float
    b_score: float
    a: Row
    b: Row
    cluster: str = ""

    @property
    def change(self) -> float:
        """The score after minus the score before."""
        return self.b_score - self.a_score


@dataclass(frozen=True, slots=True)
class Pairs:
    """The examples that both runs scored, in the order of the first, and counts of the rest.

    `a_errors` and `b_errors` count runs that ended in an error, of which `a_unanswered` and `b_unanswered` gave no
    usable answer; which of them count as 0 and which are left out says `on_error`. `unscored` counts examples that
    either run could not score, `left_out` all that have no pair; `unmatched` holds the ids that only one run has.
    """

    pairs: tuple[Flip, ...]
    unmatched: tuple[str, ...]
    a_errors: int
    b_errors: int
    a_unanswered: int
    b_unanswered: int
    unscored: int
    left_out: int

    @property
    def clustered(self) -> bool:
        """Whether the examples come in groups that are not independent."""
        return bool(self.pairs and self.pairs[0].cluster)

    def means(self) -> tuple[float, float]:
        """The mean score before and after."""
        return mean_of([pair.a_score for pair in self.pairs]), mean_of([pair.b_score for pair in self.pairs])


def difference_of(pairs: Iterable[Flip], level: float, seed: int) -> Paired:
    """The paired difference over these pairs, whose unit is the cluster where they have one."""
    chosen = tuple(pairs)
    clusters = [pair.cluster for pair in chosen] if any(pair.cluster for pair in chosen) else None
    before, after = [pair.a_score for pair in chosen], [pair.b_score for pair in chosen]
    return paired_difference(before, after, level=level, seed=seed, clusters=clusters)


def pairs_of(a: Evaluation, b: Evaluation, on_error: OnError, part: str | None) -> Pairs:
    """The examples of two evaluations, aligned by id.

    Raises `DataError` for rows that were not kept, an id that comes twice, clusters that differ, a part that no row
    has, and when no example is scored in both.
    """
    items_a, items_b = _by_id(a.counting(on_error), "before"), _by_id(b.counting(on_error), "after")
    if part is not None:
        _check_part(part, a, b)
    unmatched = tuple(key for key in (*items_a, *items_b) if not (key in items_a and key in items_b))
    shared = [(item, items_b[key]) for key, item in items_a.items() if key in items_b]
    pairs: list[Flip] = []
    unscored = 0
    for one, other in shared:
        score_a, score_b = _score(one, on_error, part), _score(other, on_error, part)
        if score_a is not None and score_b is not None:
            pairs.append(Flip(one.id, score_a, score_b, one.worst, other.worst, _cluster(one, other)))
        else:
            unscored += "unscored" in (one.state, other.state)
    rows_a, rows_b = [row for one, _ in shared for row in one.rows], [row for _, one in shared for row in one.rows]
    a_errors, b_errors = (sum(row.state == "error" for row in rows) for rows in (rows_a, rows_b))
    if not pairs:
        raise DataError(
            f"no example is scored in both evaluations: {len(shared)} in both, {a_errors} errors before, "
            f"{b_errors} after, {unscored} unscored, {len(unmatched)} in one only"
        )
    return Pairs(
        tuple(pairs),
        unmatched,
        a_errors,
        b_errors,
        sum(not row.answered for row in rows_a),
        sum(not row.answered for row in rows_b),
        unscored,
        len(shared) - len(pairs) + len(unmatched),
    )


def _by_id(evaluation: Evaluation, which: str) -> dict[str, Item]:
    items: dict[str, Item] = {}
    for item in evaluation.items:
        if item.id in items:
            raise DataError(
                f"the evaluation {which} holds example {item.id[:12]!r} twice (rows {items[item.id].index} and "
                f"{item.index}), so it is not clear what to pair. Equal examples are no independent evidence: leave "
                f"repeats out of the data (Dataset does by itself), and run each example several times by epochs=."
            )
        items[item.id] = item
    return items


def _score(item: Item, on_error: OnError, part: str | None) -> float | None:
    """The score of an example; that of a part is the mean over its epochs."""
    if part is None:
        return item.score
    values = [counted(row, on_error) if row.state == "error" else row.parts.get(part) for row in item.rows]
    known = [value for value in values if value is not None]
    return mean_of(known) if known else None


def _cluster(one: Item, other: Item) -> str:
    if one.cluster and other.cluster and one.cluster != other.cluster:
        raise DataError(
            f"example {one.id[:12]!r} is in cluster {one.cluster!r} before and {other.cluster!r} after. Evaluate both "
            f"with one cluster=."
        )
    return one.cluster or other.cluster


def _check_part(part: str, *runs: Evaluation) -> None:
    for run in runs:
        names: dict[str, None] = {}
        for row in run.rows:
            names.update(dict.fromkeys(row.parts))
            if part in names:
                break
        else:
            listed = f" Parts: {', '.join(names)}." if names else " The scores have no parts."
            raise DataError(f"no row of an evaluation has a part {part!r}.{did_you_mean(part, names)}{listed}")
