"""Ask a model again what a stored exchange asked it, in other words: a form, and the answer beside the stored one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from starlette.responses import RedirectResponse
from starlette.routing import Route

from outlast.errors import DataError, OutlastError, UsageError
from outlast.messages import Request as Asked
from outlast.messages import ToolCall, ToolResult
from outlast.tracing.exchanges import request_of
from outlast.tracing.record import Content, SpanRecord
from outlast.view.conversation import Reader, Turn
from outlast.view.forms import Form, on_form
from outlast.view.pages.programs import changes_between
from outlast.view.rendering import query_of, render, site_of
from outlast.view.replaying import (
    SETTINGS,
    Replays,
    Typed,
    editable,
    edited,
    replayed,
    replays_of,
    with_settings,
)
from outlast.view.texts import LONGEST, clean, unseen

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_ALL = 1_000_000  # characters of a field: all that a form may have


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a message in the form: a text to edit, or what is shown and sent as it is."""

    field: Typed | None = None
    label: str = ""
    hidden: int = 0
    turn: Turn | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One of the two answers that stand beside each other; `text` is marked where there are two."""

    title: str
    span: SpanRecord
    text: Markup | None


def replay(request: Request) -> Response:
    """The form, filled with the stored request or with that of the replay that is `shown`, and its answer."""
    _check(request)
    return _page(request, query_of(request, "shown").get("shown", ""))


def send(request: Request, form: Form) -> Response:
    """Ask, and go to the answer; what cannot be sent is said above the form, which stays as it was filled."""
    replays = _check(request)
    if replays is None:
        raise UsageError("no model may be asked from this page: outlast view was started without --lm")
    store = site_of(request).store
    span, base = _exchange(request), form.get("base")
    asked = edited(_request(request, span, base), form.text)
    settings = {name: form.get(name, 200) for name in SETTINGS}
    try:
        asked = with_settings(asked, settings)
        id = replays.send(store, span, asked, replays.model(form.get("model")))
    except OutlastError as error:
        status = 400 if isinstance(error, UsageError) else 409
        return _page(
            request,
            base,
            asked,
            settings,
            trouble=site_of(request).told(error),
            chosen=form.get("model"),
            status=status,
        )
    return RedirectResponse(f"/replay/{span.id}?shown={id}", 303)


def _check(request: Request) -> Replays | None:
    """What may be asked. Raises `UsageError` where nothing is ever written, and so nothing asked."""
    site = site_of(request)
    if site.exported or site.read_only:
        raise UsageError("a replay is kept in the store, and this page only reads it")
    return site.replays


def _exchange(request: Request) -> SpanRecord:
    span: SpanRecord = site_of(request).store.span(request.path_params["span"])
    if span.kind != "lm" or span.joined:
        raise DataError(f"the span {span.id} is no exchange with a model, and only those are replayed here")
    return span


def _request(request: Request, span: SpanRecord, base: str) -> Asked:
    """The request that the form begins with: that of the exchange, or of one of its replays."""
    store = site_of(request).store
    source = replayed(store, span, base) if base else span
    return request_of(store, source, store.content(source))


def _page(
    request: Request,
    base: str,
    asked: Asked | None = None,
    settings: Mapping[str, str] | None = None,
    *,
    trouble: str = "",
    chosen: str = "",
    status: int = 200,
) -> Response:
    site = site_of(request)
    span = _exchange(request)
    new = replayed(site.store, span, base) if base else None
    began = _request(request, span, base)
    before = _request(request, span, "") if new is not None else began
    kept = began.settings.to_json()
    return render(
        request,
        "replay.html",
        status=status,
        media=True,
        title=f"Replay {span.lm_asked or span.name}",
        here="/traces",
        span=span,
        trace=site.store.trace(span.trace_id),
        base=base,
        pieces=_pieces(asked or began),
        settings=settings or {name: str(kept.get(name, "")) for name in SETTINGS},
        others=_others(began),
        replays=site.replays,
        chosen=chosen or _chosen(site.replays, new or span),
        answers=_answers(request, span, new),
        changes=changes_between(_told(before), _told(began)) if new is not None else [],
        earlier=replays_of(site.store, span.id),
        trouble=trouble,
    )


def _pieces(asked: Asked) -> list[Piece]:
    """The parts of all messages in order. A result stands beside the call of its tool."""
    fields = editable(asked)
    data = asked.to_json()
    reader = Reader.of([Content(request=data)])
    called = {part.id for message in asked.messages for part in message.parts if isinstance(part, ToolCall)}
    pieces: list[Piece] = []
    for number, message in enumerate(asked.messages):
        for place, part in enumerate(message.parts):
            told = part.to_json()
            if (field := fields.get((number, place))) is not None:
                label = f"{message.role}, message {number + 1}"
                pieces.append(Piece(field, label, unseen(field.text)))
            elif not (isinstance(part, ToolResult) and part.id in called):
                alone = Content(request={"messages": [{"role": message.role, "content": [told]}]})
                pieces += [Piece(turn=turn) for turn in reader.alone(alone)]
    return pieces


def _others(asked: Asked) -> list[str]:
    """What of the request is sent as it is and not shown as a message."""
    names = [name.replace("_", " ") for name in asked.settings.to_json() if name not in SETTINGS]
    beside = asked.beside_messages()
    if asked.tools:
        names.append(f"{len(asked.tools)} tool{'s' * (len(asked.tools) != 1)}")
    return names + [name for name in ("output", "questions") if name in beside]


def _chosen(replays: Replays | None, span: SpanRecord) -> str:
    """The place of the model that was asked, else of the first."""
    names = [] if replays is None else [model.name for model in replays.models]
    return str(names.index(span.lm_asked)) if span.lm_asked in names else "0"


def _answers(request: Request, span: SpanRecord, new: SpanRecord | None) -> list[Answer]:
    from outlast.evals.reports.comparison_page import marked

    store = site_of(request).store
    old = _said(store.content(span))
    if new is None:
        return [Answer("Stored", span, None if old is None else clean(old))]
    now = _said(store.content(new))
    both = marked(old or "", now or "")
    texts = [None if text is None else clean(shown) for text, shown in zip((old, now), both, strict=True)]
    return [Answer("Stored", span, texts[0]), Answer("Now", new, texts[1])]


def _said(content: Content) -> str | None:
    """What an answer says as one text: words, calls of tools, decisions. None where there is none."""
    response = content.response
    if response is None:
        return None
    lines = [str(response.get("text") or "")]
    lines += [f"calls {call[1]}({call[2]})" for call in response.get("tool_calls") or () if len(call) == 3]
    if response.get("decisions"):
        lines.append(json.dumps(response["decisions"], ensure_ascii=False, indent=1, default=str))
    return "\n".join(line for line in lines if line)[:LONGEST]


def _told(asked: Asked) -> dict[str, Any]:
    """A request by parts, so that two can be held against each other."""
    messages = {f"{number}. {one.role}": one.shown for number, one in enumerate(asked.messages, 1)}
    return {**messages, **{name: str(value) for name, value in asked.settings.to_json().items()}}


ROUTES = [
    Route("/replay/{span}", replay),
    Route("/replay/{span}", on_form(send, longest=_ALL), methods=["POST"]),
]
