"""Opening what a user names, and writing files so that a failure leaves the old one."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import IO, Any, cast

from outlast.errors import DataError


@contextmanager
def opened(source: str | Path | Traversable | IO[Any]) -> Generator[tuple[IO[Any], str]]:
    """A readable file, and its name for messages. Paths and package resources are opened as bytes, open
    files are used as they are.

    "-" is standard input. Raises `DataError` when a path cannot be read.
    """
    if source == "-":
        yield cast("IO[Any]", getattr(sys.stdin, "buffer", sys.stdin)), "standard input"
        return
    if isinstance(source, str | Traversable):
        path = Path(source) if isinstance(source, str) else source
        try:
            file = path.open("rb")  # closed below; opening must not be mixed with reading
        except OSError as error:
            raise DataError(f"cannot read {str(source)!r}: {error.strerror or error}") from error
        with file:
            try:
                yield file, str(source)
            except OSError as error:
                raise DataError(f"cannot read {str(source)!r}: {error.strerror or error}") from error
        return
    if not hasattr(source, "read"):
        raise DataError(f"a path or an open file is needed; got a {type(source).__name__}")
    yield source, str(getattr(source, "name", "the file"))


def write_lines(path: str | Path | IO[str], lines: Iterable[str]) -> None:
    """Write lines in UTF-8, lone surrogates as escapes. A file that is there is replaced only when all is written.

    Raises `DataError` when it cannot be written; then the old file is as it was.
    """
    if not isinstance(path, str | Path):
        for line in lines:
            path.write(line + "\n")
        return
    target = Path(path)
    replaces = not target.exists() or target.is_file()  # a pipe or a device is written to, never replaced
    place = target.with_name(f".{target.name}.{os.getpid()}.part") if replaces else target
    try:
        with open(place, "wb") as file:
            for line in lines:
                file.write(line.encode("utf-8", "backslashreplace") + b"\n")
        if replaces:
            os.replace(place, target)
    except OSError as error:
        raise DataError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    finally:
        if replaces:
            with suppress(OSError):
                place.unlink(missing_ok=True)


def write_whole(path: Path, raw: bytes) -> None:
    """Write a file at once, and to the disk: whoever reads it sees the old one or all of the new one.

    Folders on the way are made. Raises `OSError`; then the old file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
