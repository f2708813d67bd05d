"""What other packages add: models, adapters, metrics, checks, optimizers, retrievers and commands, by entry points.

A package declares `[project.entry-points."outlast.lms"] acme = "acme_outlast:open_model"`. Nothing of it is imported
before it is named; one that cannot be loaded is an error where it is named, and nowhere else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from outlast.errors import ConfigError, UsageError, did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import Distribution

KINDS: Mapping[str, str] = {
    "lms": "a function (name, options: ModelOptions) -> LM that opens the model `name` of LM('acme/name')",
    "adapters": "an Adapter, or a function without arguments that gives one; --adapter acme",
    "metrics": "a metric; --metric acme",
    "checks": "a Check, or a function that makes one; --metric acme",
    "optimizers": "an Optimizer, or a function without arguments that gives one; --optimizer acme",
    "retrievers": "a function that makes a retriever; outlast.plugins.load('retrievers', 'acme')",
    "commands": "a module with configure(parser), run(args) -> int and EPILOG; outlast acme",
}
_PREFIX = "outlast."


class Plugin(NamedTuple):
    """One thing that a package adds. `kind` is one of `KINDS`, `place` is "module:attribute". Where the files of a
    package cannot be read, the kind is "unreadable" and `problem` says why."""

    kind: str
    name: str
    place: str
    package: str
    version: str
    problem: str = ""

    def load(self) -> Any:
        """Import it. Raises `ConfigError`, in one line, for whatever goes wrong."""
        if self.problem:
            raise ConfigError(f"{self}: {self.problem}")
        from importlib.metadata import EntryPoint

        try:
            return EntryPoint(self.name, self.place, _PREFIX + self.kind).load()
        except (Exception, SystemExit) as error:
            told = " ".join(str(error).split())[:300]
            raise ConfigError(f"{self} cannot be loaded: {type(error).__name__}: {told}") from error

    def __str__(self) -> str:
        return f"the plugin {self.name!r} of {self.package} {self.version} ({_PREFIX}{self.kind})"


def plugins(kind: str | None = None) -> tuple[Plugin, ...]:
    """What installed packages add, of one kind or of all, by package and name; nothing is imported.

    `OUTLAST_PLUGINS` says which: names of packages with commas between them, or "off". Where two packages have one name
    of a kind, both say so in `problem` and neither is used. Raises `UsageError` for a kind that there is not.
    """
    if kind is not None and kind not in KINDS:
        raise UsageError(f"no plugins of the kind {kind!r}.{did_you_mean(kind, KINDS)} Kinds: {', '.join(KINDS)}")
    allowed = _allowed()
    found = [one for one in _installed(tuple(sys.path)) if allowed is None or _plain(one.package) in allowed]
    return tuple(one for one in _told_apart(found) if kind is None or one.kind == kind)


def names(kind: str) -> list[str]:
    """The names of the plugins of a kind."""
    return sorted({one.name for one in plugins(kind)})


def load(kind: str, name: str) -> Any:
    """What the plugin of this kind and name is; None when there is none. Raises `ConfigError` when it is broken."""
    for one in plugins(kind):
        if one.name == name:
            return one.load()
    return None


def _allowed() -> set[str] | None:
    text = os.environ.get("OUTLAST_PLUGINS", "").strip()
    if text.lower() == "off":
        return set()
    return {_plain(name.strip()) for name in text.split(",") if name.strip()} or None


def _plain(name: str) -> str:
    """A package's name as indexes compare it."""
    return name.lower().replace("_", "-").replace(".", "-")


def _told_apart(found: Iterable[Plugin]) -> list[Plugin]:
    holders: dict[tuple[str, str], set[str]] = {}
    for one in found:
        holders.setdefault((one.kind, one.name), set()).add(one.package)
    return [
        one
        if len(holders[one.kind, one.name]) == 1
        else Plugin(
            one.kind,
            one.name,
            one.place,
            one.package,
            one.version,
            f"{' and '.join(sorted(holders[one.kind, one.name]))} both have one of this name; "
            "name the wanted package in OUTLAST_PLUGINS",
        )
        for one in found
    ]


@cache
def _installed(path: tuple[str, ...]) -> tuple[Plugin, ...]:
    """All plugins on an import path; a package that lies there twice counts where it is found first."""
    found: list[Plugin] = []
    seen: set[str] = set()
    for place, distribution in _distributions(path):
        try:
            name, version = str(distribution.metadata["Name"]), str(distribution.version)
            points = list(distribution.entry_points)
        except Exception as error:  # files that somebody damaged; the rest is worth having
            told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            found.append(Plugin("unreadable", "", place, os.path.basename(place), "", f"cannot be read: {told}"))
            continue
        if _plain(name) in seen:
            continue
        seen.add(_plain(name))
        for point in points:
            kind = point.group.removeprefix(_PREFIX)
            if point.group.startswith(_PREFIX) and kind in KINDS:
                found.append(Plugin(kind, point.name, point.value, name, version))
    return tuple(sorted(found, key=lambda one: (one.package.lower(), one.kind, one.name)))


def _distributions(path: tuple[str, ...]) -> Iterable[tuple[str, Distribution]]:
    """The packages on an import path that have plugins of ours, and where they are.

    Their files are looked through before `importlib.metadata` is imported, which takes as long as the rest of a start.
    """
    for folder in path:
        for info in _infos(folder or "."):
            try:
                with open(os.path.join(info, "entry_points.txt"), "rb") as file:
                    text = file.read()
            except OSError:
                continue
            if f"[{_PREFIX}".encode() in text.replace(b" ", b""):
                from importlib.metadata import Distribution

                yield info, Distribution.at(info)


def _infos(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if entry.name.endswith((".dist-info", ".egg-info"))]
    except OSError:  # not there, or a zip archive, in which packages with plugins are not looked for
        return []
