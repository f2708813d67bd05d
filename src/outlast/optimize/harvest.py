"""Demonstrations out of everything that a search has paid for: labels, and answers of its own that the metric accepted.

Harvesting costs no call. Source: Wan et al. 2024 (arXiv 2406.15708): examples taken from a program's own evaluation
traces, chosen by simple search, gain more than most rewriting of instructions.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from outlast.adapters.protocol import Demo
from outlast.data.example import Example, id_of, inputs_of, targets_of
from outlast.lms.baseline.text import Index, clip, count_tokens, terms
from outlast.modules.paths import predictors_of
from outlast.optimize.demos import demos_from_steps, example_of, labeled_demos, source_of
from outlast.optimize.race import shrunken_gain

if TYPE_CHECKING:
    from outlast.modules.module import Module
    from outlast.optimize.candidate import Candidate, Outcome
    from outlast.optimize.study import Study

MOST = 1000  # examples that are compared with each other
_PRIOR = 0.1  # share of labels that are wrong in data of unknown quality
_NEIGHBOURS = 7
_UNITED = 0.92  # how often neighbours are right that nearly all say the same
_ENOUGH = 5  # selection examples that a candidate ran on before it tells of its demonstrations
_LONGEST_LABEL = 80  # characters of a target that counts as one of a few


@dataclass(frozen=True, slots=True)
class Row:
    """One training example as it may be shown: from its label, or as a rollout answered it.

    `outcome` is that rollout; with it every predictor that took part has a demonstration, without it those that the
    label fits. `doubt` is the probability that the label is wrong, `label` the group for balance, "" for free text.
    """

    place: int
    example: str
    outcome: Outcome | None = None
    doubt: float = 0.0
    label: str = ""


@dataclass(frozen=True, slots=True)
class Shelf:
    """What could be shown, in the order of the training data.

    `similar[i]` compares the example of `rows[i]` with that of each row. `labels` are the demonstrations that labels
    give, by path and example.
    """

    rows: tuple[Row, ...]
    similar: Sequence[Sequence[float]]
    labels: Mapping[str, Mapping[str, Demo]] = field(default_factory=dict[str, Mapping[str, Demo]])

    @property
    def trusted(self) -> list[int]:
        """Places of rows that are more likely right than wrong; of all when there are none."""
        found = [place for place, row in enumerate(self.rows) if row.doubt <= 0.5]
        return found or list(range(len(self.rows)))

    @property
    def worth(self) -> list[float]:
        """The trust in each row, 0..1."""
        return [1.0 - row.doubt for row in self.rows]

    @property
    def groups(self) -> list[str] | None:
        """The labels, None when they tell nothing (free text, or all different)."""
        names = [row.label for row in self.rows]
        return names if 1 < len(set(names)) <= max(2, len(names) // 2) else None

    def is_labelled(self, row: Row) -> bool:
        """Whether its label alone gives a demonstration."""
        return any(row.example in demos for demos in self.labels.values())


def harvest(study: Study, *, threshold: float | None = None) -> Shelf:
    """All training examples that could be shown, one row each, with what the rollouts paid so far say of them.

    A row is a rollout's own answer where one scored `threshold` (None: the full score) or more and was not shown its
    own example, of the candidate that stands best; else the label. Selection and confirmation examples never become
    demonstrations. At most 1,000 examples, drawn by the study's seed, take part. Cost: no call; once a study up to a
    second of CPU.
    """
    enough = study.full if threshold is None else threshold
    known = study.derived.get("shelf")
    if known is None or known[:2] != (study.rollouts, enough):
        known = study.derived["shelf"] = (study.rollouts, enough, _shelf(study, enough))
    return known[2]


def _shelf(study: Study, enough: float) -> Shelf:
    data = _data(study)
    found = _rollouts(study)
    rows: list[Row] = []
    for place, example in enumerate(data.examples):
        key = id_of(example)
        witnesses = [(outcome, (outcome.value or 0.0) >= enough, right) for outcome, right in found.get(key, ())]
        own = next((outcome for outcome, passed, _ in witnesses if passed), None)
        if own is not None or any(key in demos for demos in data.labels.values()):
            sure = doubt([(passed, right) for _, passed, right in witnesses], data.votes.get(place))
            rows.append(Row(place, key, own, sure, data.targets[place]))
    similar = data.similar
    if len(rows) < len(data.examples):
        kept = [row.place for row in rows]
        similar = [[data.similar[i][j] for j in kept] for i in kept]
    return Shelf(tuple(rows), similar, data.labels)


def doubt(rollouts: Sequence[tuple[bool, float]], neighbours: tuple[bool, float] | None = None) -> float:
    """The probability that a label is wrong, given who agrees with it: (agrees, how often such a witness is right).

    Witnesses are rollouts (did the metric accept the answer; the accuracy of its candidate) and the vote of the
    example's neighbours. Independent given the label, except rollouts, whose evidence counts with the square root of
    their number, as they share a model. Source: observers with error rates, Dawid and Skene 1979; labels against
    neighbours, Wilson 1972; against models, Northcutt et al. 2021 (confident learning, arXiv 1911.00068).
    """
    total = math.log(_PRIOR / (1 - _PRIOR))
    if rollouts:
        total += math.fsum(_evidence(*one) for one in rollouts) / math.sqrt(len(rollouts))
    if neighbours is not None:
        total += _evidence(*neighbours)
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


def _evidence(agrees: bool, accuracy: float) -> float:
    """Log odds for a wrong label: whoever is right disagrees with it."""
    right = min(0.95, max(0.3, accuracy))
    wrong = 0.05 + 0.5 * (1 - right)  # agrees with a wrong label: by the same mistake
    return math.log(wrong / right) if agrees else math.log((1 - wrong) / (1 - right))


@dataclass(frozen=True, slots=True)
class _Data:
    examples: tuple[Example, ...]
    targets: tuple[str, ...]
    index: Index
    similar: list[list[float]]
    labels: Mapping[str, Mapping[str, Demo]]
    votes: Mapping[int, tuple[bool, float]]
    rows: dict[str, list[float]]  # `similar` by example, and those of other examples that were asked for


def _data(study: Study) -> _Data:
    """The training examples compared with each other, once a study."""
    known = study.derived.get("harvest")
    if isinstance(known, _Data):
        return known
    order = list(range(len(study.train)))
    if len(order) > MOST:
        order = sorted(study.rng("harvest").sample(order, MOST))
    examples = tuple(study.train[place] for place in order)
    labels = {
        path: {example_of(demo): demo for demo in demos}
        for path, demos in labeled_demos(study.program, study.train).items()
    }
    read = [terms(clip(text_of(example))) for example in examples]
    index = Index(read)
    similar = [index.similarities(one) for one in read]
    targets = tuple(map(label_of, examples))
    rows = {id_of(example): row for example, row in zip(examples, similar, strict=True)}
    made = _Data(examples, targets, index, similar, labels, neighbours(similar, targets), rows)
    study.derived["harvest"] = made
    return made


def likeness_to(study: Study, shelf: Shelf, example: Example) -> list[float]:
    """How alike an example of any part is to that of each row of the shelf."""
    data, key = _data(study), id_of(example)
    row = data.rows.get(key)
    if row is None:
        row = data.rows[key] = data.index.similarities(terms(clip(text_of(example))))
    return [row[one.place] for one in shelf.rows]


def text_of(example: Example) -> str:
    """The inputs of an example as one text."""
    return "\n".join(str(value) for value in inputs_of(example).values())


def label_of(example: Example) -> str:
    """The targets of an example when they are short enough to be one of a few, else ""."""
    text = " / ".join(str(value) for value in targets_of(example).values())
    return text if len(text) <= _LONGEST_LABEL else ""


def _rollouts(study: Study) -> dict[str, list[tuple[Outcome, float]]]:
    """By training example: rollouts, each with how often its candidate is right; those of the best candidate first.

    Left out are those whose candidate was shown the example: it says again what it read.
    """
    training = {id_of(example) for example in study.train}
    some = [one for one in study.outcomes if one.example in training and one.value is not None]
    ran = [candidate for key, candidate in study.candidates.items() if key in {one.candidate for one in some}]
    right = {candidate.id: _standing(study, candidate) for candidate in ran}
    shown = {candidate.id: shown_by(study, candidate) for candidate in ran}
    order = {candidate.id: number for number, candidate in enumerate(ran)}
    some.sort(key=lambda one: (-right[one.candidate], order[one.candidate], one.sample))
    found: dict[str, list[tuple[Outcome, float]]] = {}
    for one in some:
        if one.example not in shown[one.candidate]:
            found.setdefault(one.example, []).append((one, right[one.candidate]))
    return found


def _standing(study: Study, candidate: Candidate) -> float:
    """How often a candidate is right, as far as is known, shrunk towards a half."""
    values = [*study.tally(candidate).values.values(), *study.tally(candidate, "train").values.values()]
    return (math.fsum(values) + 2.0) / (len(values) + 4.0)


def shown_by(study: Study, candidate: Candidate) -> frozenset[str]:
    """The ids of the examples that a candidate shows."""
    known: dict[str, frozenset[str]] = study.derived.setdefault("shown", {})
    found = known.get(candidate.id)
    if found is None:
        found = known[candidate.id] = shown_examples(study.build(candidate))
    return found


def shown_examples(program: Module) -> frozenset[str]:
    """The ids of the examples that a program shows."""
    return frozenset(example_of(demo) for part in predictors_of(program).values() for demo in part.demos) - {""}


def neighbours(similar: Sequence[Sequence[float]], labels: Sequence[str]) -> dict[int, tuple[bool, float]]:
    """Whether the nearest other examples agree with the label of each place, and how often such a vote is right.

    A vote of nearly all against a label counts for more than the usual. Empty when neighbours share no labels here, as
    where every example has another one.
    """
    agreed: dict[int, bool] = {}
    united: set[int] = set()
    for place, row in enumerate(similar):
        near = heapq.nlargest(_NEIGHBOURS + 1, range(len(row)), key=row.__getitem__)
        votes: dict[str, float] = {}
        for other in [one for one in near if one != place][:_NEIGHBOURS]:
            votes[labels[other]] = votes.get(labels[other], 0.0) + row[other] ** 2
        total = sum(votes.values())
        if total > 0:
            own, most = votes.get(labels[place], 0.0), max(votes.values())
            agreed[place] = own >= 0.5 * most
            if own < 0.15 * total and most > 0.6 * total:
                united.add(place)
    accuracy = sum(agreed.values()) / len(agreed) if agreed else 0.0
    if accuracy < 0.5 or len(set(labels)) < 2:
        return {}
    return {place: (agrees, max(accuracy, _UNITED if place in united else 0.0)) for place, agrees in agreed.items()}


def shown_as(study: Study, shelf: Shelf, places: Iterable[int]) -> dict[str, list[Demo]]:
    """The demonstrations of some rows, by the path of the predictor. Reads the traces of those rows only."""
    found: dict[str, list[Demo]] = {}
    for place in places:
        for path, demo in demos_of(study, shelf, shelf.rows[place]).items():
            found.setdefault(path, []).append(demo)
    return found


def demos_of(study: Study, shelf: Shelf, row: Row) -> dict[str, Demo]:
    """The demonstrations of one row: its rollout's steps, and the label where a predictor did not take part."""
    found = {path: demos[row.example] for path, demos in shelf.labels.items() if row.example in demos}
    if row.outcome is not None:
        rng = study.rng(f"steps of {row.example}")
        found |= demos_from_steps(study.steps(row.outcome), source_of(row.outcome), rng)
    return found


def within(demos: Mapping[str, Sequence[Demo]], most: int) -> dict[str, list[Demo]]:
    """The first demonstrations of each predictor that together have at most `most` tokens; one at least."""
    found: dict[str, list[Demo]] = {}
    for path, some in demos.items():
        total, kept = 0, list[Demo]()
        for demo in some:
            total += sum(count_tokens(str(value)) + 4 for value in demo.values.values())
            if kept and total > most:
                break
            kept.append(demo)
        found[path] = kept
    return found


def influences(study: Study) -> dict[str, float]:
    """By example: what candidates that show it gain over the start more than those that do not, shrunk towards 0.

    From selection scores known so far; random sets of demonstrations make the difference an estimate of its effect.
    Source: Nguyen and Wong 2023 (arXiv 2302.11042). Cost: no call.
    """
    base = study.tally(study.start).values
    every = list(base.values())
    pooled = math.fsum(every) / len(every) if every else 0.0
    gains: list[tuple[frozenset[str], float]] = []
    for candidate in study.candidates.values():
        tally = study.tally(candidate)
        if len(tally.values) >= _ENOUGH and (shown := shown_by(study, candidate)):
            gains.append((shown, shrunken_gain(tally, base, pooled)))
    total = math.fsum(gain for _, gain in gains)
    found: dict[str, float] = {}
    for example in sorted({one for shown, _ in gains for one in shown}):
        having = [gain for shown, gain in gains if example in shown]
        rest = len(gains) - len(having)
        if rest:
            inside = math.fsum(having)
            apart = inside / len(having) - (total - inside) / rest
            found[example] = apart * len(having) / (len(having) + 3)
    return found
