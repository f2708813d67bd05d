"""How the pages say numbers, times and sizes: short, aligned, and never more exact than they are known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

__all__ = [
    "ago",
    "brief_value",
    "clock",
    "count",
    "data_of",
    "duration",
    "figure",
    "headline_of",
    "instruction_of",
    "line",
    "metric_of",
    "moment",
    "money",
    "percent",
    "run_title",
    "score",
    "short",
    "short_hash",
    "short_id",
    "size",
    "step_title",
    "tokens",
]

_UNKNOWN = "\u2013"


def when(value: Any) -> datetime | None:
    """A moment as the store gives it (seconds since 1970 or a datetime) as a datetime in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (OverflowError, ValueError, OSError):
            return None
    return None


def moment(value: Any) -> str:
    """ "2026-11-29 18:40:03" in UTC."""
    at = when(value)
    return _UNKNOWN if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def clock(value: Any) -> str:
    """ "29 Nov 18:40", with the year when it is another one."""
    at = when(value)
    if at is None:
        return _UNKNOWN
    return f"{at.day} {at:%b %H:%M}" if at.year == datetime.now(UTC).year else f"{at.day} {at:%b %Y}"


def ago(value: Any) -> str:
    """ "3 min ago"."""
    at = when(value)
    if at is None:
        return _UNKNOWN
    seconds = (datetime.now(UTC) - at).total_seconds()
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{int(seconds // unit)} {name} ago"
    return "just now"


def duration(seconds: Any) -> str:
    """ "250 µs", "340 ms", "2.5 s", "3 min 20 s"; a dash where it is not known."""
    if not isinstance(seconds, int | float):
        return _UNKNOWN
    if seconds <= 0:
        return "0 ms"
    if seconds < 0.0009995:
        return f"{1e6 * seconds:.3g} µs"
    if seconds < 0.00995:
        return f"{1000 * seconds:.1f}".removesuffix(".0") + " ms"
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def money(dollars: Any) -> str:
    """ "$0.0012", "$1.37"; a dash where it is not known, "$0" for what is free."""
    if not isinstance(dollars, int | float):
        return _UNKNOWN
    if dollars == 0:
        return "$0"
    if dollars < 0.00005:
        return "<$0.0001"
    return f"${dollars:.4f}" if dollars < 0.1 else f"${dollars:,.2f}"


def count(number: Any) -> str:
    """ "12,345"; a dash where it is not known."""
    return f"{number:,}" if isinstance(number, int) else _UNKNOWN


def tokens(number: Any) -> str:
    """ "812", "12.3k", "1.2M"."""
    if not isinstance(number, int | float):
        return _UNKNOWN
    if number < 1000:
        return f"{number:.0f}"
    if number < 100_000:
        return f"{number / 1000:.1f}k"
    return f"{number / 1000:.0f}k" if number < 1_000_000 else f"{number / 1_000_000:.1f}M"


def percent(share: Any) -> str:
    """ "72.5%"."""
    return f"{100 * share:.1f}%" if isinstance(share, int | float) else _UNKNOWN


def size(number: Any) -> str:
    """ "1.4 MB" for a number of bytes."""
    if not isinstance(number, int | float):
        return _UNKNOWN
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return f"{number:.0f} B"


def short_hash(text: Any) -> str:
    """The first eight characters of a hash or an id."""
    return str(text or "")[:8]


def short_id(text: Any) -> str:
    """The last eight characters of an id: ids begin with the time, and those of one minute begin alike."""
    whole = str(text or "")
    return whole if len(whole) <= 8 else f"…{whole[-8:]}"


def line(text: Any) -> str:
    """A text in one line."""
    return " ".join(str(text or "").split())


def headline_of(summary: Any) -> str:
    """What came of a run, in one line; "" where nothing is told."""
    if not isinstance(summary, Mapping):
        return ""
    told = cast("Mapping[str, Any]", summary)
    if said := told.get("headline") or told.get("verdict"):
        return line(said)
    value, n = told.get("score"), told.get("n")
    if not isinstance(value, int | float):
        return ""
    return f"{score(value, 0 <= value <= 1)}{f' on {n:,}' if isinstance(n, int) else ''}"


def short(text: Any, limit: int = 40) -> str:
    """The beginning of a text."""
    whole = str(text or "")
    return whole if len(whole) <= limit else f"{whole[: limit - 1]}…"


def score(value: Any, share: bool = True) -> str:
    """ "72.5%" for a share, four digits for another score; a dash where there is none."""
    if not isinstance(value, int | float):
        return _UNKNOWN
    return f"{100 * value:.1f}%" if share else f"{value:.4g}"


def figure(value: Any) -> str:
    """A number in at most four digits; a dash where there is none."""
    return f"{value:.4g}" if isinstance(value, int | float) and not isinstance(value, bool) else _UNKNOWN


def brief_value(value: Any, limit: int = 240) -> str:
    """A value in one line: the fields of an object without quotes and braces."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        if len(fields) == 1:
            return brief_value(next(iter(fields.values())), limit)
        return short(
            " · ".join(f"{name}: {brief_value(inner, limit)}" for name, inner in list(fields.items())[:12]), limit
        )
    if isinstance(value, str):
        return short(line(value[: 4 * limit]), limit)
    return short(line(json.dumps(value, ensure_ascii=False, default=str)[: 4 * limit]), limit)


def instruction_of(parameters: Any) -> str:
    """The first instruction among parameters, in one line."""
    if not isinstance(parameters, Mapping):
        return ""
    for path, value in cast("Mapping[str, Any]", parameters).items():
        if str(path).endswith("instruction") and isinstance(value, str):
            return short(line(value), 200)
    return ""


def step_title(span: Any) -> str:
    """What a step is called: the model that was asked, else its own name."""
    return (span.lm_asked if span.kind == "lm" else "") or span.name or span.kind


def run_title(run: Any) -> str:
    """What a run is called: its name, else the script that it ran, else its kind."""
    argv = run.provenance.get("argv")
    first = cast("list[Any]", argv)[0] if isinstance(argv, list) and argv else ""
    return run.name or str(first).rpartition("/")[2] or run.kind


def metric_of(run: Any) -> str:
    """The name of the metric of a run; the beginning of its hash where it is not told."""
    return str(run.attributes.get("metric") or short_hash(run.metric))


def data_of(run: Any) -> str:
    """The data of a run: the beginning of its hash, which names it."""
    return str(run.dataset)[:8]
