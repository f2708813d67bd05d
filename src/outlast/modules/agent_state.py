"""Where an agent stands, as a value: it can be saved after each step and gone on with in another process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, cast

from outlast.errors import DataError, brief, refuse_unknown
from outlast.messages import Decision, Spending, Thought, ToolCall, ToolResult
from outlast.signatures.codec import codecs
from outlast.signatures.record import make_record

FORMAT = 1
_KEYS = (
    *("format", "signature", "inputs", "turns", "counts", "summary", "shortened", "dropped", "ready", "stopped"),
    *("spent", "outputs", "reasoning", "decisions"),
)


@dataclass(frozen=True, slots=True, repr=False)
class AgentTurn:
    """One turn of an agent: what the model thought, the calls that it asked for, and what came of each.

    `results` are in the order of `calls`, None for one that has not run. `thoughts` is native reasoning, which goes
    back to the model; `note` is what the agent told the model afterwards, such as that it repeats itself.
    """

    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult | None, ...] = ()
    thought: str = ""
    thoughts: tuple[Thought, ...] = ()
    note: str = ""

    @property
    def waiting(self) -> tuple[ToolCall, ...]:
        """The calls that have not run."""
        return tuple(call for call, result in zip(self.calls, self.results, strict=True) if result is None)

    def filled(self, results: Mapping[str, ToolResult]) -> AgentTurn:
        """This turn with the results of calls, by their ids."""
        found = zip(self.calls, self.results, strict=True)
        return replace(self, results=tuple(results.get(call.id) if old is None else old for call, old in found))

    def lines(self) -> Iterator[str]:
        """The turn for people: the thought, then each call with its result."""
        if self.thought:
            yield self.thought
        for call, result in zip(self.calls, self.results, strict=True):
            told = "(not run)" if result is None else f"{'error: ' if result.error else ''}{result.text}"
            yield f"{written_call(call)} -> {told}"
        if self.note:
            yield f"({self.note})"

    def __repr__(self) -> str:
        return f"AgentTurn({' | '.join(brief_line(line) for line in self.lines())})"

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form."""
        data: dict[str, Any] = {"calls": [[call.id, call.name, call.arguments] for call in self.calls]}
        data["results"] = [None if one is None else [one.text, one.error] for one in self.results]
        if self.thought:
            data["thought"] = self.thought
        if self.thoughts:
            data["thoughts"] = [[one.text, one.state, one.origin] for one in self.thoughts]
        return {**data, "note": self.note} if self.note else data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AgentTurn:
        """The turn that `to_json` wrote."""
        calls = tuple(ToolCall(*call) for call in data["calls"])
        results = tuple(
            None if one is None else ToolResult(call.id, *one) for call, one in zip(calls, data["results"], strict=True)
        )
        thoughts = tuple(Thought(*one) for one in data.get("thoughts", ()))
        return cls(calls, results, data.get("thought", ""), thoughts, data.get("note", ""))


@dataclass(frozen=True, slots=True, repr=False)
class AgentState:
    """A run of an agent up to here. `agent.step(state)` gives the next one, `agent.finish(state)` the result.

    `turns` are all turns so far; `counts` says how often each tool was run, `spent` what the run has cost. Of what
    the model is shown, the results of the first `shortened` turns are cut, and the first `dropped` turns are left
    out, with `summary` in their place when it is not empty. `ready` says that the model wants to answer, `stopped`
    why it has to. `outputs` are None until the run is done.
    """

    signature: Any
    inputs: Mapping[str, Any]
    turns: tuple[AgentTurn, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    summary: str = ""
    shortened: int = 0
    dropped: int = 0
    ready: bool = False
    stopped: str | None = None
    spent: Spending = field(default_factory=Spending, compare=False)
    outputs: Mapping[str, Any] | None = None
    reasoning: str | None = None
    decisions: tuple[tuple[str, Decision], ...] = ()

    @property
    def done(self) -> bool:
        """True when there is a result."""
        return self.outputs is not None

    @property
    def pending(self) -> tuple[ToolCall, ...]:
        """The calls that the model asked for and that have not run."""
        return self.turns[-1].waiting if self.turns else ()

    @property
    def result(self) -> Any:
        """What the agent gives: the typed result of its signature. None until the run is done."""
        if self.outputs is None:
            return None
        made = self.signature.__result__
        if made is not None:
            return made(dict(self.outputs))
        values = {**self.inputs, **self.outputs}
        return make_record(self.signature, values, self.reasoning, self.decisions)

    def stop(self, why: str = "told") -> Self:
        """This run as it is when it has to answer next, from what it has; calls that have not run are not run."""
        if self.done or self.stopped:
            return self
        turns = self.turns
        if self.pending:
            results = {
                call.id: ToolResult(
                    call.id, "no result: the work was stopped, and whether this ran to its end is not known", True
                )
                for call in self.pending
            }
            turns = (*turns[:-1], turns[-1].filled(results))
        return replace(self, turns=turns, stopped=why)

    def __repr__(self) -> str:
        at = f"{len(self.turns)} turns"
        if self.pending:
            at += f", waiting for {', '.join(written_call(call) for call in self.pending)}"
        at += f", stopped by {self.stopped!r}" if self.stopped else ""
        return f"AgentState({self.signature.__name__}, {at}{', done' if self.done else ''})"

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form; `from_json` reads it back."""
        data: dict[str, Any] = {
            "format": FORMAT,
            "signature": {"name": self.signature.__name__, "key": self.signature.key},
            "inputs": _dumped(self.signature, self.inputs),
            "turns": [turn.to_json() for turn in self.turns],
            "counts": dict(self.counts),
            "spent": self.spent.to_json(),
        }
        for name in ("summary", "shortened", "dropped", "ready", "stopped", "reasoning"):
            if getattr(self, name):
                data[name] = getattr(self, name)
        if self.outputs is not None:
            data["outputs"] = _dumped(self.signature, self.outputs)
        if self.decisions:
            data["decisions"] = {name: one.to_json() for name, one in self.decisions}
        return data

    @classmethod
    def from_json(cls, data: Any, signature: Any) -> Self:
        """The state that `to_json` wrote, of an agent that answers `signature`.

        Raises `DataError` for one of another signature or of a format that this outlast does not read.
        """
        if not isinstance(data, Mapping):
            raise DataError(f"the state of an agent is an object; got {brief(data)}")
        told = cast("Mapping[str, Any]", data)
        if told.get("format") != FORMAT:
            raise DataError(f"the state of an agent has format {FORMAT} here; this one has {brief(told.get('format'))}")
        refuse_unknown(told, _KEYS, "the state of an agent")
        try:
            known = told["signature"]
            if known["key"] != signature.key:
                raise DataError(
                    f"this is the state of an agent for {known['name']!r} with other fields than {signature.__name__} "
                    f"has now; it cannot go on from there. Start it anew, or run the version that wrote it"
                )
            outputs = told.get("outputs")
            decisions: Mapping[str, Any] = told.get("decisions", {})
            return cls(
                signature,
                _read(signature, told["inputs"]),
                tuple(AgentTurn.from_json(turn) for turn in told["turns"]),
                dict(told["counts"]),
                told.get("summary", ""),
                told.get("shortened", 0),
                told.get("dropped", 0),
                told.get("ready", False),
                told.get("stopped"),
                Spending.from_json(told["spent"]),
                None if outputs is None else _read(signature, outputs),
                told.get("reasoning"),
                tuple((name, Decision.from_json(one)) for name, one in decisions.items()),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"the state of an agent cannot be read: {type(error).__name__}: {error}") from error


def written_call(call: ToolCall) -> str:
    """A call as code would have it, for people and for models."""
    try:
        data = json.loads(call.arguments or "{}")
    except ValueError:
        data = None
    if not isinstance(data, dict):
        return f"{call.name}({brief_line(call.arguments)})"
    given = cast("dict[str, Any]", data)
    return (
        f"{call.name}({', '.join(f'{name}={json.dumps(value, ensure_ascii=False)}' for name, value in given.items())})"
    )


def brief_line(text: str, limit: int = 200) -> str:
    """The text in one line, cut."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _dumped(signature: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    table = codecs(signature)
    return {name: table[name].dump(value) for name, value in values.items()}


def _read(signature: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    table = codecs(signature)
    return {name: table[name].read_data(value) for name, value in values.items()}
