"""The web application: the pages, their files, what is said when something is not there, and the guard around all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from outlast.errors import DataError, OutlastError
from outlast.view.assets import assets
from outlast.view.guard import Guard
from outlast.view.rendering import render, site_of
from outlast.view.routes import page_routes

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from outlast.view.site import Site


def view_app(site: Site) -> ASGIApp:
    """The application behind its guard."""
    return Guard(inner_app(site), site)


def inner_app(site: Site) -> Starlette:
    """The application without its guard: what an export asks for its pages."""
    app = Starlette(
        routes=[*page_routes(), Route("/static/{name}", _asset), Route("/left-out", _left_out)],
        exception_handlers={HTTPException: _not_there, OutlastError: _cannot, Exception: _broken},
    )
    app.state.site = site
    return app


def _asset(request: Request) -> Response:
    """One of the files that the package brings. Names are looked up in a table, never on a disk."""
    asset = assets().get(request.path_params["name"])
    if asset is None:
        raise HTTPException(404)
    return Response(asset.content, media_type=asset.kind, headers={"cache-control": "max-age=31536000, immutable"})


def _left_out(request: Request) -> Response:
    what = "The export holds a bounded number of pages, and this one is beyond. Ask for more with --limit."
    return render(request, "message.html", title="Left out", said=what)


def _not_there(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    said = {404: "There is no such page.", 405: "That cannot be done here."}.get(status, "That did not work.")
    return render(request, "message.html", status=status, title=said.rstrip("."), said=said)


def _cannot(request: Request, error: Exception) -> Response:
    """An error of ours says what is wrong in words that are meant for people."""
    status = 404 if isinstance(error, DataError) else 400
    title = "Not found" if status == 404 else "That cannot be shown"
    return render(request, "message.html", status=status, title=title, said=site_of(request).told(error))


def _broken(request: Request, error: Exception) -> Any:
    said = "Something broke while this page was made. The terminal that runs outlast view says what."
    return render(request, "message.html", status=500, title="Something broke", said=said)
