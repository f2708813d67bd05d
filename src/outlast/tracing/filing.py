"""Content goes into a store under the key of what it is: cleaned of secrets, hashed, packed, once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple, cast

from pydantic_core import to_json

from outlast.lms.caching.hiding import hide_in_text, without_secrets
from outlast.messages import Message, Request
from outlast.tracing.packing import IDENTITY, dumps, packed
from outlast.tracing.recorder import Place
from outlast.types import TRUSTED

_KNOWN = 100_000  # keys of which this process knows that they are in the store
_FRESH = 1200.0  # seconds for which it knows; `gc` leaves what is younger than an hour
_PREFIXES = 512  # messages whose keys are remembered, as many requests begin with them
_PREFIX_BYTES = 8 << 20
PREVIEW = 300  # characters of what went in and came out that a list shows
LONGEST_ERROR = 2_000
_LONGEST_NUMBER = 4300  # digits that Python reads
_NUMBER = re.compile(rb"[\[{:,]-?\d{4300}")
_STRUCTURE = {
    "type",
    "role",
    "data",
    "mime",
    "id",
    "kind",
    "origin",
    "state",
    "model",
    "finish",
    "provider_finish",
}.union(
    ("request_id", "tier", "cost_source", "cache", "evidence")
)  # of messages and replies: what they are made of, not what anybody wrote

Row = tuple[Any, ...]


@dataclass(slots=True)
class Rows:
    """What one batch puts into the tables; those of `spans`, `traces`, `runs` and `results` replace what is there."""

    runs: list[Row] = field(default_factory=list[Row])
    traces: list[Row] = field(default_factory=list[Row])
    spans: list[Row] = field(default_factory=list[Row])
    blobs: list[Row] = field(default_factory=list[Row])
    messages: list[Row] = field(default_factory=list[Row])
    programs: list[Row] = field(default_factory=list[Row])
    results: list[Row] = field(default_factory=list[Row])


class _Prefix(NamedTuple):
    message: Message
    parent: bytes | None
    how: str  # much of it is kept
    key: bytes


class Filing:
    """Puts content into `_rows`, as the place that it is from allows. Used by one thread."""

    def __init__(self) -> None:
        self._known: dict[bytes, float] = {}
        self._prefixes: dict[int, _Prefix] = {}  # by the identity of the message
        self._prefix_bytes = 0
        self._cleans: dict[int, tuple[Any, Place | None, Any]] = {}
        self._secrets: Mapping[str, str] = {}
        self._rows = Rows()
        self._now = 0.0
        self._place: Place | None = None

    @property
    def _shows(self) -> bool:
        """Whether texts are kept at all."""
        return self._place is None or self._place.capture in ("full", "redacted")

    def _clean(self, text: str) -> str:
        """The text as it may be stored, "" where none may."""
        place = self._place
        if not self._shows:
            return ""
        text = hide_in_text(text, self._secrets)
        if place is None or not text:
            return text
        if place.capture == "redacted":
            text = redacted(text)
        return text if place.redact is None else own_redaction(place.redact, text)

    def _hide(self, known: Mapping[str, str]) -> None:
        """Hide these from now on; what was known of messages was told with those of before."""
        if known is not self._secrets:
            self._secrets = known
            self._prefixes.clear()

    def _cleaned(self, data: Any, *, parts: bool = False) -> Any:
        place = self._place
        data = without_secrets(data, self._secrets)
        if place is not None and (place.capture == "redacted" or place.redact is not None):
            return each_text(data, self._clean, parts=parts)
        return data

    def _cleaned_once(self, value: Any) -> Any:
        """`_cleaned`, remembered while the batch is written: what goes in and comes out is stored whole and shown."""
        found = self._cleans.get(id(value))
        if found is None or found[0] is not value or found[1] is not self._place:
            found = self._cleans[id(value)] = value, self._place, self._cleaned(value)
        return found[2]

    def _own_words(self, values: tuple[str, ...]) -> str:
        """Tags as JSON."""
        return dumps([hide_in_text(one, self._secrets) for one in values]) if values else "[]"

    def _written(self, value: Any, *, parts: bool = False) -> bytes:
        """Content as the bytes that may be stored."""
        try:
            return as_bytes(self._cleaned(value, parts=True) if parts else self._cleaned_once(value))
        except (ValueError, TypeError, RecursionError) as error:  # such as a number of 5,000 digits
            return as_bytes(f"(not kept: {type(error).__name__})")

    def _preview(self, value: Any) -> str:
        """The beginning of a value for a list, cleaned before it is cut."""
        if not self._shows:
            return ""
        try:
            return preview(self._cleaned_once(value))
        except (ValueError, TypeError, RecursionError) as error:
            return f"(not kept: {type(error).__name__})"

    def _told(self, text: str) -> str:
        """A text of an error, cleaned before it is cut."""
        text = self._clean(text)
        return text if len(text) <= LONGEST_ERROR else f"{text[: LONGEST_ERROR - 1]}…"

    def _blob(self, value: Any, *, parts: bool = False) -> bytes | None:
        """The key of some content, which goes into the store unless it is there."""
        capture = "full" if self._place is None else self._place.capture
        if value is None or capture == "off":
            return None
        raw = self._written(value, parts=parts)
        key = blake2b(raw, digest_size=16).digest()
        if capture != "hash" and self._is_new(key):
            self._rows.blobs.append((key, *packed(raw), self._now))
        return key

    def _request(self, request: Request, trace: str, identity: str = "") -> tuple[bytes | None, bytes | None]:
        """The keys of the last message, which leads to those before it, and of what stands beside the messages, with
        the identity of the model where that is more than its name."""
        if self._place is not None and self._place.capture == "off":
            return None, None
        tail = self._conversation(request.messages, trace)
        beside = request.beside_messages()
        if request.label is not TRUSTED:
            beside["label"] = request.label.to_json()
        if identity:
            beside[IDENTITY] = identity
        return tail, self._blob(beside, parts=True) if beside else None

    def _conversation(self, messages: Sequence[Message], trace: str) -> bytes | None:
        """The key of the last message. Those before it are mostly the very objects of an earlier request."""
        place, fresh = self._place, self._now - _FRESH
        how = "full" if place is None else place.capture
        # A hash leaves nothing in the store, and what a user's function hides may change from call to call.
        remembers = how in ("full", "redacted") and (place is None or place.redact is None)
        tail: bytes | None = None
        for message in messages[:-1]:
            known = self._prefixes.get(id(message)) if remembers else None
            if (
                known is not None
                and known.message is message
                and known.parent == tail
                and known.how == how
                and self._known.get(known.key, 0.0) > fresh
            ):
                tail = known.key
                continue
            key, size = self._message(tail, message, trace)
            if remembers:
                self._remember(_Prefix(message, tail, how, key), size)
            tail = key
        return self._message(tail, messages[-1], trace)[0] if messages else None

    def _remember(self, prefix: _Prefix, size: int) -> None:
        self._prefix_bytes += size
        if len(self._prefixes) >= _PREFIXES or self._prefix_bytes > _PREFIX_BYTES:
            self._prefixes.clear()
            self._prefix_bytes = size
        self._prefixes[id(prefix.message)] = prefix
        self._known.setdefault(prefix.key, self._now)

    def _message(self, parent: bytes | None, message: Message, trace: str) -> tuple[bytes, int]:
        """The key of a message after another, which goes into the store unless it is there, and its size in bytes."""
        raw = self._written(message.to_json()["content"], parts=True)
        key = blake2b(parent or b"", digest_size=16, person=message.role.encode()[:16])
        key.update(raw)
        digest = key.digest()
        if (self._place is None or self._place.capture != "hash") and self._is_new(digest):
            self._rows.messages.append((digest, parent, message.role, *packed(raw), self._now, trace))
        return digest, len(raw)

    def _is_new(self, key: bytes) -> bool:
        """Whether something is perhaps not in the store yet; from now on it is."""
        if self._now - self._known.get(key, 0.0) < _FRESH:
            return False
        if len(self._known) > _KNOWN:
            self._known.clear()
        self._known[key] = self._now
        return True


def as_bytes(data: Any) -> bytes:
    """Data as JSON on one line that can be read again."""
    try:
        raw = to_json(data, inf_nan_mode="constants", fallback=str)
    except ValueError:  # such as half of a character
        return dumps(data).encode("utf-8", "surrogatepass")
    if len(raw) > _LONGEST_NUMBER and _NUMBER.search(raw):
        raise ValueError("a number is too long")
    return raw


def redacted(text: str) -> str:
    """The text without what identifies a person, as far as the built-in check finds it."""
    from outlast.checks.pii import redact

    return redact(text).text


def own_redaction(redact: Callable[[str], str], text: str) -> str:
    """What a user's function makes of a text; nothing of it is kept when that fails."""
    try:
        return str(redact(text))
    except BaseException as error:  # whatever it is, the thread that writes goes on
        return f"[not kept: redact raised {type(error).__name__}]"


def each_text(data: Any, change: Callable[[str], str], *, parts: bool = False, inside: bool = False) -> Any:
    """JSON-ready data with every text changed, keys of objects `inside` others too, but not the names of inputs and
    outputs; of the `parts` of messages and replies only what somebody wrote, so that they can still be read."""
    if isinstance(data, str):
        return change(data)
    if isinstance(data, Mapping):
        return {
            change(name) if inside and not parts else name: value
            if parts and name in _STRUCTURE and isinstance(value, str)
            else each_text(value, change, parts=parts, inside=True)
            for name, value in cast("Mapping[str, Any]", data).items()
        }
    if isinstance(data, (list, tuple)):
        return [each_text(value, change, parts=parts, inside=True) for value in cast("list[Any]", data)]
    return data


def preview(value: Any) -> str:
    """The beginning of a value, for a list: a text as it is, one text of a mapping alone, else `name: text`s."""
    while isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value)
        if len(items) != 1:
            value = " · ".join([f"{name}: {_short(one)}" for name, one in islice(items.items(), 12)])
            break
        value = next(iter(items.values()))
    text = _short(value)
    if "\n" in text or "  " in text or not text.isprintable():
        text = " ".join(text.split())
    return text if len(text) <= PREVIEW else f"{text[: PREVIEW - 1]}…"


def _short(value: Any) -> str:
    if isinstance(value, str):
        return value[: 2 * PREVIEW]
    if value is None:
        return ""
    return dumps(value)[: 2 * PREVIEW]
