"""One result for a list out of those for its items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from outlast.checks.check import Check, CheckResult, Found
from outlast.checks.fitting import steps
from outlast.checks.redaction import apart


def of_items(check: Check, items: Sequence[Any], results: Sequence[CheckResult | None]) -> CheckResult | None:
    """One result for a list: it passes when every item that the check applies to does.

    The fix holds the items as the check would have them, and leaves out those that it proposes nothing for; with a
    policy of "filter" all that fail are left out.
    """
    name = check.needs[0]
    judged = [result for result in results if result is not None]
    if not judged:
        return None
    bad = {index: result for index, result in enumerate(results) if result is not None and not result.ok}
    if not bad:
        return CheckResult(True)
    first = min(bad)
    message = f"item {first + 1} of {len(items)} in {name!r}: {check.told(bad[first])}"
    if len(bad) > 1:
        message += f" (and {len(bad) - 1} more)"
    found = tuple(_inside(place, name, index) for index, result in bad.items() for place in result.found)
    filters = next((policy.action for policy in steps(check.on_fail) if policy.action in ("fix", "filter")), "")
    fixed, undo = _fixed(name, items, bad if filters != "filter" else {})
    kept = [fixed.get(index, item) for index, item in enumerate(items) if index in fixed or index not in bad]
    return CheckResult(False, message, 1 - len(bad) / len(judged), found, {name: kept}, undo or None)


def _inside(place: Found, name: str, index: int) -> Found:
    """A place in an item as one in the list."""
    rest = place.field.removeprefix(name)
    return replace(place, field=f"{name}[{index}]{rest}")


def _fixed(name: str, items: Sequence[Any], bad: Mapping[int, CheckResult]) -> tuple[dict[int, Any], dict[str, str]]:
    """The items that the check proposes something for, by place, and what undoes it; no placeholder of one item is
    that of another."""
    found: dict[int, Any] = {}
    undo: dict[str, str] = {}
    for index, result in bad.items():
        if not result.fix or name not in result.fix:
            continue
        fix: Mapping[str, Any] = {name: result.fix[name]}
        if result.undo:
            others = {str(place): item for place, item in enumerate(items) if place != index}
            fix, more = apart(fix, result.undo, others, undo)
            undo |= more
        found[index] = fix[name]
    return found, undo
