"""A store that removes what is old by itself: what goes, what stays, and who does it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import UsageError
from outlast.messages import Message, Request, Response, user
from outlast.runtime import set_defaults
from outlast.testing import ScriptedLM
from outlast.tracing import schema
from outlast.tracing.database import database_at
from outlast.tracing.living import process_mark
from outlast.tracing.record import Content, RunRecord, SpanRecord, TraceRecord
from outlast.tracing.retention import Retention, from_environment, retention_of
from outlast.tracing.saving import WholeTrace
from outlast.tracing.switch import flush
from outlast.tracing.tidying import STEP, Tidying

DAY = 86_400.0


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "traces.db"
    set_defaults(recording=None)
    flush()


def whole(at: int, age: float, run: str = "", text: str = "hi") -> WholeTrace:
    """A trace of one exchange that began so long ago."""
    started = time.time() - age
    trace = TraceRecord(f"{at:032x}", run, name="T", started=started, seconds=0.1, status="ok", input=text)
    span = SpanRecord(f"{at:016x}", trace.id, kind="lm", started=started, seconds=0.1, status="ok")
    asked = Request((Message("system", "Answer."), user(text)))
    content = Content({"text": text}, None, asked.to_json(), Response(f"to {text}", "m").to_json())
    return WholeTrace(trace, (span,), {span.id: content})


def filled(path: Path | str, *traces: WholeTrace, runs: tuple[RunRecord, ...] = ()) -> ol.Store:
    store = ol.open_store(path, create=True)
    store.save_records(runs, traces)
    return store


def left(store: ol.Store) -> list[int]:
    return sorted(int(one.id, 16) for one in store.all_traces())


def tidied(path: Path | str, said: Any) -> int:
    """Do all that there is to do; how many steps it took."""
    retention = retention_of(said)
    assert retention is not None
    with closing(database_at(path)) as database:
        tidying = Tidying(database, retention)
        steps = 0
        while tidying.some():
            steps += 1
    return steps


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def aged(store: ol.Store, age: float) -> None:
    """Have all content be older than what is spared for its youth."""
    with store.database.changing() as connection:
        for name in ("blobs", "messages"):
            connection.exec_driver_sql(f"UPDATE {name} SET created = created - {age}")


def test_what_is_older_goes_in_small_steps(path: Path) -> None:
    store = filled(
        path, *(whole(at, 40 * DAY) for at in range(3 * STEP + 5)), *(whole(1000 + at, DAY) for at in range(3))
    )
    assert tidied(path, "30d") > 3
    assert left(store) == [1000, 1001, 1002]
    told = store.stats()
    assert (told["retention"], told["removed"], told["spans"]) == ("30d", 3 * STEP + 5, 3)
    assert time.time() - told["tidied"] < 60
    assert store.search("hi") != []
    with store.reading() as connection:
        texts = connection.exec_driver_sql("SELECT count(*) FROM trace_text").scalar_one()
    assert texts == 3


def test_what_somebody_needs_stays_unless_told(path: Path) -> None:
    runs = tuple(RunRecord(kind * 16, name, started=1.0) for kind, name in (("ee", "eval"), ("cc", "compile")))
    store = filled(
        path,
        *(whole(at, 40 * DAY, run) for at, run in enumerate(("", "", "", "", "ee" * 16, "cc" * 16), 1)),
        runs=runs,
    )
    store.add_label(f"{1:032x}", "pass")
    store.add_label(f"{2:032x}", "note", span_id=f"{2:016x}")
    undone = store.add_label(f"{4:032x}", "pass")
    store.undo_label(undone.id)
    store.add_queue("mine", "random", [f"{3:032x}"])
    assert tidied(path, "30d") >= 0
    assert left(store) == [1, 2, 3, 5, 6]
    for also, found in (("labelled", [3, 5, 6]), ("queued", [5, 6]), ("evaluations", [])):
        _forget(store)
        tidied(path, f"30d {also}")
        assert left(store) == found
    assert {run.kind for run in store.runs()} == {"eval", "compile"}


def _forget(store: ol.Store) -> None:
    """Have the store not know when it was looked through."""
    with store.database.changing() as connection:
        connection.execute(schema.meta.delete().where(schema.meta.c.key == "tidied"))


def test_content_goes_with_the_last_that_needs_it(path: Path) -> None:
    old, young = whole(1, 40 * DAY, text="old"), whole(2, DAY, text="young")
    store = filled(path, old, young)
    aged(store, 7200)
    tidied(path, "30d")
    assert store.content(f"{2:016x}").as_request() == young.contents[f"{2:016x}"].as_request()
    with store.reading() as connection:
        said = [
            connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one() for name in ("blobs", "messages")
        ]
    assert said == [2, 2]  # what went in and the reply; the system prompt, which both had, and the question


def test_of_conversations_with_one_beginning_only_the_end_goes_that_nobody_needs(path: Path) -> None:
    def talk(at: int, age: float, *words: str) -> WholeTrace:
        found = whole(at, age)
        [span] = found.spans
        turns = tuple(user(word) if place % 2 == 0 else Message("assistant", word) for place, word in enumerate(words))
        asked = Request((Message("system", "Answer."), *turns)).to_json()
        return replace(found, contents={span.id: Content(None, None, asked)})

    old, other = talk(1, 40 * DAY, "a", "b", "c", "d", "e"), talk(2, 40 * DAY, "a", "b", "x")
    store = filled(path, old, other, talk(3, DAY, "a", "b", "c"), talk(4, DAY, "a", "b", "c", "d", "z"))
    aged(store, 7200)
    tidied(path, "30d")
    assert left(store) == [3, 4]
    with store.reading() as connection:
        kept = connection.exec_driver_sql("SELECT count(*) FROM messages").scalar_one()
    assert kept == 6  # Answer., a, b, c, d, z
    for at, words in ((3, "abc"), (4, "abcdz")):
        request = store.content(f"{at:016x}").as_request()
        assert request is not None
        assert [one.text for one in request.messages] == ["Answer.", *words]


def test_content_that_may_be_needed_in_a_moment_stays(path: Path) -> None:
    store = filled(path, whole(1, 40 * DAY))
    tidied(path, "30d")
    with store.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM messages").scalar_one() == 2


def test_runs_go_that_said_nothing_but_what_their_traces_did(path: Path) -> None:
    old = time.time() - 40 * DAY
    runs = (
        RunRecord("a" * 32, "process", status="done", started=old, ended=old + 1),
        RunRecord("b" * 32, "process", status="open", started=old),
        RunRecord("c" * 32, "process", status="done", started=old, ended=time.time()),
        RunRecord("d" * 32, "process", status="done", started=old, ended=old + 1),
        RunRecord("e" * 32, "eval", status="done", started=old, ended=old + 1, parent_id="d" * 32),
    )
    store = filled(path, whole(1, 40 * DAY, "a" * 32), runs=runs)
    tidied(path, "30d")
    assert {run.id[0] for run in store.runs()} == set("bcde")


def test_one_process_at_a_time_looks_through_a_store(path: Path) -> None:
    store = filled(path, whole(1, 40 * DAY))
    tidied(path, "30d")
    store.save_records([], [whole(2, 40 * DAY)])
    assert tidied(path, "30d") == 0  # another has just done it
    assert left(store) == [2]
    _forget(store)
    tidied(path, "30d")
    assert left(store) == []


def test_the_writer_does_it_when_nothing_waits(path: Path) -> None:
    store = filled(path, *(whole(at, 40 * DAY) for at in range(2 * STEP)), whole(999, DAY))
    with ol.trace(store=path, retention="30d"), ol.context(lm=ScriptedLM(lambda _: {"answer": "a"})):
        ol.Predict("question -> answer")(question="q")
        until(lambda: store.stats()["removed"] == 2 * STEP)
    assert [one.input for one in store.traces()] == ["q", "hi"]
    assert f"{2 * STEP}" in str(store.stats()["removed"])


def test_trouble_with_it_is_told_and_hinders_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(tidying: Tidying) -> bool:
        raise OSError("no")

    monkeypatch.setattr(Tidying, "some", broken)
    with ol.trace(store=path, retention="30d"), ol.context(lm=ScriptedLM(lambda _: {"answer": "a"})):
        program = ol.Predict("question -> answer")
        program(question="q")
        until(lambda: "cannot be removed now (no)" in caplog.text)
        program(question="r")
        assert flush()
    assert [one.input for one in ol.open_store(path).traces()] == ["r", "q"]


def test_without_being_told_nothing_goes(path: Path) -> None:
    store = filled(path, whole(1, 4000 * DAY))
    with ol.trace(store=path), ol.context(lm=ScriptedLM(lambda _: {"answer": "a"})):
        ol.Predict("question -> answer")(question="q")
    assert flush()
    assert len(store.traces()) == 2
    assert store.stats()["retention"] == ""


def test_it_is_said_by_configure_the_environment_and_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from outlast.tracing.writer import writer_at

    def said(place: Path) -> str | None:
        writer = writer_at(database_at(place))
        assert writer is not None
        return None if writer.retention is None else writer.retention.said

    monkeypatch.setenv("OUTLAST_TRACE_RETENTION", "12h")
    ol.configure(trace=path)
    assert said(path) == "12h"
    ol.configure(trace=path, retention="2w evaluations")
    assert said(path) == "2w evaluations"
    with ol.trace(retention="3d"):
        assert said(path) == "3d"
    with ol.trace(store=path):
        assert said(path) == "3d"
    ol.configure(retention=False)
    assert said(path) is None
    with ol.trace(store=path):
        assert said(path) is None
    with ol.trace(store=path.with_name("other.db"), retention=False):
        assert said(path.with_name("other.db")) is None


def test_the_environment_that_cannot_be_read_removes_nothing_and_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OUTLAST_TRACE_RETENTION", "a month")
    assert from_environment() is None
    assert "OUTLAST_TRACE_RETENTION: retention is an age" in caplog.text
    for word in ("", "off", "0", "False"):
        monkeypatch.setenv("OUTLAST_TRACE_RETENTION", word)
        assert from_environment() is None
    assert caplog.text.count("OUTLAST") == 1


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("30d", 30 * DAY), ("1.5h", 5400), ("2W", 14 * DAY), ("1y", 31_557_600), ("1m", 60), (90, 90)],
)
def test_an_age_is_a_number_and_a_unit(given: Any, seconds: float) -> None:
    found = retention_of(given)
    assert isinstance(found, Retention)
    assert found.seconds == seconds
    assert (found.labelled, found.queued, found.evaluations) == (False, False, False)


@pytest.mark.parametrize(
    "bad",
    ["", "30", "d", "-1d", "30 d", "0d", "30s", "1d everything", "30d!", "٣d", "9999999y", 59, 0, -1, True,
     float("nan"), float("inf"), [30], b"30d", {"d": 30}],
)  # fmt: skip
def test_what_is_no_age_is_refused_at_once(path: Path, bad: Any) -> None:
    with pytest.raises(UsageError, match="retention is an age"):
        ol.configure(trace=path, retention=bad)
    assert not path.exists()
    with pytest.raises(UsageError, match="retention is an age"), ol.trace(store=path, retention=bad):
        raise AssertionError("not reached")
    assert not path.exists()


def test_inside_a_program_it_cannot_be_said(path: Path) -> None:
    class Inside(ol.Module):
        def forward(self, question: str) -> str:
            with ol.trace(retention="30d"):
                return question

    with ol.trace(store=path), pytest.raises(UsageError, match="its trace has begun: retention"):
        Inside()(question="q")


def test_gc_spares_queues_and_evaluations_as_told(path: Path) -> None:
    runs = (RunRecord("ee" * 16, "eval", started=1.0),)
    store = filled(path, whole(1, 40 * DAY), whole(2, 40 * DAY, "ee" * 16), whole(3, 40 * DAY), runs=runs)
    store.add_queue("mine", "random", [f"{1:032x}"])
    assert store.gc(30 * DAY, keep_evaluated=True)["traces"] == 1
    assert left(store) == [1, 2]
    assert store.gc(30 * DAY)["traces"] == 1
    assert left(store) == [1]
    assert store.gc(30 * DAY, keep_queued=False)["traces"] == 1


def test_the_command_line_says_what_is_kept_and_spares_queues(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from outlast.cli.app import main

    store = filled(path, whole(1, 40 * DAY), whole(2, 40 * DAY))
    store.add_queue("mine", "random", [f"{1:032x}"])
    tidied(path, "30d")
    main(["logs", "status", "--store", str(path)])
    assert "keeps   30d; 1 traces were removed for it" in capsys.readouterr().out
    main(["logs", "gc", "--older-than", "30d", "--store", str(path)])
    assert left(store) == [1]
    main(["logs", "gc", "--older-than", "30d", "--queued-too", "--store", str(path)])
    assert left(store) == []


@pytest.mark.slow
def test_several_processes_at_once_remove_it_while_all_write(path: Path) -> None:
    store = filled(path, *(whole(at, 40 * DAY) for at in range(5 * STEP)))
    code = (
        "import outlast as ol, time\n"
        "from outlast.testing import ScriptedLM\n"
        f"ol.configure(trace={str(path)!r}, retention='30d', lm=ScriptedLM(lambda m: {{'answer': 'a'}}))\n"
        "program, calls, end = ol.Predict('question -> answer'), 0, time.monotonic() + 60\n"
        f"while ol.open_store({str(path)!r}).stats()['removed'] < {5 * STEP} and time.monotonic() < end:\n"
        "    program(question='q')\n"
        "    calls += 1\n"
        "    time.sleep(0.05)\n"
        "print(calls)\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [one.communicate(timeout=120) for one in running]
    assert [errors for _, errors in said] == ["", "", ""]
    assert store.count() == sum(int(calls) for calls, _ in said)
    assert store.stats()["removed"] == 5 * STEP


def test_a_trace_that_still_runs_is_not_cut(path: Path) -> None:
    """Whoever is slow ends with all its steps."""

    class Slow(ol.Module):
        step = ol.Predict("message -> team")

        async def forward(self, message: str) -> str:
            out = await self.step.acall(message=message)
            assert flush()
            store.gc(older_than=0)
            assert store.gc(older_than=0)["traces"] == 0
            await self.step.acall(message=message)
            return out.team

    store = filled(path)
    with ol.trace(store=path), ol.context(lm=ScriptedLM(lambda messages: {"team": "x"})):
        Slow()(message="m")
    assert flush()
    [trace] = store.traces()
    assert (trace.status, trace.calls, len(store.spans(trace.id))) == ("ok", 2, 5)
    assert store.gc(older_than=0)["traces"] == 1


@pytest.mark.parametrize(
    ("run", "stays"),
    [
        (RunRecord("aa" * 16, "process", started=1.0), [4, 5]),  # nobody knows whether it goes on
        (RunRecord("aa" * 16, "process", started=1.0, provenance={"process": "4194305:7:HERE"}), [5]),  # killed
        (RunRecord("aa" * 16, "process", "", "done", 1.0, 2.0), [5]),
        (RunRecord("bb" * 16, "process", started=1.0), [5]),  # there is none
    ],
)
def test_what_is_open_for_ever_goes_later(path: Path, run: RunRecord, stays: list[int]) -> None:
    if "process" in run.provenance:
        here = process_mark().rpartition(":")[2]
        run = replace(run, provenance={"process": run.provenance["process"].replace("HERE", here)})
        stays = stays if here else [4, 5]
    ages = {1: 61 * DAY, 2: 40 * DAY, 3: 32 * DAY, 4: 31.5 * DAY, 5: 30.5 * DAY}
    traces = [whole(at, age, "aa" * 16) for at, age in ages.items()]
    open_ones = [replace(one, trace=replace(one.trace, status="open", seconds=None)) for one in traces]
    store = filled(path, *open_ones[:1], traces[1], traces[2], *open_ones[3:], runs=(run,))
    tidied(path, "30d")
    assert left(store) == stays


def test_a_run_that_was_killed_and_has_nothing_goes_too(path: Path) -> None:
    here = process_mark().rpartition(":")[2]
    if not here:
        pytest.skip("processes are told apart by /proc")
    runs = [
        RunRecord(kind * 16, "process", started=1.0, provenance={"process": f"{mark}:{here}"})
        for kind, mark in (("aa", "4194305:7"), ("bb", process_mark().rpartition(":")[0]))
    ]
    store = filled(path, runs=tuple(runs))
    assert store.gc(older_than=60)["traces"] == 0
    assert [one.id for one in store.runs()] == ["bb" * 16]
