"""Votes over answers: which one most attempts gave, and when more attempts cannot change that."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from outlast.errors import MetricError, UsageError, brief, did_you_mean
from outlast.modules.attempts import Attempt
from outlast.modules.normal import normal_form, spelled
from outlast.signatures.record import Record

By = str | Callable[[Any], Any]  # the field that is voted on, or a function of the output


@dataclass(slots=True)
class Party:
    """The attempts that gave one answer: the index of the first, their votes, the answer as it was first written."""

    first: int
    shown: str
    votes: float = 0.0


@dataclass(frozen=True, slots=True)
class Count:
    """Votes by answer, the winner first: the most votes, of equals the one that was given first.

    `agreement` is the share of the winner in the votes, times the share of attempts that gave an answer at all: 1 when
    all said the same, 0 when none said anything.
    """

    parties: tuple[Party, ...]
    agreement: float
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def winner(self) -> int | None:
        """The index of the first attempt that gave the winning answer, None when none gave any."""
        return self.parties[0].first if self.parties else None


def count(attempts: Sequence[Attempt], by: By | None = None, *, weighted: bool = False) -> Count:
    """Count the votes; with `weighted` each attempt has its reward as its weight (0 when it was not scored)."""
    parties: dict[str, Party] = {}
    for index, one in enumerate(attempts):
        if not one.ok:
            continue
        value = voted_on(one.result, by)
        party = parties.setdefault(normal_form(value), Party(index, spelled(value)))
        party.votes += _weight(one) if weighted else 1
    ranked = sorted(parties.values(), key=lambda party: (-party.votes, party.first))
    total = math.fsum(party.votes for party in ranked)
    answered = sum(one.ok for one in attempts) / len(attempts) if attempts else 0.0
    agreement = ranked[0].votes / total * answered if total else 0.0
    facts = {"votes": {party.shown: party.votes for party in ranked}, "agreement": agreement}
    return Count(tuple(ranked), agreement, facts)


def _weight(one: Attempt) -> float:
    if one.reward is not None and one.reward < 0:
        raise MetricError(f"a weight of a vote is at least 0; got {one.reward:g} for {brief(one.result)}")
    return one.reward or 0.0


def voted_on(result: Any, by: By | None) -> Any:
    """What an attempt votes for."""
    if by is None:
        return result
    if not isinstance(by, str):
        return by(result)
    if isinstance(result, (Record, Mapping)):
        return cast("Any", result)[by]
    return getattr(result, by)


def check_by(by: Any, signature: Any, subject: str) -> By | None:
    """Raise `UsageError` unless votes can be counted by this: an output, or a function of one argument."""
    if by is None:
        return None
    if isinstance(by, str):
        if signature is None:
            return by
        outputs = signature.outputs
        if by not in outputs:
            raise UsageError(
                f"{subject}(by=...): {signature.__name__} has no output {by!r}.{did_you_mean(by, outputs)} "
                f"Outputs: {', '.join(outputs)}."
            )
        return by
    if not callable(by) or isinstance(by, type) or inspect.iscoroutinefunction(by):
        raise UsageError(f"{subject}(by=...) is the name of an output, or a function of the output; got {brief(by)}")
    return by


def check_stop(stop: Any, subject: str) -> str | float | None:
    """Raise `UsageError` unless it says when to stop voting."""
    if stop is None or stop == "certain":
        return stop
    if isinstance(stop, bool) or not isinstance(stop, int | float) or not 0.5 < stop < 1:
        raise UsageError(
            f"{subject}(stop=...) is 'certain', or a probability between 0.5 and 1 that the leader is the true "
            f"majority; got {brief(stop)}"
        )
    return stop


def still_needed(votes: Count, left: int, stop: str | float | None) -> int:
    """The fewest further votes after which voting can be over, 0 when it is: ask for so many at the same time, and no
    vote is bought that one-by-one voting would have saved."""
    if stop is None:
        return left
    for more in range(left):
        if _certain(votes, more, left) or (not isinstance(stop, str) and _likely(votes, more) >= stop):
            return more
    return left


def _certain(votes: Count, more: int, left: int) -> bool:
    """Whether the rest cannot change the result once the leader has `more` further votes; ties go to the first."""
    if not votes.parties:
        return more > 0 and more >= left - more
    leader, *rivals = votes.parties
    ahead = leader.votes + more
    rest = left - more
    if rest > ahead:  # of an answer that nobody has given yet
        return False
    return all(
        rival.votes + rest < ahead or (rival.votes + rest == ahead and leader.first < rival.first) for rival in rivals
    )


def _likely(votes: Count, more: int) -> float:
    """The probability that the leader, with `more` further votes, is the more frequent of the first two answers: the
    mass above one half of a Beta(v1 + 1, v2 + 1) distribution (Aggarwal et al. 2023, arXiv 2305.11860, section 3)."""
    if not votes.parties and not more:
        return 0.0
    first = int(votes.parties[0].votes if votes.parties else 0) + more
    second = int(votes.parties[1].votes if len(votes.parties) > 1 else 0)
    total = first + second + 1
    return sum(math.comb(total, i) for i in range(first + 1)) / 2**total
