"""Parts of a program that no candidate may change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from outlast.errors import PathError, UsageError, brief, did_you_mean
from outlast.modules.module import Module
from outlast.modules.paths import is_strategy, modules_of, parameters
from outlast.modules.state import difference, places


@dataclass(frozen=True, slots=True)
class Locks:
    """The paths that are locked, each a parameter ("answer.demos") or a prefix that holds all below it ("answer")."""

    paths: tuple[str, ...] = ()

    @classmethod
    def on(cls, program: Module, lock: Iterable[str]) -> Locks:
        """The locks that `lock` names; raises `PathError` for a path that leads nowhere in the program."""
        if isinstance(lock, str | bytes) or not isinstance(lock, Iterable):
            raise UsageError(f"lock is a list of paths such as ['answer.instruction']; got {brief(lock)}")
        known = _prefixes(program)
        paths = tuple(lock)
        for path in paths:
            if not isinstance(path, str):
                raise UsageError(f"lock is a list of paths such as ['answer.instruction']; it has {brief(path)}")
            if path not in known:
                raise PathError(
                    f"lock: {type(program).__name__} has no parameter or part {path!r}.{did_you_mean(path, known)} "
                    f"Paths: {', '.join(known)}."
                )
        return cls(tuple(sorted(set(paths))))

    def holds(self, path: str) -> bool:
        """Whether a parameter path is locked."""
        return any(path == lock or path.startswith(f"{lock}.") for lock in self.paths)

    def check(self, base: Module, changes: Mapping[str, Any], program: Module) -> None:
        """Raise `UsageError` when `program`, which is `base` with these changes, differs at a locked path."""
        if not self.paths:
            return
        touched = {path for path in difference(base, program, models=True) if self.holds(path)}
        if any(is_strategy(path) for path in changes):  # a new strategy may have no place for what is locked
            touched |= {path for path in parameters(base).keys() - parameters(program).keys() if self.holds(path)}
        if touched:
            path = min(touched)
            lock = next(one for one in self.paths if path == one or path.startswith(f"{one}."))
            under = "" if lock == path else f" (as part of {lock!r})"
            raise UsageError(
                f"{path!r} is locked{under} in this search, so no candidate changes it. An optimizer asks "
                f"study.locked(path) first; study.tunable lists what is free."
            )

    def tunable(self, program: Module) -> tuple[str, ...]:
        """The parameters that candidates may change, in the order of the program; models never are among them."""
        return tuple(path for path, place in places(program).items() if place.kind != "lm" and not self.holds(path))


def _prefixes(program: Module) -> list[str]:
    """Every parameter and every path that leads to some."""
    found: dict[str, None] = {}
    for path in (*parameters(program), *(path for path in modules_of(program) if path)):
        steps = path.split(".")
        for end in range(1, len(steps) + 1):
            found[".".join(steps[:end])] = None
    return list(found)
