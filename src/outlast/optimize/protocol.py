"""What an optimizer is: a search policy over a study."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar

from outlast.errors import UsageError
from outlast.modules.module import Module
from outlast.optimize.candidate import Candidate

if TYPE_CHECKING:
    from outlast.optimize.study import Study


class Optimizer(ABC):
    """Proposes candidates to a study and says which one it would ship. It never runs or changes programs itself.

    The study remembers every result by content, so running the same search again is resuming it: a search must
    make the same proposals for the same seed and results (draw random numbers from `study.rng(name)` only).
    `outlast.testing.contracts.check_optimizer` checks all that is asked of one.
    """

    weighs_cost: ClassVar[bool] = False  # what it gives is proven as it is, also where `prefer` asks for less cost

    @abstractmethod
    async def search(self, study: Study) -> Candidate:
        """Search until done; gives the candidate to confirm. `BudgetExceeded` passes through it unhandled."""

    @abstractmethod
    def rollouts(self, train: int, select: int) -> int:
        """The most rollouts that a search costs with this many training and selection examples.

        Where `takes_what_is_paid`, that is without a budget.
        """

    @property
    def takes_what_is_paid(self) -> bool:
        """Whether a budget in rollouts, calls, tokens or dollars replaces the bound of `rollouts`; else both hold."""
        return False

    def check(self, study: Study) -> None:
        """Raise `PathError` or `UsageError` for a search that cannot be made on this study, or that could change
        nothing. `compile` asks before anything is paid; there are no results then, and no model may be asked.

        Here: all parameters are locked, or there are none.
        """
        must_have(self, study, "parameters", study.tunable)

    def estimate(self, program: Module, train: int, select: int) -> int:
        """The most rollouts that a search of this program costs: `rollouts`, unless that depends on the program."""
        return self.rollouts(train, select)

    def least(self, train: int, select: int) -> int:
        """The fewest rollouts beside the proof with which a search can find anything. When a budget leaves less, and
        nothing was found, the report says so. Here: those of the start program on all selection examples."""
        return select

    def describe(self) -> dict[str, Any]:
        """Name and options, JSON-ready and the same in every process; decides which ledger a search resumes from."""
        return described(self, "optimizer")


def must_have(optimizer: Optimizer, study: Study, what: str, found: Iterable[Any]) -> None:
    """Raise `UsageError` when there is nothing in `found`, which holds `what` a search may change."""
    if any(True for _ in found):
        return
    from outlast.optimize.function import Function

    program, locked = type(study.program).__name__, study.locks.paths
    program = "the function" if isinstance(study.program, Function) else program
    free = f" Locked: {', '.join(locked)}. Free: {', '.join(study.tunable) or 'nothing'}." if locked else ""
    raise UsageError(
        f"{type(optimizer).__name__} changes {what}, and {program} has none{' that may change' if locked else ''}: a "
        f"search would cost and find nothing.{free} Take an optimizer that changes what {program} has"
        f"{', or lock less' if locked else ''}."
    )


def described(thing: Any, kind: str) -> dict[str, Any]:
    """The class name under `kind`, and the options of a dataclass."""
    data: dict[str, Any] = {kind: type(thing).__name__}
    if dataclasses.is_dataclass(thing):
        for field in dataclasses.fields(thing):
            data[field.name] = _described(getattr(thing, field.name))
    return data


def _described(value: Any) -> Any:
    from outlast.tracing.identity import program_hash

    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Module):
        return f"{type(value).__name__} {program_hash(value)}"
    if isinstance(describe := getattr(value, "describe", None), MethodType):
        return describe()
    if isinstance(value, list | tuple):
        return [_described(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return type(value).__name__
