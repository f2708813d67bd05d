"""How far the people who label agree with each other, and on which traces they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from outlast.tracing.verdicts import DEFAULT, PEOPLE
from outlast.view import opinions
from outlast.view.rendering import query_of, render, site_of
from outlast.view.reviewing import label_names

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

SHOWN = 200


def agreement(request: Request) -> Response:
    """The figures for the labels of one name, of one version of its criterion or of all."""
    store = site_of(request).store
    query = query_of(request, "name", "version")
    names = label_names(store)
    name = query.get("name") or (names[0] if names else DEFAULT)
    newest = [one for one in store.labels(name=name) if one.source in PEOPLE]
    versions = list(dict.fromkeys(one.rubric_version for one in reversed(newest)))
    version = query.get("version")
    if version is not None:
        newest = [one for one in newest if one.rubric_version == version]
    history = [one for one in store.labels(name=name, history=True) if one.source in PEOPLE]
    found = opinions.agreement(newest, history, name)
    return render(
        request,
        "agreement.html",
        title="Agreement",
        name=name,
        names=names,
        versions=[one for one in versions if one],
        version=version,
        found=found,
        splits=found.splits[:SHOWN],
    )


ROUTES = [Route("/review/agreement", agreement)]
