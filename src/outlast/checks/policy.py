"""What happens when a check fails on a signature, a module or in a guard."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from outlast.errors import UsageError, brief, did_you_mean

Action = Literal["retry", "fix", "fallback", "filter", "abstain", "raise", "log"]
ACTIONS: tuple[Action, ...] = ("retry", "fix", "fallback", "filter", "abstain", "raise", "log")


@dataclass(frozen=True, slots=True)
class Policy:
    """What to do when a check fails, and `then`, when that was no use.

    "retry" asks again in the same conversation with the message of the check, at most `times`, and only while what
    the asking-again took stays below `tokens` and `seconds`. "fix" takes the values that the check proposes.
    "fallback" gives `value`: values by field name, or a module that is asked with the same inputs. "filter" leaves out
    the items of a list that fail. "abstain" gives None for the outputs that the check looks at. "raise" raises
    `CheckFailed`. "log" only notes it.
    """

    action: Action
    times: int = 2
    tokens: int | None = None
    seconds: float | None = None
    value: Any = None
    then: Policy | None = None

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            near = did_you_mean(self.action, ACTIONS) if isinstance(self.action, str) else ""
            raise UsageError(f"a policy is one of {', '.join(ACTIONS)}; got {brief(self.action)}.{near}")
        if isinstance(self.times, bool) or not isinstance(self.times, int) or self.times < 1:
            raise UsageError(f"retry(times) is a whole number from 1; got {brief(self.times)}")
        if self.then is not None and not isinstance(self.then, Policy):
            raise UsageError(f"a policy's then is a policy, such as ol.checks.fix(); got {brief(self.then)}")

    def __str__(self) -> str:
        shown = f"{self.action} x{self.times}" if self.action == "retry" else self.action
        return shown if self.then is None else f"{shown}, then {self.then}"


RAISE = Policy("raise")


def retry(
    times: int = 2, *, tokens: int | None = None, seconds: float | None = None, then: Policy | str = "raise"
) -> Policy:
    """Ask again in the same conversation, with what the check says, at most `times` (from 1).

    It ends early when the asking-again has taken `tokens` or `seconds`. Cost: at most `times` LM calls.
    """
    if tokens is not None and (isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1):
        raise UsageError(f"retry(tokens=...) is a whole number from 1; got {brief(tokens)}")
    timed = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is not None and not (timed and 0 < seconds < math.inf):
        raise UsageError(f"retry(seconds=...) is a number above 0; got {brief(seconds)}")
    return Policy("retry", times, tokens, seconds, then=as_policy(then, "retry(then=...)"))


def fix(*, then: Policy | str = "raise") -> Policy:
    """Take the values that the check proposes; `then` says what happens when it proposes none. Cost: no LM call."""
    return Policy("fix", then=as_policy(then, "fix(then=...)"))


def fallback(value: Any) -> Policy:
    """Give this instead: values by field name, or a module that is asked with the same inputs."""
    return Policy("fallback", value=value)


def as_policy(value: Any, subject: str) -> Policy:
    """The policy that a word or a policy means; raises `UsageError`."""
    if isinstance(value, Policy):
        return value
    if value == "fallback":
        raise UsageError(f"{subject}: a fallback needs what to fall back to; write ol.checks.fallback(value)")
    if value == "retry":
        return retry()
    if value == "fix":
        return fix()
    if isinstance(value, str) and value in ACTIONS:
        return Policy(value, then=None)
    near = did_you_mean(value, ACTIONS) if isinstance(value, str) else ""
    raise UsageError(
        f"{subject}: on_fail is one of {', '.join(ACTIONS)}, or a policy of ol.checks; got {brief(value)}.{near}"
    )
