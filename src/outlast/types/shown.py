"""How a value of its own kind is shown to a model and read back: our kinds do it this way, and a user's can.

A class may define `__prompt__(self)`, which gives text, or a tuple of texts and media; the classmethod
`__read__(cls, text)`, which makes a value from what a model wrote; and the classmethod `__describe__(cls)`, which
says in a few words what a value is. Nothing here opens a file or a socket, imports or evaluates anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from outlast.errors import InputError, OutlastError, UsageError, brief
from outlast.types.text_part import TextPart

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

    from outlast.types.document import Document
    from outlast.types.media import Media

MOST_TOGETHER = 100 << 20  # bytes of media in one message: more than any provider takes
REFERENCE = re.compile(r"\[\s*(?:image|audio|file|document)\b[^\]\n]{0,40}\]", re.IGNORECASE)  # and what looks like one


class Shelf:
    """Keeps the media that a text refers to: the text holds `[image 1]` where the first image goes.

    With a `nonce` that no data holds, references are `[image 1 #7f3a9c01]`. `cites` says that the model takes
    documents apart from the text, so that it can cite them. With `inline` nothing is kept: media become data: URLs in
    the text, as a model would have to write them.
    """

    __slots__ = ("cites", "counts", "held", "inline", "media", "nonce")

    def __init__(self, nonce: str = "", cites: bool = False, *, inline: bool = False) -> None:
        self.nonce, self.cites, self.inline = nonce, cites, inline
        self.media: dict[str, Media | Document] = {}
        self.counts: dict[str, int] = {}
        self.held = 0  # bytes

    def put(self, medium: Media | Document) -> str:
        """Keep a medium, or a document that is to be cited; gives the reference that stands for it in the text."""
        if self.inline:
            if medium.kind == "document":
                return cast("Document", medium).__prompt__()
            medium = cast("Media", medium)
            return medium.address if medium.name is None else json.dumps(medium.to_json(), ensure_ascii=False)
        kind = medium.kind
        number = self.counts[kind] = self.counts.get(kind, 0) + 1
        reference = f"[{kind} {number} #{self.nonce}]" if self.nonce else f"[{kind} {number}]"
        self.media[reference] = medium
        self.held += 0 if kind == "document" else len(cast("Media", medium).data or b"")
        if self.held > MOST_TOGETHER:
            raise InputError(f"{self.held} bytes of media are more than the {MOST_TOGETHER} that one message may hold")
        return reference

    def doubtful(self, texts: Iterable[str]) -> bool:
        """True when the texts hold more that looks like a reference than references."""
        return bool(self.media) and sum(len(REFERENCE.findall(text)) for text in texts) > len(self.media)


INLINE = Shelf(inline=True)


def prompt_of(value: Any, shelf: Shelf) -> str:
    """The text of a value that has a `__prompt__`; its media go on the shelf. Raises `InputError`."""
    from outlast.types.document import Document
    from outlast.types.media import Media

    if isinstance(value, Media):
        return shelf.put(value)
    if isinstance(value, Document) and shelf.cites:
        return shelf.put(value)
    shown = value.__prompt__()
    if isinstance(shown, str):
        return shown
    what = type(value).__name__
    if not isinstance(shown, tuple):
        raise InputError(f"{what}.__prompt__ gives text, or a tuple of texts and media; got {brief(shown)}")
    pieces: list[str] = []
    for piece in cast("tuple[Any, ...]", shown):
        if isinstance(piece, Media):
            pieces.append(shelf.put(piece))
        elif isinstance(piece, (str, TextPart)):
            pieces.append(piece if isinstance(piece, str) else piece.text)
        else:
            raise InputError(f"{what}.__prompt__ gave {brief(piece)}; it gives texts, Image, Audio and File")
    return "".join(pieces)


class _Serializer:
    """What pydantic uses for a value in a place without a type of its own, such as `Any`."""

    def __get__(self, instance: object, owner: type) -> Any:
        from pydantic_core import SchemaSerializer, core_schema

        return SchemaSerializer(core_schema.any_schema(serialization=serialization()))


class FieldType:
    """A kind of value of our own that a field of a signature may have, alone, in lists, models and dataclasses.

    Validation takes a value, its JSON form, or the text that `__read__` reads.
    """

    __slots__ = ()

    kind: ClassVar[str] = ""
    only_input: ClassVar[bool] = False  # whether a model could not give one
    __pydantic_serializer__: ClassVar[Any] = _Serializer()

    def __prompt__(self) -> str | tuple[Any, ...]:
        """The value as a model sees it: text, or texts and media."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form; `from_json` reads it back."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The value that `to_json` wrote. Raises `InputError`."""
        raise NotImplementedError

    @classmethod
    def __read__(cls, text: str) -> Self:
        """The value that a text says. Raises `InputError`."""
        raise InputError(f"a {cls.__name__} is not made from text; got {brief(text, 60)}")

    @classmethod
    def __describe__(cls) -> str:
        """What a value is, in a few words for a prompt."""
        return cls.kind

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        def validate(value: Any, info: Any) -> Any:
            try:
                return cls._validated(value, addresses=info.context is ADDRESSES)
            except (OutlastError, RecursionError) as error:
                raise _wrong(error) from None

        return core_schema.with_info_plain_validator_function(
            validate, metadata={"outlast": cls}, serialization=serialization()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "description": cls.__describe__()}

    @classmethod
    def _given(cls, text: str) -> Any:
        """The value of a text that a person gives for an input."""
        return cls.__read__(text)

    @classmethod
    def _validated(cls, value: Any, *, addresses: bool) -> Any:
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls._given(value) if addresses else cls.__read__(value)
        if isinstance(value, Mapping):
            data = cast("Mapping[str, Any]", value)
            if data.get("type", cls.kind) != cls.kind:
                raise InputError(f"must be {cls.__describe__()}; got {brief(data.get('type'))}")
            if data.get("url") is not None and not addresses:
                raise InputError("is an address; only a person can give one: Image.from_url(...)")
            return cls.from_json(data)
        raise InputError(f"must be {cls.__describe__()}; got {brief(value, 60)}")


ADDRESSES: Mapping[str, Any] = {"addresses": True}  # the validation context of inputs, which may say where media are


def serialization() -> Any:
    """How pydantic writes a value with a `__prompt__`: on a shelf for a prompt, in its JSON form else."""
    from pydantic_core import core_schema

    return core_schema.plain_serializer_function_ser_schema(_serialized, info_arg=True, when_used="json")


def _serialized(value: Any, info: Any) -> Any:
    if isinstance(info.context, Shelf):
        return prompt_of(value, info.context)
    return value.to_json() if isinstance(value, FieldType) else stored(value)


def stored(value: Any) -> str:
    """The text that `__read__` makes a value from again, for files. Raises `InputError` when there is none."""
    kind = cast("type[Any]", type(value))
    if not is_read(kind):
        raise InputError(f"a {kind.__name__} has no form in a file: give its class a classmethod __read__")
    return prompt_of(value, INLINE)


class Shown:
    """Marks a type whose class defines `__prompt__`, inside a model or a dataclass: `Annotated[Card, Shown]`.

    Types of fields, and what stands in their lists, tuples, dicts and unions, need no mark.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        modelled = _is_modelled(source)
        schema: Any = handler(source) if modelled else core_schema.is_instance_schema(source)
        read: Callable[[str], Any] | None = getattr(source, "__read__", None)
        if read is not None:
            schema = core_schema.no_info_before_validator_function(_reader(source, read), schema)
        if not modelled or read is not None:
            schema["serialization"] = serialization()
        else:
            schema["serialization"] = core_schema.wrap_serializer_function_ser_schema(
                _or_modelled, info_arg=True, when_used="json"
            )
        schema["metadata"] = {**(schema.get("metadata") or {}), "outlast": source}
        return schema

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        source: Any = cast("Any", schema.get("metadata") or {}).get("outlast")
        if hasattr(source, "__read__") or not _is_modelled(source):
            return {"type": "string", "description": words_of(source)}
        return handler(schema)


def _is_modelled(kind: Any) -> bool:
    """True for a class that pydantic knows how to build: one of its models, or a dataclass."""
    return hasattr(kind, "__pydantic_core_schema__") or hasattr(kind, "__dataclass_fields__")


def _or_modelled(value: Any, handler: Any, info: Any) -> Any:
    return prompt_of(value, info.context) if isinstance(info.context, Shelf) else handler(value)


def _wrong(error: Exception) -> Exception:
    """An error for pydantic, which says itself what the value was."""
    from pydantic_core import PydanticCustomError

    return PydanticCustomError("value", "{reason}", {"reason": str(error).partition("; got ")[0]})


def _reader(kind: type, read: Callable[[str], Any]) -> Callable[[Any], Any]:
    def make(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            made = read(value)
        except (ValueError, OutlastError) as error:
            raise _wrong(error) from None
        if not isinstance(made, kind):
            raise ValueError(f"{kind.__name__}.__read__ gives a {kind.__name__}; got {brief(made)}")
        return made

    return make


def is_shown(kind: Any) -> bool:
    """True for a class whose values say how they are shown."""
    return isinstance(kind, type) and callable(getattr(kind, "__prompt__", None))


def is_read(kind: Any) -> bool:
    """True for a class whose values are made from text."""
    return isinstance(kind, type) and callable(getattr(kind, "__read__", None))


def words_of(kind: Any) -> str:
    """What a value of the class is, for a prompt. Raises `UsageError` when `__describe__` gives no text."""
    describe = getattr(kind, "__describe__", None)
    if describe is None:
        return str(kind.__name__)
    words = describe()
    if not isinstance(words, str) or not words.strip():
        raise UsageError(f"{kind.__name__}.__describe__ gives a few words; got {brief(words)}")
    return " ".join(words.split())
