"""Runs of a store as text that people read, and as JSON: what each came to, and where it comes from."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from outlast.cli.output import SHORT_ID, emit, stdout
from outlast.cli.talk.log_text import as_data, clean, moment, one_line

if TYPE_CHECKING:
    from outlast.tracing.record import RunRecord
    from outlast.tracing.store import Store
    from outlast.tracing.totals import RunTotals

_PAGE = 200  # runs that are read at once
_OURS = ("outlast", "outlast.exe", "__main__.py")
_LONGEST = 40  # characters of a name in the table


def newest(
    store: Store, most: int, *, since: float | None, until: float | None, name: str | None, replays: bool
) -> list[RunRecord]:
    """The newest runs that fit, the newest last; all when `most` is 0."""
    found: list[RunRecord] = []
    before: str | float | None = until
    while True:
        page = store.runs(limit=_PAGE, before=before, replays=replays)
        for run in page:
            if since is not None and run.started < since:
                return found[::-1]
            if name is None or name in (run.name, run_name(run)):
                found.append(run)
            if most and len(found) == most:
                return found[::-1]
        if page.next is None:
            return found[::-1]
        before = page.next


def run_name(run: RunRecord) -> str:
    """What a run is called: its name, else the script or the command that it was."""
    argv = [str(word) for word in run.provenance.get("argv") or ("",)]
    script = argv[0].rpartition("/")[2]
    return run.name or (f"outlast {argv[1]}" if script in _OURS and len(argv) > 1 else script) or run.kind


def show_runs(store: Store, runs: list[RunRecord], *, replays: bool, as_json: bool) -> None:
    """Print runs with what they came to, those inside them included, `replays` where they are listed: a table, or a
    line of JSON each."""
    sums = store.totals(runs, replays=replays)
    if as_json:
        for run in runs:
            emit(run_data(run, sums[run.id]))
        return
    rows: list[tuple[str, ...]] = [
        ("run", "began", "kind", "name", "traces", "errors", "calls", "tokens in", "out", "cost")
    ]
    for run in runs:
        one = sums[run.id]
        counts = (one.traces, one.errors, one.calls, one.input_tokens, one.output_tokens)
        name = one_line(run_name(run), _LONGEST) + _state(run)
        began = moment(run.started)[:16]
        rows.append((run.id[:SHORT_ID], began, run.kind, name, *(f"{count:,}" for count in counts), cost_of(one)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row[:4], widths, strict=False))
        sums_of = (cell.rjust(width) for cell, width in zip(row[4:], widths[4:], strict=True))
        print("  ".join((*cells, *sums_of)), file=stdout())


def _state(run: RunRecord) -> str:
    return "" if run.status == "done" else f" ({one_line(run.status, 20)})"


def cost_of(sums: RunTotals) -> str:
    """What a run cost, in words."""
    unknown = f"{sums.unpriced:,} unknown" if sums.unpriced else ""
    return " + ".join(part for part in ("" if sums.cost is None else f"${sums.cost:.4f}", unknown) if part)


def run_data(run: RunRecord, sums: RunTotals) -> dict[str, Any]:
    """A run with what it came to, JSON-ready."""
    from dataclasses import asdict

    return {**as_data(run), "totals": asdict(sums)}


def run_head(run: RunRecord, sums: RunTotals, replayed: int) -> Iterator[str]:
    """A run as lines: what it was, where it comes from, what it came to without the traces that were `replayed` in it,
    what it is a replay of."""
    from outlast.tracing.provenance import Provenance

    took = {"killed": "never ended"}.get(run.status, "still open")
    if run.ended is not None:
        took = f"{run.ended - run.started:,.1f} s"
    yield clean(f"── {moment(run.started)} · {run.kind} · {run_name(run)} · {run.status} · {took}")
    yield clean(f"   {run.id}" + (f" · inside {run.parent_id}" if run.parent_id else ""))
    if run.attributes.get("of"):
        yield clean(f"replay   of {run.attributes['of']}, {run.attributes.get('mode', '')}".rstrip(", "))
    told = run.provenance
    argv = [str(word) for word in told.get("argv") or ()]
    if argv:
        yield clean(f"command  {one_line(shlex.join([argv[0].rpartition('/')[2], *argv[1:]]), 300)}")
    if told.get("commit"):
        yield clean(f"code     {one_line(Provenance.from_json(told).code, 200)}")
    tokens = f"{sums.input_tokens:,} tokens in, {sums.output_tokens:,} out"
    failed = f", {sums.errors:,} with errors" if sums.errors else ""
    yield f"came to  {sums.traces:,} traces{failed}, {sums.calls:,} calls, {tokens}, {cost_of(sums)}"
    if replayed:
        yield f"replays  {replayed:,} traces more, which are not in these sums"
    if run.dropped:
        yield f"dropped  {run.dropped:,} spans"
