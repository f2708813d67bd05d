"""`program.stream(...)`: what happens in any program, in order, and that nothing goes on when nobody reads."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import to_jsonable_python

import outlast as ol
from outlast.adapters.protocol import Adapter
from outlast.errors import (
    AnswerError,
    BudgetExceeded,
    ConfigError,
    InputError,
    LMConnectionError,
    StreamAborted,
    UsageError,
)
from outlast.lms.protocol import LM
from outlast.messages import Request, Response, StreamEvent, TextDelta, ThoughtDelta
from outlast.messages.progress import ProgramEvent
from outlast.runtime.watching import MOST_WAITING, emit, watched
from outlast.testing import FakeServer, ScriptedLM
from outlast.testing.server import Answer, Fault

WORDS = "one two three four five six seven eight nine ten"


def chat(**values: str) -> str:
    return "".join(f"<<{name}>>\n{text}\n\n" for name, text in values.items()) + "<<end>>"


def scripted(*replies: Any, piece: int | None = 4, **options: Any) -> ScriptedLM:
    return ScriptedLM(list(replies), piece=piece, **options)


def served(server: FakeServer, **options: Any) -> LM:
    return ol.LM("openai/test", **{"base_url": server.url, "api_key": "k", "cache": False, **options})


def soon(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


async def all_of(stream: ol.Stream[Any]) -> list[ProgramEvent]:
    return [event async for event in stream]


def keep(stream: ol.Stream[Any], seen: list[ProgramEvent]) -> None:
    """Read a stream to its end or its error."""
    for event in stream:
        seen.append(event)


def leave_by_an_error(stream: ol.Stream[Any]) -> None:
    for _ in stream:
        raise ZeroDivisionError


def deltas(events: Sequence[ProgramEvent], path: str | None = "", field: str = "answer") -> list[str]:
    return [e.text for e in events if isinstance(e, ol.FieldDelta) and e.path == path and e.field == field]


def kinds(events: Sequence[ProgramEvent]) -> list[str]:
    """The kinds of events in order, each run of one kind once."""
    names = [type(event).__name__ for event in events]
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


class Hop(ol.Module):
    """One step of a nested program, with blocking code."""

    search = ol.Predict("question -> query")
    answer = ol.ChainOfThought("question, query -> answer")

    def forward(self, question: str) -> str:
        query = self.search(question=question).query
        ol.status(f"searching for {query}")
        return self.answer(question=question, query=query).answer


class Hops(ol.Module):
    """Two steps, in async code."""

    def __init__(self) -> None:
        self.hops = [Hop(), Hop()]

    async def forward(self, question: str) -> ol.Prediction:
        ol.status("begun")
        for hop in self.hops:
            question = await hop.acall(question=question)
        return ol.Prediction(answer=question)


def hop_replies() -> list[Any]:
    return [
        chat(query="q0"),
        chat(reasoning="r0", answer="a0 a0 a0"),
        chat(query="q1"),
        chat(reasoning="r1", answer="a1"),
    ]


def check_hops(events: list[ProgramEvent]) -> None:
    assert events[0] == ol.Status("", "begun")
    assert events[-1] == ol.Final(ol.Prediction(answer="a1"))
    assert "".join(deltas(events, "hops.0.answer")) == "a0 a0 a0"
    assert "".join(deltas(events, "hops.0.answer", "reasoning")) == "r0"
    assert "".join(deltas(events, "hops.1.search", "query")) == "q1"
    assert [e for e in events if isinstance(e, ol.Status)][1:] == [
        ol.Status("hops.0", "searching for q0"),
        ol.Status("hops.1", "searching for q1"),
    ]
    assert [e.path for e in events if isinstance(e, ol.Answered)] == [
        "hops.0.search",
        "hops.0.answer",
        "hops.1.search",
        "hops.1.answer",
    ]


def test_a_nested_program_tells_what_its_parts_say_in_blocking_code() -> None:
    with ol.context(lm=scripted(*hop_replies())):
        stream = Hops().stream(question="x")
    check_hops(list(stream))
    assert stream.result == ol.Prediction(answer="a1")
    assert len(stream.result.trace) == 4
    assert stream.partials["hops.1.answer"] == {"reasoning": "r1", "answer": "a1"}


async def test_a_nested_program_tells_what_its_parts_say_in_async_code() -> None:
    with ol.context(lm=scripted(*hop_replies())):
        stream = Hops().stream(question="x")
    check_hops(await all_of(stream))
    assert stream.result == ol.Prediction(answer="a1")
    assert len(stream.result.trace) == 4


def test_a_stream_gives_what_a_call_gives_and_costs_as_much() -> None:
    lm = scripted(*hop_replies(), *hop_replies(), price=0.5)
    with ol.context(lm=lm), ol.budget(calls=8) as spent:
        called = Hops()(question="x")
        assert spent.calls == 4
        streamed = Hops().stream(question="x")
        for _ in streamed:
            pass
        assert spent.calls == 8
        assert spent.dollars == 4.0
    assert streamed.result == called


@pytest.mark.parametrize("adapter", [ol.Chat(), ol.JSON(), ol.XML(), ol.Tools()], ids=repr)
def test_a_reply_comes_field_by_field_in_every_adapter(adapter: Adapter) -> None:
    text = {
        "Chat": chat(answer=WORDS, note="n"),
        "XML": f"<answer>{WORDS}</answer>\n<note>n</note>",
    }.get(type(adapter).__name__, json.dumps({"answer": WORDS, "note": "n"}))
    lm = scripted(text, capabilities=ol.Capabilities(tools=True, json_object=True))
    events = list(ol.Predict("question -> answer, note", lm=lm, adapter=adapter).stream(question="x"))
    assert len(deltas(events)) > 5
    assert "".join(deltas(events)) == WORDS
    assert kinds(events)[-2:] == ["Answered", "Final"]


def test_native_calls_with_the_outputs_are_shown_as_they_come() -> None:
    program = ol.Predict("question -> answer", adapter=ol.Tools())
    call = ol.ToolCall("c", program.signature.__name__, json.dumps({"answer": WORDS}))
    lm = ScriptedLM(
        lambda _: Response("", tool_calls=(call,)),
        piece=5,
        capabilities=ol.Capabilities(tools=True),
    )
    events = list(ol.update(program, {"lm": lm}).stream(question="x"))
    assert len(deltas(events)) > 5
    assert "".join(deltas(events)) == WORDS


def test_two_step_shows_the_draft_and_then_the_fields() -> None:
    reader = scripted('{"answer": "ten"}')
    program = ol.Predict("question -> answer", lm=scripted(WORDS), adapter=ol.TwoStep(reader))
    events = list(program.stream(question="x"))
    assert "".join(deltas(events, field="")) == WORDS
    assert "".join(deltas(events)) == "ten"
    assert [type(e).__name__ for e in events[-2:]] == ["Answered", "Final"]


def test_decisions_come_whole() -> None:
    program = ol.Predict(
        "question -> yes: bool", lm=scripted("yes", "yes", "yes", "yes", "yes"), adapter=ol.Decisions()
    )
    events = list(program.stream(question="x"))
    assert events[-3:-1] == [ol.Partial("", "yes", True, complete=True), ol.Answered("", {"yes": True})]


def test_native_reasoning_and_the_thinking_of_local_models_are_no_fields() -> None:
    class Thinks(LM):
        name = "thinks"
        blocking_safe = True

        async def complete(self, request: Request) -> Response:
            raise AssertionError

        async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
            yield ThoughtDelta("native ")
            for piece in ("<thi", "nk>loc", "al</th", "ink><<answer", ">>\n", "yes\n<<end>>"):
                yield TextDelta(piece)
            yield ol.Finished(Response("<think>local</think><<answer>>\nyes\n<<end>>", reasoning="native "))

    events = list(ol.Predict("question -> answer", lm=Thinks()).stream(question="x"))
    assert "".join(e.text for e in events if isinstance(e, ol.Thinking)) == "native local"
    assert "".join(deltas(events)) == "yes"


def test_a_model_that_cannot_stream_gives_one_piece() -> None:
    lm = scripted(chat(answer=WORDS), piece=None)
    events = list(ol.Predict("question -> answer", lm=lm).stream(question="x"))
    assert deltas(events) == [WORDS]


# What does not count


def test_a_reply_that_cannot_be_read_is_taken_back_before_the_next() -> None:
    lm = scripted(chat(answer="wrong", count="many"), chat(answer="right", count="3"))
    events = list(ol.Predict("question -> answer, count: int", lm=lm).stream(question="x"))
    at = next(at for at, event in enumerate(events) if isinstance(event, ol.Restarted))
    assert "".join(deltas(events[:at])) == "wrong"
    assert "".join(deltas(events[at:])) == "right"
    assert "count: " in events[at].to_json()["reason"]
    assert {e.attempt for e in events[:at] if not isinstance(e, ol.Final)} == {0}
    assert {e.attempt for e in events[at:] if not isinstance(e, ol.Final)} == {1}
    assert not any(isinstance(e, ol.Partial) and e.field == "count" for e in events[:at])


def test_a_fallback_takes_back_what_was_shown() -> None:
    program = ol.Predict("question -> answer, count: int", adapter=ol.Chat(reasks=0, fallback=ol.JSON(reasks=0)))
    lm = scripted(chat(answer="wrong", count="many"), '{"answer": "right", "count": 3}')
    events = list(ol.update(program, {"lm": lm}).stream(question="x"))
    (restarted,) = [e for e in events if isinstance(e, ol.Restarted)]
    assert restarted.reason.startswith("asked with JSON instead")
    assert deltas(events)[-1].endswith("t")
    assert events[-1].to_json()["prediction"] == {"answer": "right", "count": 3}


def test_an_answer_that_never_comes_is_raised_after_what_was_shown() -> None:
    lm = scripted(*[chat(answer="x", count="many")] * 3)
    seen: list[ProgramEvent] = []
    stream = ol.Predict("question -> answer, count: int", lm=lm).stream(question="x")
    with pytest.raises(AnswerError, match="3 tries"):
        keep(stream, seen)
    assert len([e for e in seen if isinstance(e, ol.Restarted)]) == 2
    with pytest.raises(UsageError, match="read to its end"):
        _ = stream.result


def test_what_comes_in_another_form_is_shown_when_it_was_read() -> None:
    lm = scripted("<<answer>> alpha. <<note>> beta <<end>>")
    events = list(ol.Predict("question -> answer, note", lm=lm).stream(question="x"))
    assert "".join(deltas(events)) == "alpha."
    assert deltas(events, field="note") == ["beta"]
    assert not any(isinstance(e, ol.Restarted) for e in events)


def test_what_was_shown_wrong_is_shown_again_right() -> None:
    """The whole reply has the last word: here a key that no JSON parser would see twice."""
    lm = scripted('Like\n{"answer": "an example"}\nor rather\n{"answer": "the answer", "note": "n"}')
    events = list(ol.Predict("question -> answer, note", lm=lm, adapter=ol.JSON()).stream(question="x"))
    (at,) = [at for at, event in enumerate(events) if isinstance(event, ol.Restarted)]
    assert events[at].to_json()["reason"] == "the whole reply reads otherwise: answer"
    assert "".join(deltas(events[:at])) == "an example"
    assert deltas(events[at:]) == ["the answer"]


# Faults of a server


@pytest.mark.parametrize("after", [2, 4, 9])
@pytest.mark.parametrize("blocking", [True, False])
def test_a_reply_that_breaks_off_is_asked_for_again_and_never_taken_for_whole(after: int, *, blocking: bool) -> None:
    text = chat(answer=WORDS, note="done")
    with FakeServer([Fault.cut(after, text), text], pace=0.01) as server:
        program = ol.Predict("question -> answer, note", lm=served(server), adapter=ol.Chat())
        stream = program.stream(question="x")
        events = list(stream) if blocking else asyncio.run(all_of(stream))
    (at,) = [at for at, event in enumerate(events) if isinstance(event, ol.Restarted)]
    assert "broke off" in events[at].to_json()["reason"]
    assert WORDS.startswith("".join(deltas(events[:at])))
    assert "".join(deltas(events[at:])) == WORDS
    assert ol.outputs_of(stream.result) == {"answer": WORDS, "note": "done"}
    assert [span.error is None for span in stream.result.trace] == [False, True]
    assert server.count == 2


def test_a_reply_that_always_breaks_off_is_an_error_after_three_tries() -> None:
    with FakeServer(Fault.cut(3, chat(answer=WORDS)), pace=0.01) as server:
        program = ol.Predict("question -> answer", lm=served(server), adapter=ol.Chat())
        seen: list[ProgramEvent] = []
        with pytest.raises(LMConnectionError):
            keep(program.stream(question="x"), seen)
    assert len([e for e in seen if isinstance(e, ol.Restarted)]) == 2
    assert not any(isinstance(e, ol.Answered | ol.Final) for e in seen)
    assert server.count == 3


def test_a_budget_bounds_the_tries_of_replies_that_break_off() -> None:
    with FakeServer(Fault.cut(3, chat(answer=WORDS)), pace=0.01) as server:
        program = ol.Predict("question -> answer", lm=served(server, retries=0), adapter=ol.Chat())
        with ol.budget(calls=2), pytest.raises(BudgetExceeded):
            list(program.stream(question="x"))
        assert server.count == 2


def test_a_reply_that_was_cut_at_the_token_limit_is_no_answer() -> None:
    cut = Answer("<<answer>>\none two thr", finish="length")
    with FakeServer([cut, chat(answer=WORDS)]) as server:
        program = ol.Predict("question -> answer", lm=served(server), adapter=ol.Chat())
        events = list(program.stream(question="x"))
    (at,) = [at for at, event in enumerate(events) if isinstance(event, ol.Restarted)]
    assert "token limit" in events[at].to_json()["reason"]
    assert "".join(deltas(events[at:])) == WORDS


def test_a_slow_reply_is_shown_while_it_comes() -> None:
    with FakeServer(Fault.slow(1.5, chat(answer=WORDS))) as server:
        program = ol.Predict("question -> answer", lm=served(server), adapter=ol.Chat())
        times = [time.monotonic() for event in program.stream(question="x") if isinstance(event, ol.FieldDelta)]
    assert len(times) == 10
    assert times[-1] - times[0] > 0.2


# Leaving


def endless(request: dict[str, Any]) -> Any:
    return Fault.slow(30, chat(answer="word " * 2000))


@pytest.mark.parametrize("how", ["break", "close", "with", "raise"])
def test_leaving_a_blocking_stream_closes_its_connection(how: str) -> None:
    with FakeServer(endless) as server:
        program = ol.Predict("question -> answer", lm=served(server), adapter=ol.Chat())
        stream = program.stream(question="x")
        if how == "close":
            events = iter(stream)
            next(events)
            stream.close()
        elif how == "with":
            with stream as opened:
                next(iter(opened))
        elif how == "raise":
            with pytest.raises(ZeroDivisionError):
                leave_by_an_error(stream)
        else:
            for _ in stream:
                break
        gc.collect()
        assert soon(lambda: server.disconnects == 1 and server.in_flight == 0)


@pytest.mark.parametrize("how", ["break", "aclosing", "with", "cancel"])
async def test_leaving_an_async_stream_closes_its_connection(how: str) -> None:
    with FakeServer(endless) as server:
        program = ol.Predict("question -> answer", lm=served(server), adapter=ol.Chat())
        stream = program.stream(question="x")
        if how == "break":
            async for _ in stream:
                break
        elif how == "aclosing":
            async with aclosing(stream) as opened:
                await anext(aiter(opened))
        elif how == "with":
            async with stream as opened:
                await anext(aiter(opened))
        else:
            task = asyncio.create_task(all_of(stream))
            await asyncio.sleep(0.3)
            assert server.in_flight == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        for _ in range(500):
            if server.disconnects == 1 and server.in_flight == 0:
                break
            await asyncio.sleep(0.01)
        assert (server.disconnects, server.in_flight) == (1, 0)


async def test_a_blocking_forward_in_an_async_stream_is_given_up_too() -> None:
    class Plain(ol.Module):
        ask = ol.Predict("question -> answer")

        def forward(self, question: str) -> str:
            return self.ask(question=question).answer

    with FakeServer(endless) as server:
        with ol.context(lm=served(server), adapter=ol.Chat()):
            stream = Plain().stream(question="x")
        async with stream:
            async for event in stream:
                if isinstance(event, ol.FieldDelta):
                    break
        for _ in range(500):
            if server.disconnects == 1:
                break
            await asyncio.sleep(0.01)
        assert server.disconnects == 1


def test_ctrl_c_ends_a_blocking_stream() -> None:
    with FakeServer(Fault.stall(30, answer=chat(answer=WORDS))) as server:
        program = ol.Predict("question -> answer", lm=served(server), adapter=ol.Chat())
        main = threading.main_thread().ident
        assert main is not None
        timer = threading.Timer(0.5, lambda: signal.pthread_kill(main, signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            list(program.stream(question="x"))
        assert soon(lambda: server.disconnects == 1)


def test_a_check_ends_a_stream_early() -> None:
    with FakeServer(endless) as server:
        program = ol.Predict("question -> answer", lm=served(server), adapter=ol.Chat())

        def wordy(event: ProgramEvent) -> Any:
            return isinstance(event, ol.Partial) and len(event.value) > 20 and "too many words"

        stream = program.stream(question="x").abort_if(wordy)
        with pytest.raises(StreamAborted, match="too many words") as caught:
            list(stream)
        assert caught.value.reason == "too many words"
        assert caught.value.partial[""]["answer"].startswith("word word word")
        assert soon(lambda: server.disconnects == 1)
    with pytest.raises(StreamAborted, match="the stream was ended: is_status"):
        list(Hops().stream(question="x").abort_if(is_status))
    with pytest.raises(UsageError, match="takes a function of an event"):
        program.stream(question="x").abort_if("no")  # pyright: ignore[reportArgumentType]


def is_status(event: ProgramEvent) -> bool:
    return isinstance(event, ol.Status)


# Order, threads, tasks


class Both(ol.Module):
    """Two questions at the same time."""

    blocking_safe = True
    left = ol.Predict("question -> answer")
    right = ol.Predict("question -> answer")

    async def forward(self, question: str) -> list[str]:
        outs = await ol.gather(self.left.acall(question=question), self.right.acall(question=question))
        return [out.answer for out in outs]


@pytest.mark.parametrize("blocking", [True, False])
def test_parts_at_the_same_time_are_told_apart(*, blocking: bool) -> None:
    with FakeServer(lambda _: Fault.slow(0.3, chat(answer=WORDS))) as server:
        with ol.context(lm=served(server), adapter=ol.Chat()):
            stream = Both().stream(question="x")
        events = list(stream) if blocking else asyncio.run(all_of(stream))
    assert "".join(deltas(events, "left")) == "".join(deltas(events, "right")) == WORDS
    paths = [e.path for e in events if isinstance(e, ol.FieldDelta)]
    assert paths != sorted(paths)
    assert paths != sorted(paths, reverse=True)
    assert stream.result == [WORDS, WORDS]


def test_draws_of_one_module_are_told_apart_by_their_sample() -> None:
    class Draws(ol.Module):
        ask = ol.Predict("question -> answer")

        def forward(self, question: str) -> list[str]:
            from outlast.runtime import running

            found: list[str] = []
            for sample in range(2):
                with running(sample=sample):
                    found.append(self.ask(question=question).answer)
            return found

    with ol.context(lm=scripted(chat(answer="a"), chat(answer="b"))):
        stream = Draws().stream(question="x")
    events = list(stream)
    assert [(e.sample, e.text) for e in events if isinstance(e, ol.FieldDelta)] == [(0, "a"), (1, "b")]
    assert stream.partials == {"ask": {"answer": "a"}, "ask#1": {"answer": "b"}}


async def test_a_program_waits_for_its_reader() -> None:
    made = 0

    class Talks(LM):
        name = "talks"
        blocking_safe = True

        async def complete(self, request: Request) -> Response:
            raise AssertionError

        async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
            nonlocal made
            yield TextDelta("<<answer>>\n")
            for _ in range(10_000):
                made += 1
                yield TextDelta("word ")
            yield ol.Finished(Response("<<answer>>\n" + "word " * 10_000 + "\n<<end>>"))

    stream = ol.Predict("question -> answer", lm=Talks()).stream(question="x")
    async with stream:
        events = aiter(stream)
        await anext(events)
        await asyncio.sleep(0.05)
        assert made <= 2 * MOST_WAITING
        async for _ in events:
            pass
    assert made == 10_000
    assert len(stream.result.answer.split()) == 10_000


async def test_many_streams_at_once_do_not_mix() -> None:
    async def one(number: int) -> None:
        lm = scripted(chat(answer=f"{number} {WORDS}"))
        events = await all_of(ol.Predict("question -> answer", lm=lm).stream(question="x"))
        assert "".join(deltas(events)) == f"{number} {WORDS}"

    await asyncio.gather(*(one(number) for number in range(200)))


# The cache


@pytest.mark.parametrize("first", ["call", "stream"])
def test_the_cache_keeps_what_was_streamed_and_streams_what_it_keeps(first: str, tmp_path: Path) -> None:
    inner = scripted(chat(answer=WORDS))
    program = ol.Predict("question -> answer", lm=ol.Cached(inner, tmp_path / "cache.db"))
    one = program(question="x") if first == "call" else None
    stream = program.stream(question="x")
    events = list(stream)
    assert "".join(deltas(events)) == WORDS
    again = program.stream(question="x")
    assert "".join(deltas(list(again))) == WORDS
    assert stream.result == again.result == (one or program(question="x"))
    assert inner.calls == 1
    assert again.result.trace[0].response is not None
    assert again.result.trace[0].response.cache == "hit"


def test_what_was_given_up_or_broke_off_is_not_kept(tmp_path: Path) -> None:
    text = chat(answer=WORDS)
    with FakeServer([Fault.slow(5, text), Fault.cut(4, text), text], pace=0.01) as server:
        lm = ol.Cached(served(server), tmp_path / "cache.db")
        program = ol.Predict("question -> answer", lm=lm, adapter=ol.Chat())
        for event in program.stream(question="x"):
            if isinstance(event, ol.FieldDelta):
                break
        gc.collect()
        stream = program.stream(question="x")
        list(stream)
        assert stream.result.answer == WORDS
        assert server.count == 3
        assert program(question="x").answer == WORDS
        assert server.count == 3


# Use and misuse


def test_inputs_are_checked_before_anything_runs() -> None:
    lm = scripted(chat(answer="x"))
    with pytest.raises(InputError, match="has no input 'questoin'"):
        Hops().stream(questoin="x")  # pyright: ignore[reportCallIssue]
    with pytest.raises(InputError, match="input 'count' of .* is not of the type"):
        ol.Predict("count: int -> answer", lm=lm).stream(count="many")
    assert lm.calls == 0


def test_what_a_program_raises_comes_after_what_it_told() -> None:
    class Breaks(ol.Module):
        def forward(self, question: str) -> str:
            ol.status("before")
            raise KeyError(question)

    for read in (list, lambda stream: asyncio.run(all_of(stream))):
        seen: list[ProgramEvent] = []
        stream = Breaks().stream(question="x").abort_if(lambda event, seen=seen: seen.append(event))
        with pytest.raises(KeyError, match="x"):
            read(stream)
        assert seen == [ol.Status("", "before")]
    with pytest.raises(ConfigError, match="no LM"):
        list(ol.Predict("question -> answer").stream(question="x"))


def test_a_stream_is_read_once_and_in_the_way_that_fits() -> None:
    stream = ol.Predict("question -> answer", lm=scripted(chat(answer="x"))).stream(question="x")
    list(stream)
    with pytest.raises(UsageError, match="read once"):
        iter(stream)
    with pytest.raises(UsageError, match="read once"):
        aiter(stream)


async def test_a_notebook_may_read_a_blocking_stream() -> None:
    """Its loop is running, and its code does not await."""
    with ol.context(lm=scripted(*hop_replies())):
        check_hops(list(Hops().stream(question="x")))


def test_statuses_and_events_of_agents_go_nowhere_when_nobody_watches() -> None:
    ol.status("nobody")
    assert not watched()
    emit(ol.ToolCalled, call=ol.ToolCall("1", "search", "{}"))


def test_agents_tell_of_their_tools() -> None:
    call = ol.ToolCall("1", "search", '{"query": "x"}')

    class Agent(ol.Module):
        def forward(self) -> str:
            assert watched()
            emit(ol.ToolCalled, call=call)
            emit(ol.ToolReturned, call=call, result={"found": [1]})
            return "done"

    class Outer(ol.Module):
        agent = Agent()

        async def forward(self) -> str:
            return await self.agent.acall()

    events = list(Outer().stream())
    assert events == [
        ol.ToolCalled("agent", call),
        ol.ToolReturned("agent", call, {"found": [1]}),
        ol.Final("done"),
    ]
    assert json.loads(json.dumps([event.to_json() for event in events])) == [
        {
            "event": "ToolCalled",
            "path": "agent",
            "call": to_jsonable_python(call),
            "sample": 0,
            "attempt": 0,
        },
        events[1].to_json(),
        {"event": "Final", "prediction": "done"},
    ]


def test_an_evaluation_inside_a_stream_tells_nothing() -> None:
    class Outer(ol.Module):
        ask = ol.Predict("question -> answer")

        def forward(self) -> float:
            data = ol.Dataset([ol.Example({"question": "x"}, {"answer": "x"})])
            return ol.evaluate(self.ask, data, ol.exact_match("answer"), progress=False).score

    with ol.context(lm=scripted(chat(answer="x"))):
        events = list(Outer().stream())
    assert kinds(events) == ["Final"]


def test_events_become_json_whatever_they_hold() -> None:
    event = ol.Partial("a", "b", {"x": {1, 2}, "y": float("nan"), "z": object}, complete=True)
    assert json.dumps(event.to_json())
    record = ol.Predict("question -> answer", lm=scripted(chat(answer="x")))
    (last,) = list(record.stream(question="q"))[-1:]
    assert last.to_json() == {"event": "Final", "prediction": {"answer": "x"}}
