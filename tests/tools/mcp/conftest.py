"""Servers for the tests of MCP, and the check that none of them outlives its test."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from outlast.runtime import run_on_io_loop

HERE = Path(__file__).parent
FRIENDLY = str(HERE / "friendly.py")
ROUGH = str(HERE / "rough.py")


def running() -> set[int]:
    """The processes that descend from this one, and servers of the tests that nobody owns, zombies left out."""
    found: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    found[int(entry.name)] = int(parent)
                    line = (entry / "cmdline").read_text()
                    # Those that another worker of the tests has now are its own business.
                    if parent == "1" and str(HERE) in line and "pytest" not in line:
                        found[int(entry.name)] = os.getpid()
            except OSError:
                continue
    ours = {os.getpid()}
    while grown := {pid for pid, parent in found.items() if parent in ours} - ours:
        ours |= grown
    return ours - {os.getpid()}


def sockets() -> int:
    """How many sockets and pipes this process holds."""
    gc.collect()
    held = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            held += os.readlink(entry).startswith(("socket:", "pipe:"))
        except OSError:
            continue
    return held


@pytest.fixture(scope="package", autouse=True)
def what_was_there_before() -> None:
    """What other tests left in memory is set aside: going through all of it for every test here takes minutes."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No process, socket or pipe outlives a test."""
    run_on_io_loop(asyncio.sleep(0))
    gc.collect()
    processes, held = running(), sockets()
    yield
    until = time.monotonic() + 30
    while (running() - processes or sockets() > held) and time.monotonic() < until:
        time.sleep(0.02)
    assert running() - processes == set()
    assert sockets() <= held


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of the friendly server over streamable HTTP."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = subprocess.DEVNULL
    process = subprocess.Popen([sys.executable, FRIENDLY, "http", str(port)], stdout=log, stderr=log)
    try:
        until = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.kill()
        process.wait()
