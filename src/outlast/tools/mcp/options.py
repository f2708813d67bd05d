"""Checks of what `MCP` is given."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from outlast.errors import ConfigError, UsageError, brief
from outlast.types.media import shown_address


def need_sdk() -> None:
    """Raise `ConfigError` when the SDK is not installed."""
    if find_spec("mcp") is None or find_spec("mcp_types") is None:
        raise ConfigError("MCP servers need the official SDK, version 2.3 or newer: pip install 'outlast[mcp]'")


def check_place(command: tuple[Any, ...], url: Any, headers: Any, env: Any, cwd: Any) -> None:
    """Raise `UsageError` unless there is a command or an address, with what belongs to it."""
    if bool(command) == (url is not None):
        raise UsageError('MCP: give a command, MCP("python", "server.py"), or an address, MCP(url="https://...")')
    for one in command:
        if not isinstance(one, str) or not one or "\0" in one:
            raise UsageError(f"MCP: a command and its arguments are texts, not empty ones; got {brief(one)}")
    if command and headers is not None:
        raise UsageError("MCP: headers= belongs to url=; a process takes env=")
    if url is None:
        return
    if env is not None or cwd is not None:
        raise UsageError("MCP: env= and cwd= belong to a command; an address takes headers=")
    if not isinstance(url, str) or not _is_address(url):
        shown = shown_address(url) if isinstance(url, str) else url
        raise UsageError(f"MCP: url is an http(s) address; got {brief(shown)}")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable() and " " not in url
    except ValueError:
        return False


def check_numbers(**values: Any) -> None:
    """Raise `UsageError` for what is no finite number above 0."""
    for name, value in values.items():
        fine = isinstance(value, int | float) and not isinstance(value, bool)
        if not fine or not math.isfinite(value) or value <= 0:
            raise UsageError(f"MCP: {name} is a finite number above 0; got {brief(value)}")


def text(what: str, value: Any) -> str:
    """The value, when it is a text. Raises `UsageError`."""
    if not isinstance(value, str):
        raise UsageError(f"MCP: {what} is text; got {brief(value)}")
    return value


def texts(what: str, values: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Texts by name, or None. Raises `UsageError`, without the values, which may be secret."""
    if values is None:
        return None
    if not isinstance(values, Mapping):
        raise UsageError(f"MCP: {what} is a mapping of texts; got a {type(values).__name__}")
    for name, value in values.items():
        if not isinstance(name, str) or not isinstance(value, str) or "\0" in value:
            raise UsageError(f"MCP: {what} holds texts; {brief(name)} is a {type(value).__name__} or cannot be one")
    return dict(values)


def names(what: str, values: Iterable[Any]) -> tuple[str, ...]:
    """Names of tools. Raises `UsageError`."""
    if isinstance(values, str):
        raise UsageError(f"MCP: {what} is a list of names; got {brief(values)}, which may be meant as [{values!r}]")
    return tuple(text(f"a name in {what}", one) for one in values)


def name_of(command: tuple[str, ...], url: str | None) -> str:
    """What to call a server whose name is not given: its program or module, or the host of its address."""
    if url is not None:
        return urlsplit(url).hostname or url
    words = [word for word in command[1:] if not word.startswith("-")]
    runs_others = os.path.basename(command[0]).split(".")[0].rstrip("0123456789") in (
        "python", "py", "node", "npx", "uvx", "bun", "deno", "sh", "bash"
    )  # fmt: skip
    word = words[0] if runs_others and words else command[0]
    base = os.path.basename(word.rstrip("/\\")) or word
    return base.rsplit(".", 1)[0] if base.endswith((".py", ".js", ".ts", ".mjs", ".sh", ".exe")) else base
