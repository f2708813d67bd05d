"""Where a person's own files lie: keys, aliases and templates in the config folder, the log in the data folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from outlast.errors import ConfigError

_MOST_BYTES = 1 << 20  # of a file of settings that people write


def config_folder() -> Path:
    """`outlast` under `XDG_CONFIG_HOME` or `~/.config`. It need not be there."""
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "outlast"


def data_folder() -> Path:
    """`outlast` under `XDG_DATA_HOME` or `~/.local/share`. It need not be there."""
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share") / "outlast"


def read_settings(path: Path, *, private: bool = False) -> str | None:
    """The text of a file of settings; None when it is not there.

    `private` refuses one that others can read or that belongs to somebody else (where the system knows such a thing).
    Raises `ConfigError`.
    """
    try:
        with path.open("rb") as file:
            if private:
                _refuse_open(path, os.fstat(file.fileno()))
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error.strerror}") from error
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"{str(path)!r} is longer than the {_MOST_BYTES:,} bytes that are read")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{str(path)!r} is not UTF-8: {error}") from error


def _refuse_open(path: Path, found: os.stat_result) -> None:
    """Raise `ConfigError` for a file of secrets that is not its owner's alone."""
    if os.name != "posix":
        return
    if found.st_uid not in (os.geteuid(), 0):
        raise ConfigError(f"{str(path)!r} holds keys and belongs to another user; it is not read")
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        raise ConfigError(
            f"{str(path)!r} holds keys and others can read it (mode {mode:04o}); it is not read. Run: chmod 600 {path}"
        )


@contextmanager
def one_at_a_time(path: Path) -> Generator[None]:
    """A block in which no other process changes the files beside `path`, where the system can see to that."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error.strerror}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def write_settings(path: Path, text: str, *, private: bool = False) -> None:
    """Put a text in the place of a file at once: whoever reads it meanwhile gets the old one or the new one, whole.

    `private` makes the file readable by its owner alone, from its first byte on. Raises `ConfigError`.
    """
    path = Path(os.path.realpath(path))  # one that is kept elsewhere and linked stays a link
    new = path.with_name(f".{path.name}.{token_hex(6)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o644), "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        finally:
            with suppress(FileNotFoundError):
                new.unlink()
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error.strerror}") from error
