"""A page that runs for a test, and requests that say exactly what they say."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from outlast.view.guard import cookie_name
from outlast.view.server import Server


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str


@dataclass(frozen=True)
class Page:
    """A running page."""

    server: Server

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    @property
    def cookie(self) -> str:
        return f"{cookie_name(self.host)}={self.server.site.session}"

    def get(self, path: str = "/", **headers: str) -> Answer:
        """As the browser that was let in would ask, but for `headers` (underscores are dashes; "" leaves one out)."""
        return self._ask("GET", path, {"Host": self.host, "Cookie": self.cookie}, headers)

    def post(self, path: str, fields: Mapping[str, Any], **headers: str) -> Answer:
        """As a form of the page would send."""
        usual = {
            "Host": self.host,
            "Cookie": self.cookie,
            "Origin": f"http://{self.host}",
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Form-Token": self.server.site.form_token,
        }
        return self._ask("POST", path, usual, headers, urlencode(fields))

    def _ask(
        self, method: str, path: str, usual: Mapping[str, str], changes: Mapping[str, str], body: str = ""
    ) -> Answer:
        wanted = {**usual, **{name.replace("_", "-").title(): value for name, value in changes.items()}}
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in wanted.items():
                if value:
                    connection.putheader(name, value)
            if method == "POST":
                connection.putheader("Content-Length", str(len(body.encode())))
            connection.endheaders(body.encode() if body else None)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read().decode())
        finally:
            connection.close()


@contextmanager
def served(store: Any, **options: Any) -> Iterator[Page]:
    """A page over `store`, on a free port, until the block ends."""
    server = Server(store, port=0, **options)
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(ready.set,))
    thread.start()
    try:
        assert ready.wait(10)
        yield Page(server)
    finally:
        server.stop()
        thread.join(10)
        assert not thread.is_alive()
