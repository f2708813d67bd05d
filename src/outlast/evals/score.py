"""What a metric gives: a number with feedback and parts, or the statement that there is none."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Final, TypeVar, cast, overload

from outlast.checks.check import Check
from outlast.errors import MetricError, UsageError, brief
from outlast.evals.statistics.values import LARGEST
from outlast.tracing.identity import name_of

F = TypeVar("F", bound=Callable[..., Any])
MetricResult = Any  # bool | float | Score | Unscored | None, or an awaitable of one


@dataclass(frozen=True, slots=True)
class Score:
    """A finite number, by custom 0 (wrong) to 1 (right), with words on what was wrong and named parts.

    `feedback` is read by people and by optimizers that rewrite prompts; `parts` are numbers such as the share
    of each field. Raises `MetricError` for NaN, infinity and things that are no number.
    """

    value: float
    feedback: str = ""
    parts: Mapping[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        value = self.value
        if type(value) is not float or not abs(value) <= LARGEST:
            object.__setattr__(self, "value", _finite(value, "Score"))
        if type(self.feedback) is not str:
            raise MetricError(f"Score: feedback is text; got {brief(self.feedback)}")
        if self.parts:
            for name in self.parts:
                if not isinstance(name, str):  # a file would make text of it
                    raise MetricError(f"Score: parts are numbers by name, and a name is text; got {brief(name)}")
            parts = {name: _finite(part, f"Score part {name!r}") for name, part in self.parts.items()}
            object.__setattr__(self, "parts", parts)

    def __float__(self) -> float:
        return self.value


@dataclass(frozen=True, slots=True)
class Unscored:
    """The metric could not judge this answer, for this reason. Not a zero: the row is left out of the
    mean."""

    reason: str


def unscored(reason: str) -> Unscored:
    """Return this from a metric that cannot judge an answer: `return ol.unscored("no reference for this
    one")`."""
    if not isinstance(reason, str) or not reason:
        raise UsageError(f"unscored(...) takes the reason as text; got {brief(reason)}")
    return Unscored(reason)


NO_RESULT: Final = "metric returned None"
_RIGHT: Final = Score(1.0)
_WRONG: Final = Score(0.0)


def as_score(result: Any, metric_name: str) -> Score | Unscored:
    """The score that a metric's result means: bool and numbers are scores, None is unscored.

    Raises `MetricError` for anything else, NaN and infinity included.
    """
    if result is True:
        return _RIGHT
    if result is False:
        return _WRONG
    if isinstance(result, Score | Unscored):
        return result
    if result is None:
        return Unscored(NO_RESULT)
    return Score(_finite(result, f"metric {metric_name!r}"))


def _finite(value: Any, subject: str) -> float:
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        value = value.item()
    if not isinstance(value, Real):
        raise MetricError(
            f"{subject}: a score is a bool, a finite number, Score(value, feedback=..., parts=...) or None; "
            f"got {brief(cast('object', value))}"
        )
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not abs(number) <= LARGEST:
        raise MetricError(
            f"{subject}: a score is a finite number, below 1e90; got {number}. "
            f"Return ol.unscored(reason) where there is none."
        )
    return number


@overload
def metric(function: F, /) -> F: ...
@overload
def metric(*, name: str | None = None) -> Callable[[F], F]: ...
def metric(function: F | None = None, /, *, name: str | None = None) -> F | Callable[[F], F]:
    """Mark a function `(example, prediction) -> bool | float | Score | None` as a metric; it stays a plain
    function.

    Checks at once that it takes two arguments, and gives it the name that reports show. A metric may be
    `async`. Functions without the mark work as metrics too.

        >>> @metric
        ... def correct(example, out):
        ...     return out.team == example.team
    """

    def mark(function: F) -> F:
        check_metric(function)
        if name is not None:
            function.__name__ = name
        return function

    return mark if function is None else mark(function)


def check_metric(function: Any) -> None:
    """Raise `UsageError` for what cannot be called as `metric(example, prediction)`; checks and judges can."""
    if hasattr(function, "as_metric") or isinstance(function, Check):
        return
    if not callable(function) or isinstance(function, type):
        judge = " A rubric is judged by ol.Judge(rubric, fields)." if type(function).__name__ == "Rubric" else ""
        raise UsageError(f"a metric is a function (example, prediction) -> score; got {brief(function)}.{judge}")
    try:
        inspect.signature(function).bind("example", "prediction")
    except TypeError as error:
        raise UsageError(
            f"metric {name_of(function)!r} is called with two arguments, (example, prediction); it is defined as "
            f"{name_of(function)}{inspect.signature(function)}: {error}"
        ) from None
    except ValueError:
        return  # a builtin that does not tell its signature
