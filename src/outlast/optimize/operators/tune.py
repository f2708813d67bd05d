"""`Tune`: other values of declared parameters, within their spaces."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from outlast.modules.paths import parameters, spaces_of
from outlast.modules.spaces import Choice, Float, Int, Space, Text
from outlast.optimize.operators.protocol import Operator

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study

_FAR = 0.3  # of the steps go anywhere in the space
_STEP = 0.2  # of the width of a space: the standard deviation of a step nearby


@dataclass(frozen=True, slots=True)
class Tune(Operator):
    """Move one declared number or choice of the parent, now and then two.

    A number takes a normal step of a fifth of its range or, in 3 of 10 cases, goes anywhere in it (both on a
    logarithmic scale where the space says so); a choice takes another option. Cost: nothing.
    """

    name: ClassVar[str] = "tune"

    def applies(self, study: Study, parent: Candidate) -> bool:
        """Whether the program has declared any number or choice that may change."""
        return bool(tunable_spaces(study))

    async def propose(self, study: Study, parent: Candidate, number: int) -> list[Candidate]:
        """One candidate."""
        rng = study.rng(f"{self.name} {parent.id} {number}")
        spaces = tunable_spaces(study)
        now = parameters(study.build(parent))
        count = 2 if len(spaces) > 1 and rng.random() < 0.3 else 1
        changes = {path: stepped(spaces[path], now[path], rng) for path in rng.sample(list(spaces), count)}
        made = study.propose(changes, origin=in_words(changes), parent=parent, operator=self.name)
        return [] if made == parent else [made]


def tunable_spaces(study: Study) -> dict[str, Space[Any]]:
    """The numbers and choices of the program that candidates may change, by path."""
    return {
        path: space
        for path, space in spaces_of(study.program).items()
        if not isinstance(space, Text) and not study.locked(path)
    }


def in_words(changes: Mapping[str, Any]) -> str:
    """Changes as the origin of a candidate."""
    return ", ".join(f"{path} = {value!r}" for path, value in changes.items())


def at(space: Space[Any], share: float) -> Any:
    """The value that lies at a share of the way through a space, from 0 to 1; numbers have three digits or so."""
    share = min(max(share, 0.0), 1.0)
    if isinstance(space, Choice):
        return space.options[min(int(share * len(space.options)), len(space.options) - 1)]
    assert isinstance(space, Float | Int)
    low, high = (math.log(space.low), math.log(space.high)) if space.log else (space.low, space.high)
    value = low + share * (high - low)
    value = math.exp(value) if space.log else value
    if isinstance(space, Int):
        return min(max(round(value), space.low), space.high)
    spread = value if space.log else space.high - space.low
    rounded = round(value, max(0, 2 - math.floor(math.log10(spread))))
    return min(max(rounded, float(space.low)), float(space.high))


def stepped(space: Space[Any], value: Any, rng: Random) -> Any:
    """Another value of a space, mostly near to this one."""
    if isinstance(space, Choice):
        others = [one for one in space.options if not (type(one) is type(value) and one == value)]
        return rng.choice(others) if others else value
    share = rng.random() if rng.random() < _FAR else share_of(space, value) + rng.gauss(0, _STEP)
    new = at(space, share)
    if new == value and isinstance(space, Int):  # a step that rounds to nothing
        new = value + 1 if value < space.high and (share >= share_of(space, value) or value == space.low) else value - 1
    return new


def share_of(space: Space[Any], value: float) -> float:
    """How far through its range a number lies, from 0 to 1."""
    assert isinstance(space, Float | Int)
    if space.log:
        return (math.log(value) - math.log(space.low)) / (math.log(space.high) - math.log(space.low))
    return (value - space.low) / (space.high - space.low)
