"""`-a FILE`: images, sounds and files beside a prompt; a file of text becomes text of it."""

from __future__ import annotations

import mimetypes
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from outlast.errors import DataError, InputError, UsageError
from outlast.messages import Message, Part, TextPart
from outlast.types.media import Audio, File, Image, Media, sniffed

_MOST_TEXT = 4 << 20  # bytes of a file of text


def attachment(place: str, mime: str | None = None) -> Media | TextPart:
    """What a path, an http(s) address (which only the provider opens) or "-" (standard input) holds.

    `mime` is its media type where neither its first bytes nor its name say it. Raises `DataError`, `UsageError`.
    """
    if "://" in place[:10] or place.startswith("data:"):
        guessed = mime or mimetypes.guess_type(urlsplit(place).path)[0] or ""
        if place.startswith("data:"):
            guessed = mime or place[5:].partition(",")[0].partition(";")[0]
        try:
            return _kind(guessed).from_url(place, mime)
        except InputError as error:
            raise UsageError(f"-a {place[:80]}: {error}") from error
    data = _read(place)
    name = None if place == "-" else Path(place).name
    found = mime or sniffed(data) or (mimetypes.guess_type(name)[0] if name else None)
    if found is None or found.startswith("text/") or found in ("application/json", "application/toml"):
        text = _text(data)
        if text is not None:
            return TextPart(f"{name}:\n{text}\n\n" if name else f"{text}\n\n")
    if found is None:
        raise UsageError(f"-a {place}: its media type is not known; say it: --at {place} image/png")
    try:
        return _kind(found)(found, data, name=name)
    except InputError as error:
        raise DataError(f"-a {place}: {error}") from error


def _kind(mime: str) -> type[Media]:
    return Image if mime.startswith("image/") else Audio if mime.startswith("audio/") else File


def _read(place: str) -> bytes:
    from outlast.types.media import MOST_BYTES

    try:
        if place == "-":
            data = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with open(place, "rb") as file:
                data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"cannot read {place!r}: {error.strerror}") from error
    if not data:
        raise DataError(f"{place!r} is empty")
    if len(data) > MOST_BYTES:
        raise DataError(f"{place!r} is longer than the {MOST_BYTES:,} bytes that one attachment may hold")
    return data


def _text(data: bytes) -> str | None:
    if len(data) > _MOST_TEXT or b"\0" in data:
        return None
    try:
        return data.decode().removeprefix("\ufeff").rstrip("\n")
    except UnicodeDecodeError:
        return None


def turn(text: str, attachments: Sequence[Media | TextPart]) -> Message:
    """What the person says, attachments first."""
    if not attachments:
        return Message("user", text)
    if all(isinstance(one, TextPart) for one in attachments):
        return Message("user", "".join(one.text for one in attachments if isinstance(one, TextPart)) + text)
    parts: tuple[Part, ...] = tuple(attachments)  # pyright: ignore[reportAssignmentType]
    return Message("user", (*parts, TextPart(text)) if text else parts)
