"""`Judge`: a model that judges outputs by a rubric, as a metric, a check, a reward or a program of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from outlast.checks.check import Check, CheckResult, built
from outlast.checks.factory import factory
from outlast.checks.policy import Policy
from outlast.data.example import Example, inputs_of, targets_of
from outlast.errors import AnswerError, ConfigError, UsageError, brief, did_you_mean
from outlast.evals.forms import fields_seen
from outlast.evals.judging.asking import CRITIQUE, VERDICT, as_shown, asking, shown_fields, typed_fields
from outlast.evals.judging.rubric import Rubric, as_rubric, rubric_line
from outlast.evals.score import Score, Unscored
from outlast.modules.attempts import check_count
from outlast.modules.majority import Majority
from outlast.modules.module import Module
from outlast.modules.paths import predictors_of, update
from outlast.modules.predict import Predict, shown_inputs
from outlast.modules.settings import chosen_lm
from outlast.runtime import current
from outlast.signatures.record import Record
from outlast.tracing.identity import program_hash
from outlast.tracing.shape import IDENTITY, JUDGED_BY, NEEDS, RUBRIC

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable

    from outlast.adapters.protocol import Adapter, Demo
    from outlast.lms.protocol import LM

TARGET = "target."
J = TypeVar("J", bound=Module)


class Judge(Module):
    """A model that judges an output by one rubric: it writes a critique, then the verdict.

        tone = ol.Rubric("tone", "The reply is friendly.", passes="It thanks.", fails="It blames the customer.")
        judge = ol.Judge(tone, ["message", "reply"], lm="openai/gpt-5-mini")
        judge(message="Where is it?", reply="Read the site.").verdict        # "fail"
        ol.evaluate(program, data, judge)                                    # as a metric

    `fields` says what the judge is shown: names of inputs and outputs (a plain result has the name `answer`;
    `"target.answer"` is what is known about the right one, and is shown as `target_answer`), a mapping from the names
    that it is shown under to those, or a signature or program, whose fields are all shown with their types. Values that
    are no text are shown as JSON. What stands in them is data: it cannot pose as a part of the prompt.

    One object, four uses: called, it gives a record with `critique` and `verdict`; as a metric, a `Score` from 0 to 1
    with the critique as feedback, and a reply that cannot be read is unscored; `as_check()` makes it a check; and it is
    a `reward` of `BestOfN` and `Refine`. It is a program like any other: the part `verdict` asks the model, and what is
    tuned on it (`verdict.instruction`, `verdict.demos`, ...) is compiled, saved and loaded.

    Give it a model of its own. Without one, a metric takes the model that is configured around the evaluation (never
    that of `evaluate(lm=...)`, which is the program's); either way the model is part of the metric's identity, and
    results of different judges are neither compared nor mixed. `votes` asks so many times, the majority decides
    (evenly divided ones are unscored); other keywords are those of `Predict`. Cost of a verdict: `votes` LM calls, and
    re-asks.
    """

    blocking_safe = True
    rubric: Rubric
    fields: Mapping[str, str]
    votes: int
    verdict: Any

    def __init__(
        self,
        rubric: Rubric,
        fields: str | Iterable[str] | Mapping[str, str] | type[Any] | Module,
        *,
        lm: LM | str | None = None,
        votes: int = 1,
        instruction: str | None = None,
        demos: Iterable[Demo | Mapping[str, Any]] = (),
        adapter: Adapter | None = None,
        **settings: Any,
    ) -> None:
        self.rubric = as_rubric(rubric, "Judge")
        subject = f"judge {rubric.name!r}"
        self.fields = shown_fields(fields, subject)
        signature = asking(rubric, self.fields, typed_fields(fields), subject)
        self.votes = check_count("Judge", "votes", votes)
        asked = Predict(signature, instruction=instruction, demos=demos, lm=lm, adapter=adapter, **settings)
        self.verdict = asked if votes == 1 else Majority(asked, n=votes, by=VERDICT)

    @classmethod
    def each(
        cls,
        rubrics: Iterable[Rubric] | Mapping[str, str],
        fields: Any,
        *,
        combine: Literal["all", "mean"] = "all",
        **options: Any,
    ) -> Any:
        """A judge for each of several rubrics (or criteria by name), asked apart; see `Judges`."""
        from outlast.evals.judging.judges import Judges

        if isinstance(rubrics, Mapping):
            named = cast("Mapping[str, str]", rubrics)
            rubrics = [Rubric(name, criterion) for name, criterion in named.items()]
        return Judges([cls(rubric, fields, **options) for rubric in rubrics], combine=combine)

    @property
    def name(self) -> str:
        """The name of the rubric."""
        return self.rubric.name

    async def forward(self, /, **fields: Any) -> Any:
        """Judge what is shown, by the names that it is shown under."""
        inputs = self.verdict.signature.inputs
        return await self.verdict.acall(**{name: as_shown(value, inputs.get(name)) for name, value in fields.items()})

    # What it makes of inputs and outputs

    def shown(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What the judge is shown of inputs and outputs by name; raises `UsageError` when a field is not there."""
        for name in self.fields.values():
            if name not in values:
                near = did_you_mean(name, values)
                raise UsageError(
                    f"judge {self.name!r} is shown the field {name!r}, which is not there.{near} "
                    f"Fields: {', '.join(values) or 'none'}."
                )
        return {shown: values[name] for shown, name in self.fields.items()}

    def as_shown(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What the judge is shown, in the form in which it is shown: texts for fields of text."""
        inputs = self.verdict.signature.inputs
        return {name: as_shown(value, inputs[name]) for name, value in self.shown(values).items()}

    async def ascore(self, values: Mapping[str, Any]) -> Score | Unscored:
        """The verdict on inputs and outputs by name as a score from 0 to 1, with the critique; unscored when the reply
        of the model cannot be read. Errors of the model itself are raised."""
        try:
            record: Record = await self.acall(**self.shown(values))
        except AnswerError as error:
            return Unscored(f"the judge {self.name!r} gave no verdict: {error}")
        if self._divided(record):
            return Unscored(f"the judge {self.name!r} gave no verdict: its {self.votes} votes are evenly divided")
        return Score(self.rubric.score(record[VERDICT]), record[CRITIQUE], self._parts(record))

    def _divided(self, record: Record) -> bool:
        """Whether as many votes are for another verdict as for the one that came first."""
        if not isinstance(self.verdict, Majority):
            return False
        counts = sorted(record.outcome.facts["votes"].values())
        return len(counts) > 1 and counts[-1] == counts[-2]

    def _parts(self, record: Record) -> dict[str, float]:
        return {"agreement": float(record.outcome.facts["agreement"])} if isinstance(self.verdict, Majority) else {}

    def pinned(self) -> Judge:
        """The judge with the model that it would ask now. Raises `ConfigError` when there is none."""
        return pinned(self, self.name)

    def as_metric(self) -> Callable[[Example, Any], Any]:
        """The metric that the judge is; see `pinned` for the model that it asks."""
        judge = self.pinned()

        async def metric(example: Example, prediction: Any) -> Score | Unscored:
            return await judge.ascore(seen(example, prediction))

        return identified(metric, self.name, judge, self.fields.values())

    @factory
    def as_check(
        self,
        *,
        on_fail: Policy | str = "raise",
        threshold: float = 1.0,
        unread: Literal["pass", "fail"] = "pass",
    ) -> Check:
        """The judge as a check of the outputs that it is shown, which passes from a score of `threshold` on.

        The critique is its message. `unread` says what a reply that cannot be read means: "pass" (the check does not
        apply) or "fail".
        """
        return check_of(self, self.name, tuple(self.fields.values()), on_fail, threshold, unread)

    async def reward_of(self, inputs: Mapping[str, Any], result: Any) -> Score | Unscored:
        """What a result is worth to `BestOfN`, `Refine` and other strategies that try several times."""
        return await self.ascore(fields_seen(inputs, result))

    def _shown(self) -> inspect.Signature:
        return shown_inputs(self.verdict.signature)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={source}" if name != source else name for name, source in self.fields.items())
        lm = next(iter(predictors_of(self).values())).lm
        more = (f", votes={self.votes}" if self.votes > 1 else "") + (f", lm={lm!r}" if lm is not None else "")
        return f"Judge({self.rubric!r}, [{shown}]{more})"


def check_of(
    judge: Any, name: str, needs: tuple[str, ...], on_fail: Policy | str, threshold: float, unread: str
) -> Check:
    """A judge, or several, as a check of these fields."""
    for one in needs:
        if one.startswith(TARGET):
            raise UsageError(f"judge {name!r} is shown {one!r}; a check has no target to look at")
    if unread not in ("pass", "fail"):
        raise UsageError(f"as_check(unread=...) is 'pass' or 'fail'; got {brief(unread)}")
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1:
        raise UsageError(f"as_check(threshold=...) is a score above 0 and at most 1; got {brief(threshold)}")

    async def look(*values: Any) -> CheckResult | None:
        score = await judge.ascore(dict(zip(needs, values, strict=True)))
        if isinstance(score, Unscored):
            return None if unread == "pass" else CheckResult(False, score.reason)
        return CheckResult(score.value >= threshold, score.feedback, score.value)

    known = program_hash(judge)
    return built(name, needs, look, on_fail=on_fail, cost="model", judge=known, threshold=threshold, unread=unread)


def pinned(judge: J, name: str) -> J:
    """The judge with the model that it would ask now, where it has none of its own; raises `ConfigError`."""
    try:
        model = chosen_lm(None, current())
    except ConfigError:
        model = None
    paths = [path for path, part in predictors_of(judge).items() if part.lm is None]
    if paths and model is None:
        raise ConfigError(
            f"judge {name!r} has no model: give it one of its own, ol.{type(judge).__name__}(..., lm=...), or "
            f"ol.configure(lm=...). The lm of evaluate(...) and compile(...) is the program's."
        )
    return update(judge, {f"{path}.lm": model for path in paths}) if paths else judge


def seen(example: Example, prediction: Any) -> dict[str, Any]:
    """What a judge may be shown: inputs and outputs by name, targets as `target.name`."""
    targets = {f"{TARGET}{name}": value for name, value in targets_of(example).items()}
    return {**targets, **fields_seen(inputs_of(example), prediction)}


def identified(metric: Callable[..., Any], name: str, judge: Module, needs: Iterable[str]) -> Callable[..., Any]:
    """A metric that carries its name, the identity of the judge behind it, the models that the judge asks, and the
    fields that it is shown."""
    models = dict.fromkeys(part.lm.identity for part in predictors_of(judge).values() if part.lm is not None)
    metric.__name__ = name
    setattr(metric, IDENTITY, f"judge {program_hash(judge)}")
    setattr(metric, JUDGED_BY, ", ".join(models))
    setattr(metric, NEEDS, tuple(dict.fromkeys(needs)))
    rubric = getattr(judge, "rubric", None)
    several: Mapping[str, Judge] = getattr(judge, "judges", {})
    lines = f"[{','.join(rubric_line(one.rubric) for one in several.values())}]" if several else ""
    setattr(metric, RUBRIC, rubric_line(rubric) if isinstance(rubric, Rubric) else lines)
    return metric
