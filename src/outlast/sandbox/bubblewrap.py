"""Native Python in a sandbox of the operating system: bubblewrap, a filter of system calls, limits. Linux only."""

from __future__ import annotations

import functools
import os
import platform
import re
import secrets
import shlex
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from outlast.errors import SandboxUnavailable, UsageError, brief
from outlast.sandbox import seccomp
from outlast.sandbox.interpreter import interpreter, needed_by, shown
from outlast.sandbox.monty import Monty, MontyGuest
from outlast.sandbox.process import WORKER, Command, ProcessGuest
from outlast.sandbox.protocol import Guest, Sandbox
from outlast.sandbox.values import Isolation, Limits

LOCKDOWN = Path(__file__).with_name("lockdown.py")
SETTINGS = Path("/proc/sys")
_OLDEST = (0, 8)
_OURS = "/outlast"  # where our own files stand in the sandbox
_NOBODY = 65534
_USERS = range(1 << 30, 1 << 31)  # of which each sandbox that root starts gets its own
_SLACK = 24 << 20  # of address space, for the stacks and tables that are there before code runs
_MONTY = 512 << 20  # the address space of a Monty worker besides the memory of the code
_FORBIDDEN = (  # what a setting of the system says when users may make no namespaces, and what to do
    ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
    ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "allow it for bwrap in AppArmor (/etc/apparmor.d/bwrap with `userns,`), or sysctl -w it to 0",
    ),
)
_NEEDED_BY_ROOT = (6, 7, 21)  # CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN


@dataclass(frozen=True)
class Bubblewrap(Sandbox):
    """Runs code in the CPython that runs this program, at native speed, locked in by the Linux kernel.

    The code sees the standard library, the C libraries that it needs (read-only) and an empty `/tmp` of `files` bytes;
    no other file, no process, no network, no environment, no `/proc`, no program to start. System calls are limited to
    an allow-list. It is not a virtual machine: an error in the kernel may let code out. `Bubblewrap(Monty())` puts the
    worker of another sandbox behind the same lock, for code that would have to break out of both.

    Needs `bwrap` 0.8 or newer. Started by root, each sandbox is a Unix user of its own; by anybody else, it needs user
    namespaces. `program` is the path of bwrap, or its name.
    """

    inside: Sandbox | None = None
    files: int = 16 << 20
    program: str = "bwrap"

    full_python: ClassVar[bool] = True
    isolation: ClassVar[Isolation] = "os"

    def __post_init__(self) -> None:
        inside: object = self.inside
        if inside is not None and type(inside) is not Monty:
            raise UsageError(f"Bubblewrap locks in native Python, or Monty(); got {brief(inside)}")
        files: object = self.files
        if isinstance(files, bool) or not isinstance(files, int) or files < 1:
            raise UsageError(f"Bubblewrap(files=...) is a whole number of bytes above 0; got {brief(files)}")
        program: object = self.program
        if not isinstance(program, str) or not program:
            raise UsageError(f"Bubblewrap(program=...) is the name or path of bwrap; got {brief(program)}")
        object.__setattr__(self, "full_python", self.inside is None)

    def check(self) -> None:
        """Raises `SandboxUnavailable` when this system cannot do it, with what to install or to set.

        The first call starts a sandbox and ends it, as nothing else tells for sure: about 0.1 s.
        """
        if self.inside is not None:
            self.inside.check()
            _monty()
        _check(self.program)

    def open(self, limits: Limits, tools: tuple[str, ...]) -> Guest:
        if self.inside is None:
            return ProcessGuest(Command(_argv(self, limits.memory, WORKER)), limits, tools)
        worker = _monty()
        argv = _argv(self, limits.memory + _MONTY, worker, needed_by(str(worker)))
        return _LockedMonty(shlex.join(argv), limits, tools)


class _LockedMonty(MontyGuest):
    """A Monty worker behind the lock. Its library starts one program, so our command line is a script of its own."""

    def __init__(self, command: str, limits: Limits, tools: tuple[str, ...]) -> None:
        self._directory = tempfile.mkdtemp(prefix="outlast-")
        script = Path(self._directory, "monty")
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n', "utf-8")
        script.chmod(0o700)
        super().__init__(limits, tools, str(script))

    def _printed(self) -> dict[str, Any]:
        return {**super()._printed(), "memory": None}  # theirs is that of bwrap

    def close(self) -> None:
        super().close()
        shutil.rmtree(self._directory, ignore_errors=True)


def _monty() -> Path:
    """The worker that pydantic-monty installs."""
    found = shutil.which("monty", path=sysconfig.get_path("scripts")) or shutil.which("monty")
    if found is None:
        raise SandboxUnavailable(
            "the program `monty` is not here: pip install --force-reinstall pydantic-monty-runtime"
        )
    return Path(found).resolve()


def _argv(options: Bubblewrap, memory: int, worker: Path, libraries: Sequence[str] = ()) -> list[str]:
    """The whole command line of a sandbox."""
    python = interpreter(os.path.realpath(sys.executable))
    uid = _own_uid() if _is_root() else -1
    argv = [_found(options.program), *namespaces(), *python.mounts(libraries)]
    for file in (LOCKDOWN, Path(seccomp.__file__), worker):
        argv += shown(file, f"{_OURS}/{file.name}")
    argv += ["--remount-ro", "/", python.inside, "-I", "-S", "-B", "-X", "utf8", f"{_OURS}/{LOCKDOWN.name}"]
    return [*argv, str(uid), str(python.size + _SLACK + memory), str(options.files), f"{_OURS}/{worker.name}"]


def namespaces() -> list[str]:
    """bwrap's options for namespaces, capabilities and environment."""
    words = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--hostname", "sandbox", "--new-session", "--as-pid-1", "--clearenv", "--setenv", "MALLOC_ARENA_MAX", "1"]
    words += ["--cap-drop", "ALL", "--cap-add", "CAP_SYS_ADMIN"]  # to mount /tmp; given up before the worker runs
    if _is_root():
        return [*words, "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return [*words, "--unshare-user", "--uid", str(_NOBODY), "--gid", str(_NOBODY)]


def _is_root() -> bool:
    """Whether this process may set up namespaces itself: root with its capabilities, in a container or not."""
    if os.geteuid() != 0:
        return False
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            held = int(line.split()[1], 16)
            return all(held >> bit & 1 for bit in _NEEDED_BY_ROOT)
    return False


def _own_uid() -> int:
    """A user that nobody else is, where there is room for one; else `nobody`."""
    first, _, count = Path("/proc/self/uid_map").read_text().split()[:3]
    if int(first) == 0 and int(count) >= _USERS.stop:
        return _USERS.start + secrets.randbelow(len(_USERS))
    return _NOBODY


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise SandboxUnavailable(
            f"Bubblewrap needs the program {program!r}, which is not here: apt install bubblewrap (dnf and pacman "
            "have it under the same name)"
        )
    return path


@functools.cache
def _check(program: str) -> None:
    """Start a sandbox and end it at once: nothing else tells for sure. A success is remembered, a failure is not."""
    if not sys.platform.startswith("linux"):
        raise SandboxUnavailable(f"Bubblewrap needs Linux; this is {sys.platform}. Monty() and Wasm() run here")
    if not seccomp.supported(platform.machine()):
        raise SandboxUnavailable(f"Bubblewrap runs on x86_64 and aarch64; this is {platform.machine()!r}")
    argv = [_found(program), "--version"]
    said = _said(argv)[1]
    version = tuple(int(part) for part in re.findall(r"\d+", said)[:2])
    if version < _OLDEST:
        raise SandboxUnavailable(f"Bubblewrap needs bwrap 0.8 or newer; {argv[0]} is {said or 'of no known version'!r}")
    code, said = _said(_argv(Bubblewrap(program=program), Limits().memory, WORKER))
    if code != 0:
        raise SandboxUnavailable(
            f"bwrap cannot make a sandbox here: {said or f'it ended with {code}'}.{_advice(argv[0])}"
        )


def _said(argv: Sequence[str]) -> tuple[int, str]:
    try:
        run = subprocess.run(argv, env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return run.returncode, (run.stdout + run.stderr).decode("utf-8", "replace").strip()[-1_000:]


def _advice(path: str) -> str:
    """What to change, if a setting of the system explains the failure."""
    if _is_root():
        return ""
    if os.stat(path).st_mode & stat.S_ISUID:
        return f" {path} runs as root (setuid), which cannot limit code enough: use one that does not (chmod u-s)"
    for name, forbids, change in _FORBIDDEN:
        file = SETTINGS / name
        if file.exists() and file.read_text().strip() == forbids:
            return f" {file} is {forbids}, which forbids user namespaces: {change}"
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return (
            " In a container, it needs one that may make namespaces, as with docker run --cap-add SYS_ADMIN "
            "--security-opt seccomp=unconfined --security-opt apparmor=unconfined"
        )
    return ""
