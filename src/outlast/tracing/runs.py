"""What traces are made in: the process, and inside it evaluations, compilations and commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from outlast.errors import UsageError, brief
from outlast.runtime import recording, running
from outlast.tracing.packing import new_trace_id
from outlast.tracing.record import RunRecord
from outlast.tracing.recorder import Place

KINDS = ("process", "eval", "compile", "cli", "replay", "import")


class StoredRun:
    """A run while it goes on; what is set on it stands in the store when it ends.

    `described` runs have their provenance looked up (git, host, packages) when they are first written.
    """

    def __init__(self, kind: str, name: str = "", parent_id: str = "", *, described: bool = True) -> None:
        if kind not in KINDS:
            raise UsageError(f"the kind of a run is one of {', '.join(KINDS)}; got {brief(kind)}")
        self.id = new_trace_id()
        self.kind = kind
        self.name = name
        self.parent_id = parent_id
        self.status = "open"
        self.started = time.time()
        self.ended: float | None = None
        self.program = self.dataset = self.metric = self.lm = ""
        self.summary: Mapping[str, Any] = {}
        self.attributes: Mapping[str, Any] = {}
        self.provenance: Mapping[str, Any] | None = None if described else {}
        self.dropped = 0
        self.shows = True  # whether texts are kept
        self.redact: Callable[[str], str] | None = None

    def end(self, status: str = "done") -> None:
        """It is over: "done", "error" or "interrupted"."""
        self.status, self.ended = status, time.time()

    def record(self) -> RunRecord:
        """It as it is now."""
        return RunRecord(
            self.id,
            self.kind,
            self.name,
            self.status,
            self.started,
            self.ended,
            self.parent_id,
            self.program,
            self.dataset,
            self.metric,
            self.lm,
            self.provenance or {},
            self.summary,
            self.attributes,
            self.dropped,
        )


@contextmanager
def stored_run(kind: str, name: str = "") -> Generator[StoredRun | None]:
    """Have the traces of a block belong to a run of their own: `with stored_run("eval", "triage") as run:`.

    Gives the run, to say more of it before the block ends, or None where traces are not kept. It ends as "error" with
    an exception, as "interrupted" with Ctrl-C.
    """
    place = recording()
    if not isinstance(place, Place):
        yield None
        return
    run = StoredRun(kind, name, place.run_id)
    run.shows, run.redact = place.capture in ("full", "redacted"), place.redact
    place.writer.put(run, 1000)
    try:
        with running(recording=place.about(run_id=run.id)):
            yield run
    except BaseException as error:
        run.end("error" if isinstance(error, Exception) else "interrupted")
        raise
    finally:
        if run.ended is None:
            run.end()
        place.writer.put(run, 0)
