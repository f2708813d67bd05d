"""The cache that a fleet shares, on a real Redis server: shared answers, leases, and a server that is dead or slow."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import pickle
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import ConfigError
from outlast.lms.caching.cache import Cached
from outlast.lms.caching.redis_cache import RedisCache, open_redis
from outlast.lms.protocol import LM
from outlast.messages import (
    Decision,
    Finished,
    Question,
    Request,
    Response,
    Usage,
    user,
)
from outlast.runtime import sleep
from outlast.testing.server import FakeServer
from outlast.types import Label

BINARY = shutil.which("redis-server")
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(
        BINARY is None and not os.environ.get("CI"), reason="no redis-server here: apt-get install -y redis-server"
    ),
]
ASK = Request((user("a"),), questions=(("q", Question("yes_no", "Is it?")),))
PASSWORD = "s3cret-pass-w0rd"


class Redis:
    """A Redis server on loopback."""

    def __init__(self, folder: Path, port: int, *options: str, settings: Path | None = None) -> None:
        assert BINARY is not None, "CI must have redis-server: apt-get install -y redis-server"
        self.port = port
        named = [] if settings is None else [str(settings)]
        listen = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        self.options = [BINARY, *named, *listen, *options]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.options, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 30
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    return
            except OSError:
                assert time.monotonic() < until, "redis-server does not start"
                time.sleep(0.02)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def cli(self, *command: str) -> str:
        tool = shutil.which("redis-cli")
        assert tool is not None
        done = subprocess.run([tool, "-p", str(self.port), *command], capture_output=True, text=True, check=True)
        return done.stdout.strip()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("redis"), free_port())
    yield server
    server.stop()


@pytest.fixture
def server(shared_server: Redis) -> Redis:
    shared_server.cli("FLUSHALL")
    return shared_server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Redis]:
    """A server that the test may stop."""
    server = Redis(tmp_path, free_port())
    yield server
    server.stop()


@pytest.fixture
def opened() -> Iterator[list[RedisCache]]:
    """Caches to close at the end, so that no connection outlives a test."""
    caches: list[RedisCache] = []
    yield caches
    for cache in caches:
        cache.close()


class Echo(LM):
    name, blocking_safe = "echo", True

    async def complete(self, request: Request) -> Response:
        return Response(request.messages[-1].text)


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


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "outlast.cache"]


def test_an_answer_of_one_is_known_to_all(server: Redis, opened: list[RedisCache]) -> None:
    store = RedisCache(server.url, timeout=5)
    opened.append(store)
    inner = Counting(text="täxt \ud800 " * 100, label=Label(frozenset({"web"})))
    first = Cached(inner, store)("hi")
    assert store.flush()
    other = Cached(Counting(), store)
    found = other("hi")
    assert (found.text, found.label, found.cache) == (first.text, first.label, "hit")
    assert other("hi").cache == "hit"
    stats = other.stats()
    assert (stats.redis_hits, stats.memory_hits, stats.disk_hits, stats.misses) == (1, 1, 0, 0)
    assert (stats.path, stats.problem, stats.tokens_saved) == (server.url, None, 14)
    assert int(server.cli("STRLEN", server.cli("KEYS", "*"))) < 300  # compressed


async def test_blocking_async_and_streams_share_it(server: Redis, opened: list[RedisCache]) -> None:
    store = RedisCache(server.url, timeout=5)
    opened.append(store)
    inner = Counting(decisions=(("q", Decision(True, {"yes": 1.0}, "native")),))
    await Cached(inner, store).acall("a")
    await asyncio.to_thread(store.flush)
    assert (await asyncio.to_thread(Cached(inner, store), "a")).cache == "hit"
    events = [event async for event in Cached(inner, store).stream(Request((user("a"),)))]
    assert isinstance(events[-1], Finished)
    assert events[-1].response.cache == "hit"
    first = await Cached(inner, store).complete(ASK)
    await asyncio.to_thread(store.flush)
    again = await Cached(inner, store).complete(ASK)
    assert (again.cache, again.decisions) == ("hit", first.decisions)
    assert inner.calls == 2


async def test_many_at_once_travel_together(server: Redis, opened: list[RedisCache]) -> None:
    store = RedisCache(server.url, timeout=5)
    opened.append(store)
    lm = Cached(Counting(), store, memory=0)
    await asyncio.gather(*(lm.acall(str(number)) for number in range(500)))
    await asyncio.to_thread(store.flush)
    answers = await asyncio.gather(*(lm.acall(str(number)) for number in range(500)))
    assert {answer.cache for answer in answers} == {"hit"}
    assert server.cli("INFO", "clients").split("connected_clients:")[1].split()[0] == "2"  # ours and the one that asks


def test_a_time_to_live_is_that_of_redis_too(server: Redis, opened: list[RedisCache]) -> None:
    store = RedisCache(server.url, timeout=5)
    opened.append(store)
    lm = Cached(Counting(), store, ttl=1.0, memory=0)
    lm("hi")
    store.flush()
    assert 0 < int(server.cli("PTTL", server.cli("KEYS", "*"))) <= 1000
    assert lm("hi").cache == "hit"
    time.sleep(1.1)
    assert server.cli("KEYS", "*") == ""
    assert lm("hi").cache == "miss"


def test_an_entry_without_an_end_is_too_old_for_who_says_so(server: Redis, opened: list[RedisCache]) -> None:
    store = RedisCache(server.url, timeout=5)
    opened.append(store)
    Cached(Counting(), store)("hi")
    time.sleep(0.1)
    cut = Cached(Counting(finish="length"), store, ttl=0.05)
    assert (cut("hi").cache, cut.stats().expired) == ("miss", 1)
    store.flush()
    assert server.cli("KEYS", "*") == ""


def test_namespaces_and_clear(server: Redis, opened: list[RedisCache]) -> None:
    store = RedisCache(server.url, timeout=5)
    opened.append(store)
    server.cli("SET", "precious", "1")
    inner = Counting()
    for name in ("a", "b"):
        Cached(inner, store, namespace=name)("hi")
    store.flush()
    assert inner.calls == 2
    Cached(inner, store).clear()
    assert server.cli("KEYS", "*") == "precious"


@pytest.mark.parametrize("damage", ["", "x", "12345678", "12345678 9 =abc", "\x00" * 40])
def test_a_damaged_entry_is_asked_again(server: Redis, opened: list[RedisCache], damage: str) -> None:
    store = RedisCache(server.url, timeout=5)
    opened.append(store)
    Cached(Counting(), store)("hi")
    store.flush()
    server.cli("SETRANGE", server.cli("KEYS", "*"), "12", "garbage") if damage == "x" else server.cli(
        "SET", server.cli("KEYS", "*"), damage.replace("\x00", "0")
    )
    assert Cached(Counting(), store)("hi").cache == "miss"


def test_an_entry_moved_to_another_key_is_no_answer_to_it(server: Redis, opened: list[RedisCache]) -> None:
    store = RedisCache(server.url, timeout=5)
    opened.append(store)
    lm = Cached(Counting(), store, memory=0)
    lm("one")
    store.flush()
    one = server.cli("KEYS", "*")
    lm("two")
    store.flush()
    (two,) = set(server.cli("KEYS", "*").split()) - {one}
    server.cli("COPY", one, two, "REPLACE")
    assert lm("two").text == "answer 3"


# A server that is not well


def test_no_server_costs_one_warning_and_no_time(caplog: pytest.LogCaptureFixture, opened: list[RedisCache]) -> None:
    store = RedisCache(f"redis://127.0.0.1:{free_port()}/0")
    opened.append(store)
    inner = Counting()
    lm = Cached(inner, store)
    lm("warm up")  # imports the client
    started = time.monotonic()
    assert [lm(str(number)).cache for number in range(200)] == ["miss"] * 200
    assert time.monotonic() - started < 10
    store.flush()
    assert len(complaints(caplog)) == 1
    assert "going on without it" in (lm.stats().problem or "")


def test_a_server_that_never_answers_holds_up_for_one_timeout(
    caplog: pytest.LogCaptureFixture, opened: list[RedisCache]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = RedisCache(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", timeout=0.1)
        opened.append(store)
        lm = Cached(Counting(), store)
        started = time.monotonic()
        threads = [threading.Thread(target=lm, args=(str(number),)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number in range(100):
            lm(f"more {number}")
        assert time.monotonic() - started < 9
        store.close()
    assert len(complaints(caplog)) == 1


def test_a_server_that_dies_and_comes_back_is_used_again(own_server: Redis, opened: list[RedisCache]) -> None:
    store = RedisCache(own_server.url, timeout=2, rest=0.2)
    opened.append(store)
    inner = Counting()
    lm = Cached(inner, store, memory=0)
    lm("hi")
    store.flush()
    assert lm("hi").cache == "hit"
    own_server.stop()
    assert [lm("hi").cache for _ in range(3)] == ["miss"] * 3
    own_server.start()
    until = time.monotonic() + 15
    while lm("hi").cache == "miss":
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_full_server_stores_nothing_and_fails_nobody(
    own_server: Redis, opened: list[RedisCache], caplog: pytest.LogCaptureFixture
) -> None:
    store = RedisCache(own_server.url, timeout=2)
    opened.append(store)
    lm = Cached(Counting(), store, memory=0)
    lm("before")
    store.flush()
    own_server.cli("CONFIG", "SET", "maxmemory", "1")
    assert [lm(str(number)).cache for number in range(3)] == ["miss"] * 3
    store.flush()
    assert lm("before").cache == "hit"
    assert len(complaints(caplog)) == 1
    assert "maxmemory" in complaints(caplog)[0]


# Secrets


def test_the_password_is_shown_nowhere(
    tmp_path: Path, opened: list[RedisCache], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Redis(tmp_path, free_port(), "--requirepass", PASSWORD)
    try:
        url = f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0"
        lm = ol.LM("openai/some-model", cache=url, api_key="k")
        inner = Counting()
        assert lm.options["cache"] is open_redis(url)  # what is made of these options has the password
        lm_ = Cached(inner, url)
        store = open_redis(url)
        opened.append(store)
        lm_("hi")
        store.flush()
        assert Cached(inner, url)("hi").cache == "hit"
        shown = [repr(lm), repr(lm.info()), repr(vars(lm)), repr(lm_), repr(lm_.info()), repr(lm_.stats()), repr(store)]
        assert not [text for text in shown if PASSWORD in text]
        for value in (lm, store):
            assert PASSWORD.encode() not in pickle.dumps(value)
        wrong = RedisCache(f"redis://:wrong-{PASSWORD}@127.0.0.1:{server.port}/0", timeout=5)
        opened.append(wrong)
        assert Cached(inner, wrong)("hi").cache == "miss"
        assert complaints(caplog)
        assert PASSWORD not in caplog.text
        monkeypatch.setenv("OUTLAST_REDIS_PASSWORD", PASSWORD)
        again = pickle.loads(pickle.dumps(store))
        opened.append(again)
        assert Cached(Counting(), again)("hi").cache == "hit"
    finally:
        server.stop()


def test_an_error_that_echoes_the_password_is_told_without_it(caplog: pytest.LogCaptureFixture) -> None:
    store = RedisCache(f"redis://:{PASSWORD}@127.0.0.1:1/0")
    store._report(OSError(f"AUTH {PASSWORD} failed"))
    assert "AUTH [key] failed" in caplog.text
    assert PASSWORD not in f"{caplog.text} {store.problem}"


def test_tls_is_verified_and_a_user_may_be_named(
    tmp_path: Path, opened: list[RedisCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate, port = tmp_path / "key.pem", tmp_path / "certificate.pem", free_port()
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        key,
        "-out",
        certificate,
        "-days",
        "2",
    ]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*make, *named], check=True, capture_output=True)
    settings = tmp_path / "redis.conf"
    settings.write_text(
        f"tls-port {port}\ntls-cert-file {certificate}\ntls-key-file {key}\ntls-ca-cert-file {certificate}\n"
        f"tls-auth-clients no\nuser alice on >{PASSWORD} ~* +@all\n"
    )
    server = Redis(tmp_path, free_port(), settings=settings)
    try:
        url = f"rediss://alice:{PASSWORD}@127.0.0.1:{port}/0"
        stranger = RedisCache(url, timeout=5)
        opened.append(stranger)
        assert Cached(Counting(), stranger)("hi").cache == "miss"
        assert "certificate verify failed" in (stranger.problem or "")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        trusting = RedisCache(url, timeout=5)
        opened.append(trusting)
        Cached(Counting(), trusting)("hi")
        trusting.flush()
        assert Cached(Counting(), trusting)("hi").cache == "hit"
        assert trusting.problem is None
    finally:
        server.stop()


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{PASSWORD}@host:port/0",
        f"redis://:{PASSWORD}@/0",
        f"redis://:{PASSWORD}@host/name",
        f"redis://:{PASSWORD}@host/0?timeout=1",
        f"http://:{PASSWORD}@host/0",
        3,
    ],
)
def test_an_address_that_is_none_is_refused_without_showing_it(url: Any) -> None:
    with pytest.raises(ConfigError, match="redis://host:6379/0") as caught:
        RedisCache(url)
    assert PASSWORD not in str(caught.value)


def test_options_are_checked() -> None:
    for options in ({"timeout": 0}, {"rest": "x"}, {"lease": -1}, {"timeout": True}, {"timeout": None}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            RedisCache("redis://127.0.0.1:1/0", **options)


def test_the_environment_may_name_a_redis(
    server: Redis, opened: list[RedisCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTLAST_CACHE", server.url)
    lm = Cached(Counting())
    lm("hi")
    opened.append(open_redis(server.url))
    assert lm.stats().path == server.url


# Several processes


KIT = """
import sys, time
from outlast.lms.caching.cache import Cached
from outlast.lms.protocol import LM
from outlast.lms.caching.redis_cache import RedisCache
from outlast.messages import Response
class Slow(LM):
    name, blocking_safe, calls = "slow", True, 0
    async def complete(self, request):
        from outlast.runtime import sleep
        self.calls += 1
        await sleep(float(sys.argv[2]))
        return Response(text=request.messages[-1].text * 20)
inner = Slow()
lease = float(sys.argv[3])
lm = Cached(inner, RedisCache(sys.argv[1], timeout=5, lease=lease or None))
"""
ASK_ONE = "assert lm('question ').text == 'question ' * 20\nprint(inner.calls)"


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", KIT + script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert errors == ""
    return out


def test_a_process_that_ends_at_once_has_stored_everything(server: Redis) -> None:
    many = "for n in range(200): lm(f'{n} ')\nprint(inner.calls)"
    assert finish(start(many, server.url, 0, 0)) == "200\n"
    assert finish(start(many, server.url, 0, 0)) == "0\n"


def test_with_a_lease_one_process_asks_for_all(server: Redis) -> None:
    processes = [start(ASK_ONE, server.url, 1.5, 30) for _ in range(4)]
    assert sorted(finish(process) for process in processes) == ["0\n"] * 3 + ["1\n"]
    assert len(server.cli("KEYS", "*").split()) == 1  # the lease is gone


def test_a_lease_of_a_dead_process_ends(server: Redis, opened: list[RedisCache]) -> None:
    holder = start("print('ready', flush=True)\n" + ASK_ONE, server.url, 60, 2)
    assert holder.stdout is not None
    holder.stdout.readline()
    until = time.monotonic() + 30
    while not server.cli("KEYS", "outlast:lease:*"):
        assert time.monotonic() < until
        time.sleep(0.02)
    holder.kill()
    holder.communicate()
    started = time.monotonic()
    waiter = finish(start(ASK_ONE, server.url, 0, 2))
    assert waiter == "1\n"
    assert time.monotonic() - started < 6


async def test_a_lease_whose_holder_fails_goes_to_the_next(server: Redis, opened: list[RedisCache]) -> None:
    class Failing(Counting):
        async def complete(self, request: Request) -> Response:
            await super().complete(request)
            raise ol.errors.LMServerError("down")

    stores = [RedisCache(server.url, timeout=5, lease=20) for _ in range(2)]
    opened.extend(stores)
    failing, waiting = Cached(Failing(delay=0.2), stores[0]), Cached(Counting(), stores[1])
    first = asyncio.ensure_future(failing.acall("hi"))
    await asyncio.sleep(0.1)
    assert (await asyncio.wait_for(waiting.acall("hi"), 60)).text == "answer 1"
    with pytest.raises(ol.errors.LMServerError):
        await first


async def test_calls_that_are_given_up_leave_no_lease(server: Redis, opened: list[RedisCache]) -> None:
    store = RedisCache(server.url, timeout=5, lease=60)
    opened.append(store)
    lm = Cached(Counting(delay=30), store)
    for number in range(60):
        call = asyncio.ensure_future(lm.acall(str(number)))
        await asyncio.sleep(number / 20_000)
        call.cancel()
        await asyncio.wait([call])
    await asyncio.to_thread(store.flush)
    assert await asyncio.to_thread(server.cli, "KEYS", "*") == ""


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_makes_its_own_connection(server: Redis, opened: list[RedisCache]) -> None:
    store = RedisCache(server.url, timeout=5)
    opened.append(store)
    lm = Cached(Counting(), store, memory=0)
    lm("hi")
    store.flush()
    child = os.fork()
    if child == 0:
        good = lm("hi").cache == "hit" and lm("child").cache == "miss" and store.flush()
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert [lm(text).cache for text in ("hi", "child")] == ["hit", "hit"]


def ask_in_child(lm: Cached) -> None:
    lm("small")
    lm(os.urandom(4_000_000).hex())  # on its way for some milliseconds


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_of_multiprocessing_has_stored_everything_at_its_end(
    server: Redis, opened: list[RedisCache], method: str
) -> None:
    store = RedisCache(server.url, timeout=5)
    opened.append(store)
    lm = Cached(Echo(), store, memory=0)
    lm("warm up")
    store.flush()
    child = multiprocessing.get_context(method).Process(target=ask_in_child, args=(lm,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert len(server.cli("KEYS", "*").split()) == 3


def test_a_model_that_is_opened_by_name_shares_its_answers(server: Redis, opened: list[RedisCache]) -> None:
    opened.append(open_redis(server.url))
    with FakeServer("yes") as models:
        options: dict[str, Any] = {"base_url": models.url, "api_key": "k", "cache": server.url}
        assert ol.LM("openai/m", **options)("hi").cache == "miss"
        open_redis(server.url).flush()
        assert ol.LM("openai/m", **options)("hi").cache == "hit"


def test_nothing_is_imported_or_connected_before_the_first_call() -> None:
    code = (
        "import sys\nfrom outlast.lms.caching.cache import Cached\nfrom outlast.testing import ScriptedLM\n"
        "Cached(ScriptedLM(['x']), 'redis://127.0.0.1:1/0')\nassert 'redis' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_logging_is_where_it_complains() -> None:
    from outlast.lms.caching import file as cache_file
    from outlast.lms.caching import redis_cache

    assert redis_cache.logger is cache_file.logger is logging.getLogger("outlast.cache")
