"""What may cross the border of a sandbox: JSON data of a limited size, and text that can be written anywhere."""

from __future__ import annotations

import json
from typing import Any, cast

MOST_DEPTH = 100  # nesting of a value


def size(value: Any) -> int:
    """Bytes of a value as JSON in ASCII, as all limits of values count them. Raises `ValueError` for what is no JSON
    data, also for numbers that are not finite."""
    try:
        return len(json.dumps(value, allow_nan=False))
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def clean(text: str) -> str:
    """The text, in which halves of surrogate pairs, which no encoding takes, have become "?"."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def cleaned(value: Any, depth: int = 0) -> Any:
    """JSON data with clean texts. Raises `ValueError` when it is nested more than 100 deep."""
    if depth > MOST_DEPTH:
        raise ValueError(f"it is nested more than {MOST_DEPTH} deep")
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [cleaned(item, depth + 1) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {clean(key): cleaned(item, depth + 1) for key, item in cast("dict[str, Any]", value).items()}
    return value
