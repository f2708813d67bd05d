"""Demonstrations and earlier turns as texts, on their way into the messages of a prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from outlast.adapters.placing import Written, apart, texts_in
from outlast.adapters.protocol import Demo
from outlast.messages import Message, Thought

FieldTexts = Sequence[tuple[str, str]]


class Shown(NamedTuple):
    """A turn of a demonstration or a history, as texts."""

    given: Written
    wanted: FieldTexts
    thoughts: tuple[Thought, ...]


def texts_of(turns: Iterable[Shown | Message]) -> list[str]:
    """All texts of turns that are data."""
    found: list[str] = []
    for turn in turns:
        if isinstance(turn, Message):
            found += texts_in(turn)
        else:
            found += [*given_texts(turn.given), *(text for _, text in turn.wanted)]
    return found


def given_texts(given: Written) -> list[str]:
    """The texts of fields, and those that go beside them."""
    texts = [text for _, text in given.texts]
    return [*texts, *apart(given.shelf.media.values())] if given.shelf.media else texts


class Rendered:
    """A demonstration as a prompt shows it: its turns, all their texts, whether any of them reads as structure, and
    the messages where no nonce guards them."""

    __slots__ = ("__weakref__", "demo", "marked", "messages", "signature", "texts", "turns")

    def __init__(
        self,
        signature: Any,
        demo: Demo,
        turns: Sequence[Shown | Message],
        messages: Sequence[Message],
        holds: Callable[[str], bool],
    ) -> None:
        """`holds(text)` says whether a text reads as structure."""
        self.signature = signature
        self.demo = demo
        self.turns = turns
        self.messages = messages
        self.texts = texts_of(turns)
        self.marked = any(holds(text) for text in self.texts)


# Candidates of a search and calls that choose their demonstrations show the same ones again and again, in prompts of
# their own. What is rendered stays as long as one of these prompts does.
_rendered: WeakValueDictionary[tuple[Any, ...], Rendered] = WeakValueDictionary()


def shared(form: tuple[Any, ...], signature: Any, demo: Demo, render: Callable[[], Rendered]) -> Rendered:
    """The rendered demonstration of a signature in a form, rendered once for all prompts that are alive."""
    key = (*form, id(signature), id(demo))  # it holds both, so that the ids stay theirs
    found = _rendered.get(key)
    if found is None:
        found = _rendered[key] = render()
    return found
