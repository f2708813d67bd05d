"""How often a held-out part of the data was read: with every look at it, what is chosen fits it a little better.

Each evaluation of a part named like a test split, and each proof of `compile`, is a line in one file of the project:

    {"time": "2026-11-29T09:00:00Z", "part": "test", "data": "0f3a...", "of": 200, "read": 200, "by": "evaluate", ...}

The file is `.outlast/splits.jsonl` in the nearest folder above that holds `.git` or `pyproject.toml`, else in the
working folder. `OUTLAST_SPLITS` names another file, or is "off". Lines are appended in one write each, so processes may
share it; commit it where a team shares a test split. A file that cannot be written or read never stops a run.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from outlast.data.dataset import Dataset
from outlast.tracing.identity import name_of

VARIABLE = "OUTLAST_SPLITS"
_HELD_OUT = re.compile(r"(test|held|holdout|final|proof|confirm)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reads:
    """How often a held-out part was read so far, this time included, and by how many different programs."""

    part: str
    count: int
    programs: int
    since: str

    def __str__(self) -> str:
        if self.count == 1:
            return f"split {self.part!r} is read for the first time"
        by = f" by {self.programs} programs" if self.programs > 1 else " by one program"
        return f"split {self.part!r} is read for the {self.time} time,{by}, since {self.since[:10]}"

    @property
    def time(self) -> str:
        """Which time this is: "7th"."""
        return _ordinal(self.count)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"part": self.part, "count": self.count, "programs": self.programs, "since": self.since}


def is_held_out(part: str) -> bool:
    """Whether a part of this name is for looking at seldom: "test", "held_out", "holdout", "final", "proof", ..."""
    return _HELD_OUT.match(part) is not None


def note_read(
    data: Any, program: Any, program_hash: str, metric: str, *, by: str, part: str = "", read: int | None = None
) -> Reads | None:
    """Note that held-out examples are read, and tell how often they were; None for other data and when switched off.

    `part` is the name of the part, that of the data set when "". Reading some of a part, or in another order, is a
    reading of the part.
    """
    named = part or (data.part if isinstance(data, Dataset) else "")
    path = _path()
    if path is None or not isinstance(data, Dataset) or not is_held_out(named):
        return None
    whole = data.whole
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    entry = {
        "time": now,
        "part": named,
        "data": whole.hash,
        "of": len(whole),
        "read": len(data) if read is None else read,
        "by": by,
        "program": name_of(program),
        "program_hash": program_hash,
        "metric": metric,
        "commit": _commit(path),
    }
    end = _append(path, entry)
    found = [one for one in _entries(path, end) if one.get("data") == whole.hash]
    if end is not None:
        found.pop()  # this one
    programs = {one.get("program_hash") for one in found} | {program_hash}
    since = str(found[0].get("time", "")) if found else now
    return Reads(named, len(found) + 1, len(programs), since)


def _path() -> Path | None:
    named = os.environ.get(VARIABLE, "").strip()
    if named.lower() == "off":
        return None
    if named:
        return Path(named)
    try:
        here = Path.cwd()
    except OSError:
        return None
    for folder in (here, *here.parents):
        if (folder / ".git").exists() or (folder / "pyproject.toml").is_file():
            return folder / ".outlast" / "splits.jsonl"
    return here / ".outlast" / "splits.jsonl"


def _entries(path: Path, end: int | None) -> Iterator[dict[str, Any]]:
    """The lines up to `end` that can be read; a torn or foreign line is passed over."""
    try:
        with open(path, "rb") as file:
            for line in file:
                if end is not None and file.tell() > end:
                    return
                try:
                    entry = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(entry, dict):
                    yield cast("dict[str, Any]", entry)
    except OSError:
        return


def _append(path: Path, entry: dict[str, Any]) -> int | None:
    """Write a line; gives where it ends, so that runs that begin together count different times. None when it could
    not be written."""
    line = json.dumps(entry).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            if os.lseek(handle, 0, os.SEEK_END):
                os.lseek(handle, -1, os.SEEK_END)
                line = line if os.read(handle, 1) == b"\n" else b"\n" + line  # after a torn line
            os.write(handle, line)
            return os.lseek(handle, 0, os.SEEK_CUR)
        finally:
            os.close(handle)
    except OSError:
        return None  # a read-only project: the run counts, its counting does not


def _commit(path: Path) -> str:
    """The commit that is checked out, as git's files say it; "" where they do not."""
    for folder in path.resolve().parents:
        head = folder / ".git" / "HEAD"
        try:
            text = head.read_text("ascii").strip()
            if not text.startswith("ref: "):
                return text[:40]
            reference = text.removeprefix("ref: ")
            loose = folder / ".git" / reference
            if loose.is_file():
                return loose.read_text("ascii").strip()[:40]
            packed = (folder / ".git" / "packed-refs").read_text("utf-8", "replace")
            found = re.search(rf"^([0-9a-f]{{40}}) {re.escape(reference)}$", packed, re.MULTILINE)
            return found[1] if found else ""
        except (OSError, ValueError):
            continue
    return ""


def _ordinal(number: int) -> str:
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{suffix}"
