"""The small forms that a store has for everything: ids, JSON on one line, compressed bytes.

Apart, so that whoever only reads a store loads nothing of what runs programs.
"""

from __future__ import annotations

import json
import os
import random
import time
import zlib
from typing import Any

IDENTITY = "identity"  # of the model asked, kept beside the messages
_PACKED = 500  # bytes from which on content is compressed
_SMALL = 4096  # bytes that a window of 12 bits holds
_DRAW = random.Random(os.urandom(32))  # ids are no secrets, and asking the system for each takes three times as long
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _DRAW.seed(os.urandom(32)))
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


def new_trace_id() -> str:
    """32 hexadecimal digits that sort by time: milliseconds since 1970, then 80 random bits."""
    return f"{time.time_ns() // 1_000_000:012x}{_DRAW.getrandbits(80):020x}"


def new_span_id() -> str:
    """16 hexadecimal digits."""
    return f"{_DRAW.getrandbits(64):016x}"


def dumps(data: Any) -> str:
    """JSON on one line, in the order that the data has."""
    return _ENCODE(data)


def storable(value: Any) -> Any:
    """The value, and a text as columns can hold it: what models write may have halves of characters and NULs."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def packed(raw: bytes) -> tuple[str, bytes]:
    """How it is stored ("z" for zlib, "r" as it is), and the bytes."""
    if len(raw) < _PACKED:
        return "r", raw
    if len(raw) <= _SMALL:  # what is small needs no table of a quarter of a megabyte
        squeeze = zlib.compressobj(1, zlib.DEFLATED, 12, 5)
        small = squeeze.compress(raw) + squeeze.flush()
    else:
        small = zlib.compress(raw, 1)
    return ("z", small) if len(small) < len(raw) else ("r", raw)


def unpacked(codec: str, data: bytes) -> Any:
    """The data that was packed."""
    raw = zlib.decompress(data) if codec == "z" else data
    return json.loads(raw.decode("utf-8", "surrogatepass"))
