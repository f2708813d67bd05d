"""`ReAct`: the model calls tools until it knows the answer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, cast, overload

from outlast.adapters.ask import Answer
from outlast.adapters.nearest import compiled as compile_task
from outlast.adapters.protocol import Adapter, Plan, Task
from outlast.errors import (
    AnswerError,
    ApprovalPending,
    BudgetExceeded,
    CheckFailed,
    ParseError,
    UsageError,
    brief,
)
from outlast.lms.protocol import LM, Capabilities
from outlast.messages import Usage
from outlast.messages.progress import ToolCalled, ToolReturned
from outlast.modules import agent_prompt as prompt
from outlast.modules.agent_state import AgentState
from outlast.modules.agent_talk import Talk, repeated
from outlast.modules.attempts import Allowance, Outcome, allowance, check_budget, check_count, told
from outlast.modules.predict import Options, P, Predict, R, Types
from outlast.modules.settings import DEFAULT_ADAPTER, usual_adapter
from outlast.modules.values import hidden_of
from outlast.runtime import Budget, Span, Trace, current, drive, recording, running, running_loop
from outlast.runtime.watching import emit
from outlast.signatures.record import Record, attach_checks, attach_trace
from outlast.tools.calling import Toolbox
from outlast.types import Tool

if TYPE_CHECKING:
    from outlast.checks.running import Watching
    from outlast.tools.approval import Decision

T = TypeVar("T")
Kind = Literal["native", "turn", "answer"]
Decisions = Mapping[str, "Decision"]

_REPEATS = 3  # equal calls with equal results before the model is told
_SUMMARY = (
    "Sum up what was done and found so far, for whoever goes on with the task: facts with where they come from, what "
    "failed and why, what is still open. Leave nothing out that the answer may need. Add nothing."
)


class ReAct(Predict[P, R]):
    """Think, call tools, see their results, and so on until the outputs are known (Yao et al. 2023, arXiv 2210.03629).

    `tools` are functions, `Tool`s, programs (see `ol.tool`), as a list or by name. A model with native tool calls gets
    them natively and ends by replying in the form of the adapter; for others (or with `native=False`) thought and
    calls are fields of each reply, and the outputs are asked for at the end. Calls of one turn run at the same time.
    Whatever goes wrong in a tool is told to the model.

    It stops after `max_turns` turns with calls, when its own `budget` allows one more call only, or when it makes the
    same call with the same result again after it was told so; then it is asked once for the outputs, without tools,
    and `out.outcome.stopped` says why. When the window is full (the model says so, or a prompt has more than `context`
    tokens, estimated at four characters each) old results are cut and old turns left out; with
    `when_full="summarise"` the predictor `summary` sums them up first. Other options are those of `Predict`.

    `start`, `step` and `finish` run it step by step: between steps it is a value, an `AgentState`.
    Cost: one LM call a turn, one more for the outputs where calls are not native or it is stopped, one for each
    summary; and re-asks.
    """

    tools: Mapping[str, Tool]
    max_turns: int
    budget: Budget | None
    context: int | None
    when_full: Literal["trim", "summarise"]
    native: bool | None
    summary: Predict[..., Any] | None

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: ReAct[..., Any],
            *,
            tools: Iterable[Any] | Mapping[str, Any],
            max_turns: int = 20,
            budget: Budget | None = None,
            context: int | None = None,
            when_full: Literal["trim", "summarise"] = "trim",
            native: bool | None = None,
            **options: Unpack[Options],
        ) -> None: ...
        @overload
        def __init__(
            self,
            signature: str,
            *,
            tools: Iterable[Any] | Mapping[str, Any],
            max_turns: int = 20,
            budget: Budget | None = None,
            context: int | None = None,
            when_full: Literal["trim", "summarise"] = "trim",
            native: bool | None = None,
            types: Types = (),
            **options: Unpack[Options],
        ) -> None: ...
        @overload
        def __init__(
            self,
            signature: Callable[P, R],
            *,
            tools: Iterable[Any] | Mapping[str, Any],
            max_turns: int = 20,
            budget: Budget | None = None,
            context: int | None = None,
            when_full: Literal["trim", "summarise"] = "trim",
            native: bool | None = None,
            **options: Unpack[Options],
        ) -> None: ...

    def __init__(
        self,
        signature: Any = None,
        *,
        tools: Iterable[Any] | Mapping[str, Any],
        max_turns: int = 20,
        budget: Budget | None = None,
        context: int | None = None,
        when_full: Literal["trim", "summarise"] = "trim",
        native: bool | None = None,
        types: Types = (),
        **options: Any,
    ) -> None:
        super().__init__(signature, types=types, **options)
        self.tools = _tools(tools)
        self.max_turns = check_count("ReAct", "max_turns", max_turns)
        self.budget = check_budget(budget, "ReAct")
        self.context = None if context is None else check_count("ReAct", "context", context)
        if when_full not in ("trim", "summarise"):
            raise UsageError(f"ReAct(when_full=...) is 'trim' or 'summarise'; got {brief(when_full)}")
        if native is not None and not isinstance(native, bool):
            raise UsageError(f"ReAct(native=...) is True, False or None (as the model can); got {brief(native)}")
        self.when_full = when_full
        self.native = native
        self.summary = None
        if when_full == "summarise":
            self.summary = Predict("task, progress -> summary", instruction=_SUMMARY)

    if TYPE_CHECKING:

        async def forward(self, *args: P.args, **inputs: P.kwargs) -> R: ...

        def start(self, *args: P.args, **inputs: P.kwargs) -> AgentState: ...

    else:

        async def forward(self, /, **inputs):
            """Run to the end."""
            return (await self._run(self.start(**inputs), None))[1]

        def start(self, /, *args, **inputs):
            """The state before anything is asked. Raises `InputError`."""
            return AgentState(self.signature, self.checked(self._bind(args, inputs) if args else inputs))

    def step(self, state: AgentState, decisions: Decisions | None = None) -> AgentState:
        """Do the next thing and wait: ask the model, or run the tools that it asked for (`state.pending`).

        `decisions` about calls that need approval, by the id of the call, are True, False, a reason for a no, or
        another `ToolCall`. Raises `ApprovalPending`, whose `state` goes on from there, when one is missing.
        Cost: at most one LM call (two with a summary), and re-asks.
        """
        return self._here(lambda: self.astep(state, decisions))

    async def astep(self, state: AgentState, decisions: Decisions | None = None) -> AgentState:
        """Like `step`, from async code."""
        return (await self._run(state, decisions, steps=1))[0]

    def finish(self, state: AgentState, decisions: Decisions | None = None) -> R:
        """Go on to the end and wait; gives the typed result. To get it now: `agent.finish(state.stop())`."""
        return self._here(lambda: self.afinish(state, decisions))

    async def afinish(self, state: AgentState, decisions: Decisions | None = None) -> R:
        """Like `finish`, from async code."""
        return (await self._run(state, decisions))[1]

    def _here(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        loop = running_loop()
        if loop is not None and not current().blocking:
            raise UsageError("an agent was stepped without await inside async code; use astep and afinish there")
        with running(blocking=True, loop=loop):
            return drive(work())

    async def _run(
        self, state: AgentState, decisions: Decisions | None, steps: int | None = None
    ) -> tuple[AgentState, Any]:
        """Go on by so many steps, or to the end; gives the state and, at the end, the result."""
        if state.signature.key != self.signature.key:
            raise UsageError(f"this is a state of {state.signature.__name__}; the agent answers {self.signature}")
        kept = recording() if current().root is None else None
        if kept is None:
            return await self._ran(state, decisions, steps)
        kept = kept.module(self, "", state.inputs)  # a step by itself is a call of the program
        try:
            with running(recording=kept):
                found = await self._ran(state, decisions, steps)
        except BaseException as error:
            kept.end(None, error=error)
            raise
        kept.end(found[1])
        return found

    async def _ran(
        self, state: AgentState, decisions: Decisions | None, steps: int | None = None
    ) -> tuple[AgentState, Any]:
        outer, trace = current(), Trace()
        paths = {} if outer.root is not None else {"root": self, "paths": self._paths()}
        spent, inputs, watch = state.spent, state.inputs, None
        try:
            with allowance(self.budget) as allowed, running(trace=trace, **paths):
                if allowed.meter is not None:
                    allowed.meter.spent.include(spent)
                talk = Talk(self, current(), self._toolbox())
                try:
                    state = await talk.begin(state)
                finally:
                    watch = talk.watch
                while not state.done and steps != 0:
                    state = await self._next(state, talk, decisions, allowed, trace)
                    steps = None if steps is None else steps - 1
        except ApprovalPending as pending:
            if isinstance(pending.state, AgentState) and pending.state.signature is state.signature:
                pending.state = replace(_paid(pending.state, trace), inputs=inputs)
            raise
        finally:
            if watch is not None:
                trace.note(outer.paths.get(id(self), "" if outer.root is None else None), watch.report)
            if outer.trace is not None:
                outer.trace.extend(trace)
        state = replace(_paid(state, trace), inputs=inputs)
        if not state.done:
            return state, None
        return state, self._result(state, trace if outer.trace is None else outer.trace, watch)

    def _result(self, state: AgentState, trace: Trace, watch: Watching | None) -> Any:
        result = state.result
        if not isinstance(result, Record):
            return result
        attach_trace(result, trace)
        if watch is not None:
            attach_checks(result, watch.report)
        facts = {"turns": len(state.turns), "tools": dict(state.counts)}
        return told(result, Outcome(type(self).__name__, stopped=state.stopped, facts=facts, turns=state.turns))

    async def _next(
        self, state: AgentState, talk: Talk, decisions: Decisions | None, allowed: Allowance, trace: Trace
    ) -> AgentState:
        """One step, within the own budget, of which what the last question may take is kept back."""
        if allowed.meter is not None:
            allowed.meter.keep_back({} if self._is_last(state) else _for_last_question(self.budget, trace, talk.lm))
        try:
            return await self._step(state, talk, decisions)
        except BudgetExceeded as error:
            if not allowed.owns(error) or allowed.meter is None or state.stopped is not None:
                raise
            allowed.meter.keep_back({})
            return state.stop(error.limit)

    async def _step(self, state: AgentState, talk: Talk, decisions: Decisions | None) -> AgentState:
        if state.pending:
            return await self._call(state, talk, decisions)
        if self._is_last(state):
            state, answer = await talk.answer(state if state.ready else state.stop("turns"))
            return self._done(state, answer)
        try:
            state, turn, found = await talk.turn(state)
        except AnswerError as error:
            no_use = isinstance(error.__cause__ or error, ParseError) and _is_final(error)
            if not state.turns or isinstance(error, CheckFailed) or no_use:
                raise
            return state.stop("answer")
        if found is not None:
            return self._done(state, found)
        return replace(state, turns=(*state.turns, turn), ready=not turn.calls)

    def _is_last(self, state: AgentState) -> bool:
        """Whether the outputs are asked for next."""
        if state.pending:
            return False
        return state.ready or state.stopped is not None or sum(bool(one.calls) for one in state.turns) >= self.max_turns

    def _done(self, state: AgentState, answer: Answer) -> AgentState:
        values, reasoning = self.result(answer)
        said = "\n\n".join(turn.thought for turn in state.turns if turn.thought)
        return replace(state, outputs=values, reasoning=reasoning or said or None, decisions=answer.response.decisions)

    async def _call(self, state: AgentState, talk: Talk, decisions: Decisions | None) -> AgentState:
        """Run the tools that the last turn asked for."""
        run = talk.toolbox.run(state.counts)
        turn = state.turns[-1]
        asked = {call.id: call for call in turn.waiting}
        for call in asked.values():
            emit(ToolCalled, call=call)
        try:
            results = await run.call_all(turn.waiting, decisions)
        except ApprovalPending as pending:
            turn = turn.filled({one.id: one for one in pending.results if one is not None})
            if pending.state is None:
                pending.state = replace(state, turns=(*state.turns[:-1], turn), counts=run.counts)
            raise
        for one in results:
            emit(ToolReturned, call=asked[one.id], result=one.text, failed=one.error)
        state = replace(
            state, turns=(*state.turns[:-1], turn.filled({one.id: one for one in results})), counts=run.counts
        )
        return _unless_looping(state)

    def task(self, capabilities: Capabilities) -> Task:
        """What is asked first: the declared signature with a word on tools for a model that calls them natively, what
        to do next for others."""
        return self._task("native" if self._is_native(capabilities) else "turn", capabilities)

    def _is_native(self, capabilities: Capabilities) -> bool:
        return capabilities.tools if self.native is None else self.native

    def _task(self, kind: Kind, capabilities: Capabilities) -> Task:
        task = super().task(capabilities)
        if kind == "native":
            return replace(task, instruction=f"{task.instruction.strip()}\n\n{prompt.NATIVE}".strip())
        return prompt.turn_task(task, self.tools.values()) if kind == "turn" else task

    def compiled(self, kind: Kind, adapter: Adapter, capabilities: Capabilities) -> Plan:
        """The prompt of one kind of question for an adapter and a model, compiled at the first call that needs it."""
        unset = adapter is DEFAULT_ADAPTER
        plans = hidden_of(self).plans
        key = (kind, unset, adapter, capabilities)
        found: Plan | None = plans.get(key)
        if found is None:
            task = self._task(kind, capabilities)
            by = usual_adapter(task, capabilities) if unset and kind == "answer" else adapter
            found = plans[key] = compile_task(by, task, capabilities)
        return found

    def _toolbox(self) -> Toolbox:
        plans = hidden_of(self).plans
        found: Toolbox | None = plans.get("toolbox")
        if found is None:
            found = plans["toolbox"] = Toolbox(self.tools.values())
        return found


def _in_list(tools: Any) -> Iterable[Any]:
    return tools


def _tools(tools: Any) -> dict[str, Tool]:
    """Tools by name, from a list or from what this gives."""
    if isinstance(tools, str) or not isinstance(tools, Iterable):
        raise UsageError(f"ReAct(tools=...) is a list of functions, tools or programs; got {brief(tools)}")
    found = dict(Toolbox(cast("Mapping[str, Any]", tools).values() if isinstance(tools, Mapping) else _in_list(tools)))
    if not found:
        raise UsageError("ReAct needs at least one tool, tools=[...]; without any use Predict or ChainOfThought")
    return found


def _is_final(error: AnswerError) -> bool:
    cause = error if isinstance(error, ParseError) else error.__cause__
    return isinstance(cause, ParseError) and cause.final


def _paid(state: AgentState, trace: Trace) -> AgentState:
    """The state with what the trace took."""
    spent = replace(state.spent)
    spent.include(trace.spending)
    return replace(state, spent=spent)


def _for_last_question(budget: Budget | None, trace: Trace, lm: LM) -> dict[str, float]:
    """What the question for the outputs may take: one call, and a little more than the dearest of this run took, or the
    most that it can have taken where the reply does not say."""
    if budget is None:
        return {}
    kept: dict[str, float] = {} if budget.calls is None else {"calls": 1}
    if budget.tokens is not None:
        kept["tokens"] = 1.25 * max((_took(span, lm)[0] for span in trace[-3:]), default=0)
    if budget.dollars is not None:
        kept["dollars"] = 1.25 * max((_took(span, lm)[1] for span in trace[-3:]), default=0.0)
    if budget.seconds is not None:
        kept["seconds"] = 1.25 * max((span.seconds for span in trace[-3:]), default=0.0)
    return kept


def _took(span: Span, lm: LM) -> tuple[float, float]:
    """The tokens and dollars that a call took, or can have taken."""
    usage = Usage() if span.response is None else span.response.usage
    if usage.input_tokens is not None and usage.output_tokens is not None and usage.cost is not None:
        return usage.input_tokens + usage.output_tokens, usage.cost
    most = lm.bound(span.request)
    tokens = most.tokens if usage.input_tokens is None or usage.output_tokens is None else None
    spent = (usage.input_tokens or 0) + (usage.output_tokens or 0)
    return max(tokens or 0, spent), most.dollars or 0.0 if usage.cost is None else usage.cost


def _unless_looping(state: AgentState) -> AgentState:
    """The state, with a word to a model that repeats itself; stopped when it was told before."""
    times = repeated(state.turns)
    if times < _REPEATS:
        return state
    if any(turn.note == prompt.LOOP for turn in state.turns):
        return state.stop("loop")
    *before, last = state.turns
    return replace(state, turns=(*before, replace(last, note=prompt.LOOP)))
