"""No sandbox: code of a model in a plain process of this Python, for those who trust it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import ClassVar

from outlast.errors import UsageError
from outlast.sandbox.process import WORKER, Command, ProcessGuest
from outlast.sandbox.protocol import Guest, Sandbox
from outlast.sandbox.values import Isolation, Limits


@dataclass(frozen=True)
class Local(Sandbox):
    """Runs code in a plain process of this Python, with the whole standard library and none of the installed packages.

    It keeps nothing in: the code can read and write every file of this user, use the network and start programs. Only
    accidents are caught: the process has an empty environment, a directory of its own, and limits on time, output
    and (on Linux) memory. So it has to be asked for: `Local(trust_me=True)`; anything else raises `UsageError`.
    """

    trust_me: bool = False

    full_python: ClassVar[bool] = True
    isolation: ClassVar[Isolation] = "none"

    def __post_init__(self) -> None:
        if self.trust_me is not True:
            raise UsageError(
                "Local is no sandbox: code runs with all rights of this user. Use Monty(), or say "
                "Local(trust_me=True) if you trust whoever writes the code"
            )

    def check(self) -> None:
        """Always there."""

    def open(self, limits: Limits, tools: tuple[str, ...]) -> Guest:
        return ProcessGuest(Command(worker_argv(sys.executable), directory=True), limits, tools)


def worker_argv(python: str) -> list[str]:
    """The command that runs the worker in a Python that sees neither environment, user site nor packages."""
    return [python, "-I", "-S", "-B", "-X", "utf8", str(WORKER)]
