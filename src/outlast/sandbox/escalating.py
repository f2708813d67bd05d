"""A fast sandbox first, and a fuller one for what the first cannot run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outlast.errors import UsageError, brief
from outlast.sandbox.protocol import Guest, Sandbox
from outlast.sandbox.values import Done, Limits, Reply, Step


@dataclass(frozen=True)
class Escalating(Sandbox):
    """Runs code in `first`, and again in `fuller` what `first` does not support: `Escalating(Monty(), Pyodide())`.

    Code runs twice only when that cannot be noticed: the session has no variables yet and the code has called no tool.
    From then on the session lives in `fuller`. In every other case the code gets the error of `first`, as it would
    alone. `fuller` starts when it is first needed.
    """

    first: Sandbox
    fuller: Sandbox

    def __post_init__(self) -> None:
        for name in ("first", "fuller"):
            if not isinstance(getattr(self, name), Sandbox):
                raise UsageError(f"Escalating({name}=...) is a sandbox; got {brief(getattr(self, name))}")
        weaker = "none" if "none" in (self.first.isolation, self.fuller.isolation) else self.first.isolation
        object.__setattr__(self, "full_python", self.first.full_python)
        object.__setattr__(self, "packages", self.first.packages & self.fuller.packages)
        object.__setattr__(self, "isolation", weaker)

    def check(self) -> None:
        self.first.check()
        self.fuller.check()

    def open(self, limits: Limits, tools: tuple[str, ...]) -> Guest:
        return _Guest(self.first.open(limits, tools), self.fuller.open(limits, tools))


class _Guest(Guest):
    """Two guests, of which one is used."""

    def __init__(self, first: Guest, fuller: Guest) -> None:
        self._first = first
        self._fuller = fuller
        self._now = first
        self._fresh = True

    async def start(self) -> None:
        await self._first.start()

    async def begin(self, code: str, variables: Mapping[str, Any], seconds: float) -> Step:
        clock = time.monotonic()
        step = await self._now.begin(code, variables, seconds)
        if not (self._fresh and isinstance(step, Done) and step.unsupported):
            self._fresh = False
            return step
        left = max(seconds - (time.monotonic() - clock), 0.001)
        self._first.close()
        await self._fuller.start()
        self._now, self._fresh = self._fuller, False
        return await self._fuller.begin(code, variables, left)

    async def resume(self, reply: Reply, seconds: float) -> Step:
        return await self._now.resume(reply, seconds)

    def close(self) -> None:
        self._first.close()
        self._fuller.close()
