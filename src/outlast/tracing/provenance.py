"""Where a result comes from: the code, the machine, the command, and what was installed."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_PATIENCE = 2.0  # seconds that git gets
_MOST_DIFF = 50_000  # characters of a diff that are kept; its hash is of all of it
_MOST_ARGUMENTS = 100
_CHUNK = 65_536
_GIT = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.quotepath=off", "--no-pager")
_SECRET_OPTION = re.compile(r"(?i)(--?[\w-]*(?:key|token|secret|password|passwd)[\w-]*)(=.*)?")


@dataclass(frozen=True, slots=True)
class Provenance:
    """One session that made rows of an evaluation; a resumed one has several.

    `commit` and `branch` are those of the git repository around `directory`, "" without one; `dirty` says whether
    tracked files were changed since, `untracked` how many others there are that git does not ignore. `diff_hash` is 32
    hexadecimal digits of `git diff HEAD`, `diff` its first 50,000 characters. `git_error` says why nothing is known.
    What looks like a secret is replaced in `diff` and `argv`; anything else in them is kept, so read a file before you
    pass it on. `version` is that of outlast, `packages` are the installed distributions with their versions, `started`
    is in UTC. `process` tells whether the process still runs, on the machine that it runs on.
    """

    started: str
    version: str
    python: str
    platform: str
    host: str
    directory: str
    argv: tuple[str, ...]
    packages: Mapping[str, str] = field(default_factory=dict[str, str])
    commit: str = ""
    branch: str = ""
    dirty: bool = False
    untracked: int = 0
    diff_hash: str = ""
    diff: str = ""
    git_error: str = ""
    process: str = ""

    @property
    def code(self) -> str:
        """The state of the code in a few words: "1b141ee on main, changed (diff 5f3a90c1), 2 files untracked"."""
        if not self.commit:
            return self.git_error
        parts = [f"{self.commit[:7]}{f' on {self.branch}' if self.branch else ''}"]
        if self.dirty:
            parts.append(f"changed (diff {self.diff_hash[:8]})" if self.diff_hash else "changed")
        if self.untracked:
            parts.append(f"{self.untracked} file{'s' * (self.untracked != 1)} untracked")
        return ", ".join(parts)

    @property
    def machine(self) -> str:
        """The machine in a few words."""
        return f"{self.host}, Python {self.python}, outlast {self.version}"

    def __str__(self) -> str:
        return f"{self.started}; {self.machine}; {self.code}"

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form; what is empty is left out."""
        return {name: value for name, value in asdict(self).items() if value or name == "started"}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Provenance:
        """What `to_json` wrote."""
        values: dict[str, Any] = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        for name in ("started", "version", "python", "platform", "host", "directory"):
            values.setdefault(name, "")
        values["argv"] = tuple(data.get("argv", ()))
        return cls(**values)


def gather(started: datetime) -> Provenance:
    """What can be known of this process, in its working directory, within about two seconds whatever git does.

    Takes about 10 ms, in which it waits for git: call it in a thread.
    """
    from outlast import __version__
    from outlast.tracing.living import process_mark

    try:
        directory = Path.cwd()
    except OSError:  # it was deleted
        directory = Path()
    return Provenance(
        started.astimezone(UTC).isoformat(timespec="seconds"),
        __version__,
        platform.python_version(),
        platform.platform(),
        platform.node(),
        str(directory),
        _arguments(sys.argv),
        _packages(tuple(sys.path)),
        process=process_mark(),
        **_git(directory),
    )


def _arguments(argv: Sequence[str]) -> tuple[str, ...]:
    shown: list[str] = []
    hide = False
    for argument in argv[:_MOST_ARGUMENTS]:
        found = _SECRET_OPTION.fullmatch(argument)
        if found is not None and found[2]:
            shown.append(f"{found[1]}=<hidden>")
        else:
            shown.append("<hidden>" if hide and not argument.startswith("-") else _without_secrets(argument[:2000]))
        hide = found is not None and not found[2]
    return tuple(shown)


def _without_secrets(text: str) -> str:
    from outlast.checks.redaction import Redaction
    from outlast.checks.secrets import find_secrets

    return Redaction(find_secrets, [text])(text)


@functools.lru_cache(maxsize=4)
def _packages(path: tuple[str, ...]) -> Mapping[str, str]:
    """Names and versions of installed distributions, off the names of their folders: reading their metadata would take
    a hundred times as long."""
    found: dict[str, str] = {}
    for place in path:
        with suppress(OSError):
            for name in os.listdir(place or "."):
                if name.endswith(".dist-info"):
                    distribution, _, version = name[: -len(".dist-info")].partition("-")
                    found.setdefault(distribution, version)
    return dict(sorted(found.items()))


def _git(directory: Path) -> dict[str, Any]:
    if "GIT_DIR" not in os.environ and not any((place / ".git").exists() for place in (directory, *directory.parents)):
        return {"git_error": "no git repository"}
    if shutil.which("git") is None:
        return {"git_error": "git is not installed"}
    deadline = _Deadline(_PATIENCE)
    try:
        status, _ = _asked(directory, deadline, "status", "--porcelain=v2", "--branch")
        found = _read_status(status)
        if found["commit"] and found["dirty"] and not deadline.passed:
            diff, digest = _asked(directory, deadline, "diff", "--no-ext-diff", "--no-textconv", "--full-index", "HEAD")
            if not deadline.passed:
                found |= {"diff": _without_secrets(diff)[:_MOST_DIFF], "diff_hash": digest}
    except (OSError, ValueError) as error:
        return {"git_error": f"git failed: {error}"}
    finally:
        deadline.cancel()
    if deadline.passed:
        found["git_error"] = f"git did not answer within {_PATIENCE:g} s"
    elif not found["commit"]:
        found["git_error"] = "no commit yet" if status else "git failed"
    return found


def _read_status(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {"commit": "", "branch": "", "dirty": False, "untracked": 0}
    for line in text.splitlines():
        if line.startswith("# branch.oid ") and not line.endswith("(initial)"):
            found["commit"] = line.rpartition(" ")[2]
        elif line.startswith("# branch.head ") and not line.endswith("(detached)"):
            found["branch"] = line.partition("# branch.head ")[2]
        elif line.startswith("? "):
            found["untracked"] += 1
        elif line[:2] in ("1 ", "2 ", "u "):
            found["dirty"] = True
    return found


class _Deadline:
    """Kills the processes that it was given when the time is over."""

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, process: subprocess.Popen[bytes] | None) -> None:
        with self._lock:
            self._process = process
            if self.passed:
                self._kill()

    def cancel(self) -> None:
        self._timer.cancel()

    def _pass(self) -> None:
        with self._lock:
            self.passed = True
            self._kill()

    def _kill(self) -> None:
        if self._process is None:
            return
        with suppress(OSError):
            if hasattr(os, "killpg"):  # also what git started, which would keep the pipe open
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()


def _asked(directory: Path, deadline: _Deadline, *arguments: str) -> tuple[str, str]:
    """The beginning of what git prints, and the hash of all of it; a deadline that passes cuts it off."""
    process = subprocess.Popen(
        [*_GIT, *arguments],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
        start_new_session=True,
    )
    deadline.watch(process)
    digest, kept, size = hashlib.blake2b(digest_size=16), list[bytes](), 0
    with process:
        while process.stdout is not None and (chunk := os.read(process.stdout.fileno(), _CHUNK)):
            digest.update(chunk)
            if size < 4 * _MOST_DIFF:
                kept.append(chunk)
            size += len(chunk)
        process.wait()
        deadline.watch(None)
    return b"".join(kept).decode(errors="replace"), digest.hexdigest()
