"""Reading files that somebody else made: their size, their depth and what a zip says of itself are not trusted."""

from __future__ import annotations

import json
import lzma
import sqlite3
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote

from outlast.errors import DataError

MOST_JSON: Final = 256 << 20  # bytes of a JSON file, which is held in memory as a whole, about five times as large
MOST_ENTRY: Final = 64 << 20  # bytes of one entry of a zip, unpacked
MOST_ENTRIES: Final = 200_000
_ZSTD: Final = 93  # the number of that method in a zip
_PIECE: Final = 1 << 16
_BROKEN: Final = (zipfile.BadZipFile, zlib.error, lzma.LZMAError)


def readable(path: str | Path, what: str) -> Path:
    """The path when it is a file. Raises `DataError`."""
    place = Path(path).expanduser()
    if place.is_dir():
        raise DataError(f"{str(path)!r} is a folder; give the file of {what} itself")
    if not place.is_file():
        raise DataError(f"there is no file {str(path)!r} to import {what} from")
    return place


def json_file(path: Path, what: str) -> Any:
    """The JSON in a file of at most 256 MB. Raises `DataError`."""
    size = path.stat().st_size
    if size > MOST_JSON:
        raise DataError(f"{str(path)!r} has {size >> 20:,} MB; {what} are read up to {MOST_JSON >> 20} MB")
    try:
        with path.open("rb") as file:
            return parsed(file.read(MOST_JSON + 1), f"{str(path)!r}")
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def parsed(data: bytes, name: str) -> Any:
    """The JSON in some bytes. Raises `DataError`."""
    try:
        return json.loads(data.decode("utf-8-sig", "replace"))
    except RecursionError:
        raise DataError(f"{name} is nested too deeply to be read") from None
    except ValueError as error:
        raise DataError(f"{name} is not JSON: {error}") from None


class Archive:
    """A zip whose entries are read one at a time into memory, never onto the disk, each up to a bound.

    What it says of sizes is not believed: reading ends at the bound. Raises `DataError` for what is no zip, for too
    many entries, and for packing that this Python does not know.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise DataError(f"{str(path)!r} is no zip file: {error}") from None
        self._entries = {entry.filename: entry for entry in self._zip.infolist()}
        if len(self._zip.infolist()) > MOST_ENTRIES:
            raise DataError(f"{str(path)!r} has more than {MOST_ENTRIES:,} entries")

    @property
    def names(self) -> list[str]:
        """The names of the entries."""
        return list(self._entries)

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def json(self, name: str) -> Any:
        """The JSON in an entry. Raises `DataError`."""
        shown = f"{name[:100]!r} in {self._path.name!r}"
        if name not in self._entries:
            raise DataError(f"there is no {shown}")
        try:
            with self._opened(self._entries[name]) as file:
                data = _at_most(file, MOST_ENTRY)
        except (*_BROKEN, OSError, ValueError, EOFError, RuntimeError, NotImplementedError) as error:
            raise DataError(f"{shown} cannot be unpacked: {error}") from None
        if data is None:
            raise DataError(f"{shown} unpacks to more than {MOST_ENTRY >> 20} MB; that is refused")
        return parsed(data, shown)

    @contextmanager
    def _opened(self, entry: zipfile.ZipInfo) -> Generator[IO[bytes]]:
        if entry.compress_type != _ZSTD or hasattr(zipfile, "ZIP_ZSTANDARD"):
            with self._zip.open(entry) as file:
                yield file
            return
        with self._path.open("rb") as raw, zstd_stream(_Part(raw, *_place(raw, entry))) as file:
            yield file


class _Part:
    """A stretch of a file, to read from."""

    def __init__(self, file: IO[bytes], start: int, length: int) -> None:
        file.seek(start)
        self._file = file
        self._left = length

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._file.read(wanted)
        self._left -= len(data)
        return data


def _place(file: IO[bytes], entry: zipfile.ZipInfo) -> tuple[int, int]:
    """Where the packed bytes of an entry begin, and how many they are."""
    file.seek(entry.header_offset)
    head = file.read(30)
    if len(head) < 30 or head[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile("its entry has no head")
    skip = int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    return entry.header_offset + 30 + skip, entry.compress_size


@contextmanager
def zstd_stream(source: Any) -> Generator[Any]:
    """Unpacked zstd. Raises `DataError` where no package does that."""
    try:
        library: Any = import_module("zstandard")
    except ImportError:
        raise DataError(
            "this log is packed with zstd: pip install 'outlast[inspect]', or make it a .json with "
            "`inspect log convert --to json`"
        ) from None
    try:
        with library.ZstdDecompressor(max_window_size=1 << 27).stream_reader(source, read_size=_PIECE) as file:
            yield file
    except library.ZstdError as error:
        raise zipfile.BadZipFile(str(error)) from None


def _at_most(file: Any, most: int) -> bytes | None:
    """All that can be read, None when that is more than `most` bytes."""
    pieces: list[bytes] = []
    size = 0
    while piece := file.read(_PIECE):
        size += len(piece)
        if size > most:
            return None
        pieces.append(piece)
    return b"".join(pieces)


@contextmanager
def database(path: Path) -> Generator[sqlite3.Connection]:
    """An SQLite database of somebody else's, to read only: nothing in it runs but our queries. Raises `DataError`."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    if head != b"SQLite format 3\x00":
        raise DataError(f"{str(path)!r} is no SQLite database")
    connection = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True, timeout=10)
    connection.text_factory = _decoded
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_ENTRY)
        yield connection
    except sqlite3.Error as error:
        raise DataError(f"{str(path)!r} cannot be read: {error}") from error
    finally:
        connection.close()


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def tables_of(connection: sqlite3.Connection) -> dict[str, set[str]]:
    """The real tables of a database (views are none) and the columns of each."""
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {
        name: {row[1] for row in connection.execute("SELECT * FROM pragma_table_info(?)", (name,))} for name in names
    }
