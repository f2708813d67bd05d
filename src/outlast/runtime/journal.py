"""What a run was given from outside, line by line on disk: a run that died goes on from there."""

from __future__ import annotations

import hashlib
import heapq
import json
import os
import threading
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from outlast.errors import DataError, brief

FORMAT = 1
_MOST_LINE = 64 << 20  # bytes; a longer one is no line of ours


class Place(NamedTuple):
    """One question of this run: its key, the number of equal ones before it, and what came of it in an earlier run.

    `answer` is what it gave, None when nothing did; `begun` says that an earlier run began it, so that without an
    answer nobody knows whether it was done.
    """

    key: str
    number: int
    answer: Mapping[str, Any] | None
    begun: bool


class Journal:
    """Answers from outside a program, in a file of JSON lines that grows only. Safe for threads.

    The n-th question with a key gets the n-th answer that the file has for it; new answers are added, each on the disk
    before `end` returns. A line that a crash cut off does not count. `about` says what the file is for, and stands in
    its first line; a file that is for something else is refused, as is one that another process uses. Raises
    `DataError`. `replayed` and `added` count answers.
    """

    def __init__(self, path: str | os.PathLike[str], about: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.about: Mapping[str, Any] = dict(about)
        self.replayed = self.added = 0
        self._lock = threading.Lock()
        self._answers: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)  # where each stands, and its length
        self._begun: dict[str, set[int]] = defaultdict(set)
        self._asked: dict[str, int] = defaultdict(int)
        self._free: dict[str, list[int]] = defaultdict(list)  # places that were given back
        self._file = self._opened()

    def _opened(self) -> BinaryIO:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        except OSError as error:
            raise DataError(f"the checkpoint {str(self.path)!r} cannot be opened: {error.strerror or error}") from error
        try:
            _claim(file, self.path)
            self._read(file)
            if file.tell() == 0:
                self._write(file, {"checkpoint": FORMAT, "about": self.about})
        except BaseException:
            file.close()
            raise
        return file

    def _read(self, file: BinaryIO) -> None:
        """Take in what the file holds, and go to the end of its last whole line."""
        end = 0
        for number, line in enumerate(iter(lambda: file.readline(_MOST_LINE), b"")):
            if not line.endswith(b"\n"):
                break
            try:
                data: Any = json.loads(line)
            except ValueError as error:
                raise DataError(f"line {number + 1} of the checkpoint {str(self.path)!r} is no JSON: {error}") from None
            if number == 0:
                self._check(data)
            else:
                self._take(data, number + 1, (end, len(line)))
            end += len(line)
        file.seek(end)
        file.truncate()

    def _check(self, data: Any) -> None:
        told = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
        if told.get("checkpoint") != FORMAT:
            raise DataError(f"{str(self.path)!r} is no checkpoint of this version; it begins with {brief(data)}")
        if told.get("about") != self.about:
            raise DataError(
                f"the checkpoint {str(self.path)!r} is for {brief(told.get('about'))}, and not for "
                f"{brief(self.about)}; use another file, or remove it to begin anew"
            )

    def _take(self, data: Any, line: int, at: tuple[int, int]) -> None:
        try:
            key, number = str(data["key"]), int(data["number"])
            answer = data.get("answer")
        except (TypeError, KeyError, ValueError, AttributeError):
            raise DataError(f"line {line} of the checkpoint {str(self.path)!r} is damaged: {brief(data)}") from None
        self._begun[key].add(number)
        if answer is not None:
            self._answers[key][number] = at

    def place(self, key: str) -> Place:
        """The next question with this key."""
        with self._lock:
            if self._free[key]:
                number = heapq.heappop(self._free[key])
            else:
                number = self._asked[key]
                self._asked[key] += 1
            at = self._answers[key].get(number)
            answer = None if at is None else self._at(*at)
            self.replayed += answer is not None
            return Place(key, number, answer, number in self._begun[key])

    def tool_place(self, name: str, arguments: bytes, sample: int) -> Place:
        """The next call of a tool with these arguments (canonical JSON), in this draw of the program."""
        return self.place(key_of("tool", name, arguments, str(sample)))

    def _at(self, offset: int, length: int) -> Mapping[str, Any]:
        """The answer that stands there; the caller holds the lock."""
        self._file.seek(offset)
        line = self._file.read(length)
        self._file.seek(0, os.SEEK_END)
        return json.loads(line)["answer"]

    def back(self, place: Place) -> None:
        """Give a place back: the question is not put now, and may be later."""
        with self._lock:
            heapq.heappush(self._free[place.key], place.number)

    def begin(self, place: Place) -> None:
        """Say that this question is about to be put to the world: without an answer its outcome is unknown."""
        self._add({"key": place.key, "number": place.number})

    def end(self, place: Place, answer: Mapping[str, Any]) -> None:
        """Keep what it gave."""
        self._add({"key": place.key, "number": place.number, "answer": answer})
        self.added += 1

    def _add(self, data: Mapping[str, Any]) -> None:
        with self._lock:
            self._write(self._file, data)

    def _write(self, file: BinaryIO, data: Mapping[str, Any]) -> None:
        line = json.dumps(data).encode() + b"\n"
        at = file.tell()
        try:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        except (OSError, ValueError) as error:  # a full disk, or closed
            if not file.closed:
                file.truncate(at)
                file.seek(at)
            raise DataError(
                f"the checkpoint {str(self.path)!r} cannot be written, so the run stops: {error}"
            ) from error

    def close(self) -> None:
        """Close the file. May be called twice."""
        with self._lock:
            self._file.close()


def _claim(file: BinaryIO, path: Path) -> None:
    """Make the file ours until it is closed."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise DataError(
            f"the checkpoint {str(path)!r} is in use by another run; wait for it, or use another file"
        ) from None


def about(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """What a checkpoint is for, from its first line. Raises `DataError`."""
    try:
        with open(path, "rb") as file:
            line = file.readline(_MOST_LINE)
        data: Any = json.loads(line)
        return dict(data["about"])
    except OSError as error:
        raise DataError(f"the checkpoint {str(path)!r} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError):
        raise DataError(f"{str(path)!r} is no checkpoint") from None


def key_of(kind: str, *parts: bytes | str) -> str:
    """The key of a question: equal for equal parts, in every process."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (kind, *parts):
        raw = part.encode(errors="backslashreplace") if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()
