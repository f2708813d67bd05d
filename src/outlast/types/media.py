"""What a message may hold besides text: an image, a sound, a file, as bytes or as an address for the provider.

Making one from data never opens a file or a socket. Only `from_path` reads a file, and only a person calls it; an
address is handed to the provider as it is and never fetched here.
"""

from __future__ import annotations

import base64
import binascii
import json
import mimetypes
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, Self, cast
from urllib.parse import unquote_to_bytes, urlsplit

from outlast.errors import InputError, brief
from outlast.types.shown import FieldType

MOST_BYTES = 50 << 20  # of one medium: more than any provider takes

_MIME = re.compile(r"[\w.+-]{1,100}/[\w.+*-]{1,100}", re.ASCII)
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,255}")
_SECRETS = re.compile(r"(?<=//)[^/?#]*@|[?#].*", re.DOTALL)  # of an address
_SIGNATURES: tuple[tuple[bytes, int, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF8", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"BM", 0, "image/bmp"),
    (b"%PDF-", 0, "application/pdf"),
    (b"WAVE", 8, "audio/wav"),
    (b"ID3", 0, "audio/mpeg"),
    (b"\xff\xfb", 0, "audio/mpeg"),
    (b"fLaC", 0, "audio/flac"),
    (b"OggS", 0, "audio/ogg"),
)


@dataclass(frozen=True, slots=True, repr=False)
class Media(FieldType):
    """Bytes with a media type, or the address of some. Exactly one of `data` and `url` is set.

    `mime` is a media type such as "image/png". `url` is http(s) and is given to the provider as it is. Raises
    `InputError` for anything else, and for more than 50 MB. `repr` shows no bytes, and of an address neither user,
    password nor query, where its secrets are.
    """

    mime: str
    data: bytes | None = None
    url: str | None = None
    name: str | None = None

    kind: ClassVar[str] = "media"
    _family: ClassVar[str] = ""

    def __post_init__(self) -> None:
        what = type(self).__name__
        fine = isinstance(self.mime, str) and _MIME.fullmatch(self.mime) and self.mime.startswith(self._family)
        if not fine:
            raise InputError(f"{what}: mime is a media type {self._family or 'type/subtype'!r}; got {brief(self.mime)}")
        if self.name is not None and not (isinstance(self.name, str) and _NAME.fullmatch(self.name)):
            raise InputError(f"{what}: name has 1 to 255 characters and no control ones; got {brief(self.name)}")
        if (self.data is None) == (self.url is None):
            raise InputError(f"{what} holds either bytes or an address: give one of data= and url=")
        if self.data is not None:
            if not isinstance(self.data, bytes) or not self.data:
                raise InputError(f"{what}: data is bytes, at least one; got {brief(self.data, 40)}")
            if len(self.data) > MOST_BYTES:
                raise InputError(f"{what}: {len(self.data)} bytes are more than the {MOST_BYTES} that one may hold")
        else:
            _check_url(what, self.url)

    def __repr__(self) -> str:
        address = None if self.url is None else shown_address(self.url)
        return f"{type(self).__name__}(mime={self.mime!r}, url={address!r}, name={self.name!r})"

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], mime: str | None = None) -> Self:
        """Read a file. Its first bytes, else its name, say the media type. Raises `InputError`, `OSError`."""
        place = Path(path)
        size = place.stat().st_size
        if size > MOST_BYTES:
            raise InputError(f"{place}: {size} bytes are more than the {MOST_BYTES} that one {cls.__name__} may hold")
        data = place.read_bytes()
        found = mime or sniffed(data) or mimetypes.guess_type(place.name)[0]
        if found is None:
            raise InputError(f"{place}: its media type is not known; say mime=")
        return cls(found, data, name=place.name)

    @classmethod
    def from_bytes(cls, data: bytes, mime: str | None = None, *, name: str | None = None) -> Self:
        """From bytes; the media type comes from the first of them when it is not given. Raises `InputError`."""
        found = mime or sniffed(data)
        if found is None:
            raise InputError(f"{cls.__name__}: the media type of these bytes is not known; say mime=")
        return cls(found, data, name=name)

    @classmethod
    def from_url(cls, url: str, mime: str | None = None) -> Self:
        """From an http(s) address, which only the provider will open, or from a data: URL. Raises `InputError`."""
        if isinstance(url, str) and url[:5].lower() == "data:":
            return cls._from_data_url(url)
        _check_url(cls.__name__, url)
        found = mime or mimetypes.guess_type(urlsplit(url).path)[0]
        return cls(found or (f"{cls._family}*" if cls._family else "application/octet-stream"), url=url)

    @classmethod
    def _from_data_url(cls, url: str) -> Self:
        head, comma, body = url[5:].partition(",")
        mime, *options = head.split(";")
        if not comma or len(body) > 2 * MOST_BYTES:
            raise InputError(f"{cls.__name__}: not a data: URL of a size that can be held; it begins {url[:40]!r}")
        try:
            data = base64.b64decode(body, validate=True) if "base64" in options else unquote_to_bytes(body)
        except (binascii.Error, ValueError):
            raise InputError(f"{cls.__name__}: the data: URL is not valid base64") from None
        return cls(mime or "text/plain", data)

    @property
    def base64(self) -> str:
        """The bytes as base64; empty for an address."""
        return base64.b64encode(self.data).decode() if self.data is not None else ""

    @property
    def address(self) -> str:
        """The address, or a data: URL of the bytes."""
        return self.url if self.url is not None else f"data:{self.mime};base64,{self.base64}"

    def __prompt__(self) -> tuple[Self]:
        """Itself: a medium is a part of a message."""
        return (self,)

    @classmethod
    def _validated(cls, value: Any, *, addresses: bool) -> Any:
        try:
            return super(Media, cls)._validated(value, addresses=addresses)
        except InputError as error:
            if addresses and not isinstance(value, Mapping):  # what a person gave, who can be told how
                what = cls.__name__
                raise InputError(f"make one with {what}.from_path, {what}.from_bytes or {what}.from_url") from error
            raise

    @classmethod
    def __read__(cls, text: str) -> Self:
        """The medium in a data: URL or in its JSON form with its bytes; an address is refused. Raises `InputError`."""
        text = text.strip()
        if text[:5].lower() == "data:":
            return cls._from_data_url(text)
        if text[:1] == "{" and len(text) <= 2 * MOST_BYTES:
            try:
                data = json.loads(text)
            except (ValueError, RecursionError):
                data = None
            if isinstance(data, dict):
                return cast("Self", cls._validated(data, addresses=False))
        raise InputError(f"must be {cls.__describe__()} as a data: URL; got {brief(text, 60)}")

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form; `media_from_json` reads it back."""
        data: dict[str, Any] = {"type": self.kind, "mime": self.mime}
        if self.url is not None:
            data["url"] = self.url
        else:
            data["data"] = self.base64
        if self.name is not None:
            data["name"] = self.name
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The medium that `to_json` wrote. Opens nothing. Raises `InputError`."""
        try:
            encoded = data.get("data")
            raw = None if encoded is None else base64.b64decode(cast("str", encoded), validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise InputError(f"{cls.__name__}: data is not valid base64") from None
        return cls(data.get("mime", ""), raw, data.get("url"), data.get("name"))


@dataclass(frozen=True, slots=True, repr=False)
class Image(Media):
    """A picture."""

    kind: ClassVar[str] = "image"
    _family: ClassVar[str] = "image/"


@dataclass(frozen=True, slots=True, repr=False)
class Audio(Media):
    """A sound."""

    kind: ClassVar[str] = "audio"
    _family: ClassVar[str] = "audio/"


@dataclass(frozen=True, slots=True, repr=False)
class File(Media):
    """A file of any kind, such as a PDF; `name` is what the model is told that it is called."""

    kind: ClassVar[str] = "file"


def short_media(data: Any) -> Any:
    """JSON-ready data for people, in which the bytes of media are told by their number and hash, and addresses without
    their secrets."""
    if isinstance(data, list):
        return [short_media(item) for item in cast("list[Any]", data)]
    if not isinstance(data, dict):
        return data
    form = cast("dict[str, Any]", data)
    encoded = form.get("data")
    if form.get("type") in MEDIA and isinstance(encoded, str) and len(encoded) > 64:
        digest = blake2b(encoded.encode(errors="replace"), digest_size=6).hexdigest()
        return {**form, "data": f"{len(encoded) * 3 // 4:,} bytes, {digest}"}
    if form.get("type") in MEDIA and isinstance(form.get("url"), str):
        return {**form, "url": shown_address(form["url"])}
    return {key: short_media(item) for key, item in form.items()}


MEDIA: Mapping[str, type[Media]] = {cls.kind: cls for cls in (Image, Audio, File)}


def sniffed(data: bytes) -> str | None:
    """The media type that the first bytes of well-known formats say, or None."""
    for magic, at, mime in _SIGNATURES:
        if data[at : at + len(magic)] == magic:
            return mime
    return None


def shown_address(url: str) -> str:
    """An address for people: without user, password, query and fragment, which may be secret."""
    return _SECRETS.sub(lambda found: f"{found[0][0]}…" if found[0][0] in "?#" else "", url)


def _check_url(what: str, url: Any) -> None:
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        fine = parts is not None and parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        fine = False
    if not fine or any(character.isspace() or ord(character) < 32 for character in url):
        got = brief(shown_address(url) if isinstance(url, str) else url)
        raise InputError(f"{what}: url is an http(s) address or a data: URL; got {got}. For a file: from_path")
