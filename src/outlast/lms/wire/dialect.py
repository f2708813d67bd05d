"""What a wire dialect is: pure functions from a `Request` to JSON and back, and the values that they share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from outlast.lms.protocol import Capabilities
from outlast.lms.wire.providers import COMMON, Quirks
from outlast.lms.wire.sse import ServerEvent
from outlast.lms.wire.strict_schema import StrictSchema, strict_schema
from outlast.messages import OutputSchema, Request, Response, StreamEvent
from outlast.types import TRUSTED, Label

ANYTHING = Capabilities(
    json_schema=True, json_object=True, reasoning=True, tools=True, prefill=True, logprobs=True, images=True,
    audio=True, files=True, citations=True, streaming=True,
)  # fmt: skip


Shape = Callable[[Mapping[str, Any]], StrictSchema]
"""Puts a JSON schema into the form that a family of providers takes."""


def as_strict(output: OutputSchema, shape: Shape = strict_schema) -> StrictSchema:
    """The form of a schema, made anew."""
    return shape(output.schema)


@dataclass(frozen=True, slots=True)
class Wire:
    """The side of the model that decides how a request is written.

    `refused` are wire names that the server was seen to refuse; what they would have carried is left out and noted.
    `strict` puts a schema into a form, and may remember it: a model has one form.
    """

    model: str
    quirks: Quirks = COMMON
    capabilities: Capabilities = ANYTHING
    refused: Collection[str] = ()
    strict: Callable[[OutputSchema, Shape], StrictSchema] = as_strict


@dataclass(slots=True)
class Notes:
    """What of a request is not sent as asked. `dropped` says that something is missing, not only told otherwise."""

    texts: list[str] = field(default_factory=list[str])
    dropped: list[str] = field(default_factory=list[str])

    def say(self, text: str) -> None:
        """Something is sent in another way than asked."""
        self.texts.append(text)

    def drop(self, text: str) -> None:
        """Something is not sent."""
        self.texts.append(text)
        self.dropped.append(text)


class Encoded(NamedTuple):
    """A request as it goes on the wire, and what of it could not be sent as asked.

    `dropped` are those adaptations that leave something out. `strict` says that a schema went in its strict form.
    `lessons` says what to remember when the server refuses a name of the body, where that is not the name itself.
    `stop` are texts at which the reply is to be cut when it has come, as the server does not.
    """

    body: dict[str, Any]
    adaptations: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    strict: bool = False
    lessons: Mapping[str, str] = {}
    stop: tuple[str, ...] = ()


class Told(NamedTuple):
    """What is known of a reply besides its JSON. Header names are in lower case; `redact` takes secrets out."""

    model: str = ""
    subject: str = "the server"
    quirks: Quirks = COMMON
    seconds: float = 0.0
    adaptations: tuple[str, ...] = ()
    label: Label = TRUSTED
    redact: Callable[[str], str] = str
    status: int = 200
    headers: Mapping[str, str] = {}


class Reader(Protocol):
    """Reads the events of one streamed reply."""

    def feed(self, event: ServerEvent) -> list[StreamEvent]:
        """The deltas in an event. Raises `LMResponseError` for one that is no JSON."""
        ...

    def whole(self) -> dict[str, Any] | None:
        """The reply as it would have come in one piece, an error in it included; None when its end is missing."""
        ...


def no_bound(request: Request, wire: Wire) -> int | None:
    """Of dialects in which the server decides how long a reply may become."""
    return None


@dataclass(frozen=True, slots=True)
class Dialect:
    """A wire format. `encode(request, wire, stream)` writes a body for `path` below the base URL, `decode(data, told)`
    reads the JSON of a reply with a status of 2xx, `reader()` reads a streamed one.

    `reserved` are the names that extra settings may not hold. `headers` go with every request; `auth` is how the key
    is sent: "bearer", or the name of the header that holds it. `other_names` are parameters that a server may know
    under another name. `own_bound(request, wire)` is the bound on output tokens that is sent when none was asked for.
    `shaped_by` are the capabilities, besides those of schemas, by which `encode` asks for something else.
    """

    name: str
    path: str
    encode: Callable[[Request, Wire, bool], Encoded]
    decode: Callable[[dict[str, Any], Told], Response]
    reader: Callable[[], Reader]
    reserved: tuple[str, ...] = ("messages", "model", "n", "stream")
    headers: tuple[tuple[str, str], ...] = ()
    auth: str = "bearer"
    other_names: Mapping[str, str] = field(default_factory=dict[str, str])
    own_bound: Callable[[Request, Wire], int | None] = no_bound
    shaped_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DecisionDialect:
    """A wire format of typed questions: `encode(request, model)` writes a body for `path` below the base URL,
    `decode(data, request, told)` reads the reply to it."""

    name: str
    path: str
    encode: Callable[[Request, str], dict[str, Any]]
    decode: Callable[[dict[str, Any], Request, Told], Response]
