"""Live progress of a compile on a terminal, or a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from outlast.optimize.budget import Budget
from outlast.optimize.study import Progress

EVERY = 5.0  # seconds between lines when nobody watches live


@contextmanager
def shown(
    progress: bool | Callable[[Progress], None], setting: Any, budget: Budget
) -> Iterator[Callable[[Progress], None] | None]:
    """The listener for a study: None, the caller's own, a live line, or plain lines."""
    if progress is False:
        yield None
    elif progress is not True:
        yield progress
    elif sys.stderr.isatty():
        with _live(setting, budget) as listener:
            yield listener
    else:
        yield _Lines(budget)


def line(state: Progress, budget: Budget) -> str:
    """Where a search stands, in one line."""
    meter = state.meter.outer or state.meter
    parts = [f"{state.phase}: {state.rollouts} rollouts, {state.candidates} candidates"]
    if state.phase == "search" and state.alive > 1:
        parts.append(f"{state.alive} alive")
    if state.score is not None and state.start_score is not None:
        parts.append(f"best {state.score:.1%} (start {state.start_score:.1%}, while ranking)")
    parts.append(str(meter.spent))
    if budget != Budget():
        parts.append(f"of {budget}")
    return " · ".join(parts)


class _Lines:
    """Prints a line to stderr every few seconds."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.last = time.monotonic()

    def __call__(self, state: Progress) -> None:
        now = time.monotonic()
        if now - self.last >= EVERY:
            self.last = now
            print(line(state, self.budget), file=sys.stderr, flush=True)  # noqa: T201 - this is the display


@contextmanager
def _live(setting: Any, budget: Budget) -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    began = time.monotonic()
    with Live(Text("starting"), console=Console(stderr=True), refresh_per_second=8, transient=True) as live:

        def listen(state: Progress) -> None:
            live.update(Text(f"{time.monotonic() - began:5.0f} s · {line(state, budget)}"))

        yield listen
