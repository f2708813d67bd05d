"""Logs of other tools, written as those tools write them: the forms are those of llm 0.13, 0.26 and 0.36, of Inspect
0.3.285 and of promptfoo 0.120, looked up in files that they wrote."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HELLO = "01m8mbkbc08csvqm0dnbq7wkcm"
ONE, TWO = "01m8mbkbc3razmc6f8v79aq8r0", "01m8mbkbc4q8vm98je9fkd5g11"
CALL, ANSWER = "01m8mbks2zjtw4fdr7e5ta39fv", "01m8mbks2zjtw4fdr7e5ta39fw"
SCHEMA, REFERRED = "01m8mbks3686jk085g08gm7xkc", "01m8mbks38fa9srhp80124cf5y"
PICTURE = "01m8mbks3aryq50taf0jp5fjvp"
PNG = b"\x89PNG\r\n\x1a\n...."

_OLD = """
CREATE TABLE conversations (id TEXT PRIMARY KEY, name TEXT, model TEXT);
CREATE TABLE responses (id TEXT PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, prompt_json TEXT,
  options_json TEXT, response TEXT, response_json TEXT, conversation_id TEXT, duration_ms INTEGER, datetime_utc TEXT);
"""
_SHARED = """
CREATE TABLE attachments (id TEXT PRIMARY KEY, type TEXT, path TEXT, url TEXT, content BLOB);
CREATE TABLE schemas (id TEXT PRIMARY KEY, content TEXT);
CREATE TABLE fragments (id INTEGER PRIMARY KEY, hash TEXT, content TEXT, datetime_utc TEXT, source TEXT);
CREATE TABLE tools (id INTEGER PRIMARY KEY, hash TEXT, name TEXT, description TEXT, input_schema TEXT, plugin TEXT);
"""
_MIDDLE = """
ALTER TABLE responses ADD COLUMN input_tokens INTEGER;
ALTER TABLE responses ADD COLUMN output_tokens INTEGER;
ALTER TABLE responses ADD COLUMN token_details TEXT;
ALTER TABLE responses ADD COLUMN schema_id TEXT;
ALTER TABLE responses ADD COLUMN resolved_model TEXT;
CREATE TABLE prompt_attachments (response_id TEXT, attachment_id TEXT, "order" INTEGER);
CREATE TABLE prompt_fragments (response_id TEXT, fragment_id INTEGER, "order" INTEGER);
CREATE TABLE system_fragments (response_id TEXT, fragment_id INTEGER, "order" INTEGER);
CREATE TABLE tool_responses (tool_id INTEGER, response_id TEXT);
CREATE TABLE tool_calls (id INTEGER PRIMARY KEY, response_id TEXT, tool_id INTEGER, name TEXT, arguments TEXT,
  tool_call_id TEXT);
CREATE TABLE tool_results (id INTEGER PRIMARY KEY, response_id TEXT, tool_id INTEGER, name TEXT, output TEXT,
  tool_call_id TEXT, instance_id INTEGER, exception TEXT);
"""
_NEW = """
CREATE TABLE messages (hash TEXT PRIMARY KEY, parent_hash TEXT, role TEXT, provider_metadata TEXT);
CREATE TABLE parts (id INTEGER PRIMARY KEY, message_hash TEXT, position INTEGER, type TEXT, tool_name TEXT, text TEXT,
  payload TEXT);
CREATE TABLE part_attachments (part_id INTEGER, attachment_id TEXT, "order" INTEGER);
CREATE TABLE part_fragments (part_id INTEGER, fragment_id INTEGER, "order" INTEGER);
CREATE TABLE threads (id TEXT PRIMARY KEY, name TEXT, tip_message_hash TEXT, forked_from TEXT, datetime_utc TEXT);
CREATE TABLE turns (id TEXT PRIMARY KEY, thread_id TEXT, parent_message_hash TEXT, tip_message_hash TEXT, model TEXT,
  resolved_model TEXT, options_json TEXT, schema_id TEXT, input_tokens INTEGER, output_tokens INTEGER,
  token_details TEXT, duration_ms INTEGER, datetime_utc TEXT, response_json TEXT);
CREATE TABLE turn_tools (turn_id TEXT, tool_id INTEGER, instance_id INTEGER);
"""
_DETAILS = '{"prompt_tokens_details": {"cached_tokens": 5}, "completion_tokens_details": {"reasoning_tokens": 3}}'
_TOOL = (1, "h", "look", "Looks.", '{"properties": {"city": {"type": "string"}}, "type": "object"}', None)


def insert(connection: sqlite3.Connection, table: str, *rows: tuple[Any, ...]) -> None:
    """Put rows into the first columns of a table."""
    for row in rows:
        names = [column[1] for column in connection.execute(f"PRAGMA table_info({table})")][: len(row)]
        listed = ", ".join(f'"{name}"' for name in names)
        connection.execute(f"INSERT INTO {table} ({listed}) VALUES ({', '.join('?' * len(row))})", row)


def old_log(path: Path) -> sqlite3.Connection:
    """A log of llm 0.13: responses and conversations. The connection is open."""
    connection = sqlite3.connect(path)
    connection.executescript(_OLD)
    at = "2026-11-29T19:13:06.94311"
    insert(connection, "conversations", ("c1", "hello there", "fake-1"), ("c2", "one", "fake-1"))
    insert(
        connection,
        "responses",
        (HELLO, "fake-1", "hello there", "Be brief.", None, "{}", "heard", '{"id": "x"}', "c1", 1500, at + "3"),
        (ONE, "fake-1", "one", None, None, '{"temperature": 0.5}', "heard one", None, "c2", 0, at + "4"),
        (TWO, "fake-1", "two", None, None, "{}", "heard two", None, "c2", 0, at + "5"),
    )
    connection.commit()
    return connection


def middle_log(path: Path) -> sqlite3.Connection:
    """A log of llm 0.26: responses with tokens, tools, fragments and attachments."""
    connection = old_log(path)
    connection.executescript(_SHARED + _MIDDLE)
    connection.execute("DELETE FROM responses")
    at = "2026-11-29T19:13:20.991298+00:00"

    def row(identifier: str, prompt: str | None, response: str, system: str | None = None) -> tuple[Any, ...]:
        head = (
            identifier,
            "fake-2",
            prompt,
            system,
            None,
            '{"temperature": 0.5, "odd": 1}',
            response,
            None,
            "c1",
            10,
            at,
        )
        return (*head, 11, 7, _DETAILS, None, "fake-2-2026")

    insert(
        connection,
        "responses",
        row(CALL, "weather?", "", "Be brief."),
        row(ANSWER, None, "rain"),
        row(REFERRED, "what of it", "much"),
        row(PICTURE, "and this?", "a picture"),
    )
    insert(connection, "tools", _TOOL)
    insert(connection, "tool_responses", (1, CALL), (1, ANSWER))
    insert(connection, "tool_calls", (1, CALL, 1, "look", '{"city": "Paris"}', "t1"))
    insert(connection, "tool_results", (1, ANSWER, 1, "look", "rain in Paris", "t1", None, None))
    insert(connection, "fragments", (1, "h", "LONG"), (2, "h", "SYS"))
    insert(connection, "prompt_fragments", (REFERRED, 1, 0))
    insert(connection, "system_fragments", (REFERRED, 2, 0))
    insert(
        connection,
        "attachments",
        ("a1", "image/png", None, None, PNG),
        ("a2", "image/png", None, "https://a.example/x.png", None),
        ("a3", "image/png", "/etc/passwd", None, None),
    )
    insert(connection, "prompt_attachments", (PICTURE, "a1", 0), (PICTURE, "a2", 1), (PICTURE, "a3", 2))
    connection.commit()
    return connection


def new_log(path: Path) -> sqlite3.Connection:
    """A log of llm 0.36 that an older one was updated to: three responses stay where they were, turns came after."""
    connection = old_log(path)
    connection.executescript(_SHARED + _NEW)
    at = "2026-11-29T19:13:20.991298+00:00"
    insert(connection, "schemas", ("s1", '{"type": "object", "properties": {"name": {"type": "string"}}}'))
    insert(connection, "tools", _TOOL)
    insert(connection, "fragments", (1, "h", "LONG"))
    insert(connection, "attachments", ("a1", "image/png", None, None, PNG))
    insert(connection, "part_attachments", (9, "a1", 0))
    messages: list[tuple[str, str | None, str]] = [
        ("m0", None, "system"),
        ("m1", "m0", "user"),
        ("m2", "m1", "assistant"),
        ("m3", "m2", "tool"),
        ("m4", "m3", "assistant"),
        ("m5", None, "user"),
        ("m6", "m5", "assistant"),
    ]
    insert(connection, "messages", *messages)
    call = {"name": "look", "arguments": {"city": "Paris"}, "tool_call_id": "t1"}
    result = {"name": "look", "output": "rain in Paris", "tool_call_id": "t1"}
    referred = {"text_ref": [{"fragment": 1}, {"literal": "\nwhat of it"}]}
    insert(
        connection,
        "parts",
        (1, "m0", 0, "text", None, "Be brief.", None),
        (2, "m1", 0, "text", None, "weather?", None),
        (3, "m2", 0, "reasoning", None, "I must look.", None),
        (4, "m2", 1, "tool_call", "look", None, json.dumps(call)),
        (5, "m3", 0, "tool_result", "look", None, json.dumps(result)),
        (6, "m4", 0, "text", None, "rain", None),
        (7, "m5", 0, "text", None, None, json.dumps(referred)),
        (9, "m5", 1, "attachment", None, None, None),
        (8, "m6", 0, "text", None, '{"name": "x"}', None),
    )
    rest = (11, 7, _DETAILS, 2500, at, None)
    insert(
        connection,
        "turns",
        (CALL, "th1", "m1", "m2", "fake-2", "fake-2-2026", '{"temperature": 0.5}', None, *rest),
        (ANSWER, "th1", "m3", "m4", "fake-2", None, None, None, *rest),
        (SCHEMA, "th2", "m5", "m6", "fake-2", None, None, "s1", *rest),
    )
    insert(connection, "turn_tools", (CALL, 1, None), (ANSWER, 1, None))
    connection.commit()
    return connection


# Inspect


def _event(kind: str, second: float, span: str = "s2", **more: Any) -> dict[str, Any]:
    return {"event": kind, "timestamp": f"2026-11-29T19:14:{49 + second:09.6f}+00:00", "span_id": span, **more}


def inspect_sample(identifier: Any = "w1", epoch: int = 1, *, value: Any = "C") -> dict[str, Any]:
    """A sample that calls a tool and is scored."""
    look = {"id": "t1", "function": "look", "arguments": {"city": "Paris"}, "type": "function"}
    messages = [
        {"id": "1", "role": "system", "content": "attachment://sys"},
        {"id": "2", "role": "user", "content": "Weather in Paris?", "source": "input"},
        {
            "id": "3",
            "role": "assistant",
            "content": [{"type": "reasoning", "reasoning": "I must look."}, {"type": "text", "text": "A look."}],
            "tool_calls": [look],
        },
        {"id": "4", "role": "tool", "content": "rain in Paris", "tool_call_id": "t1", "function": "look"},
    ]
    usage = {"input_tokens": 20, "output_tokens": 9, "input_tokens_cache_read": 4, "reasoning_tokens": 2}
    tools = [{"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}}]

    def model(second: float, refs: list[int], message: dict[str, Any], stop: str) -> dict[str, Any]:
        output = {
            "model": "gpt-5-mini-2026",
            "choices": [{"message": message, "stop_reason": stop}],
            "completion": "",
            "usage": usage,
        }
        config = {"temperature": 0.5, "max_tokens": 100, "stop_seqs": ["END"]}
        return _event(
            "model",
            second,
            model="openai/gpt-5-mini",
            input=[],
            input_refs=[refs],
            tools=tools,
            config=config,
            output=output,
            working_time=0.25,
        )

    answer = {"role": "assistant", "content": "The answer is rain"}
    return {
        "id": identifier,
        "epoch": epoch,
        "input": "Weather in Paris?",
        "target": "rain",
        "messages": messages,
        "output": {"model": "gpt-5-mini-2026", "choices": [], "completion": "The answer is rain"},
        "scores": {
            "match": {"value": 0.5, "explanation": "in part"},
            "includes": {"value": value, "answer": "rain", "explanation": "it is in it"},
        },
        "events": [
            _event("span_begin", 0, "s1", id="s1", type="solvers", name="solvers"),
            _event("span_begin", 0, "s2", id="s2", parent_id="s1", type="solver", name="generate"),
            model(0.1, [0, 2], messages[2], "tool_calls"),
            _event(
                "tool",
                0.4,
                id="t1",
                function="look",
                arguments={"city": "Paris"},
                result="rain in Paris",
                working_time=0.1,
            ),
            model(0.6, [0, 4], answer, "stop"),
            _event("span_end", 1, "s2", id="s2"),
        ],
        "attachments": {"sys": "Be brief."},
        "events_data": {"messages": messages, "calls": []},
        "started_at": "2026-11-29T19:14:49+00:00",
        "total_time": 1.25,
    }


def inspect_failed(identifier: Any = 2, epoch: int = 1) -> dict[str, Any]:
    """A sample that ended in an error."""
    return {
        "id": identifier,
        "epoch": epoch,
        "input": [{"role": "user", "content": [{"type": "text", "text": "boom"}]}],
        "target": ["x", "y"],
        "messages": [],
        "output": {"model": "", "choices": [], "completion": ""},
        "scores": {},
        "events": [],
        "error": {"message": "ValueError('boom happened')", "traceback": "..."},
        "started_at": "2026-11-29T19:14:50+00:00",
        "total_time": 0.01,
    }


def inspect_head(**more: Any) -> dict[str, Any]:
    """What a log says of the evaluation."""
    metrics = {"accuracy": {"name": "accuracy", "value": 0.5}, "stderr": {"name": "stderr", "value": float("nan")}}
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": "e1",
            "run_id": "r1",
            "created": "2026-11-29T19:14:49+00:00",
            "task": "weather",
            "dataset": {"name": "cities", "samples": 2, "sample_ids": [2, "w1"]},
            "model": "openai/gpt-5-mini",
            "scorers": [{"name": "match"}, {"name": "includes"}],
            "revision": {"type": "git", "origin": "https://a.example/r.git", "commit": "abc1234"},
        },
        "stats": {"started_at": "2026-11-29T19:14:49+00:00", "completed_at": "2026-11-29T19:15:49+00:00"},
        "results": {
            "total_samples": 2,
            "scores": [{"name": "includes", "scorer": "includes", "metrics": metrics}],
            "headline": {"scorer": "includes", "score": "includes", "metric": "accuracy"},
        },
        **more,
    }


def inspect_json(path: Path, *samples: Any, **more: Any) -> Path:
    """A log as .json."""
    path.write_text(json.dumps({**inspect_head(**more), "samples": list(samples)}))
    return path


def inspect_eval(path: Path, *samples: Mapping[str, Any], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A log as .eval."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("_journal/start.json", json.dumps({"version": 2, "eval": inspect_head()["eval"], "plan": {}}))
        for sample in samples:
            archive.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
        archive.writestr("summaries.json", "[]")
        archive.writestr("header.json", json.dumps(inspect_head()))
    return path


# promptfoo


def promptfoo_row(test: int, column: int, **more: Any) -> dict[str, Any]:
    """One cell of the table."""
    return {
        "testIdx": test,
        "promptIdx": column,
        "provider": {"id": "openai:gpt-5-mini", "label": ""},
        "prompt": {"raw": "Say hello to Ann", "label": "Say {{word}} to {{name}}"},
        "vars": {"word": "hello", "name": "Ann"},
        "testCase": {"description": "first", "vars": {}, "assert": [{"type": "contains", "value": "hello"}]},
        "response": {
            "output": "hello, Ann",
            "tokenUsage": {"total": 15, "prompt": 10, "completion": 5, "completionDetails": {"reasoning": 2}},
            "cached": False,
            "finishReason": "stop",
        },
        "success": True,
        "score": 1,
        "failureReason": 0,
        "namedScores": {"greets": 1},
        "gradingResult": {"pass": True, "score": 1, "reason": "All assertions passed"},
        "latencyMs": 250,
        "cost": 0.001,
        **more,
    }


def promptfoo_results(path: Path, *rows: Any, **more: Any) -> Path:
    """A results.json."""
    summary = {
        "version": 3,
        "timestamp": "2026-11-29T19:17:53.954Z",
        "prompts": [],
        "results": list(rows),
        "stats": {"durationMs": 301},
    }
    told = {"evalId": "eval-1", "results": {**summary, **more}, "config": {"description": "weather"}}
    path.write_text(json.dumps(told))
    return path
