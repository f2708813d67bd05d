"""What a stream shows of one question: pieces while they come, and that they were right once all of it was read."""

from __future__ import annotations

import types
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import is_dataclass
from typing import Any, Union, cast, get_args, get_origin, is_typeddict

from pydantic import BaseModel

from outlast.adapters.partial import DRAFT, PartialReader, Piece
from outlast.adapters.partial_json import Growth
from outlast.adapters.protocol import Prepared
from outlast.errors import OutlastError
from outlast.lms.protocol import LM, send_stream
from outlast.messages import Finished, Request, Response, TextDelta, ThoughtDelta, ToolDelta
from outlast.messages.progress import Answered, FieldDelta, Partial, Restarted, Thinking
from outlast.runtime.watching import Sink
from outlast.signatures.codec import Codec, codecs
from outlast.signatures.field import Field

BREAKS = 2  # times that a stream which broke after it began is asked for again
_GRAIN = 64  # a partial text or list comes when it has grown by this part of itself
_NOTHING: Any = object()


class Showing:
    """Tells a sink what comes of the answers to one question, which may take several attempts.

    What adapters' readers show is compared with what was read in the end. Where that is something else, `Restarted`
    says so and everything is shown again: nothing that is shown last was not in the answer.
    """

    def __init__(self, sink: Sink, path: str | None, sample: int, signature: Any) -> None:
        self.attempt = 0
        self._put = sink.channel.put
        self._channel = sink.channel
        self._path = path
        self._sample = sample
        self._table = codecs(signature)
        self._fields: dict[str, _Shown] = {}
        self._reader: PartialReader | None = None
        self._begun = False

    async def ask(self, lm: LM, request: Request, prepared: Prepared) -> Response:
        """Ask a model and show its reply as it comes."""
        self._begun = True
        self._reader = None if prepared.partial is None else prepared.partial()
        response: Response | None = None
        async with aclosing(send_stream(lm, request)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    response = event.response
                else:
                    self._show(event)
                    if self._channel.full:
                        await self._channel.room()
        assert response is not None
        return response

    def _show(self, event: TextDelta | ThoughtDelta | ToolDelta) -> None:
        if isinstance(event, ThoughtDelta):
            self._put(Thinking(self._path, event.text, self._sample, self.attempt))
        elif self._reader is None:
            return
        elif isinstance(event, TextDelta):
            self._pieces(self._reader.feed(event.text))
        else:
            self._pieces(self._reader.feed_call(event.index, event.name, event.arguments))

    def _pieces(self, pieces: list[Piece]) -> None:
        for field, text, closed in pieces:
            if field is None:
                self._put(Thinking(self._path, text, self._sample, self.attempt))
            elif field == DRAFT:
                self._delta(DRAFT, text)
            else:
                self._piece(field, text, closed=closed)

    def _piece(self, name: str, text: str, *, closed: bool) -> None:
        shown = self._fields.get(name)
        if shown is None:
            shown = self._fields[name] = _Shown(self._table[name])
        if text:
            self._delta(name, text)
            shown.add(text)
        if closed and self._reader is not None:
            try:
                shown.value = self._reader.value(name, shown.text)
            except (ValueError, RecursionError):
                return  # the error comes with the whole reply
            self._partial(name, shown.value, complete=True)
        elif text and (value := shown.partial()) is not _NOTHING:
            self._partial(name, value)

    def _delta(self, name: str, text: str) -> None:
        self._put(FieldDelta(self._path, name, text, self._sample, self.attempt))

    def _partial(self, name: str, value: Any, *, complete: bool = False) -> None:
        self._put(Partial(self._path, name, value, complete, self._sample, self.attempt))

    def restart(self, reason: str) -> None:
        """What was shown of the answer does not count: it is asked, or shown, again."""
        self._fields = {}
        if self._begun:
            self.attempt += 1
            self._put(Restarted(self._path, reason, self._sample, self.attempt))

    def confirm(self, values: Mapping[str, Any]) -> None:
        """The answer was read: show what was not shown yet, and all of it again where something else was shown.

        What is no field, such as calls of tools in place of an answer, is not shown.
        """
        values = {name: value for name, value in values.items() if name in self._table}
        wrong = [name for name, shown in self._fields.items() if not shown.agrees(values.get(name, _NOTHING))]
        if wrong:
            self.restart(f"the whole reply reads otherwise: {', '.join(wrong)}")
        for name, value in values.items():
            shown = self._fields.get(name)
            rest = _as_text(self._table[name], value) if shown is None else shown.rest(value)
            if rest:
                self._delta(name, rest)
            if shown is None or shown.value is _NOTHING:
                self._partial(name, value, complete=True)
        self._fields = {}

    def answered(self, values: Mapping[str, Any]) -> None:
        """The question has its answer."""
        if any(name in self._table for name in values):
            self._put(Answered(self._path, values, self._sample, self.attempt))


class _Shown:
    """What was shown of one field."""

    def __init__(self, codec: Codec) -> None:
        self.value: Any = _NOTHING  # once the field is closed
        self._codec = codec
        self._pieces: list[str] = []
        self._size = 0
        self._told = 0
        self._is_text = codec.style == "text"
        kind = None if self._is_text else _beginning(codec)
        self._growth = None if kind is None else Growth(pairs=kind is not list)
        self._as_items: _Items | None = None if kind is None else _items(codec, kind)
        self._items: list[Any] = []

    @property
    def text(self) -> str:
        """All of the text so far."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def add(self, text: str) -> None:
        """More of the text."""
        self._pieces.append(text)
        self._size += len(text)
        if self._growth is not None and not self._growth.ended:
            self._growth.feed(text)

    def partial(self) -> Any:
        """The value so far, when it is time to tell it."""
        if self._is_text:
            if self._size - self._told <= self._told // _GRAIN:
                return _NOTHING
            self._told = self._size
            return self.text
        return _NOTHING if self._growth is None else self._grown(self._growth.parts)

    def _grown(self, parts: list[Any]) -> Any:
        """The parts so far, each checked once."""
        if self._as_items is None or len(parts) - self._told <= self._told // _GRAIN:
            return _NOTHING
        try:
            self._items += map(self._as_items.read, parts[self._told :])
        except (ValueError, RecursionError):
            self._as_items = None
            return _NOTHING
        self._told = len(parts)
        return dict(self._items) if self._as_items.pairs else self._items.copy()

    def agrees(self, value: Any) -> bool:
        """Whether what was shown is the value that was read, or its beginning."""
        if value is _NOTHING:
            return False
        if self.value is not _NOTHING:
            return _same(self._codec, self.value, value)
        if self._is_text and isinstance(value, str):
            shown, whole = self.text.lstrip(), value.strip()
            return whole.startswith(shown) or whole == shown.rstrip()
        return not self.text.strip() or self._says(value)

    def _says(self, value: Any) -> bool:
        """Whether a text that nothing closed says the value."""
        for read in (self._codec.read, self._codec.read_data):
            try:
                return _same(self._codec, read(self.text), value)
            except (ValueError, RecursionError):
                continue
        return False

    def rest(self, value: Any) -> str:
        """What is left to show of a value."""
        if self._is_text and isinstance(value, str):
            return value.strip()[len(self.text.lstrip()) :] if self.value is _NOTHING else ""
        return "" if self.text.strip() else _as_text(self._codec, value)


class _Items:
    """How the parts of a list, or of an object, become values."""

    def __init__(self, codec: Codec | None, *, pairs: bool) -> None:
        self.pairs = pairs
        self._codec = codec

    def read(self, part: Any) -> Any:
        """One part, or `ValueError`."""
        if not self.pairs:
            return _plain(part) if self._codec is None else self._codec.read_data(part)
        key, value = part
        return key, _plain(value) if self._codec is None else self._codec.read_data(value)


def _plain(value: Any) -> Any:
    """JSON data without the class that keeps the spelling of numbers."""
    if isinstance(value, float):
        return float(value)
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast("dict[str, Any]", value).items()}
    return value


def _only(annotation: Any) -> Any:
    """A type without None and `Annotated`."""
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return _only(kinds[0]) if len(kinds) == 1 else annotation
    return annotation


def _beginning(codec: Codec) -> Any:
    """`list` or `dict` for a type whose values have a beginning, None for others."""
    kind = _only(codec.base)
    origin: Any = get_origin(kind) or kind
    if origin in (list, dict):
        return origin
    made = is_dataclass(origin) or is_typeddict(origin)
    return dict if made or (isinstance(origin, type) and issubclass(origin, BaseModel)) else None


def _items(codec: Codec, kind: Any) -> _Items | None:
    arguments = get_args(_only(codec.base))
    if not arguments:
        return _Items(None, pairs=kind is dict)
    try:
        return _Items(Codec(Field(codec.name, "output", arguments[-1])), pairs=kind is dict)
    except OutlastError:  # a type that cannot be an output alone
        return None


def _as_text(codec: Codec, value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return codec.write(value)
    except OutlastError:
        return str(value)


def _same(codec: Codec, one: Any, other: Any) -> bool:
    try:
        if one is other or bool(one == other):
            return True
    except Exception:  # values of the user's types may not compare, such as arrays
        pass
    return _as_text(codec, one) == _as_text(codec, other)
