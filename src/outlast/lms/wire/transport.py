"""HTTP to a model server: one POST, its errors told apart, its connections kept and closed in time.

aiohttp is imported at the first call. Each event loop has one session per base URL and key, closed when the loop
shuts its asynchronous generators down, which `asyncio.run` and the shared I/O loop both do: nobody has to close
anything, and nothing is left open.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
import threading
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from outlast.errors import ConfigError, LMConnectionError, LMError, LMResponseError, LMTimeout, brief
from outlast.lms.wire.timelimit import TimeLimit

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

CONNECT_SECONDS = 30.0
_ERROR_BYTES = 1 << 16
_MOST_URLS = 64
_MOST_SESSIONS = 64  # kept open by one loop, when so many are idle


class Secret:
    """A key that shows itself to nobody: not in `repr`, `vars`, a pickle or a message."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself."""
        return self._value

    def redact(self, text: str) -> str:
        """The text with the key replaced: servers like to echo what they were sent."""
        return text.replace(self._value, "[key]")

    def checked(self, subject: str) -> Secret:
        """The key without white space around it. Raises `ConfigError` when no header can hold it, not showing it."""
        self._value = self._value.strip()
        if not self._value or not self._value.isascii() or not self._value.isprintable() or " " in self._value:
            raise ConfigError(f"{subject} holds what no key has: nothing, spaces, line ends or non-ASCII letters")
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "[key]"

    def __reduce__(self) -> tuple[type, tuple[str, ...]]:
        raise TypeError("a key is never pickled; let the other process take it from its environment")


class Reply(NamedTuple):
    """What a server sent. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server and how long and how much to take from it.

    `timeout` is for one whole exchange, in seconds, within which a connection must be made in 30; in a stream it is
    for each piece. `max_bytes` bounds the body of a reply after decompression. `auth` is how the key is sent:
    "bearer", or the name of the header that holds it. `headers` go with every request; they hold no secret.
    """

    base_url: str
    timeout: float = 120.0
    max_bytes: int = 16 << 20
    auth: str = "bearer"
    headers: tuple[tuple[str, str], ...] = ()


def checked_url(url: str, subject: str = "base_url") -> str:
    """The URL without a slash at its end. Raises `ConfigError` when it is not the address of a server.

    User names, passwords, queries and fragments are refused: base URLs are shown and stored, secrets must not be.
    """
    if not isinstance(url, str):
        raise ConfigError(f"{subject} is a URL such as 'http://localhost:8000/v1'; got {brief(url)}")
    try:
        parts = urlsplit(url.strip())
        secret = parts.username is not None or parts.password is not None
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigError(f"{subject} is not a URL: its host or port is malformed") from None
    if secret or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigError(
            f"{subject} must hold no user name, password, query or fragment, as it is shown and stored; "
            "give the key as api_key= or in the environment"
        )
    if parts.scheme not in ("http", "https") or not host or any(c.isspace() or ord(c) < 32 for c in url.strip()):
        raise ConfigError(f"{subject} is a URL such as 'http://localhost:8000/v1'; got {brief(url)}")
    for path in ("/chat/completions", "/responses", "/messages"):
        if parts.path.rstrip("/").endswith(path):
            raise ConfigError(f"{subject} ends where {path!r} begins; got {brief(url)}")
    return url.strip().rstrip("/")


async def post(endpoint: Endpoint, path: str, payload: bytes, key: Secret | None) -> Reply:
    """Send one POST with a JSON body and read the whole reply, whatever its status. Follows no redirect.

    Must run on an event loop. Raises `LMConnectionError`, `LMTimeout`, or `LMResponseError` for a reply that is not
    HTTP or larger than allowed. Error replies are read up to 64 kB.
    """
    return _whole(await _exchange(endpoint, path, key, "POST", payload))


async def fetch(endpoint: Endpoint, path: str, key: Secret | None) -> Reply:
    """Read one whole reply by GET. Raises what `post` raises."""
    return _whole(await _exchange(endpoint, path, key, "GET"))


async def upload(
    endpoint: Endpoint, path: str, content: bytes, key: Secret | None, *, name: str, fields: Mapping[str, str]
) -> Reply:
    """Send a file and form fields by POST. `name` and the fields are plain ASCII. Raises what `post` raises."""
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
        for field, value in fields.items()
    ]
    kind = "Content-Type: application/jsonl\r\n\r\n"
    parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n{kind}')
    payload = b"".join(("".join(parts).encode("ascii"), content, f"\r\n--{boundary}--\r\n".encode("ascii")))
    form = f"multipart/form-data; boundary={boundary}"
    return _whole(await _exchange(endpoint, path, key, "POST", payload, form))


def _whole(outcome: Reply | LMError) -> Reply:
    if isinstance(outcome, LMError):
        # Raised here and not where it was found: aiohttp's errors and sessions hold the key, and would be reachable
        # from the traceback.
        raise outcome
    return outcome


async def _exchange(
    endpoint: Endpoint,
    path: str,
    key: Secret | None,
    method: str,
    payload: bytes | None = None,
    content_type: str | None = None,
) -> Reply | LMError:
    import aiohttp

    opened = _found_session(endpoint, key) or await _open_session(endpoint, key)
    headers = None if content_type is None else {"Content-Type": content_type}
    try:
        with opened.limit(endpoint.timeout).watch():
            response = await opened.session.request(
                method, opened.url(endpoint, path), data=payload, allow_redirects=False, headers=headers
            )
            try:
                body = await _read(response, endpoint.max_bytes)
            except BaseException:
                response.close()
                raise
        if isinstance(body, LMError):
            return body
        told = {name.lower(): value for name, value in response.headers.items()}
        return Reply(response.status, told, body)
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        return _failure(error, endpoint)
    finally:
        opened.users -= 1


class Stream:
    """A reply that is read as it comes. Must be opened, read and closed on one event loop, `abandon` apart."""

    def __init__(self, response: aiohttp.ClientResponse, opened: _Open, endpoint: Endpoint) -> None:
        self._response = response
        self._opened: _Open | None = opened
        self._endpoint = endpoint
        self._loop = asyncio.get_running_loop()
        self._size = 0
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}

    async def read(self) -> bytes:
        """The bytes that came since the last read, waiting for some; empty at the end.

        Raises `LMConnectionError`, `LMTimeout`, or `LMResponseError` when more came than is allowed.
        """
        outcome = await self._next()
        if isinstance(outcome, LMError):
            raise outcome
        return outcome

    async def _next(self) -> bytes | LMError:
        import aiohttp

        try:
            chunk = await self._response.content.readany()
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            return _failure(error, self._endpoint)
        self._size += len(chunk)
        if self._size <= self._endpoint.max_bytes:
            return chunk
        return LMResponseError(
            f"{self._endpoint.base_url}: the reply is larger than max_response_bytes={self._endpoint.max_bytes}",
            status=self.status,
        )

    async def rest(self) -> Reply:
        """The whole body, as `post` gives it: for a reply that is no stream."""
        body = await self._rest()
        if isinstance(body, LMError):
            raise body
        return Reply(self.status, self.headers, body)

    async def _rest(self) -> bytes | LMError:
        import aiohttp

        try:
            return await _read(self._response, self._endpoint.max_bytes)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            return _failure(error, self._endpoint)

    def abandon(self) -> None:
        """Close the connection unless the reply was read to its end. From any thread; may be called again."""
        opened, self._opened = self._opened, None
        if opened is None:
            return
        try:
            if asyncio._get_running_loop() is self._loop:
                self._release(opened)
            else:
                self._loop.call_soon_threadsafe(self._release, opened)
        except RuntimeError:  # the loop is closed, and its connections with it
            return

    def _release(self, opened: _Open) -> None:
        opened.users -= 1
        if not self._response.content.at_eof():
            self._response.close()
        else:
            self._response.release()


async def open_stream(endpoint: Endpoint, path: str, payload: bytes, key: Secret | None) -> Stream:
    """Send one POST and give its reply as soon as the status is there. Raises what `post` raises."""
    outcome = await _begin(endpoint, path, payload, key)
    if isinstance(outcome, LMError):
        raise outcome
    return outcome


async def _begin(endpoint: Endpoint, path: str, payload: bytes, key: Secret | None) -> Stream | LMError:
    import aiohttp

    opened = _found_session(endpoint, key) or await _open_session(endpoint, key)
    limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=endpoint.timeout)
    try:
        response = await opened.session.post(
            opened.url(endpoint, path),
            data=payload,
            allow_redirects=False,
            timeout=limits,
            headers={"Accept": "text/event-stream"},
        )
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        opened.users -= 1
        return _failure(error, endpoint)
    except BaseException:
        opened.users -= 1
        raise
    return Stream(response, opened, endpoint)


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes | LMError:
    failed = response.status >= 300
    allowed = min(max_bytes, _ERROR_BYTES) if failed else max_bytes
    declared = response.content_length
    chunks: list[bytes] = []
    size = 0
    if failed or declared is None or declared <= allowed:
        content = response.content
        while True:
            chunk = await content.readany()
            chunks.append(chunk)
            size += len(chunk)
            if size > allowed:
                break
            if not chunk or content.at_eof():
                return b"".join(chunks)
    response.close()  # or the connection would be kept, with the rest of the body on it
    if failed:
        return b"".join(chunks)[:allowed]
    announced = f" (it announces {declared} bytes)" if declared is not None and declared > allowed else ""
    return LMResponseError(
        f"{response.url}: the reply is larger than max_response_bytes={max_bytes}{announced}", status=response.status
    )


def _failure(error: Exception, endpoint: Endpoint) -> LMError:
    """Our error for one of aiohttp's or the system's."""
    import aiohttp

    where = endpoint.base_url
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return _unsent(LMTimeout(f"{where}: no connection within {CONNECT_SECONDS:g} s"))
    if isinstance(error, asyncio.TimeoutError):
        return LMTimeout(f"{where}: no whole reply within timeout={endpoint.timeout:g} s")
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError)):
        failure = LMConnectionError(f"{where}: the server's TLS certificate does not check out: {error}")
        failure.retryable = False  # it will be the same certificate next time
        return _unsent(failure)
    if isinstance(error, aiohttp.ClientConnectorError):
        hint = ". Is the server running?" if isinstance(error.os_error, ConnectionRefusedError) else ""
        return _unsent(LMConnectionError(f"{where}: no connection: {error.strerror or error}{hint}"))
    if isinstance(error, aiohttp.ClientPayloadError):
        return LMConnectionError(f"{where}: the reply was cut off or garbled on the way")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return LMConnectionError(f"{where}: the server closed the connection without a reply")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _unsent(LMConnectionError(f"{where}: the proxy refused with HTTP {error.status}"))
    if isinstance(error, aiohttp.ClientResponseError):
        return LMResponseError(f"{where}: the reply is not HTTP: {' '.join(error.message.split())[:200]}")
    if isinstance(error, OSError):
        return LMConnectionError(f"{where}: the connection broke: {error.strerror or type(error).__name__}")
    return LMConnectionError(f"{where}: the exchange failed with {type(error).__name__}")


def _unsent(failure: LMError) -> LMError:
    """The failure, marked as one of a request that never reached the server."""
    failure.sent = False
    return failure


@dataclass(slots=True, eq=False)
class _Open:
    session: aiohttp.ClientSession
    closing: AsyncGenerator[None, None]  # the loop knows it only weakly, so it is kept alive here
    users: int = 1
    urls: dict[str, URL] = field(default_factory=dict[str, "URL"])
    limits: dict[float, TimeLimit] = field(default_factory=dict[float, TimeLimit])

    def limit(self, seconds: float) -> TimeLimit:
        """The time limit of whole exchanges: the same few for all calls."""
        return self.limits.get(seconds) or self.limits.setdefault(seconds, TimeLimit(seconds))

    def url(self, endpoint: Endpoint, path: str) -> URL:
        """The parsed address of a path: mostly the same for all calls."""
        found = self.urls.get(path)
        if found is None:
            from yarl import URL

            if len(self.urls) >= _MOST_URLS:  # those of batches and files, each asked for a few times
                self.urls.clear()
            found = self.urls[path] = URL(endpoint.base_url + path)
        return found


_Place = tuple[str, str, tuple[tuple[str, str], ...], Secret | None]
_sessions: dict[asyncio.AbstractEventLoop, dict[_Place, _Open]] = {}
_lock = threading.Lock()


def _found_session(endpoint: Endpoint, key: Secret | None) -> _Open | None:
    """The open session of the running loop for a server and key, with its user counted."""
    of_loop = _sessions.get(asyncio.get_running_loop())
    found = None if of_loop is None else of_loop.get((endpoint.base_url, endpoint.auth, endpoint.headers, key))
    if found is None or found.session.closed:
        return None
    found.users += 1
    return found


async def _open_session(endpoint: Endpoint, key: Secret | None) -> _Open:
    """A new session of the running loop for a server and key, with its user counted."""
    loop = asyncio.get_running_loop()
    place = (endpoint.base_url, endpoint.auth, endpoint.headers, key)
    _forget_closed_loops()
    session = _new_session(endpoint, key)
    opened = _Open(session, _close_with_loop(loop, place, session))
    await anext(opened.closing)  # registers it with the loop
    with _lock:
        of_loop = _sessions.setdefault(loop, {})
        of_loop[place] = opened
        idle = [other for other in of_loop.values() if other.users == 0]
    for other in idle[: max(0, len(of_loop) - _MOST_SESSIONS)]:  # a process that serves many people's keys
        await other.closing.aclose()
    return opened


def _new_session(endpoint: Endpoint, key: Secret | None) -> aiohttp.ClientSession:
    import aiohttp

    from outlast import __version__

    proxy = _proxy(endpoint.base_url)
    headers = {
        **dict(endpoint.headers),
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": f"outlast/{__version__}",
    }
    if key is not None and endpoint.auth == "bearer":
        headers["Authorization"] = f"Bearer {key.reveal()}"
    elif key is not None:
        headers[endpoint.auth] = key.reveal()
    return aiohttp.ClientSession(
        # No limit of its own: `Limited` caps, and a second cap below it would only hide the wait.
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),  # the whole has a `TimeLimit`
        proxy=proxy,
    )


def _proxy(base_url: str) -> str | None:
    """The proxy that the environment names for a server, if any.

    aiohttp's `trust_env` would do this for every request in a thread and read keys from ~/.netrc; this reads the
    environment once per session and no file.
    """
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(base_url)
    proxy = getproxies().get(parts.scheme)
    if not proxy or proxy_bypass(parts.netloc):
        return None
    if urlsplit(proxy).scheme not in ("http", "https"):
        raise ConfigError(f"the proxy for {parts.scheme} in the environment is not an HTTP proxy")
    return proxy


async def _close_with_loop(
    loop: asyncio.AbstractEventLoop, place: _Place, session: aiohttp.ClientSession
) -> AsyncGenerator[None, None]:
    """Waits at its yield until the loop shuts down, then closes the session."""
    try:
        yield
    finally:
        with _lock:
            of_loop = _sessions.get(loop, {})
            of_loop.pop(place, None)
            if not of_loop:
                _sessions.pop(loop, None)
        await session.close()


def _forget_closed_loops() -> None:
    """Let go of sessions whose loop was closed without shutting its generators down."""
    with _lock:
        closed = [loop for loop in _sessions if loop.is_closed()]
        gone = [entry for loop in closed for entry in _sessions.pop(loop).values()]
    for entry in gone:
        connector = entry.session.connector
        entry.session.detach()
        if connector is not None:
            for _ in connector.close().__await__():  # its loop is gone, so there is nothing to wait for
                break
