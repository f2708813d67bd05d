"""Starts the page on this machine and ends it: an address that is free, a token, a browser, Ctrl-C."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from outlast.errors import ConfigError
from outlast.view.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from uvicorn import Server as Uvicorn

    from outlast.tracing.store import Store
    from outlast.view.replaying import Replays

PORT = 7654
TRIES = 20


class Server:
    """One page, bound to its address from the moment it is made.

    `host` is 127.0.0.1 unless told otherwise. `port` 0 takes any that is free; None takes 7654, or the next free one of
    twenty. `allow` are further names that this machine is known by, `replays` the models that may be asked from the
    page. Raises `ConfigError` when it cannot be bound.
    """

    def __init__(
        self,
        store: Store,
        *,
        name: str = "traces",
        place: str = "",
        host: str = "127.0.0.1",
        port: int | None = None,
        allow: Sequence[str] = (),
        read_only: bool = False,
        artifacts: Mapping[str, Mapping[str, Any]] | None = None,
        studies: Mapping[str, Path] | None = None,
        replays: Replays | None = None,
    ) -> None:
        self._socket = _bound(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.host = host
        self.site = replace(
            Site(store, name, place, read_only=read_only, artifacts=artifacts or {}, studies=studies or {}),
            hosts=_hosts(host, self.port, allow),
            replays=replays,
        )
        self._running: Uvicorn | None = None

    @property
    def address(self) -> str:
        """Where the page is, without its token."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    @property
    def local(self) -> bool:
        """Whether nobody but this machine can reach it."""
        return self.host in ("127.0.0.1", "::1", "localhost")

    @property
    def url(self) -> str:
        """The address that opens it, once for each browser."""
        return f"{self.address}?token={self.site.token}"

    def run(self, ready: Callable[[], Any] | None = None) -> None:
        """Answer until Ctrl-C or `stop`. `ready` is called in another thread as soon as requests are answered."""
        with suppress(KeyboardInterrupt):
            asyncio.run(self._answer(ready))

    def stop(self) -> None:
        """End it from another thread."""
        if self._running is not None:
            self._running.should_exit = True

    async def _answer(self, ready: Callable[[], Any] | None) -> None:
        import uvicorn

        from outlast.view.app import view_app

        settings = uvicorn.Config(
            view_app(self.site),
            log_level="error",
            access_log=False,
            lifespan="off",
            ws="none",
            http="h11",
            loop="asyncio",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        self._running = uvicorn.Server(settings)
        if ready is not None:
            threading.Thread(target=ready, daemon=True).start()
        await self._running.serve(sockets=[self._socket])


def need_packages() -> None:
    """Raise `ConfigError` when the packages of `outlast[view]` are not there."""
    from importlib.util import find_spec

    missing = [name for name in ("starlette", "uvicorn", "markdown_it") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"the page needs {', '.join(missing)}: pip install 'outlast[view]'")


def _bound(host: str, port: int | None) -> socket.socket:
    ports = range(PORT, PORT + TRIES) if port is None else [port]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    trouble: OSError | None = None
    for one in ports:
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, one))
            listening.listen(128)
        except OSError as error:
            listening.close()
            trouble = error
            continue
        return listening
    tried = str(port) if port is not None else f"{PORT} to {PORT + TRIES - 1}"
    raise ConfigError(
        f"the page cannot listen on {host!r}, port {tried}: {trouble.strerror if trouble else 'no port'}. "
        f"Give another with --port, or --port 0 for any that is free."
    ) from trouble


def _hosts(host: str, port: int, allow: Sequence[str]) -> frozenset[str]:
    """What the Host header may say: never a name that was not given, so that nobody's name can be pointed here."""
    names = {"127.0.0.1", "localhost", "[::1]", *allow}
    everywhere = host in ("0.0.0.0", "::", "")
    names.add("*" if everywhere else f"[{host}]" if ":" in host else host)
    return frozenset(f"{name.lower()}:{port}" for name in names)
