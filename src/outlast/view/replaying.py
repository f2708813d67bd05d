"""Asking again from the page: which models may be asked and for how much, and an exchange in other words.

A browser names a model by its place in the list that the command line allowed, and says what the texts and a few
settings are. All else of a request comes from the store.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from outlast.errors import DataError, UsageError
from outlast.lms.layers.budget import new_meter
from outlast.lms.options import check_settings
from outlast.lms.protocol import LM, recorded
from outlast.messages import Message, Request, Settings
from outlast.runtime import run_blocking, running
from outlast.tracing.packing import dumps
from outlast.tracing.record import SpanRecord, TraceRecord
from outlast.types.text_part import TextPart

if TYPE_CHECKING:
    from outlast.tracing.store import Store

OF = "replay of"  # the attribute of a trace that names the span; `ol.replay` writes it too
TAG = "replay"
DOLLARS = 1.0
NUMBERS = ("temperature", "top_p", "max_tokens", "seed")
SETTINGS = (*NUMBERS, "reasoning")  # what the form can change; the others go as they are
_MOST = 50  # earlier replays that are listed
_ROOM = 700_000  # bytes that the texts of a form may take on their way; the guard lets 1,000,000 through
_FIELDS = 500


class Replays:
    """The models that may be asked from the page, and what that may cost in US dollars while the page is open.

    Raises `UsageError` without a model, `ConfigError` for a limit that is not above 0.
    """

    def __init__(self, models: Sequence[LM], dollars: float = DOLLARS) -> None:
        if not models:
            raise UsageError("replays from the page need at least one model that may be asked")
        self.models = tuple(models)
        self.dollars = dollars
        self._meter = new_meter("outlast view --budget", {"dollars": dollars}, "refuse")
        self._flying: dict[Any, Future[str]] = {}
        self._lock = threading.Lock()

    @property
    def spent(self) -> float:
        """Dollars that were spent so far, with what calls that broke off may have taken."""
        return self._meter.used("dollars")

    @property
    def calls(self) -> int:
        """How many calls were made so far."""
        return self._meter.spent.calls

    def model(self, number: str) -> LM:
        """The model at a place in the list, as a form names it. Raises `UsageError`."""
        if number.isascii() and number.isdigit() and len(number) < 4 and int(number) < len(self.models):
            return self.models[int(number)]
        raise UsageError(f"a model is chosen by its place in the list, 0 to {len(self.models) - 1}")

    def send(self, store: Store, span: SpanRecord, request: Request, model: LM) -> str:
        """Ask a model in place of the exchange `span`, and keep that in the store; gives the id of its trace.

        An error of the model stands in that trace. The same question while it is being asked is not asked twice: two
        clicks on a button are one. Cost: one call. Raises `BudgetExceeded`, and `ConfigError` for a model whose price
        nobody knows, before anything is sent.
        """
        key = (store.database.place, span.id, self.models.index(model), dumps(request.to_json()))
        with self._lock:
            flying = self._flying.get(key)
            mine: Future[str] = Future()
            if flying is None:
                self._flying[key] = mine
        if flying is not None:
            return flying.result()
        try:
            mine.set_result(self._send(store, span, request, model))
        except BaseException as error:
            mine.set_exception(error)
        finally:
            with self._lock:
                del self._flying[key]
        return mine.result()

    def _send(self, store: Store, span: SpanRecord, request: Request, model: LM) -> str:
        from outlast.tracing.runs import StoredRun
        from outlast.tracing.switch import begun_apart

        run_blocking(lambda: self._affordable(request, model))
        place = begun_apart(store.database.address)
        run = StoredRun("replay", f"span {span.id[:12]}", place.run_id)
        run.attributes = {"of": span.id, "mode": "live"}
        run.shows, run.redact = place.capture in ("full", "redacted"), place.redact
        place.writer.put(run, 1000)
        made: list[str] = []
        inside = place.about(run_id=run.id, tags=(TAG,), attributes={OF: span.id}, told=made.append)
        around: dict[str, Any] = {"recording": inside, "meter": self._meter}
        apart: dict[str, Any] = dict.fromkeys(("lm", "root", "memo", "trace", "transport"))
        with running(**around, **apart), suppress(Exception):  # an error stands on the span
            run_blocking(lambda: recorded(model, request, span.name or "LM"))
        run.end()
        place.writer.put(run, 0)
        place.writer.flush(5.0)
        return made[0]

    async def _affordable(self, request: Request, model: LM) -> None:
        """Wait until there is enough for a call; raises where there is not, so that what was never sent is not kept."""
        ticket = await self._meter.take(model.bound(request))
        ticket.release()


# What was asked again before


def replays_of(store: Store, span_id: str) -> list[TraceRecord]:
    """The newest replays of an exchange, newest first, from the page or from `outlast replay`."""
    import sqlalchemy as sa

    from outlast.tracing import schema

    traces, runs = schema.traces, schema.runs
    query = (
        sa.select(traces.c.id)
        .join(runs, runs.c.id == traces.c.run_id)
        .where(runs.c.kind == "replay", traces.c.attributes.contains(dumps({OF: span_id})[1:-1], autoescape=True))
        .order_by(traces.c.started.desc())
        .limit(_MOST)
    )
    with store.reading() as connection:
        ids = list(connection.execute(query).scalars())
    return [store.trace(id) for id in ids]


def replayed(store: Store, span: SpanRecord, trace_id: str) -> SpanRecord:
    """The exchange of one replay of `span`. Raises `DataError` where the trace is none."""
    trace = store.trace(trace_id)
    found = next((one for one in store.spans(trace.id) if one.kind == "lm"), None)
    if trace.attributes.get(OF) != span.id or found is None:
        raise DataError(f"the trace {trace.id} is no replay of the exchange {span.id}")
    return found


# Other words


@dataclass(frozen=True, slots=True)
class Typed:
    """A text of a request as a form holds it; `message` and `part` say where, from 0."""

    message: int
    part: int
    text: str

    @property
    def name(self) -> str:
        """The name of its field."""
        return f"text-{self.message}-{self.part}"

    @property
    def rows(self) -> int:
        """Lines that it takes, about."""
        return min(22, max(2, sum(1 + len(line) // 90 for line in self.text.split("\n"))))


def typed(text: str) -> str:
    """A text as it comes back from a form where nobody changed it."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return lines.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def editable(request: Request) -> dict[tuple[int, int], Typed]:
    """The texts of a request that fit into a form, by their place; the longest are left out where not all do."""
    found = [
        Typed(number, place, typed(part.text))
        for number, message in enumerate(request.messages)
        for place, part in enumerate(message.parts)
        if isinstance(part, TextPart)
    ]
    room, chosen = _ROOM, dict[tuple[int, int], Typed]()
    for one in sorted(found, key=lambda one: len(one.text))[:_FIELDS]:
        room -= _size(one.text)
        if room < 0:
            break
        chosen[one.message, one.part] = one
    return chosen


def _size(text: str) -> int:
    from urllib.parse import quote_plus

    return len(quote_plus(text)) + text.count("\n") * 3 + 40  # a line break is sent as two characters


def edited(request: Request, field: Callable[[str], str | None]) -> Request:
    """The request with the texts of a form, which `field` gives by name; what was not changed stays to the byte."""
    fields = editable(request)
    messages = list(request.messages)
    for number, message in enumerate(request.messages):
        parts = list(message.parts)
        for place, part in enumerate(parts):
            known = fields.get((number, place))
            text = None if known is None else field(known.name)
            if known is not None and text is not None and text != known.text:
                assert isinstance(part, TextPart)
                parts[place] = replace(part, text=text)
        messages[number] = _with(message, parts)
    return replace(request, messages=tuple(messages))


def _with(message: Message, parts: list[Any]) -> Message:
    if isinstance(message.content, str):
        return message if parts[0].text == message.content else replace(message, content=parts[0].text)
    return replace(message, content=tuple(parts))


def with_settings(request: Request, texts: dict[str, str]) -> Request:
    """The request with the settings of a form; an empty one is not sent. Raises `UsageError`."""
    given = {name: _number(text) if name in NUMBERS else text or None for name, text in texts.items()}
    settings: Settings = replace(request.settings, **given)
    return replace(request, settings=check_settings(settings))


def _number(text: str) -> float | int | str | None:
    """The number that a text is; the text where it is none, about which the check of settings complains."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text or None
