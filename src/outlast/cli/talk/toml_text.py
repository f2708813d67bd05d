"""Writing TOML, of which the standard library only reads: texts, numbers, truth values, lists and tables of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from outlast.errors import UsageError, brief

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\b": "\\b", "\f": "\\f", "\r": "\\r", "\t": "\\t", "\n": "\\n"}


def to_toml(data: Mapping[str, Any]) -> str:
    """The TOML that `tomllib` reads back as `data`; None values are left out. Raises `UsageError` for other types."""
    return "".join(_table(data, ()))


def _table(data: Mapping[str, Any], path: tuple[str, ...]) -> Iterable[str]:
    if path:
        yield f"\n[{'.'.join(map(_key, path))}]\n"
    tables: list[tuple[str, Mapping[str, Any]]] = []
    for name, value in data.items():
        if isinstance(value, Mapping):
            tables.append((name, cast("Mapping[str, Any]", value)))
        elif value is not None:
            yield f"{_key(name)} = {_value(value)}\n"
    for name, table in tables:
        yield from _table(table, (*path, name))


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
        return repr(value)
    if isinstance(value, str):
        return _long(value) if "\n" in value else _text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_item(item) for item in cast('Iterable[Any]', value))}]"
    raise UsageError(f"a template holds texts, numbers, truth values and lists; got {brief(value)}")


def _item(value: Any) -> str:
    if isinstance(value, Mapping):
        held = cast("Mapping[str, Any]", value)
        return "{" + ", ".join(f"{_key(name)} = {_item(one)}" for name, one in held.items()) + "}"
    return _text(value) if isinstance(value, str) else _value(value)


def _text(text: str) -> str:
    return f'"{_escaped(text)}"'


def _long(text: str) -> str:
    """Text with line ends as people edit it: line for line, between three quotes."""
    lines = (_escaped(line) for line in text.split("\n"))
    return '"""\n' + "\n".join(lines) + '"""'


def _escaped(text: str) -> str:
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise UsageError("a template is UTF-8 text, which cannot hold lone surrogates")
    return "".join(
        _ESCAPES.get(char) or (json.dumps(char)[1:-1] if ord(char) < 32 or ord(char) == 127 else char) for char in text
    ).replace("\x7f", "\\u007F")
