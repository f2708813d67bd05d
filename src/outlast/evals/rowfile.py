"""The file of an evaluation: a line about it, a line for each session that made rows (see `provenance`), a line for
each row as it finishes, a line at the end.

    {"outlast": "evaluation", "version": 1, "program": ..., "metric": ..., "data_hash": ..., ...}
    {"outlast": "provenance", "started": ..., "commit": ..., "host": ..., ...}
    {"index": 0, "id": ..., "state": "pass", "score": 1.0, "inputs": ..., "targets": ..., "outputs": ..., ...}
    {"outlast": "end", "stopped": "", "seconds": 12.3, ...}

A process that dies leaves all rows that had finished. When an example (or one of its epochs) was run again later
(`resume`), its last row counts.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from io import FileIO
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from outlast.errors import DataError, brief
from outlast.evals.epochs import Epochs
from outlast.evals.policy import OnError, Rule
from outlast.evals.row import Row
from outlast.tracing.provenance import Provenance

_FIRST = b'{"outlast": "evaluation", '
_SAME = (  # what a file is about to its end; that of the data is known late for a stream
    "program_hash",
    "metric_hash",
    "judged_by",
    "checks",
    "lm",
    "lm_identity",
    "own_models",
    "adapter",
    "sample",
    "threshold",
    "epochs",
    "cluster",
)
Stopped = Literal["", "interrupted", "budget", "errors", "failed", "unfinished"]


@dataclass(frozen=True, slots=True)
class About:
    """What was evaluated on what: all that decides whether two evaluations can be compared or continued.

    `on_error` is the policy for errors (see `policy`). `epochs` is how often each example was run and `reducer` what
    made one score of that. `cluster` names what groups examples that are not independent, "" when they are. `total` is
    the number of examples, None for a stream that was not read to its end; `data_hash` is "" then. `lm_identity` (base
    URL, settings), `adapter` and `own_models` (those of the modules) say what answered; `predictors` is how many
    modules of the program ask models. `judged_by` are the models that the metric asks, when it is a judge,
    and `rubric` is the JSON of what it judges by, a list for a metric that holds several judges, "" when it says none.
    `rescored` names the metric that the same answers had been scored by before, "" when this was the first. `checks`
    are those that ran beside the metric, by name and the beginning of their hash.
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
    judged_by: str = ""
    rescored: str = ""
    checks: str = ""
    rubric: str = ""

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


class Saved(NamedTuple):
    """What a file of an evaluation holds; `end` is None when it was not finished."""

    about: About
    rows: list[Row]
    end: End | None
    sessions: tuple[Provenance, ...]


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


def provenance_line(session: Provenance) -> bytes:
    """The line of a session."""
    return dumps({"outlast": "provenance", **session.to_json()})


class RowWriter:
    """Appends rows to a file as they finish, each handed to the system at once: no death of the process loses one.

    Rows are not forced to the disk one by one, which would cost milliseconds each; that is done once, by `close`. So
    a power failure can lose the rows of the last seconds, which `resume` then runs again.

    Opening raises `DataError`: for a path that cannot be written, for a file that holds something already unless
    `resume`, and for one that another run is writing. Later failures (a full disk) raise nothing: they are kept in
    `error` and writing stops, after what was written of the last line was taken back.
    """

    def __init__(self, path: str | Path, *, resume: bool) -> None:
        self.path = Path(path)
        self.error: OSError | None = None
        try:
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - closed by close()
            try:
                _claim(self._file, self.path)
                self.fresh = self._is_fresh(resume)  # looked at now, that no other run writes
            except BaseException:
                self._file.close()
                raise
        except OSError as error:
            raise DataError(f"save: cannot write {str(path)!r}: {error.strerror or error}") from error

    def _is_fresh(self, resume: bool) -> bool:
        """Whether the file holds nothing, or only what a process that was killed at once left of the first line."""
        if not self.path.is_file() or self.path.stat().st_size == 0:
            return True
        if not resume:
            raise DataError(
                f"save: {str(self.path)!r} exists. Use resume=True to go on with the evaluation in it, or another path."
            )
        if not _is_beginning(self.path):
            return False
        self._file.truncate(0)
        return True

    def mend(self) -> None:
        """Make the file end with a whole line, after a process that was killed while it wrote one."""
        _mend(self.path)

    def write(self, line: bytes) -> bool:
        """Append a line; False when that failed, now or before."""
        if self.error is not None:
            return False
        written = 0
        try:
            while written < len(line):
                written += self._file.write(line[written:]) or 0
        except OSError as error:
            self.error = error
            if written:
                self._take_back(written)
            return False
        return True

    def close(self) -> None:
        """Put what was written on the disk and close the file. May be called twice."""
        if self._file.closed:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            if error.errno in (errno.EIO, errno.ENOSPC, errno.EDQUOT):  # others: a pipe, a device without a disk
                self.error = self.error or error
        try:
            self._file.close()
        except OSError as error:
            self.error = self.error or error

    def _take_back(self, written: int) -> None:
        with suppress(OSError):
            self._file.truncate(self._file.seek(0, os.SEEK_END) - written)


def _claim(file: FileIO, path: Path) -> None:
    """Make the file ours until it is closed; a dead process holds none."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataError(
            f"save: {str(path)!r} is being written by another evaluation; wait for it, or use another path"
        ) from None
    except OSError:  # a file system without locks
        return


def _is_beginning(path: Path) -> bool:
    """Whether a file is the beginning of a first line and no more."""
    with open(path, "rb") as file:
        start = file.read(len(_FIRST))
        if start != _FIRST[: len(start)]:
            return False
        rest = file.read()
    if b"\n" in rest:
        return False
    try:
        json.loads(start + rest)
    except (ValueError, RecursionError):
        return True
    return False  # it lacks only its end


def _mend(path: Path) -> None:
    """Remove what a killed process left of a line; a line that lacks only its end is given that."""
    with open(path, "rb+") as file:
        size = at = file.seek(0, os.SEEK_END)
        tail = b""
        while at > 0 and b"\n" not in tail:
            start = max(0, at - 65_536)
            file.seek(start)
            tail = file.read(at - start) + tail
            at = start
        rest = tail[tail.rfind(b"\n") + 1 :]
        if not rest:
            return
        try:
            json.loads(rest)
        except (ValueError, RecursionError):
            file.truncate(size - len(rest))
        else:
            file.seek(0, os.SEEK_END)
            file.write(b"\n")


def read_evaluation(path: str | Path) -> Saved:
    """What a file of an evaluation holds, rows by index and epoch.

    Raises `DataError` with file and line for anything else.
    """
    about: About | None = None
    end: End | None = None
    rows: dict[tuple[int, int], Row] = {}
    sessions: list[Provenance] = []
    for number, data in _lines(path):
        where = f"{path}, line {number}"
        try:
            kind = data.get("outlast")
            if kind == "evaluation":
                earlier, about = about, _about(data, where)
                if earlier is not None and _is_other(earlier, about):
                    raise DataError(f"{where}: another evaluation begins; a file holds one. Were two files joined?")
            elif kind == "end":
                end = _end(data)
            elif kind == "provenance":
                sessions.append(Provenance.from_json(data))
            elif about is None:
                break
            else:
                row, end = Row.from_json(data), None
                if row.epoch >= about.epochs:
                    raise DataError(f"{where}: epoch {row.epoch} of an evaluation with {about.epochs}")
                if rows.get((row.index, row.epoch), row).id != row.id:
                    raise DataError(f"{where}: row {row.index} is another example than before; data sets are mixed")
                rows[row.index, row.epoch] = row
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{where}: not a row of an evaluation ({type(error).__name__}: {error})") from error
    if about is None:
        raise DataError(f"{str(path)!r} is no file of an evaluation: its first line does not say so")
    return Saved(about, [rows[key] for key in sorted(rows)], end, tuple(sessions))


def _is_other(one: About, other: About) -> bool:
    """Whether a header is not that of an evaluation that is gone on with."""
    data = bool(one.data_hash and other.data_hash) and one.data_hash != other.data_hash
    return data or any(getattr(one, name) != getattr(other, name) for name in _SAME)


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
