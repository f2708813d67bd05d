"""Namespaces, time to live, figures and pickles of the cache, and the bound of its file under load."""

from __future__ import annotations

import gc
import os
import pickle
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import outlast.lms.caching.cache as cache
from outlast.errors import ConfigError
from outlast.lms.caching.cache import Cached
from outlast.lms.caching.files import open_file
from outlast.lms.protocol import LM
from outlast.messages import Request, Response, Usage
from outlast.runtime import sleep
from outlast.types import Label


class Counting(LM):
    """Answers with the number of the call."""

    blocking_safe = True

    def __init__(self, name: str = "counting", delay: float = 0.0, **response: Any) -> None:
        self.name, self.delay, self.response, self.calls = name, delay, response, 0

    async def complete(self, request: Request) -> Response:
        self.calls += 1
        number = self.calls
        await sleep(self.delay)
        return Response(**{"text": f"answer {number}", "usage": Usage(3, 4, cost=0.5), **self.response})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "responses.db"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock by some seconds."""
    real, moved = time.time, [0.0]
    monkeypatch.setattr(cache.time, "time", lambda: real() + moved[0])

    def move(seconds: float) -> None:
        moved[0] += seconds

    return move


def test_namespaces_in_one_file_are_separate_worlds(path: Path) -> None:
    inner = Counting()
    assert [Cached(inner, path, namespace=n)("hi").text for n in ("", "a", "b")] == ["answer 1", "answer 2", "answer 3"]
    assert [Cached(inner, path, namespace=n)("hi").text for n in ("b", "a", "")] == ["answer 3", "answer 2", "answer 1"]
    assert open_file(path, 1 << 30).entries() == 3


def test_an_answer_is_asked_again_when_it_is_too_old_and_the_old_one_is_dropped(
    path: Path, later: Callable[[float], None]
) -> None:
    inner = Counting()
    lm = Cached(inner, path, ttl=60)
    assert [lm("hi").cache for _ in range(2)] == ["miss", "hit"]
    later(59)
    assert lm("hi").cache == "hit"
    assert Cached(inner, path, ttl=60)("hi").cache == "hit"
    later(2)
    for_ever = Cached(Counting(), path)
    assert for_ever("hi").cache == "hit"  # who reads decides how old is too old
    assert lm("hi").text == "answer 2"
    assert lm.stats().expired == 1
    lm.close()
    assert open_file(path, 1 << 30).entries() == 1
    assert Cached(Counting(), path)("hi").text == "answer 2"


def test_an_expired_row_is_removed_even_when_nothing_takes_its_place(
    path: Path, later: Callable[[float], None]
) -> None:
    lm = Cached(Counting(), path, ttl=60)
    lm("hi")
    lm.close()
    later(61)
    cut = Cached(Counting(finish="length"), path, ttl=60)
    assert cut("hi").cache == "miss"
    cut.close()
    assert open_file(path, 1 << 30).entries() == 0


def test_a_clock_that_was_set_back_makes_nothing_live_for_ever(path: Path, later: Callable[[float], None]) -> None:
    lm = Cached(Counting(), path, ttl=60)
    lm("hi")
    later(-3600)
    assert lm("hi").cache == "miss"
    assert Cached(Counting(), path, ttl=1e6)("hi").cache == "hit"


def test_a_stream_is_asked_again_when_it_is_too_old(path: Path, later: Callable[[float], None]) -> None:
    inner = Counting()
    lm = Cached(inner, path, ttl=60)
    for seconds, calls in ((0, 1), (30, 1), (40, 2)):
        later(seconds)
        list(lm.events("hi"))
        assert inner.calls == calls


def test_a_changed_time_in_a_row_is_noticed(path: Path) -> None:
    lm = Cached(Counting(), path)
    lm("hi")
    lm.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE responses SET made = made + 1000000")
    db.close()
    assert Cached(Counting(), path)("hi").cache == "miss"


def test_stats_say_what_was_saved_by_tier_and_what_is_not_known(path: Path) -> None:
    lm = Cached(Counting(), path)
    lm("a"), lm("a"), lm("a"), lm("b")
    other = Cached(Counting(usage=Usage(10, None)), path)
    other("a"), other("a"), other("c"), other("c")
    first, second = lm.stats(), other.stats()
    assert (first.memory_hits, first.misses, first.hits, first.hit_rate) == (2, 2, 2, 0.5)
    assert (first.tokens_saved, first.dollars_saved, first.unpriced) == (14, 1.0, 0)
    assert (second.disk_hits, second.memory_hits, second.misses) == (1, 2, 1)
    assert (second.tokens_saved, second.dollars_saved, second.unpriced) == (7 + 7 + 10, 1.0, 1)
    assert str(first) == "2 hits (2 from memory), 2 misses, 50.0%; saved 14 tokens, $1.0000"
    assert str(second) == (
        "3 hits (2 from memory, 1 from disk), 1 misses, 75.0%; saved 24 tokens, $1.0000 + 1 of unknown price"
    )
    assert str(Cached(Counting(), path).stats()).startswith("0 hits, 0 misses, 0.0%")


def test_a_row_keeps_its_label(path: Path) -> None:
    label = Label(frozenset({"web"}), frozenset({"me"}))
    Cached(Counting(label=label), path)("hi")
    assert Cached(Counting(), path)("hi").label == label


def test_options_are_checked_and_shown(path: Path) -> None:
    wrong: list[dict[str, Any]] = [
        {"ttl": 0}, {"ttl": -1}, {"ttl": "1h"}, {"ttl": True}, {"ttl": float("inf")}, {"namespace": 3}, {"path": 3},
        {"path": ""},
    ]  # fmt: skip
    for options in wrong:
        with pytest.raises(ConfigError):
            Cached(Counting(), **options)
    with pytest.raises(ConfigError, match="ol.LM"):
        Cached(5, path)  # pyright: ignore[reportArgumentType]
    lm = Cached(Counting(), path, namespace="n", ttl=5)
    assert lm.info()[0].facts == {"path": str(path), "namespace": "n", "ttl": 5}


def test_a_pickle_is_the_same_cache_in_another_process(path: Path) -> None:
    lm = Cached(Counting(), path, namespace="n", ttl=60, memory=7)
    lm("hi")
    lm.close()
    again = pickle.loads(pickle.dumps(lm))
    assert again("hi").cache == "hit"
    assert (again.namespace, again.ttl, again.max_bytes) == ("n", 60, lm.max_bytes)


def test_a_file_of_the_version_before_is_begun_anew(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE responses (key BLOB PRIMARY KEY, value TEXT, used INTEGER, proof BLOB)")
        db.execute("CREATE INDEX responses_used ON responses (used)")
        db.execute("PRAGMA application_id = 1869378147")
        db.execute("PRAGMA user_version = 1")
    db.close()
    lm = Cached(Counting(), path)
    lm("hi")
    lm.close()
    assert lm.stats().problem is None
    assert Cached(Counting(), path)("hi").cache == "hit"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_does_not_wait_for_a_flight_that_stayed_in_its_parent(path: Path) -> None:
    slow = Cached(Counting(delay=1.0), path)
    thread = threading.Thread(target=lambda: slow("hi"))
    thread.start()
    time.sleep(0.2)
    child = os.fork()
    if child == 0:
        os._exit(0 if Cached(Counting(), path)("hi").text == "answer 1" else 1)
    until = time.monotonic() + 20
    while (done := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < until:
        time.sleep(0.02)
    if done == (0, 0):
        os.kill(child, 9)
        os.waitpid(child, 0)
    thread.join()
    assert done == (child, 0)


def test_a_bound_that_is_lowered_drops_what_is_too_much(path: Path) -> None:
    lm = Cached(Counting(text="x" * 1000), path, memory=0)
    for number in range(2000):
        lm(str(number))
    lm.close()
    del lm
    gc.collect()
    lower = Cached(Counting(text="x" * 1000), path, max_bytes=300_000, memory=0)
    lower("new")
    lower.close()
    assert 100 < open_file(path, 300_000).entries() < 300
    assert lower("new").cache == "hit"


WRITE = """
import sys
from outlast.lms.caching.cache import Cached
from outlast.lms.protocol import LM
from outlast.messages import Response
class Echo(LM):
    name, blocking_safe = "echo", True
    async def complete(self, request):
        return Response(text=request.messages[-1].text * 40)
lm = Cached(Echo(), sys.argv[1], max_bytes=int(sys.argv[2]), memory=0)
for number in range(int(sys.argv[4])):
    question = f"{sys.argv[3]} asks number {number} "
    assert lm(question).text == question * 40
lm.close()
assert lm.stats().problem is None, lm.stats().problem
"""


@pytest.mark.server
def test_the_bound_holds_while_processes_write(path: Path) -> None:
    bound = 2_000_000
    writers = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", WRITE, str(path), str(bound), str(n), "1500"])
        for n in range(4)
    ]
    largest = 0
    while any(writer.poll() is None for writer in writers):
        largest = max(largest, path.stat().st_size if path.exists() else 0)
        time.sleep(0.01)
    assert [writer.wait() for writer in writers] == [0] * 4
    assert bound * 0.7 < largest <= bound * 1.1
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def test_a_cache_around_a_cache_is_refused_and_a_name_is_opened_without_one(tmp_path):
    from outlast.lms.caching.cassette import Cassette
    from outlast.lms.layers.retry import Retrying
    from outlast.testing import ScriptedLM

    inner = Cached(ScriptedLM(["x"]), tmp_path / "a.db")
    for outer in (lambda: Cached(Retrying(inner), tmp_path / "b.db"), lambda: Cassette(inner, tmp_path / "c.jsonl")):
        with pytest.raises(ConfigError, match="has a cache already"):
            outer()
    named = Cached("openai/gpt-5-mini", tmp_path / "d.db")
    assert [layer.kind for layer in named.info()].count("Cached") == 1
