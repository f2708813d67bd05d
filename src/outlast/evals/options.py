"""What `evaluate` and `rescore` take besides what they evaluate, in one place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from outlast.errors import UsageError, brief, refuse_unknown
from outlast.evals.checking import as_checks
from outlast.evals.epochs import ONCE, Epochs, as_epochs
from outlast.evals.policy import OnError, check_on_error
from outlast.evals.progress import Snapshot

if TYPE_CHECKING:
    from outlast.adapters.protocol import Adapter
    from outlast.checks.check import Check
    from outlast.data.example import Example
    from outlast.lms.batch.batched import Transport
    from outlast.lms.protocol import LM

IN_FLIGHT, IN_BATCHES = 64, 10_000  # runs at a time, where `concurrency` says nothing
Keep = Literal["rows", "traces", "nothing"]
Retry = Literal["accidents", "errors", "nothing"]


class RescoreOptions(TypedDict, total=False):
    """The keywords of `rescore`, for editors and type checkers; `Options` has the defaults."""

    lm: LM | str | None
    adapter: Adapter | None
    concurrency: int | None
    on_error: OnError
    max_errors: int | None
    max_error_rate: float | None
    threshold: float
    level: float
    keep: Keep | None
    save: str | Path | None
    resume: bool
    retry: Retry
    transport: Transport
    progress: bool | Callable[[Snapshot], Any]


class EvaluateOptions(RescoreOptions, total=False):
    """The keywords of `evaluate` and `aevaluate`: those of `rescore`, and what the program is run with."""

    sample: int | None
    epochs: int | Epochs
    cluster: str | Callable[[Example], Any] | None
    checks: Iterable[Check]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The keywords with their defaults, checked. Raises `UsageError` for values that cannot mean anything."""

    lm: Any = None
    adapter: Any = None
    sample: int | None = None
    epochs: Epochs = ONCE
    cluster: str | Callable[[Example], Any] | None = None
    checks: tuple[Check, ...] = ()
    concurrency: int | None = None
    on_error: OnError = "exclude"
    max_errors: int | None = None
    max_error_rate: float | None = None
    threshold: float = 1.0
    level: float = 0.95
    keep: Keep | None = None
    save: str | Path | None = None
    resume: bool = False
    retry: Retry = "accidents"
    transport: Any = "direct"
    progress: bool | Callable[[Snapshot], Any] = True

    @classmethod
    def of(cls, given: Mapping[str, Any], subject: str, without: Sequence[str] = ()) -> Options:
        """The options of a call. An unknown keyword raises `UsageError` that names the nearest."""
        refuse_unknown(given, [field.name for field in fields(cls) if field.name not in without], subject)
        values = dict(given)
        if "epochs" in values:
            values["epochs"] = as_epochs(values["epochs"])
        if "checks" in values:
            values["checks"] = as_checks(values["checks"])
        return cls(**values)

    def width(self, *, in_batches: bool) -> int:
        """How many runs are in flight."""
        return self.concurrency or (IN_BATCHES if in_batches else IN_FLIGHT)

    def __post_init__(self) -> None:
        if self.concurrency is not None and (type(self.concurrency) is not int or self.concurrency < 1):
            raise UsageError(f"concurrency is a whole number of at least 1; got {self.concurrency!r}")
        if self.sample is not None and (type(self.sample) is not int or self.sample < 0):
            raise UsageError(f"sample is the number of a draw, a whole number from 0; got {brief(self.sample)}")
        if self.cluster is not None and not (callable(self.cluster) or isinstance(self.cluster, str)):
            raise UsageError(
                f"cluster is the name of an input or target, or a function of the example; got {brief(self.cluster)}"
            )
        if self.save is not None and not isinstance(self.save, str | Path):
            raise UsageError(f"save is the path of a file; got {brief(self.save)}")
        check_on_error(self.on_error)
        self._check_limits()
        if isinstance(self.threshold, bool) or not _is_finite(self.threshold):
            raise UsageError(f"threshold is a finite number; got {self.threshold!r}")
        if not isinstance(self.level, int | float) or not 0 < self.level < 1:
            raise UsageError(f"level is a share between 0 and 1 such as 0.95; got {self.level!r}")
        if self.keep not in (None, "rows", "traces", "nothing"):
            raise UsageError(f"keep is 'rows', 'traces' or 'nothing'; got {self.keep!r}")
        if self.retry not in ("accidents", "errors", "nothing"):
            raise UsageError(
                f"retry is 'accidents' (errors that no answer caused), 'errors' (all of them) or 'nothing'; "
                f"got {brief(self.retry)}"
            )
        if self.resume and self.save is None:
            raise UsageError("resume=True continues the file that save= names; give save=")

    def _check_limits(self) -> None:
        most, rate = self.max_errors, self.max_error_rate
        if most is not None and (type(most) is not int or most < 0):
            hint = f"; a share is max_error_rate={most!r}" if isinstance(most, float) and 0 <= most < 1 else ""
            raise UsageError(f"max_errors is a number of errors, a whole number from 0; got {most!r}{hint}")
        if rate is not None and (isinstance(rate, bool) or not _is_finite(rate) or not 0 <= rate <= 1):
            hint = f"; a number of errors is max_errors={rate!r}" if isinstance(rate, int) and rate > 1 else ""
            raise UsageError(f"max_error_rate is a share of 0..1 such as 0.05; got {rate!r}{hint}")


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
