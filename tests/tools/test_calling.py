"""Running tools when a model asks: whatever happens is an answer, in blocking and in async code."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import outlast as ol
from outlast.errors import ApprovalPending, BudgetExceeded, UsageError
from outlast.runtime import drive
from outlast.tools.calling import Called, Toolbox
from outlast.types import Label

Way = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]


def in_blocking_code(make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return drive(make())


def in_async_code(make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        with ol.context():
            return await make()

    return asyncio.run(main())


@pytest.fixture(params=[in_blocking_code, in_async_code])
def way(request: pytest.FixtureRequest) -> Way:
    return request.param


def add(a: int, b: int = 2) -> int:
    """Add."""
    return a + b


async def later(text: str) -> str:
    """Give the text back, later."""
    await asyncio.sleep(0.001)
    return text


def call(name: str, arguments: str = "{}", number: int = 1) -> ol.ToolCall:
    return ol.ToolCall(f"c{number}", name, arguments)


def test_plain_and_async_functions_answer(way: Way) -> None:
    box = Toolbox([add, later])
    called: Called = way(lambda: box.answer("add", '{"a": 3}'))
    assert (called.data, called.text, called.error, called.arguments) == (5, "5", False, {"a": 3})
    assert called.seconds > 0
    assert way(lambda: box.answer("later", {"text": "x"})).data == "x"
    assert way(lambda: box.call(call("add", '{"a": 1, "b": 1}'))) == ol.ToolResult("c1", "2")


def test_a_plain_function_may_give_an_awaitable_and_generators_are_read(way: Way) -> None:
    def wrapped(text: str) -> Any:
        return later(text)

    def numbers() -> Any:
        yield from range(3)

    async def words() -> Any:
        yield "a"
        yield "b"

    def broken() -> Any:
        yield 1
        raise ValueError("in the middle")

    box = Toolbox([wrapped, numbers, words, broken])
    assert way(lambda: box.answer("wrapped", {"text": "x"})).data == "x"
    assert way(lambda: box.answer("numbers", "")).data == [0, 1, 2]
    assert way(lambda: box.answer("words", "")).data == ["a", "b"]
    called = way(lambda: box.answer("broken", ""))
    assert (called.why, called.text) == ("failed", "ValueError: in the middle")


def test_an_unknown_tool_is_told_with_near_names(way: Way) -> None:
    called = way(lambda: Toolbox([add, later]).answer("Add", '{"a": 1}'))
    assert called.why == "unknown"
    assert called.text == "There is no tool 'Add'. Did you mean 'add'? Tools: add, later."
    assert way(lambda: Toolbox().answer("x\x1b[2J" * 1000, "")).text.count("\x1b") == 0


def test_what_a_tool_raises_goes_to_the_model_without_a_traceback(way: Way) -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def fails(kind: str) -> None:
        raise {"value": ValueError("no such city"), "empty": KeyError(), "broken": Broken(), "stop": StopIteration()}[
            kind
        ]

    box = Toolbox([fails, ol.tool(fails, name="quiet", errors="hidden")])
    told = {kind: way(lambda: box.answer("fails", {"kind": kind})) for kind in ("value", "empty", "broken", "stop")}
    assert [one.text for one in told.values()] == ["ValueError: no such city", "KeyError", "Broken", "StopIteration"]
    assert {one.why for one in told.values()} == {"failed"}
    assert isinstance(told["value"].failure, ValueError)
    hidden = way(lambda: box.answer("quiet", {"kind": "value"}))
    assert hidden.text == "quiet failed"
    assert isinstance(hidden.failure, ValueError)


def test_exits_and_cancellation_of_the_tool_itself_are_its_errors(way: Way) -> None:
    def leaves() -> None:
        raise SystemExit(3)

    async def leaves_too() -> None:
        raise SystemExit(4)

    async def cancels() -> None:
        raise asyncio.CancelledError

    def interrupts() -> None:
        raise KeyboardInterrupt

    box = Toolbox([leaves, leaves_too, cancels, interrupts])
    found = {name: way(lambda: box.answer(name, "")) for name in box}
    assert {one.why for one in found.values()} == {"failed"}
    assert found["leaves"].text == "SystemExit: 3"
    assert found["leaves_too"].text == "SystemExit: 4"


def test_the_budget_of_the_run_goes_on_upwards(way: Way) -> None:
    def spends() -> None:
        raise BudgetExceeded("the budget of 1 calls is used up")

    async def spends_too() -> None:
        raise BudgetExceeded("the budget of 1 calls is used up")

    for tool in (spends, spends_too):
        with pytest.raises(BudgetExceeded):
            way(lambda: Toolbox([tool]).call_all([call(tool.__name__)]))


def test_a_slow_tool_is_given_up_while_others_go_on(way: Way) -> None:
    ended = threading.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    def sleepy() -> None:
        drive(ol.sleep(30))

    def quick() -> str:
        time.sleep(0.15)
        return "done"

    tools = [ol.tool(slow, timeout=0.05), ol.tool(sleepy, timeout=0.05), quick]
    clock = time.monotonic()
    results = way(lambda: Toolbox(tools).call_all([call("slow"), call("quick", number=2), call("sleepy", number=3)]))
    assert time.monotonic() - clock < 20
    assert [one.id for one in results] == ["c1", "c2", "c3"]
    assert [one.error for one in results] == [True, False, True]
    assert "longer than 0.05 seconds" in results[0].text
    assert ended.wait(5)


def test_code_that_does_not_end_is_left_behind(way: Way) -> None:
    stop = threading.Event()

    def stubborn() -> None:
        stop.wait(30)

    async def deaf() -> None:
        for _ in range(2):
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                continue

    box = Toolbox([ol.tool(stubborn, timeout=0.05), ol.tool(deaf, timeout=0.05)])
    clock = time.monotonic()
    assert way(lambda: box.answer("stubborn", "")).why == "timeout"
    assert time.monotonic() - clock < 20
    assert way(lambda: box.answer("deaf", "")).why == "timeout"
    assert time.monotonic() - clock < 25
    stop.set()


async def test_giving_up_ends_the_tool_and_goes_on_upwards() -> None:
    ended = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    task = asyncio.ensure_future(Toolbox([slow]).call_all([call("slow"), call("slow", number=2)]))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


def test_a_blocking_fan_out_that_fails_does_not_wait_for_the_tool() -> None:
    stop = threading.Event()

    def stubborn() -> None:
        stop.wait(30)

    async def fails() -> None:
        await ol.sleep(0.05)
        raise LookupError("other")

    async def both() -> None:
        await ol.gather(Toolbox([stubborn]).answer("stubborn", ""), fails())

    clock = time.monotonic()
    with pytest.raises(LookupError):
        drive(both())
    assert time.monotonic() - clock < 20
    stop.set()


def test_calls_run_at_the_same_time_in_order(way: Way) -> None:
    def nap(number: int) -> int:
        time.sleep(0.1)
        return number

    calls = [call("nap", f'{{"number": {number}}}', number) for number in range(200)]
    clock = time.monotonic()
    results = way(lambda: Toolbox([nap]).call_all(calls))
    assert [one.text for one in results] == [str(number) for number in range(200)]
    assert [one.id for one in results] == [one.id for one in calls]
    assert time.monotonic() - clock < 15  # 20 one after the other


def test_a_tool_that_is_not_concurrent_runs_alone_in_its_place(way: Way) -> None:
    events: list[str] = []
    lock = threading.Lock()

    def note(event: str) -> None:
        with lock:
            events.append(event)

    def read(name: str) -> None:
        note(f"+{name}")
        time.sleep(0.05)
        note(f"-{name}")

    box = Toolbox([read, ol.tool(read, name="write", concurrent=False)])
    names = ["read", "read", "write", "write", "read"]
    way(lambda: box.call_all([call(one, f'{{"name": "{i}"}}', i) for i, one in enumerate(names)]))
    assert {*events[:2]} == {"+0", "+1"}
    assert events[4:8] == ["+2", "-2", "+3", "-3"]
    assert events[8:] == ["+4", "-4"]


def test_calls_are_counted_in_a_run_that_can_be_restored(way: Way) -> None:
    box = Toolbox([ol.tool(add, max_calls=2), later])
    run = box.run()
    results = way(lambda: run.call_all([call("add", f'{{"a": {i}}}', i) for i in range(3)]))
    assert [one.error for one in results] == [False, False, True]
    assert results[2].text == "add may be called 2 times only, which it was"
    assert run.counts == {"add": 2}
    assert way(lambda: box.answer("add", '{"a": 1}')).error is False  # nothing is left behind in the toolbox
    again = box.run({"add": 1})
    assert way(lambda: again.answer("add", '{"a": 1}')).error is False
    assert way(lambda: again.answer("add", '{"a": 1}')).why == "limit"
    assert way(lambda: box.run().answer("add", '{"a": "x"}')).why == "arguments"


def test_calls_that_cannot_run_are_not_counted(way: Way) -> None:
    run = Toolbox([ol.tool(add, max_calls=1, approve=lambda call: "no")]).run()
    assert way(lambda: run.answer("add", '{"b": 1}')).why == "arguments"
    assert way(lambda: run.answer("add", '{"a": 1}')).why == "refused"
    assert run.counts == {}


@pytest.mark.parametrize("counts", [{"add": -1}, {"add": "1"}, {"add": True}])
def test_counts_that_are_none_are_refused(counts: Any) -> None:
    with pytest.raises(UsageError, match="counts"):
        Toolbox([add]).run(counts)


def test_a_long_result_is_cut_with_a_notice_and_the_data_are_whole(way: Way) -> None:
    def long(size: int) -> str:
        return "x" * size

    box = Toolbox([ol.tool(long, limit=100)])
    called = way(lambda: box.answer("long", '{"size": 1100}'))
    assert called.text == "x" * 100 + "\n(cut here: 1,000 of 1,100 characters are missing)"
    assert (called.truncated, called.partial, called.data) == (True, False, "x" * 1100)
    assert not way(lambda: box.answer("long", '{"size": 100}')).truncated


def test_results_carry_the_label_of_the_tool(way: Way) -> None:
    label = Label(frozenset({"web"}))
    assert way(lambda: Toolbox([ol.tool(add, label=label)]).answer("add", '{"a": 1}')).label == label


def test_two_tools_of_one_name_and_tools_without_a_function_are_refused() -> None:
    with pytest.raises(UsageError, match="two tools"):
        Toolbox([add, add])
    with pytest.raises(UsageError, match="no function"):
        Toolbox([ol.Tool("x")])


def test_a_toolbox_is_a_mapping_and_can_be_pickled() -> None:
    box = Toolbox([add, later])
    again = pickle.loads(pickle.dumps(box))
    assert list(again) == ["add", "later"]
    assert drive(again.answer("add", '{"a": 1}')).data == 3
    assert Toolbox(box)["add"] is box["add"]


def test_a_program_inside_a_tool_that_waits_for_approval_makes_its_call_wait(way: Way) -> None:
    def undecided(call: ol.ToolCall, tool: ol.Tool) -> bool:
        raise ol.Suspend("tomorrow")

    inner = Toolbox([ol.tool(add, approve=True)], approver=undecided)

    async def agent(task: str) -> str:
        return (await inner.call_all([call("add", '{"a": 1}')]))[0].text

    run = Toolbox([agent, ol.tool(add, name="plus")]).run()
    with pytest.raises(ApprovalPending) as caught:
        way(lambda: run.call_all([call("agent", '{"task": "x"}'), call("plus", '{"a": 1}', 2)]))
    assert [one.name for one in caught.value.calls] == ["agent"]
    assert caught.value.results == (None, ol.ToolResult("c2", "3"))
    assert run.counts == {"agent": 0, "plus": 1}


def test_a_program_is_called_from_a_tool_in_the_run_of_the_agent(way: Way) -> None:
    from outlast.testing import ScriptedLM

    asks = ol.Predict("question -> answer")

    def ask(question: str) -> str:
        return asks(question=question).answer

    async def aask(question: str) -> str:
        return (await asks.acall(question=question)).answer

    for tool in (ask, aask):
        with ol.context(lm=ScriptedLM([{"answer": "Rome"}])), ol.trace() as spans:
            assert way(lambda: Toolbox([tool]).answer(tool.__name__, {"question": "x"})).data == "Rome"
        assert len(spans) == 1
