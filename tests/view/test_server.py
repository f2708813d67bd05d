"""The page starts on a free address, works over a real store, and ends when it is told to."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import unquote

import pytest

import outlast as ol
from outlast.cli import main
from outlast.errors import ConfigError
from outlast.testing import ScriptedLM
from outlast.tracing.store import Store, open_store
from outlast.tracing.switch import flush
from outlast.view.exporting import export
from outlast.view.server import Server
from tests.view.samples import filled, sample_records
from tests.view.serving import served


class Ask(ol.Signature):
    """Answer the question."""

    question: str = ol.input()
    answer: str = ol.output()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that a real program filled: one call that works, one that fails."""
    path = tmp_path_factory.mktemp("kept") / "traces.db"
    with ol.trace(store=path, tags=("evening",), session="chat-1"):
        program = ol.ChainOfThought(Ask)
        with ol.context(lm=ScriptedLM([{"reasoning": "**Easy.**", "answer": "It is blue <script>alert(1)</script>"}])):
            program(question="What colour is the sky?")
        with ol.context(lm=ScriptedLM([ValueError("the model is away")])), pytest.raises(ValueError, match="away"):
            program(question="And the sea?")
    assert flush()
    with open_store(path) as store:
        store.search("sky")  # what is searched is made by those who write, a moment later
    return path


def test_every_page_works_over_a_real_store(kept: Path) -> None:
    store = open_store(kept, read_only=True)
    with served(store, name="traces.db", place=str(kept), read_only=True) as page:
        text = page.get("/traces").text
        assert text.count("<tr data-row") == 2
        assert "What colour is the sky?" in text
        ids = re.findall(r'href="(/traces/[0-9a-f]{32})"', text)
        trace = page.get(ids[1]).text
        assert "<strong>Easy.</strong>" in trace
        assert "&lt;script&gt;alert(1)" in trace
        assert "Answer the question." in trace  # the prompt as it was sent
        assert "the model is away" in page.get(ids[0]).text
        steps = re.findall(rf'hx-get="({ids[1]}/steps/[0-9a-f]+/raw)"', trace)
        assert "&#34;lm_asked&#34;" in page.get(steps[-1]).text
        version = re.findall(r'href="(/programs/[0-9a-f]+)"', page.get("/programs").text)[0]
        assert "Answer the question." in page.get(version).text
        run = re.findall(r'href="(/runs/[0-9a-f]+)"', page.get("/runs").text)[0]
        assert "What colour" in page.get(run).text
        assert page.get("/traces?text=colour").text.count("<mark>colour</mark>") >= 1
        assert page.get("/traces?text=colour&status=error").text.count("<tr data-row") == 0
        assert page.get("/traces?tag=evening&session=chat-1&since=2h").text.count("<tr data-row") == 2
        assert page.get("/traces?since=2000-01-01&until=2001-01-01").text.count("<tr data-row") == 0
        for path in ("/traces?since=soon", "/traces?min_cost=much"):
            assert page.get(path).status == 400
        for path in ("/traces/00ff", "/runs/00ff", "/programs/00ff", "/compare?a=1&b=2", "/traces/%2e%2e"):
            answer = page.get(path)
            assert answer.status == 404
            assert str(kept) not in answer.text  # where things lie on the disk is nobody's business
    store.close()


def test_an_error_never_says_where_the_store_lies(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(kept.parent.parent)
    named = f"{kept.parent.name}/{kept.name}"
    for place, told in ((named, named), (str(kept), ""), (str(kept), named)):
        with closing(open_store(place, read_only=True)) as store, served(store, name="mine", place=told) as page:
            answer = page.get("/traces/zzz")
            assert (answer.status, kept.parent.name in answer.text) == (404, False)
            assert " in mine" in answer.text


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "empty.db", create=True) as made:
        yield made


def test_an_empty_store_says_what_to_do(empty: Store) -> None:
    with served(empty) as page:
        assert "Nothing was traced here yet" in page.get("/").text
        assert "No trace fits" in page.get("/traces").text
        assert "No runs here" in page.get("/runs").text
        assert "No program yet" in page.get("/programs").text


def test_a_taken_port_is_an_error_or_the_next_is_used(empty: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port}: Address already in use"):
            Server(empty, port=port)
    first = Server(empty)
    second = Server(empty)
    try:
        assert first.local
        assert first.port != second.port
        assert first.site.token != second.site.token
        assert first.url.startswith(f"http://127.0.0.1:{first.port}/?token=")
    finally:
        first._socket.close()
        second._socket.close()


def test_an_address_beyond_this_machine_is_not_local(empty: Store) -> None:
    server = Server(empty, host="0.0.0.0", port=0, allow=["Workstation"])
    try:
        assert not server.local
        assert server.site.hosts >= {f"*:{server.port}", f"workstation:{server.port}"}
        assert server.url.startswith(f"http://127.0.0.1:{server.port}/?token=")
    finally:
        server._socket.close()


@pytest.mark.server
def test_the_command_starts_prints_its_address_and_ends_by_ctrl_c(kept: Path) -> None:
    command = [sys.executable, "-m", "outlast", "view", str(kept), "--no-open", "--port", "0"]
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        seconds = time.perf_counter() - began
        print(f"outlast view: {seconds:.2f} s to its address")
        url = re.findall(r"http://127\.0\.0\.1:\d+/\?token=\S+", line)[0]
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        assert b"Open" in browser.open(url).read()
        assert b"Newest traces" in browser.open(url.partition("?")[0]).read()
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=10)[1]
    finally:
        process.kill()
    assert process.returncode == 0
    assert "the page is closed" in rest
    assert "Traceback" not in rest
    assert seconds < 10  # about 0.8 on an idle machine; several tests run here at once


def test_the_command_says_what_cannot_be_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", str(tmp_path / "none.db"), "--no-open"]) == 3
    assert "no store" in capsys.readouterr().err
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "other.db").write_text("not a database")
    assert main(["view", str(tmp_path / "other.db"), "--no-open"]) == 3
    assert main(["view", "--port", "99999"]) == 2


def test_the_page_shows_no_password_and_no_folder() -> None:
    from outlast.cli.view import shown_name

    assert shown_name("postgresql://me:secret@db.example/traces") == "db.example/traces"
    assert shown_name("/home/me/secret/traces.db") == "traces.db"


def test_an_export_is_a_folder_of_files_that_link_to_each_other(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site"
    assert main(["view", str(kept), "--export", str(site)]) == 0
    assert "pages in" in capsys.readouterr().err
    names = {one.name for one in site.iterdir()}
    assert {"index.html", "traces.html", "runs.html", "programs.html", "static-style.css", "static-page.js"} <= names
    for page in site.glob("*.html"):
        text = page.read_text("utf-8")
        linked = set(re.findall(r'(?:href|src)="([^"#]+?)(?:#[^"]*)?"', text))
        assert {link for link in linked if not link.startswith(("http", "data:"))} <= names, page.name
        assert not re.search(r"<[a-z]+ [^>]*(?:hx-|http-equiv=.refresh)", text)  # nothing that needs a server


def test_an_export_has_a_bound(kept: Path, tmp_path: Path) -> None:
    with open_store(kept, read_only=True) as store:
        done = export(store, tmp_path / "site", most=4)
    assert done.pages == 5
    assert done.left_out > 0
    assert "Left out" in (tmp_path / "site" / "left-out.html").read_text("utf-8")


def test_compiled_files_are_compared_by_name_and_never_by_path(empty: Store, tmp_path: Path) -> None:
    files = {
        "old.outlast.json": {"parameters": {"answer.instruction": "Be brief."}, "program": {}},
        "new.outlast.json": {"parameters": {"answer.instruction": "Be very brief."}, "program": {}},
    }
    secret = tmp_path / "secret.outlast.json"
    secret.write_text('{"parameters": {"x": "secret"}}')
    with served(empty, artifacts=files) as page:
        assert "old.outlast.json" in page.get("/programs").text
        text = page.get("/programs/diff?a=file:old.outlast.json&b=file:new.outlast.json").text
        assert "<ins>very </ins>" in text or "<ins> very</ins>" in text
        for path in (str(secret), "../../etc/passwd", f"file:{secret}", "file:../secret.outlast.json"):
            answer = page.get(f"/programs/diff?a={path}&b=file:new.outlast.json")
            assert answer.status in (400, 404)
            assert "secret</" not in answer.text


def test_the_older_stands_first_and_a_compiled_file_last(tmp_path: Path) -> None:
    files = {"new.outlast.json": {"parameters": {"answer.instruction": "Be brief."}, "program": {}}}
    file = "file:new.outlast.json"
    with closing(filled(tmp_path / "s.db", sample_records())) as store, served(store, artifacts=files) as page:
        old, new, *_ = [one.hash for one in sorted(store.programs(), key=lambda one: one.first_seen)]
        for first, second in ((old, file), (old, new)):
            for v, w in ((first, second), (second, first)):
                text = page.get(f"/programs/diff?v={v}&v={w}").text
                [(a, b)] = re.findall(r"diff\?a=([^&]+)&amp;b=([^\"]+)\"", text)
                assert (unquote(a), unquote(b)) == (second, first)  # what Swap leads to
        assert '<th scope="col" colspan="2">Found</th>' in page.get("/traces?text=petrol").text
        assert "Found</th>" not in page.get("/traces").text
