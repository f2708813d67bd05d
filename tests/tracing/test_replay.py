"""What is stored runs again: from the store alone, with no model reached and no tool run, or beside what it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

import outlast as ol
from outlast.errors import DataError, LMRateLimited, LMReplayError, UsageError
from outlast.messages import Message, Response, ToolCall, Usage
from outlast.runtime import set_defaults
from outlast.testing import ScriptedLM
from outlast.tracing.answering import replaying
from outlast.tracing.replay import replay
from outlast.tracing.switch import flush


class QA(ol.Signature):
    """Answer the question."""

    question: str = ol.input()
    answer: str = ol.output()


class Two(ol.Module):
    """Two steps."""

    first = ol.Predict(QA)
    second = ol.Predict(QA)

    def forward(self, question: str) -> Any:
        return self.second(question=self.first(question=question).answer)


class Guarded(ol.Module):
    """One step that may fail."""

    step = ol.Predict(QA)

    def forward(self, question: str) -> str:
        try:
            return self.step(question=question).answer
        except LMRateLimited:
            return "later"


def answering(*texts: str, name: str = "scripted") -> ScriptedLM:
    usage = Usage(10, 5, cost=0.001, cost_source="test")
    return ScriptedLM([Response(f"<<answer>>\n{text}\n<<end>>", f"{name}-1", usage=usage) for text in texts], name=name)


def no_model(name: str = "scripted") -> ScriptedLM:
    return ScriptedLM([], name=name)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "traces.db"
    set_defaults(recording=None)
    flush()


def recorded(path: Path, program: Any, lm: ol.LM, *questions: str, **options: Any) -> str:
    """The id of the last trace of these calls."""
    with ol.trace(store=path, **options) as spans, ol.context(lm=lm):
        for question in questions:
            program(question=question)
    assert flush()
    return spans.id


def test_a_program_answers_again_from_the_store_alone(path: Path) -> None:
    id = recorded(path, Two(), answering("Paris", "Rome"), "capital?")
    found = replay(id, Two(), store=path)
    assert found.same
    assert (found.calls, found.given, found.run_id) == (2, 2, "")
    [trace] = found.traces
    assert [(pair.kind, pair.path, pair.changed) for pair in trace.pairs] == [
        ("program", "", ()),
        ("module", "first", ()),
        ("lm", "first", ()),
        ("module", "second", ()),
        ("lm", "second", ()),
    ]
    assert trace.outputs == {"answer": "Rome"}
    assert ol.open_store(path).count() == 1


def test_no_model_is_reached_in_a_replay_also_one_that_the_program_brings(path: Path) -> None:
    own = answering("Paris")
    program = ol.update(Two(), {"first.lm": own})
    id = recorded(path, program, answering("Rome"), "capital?")
    assert own.calls == 1
    assert replay(id, program, store=path).same
    assert own.calls == 1


def test_a_program_that_asks_something_else_is_told_how_it_differs(path: Path) -> None:
    id = recorded(path, Two(), answering("Paris", "Rome"), "capital?")
    changed = ol.update(Two(), {"second.instruction": "Answer in French."})
    with pytest.raises(LMReplayError, match=r"is not in the recording .*trace") as caught:
        replay(id, changed, store=path)
    assert '-    "content": "Answer the question.' in str(caught.value)
    assert '+    "content": "Answer in French.' in str(caught.value)
    assert f"span {ol.open_store(path).spans(id)[4].id[:4]}" in str(caught.value)


def test_equal_requests_get_their_answers_in_turn_and_the_last_from_then_on(path: Path) -> None:
    recorded(path, ol.Predict(QA), answering("one", "two"), "q", "q")
    with replaying(path), ol.context(lm=no_model()):
        said = [ol.Predict(QA)(question="q").answer for _ in range(3)]
    assert said == ["one", "two", "two"]


def test_an_error_is_replayed_as_the_error_it_was(path: Path) -> None:
    id = recorded(path, Guarded(), ScriptedLM([LMRateLimited("slow down")]), "q")
    assert replay(id, Guarded(), store=path).traces[0].outputs == "later"
    with replaying(path, id), ol.context(lm=no_model()), pytest.raises(LMRateLimited, match=r"slow down \(recorded"):
        ol.Predict(QA)(question="q")


def test_a_miss_that_the_code_inside_swallows_is_raised_when_the_block_ends(path: Path) -> None:
    id = recorded(path, ol.Predict(QA), answering("Paris"), "capital?")
    said: list[str] = []

    def ask() -> None:
        with replaying(path, id), ol.context(lm=no_model()):
            try:
                ol.Predict(QA)(question="another?")
            except LMReplayError as error:
                said.append(str(error))

    with pytest.raises(LMReplayError, match="is not in the recording"):
        ask()
    assert len(said) == 1


def test_models_of_one_name_are_told_apart_by_their_identity(path: Path) -> None:
    class Named(ScriptedLM):
        kind = ""

        @property
        def identity(self) -> str:
            return f"{self.name} at {self.kind}"

    def named(kind: str, *texts: str) -> Named:
        lm = Named([f"<<answer>>\n{text}\n<<end>>" for text in texts])
        lm.kind = kind
        return lm

    for kind in ("a", "b"):
        recorded(path, ol.Predict(QA), named(kind, f"said by {kind}"), "q")
    with replaying(path):
        for kind in ("b", "a"):
            with ol.context(lm=named(kind)):
                assert ol.Predict(QA)(question="q").answer == f"said by {kind}"
    with pytest.raises(LMReplayError, match="scripted at c"), replaying(path), ol.context(lm=named("c")):
        ol.Predict(QA)(question="q")


def test_a_name_is_enough_where_one_model_had_it(path: Path) -> None:
    class Elsewhere(ScriptedLM):
        @property
        def identity(self) -> str:
            return "scripted at another address"

    recorded(path, ol.Predict(QA), answering("Paris"), "q")
    with replaying(path), ol.context(lm=Elsewhere([])):
        assert ol.Predict(QA)(question="q").answer == "Paris"


def test_without_a_model_the_one_that_was_asked_stands_in(path: Path) -> None:
    id = recorded(path, Two(), answering("Paris", "Rome", name="my/model"), "capital?")
    with replaying(path, id):
        assert Two()(question="capital?").answer == "Rome"


def test_secrets_are_hidden_before_requests_are_compared(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_API_KEY", "correct horse battery")
    id = recorded(path, ol.Predict(QA), answering("ok"), "is correct horse battery a key?")
    assert b"horse battery" not in path.read_bytes()
    with replaying(path, id), ol.context(lm=no_model()):
        assert ol.Predict(QA)(question="is correct horse battery a key?").answer == "ok"


def test_answers_that_came_from_a_cache_count(path: Path, tmp_path: Path) -> None:
    cached = ol.Cached(answering("Paris"), tmp_path / "cache.db")
    first = recorded(path, ol.Predict(QA), cached, "q")
    second = recorded(path, ol.Predict(QA), cached, "q")
    assert first != second
    with replaying(path, second), ol.context(lm=no_model()):
        out = ol.Predict(QA)(question="q")
    assert out.answer == "Paris"
    assert out.trace[0].response is not None
    assert out.trace[0].response.cache == "hit"


def test_tools_do_not_run_and_give_what_they_gave(path: Path) -> None:
    sent: list[str] = []

    def send(to: str) -> dict[str, str]:
        """Send a message."""
        sent.append(to)
        return {"sent to": to}

    def broken(to: str) -> str:
        """Never works."""
        sent.append("broken")
        raise RuntimeError("no such address")

    agent = ol.ReAct(QA, tools=[send, broken])
    turns = [("send", {"to": "ann"}), ("broken", {"to": "bob"})]
    replies = [Response("", tool_calls=(ToolCall(name, name, json.dumps(given)),)) for name, given in turns]
    lm = ScriptedLM([*replies, {"answer": "sent"}], capabilities=ol.Capabilities(tools=True))
    id = recorded(path, agent, lm, "tell ann")
    ran = list(sent)
    assert ran == ["ann", "broken"]
    found = replay(id, agent, store=path)
    assert sent == ran
    assert found.same


def test_a_call_of_a_tool_that_is_not_there_is_loud_and_does_not_run_it(path: Path) -> None:
    from outlast.tracing.results import ToolResults

    with pytest.raises(LMReplayError, match=r"send\(\{'to': 'ann'\}\) is not in the recording .*not run"):
        ToolResults({}, "traces.db").tool_place("send", b'{"to":"ann"}', 0)


def test_the_draw_of_a_program_is_kept_for_its_replay(path: Path) -> None:
    with ol.trace(store=path) as spans, ol.context(lm=answering("third"), sample=3):
        ol.Predict(QA)(question="q")
    assert flush()
    assert ol.open_store(path).trace(spans.id).attributes == {"sample": 3}
    assert replay(spans.id, ol.Predict(QA), store=path).same


def test_one_exchange_is_asked_again_with_another_model_and_kept(path: Path) -> None:
    id = recorded(path, Two(), answering("Paris", "Rome"), "capital?")
    span = ol.open_store(path).spans(id)[2]
    found = replay(span.id[:12], store=path, mode="diff", lm=answering("Madrid", name="other"))
    [pair] = found.traces[0].pairs
    assert pair.changed == ("outputs",)
    assert pair.stored is not None
    assert pair.new is not None
    assert (pair.stored.lm, pair.new.lm) == ("scripted-1", "other-1")
    assert "Paris" in pair.stored.outputs
    assert "Madrid" in pair.new.outputs
    store = ol.open_store(path)
    [run] = store.runs("replay")
    assert (run.id, run.status, run.attributes) == (found.run_id, "done", {"of": span.id, "mode": "diff"})
    kept = store.trace(found.traces[0].new_id)
    assert (kept.run_id, kept.attributes["replay of"]) == (run.id, span.id)


def test_what_replays_asked_is_no_part_of_the_recording(path: Path) -> None:
    id = recorded(path, ol.Predict(QA), answering("Paris"), "capital?")
    span = ol.open_store(path).spans(id)[1]
    replay(span.id, store=path, mode="live", lm=answering("Madrid"))
    with replaying(path), ol.context(lm=no_model()):
        assert [ol.Predict(QA)(question="capital?").answer for _ in range(2)] == ["Paris", "Paris"]


def test_one_exchange_is_asked_with_other_messages(path: Path) -> None:
    id = recorded(path, ol.Predict(QA), answering("Paris"), "capital?")
    span = ol.open_store(path).spans(id)[1]
    lm = ScriptedLM(lambda messages: messages[-1].text.upper())
    found = replay(span.id, store=path, mode="live", lm=lm, messages=(Message("user", "hello"),))
    [pair] = found.traces[0].pairs
    assert pair.changed == ("inputs", "outputs")
    assert pair.new is not None
    assert pair.new.outputs == "HELLO"


def test_the_exchanges_of_a_trace_are_answered_from_the_store_without_a_program(path: Path) -> None:
    id = recorded(path, Two(), answering("Paris", "Rome"), "capital?")
    found = replay(id, store=path)
    assert found.same
    assert [(pair.kind, pair.path) for pair in found.traces[0].pairs] == [("lm", "first"), ("lm", "second")]
    assert (found.calls, found.given) == (0, 2)


def test_a_run_replays_the_traces_of_the_program_and_says_what_it_left_out(path: Path) -> None:
    recorded(path, Two(), answering("Paris", "Rome"), "capital?")
    recorded(path, ol.Predict(QA), answering("x", "y"), "a", "b")
    [run] = ol.open_store(path).runs()
    found = replay(run.id, ol.Predict(QA), store=path)
    assert (len(found.traces), found.left_out, found.same) == (2, 1, True)
    assert str(found) == "2 traces replayed (2 answers from the store): 2 the same, 0 not"


def test_a_changed_program_asked_live_is_set_beside_what_it_was(path: Path) -> None:
    id = recorded(path, Two(), answering("Paris", "Rome"), "capital?")
    changed = ol.update(Two(), {"second.instruction": "Answer in French."})
    found = replay(id, changed, store=path, mode="diff", lm=answering("Paris", "Londres"))
    [trace] = found.traces
    assert not found.same
    assert {(pair.kind, pair.path): pair.changed for pair in trace.pairs} == {
        ("program", ""): ("outputs",),
        ("module", "first"): (),
        ("lm", "first"): (),
        ("module", "second"): ("outputs",),
        ("lm", "second"): ("inputs", "outputs"),
    }
    assert trace.note.startswith("the program was version ")
    assert ol.open_store(path).trace(trace.new_id).output == "Londres"


def test_what_was_given_up_half_way_is_aligned_as_far_as_it_goes(path: Path) -> None:
    program = ol.Predict("question -> answer: int")
    id = recorded(path, program, answering("1"), "how many?")
    lm = ScriptedLM(["<<answer>>\nmany\n<<end>>", "<<answer>>\n2\n<<end>>"])
    found = replay(id, program, store=path, mode="live", lm=lm)
    pairs = found.traces[0].pairs
    assert [(pair.kind, pair.attempt, pair.changed) for pair in pairs] == [
        ("program", 0, ("outputs",)),
        ("lm", 0, ("outputs", "error")),
        ("lm", 1, ("added",)),
    ]


def test_what_was_kept_without_content_cannot_be_replayed(path: Path) -> None:
    id = recorded(path, ol.Predict(QA), answering("Paris"), "capital?", capture="hash")
    with pytest.raises(DataError, match="no content was kept"):
        replay(id, ol.Predict(QA), store=path)


def test_what_is_not_there_or_cannot_be_meant_is_refused(path: Path) -> None:
    id = recorded(path, Two(), answering("Paris", "Rome"), "capital?")
    with pytest.raises(DataError, match="no run, trace or span 'ffff'"):
        replay("ffff", store=path)
    recorded(path, Guarded(), answering("x"), "q")
    with pytest.raises(DataError, match="holds no trace of a Predict; it has traces of Guarded, Two"):
        replay(ol.open_store(path).runs()[0].id, ol.Predict(QA), store=path)
    with pytest.raises(UsageError, match="mode is 'cache', 'live' or 'diff'"):
        replay(id, store=path, mode=cast("Any", "again"))
    with pytest.raises(UsageError, match="asks no model"):
        replay(id, store=path, lm="openai/gpt-5-mini")
    with pytest.raises(UsageError, match="holds no answer to other messages"):
        replay(id, store=path, messages=(Message("user", "x"),))
    with pytest.raises(UsageError, match="give the id of its trace"):
        replay(ol.open_store(path).spans(id)[2].id, Two(), store=path)


def test_a_prediction_names_its_trace(path: Path) -> None:
    with ol.trace(store=path), ol.context(lm=answering("Paris")):
        out = ol.Predict(QA)(question="capital?")
    assert flush()
    assert replay(out, ol.Predict(QA), store=path).id == out.trace.id
    with ol.context(lm=answering("Paris")):
        unkept = ol.Predict(QA)(question="capital?")
    with pytest.raises(DataError, match="was not kept"):
        replay(unkept, store=path)


async def test_async_code_replays_too(path: Path) -> None:
    from outlast.tracing.replay import areplay

    with ol.trace(store=path) as spans, ol.context(lm=answering("Paris", "Rome")):
        await Two().acall(question="capital?")
    assert flush()
    assert (await areplay(spans.id, Two(), store=path)).same
