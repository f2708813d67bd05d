"""What a server answers, as values of outlast: data and text of results, documents and files, messages."""

from __future__ import annotations

import base64
import binascii
import json
import mimetypes
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from outlast.errors import InputError, ToolServerError, brief
from outlast.messages import Message, Part, TextPart
from outlast.types import Audio, Document, File, Image

Content = Document | Image | Audio | File


def value_of(result: Any, definition: Mapping[str, Any] | None) -> Any:
    """The result of a tool: its structured content when it has some, else its text.

    A structured result that the SDK wrapped because it is no object, `{"result": 5}`, is that value. A text that says
    something else than the structured content comes along: `{"text": ..., "data": ...}`. Media are told, not given.
    """
    texts = [_told(block) for block in result.content]
    data = result.structured_content
    if data is None:
        return "\n".join(texts)
    if _wrapped(data, (definition or {}).get("returns")):
        data = data["result"]
    return data if _same(texts, data, result.structured_content) else {"text": "\n".join(texts), "data": data}


def error_of(result: Any) -> str:
    """What a tool says of its own failure."""
    return "\n".join(_told(block) for block in result.content) or "the tool failed without saying why"


def _wrapped(data: Any, schema: Any) -> bool:
    if not isinstance(data, dict) or list(cast("dict[str, Any]", data)) != ["result"] or not isinstance(schema, dict):
        return False
    properties = cast("dict[str, Any]", schema).get("properties")
    return isinstance(properties, dict) and list(cast("dict[str, Any]", properties)) == ["result"]


def _same(texts: Sequence[str], data: Any, whole: Any) -> bool:
    """True when the text is the data once more, in one of the forms that servers use."""
    if not any(text.strip() for text in texts):
        return True
    joined, each = _read("\n".join(texts)), [_read(text) for text in texts]
    return any(form in (data, whole) for form in (joined, each, list(texts), "\n".join(texts)))


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _told(block: Any) -> str:
    """One block of content as text; bytes are told by kind and size."""
    if block.type == "text":
        return block.text
    if block.type in ("image", "audio"):
        return f"[{block.type}: {block.mime_type}, {len(block.data) * 3 // 4:,} bytes, not shown]"
    if block.type == "resource_link":
        return f"[resource {block.uri}: {block.title or block.name}]"
    held = block.resource
    text = getattr(held, "text", None)
    if text is not None:
        return text
    return f"[resource {held.uri}: {held.mime_type or 'bytes'}, {len(held.blob) * 3 // 4:,} bytes, not shown]"


def content_of(held: Any, title: str = "") -> Content:
    """A text of a resource as `Document`, its bytes as `Image`, `Audio` or `File`. Raises `ToolServerError`."""
    text, uri = getattr(held, "text", None), str(held.uri)
    try:
        if text is not None:
            return Document(text, title, uri)
        return _media(held.blob, held.mime_type or mimetypes.guess_type(urlsplit(uri).path)[0], _last(uri))
    except (InputError, ValueError) as error:
        raise ToolServerError(f"the resource {brief(uri)} cannot be held: {error}") from error


def _last(uri: str) -> str | None:
    parts = urlsplit(uri)
    name = unquote(parts.path.rstrip("/").rsplit("/", 1)[-1]) or parts.netloc
    return name if name and name.isprintable() and len(name) <= 255 else None


def _media(encoded: str, mime: str | None, name: str | None = None) -> Image | Audio | File:
    mime = (mime or "").partition(";")[0].strip().lower() or "application/octet-stream"
    kind = Image if mime.startswith("image/") else Audio if mime.startswith("audio/") else File
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise InputError("its bytes are not valid base64") from None
    return kind(mime, data, name=name)


def message_of(one: Any) -> Message:
    """A message of a prompt. Raises `ToolServerError` for content that cannot be held."""
    part = _part(one.content)
    return Message(one.role, part.text if isinstance(part, TextPart) else (part,))


def _part(block: Any) -> Part:
    if block.type in ("image", "audio"):
        try:
            return _media(block.data, block.mime_type)
        except InputError as error:
            raise ToolServerError(f"a message of its prompt cannot be held: {error}") from error
    if block.type == "resource":
        return content_of(block.resource)
    return TextPart(_told(block))
