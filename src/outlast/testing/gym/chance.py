"""Numbers that depend on what they are drawn for, and on nothing else: the same in every run and process."""

from __future__ import annotations

import hashlib
import math
from statistics import NormalDist

_NORMAL = NormalDist()
_ONE = 1 << 56


def unit(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / _ONE


def normal(*parts: object) -> float:
    """A draw of the standard normal distribution that depends on the parts alone."""
    return _NORMAL.inv_cdf(min(max(unit(*parts), 1e-9), 1 - 1e-9))


def sigmoid(logit: float) -> float:
    """The logistic function."""
    return 1.0 / (1.0 + math.exp(-logit)) if logit > -500.0 else 0.0
