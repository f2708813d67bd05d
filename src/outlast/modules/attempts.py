"""What strategies of several tries share: draws, rewards, a budget of their own, and the account of how it went."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

from outlast.checks.check import Check
from outlast.errors import AnswerError, BudgetExceeded, LMError, MetricError, UsageError, brief
from outlast.modules.module import Module
from outlast.runtime import Budget, Meter, blocking, current, in_thread, running
from outlast.signatures.record import Prediction, Record, fields_of, outputs_of, with_outcome

T = TypeVar("T")


class Answering(Protocol):
    """What a draw asks: a module, or a step that is asked like one."""

    def acall(self, **inputs: Any) -> Coroutine[Any, Any, Any]: ...


Reward = Callable[..., Any]  # a function of the output, or of the inputs and the output; or a module that judges


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: what it gave or why it failed, what it is worth (None: not scored) and what was said of it.

    `part` says which part of the strategy made it; `sample` is the number of its draw.
    """

    result: Any = None
    error: Exception | None = None
    reward: float | None = None
    feedback: str = ""
    sample: int = 0
    part: str = ""

    @property
    def ok(self) -> bool:
        """True when there is a result."""
        return self.error is None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a strategy came to its answer: `out.outcome`.

    `attempts` in the order in which they were numbered, `chosen` the index of the one that is the answer (None when it
    is made of several). `stopped` is None when the strategy ran its course, else what ended it early: the limit of its
    budget ("calls", "tokens", "dollars", "seconds"), "turns", "loop", "enough" ... Then the answer is the best so far.
    `facts` are the strategy's own figures, such as votes; `turns` are those of an agent, with every call and result.
    """

    strategy: str
    attempts: tuple[Attempt, ...] = ()
    chosen: int | None = None
    stopped: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    turns: tuple[Any, ...] = ()


def told(result: T, outcome: Outcome) -> T:
    """The result with its outcome on it, where it can carry one: plain values of function signatures cannot."""
    return cast("T", with_outcome(result, outcome)) if isinstance(result, Record) else result


class Allowance:
    """What one call of a strategy may spend; `stopped` is the limit that ended it, None while there is something left.

    Only the strategy's own budget means "give the best so far": a limit from outside goes up as `BudgetExceeded`.
    """

    def __init__(self, budget: Budget | None, outer: Meter | None) -> None:
        self.meter = None if budget is None else budget.meter(outer)

    @property
    def stopped(self) -> str | None:
        """The limit of the own budget that refused a call or is used up."""
        return None if self.meter is None else self.meter.refused or self.meter.exceeded()

    def free(self) -> None:
        """Let what was kept back be spent."""
        if self.meter is not None:
            self.meter.keep_back({})

    def owns(self, error: BaseException) -> bool:
        """Whether it was the own budget that refused."""
        return isinstance(error, BudgetExceeded) and self.meter is not None and self.meter.refused is not None


@contextmanager
def allowance(budget: Budget | None, *, keep_calls: int = 0) -> Generator[Allowance]:
    """A block that spends from a budget of its own, and from those around it.

    `keep_calls` of its calls are kept back, for an answer at the end, until `free`.
    """
    own = Allowance(budget, current().meter)
    if own.meter is not None and keep_calls and own.meter.limits["calls"] is not None:
        own.meter.keep_back({"calls": keep_calls})
    if own.meter is None:
        yield own
        return
    with running(meter=own.meter):
        yield own


def check_budget(budget: Any, subject: str) -> Budget | None:
    """Raise `UsageError` unless it is a `Budget` or None."""
    if budget is None or (isinstance(budget, Budget) and budget.rollouts is None):
        return budget
    if isinstance(budget, Budget):
        raise UsageError(f"{subject}(budget=...) limits calls, tokens, dollars or seconds; rollouts are of a compile")
    raise UsageError(f"{subject}(budget=...) is an ol.Budget(calls=..., dollars=..., ...); got {brief(budget)}")


def check_count(subject: str, name: str, value: Any, least: int = 1) -> int:
    """Raise `UsageError` unless the value is a whole number from `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{subject}({name}=...) is a whole number from {least}; got {brief(value)}")
    return value


def check_number(subject: str, name: str, value: Any) -> float:
    """Raise `UsageError` unless the value is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{subject}({name}=...) is a number; got {brief(value)}")
    return value


async def draw(inner: Answering, inputs: Mapping[str, Any], number: int, of: int) -> Any:
    """Draw `number` (from 0) of `of` independent ones: equal prompts are asked again and cached apart.

    Nested draws stay apart: draw j of 3 inside draw i of 5 is sample 3 * i + j. Draw 0 of sample 0 is what the module
    alone would give, and shares its cache entry.
    """
    with running(sample=current().sample * of + number):
        return await inner.acall(**inputs)


async def attempt(
    inner: Answering,
    inputs: Mapping[str, Any],
    number: int,
    of: int,
    allowed: Allowance,
    reward: Reward | None = None,
    part: str = "",
) -> Attempt:
    """One draw with its reward. An answer that cannot be read, a model that cannot be reached and the end of the own
    budget are in the attempt; anything else is raised."""
    result: Any = None
    try:
        result = await draw(inner, inputs, number, of)
        value, feedback = (None, "") if reward is None else await rewarded(reward, inputs, result)
    except (AnswerError, LMError) as error:
        return Attempt(result, error, sample=number, part=part)
    except BudgetExceeded as error:
        if not allowed.owns(error):
            raise
        return Attempt(result, error, sample=number, part=part)
    return Attempt(result, None, value, feedback, number, part)


def best(attempts: Iterable[Attempt]) -> int | None:
    """The index of the attempt with the highest reward, the first of equals; a result that was not scored comes after
    all that were. None when there is no result."""
    found: int | None = None
    highest = -math.inf
    for index, one in enumerate(attempts):
        if not one.ok:
            continue
        value = -math.inf if one.reward is None else one.reward
        if found is None or value > highest:
            found, highest = index, value
    return found


def failed(strategy: str, attempts: Iterable[Attempt]) -> Exception:
    """The error of a strategy none of whose attempts gave a result."""
    errors = [one.error for one in attempts if one.error is not None]
    if not errors:
        return AnswerError(f"{strategy}: there was no attempt")
    last = errors[-1]
    for error in errors:  # what says more than "the budget is used up"
        if not isinstance(error, BudgetExceeded):
            last = error
    if len(errors) > 1:
        last.add_note(f"{strategy}: none of {len(errors)} attempts gave an answer; this is one of their errors")
    return last


def check_reward(reward: Any, subject: str) -> Reward:
    """Raise `UsageError` unless it can be called as `reward(out)` or `reward(inputs, out)`, or is a module."""
    if isinstance(reward, Module | Check):
        return reward
    if not callable(reward) or isinstance(reward, type):
        raise UsageError(
            f"{subject}(reward=...) is a function (out) or (inputs, out) that gives a number, a bool or a Score, or a "
            f"module that judges; got {brief(reward)}"
        )
    if _arity(reward) not in (1, 2):
        raise UsageError(f"{subject}: a reward takes (out) or (inputs, out); {brief(reward)} takes neither")
    return reward


def _arity(function: Callable[..., Any]) -> int:
    try:
        signature = inspect.signature(function)
    except ValueError:  # a builtin that does not tell
        return 1
    for count in (2, 1):
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return count
    return 0


async def rewarded(reward: Reward, inputs: Mapping[str, Any], result: Any) -> tuple[float | None, str]:
    """What a result is worth, and what is said of it; None when it cannot be judged.

    Any metric that does not look at targets is a reward: its first argument is the inputs. So is a check. A module gets
    the fields it takes from the inputs and the result, and answers with one number or truth value (beside a
    `feedback`). Raises `MetricError` for something that is no score.
    """
    if isinstance(reward, Module):
        return await _judged(reward, inputs, result)
    if isinstance(reward, Check):
        return await _passes(reward, inputs, result)
    given = (result,) if _arity(reward) == 1 else (Prediction(**inputs), result)
    if inspect.iscoroutinefunction(reward) or blocking():
        value = reward(*given)
    else:
        value = await in_thread(lambda: reward(*given))
    if inspect.isawaitable(value):
        value = await value
    return _score(value, getattr(reward, "__name__", type(reward).__name__))


async def _passes(check: Check, inputs: Mapping[str, Any], result: Any) -> tuple[float | None, str]:
    """What a check says of a result, as a reward."""
    said = await check.arun({**inputs, **(fields_of(result) if isinstance(result, Record) else {"answer": result})})
    if said is None:
        return None, f"the check {check.name!r} does not apply"
    value = float(said.ok) if said.score is None else said.score
    return value, "" if said.ok else check.told(said)


async def _judged(judge: Module, inputs: Mapping[str, Any], result: Any) -> tuple[float | None, str]:
    name = type(judge).__name__
    own = getattr(judge, "reward_of", None)  # a judge knows what its verdict is worth
    if own is not None:
        return _score(await own(inputs, result), name)
    fields = {**inputs, **(fields_of(result) if isinstance(result, Record) else {"answer": result})}
    signature = getattr(judge, "signature", None)
    wanted = inspect.signature(judge.forward).parameters if signature is None else signature.inputs
    verdict = await judge.acall(**{name: fields[name] for name in wanted if name in fields})
    values = outputs_of(verdict) if isinstance(verdict, Record) else {"": verdict}
    numbers = [value for value in values.values() if isinstance(value, bool | int | float)]
    name = name if signature is None else signature.__name__
    if len(numbers) != 1:
        raise MetricError(f"{name}, as a reward, gives one number or truth value; got {brief(verdict)}")
    value, _ = _score(numbers[0], name)
    return value, str(values.get("feedback", ""))


def _score(value: Any, name: str) -> tuple[float | None, str]:
    """The number and the feedback of what a reward gave: a bool, a number, a `Score`, or None and `unscored`."""
    if value is None or (hasattr(value, "reason") and not hasattr(value, "value")):
        return None, str(getattr(value, "reason", ""))
    number, feedback = (value.value, value.feedback) if hasattr(value, "feedback") else (value, "")
    if type(number).__module__ == "numpy" and hasattr(number, "item"):
        number = number.item()
    if not isinstance(number, bool | int | float) or not math.isfinite(number):
        raise MetricError(f"the reward {name!r} gives a bool, a finite number, a Score or None; got {brief(value)}")
    return float(number), feedback or ""
