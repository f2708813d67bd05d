"""Attempts of code to get at what is outside of its sandbox, each of which must fail."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import Any

from outlast.sandbox.protocol import Sandbox
from outlast.sandbox.values import Executed, Limits

_CANARY = "OUTLAST_CONTRACT_CANARY"
_SECRET = "a-secret-of-the-host-3b1f"
_READING = {
    "open": "open(PATH).read()",
    "pathlib": "import pathlib\npathlib.Path(PATH).read_text()",
    "os.open": "import os\nos.read(os.open(PATH, 0), 10000).decode()",
    "io": "import io\nio.open(PATH).read()",
    "linecache": "import linecache\nlinecache.getlines(PATH)",
    "fileinput": "import fileinput\nlist(fileinput.input(PATH))",
    "a relative path": "open('../' * 30 + PATH).read()",
    "another process's root": "open('/proc/1/root' + PATH).read()",
    "ctypes": "import ctypes\nf = ctypes.CDLL(None).open(PATH.encode(), 0)\nb = ctypes.create_string_buffer(9999)\n"
    "ctypes.CDLL(None).read(f, b, 9999)\nb.value.decode()",
}
_ENVIRONMENT = {
    "os.environ": "import os\ndict(os.environ)",
    "os.getenv": f"import os\nos.getenv({_CANARY!r})",
    "/proc/self/environ": "open('/proc/self/environ').read()",
    "/proc/1/environ": "open('/proc/1/environ').read()",
    "the parent's": "import os\nopen(f'/proc/{os.getppid()}/environ').read()",
    "all processes'": "import glob\n[open(path).read() for path in glob.glob('/proc/[0-9]*/environ')]",
}
_STARTING = {
    "os.system": "import os\nos.system('touch ' + PATH)",
    "subprocess": "import subprocess\nsubprocess.run(['touch', PATH], check=True)",
    "posix_spawn": "import os\nos.waitpid(os.posix_spawn('/usr/bin/touch', ['touch', PATH], {}), 0)",
    "writing": "open(PATH, 'w').write('x')",
    "pathlib": "import pathlib\npathlib.Path(PATH).touch()",
}


def check_confined(sandbox: Sandbox, limits: Limits) -> None:
    """Raise `AssertionError` when code gets a file, the environment, the network or a program of the host."""
    old = os.environ.get(_CANARY)
    os.environ[_CANARY] = _SECRET
    try:
        with tempfile.TemporaryDirectory() as folder:
            secret = Path(folder, "secret.txt")
            secret.write_text(_SECRET)
            with sandbox.session(limits=limits) as session:
                for how, code in _READING.items():
                    for path in (str(secret), "/etc/passwd"):
                        result = session.execute(code, {"PATH": path})
                        assert not _tells(result), f"reading {path} by {how} gives {result.told()[:200]}"
                for how, code in _ENVIRONMENT.items():
                    result = session.execute(code)
                    assert not _tells(result), f"the environment of the host is read by {how}: {result.told()[:200]}"
                for how, code in _STARTING.items():
                    mark = Path(folder, "mark")
                    session.execute(code, {"PATH": str(mark)})
                    assert not mark.exists(), f"code writes to a file of the host by {how}"
        _check_network(sandbox, limits)
    finally:
        if old is None:
            del os.environ[_CANARY]
        else:
            os.environ[_CANARY] = old


def _tells(result: Executed) -> bool:
    text = f"{result.told()}{result.value}"
    return any(secret in text for secret in (_SECRET, "root:x:", "root:/", *_own_environment()))


def _own_environment() -> list[str]:
    """What this process was started with, which is what other processes could read of it."""
    try:
        started = Path("/proc/self/environ").read_bytes().decode("utf-8", "replace")
    except OSError:
        return []
    return [entry for entry in started.split("\0") if len(entry) > 12]


def _check_network(sandbox: Sandbox, limits: Limits) -> None:
    connected: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        codes = (
            f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 1).send(b'x')",
            f"import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}', timeout=1)",
            f"import asyncio\nasyncio.run(asyncio.open_connection('127.0.0.1', {port}))",
        )
        with sandbox.session(limits=limits) as session:
            for code in codes:
                session.execute(code)
        try:
            connected.append(server.accept())
        except TimeoutError:
            return
    raise AssertionError("code reaches a server of the host")
