"""The key of a request in a cache: the same for requests that no model could tell apart, else another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any, cast

from outlast.messages import NO_SETTINGS, Message, Part, Request
from outlast.types import TRUSTED, Media

FORMAT = "outlast-cache-3"
_SIZE = 20
_NO_MESSAGES: tuple[Message, ...] = ()


class Keys:
    """Makes the keys of one cache: of the model's identity, a namespace, and all of a request that decides the answer.

    That is what `Request.to_json` gives, with its label; `Message.cache` is no part of it. Safe for threads.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._begun: tuple[str, blake2b] = ("", blake2b(digest_size=_SIZE))

    def of(self, identity: str, request: Request) -> bytes | None:
        """20 bytes; None when the request holds what JSON cannot, and so cannot be compared."""
        known, begun = self._begun
        if (identity is not known and identity != known) or not known:
            begun = blake2b(f"{FORMAT}\n".encode(), digest_size=_SIZE)
            _add(begun, self._namespace.encode("utf-8", "surrogatepass"))
            _add(begun, identity.encode("utf-8", "surrogatepass"))
            self._begun = identity, begun
        digest = begun.copy()
        try:
            for message in request.messages:
                content = message.content
                if type(content) is str:
                    text = content.encode("utf-8", "surrogatepass")
                    digest.update(b"%s %d\n" % (message.role.encode(), len(text)))
                    digest.update(text)
                else:
                    _add_parts(digest, message)
            rest = _rest_of(request)
        except (TypeError, ValueError, RecursionError):
            return None
        if rest:
            digest.update(rest)
        return digest.digest()


def _add(digest: blake2b, data: bytes) -> None:
    digest.update(b"%d\n" % len(data))
    digest.update(data)


def _add_parts(digest: blake2b, message: Message) -> None:
    """Parts with their number and lengths, so that no text can pass for the border between two."""
    digest.update(b"%s [%d\n" % (message.role.encode(), len(message.content)))
    for part in cast("tuple[Part, ...]", message.content):
        if isinstance(part, Media) and part.data is not None:  # the bytes as they are: base64 costs more than the hash
            _add(digest, _encode([part.kind, part.mime, part.name]))
            digest.update(b"bytes ")
            _add(digest, part.data)
        else:
            _add(digest, _encode(part.to_json()))


def _rest_of(request: Request) -> bytes:
    """All but the messages; empty for a plain request. No role starts with "=", so it cannot pass for a message."""
    if (
        request.settings is NO_SETTINGS
        and request.output is None
        and request.label is TRUSTED
        and not (request.sample or request.tools or request.questions)
    ):
        return b""
    data = replace(request, messages=_NO_MESSAGES).to_json()
    del data["messages"]
    settings = data.get("settings")
    if settings:
        _level(settings)
    if request.label != TRUSTED:
        data["label"] = request.label.to_json()
    if request.questions:  # the list, which may name two alike
        data["questions"] = [(name, question.to_json()) for name, question in request.questions]
    # Not sorted: the order of a schema's properties is the order in which the model writes them.
    return b"= " + _encode(data) if data else b""


def _level(settings: dict[str, Any]) -> None:
    """Give equal settings one form: 1 and 1.0, and the order in which `extra` was written, mean the same."""
    for name in ("temperature", "top_p"):
        if name in settings:
            settings[name] = float(settings[name]) + 0.0  # adding makes -0.0 0.0
    if "extra" in settings:
        settings["extra"] = dict(sorted(settings["extra"].items()))


def _as_dict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    raise TypeError(type(value).__name__)


_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=_as_dict)


def _encode(data: Any) -> bytes:
    return _ENCODER.encode(data).encode("ascii")
