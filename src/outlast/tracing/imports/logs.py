"""Reading a log of another tool into a store: what is needed for it is loaded then."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from outlast.errors import UsageError, brief, did_you_mean

if TYPE_CHECKING:
    from outlast.tracing.imports.gathered import Reading
    from outlast.tracing.store import Store

FORMATS = ("llm", "inspect", "promptfoo")


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import brought into a store: into which runs, and how much. `skipped` counts entries that could not be
    read as what they should be; `last` is the id in the source of the last entry."""

    runs: tuple[str, ...]
    traces: int
    spans: int
    results: int
    skipped: int
    last: str


def import_log(
    store: Store | str | os.PathLike[str], format: str, path: str | Path | None = None, *, since: str | None = None
) -> Imported:
    """Read a log of another tool into a store, or into the one at a path or an address.

    `format` is "llm" (its logs.db; without `path` the one that llm uses here), "inspect" (.eval or .json) or
    "promptfoo" (a results.json). `since` leaves out the entries of an llm log up to the one with this id. Ids are made
    of those of the source, so what is imported again replaces itself. Costs no LM call. Raises `UsageError` and
    `DataError`; what was read before an error stays in the store.
    """
    from outlast.tracing.store import Store, open_store

    if isinstance(store, (str, os.PathLike)):
        with open_store(store, create=True) as opened:
            return import_log(opened, format, path, since=since)
    if not isinstance(store, Store):
        raise UsageError(f"import_log takes a store, or where it is; got {brief(store)}")
    if format not in FORMATS:
        raise UsageError(f"no log of {format!r}.{did_you_mean(str(format), FORMATS)} Formats: {', '.join(FORMATS)}")
    if format != "llm" and since is not None:
        raise UsageError("since= is for the log of llm, whose entries have ids in order")
    reading = _reading(format, path, since)
    saved = store.save_records(reading.runs, reading.traces)
    runs = tuple(run.id for run in reading.runs)
    return Imported(runs, saved.traces, saved.spans, saved.results, reading.skipped, reading.last)


def _reading(format: str, path: str | Path | None, since: str | None) -> Reading:
    if format == "llm":
        from outlast.tracing.imports.llm_logs import read_llm

        return read_llm(path, since=since)
    if path is None:
        raise UsageError(f"which file of {format} is to be imported? Give its path")
    if format == "inspect":
        from outlast.tracing.imports.inspect_logs import read_inspect

        return read_inspect(path)
    from outlast.tracing.imports.promptfoo import read_promptfoo

    return read_promptfoo(path)
