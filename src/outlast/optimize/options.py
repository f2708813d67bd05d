"""What `compile` and what is built on it take besides program, data and metric, in one place."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from outlast.errors import UsageError, brief, refuse_unknown
from outlast.optimize.auto import Auto
from outlast.optimize.prefer import Prefer
from outlast.optimize.protocol import Optimizer
from outlast.runtime import Budget

if TYPE_CHECKING:
    from outlast.adapters.protocol import Adapter
    from outlast.lms.batch.batched import Transport
    from outlast.lms.protocol import LM
    from outlast.optimize.standing import Progress

AT_ONCE, IN_BATCHES = 32, 1000  # rollouts at a time, where `concurrency` says nothing


class SearchOptions(TypedDict, total=False):
    """The keywords of everything that searches, for editors and type checkers; `Options` has the defaults."""

    budget: Budget | None
    lock: Sequence[str]
    seed: int
    study: str | os.PathLike[str] | bool | None
    level: float
    concurrency: int | None
    progress: bool | Callable[[Progress], None]


class AskingOptions(TypedDict, total=False):
    """The keywords about the model of a program that outlast asks itself."""

    lm: LM | str | None
    adapter: Adapter | None
    transport: Transport


class PruneOptions(SearchOptions, AskingOptions, total=False):
    """The keywords that `prune` and `aprune` hand on."""


class OptimizeOptions(SearchOptions, total=False):
    """The keywords that `optimize` and `aoptimize` hand on."""

    optimizer: Optimizer | None
    prefer: Prefer | str
    margin: float
    proposer: LM | str | None
    proposer_budget: Budget | None


class CompileOptions(OptimizeOptions, AskingOptions, total=False):
    """The keywords of `compile` and `acompile`."""


KEYWORDS = tuple(CompileOptions.__annotations__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The keywords with their defaults, checked. Raises `UsageError` for values that cannot mean anything."""

    optimizer: Any = None
    budget: Any = None
    lock: Any = ()
    prefer: Any = "best"
    seed: Any = 0
    lm: Any = None
    adapter: Any = None
    study: Any = None
    margin: Any = 0.0
    level: Any = 0.95
    concurrency: Any = None
    proposer: Any = None
    proposer_budget: Any = None
    transport: Any = "direct"
    progress: Any = True

    @classmethod
    def of(cls, given: Mapping[str, Any], subject: str, valid: Iterable[str] = KEYWORDS) -> Options:
        """The options of a call. A keyword that is not `valid` raises `UsageError` that names the nearest."""
        refuse_unknown(given, valid, subject)
        return cls(**given)

    @property
    def search(self) -> Optimizer:
        """The optimizer, `Auto` unless given."""
        return Auto() if self.optimizer is None else self.optimizer

    @property
    def limits(self) -> Budget:
        """The budget, without a limit unless given."""
        return Budget() if self.budget is None else self.budget

    @property
    def wish(self) -> Prefer:
        """Which candidate to ship."""
        return Prefer.read(self.prefer)

    def width(self, *, in_batches: bool) -> int:
        """How many rollouts run at once."""
        return self.concurrency or (IN_BATCHES if in_batches else AT_ONCE)

    def __post_init__(self) -> None:
        if not isinstance(self.search, Optimizer):
            raise UsageError(f"optimizer is an Optimizer such as ol.Auto(); got {brief(self.optimizer)}")
        if not isinstance(self.limits, Budget):
            raise UsageError(
                f"budget is an ol.Budget(calls=, tokens=, dollars=, seconds=, rollouts=); got {brief(self.budget)}"
            )
        if not isinstance(self.proposer_budget, Budget | None):
            raise UsageError(f"proposer_budget is an ol.Budget; got {brief(self.proposer_budget)}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise UsageError(f"seed is a whole number; got {brief(self.seed)}")
        whole = isinstance(self.concurrency, int) and not isinstance(self.concurrency, bool)
        if self.concurrency is not None and not (whole and self.concurrency >= 1):
            raise UsageError(f"concurrency is a whole number from 1; got {brief(self.concurrency)}")
        if not isinstance(self.level, int | float) or not 0.5 <= self.level < 1:
            raise UsageError(f"level is a share from 0.5 to below 1, such as 0.95; got {brief(self.level)}")
        number = isinstance(self.margin, int | float) and not isinstance(self.margin, bool)
        if not number or not 0 <= self.margin < math.inf:
            raise UsageError(f"margin is a score from 0, such as 0.02; got {brief(self.margin)}")
        self._check_wish()

    def _check_wish(self) -> None:
        wish = self.wish
        if wish.cost is not None and self.margin:
            raise UsageError(f"prefer={str(wish)!r} brings its own margin; leave margin={self.margin!r} out")
        if wish.cost == "seconds" and self.transport == "batch":
            raise UsageError(f"prefer={str(wish)!r} needs the time of calls, which batches do not tell; ask directly")
