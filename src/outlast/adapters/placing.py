"""Where media and earlier turns go in a prompt: one way for all adapters, so that none of them drops any."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar, cast

from pydantic import ValidationError

from outlast.adapters.markers import nonce_for
from outlast.errors import InputError, brief, did_you_mean
from outlast.messages import History, Message, Part, Role, TextPart, Thought, ToolCall, ToolResult, Turn
from outlast.signatures.codec import Codec, codecs
from outlast.types import Document, File
from outlast.types.shown import Shelf

T = TypeVar("T")
_READABLE = ("text/", "application/json", "application/xml")


class Written(NamedTuple):
    """Fields as text by name, and the media that the texts refer to."""

    texts: list[tuple[str, str]]
    shelf: Shelf


def shelved(
    write: Callable[[Shelf], T], texts: Callable[[T], Iterable[str]], *, cites: bool = False
) -> tuple[T, Shelf]:
    """What `write` makes of values, and the media in them.

    When `texts` of it hold what looks like a reference and is none, references carry a nonce that no text holds.
    `cites` says that documents go apart, to be cited.
    """
    shelf = Shelf("", cites)
    made = write(shelf)
    if shelf.media and shelf.doubtful(texts(made)):
        shelf = Shelf(nonce_for("", texts(made)), cites)
        made = write(shelf)
    return made, shelf


def written(fields: Sequence[tuple[str, Codec]], values: Mapping[str, Any], *, cites: bool = False) -> Written:
    """Fields as text, as far as there are values. Raises `InputError` for what text cannot hold."""

    def write(shelf: Shelf) -> list[tuple[str, str]]:
        return [(name, codec.write(values[name], shelf)) for name, codec in fields if name in values]

    return Written(*shelved(write, _second, cites=cites))


def _second(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [text for _, text in pairs]


def placed(role: Role, text: str, shelf: Shelf) -> Message:
    """A message with every medium right behind the reference to it. Raises `InputError` when one has none."""
    if not shelf.media:
        return Message(role, text)
    for reference in shelf.media:
        if reference not in text:
            raise InputError(
                f"{reference} is in the inputs and not in the prompt: a __prompt__ or an adapter leaves it out"
            )
    return Message(role, tuple(TextPart(one) if isinstance(one, str) else one for one in pieces_of(text, shelf)))


def pieces_of(text: str, shelf: Shelf) -> list[str | Part]:
    """A text cut behind each reference in it, with the medium after it."""
    found = sorted((at, reference) for reference in shelf.media if (at := text.find(reference)) >= 0)
    pieces: list[str | Part] = []
    done = 0
    for at, reference in found:
        stop = at + len(reference)
        pieces += [text[done:stop], cast("Part", shelf.media[reference])]
        done = stop
    return [*pieces, text[done:]] if done < len(text) else pieces


def apart(media: Iterable[Any]) -> list[str]:
    """The texts that a model reads beside the text of a message: documents that it cites, and text files."""
    found: list[str] = []
    for medium in media:
        if isinstance(medium, Document):
            found.append(medium.__prompt__())
        elif isinstance(medium, File) and medium.data is not None and medium.mime.startswith(_READABLE):
            found.append(medium.data.decode("utf-8", "replace"))
    return found


def texts_in(message: Message) -> list[str]:
    """All texts of a message that are data, each for itself."""
    said = [
        part.arguments if isinstance(part, ToolCall) else part.text
        for part in message.parts
        if isinstance(part, (TextPart, ToolCall, ToolResult))
    ]
    return [*said, *apart(message.parts)]


def with_thoughts(messages: Sequence[Message], thoughts: tuple[Thought, ...]) -> list[Message]:
    """The answer of a turn, its native reasoning first."""
    if not thoughts:
        return list(messages)
    first, *rest = messages
    return [replace(first, content=(*thoughts, *first.parts)), *rest]


def is_history(codec: Codec) -> bool:
    """True for a field that holds earlier turns, which are messages and no text of the question."""
    return codec.shown is History


def shown_inputs(signature: Any) -> list[tuple[str, Codec]]:
    """The inputs that stand in the text of a question."""
    table = codecs(signature)
    return [(name, table[name]) for name in signature.inputs if not is_history(table[name])]


def fitted(signature: Any, history: History, name: str) -> History:
    """A history whose values, which may be JSON data, are of the types of the fields. Raises `InputError`."""
    turns = (
        _checked(signature, turn, f"turn {number} of {name!r}") if isinstance(turn, Turn) else turn
        for number, turn in enumerate(history.turns, 1)
    )
    return replace(history, turns=tuple(turns))


def earlier(signature: Any, values: Mapping[str, Any]) -> list[Turn | Message]:
    """The turns that the histories among the inputs hold, with values of the types of the fields.

    Raises `InputError` for a turn that does not fit the signature.
    """
    histories = [(name, value) for name, value in values.items() if type(value) is History]
    if not histories:
        return []
    table = codecs(signature)
    found: list[Turn | Message] = []
    for name, history in histories:
        if name in signature.inputs and is_history(table[name]):
            for turn in fitted(signature, history, name).turns:
                found += [turn] if isinstance(turn, Turn) else turn
    return found


def _checked(signature: Any, turn: Turn, where: str) -> Turn:
    inputs = _values(signature, turn.inputs, signature.inputs, where)
    given = turn.outputs
    if turn.reasoning and "reasoning" in signature.outputs and "reasoning" not in given:
        given = {"reasoning": turn.reasoning, **given}
    outputs = _values(signature, given, signature.outputs, where)
    if not inputs or not outputs:
        raise InputError(f"{where} needs inputs and outputs of {signature.__name__}; free turns are history.say(...)")
    return replace(turn, inputs=inputs, outputs=outputs)


def _values(signature: Any, values: Mapping[str, Any], names: Mapping[str, Any], where: str) -> dict[str, Any]:
    table = codecs(signature)
    for name in values:
        if name not in names or is_history(table[name]):
            raise InputError(
                f"{where} has {name!r}, which is no field of {signature.__name__} there."
                f"{did_you_mean(name, names)} Fields: {', '.join(names)}."
            )
    return {name: _value(table[name], values[name], where) for name in names if name in values}


def _value(codec: Codec, value: Any, where: str) -> Any:
    try:
        return codec.check(value)
    except ValidationError as error:
        if isinstance(value, (str, list, dict)):  # from the JSON form of a history
            try:
                return codec.read_data(value)
            except (ValueError, TypeError, RecursionError):
                pass
        raise InputError(f"{where} has a {codec.name!r} that does not fit: {brief(value)}") from error
