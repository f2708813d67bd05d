"""`distill`: what a judge says of many outputs, learned by a classifier that costs a millisecond."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from outlast.data.example import Example, inputs_of, targets_of
from outlast.errors import DataError, UsageError, brief, did_you_mean
from outlast.evals.classifiers.classifier import Classifier
from outlast.evals.classifiers.deciding import Abstain
from outlast.evals.classifiers.train import train_classifier
from outlast.evals.evaluation import Evaluation
from outlast.evals.forms import as_metric
from outlast.evals.judging.asked import verdicts_on
from outlast.evals.judging.labelfile import item_of
from outlast.evals.judging.labels import Item, Labels
from outlast.evals.judging.rubric import FAIL, PASS, Rubric
from outlast.messages import Spending
from outlast.runtime import blocking, in_thread, run_blocking
from outlast.tracing.identity import metric_hash


@dataclass(frozen=True, slots=True)
class Distilled:
    """A classifier that was taught by a judge. `classifier.report` says how far it agrees with the judge on outputs
    that it was not taught; how far the judge agrees with people is another question (`ol.align`). `unscored` and
    `errors` are items on which the judge gave no verdict; `spending` is what labelling took."""

    classifier: Classifier
    items: int
    unscored: int
    errors: int
    spending: Spending

    def __str__(self) -> str:
        left = f", {self.unscored} unscored and {self.errors} errors left out" if self.unscored + self.errors else ""
        return f"taught by a judge on {self.items} items{left}; agreement with the judge:\n{self.classifier.report}"


def distill(
    judge: Any,
    data: Evaluation | Labels | Iterable[Example | Mapping[str, Any]],
    *,
    field: str = "answer",
    source: str | None = None,
    threshold: float = 1.0,
    abstain: Abstain | float | None = 0.95,
    concurrency: int = 16,
    **options: Any,
) -> Distilled:
    """Let a judge label data, train a classifier on that, and keep the judge for what the classifier is not sure of.

        cheap = ol.distill(judge, evaluation, field="reply")
        print(cheap); ol.evaluate(program, data, cheap.classifier)

    `judge` is an `ol.Judge` or any metric; a score from `threshold` on passes. `data` is an evaluation (its inputs and
    outputs; verdicts by this judge are used where it has them), labels (their values are not looked at), or mappings or
    examples with all fields, `field` among them. `abstain` is the agreement with the judge that is wanted of the
    verdicts that the classifier gives; the rest goes to the judge. Other keywords are those of `train_classifier`.

    Raises `DataError` as `train_classifier` does. Cost: one verdict of the judge for each item, `concurrency` at a
    time. `adistill` is the same for async code.
    """
    return run_blocking(
        lambda: adistill(
            judge,
            data,
            field=field,
            source=source,
            threshold=threshold,
            abstain=abstain,
            concurrency=concurrency,
            **options,
        )
    )


async def adistill(
    judge: Any,
    data: Evaluation | Labels | Iterable[Example | Mapping[str, Any]],
    *,
    field: str = "answer",
    source: str | None = None,
    threshold: float = 1.0,
    abstain: Abstain | float | None = 0.95,
    concurrency: int = 16,
    **options: Any,
) -> Distilled:
    """What `distill` does, from async code."""
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise UsageError(f"distill(threshold=...) is a score from which on an output passes; got {brief(threshold)}")
    for name in ("rubric", "positive", "groups", "escalate_to"):
        if name in options:
            raise UsageError(
                f"distill takes no {name}=: the judge says what is right, and inputs what belongs together"
            )
    items = _items(data, field, source)
    known = isinstance(data, Evaluation) and data.about.metric_hash == metric_hash(as_metric(judge))
    found = await verdicts_on(items, data if known else judge, "distill", epochs=1, concurrency=concurrency)
    said = [(item, found.said[item.id][0]) for item in items]
    scored = [(item, one.score) for item, one in said if one.score is not None]
    if not scored:
        raise DataError(f"distill: the judge gave no verdict on any of {len(items)} items")
    rubric = getattr(judge, "rubric", None)
    rubric = rubric if isinstance(rubric, Rubric) and rubric.binary else None
    passed = [score >= threshold for _, score in scored]
    values: list[Any] = passed if rubric is None else [PASS if one else FAIL for one in passed]

    def train() -> Classifier:
        return train_classifier(
            ([item.fields for item, _ in scored], values),
            field=field,
            source=source,
            rubric=rubric,
            groups=[item.origin for item, _ in scored],
            abstain=abstain,
            escalate_to=None if abstain is None else judge,
            **cast("dict[str, Any]", {"name": found.name, **options}),
        )

    classifier = train() if blocking() else await in_thread(train)
    unscored = sum(one.unscored for _, one in said)
    return Distilled(classifier, len(scored), unscored, len(said) - len(scored) - unscored, found.spending)


def _items(data: Any, field: str, source: str | None) -> list[Item]:
    if isinstance(data, Labels):
        return list(data.items)
    rows: Sequence[Any] = data.rows if isinstance(data, Evaluation) else list(data)
    found: dict[str, Item] = {}
    for place, row in enumerate(rows):
        if isinstance(data, Evaluation):
            if row.outputs is None:
                continue
            item = item_of(row)
        elif isinstance(row, Example):
            item = Item({**inputs_of(row), **targets_of(row)}, [name for name in inputs_of(row) if name != field])
        elif isinstance(row, Mapping):
            fields = cast("Mapping[str, Any]", row)
            item = Item(fields, [name for name in fields if name != field])
        else:
            raise UsageError(f"distill: data are rows of fields by name; row {place} is {brief(row)}")
        for name in (field, *((source,) if source else ())):
            if name not in item.fields:
                near = did_you_mean(name, item.fields)
                raise DataError(f"distill: row {place} has no field {name!r}.{near} Fields: {', '.join(item.fields)}.")
        found.setdefault(item.id, item)
    return list(found.values())
