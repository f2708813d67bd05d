"""The corrected rate that labels and verdicts of one judge give together, and when they give none."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from outlast.data.jsonform import content_hash, json_form
from outlast.errors import DataError, UsageError, brief, did_you_mean, refuse_unknown
from outlast.evals import wording
from outlast.evals.evaluation import Evaluation
from outlast.evals.judging.align import check_scores, part_by, share_of
from outlast.evals.judging.alignment import Alignment, estimate_form
from outlast.evals.judging.asked import Verdicts, every_verdict
from outlast.evals.judging.label import Item
from outlast.evals.judging.rubric import Rubric
from outlast.evals.statistics.clusters import clustered_mean
from outlast.evals.statistics.corrected import informedness, ppi_mean, rogan_gladen, worth
from outlast.evals.statistics.intervals import estimate_mean
from outlast.evals.statistics.quantiles import normal_tail, two_sided_z
from outlast.evals.statistics.ranks import spearman
from outlast.evals.statistics.values import Estimate, Interval, check_level
from outlast.modules.attempts import check_count, check_number

Method = Literal["ppi++", "rogan-gladen"]
METHODS: tuple[Method, ...] = ("ppi++", "rogan-gladen")
_CHANCE = 0.2  # TPR + TNR - 1, or the rank correlation, below which a judge tells too little
_UNLIKELY = 0.0001  # how rarely a random sample is taken for none
_FEWEST = 5  # labels in a stratum


@dataclass(frozen=True, repr=False)
class CorrectedRate:
    """The rate that people would give all items, with its interval, next to what one would say without correction.

    `raw` is the mean of the judge's scores over all items, whose interval does not cover the truth when the judge errs;
    `people` is the mean of the labels alone. `better_than_chance` is TPR + TNR - 1 of the judge (its rank correlation
    with people on a scale), None where labels are all of one kind. `labelled` and `judged` count items with a label and
    all with a verdict, `stale`, `divided` and `unjudged` what was left out: labels of another version of the rubric,
    items that people are evenly divided on, items without a verdict.
    """

    estimate: Estimate
    method: str
    raw: Estimate
    people: Estimate
    better_than_chance: Estimate | None
    labelled: int
    judged: int
    stale: int
    divided: int
    unjudged: int

    @property
    def value(self) -> float:
        """The corrected rate."""
        return self.estimate.value

    @property
    def interval(self) -> Interval:
        """Where the rate that people would give lies, at the level asked for."""
        return self.estimate.interval

    def __float__(self) -> float:
        return self.value

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON-ready data."""
        form = {field.name: getattr(self, field.name) for field in fields(self)}
        figures = ("estimate", "raw", "people", "better_than_chance")
        return {**form, **{name: estimate_form(form[name]) for name in figures}}

    def __repr__(self) -> str:
        left = {"stale labels": self.stale, "divided": self.divided, "without a verdict": self.unjudged}
        told = "".join(f"; {name}: {count}" for name, count in left.items() if count)
        return (
            f"{wording.estimate_text(self.estimate, True)} of {self.judged} items, from {self.labelled} labels; the "
            f"judge alone says {wording.number(self.raw.value, True)}, the labels alone say "
            f"{wording.estimate_text(self.people, True)}{told}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The keywords with their defaults, checked."""

    rubric: Any = None
    method: Any = "ppi++"
    strata: Any = None
    threshold: float = 1.0
    scores: Any = "share"
    level: float = 0.95
    concurrency: int = 16

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        refuse_unknown(given, [field.name for field in fields(cls)], "estimate_rate")
        return cls(**given)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            near = did_you_mean(str(self.method), METHODS)
            raise UsageError(f"estimate_rate has no method {self.method!r}.{near} Methods: {', '.join(METHODS)}.")
        check_level(self.level)
        check_number("estimate_rate", "threshold", self.threshold)
        check_count("estimate_rate", "concurrency", self.concurrency)
        check_scores(self.scores, "estimate_rate")
        if self.strata is not None and not (callable(self.strata) or isinstance(self.strata, str)):
            raise UsageError(
                f"estimate_rate(strata=...) is 'verdict', a field or a function of the item; got {brief(self.strata)}"
            )
        if self.strata is not None and self.method != "ppi++":
            raise UsageError("estimate_rate: strata= is for method='ppi++'; rogan-gladen takes labels of any sample")


@dataclass(frozen=True)
class Judged:
    """Labels and verdicts on labelled items, and verdicts on the others; the stratum of each, where there are any."""

    truth: Sequence[float]
    judged: Sequence[float]
    others: Sequence[float]
    strata: Sequence[Hashable]  # of the labelled items
    other_strata: Sequence[Hashable]
    origins: Sequence[str]  # of the labelled items: those with one origin are not independent
    other_origins: Sequence[str]
    unjudged: int
    binary: bool
    outside: bool  # whether the labelled items are none of those whose rate is asked for
    options: Options

    @classmethod
    def of(
        cls,
        items: Sequence[Item],
        verdicts: Verdicts,
        missing: int,
        truth: Mapping[str, float],
        rubric: Rubric,
        options: Options,
    ) -> Judged:
        """Of items that are judged, some of them labelled."""
        labelled: list[tuple[float, float, Hashable, str]] = []
        others: list[tuple[float, Hashable, str]] = []
        unjudged = missing
        turn: dict[str, int] = {}
        for item in items:
            said = verdicts.said[item.id]
            place = turn[item.id] = turn.get(item.id, -1) + 1
            one = said[min(place, len(said) - 1)]
            if one.score is None:
                unjudged += 1
                continue
            score = share_of(one.score, rubric, options, verdicts.name)
            group = _stratum(options.strata, item, score)
            if item.id in truth:
                labelled.append((truth[item.id], score, group, verdicts.origin(item)))
            else:
                others.append((score, group, verdicts.origin(item)))
        if not labelled:
            raise DataError(
                f"estimate_rate: none of the {len(truth)} labelled items has a verdict of the judge; {unjudged} items "
                f"have none. Items are found by their inputs and outputs."
            )
        return cls(
            [row[0] for row in labelled],
            [row[1] for row in labelled],
            [row[0] for row in others],
            [row[2] for row in labelled],
            [row[1] for row in others],
            [row[3] for row in labelled],
            [row[2] for row in others],
            unjudged,
            rubric.binary,
            False,
            options,
        )

    @classmethod
    def by_report(cls, run: Evaluation, report: Alignment, options: Options) -> Judged:
        """Of a judged run, and what a report says of the judge."""
        if options.method != "rogan-gladen" or not report.rubric.binary:
            raise UsageError(
                "estimate_rate: a report of ol.align(...) says how often the judge is right, which corrects rates of "
                "pass and fail by method='rogan-gladen'; give the labels themselves for method='ppi++'"
            )
        if run.about.metric_hash != report.metric_hash:
            raise DataError(
                f"estimate_rate: the run was judged by {run.metric!r} ({run.about.judged_by or 'no model'}), the "
                f"report is about {report.name!r} ({report.judged_by or 'no model'}) as it was; align the judge again"
            )
        items, verdicts, missing = every_verdict(run, (), "estimate_rate")
        origin = {item.id: verdicts.origin(item) for item in items}
        said = [(key, one.score) for key, runs in verdicts.said.items() for one in runs]
        scored = [(key, score) for key, score in said if score is not None]
        others = [share_of(score, report.rubric, options, report.name) for _, score in scored]
        counts = report.confusion
        cells = [(a, b, counts.count(a, b)) for a in counts.labels for b in counts.labels]
        truth = [report.rubric.score(a) for a, _, count in cells for _ in range(count)]
        judged = [report.rubric.score(b) for _, b, count in cells for _ in range(count)]
        unjudged = missing + len(said) - len(others)
        alone, places = [str(place) for place in range(len(truth))], [origin[key] for key, _ in scored]
        none = [""] * len(truth), [""] * len(others)
        return cls(truth, judged, others, *none, alone, places, unjudged, True, True, options)

    def rate(self, stale: int, divided: int) -> CorrectedRate:
        """The corrected rate, when it can be told."""
        options = self.options
        skill = self._skill()
        everything = list(self.others) if self.outside else [*self.judged, *self.others]
        if not self.others:
            raise DataError(
                f"estimate_rate: all {len(self.truth)} judged items are labelled, so there is nothing to correct: "
                f"people say {wording.estimate_text(self._people(), True)}"
            )
        if options.method == "rogan-gladen":
            every = self.other_origins if self.outside else [*self.origins, *self.other_origins]
            sizes = worth(self.origins), worth(every)
            estimate = rogan_gladen(self.truth, self.judged, everything, options.level, sizes)
        elif options.strata is not None:
            estimate = self._stratified()
        else:
            self._refuse_unlike()
            sizes = worth(self.origins), worth(self.other_origins)
            estimate = ppi_mean(self.truth, self.judged, self.others, options.level, effective=sizes)
        return CorrectedRate(
            estimate,
            estimate.method,
            estimate_mean(everything, options.level),
            self._people(),
            skill,
            len(self.truth),
            len(everything),
            stale,
            divided,
            self.unjudged,
        )

    def _people(self) -> Estimate:
        """What the labels alone say."""
        return clustered_mean(self.truth, self.origins, self.options.level)

    def _skill(self) -> Estimate | None:
        """How far the judge is from chance; raises `DataError` when it is at chance."""
        if len(set(self.truth)) < 2:
            return None
        skill = (informedness if self.binary else spearman)(self.truth, self.judged, self.options.level)
        name = "TPR + TNR - 1" if self.binary else "its rank correlation with people"
        if not skill.value >= _CHANCE:
            people = wording.estimate_text(self._people(), True)
            raise DataError(
                f"estimate_rate: the judge is no better than chance: {name} is {skill.value:.2f} on {len(self.truth)} "
                f"labels, at least {_CHANCE:g} is needed. Its verdicts tell nothing; the labels alone say {people}. "
                f"Mend the judge (ol.align shows where it errs)."
            )
        return skill

    def _refuse_unlike(self) -> None:
        """Raise `DataError` when the labelled items are clearly no random sample, by what the judge says of them."""
        chance, mine, theirs = _unlike(self.judged, self.others, worth(self.origins), worth(self.other_origins))
        if chance < _UNLIKELY:
            raise DataError(
                f"estimate_rate: the labelled items are no random sample of all: the judge gives them "
                f"{wording.number(mine, True)} on average and the others {wording.number(theirs, True)} "
                f"({wording.p_text(chance)}). Say how they were drawn (strata='verdict' where so many passes and fails "
                f"of the judge were), take method='rogan-gladen', or label a random sample."
            )

    def _stratified(self) -> Estimate:
        """The means of the strata, weighted by their sizes; squared distances to their limits add (MOVER: Zou & Donner
        2008, "Construction of confidence limits about effect measures"), and so does what the sizes vary by."""
        level = self.options.level
        n = len(self.truth) + len(self.others)
        names = list(dict.fromkeys([*self.strata, *self.other_strata]))
        parts: list[tuple[float, Estimate]] = []
        for name in names:
            truth = [value for value, stratum in zip(self.truth, self.strata, strict=True) if stratum == name]
            ours = [key for key, stratum in zip(self.origins, self.strata, strict=True) if stratum == name]
            theirs = [
                key for key, stratum in zip(self.other_origins, self.other_strata, strict=True) if stratum == name
            ]
            size = len(truth) + sum(stratum == name for stratum in self.other_strata)
            if len(truth) < min(_FEWEST, size):
                raise DataError(
                    f"estimate_rate: the stratum {name!r} has {len(truth)} labels for {size} items; label at least "
                    f"{_FEWEST} in each"
                )
            parts.append((size / n, _of_stratum(truth, self._verdicts(name), self._rest(name), level, ours, theirs)))
        value = math.fsum(share * part.value for share, part in parts)
        between = two_sided_z(level) ** 2 * math.fsum(share * (part.value - value) ** 2 for share, part in parts) / n
        low = math.fsum((share * (part.value - part.interval.low)) ** 2 for share, part in parts)
        high = math.fsum((share * (part.interval.high - part.value)) ** 2 for share, part in parts)
        limits = max(0.0, value - math.sqrt(low + between)), min(1.0, value + math.sqrt(high + between))
        method = f"stratified, {len(parts)} strata"
        return Estimate(value, Interval(*limits, level, method), len(self.truth), method)

    def _verdicts(self, name: Hashable) -> list[float]:
        return [score for score, stratum in zip(self.judged, self.strata, strict=True) if stratum == name]

    def _rest(self, name: Hashable) -> list[float]:
        return [score for score, stratum in zip(self.others, self.other_strata, strict=True) if stratum == name]


def _of_stratum(
    truth: list[float], judged: list[float], others: list[float], level: float, ours: list[str], theirs: list[str]
) -> Estimate:
    """What people would say of one stratum: corrected there, where the verdicts vary in it."""
    if len(set(judged)) < 2 or not others:
        return clustered_mean(truth, ours, level)
    return ppi_mean(truth, judged, others, level, effective=(worth(ours), worth(theirs)))


def _stratum(strata: Any, item: Item, score: float) -> Hashable:
    if strata is None:
        return ""
    if strata == "verdict":
        return score
    value = part_by(strata, item, "estimate_rate(strata=...)")
    return value if isinstance(value, str | int | float | bool) else content_hash(json_form(value, lenient=True))


def _unlike(mine: Sequence[float], theirs: Sequence[float], n: float, more: float) -> tuple[float, float, float]:
    """How likely two random samples of the same, worth so many items, differ so much in their mean, and the means."""
    every = [*mine, *theirs]
    mean = math.fsum(every) / len(every)
    spread = math.fsum((score - mean) ** 2 for score in every) / max(1, len(every) - 1)
    a, b = math.fsum(mine) / len(mine), math.fsum(theirs) / len(theirs)
    error = math.sqrt(spread * (1 / n + 1 / more))
    return (1.0 if error == 0 else 2 * normal_tail(abs(a - b) / error)), a, b
