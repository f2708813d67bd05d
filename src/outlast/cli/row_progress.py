"""How far a stream of rows is: one line on stderr, rewritten a few times a second."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

from outlast.cli.output import stdout
from outlast.runtime import Meter, current, running

_INTERVAL = 0.1  # seconds between updates


class RowProgress:
    """Rows done and failed, their pace and what they cost."""

    def __init__(self, meter: Meter) -> None:
        self._spent = meter.spent
        self._began = self._shown = time.monotonic()
        self._done = self._failed = 0

    def show(self, done: int, failed: int) -> None:
        """Tell it, unless it was told just now."""
        self._done, self._failed = done, failed
        now = time.monotonic()
        if now - self._shown >= _INTERVAL:
            self._shown = now
            sys.stderr.write(f"\r\x1b[K{self.line()}")
            sys.stderr.flush()

    def line(self) -> str:
        """One line."""
        seconds = time.monotonic() - self._began
        parts = [f"{self._done:,} rows"]
        if self._failed:
            parts.append(f"{self._failed:,} failed")
        if self._done and seconds > 0:
            parts.append(f"{self._done / seconds:,.1f}/s")
        parts.append(f"{self._spent.tokens:,} tokens")
        if self._spent.dollars or not self._spent.unpriced:
            parts.append(f"${self._spent.dollars:.4f}{' and more' if self._spent.unpriced else ''}")
        minutes, rest = divmod(int(seconds), 60)
        parts.append(f"{minutes}:{rest:02}")
        return "  ".join(parts)

    def close(self) -> None:
        """The last word, which stays."""
        sys.stderr.write(f"\r\x1b[K{self.line()}\n")
        sys.stderr.flush()


@contextmanager
def progress_of(args: argparse.Namespace) -> Generator[RowProgress | None]:
    """The progress of a block, where a person watches stderr and the answers go elsewhere; else None."""
    if args.no_progress or args.data is None or not sys.stderr.isatty() or stdout().isatty():
        yield None
        return
    meter = Meter(outer=current().meter, on_unknown="count")
    shown = RowProgress(meter)
    try:
        with running(meter=meter):
            yield shown
    finally:
        shown.close()
