"""What a server says of the weights and the software behind a model's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.lms.wire.reply import fingerprint_in
from outlast.messages import Finished, Response
from outlast.testing.server import Answer, FakeServer


def model(server: FakeServer, **more: Any) -> ol.LM:
    return ol.LM("openai/test", base_url=server.url, **{"cache": False, "retries": 0, **more})


def test_it_is_read_from_a_whole_reply() -> None:
    with FakeServer(Answer("hello", fingerprint="fp_44709d6fcb")) as server:
        assert model(server)("hi").fingerprint == "fp_44709d6fcb"


def test_it_is_read_from_a_stream() -> None:
    with FakeServer(Answer("hello you", fingerprint="b4242-abc")) as server:
        last = list(model(server).events("hi"))[-1]
    assert isinstance(last, Finished)
    assert last.response.fingerprint == "b4242-abc"


def test_a_server_that_tells_none_leaves_it_empty() -> None:
    with FakeServer("hello") as server:
        assert model(server)("hi").fingerprint == ""


def test_a_cache_and_a_cassette_give_it_back(tmp_path: Path) -> None:
    with FakeServer(Answer("hello", fingerprint="fp_1")) as server:
        lm = model(server, cache=str(tmp_path / "cache.db"))
        assert [lm("hi").fingerprint for _ in range(2)] == ["fp_1", "fp_1"]
        assert server.count == 1
        recorded = ol.Cassette(model(server), tmp_path / "tape.jsonl", mode="record")
        assert recorded("hi").fingerprint == "fp_1"
    assert '"fingerprint": "fp_1"' in (tmp_path / "tape.jsonl").read_text()


@pytest.mark.parametrize(
    ("told", "found"),
    [({}, ""), ({"system_fingerprint": None}, ""), ({"system_fingerprint": 7}, ""), ([], ""), (None, "")]
    + [({"system_fingerprint": "x" * 999}, "x" * 200)],
)
def test_what_is_no_short_text_is_none(told: Any, found: str) -> None:
    assert fingerprint_in(told) == found


def test_a_response_is_read_back_with_it_and_without() -> None:
    told = Response("x", "m", fingerprint="fp_1")
    assert Response.from_json(told.to_json()) == told
    assert "fingerprint" not in Response("x", "m").to_json()
