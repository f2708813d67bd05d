"""Checks in an evaluation: those that the program brings along, and those that look at answers beside the metric."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from outlast.checks.check import Check, as_check
from outlast.checks.reported import Checked
from outlast.data.example import Example, inputs_of, targets_of
from outlast.errors import UsageError, brief, did_you_mean
from outlast.evals.forms import fields_seen
from outlast.evals.row import CheckOutcome
from outlast.evals.scorer import within
from outlast.evals.statistics import Estimate, estimate_mean
from outlast.evals.statistics.clusters import clustered_mean
from outlast.modules.strategy import signature_of
from outlast.runtime import Run, Trace, enter, gather, leave
from outlast.tracing.identity import NEEDS, name_of

if TYPE_CHECKING:
    from outlast.evals.item import Item


@dataclass(frozen=True, slots=True)
class CheckRates:
    """How one check fared: `Evaluation.checks["cites"]`.

    `first` is the share of examples whose first answer passes, `final` that of answers as they were given, after
    retries and fixes; an answer that was replaced by a fallback or given up counts as one that does not pass. `n` are
    the examples to which it applied. `failed` counts the runs whose first answer did not pass, `mended` those of them
    whose last one did, `added_calls` the answers asked for on its behalf (one that two checks asked for counts in
    both). A check that ran beside the metric changed nothing, so its `first` and `final` are one.
    """

    name: str
    first: Estimate
    final: Estimate
    n: int
    failed: int
    mended: int
    added_calls: int

    def to_json(self) -> dict[str, Any]:
        """JSON-ready: shares with their intervals, null where there are none, and the counts."""
        data: dict[str, Any] = {}
        for side, estimate in (("first", self.first), ("final", self.final)):
            known = estimate.n > 0 and estimate.interval.known
            data[side] = estimate.value if estimate.n else None
            data[f"{side}_interval"] = [estimate.interval.low, estimate.interval.high] if known else None
        return {**data, "n": self.n, "failed": self.failed, "mended": self.mended, "added_calls": self.added_calls}


def as_checks(given: Any) -> tuple[Check, ...]:
    """The checks that run beside a metric; raises `UsageError`."""
    if isinstance(given, str | Check | Mapping) or not isinstance(given, Iterable):
        raise UsageError(f"checks are a list of checks; got {brief(given)}")
    found: dict[str, Check] = {}
    for thing in cast("Iterable[Any]", given):
        # A judge asks the model that is configured around the evaluation, not that of the program.
        one = as_check(thing.pinned() if hasattr(thing, "pinned") else thing)
        if not isinstance(one, Check):
            raise UsageError(f"checks are made with @ol.check or by ol.checks; got {brief(one)}")
        if found.setdefault(one.name, one) != one:
            raise UsageError(f"there are two checks named {one.name!r}; use check.named('another_name')")
    return tuple(found.values())


def refuse_unfit(checks: Sequence[Check], metric: Any, program: Any, example: Example) -> None:
    """Raise `UsageError` for a check or a metric that needs a field which neither the examples nor the program's
    outputs have, and for a check that has the name of another one of the program."""
    from outlast.modules.module import Module

    signature = signature_of(program) if isinstance(program, Module) else None
    if signature is None:
        return
    known = {**inputs_of(example), **signature.fields}
    for check in checks:
        _refuse_lacking(f"the check {check.name!r}", check.needs, known)
    targets = {f"target.{name}": value for name, value in targets_of(example).items()}
    _refuse_lacking(f"the metric {name_of(metric)!r}", getattr(metric, NEEDS, ()), {**known, **targets})
    rules = (*signature.__checks__, *getattr(program, "input", ()), *getattr(program, "output", ()))
    own = {one.name: one for one in rules if isinstance(one, Check)}
    for check in checks:
        other = own.get(check.name)
        if other is not None and other != check.with_policy(other.on_fail):
            raise UsageError(
                f"the program has another check named {check.name!r}, so that one of them could not be reported; "
                f"use check.named('another_name')"
            )


def _refuse_lacking(subject: str, needs: Iterable[str], known: Mapping[str, Any]) -> None:
    for name in needs:
        if name not in known:
            raise UsageError(
                f"{subject} needs the field {name!r}, which is not there.{did_you_mean(name, known)} "
                f"Fields: {', '.join(known)}."
            )


async def looked(
    checks: Sequence[Check], inputs: Mapping[str, Any], prediction: Any, run: Run, trace: Trace
) -> dict[str, Checked]:
    """What checks say of an answer within `run`, by name; what they ask models is in the trace. Cost: that of the
    checks."""
    fields = fields_seen(inputs, prediction)
    token = enter(within(run, trace, blocking=False))
    try:
        results = await gather(*[one.arun(fields) for one in checks])
    finally:
        leave(token)
    found: dict[str, Checked] = {}
    for check, result in zip(checks, results, strict=True):
        ok = None if result is None else result.ok
        found[check.name] = Checked(ok, ok, message="" if result is None or ok else check.told(result))
    return found


def outcomes(trace: Trace, beside: Mapping[str, Checked]) -> tuple[dict[str, CheckOutcome], str]:
    """The outcome of each check in one row, and what optimizers are told of those that failed.

    A check of the program has the path of its module before its name. Where a module was asked several times, the
    check passes when it passed each time.
    """
    every: dict[str, list[Checked]] = {}
    for path, name, checked in trace.checks:
        every.setdefault(f"{path}.{name}" if path else name, []).append(checked)
    for name, checked in beside.items():
        every.setdefault(name, [checked])
    found: dict[str, CheckOutcome] = {}
    told: list[str] = []
    for name, some in every.items():
        first, final = _all(one.first for one in some), _all(one.final for one in some)
        found[name] = CheckOutcome(first, final, 1 + sum(one.attempts - 1 for one in some))
        messages = dict.fromkeys(one.message for one in some if one.message and False in (one.first, one.final))
        if messages:
            when = "" if final is False else ", at first"
            told.append(f"check {name!r}{when}: {'; '.join(messages)}")
    return found, "\n".join(told)


def _all(values: Iterable[bool | None]) -> bool | None:
    known = [value for value in values if value is not None]
    return all(known) if known else None


def rates(items: Sequence[Item], level: float, *, clustered: bool) -> dict[str, CheckRates]:
    """How each check fared over examples; the share of an example is the mean over its epochs. Intervals are Wilson's
    for one epoch, and robust to clusters where there are any."""
    names = dict.fromkeys(name for item in items for row in item.rows for name in row.checks)
    return {name: _rate(name, items, level, clustered=clustered) for name in names}


def _rate(name: str, items: Sequence[Item], level: float, *, clustered: bool) -> CheckRates:
    seen = [(item, [row.checks[name] for row in item.rows if name in row.checks]) for item in items]
    flat = [one for _, some in seen for one in some]

    def estimate(which: int) -> Estimate:
        values: list[float] = []
        clusters: list[str] = []
        for item, some in seen:
            known = [bool(one[which]) for one in some if one[which] is not None]
            if known:
                values.append(math.fsum(known) / len(known))
                clusters.append(item.cluster)
        return clustered_mean(values, clusters, level) if clustered else estimate_mean(values, level=level)

    first, final = estimate(0), estimate(1)
    return CheckRates(
        name,
        first,
        final,
        max(first.n, final.n),
        sum(one.first is False for one in flat),
        sum(one.first is False and one.final is True for one in flat),
        sum(one.attempts - 1 for one in flat),
    )
