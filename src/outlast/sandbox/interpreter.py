"""What an installed CPython consists of, and how a sandbox shows that and nothing else."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from outlast.errors import SandboxUnavailable

_INVENTORY = Path(__file__).with_name("inventory.py")
_PYTHON, _LIBRARIES, _ZONES = "/python", "/python/libraries", "/usr/share/zoneinfo"


def shown(source: str | Path, place: str, how: str = "--ro-bind") -> Iterator[str]:
    """Show a file or directory, read-only; everybody may walk there, whatever the umask is."""
    for parent in reversed(Path(place).parents[:-1]):
        yield from ("--perms", "0755", "--dir", str(parent))
    yield from (how, str(source), place)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A CPython as it is installed: what of it a sandbox has to show. It stands elsewhere there, under `/python`."""

    executable: str
    directories: Mapping[str, str]
    """Where the standard library is, and where below the prefix."""
    libraries: tuple[str, ...]
    size: int
    """Bytes of address space of a worker that has run nothing yet."""

    @property
    def inside(self) -> str:
        return f"{_PYTHON}/bin/{os.path.basename(self.executable)}"

    def mounts(self, more: Iterable[str] = ()) -> Iterator[str]:
        """bwrap's options that show it, and the C libraries of other programs."""
        yield from ("--perms", "0755", "--dir", "/tmp")
        yield from shown("/dev/null", "/dev/null", "--dev-bind")
        for place, below in self.directories.items():
            yield from shown(place, f"{_PYTHON}/{below}")
            for packages in ("site-packages", "dist-packages"):
                if os.path.isdir(os.path.join(place, packages)):
                    hidden = f"{_PYTHON}/{below}/{packages}"
                    yield from ("--size", "4096", "--tmpfs", hidden, "--remount-ro", hidden)
        yield from shown(self.executable, self.inside)
        yield from libraries(dict.fromkeys((*self.libraries, *more)))
        if os.path.isdir(_ZONES):
            yield from shown(_ZONES, _ZONES)
        yield from ("--setenv", "LD_LIBRARY_PATH", _LIBRARIES)


def libraries(files: Iterable[str]) -> Iterator[str]:
    """Show C libraries where the loader looks for them; the loader itself stands where programs say."""
    for file in files:
        name = os.path.basename(file)
        yield from shown(file, file if name.startswith("ld-") else f"{_LIBRARIES}/{name}")


@functools.cache
def needed_by(program: str) -> tuple[str, ...]:
    """The C libraries that the loader would map for a program, without running it. Raises `SandboxUnavailable`."""
    run = [program]
    try:
        done = subprocess.run(
            run,
            env={"LD_TRACE_LOADED_OBJECTS": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxUnavailable(f"the libraries that {program} needs cannot be found out: {error!r}") from None
    words = (word for word in done.stdout.decode().split() if word.startswith("/"))
    return tuple(word for word in words if os.path.isfile(word))


@functools.cache
def interpreter(executable: str) -> Interpreter:
    """Ask a Python where its standard library is, and which C libraries it maps when all of that is imported.

    Costs a process, about 0.2 s, once. Raises `SandboxUnavailable` when it does not answer.
    """
    run = [executable, "-I", "-S", "-B", str(_INVENTORY)]
    try:
        done = subprocess.run(run, env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        told = cast("dict[str, Any]", json.loads(done.stdout.splitlines()[-1]))
        return Interpreter(told["executable"], told["directories"], tuple(told["libraries"]), told["size"])
    except (OSError, subprocess.TimeoutExpired, ValueError, LookupError) as error:
        raise SandboxUnavailable(f"the Python at {executable} does not say what it consists of: {error!r}") from None
