"""What a judge says of items: verdicts of anything that scores, in memory, with errors and unread replies as data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from outlast.data.example import Example
from outlast.errors import ConfigError, DataError, LMAuthError, LMQuotaError, UsageError, brief
from outlast.evals.evaluation import Evaluation
from outlast.evals.forms import as_metric
from outlast.evals.judging.judge import TARGET
from outlast.evals.judging.label import Item
from outlast.evals.judging.labelfile import item_of
from outlast.evals.judging.rubric import Rubric, rubric_in
from outlast.evals.row import Row, RowError
from outlast.evals.runner import RowRunner
from outlast.evals.score import check_metric
from outlast.messages import Spending
from outlast.runtime import gather
from outlast.signatures.record import Prediction
from outlast.tracing.identity import JUDGED_BY, metric_hash, name_of

HOPELESS = (ConfigError, LMAuthError, LMQuotaError, UsageError)  # what fails one item fails all


@dataclass(frozen=True, slots=True)
class Said:
    """What a judge says of an item in one run: a score, or why there is none."""

    score: float | None = None
    critique: str = ""
    error: RowError | None = None

    @property
    def unscored(self) -> bool:
        """Whether the judge answered, but with no verdict."""
        return self.score is None and self.error is None


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a judge says of items, by the id of the item, a `Said` for each run; what it was and what it took.

    `clusters` are those of an evaluation that has them, by the id of the item.
    """

    name: str
    hash: str
    judged_by: str
    said: Mapping[str, tuple[Said, ...]]
    spending: Spending
    clusters: Mapping[str, str] = field(default_factory=dict[str, str])

    def origin(self, item: Item) -> str:
        """What an item shares with those of which it is not independent: the cluster, else the inputs."""
        return self.clusters.get(item.id, item.origin)

    @property
    def __name__(self) -> str:
        return self.name


def rubric_of(judge: Any, rubric: Rubric | None, subject: str) -> Rubric:
    """The rubric that is judged by: the judge's own (of an evaluation, that of its metric), or the one given."""
    own = rubric_in(judge.about.rubric) if isinstance(judge, Evaluation) else getattr(judge, "rubric", None)
    if rubric is None and isinstance(own, Rubric):
        return own
    if not isinstance(rubric, Rubric):
        raise UsageError(
            f"{subject}: which rubric are the labels about? Say rubric=ol.Rubric(...); got {brief(rubric)}"
        )
    if isinstance(own, Rubric) and own != rubric:
        raise UsageError(f"{subject}: the judge judges by {own!r}, which is not {rubric!r}")
    return rubric


async def verdicts_on(items: Sequence[Item], judge: Any, subject: str, *, epochs: int, concurrency: int) -> Verdicts:
    """Verdicts of a judge, or of anything that stands for a metric; those of an evaluation by it, where it has them.

    Raises what no further item can escape: no model, a refused key, a used-up budget. Cost: `epochs` verdicts an item.
    """
    if isinstance(judge, Evaluation):
        return _of_evaluation(items, judge, subject)
    metric = as_metric(judge)
    check_metric(metric)
    places = [(item, epoch) for item in items for epoch in range(epochs)]
    asked = [_ask(item, epoch, metric, epochs) for item, epoch in places]
    rows = cast("list[Row]", await gather(*asked, limit=concurrency))
    said: dict[str, list[Said]] = {item.id: [] for item in items}
    spending = Spending()
    for (item, _), row in zip(places, rows, strict=True):
        said[item.id].append(_said(row))
        spending.include(row.metric_spending)
    return Verdicts(
        name_of(metric),
        metric_hash(metric),
        getattr(metric, JUDGED_BY, ""),
        {key: tuple(found) for key, found in said.items()},
        spending,
    )


async def _ask(item: Item, epoch: int, metric: Callable[..., Any], epochs: int) -> Row:
    targets = {name.removeprefix(TARGET): value for name, value in item.fields.items() if name.startswith(TARGET)}
    inputs = {name: item.fields[name] for name in item.inputs if not name.startswith(TARGET)}
    outputs = {name: value for name, value in item.fields.items() if name not in inputs and not name.startswith(TARGET)}

    async def answered(**_: Any) -> Any:
        return outputs["answer"] if list(outputs) == ["answer"] else Prediction(**outputs)

    row = await RowRunner(answered, metric, epochs=epochs)(0, Example(inputs, targets), epoch=epoch)
    if row.error is not None and isinstance(row.error.exception, HOPELESS):
        raise row.error.exception
    return row


def _said(row: Row) -> Said:
    return Said(row.score, row.feedback, row.error)


def _of_evaluation(items: Sequence[Item], evaluation: Evaluation, subject: str) -> Verdicts:
    """The verdicts that an evaluation has: the rows whose inputs and outputs are those of the items."""
    _, verdicts, _ = every_verdict(evaluation, items, subject)
    said = {item.id: verdicts.said[item.id] for item in items if item.id in verdicts.said}
    if items and not said:
        raise DataError(
            f"{subject}: none of {len(items)} labelled items is among the {len(evaluation.rows)} rows of the "
            f"evaluation; items are found by their inputs and outputs. Labels.from_rows(evaluation, ...) makes such."
        )
    return replace(verdicts, said=said)


def every_verdict(evaluation: Evaluation, items: Iterable[Item], subject: str) -> tuple[list[Item], Verdicts, int]:
    """The item of each row of an evaluation that has outputs, the verdicts on all, and how many rows have none.

    Where `items` hold targets, so do those of the rows.
    """
    if not evaluation.kept:
        raise DataError(f"{subject} needs the rows of the evaluation, which were not kept (keep='rows' keeps them)")
    known = {name.removeprefix(TARGET) for item in items for name in item.fields if name.startswith(TARGET)}
    found: list[Item] = []
    said: dict[str, list[Said]] = {}
    clusters: dict[str, str] = {}
    for row in evaluation.rows:
        if row.outputs is not None:
            item = item_of(row, [name for name in known if name in row.targets])
            found.append(item)
            said.setdefault(item.id, []).append(_said(row))
            if evaluation.about.cluster:
                clusters[item.id] = row.cluster
    about = evaluation.about
    verdicts = Verdicts(
        about.metric,
        about.metric_hash,
        about.judged_by,
        {key: tuple(runs) for key, runs in said.items()},
        Spending(),
        clusters,
    )
    return found, verdicts, len(evaluation.rows) - len(found)
