"""The store of traces: what ran is there, whole and in order, and nothing of it gets in the way."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import ConfigError, DataError, LMServerError, UsageError
from outlast.messages import Message, Request, Response, Settings, Usage
from outlast.runtime import set_defaults
from outlast.testing import ScriptedLM
from outlast.tracing.record import TraceFilter
from outlast.tracing.switch import flush, from_environment

KEY = "sk-abcdefghijklmnop1234567890"


class QA(ol.Signature):
    """Answer the question."""

    question: str = ol.input()
    answer: str = ol.output()


class Two(ol.Module):
    """Two steps."""

    first = ol.Predict(QA)
    second = ol.ChainOfThought(QA)

    def forward(self, question: str) -> Any:
        return self.second(question=self.first(question=question).answer)


def reply(text: str, **more: Any) -> Response:
    return Response(text, "scripted-1", usage=Usage(10, 5, cost=0.001, cost_source="test"), **more)


def answering(*texts: str) -> ScriptedLM:
    return ScriptedLM([reply(f"<<answer>>\n{text}\n<<end>>") for text in texts])


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "traces.db"
    set_defaults(recording=None)
    flush()


def kept(path: Path) -> ol.Store:
    assert flush()
    return ol.open_store(path)


def test_nothing_is_kept_unless_asked_for(path: Path) -> None:
    with ol.trace() as spans, ol.context(lm=answering("x")):
        ol.Predict(QA)(question="q")
    assert spans.id == ""
    assert len(spans) == 1
    assert not path.exists()


def test_a_call_is_a_tree_of_spans_with_all_that_was_sent(path: Path) -> None:
    texts = ("<<answer>>\nParis\n<<end>>", "<<reasoning>>\nwell\n<<answer>>\nRome\n<<end>>")
    lm = ScriptedLM([reply(text) for text in texts], keep=True)
    with ol.trace(store=path) as spans, ol.context(lm=lm):
        out = Two()(question="capital?")
    store = kept(path)
    [trace] = store.traces()
    assert (trace.id, out.trace.id) == (spans.id, spans.id)
    assert (trace.name, trace.kind, trace.status, trace.calls, trace.models) == (
        "Two",
        "program",
        "ok",
        2,
        ("scripted-1",),
    )
    assert (trace.input_tokens, trace.output_tokens, trace.cost) == (20, 10, 0.002)
    assert (trace.input, trace.output) == ("capital?", "Rome")
    tree = store.spans(trace.id)
    assert [(one.kind, one.path, one.signature) for one in tree] == [
        ("program", "", ""),
        ("module", "first", "QA"),
        ("lm", "first", "QA"),
        ("module", "second", "QA"),
        ("lm", "second", "QA"),
    ]
    by_id = {one.id: one for one in tree}
    assert [by_id[one.parent_id].kind if one.parent_id else "" for one in tree] == [
        "",
        "program",
        "module",
        "program",
        "module",
    ]
    asked = tree[2]
    assert (asked.adapter, asked.lm_asked, asked.lm_answered, asked.cost) == ("Chat", lm.name, "scripted-1", 0.001)
    content = store.contents(trace.id)
    request = content[asked.id].as_request()
    assert request is not None
    assert request.to_json() == lm.requests[0].to_json()
    response = content[asked.id].as_response()
    assert response is not None
    assert response.text == "<<answer>>\nParis\n<<end>>"
    assert content[tree[1].id].inputs == {"question": "capital?"}
    assert content[tree[1].id].outputs == {"answer": "Paris"}
    assert store.content(asked).request == content[asked.id].request


def test_a_shared_beginning_of_conversations_is_stored_once(path: Path) -> None:
    program = ol.Predict(QA)
    with ol.trace(store=path), ol.context(lm=answering(*"abcdef")):
        for number in range(6):
            program(question=f"question {number}")
    store = kept(path)
    assert store.count() == 6
    with sqlite3.connect(path) as db:
        roles = dict(db.execute("SELECT role, count(*) FROM messages GROUP BY role").fetchall())
    db.close()
    assert roles == {"system": 1, "user": 6}


def test_an_error_is_kept_and_still_raised(path: Path) -> None:
    lm = ScriptedLM([LMServerError("the server is down")])
    with ol.trace(store=path), ol.context(lm=lm), pytest.raises(LMServerError):
        ol.Predict(QA)(question="q")
    store = kept(path)
    [trace] = store.traces(TraceFilter(status="error"))
    assert trace.error == "LMServerError: the server is down"
    assert trace.calls == 1
    assert [one.status for one in store.spans(trace.id)] == ["error", "error"]
    assert store.traces(TraceFilter(status="ok")) == []


def test_a_question_that_was_asked_again_has_a_span_for_each_try(path: Path) -> None:
    lm = ScriptedLM(["nothing", reply('{"answer": "yes"}')])
    with ol.trace(store=path), ol.context(lm=lm, adapter=ol.JSON(reasks=1, fallback=None)):
        ol.Predict(QA)(question="q")
    store = kept(path)
    [trace] = store.traces()
    tries = [one for one in store.spans(trace.id) if one.kind == "lm"]
    assert [(one.attempt, one.status) for one in tries] == [(0, "error"), (1, "ok")]
    assert tries[0].error_type == "ParseError"


def test_models_asked_without_a_program_are_traces_of_their_own(path: Path) -> None:
    lm = ScriptedLM([reply("hello"), reply("again")])
    with ol.trace(store=path) as spans:
        lm("hi")
        asyncio.run(_asked(lm))
    store = kept(path)
    newest, oldest = store.traces()
    assert (oldest.kind, oldest.input, oldest.output) == ("lm", "hi", "hello")
    assert newest.id == spans.id


async def _asked(lm: ScriptedLM) -> None:
    await lm.acall("once more")


def test_a_tool_that_is_run_by_itself_is_a_trace(path: Path) -> None:
    def look_up(city: str) -> str:
        """Look a city up."""
        return f"{city} is big"

    box = ol.Toolbox([look_up])
    with ol.trace(store=path):
        asyncio.run(box.answer("look_up", {"city": "Rome"}))
    store = kept(path)
    [trace] = store.traces()
    assert (trace.kind, trace.name, trace.input, trace.output) == ("tool", "look_up", "Rome", "Rome is big")


def test_tools_of_an_agent_are_spans_beside_what_it_asked(path: Path) -> None:
    def look_up(city: str) -> str:
        """Look a city up."""
        return f"{city} is big"

    turns = [
        Response("", "m", tool_calls=(ol.ToolCall("1", "look_up", '{"city": "Rome"}'),)),
        {"answer": "big"},
    ]
    lm = ScriptedLM(turns, capabilities=ol.Capabilities(tools=True))
    with ol.trace(store=path), ol.context(lm=lm):
        out = ol.ReAct(QA, tools=[look_up])(question="how big is Rome?")
    assert out.answer == "big"
    store = kept(path)
    [trace] = store.traces()
    tree = store.spans(trace.id)
    assert [(one.kind, one.name) for one in tree if one.kind != "module"] == [
        ("program", "ReAct"),
        ("lm", "ReAct"),
        ("tool", "look_up"),
        ("lm", "ReAct"),
    ]
    tool = next(one for one in tree if one.kind == "tool")
    content = store.content(tool)
    assert (content.inputs, content.outputs) == ({"city": "Rome"}, "Rome is big")


def test_an_agent_that_is_stepped_leaves_a_trace_for_each_step(path: Path) -> None:
    def look_up(city: str) -> str:
        """Look a city up."""
        return f"{city} is big"

    turns = [Response("", "m", tool_calls=(ol.ToolCall("1", "look_up", '{"city": "Rome"}'),)), {"answer": "big"}]
    agent = ol.ReAct(QA, tools=[look_up], lm=ScriptedLM(turns, capabilities=ol.Capabilities(tools=True)))
    with ol.trace(store=path):
        state = agent.step(agent.start(question="how big is Rome?"))
        assert agent.finish(state).answer == "big"
    store = kept(path)
    second, first = store.traces()
    assert [one.kind for one in store.spans(first.id)] == ["program", "lm"]
    assert [one.kind for one in store.spans(second.id)] == ["program", "tool", "lm"]
    assert second.output == "big"


def test_async_and_parallel_calls_keep_their_spans_apart(path: Path) -> None:
    async def main() -> None:
        program = ol.Predict(QA, lm=ScriptedLM(lambda messages: f"<<answer>>\n{messages[-1].text[-40:]}\n<<end>>"))
        await ol.gather(*(program.acall(question=f"n{number}") for number in range(50)))

    with ol.trace(store=path):
        asyncio.run(main())
    store = kept(path)
    assert store.count() == 50
    for trace in store.traces(limit=50):
        assert [one.kind for one in store.spans(trace.id)] == ["program", "lm"]


def test_secrets_are_never_stored(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "a-very-private-value")
    lm = answering(f"the key is {KEY} and a-very-private-value")
    with ol.trace(store=path), ol.context(lm=lm):
        ol.Predict(QA)(question=f"use {KEY}, a-very-private-value")
    store = kept(path)
    store.search("key")
    store.backup(path.with_name("copy.db"))
    for file in path.parent.iterdir():
        assert KEY.encode() not in file.read_bytes()
        assert b"a-very-private-value" not in file.read_bytes()
    assert "[hidden]" in str(store.contents(store.traces()[0].id))


def test_redact_changes_every_text_and_keeps_nothing_when_it_fails(path: Path) -> None:
    def hide(text: str) -> str:
        if "explode" in text:
            raise ValueError("no")
        return text.replace("Anna", "NAME")

    with ol.trace(store=path, redact=hide), ol.context(lm=answering("Anna", "explode")):
        ol.Predict(QA)(question="who is Anna?")
        ol.Predict(QA)(question="and Anna?")
    store = kept(path)
    told = str([(one, store.contents(one.id)) for one in store.traces()])
    assert "Anna" not in told
    assert "explode" not in told
    assert "NAME" in told
    assert "redact raised ValueError" in told


@pytest.mark.parametrize("capture", ["redacted", "hash", "off"])
def test_less_can_be_kept(path: Path, capture: Any) -> None:
    with ol.trace(store=path, capture=capture), ol.context(lm=answering("mail anna@example.com")):
        ol.Predict(QA)(question="who is anna@example.com in Paris?")
    store = kept(path)
    [trace] = store.traces()
    told = str([trace, store.contents(trace.id)])
    assert "anna@example.com" not in told
    assert ("Paris" in told) == (capture == "redacted")
    assert (trace.calls, trace.input_tokens, trace.status) == (1, 10, "ok")
    with sqlite3.connect(path) as db:
        keys = db.execute("SELECT count(request_tail) FROM spans").fetchone()[0]
        texts = db.execute("SELECT count(*) FROM messages").fetchone()[0]
    db.close()
    assert (keys, texts) == {"redacted": (1, 2), "hash": (1, 0), "off": (0, 0)}[capture]


@pytest.mark.parametrize("capture", ["hash", "off"])
def test_no_word_of_any_content_is_in_the_file(path: Path, capture: Any) -> None:
    word = "".join(("Xan", "thippe"))  # not in this file as one: a diff of it is part of a run

    def check(answer: str) -> tuple[bool, str]:
        return False, f"never {word}"

    program = ol.Predict(
        QA.with_checks(ol.check(check, on_fail="raise")),
        demos=[{"question": f"who is {word}?", "answer": f"it is {word}"}],
        adapter=ol.JSON(reasks=0, fallback=None),
    )
    replies = [f"{word}?", {"answer": f"{word}!"}, LMServerError(f"{word} is down")]
    data = [ol.Example({"question": f"{word} {n}"}, {"answer": word}) for n in range(3)]

    @ol.metric
    def scored(example: Any, out: Any) -> Any:
        return ol.Score(0.0, feedback=f"not {word}")

    with ol.trace(store=path, capture=capture), ol.context(lm=ScriptedLM(replies)):
        ol.evaluate(program, data, scored, concurrency=1, progress=False)
    store = kept(path)
    [run] = store.runs(kind="eval")
    assert store.count_results(run.id) == {"error": 3}
    assert [one.error for one in store.results(run.id)] == ["ParseError", "CheckFailed", "LMServerError"]
    assert store.search(word) == []
    store.backup(path.with_name("copy.db"))
    for file in path.parent.iterdir():
        assert word.encode() not in file.read_bytes(), file


def test_search_finds_what_went_in_and_came_out(path: Path) -> None:
    with ol.trace(store=path, tags=["nightly"], session="s1"), ol.context(lm=answering("a zebra", "an ibex")):
        ol.Predict(QA)(question="what has stripes?")
        ol.Predict(QA)(question='what has "horns"?')
    store = kept(path)
    newest, oldest = store.traces()
    assert [hit.trace.id for hit in store.search("zebra")] == [oldest.id]
    assert "[zebra]" in store.search("zebra")[0].snippet
    assert [hit.trace.id for hit in store.search('"what has" ibe*')] == [newest.id]
    assert store.search('zeb" OR (NEAR') == []
    assert store.search('"') == []
    assert [hit.trace.id for hit in store.search("Reply with every output")] == [oldest.id]  # the system prompt, once
    assert [one.id for one in store.traces(TraceFilter(text="horns", tag="nightly", session="s1"))] == [newest.id]
    assert store.traces(TraceFilter(text="horns", tag="night")) == []
    store.add_label(oldest.id, "fail", note="confused with okapi")
    assert [hit.trace.id for hit in store.search("okapi")] == [oldest.id]


def test_labels_of_an_author_follow_one_another_and_can_be_taken_back(path: Path) -> None:
    with ol.trace(store=path) as spans, ol.context(lm=answering("x")):
        ol.Predict(QA)(question="q")
    store = kept(path)
    first = store.add_label(spans.id[:20], "pass", author="ada")
    second = store.add_label(spans.id, "fail", author="ada", note="wrong", tags=["tone"])
    store.add_label(spans.id, "pass", author="bob")
    assert [(one.author, one.value) for one in store.labels(spans.id)] == [("ada", "fail"), ("bob", "pass")]
    assert len(store.labels(history=True)) == 3
    store.undo_label(second.id)
    assert [(one.author, one.value) for one in store.labels(author="ada")] == [("ada", "pass")]
    assert store.labels(author="ada")[0] == first
    assert store.count(TraceFilter(labelled=True)) == 1
    for bad in ([1], {"a": 1}, float("nan")):
        with pytest.raises(UsageError, match="the value of a label"):
            store.add_label(spans.id, bad)
    assert store.add_label(spans.id, "odd \ud800", note=f"see {KEY}").note == "see [hidden]"
    with pytest.raises(UsageError, match="source"):
        store.add_label(spans.id, 1, source="god")
    with pytest.raises(DataError, match="there is no trace"):
        store.add_label("zzz", 1)


def test_old_traces_can_be_removed_and_what_others_need_stays(path: Path) -> None:
    program = ol.Predict(QA)
    with ol.trace(store=path), ol.context(lm=answering("old", "labelled", "new")):
        program(question="old one")
        program(question="labelled one")
        program(question="new one")
    store = kept(path)
    new, labelled, old = store.traces()
    store.add_label(labelled.id, "pass")
    with sqlite3.connect(path) as db:
        db.execute("UPDATE traces SET started = started - 9000 WHERE id <> ?", (new.id,))
        db.execute("UPDATE blobs SET created = created - 9000")
        db.execute("UPDATE messages SET created = created - 9000")
    db.close()
    gone = store.gc(older_than=8000)
    assert gone["traces"] == 1
    assert gone["content"] > 0
    assert [one.id for one in store.traces()] == [new.id, labelled.id]
    for one in (new, labelled):
        span = store.spans(one.id)[-1]
        assert store.content(span).as_request() is not None
        assert store.content(span).as_response() is not None
    assert store.search("old") == []
    assert store.gc(older_than=8000, keep_labelled=False)["traces"] == 1
    with pytest.raises(UsageError, match="older_than"):
        store.gc(older_than=-1)
    del old


def test_a_backup_is_a_whole_store(path: Path) -> None:
    with ol.trace(store=path), ol.context(lm=answering("x")):
        ol.Predict(QA)(question="q")
    store = kept(path)
    copy = store.backup(path.with_name("copy.db"))
    assert ol.open_store(copy, read_only=True).traces() == store.traces()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with pytest.raises(DataError, match="exists already"):
        store.backup(copy)


def test_a_store_that_is_not_there_is_no_empty_one(path: Path) -> None:
    with pytest.raises(DataError, match="create=True"):
        ol.open_store(path)
    assert not path.exists()


def test_a_store_is_for_its_owner_alone(path: Path) -> None:
    ol.open_store(path, create=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    touched = path.with_name("touched.db")
    touched.touch(0o644)
    ol.open_store(touched)
    assert stat.S_IMODE(touched.stat().st_mode) == 0o600


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()
    text = tmp_path / "text.db"
    text.write_text("this is not a database, it is a text that is long enough to be looked at" * 20)
    for bad in (other, text):
        before = bad.read_bytes()
        with pytest.raises(DataError, match=bad.name):
            ol.open_store(bad)
        with pytest.raises(DataError), ol.trace(store=bad):
            pass
        assert bad.read_bytes() == before
    with pytest.raises(DataError, match="there is no store"):
        ol.open_store(tmp_path / "none.db", read_only=True)
    assert not (tmp_path / "none.db").exists()
    for bad_place in ("", 3, "mysql://x/y"):
        with pytest.raises(ConfigError):
            ol.open_store(bad_place)  # type: ignore[arg-type]


def test_a_store_that_a_newer_outlast_wrote_is_refused(path: Path) -> None:
    ol.open_store(path, create=True).close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    db.close()
    with pytest.raises(DataError, match="use a newer one"):
        ol.open_store(path, create=True)


def test_options_are_checked_before_anything_runs(path: Path) -> None:
    for bad in ({"capture": "some"}, {"redact": 3}, {"session": 3}, {"tags": "a"}):
        with pytest.raises(UsageError), ol.trace(store=path, **bad):  # type: ignore[arg-type]
            pass
    with pytest.raises(UsageError, match="True"):
        ol.configure(trace=True)
    with pytest.raises(UsageError, match="Did you mean 'trace'"):
        ol.configure(trac=path)


def test_a_label_is_made_of_texts_and_a_limit_may_be_any_number(path: Path) -> None:
    with ol.trace(store=path), ol.context(lm=answering("x")):
        ol.Predict(QA)(question="one")
    store = kept(path)
    [trace] = store.traces(limit=10**30)
    assert len(store.runs(limit=2**63 - 1)) == 1
    assert store.results(trace.run_id, limit=10**30) == store.search("nothing", limit=10**30) == []
    for bad in ({"note": 5}, {"tags": 5}, {"tags": [5]}, {"author": None}, {"name": b"x"}, {"rubric": 1}):
        with pytest.raises(UsageError, match=f"{next(iter(bad))}.* text"):
            store.add_label(trace.id, "pass", **bad)  # type: ignore[arg-type]
    assert store.labels() == []
    assert store.add_label(trace.id, "pass", tags=iter(["a", "b"])).tags == ("a", "b")  # type: ignore[arg-type]


def test_inside_a_program_its_trace_goes_on(path: Path) -> None:
    class Inner(ol.Module):
        """Looks at its own exchanges, and tries to rename its trace."""

        ask = ol.Predict(QA)

        def forward(self, question: str, tagged: bool = False) -> Any:
            with ol.trace(tags=["late"] if tagged else []) as spans:
                out = self.ask(question=question)
            assert len(spans) == 1
            return out

    with ol.trace(store=path), ol.context(lm=answering("x", "y")):
        Inner()(question="q")
        with pytest.raises(UsageError, match="its trace has begun: tags"):
            Inner()(question="q", tagged=True)
    store = kept(path)
    assert [one.status for one in store.traces()] == ["error", "ok"]
    assert [one.kind for one in store.spans(store.traces()[1].id)] == ["program", "module", "lm"]


def test_a_process_keeps_all_its_calls(path: Path) -> None:
    ol.configure(trace=path, tags=["p"])
    with ol.context(lm=answering("x", "y")):
        ol.Predict(QA)(question="one")
        with ol.trace(session="s2"):
            ol.Predict(QA)(question="two")
        ol.configure(trace=False)
        with ol.context(lm=answering("z")):
            ol.Predict(QA)(question="three")
    store = kept(path)
    assert [(one.input, one.session) for one in store.traces()] == [("two", "s2"), ("one", "")]
    assert store.traces(TraceFilter(tag="p"))[-1].input == "one"
    [run] = store.runs()
    assert run.kind == "process"
    assert run.provenance["python"].startswith("3.")


def test_the_environment_switches_on(path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setenv("OUTLAST_TRACE", str(path))
    from_environment()
    with ol.context(lm=answering("x")):
        ol.Predict(QA)(question="one")
    assert kept(path).count() == 1
    set_defaults(recording=None)
    monkeypatch.setenv("OUTLAST_TRACE", "mysql://nowhere")
    from_environment()
    assert "nothing is kept" in caplog.text


def test_a_value_that_changes_later_is_kept_as_it_was(path: Path) -> None:
    class Lists(ol.Signature):
        """Take a list."""

        items: list[str] = ol.input()
        answer: str = ol.output()

    items = ["a"]
    with ol.trace(store=path), ol.context(lm=answering("x")):
        ol.Predict(Lists)(items=items)
        items.append("b")
    store = kept(path)
    [trace] = store.traces()
    assert store.content(store.spans(trace.id)[0]).inputs == {"items": ["a"]}


def test_requests_of_every_kind_come_back_as_they_were(path: Path) -> None:
    requests = [
        Request((Message("user", "x"),), Settings(temperature=0.5, stop=("a", "b"), extra={"k": [1]})),
        Request(
            (Message("user", (ol.TextPart("a"), ol.Image.from_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 20, "image/png"))),)
        ),
        Request((Message("user", "x"),), output=ol.OutputSchema("n", {"type": "object"}), sample=3),
        Request((Message("user", "\ud800 lone"), Message("assistant", (ol.ToolCall("1", "f", "{"),)))),
        Request((Message("user", "x"),), questions=(("q", ol.Question.score("how?", 1, 5)),)),
    ]

    class Any_(ol.LM):
        name = "any"
        blocking_safe = True

        async def complete(self, request: Request) -> Response:
            return reply("ok")

    from outlast.lms.protocol import recorded
    from outlast.runtime import drive, running

    with ol.trace(store=path), running(blocking=True):
        for request in requests:
            drive(recorded(Any_(), request))
    store = kept(path)
    found = [store.content(store.spans(one.id)[0]).as_request() for one in reversed(store.traces())]
    assert found == requests


def test_what_no_column_can_hold_is_kept_and_holds_up_nothing(path: Path) -> None:
    replies = iter(["half \ud83d of one", "a \0 in it", "fine"])
    lm = ScriptedLM(lambda messages: next(replies), name="odd \udfff")
    with ol.trace(store=path), ol.context(lm=lm):
        for number in range(3):
            lm(f"\udc00 question {number}")
    assert flush(5)
    store = ol.open_store(path)
    found = store.traces()[::-1]
    assert [one.output for one in found] == ["half ? of one", "a \ufffd in it", "fine"]
    kept = [store.content(store.spans(one.id)[0]).as_response() for one in found]
    assert [one.text for one in kept if one is not None] == ["half \ud83d of one", "a \0 in it", "fine"]
    assert [hit.trace.id for hit in store.search("half")] == [found[0].id]
    assert store.stats()["dropped"] == 0


def test_a_store_is_read_only_when_asked(path: Path) -> None:
    with ol.trace(store=path), ol.context(lm=answering("x")):
        ol.Predict(QA)(question="q")
    kept(path).close()
    store = ol.open_store(path, read_only=True)
    assert store.count() == 1
    with pytest.raises(DataError, match="read only"):
        store.add_label(store.traces()[0].id, 1)


def test_an_evaluation_is_a_run_with_its_rows(path: Path) -> None:
    data = [ol.Example({"question": f"q{n}"}, {"answer": "yes"}) for n in range(6)]

    @ol.metric
    def judged(example: Any, out: Any) -> float:
        judge(question=out.answer)
        return float(out.answer == example.answer)

    judge = ol.Predict(QA, lm=ScriptedLM(lambda messages: "<<answer>>\nfine\n<<end>>"))
    lm = ScriptedLM(lambda messages: f"<<answer>>\n{'no' if 'q2' in messages[-1].text else 'yes'}\n<<end>>")
    with ol.trace(store=path), ol.context(lm=lm):
        result = ol.evaluate(ol.Predict(QA), data, judged, epochs=2, progress=False)
    store = kept(path)
    [run] = store.runs(kind="eval")
    assert (run.status, run.name, run.lm, run.program) == ("done", "Predict", "scripted", result.about.program_hash)
    assert run.summary["score"] == result.score.value
    assert run.parent_id == store.runs(kind="process")[0].id
    assert store.count_results(run.id) == {"pass": 10, "fail": 2}
    rows = store.results(run.id)
    assert [(one.index, one.epoch) for one in rows] == [(n, epoch) for n in range(6) for epoch in range(2)]
    failed = store.results(run.id, state="fail")
    assert {one.inputs["question"] for one in failed} == {"q2"}
    assert failed[0].targets == {"answer": "yes"}
    assert failed[0].outputs == {"answer": "no"}
    for row, told in zip(rows, result.rows, strict=False):
        trace = store.trace(row.trace_id)
        assert (trace.run_id, trace.example) == (run.id, row.example)
        assert "of" not in trace.attributes
        assert told.trace_id
    judging = [one for one in store.traces(TraceFilter(run=run.id), limit=99) if one.attributes.get("of") == "metric"]
    assert len(judging) == 12
    assert store.results(run.id, order="score", limit=2) == failed
    with pytest.raises(UsageError, match="ordered by"):
        store.results(run.id, order="luck")  # type: ignore[arg-type]


def test_a_compilation_is_a_run(path: Path) -> None:
    words = ("alpha", "beta", "gamma", "delta")
    data = [ol.Example({"question": f"{words[n % 4]} {n}"}, {"answer": words[n % 4]}) for n in range(60)]
    ledger = path.with_name("study.db")
    with ol.trace(store=path), ol.context(lm="outlast/baseline"):
        ol.compile(
            ol.Predict(QA),
            data,
            ol.exact_match("answer"),
            optimizer=ol.RandomSearch(candidates=2),
            budget=ol.Budget(calls=200),
            study=ledger,
            progress=False,
        )
    store = kept(path)
    [run] = store.runs(kind="compile")
    assert run.status == "done"
    assert run.attributes["ledger"] == str(ledger)
    assert run.summary["verdict"] in ("better", "inconclusive", "no worse", "worse", "unproven")
    assert store.count(TraceFilter(run=run.id)) > 20
    assert len({one.program for one in store.traces(TraceFilter(run=run.id), limit=500)}) > 1  # the candidates
