"""Templates and what they can say: addresses, numbers, times, values. Autoescape is on for every one of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.responses import HTMLResponse, Response

from outlast.view import wording
from outlast.view.assets import assets

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.requests import Request

    from outlast.view.site import Site


class _Number(IntegerConvertor):
    """A number in a path that every database can hold: a longer one is no page."""

    regex = "[0-9]{1,15}"


register_url_convertor("number", _Number())


def site_of(request: Request) -> Site:
    """What the running page knows."""
    return request.app.state.site


def query_of(request: Request, *names: str) -> dict[str, str]:
    """The named values of the query string that say something, trimmed and cut at 500 characters."""
    given = request.query_params
    return {name: text for name in names if (text := given.get(name, "").strip()[:500])}


def is_part(request: Request) -> bool:
    """Whether htmx asks for a part of the page and will place it itself."""
    return request.headers.get("hx-request") == "true" and "hx-boosted" not in request.headers


def render(request: Request, template: str, *, status: int = 200, media: bool = False, **values: Any) -> Response:
    """A page. `media` says that parts which are fetched later may hold stored pictures. Templates see `values`, the
    filters of `wording`, and:

    `site`; `here` (the section of the navigation); `q` (the query as a dict); `link(path, anchor="", **query)` and
    `link_here(**changes)` for addresses; `static(name)`; `exported`; `form_token`; `part` (asked for by htmx); `live`
    (what a page of something that runs asks again with).
    """
    site, path = site_of(request), request.url.path
    query = dict(request.query_params)

    def link(path: str, anchor: str = "", **query: Any) -> str:
        return site.links.page(path, query, anchor)

    def link_here(**changes: Any) -> str:
        return site.links.page(path, {**query, **changes})

    def static(name: str) -> str:
        return site.links.static(name, assets()[name].version)

    from outlast.view.routes import SECTIONS

    shown: dict[str, Any] = {
        "site": site,
        "sections": [one for one in SECTIONS if not site.exported or one.is_exported(site)],
        "here": next((one.path for one in SECTIONS if path == one.path or path.startswith(f"{one.path}/")), ""),
        "q": query,
        "link": link,
        "link_here": link_here,
        "static": static,
        "exported": site.exported,
        "form_token": site.form_token,
        "part": is_part(request),
        "title": "",
        "live": "",
    }
    body = environment().get_template(template).render({**shown, **values})
    response = HTMLResponse(body, status)
    if media or ' src="data:image/' in body:
        response.headers["x-holds-media"] = "1"
    return response


@cache
def environment() -> Environment:
    """The templates of the package."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def read(name: str) -> str:
        return files("outlast.view").joinpath("templates", name).read_text("utf-8")

    made = Environment(
        loader=FunctionLoader(read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(_filters())
    return made


def _filters() -> Mapping[str, Any]:
    return {name: getattr(wording, name) for name in wording.__all__}
