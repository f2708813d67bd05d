"""Results of promptfoo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.tracing.imports import logs

import outlast as ol
from outlast.errors import DataError
from outlast.tracing.imports.logs import import_log
from outlast.tracing.imports.promptfoo import read_promptfoo
from outlast.tracing.saving import WholeTrace


def read(path: Path) -> list[WholeTrace]:
    return list(read_promptfoo(path).traces)


def test_a_cell_is_a_trace_of_one_call(tmp_path: Path) -> None:
    (found,) = read(logs.promptfoo_results(tmp_path / "r.json", logs.promptfoo_row(0, 0)))
    trace, (span,) = found.trace, found.spans
    assert (trace.kind, trace.name, trace.status, trace.seconds) == ("lm", "openai:gpt-5-mini", "ok", 0.25)
    assert (trace.input, trace.output, trace.cost) == ("Say hello to Ann", "hello, Ann", 0.001)
    assert (span.input_tokens, span.output_tokens, span.reasoning_tokens) == (10, 5, 2)
    assert (span.lm_asked, span.cost_source, span.finish) == ("openai:gpt-5-mini", "promptfoo", "stop")
    held = found.contents[span.id]
    asked, said = held.as_request(), held.as_response()
    assert asked is not None
    assert said is not None
    assert [(one.role, one.text) for one in asked.messages] == [("user", "Say hello to Ann")]
    assert (said.text, said.usage.cost) == ("hello, Ann", 0.001)
    row = found.result
    assert row is not None
    assert (row.state, row.score, row.parts, row.feedback) == ("pass", 1.0, {"greets": 1.0}, "All assertions passed")
    assert row.inputs == {"word": "hello", "name": "Ann"}
    assert row.targets == {"assert": [{"type": "contains", "value": "hello"}]}


def test_each_column_is_a_run_of_its_own(tmp_path: Path) -> None:
    rows = [logs.promptfoo_row(test, column, provider={"id": f"p{column}"}) for test in (0, 1) for column in (0, 1)]
    reading = read_promptfoo(logs.promptfoo_results(tmp_path / "r.json", *rows))
    found = list(reading.traces)
    assert [run.name for run in reading.runs] == [f"weather · Say {{{{word}}}} to {{{{name}}}} · p{n}" for n in (0, 1)]
    assert [one.trace.run_id for one in found] == [reading.runs[column].id for column in (0, 1, 0, 1)]
    assert [one.result.index for one in found if one.result] == [0, 0, 1, 1]
    assert len({one.trace.started for one in found}) == 4


def test_a_prompt_of_messages_is_one_of_messages(tmp_path: Path) -> None:
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    raws = [json.dumps(talk), "[not JSON", '[{"role": "alien", "content": "x"}]', "[" * 100_000]
    rows = [logs.promptfoo_row(n, 0, prompt={"raw": raw, "label": "l"}) for n, raw in enumerate(raws)]
    found = read(logs.promptfoo_results(tmp_path / "r.json", *rows))
    roles = []
    for one in found:
        asked = one.contents[one.spans[0].id].as_request()
        assert asked is not None
        roles.append([message.role for message in asked.messages])
    assert roles == [["system", "user"], ["user"], ["user"], ["user"]]


def test_an_answer_that_never_came_is_an_error_and_one_that_is_wrong_is_none(tmp_path: Path) -> None:
    broken = logs.promptfoo_row(
        0, 0, success=False, score=0, failureReason=2, error="it went boom", response={"error": "x"}
    )
    wrong = logs.promptfoo_row(1, 0, success=False, score=0.25, failureReason=1, error="Expected hello")
    unscored = logs.promptfoo_row(2, 0, score=None)
    rows = read(logs.promptfoo_results(tmp_path / "r.json", broken, wrong, unscored))
    assert [one.result.state for one in rows if one.result] == ["error", "fail", "unscored"]
    assert [one.result.score for one in rows if one.result] == [None, 0.25, None]
    assert [one.trace.error for one in rows] == ["it went boom", "", ""]
    assert rows[0].contents[rows[0].spans[0].id].response is None
    assert rows[0].spans[0].error_type == "ProviderError"


def test_repetitions_are_epochs(tmp_path: Path) -> None:
    rows = [logs.promptfoo_row(0, 0)] * 3
    found = read(logs.promptfoo_results(tmp_path / "r.json", *rows))
    assert [one.result.epoch for one in found if one.result] == [0, 1, 2]
    assert len({one.trace.id for one in found}) == 3


def test_tokens_that_nobody_told_are_unknown(tmp_path: Path) -> None:
    silent = {"output": "x", "tokenUsage": {"total": 0, "prompt": 0, "completion": 0}}
    (found,) = read(logs.promptfoo_results(tmp_path / "r.json", logs.promptfoo_row(0, 0, response=silent, cost=0)))
    assert (found.trace.input_tokens, found.trace.cost) == (None, None)


def test_outputs_that_are_structure_are_kept_as_json(tmp_path: Path) -> None:
    shaped = {"output": {"team": "cards"}, "cached": True}
    (found,) = read(logs.promptfoo_results(tmp_path / "r.json", logs.promptfoo_row(0, 0, response=shaped)))
    assert found.trace.output == '{"team": "cards"}'
    assert (found.spans[0].cache, found.trace.calls) == ("hit", 0)


def test_importing_twice_is_as_importing_once(tmp_path: Path) -> None:
    rows = [logs.promptfoo_row(test, column) for test in range(3) for column in (0, 1)]
    path = logs.promptfoo_results(tmp_path / "r.json", *rows)
    with ol.open_store(tmp_path / "traces.db", create=True) as store:
        assert import_log(store, "promptfoo", path) == import_log(store, "promptfoo", path)
        assert (store.count(), len(store.runs())) == (6, 2)
        assert [store.count_results(run.id) for run in store.runs()] == [{"pass": 3}] * 2


def test_version_2_is_read_too(tmp_path: Path) -> None:
    row = logs.promptfoo_row(0, 0)
    for name in ("testIdx", "promptIdx", "failureReason"):
        del row[name]
    row["provider"] = "openai:gpt-5-mini"
    (found,) = read(logs.promptfoo_results(tmp_path / "r.json", row, version=2, table={}))
    assert found.result is not None
    assert (found.result.state, found.trace.name) == ("pass", "openai:gpt-5-mini")


def test_rows_that_are_none_cost_themselves(tmp_path: Path) -> None:
    strange: list[Any] = [
        {},
        {"response": 7, "prompt": [], "vars": "x", "namedScores": {"a": "b"}, "latencyMs": "slow", "score": "high"},
        logs.promptfoo_row(3, 0, cost=float("inf"), latencyMs=-5, namedScores={"nan": float("nan")}),
        "no object",
    ]
    reading = read_promptfoo(logs.promptfoo_results(tmp_path / "r.json", *strange))
    with ol.open_store(tmp_path / "traces.db", create=True) as store:
        assert store.save_records(reading.runs, reading.traces).traces == 3
        assert [row.seconds for row in store.results(reading.runs[0].id)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is not JSON"),
        ("[" * 200_000, "nested too deeply"),
        ("[]", "holds no results of promptfoo"),
        ('{"results": {"version": 3}}', "holds no results of promptfoo"),
        ('{"results": {"version": 4, "results": []}}', "has results of version 4; those of 2 and 3 are read"),
    ],
)
def test_what_is_no_results_is_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(DataError, match=said):
        read_promptfoo(tmp_path / "r.json")
