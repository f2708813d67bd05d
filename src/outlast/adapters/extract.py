"""Finding the one JSON object in what a model wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, cast

from outlast.signatures.codec import repair

_FENCED = re.compile(r"```(?:json|JSON)?[ \t]*\n(.*?)\n[ \t]*```", re.DOTALL)
_THINK = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
_MAX_STARTS = 200


class Ambiguous(ValueError):
    """The text holds more than one object that could be the answer."""


class Duplicate(ValueError):
    """An object gives the same key twice."""


def find_object(text: str, keys: Iterable[str]) -> dict[str, Any] | None:
    """The JSON object in `text` that has any of `keys`, or None.

    Looks at the whole text, then inside a code fence, then for balanced objects within prose, and mends broken
    JSON last. Raises `Duplicate` for a key given twice and `Ambiguous` when several different objects qualify.
    """
    wanted = set(keys)
    stripped = _THINK.sub("", text, count=1).strip()
    whole = _load(stripped)
    if whole is not None:
        return whole if wanted & whole.keys() else None
    fenced = [data for block in _FENCED.findall(stripped) if (data := _load(block.strip())) is not None]
    found = _only([data for data in fenced if wanted & data.keys()])
    if found is not None:
        return found
    inside = [data for data in (_load(piece) for piece in _balanced(stripped)) if data is not None]
    found = _only([data for data in inside if wanted & data.keys()])
    if found is not None:
        return found
    if "{" in stripped:
        mended = repair(stripped[stripped.index("{") :])
        if isinstance(mended, dict):
            mapping = cast("dict[str, Any]", mended)
            return mapping if wanted & mapping.keys() else None
        if isinstance(mended, list):
            items = cast("list[Any]", mended)
            objects = [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]
            return _only([item for item in objects if wanted & item.keys()])
    return None


def _only(objects: list[dict[str, Any]]) -> dict[str, Any] | None:
    different: list[dict[str, Any]] = []
    for item in objects:
        if item not in different:
            different.append(item)
    if len(different) > 1:
        raise Ambiguous("the reply holds several different JSON objects; give one")
    return different[0] if different else None


def _load(text: str) -> dict[str, Any] | None:
    import jiter

    try:
        data = jiter.from_json(text.encode(), catch_duplicate_keys=True)
    except UnicodeEncodeError:
        return None
    except ValueError as error:
        if "duplicate" in str(error).lower():
            raise Duplicate(f"a key is given more than once ({error})") from None
        return None
    return cast("dict[str, Any]", data) if isinstance(data, dict) else None


def _balanced(text: str) -> list[str]:
    """The outermost balanced {...} pieces of a text, strings respected."""
    pieces: list[str] = []
    position = 0
    for _ in range(_MAX_STARTS):
        start = text.find("{", position)
        if start < 0:
            break
        stop = _closing(text, start)
        if stop < 0:
            position = start + 1
            continue
        pieces.append(text[start : stop + 1])
        position = stop + 1
    return pieces


def _closing(text: str, start: int) -> int:
    depth = 0
    inside = False
    index = start
    while index < len(text):
        char = text[index]
        if inside:
            if char == "\\":
                index += 1
            elif char == '"':
                inside = False
        elif char == '"':
            inside = True
        elif char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                return index
        index += 1
    return -1
