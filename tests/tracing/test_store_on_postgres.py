"""The same store on a real PostgreSQL server, which the tests start."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import ConfigError, DataError
from outlast.messages import Response, Usage
from outlast.runtime import set_defaults
from outlast.testing import ScriptedLM
from outlast.tracing.record import TraceFilter
from outlast.tracing.switch import flush

HOMES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
INITDB = shutil.which("initdb") or next((str(home / "initdb") for home in HOMES), None)

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(
        INITDB is None and not os.environ.get("CI"), reason="no PostgreSQL here: apt-get install -y postgresql"
    ),
]


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    assert INITDB is not None, "CI must have PostgreSQL: apt-get install -y postgresql"
    binaries = Path(INITDB).resolve().parent
    folder = Path(tempfile.mkdtemp(prefix="outlast-postgres-"))  # not where only root may look
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        owner = pwd.getpwnam("postgres" if any(one.pw_name == "postgres" for one in pwd.getpwall()) else "nobody")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        as_user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    data, port = folder / "data", free_port()
    quiet: dict[str, Any] = {"cwd": folder, "capture_output": True, "text": True, **as_user}
    made = subprocess.run([binaries / "initdb", "-D", data, "-A", "trust", "-U", "outlast", "-N"], **quiet, check=False)
    assert made.returncode == 0, made.stderr
    process = subprocess.Popen(
        [binaries / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-c", "fsync=off"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **as_user,
    )
    address = f"postgresql://outlast@127.0.0.1:{port}/postgres"
    try:
        for _ in range(100):
            ready = subprocess.run(
                [binaries / "pg_isready", "-h", "127.0.0.1", "-p", str(port)], capture_output=True, check=False
            )
            if ready.returncode == 0:
                break
            assert process.poll() is None
            subprocess.run(["sleep", "0.1"], check=True)
        yield address
    finally:
        process.send_signal(signal.SIGINT)  # do not wait for those who are connected
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def store(server: str) -> Iterator[str]:
    """An empty database of its own."""
    import psycopg

    name = f"t{os.urandom(6).hex()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    yield server.replace("/postgres", f"/{name}", 1) if server.count("/postgres") == 1 else f"{server[:-8]}{name}"
    set_defaults(recording=None)
    flush()
    for writer in _writers():
        writer.database.close()


def _writers() -> list[Any]:
    from outlast.tracing.writer import all_writers

    return all_writers()


class QA(ol.Signature):
    """Answer the question."""

    question: str = ol.input()
    answer: str = ol.output()


def answering(*texts: str) -> ScriptedLM:
    usage = Usage(10, 5, cost=0.001, cost_source="test")
    return ScriptedLM(
        [Response(f"<<answer>>\n{text}\n<<end>>", "scripted-1", usage=usage) for text in texts], keep=True
    )


def test_traces_of_one_moment_come_once_each(store: str) -> None:
    from outlast.tracing.record import RunRecord, TraceRecord
    from outlast.tracing.saving import WholeTrace

    moment = 1_795_989_110.1234567
    runs = [RunRecord(f"{at:032x}", "eval", started=moment) for at in range(5)]
    records = [TraceRecord(f"{at:032x}", started=moment, seconds=0.1, status="ok", input=str(at)) for at in range(7)]
    with ol.open_store(store) as kept:
        kept.save_records(runs, [WholeTrace(one) for one in records])
        seen: list[str] = []
        place: str | None = ""
        while place is not None:
            page = kept.traces(limit=3, before=place or None)
            seen += [one.input for one in page]
            place = page.next
        assert seen == ["6", "5", "4", "3", "2", "1", "0"]
        assert [one.input for one in kept.all_traces()] == seen
        some = kept.runs(limit=3)
        assert [run.id for run in [*some, *kept.runs(before=some.next)]] == [run.id for run in runs[::-1]]


def test_what_is_old_goes_and_what_somebody_needs_stays(store: str) -> None:
    from tests.tracing.test_retention import DAY, STEP, aged, filled, left, tidied, whole

    from outlast.tracing.record import RunRecord

    runs = (RunRecord("ee" * 16, "eval", started=1.0),)
    kept = filled(store, *(whole(at, 40 * DAY) for at in range(STEP + 5)), whole(900, DAY), runs=runs)
    kept.save_records([], [whole(901, 40 * DAY, "ee" * 16)])
    kept.add_label(f"{1:032x}", "pass")
    kept.add_queue("mine", "random", [f"{2:032x}"])
    aged(kept, 7200)
    assert tidied(store, "30d") > 1
    assert left(kept) == [1, 2, 900, 901]
    assert tidied(store, "30d") == 0
    told = kept.stats()
    assert (told["retention"], told["removed"], told["spans"]) == ("30d", STEP + 3, 4)
    assert kept.content(f"{1:016x}").as_request() is not None
    with kept.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM messages").scalar_one() == 2
        assert connection.exec_driver_sql("SELECT count(*) FROM trace_text").scalar_one() <= 4
    kept.close()


def test_a_team_keeps_searches_and_labels_traces(store: str) -> None:
    lm = answering("a zebra", "an ibex\0 with a null")
    with ol.trace(store=store, tags=["nightly"]), ol.context(lm=lm):
        ol.Predict(QA)(question="what has stripes?")
        ol.Predict(QA)(question="what has horns?")
    assert flush()
    with ol.open_store(store) as kept:
        newest, oldest = kept.traces()
        assert (oldest.input, oldest.output, oldest.cost, oldest.models) == (
            "what has stripes?",
            "a zebra",
            0.001,
            ("scripted-1",),
        )
        request = kept.content(kept.spans(oldest.id)[-1]).as_request()
        assert request is not None
        assert request.to_json() == lm.requests[0].to_json()
        assert [hit.trace.id for hit in kept.search("zebra")] == [oldest.id]
        assert "[a zebra]" in kept.search('"a zebra"')[0].snippet
        assert [hit.trace.id for hit in kept.search("ibe*")] == [newest.id]
        assert kept.search("zebra OR ibex & ) '") == []
        assert [one.id for one in kept.traces(TraceFilter(text="stripes", tag="nightly", lm="scripted"))] == [oldest.id]
        label = kept.add_label(oldest.id, "pass", author="ada", note="okapi?")
        assert kept.labels(oldest.id) == [label]
        assert [hit.trace.id for hit in kept.search("okapi")] == [oldest.id]
        kept.undo_label(label.id)
        assert kept.labels() == []
        assert kept.stats()["traces"] == 2
        assert kept.runs()[0].kind == "process"
        kept.add_label(newest.id, 0.5)
        assert kept.gc(older_than=0) == {"traces": 1, "content": 0}
        assert [one.id for one in kept.traces()] == [newest.id]
        with kept.database.reading() as connection:
            for view in (
                "v_calls",
                "v_traces",
                "v_failures",
                "v_cost_by_run",
                "v_eval_rows",
                "v_labels",
                "v_disagreements",
            ):
                connection.exec_driver_sql(f"SELECT * FROM {view}").all()


def test_the_same_words_are_found_as_on_sqlite(store: str) -> None:
    from tests.tracing.test_words import checked

    checked(store)


def test_texts_of_any_size_and_sign_are_indexed(store: str) -> None:
    program = ol.Predict("message -> team", lm=ScriptedLM(lambda messages: {"team": "x"}))
    with ol.trace(store=store):
        program(message="a" * 15_000 + " zebra")
        program(message="银" * 19_000 + "ibex")
        program(message="'quoted' \\ back :* & | ! <-> \u0000 okapi")
    assert flush()
    with ol.open_store(store) as kept:
        for word in ("zebra", "ibex", "okapi", "back okapi", "a" * 15_000, "银" * 30):
            assert len(kept.search(word)) == 1, word


def test_several_processes_begin_a_store_at_the_same_time(store: str) -> None:
    code = f"""
import outlast as ol
from outlast.testing import ScriptedLM
with ol.trace(store={store!r}), ol.context(lm=ScriptedLM(lambda messages: "hello")):
    for n in range(200):
        ol.Predict("question -> answer", lm=ScriptedLM(lambda m: "<<answer>>\\nyes\\n<<end>>"))(question=str(n))
"""
    with ThreadPoolExecutor(4) as pool:
        done = list(
            pool.map(
                lambda _: subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False),
                range(4),
            )
        )
    assert [(one.returncode, one.stderr) for one in done] == [(0, "")] * 4
    with ol.open_store(store) as kept:
        assert kept.count() == 800
        assert kept.stats()["spans"] == 1600
        assert kept.stats()["dropped"] == 0
        assert len(kept.runs(kind="process")) == 4


def test_a_server_that_is_gone_or_wrong_is_a_clear_error_and_no_password_is_told(server: str) -> None:
    with pytest.raises(DataError, match="cannot be opened") as refused:
        ol.open_store("postgresql://outlast:geheim@127.0.0.1:1/none")
    assert "geheim" not in str(refused.value)
    with pytest.raises(DataError, match="does not exist"):
        ol.open_store(server[:-8] + "nowhere")
    with pytest.raises(ConfigError, match="no address"):
        ol.open_store("postgresql://host:port/x")


def test_logs_of_other_tools_are_imported(store: str, tmp_path: Path) -> None:
    from tests.tracing.imports import logs

    from outlast.tracing.imports.logs import import_log

    connection = logs.new_log(tmp_path / "logs.db")
    connection.execute("UPDATE parts SET text = text || char(0) || 'x' WHERE text = 'weather?'")
    connection.commit()
    connection.close()
    logs.inspect_eval(tmp_path / "a.eval", logs.inspect_sample("w\x00"), logs.inspect_failed())
    logs.promptfoo_results(tmp_path / "r.json", logs.promptfoo_row(0, 0, prompt={"raw": "nul \x00", "label": "l"}))
    with ol.open_store(store) as opened:
        for format, name in (("llm", "logs.db"), ("inspect", "a.eval"), ("promptfoo", "r.json")):
            done = import_log(opened, format, tmp_path / name)
            assert import_log(store, format, tmp_path / name) == done
            kept = opened.traces(TraceFilter(run=done.runs[0]))
            assert len(kept) == done.traces
            assert sum(len(one.spans) for one in opened.whole(trace.id for trace in kept)) == done.spans
        assert opened.search("Paris")


def test_a_team_labels_queues_in_the_page(store: str) -> None:
    from outlast.tracing.queues import STRATEGIES, choose, make_queue
    from outlast.view.beside import others_of, row_of
    from outlast.view.reviewing import Task, first_open, known_tags, label_names, standing

    lm = answering(*"abcabc")
    data = [ol.Example({"question": letter}, {"answer": letter}) for letter in "abx"]
    for _ in range(2):
        with ol.trace(store=store), ol.context(lm=lm):
            ol.evaluate(ol.Predict(QA), data, lambda example, out: float(example.answer == out.answer), progress=False)
    assert flush()
    with ol.open_store(store) as kept:
        for strategy in STRATEGIES:
            choose(kept, strategy, 3, evaluated=True)
        task = Task.of(make_queue(kept, "all", "random", 6, evaluated=True))
        kept.add_label(task.ids[0], "fail", author="ann", tags=["old"], seconds_spent=2.0)
        kept.add_label(task.ids[0], "pass", author="ann", tags=["new"], seconds_spent=3.0)
        assert (known_tags(kept, "label"), label_names(kept)) == (["new"], ["label"])
        assert standing(kept, task, "ann").counts == {"pass": 1}
        assert standing(kept, task, "ann").seconds == 5.0
        assert first_open(kept, task, "ann") == 2
        trace = kept.traces(limit=1)[0]
        row = row_of(kept, trace)
        assert row is not None
        assert row.targets in ({"answer": "a"}, {"answer": "b"}, {"answer": "x"})
        assert [other.row.targets for other in others_of(kept, trace)] == [row.targets]


def test_replays_feedback_and_examples_work_there_too(store: str) -> None:
    lm = ScriptedLM(lambda messages: "<<answer>>\nParis\n<<end>>")
    program = ol.Predict(QA)
    with ol.trace(store=store), ol.context(lm=lm):
        out = program(question="capital?")
        label = ol.feedback(out, "pass")
    assert label.trace_id == out.trace.id
    calls = lm.calls
    again = ol.replay(out.trace.id[:20], program, store=store)
    assert (again.same, again.given, lm.calls) == (True, 1, calls)
    live = ol.replay(out, program, store=store, mode="diff", lm=ScriptedLM(["<<answer>>\nRome\n<<end>>"]))
    assert not live.same
    with ol.open_store(store) as kept:
        assert kept.run(live.run_id).kind == "replay"
        [run] = kept.runs("process")
    with ol.replaying(store, run.id):
        assert program(question="capital?").answer == "Paris"
    found = ol.examples_from_traces(store, label="pass")
    assert [(one.question, one.answer) for one in found.data] == [("capital?", "Paris")]


def test_what_was_killed_what_still_runs_and_what_is_named_again(store: str) -> None:
    from tests.tracing.test_living import RUN, TRACE, mark_of_one_that_ended, store_of
    from tests.tracing.test_retention import DAY

    with store_of(store, mark_of_one_that_ended(), age=40 * DAY, newest=1.5 * DAY) as kept:
        assert (kept.run(RUN).status, kept.trace(TRACE).status) == ("killed", "killed")
        assert [kept.count(TraceFilter(status=word)) for word in ("killed", "open", "error")] == [1, 0, 0]
        assert kept.gc(older_than=DAY)["traces"] == 0
        assert kept.gc(older_than=DAY / 4)["traces"] == 1
        assert kept.runs(limit=10**30) == []
        lm = ScriptedLM(lambda messages: "<<answer>>\nAda\n<<end>>")
        by_another_name = store.replace("postgresql://outlast@", "postgres://outlast:any@")
        with ol.trace(store=store, redact=lambda text: text.replace("Ada", "[name]")), ol.context(lm=lm):
            with ol.trace(store=by_another_name, tags=["x"]):
                ol.Predict(QA)(question="Ada?")
            ol.replay(kept.traces()[0].id, ol.Predict(QA), store=store, mode="live", lm=lm)
        assert flush()
        found = kept.traces(limit=10**30)
        assert [(one.input, one.output) for one in found] == [("[name]?", "[name]")] * 2
        [process] = kept.runs("process")
        assert [kept.totals([process], replays=told)[process.id].traces for told in (True, False)] == [2, 1]
