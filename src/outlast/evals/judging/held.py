"""The rubrics that a metric judges by: its own, or those of the judges that a function of the user asks."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Iterable
from typing import Any, cast

from outlast.tracing.shape import RUBRIC


def rubric_told(metric: Any) -> str:
    """The rubric of a metric as JSON, a list of rubrics for one that holds several judges or is a function that asks
    some; "" where there is none.

    Judges are found that a function names, closes over or is given as defaults. Of its scores those count as their
    verdicts that are parts (`ol.Score(..., parts={...})`) of their rubrics' names.
    """
    own = getattr(metric, RUBRIC, None)
    if own is not None:
        return str(own)
    lines = dict.fromkeys(line for held in _held(metric) for line in _lines(held))
    return f"[{','.join(lines)}]" if lines else ""


def _held(metric: Any) -> list[Any]:
    """What a metric may ask: what its function names, closes over and has as defaults, and what is bound to it."""
    found: list[Any] = []
    if isinstance(metric, functools.partial):
        given = cast("functools.partial[Any]", metric)
        found += [*given.args, *given.keywords.values()]
        metric = given.func
    function: Any = inspect.unwrap(metric) if callable(metric) else metric
    kind: object = metric.__class__
    if not isinstance(function, types.FunctionType):
        found += list(cast("dict[str, Any]", getattr(metric, "__dict__", {})).values())
        function = getattr(kind, "__call__", None)  # noqa: B004 - a metric that is an object
    if not isinstance(function, types.FunctionType):
        return found
    found += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    try:
        known = inspect.getclosurevars(function)
    except ValueError:  # it closes over a name that has no value yet
        return found
    return [*found, *known.nonlocals.values(), *known.globals.values()]


def _lines(held: Any) -> Iterable[str]:
    """The rubrics of a judge, of several, or of a metric that one made, as lines of JSON."""
    told: Any = getattr(held, RUBRIC, None) if callable(held) and not isinstance(held, type) else None
    if isinstance(told, str) and told:
        return [told] if told.startswith("{") else []
    if "outlast.evals.judging.judge" not in sys.modules:  # then there are no judges
        return []
    from outlast.evals.judging.judge import Judge
    from outlast.evals.judging.judges import Judges

    if isinstance(held, Judge):
        return [_line(held)]
    return [_line(one) for one in held.judges.values()] if isinstance(held, Judges) else []


def _line(judge: Any) -> str:
    from outlast.evals.judging.rubric import rubric_line

    return rubric_line(judge.rubric)
