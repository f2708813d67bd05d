"""Live progress of a compile on a terminal, or a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager

from outlast.errors import UsageError, brief
from outlast.optimize.screen import said_together
from outlast.optimize.study import Progress
from outlast.runtime import Budget

EVERY = 5.0  # seconds between lines when nobody watches live

Listener = Callable[[Progress], None]


@contextmanager
def shown(progress: bool | Listener, budget: Budget) -> Generator[Listener | None]:
    """The listener for a study: None, the caller's own, a live line, or plain lines on stderr.

    One that raises is switched off with a `RuntimeWarning`; a display must not cost a search.
    """
    if progress is False:
        yield None
    elif progress is not True:
        if not callable(progress):
            raise UsageError(f"progress is True, False or a function of a Progress; got {brief(progress)}")
        yield _guarded(progress)
    elif sys.stderr.isatty():
        with _live(budget) as listener:
            yield _guarded(listener)
    else:
        yield _guarded(_Lines(budget))


def line(state: Progress, budget: Budget) -> str:
    """Where a search stands, in one line."""
    parts = [f"{state.phase}: {state.rollouts} of at most {state.expected} rollouts"]
    if state.expected_calls:
        parts[0] += f" (about {state.expected_calls:,} calls)"
    if state.candidates:
        parts.append(f"{state.candidates} candidate{'s' if state.candidates != 1 else ''}")
    if state.phase == "search" and state.alive > 1:
        parts.append(f"{state.alive} alive")
    if state.score is not None and state.start_score is not None:
        best, start = said_together(state.score, state.start_score)
        parts.append(f"best {best} (start {start}, while ranking)")
    parts.append(str(state.meter.paid))
    if state.proposing is not None:
        parts.append(f"proposals {state.proposing.paid}")
    if budget != Budget():
        parts.append(f"of {budget}")
    if state.known:
        parts.append(f"resumed, {state.known} replies known")
    return " · ".join(parts)


def _guarded(listener: Listener) -> Listener:
    broken = False

    def listen(state: Progress) -> None:
        nonlocal broken
        if broken:
            return
        try:
            listener(state)
        except Exception as error:
            broken = True
            warnings.warn(
                f"progress display failed and was switched off: {type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=2,
            )

    return listen


class _Lines:
    """Prints a line to stderr every few seconds."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.last = time.monotonic()

    def __call__(self, state: Progress) -> None:
        now = time.monotonic()
        if now - self.last >= EVERY:
            self.last = now
            print(f"compile: {line(state, self.budget)}", file=sys.stderr, flush=True)  # noqa: T201 - the display


@contextmanager
def _live(budget: Budget) -> Generator[Listener]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from outlast.optimize.screen import screen

    began = time.monotonic()
    console = Console(stderr=True)
    with Live(Text("starting"), console=console, refresh_per_second=8, transient=True) as live:

        def listen(state: Progress) -> None:
            live.update(screen(state, budget, time.monotonic() - began, console.width))

        yield listen
