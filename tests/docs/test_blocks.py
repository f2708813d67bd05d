"""Runs every code block of the README and the docs, and compares what the page shows with what comes out.

The rules for authors are in CONTRIBUTING.md. `python tests/docs/test_blocks.py docs/index.md ...` runs pages and
writes what really came out into them.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import contextlib
import inspect
import io
import linecache
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from outlast.tracing.switch import flush

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"( *)```(\w*)(.*)")
NOT_RUN = "not run: "
DURATION = re.compile(r"\b\d+(\.\d+)?\s(µs|us|ms|s|min)\b")
CLOCK = re.compile(r"\b(\d{4}-\d\d-\d\dT)?\d\d:\d\d:\d\dZ?\b")


@dataclass
class Block:
    """A fenced block: its language, its title, its lines, and the number (from 0) of its first line in the page."""

    language: str
    title: str
    start: int
    lines: list[str]
    indent: int = 0


@dataclass
class Page:
    """A page under test. `edits` are spans of lines to be replaced by what came out: (first, last + 1, new lines)."""

    path: Path
    lines: list[str]
    problems: list[str] = field(default_factory=list)
    edits: list[tuple[int, int, list[str]]] = field(default_factory=list)

    def compare(self, first: int, last: int, expected: list[str], came: str, prefix: str) -> None:
        """Note a problem, and the edit that mends it, when `came` is not what lines `first..last` show."""
        if not matches("\n".join(expected), came):
            shown = "\n".join(f"    {line}" for line in came.rstrip("\n").split("\n"))
            self.problems.append(f"{self.path}:{first + 1}: the page shows something else than what came out:\n{shown}")
            new = came.rstrip("\n").split("\n")
            if prefix.endswith("#> "):
                new = [
                    part
                    for line in new
                    for part in textwrap.wrap(line, 108 - len(prefix), break_on_hyphens=False, break_long_words=False)
                    or [""]
                ]
            self.edits.append((first, last, [(prefix + line).rstrip() for line in new]))


def blocks_of(lines: list[str]) -> Iterator[Block]:
    """Every fenced block of a page, in order. An open fence at the end raises."""
    block: Block | None = None
    for number, line in enumerate(lines):
        found = FENCE.fullmatch(line)
        if block is None and found:
            title = re.search(r'title="([^"]*)"', found.group(3))
            block = Block(found.group(2), title.group(1) if title else "", number + 1, [], len(found.group(1)))
        elif block is not None and line.strip() == "```":
            yield block
            block = None
        elif block is not None:
            block.lines.append(line[block.indent :])
    assert block is None, f"line {block.start}: the block is never closed"


def matches(expected: str, came: str) -> bool:
    """Equal but for white space and times, where `...` stands for anything."""
    parts = [re.escape(plain(part)) for part in expected.split("...")]
    return re.fullmatch(r"\s*" + r"\s*.*?\s*".join(parts) + r"\s*", plain(came), re.DOTALL) is not None


def plain(text: str) -> str:
    """Text with single spaces and with all durations and clock times alike: no two runs take the same time."""
    return " ".join(CLOCK.sub("00:00:00", DURATION.sub("0 s", text)).split())


def run_page(page: Page, folder: Path) -> None:
    """Run the blocks of a page in order, in one namespace; problems are collected on the page."""
    module = types.ModuleType("__main__")  # what a reader's script is called
    before = sys.modules["__main__"]
    sys.modules["__main__"] = module
    source = [line + "\n" for line in page.lines]
    linecache.cache[str(page.path)] = (len("".join(source)), None, source, str(page.path))
    output = ""
    sys.path.insert(0, str(folder))  # as for a script in that folder
    try:
        for block in blocks_of(page.lines):
            if block.title.startswith(NOT_RUN):
                assert len(block.title) > len(NOT_RUN) + 5, f"{page.path}:{block.start}: say why it is not run"
            elif block.title == "output":
                last = block.start + len(block.lines)
                page.compare(block.start, last, block.lines, output, " " * block.indent)
            elif re.fullmatch(r"[\w-]+\.\w+", block.title):
                (folder / block.title).write_text("\n".join(block.lines) + "\n", encoding="utf-8")
            elif block.language == "python":
                output = run_python(page, block, module)
            elif block.language == "console":
                run_console(page, block, folder)
    finally:
        sys.modules["__main__"] = before
        sys.path.remove(str(folder))
        for name, loaded in list(sys.modules.items()):
            if str(getattr(loaded, "__file__", None) or "").startswith(str(folder)):
                del sys.modules[name]  # the next page has an app.py of its own
        linecache.cache.pop(str(page.path), None)


def run_python(page: Page, block: Block, module: types.ModuleType) -> str:
    """Run a block statement by statement; gives what was printed and not yet compared."""
    tree = ast.parse("\n".join(block.lines), str(page.path))
    pending = ""
    compared = 0
    for index, node in enumerate(tree.body):
        below = tree.body[index + 1].lineno - 1 if index + 1 < len(tree.body) else len(block.lines)
        if index + 1 < len(tree.body) and getattr(tree.body[index + 1], "decorator_list", None):
            below = tree.body[index + 1].decorator_list[0].lineno - 1
        shown = [n for n in range(node.end_lineno or 0, below) if block.lines[n].lstrip().startswith("#>")]
        compared += len(shown)
        ast.increment_lineno(node, block.start)
        pending += run_statement(node, page, module, shown=bool(shown))
        if shown:
            expected = [block.lines[n].lstrip()[2:] for n in shown]
            first = block.start + shown[0]
            indent = block.indent + len(block.lines[shown[0]]) - len(block.lines[shown[0]].lstrip())
            page.compare(first, first + len(shown), expected, pending, " " * indent + "#> ")
            pending = ""
    written = sum(line.lstrip().startswith("#>") for line in block.lines)
    assert compared == written, f"{page.path}:{block.start}: a `#>` stands inside a statement, where it is not compared"
    return pending


def run_statement(node: ast.stmt, page: Page, module: types.ModuleType, *, shown: bool) -> str:
    """What one statement printed; with `shown`, as in a REPL, the value of an expression or an exception too."""
    mode, tree = ("single", ast.Interactive([node])) if shown else ("exec", ast.Module([node], []))
    code = compile(tree, str(page.path), mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            result = types.FunctionType(code, module.__dict__)()
            if inspect.iscoroutine(result):
                asyncio.run(result)
        except Exception as error:
            if not shown:
                raise
            print(f"{type(error).__name__}: {error}")
    return out.getvalue()


def run_console(page: Page, block: Block, folder: Path) -> None:
    """Run the `$ ` commands of a block and compare what each prints. Only outlast's own commands are run."""
    flush()  # what blocks before this one kept, as when a script has ended before its reader types a command
    starts = [n for n, line in enumerate(block.lines) if line.startswith("$ ")]
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for start, stop in zip(starts, [*starts[1:], len(block.lines)], strict=True):
        command = block.lines[start][2:]
        first = shlex.split(command)[0]
        assert first in ("outlast", "cat", "echo", "head"), (
            f"{page.path}:{block.start + start}: {first} is not run here"
        )
        done = subprocess.run(
            ["/bin/bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True, timeout=60
        )
        expected = block.lines[start + 1 : stop]
        if expected:
            first_line = block.start + start + 1
            page.compare(
                first_line, first_line + len(expected), expected, done.stdout + done.stderr, " " * block.indent
            )
        elif done.returncode:
            page.problems.append(f"{page.path}:{block.start + start}: exit {done.returncode}: {done.stderr}")


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Run in a folder with no key, no cache of anybody's, no colour and no network; leave no trace of it."""
    from outlast.runtime import default, set_defaults

    keep = {name: value for name, value in os.environ.items() if not re.search(r"_API_KEY$|_BASE_URL$|^OUTLAST_", name)}
    own = {"HOME": str(folder), "COLUMNS": "110", "NO_COLOR": "1"}
    own |= {f"XDG_{kind}_HOME": str(folder / f".{kind.lower()}") for kind in ("CACHE", "CONFIG", "DATA")}
    patch = pytest.MonkeyPatch()
    defaults = {name: default(name) for name in ("lm", "adapter")}
    display = sys.displayhook
    before = os.environ.copy()
    try:
        os.environ.clear()
        os.environ.update({**keep, **own})
        patch.chdir(folder)
        patch.setattr(socket, "socket", OnlyLoopback)
        patch.setattr(socket, "getaddrinfo", loopback_info)
        sys.displayhook = lambda value: None if value is None else builtins.print(repr(value))
        yield
    finally:
        sys.displayhook = display
        patch.undo()
        os.environ.clear()
        os.environ.update(before)
        set_defaults(**defaults)


class OnlyLoopback(socket.socket):
    """A socket that goes nowhere but to this machine, where a page may start a server of its own."""

    def connect(self, address: Any, /) -> None:
        check_loopback(address)
        super().connect(address)

    def connect_ex(self, address: Any, /) -> int:
        check_loopback(address)
        return super().connect_ex(address)


def loopback_info(host: Any, *args: Any, **kwargs: Any) -> Any:
    check_loopback((host,))
    return ADDRESSES(host, *args, **kwargs)


ADDRESSES = socket.getaddrinfo


def check_loopback(address: Any) -> None:
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost", None):
        raise AssertionError(f"a documentation block reached for the network: {address}")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_of_the_page_runs_and_shows_what_comes_out(path: Path, tmp_path: Path) -> None:
    page = Page(path, path.read_text(encoding="utf-8").split("\n"))
    with alone(tmp_path):
        run_page(page, tmp_path)
    assert not page.problems, "\n".join(page.problems)


def test_the_check_fails_when_a_page_shows_something_that_does_not_come_out(tmp_path: Path) -> None:
    def problems(text: str) -> int:
        page = Page(ROOT / "docs" / "made_up.md", text.split("\n"))
        with alone(tmp_path):
            run_page(page, tmp_path)
        return len(page.problems)

    assert problems("```python\n1 + 1\n#> 2\nprint('a b')\n#> a ...\n```") == 0
    assert problems("```python\n1 + 1\n#> 3\n```") == 1
    assert problems("```python\nint('x')\n#> ValueError: invalid literal...\n```") == 0
    assert problems("```python\nint('1')\n#> ValueError: invalid literal...\n```") == 1
    assert problems('```python\nprint(1)\n```\n\n```text title="output"\n1\n```') == 0
    assert problems('```python\nprint(1)\n```\n\n```text title="output"\n2\n```') == 1
    with pytest.raises(ZeroDivisionError):
        problems("```python\n1 / 0\n```")
    with pytest.raises(AssertionError, match="network"):
        problems("```python\nimport socket\nsocket.create_connection(('192.0.2.1', 9))\n```")


def rewrite(path: Path) -> None:
    """Run a page and put what came out into it."""
    page = Page(path, path.read_text(encoding="utf-8").split("\n"))
    with tempfile.TemporaryDirectory() as folder, alone(Path(folder)):
        run_page(page, Path(folder))
    for first, last, new in sorted(page.edits, reverse=True):
        page.lines[first:last] = new
    path.write_text("\n".join(page.lines), encoding="utf-8")
    print(f"{path}: {len(page.edits)} places rewritten")
    for problem in page.problems:
        print(problem)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        rewrite(Path(name).resolve())
