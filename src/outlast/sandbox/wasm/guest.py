"""Runs inside Pyodide: the interpreter of `worker.py`, with main.mjs in the place of its stdin, stdout and alarm.

guest.mjs runs this file once, and then calls `start`.
"""

from __future__ import annotations

import json
import random
import signal
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SPARE = 4 << 20  # bytes that have to be free after a run that reached the limit of memory


def load(source: str) -> Any:
    module = types.ModuleType("outlast_worker")
    exec(compile(source, "outlast_worker", "exec"), module.__dict__)
    return module


class Bridge:
    """The lines to the host: a call goes out, and its reply is what comes back."""

    def __init__(self, ask: Callable[[str], str]) -> None:
        self.ask = ask
        self.came = ""

    def write(self, message: object) -> None:
        self.came = self.ask(json.dumps(message, allow_nan=False))

    def read(self) -> dict[str, Any]:
        return json.loads(self.came)


class Alarm:
    """The time limit: main.mjs raises the signal when the time is up."""

    def __init__(self, stop: type[BaseException]) -> None:
        self.stop = stop
        self.armed = False
        signal.signal(signal.SIGALRM, self.ring)

    def ring(self, *_: object) -> None:
        if self.armed:
            self.armed = False
            raise self.stop("time")

    def set(self, seconds: float) -> None:
        self.armed = True

    def clear(self) -> None:
        self.armed = False


def start(source: str, hello: str, ask: Callable[[str], str], heap: Callable[[], int]) -> Callable[[str], str]:
    """The function that runs one message of the host and gives the answer, both as JSON. `source` is that of the
    worker, `ask` calls a host tool, `heap` gives the bytes of all memory."""
    worker = load(source)
    worker.Alarm = lambda: Alarm(worker.Stop)
    worker.peak_memory = heap
    random.seed()  # the snapshot holds a seed, which would be the same in all sessions
    interpreter = worker.Interpreter(Bridge(ask), json.loads(hello))

    def run(message: str) -> str:
        done = interpreter.run(json.loads(message))
        if done["stopped"] == "memory":
            done["state_lost"] = full()
        return json.dumps({"done": done}, allow_nan=False)

    return run


def full() -> bool:
    """Whether too little of the memory is left to go on with."""
    try:
        return not bytearray(SPARE)
    except MemoryError:
        return True
