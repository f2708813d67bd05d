"""The cache of responses: what is the same question, who is asked how often, and what happens to a bad file."""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import os
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

import outlast as ol
import outlast.lms.caching.file as cache_file
import outlast.lms.caching.files as cache_files
from outlast.errors import ConfigError, LMError, LMServerError, UsageError
from outlast.lms.caching.cache import Cached, default_place
from outlast.lms.protocol import LM
from outlast.messages import (
    Message,
    OutputSchema,
    Request,
    Response,
    Settings,
    TextPart,
    Usage,
    assistant,
    system,
    user,
)
from outlast.runtime import running, sleep
from outlast.types import Label


class Counting(LM):
    """Answers with the number of the call."""

    blocking_safe = True

    def __init__(self, name: str = "counting", delay: float = 0.0, **response) -> None:
        self.name = name
        self.delay = delay
        self.response = response
        self.calls = 0
        self.errors: list[BaseException] = []
        self.lock = threading.Lock()

    async def complete(self, request):
        with self.lock:
            self.calls += 1
            number = self.calls
        if self.delay:
            await sleep(self.delay)
        if self.errors:
            raise self.errors.pop(0)
        return Response(**{"text": f"answer {number}", "usage": Usage(3, 0, cost=0.5), **self.response})


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "inner" / "responses.db"


def fresh(lm: LM, path: Path, **options) -> Cached:
    """A cache without memory of earlier calls."""
    return Cached(lm, path, **options)


def ask(lm: LM, request: Request) -> Response:
    return lm(request.messages, **({"sample": request.sample} if request.sample else {}))


# What is the same question


def test_the_same_question_is_asked_once(path):
    inner = Counting()
    lm = Cached(inner, path)
    first, second = lm("hi"), lm("hi")
    assert (first.text, first.cache, first.attempts) == ("answer 1", "miss", 1)
    assert (second.text, second.cache, second.attempts) == ("answer 1", "hit", 0)
    assert second.usage == first.usage
    assert inner.calls == 1
    stats = lm.stats()
    assert (stats.memory_hits, stats.disk_hits, stats.misses, stats.stored, stats.entries) == (1, 0, 1, 1, 1)


def test_another_object_on_the_same_file_finds_it_with_all_its_fields(path):
    rich = {
        "model": "m-1",
        "reasoning": "because",
        "usage": Usage(1, 2, 0, None, 0.25, "user"),
        "finish": "tool_calls",
        "seconds": 1.25,
        "request_id": "r",
        "adaptations": ("seed not sent",),
        "label": Label(frozenset({"web"}), frozenset({"me"})),
        "text": "täxt \ud800 \x00 😀",
    }
    first = fresh(Counting(**rich), path)("hi")
    other = fresh(Counting(), path)
    found = other("hi")
    assert found == replace(first, cache="hit", attempts=0)
    assert other.stats().disk_hits == 1
    assert other("hi") is other("hi")


async def test_blocking_and_async_calls_share_it(path):
    inner = Counting()
    lm = Cached(inner, path)
    assert (await lm.acall("a")).cache == "miss"
    assert lm("a").cache == "hit"
    assert lm("b").cache == "miss"
    assert (await lm.acall("b")).cache == "hit"


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
SWAPPED = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}}
DIFFERENT = [
    Request((user("x"),)),
    Request((user("x "),)),
    Request((user("x\ud800"),)),
    Request((assistant("x"),)),
    Request((system("x"),)),
    Request((system("x"), user("x"))),
    Request((Message("user", (TextPart("x"),)),)),
    Request((user("x"),), sample=1),
    Request((user("x"),), sample=2),
    Request((user("x"),), Settings(temperature=0.0)),
    Request((user("x"),), Settings(temperature=1.0)),
    Request((user("x"),), Settings(top_p=1.0)),
    Request((user("x"),), Settings(max_tokens=1)),
    Request((user("x"),), Settings(seed=1)),
    Request((user("x"),), Settings(stop=("a",))),
    Request((user("x"),), Settings(reasoning="low")),
    Request((user("x"),), Settings(extra={"k": 1})),
    Request((user("x"),), output="json"),
    Request((user("x"),), output=OutputSchema("n", SCHEMA)),
    Request((user("x"),), output=OutputSchema("n", SWAPPED)),
    Request((user("x"),), output=OutputSchema("m", SCHEMA)),
    Request((user("x"),), label=Label(frozenset({"web"}))),
]


async def test_everything_that_decides_the_answer_tells_questions_apart(path):
    inner = Counting()
    lm = Cached(inner, path)
    texts = [(await lm.complete(request)).text for request in DIFFERENT]
    assert len(set(texts)) == len(DIFFERENT) == inner.calls
    assert [(await lm.complete(request)).text for request in DIFFERENT] == texts
    lm.close()
    again = fresh(Counting(), path)
    assert [(await again.complete(request)).text for request in DIFFERENT] == texts


def test_models_with_another_identity_never_answer_for_each_other(path):
    a, b = Counting("a"), Counting("b")
    assert Cached(a, path)("hi").cache == "miss"
    assert Cached(b, path)("hi").cache == "miss"
    assert b.calls == 1


async def test_a_question_that_json_cannot_hold_is_asked_each_time(path):
    inner = Counting()
    lm = Cached(inner, path)
    request = Request((user("x"),), Settings(extra={"f": object()}))
    assert [(await lm.complete(request)).cache for _ in range(2)] == ["miss", "miss"]


# What is kept


@pytest.mark.parametrize(
    "response",
    [{"finish": "length"}, {"finish": "content_filter"}, {"text": ""}, {"text": "", "finish": "other"}],
)
def test_answers_that_asking_again_may_better_are_not_kept(path, response):
    inner = Counting(**response)
    lm = Cached(inner, path)
    assert [lm("hi").cache for _ in range(2)] == ["miss", "miss"]
    assert inner.calls == 2


def test_errors_are_not_kept(path):
    inner = Counting()
    inner.errors = [LMServerError("down")]
    lm = Cached(inner, path)
    with pytest.raises(LMServerError):
        lm("hi")
    assert lm("hi").text == "answer 2"


def test_clear_forgets_in_memory_and_on_disk(path):
    inner = Counting()
    lm = Cached(inner, path)
    lm("hi")
    lm.clear()
    assert lm("hi").cache == "miss"
    fresh(inner, path).clear()
    assert fresh(inner, path)("hi").cache == "miss"


def test_memory_is_bounded_by_number_and_keeps_what_was_used_last(path):
    inner = Counting()
    lm = Cached(inner, path, memory=2, max_bytes=0)
    lm("a"), lm("b"), lm("a"), lm("c")
    assert lm.stats().entries == 2
    assert lm("a").cache == "hit"
    assert lm("b").cache == "miss"
    assert lm.stats().path is None
    assert not path.exists()


def test_memory_is_bounded_by_size(path, monkeypatch):
    monkeypatch.setattr("outlast.lms.caching.memory.MEMORY_BYTES", 10_000)
    lm = Cached(Counting(text="x" * 3000), path)
    for number in range(10):
        lm(str(number))
    assert lm.stats().entries == 3


def test_the_file_is_bounded_and_drops_what_was_used_least_recently(path, monkeypatch):
    monkeypatch.setattr(cache_file, "_TOUCH_SECONDS", -1)
    inner = Counting(text="x" * 5000)
    lm = Cached(inner, path, memory=0, max_bytes=190_000)
    for number in range(20):
        lm(f"old {number}")
    lm.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE responses SET used = used - 1000")
    db.close()
    assert lm("old 7").cache == "hit"  # moves its time of use
    for number in range(20):
        lm(f"new {number}")
        lm.close()
    assert path.stat().st_size < 210_000
    calls = inner.calls
    assert lm("old 7").cache == "hit"
    assert lm("new 19").cache == "hit"
    assert lm("old 3").cache == "miss"
    assert inner.calls == calls + 1


def test_one_answer_larger_than_a_quarter_of_the_file_is_not_stored(path):
    lm = Cached(Counting(text="x" * 50_000), path, memory=0, max_bytes=100_000)
    assert [lm("hi").cache for _ in range(2)] == ["miss", "miss"]


# One flight for one question


async def test_equal_questions_in_flight_are_asked_once(path):
    inner = Counting(delay=0.05)
    lm = Cached(inner, path)
    responses = await asyncio.gather(*(lm.acall("hi") for _ in range(50)))
    assert inner.calls == 1
    assert {response.text for response in responses} == {"answer 1"}
    assert sorted(response.cache for response in responses) == ["miss"] + ["shared"] * 49
    assert lm.stats().shared == 49
    other = await asyncio.gather(*(lm.complete(Request((user("hi"),), sample=n)) for n in range(1, 6)))
    assert len({response.text for response in other}) == 5


def test_threads_and_loops_share_one_flight_even_through_different_objects(path):
    inner = Counting(delay=0.2)
    texts: list[str] = []

    def blocking() -> None:
        texts.append(fresh(inner, path)("hi").text)

    def asynchronous() -> None:
        async def several() -> list[Response]:
            lm = fresh(inner, path)
            return await asyncio.gather(*(lm.acall("hi") for _ in range(5)))

        texts.extend(response.text for response in asyncio.run(several()))

    keep = fresh(inner, path)
    keep("warm up")
    threads = [threading.Thread(target=target) for target in [blocking, asynchronous] * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
        assert not thread.is_alive()
    assert texts == ["answer 2"] * 18
    assert inner.calls == 2


async def test_an_error_is_shared_as_separate_objects(path):
    inner = Counting(delay=0.02)
    inner.errors = [LMServerError("down", status=503, retry_after=2.0)]
    lm = Cached(inner, path)
    errors = await asyncio.gather(*(lm.acall("hi") for _ in range(5)), return_exceptions=True)
    assert inner.calls == 1
    assert len({id(error) for error in errors}) == 5
    for error in errors:
        assert isinstance(error, LMServerError)
        assert (str(error), error.status, error.retry_after) == ("down", 503, 2.0)
    assert (await lm.acall("hi")).text == "answer 2"


async def test_when_the_first_is_cancelled_another_takes_over(path):
    inner = Counting(delay=0.05)
    lm = Cached(inner, path)
    first = asyncio.ensure_future(lm.acall("hi"))
    await asyncio.sleep(0.01)
    others = [asyncio.ensure_future(lm.acall("hi")) for _ in range(5)]
    await asyncio.sleep(0.01)
    others[4].cancel()
    first.cancel()
    done = await asyncio.wait_for(asyncio.gather(*others[:4]), 60)
    assert {response.text for response in done} == {"answer 2"}
    assert inner.calls == 2
    for call in (first, others[4]):
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_errors_that_are_no_model_errors_stay_with_their_caller(path):
    inner = Counting(delay=0.02)
    inner.errors = [UsageError("mine alone")]
    lm = Cached(inner, path)
    results = await asyncio.gather(*(lm.acall("hi") for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(result, UsageError) for result in results) == 1
    assert {result.text for result in results if isinstance(result, Response)} == {"answer 2"}


class Unusual(LMError):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} {two}")


async def test_an_error_that_cannot_be_copied_is_shared_as_it_is(path):
    inner = Counting(delay=0.02)
    inner.errors = [Unusual(1, 2)]
    lm = Cached(inner, path)
    errors = await asyncio.gather(*(lm.acall("hi") for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in errors] == ["1 2"] * 3
    assert inner.calls == 1


async def test_a_blocking_call_inside_the_loop_that_makes_the_same_request_does_not_hang(path):
    inner = Counting(delay=0.02)
    lm = Cached(inner, path)
    task = asyncio.ensure_future(lm.acall("hi"))
    await asyncio.sleep(0.005)
    assert lm("hi").text == "answer 2"
    assert (await task).text == "answer 1"


# Many processes


KIT = """
import json, sys
from outlast.lms.caching.cache import Cached
from outlast.lms.protocol import LM
from outlast.messages import Response
class Echo(LM):
    name, blocking_safe, calls = "echo", True, 0
    async def complete(self, request):
        self.calls += 1
        return Response(text=request.messages[-1].text * 50)
inner = Echo()
lm = Cached(inner, sys.argv[1])
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process that runs `script`, with an `Echo` cached in the file named by its first argument."""
    command = [sys.executable, "-W", "error", "-c", KIT + script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert errors == ""
    return out


ANSWER_MANY = """
first, count = int(sys.argv[2]), int(sys.argv[3])
texts = [lm(f"question {number} ").text for number in range(first, first + count)]
assert texts == [f"question {number} " * 50 for number in range(first, first + count)]
print(inner.calls)
"""


@pytest.mark.server
def test_four_processes_write_and_read_one_file(path):
    writers = [start(ANSWER_MANY, path, 100 * number, 100) for number in range(4)]
    assert [int(finish(writer)) for writer in writers] == [100] * 4
    readers = [start(ANSWER_MANY, path, 0, 400) for _ in range(2)]
    assert [int(finish(reader)) for reader in readers] == [0] * 2
    assert cache_files.open_file(path, 1 << 30).entries() == 400


WRITE_FOR_EVER = """
lm("warm up")
lm.close()
for number in range(10**9):
    lm(f"question {number} ")
    print(number, flush=True)
"""


class Echo(LM):
    name, blocking_safe = "echo", True

    def __init__(self) -> None:
        self.calls = 0

    async def complete(self, request):
        self.calls += 1
        return Response(text=request.messages[-1].text * 50)


@pytest.mark.server
@pytest.mark.parametrize("moment", [0.02, 0.3])
def test_a_writer_killed_at_any_moment_leaves_a_good_file_and_loses_next_to_nothing(path, moment):
    writer = start(WRITE_FOR_EVER, path)
    assert writer.stdout is not None
    writer.stdout.readline()
    time.sleep(moment)
    writer.kill()
    finished = len(writer.communicate()[0].split()) + 1
    inner = Echo()
    lm = Cached(inner, path)
    for number in range(finished):
        assert lm(f"question {number} ").text == f"question {number} " * 50
    assert lm.stats().problem is None
    if moment > 0.1:  # what was answered in the last milliseconds may be gone; on a busy machine they can be many
        assert inner.calls < finished / 2
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def test_what_was_answered_is_visible_to_others_within_50_ms(path):
    lm = Cached(Counting(), path)
    lm("warm up")
    lm.close()
    best = 1.0
    for number in range(30):
        lm(str(number))
        started = time.perf_counter()
        with sqlite3.connect(path) as db:
            while db.execute("SELECT count(*) FROM responses").fetchone()[0] < number + 2:
                assert time.perf_counter() - started < 20
                time.sleep(0.001)
        db.close()
        best = min(best, time.perf_counter() - started)
        if number > 1 and best < 0.05:  # of more tries on a busy machine
            break
    assert best < 0.05


@pytest.mark.server
def test_a_process_that_ends_at_once_has_written_everything(path):
    assert finish(start(ANSWER_MANY, path, 0, 200)) == "200\n"
    assert cache_files.open_file(path, 1 << 30).entries() == 200


def fork_and_ask(lm: Cached, connection) -> None:
    connection.send([lm(f"question {number}").text for number in range(20)])
    connection.close()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_uses_a_cache_that_its_parent_has_open(path):
    inner = Counting()
    lm = Cached(inner, path, memory=1)
    texts = [lm(f"question {number}").text for number in range(10)]
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=fork_and_ask, args=(lm, there))
    child.start()
    assert here.poll(20)
    told = here.recv()
    child.join()
    assert told[:10] == texts
    assert [lm(f"question {number}").text for number in range(20)] == told  # the child's answers were written
    assert inner.calls == 10


# Bad files


def complaints(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "outlast.cache"]


@pytest.mark.parametrize("content", [b"this is no database", b"\x00" * 5000, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_moved_aside_and_said_once(path, caplog, content):
    path.parent.mkdir()
    path.write_bytes(content)
    inner = Counting()
    lm = Cached(inner, path)
    assert [lm(text).text for text in ("a", "b", "a")] == ["answer 1", "answer 2", "answer 1"]
    lm.close()
    assert Path(f"{path}.corrupt-1").read_bytes() == content
    assert fresh(Counting(), path)("b").text == "answer 2"
    (complaint,) = complaints(caplog)
    assert "corrupt-1" in complaint
    assert "corrupt-1" in (lm.stats().problem or "")


def test_a_file_damaged_in_the_middle_never_gives_a_wrong_answer(path, caplog):
    inner = Counting(text="the right answer " * 100)
    lm = Cached(inner, path)
    for number in range(100):
        lm(str(number))
    lm.close()
    for attempt in range(3):
        data = bytearray(path.read_bytes())
        for place in range(4096 + attempt, len(data), 977):
            data[place] ^= 0xFF
        path.write_bytes(data)
        for other in (f"{path}-wal", f"{path}-shm"):
            Path(other).unlink(missing_ok=True)
        again = fresh(inner, path, memory=0)
        for number in range(100):
            assert again(str(number)).text == "the right answer " * 100
        again.close()
    assert fresh(inner, path)("99").cache == "hit"


async def test_what_is_being_written_when_the_damage_shows_goes_into_the_new_file(path):
    lm = Cached(Counting(text="long " * 400), path)
    for number in range(100):
        lm(str(number))
    lm.close()
    data = bytearray(path.read_bytes())
    for place in range(4096, len(data), 512):  # no page but the first is whole
        data[place] ^= 0xFF
    path.write_bytes(data)
    file = cache_file.CacheFile(path, 1 << 30)
    file.put(b"key", b"value", 1)  # nobody has read from the file before
    file.close()
    assert path.with_name(f"{path.name}.corrupt-1").exists()
    assert await cache_file.CacheFile(path, 1 << 30).get(b"key") == (b"value", 1)


def test_a_damaged_file_is_set_aside_while_another_connection_closes(path, monkeypatch):
    lm = Cached(Counting(), path)
    lm("a")
    lm.close()
    path.write_bytes(b"garbage" * 1000)
    Path(f"{path}-shm").touch()
    replace_file = os.replace

    def beside_another(source, target):
        if str(source).endswith("-shm"):
            raise FileNotFoundError(source)  # taken away since it was looked for
        replace_file(source, target)

    monkeypatch.setattr(os, "replace", beside_another)
    again = fresh(Counting(), path)
    again("b")
    again.close()
    assert fresh(Counting(), path)("b").cache == "hit"


def test_a_changed_row_is_asked_again(path):
    lm = Cached(Counting(), path)
    lm("hi")
    lm.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE responses SET value = replace(value, 'answer', 'forged')")
    db.close()
    inner = Counting()
    again = fresh(inner, path)
    assert again("hi").cache == "miss"
    again.close()
    assert fresh(Counting(), path)("hi").cache == "hit"


def test_somebody_elses_database_is_left_alone(path, caplog):
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE responses (precious TEXT)")
    db.close()
    before = path.read_bytes()
    lm = Cached(Counting(), path)
    assert [lm("hi").cache for _ in range(2)] == ["miss", "hit"]
    lm.close()
    assert path.read_bytes() == before
    assert len(complaints(caplog)) == 1
    assert "another program" in complaints(caplog)[0]


@pytest.mark.parametrize(
    "place",
    ["/proc/nowhere/responses.db", "/dev/full", "/dev/null/responses.db", ".", "a\x00b", "~nobody-here/responses.db"],
)
def test_a_place_that_cannot_hold_a_file_is_done_without(place, caplog):
    inner = Counting()
    lm = Cached(inner, place)
    assert [lm(text).cache for text in ("a", "b", "a", "b")] == ["miss", "miss", "hit", "hit"]
    lm.close()
    assert inner.calls == 2
    assert len(complaints(caplog)) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission_is_done_without(path, caplog):
    path.parent.mkdir(mode=0o500)
    lm = Cached(Counting(), path)
    assert [lm("a").cache for _ in range(2)] == ["miss", "hit"]
    assert len(complaints(caplog)) == 1


FULL_DISK = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000))
questions = [f"{number} " * 40 for number in range(100)]
lm(questions[0])
lm.close()
assert [lm(question).cache for question in questions[1:]] == ["miss"] * 99
assert [lm(question).cache for question in questions] == ["hit"] * 100
lm.close()
print(lm.stats().problem)
"""


@pytest.mark.server
def test_a_disk_that_fills_up_costs_the_cache_and_nothing_else(path):
    full = start(FULL_DISK, path)
    out, errors = full.communicate(timeout=60)
    assert full.returncode == 0, errors
    assert "cannot be written" in out
    assert errors.count("response cache") == 1
    inner = Echo()
    lm = fresh(inner, path)
    for number in range(100):
        question = f"{number} " * 40
        assert lm(question).text == question * 50
    assert 0 < inner.calls < 100


def test_a_file_locked_by_another_process_delays_nobody_for_long(path, monkeypatch, caplog):
    monkeypatch.setattr(cache_file, "_WRITE_SECONDS", 0.1)
    monkeypatch.setattr(cache_file, "_READ_SECONDS", 0.1)
    lm = Cached(Counting(), path)
    lm("before")
    lm.close()
    with sqlite3.connect(path, isolation_level=None) as db:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("BEGIN EXCLUSIVE")
        db.execute("UPDATE responses SET used = used")
        other = fresh(Counting(), path)
        started = time.perf_counter()
        assert [other(text).text for text in ("during", "during")] == ["answer 1", "answer 1"]
        other.close()
        assert time.perf_counter() - started < 10
        db.execute("COMMIT")
    db.close()
    assert any("locked" in complaint for complaint in complaints(caplog))
    assert other("after").cache == "miss"
    other.close()
    assert fresh(Counting(), path)("after").cache == "hit"


def test_a_file_deleted_while_it_is_open_is_made_anew(path):
    lm = Cached(Counting(), path)
    lm("a")
    cache_files.open_file(path, 1 << 30).flush()
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink()
    lm("b")
    lm.close()
    assert fresh(Counting(), path)("b").cache == "hit"


def test_rows_that_hold_no_response_are_asked_again(path):
    lm = Cached(Counting(), path)
    key = lm._keys.of(lm.inner.identity, Request((user("hi"),)))
    file = cache_files.open_file(path, 1 << 30)
    for text in (
        b"{}",
        b"[]",
        b'{"text": 1}',
        b"null",
        b'{"text": "x", "model": "m", "usage": {"new": 1}, "finish": "stop"}',
    ):
        file.put(key, text, 0)
        lm._memory.clear()
        assert lm("hi").cache == "miss"


# The rest


def test_the_file_is_private_and_holds_neither_pickles_nor_prompts_nor_identities(path):
    lm = Cached(Counting("model-name"), path)
    lm("a secret question")
    lm.close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with sqlite3.connect(path) as db:
        ((value,),) = db.execute("SELECT value FROM responses").fetchall()
    db.close()
    assert json.loads(value)["text"] == "answer 1"
    assert b"secret question" not in path.read_bytes()


def test_where_the_file_is(monkeypatch, tmp_path):
    monkeypatch.delenv("OUTLAST_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_place() == tmp_path / "outlast" / "responses.db"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_place() == tmp_path / "home" / ".cache" / "outlast" / "responses.db"
    monkeypatch.setenv("OUTLAST_CACHE", str(tmp_path / "named.db"))
    assert default_place() == tmp_path / "named.db"
    lm = Cached(Counting())
    lm("hi")
    assert lm.stats().path == str(tmp_path / "named.db")
    lm.close()
    assert (tmp_path / "named.db").exists()


@pytest.mark.parametrize("word", ["off", "OFF", " off "])
def test_it_can_be_switched_off_from_outside(monkeypatch, word):
    monkeypatch.setenv("OUTLAST_CACHE", word)
    inner = Counting()
    lm = Cached(inner)
    assert [lm("hi").cache for _ in range(2)] == ["miss", "miss"]
    assert lm.stats().path is None


@pytest.mark.parametrize("word", ["off", "On", " OFF ", "true", "none"])
def test_a_switch_is_not_taken_for_a_file(monkeypatch, word):
    for opened in (lambda: Cached(Counting(), word), lambda: ol.LM("openai/gpt-5-mini", cache=word)):
        with pytest.raises(ConfigError, match=r"cache=False.*OUTLAST_CACHE=off"):
            opened()
    if word.strip().lower() != "off":
        monkeypatch.setenv("OUTLAST_CACHE", word)
        with pytest.raises(ConfigError, match="OUTLAST_CACHE"):
            Cached(Counting())("hi")


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize(
    "place", ["http://u:secret@host/x", "unix://u:secret@/tmp/x", "Postgres://secret@h", "s3://secret"]
)
def test_an_address_is_not_taken_for_a_file_and_is_not_shown(monkeypatch, place, kind):
    monkeypatch.setenv("OUTLAST_CACHE", place)
    attempts = [
        lambda: Cached(Counting(), kind(place)),
        lambda: ol.LM("openai/gpt-5-mini", cache=kind(place)),
        lambda: Cached(Counting())("hi"),
    ]
    for attempt in attempts:
        with pytest.raises(ConfigError, match="redis://host:port/0") as caught:
            attempt()
        assert "secret" not in str(caught.value)


def test_a_redis_address_as_a_path_is_refused():
    with pytest.raises(ConfigError, match="as text"):
        Cached(Counting(), Path("redis://u:secret@host:1/0"))


def test_a_file_may_still_have_such_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lm = Cached(Counting(), "./off")
    lm("hi")
    lm.close()
    assert (tmp_path / "off").exists()
    assert Cached(Counting(), Path("off"))("hi").cache == "hit"


def test_nothing_is_opened_before_the_first_call(path):
    code = (
        "import sys, outlast\nfrom outlast.lms.caching.cache import Cached\nfrom outlast.testing import ScriptedLM\n"
        f"lm = Cached(ScriptedLM(['x']), {str(path)!r})\nrepr(lm)\nassert 'sqlite3' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert not path.exists()


def test_options_are_checked():
    for options in ({"memory": -1}, {"max_bytes": 1.5}, {"memory": True}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            Cached(Counting(), "x", **options)
    assert repr(Cached(Counting("m"), "x")) == "Cached(LM('m'))"


def test_a_hit_in_memory_costs_little(path):
    lm = Cached(Counting(), path)
    requests = [Request((system("s"), user("x" * 1000 + str(number)))) for number in range(100)]

    async def cost() -> float:
        best = 1.0
        for _ in range(6):
            started = time.process_time()
            for request in requests:
                assert (await lm.complete(request)).text
            best = min(best, (time.process_time() - started) / len(requests))
        return best

    with running(blocking=False):
        assert asyncio.run(cost()) < 50e-6


def test_files_and_threads_are_let_go(path):
    before = set(threading.enumerate())
    for number in range(3):
        lm = Cached(Counting(), path.with_name(f"{number}.db"))
        lm("hi")
        lm.close()
        del lm
    import gc

    gc.collect()
    assert not [file for file in cache_files._files.values() if file.path.parent == path.parent]
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "outlast-cache"]


def test_logging_is_the_only_way_it_complains():
    assert cache_file.logger is logging.getLogger("outlast.cache")
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_keys_tell_requests_apart_and_equal_ones_together(tmp_path: Path):
    from outlast.messages import Message, Request, Settings, TextPart
    from outlast.testing import ScriptedLM

    cached = Cached(ScriptedLM(lambda _: "x"), tmp_path / "keys.db")

    def key(*messages: Message, **rest: object) -> bytes | None:
        return cached._keys.of("m", Request(messages, **rest))

    user, assistant = Message("user", "a"), Message("assistant", "b")
    different = [
        key(user),
        key(assistant),
        key(user, assistant),
        key(assistant, user),
        key(Message("user", "a\nassistant 1\nb")),
        key(Message("user", "a= {}")),
        key(Message("user", (TextPart("a"),))),
        key(user, sample=1),
        key(user, settings=Settings(temperature=1.0)),
        key(user, output="json"),
        key(Message("user", "")),
        key(),
        key(Message("user", "\ud800")),
        key(Message("user", "?")),
    ]
    assert len(set(different)) == len(different)
    assert key(user) == key(Message("user", "a"), settings=Settings())
    cached.close()
