"""A check of program text: it parses as Python, and imports only what it may."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from outlast.checks.check import Check, CheckResult, Found
from outlast.checks.factory import factory
from outlast.checks.policy import Policy
from outlast.checks.reading import FINE, listed, of_text, shown, whole
from outlast.errors import UsageError, brief

_FENCED = re.compile(r"\s*```[\w+-]*[ \t]*\n(.*?)\n?[ \t]*```\s*", re.DOTALL)
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_BY_NAME = frozenset({"__import__", "import_module", "find_spec", "exec_module", "load_module"})


@factory
def parses_python(
    field: str,
    *,
    imports: Iterable[str] | None = None,
    most: int = 100_000,
    each: bool = False,
    on_fail: Policy | str = "raise",
) -> Check:
    """The text, or `Code`, is a Python program that parses; with `imports`, it imports only these modules and what is
    in them ("os.path" does not allow "os"), and none by a name that is made while it runs.

    It never runs. A program that is too long (`most` characters) or nested too deeply for the parser fails. The fix
    takes it out of a Markdown fence. That a program imports little does not make it safe to run: that is what
    sandboxes are for.
    """
    whole("parses_python", "most", most, 1)
    allowed: tuple[str, ...] | None = None
    if imports is not None:
        modules: list[str] = list(imports) if not isinstance(imports, str) else [imports]
        allowed = tuple(sorted(listed("parses_python", "imports", modules))) if modules else ()
        for module in allowed:
            if not _MODULE.fullmatch(module):
                raise UsageError(f"ol.checks.parses_python: imports are names of modules; got {brief(module)}")

    def judge(text: str) -> CheckResult:
        result = _judged(text, field, allowed, most)
        inner = _FENCED.fullmatch(text[: most + 200])
        if result.ok or inner is None or not _judged(inner[1], field, allowed, most).ok:
            return result
        told = f"{field!r} is Python in a Markdown fence; write the program alone"
        return CheckResult(False, told, found=result.found, fix={field: inner[1]})

    return of_text("parses_python", field, judge, on_fail=on_fail, each=each, imports=allowed, most=most)


def _judged(text: str, field: str, allowed: tuple[str, ...] | None, most: int) -> CheckResult:
    if not text.strip():
        return CheckResult(False, f"{field!r} holds no program")
    if len(text) > most:
        return CheckResult(False, f"{field!r} is a program of {len(text):,} characters; at most {most:,} are read")
    try:
        tree = ast.parse(text)
        if allowed is None:
            return FINE
        bad = list(_forbidden(tree, allowed))
    except SyntaxError as error:
        where = f"line {error.lineno}" if error.lineno else "it"
        line = (error.text or "").strip()
        told = f"{field!r} is no Python: {where}: {error.msg}{f' in {brief(line, 80)}' if line else ''}"
        return CheckResult(False, told, found=_place(text, field, error))
    except (RecursionError, MemoryError):
        return CheckResult(False, f"{field!r} is a program that is nested too deeply")
    except ValueError as error:  # null bytes, and lone surrogates
        return CheckResult(False, f"{field!r} is no Python: {error}")
    if not bad:
        return FINE
    may = ", ".join(allowed) or "nothing"
    return CheckResult(False, f"{field!r} imports {shown(dict.fromkeys(bad))}; it may import {may}")


def _place(text: str, field: str, error: SyntaxError) -> tuple[Found, ...]:
    lines = text.splitlines(keepends=True)
    if not error.lineno or error.lineno > len(lines):
        return ()
    start = sum(map(len, lines[: error.lineno - 1]))
    line = lines[error.lineno - 1].rstrip("\r\n")
    return (Found(field, start, start + len(line), "syntax", line),)


def _forbidden(tree: ast.AST, allowed: tuple[str, ...]) -> Iterator[str]:
    """The modules that a program imports and may not, and the ways to import one by its name."""

    def may(module: str) -> bool:
        return any(module == one or module.startswith(f"{one}.") for one in allowed)

    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if not may(alias.name))
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names = [f"{module}.{alias.name}" for alias in node.names]
            if not may(module) and not all(may(name) for name in names):
                yield module
        elif isinstance(node, ast.Name) and node.id in _BY_NAME:
            yield node.id
        elif isinstance(node, ast.Attribute) and node.attr in _BY_NAME:
            yield node.attr
