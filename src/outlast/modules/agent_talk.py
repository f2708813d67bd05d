"""One conversation of an agent with a model: rendered once and appended to, and cut when the window is full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from outlast.adapters.ask import Answer, Question, ask_model
from outlast.adapters.decisions import Decisions
from outlast.adapters.protocol import Adapter, Following, Plan, Prepared
from outlast.errors import LMContextError
from outlast.messages import Message, ToolCall, ToolResult
from outlast.modules import agent_prompt as prompt
from outlast.modules.agent_state import AgentState, AgentTurn
from outlast.modules.deriving import for_step
from outlast.modules.guarding import watching
from outlast.modules.settings import DEFAULT_ADAPTER, chosen_adapter, chosen_lm
from outlast.runtime import Run, current, running
from outlast.tools.calling import Toolbox

if TYPE_CHECKING:
    from outlast.checks.running import Watching
    from outlast.modules.react import ReAct

_CHARACTERS = 4  # a token is about this many, in English


class Talk:
    """What is kept while one agent runs in one process; all that matters stands in its state."""

    def __init__(self, agent: ReAct[..., Any], run: Run, toolbox: Toolbox) -> None:
        self.agent = agent
        self.path = run.paths.get(id(agent))
        self.toolbox = toolbox
        self.tools = tuple(toolbox.values())
        self.lm = chosen_lm(agent.lm, run)
        self.adapter = chosen_adapter(agent.adapter, run)
        capable = self.lm.capabilities.tools if agent.native is None else agent.native
        self.native = capable and not isinstance(self.adapter, Decisions)
        self.watch: Watching | None = None
        self._ready: dict[tuple[bool, Adapter], tuple[Any, int, Prepared]] = {}

    async def begin(self, state: AgentState) -> AgentState:
        """The state with its inputs as the checks of the signature let them be asked; one with the outputs when a check
        settles it. Raises `CheckFailed`. Cost: that of the checks."""
        if not state.signature.__checks__ or state.done:
            return state
        self.watch = watching(state.signature, state.inputs)
        await self.watch.begin()
        return replace(state, inputs=self.watch.given, outputs=self.watch.instead)

    async def turn(self, state: AgentState) -> tuple[AgentState, AgentTurn, Answer | None]:
        """Ask what to do next. Gives the state, which may be cut, the turn, and the answer when there is one.

        Cost: one call and re-asks.
        """
        state, answer = await self._ask(state, last=False)
        response, number = answer.response, len(state.turns) + 1
        if not self.native:
            _, thought, calls = prompt.turn_signature(state.signature)
            asked = prompt.calls_of(answer.values[calls], number)
            return state, _turn(asked, answer.values[thought], response.thoughts), None
        if not prompt.asks_for_tools(response, self._answering):
            return state, AgentTurn(), answer
        asked = prompt.numbered(response.tool_calls, number)
        return state, _turn(asked, response.text, response.thoughts), None

    async def answer(self, state: AgentState) -> tuple[AgentState, Answer]:
        """Ask for the outputs, without tools. Cost: one call and re-asks."""
        return await self._ask(state, last=True)

    async def _ask(self, state: AgentState, *, last: bool) -> tuple[AgentState, Answer]:
        """Ask, with ever less of what is past while it does not fit the window."""
        agent, run = self.agent, current()
        in_turns = not (self.native or last)
        signature = prompt.turn_signature(state.signature)[0] if in_turns else state.signature
        watch = None if in_turns else self.watch
        name = type(agent).__name__
        question = Question(self.path, name, signature, state.inputs, agent.settings, self.lm, run, None, watch)
        adapter = DEFAULT_ADAPTER if in_turns and isinstance(self.adapter, Decisions) else self.adapter
        while True:
            shown = state

            def plans(one: Adapter, shown: AgentState = shown) -> Plan:
                return _Rendered(self._prepared(shown, one, last=last))

            try:
                if agent.context is not None and self._size(plans(adapter)) > agent.context:
                    smaller = await self._smaller(state)
                    if smaller is not None:
                        state = smaller
                        continue
                return state, await ask_model(question, plans, adapter)
            except LMContextError:
                smaller = await self._smaller(state)
                if smaller is None:
                    raise
                state = smaller

    def _prepared(self, state: AgentState, adapter: Adapter, *, last: bool) -> Prepared:
        """The question with the conversation up to here; only turns that are new are rendered."""
        if last and not self.native:
            return self._for_answer(state, adapter)
        cutting = (state.shortened, state.dropped, state.summary)
        found = self._ready.get((False, adapter))
        if found is None or found[0] != cutting:
            plan = self.agent.compiled("native" if self.native else "turn", adapter, self.lm.capabilities)
            inputs = state.inputs if self.native else for_step(state.signature, state.inputs)
            prepared = plan.prepare(inputs).then(prompt.ago(state.summary))
            done = state.dropped
        else:
            _, done, prepared = found
        new = [turn for number in range(done, len(state.turns)) for turn in self._shown(state, number)]
        prepared = prepared.then(new)
        self._ready[False, adapter] = cutting, len(state.turns), prepared
        if not self.native:
            return prepared
        own = frozenset(tool.name for tool in prepared.tools)
        self._answering = own
        if last and state.turns:
            prepared = prepared.then([prompt.Given((), prompt.NOW)])
        return prompt.with_tools(prepared, state.signature, self.tools, last=last)

    _answering: frozenset[str] = frozenset()  # tools that take the answer, of the adapter asked last

    def _for_answer(self, state: AgentState, adapter: Adapter) -> Prepared:
        """The question for the outputs after turns in another form."""
        prepared = self.agent.compiled("answer", adapter, self.lm.capabilities).prepare(state.inputs)
        following: list[Following] = list(prompt.ago(state.summary))
        for number in range(state.dropped, len(state.turns)):
            turn, results = state.turns[number], self._results(state, number)
            note = prompt.NOW if number == len(state.turns) - 1 else turn.note
            following += prompt.plain_turn(turn, results, note)
        return prepared.then(following)

    def _shown(self, state: AgentState, number: int) -> Sequence[Following]:
        turn, results = state.turns[number], self._results(state, number)
        if self.native:
            return prompt.native_turn(turn, results, turn.note)
        return prompt.written_turn(turn, results, turn.note, prompt.turn_signature(state.signature)[1:])

    def _results(self, state: AgentState, number: int) -> list[ToolResult]:
        results = [one for one in state.turns[number].results if one is not None]
        return [prompt.cut(one) for one in results] if number < state.shortened else results

    async def _smaller(self, state: AgentState) -> AgentState | None:
        """A state that shows the model less: old results are cut first, then old turns go, then the last results are
        cut; None when there is nothing left to leave out."""
        last = len(state.turns) - 1
        if state.shortened < last:
            return replace(state, shortened=last)
        if state.dropped < last:
            if self.agent.summary is not None:
                return replace(state, summary=await self._summary(state), dropped=last)
            return replace(state, dropped=state.dropped + (last - state.dropped + 1) // 2)
        if state.shortened <= last:
            return replace(state, shortened=last + 1)
        return None

    async def _summary(self, state: AgentState) -> str:
        """The turns that are left out, in short, by a call of the model. Cost: one call and re-asks."""
        assert self.agent.summary is not None
        told = [state.summary] if state.summary else []
        for number in range(state.dropped, len(state.turns) - 1):
            told += replace(state.turns[number], results=tuple(self._results(state, number))).lines()
        with running(lm=self.lm):
            out = await self.agent.summary.acall(task=self.agent.instruction, progress="\n".join(told))
        return out.summary

    def _size(self, plan: Plan) -> int:
        """Tokens that the messages of a question have, about."""
        return sum(_length(message) for message in plan.prepare({}).messages) // _CHARACTERS


class _Rendered(Plan):
    """A call that is rendered already."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared

    def prepare(self, inputs: Any) -> Prepared:
        """The call, whatever the inputs."""
        return self._prepared


def _turn(calls: tuple[ToolCall, ...], thought: str, thoughts: Any) -> AgentTurn:
    return AgentTurn(calls, (None,) * len(calls), thought.strip(), thoughts)


def _length(message: Message) -> int:
    return len(message.text) + sum(len(part.arguments) for part in message.parts if isinstance(part, ToolCall))


def repeated(turns: Sequence[AgentTurn]) -> int:
    """How often the call of the last turn that was made most often was made with the result that it has now."""
    if not turns:
        return 0
    every = [pair for turn in turns for pair in _pairs(turn)]
    return max((every.count(pair) for pair in set(_pairs(turns[-1]))), default=0)


def _pairs(turn: AgentTurn) -> Iterator[tuple[str, str, str]]:
    for call, result in zip(turn.calls, turn.results, strict=True):
        if result is not None:
            yield call.name, call.arguments, result.text
