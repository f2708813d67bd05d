"""What the operators that change the structure of a program share: a list of guesses, tried a handful at a time."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from outlast.errors import SignatureError, UsageError
from outlast.modules.paths import parameters, predictors_of
from outlast.optimize.operators.protocol import Operator
from outlast.optimize.texts import whole_numbers

if TYPE_CHECKING:
    from outlast.modules.predict import Predict
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study


class Guess(NamedTuple):
    """Parameters to change, and what that is in words."""

    changes: Mapping[str, Any]
    origin: str


@dataclass(frozen=True, slots=True)
class Structural(Operator):
    """Candidates that need no proposer: what may be changed is known, and the guesses have an order.

    Attempt n gives the n-th handful of `most` guesses, after the last handful the first again. Free of rollouts and LM
    calls.
    """

    most: int = 3

    def __post_init__(self) -> None:
        whole_numbers(self, most=1)

    @abstractmethod
    def guesses(self, study: Study, parent: Candidate) -> Iterable[Guess]:
        """All changes that this operator knows for a program, best first; none of them may be locked."""

    def applies(self, study: Study, parent: Candidate) -> bool:
        """Whether there is a guess that was not made of this candidate yet."""
        made = [one for one in study.candidates.values() if one.parent == parent.id and one.operator == self.name]
        return any(not _is_made(guess, made) for guess in self.guesses(study, parent))

    async def propose(self, study: Study, parent: Candidate, number: int) -> list[Candidate]:
        """A handful of guesses; fewer where this program cannot take one."""
        every = list(self.guesses(study, parent))
        handfuls = -(-len(every) // self.most)
        found: list[Candidate] = []
        at = number % handfuls * self.most if handfuls else 0
        for changes, origin in every[at : at + self.most]:
            with contextlib.suppress(UsageError, SignatureError):
                found.append(study.propose(changes, origin=origin, parent=parent, operator=self.name))
        return [one for one in dict.fromkeys(found) if one not in (parent, study.start)]


def _is_made(guess: Guess, made: Sequence[Candidate]) -> bool:
    return any(all(one.changes.get(path) == value for path, value in guess.changes.items()) for one in made)


def modules_with(study: Study, parent: Candidate, parameter: str) -> dict[str, Predict[..., Any]]:
    """The predictors of a candidate's program whose `parameter` a search may change, by its path."""
    known = parameters(study.program)
    found: dict[str, Predict[..., Any]] = {}
    for path, part in predictors_of(study.build(parent)).items():
        at = f"{path}.{parameter}".lstrip(".")
        if at in known and not study.locked(at):
            found[at] = part
    return found


def together_and_apart(found: Mapping[str, Sequence[Any]], word: str) -> Iterator[Guess]:
    """Guesses from the values to try by parameter, best first: the n-th of all of them at once, then each alone."""
    longest = max((len(values) for values in found.values()), default=0)
    for number in range(longest):
        some = {path: values[number] for path, values in found.items() if number < len(values)}
        if len(some) > 1:
            yield Guess(some, f"{word} of {', '.join(owner(path) for path in some)}: {_listed(some.values())}")
    for number in range(longest):
        for path, values in found.items():
            if number < len(values):
                yield Guess({path: values[number]}, f"{word} of {owner(path)}: {told(values[number])}")


def owner(path: str) -> str:
    """The module that a parameter belongs to, in words."""
    return path.rpartition(".")[0] or "the program"


def told(value: Any) -> str:
    """A value in words."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return repr(value)


def _listed(values: Iterable[Any]) -> str:
    return "; ".join(dict.fromkeys(map(told, values)))
