"""The file of an evaluation: a line about it, a line for each row as it finishes, a line at the end.

    {"outlast": "evaluation", "version": 1, "program": ..., "metric": ..., "data_hash": ..., ...}
    {"index": 0, "id": ..., "state": "pass", "score": 1.0, "inputs": ..., "targets": ..., "outputs": ..., ...}
    {"outlast": "end", "stopped": "", "seconds": 12.3, ...}

A process that dies leaves all rows that had finished. When an example (or one of its epochs) was run again later
(`resume`), its last row counts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast

from outlast.errors import DataError, brief
from outlast.evals.epochs import Epochs
from outlast.evals.policy import OnError, Rule
from outlast.evals.row import Row

Stopped = Literal["", "interrupted", "budget", "errors", "failed", "unfinished"]


@dataclass(frozen=True, slots=True)
class About:
    """What was evaluated on what: all that decides whether two evaluations can be compared or continued.

    `on_error` is the policy for errors (see `policy`). `epochs` is how often each example was run and `reducer` what
    made one score of that. `cluster` names what groups examples that are not independent, "" when they are. `total` is
    the number of examples, None for a stream that was not read to its end; `data_hash` is "" then. `lm_identity` (base
    URL, settings), `adapter` and `own_models` (those of the modules) say what answered; `predictors` is how many
    modules of the program ask models.
    """

    program: str
    program_hash: str
    metric: str
    metric_hash: str
    lm: str = ""
    sample: int = 0
    data_hash: str = ""
    total: int | None = None
    threshold: float = 1.0
    level: float = 0.95
    on_error: OnError = "exclude"
    lm_identity: str = ""
    adapter: str = ""
    own_models: str = ""
    predictors: int = 0
    epochs: int = 1
    reducer: str = "mean"
    cluster: str = ""

    @property
    def rule(self) -> Rule:
        """How the runs of an example become its score and its state."""
        return Rule(Epochs(self.epochs, self.reducer), self.threshold, self.on_error)


@dataclass(frozen=True, slots=True)
class End:
    """How an evaluation ended."""

    stopped: Stopped
    seconds: float
    data_hash: str
    total: int | None


def dumps(data: Mapping[str, Any]) -> bytes:
    """One line. Lone surrogates, which a model may write, are kept as escapes."""
    try:
        return json.dumps(data, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(data).encode() + b"\n"


def about_line(about: About) -> bytes:
    """The first line."""
    return dumps({"outlast": "evaluation", "version": 1, **asdict(about)})


def end_line(end: End) -> bytes:
    """The last line."""
    return dumps({"outlast": "end", **asdict(end)})


class RowWriter:
    """Appends rows to a file as they finish, each handed to the system at once.

    Opening raises `DataError`: for a path that cannot be written, and for a file that holds something already
    unless `resume`. Later failures (a full disk) raise nothing: they are kept in `error` and writing stops.
    """

    def __init__(self, path: str | Path, *, resume: bool) -> None:
        self.path = Path(path)
        self.error: OSError | None = None
        try:
            used = self.path.is_file() and self.path.stat().st_size > 0
            if used and not resume:
                raise DataError(
                    f"save: {str(path)!r} exists. Use resume=True to go on with the evaluation in it, or another path."
                )
            self._file = open(self.path, "ab")  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise DataError(f"save: cannot write {str(path)!r}: {error.strerror or error}") from error
        self.fresh = not used
        if used:
            _cut_torn_line(self.path)

    def write(self, line: bytes) -> bool:
        """Append a line; False when that failed, now or before."""
        if self.error is not None:
            return False
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            self.error = error
            return False
        return True

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except OSError as error:
            self.error = self.error or error


def _cut_torn_line(path: Path) -> None:
    """Remove what a killed process left of a line."""
    with open(path, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        at = size
        while at > 0:
            start = max(0, at - 65_536)
            file.seek(start)
            block = file.read(at - start)
            newline = block.rfind(b"\n")
            if newline >= 0:
                if start + newline + 1 < size:
                    file.truncate(start + newline + 1)
                return
            at = start
        file.truncate(0)


def read_evaluation(path: str | Path) -> tuple[About, list[Row], End | None]:
    """What a file of an evaluation holds, rows by index and epoch; no `End` when it was not finished.

    Raises `DataError` with file and line for anything else.
    """
    about: About | None = None
    end: End | None = None
    rows: dict[tuple[int, int], Row] = {}
    for number, data in _lines(path):
        where = f"{path}, line {number}"
        try:
            kind = data.get("outlast")
            if kind == "evaluation":
                about = _about(data, where)
            elif kind == "end":
                end = _end(data)
            elif about is None:
                break
            else:
                row, end = Row.from_json(data), None
                rows[row.index, row.epoch] = row
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{where}: not a row of an evaluation ({type(error).__name__}: {error})") from error
    if about is None:
        raise DataError(f"{str(path)!r} is no file of an evaluation: its first line does not say so")
    return about, [rows[key] for key in sorted(rows)], end


def _about(data: dict[str, Any], where: str) -> About:
    if data.get("version") != 1:
        raise DataError(f"{where}: version {data.get('version')!r} of the format is not known here; update outlast")
    needed = ("program", "program_hash", "metric", "metric_hash")
    return About(**{f.name: data[f.name] for f in fields(About) if f.name in data or f.name in needed})


def _end(data: dict[str, Any]) -> End:
    values = {f.name: data[f.name] for f in fields(End)}
    return End(**values)


def _lines(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    data = json.loads(line)
                except (ValueError, RecursionError) as error:
                    if not line.endswith(b"\n"):
                        return  # what a killed process left of its last line
                    raise DataError(f"{path}, line {number}: not JSON ({error})") from error
                if not isinstance(data, dict):
                    raise DataError(f"{path}, line {number}: not an object: {brief(data)}")
                yield number, cast("dict[str, Any]", data)
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
