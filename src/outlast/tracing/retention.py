"""How long a store keeps what it holds: "30d", and what goes too that would stay otherwise."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass

from outlast.errors import UsageError, brief

VARIABLE = "OUTLAST_TRACE_RETENTION"
_OFF = ("", "0", "off", "false", "no")
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "y": 31_557_600.0}
_AGE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([mhdwy])", re.ASCII)
_ALSO = ("labelled", "queued", "evaluations")
_LEAST = 60.0  # seconds
_MOST = 1000 * _UNITS["y"]


@dataclass(frozen=True, slots=True)
class Retention:
    """Traces that began more than `seconds` ago are removed, but for those with a label, in a queue, or of an
    evaluation or compilation, unless `labelled`, `queued`, `evaluations` say so. `said` is how it was written."""

    seconds: float
    labelled: bool = False
    queued: bool = False
    evaluations: bool = False
    said: str = ""


def retention_of(given: object) -> Retention | None:
    """What was meant by "30d", "12h evaluations queued" or a number of seconds; None for False, which keeps all.

    Raises `UsageError` for anything else, and for less than a minute.
    """
    if given is False:
        return None
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        if not _LEAST <= given <= _MOST:
            raise _refused(given)
        return Retention(float(given), said=f"{given:g} s")
    if not isinstance(given, str):
        raise _refused(given)
    age, *also = given.lower().replace(",", " ").split() or [""]
    found = _AGE.fullmatch(age)
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not _LEAST <= seconds <= _MOST or not set(also) <= set(_ALSO):
        raise _refused(given)
    return Retention(seconds, *(name in also for name in _ALSO), said=" ".join([age, *sorted(set(also))]))


def _refused(given: object) -> UsageError:
    return UsageError(
        "retention is an age from a minute on, such as '30d' (m, h, d, w, y) or a number of seconds, and after it what "
        f"is removed too: {', '.join(_ALSO)}; False keeps all. Got {brief(given)}"
    )


def from_environment() -> Retention | None:
    """What `OUTLAST_TRACE_RETENTION` says; None where it says nothing. What cannot be read is a warning, and removes
    nothing."""
    said = os.environ.get(VARIABLE, "").strip()
    if said.lower() in _OFF:
        return None
    try:
        return retention_of(said)
    except UsageError as error:
        logging.getLogger("outlast.trace").warning("%s: %s; nothing is removed", VARIABLE, error)
        return None
