"""Which programs `llm` knows: those that were given a name, and those that are named by their file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from outlast.errors import ConfigError, UsageError, brief

if TYPE_CHECKING:
    from outlast.modules.module import Module

PREFIX = "outlast:"


@dataclass(frozen=True, slots=True)
class NamedProgram:
    """A program by the name that `llm` has for it. `target` is "file.py:name" or "package.module:name", `artifact` a
    compiled file, `lm` the model that it asks; both may be ""."""

    name: str
    target: str
    artifact: str = ""
    lm: str = ""

    def load(self) -> Module:
        """The program, with what its compiled file says. Imports its file. Raises errors of ours."""
        from outlast.cli.targets import load_program

        program = load_program(self.target)
        if not self.artifact:
            return program
        from outlast import artifact

        return artifact.load(self.artifact, program)


def programs_file() -> Path:
    """Where names are kept: beside the other settings of `llm`."""
    llm: Any = import_module("llm")
    return Path(llm.user_dir()) / "outlast-programs.json"


def programs() -> dict[str, NamedProgram]:
    """The programs that have a name, by it. Raises `ConfigError` for a file that cannot be read."""
    place = programs_file()
    try:
        told: Any = json.loads(place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{str(place)!r} cannot be read: {error}") from None
    if not isinstance(told, dict):
        raise ConfigError(f"{str(place)!r} is to hold an object of programs by name; got {brief(told)}")
    return {name: _read(name, entry, place) for name, entry in cast("dict[str, Any]", told).items()}


def _read(name: str, entry: Any, place: Path) -> NamedProgram:
    held = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
    known = {key: held[key] for key in ("target", "artifact", "lm") if isinstance(held.get(key), str)}
    if "target" not in known or len(known) != len(held):
        raise ConfigError(f"{str(place)!r}: {name!r} is to have a target, and may have artifact and lm; all are text")
    return NamedProgram(name, **known)


def keep(found: Mapping[str, NamedProgram]) -> None:
    """Write the file anew, whole or not at all."""
    from outlast.data.files import write_whole

    place = programs_file()
    told = {
        name: {key: value for key, value in asdict(entry).items() if key != "name" and value}
        for name, entry in sorted(found.items())
    }
    try:
        write_whole(place, json.dumps(told, indent=2, ensure_ascii=False).encode() + b"\n")
    except OSError as error:
        raise ConfigError(f"cannot write {str(place)!r}: {error.strerror or error}") from error


def named_in(words: Sequence[str]) -> dict[str, NamedProgram]:
    """The programs that a command line names by their file: `-m outlast:app.py:triage`.

    `llm` wants to know every model before it looks at the one that is asked for, so that one is looked for here.
    """
    found: dict[str, NamedProgram] = {}
    for word in words[1:]:
        text = word.removeprefix("--model=").removeprefix("-m")
        if text.startswith(PREFIX) and ":" in text.removeprefix(PREFIX):
            target = text.removeprefix(PREFIX)
            found[target] = NamedProgram(target, target)
    return found


def program_named(name: str) -> NamedProgram:
    """The program of this name, else the one that it names by its file. Raises `UsageError`."""
    from outlast.errors import did_you_mean

    known = programs()
    if name in known:
        return known[name]
    if ":" in name:
        return NamedProgram(name, name)
    raise UsageError(
        f"no program {name!r}.{did_you_mean(name, known)} Name one with `llm outlast add NAME file.py:program`, or say "
        f"outlast:file.py:program"
    )
