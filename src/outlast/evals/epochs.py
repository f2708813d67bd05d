"""How often each example is run, and how its scores become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from outlast.errors import UsageError, brief
from outlast.evals.statistics.reducers import check_reducer


@dataclass(frozen=True, slots=True)
class Epochs:
    """Run each example `count` times, with draws of their own, and make one score of an example by `reducer`.

    Reducers: "mean", "median", "max", "min", "majority", "pass@k", "pass^k", "at_least_k" with a number for k; see
    `outlast.evals.statistics.reducers`. The unit of every estimate stays the example, as its epochs are not
    independent. Cost: `count` times that of one run. Raises `UsageError` for an unknown reducer and for one that needs
    more than `count` runs.

        ol.evaluate(program, data, metric, epochs=ol.Epochs(5, "pass@3"))
    """

    count: int
    reducer: str = "mean"

    def __post_init__(self) -> None:
        check_reducer(self.reducer, self.count)

    @property
    def counts_passes(self) -> bool:
        """Whether the reducer sees of a score only whether it passes: "pass@k", "pass^k", "at_least_k"."""
        return self.reducer.startswith(("pass", "at_least"))

    def __str__(self) -> str:
        return f"{self.count} epochs, {self.reducer}" if self.count > 1 else "1 epoch"


ONCE = Epochs(1)


def as_epochs(value: Any) -> Epochs:
    """The epochs that a number or an `Epochs` means."""
    if isinstance(value, Epochs):
        return value
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"epochs is a whole number from 1, or ol.Epochs(5, 'pass@3'); got {brief(value)}")
    return Epochs(value)
