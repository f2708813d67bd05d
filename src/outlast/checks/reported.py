"""What is known of checks while they run, what is reported of them, and what a model is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from outlast.checks.check import COSTS, Check, CheckResult
from outlast.checks.policy import Policy
from outlast.errors import ParseError
from outlast.messages import Response

Tiers = tuple[tuple[Check, ...], ...]
_LONGEST = 2000  # characters of one message that a model is shown


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of one check in one call: `out.checks["cites"]`.

    `first` is what it said of the first answer, `final` of the one that was given; None where it did not apply or was
    not reached, and False where something else was given in place of an answer that failed. `attempts` counts the
    answers that were asked for on its behalf, the first included. `actions` are the policies that were carried out, in
    order; `message` is what it said last when it failed.
    """

    first: bool | None
    final: bool | None
    attempts: int = 1
    actions: tuple[str, ...] = ()
    message: str = ""


@dataclass(slots=True)
class State:
    """`Checked` while it comes about."""

    first: bool | None = None
    final: bool | None = None
    retries: int = 0
    actions: list[str] = field(default_factory=list[str])
    message: str = ""
    seen: bool = False


@dataclass(slots=True)
class Standing:
    """What is done about one answer: checks that failed and are let be, those whose fix was taken, outputs that were
    given up, and what checks said of the values as they are now."""

    let: set[str] = field(default_factory=set[str])
    mended: set[str] = field(default_factory=set[str])
    given_up: set[str] = field(default_factory=set[str])
    said: dict[str, CheckResult | None] = field(default_factory=dict[str, "CheckResult | None"])


class Failure(NamedTuple):
    """A check that failed, what it said, and what comes next."""

    check: Check
    result: CheckResult
    policy: Policy


def in_tiers(checks: Iterable[Check]) -> Tiers:
    """Checks by their cost, the cheapest first."""
    found = list(checks)
    return tuple(tier for cost in COSTS if (tier := tuple(one for one in found if one.cost == cost)))


def refusal(failing: Sequence[Failure], response: Response | None) -> ParseError:
    """What a model is told of its answer. Messages may quote data, so no line of them stands at the left margin, where
    a prompt has its structure."""
    told = [one.check.told(one.result)[:_LONGEST] for one in failing]
    listed = "\n".join(f"- {text}".replace("\n", "\n  ") for text in told)
    names = ", ".join(repr(one.check.name) for one in failing)
    return ParseError(
        f"the answer does not pass {names}: {'; '.join(told)}",
        for_model=f"Your answer could be read, but it is not accepted:\n{listed}\n\nAnswer again with every output, in "
        f"the same form, and put this right.",
        response=response,
    )
