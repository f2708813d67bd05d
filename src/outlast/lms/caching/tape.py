"""The file of a cassette: one exchange a line, for people to read and for git to keep."""

from __future__ import annotations

import atexit
import base64
import difflib
import json
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, cast
from weakref import WeakSet, WeakValueDictionary

from outlast.errors import LMReplayError, UsageError, brief
from outlast.lms.caching.hiding import known_secrets, without_secrets
from outlast.messages import Request, Response
from outlast.runtime.waiting import forks
from outlast.types import TRUSTED

_NEAR = 200  # recorded requests that a missing one is compared with
_SHOWN = 40  # lines of the difference


class Exchange(NamedTuple):
    """A recorded request as it stands in the file, and its answer; `name` is the model's where the file says it."""

    line: int
    asked: dict[str, Any]
    response: Response
    name: str = ""


def asked_form(identity: str, request: Request) -> dict[str, Any]:
    """What is written of a request: all that decides the answer, without secrets, media by their hashes.

    Raises `UsageError` when it holds what JSON cannot.
    """
    data = request.to_json()
    data["messages"] = [_short_media(message) for message in data["messages"]]
    if request.label != TRUSTED:
        data["label"] = request.label.to_json()
    try:
        plain = json.loads(json.dumps(data, default=_as_dict))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"a request that cannot be written as JSON cannot be recorded: {error}") from None
    return without_secrets({"model": identity, "request": plain}, known_secrets())


def key_of(asked: Mapping[str, Any]) -> bytes:
    """Tells recorded requests apart. Not sorted: the order of a schema's properties decides the answer."""
    text = json.dumps([asked.get("model"), asked.get("request")])
    return blake2b(text.encode(), digest_size=20).digest()


def written(asked: Mapping[str, Any], response: Response) -> str:
    """An exchange as a line, without its end."""
    data = {**asked, "response": without_secrets(response.to_json(), known_secrets())}
    text = json.dumps(data, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # lone surrogates
        text = json.dumps(data)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085")  # no line ends


def read_tape(path: Path) -> Iterator[Exchange]:
    """The exchanges of a file in order; none when there is no file. Raises `LMReplayError` that names a bad line."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise LMReplayError(f"the recording {str(path)!r} cannot be read: {error}") from error
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            response = Response.from_json(data["response"])
            asked = {"model": _text(data["model"]), "request": dict(data["request"])}
            name = _text(data.get("name", ""))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            why = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise LMReplayError(
                f"{path}, line {number}, is no recorded exchange ({why}): {brief(line[:60])}. Delete the line and "
                "record it again"
            ) from None
        yield Exchange(number, asked, response, name)


def difference(
    asked: Mapping[str, Any],
    recorded: list[Exchange],
    *,
    named: Callable[[int], str] = "line {}".format,
    most: int | None = _SHOWN,
) -> str:
    """How a request differs from the nearest recorded one, as a unified diff of `most` lines, all when None; empty when
    nothing is recorded. `named` gives the name of one from its line."""
    if not recorded:
        return ""
    wanted = _pretty(asked)
    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted)

    def likeness(exchange: Exchange) -> float:
        matcher.set_seq1(_pretty(exchange.asked))
        return matcher.ratio()

    nearest = max(recorded[-_NEAR:], key=likeness)
    lines = list(
        difflib.unified_diff(_pretty(nearest.asked), wanted, named(nearest.line), "asked now", lineterm="", n=1)
    )
    most = len(lines) if most is None else most
    more = [f"... {len(lines) - most} more lines"] if len(lines) > most else []
    return "\n".join([*lines[:most], *more])


def shortened(told: str, most: int = 6, width: int = 110) -> str:
    """A few lines of a unified diff, some that went and some that came, each cut: those with words that are not on both
    sides, or where there are none, the first."""
    sides = [[line for line in told.split("\n")[3:] if line[:1] == sign] for sign in "-+"]
    both = Counter(line[1:] for line in sides[0]) & Counter(line[1:] for line in sides[1])
    words = [[line for line in lines if line[1:] not in both and any(map(str.isalnum, line))] for lines in sides]
    listed = words if any(words) else sides
    fair = max(most // 2, most - min(map(len, listed)))
    shown = [line if len(line) <= width else f"{line[: width - 1]}…" for lines in listed for line in lines[:fair]]
    left = sum(map(len, sides)) - len(shown)
    return "\n".join([*shown, *([f"... {left} more lines"] if left else [])])


class TapeWriter:
    """Appends exchanges to a file in the order in which they were begun. Safe for threads.

    A line is written whole, in one call, as soon as all that was begun before it has ended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begun = False
        self._renew()

    def _renew(self) -> None:
        self._forks = forks()
        self._lock = threading.Lock()
        self._queue: deque[_Place] = deque()

    def begin(self, anew: bool) -> _Place:
        """Take a place in the order. `anew` begins the file anew when nothing of this recording is in it yet."""
        if self._forks != forks():
            self._renew()
        place = _Place(anew)
        with self._lock:
            self._queue.append(place)
        return place

    def end(self, place: _Place, line: str | None) -> None:
        """Fill a place with a line, or with nothing. Raises `OSError`."""
        with self._lock:
            place.line, place.ended = line, True
            self._write(whole=False)

    def flush(self) -> None:
        """Write what has ended, although something before it has not."""
        if self._forks == forks():
            with self._lock:
                self._write(whole=True)

    def _write(self, whole: bool) -> None:
        lines: list[str] = []
        anew = False
        waiting: deque[_Place] = deque()
        while self._queue and (whole or self._queue[0].ended):
            place = self._queue.popleft()
            if not place.ended:
                waiting.append(place)
            elif place.line is not None:
                lines.append(place.line + "\n")
                anew = anew or place.anew
        self._queue.extendleft(reversed(waiting))
        if lines:
            self._append("".join(lines).encode(), anew)

    def _append(self, data: bytes, anew: bool) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = os.O_TRUNC if anew and not self._begun else 0
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | fresh, 0o644)
        try:
            if os.fstat(file).st_size:
                os.lseek(file, -1, os.SEEK_END)
                if os.read(file, 1) != b"\n":  # somebody's editor, or a write that was cut off
                    data = b"\n" + data
            while data:
                data = data[os.write(file, data) :]
        finally:
            os.close(file)
        self._begun = True


class _Place:
    """One place in the order of a file."""

    __slots__ = ("anew", "ended", "line")

    def __init__(self, anew: bool) -> None:
        self.anew = anew
        self.ended = False
        self.line: str | None = None


def writer_for(path: Path) -> TapeWriter:
    """The one writer of this process for a file, as long as anybody uses it."""
    resolved = Path(os.path.abspath(path.expanduser()))
    with _opening:
        found = _writers.get(resolved)
        if found is None:
            found = _writers[resolved] = TapeWriter(resolved)
            _open.add(found)
        return found


_writers: WeakValueDictionary[Path, TapeWriter] = WeakValueDictionary()
_open: WeakSet[TapeWriter] = WeakSet()
_opening = threading.Lock()


def _flush_all() -> None:
    for writer in list(_open):
        writer.flush()


atexit.register(_flush_all)


def _after_fork() -> None:
    global _opening
    _opening = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _short_media(message: dict[str, Any]) -> dict[str, Any]:
    """Media by their size and hash: megabytes of base64 are nothing to read."""
    content = message["content"]
    if isinstance(content, str):
        return message
    parts: list[dict[str, Any]] = []
    for part in cast("list[dict[str, Any]]", content):
        if "data" in part:
            raw = base64.b64decode(part["data"])
            part = {**part, "data": f"{len(raw)} bytes, blake2b {blake2b(raw, digest_size=16).hexdigest()}"}
        parts.append(part)
    return {**message, "content": parts}


def _pretty(asked: Mapping[str, Any]) -> list[str]:
    """A request as lines; the lines of a text within it are lines of their own."""
    return json.dumps(asked, indent=1, ensure_ascii=False).replace("\\n", "\n").split("\n")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("its model is no text")
    return value


def _as_dict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    raise TypeError(f"{type(value).__name__} is no JSON")
