"""A block that names the store in use again goes on with what is said of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

import outlast as ol
from outlast.runtime import set_defaults
from outlast.testing import ScriptedLM
from outlast.tracing.around import same_store
from outlast.tracing.database import database_at
from outlast.tracing.record import TraceFilter
from outlast.tracing.recorder import Place
from outlast.tracing.switch import flush, trace


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "ch.db"
    set_defaults(recording=None)
    flush()


def hidden(text: str) -> str:
    return text.replace("Ada", "[name]")


def ask(question: str = "Is Ada ada@example.com there?") -> None:
    ol.Predict("question -> answer", lm=ScriptedLM(lambda messages: {"answer": "Ada is"}))(question=question)


def held(path: Path) -> str:
    """Every text that the store holds."""
    assert flush()
    with ol.open_store(path) as store:
        return "".join(repr((one, store.contents(one.id))) for one in store.all_traces())


def test_a_block_keeps_no_more_than_the_process_says(path: Path) -> None:
    ol.configure(trace=path, redact=hidden, capture="redacted", session="s", tags=["t"])
    with ol.trace(store=path, tags=["x"]):
        ask()
    told = held(path)
    assert "[name] is" in told
    assert "Ada" not in told
    assert "example.com" not in told
    [one] = ol.open_store(path).traces()
    assert (one.session, one.tags) == ("s", ("x",))


def test_a_block_in_a_block_names_what_changes_and_nothing_else_does(path: Path) -> None:
    with ol.trace(store=path, redact=hidden, capture="redacted"):
        with ol.trace(store=path, capture="full"):
            ask()
        assert "Ada" not in held(path)
        assert "ada@example.com" in held(path)  # it was named
        with ol.trace(store=path, redact=str):
            ask()
        with ol.trace(store=path, capture="off"):
            ask()
    assert "Ada is" in held(path)
    assert [bool(one.input) for one in ol.open_store(path).traces()] == [False, True, True]


def test_it_goes_on_where_another_store_stands_between_and_inside_a_program(path: Path, tmp_path: Path) -> None:
    class Asks(ol.Module):
        def forward(self, question: str) -> str:
            with ol.trace(store=path):
                ask(question)
            return "x"

    with ol.trace(store=path, redact=hidden), ol.trace(store=tmp_path / "other.db"), ol.trace(store=path):
        ask()
    with ol.trace(store=path, redact=hidden):
        Asks()(question="Ada?")
    assert ol.open_store(path).count() == 3
    assert "Ada" not in held(path)
    with ol.trace(store=path):  # what was said of a block that is over is over
        ask()
    assert "Ada" in held(path)


def test_a_store_is_the_same_by_any_of_its_names(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    os.environ.pop("OUTLAST_TRACE", None)
    with ol.trace(store=path, redact=hidden):
        for name in ("ch.db", "./link/../ch.db", tmp_path / "link" / "ch.db", f"sqlite:///{path}"):
            with ol.trace(store=name):
                ask()
    assert "Ada" not in held(path)
    assert ol.open_store(path).count() == 4
    assert len({one.run_id for one in ol.open_store(path).traces()}) == 1


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("postgresql://ben@db.example/name", True),
        ("postgres://ada:secret@DB.example:5432/name", True),
        ("postgresql+psycopg://db.example/name?sslmode=require", True),
        ("postgresql://ada@db.example/other", False),
        ("postgresql://ada@db.example:5433/name", False),
        ("postgresql://ada@db.example:port/name", False),
        ("name", False),
    ],
)
def test_an_address_is_the_same_whoever_connects(other: str, same: bool) -> None:
    assert same_store(database_at("postgresql://ada@db.example/name"), database_at(other)) is same


def test_the_process_may_say_it_again_and_keeps_what_it_does_not_name(path: Path) -> None:
    ol.configure(trace=path, redact=hidden)
    ol.configure(trace=path, tags=["later"])
    ask()
    assert "Ada" not in held(path)
    assert ol.open_store(path).count(TraceFilter(tag="later")) == 1
    ol.configure(trace=False)
    ol.configure(trace=path)
    ask()
    assert "Ada" in held(path)


def test_what_a_replay_keeps_is_kept_as_the_rest(path: Path) -> None:
    program = ol.Predict("question -> answer", lm=ScriptedLM(lambda messages: {"answer": "Ada is"}))
    ol.configure(trace=path, redact=hidden)
    out = program(question="Is she there?")
    model = ScriptedLM(lambda messages: {"answer": "Ada was"})
    again = ol.replay(out, program, store=path, mode="live", lm=model)
    assert again.run_id
    assert ol.open_store(path).count() == 2
    assert "Ada" not in held(path)


@pytest.mark.parametrize("mode", ["cache", "live", "diff"])
def test_what_a_replayed_program_keeps_is_kept_so_too(path: Path, mode: Literal["cache", "live", "diff"]) -> None:
    class Asks(ol.Module):
        inner = ol.Predict("question -> answer")

        async def forward(self, question: str) -> str:
            with ol.trace(store=path):
                return (await self.inner.acall(question=question)).answer

    lm = ScriptedLM(lambda messages: {"answer": "Ada is"})
    with ol.trace(store=path, redact=hidden) as spans:
        with ol.context(lm=lm):
            Asks()(question="Is she there?")
        ol.replay(spans.id, Asks(), store=path, mode=mode, lm=None if mode == "cache" else lm)
    assert "Ada" not in held(path)


def test_a_block_ends_with_what_was_said_before(path: Path) -> None:
    from outlast.runtime import recording

    with trace(store=path, session="a"):
        with trace(store=path, session="b"):
            pass
        place = recording()
        assert isinstance(place, Place)
        assert (place.session, place.around) == ("a", None)
