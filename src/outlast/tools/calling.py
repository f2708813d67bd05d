"""Running a tool when a model asks: arguments are checked, and whatever goes wrong is an answer to the model."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

from outlast.errors import ApprovalPending, Suspend, UsageError, brief, did_you_mean
from outlast.messages import ToolCall, ToolResult
from outlast.messages.canonical import canonical
from outlast.runtime import current, enter, gather, leave
from outlast.runtime.journal import Journal, Place
from outlast.tools.approval import Approver, Decision, as_approver, checked, decided
from outlast.tools.arguments import BadArguments, Reader
from outlast.tools.making import as_tool
from outlast.tools.results import shown, told
from outlast.tools.running import Ended, run_tool
from outlast.types import TRUSTED, Label, Tool

Why = Literal["interrupted", "unknown", "arguments", "failed", "timeout", "refused", "limit"]

_AT_ONCE = 256  # calls of one turn


@dataclass(frozen=True, slots=True)
class Called:
    """What became of one call: `data` is the result as JSON data, `text` what the model is told, cut at the tool's
    limit (`truncated`). `why` says what went wrong, None when nothing did; then `text` is an error the model can act
    on, and `failure` the exception of the tool. `partial`: the data, too, is only the start of a result that is far
    too big. `label` says where the result comes from."""

    name: str
    arguments: Mapping[str, Any]
    data: Any = None
    text: str = ""
    why: Why | None = None
    truncated: bool = False
    seconds: float = 0.0
    failure: BaseException | None = None
    partial: bool = False
    label: Label = TRUSTED

    @property
    def error(self) -> bool:
        """True when there is no result."""
        return self.why is not None

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form, without the exception; `from_json` reads it back."""
        data = {name: getattr(self, name) for name in _TOLD}
        return {**data, "arguments": dict(self.arguments), "label": self.label.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Called:
        """What `to_json` wrote."""
        told = dict(data)
        told["label"] = Label.from_json(told["label"])
        return cls(**told)


_TOLD = ("name", "data", "text", "why", "truncated", "seconds", "partial")


class Toolbox(Mapping[str, Tool]):
    """Tools by name, from `Tool`s and all that `ol.tool` takes. Raises `UsageError` for two of one name.

    `approver` decides about calls of tools that ask first; without one it is that of the run. A toolbox is a value:
    how often tools were called is counted in `run()`, a view of it for one conversation.
    """

    def __init__(self, tools: Iterable[Any] | Toolbox = (), *, approver: Approver | None = None) -> None:
        found: dict[str, Tool] = {}
        for one in tools.values() if isinstance(tools, Toolbox) else tools:
            tool = as_tool(one)
            if tool.function is None:
                raise UsageError(f"the tool {tool.name!r} has no function, so nothing could run it")
            if tool.name in found:
                raise UsageError(f"there are two tools of the name {tool.name!r}; give one of them another name")
            found[tool.name] = tool
        self._tools = found
        if approver is None and isinstance(tools, Toolbox):
            approver = tools.approver
        self.approver = None if approver is None else as_approver(approver)
        self._readers: dict[str, Reader] = {}  # each made at the first call of its tool

    def __getitem__(self, name: str) -> Tool:
        return self._tools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    def run(self, counts: Mapping[str, int] | None = None) -> ToolRun:
        """The tools for one conversation, which counts calls, from `counts` on, for the `max_calls` of tools."""
        return ToolRun(self, counts)

    async def call(self, call: ToolCall) -> ToolResult:
        """Run what a model asked for in native form."""
        return await self.run().call(call)

    async def call_all(
        self, calls: Sequence[ToolCall], decisions: Mapping[str, Decision] | None = None
    ) -> tuple[ToolResult, ...]:
        """Run all that a model asked for in one turn. See `ToolRun.call_all`."""
        return await self.run().call_all(calls, decisions)

    async def answer(self, name: str, arguments: Mapping[str, Any] | str) -> Called:
        """Run a tool by name with arguments as a model gave them, as JSON text or as data.

        Never raises for what the tool did or for what the model asked; giving up, a budget that is used up and an
        approval that is pending go on upwards.
        """
        return await self.run().answer(name, arguments)

    def reader(self, name: str) -> Reader:
        """How the arguments of a tool are read."""
        found = self._readers.get(name)
        if found is None:  # two threads may both make it; they are equal, and either may stay
            found = self._readers[name] = Reader(self._tools[name])
        return found

    def __reduce__(self) -> Any:
        return _remade, (tuple(self._tools.values()), self.approver)


def _remade(tools: tuple[Tool, ...], approver: Approver | None) -> Toolbox:
    return Toolbox(tools, approver=approver)


class _Ready(NamedTuple):
    """A call that may run: `given` is what the model gave, as data, `arguments` what the function gets."""

    tool: Tool
    given: Mapping[str, Any]
    arguments: dict[str, Any]
    place: Place | None = None


class ToolRun:
    """The tools of a `Toolbox` in one conversation. `counts` says how often each was run; it is JSON data, and
    `toolbox.run(counts)` goes on from it."""

    def __init__(self, toolbox: Toolbox, counts: Mapping[str, int] | None = None) -> None:
        self.toolbox = toolbox
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()
        for name, count in (counts or {}).items():
            if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                raise UsageError(f"counts are whole numbers from 0 by the name of a tool; got {brief(count)}")
            self._counts[name] = count

    @property
    def counts(self) -> dict[str, int]:
        """How often each tool was run, by name."""
        return dict(self._counts)

    async def call(self, call: ToolCall) -> ToolResult:
        """Run what a model asked for in native form."""
        return _result(call, await self.answer(call.name, call.arguments, call_id=call.id))

    async def answer(self, name: str, arguments: Mapping[str, Any] | str, *, call_id: str = "") -> Called:
        """Run a tool by name. See `Toolbox.answer`."""
        ready = self._checked(name, arguments)
        if not isinstance(ready, _Ready):
            return ready
        found = await self._or_pending(await self._asked(ready, call_id, None))
        if isinstance(found, Called):
            return found
        call = _shown(ready, call_id)
        raise _pending((call,), (found,), [call])

    async def call_all(
        self, calls: Sequence[ToolCall], decisions: Mapping[str, Decision] | None = None
    ) -> tuple[ToolResult, ...]:
        """Run all that a model asked for in one turn, at the same time; gives the results in the order of the calls.

        Whoever approves is asked before anything runs, one call after the other; `decisions`, by the id of a call,
        are taken before anybody is asked. A tool that is not `concurrent` runs alone, after the calls before it and
        before those after it. Raises `ApprovalPending`, with the results of the others, when an approver cannot decide
        yet: save them, and call this again with the calls that wait.
        """
        answers = await self.answer_all(calls, decisions)
        return tuple(_result(call, called) for call, called in zip(calls, answers, strict=True))

    async def answer_all(
        self, calls: Sequence[ToolCall], decisions: Mapping[str, Decision] | None = None
    ) -> tuple[Called, ...]:
        """Like `call_all`, with all that is known of each call."""
        steps: list[_Ready | Called | Suspend] = []
        for call in calls:
            ready = self._checked(call.name, call.arguments)
            steps.append(await self._asked(ready, call.id, decisions) if isinstance(ready, _Ready) else ready)
        found: list[Called | BaseException] = []
        for turn in _turns(steps):
            found += await gather(*(self._or_pending(step) for step in turn), limit=_AT_ONCE)
        waiting = [call for call, one in zip(calls, found, strict=True) if isinstance(one, BaseException)]
        if waiting:
            raise _pending(calls, found, waiting)
        return tuple(cast("list[Called]", found))

    def _checked(self, name: str, arguments: Mapping[str, Any] | str) -> _Ready | Called:
        tool = self.toolbox.get(name)
        if tool is None:
            known = ", ".join(self.toolbox) or "none"
            near = did_you_mean(name, self.toolbox)
            return Called(name, {}, text=f"There is no tool {brief(name, 80)}.{near} Tools: {known}.", why="unknown")
        reader = self.toolbox.reader(name)
        try:
            given = reader.read(arguments)
            return _Ready(tool, given, reader.check(given))
        except BadArguments as error:
            return Called(name, error.given, text=told(str(error), tool.limit)[0], why="arguments")

    async def _asked(
        self, ready: _Ready, call_id: str, decisions: Mapping[str, Decision] | None
    ) -> _Ready | Called | Suspend:
        """The call when it may run. Within a checkpoint the result when it is known, and what is said of a call that
        was running when the process died."""
        journal = None if ready.tool._inner else current().journal
        place = None if journal is None else _place(journal, ready)
        if journal is not None and place is not None:
            known = _known(ready, journal, place)
            if known is not None:
                with self._lock:
                    self._counts[known.name] = self._counts.get(known.name, 0) + (known.why not in ("refused", "limit"))
                return known
        try:
            found = await self._allowed(ready, call_id, decisions)
        except Suspend as wait:
            if journal is not None and place is not None:
                journal.back(place)
            return wait
        if isinstance(found, _Ready):
            return found._replace(place=place)
        if journal is not None and place is not None:
            journal.end(place, found.to_json())
        return found

    async def _or_pending(self, step: _Ready | Called | Suspend) -> Called | Suspend | ApprovalPending:
        """Run a call that may run."""
        if not isinstance(step, _Ready):
            return step
        try:
            return await _kept(step)
        except (ApprovalPending, Suspend) as pending:  # of a program that is the tool: it will run again
            with self._lock:
                self._counts[step.tool.name] -= 1
            journal = current().journal
            if journal is not None and step.place is not None:
                journal.back(step.place)
            return pending

    async def _allowed(self, ready: _Ready, call_id: str, decisions: Mapping[str, Decision] | None) -> _Ready | Called:
        """The call when it may run, after somebody was asked where that is wanted; it counts then."""
        tool = ready.tool
        if tool.max_calls is not None and self._counts.get(tool.name, 0) >= tool.max_calls:
            return _over(ready)
        if decisions is not None and call_id in decisions:
            decision = checked(decisions[call_id], tool)
        elif tool.approve is False:
            decision = True
        else:
            decision = await decided(tool, _shown(ready, call_id), self.toolbox.approver)
        if isinstance(decision, ToolCall):
            again = self._checked(tool.name, decision.arguments)
            if isinstance(again, Called):
                return again
            ready = again
        elif decision is not True:
            reason = f": {decision}" if decision else ""
            text = f"The call of {tool.name} was refused, and nothing was done{reason}"
            return Called(tool.name, ready.given, text=told(text, tool.limit)[0], why="refused")
        with self._lock:
            count = self._counts.get(tool.name, 0)
            if tool.max_calls is not None and count >= tool.max_calls:
                return _over(ready)
            self._counts[tool.name] = count + 1
        return ready


def _shown(ready: _Ready, call_id: str) -> ToolCall:
    """The call as it was understood, for whoever decides about it."""
    return ToolCall(call_id, ready.tool.name, json.dumps(ready.given, ensure_ascii=False, default=str))


def _over(ready: _Ready) -> Called:
    tool = ready.tool
    times = "once" if tool.max_calls == 1 else f"{tool.max_calls} times"
    return Called(tool.name, ready.given, text=f"{tool.name} may be called {times} only, which it was", why="limit")


def _turns(steps: list[_Ready | Called | Suspend]) -> Iterator[list[_Ready | Called | Suspend]]:
    """The calls that run at the same time, one turn after the other."""
    together: list[_Ready | Called | Suspend] = []
    for step in steps:
        if isinstance(step, _Ready) and not step.tool.concurrent:
            if together:
                yield together
            yield [step]
            together = []
        else:
            together.append(step)
    if together:
        yield together


def _pending(
    calls: Sequence[ToolCall], found: Sequence[Called | BaseException], waiting: list[ToolCall]
) -> ApprovalPending:
    names = ", ".join(dict.fromkeys(call.name for call in waiting))
    results = tuple(
        None if isinstance(one, BaseException) else _result(call, one) for call, one in zip(calls, found, strict=True)
    )
    error = ApprovalPending(
        f"{len(waiting)} of {len(calls)} calls wait for a decision ({names}): decide, and go on from the saved state",
        calls=tuple(waiting),
        results=results,
    )
    error.__cause__ = next(one for one in found if isinstance(one, BaseException))
    return error


async def _kept(ready: _Ready) -> Called:
    """Run a call, and keep what it gave within a checkpoint."""
    journal = current().journal
    if journal is None or ready.place is None:
        return await _run(ready)
    journal.begin(ready.place)
    called = await _run(ready)
    journal.end(ready.place, called.to_json())
    return called


def _known(ready: _Ready, journal: Journal, place: Place) -> Called | None:
    """What a checkpoint knows of a call; None when it is to be made."""
    if place.answer is not None:
        return Called.from_json(_whole(place.answer, ready.tool.limit))
    if not place.begun or ready.tool.repeatable:
        return None
    text = (
        f"The process died while {ready.tool.name} was running: whether it was done is not known. It was not run "
        "again. Find out before you call it again."
    )
    called = Called(ready.tool.name, ready.given, text=text, why="interrupted", label=ready.tool.label)
    journal.end(place, called.to_json())
    return called


def _place(journal: Journal, ready: _Ready) -> Place:
    """The place of a call: its name, its arguments and the draw make two calls the same question to the world."""
    return journal.tool_place(ready.tool.name, canonical(_plain(ready.given)), current().sample)


def _whole(answer: Mapping[str, Any], limit: int) -> Mapping[str, Any]:
    """What a journal knows of a call; one that was read from a trace holds no text, which is made as it was then."""
    if "text" in answer:
        return answer
    made = shown(answer["data"], limit)
    return {**answer, "text": made.text, "truncated": made.cut}


def _plain(given: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(dict(given), default=repr))


async def _run(ready: _Ready) -> Called:
    """Run a call, as a span of the trace that is kept."""
    run = current()
    if run.recording is None:
        return await _ran(ready)
    kept = run.recording.tool(ready.tool.name, ready.given)
    token = enter(run.recorded(kept))
    try:
        called = await _ran(ready)
    except BaseException as error:
        kept.end(None, error=error)
        raise
    finally:
        leave(token)
    kept.end(called.text if called.error else called.data, error=called.failure, label=called.label)
    return called


async def _ran(ready: _Ready) -> Called:
    tool = ready.tool
    clock = time.perf_counter()
    ended = await run_tool(tool, ready.arguments, lambda value: shown(value, tool.limit))
    seconds = time.perf_counter() - clock
    if ended.value is None:
        return _failed(ready, ended, seconds)
    result = ended.value
    return Called(
        tool.name,
        ready.given,
        result.data,
        result.text,
        None,
        result.cut,
        seconds,
        None,
        result.partial,
        tool.label,
    )


def _failed(ready: _Ready, ended: Ended[Any], seconds: float) -> Called:
    tool, error = ready.tool, ended.error
    if error is None:
        text = f"{tool.name} took longer than {tool.timeout:g} seconds and was given up; it may have done part of it"
        return Called(tool.name, ready.given, text=text, why="timeout", seconds=seconds, label=tool.label)
    text = f"{tool.name} failed" if tool.errors == "hidden" else _message(error)
    text, cut = told(text, tool.limit)
    return Called(
        tool.name,
        ready.given,
        text=text,
        why="failed",
        truncated=cut,
        seconds=seconds,
        failure=error,
        label=tool.label,
    )


def _message(error: BaseException) -> str:
    try:
        said = str(error)
    except Exception:  # a broken __str__ of the tool's own exception
        said = ""
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _result(call: ToolCall, called: Called) -> ToolResult:
    return ToolResult(call.id, called.text, called.error)
