"""All traces: newest first, narrowed by filters that stand in the address, or found by their text."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from starlette.routing import Route

from outlast.errors import UsageError
from outlast.tracing.paging import Page
from outlast.tracing.record import TraceFilter
from outlast.view.rendering import query_of, render, site_of
from outlast.view.texts import clean

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PAGE = 100
_WORD, _BRACKETS = re.compile(r"\w+"), re.compile(r"\[([^\[\]]*)\]")
FILTERS = (
    "run",
    "name",
    "program",
    "lm",
    "status",
    "since",
    "until",
    "session",
    "tag",
    "labelled",
    "min_cost",
    "min_seconds",
)
_TEXTS = ("run", "name", "program", "lm", "status", "session", "tag", "text")
_SPANS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def traces(request: Request) -> Response:
    """The list. With `text` it is a full-text search, best first."""
    store = site_of(request).store
    query = query_of(request, *FILTERS, "text", "before")
    where = filter_of(query)
    text, narrowed = query.get("text", ""), [name for name in FILTERS if name in query]
    ranked = bool(text) and not narrowed and "before" not in query
    hits = store.search(text, limit=PAGE) if ranked else []
    found = Page(hit.trace for hit in hits) if ranked else store.traces(where, PAGE, query.get("before"))
    return render(
        request,
        "traces.html",
        title="Traces",
        traces=found,
        snippets={hit.trace.id: marked(hit.snippet, text) for hit in hits},
        total=len(found) if ranked else store.count(where),
        facets=store.facets(),
        text=text,
        narrowed=narrowed,
        ranked=ranked,
        next_before=found.next,
    )


def filter_of(query: Mapping[str, str]) -> TraceFilter:
    """The filter that an address says. Raises `UsageError` for a number or a time that is none."""
    labelled = {"yes": True, "no": False}.get(query.get("labelled", ""))
    texts: dict[str, Any] = {name: query[name] for name in _TEXTS if name in query}
    return TraceFilter(
        **texts,
        since=_time(query, "since"),
        until=_time(query, "until"),
        labelled=labelled,
        min_cost=number(query, "min_cost"),
        min_seconds=number(query, "min_seconds"),
    )


def number(query: Mapping[str, str], name: str) -> float | None:
    """The number that an address says, None where it says none. Raises `UsageError`."""
    if name not in query:
        return None
    try:
        value = float(query[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{name} is a number; got {query[name]!r}")
    return value


def _time(query: Mapping[str, str], name: str) -> float | None:
    """ "2026-11-29", "2026-11-29 18:40" (UTC), or how long ago: "90m", "6h", "7d", "2w"."""
    text = query.get(name, "")
    if not text:
        return None
    if re.fullmatch("[0-9]{1,5}[mhdw]", text):
        return (datetime.now(UTC) - timedelta(**{_SPANS[text[-1]]: int(text[:-1])})).timestamp()
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{name} is a date, a time or how long ago (6h, 7d); got {text!r}") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def marked(snippet: str, text: str) -> Markup:
    """A snippet of a search with its matches as `mark` elements. They stand in [ and ], as other things may as well: a
    match is made of the words that were searched for, or of what begins with them."""
    words = [word.lower() for word in _WORD.findall(text)]
    parts = _BRACKETS.split(snippet)  # every other part stood in brackets
    made: list[Markup] = []
    for number, part in enumerate(parts):
        found = _WORD.findall(part.lower()) if number % 2 else []
        if found and all(any(one.startswith(word) for word in words) for one in found):
            made.append(Markup("<mark>{}</mark>").format(clean(part)))
        else:
            made.append(clean(f"[{part}]" if number % 2 else part))
    return Markup("").join(made)


ROUTES = [Route("/traces", traces)]
