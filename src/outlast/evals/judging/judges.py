"""`Judges`: several criteria, each judged apart, as one score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, cast

from outlast.checks.check import Check
from outlast.checks.factory import factory
from outlast.checks.policy import Policy
from outlast.data.example import Example
from outlast.errors import UsageError, brief
from outlast.evals.forms import fields_seen
from outlast.evals.judging.judge import Judge, check_of, identified, seen
from outlast.evals.score import Score, Unscored
from outlast.modules.module import Module
from outlast.modules.paths import update
from outlast.runtime import gather
from outlast.signatures.record import Prediction

Combine = Literal["all", "mean"]


class Judges(Module):
    """Several judges, each asked apart for one criterion; their scores are the parts of one.

        quality = ol.Judges([ol.Judge(tone, shown, lm=lm), ol.Judge(facts, shown, lm=lm)])
        quality = ol.Judge.each({"tone": "The reply is friendly.", "facts": "..."}, shown, lm=lm)    # the same

    `combine="all"` gives 1 when every criterion is fully met, else 0; `"mean"` gives the mean of their scores. The
    feedback holds what is said of each criterion that is not fully met; when one of the judges cannot be read, the
    whole is unscored. Called, it gives a record with the record of each judge by the name of its rubric. The parts are
    programs at `judges.<name>`. Cost: that of all judges, who are asked at the same time.
    """

    blocking_safe = True
    judges: Mapping[str, Judge]
    combine: Combine

    def __init__(self, judges: Iterable[Judge], *, combine: Combine = "all") -> None:
        if isinstance(judges, Mapping | str) or not isinstance(judges, Iterable):
            raise UsageError(f"Judges takes a list of ol.Judge(...); got {brief(judges)}")
        found: dict[str, Judge] = {}
        for judge in judges:
            if not isinstance(judge, Judge):
                raise UsageError(f"Judges takes a list of ol.Judge(...); one of them is {brief(judge)}")
            if judge.name in found:
                raise UsageError(f"Judges: two judges are about {judge.name!r}; rubrics have different names")
            found[judge.name] = judge
        if not found:
            raise UsageError("Judges needs at least one ol.Judge(...)")
        if combine not in ("all", "mean"):
            raise UsageError(f"Judges(combine=...) is 'all' or 'mean'; got {brief(combine)}")
        self.judges = found
        self.combine = combine

    async def forward(self, /, **fields: Any) -> Any:
        """Ask every judge about what it is shown, by the names that it is shown under."""
        names = {name: [shown for shown in judge.fields if shown in fields] for name, judge in self.judges.items()}
        known = {shown for listed in names.values() for shown in listed}
        for name in fields:
            if name not in known:
                listed = ", ".join(dict.fromkeys(shown for judge in self.judges.values() for shown in judge.fields))
                raise UsageError(f"none of the judges is shown {name!r}; they are shown {listed}")
        asked = [judge.acall(**{shown: fields[shown] for shown in names[name]}) for name, judge in self.judges.items()]
        return Prediction(**dict(zip(self.judges, await gather(*asked), strict=True)))

    async def ascore(self, values: Mapping[str, Any]) -> Score | Unscored:
        """The verdicts on inputs and outputs by name as one score, with a part for each criterion."""
        scores = await gather(*(judge.ascore(values) for judge in self.judges.values()))
        by_name = dict(zip(self.judges, cast("list[Score | Unscored]", scores), strict=True))
        missing = [score.reason for score in by_name.values() if isinstance(score, Unscored)]
        if missing:
            return Unscored("; ".join(missing))
        found = {name: score for name, score in by_name.items() if isinstance(score, Score)}
        values_ = [score.value for score in found.values()]
        total = float(all(value >= 1 for value in values_)) if self.combine == "all" else sum(values_) / len(values_)
        said = "\n".join(f"{name}: {score.feedback}" for name, score in found.items() if score.value < 1)
        return Score(total, said, {name: score.value for name, score in found.items()})

    def pinned(self) -> Judges:
        """The judges with the models that they would ask now."""
        return update(self, {f"judges.{name}": judge.pinned() for name, judge in self.judges.items()})

    def as_metric(self) -> Callable[[Example, Any], Any]:
        """The metric that the judges are together; its name is that of the criteria."""
        judges = self.pinned()

        async def metric(example: Example, prediction: Any) -> Score | Unscored:
            return await judges.ascore(seen(example, prediction))

        return identified(metric, " + ".join(self.judges), judges, self._sources)

    @factory
    def as_check(
        self, *, on_fail: Policy | str = "raise", threshold: float = 1.0, unread: Literal["pass", "fail"] = "pass"
    ) -> Check:
        """The judges together as one check of the outputs that they are shown; see `Judge.as_check`. What is said of
        each criterion that is not fully met is its message."""
        return check_of(self, " + ".join(self.judges), self._sources, on_fail, threshold, unread)

    @property
    def _sources(self) -> tuple[str, ...]:
        """What they are shown together."""
        return tuple(dict.fromkeys(name for judge in self.judges.values() for name in judge.fields.values()))

    async def reward_of(self, inputs: Mapping[str, Any], result: Any) -> Score | Unscored:
        """What a result is worth to `BestOfN`, `Refine` and other strategies that try several times."""
        return await self.ascore(fields_seen(inputs, result))

    def __repr__(self) -> str:
        return f"Judges([{', '.join(map(repr, self.judges.values()))}], combine={self.combine!r})"
