"""Says how an evaluation is getting on: a live bar on a terminal, a line now and then elsewhere, or a
callable."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from outlast.errors import UsageError, brief
from outlast.evals import wording

if TYPE_CHECKING:
    from outlast.evals.row import State
    from outlast.evals.statistics import Estimate
    from outlast.messages import Spending

INTERVAL = 0.1  # seconds between updates
_FIRST_LINE, _NEXT_LINES = 10.0, 5.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How far an evaluation is. `total` and `eta` (seconds) are None when unknown, `score` when there is none
    yet."""

    done: int
    total: int | None
    score: Estimate | None
    states: Mapping[State, int]
    spending: Spending
    seconds: float
    finished: bool = False

    @property
    def eta(self) -> float | None:
        """Seconds that the rest will take at the pace so far."""
        if self.total is None or not self.done:
            return None
        return (self.total - self.done) * self.seconds / self.done

    def text(self) -> str:
        """One line without the bar."""
        parts = [f"{self.done}/{self.total if self.total is not None else '?'}"]
        if self.score is not None:
            share = 0 <= self.score.value <= 1
            interval = self.score.interval
            span = f" ({wording.span(interval, share)})" if interval.known else ""
            parts.append(f"score {wording.number(self.score.value, share)}{span}")
        if errors := self.states["error"]:
            parts.append(f"{errors} error{'s' * (errors > 1)}")
        if self.spending.dollars or not self.spending.unpriced:
            parts.append(f"${self.spending.dollars:.2f}")
        if self.finished:
            parts.append(wording.duration(self.seconds))
        elif self.eta is not None:
            parts.append(f"{wording.duration(self.eta)} left")
        return "  ".join(parts)


class Display(Protocol):
    """What shows snapshots."""

    def show(self, snapshot: Snapshot) -> None:
        """Show the newest one; called about ten times a second, and once at the end."""
        ...

    def close(self) -> None:
        """Give the terminal back."""
        ...


def display_for(progress: bool | Callable[[Snapshot], Any]) -> Display | None:
    """The display that `progress` asks for."""
    if progress is False:
        return None
    if progress is True:
        return _Bar() if sys.stderr.isatty() else _Lines()
    if not callable(progress):
        raise UsageError(f"progress is True, False or a function of a Snapshot; got {brief(progress)}")
    return _Called(progress)


class Guarded:
    """A display that may fail without ending the evaluation: it is warned about once and closed."""

    def __init__(self, display: Display | None) -> None:
        self._display = display

    @property
    def active(self) -> bool:
        """Whether there is anything to show to."""
        return self._display is not None

    def show(self, snapshot: Snapshot) -> None:
        """Show, if still possible."""
        if self._display is None:
            return
        try:
            self._display.show(snapshot)
        except Exception as error:
            self.close()
            warnings.warn(
                f"progress display failed and was switched off: {type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=2,
            )

    def close(self) -> None:
        """Give the terminal back."""
        display, self._display = self._display, None
        if display is not None:
            with suppress(Exception):
                display.close()


class _Called:
    def __init__(self, function: Callable[[Snapshot], Any]) -> None:
        self._function = function
        self._shown = -1

    def show(self, snapshot: Snapshot) -> None:
        if snapshot.done != self._shown or snapshot.finished:
            self._shown = snapshot.done
            self._function(snapshot)

    def close(self) -> None:
        pass


class _Lines:
    def __init__(self) -> None:
        self._due = _FIRST_LINE
        self._started = False

    def show(self, snapshot: Snapshot) -> None:
        if snapshot.seconds >= self._due or (snapshot.finished and self._started):
            self._started = True
            self._due = snapshot.seconds + _NEXT_LINES
            print(f"evaluate: {snapshot.text()}", file=sys.stderr, flush=True)  # noqa: T201 - this is the display

    def close(self) -> None:
        pass


class _Bar:
    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(stderr=True), auto_refresh=False)
        self._shown = False

    def show(self, snapshot: Snapshot) -> None:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        if not self._shown:
            self._shown = True
            self._live.start()
        table = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=snapshot.total, completed=snapshot.done, width=24, pulse=snapshot.total is None)
        table.add_row(bar, snapshot.text())
        self._live.update(table, refresh=True)

    def close(self) -> None:
        if self._shown:
            self._live.stop()
