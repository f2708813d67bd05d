"""Types whose classes say how their values are shown: found inside other types, and told in words."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from outlast.signatures.choices import is_union
from outlast.types.media import Media
from outlast.types.shown import FieldType, Shown, is_read, is_shown, words_of

_LISTS = (list, tuple, set, frozenset)


def shown_kind(base: Any) -> Any:
    """The class of a type that is one with a `__prompt__`, or None beside it; None for all others."""
    if get_origin(base) is Annotated:
        return shown_kind(get_args(base)[0])
    if is_union(base):
        parts = [part for part in get_args(base) if part is not type(None)]
        return shown_kind(parts[0]) if len(parts) == 1 else None
    return base if is_shown(base) else None


def reads_any_text(kind: Any) -> bool:
    """True for a class that may make a value from any text at all."""
    return is_read(kind) and not issubclass(kind, Media)


def marked(annotation: Any) -> Any:
    """A type in which every class with a `__prompt__` of its own is told to pydantic; itself when there is none."""
    if is_shown(annotation) and get_origin(annotation) is None:
        return annotation if issubclass(annotation, FieldType) else Annotated[annotation, Shown]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if not arguments or origin in (Literal, type):
        return annotation
    if origin is Annotated:
        inner, *metadata = arguments
        if Shown in metadata:
            return annotation
        new = marked(inner)
        return annotation if new is inner else Annotated[new, *metadata]
    parts = tuple(marked(part) for part in arguments)
    if all(new is old for new, old in zip(parts, arguments, strict=True)):
        return annotation
    if origin in (Union, types.UnionType):
        return Union[parts]  # noqa: UP007 - the parts are only known here
    return origin[parts if len(parts) != 1 else parts[0]]


def only_shown(schema: Any) -> type | None:
    """A class in pydantic's core schema whose values can be shown and not read, or None."""
    nodes: list[Any] = [schema]
    while nodes:
        node = nodes.pop()
        if isinstance(node, Mapping):
            known = cast("Mapping[str, Any]", node)
            told: Any = cast("Mapping[str, Any]", known.get("metadata") or {}).get("outlast")
            if told is not None and ((known["type"] == "is-instance" and not is_read(told)) or _only_input(told)):
                return told
            nodes += known.values()
        elif isinstance(node, (list, tuple)):
            nodes.extend(cast("list[Any]", node))
    return None


def holds_media(schema: Any) -> bool:
    """Whether a value of the type of pydantic's core schema may be, or hold, an image, audio or a file."""
    nodes: list[Any] = [schema]
    while nodes:
        node = nodes.pop()
        if isinstance(node, Mapping):
            known = cast("Mapping[str, Any]", node)
            told: Any = cast("Mapping[str, Any]", known.get("metadata") or {}).get("outlast")
            if isinstance(told, type) and issubclass(told, Media):
                return True
            nodes += known.values()
        elif isinstance(node, (list, tuple)):
            nodes.extend(cast("list[Any]", node))
    return False


def _only_input(kind: Any) -> bool:
    return issubclass(kind, FieldType) and kind.only_input


def unmarked(schema: Mapping[str, Any]) -> type | None:
    """A class with a `__prompt__` in pydantic's core schema that pydantic was not told of, or None."""
    nodes: list[Any] = [schema]
    told: set[str] = set()
    while nodes:
        node = nodes.pop()
        if isinstance(node, Mapping):
            known = cast("Mapping[str, Any]", node)
            kind, metadata = known.get("cls"), cast("Mapping[str, Any]", known.get("metadata") or {})
            if "outlast" in metadata:
                told.add(known.get("schema_ref", ""))
            elif isinstance(kind, type) and is_shown(kind) and known.get("ref") not in told:
                return kind
            else:
                last = [known["definitions"]] if "definitions" in known else []  # after what refers to them
                skipped = ("metadata", "default", "expected", "definitions")
                nodes += [*last, *(value for key, value in known.items() if key not in skipped)]
        elif isinstance(node, (list, tuple)):
            nodes.extend(cast("list[Any]", node))
    return None


def words(base: Any, kind: Literal["input", "output"]) -> str | None:
    """A type of shown values in words, or None when it is none, or a model that says nothing of itself."""
    origin = get_origin(base)
    if origin in _LISTS:
        inner = [part for part in get_args(base) if part is not ...]
        told = words(inner[0], kind) if len(inner) == 1 else None
        return None if told is None else f"JSON array, each item: {told}"
    shown = shown_kind(base)
    if shown is None or not (is_read(shown) or hasattr(shown, "__describe__") or kind == "input"):
        return None
    told = words_of(shown)
    if kind == "output" and issubclass(shown, Media):
        told += " as a data: URL in base64"
    return told if base is shown or get_origin(base) is Annotated else f"{told}, or null"
