"""A real server that others wrote: llama.cpp's, with a tiny random model made on the spot."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of the server, for the length of the module."""
    folder = tmp_path_factory.mktemp("llama")
    with open(folder / "log.txt", "w") as log:
        server = subprocess.Popen(
            [sys.executable, str(HERE / "serve_llama.py"), str(folder / "tiny.gguf")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert server.stdin is not None
    assert server.stdout is not None
    with server, server.stdin, server.stdout:
        address = server.stdout.readline().strip()
        assert address, (folder / "log.txt").read_text()[-2000:]
        yield f"{address}/v1"
