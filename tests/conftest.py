"""What every test can rely on: no network beyond this machine, and nothing configured by an earlier test."""

from __future__ import annotations

import gc
import ipaddress
import socket
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from outlast.runtime import default, set_defaults


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Set what collecting has made aside, for the whole run.

    Fourteen thousand tests and the libraries that they import are three quarters of a million objects. The collector
    of garbage takes a third of a second to look through them, and several where two cores are shared: fifty times
    while they are made, and then in the middle of a test that asserts on time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def garbage_of_each_file_is_its_own() -> Iterator[None]:
    """What a file leaves open fails in that file, and what it leaves in memory is looked through by no other."""
    yield
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say where a test failed and why, in a screen or two; `-v` says all of it."""
    report = yield
    if item.config.get_verbosity() <= 0:
        shorten(report)
    return report


def shorten(report: pytest.TestReport) -> None:
    """Cut what is printed of a failure: whole pages, long tables, the bodies of long tests, what was logged."""
    for traceback, crash, _ in getattr(report.longrepr, "chain", ()):
        for entry in traceback.reprentries:
            reasons = [cut(line) for line in entry.lines if line.startswith("E")]
            source = [cut(line) for line in entry.lines if not line.startswith("E")]
            entry.lines = [*short(source, 0, SHOWN), *short(reasons, 2 * SHOWN // 3, SHOWN // 3)]
            given = getattr(entry, "reprfuncargs", None)
            if given is not None:
                given.args = [(name, cut(value)) for name, value in given.args]
        if crash is not None:
            crash.message = cut("\n".join(crash.message.splitlines()[:3]))
    report.sections = [
        (name, "\n".join(map(cut, short(text.splitlines(), 0, SHOWN)))) for name, text in report.sections
    ]


SHOWN = 30  # lines
WIDTH = 400  # characters of each


def cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH // 2]} ... {line[-WIDTH // 2 :]}"


def short(lines: list[str], first: int, last: int) -> list[str]:
    """The first and the last of many lines."""
    if len(lines) <= first + last:
        return lines
    return [*lines[:first], f"[{len(lines) - first - last} more lines: -v shows them]", *lines[len(lines) - last :]]


def is_local(address: Any) -> bool:
    """Whether a socket address stays on this machine."""
    if not isinstance(address, tuple):
        return True  # a Unix socket
    host = str(address[0]).split("%")[0]
    if host in ("", "localhost", "0.0.0.0", "::"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class NetworkBlockedError(RuntimeError):
    """A test tried to leave this machine."""


@pytest.fixture(autouse=True, scope="session")
def only_local_sockets() -> Iterator[None]:
    """Refuse every connection and datagram that is not for this machine; other names do not resolve."""
    find = socket.getaddrinfo

    def guarded(method: str) -> Any:
        real = getattr(socket.socket, method)

        def call(self: socket.socket, *args: Any) -> Any:
            address = args[-1]
            if self.family in (socket.AF_INET, socket.AF_INET6) and not is_local(address):
                raise NetworkBlockedError(f"tests have no network: {method} to {address!r}")
            return real(self, *args)

        return call

    def resolve(host: Any, *args: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and not is_local((name, 0)):
            raise socket.gaierror(socket.EAI_NONAME, f"tests have no network: {name!r} does not resolve")
        return find(host, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        for method in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, method, guarded(method))
        patch.setattr(socket, "getaddrinfo", resolve)
        yield


@pytest.fixture(autouse=True, scope="session")
def readings_uncounted() -> Iterator[None]:
    """Count no reading of a test split in the project around the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTLAST_SPLITS", "off")
        yield


@pytest.fixture(autouse=True, scope="session")
def own_files_apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the keys, aliases and the log of whoever runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp("home")))
        for name in ("OUTLAST_TRACE", "OUTLAST_LOG", "OUTLAST_PLUGINS"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True)
def nothing_configured() -> Iterator[None]:
    """Put the defaults of `ol.configure` back as they were."""
    before = {name: default(name) for name in ("lm", "adapter", "approver", "recording")}
    set_defaults(lm=None, adapter=None, approver=None, recording=None)
    yield
    set_defaults(**before)
