"""Somebody is asked before a tool runs: yes, no, a reason, other arguments, not yet; and at a terminal."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import pytest

import outlast as ol
from outlast.errors import ApprovalPending, UsageError
from outlast.runtime import drive
from outlast.tools.calling import Toolbox
from outlast.tools.terminal import visible

done: list[str] = []


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    done.clear()


@ol.tool(approve=True)
def delete(path: str, force: bool = False) -> str:
    """Delete a file."""
    done.append(path)
    return f"deleted {path}"


def call(path: str, number: int = 1) -> ol.ToolCall:
    return ol.ToolCall(f"c{number}", "delete", json.dumps({"path": path}))


def test_without_anybody_to_ask_the_call_is_refused_and_nothing_runs() -> None:
    called = drive(Toolbox([delete]).answer("delete", {"path": "a"}))
    assert called.why == "refused"
    assert called.text == (
        "The call of delete was refused, and nothing was done: it needs the approval of a person, and nobody is there "
        "to ask"
    )
    assert done == []


def answers(answer: Any) -> Any:
    def plain(call: ol.ToolCall, tool: ol.Tool) -> Any:
        return answer

    async def waits(call: ol.ToolCall, tool: ol.Tool) -> Any:
        await asyncio.sleep(0.001)
        return answer

    return plain, waits


@pytest.mark.parametrize(
    ("answer", "why", "text"),
    [
        (True, None, "deleted a"),
        (False, "refused", "The call of delete was refused, and nothing was done"),
        ("not on a Friday", "refused", "The call of delete was refused, and nothing was done: not on a Friday"),
        (ol.ToolCall("", "delete", '{"path": "b"}'), None, "deleted b"),
    ],
)
def test_an_approver_decides_plain_or_async_in_both_ways_of_running(answer: Any, why: Any, text: str) -> None:
    for approver in answers(answer):
        box = Toolbox([delete], approver=approver)
        found = drive(box.answer("delete", {"path": "a"})), asyncio.run(_awaited(box))
        assert {(one.why, one.text) for one in found} == {(why, text)}


async def _awaited(box: Toolbox) -> Any:
    with ol.context():
        return await box.answer("delete", {"path": "a"})


def test_the_approver_of_the_block_or_of_the_process_is_asked_and_one_of_the_toolbox_first() -> None:
    ol.configure(approver=lambda call, tool: "process")
    assert "process" in drive(Toolbox([delete]).answer("delete", {"path": "a"})).text
    with ol.context(approver=lambda call, tool: "block"):
        assert "block" in drive(Toolbox([delete]).answer("delete", {"path": "a"})).text
        box = Toolbox([delete], approver=lambda call, tool: "box")
        assert "box" in drive(box.answer("delete", {"path": "a"})).text
        assert "box" in drive(Toolbox(box).answer("delete", {"path": "a"})).text


def test_the_approver_of_a_block_reaches_tools_of_programs_inside() -> None:
    class Cleans(ol.Module):
        async def forward(self, path: str) -> str:
            return (await Toolbox([delete]).call(call(path))).text

    with ol.context(approver=lambda call, tool: True):
        assert Cleans()(path="a") == "deleted a"
        assert asyncio.run(Cleans().acall(path="b")) == "deleted b"


def test_the_tool_may_have_a_rule_of_its_own_that_decides_or_asks() -> None:
    def rule(call: ol.ToolCall) -> bool | str | None:
        path = json.loads(call.arguments)["path"]
        return {"tmp": True, "etc": "never", "home": None}[path]

    box = Toolbox([delete.with_(approve=rule)], approver=lambda call, tool: "the person said no")
    texts = [drive(box.answer("delete", {"path": path})).text for path in ("tmp", "etc", "home")]
    assert texts[0] == "deleted tmp"
    assert texts[1].endswith(": never")
    assert texts[2].endswith(": the person said no")


def test_the_approver_sees_what_would_run_and_not_what_was_written() -> None:
    seen: list[Any] = []

    def look(call: ol.ToolCall, tool: ol.Tool) -> bool:
        seen.append((call, tool.name))
        return True

    drive(Toolbox([delete], approver=look).call(ol.ToolCall("7", "delete", "```json\n{'Path': 'a'}\n```")))
    assert seen == [(ol.ToolCall("7", "delete", '{"path": "a"}'), "delete")]
    assert done == ["a"]


def test_only_valid_calls_are_shown_to_the_approver() -> None:
    def never(call: ol.ToolCall, tool: ol.Tool) -> bool:
        raise AssertionError("was asked")

    box = Toolbox([delete], approver=never)
    assert drive(box.answer("delete", {"way": "a"})).why == "arguments"
    assert drive(box.answer("remove", {"path": "a"})).why == "unknown"


def test_an_edited_call_is_checked_too() -> None:
    box = Toolbox([delete], approver=lambda call, tool: ol.ToolCall("", "delete", '{"path": 3, "x": 1}'))
    assert drive(box.answer("delete", {"path": "a"})).why == "arguments"
    assert done == []


@pytest.mark.parametrize("answer", [None, 1, {}, ol.ToolCall("", "add", "{}")])
def test_what_is_no_decision_is_refused_loudly(answer: Any) -> None:
    with pytest.raises(UsageError, match="approver"):
        drive(Toolbox([delete], approver=lambda call, tool: answer).answer("delete", {"path": "a"}))
    assert done == []


def test_an_approver_that_fails_runs_nothing() -> None:
    def broken(call: ol.ToolCall, tool: ol.Tool) -> bool:
        raise LookupError("the chat is down")

    with pytest.raises(LookupError):
        drive(Toolbox([delete], approver=broken).answer("delete", {"path": "a"}))
    assert done == []


def test_approvers_are_checked_where_they_are_given() -> None:
    for give in (
        lambda: Toolbox([], approver=3),  # type: ignore[arg-type]
        lambda: ol.configure(approver=3),  # type: ignore[arg-type]
        lambda: ol.context(approver=3).__enter__(),  # type: ignore[arg-type]
    ):
        with pytest.raises(UsageError, match="approver"):
            give()


def test_not_yet_stops_with_what_was_done_and_goes_on_with_decisions() -> None:
    def later(call: ol.ToolCall, tool: ol.Tool) -> bool:
        raise ol.Suspend("asked in the chat")

    def look(path: str) -> str:
        return f"looked at {path}"

    run = Toolbox([delete, look], approver=later).run()
    calls = [call("a"), ol.ToolCall("c2", "look", '{"path": "b"}'), call("c", 3)]
    with pytest.raises(ApprovalPending, match=r"2 of 3 calls wait for a decision \(delete\)") as caught:
        drive(run.call_all(calls))
    pending = caught.value
    assert pending.calls == (calls[0], calls[2])
    assert pending.results == (None, ol.ToolResult("c2", "looked at b"), None)
    assert done == []
    assert run.counts == {"look": 1}
    again = Toolbox([delete, look], approver=later).run(run.counts)
    results = drive(again.call_all(pending.calls, {"c1": True, "c3": "keep it"}))
    assert [one.error for one in results] == [False, True]
    assert done == ["a"]
    assert again.counts == {"look": 1, "delete": 1}


def test_one_call_that_waits_is_pending_too() -> None:
    def later(call: ol.ToolCall, tool: ol.Tool) -> bool:
        raise ol.Suspend

    with pytest.raises(ApprovalPending) as caught:
        drive(Toolbox([delete], approver=later).call(call("a")))
    assert caught.value.calls == (call("a"),)


def test_a_decision_refuses_any_call_and_is_checked() -> None:
    box = Toolbox([delete.with_(approve=False)])
    assert drive(box.call_all([call("a")], {"c1": False}))[0].error
    with pytest.raises(UsageError, match="approver"):
        drive(box.call_all([call("a")], {"c1": 1}))  # type: ignore[dict-item]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def asked(monkeypatch: pytest.MonkeyPatch, lines: str, arguments: str = '{"path": "a"}') -> Any:
    monkeypatch.setattr("sys.stdin", Terminal(lines))
    return ol.ask_in_terminal(ol.ToolCall("1", "delete", arguments), delete)


def test_the_terminal_takes_yes_no_a_reason_and_an_edit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(monkeypatch, "y\n") is True
    assert asked(monkeypatch, "what\nYES\n") is True
    assert asked(monkeypatch, "n\n\n") is False
    assert asked(monkeypatch, "no\nnot that one\n") == "not that one"
    assert asked(monkeypatch, 'e\n{"path": 1\ne\n[]\ne\n{"path": "b"}\n') == ol.ToolCall("1", "delete", '{"path": "b"}')
    assert asked(monkeypatch, "") == "nobody answered"
    shown = capsys.readouterr().err
    assert "The model wants to run delete: Delete a file." in shown
    assert '"path": "a"' in shown


def test_without_a_terminal_the_answer_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert ol.ask_in_terminal(call("a"), delete) == "there is no terminal to ask in"
    monkeypatch.setattr("sys.stdin", None)
    assert ol.ask_in_terminal(call("a"), delete) == "there is no terminal to ask in"


def test_the_terminal_hides_nothing_and_obeys_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "\x1b[2J\x1b]0;x\x07\u202e\u2066\u200b\ufeff\x9b1m\r\u2028\U000e0041\ud800 grüße 日本"
    assert asked(monkeypatch, "n\n\n", json.dumps({"path": hostile})) is False
    shown = capsys.readouterr().err
    assert not any(char in shown for char in "\x1b\x07\u202e\u2066\u200b\ufeff\x9b\r\u2028\U000e0041\ud800")
    assert "\\u202e" in shown
    assert "grüße 日本" in shown
    assert visible("not {json\x1b") == "not {json\\u001b"


def test_the_terminal_says_how_much_it_does_not_show_and_shows_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(monkeypatch, "a\ny\n", json.dumps({"path": "x" * 5000 + "end"})) is True
    first, _, rest = capsys.readouterr().err.partition("[a]ll of the arguments: ")
    assert "more characters" in first
    assert "end" not in first
    assert "xend" in rest
