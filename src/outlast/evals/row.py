"""What became of one example."""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from outlast.data.jsonform import json_form
from outlast.messages import Spending

if TYPE_CHECKING:
    from outlast.runtime import Trace

State = Literal["pass", "fail", "error", "unscored"]
STATES: tuple[State, ...] = ("pass", "fail", "error", "unscored")


@dataclass(frozen=True, slots=True)
class RowError:
    """An exception that ended an example. `subject` says whose it was.

    `exception` is the object itself, None on rows read from a file; `where` is the end of its traceback as
    text.
    """

    subject: Literal["program", "metric"]
    type: str
    message: str
    where: str = ""
    exception: BaseException | None = None

    @classmethod
    def of(cls, error: BaseException, subject: Literal["program", "metric"]) -> RowError:
        """The error as data."""
        try:
            message = str(error)
        except Exception as broken:  # a user's broken __str__ must not hide the real error
            message = f"(its message could not be made: {type(broken).__name__})"
        return cls(subject, type(error).__name__, message, "", error)

    def located(self) -> RowError:
        """With the last lines of the traceback as text."""
        if self.exception is None:
            return self
        lines = traceback.format_exception(self.exception, limit=-6)
        return RowError(self.subject, self.type, self.message, "".join(lines)[-4000:], self.exception)

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


def shed_tracebacks(error: BaseException | None) -> None:
    """Drop the tracebacks of an exception and its causes, which keep every local variable of the frames
    alive."""
    for _ in range(20):
        if error is None:
            return
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _check(data: Mapping[str, Any]) -> None:
    """Raise `KeyError` or `ValueError` for a saved row from which wrong numbers would be made."""
    if (state := data["state"]) not in STATES:
        raise ValueError(f"state is one of {', '.join(STATES)}; got {state!r}")
    score = data["score"]
    if (score is None) != (state in ("error", "unscored")):
        raise ValueError(f"a row in state {state!r} has {'a' if score is None else 'no'} score; got {score!r}")
    numbers = [data.get("seconds", 0.0), *data.get("parts", {}).values(), *([] if score is None else [score])]
    for number in numbers:
        if type(number) not in (int, float) or not math.isfinite(number):
            raise ValueError(f"scores, parts and seconds are finite numbers; got {number!r}")
    for name in ("index", "epoch"):
        if type(place := data.get(name, 0)) is not int or place < 0:
            raise ValueError(f"{name} is a whole number from 0; got {place!r}")
    for name in ("id", "feedback", "cluster"):
        if not isinstance(text := data.get(name, ""), str):
            raise ValueError(f"{name} is text; got {text!r}")
    for name in ("inputs", "targets"):
        if not isinstance(found := data[name], Mapping):
            raise ValueError(f"{name} are fields by name; got {found!r}")


class CheckOutcome(NamedTuple):
    """What a check said of the first answer and of the one that was given; None where it did not apply."""

    first: bool | None
    final: bool | None
    attempts: int = 1


class Retried(NamedTuple):
    """An earlier try of a row that ended in an error. `answered` as in `Row`."""

    type: str
    message: str
    answered: bool

    @classmethod
    def of(cls, row: Row) -> Retried:
        """What is kept of a row that is run again."""
        error = row.error
        return cls(error.type, error.message[:500], row.answered) if error is not None else cls("", "", row.answered)


@dataclass(frozen=True, slots=True)
class Row:
    """One example, what the program made of it, and what the metric said.

    `state`: "pass" (score >= the threshold), "fail", "error" (`error` says which; there is no score) or
    "unscored" (the metric could not judge; `feedback` holds the reason). `outputs` is the JSON form of what
    the program returned, None after an error of the program. `seconds` and `spending` are the program's,
    `metric_spending` that of a metric which asks models; `models` are those that answered the program,
    `metric_models` those that answered the metric, `fingerprints` the first and their
    `Response.fingerprint`, where they tell one.
    `trace` holds the exchanges when they were asked for. `answered` is False for an error of the program that lies in
    what the model said: an answer that could not be read, a prompt that was too long, or an exception of the program
    after a model had answered. Such a row is no accident of a network, but a failure of what is evaluated.
    `epoch` counts the runs of one example from 0; `cluster` is the group that the example belongs to. `checks` holds by
    name what checks said of the answer, before and after it was mended. `retried` holds the errors after which the row
    was run again. `trace_id` is the id of the program's trace in a store, "" where none was kept.
    """

    index: int
    id: str
    inputs: Mapping[str, Any]
    targets: Mapping[str, Any]
    outputs: Any
    score: float | None
    state: State
    feedback: str = ""
    parts: Mapping[str, float] = field(default_factory=dict[str, float])
    error: RowError | None = None
    seconds: float = 0.0
    spending: Spending = field(default_factory=Spending)
    metric_spending: Spending = field(default_factory=Spending)
    models: tuple[str, ...] = ()
    trace: Trace | None = None
    answered: bool = True
    epoch: int = 0
    checks: Mapping[str, CheckOutcome] = field(default_factory=dict[str, "CheckOutcome"])
    cluster: str = ""
    retried: tuple[Retried, ...] = ()
    metric_models: tuple[str, ...] = ()
    trace_id: str = ""
    fingerprints: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form; `Row.from_json` reads it back, without the exception object and the trace."""
        data: dict[str, Any] = {
            "index": self.index,
            "id": self.id,
            "state": self.state,
            "score": self.score,
            "inputs": json_form(self.inputs, lenient=True),
            "targets": json_form(self.targets, lenient=True),
            "outputs": self.outputs,
        }
        if not self.answered:
            data["answered"] = False
        if self.feedback:
            data["feedback"] = self.feedback
        if self.epoch:
            data["epoch"] = self.epoch
        if self.cluster:
            data["cluster"] = self.cluster
        if self.retried:
            data["retried"] = [one._asdict() for one in self.retried]
        if self.checks:
            data["checks"] = {name: list(outcome) for name, outcome in self.checks.items()}
        if self.parts:
            data["parts"] = dict(self.parts)
        if self.error is not None:
            error = self.error
            data["error"] = {"subject": error.subject, "type": error.type, "message": error.message}
            if error.where:
                data["error"]["where"] = error.where
        data["seconds"] = round(self.seconds, 6)
        for name, spending in (("spending", self.spending), ("metric_spending", self.metric_spending)):
            if spent := {key: value for key, value in spending.to_json().items() if value}:
                data[name] = spent
        for name, models in (("models", self.models), ("metric_models", self.metric_models)):
            if models:
                data[name] = list(models)
        if self.fingerprints:
            data["fingerprints"] = [list(pair) for pair in self.fingerprints]
        if self.trace_id:
            data["trace_id"] = self.trace_id
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Row:
        """The row that `to_json` wrote. Raises `KeyError`, `TypeError` or `ValueError` for other things."""
        values = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        _check(data)
        if data.get("error") is not None:
            values["error"] = RowError(**data["error"])
        for name in ("spending", "metric_spending"):
            if name in data:
                values[name] = Spending.from_json(data[name])
        if "checks" in data:
            values["checks"] = {name: CheckOutcome(*outcome) for name, outcome in data["checks"].items()}
        if "retried" in data:
            values["retried"] = tuple(Retried(**one) for one in data["retried"])
        for name in ("models", "metric_models"):
            values[name] = tuple(data.get(name, ()))
        values["fingerprints"] = tuple((model, told) for model, told in data.get("fingerprints", ()))
        return cls(**values)
