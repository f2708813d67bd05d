"""Goes on with the file of an evaluation: what it holds counts, what is missing or failed is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from outlast.errors import DataError, brief
from outlast.evals.options import Options, Retry
from outlast.evals.row import Retried, Row
from outlast.evals.rowfile import About, RowWriter, Saved, about_line, read_evaluation
from outlast.tracing.provenance import Provenance

_DECIDING = {  # what decides the rows of a file, and the field of `About` that tells
    "program": "program_hash",
    "judge's model": "judged_by",
    "metric": "metric_hash",
    "checks": "checks",
    "lm": "lm",
    "settings of the lm": "lm_identity",
    "models of the modules": "own_models",
    "adapter": "adapter",
    "sample": "sample",
    "data": "data_hash",
    "threshold": "threshold",
    "epochs": "epochs",
    "cluster": "cluster",
}


class Prior:
    """The rows of earlier runs by place and epoch: those that stand, and those that are run again."""

    def __init__(self, rows: Iterable[Row] = (), again: Callable[[Row], bool] = lambda row: False) -> None:
        self._standing: dict[tuple[int, int], Row] = {}
        self._failed: dict[tuple[int, int], Row] = {}
        self._ids: dict[int, str] = {}
        for row in rows:
            kind = self._failed if again(row) else self._standing
            kind[row.index, row.epoch] = row
            self._ids[row.index] = row.id

    def __bool__(self) -> bool:
        """Whether an earlier run left rows."""
        return bool(self._standing or self._failed)

    def is_elsewhere(self, index: int, example_id: str) -> bool:
        """Whether another example was at this place: a stream gives other ones than before, or in another order."""
        return self._ids.get(index, example_id) != example_id

    def take(self, index: int, epoch: int) -> Row | None:
        """The row that stands for a run, once; None when it has to be run."""
        return self._standing.pop((index, epoch), None)

    def marked(self, row: Row) -> Row:
        """A new row that says which errors it is run again after."""
        earlier = self._failed.pop((row.index, row.epoch), None)
        return row if earlier is None else replace(row, retried=(*earlier.retried, Retried.of(earlier)))


def runs_again(retry: Retry) -> Callable[[Row], bool]:
    """Which rows of a file are run again."""
    return lambda row: row.state == "error" and (retry == "errors" or (retry == "accidents" and row.answered))


class Opened(NamedTuple):
    """The file for rows, and what it holds already: rows, and the sessions that made them. `resumed` says whether it
    held anything."""

    writer: RowWriter | None
    prior: Prior
    sessions: tuple[Provenance, ...] = ()
    resumed: bool = False


def open_file(
    options: Options,
    about: About,
    again: Callable[[Row], bool] | None = None,
    stands: Callable[[Row], bool] = lambda row: True,
) -> Opened:
    """Open the file of a run; `again` says which of its rows are run again, by custom what `options.retry` says, and
    `stands` which are still about what is run now.

    Raises `DataError` when the file belongs to another evaluation.
    """
    if options.save is None:
        return Opened(None, Prior())
    path = Path(options.save)
    writer = RowWriter(path, resume=options.resume)
    saved: Saved | None = None
    try:
        if not writer.fresh:
            saved = read_evaluation(path)
            _refuse_other(saved.about, about, path)
            writer.mend()
    except BaseException:
        writer.close()
        raise
    if saved is None or saved.about != about:  # also where only what makes numbers of the rows is another
        writer.write(about_line(about))
    if saved is None:
        return Opened(writer, Prior())
    rows = [row for row in saved.rows if stands(row)]
    return Opened(writer, Prior(rows, again or runs_again(options.retry)), saved.sessions, True)


def _refuse_other(then: About, now: About, path: Path) -> None:
    found: list[str] = []
    for name, field in _DECIDING.items():
        old, new = getattr(then, field), getattr(now, field)
        if old == new or (field == "data_hash" and "" in (old, new)) or (field == "lm_identity" and then.lm != now.lm):
            continue
        if field == "metric_hash" and then.metric == now.metric and then.judged_by != now.judged_by:
            continue  # its model is another one, which is told
        if field in ("program_hash", "metric_hash"):
            shown, shows = getattr(then, name), getattr(now, name)
            same = " by this name, but its code or what that names was another" if shown == shows else ""
            found.append(f"{name} ({brief(shown)} then, {brief(shows)} now{same})")
        else:
            found.append(f"{name} ({brief(old)} then, {brief(new)} now)")
    if found:
        raise DataError(
            f"resume: {str(path)!r} belongs to another evaluation: its {'; its '.join(found)} differ"
            f"{'s' * (len(found) == 1)}. Use another path."
        )
