"""Notes and tags: what people wrote, counted; and how notes become categories."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.responses import RedirectResponse
from starlette.routing import Route

from outlast.errors import UsageError
from outlast.tracing.verdicts import DEFAULT
from outlast.view import coding
from outlast.view.forms import Form, on_form
from outlast.view.rendering import query_of, render, site_of
from outlast.view.reviewing import LONGEST_NAME, label_names

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

SHOWN = 200
KINDS = {"": "with a note", "untagged": "without a tag", "all": "all"}


def codes(request: Request) -> Response:
    """The tags with their counts, and the notes; `tag` and `kind` narrow the notes."""
    store = site_of(request).store
    query = query_of(request, "name", "tag", "kind", "changed")
    names = label_names(store)
    name = query.get("name") or (names[0] if names else DEFAULT)
    labels = coding.people_say(store, name)
    kind, tag = query.get("kind", ""), query.get("tag")
    notes = [one for one in labels if one.note or (kind == "all" and one.value is not None)]
    if kind == "untagged":
        notes = [one for one in notes if not one.tags]
    if tag:
        notes = [one for one in labels if tag in one.tags]
    changed = query.get("changed", "")
    return render(
        request,
        "codes.html",
        title="Notes and tags",
        name=name,
        names=names,
        tags=coding.tags_of(labels),
        notes=notes[:SHOWN],
        total=len(notes),
        labels=len(labels),
        tag=tag,
        kind=kind,
        kinds=KINDS,
        changed=int(changed) if changed.isdecimal() else None,
    )


def merge(request: Request, form: Form) -> Response:
    """Put one tag in the place of those that were ticked, or drop them."""
    store, name, chosen = site_of(request).store, form.get("name"), form.all("tag")
    if not chosen:
        raise UsageError("tick the tags that are to become one")
    if form.get("act") == "drop":
        return _back(name, coding.drop(store, name, chosen))
    return _back(name, coding.merge(store, name, chosen, _word(form.get("into"))))


def give(request: Request, form: Form) -> Response:
    """Give the notes that were ticked a tag."""
    store, name, ids = site_of(request).store, form.get("name"), form.all("label")
    if not ids:
        raise UsageError("tick the notes that get the tag")
    return _back(name, coding.give(store, name, ids, _word(form.get("into"))))


def _word(text: str) -> str:
    word = " ".join(text.replace(",", " ").split())[:LONGEST_NAME]
    if not word:
        raise UsageError("write the tag that they get")
    return word


def _back(name: str, count: int) -> Response:
    return RedirectResponse(f"/review/codes?{urlencode({'name': name, 'changed': count})}", 303)


ROUTES = [
    Route("/review/codes", codes),
    Route("/review/codes/merge", on_form(merge), methods=["POST"]),
    Route("/review/codes/give", on_form(give), methods=["POST"]),
]
