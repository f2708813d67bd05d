"""The process around it: forks, and the end of the interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time

import pytest

SETUP = """
import asyncio, os, sys, threading, time
import outlast as ol
from outlast.messages import Response

class Echo(ol.LM):
    name = "echo"
    async def complete(self, request):
        await asyncio.sleep(float(request.messages[-1].text))
        return Response("fine", "echo")

lm = Echo()
"""


def run(code: str) -> tuple[str, float]:
    """Standard output of a script in which every warning is an error, and how long it took."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SETUP + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.strip(), time.perf_counter() - started


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_does_its_own_io_and_leaves_the_parents_alone() -> None:
    out, _ = run(
        """
        async def twice():
            return await ol.gather(ol.io(lm.acall("0")), ol.io(lm.acall("0")))
        class Pair(ol.Module):
            blocking_safe = True
            async def forward(self):
                return [r.text for r in await ol.gather(lm.acall("0"), lm.acall("0"))]
        pair = Pair()
        assert lm("0").text == "fine"
        assert pair() == ["fine", "fine"]
        child = os.fork()
        if child == 0:
            assert lm("0").text == "fine"
            assert pair() == ["fine", "fine"]
            sys.stdout.write("child fine; ")
            sys.stdout.flush()
            sys.exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        assert lm("0").text == "fine"
        assert pair() == ["fine", "fine"]
        print("parent fine")
        """
    )
    assert out == "child fine; parent fine"


def test_the_interpreter_ends_cleanly_and_at_once_with_calls_in_flight() -> None:
    """A blocking call in a plain thread, a fan-out and an async program in a thread are under way."""
    out, seconds = run(
        """
        class Wait(ol.Module):
            def forward(self, seconds):
                return lm(seconds).text
        wait = Wait()
        assert wait("0") == "fine"
        threading.Thread(target=lambda: wait("30"), daemon=True).start()
        async def main():
            tasks = [asyncio.ensure_future(wait.acall("30")) for _ in range(3)]
            await asyncio.sleep(0.1)
        asyncio.run(main())
        print("done")
        """
    )
    assert out == "done"
    assert seconds < 15  # the calls take 30
