"""What a call shows to a model besides the form of its reply: an answer that only repeats it is no answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from outlast.adapters.placing import apart, earlier, is_history, texts_in
from outlast.adapters.protocol import Following, Task
from outlast.messages import Message, Turn
from outlast.signatures.codec import codecs
from outlast.types.shown import Shelf

_LONGEST_NUMBER = 1 << 64


class Held(NamedTuple):
    """What a call holds, as JSON data.

    `given` are the values of its inputs and earlier turns, `shown` those of the demonstrations, both of which may come
    from anywhere; `said` are the instruction and the descriptions, whose author may show what a reply looks like.
    """

    given: list[Any]
    shown: list[Any]
    said: list[str]

    def texts(self) -> list[str]:
        """All texts of what is given."""
        return list(_texts(self.given))

    def examples(self) -> list[str]:
        """All texts of what every call of the task shows."""
        return [*_texts(self.shown), *self.said]


def held_by(task: Task, inputs: Mapping[str, Any], following: Sequence[Following] = ()) -> Held:
    """What a call with these inputs, and turns after it, holds. Takes as long as rendering, so it is asked for at need
    only."""
    signature = task.signature
    descriptions = [task.describe(name) for name in signature.fields]
    shown = [value for demo in task.demos for value in _values(signature, demo.values)]
    given = _values(signature, inputs)
    for turn in following:
        if isinstance(turn, Turn):
            given += _data(signature, turn.outputs)
        else:
            given += texts_in(turn) if isinstance(turn, Message) else [text for _, text in turn.texts]
    return Held(given, shown, [task.instruction, *descriptions])


def _values(signature: Any, values: Mapping[str, Any]) -> list[Any]:
    """The values of fields as data, and those of the earlier turns among them."""
    found = list(_data(signature, values))
    for turn in earlier(signature, values):
        if isinstance(turn, Turn):
            found += [*_data(signature, turn.inputs), *_data(signature, turn.outputs)]
        else:
            found += texts_in(turn)
    return found


def _data(signature: Any, values: Mapping[str, Any]) -> Iterator[Any]:
    """The values one by one: an object of all outputs would make every right answer an echo."""
    table = codecs(signature)
    for name, value in values.items():
        if name in table and not is_history(table[name]):
            shelf = Shelf()
            yield table[name].dump(value, shelf)
            yield from apart(shelf.media.values())


def _texts(values: Iterable[Any]) -> Iterator[str]:
    """The texts in data; a key of an object stands before its value, as a label does."""
    rest = list(values)
    while rest:
        value = rest.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            for key, item in cast("dict[str, Any]", value).items():
                yield f"{key}: {_brief(item)}"
                rest.append(item)
        elif isinstance(value, (list, tuple)):
            rest += cast("list[Any]", value)


def _brief(value: Any) -> str:
    """A value as it would stand behind a label."""
    if isinstance(value, int):
        return str(value) if abs(value) < _LONGEST_NUMBER else ""
    return str(value) if isinstance(value, (str, float)) else ""
