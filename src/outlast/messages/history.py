"""Earlier turns of a conversation as a value: what a field `history: ol.History` holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, cast

from outlast.errors import InputError, brief, refuse_unknown
from outlast.messages.parts import Message, Thought, message_from_json, part_from_json
from outlast.types.shown import FieldType

_CHARACTERS = 4  # a token is about this many, in English
_MEDIUM = 1_000  # tokens that a medium is taken for


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and its answer, by field name.

    `thoughts` is the native reasoning that goes back to the model. `reasoning` is the text of it, which stands in an
    output of that name where a strategy asks for one.
    """

    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    thoughts: tuple[Thought, ...] = ()
    reasoning: str = ""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form."""
        data: dict[str, Any] = {"inputs": _ready(self.inputs), "outputs": _ready(self.outputs)}
        if self.thoughts:
            data["thoughts"] = [one.to_json() for one in self.thoughts]
        return {**data, "reasoning": self.reasoning} if self.reasoning else data

    def __hash__(self) -> int:
        return hash((tuple(self.inputs), tuple(self.outputs), self.thoughts))


@dataclass(frozen=True, slots=True)
class History(FieldType):
    """Earlier turns, oldest first; each is a `Turn`, or a tuple of `Message`s that belong together.

    A value: `history.add(inputs, outputs)` gives a new one, so a conversation forks by keeping the old one. The
    adapter renders turns as real messages in its own form, before the question. `last` bounds the number of turns,
    `tokens` their size (estimated: four characters a token, 1,000 for a medium); the oldest are left out beyond
    them. Raises `InputError`.
    """

    turns: tuple[Turn | tuple[Message, ...], ...] = ()
    last: int | None = None
    tokens: int | None = None

    kind: ClassVar[str] = "history"
    only_input: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("last", "tokens"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InputError(f"History: {name} is a whole number from 1, or None; got {brief(value)}")
        turns = tuple(_turn(turn) for turn in self.turns)
        object.__setattr__(self, "turns", self._kept(turns))

    def _kept(self, turns: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.last is not None:
            turns = turns[-self.last :]
        if self.tokens is not None:
            room = self.tokens
            for at in range(len(turns) - 1, -1, -1):
                room -= _size(turns[at])
                if room < 0:
                    return turns[at + 1 :]
        return turns

    def __len__(self) -> int:
        return len(self.turns)

    def __bool__(self) -> bool:
        return True

    def add(self, inputs: Mapping[str, Any], outputs: Any, *, thoughts: Iterable[Thought] = ()) -> Self:
        """This and one more turn. `outputs` is what a program gave, or a mapping of outputs by field name.

        The native reasoning of a prediction comes along when its trace holds it.
        """
        from outlast.signatures.record import Record, outputs_of, reasoning_of

        found, reasoning = tuple(thoughts), ""
        if isinstance(outputs, Record):
            found, reasoning = found or _thoughts(outputs), reasoning_of(outputs)
            outputs = outputs_of(outputs)
        if not isinstance(inputs, Mapping) or not isinstance(outputs, Mapping):
            raise InputError("History.add takes a mapping of inputs and a prediction or a mapping of outputs")
        plain = {name: value for name, value in inputs.items() if not isinstance(value, History)}
        return self.with_turn(Turn(plain, dict(cast("Mapping[str, Any]", outputs)), found, reasoning))

    def say(self, *messages: Message) -> Self:
        """This and messages that belong together, such as a tool call and its result; they are sent as they are."""
        return self.with_turn(messages)

    def with_turn(self, turn: Turn | Sequence[Message]) -> Self:
        """This and one more turn."""
        return replace(self, turns=(*self.turns, turn))

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form; `from_json` reads it back, values of turns as JSON data, which fields make values of."""
        data: dict[str, Any] = {"type": self.kind, "turns": [_turn_json(turn) for turn in self.turns]}
        bounds = {"last": self.last, "tokens": self.tokens}
        return {**data, **{name: value for name, value in bounds.items() if value is not None}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The history that `to_json` wrote. Raises `InputError`."""
        refuse_unknown(data, ("type", "turns", "last", "tokens"), "History.from_json")
        turns = data.get("turns", ())
        if not isinstance(turns, (list, tuple)):
            raise InputError(f"History: turns is a list; got {brief(turns)}")
        read = tuple(_turn_from_json(turn) for turn in cast("list[Any]", turns))
        return cls(read, data.get("last"), data.get("tokens"))

    @classmethod
    def __describe__(cls) -> str:
        return "earlier turns of the conversation"

    def __prompt__(self) -> str:
        """Refuses: a history is messages, never text inside one."""
        raise InputError("a History stands in an input field of its own: `history: ol.History = ol.input()`")


def _turn(turn: Any) -> Turn | tuple[Message, ...]:
    if isinstance(turn, Turn):
        if not isinstance(turn.inputs, Mapping) or not isinstance(turn.outputs, Mapping):
            raise InputError("a Turn holds inputs and outputs by field name")
        if not isinstance(turn.reasoning, str):
            raise InputError(f"the reasoning of a Turn is text; got {brief(turn.reasoning)}")
        return turn
    if isinstance(turn, Message):
        turn = (turn,)
    messages = tuple(cast("Sequence[Any]", turn)) if isinstance(turn, (list, tuple)) else ()
    if not messages or not all(isinstance(message, Message) for message in messages):
        raise InputError(f"a turn of a History is a Turn or one or more Messages; got {brief(turn)}")
    if any(message.role == "system" for message in messages):
        raise InputError("a History holds no system message: the instruction of the program is the one there is")
    return messages


def _size(turn: Turn | tuple[Message, ...]) -> int:
    if isinstance(turn, Turn):
        values = (*turn.inputs.values(), *turn.outputs.values())
        return sum(_value_size(value) for value in values) + sum(_text_size(one.text) for one in turn.thoughts)
    total = 0
    for message in turn:
        for part in message.parts:
            text = getattr(part, "text", None) or getattr(part, "arguments", None)
            total += _text_size(text) if isinstance(text, str) else _MEDIUM
    return total


def _value_size(value: Any) -> int:
    from outlast.types.media import Media

    if isinstance(value, Media):
        return _MEDIUM
    if isinstance(value, (list, tuple)):
        return sum(_value_size(item) for item in cast("Sequence[Any]", value))
    return _text_size(value if isinstance(value, str) else getattr(value, "text", None) or repr(value))


def _text_size(text: Any) -> int:
    return -(-len(str(text)) // _CHARACTERS)


def _thoughts(record: Any) -> tuple[Thought, ...]:
    """The native reasoning behind a prediction: that of the last reply in its trace."""
    from outlast.signatures.record import trace_of

    spans = list(trace_of(record) or ())
    return next((span.response.thoughts for span in reversed(spans) if span.response and span.error is None), ())


def _ready(values: Mapping[str, Any]) -> dict[str, Any]:
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        return {
            name: to_jsonable_python(value, inf_nan_mode="constants", bytes_mode="base64")
            for name, value in values.items()
        }
    except PydanticSerializationError as error:
        raise InputError(f"a turn holds a value that has no JSON form: {error}") from error


def _turn_json(turn: Turn | tuple[Message, ...]) -> dict[str, Any]:
    return turn.to_json() if isinstance(turn, Turn) else {"messages": [message.to_json() for message in turn]}


def _turn_from_json(data: Any) -> Turn | tuple[Message, ...]:
    if not isinstance(data, Mapping):
        raise InputError(f"a turn is an object; got {brief(data)}")
    turn = cast("Mapping[str, Any]", data)
    if "messages" in turn:
        refuse_unknown(turn, ("messages",), "a turn")
        messages = turn["messages"]
        if not isinstance(messages, (list, tuple)):
            raise InputError(f"messages is a list; got {brief(messages)}")
        return tuple(message_from_json(message) for message in cast("list[Any]", messages))
    refuse_unknown(turn, ("inputs", "outputs", "thoughts", "reasoning"), "a turn")
    thoughts = tuple(part_from_json(thought) for thought in turn.get("thoughts", ()))
    if not all(isinstance(thought, Thought) for thought in thoughts):
        raise InputError("the thoughts of a turn are parts of the type 'thought'")
    reasoning = turn.get("reasoning", "")
    return Turn(turn.get("inputs", {}), turn.get("outputs", {}), cast("tuple[Thought, ...]", thoughts), reasoning)
