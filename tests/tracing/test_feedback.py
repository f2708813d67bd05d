"""What users say of an answer stands on its trace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import outlast as ol
from outlast.errors import ConfigError, DataError, UsageError
from outlast.runtime import set_defaults
from outlast.testing import ScriptedLM
from outlast.tracing.feedback import feedback
from outlast.tracing.switch import flush


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "traces.db"
    set_defaults(recording=None)
    flush()


program = ol.Predict("question -> answer")


def test_an_answer_that_has_only_just_been_given_takes_feedback(path: Path) -> None:
    with ol.trace(store=path), ol.context(lm=ScriptedLM(lambda _: "yes")):
        out = program(question="?")
        label = feedback(out, True, note="right", author="ann")
    assert (label.trace_id, label.name, label.value, label.source) == (out.trace.id, "feedback", True, "user")
    [found] = ol.open_store(path).labels(out.trace.id)
    assert (found.value, found.note, found.author) == (True, "right", "ann")


def test_the_id_alone_is_enough_in_another_place(path: Path) -> None:
    ol.configure(trace=str(path))
    with ol.context(lm=ScriptedLM(lambda _: "yes")):
        id = program(question="?").trace.id
    assert flush()
    set_defaults(recording=None)
    feedback(id, "fail", name="tone", store=path, source="human", tags=["rude"])
    feedback(id, "pass", name="tone", store=str(path), source="human")
    [label] = ol.open_store(path).labels(id)
    assert label.value == "pass"
    assert len(ol.open_store(path).labels(id, history=True)) == 2


def test_it_is_quick_and_leaves_nothing_open(path: Path) -> None:
    with ol.trace(store=path) as spans, ol.context(lm=ScriptedLM(lambda _: "yes")):
        program(question="?")
    assert flush()
    began = time.perf_counter()
    for number in range(20):
        feedback(spans.id, number, name=f"n{number}", store=path)
    assert time.perf_counter() - began < 12
    assert len(ol.open_store(path).labels(spans.id)) == 20


async def test_async_code_gives_it_in_a_thread(path: Path) -> None:
    with ol.trace(store=path), ol.context(lm=ScriptedLM(lambda _: "yes")):
        out = await program.acall(question="?")
        await asyncio.to_thread(feedback, out, 4, name="stars")
    assert [one.value for one in ol.open_store(path).labels(out.trace.id)] == [4]


def test_an_id_that_nothing_has_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ol.trace(store=path) as spans, ol.context(lm=ScriptedLM(lambda _: "yes")):
        program(question="?")
    assert flush()
    with pytest.raises(DataError, match="there is no trace 'ffffffffffffffffffffffffffffffff'"):
        feedback("f" * 32, True, store=path)
    for part in (spans.id[:8], "", spans.id + "0"):
        with pytest.raises(DataError, match="no id of a trace"):
            feedback(part, True, store=path)
    with pytest.raises(UsageError, match="is about the id of a trace"):
        feedback(3, True, store=path)
    with pytest.raises(UsageError, match="the value of a label"):
        feedback(spans.id, ["a"], store=path)  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="the source of a label"):
        feedback(spans.id, 1, source="me", store=path)
    monkeypatch.delenv("OUTLAST_TRACE", raising=False)
    with pytest.raises(ConfigError, match="no store of traces is in use"):
        feedback(spans.id, True)
    with ol.context(lm=ScriptedLM(lambda _: "yes")):
        out = program(question="?")
    with pytest.raises(DataError, match="was not kept"):
        feedback(out, True, store=path)
