"""What a store keeps of a model beside its name, and nothing that is secret of either; older stores are brought up."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import DataError
from outlast.evals.evaluation import Evaluation
from outlast.messages import Response, Usage
from outlast.runtime import set_defaults
from outlast.testing import ScriptedLM
from outlast.tracing import schema
from outlast.tracing.record import SpanRecord, TraceRecord
from outlast.tracing.saving import WholeTrace
from outlast.tracing.switch import flush

KEY = "abcdefgh12345678"


ADDRESS = f"http/https://user:{KEY}@models.example/v1?api_key={KEY}&version=2"


def reply(text: str, **more: Any) -> Response:
    return Response(f"<<answer>>\n{text}\n<<end>>", usage=Usage(10, 5, cost=0.001), **more)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "traces.db"
    set_defaults(recording=None)
    flush()


def kept(path: Path) -> ol.Store:
    assert flush()
    return ol.open_store(path)


def ask(*replies: Response, lm: Any = ScriptedLM) -> None:
    with ol.context(lm=lm(list(replies))):
        program = ol.Predict("question -> answer")
        for at in range(len(replies)):
            program(question=f"q{at}")


def test_the_fingerprint_of_each_exchange_is_kept(path: Path) -> None:
    with ol.trace(store=path):
        ask(reply("a", model="m", fingerprint="fp_1"), reply("b", model="m"))
    with kept(path) as store:
        told = [[one.fingerprint for one in store.spans(trace.id)] for trace in store.traces()]
        assert told == [["", ""], ["", "fp_1"]]
        [trace] = [one for one in store.traces() if one.output == "a"]
        answered = store.content(store.spans(trace.id)[1]).as_response()
        assert answered is not None
        assert answered.fingerprint == "fp_1"
        with closing(sqlite3.connect(path)) as plain:
            assert plain.execute("SELECT fingerprint FROM v_calls ORDER BY 1").fetchall() == [("",), ("fp_1",)]


def test_an_evaluation_says_which_fingerprints_answered(path: Path) -> None:
    data = [ol.Example({"question": f"q{at}"}, {"answer": "a"}) for at in range(3)]
    prints = iter(["fp_1", "fp_2", "fp_1"])
    lm = ScriptedLM(lambda _: reply("a", model="m", fingerprint=next(prints)))
    with ol.trace(store=path), ol.context(lm=lm):
        done = ol.evaluate(
            ol.Predict("question -> answer"),
            data,
            ol.exact_match("answer"),
            progress=False,
            save=path.with_suffix(".jsonl"),
        )
    assert done.fingerprints == {"m": {"fp_1": 2, "fp_2": 1}}
    assert done.to_json()["fingerprints"] == done.fingerprints
    assert Evaluation.from_jsonl(path.with_suffix(".jsonl")).fingerprints == done.fingerprints
    with kept(path) as store:
        [run] = store.runs("eval")
        assert (run.summary["models"], run.summary["fingerprints"]) == ({"m": 3}, done.fingerprints)


def test_no_name_of_a_model_shows_a_key(path: Path) -> None:
    data = [ol.Example({"question": "q"}, {"answer": "a"})]
    told = reply("a", model=ADDRESS, fingerprint=f"sk-{KEY}{KEY}")
    lm = ScriptedLM([told] * 3, name=ADDRESS)
    with ol.trace(store=path), ol.context(lm=lm):
        lm("hi")
        ol.Predict("question -> answer")(question="q")
        ol.evaluate(ol.Predict("question -> answer"), data, ol.exact_match("answer"), progress=False)
    with kept(path) as store:
        shown = "http/https://[hidden]@models.example/v1?api_key=[hidden]&version=2"
        assert {name for one in store.traces() for name in one.models} == {shown}
        assert {one.name for one in store.traces() if one.kind == "lm"} == {shown}
        spans = [span for trace in store.traces() for span in store.spans(trace.id) if span.kind == "lm"]
        assert {(one.lm_asked, one.lm_answered, one.fingerprint) for one in spans} == {(shown, shown, "[hidden]")}
        assert store.runs("eval")[0].lm == shown
        assert len(store.traces(ol.TraceFilter(lm="models.example"))) == 3
    with closing(sqlite3.connect(path)) as plain:
        assert KEY not in "\n".join(plain.iterdump())


def test_a_trace_whose_model_has_a_key_in_its_name_is_replayed(path: Path) -> None:
    lm = ScriptedLM([reply("a")], name=ADDRESS)
    program = ol.Predict("question -> answer")
    with ol.trace(store=path) as spans, ol.context(lm=lm):
        program(question="q")
    assert flush()
    replayed = ol.replay(spans.id, program, store=path, lm=ScriptedLM([], name=ADDRESS))
    assert replayed.same


def test_the_group_of_each_row_is_kept_though_a_function_says_it(path: Path) -> None:
    data = [ol.Example({"question": f"{name} {at}"}, {"answer": "a"}) for name in ("ada", "bob") for at in range(2)]

    def whose(example: ol.Example) -> str:
        return str(example["question"]).split()[0]

    def groups(**how: Any) -> list[str]:
        with ol.trace(store=path, **how), ol.context(lm=ScriptedLM(lambda _: reply("a"))):
            ol.evaluate(ol.Predict("question -> answer"), data, ol.exact_match("answer"), progress=False, cluster=whose)
        with kept(path) as store:
            return [row.cluster for row in store.results(store.runs("eval", limit=1)[0].id)]

    assert groups() == ["ada", "ada", "bob", "bob"]
    for how in ({"capture": "hash"}, {"redact": lambda text: "x"}):
        one, two, three, four = groups(**how)
        assert (one, three) == (two, four)
        assert one != three
        assert "ada" not in one
    assert groups(capture="off") == [""] * 4


def as_first(path: Path) -> None:
    """Make a store one of the first format, as it was before."""
    with closing(sqlite3.connect(path, isolation_level=None)) as plain:
        for (view,) in plain.execute("SELECT name FROM sqlite_master WHERE type = 'view'").fetchall():
            plain.execute(f"DROP VIEW {view}")
        plain.execute("CREATE VIEW v_calls AS SELECT id FROM spans")
        plain.execute("ALTER TABLE spans DROP COLUMN fingerprint")
        plain.execute("ALTER TABLE results DROP COLUMN cluster")
        plain.execute("UPDATE meta SET value = '1' WHERE key = 'version'")


def test_a_store_of_the_first_format_is_brought_up_to_date(path: Path) -> None:
    before = TraceRecord("0" * 32, started=1.0, seconds=0.1, status="ok", output="before")
    span = SpanRecord("1" * 16, before.id, kind="lm", started=1.0, lm_answered="m")
    with ol.open_store(path, create=True) as store:
        store.save_records([], [WholeTrace(before, (span,))])
    as_first(path)
    with pytest.raises(DataError, match="has the format 1.*open it once to write"):
        ol.open_store(path, read_only=True)
    with ol.trace(store=path):
        ask(reply("after", model="m", fingerprint="fp_2"))
    with kept(path) as store:
        found = {one.output: store.spans(one.id)[-1].fingerprint for one in store.traces()}
        assert found == {"before": "", "after": "fp_2"}
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("SELECT count(*) FROM v_calls WHERE fingerprint = 'fp_2'").fetchone() == (1,)
        assert plain.execute("SELECT value FROM meta WHERE key = 'version'").fetchone() == (str(schema.VERSION),)
    assert ol.open_store(path, read_only=True).traces()


def test_a_store_of_a_later_format_is_refused(path: Path) -> None:
    ol.open_store(path, create=True).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as plain:
        plain.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    with pytest.raises(DataError, match="has the format 99"):
        ol.open_store(path)
    with pytest.raises(DataError, match="has the format 99.*newer outlast"):
        ol.open_store(path, read_only=True)


def test_the_log_says_the_fingerprint(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from outlast.cli.app import main

    with ol.trace(store=path) as spans:
        ask(reply("a", model="m", fingerprint="fp_1"))
    assert flush()
    main(["logs", "--store", str(path), "--json"])
    [told] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told["id"] == spans.id
    assert told["fingerprints"] == ["fp_1"]
    main(["logs", told["id"], "--store", str(path), "--json"])
    whole = json.loads(capsys.readouterr().out)
    assert [one["fingerprint"] for one in whole["spans"] if one["kind"] == "lm"] == ["fp_1"]
