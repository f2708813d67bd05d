"""The interpreter of a session, as a script of its own: `python -I -S -B worker.py`. Standard library only.

It reads one JSON object per line from its stdin and writes lines to its stdout, each led by the session's nonce; both
are moved away from where guest code prints before any of it runs. First comes `{"nonce", "memory", "output", "value",
"tools"}`, answered by `{"ready": true}`; then `{"code", "variables", "seconds"}` runs code, answered by any number of
`{"call": {"name", "arguments"}}`, each of which waits for `{"value" | "error", "seconds"}`, and by one
`{"done": {...}}`. Guest code can reach all of this, as it is Python: the host believes nothing that comes out.
"""

from __future__ import annotations

import ast
import io
import json
import linecache
import os
import signal
import sys
import threading
import types

TYPE_CHECKING = False  # importing typing would double the time of a start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MOST_TEXT = 4_000  # characters of an error that are told
MOST_DEPTH = 100  # nesting of a value that crosses
MOST_BITS = 14_000  # of an integer that crosses: Python itself writes no longer ones as decimals
MOST_FRAMES = 8
FLOOD = 8  # times the kept output that end the run


class ToolError(Exception):
    """What a host tool answers when it failed."""


class Stop(BaseException):
    """A limit was reached; not an `Exception`, so that guest code seldom catches it."""


class Kept(io.BufferedIOBase):
    """Standard output: keeps the first bytes, counts all, and ends a flood."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.clear()

    def clear(self) -> None:
        self.data = bytearray()
        self.seen = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = len(data)
        if len(self.data) < self.most:
            self.data += memoryview(data)[: self.most - len(self.data)]
        self.seen += size
        if self.seen > FLOOD * self.most:
            raise Stop("output")
        return size


class Alarm:
    """The time limit as a signal, where there are signals: the variables then outlive it."""

    def __init__(self) -> None:
        self.armed = False
        self.there = hasattr(signal, "setitimer")
        if self.there:
            signal.signal(signal.SIGALRM, self.ring)

    def ring(self, *_: object) -> None:
        if self.armed:
            self.armed = False
            raise Stop("time")

    def set(self, seconds: float) -> None:
        if self.there:
            self.armed = True
            signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
            limit_cpu(seconds)

    def clear(self) -> None:
        if self.there:
            self.armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)


class Wire:
    """Lines to and from the host."""

    def __init__(self) -> None:
        self.source = os.fdopen(os.dup(0), "rb")
        self.sink = os.fdopen(os.dup(1), "wb")
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        os.close(nothing)
        self.nonce = ""

    def read(self) -> dict[str, Any]:
        line = self.source.readline()
        if not line:
            os._exit(0)  # the host is gone
        return json.loads(line)

    def write(self, message: object) -> None:
        self.sink.write(f"{self.nonce} {json.dumps(message, allow_nan=False)}\n".encode("ascii"))
        self.sink.flush()

    def watch(self) -> None:
        """End this process and its children when the host is gone, also in the middle of guest code."""
        import select

        if not hasattr(select, "poll"):
            return
        poll = select.poll()
        poll.register(self.source.fileno(), 0)  # a hang-up is always told

        def wait() -> None:
            poll.poll()
            if os.getpgrp() == os.getpid():
                os.killpg(os.getpgrp(), signal.SIGKILL)
            os._exit(1)

        threading.Thread(target=wait, daemon=True).start()


def limit_memory(most: int) -> None:
    """The address space may grow by this many bytes. Nothing happens where the system has no such limit."""
    try:
        import resource

        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + most, now + most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        return


def limit_cpu(seconds: float) -> None:
    """A backstop for code that no signal reaches, when the host is gone as well."""
    try:
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        most = int(used.ru_utime + used.ru_stime + seconds) + 3
        resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    except (ImportError, OSError, ValueError):
        return


def peak_memory() -> int | None:
    """Bytes at the peak, or None where nobody knows. The system's own figure includes what this process was before."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration, ValueError):
        return peak_without_proc()


def peak_without_proc() -> int | None:
    """The same in a sandbox of Linux without /proc; elsewhere the figure has other units, or is none."""
    if sys.platform != "linux":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


is_a: Callable[[object, Any], bool] = isinstance  # tells a type checker nothing of what is in a value of the guest


class Plain:
    """Makes JSON data of values: tuples and sets become lists, dates their ISO form, numbers that are not finite "nan",
    "inf" and "-inf", and anything else its repr. Stops at a number of bytes, since a small value may be a huge text."""

    def __init__(self, most: int) -> None:
        self.left = most

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise Stop("value")

    def of(self, value: Any, depth: int = 0) -> Any:
        if depth > MOST_DEPTH:
            raise ValueError("the value is nested too deeply to leave the sandbox, or contains itself")
        self.spend(2)
        if value is None or is_a(value, bool):
            return value
        if is_a(value, str):
            self.spend(len(value))
            return str.__str__(value)
        if is_a(value, float):
            return float(value) if abs(value) <= sys.float_info.max else str(float(value))
        if is_a(value, int):
            return self.integer(int(value))
        if is_a(value, dict):
            return {self.name(key): self.of(item, depth + 1) for key, item in value.items()}
        if is_a(value, (list, tuple, set, frozenset)):
            return [self.of(item, depth + 1) for item in value]
        return self.other(value, depth + 1)

    def integer(self, value: int) -> int:
        bits = value.bit_length()
        if bits > MOST_BITS:
            raise ValueError("the integer has too many digits to leave the sandbox; return it as text or in hex")
        self.spend(bits // 4)
        return value

    def other(self, value: Any, depth: int) -> Any:
        kind: Any = getattr(value, "__class__", None)
        if hasattr(kind, "__dataclass_fields__") and kind is not type:
            return {key: self.of(getattr(value, key), depth) for key in kind.__dataclass_fields__}
        for method in ("isoformat", "tolist", "model_dump"):
            if callable(getattr(kind, method, None)):
                return self.of(getattr(value, method)(), depth)
        return repr(value)[: 4 * MOST_TEXT]

    def name(self, key: object) -> str:
        text = json.dumps(key) if key is None or isinstance(key, bool) else str(key)
        self.spend(len(text) + 2)
        return text


class Interpreter:
    """Runs code in one namespace, with the host's tools as functions in it."""

    def __init__(self, wire: Wire, hello: dict[str, Any]) -> None:
        self.wire = wire
        self.most: int = hello["value"]
        self.kept = Kept(hello["output"])
        stream: Any = self.kept  # all that a text stream needs of a buffer
        self.out = io.TextIOWrapper(stream, encoding="utf-8", errors="backslashreplace", write_through=True)
        self.alarm = Alarm()
        self.talking = threading.Lock()
        self.runs = 0
        self.seconds = 0.0
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        self.names: dict[str, Any] = module.__dict__
        self.names["ToolError"] = ToolError
        for tool in hello["tools"]:
            self.names[tool.replace("-", "_")] = self.stub(tool)

    def stub(self, tool: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            given = {**{str(i): value for i, value in enumerate(args)}, **kwargs}
            try:
                given = Plain(self.most).of(given)
                if len(json.dumps(given)) > self.most:
                    raise Stop("value")
            except Stop as stop:
                if stop.args != ("value",):
                    raise
                raise ValueError(f"the arguments of {tool} are too big: over {self.most} bytes") from None
            with self.talking:
                self.alarm.clear()
                self.wire.write({"call": {"name": tool, "arguments": given}})
                reply = self.wire.read()
                self.alarm.set(reply["seconds"])
            if reply.get("error") is not None:
                raise ToolError(reply["error"])
            return reply["value"]

        call.__name__ = call.__qualname__ = tool
        return call

    def run(self, message: dict[str, Any]) -> dict[str, Any]:
        self.kept.clear()
        sys.stdout = sys.stderr = self.out
        self.names.update(message["variables"])
        value = stopped = error = None
        try:
            self.alarm.set(message["seconds"])
            value = Plain(self.most).of(self.evaluate(message["code"]))
            self.alarm.clear()
        except Stop as stop:
            stopped = stop.args[0] if stop.args else "time"
        except MemoryError:
            stopped = "memory"
        except BaseException as raised:
            self.alarm.clear()
            error = told(raised)
        self.alarm.clear()
        if value is not None and len(json.dumps(value)) > self.most:
            value, stopped = None, "value"
        return {
            "value": value,
            "stdout": self.kept.data.decode("utf-8", "replace"),
            "error": error,
            "stopped": stopped,
            "truncated": self.kept.seen > self.kept.most,
            "memory": peak_memory(),
        }

    def evaluate(self, code: str) -> Any:
        self.runs += 1
        source = f"<code {self.runs}>"
        linecache.cache[source] = (len(code), None, code.splitlines(True), source)
        tree = ast.parse(code, source)
        last = tree.body[-1] if tree.body else None
        if not isinstance(last, ast.Expr):
            exec(compile(tree, source, "exec"), self.names)
            return None
        tree.body.pop()
        exec(compile(tree, source, "exec"), self.names)
        return eval(compile(ast.Expression(last.value), source, "eval"), self.names)


def told(error: BaseException) -> dict[str, str]:
    """An exception as data: type, message, and the lines of guest code it came through."""
    lines: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename.startswith("<code "):
            text = linecache.getline(code.co_filename, trace.tb_lineno).strip()
            lines.append(f"line {trace.tb_lineno}, in {code.co_name}: {text}"[:300])
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.lineno is not None:
        lines.append(f"line {error.lineno}: {(error.text or '').strip()}"[:300])
    if len(lines) > MOST_FRAMES:
        lines[MOST_FRAMES // 2 : -MOST_FRAMES // 2] = ["..."]
    try:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
    except BaseException:
        message = "(an error that cannot be shown)"
    return {"kind": type(error).__name__[:200], "message": str(message)[:MOST_TEXT], "lines": "\n".join(lines)}


def main() -> None:
    wire = Wire()
    hello = wire.read()
    wire.nonce = hello["nonce"]
    interpreter = Interpreter(wire, hello)
    wire.watch()
    wire.write({"ready": True})
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    limit_memory(hello["memory"])
    while True:
        wire.write({"done": interpreter.run(wire.read())})


if __name__ == "__main__":
    main()
