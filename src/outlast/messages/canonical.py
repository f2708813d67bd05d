"""The byte form of JSON-ready data."""

from __future__ import annotations

import json
from typing import Any


def canonical(data: Any) -> bytes:
    """The one byte form of JSON-ready data: sorted keys, no spaces, UTF-8. Lone surrogates are kept escaped."""
    try:
        return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
