"""Strategies made of several modules: what their parts may be, and which signature they answer together."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from outlast.errors import AnswerError, BudgetExceeded, LMContextError, UsageError, brief
from outlast.lms.layers.fallback import UNAVAILABLE
from outlast.modules.attempts import Attempt
from outlast.modules.module import Module
from outlast.modules.strategy import as_module, signature_of

Failures = type[Exception] | tuple[type[Exception], ...]
FAILURES = (AnswerError, LMContextError, *UNAVAILABLE)  # what another try, or another part, may mend


def parts_of(parts: Any, subject: str, *, least: int = 1) -> Any:
    """Modules in a list, or in a dict by name, each made of a module or a signature. Raises `UsageError`."""
    if isinstance(parts, Mapping):
        named = cast("Mapping[Any, Any]", parts)
        for name in named:
            if not isinstance(name, str):
                raise UsageError(f"{subject}: the names of parts are text; got {brief(name)}")
        found: Any = {name: as_module(part, subject) for name, part in named.items()}
    elif isinstance(parts, list | tuple):
        found = [as_module(part, subject) for part in cast("Sequence[Any]", parts)]
    else:
        raise UsageError(f"{subject} takes its parts in a list, or in a dict by name; got {brief(parts)}")
    if len(found) < least:
        raise UsageError(f"{subject} takes at least {least} parts; got {len(found)}")
    return found


def named(parts: Any) -> dict[str, Module]:
    """Parts by name; the name of one in a list is its place."""
    if isinstance(parts, Mapping):
        return dict(cast("Mapping[str, Module]", parts))
    return {str(place): part for place, part in enumerate(cast("Sequence[Module]", parts))}


def one_signature(parts: Any, subject: str) -> Any:
    """The signature that all parts answer, None when none of them says; the first stands for those with the same
    fields. Raises `UsageError` for parts that do not take and give the same."""
    found: Any = None
    for name, part in named(parts).items():
        declared = signature_of(part)
        if declared is None:
            continue
        if found is None:
            found = declared
        elif declared is not found and (set(declared.inputs), set(declared.outputs)) != (
            set(found.inputs),
            set(found.outputs),
        ):
            raise UsageError(
                f"{subject}: its parts take the same inputs and give the same outputs, so that one can stand in for "
                f"another; {name!r} is {declared.spelled}, and an earlier one {found.spelled}"
            )
    return found


def taken(part: Module, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the inputs that a part takes."""
    declared = signature_of(part)
    if declared is not None:
        return {name: value for name, value in inputs.items() if name in declared.inputs}
    wanted = inspect.signature(part.forward).parameters
    if any(one.kind is one.VAR_KEYWORD for one in wanted.values()):
        return dict(inputs)
    return {name: value for name, value in inputs.items() if name in wanted}


def check_failures(on: Any, subject: str) -> tuple[type[Exception], ...]:
    """Raise `UsageError` unless it is a class of errors, or a tuple of them."""
    kinds = cast("tuple[Any, ...]", on) if isinstance(on, tuple) else (on,)
    for kind in kinds:
        if not isinstance(kind, type) or not issubclass(kind, Exception):
            raise UsageError(f"{subject}(on=...) is a class of errors, or a tuple of them; got {brief(kind)}")
    return kinds


def passed(one: Attempt, on: tuple[type[Exception], ...], check: Callable[..., Any] | None, threshold: float) -> bool:
    """Whether an attempt gave an answer that the check likes. Raises an error that is none of `on`."""
    if one.error is not None:
        if not isinstance(one.error, (*on, BudgetExceeded)):
            raise one.error
        return False
    return check is None or (one.reward is not None and one.reward >= threshold)


def unmet(subject: str, attempts: Sequence[Attempt], check: Any) -> Exception:
    """The error when no attempt passed: of the last one that failed, or what the check said."""
    last = attempts[-1]
    if last.error is not None and not isinstance(last.error, BudgetExceeded):
        if len(attempts) > 1:
            last.error.add_note(f"{subject}: the last of {len(attempts)} attempts")
        return last.error
    answered = [one for one in attempts if one.ok]
    if not answered:
        return last.error or AnswerError(f"{subject}: there was no attempt")
    name = getattr(check, "__name__", type(check).__name__)
    said = f": {answered[-1].feedback}" if answered[-1].feedback else ""
    return AnswerError(
        f"{subject}: {name} says no to each of {len(answered)} answers, the last of them {brief(answered[-1].result)}"
        f"{said}",
        attempts=len(attempts),
    )
