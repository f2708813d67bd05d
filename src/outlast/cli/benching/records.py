"""Results of optimizers on the gym, one line of JSON each: ours and those of peers have one form."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, cast

from outlast.errors import DataError, brief


class Key(NamedTuple):
    """Which run a record is of."""

    method: str
    world: str
    seed: int
    budget: int


@dataclass(frozen=True, slots=True)
class Record:
    """How one method did on one world with one budget of rollouts. Scores are from 0 to 1.

    `true` is the exact expected test score of the program that the method returned and `reported` what the method
    itself says of it (None when it says nothing). `start` and `best` are the true scores of the program as given and
    of the best one known. `found` is the true score of what a search found, returned or not. `verdict` is empty for
    methods that give none. `rollouts` counts what the student was paid for, `proposer_calls` the calls of the model
    that proposes; `dollars` are of both, `seconds` wall time. `cpu_ms` is the CPU time outside the models of a run of
    the program on an example, None when it was not measured. `stopped` says that the budget ended the method before it
    ended by itself. `about` holds the rest (versions, settings).
    """

    method: str
    world: str
    seed: int
    budget: int
    true: float
    reported: float | None
    start: float
    best: float
    rollouts: float
    proposer_calls: int
    dollars: float
    seconds: float
    found: float | None = None
    verdict: str = ""
    cpu_ms: float | None = None
    stopped: bool = False
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def key(self) -> Key:
        """Which run this is of."""
        return Key(self.method, self.world, self.seed, self.budget)

    @property
    def optimism(self) -> float | None:
        """Reported minus true score."""
        return None if self.reported is None else self.reported - self.true

    def to_line(self) -> str:
        """One line of JSON, without its end."""
        data = asdict(self)
        for name, value in data.items():
            if isinstance(value, float):
                data[name] = round(value, 6)
        return json.dumps(data, ensure_ascii=False)


_NAMES = {one.name for one in fields(Record)}
_NEEDED = ("method", "world", "seed", "budget", "true", "start", "best")


def read(path: str | os.PathLike[str]) -> list[Record]:
    """The records of a file, the last of each run; none when there is no file.

    A last line that a killed process left unfinished is passed over. Raises `DataError` for lines of another form.
    """
    file = Path(path)
    if not file.exists():
        return []
    lines = file.read_text("utf-8").split("\n")
    found: dict[Key, Record] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = _record(json.loads(line))
        except (ValueError, TypeError) as error:
            if number == len(lines):
                break
            raise DataError(f"line {number} of {str(file)!r} is no result of bench-optimizers: {error}") from error
        found[record.key] = record
    return list(found.values())


def _record(data: Any) -> Record:
    if not isinstance(data, dict):
        raise TypeError(f"a result is an object; got {brief(data)}")
    row = cast("dict[str, Any]", data)
    missing = [name for name in _NEEDED if name not in row]
    if missing:
        raise TypeError(f"it has no {', '.join(missing)}")
    for name in _NEEDED[2:]:
        if isinstance(row[name], bool) or not isinstance(row[name], int | float):
            raise TypeError(f"{name} is a number; got {brief(row[name])}")
    values: dict[str, Any] = {"reported": None, "rollouts": 0.0, "proposer_calls": 0, "dollars": 0.0, "seconds": 0.0}
    values.update({name: value for name, value in row.items() if name in _NAMES})
    return Record(**values)


class Results:
    """A result file that grows by whole lines, so that a killed run loses what was under way and nothing else."""

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = None if path is None else Path(path)
        self._found = {record.key: record for record in ([] if self.path is None else read(self.path))}

    def __contains__(self, key: Key) -> bool:
        return key in self._found

    def __iter__(self) -> Iterator[Record]:
        return iter(self._found.values())

    def add(self, record: Record) -> None:
        """Keep a record, on disk before this returns."""
        self._found[record.key] = record
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _mend(self.path)
        with self.path.open("ab") as file:
            file.write(record.to_line().encode() + b"\n")

    def only(self, keys: Iterable[Key]) -> list[Record]:
        """The records of these runs, as far as they are there."""
        return [self._found[key] for key in keys if key in self._found]


def _mend(path: Path) -> None:
    """Cut off the line that a killed process left unfinished."""
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
