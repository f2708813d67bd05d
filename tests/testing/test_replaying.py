"""`ol.testing.replay`: a block whose models answer from a file in git."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import ConfigError, DataError, LMReplayError, UsageError
from outlast.messages import Response
from outlast.testing import ScriptedLM, replay
from outlast.tracing.switch import flush


class QA(ol.Signature):
    """Answer the question."""

    question: str = ol.input()
    answer: str = ol.output()


class Two(ol.Module):
    """Two steps, the first with a model of its own."""

    def __init__(self, own: ol.LM) -> None:
        self.first = ol.Predict(QA, lm=own)
        self.second = ol.Predict(QA)

    def forward(self, question: str) -> Any:
        return self.second(question=self.first(question=question).answer)


def answering(*texts: str, name: str = "scripted") -> ScriptedLM:
    return ScriptedLM([Response(f"<<answer>>\n{text}\n<<end>>") for text in texts], name=name)


def dead(name: str) -> ScriptedLM:
    return ScriptedLM([], name=name)


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OUTLAST_CASSETTE", raising=False)


def test_what_a_block_asks_all_its_models_is_recorded_once_and_replayed(tmp_path: Path) -> None:
    path = tmp_path / "tapes" / "two.jsonl"
    with replay(path, mode="record") as playing, ol.context(lm=answering("Rome", name="b")):
        assert Two(answering("Paris", name="a"))(question="?").answer == "Rome"
    assert (playing.mode, playing.given) == ("record", 0)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["model"], line["name"]) for line in lines] == [("a", "a"), ("b", "b")]
    with replay(path) as playing, ol.context(lm=dead("b")):
        out = Two(dead("a"))(question="?")
    assert out.answer == "Rome"
    assert (playing.mode, playing.given) == ("replay", 2)
    assert [span.response.cache for span in out.trace if span.response] == ["replayed", "replayed"]
    assert out.trace.spending.dollars == 0


def test_the_variable_says_to_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "qa.jsonl"
    monkeypatch.setenv("OUTLAST_CASSETTE", "record")
    for text in ("one", "two"):
        with replay(path, lm=answering(text)):
            assert ol.Predict(QA)(question="?").answer == text
    assert len(path.read_text().splitlines()) == 1
    monkeypatch.delenv("OUTLAST_CASSETTE")
    with replay(path):
        assert ol.Predict(QA)(question="?").answer == "two"


def test_what_is_missing_is_asked_and_appended(tmp_path: Path) -> None:
    path = tmp_path / "qa.jsonl"
    with replay(path, lm=answering("one"), mode="record"):
        ol.Predict(QA)(question="a")
    lm = answering("two")
    with replay(path, lm=lm, mode="auto"):
        assert [ol.Predict(QA)(question=name).answer for name in "aba"] == ["one", "two", "one"]
    assert lm.calls == 1
    assert len(path.read_text().splitlines()) == 2


def test_a_model_with_a_cache_is_recorded_too(tmp_path: Path) -> None:
    cached = ol.Cached(answering("one"), tmp_path / "cache.db")
    for name in ("a.jsonl", "b.jsonl"):
        with replay(tmp_path / name, lm=cached, mode="record"):
            ol.Predict(QA)(question="?")
        assert len((tmp_path / name).read_text().splitlines()) == 1


def test_a_request_that_is_not_recorded_is_loud_also_where_it_is_swallowed(tmp_path: Path) -> None:
    path = tmp_path / "qa.jsonl"
    with replay(path, lm=answering("one"), mode="record"):
        ol.Predict(QA)(question="What?")
    with pytest.raises(LMReplayError, match=r"qa\.jsonl.*nearest, line 1, differs:\n-What\?\n\+Who\?$"), replay(path):
        ol.Predict(QA)(question="Who?")

    def swallow() -> None:
        with replay(path):
            try:
                ol.Predict(QA)(question="Who?")
            except LMReplayError:
                return

    with pytest.raises(LMReplayError, match="Who"):
        swallow()


def test_stored_traces_are_a_recording_too_and_become_a_cassette_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_API_KEY", "correct horse battery")
    store, path = tmp_path / "traces.db", tmp_path / "qa.jsonl"
    with ol.trace(store=store) as spans, ol.context(lm=answering("no", "no")):
        ol.Predict(QA)(question="Is correct horse battery a key?")
        ol.Predict(QA)(question="Is correct horse battery a key?")
    assert flush()
    with replay(store, spans.id) as playing:
        assert ol.Predict(QA)(question="Is correct horse battery a key?").answer == "no"
    assert playing.given == 1
    [run] = ol.open_store(store).runs()
    written = ol.write_cassette(store, run.id, path)
    assert (written.exchanges, written.repeated, written.failed) == (1, 1, 0)
    assert "horse battery" not in path.read_text()
    with replay(path):
        assert ol.Predict(QA)(question="Is correct horse battery a key?").answer == "no"


def test_different_answers_to_one_request_stay_apart_in_a_cassette(tmp_path: Path) -> None:
    store, path = tmp_path / "traces.db", tmp_path / "qa.jsonl"
    with ol.trace(store=store), ol.context(lm=answering("one", "two", "one")):
        for _ in range(3):
            ol.Predict(QA)(question="?")
    assert flush()
    ol.write_cassette(store, ol.open_store(store).runs()[0].id, path)
    with replay(path):
        assert [ol.Predict(QA)(question="?").answer for _ in range(4)] == ["one", "two", "one", "one"]


def test_tools_run_with_a_cassette(tmp_path: Path) -> None:
    from outlast.runtime import current

    path = tmp_path / "qa.jsonl"
    with replay(path, lm=answering("one"), mode="record"):
        ol.Predict(QA)(question="?")
    with replay(path):
        assert current().journal is None


def test_what_cannot_be_meant_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def enter(*words: Any, **options: Any) -> None:
        with replay(*words, **options):
            pass

    with pytest.raises(DataError, match="there is no cassette at"):
        enter(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="there is no store"):
        enter(tmp_path / "none.db")
    with pytest.raises(UsageError, match="leave the id 'abc' out"):
        enter(tmp_path / "none.jsonl", "abc", mode="record")
    with pytest.raises(UsageError, match="it is not recorded by mode='record'"):
        enter(tmp_path / "none.db", mode="record")
    with pytest.raises(ConfigError, match="mode is 'replay', 'auto' or 'record'"):
        enter(tmp_path / "none.jsonl", mode="again")
    monkeypatch.setenv("OUTLAST_CASSETTE", "again")
    with pytest.raises(ConfigError, match="the environment variable OUTLAST_CASSETTE is"):
        enter(tmp_path / "none.jsonl")
