"""The log of `llm`, in the three forms that it has had."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.tracing.imports import logs

import outlast as ol
from outlast.errors import DataError, UsageError
from outlast.messages import ToolCall, ToolResult
from outlast.tracing.imports.gathered import Reading
from outlast.tracing.imports.llm_logs import log_place, read_llm, ulid
from outlast.tracing.imports.logs import import_log
from outlast.types import Image


def read(path: Path, **options: Any) -> dict[str, Any]:
    """The traces of a log by the ids that llm gave them."""
    return {whole.trace.attributes["llm_id"]: whole for whole in read_llm(path, **options).traces}


def request(whole: Any) -> Any:
    return whole.contents[whole.spans[0].id].as_request()


def response(whole: Any) -> Any:
    return whole.contents[whole.spans[0].id].as_response()


def texts(whole: Any) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in request(whole).messages]


def test_the_oldest_form(tmp_path: Path) -> None:
    logs.old_log(tmp_path / "logs.db").close()
    found = read(tmp_path / "logs.db")
    assert list(found) == [logs.HELLO, logs.ONE, logs.TWO]
    first = found[logs.HELLO]
    assert texts(first) == [("system", "Be brief."), ("user", "hello there")]
    assert (response(first).text, response(first).seconds) == ("heard", 1.5)
    assert (first.trace.session, first.trace.seconds, first.trace.models) == ("c1", 1.5, ("fake-1",))
    assert (first.trace.input, first.trace.output, first.trace.tags) == ("hello there", "heard", ("llm",))
    assert first.trace.input_tokens is None
    assert first.trace.started == pytest.approx(1795979586.943113)
    assert request(found[logs.ONE]).settings.temperature == 0.5
    assert texts(found[logs.TWO]) == [("user", "one"), ("assistant", "heard one"), ("user", "two")]


def test_the_form_with_tools_fragments_and_attachments(tmp_path: Path) -> None:
    logs.middle_log(tmp_path / "logs.db").close()
    found = read(tmp_path / "logs.db")
    asked, answered = found[logs.CALL], found[logs.ANSWER]
    assert response(asked).tool_calls == (ToolCall("t1", "look", '{"city": "Paris"}'),)
    assert (response(asked).finish, response(answered).finish) == ("tool_calls", "stop")
    assert [tool.name for tool in request(asked).tools] == ["look"]
    assert request(asked).settings.extra == {"odd": 1}
    parts = [part for message in request(answered).messages for part in message.parts]
    assert ToolResult("t1", "rain in Paris") in parts
    assert ToolCall("t1", "look", '{"city": "Paris"}') in parts
    assert request(answered).messages[0].text == "Be brief."
    assert texts(found[logs.REFERRED])[0] == ("system", "SYS")
    assert texts(found[logs.REFERRED])[-1] == ("user", "LONG\nwhat of it")
    shown = request(found[logs.PICTURE]).messages[-1].parts
    assert shown[1:3] == (Image("image/png", logs.PNG), Image("image/png", url="https://a.example/x.png"))
    assert shown[3].text == "[attachment, image/png, at '/etc/passwd': not in the log or too large]"
    span = asked.spans[0]
    assert (span.input_tokens, span.output_tokens, span.cached_tokens, span.reasoning_tokens) == (11, 7, 5, 3)
    assert (span.lm_asked, span.lm_answered) == ("llm:fake-2", "fake-2-2026")


def test_the_newest_form_beside_what_was_there_before(tmp_path: Path) -> None:
    logs.new_log(tmp_path / "logs.db").close()
    found = read(tmp_path / "logs.db")
    assert list(found) == [logs.HELLO, logs.ONE, logs.TWO, logs.CALL, logs.ANSWER, logs.SCHEMA]
    asked, answered, last = (found[name] for name in (logs.CALL, logs.ANSWER, logs.SCHEMA))
    assert texts(asked) == [("system", "Be brief."), ("user", "weather?")]
    reply = response(asked)
    assert (reply.text, reply.reasoning, reply.finish) == ("", "I must look.", "tool_calls")
    assert reply.tool_calls == (ToolCall("t1", "look", '{"city": "Paris"}'),)
    assert (reply.model, reply.usage.cached_tokens, reply.seconds) == ("fake-2-2026", 5, 2.5)
    assert [message.role for message in request(answered).messages] == ["system", "user", "assistant", "tool"]
    assert request(answered).messages[3].parts == (ToolResult("t1", "rain in Paris"),)
    assert response(answered).text == "rain"
    assert request(last).messages[0].text == "LONG\nwhat of it"
    assert request(last).messages[0].parts[1] == Image("image/png", logs.PNG)
    assert request(last).output.schema["properties"] == {"name": {"type": "string"}}
    assert asked.trace.session == "th1"


def test_the_ids_are_those_of_the_log_and_sort_by_time(tmp_path: Path) -> None:
    logs.new_log(tmp_path / "logs.db").close()
    ids = [whole.trace.id for whole in read_llm(tmp_path / "logs.db").traces]
    assert ids == sorted(ids)
    assert ids[0] == ulid(logs.HELLO) == "01a228b9ad804333bbd00daaee7e4d94"
    assert [ulid(word) for word in ("", "x", "8" + "0" * 25, "u" * 26)] == [""] * 4


def test_only_what_came_after_an_id(tmp_path: Path) -> None:
    logs.new_log(tmp_path / "logs.db").close()
    assert list(read(tmp_path / "logs.db", since=logs.CALL)) == [logs.ANSWER, logs.SCHEMA]
    assert read(tmp_path / "logs.db", since=logs.SCHEMA) == {}


def test_importing_twice_is_as_importing_once(tmp_path: Path) -> None:
    logs.new_log(tmp_path / "logs.db").close()
    with ol.open_store(tmp_path / "traces.db", create=True) as store:
        first = import_log(store, "llm", tmp_path / "logs.db")
        store.add_label(store.traces()[0].id, "pass")
        second = import_log(store, "llm", tmp_path / "logs.db")
        assert first == second
        assert (first.traces, first.spans, first.skipped, first.last) == (6, 6, 0, logs.SCHEMA)
        assert (store.count(), len(store.runs()), len(store.labels())) == (6, 1, 1)
        run = store.run(first.runs[0])
        assert (run.kind, run.status, run.summary) == ("import", "done", {"responses": 3, "turns": 3})
        assert {hit.trace.id for hit in store.search("Paris")} == {ulid(logs.CALL), ulid(logs.ANSWER)}
        kept = store.content(store.spans(ulid(logs.ANSWER))[0])
        assert kept.as_request().messages[3].parts == (ToolResult("t1", "rain in Paris"),)


def test_the_log_is_only_read(tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    logs.new_log(path).close()
    path.chmod(0o400)
    before = path.read_bytes()
    assert len(read(path)) == 6
    assert path.read_bytes() == before


def test_it_reads_while_llm_writes(tmp_path: Path) -> None:
    writer = logs.old_log(tmp_path / "logs.db")
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM responses")
    assert len(read(tmp_path / "logs.db")) == 3
    writer.close()


def test_secrets_of_this_process_do_not_get_into_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "sk-proj-" + "a1b2C3d4" * 6
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    with logs.old_log(tmp_path / "logs.db") as connection:
        connection.execute("UPDATE responses SET prompt = ?", (f"my key is {secret}",))
    connection.close()
    with ol.open_store(tmp_path / "traces.db", create=True) as store:
        import_log(store, "llm", tmp_path / "logs.db")
        held = [store.trace(one.id).input for one in store.traces()]
        held += [str(store.contents(one.id)) for one in store.traces()]
    assert held
    assert not [text for text in held if secret in text]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no SQLite database"),
        (b"not a database at all", "is no SQLite database"),
        (b"SQLite format 3\x00" + b"\xff" * 4000, "cannot be read"),
    ],
)
def test_what_is_no_database_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "logs.db").write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_llm(tmp_path / "logs.db")


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "logs.db")
    connection.execute("CREATE TABLE responses (id TEXT, other TEXT)")
    # What only looks like the table is not run: a view may hold any query.
    connection.execute(
        "CREATE VIEW turns AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id, "
        "id AS thread_id, id AS parent_message_hash, id AS tip_message_hash, id AS model FROM n"
    )
    connection.close()
    with pytest.raises(DataError, match="neither the table 'turns' nor 'responses'"):
        read_llm(tmp_path / "logs.db")


def test_where_nothing_is_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="there is no file"):
        read_llm(tmp_path / "logs.db")
    with pytest.raises(DataError, match="is a folder"):
        read_llm(tmp_path)
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    assert log_place() == tmp_path / "logs.db"
    monkeypatch.delenv("LLM_USER_PATH")
    assert log_place().parts[-2:] == ("io.datasette.llm", "logs.db")


def test_rows_that_nobody_foresaw_cost_themselves(tmp_path: Path) -> None:
    connection = logs.new_log(tmp_path / "logs.db")
    logs.insert(connection, "messages", ("loop", "loop2", "user"), ("loop2", "loop", "assistant"))
    strange = [
        ("zz1", None, "loop", "loop2", 7, None, "[" * 100_000, "nowhere", -1, 2**62, "{", "x", "never", None),
        (
            "zz2",
            b"\xff",
            "missing",
            None,
            None,
            None,
            '{"stop": 1, "max_tokens": -3}',
            None,
            1.5,
            "x",
            7,
            -5.0,
            9,
            None,
        ),
        ("zz3", "t", "m5", "m5", "m", None, '{"temperature": 1e999}', None, None, None, None, None, None, None),
    ]
    logs.insert(connection, "turns", *strange)
    connection.execute("UPDATE messages SET role = 'alien' WHERE hash = 'm5'")
    connection.commit()
    connection.close()
    with ol.open_store(tmp_path / "traces.db", create=True) as store:
        done = import_log(store, "llm", tmp_path / "logs.db")
        assert done.traces + done.skipped == 9
        assert done.skipped == 0
        assert store.count() == 9


def test_a_long_conversation_is_read_in_time(tmp_path: Path) -> None:
    import time

    connection = logs.new_log(tmp_path / "logs.db")
    messages = [(f"x{n}", f"x{n - 1}" if n else None, "assistant" if n % 2 else "user") for n in range(1000)]
    logs.insert(connection, "messages", *messages)
    logs.insert(connection, "parts", *[(100 + n, f"x{n}", 0, "text", None, f"text {n}", None) for n in range(1000)])
    turns = [(f"zz{n:04d}", "t", f"x{n - 1}", f"x{n}", "m") for n in range(1, 1000, 2)]
    logs.insert(connection, "turns", *turns)
    connection.commit()
    connection.close()
    began = time.perf_counter()
    found = read(tmp_path / "logs.db", since="zz")
    assert time.perf_counter() - began < 10
    assert len(request(found["zz0999"]).messages) == 999


def test_a_format_or_an_id_that_is_none_is_refused(tmp_path: Path) -> None:
    logs.old_log(tmp_path / "logs.db").close()
    with ol.open_store(tmp_path / "traces.db", create=True) as store:
        with pytest.raises(UsageError, match="Did you mean 'llm'"):
            import_log(store, "lm", tmp_path / "logs.db")
        with pytest.raises(UsageError, match="since="):
            import_log(store, "llm", tmp_path / "logs.db", since="")
        with pytest.raises(UsageError, match="since= is for the log of llm"):
            import_log(store, "inspect", tmp_path / "x.json", since="a")
        with pytest.raises(UsageError, match="Give its path"):
            import_log(store, "promptfoo")
        with pytest.raises(UsageError, match="takes a store"):
            import_log(7, "llm")  # type: ignore[arg-type]
    assert import_log(tmp_path / "traces.db", "llm", tmp_path / "logs.db").traces == 3


def test_a_reading_holds_one_trace_at_a_time(tmp_path: Path) -> None:
    import tracemalloc

    connection = logs.old_log(tmp_path / "logs.db")
    rows = [(f"{n:026d}", "m", "p" * 100_000, None, None, "{}", "r", None, None, 0, None) for n in range(300)]
    logs.insert(connection, "responses", *rows)
    connection.commit()
    connection.close()
    tracemalloc.start()
    try:
        reading: Reading = read_llm(tmp_path / "logs.db")
        assert sum(1 for _ in reading.traces) == 303
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 5_000_000  # the log has 30 MB
