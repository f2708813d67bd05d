"""What people say of an item together, and how far they agree with each other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outlast.evals.judging.label import Item
from outlast.evals.judging.labels import Labels
from outlast.evals.judging.rubric import Rubric, Verdict
from outlast.evals.statistics.agreement import cohen_kappa
from outlast.evals.statistics.alpha import krippendorff_alpha
from outlast.evals.statistics.clusters import clustered_mean
from outlast.evals.statistics.values import Estimate, unknown


@dataclass(frozen=True, slots=True)
class Truth:
    """What people say of an item: the `level` that counts, its `score` from 0 to 1 (the mean of theirs), each one's
    verdict by author, and the share of them who gave the level that counts."""

    item: Item
    level: Any
    score: float
    verdicts: Mapping[str, Verdict]
    unanimity: float


def truths(labels: Labels, rubric: Rubric) -> tuple[list[Truth], int]:
    """The truth of each labelled item, and how many items people are evenly divided on.

    Of pass and fail the majority counts; on a scale the level nearest to the mean, the lower one of two.
    """
    current = labels.of(rubric)
    by_item = current.by_item(rubric)
    found: list[Truth] = []
    divided = 0
    for item in current.items:
        verdicts = by_item[item.id]
        level = consensus(list(verdicts.values()), rubric)
        if level is None:
            divided += 1
            continue
        score = math.fsum(rubric.score(verdict) for verdict in verdicts.values()) / len(verdicts)
        same = sum(rubric.nearest(verdict) == level for verdict in verdicts.values()) / len(verdicts)
        found.append(Truth(item, level, score, verdicts, same))
    return found, divided


def consensus(verdicts: Sequence[Verdict], rubric: Rubric) -> Any:
    """The level that several verdicts mean together; None when passes and fails are as many."""
    if rubric.binary:
        (first, most), *rest = Counter(verdicts).most_common()
        return None if rest and rest[0][1] == most else first
    return level_at(math.fsum(map(rubric.score, verdicts)) / len(verdicts), rubric)


def level_at(score: float, rubric: Rubric) -> Any:
    """The level nearest to a score from 0 to 1, the lower one of two."""
    levels = rubric.levels
    place = score * (len(levels) - 1)
    return levels[math.ceil(round(place, 9) - 0.5)]


@dataclass(frozen=True, slots=True)
class Humans:
    """How far people agree with each other: the most that can be asked of a judge.

    `agreement` is how often one of them says what the others say together (each left out in turn; where the others are
    evenly divided it does not count), with items as clusters. `alpha` is Krippendorff's (nominal for pass and fail, by
    squared distance on a scale), `kappa` Cohen's, where just two people labelled. `items` had more than one label.
    """

    authors: tuple[str, ...]
    items: int
    agreement: Estimate
    alpha: Estimate
    kappa: Estimate | None


def humans_of(labels: Labels, rubric: Rubric, level: float) -> Humans | None:
    """Agreement between people on the items that several of them labelled; None when there are none."""
    by_item = {key: said for key, said in labels.by_item(rubric).items() if len(said) > 1}
    if not by_item:
        return None
    authors = tuple(dict.fromkeys(author for said in by_item.values() for author in said))
    found = [(key, same) for key, said in by_item.items() for same in _left_out(list(said.values()), rubric)]
    if rubric.binary:
        alpha = krippendorff_alpha([list(said.values()) for said in by_item.values()], "nominal", level)
    else:
        numbers = [[rubric.score(verdict) for verdict in said.values()] for said in by_item.values()]
        alpha = krippendorff_alpha(numbers, "interval", level)
    return Humans(authors, len(by_item), _clustered(found, level), alpha, _kappa(by_item, authors, rubric, level))


def _clustered(found: Sequence[tuple[str, float]], level: float) -> Estimate:
    if not found:
        return Estimate(math.nan, unknown(level), 0, "unknown")
    return clustered_mean([same for _, same in found], [key for key, _ in found], level)


def _left_out(verdicts: list[Verdict], rubric: Rubric) -> list[float]:
    """Whether each says what the others say together, where these say anything."""
    found: list[float] = []
    for place, verdict in enumerate(verdicts):
        others = consensus([*verdicts[:place], *verdicts[place + 1 :]], rubric)
        if others is not None:
            found.append(float(rubric.nearest(verdict) == others))
    return found


def _kappa(
    by_item: Mapping[str, Mapping[str, Verdict]], authors: tuple[str, ...], rubric: Rubric, level: float
) -> Estimate | None:
    if len(authors) != 2:
        return None
    first, second = ([rubric.nearest(said[author]) for said in by_item.values()] for author in authors)
    return cohen_kappa(first, second, level, labels=rubric.levels)
