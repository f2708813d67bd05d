"""Content hashes of metrics and programs, so that results made by different code are never taken for the same."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

from outlast.data.jsonform import content_hash
from outlast.tracing.shape import IDENTITY as IDENTITY
from outlast.tracing.shape import JUDGED_BY as JUDGED_BY
from outlast.tracing.shape import NEEDS as NEEDS
from outlast.tracing.shape import RUBRIC as RUBRIC
from outlast.tracing.shape import Shaper


def metric_hash(metric: Callable[..., Any]) -> str:
    """32 hexadecimal digits of what a metric does, the same in every process.

    It covers the source without comments and layout (the byte code where no source is at hand), defaults, what it
    closes over, wrapped functions, and, over any number of steps, everything that it names: functions, classes with
    all their members, data (lists, dicts, sets, patterns, dataclasses, ...), programs, models by their identity.
    Installed packages and the standard library count by name only. Data that the code itself changes (a cache, a
    counter) counts by its type only, and so do objects that do not say what they hold (locks, open files). Cost: a
    few milliseconds; made anew at each call, since data can change.
    """
    return content_hash(Shaper(metric).whole())


def program_hash(program: Any) -> str:
    """32 hexadecimal digits of a program, as `metric_hash`: for a module the code of its classes with what that
    names, the signatures and all its values, models by their identity."""
    return content_hash(Shaper(program).whole())


def own_models(program: Any) -> str:
    """The identities of the models that the modules of a program bring along, by path; "" when there are none."""
    from outlast.lms.protocol import LM
    from outlast.modules.module import Module
    from outlast.modules.paths import predictors_of

    if not isinstance(program, Module):
        return ""
    owned = {path: vars(part).get("lm") for path, part in predictors_of(program).items()}
    return "; ".join(f"{path}: {lm.identity}" for path, lm in owned.items() if isinstance(lm, LM))


def name_of(thing: Any) -> str:
    """A short name for a program or a metric in reports."""
    own = getattr(thing, "__name__", None)
    if isinstance(own, str) and own != "<lambda>":
        return own
    if isinstance(thing, functools.partial):
        return name_of(cast("functools.partial[Any]", thing).func)
    return "lambda" if own == "<lambda>" else type(thing).__name__
