"""CPython in WebAssembly: all of Python for code that may be harmful, on this machine."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

from outlast.errors import ConfigError, SandboxUnavailable, UsageError, brief
from outlast.sandbox.process import Command, ProcessGuest
from outlast.sandbox.protocol import Guest, Sandbox
from outlast.sandbox.pyodide_home import PLATFORM, check_folder, command, environment, find_deno, fits, usual_folder
from outlast.sandbox.values import Isolation, Limits, Stopped

LEAST_MEMORY = 64 << 20  # bytes; the interpreter itself takes half of it
AROUND = 512 << 20  # bytes of the process that are not the guest's: Deno, compiled code, copies that cross
_ADDRESSES = 4 << 30  # bytes that the process may map beyond the guest's
_SELDOM = 1.0  # seconds between two looks where a look starts a program


@dataclass(frozen=True)
class Pyodide(Sandbox):
    """Runs code in CPython 3.14 compiled to WebAssembly (Pyodide), with the whole standard library, under Deno.

    Two fences: WebAssembly, which has no files, sockets or processes but those that Pyodide plays in its memory; and
    around it a worker of Deno without any permission, without code made from text, and without a way to this process
    but messages. The nonce of the session is out of the guest's reach. Needs `pip install 'outlast[pyodide]'` and once
    `outlast sandbox install pyodide`; after that nothing uses the network. `folder` is where that put it, `deno` the
    program; by default the usual ones. `wheels` are files of packages that code can import besides, for any Python 3 or
    for CPython 3.14 on pyemscripten_2026_0_wasm32; each session unpacks them anew.

    A session starts in half a second of CPU. `Limits.memory`, at least 64 MiB, bounds the WebAssembly memory
    from outside, where a guest gets a `MemoryError`; the process may take 512 MiB more, and is killed beyond. At the
    time limit code is interrupted and keeps its variables, unless it does not stop within half a second.
    """

    folder: str | Path | None = None
    deno: str | None = None
    wheels: tuple[str | Path, ...] = ()

    full_python: ClassVar[bool] = True
    isolation: ClassVar[Isolation] = "wasm"

    def __post_init__(self) -> None:
        if not isinstance(self.folder, str | Path | None):
            raise ConfigError(f"Pyodide(folder=...) is a path; got {brief(self.folder)}")
        if not isinstance(self.deno, str | None):
            raise ConfigError(f"Pyodide(deno=...) is the path of a program; got {brief(self.deno)}")

        wheels: object = self.wheels
        if not isinstance(wheels, tuple) or not all(isinstance(one, str | Path) for one in cast("tuple[Any]", wheels)):
            raise ConfigError(f"Pyodide(wheels=...) is a tuple of paths; got {brief(wheels)}")
        for wheel in self._wheels():
            if wheel.suffix != ".whl" or wheel.stem.count("-") < 4 or not fits(wheel):
                raise ConfigError(
                    f"{wheel.name!r} is no wheel for CPython 3.14 in WebAssembly. Those end in -none-any.whl or "
                    f"{PLATFORM}.whl: pip download --no-deps --only-binary=:all: --python-version 3.14 "
                    f"--platform {PLATFORM} NAME"
                )
        object.__setattr__(self, "packages", frozenset(wheel.name.split("-")[0] for wheel in self._wheels()))

    def check(self) -> None:
        find_deno(self.deno)
        check_folder(self._folder())
        for wheel in self._wheels():
            if not wheel.is_file():
                raise SandboxUnavailable(f"there is no file {str(wheel)!r}, which Pyodide(wheels=...) names")

    def open(self, limits: Limits, tools: tuple[str, ...]) -> Guest:
        if limits.memory < LEAST_MEMORY:
            raise UsageError(f"Pyodide needs Limits(memory=...) of {LEAST_MEMORY} bytes or more; got {limits.memory}")
        argv = command(find_deno(self.deno), self._folder(), limits.memory, self._wheels())
        return _Bounded(Command(argv, environment()), limits, tools, watch=_Watch(limits.memory + AROUND))

    def _folder(self) -> Path:
        return usual_folder() if self.folder is None else Path(self.folder).absolute()

    def _wheels(self) -> tuple[Path, ...]:
        return tuple(Path(wheel).absolute() for wheel in self.wheels)


class _Bounded(ProcessGuest):
    """A process that may not map memory without end, where the system can say so of another process."""

    async def start(self) -> None:
        await super().start()
        if sys.platform == "linux" and self.pid is not None:
            import resource

            most = self._limits.memory + AROUND + _ADDRESSES
            with contextlib.suppress(OSError):
                resource.prlimit(self.pid, resource.RLIMIT_DATA, (most, most))
                resource.prlimit(self.pid, resource.RLIMIT_CORE, (0, 0))


class _Watch:
    """Names the limit of memory once a process is beyond it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._next = 0.0

    def __call__(self, pid: int) -> Stopped | None:
        if sys.platform != "linux":
            if time.monotonic() < self._next:
                return None
            self._next = time.monotonic() + _SELDOM
        taken = resident(pid)
        return "memory" if taken is not None and taken > self._most else None


def resident(pid: int) -> int | None:
    """Bytes of memory that a process holds now, or None where nobody says."""
    try:
        if sys.platform == "linux":
            pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE")
        asked = ["/bin/ps", "-o", "rss=", "-p", str(pid)]
        return int(subprocess.run(asked, capture_output=True, timeout=2, check=True).stdout) * 1024
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return None
