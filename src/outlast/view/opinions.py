"""What people and judges say of the same traces, measured by the statistics of `outlast.evals`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import combinations
from statistics import median
from typing import TYPE_CHECKING

from outlast.tracing.record import LabelRecord
from outlast.tracing.verdicts import JUDGES, PEOPLE, Both, beside_people, verdict_of

if TYPE_CHECKING:
    from outlast.evals.judging.labels import Labels
    from outlast.evals.judging.rubric import Rubric
    from outlast.evals.judging.truth import Humans
    from outlast.evals.statistics import Confusion, Estimate
    from outlast.tracing.judged import JudgedRun

LEVEL = 0.95
FEW = 10  # labels of a kind from which on a rate says something
TARGET, FLOOR = 0.9, 0.8  # of TPR and TNR, as `ol.align` has them


@dataclass(frozen=True, slots=True)
class Person:
    """One annotator: how much they labelled, how much of it passed, and how long a verdict took them."""

    author: str
    n: int
    passed: Estimate
    deferred: int
    seconds: float
    typical: float | None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two annotators on what both labelled: how often they say the same, and beyond chance."""

    first: str
    second: str
    same: Estimate
    kappa: Estimate


@dataclass(frozen=True, slots=True)
class Split:
    """A trace of which people say different things, with the label of each."""

    trace_id: str
    labels: tuple[LabelRecord, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the people who labelled agree; `humans` is None where no trace has two labels."""

    people: tuple[Person, ...]
    pairs: tuple[Pair, ...]
    humans: Humans | None
    splits: tuple[Split, ...]
    labelled: int


@dataclass(frozen=True, slots=True)
class Judged:
    """One version of a judge against people: `n` traces on which people agree on a verdict, `divided` on which not.

    `missed` are the disagreements: (trace, what people say, the judge's label), those that most people see otherwise
    first.
    """

    name: str
    author: str
    version: str
    source: str
    labels: int
    n: int
    divided: int
    stale: int
    tpr: Estimate
    tnr: Estimate
    equal: Estimate
    kappa: Estimate
    table: Confusion | None
    missed: tuple[tuple[Both, str], ...]
    first: float
    last: float

    @property
    def title(self) -> str:
        """The judge and its version."""
        who = self.author or self.name
        return f"{who} {self.version}" if self.version and not who.endswith(self.version) else who

    @property
    def standing(self) -> str:
        """ "aligned", "usable" or "weak" by the lower of both rates; "too few" with fewer than 10 labels of a kind."""
        if min(self.tpr.n, self.tnr.n) < FEW:
            return "too few"
        worst = min(self.tpr.value, self.tnr.value)
        return "aligned" if worst >= TARGET else "usable" if worst >= FLOOR else "weak"


def _rubric(name: str) -> Rubric:
    from outlast.evals.judging.rubric import Rubric

    return Rubric(name or "label", "As people labelled it in the page.")


def as_labels(records: Iterable[LabelRecord], name: str) -> Labels:
    """Verdicts of the store as labels of `outlast.evals`; what is neither pass nor fail is left out."""
    from outlast.evals.judging.labels import Item, Label, Labels

    rubric = _rubric(name)
    found: list[Label] = []
    for one in records:
        said = verdict_of(one.value)
        if said is not None and not one.span_id:
            at = datetime.fromtimestamp(one.created, UTC)
            found.append(Label(Item({"trace": one.trace_id}), said, rubric=rubric, author=one.author, time=at))
    return Labels(found)


def agreement(newest: Sequence[LabelRecord], history: Sequence[LabelRecord], name: str) -> Agreement:
    """How far people agree. `newest` are their labels of today under a name, `history` all, for the time they took."""
    from outlast.evals.judging.truth import humans_of

    by_author: dict[str, dict[str, LabelRecord]] = {}
    for one in newest:
        if not one.span_id:
            by_author.setdefault(one.author, {})[one.trace_id] = one
    said = {
        author: {id: verdict for id, one in labels.items() if (verdict := verdict_of(one.value)) is not None}
        for author, labels in by_author.items()
    }
    people = tuple(_person(author, by_author[author], said[author], history) for author in by_author)
    traces = {id for verdicts in said.values() for id in verdicts}
    splits = [
        Split(id, tuple(labels[id] for author, labels in by_author.items() if id in said[author]))
        for id in sorted(traces, reverse=True)
        if len({verdicts[id] for verdicts in said.values() if id in verdicts}) > 1
    ]
    return Agreement(
        tuple(sorted(people, key=lambda one: -one.n)),
        tuple(pair for a, b in combinations(said, 2) if (pair := _pair(a, b, said[a], said[b])) is not None),
        humans_of(as_labels(newest, name), _rubric(name), LEVEL),
        tuple(splits),
        len(traces),
    )


def _person(
    author: str, labels: Mapping[str, LabelRecord], said: Mapping[str, str], history: Sequence[LabelRecord]
) -> Person:
    spent: dict[str, float] = {}
    for one in history:
        if one.author == author and one.seconds_spent is not None:
            spent[one.trace_id] = spent.get(one.trace_id, 0.0) + one.seconds_spent
    verdicts = [spent[id] for id in said if spent.get(id)]
    passed = share([verdict == "pass" for verdict in said.values()])
    deferred = sum(one.value == "defer" for one in labels.values())
    return Person(author, len(said), passed, deferred, sum(spent.values()), median(verdicts) if verdicts else None)


def _pair(first: str, second: str, a: Mapping[str, str], b: Mapping[str, str]) -> Pair | None:
    from outlast.evals.statistics import cohen_kappa

    both = [id for id in a if id in b]
    if not both:
        return None
    kappa = cohen_kappa([a[id] for id in both], [b[id] for id in both], LEVEL, labels=("fail", "pass"))
    return Pair(first, second, share([a[id] == b[id] for id in both]), kappa)


def share(hits: Sequence[bool]) -> Estimate:
    """How many of them are true, with Wilson's interval."""
    from outlast.evals.statistics import Estimate, wilson

    interval = wilson(sum(hits), len(hits), LEVEL)
    return Estimate(sum(hits) / len(hits) if hits else math.nan, interval, len(hits), "wilson")


def judges(labels: Sequence[LabelRecord], scored: Iterable[JudgedRun] = ()) -> list[Judged]:
    """Every version of every judge against people, by judge, the oldest version first. Its verdicts are labels, and the
    rows of evaluations that it scored."""
    groups: dict[tuple[str, str, str, str], list[Both]] = {}
    counts: Counter[tuple[str, str, str, str]] = Counter()
    times: dict[tuple[str, str, str, str], list[float]] = {}
    for one in labels:
        if one.source in JUDGES and not one.span_id:
            key = _version(one)
            counts[key] += 1
            times.setdefault(key, []).append(one.created)
    rows: list[LabelRecord] = []
    for one in scored:
        key = key_of_judge(one.name, one.author, one.rubric)
        version = key[2]
        counts[key] += one.n
        times.setdefault(key, []).extend((one.run.started, one.run.ended or one.run.started))
        rows += [replace(label, rubric_version=version) for label in one.verdicts]
    for both in beside_people([*labels, *rows]):
        groups.setdefault(_version(both.judge), []).append(both)
    found = [_judged(key, groups.get(key, []), counts[key], times[key], labels) for key in counts]
    return sorted(found, key=lambda one: (one.name, one.first))


def key_of_judge(name: str, author: str, rubric: str) -> tuple[str, str, str, str]:
    """What tells a version of a judge that scored an evaluation from others, as `judges` counts them."""
    return name, author, _rubric_version(rubric), "judge"


def _rubric_version(line: str) -> str:
    from outlast.evals.judging.rubric import rubric_in

    rubric = rubric_in(line)
    return "" if rubric is None else rubric.version


def _version(one: LabelRecord) -> tuple[str, str, str, str]:
    return one.name, one.author, one.rubric_version, one.source


def _judged(
    key: tuple[str, str, str, str],
    pairs: Sequence[Both],
    labels: int,
    times: Sequence[float],
    known: Sequence[LabelRecord],
) -> Judged:
    from outlast.evals.judging.truth import consensus
    from outlast.evals.statistics import Estimate, cohen_kappa, confusion
    from outlast.evals.statistics.values import unknown

    rubric = _rubric(key[0])
    told = [(both, consensus(list(both.people.values()), rubric)) for both in pairs]
    agreed = [(both, str(level)) for both, level in told if level is not None]
    people, judged = [level for _, level in agreed], [both.judged for both, _ in agreed]
    missed = [(both, level) for both, level in agreed if both.judged != level]
    kappa = Estimate(math.nan, unknown(LEVEL), 0, "unknown")
    if agreed:
        kappa = cohen_kappa(people, judged, LEVEL, labels=("fail", "pass"))
    return Judged(
        *key,
        labels,
        len(agreed),
        len(told) - len(agreed),
        _stale(key[2], pairs, known),
        share([said == "pass" for level, said in zip(people, judged, strict=True) if level == "pass"]),
        share([said == "fail" for level, said in zip(people, judged, strict=True) if level == "fail"]),
        share([level == said for level, said in zip(people, judged, strict=True)]),
        kappa,
        confusion(people, judged, ("fail", "pass")) if agreed else None,
        tuple(sorted(missed, key=lambda one: (-one[0].against, one[0].trace_id))),
        min(times),
        max(times),
    )


def _stale(version: str, pairs: Sequence[Both], known: Sequence[LabelRecord]) -> int:
    """Of how many traces all that people said was under another version of the criterion than the judge's."""
    if not version:
        return 0
    versions: dict[tuple[str, str], set[str]] = {}
    for one in known:
        if one.source in PEOPLE and one.rubric_version:
            versions.setdefault((one.trace_id, one.name), set()).add(one.rubric_version)
    keys = [(both.trace_id, both.name) for both in pairs]
    return sum(key in versions and version not in versions[key] for key in keys)
