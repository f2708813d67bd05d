"""Who may ask the page for what: the outermost layer of the application, before any page is made.

A web page anywhere can make a browser send requests to 127.0.0.1. So the Host header has to name this machine (a name
that somebody points at 127.0.0.1 does not get in), a cookie that only the printed address sets has to come along, and
what changes anything needs in addition the page's own Origin and a token that only its own forms hold.
"""

from __future__ import annotations

import hmac
import ipaddress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, Response

from outlast.view.forms import MOST
from outlast.view.site import Site

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE = frozenset({"GET", "HEAD"})
OWN = frozenset({"same-origin", "none"})
LARGEST_FORM = 1_000_000  # bytes
FORM = "application/x-www-form-urlencoded"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'{media}; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with no-referrer a browser sends its own forms from the Origin "null"
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """Wraps the application: refuses what has no business here, and adds the headers that bind the browser."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self.app = app
        self.site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        answer = with_headers(send)
        refusal = self._refusal(scope, headers)
        if refusal is None and scope["method"] not in SAFE:
            body = await _body(headers, receive)
            refusal = _form_refusal(headers, body, self.site)
            receive = _again(body or b"")
        await (refusal or self.app)(scope, receive, answer)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if not is_known(host, self.site.hosts):
            return refused(421, "This page answers only to the address that outlast view printed.")
        if headers.get("sec-fetch-site", "none") not in OWN and headers.get("sec-fetch-mode") != "navigate":
            return refused(403, "A request that another page makes is refused.")
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        if scope["method"] in SAFE and "token" in query:
            return self._open(scope, query["token"], host)
        if scope["path"].startswith("/static/") or self._known(headers, host):
            return None
        return refused(401, "Open the address that outlast view printed: it holds the token for this page.")

    def _open(self, scope: Scope, token: str, host: str) -> Response:
        """Take the token out of the address and give a cookie for it.

        Not a redirect: a browser that came here from another site would not send the strict cookie along.
        """
        if not _same(token, self.site.token):
            return refused(401, "The token in the address is that of another run of outlast view.")
        path = scope["path"] if scope["path"].startswith("/") and not scope["path"].startswith("//") else "/"
        page = HTMLResponse(
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>outlast</title>'
            '<link rel="icon" href="/static/icon.svg">'
            f'<meta http-equiv="refresh" content="0;url={_plain(path)}"><p><a href="{_plain(path)}">Open</a></p></html>'
        )
        page.set_cookie(cookie_name(host), self.site.session, path="/", httponly=True, samesite="strict")
        return page

    def _known(self, headers: Headers, host: str) -> bool:
        cookies = cookie_parser(headers.get("cookie", ""))
        return _same(cookies.get(cookie_name(host), ""), self.site.session)


def cookie_name(host: str) -> str:
    """A name for each port: browsers do not keep the cookies of two ports apart."""
    port = host.rpartition(":")[2]
    return f"outlast_view_{port if port.isdigit() else '80'}"


def is_known(host: str, hosts: frozenset[str]) -> bool:
    """Whether a Host header is one of ours. "*:PORT" among `hosts` allows every IP address with that port, no name."""
    if host.lower() in hosts:
        return True
    name, _, port = host.rpartition(":")
    return f"*:{port}" in hosts and _is_address(name.strip("[]"))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _plain(path: str) -> str:
    from html import escape
    from urllib.parse import quote

    return escape(quote(path, safe="/-_.~"))


def _form_refusal(headers: Headers, body: bytes | None, site: Site) -> Response | None:
    """Why a request that changes something is not let through; None when it is."""
    origin, host = headers.get("origin", ""), headers.get("host", "")
    if origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
        return refused(403, "What changes something has to come from this page itself; the Origin is another.")
    if body is None:
        return refused(413, f"A form holds at most {LARGEST_FORM:,} bytes.")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        return refused(415, f"A form is sent as {FORM}.")
    try:
        fields = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST))
    except ValueError:
        return refused(400, f"A form holds at most {MOST:,} fields.")
    if not _same(headers.get("x-form-token") or fields.get("form_token", ""), site.form_token):
        return refused(403, "The form's token is missing or old; load the page again.")
    if site.read_only:
        return refused(403, "The store was opened to be read only.")
    return None


async def _body(headers: Headers, receive: Receive) -> bytes | None:
    """The whole body; None when it is larger than a form is."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LARGEST_FORM:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes) -> Receive:
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def with_headers(send: Send) -> Send:
    """Adds to every answer the headers that bind the browser."""

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            media = headers.get("x-holds-media") is not None
            del headers["x-holds-media"]
            headers["content-security-policy"] = POLICY.format(media=" data:" if media else "")
            for name, value in _HEADERS.items():
                headers[name] = value
            if "cache-control" not in headers:
                headers["cache-control"] = "no-store"
        await send(message)

    return answer


def refused(status: int, why: str) -> Response:
    """A short page that says why not. `why` is our own text, never the visitor's."""
    from html import escape

    body = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{status}</title><p>{escape(why)}</p></html>'
    headers: dict[str, Any] = {"content-type": "text/html; charset=utf-8"}
    return Response(body, status, headers)
