"""`Classifier`: a trained evaluator that costs a few milliseconds, as a metric, a check or a function."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from outlast.checks.check import Check, CheckResult, built
from outlast.checks.factory import factory
from outlast.checks.policy import Policy
from outlast.data.example import Example, inputs_of
from outlast.data.jsonform import content_hash
from outlast.errors import UsageError, brief, did_you_mean
from outlast.evals.classifiers.calibration import Calibration
from outlast.evals.classifiers.deciding import said
from outlast.evals.classifiers.embedding import Embed, embedded, vectors_of
from outlast.evals.classifiers.features import MOST_CHARACTERS
from outlast.evals.classifiers.linear import Linear, Seen
from outlast.evals.classifiers.reading import Class, text_of
from outlast.evals.classifiers.report import TrainingReport
from outlast.evals.forms import as_metric, fields_seen
from outlast.evals.judging.rubric import Rubric, rubric_line
from outlast.evals.score import Score, Unscored, as_score, check_metric
from outlast.tracing.identity import IDENTITY, JUDGED_BY, NEEDS, RUBRIC, metric_hash, name_of

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


class Classified(NamedTuple):
    """What a classifier says of a text. `label` is the verdict, whether it is `decided` or not (too unsure, or the text
    too long to be read whole); `sure` is the probability that it is right; `probabilities` are those of all classes."""

    label: Class
    sure: float
    decided: bool
    probabilities: Mapping[Class, float]


@dataclass(frozen=True, repr=False)
class ProbabilityOf:
    """A function from a text to the probability of one class of a classifier. Equal ones are equal."""

    classifier: Classifier
    label: Class

    def __call__(self, text: str) -> float:
        """The probability, 0 to 1."""
        return self.classifier.classify(text).probabilities[self.label]

    def __repr__(self) -> str:  # checks are told apart by it
        return f"<probability of {self.label!r} by classifier {self.classifier.identity}>"


@dataclass(frozen=True, eq=False, repr=False)
class Classifier:
    """A linear model over a text, made by `ol.train_classifier`. A value; serving needs numpy and no LM.

    `classifier(text)` is the probability that it passes (`positive`), `classify(text)` the verdict. As a metric it
    scores 1 for a verdict that passes and 0 for others; where none is `positive`, levels of the rubric's scale and
    numbers score from 0, the lowest, to 1, the highest. What it is not sure of is unscored, or asked of `judge` (the
    part "escalated" of the scores is then the share of those). `report` is what cross-validation said. Classifiers of
    equal content are equal.
    """

    name: str
    classes: tuple[Class, ...]
    positive: Class | None
    field: str
    source: str | None
    model: Linear
    calibration: Calibration
    costs: tuple[float, ...]
    least: float
    report: TrainingReport
    embed: Embed | None = None
    probe: Array | None = None
    judge: Any = None
    rubric: Rubric | None = None

    def classify(self, text: str, *, source: str | None = None) -> Classified:
        """The verdict on one text, and on its source where it was trained with sources. Cost: some microseconds for
        each character, or one call of `embed`."""
        return self.classify_all([text], sources=None if source is None else [source])[0]

    def classify_all(self, texts: Sequence[str], *, sources: Sequence[str] | None = None) -> list[Classified]:
        """The verdicts on several texts."""
        given, beside = self._checked(texts, sources)
        return self._said(Seen(given, beside, None if self.embed is None else embedded(self.embed, given)))

    async def aclassify_all(self, texts: Sequence[str], *, sources: Sequence[str] | None = None) -> list[Classified]:
        """Like `classify_all`, from async code."""
        given, beside = self._checked(texts, sources)
        return self._said(Seen(given, beside, None if self.embed is None else await vectors_of(self.embed, given)))

    def __call__(self, text: str, *, source: str | None = None) -> float:
        """The probability that a text passes. Raises `UsageError` where no class is `positive`."""
        if self.positive is None:
            raise UsageError(f"{self!r} has no class that passes; use classify(text), or train with positive=...")
        return self.classify(text, source=source).probabilities[self.positive]

    def probability_of(self, label: Class) -> Callable[[str], float]:
        """A function from a text to the probability of one class: what `ol.checks.no_toxicity` takes."""
        if label not in self.classes:
            near = did_you_mean(str(label), map(str, self.classes))
            raise UsageError(f"{self!r} has no class {label!r}.{near}")

        return ProbabilityOf(self, label)

    def escalating(self, judge: Any) -> Classifier:
        """The same classifier, that asks a judge (a metric, or anything that stands for one) where it is not sure."""
        if judge is not None:
            check_metric(judge)
        return replace(self, judge=judge)

    def as_metric(self) -> Callable[[Example, Any], Any]:
        """The metric that it stands for. Raises `UsageError` when nothing says which verdicts are good."""
        self._worth(self.classes[0])
        judge = None if self.judge is None else as_metric(self.judge)

        async def asking(example: Example, prediction: Any) -> Score | Unscored:
            return await self._score(example, prediction, judge)

        def plain(example: Example, prediction: Any) -> Score | Unscored:
            return self._seen_in(fields_seen(inputs_of(example), prediction))

        metric = plain if self.embed is None and judge is None else asking
        metric.__name__ = self.name
        setattr(metric, IDENTITY, self._named + ("" if judge is None else f" then {metric_hash(judge)}"))
        setattr(metric, JUDGED_BY, getattr(judge, JUDGED_BY, ""))
        setattr(metric, NEEDS, (self.field, *((self.source,) if self.source else ())))
        setattr(metric, RUBRIC, "" if self.rubric is None else rubric_line(self.rubric))
        return metric

    @factory
    def as_check(
        self,
        field: str | None = None,
        *,
        on_fail: Policy | str = "raise",
        message: str = "",
        unsure: Literal["pass", "fail"] = "pass",
    ) -> Check:
        """A check that a field passes, for a signature, a guard or a test. What the classifier is not sure of goes to
        its judge; without one, or where that gives no score, `unsure` says what becomes of it."""
        if unsure not in ("pass", "fail"):
            raise UsageError(f"as_check(unsure=...) is 'pass' or 'fail'; got {brief(unsure)}")
        if self.positive is None:
            raise UsageError(f"{self!r} has no class that passes, so it cannot be a check; train with positive=...")
        name = self.field if field is None else field
        metric = None if self.judge is None else as_metric(self.judge)
        more = tuple(one for one in _needs_of(self.judge) if one not in (name, self.source))
        needs = ((self.source,) if self.source else ()) + more + (name,)

        async def asking(*values: Any) -> CheckResult | None:
            given = dict(zip(needs, values, strict=True))
            if given[name] is None or (self.source and given[self.source] is None):
                return None
            example = Example({one: value for one, value in given.items() if one != name})
            return self._result(await replace(self, field=name)._score(example, {name: given[name]}, metric), unsure)

        def plain(*values: Any) -> CheckResult | None:
            given = dict(zip(needs, values, strict=True))
            if given[name] is None or (self.source and given[self.source] is None):
                return None
            return self._result(replace(self, field=name)._seen_in(given), unsure)

        slow = self.embed is not None
        return built(
            self.name,
            needs,
            asking if slow or metric is not None else plain,
            on_fail=on_fail,
            message=message or f"{name} does not pass {self.name!r}",
            cost="model" if metric is not None else "slow" if slow else "cheap",
            identity=self.identity,
            unsure=unsure,
            judge="" if metric is None else metric_hash(metric),
        )

    @cached_property
    def identity(self) -> str:
        """32 hexadecimal digits over everything that a verdict depends on."""
        from outlast.evals.classifiers.store import body_of

        body = body_of(self)
        return content_hash({key: value for key, value in body.items() if key not in ("report", "versions")})

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it to a file of JSON, atomically; gives the path. `embed` and `judge` are not in the file."""
        from outlast.evals.classifiers.store import save

        return save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, embed: Embed | None = None, escalate_to: Any = None) -> Classifier:
        """The classifier that `save` wrote. Runs no code of the file and imports nothing that it names. Raises
        `ArtifactError` for files that are damaged, too big or of another format, and when `embed` is not the embedding
        of the training (one call of it)."""
        from outlast.evals.classifiers.store import load

        found = load(path, embed)
        return found if escalate_to is None else found.escalating(escalate_to)

    # Inside

    @property
    def _named(self) -> str:
        return f"outlast.classifier {self.identity}"

    def _checked(self, texts: Sequence[str], sources: Sequence[str] | None) -> tuple[list[str], list[str] | None]:
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise UsageError(f"a classifier reads texts; got {brief(texts)}")
        if (sources is None) != (self.source is None):
            was = "with" if self.source else "without"
            raise UsageError(f"{self!r} was trained {was} sources; give source= {'too' if self.source else 'not'}")
        if sources is not None and len(sources) != len(texts):
            raise UsageError(f"there is one source for each text; got {len(sources)} for {len(texts)}")
        return list(texts), None if sources is None else list(sources)

    def _said(self, seen: Seen) -> list[Classified]:
        if not seen.texts:
            return []
        probabilities = self.calibration.probabilities(self.model.margins(seen))
        verdicts, sure = said(probabilities, self.costs)
        found: list[Classified] = []
        for place, text in enumerate(seen.texts):
            likely = float(sure[place])
            decided = likely >= self.least and len(text) <= MOST_CHARACTERS
            table = dict(zip(self.classes, probabilities[place].tolist(), strict=True))
            found.append(Classified(self.classes[int(verdicts[place])], likely, decided, table))
        return found

    def _texts_in(self, values: Mapping[str, Any]) -> tuple[str, str | None] | None:
        for name in (self.field, *((self.source,) if self.source else ())):
            if name not in values:
                raise UsageError(
                    f"the classifier {self.name!r} reads the field {name!r}, which is not there."
                    f"{did_you_mean(name, values)} Fields: {', '.join(values) or 'none'}."
                )
        if values[self.field] is None or (self.source and values[self.source] is None):
            return None
        return text_of(values[self.field]), text_of(values[self.source]) if self.source else None

    def _seen_in(self, values: Mapping[str, Any]) -> Score | Unscored:
        given = self._texts_in(values)
        return self._nothing if given is None else self._scored(self.classify(given[0], source=given[1]))

    @property
    def _nothing(self) -> Unscored:
        return Unscored(f"{self.name}: there is nothing to look at, a field that it reads is None")

    async def _score(self, example: Example, prediction: Any, judge: Any) -> Score | Unscored:
        given = self._texts_in(fields_seen(inputs_of(example), prediction))
        if given is None:
            return self._nothing
        text, source = given
        found = (await self.aclassify_all([text], sources=None if source is None else [source]))[0]
        if judge is None:
            return self._scored(found)
        if found.decided:
            score = self._scored(found)
            return replace(score, parts={"escalated": 0.0}) if isinstance(score, Score) else score
        result = judge(example, prediction)
        score = as_score(await result if isinstance(result, Awaitable) else result, name_of(judge))
        if isinstance(score, Unscored):
            return score
        return replace(score, parts={**score.parts, "escalated": 1.0})

    def _scored(self, found: Classified) -> Score | Unscored:
        if not found.decided:
            return Unscored(f"{self.name}: not sure enough, {found.label!r} with {found.sure:.2f} of {self.least:.2f}")
        return Score(self._worth(found.label), f"{self.name}: {found.label!r}, {found.sure:.2f} sure")

    def _worth(self, label: Class) -> float:
        """The score of a verdict."""
        if self.positive is not None:
            return float(label == self.positive)
        if self.rubric is not None:
            return self.rubric.score(label)
        low, high = self.classes[0], self.classes[-1]
        if isinstance(label, str) or isinstance(low, str) or isinstance(high, str):
            raise UsageError(
                f"{self!r} tells several classes apart, and nothing says which of them is good; train with positive=..."
            )
        return (label - low) / (high - low)

    def _result(self, score: Score | Unscored, unsure: str) -> CheckResult | None:
        if isinstance(score, Unscored):
            return None if unsure == "pass" else CheckResult(False, score.reason)
        return CheckResult(
            score.value >= 1, "" if score.value >= 1 else score.feedback, min(1.0, max(0.0, score.value))
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Classifier):
            return NotImplemented
        return self.identity == other.identity and self.judge == other.judge

    def __hash__(self) -> int:
        return hash(self.identity)

    def __repr__(self) -> str:
        some = ", ".join(repr(one) for one in self.classes[:4]) + (", ..." if len(self.classes) > 4 else "")
        return f"<Classifier {self.name!r} of {self.field!r}: {some}>"


def _needs_of(judge: Any) -> tuple[str, ...]:
    """The fields that a judge looks at, where it tells."""
    if isinstance(judge, Check):
        return judge.needs
    make = getattr(judge, "as_check", None)
    check: Any = make() if callable(make) else None
    return check.needs if isinstance(check, Check) else ()
