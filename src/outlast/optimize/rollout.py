"""One rollout: a program run on one example and scored, with what each of its modules did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from outlast.data.example import Example, id_of
from outlast.errors import (
    AnswerError,
    BudgetExceeded,
    ConfigError,
    LMAuthError,
    LMContextError,
    LMError,
    LMQuotaError,
    StudyError,
)
from outlast.evals.row import Row
from outlast.evals.runner import RowRunner
from outlast.modules.module import Module
from outlast.modules.paths import predictors_of
from outlast.optimize.budget import worth
from outlast.optimize.candidate import Outcome, Step
from outlast.optimize.memory import Asked, Memory
from outlast.runtime import current
from outlast.signatures.codec import Codec, codecs
from outlast.types import Label

HOPELESS = (BudgetExceeded, ConfigError, LMAuthError, LMQuotaError, StudyError)  # end every further rollout too


@dataclass(frozen=True, slots=True)
class Rolled:
    """A rollout with everything that the ledger keeps of it.

    `failure` is the exception that was nobody's fault, so that the rollout says nothing about the candidate, and
    `in_metric` that it is the metric's.
    """

    outcome: Outcome
    parts: Mapping[str, float]
    outputs: Any
    steps: list[dict[str, Any]]
    failure: BaseException | None
    in_metric: bool = False


class Roller:
    """Runs one program on examples and scores it. Close it when done."""

    def __init__(self, program: Module, metric: Callable[..., Any], memory: Memory, candidate: str) -> None:
        self.candidate = candidate
        self._memory = memory
        self._runner = RowRunner(program, metric, traces=True)
        self._tables = {path: codecs(part.asked()) for path, part in predictors_of(program).items()}

    async def roll(self, example: Example, sample: int) -> Rolled:
        """Run and score. What the program, the model and the metric raise comes back as data."""
        asked: list[Asked] = []
        name = f"{self.candidate} {id_of(example)} {sample}"
        memo = self._memory.recording(asked, name)
        run = replace(current(), memo=memo, meter=None, sample=sample, root=None, trace=None)
        row = await self._runner(0, example, run=run)
        keys = {item.request: item.key for item in asked}
        steps = [self._step(span, keys.get(id(span.request))) for span in row.trace or () if span.path in self._tables]
        in_metric = row.error is not None and row.error.subject == "metric"
        return Rolled(self._outcome(row, asked, sample), row.parts, row.outputs, steps, _failure_of(row), in_metric)

    def close(self) -> None:
        """Let the threads of blocking metrics end."""
        self._runner.close()

    def _outcome(self, row: Row, asked: Sequence[Asked], sample: int) -> Outcome:
        costs = [worth(item.response) for item in asked]
        return Outcome(
            self.candidate,
            row.id,
            sample,
            row.state,
            row.score,
            row.feedback,
            "" if row.error is None else str(row.error),
            not _unanswered(row),
            round(row.seconds + _known_seconds(row), 6),
            sum(cost.calls for cost in costs),
            sum(cost.tokens for cost in costs),
            sum(cost.dollars for cost in costs),
            tuple(dict.fromkeys(item.key for item in asked)),
        )

    def _step(self, span: Any, key: str | None) -> dict[str, Any]:
        """What one module did, JSON-ready."""
        table = self._tables[span.path]
        step: dict[str, Any] = {
            "path": span.path,
            "inputs": _dumped(span.inputs, table),
            "values": None if span.values is None else _dumped(span.values, table),
            "reply": key,
            "attempt": span.attempt,
            "seconds": round(span.seconds, 6),
            "label": span.label.to_json(),
        }
        if span.error is not None:
            step["error"] = f"{type(span.error).__name__}: {span.error}"
        return step


def _known_seconds(row: Row) -> float:
    """What the replies once took that were known already, so that a rollout is as slow as it is without a memory."""
    replies = [span.response for span in row.trace or () if span.response is not None]
    return sum(reply.seconds for reply in replies if reply.cache == "hit")


def _unanswered(row: Row) -> bool:
    """Whether the program failed on what the model said, which is the fault of its prompts."""
    if row.error is None or row.error.subject != "program":
        return False
    error = row.error.exception
    if isinstance(error, AnswerError | LMContextError):
        return True
    unasked = any(span.error is error and span.response is None for span in row.trace or ())
    return not unasked and not isinstance(error, (LMError, OSError, *HOPELESS))


def _failure_of(row: Row) -> BaseException | None:
    """What went wrong for no fault of the candidate."""
    for span in row.trace or ():
        if isinstance(span.error, HOPELESS):  # a program that catches it must not turn it into an answer
            return span.error
    if row.error is None or _unanswered(row):
        return None
    return row.error.exception


def _dumped(values: Mapping[str, Any], table: Mapping[str, Codec]) -> dict[str, Any]:
    return {name: table[name].dump(value) for name, value in values.items() if name in table}


def steps_from_json(program: Module, data: Sequence[Mapping[str, Any]]) -> list[Step]:
    """The answered steps that a rollout wrote, as values of this program's signatures.

    Modules and fields that the program does not have are left out, as when a teacher reasons and its student does not.
    """
    predictors = predictors_of(program)
    steps: list[Step] = []
    for item in data:
        part = predictors.get(item["path"])
        if part is None or item["values"] is None or "error" in item:  # unread, or read and refused by a check
            continue
        table = codecs(part.asked())
        inputs, values = _read(item["inputs"], table), _read(item["values"], table)
        if not values:  # no output of this program: a turn that called tools, say
            continue
        steps.append(Step(item["path"], inputs, values, Label.from_json(item["label"])))
    return steps


def _read(values: Mapping[str, Any], table: Mapping[str, Codec]) -> dict[str, Any]:
    return {name: table[name].read_data(value) for name, value in values.items() if name in table}
