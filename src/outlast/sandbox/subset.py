"""What Monty's subset of Python lacks, recognised in its errors and told so that a model can act on it."""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Callable

MODULES = (
    "asyncio, base64, bisect, collections, copy, csv, dataclasses, datetime, decimal, functools, hashlib, itertools, "
    "json, math, random, re, sys, time, typing, unicodedata"
)  # that Monty 1.4 has, without those that only reach out of the sandbox
_INSTEAD = {
    "class inheritance": "Use plain classes, dataclasses or dicts; raise ValueError for errors.",
    "yield": "Build a list and return it, or use a generator expression.",
    "'del'": "Use .pop(), or assign None.",
    "exception groups": "Use a plain except.",
    "async comprehensions": "Use a loop.",
}
_SYNTAX = re.compile(r"The monty syntax parser does not yet support (.+)", re.DOTALL)
_MODULE = re.compile(r"No module named '([\w.]+)'")
_NAME = re.compile(r"name '(\w+)' is not defined")
_MEMBER = re.compile(r"module '(?P<module>\w+)' has no attribute '(?P<name>\w+)'")
_METHOD = re.compile(r"'(\w+)' object has no attribute '([a-z]\w*)'")
_INDIRECT = re.compile(r"external function '(\w+)' cannot suspend in this synchronous context")
_MADE = re.compile(r"cannot create '(\w+)' instances")
_IMPORTED = re.compile(r"cannot import name '(?P<name>\w+)' from '(?P<module>\w+)'")


def explained(kind: str, message: str) -> str | None:
    """What to tell a model of an error that whole Python would not have raised; None for every other error."""
    for kinds, pattern, say in _RULES:
        found = pattern.match(message) if kind in kinds else None
        text = None if found is None else say(found)
        if text is not None:
            return text
    return None


def _syntax(found: re.Match[str]) -> str:
    what = found[1]
    instead = next((text for key, text in _INSTEAD.items() if key in what), "Write it another way.")
    return f"this sandbox runs a subset of Python, without {what}. {instead}"


def _module(found: re.Match[str]) -> str:
    return f"this sandbox has no module {found[1]!r}. Do it in plain Python, or with one of: {MODULES}."


def _name(found: re.Match[str]) -> str | None:
    return f"this sandbox has no builtin {found[1]!r}. Do without it." if found[1] in _BUILTINS else None


def _member(found: re.Match[str]) -> str | None:
    module, name = found["module"], found["name"]
    return f"this sandbox has no {module}.{name}. Do without it." if module in sys.stdlib_module_names else None


def _method(found: re.Match[str]) -> str | None:
    whole = _TYPES.get(found[1])
    return f"this sandbox has no {found[1]}.{found[2]}. Do without it." if whole and hasattr(whole, found[2]) else None


def _made(found: re.Match[str]) -> str | None:
    return f"this sandbox makes no {found[1]} objects. Do without them." if found[1] in _BUILTINS else None


def _indirect(found: re.Match[str]) -> str:
    return (
        f"{found[1]} is a tool, and tools cannot be called by map, sorted, max or a special method in this sandbox. "
        "Call it yourself, in a loop or a comprehension."
    )


def _as_said(found: re.Match[str]) -> str:
    return f"this sandbox runs a subset of Python: {found[1]}"


_BUILTINS = frozenset(dir(builtins))
_TYPES = {name: kind for name, kind in vars(builtins).items() if isinstance(kind, type)}
_RULES: tuple[tuple[tuple[str, ...], re.Pattern[str], Callable[[re.Match[str]], str | None]], ...] = (
    (("NotImplementedError",), _SYNTAX, _syntax),
    (("NotImplementedError",), _INDIRECT, _indirect),
    (("ModuleNotFoundError",), _MODULE, _module),
    (("NameError",), _NAME, _name),
    (("AttributeError",), _MEMBER, _member),
    (("AttributeError",), _METHOD, _method),
    (("ImportError",), _IMPORTED, _member),
    (("TypeError",), _MADE, _made),
    (("TypeError", "NotImplementedError"), re.compile(r"(.*\bnot yet supported\b.*)", re.DOTALL), _as_said),
    (("RuntimeError",), re.compile(r"Internal error in monty: (.*)", re.DOTALL), _as_said),
)
