"""What a fake server can do wrong: faults of replies, and of streams."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from outlast.errors import UsageError, brief

FaultKind = Literal[
    "status",
    "redirect",
    "body",
    "drop",
    "not_http",
    "huge",
    "cut",
    "slow",
    "stall",
    "malformed",
    "error_event",
    "flood",
    "form",
]
Form = Literal[
    "crlf",
    "cr",
    "tight",
    "comments",
    "fields",
    "lines",
    "split",
    "bom",
    "no_usage",
    "no_finish",
    "no_end",
    "json_type",
    "whole",
]
FORMS: tuple[str, ...] = get_args(Form)
SAID = "some words that never arrive whole"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with one reply. Make one with the functions of the class.

    Those that begin well and then go wrong say `answer`: text, an `Answer` or a whole reply. `after` is the number of
    events of a stream that come before the fault; a reply in one piece breaks in its middle.
    """

    kind: FaultKind
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    amount: float = 0
    after: int = 2
    answer: Any = SAID
    forms: frozenset[str] = frozenset()

    @classmethod
    def error(
        cls,
        status: int,
        message: str = "told to fail",
        *,
        retry_after: float | str | None = None,
        code: str | None = None,
        param: str | None = None,
        kind: str = "error",
        headers: Mapping[str, str] | None = None,
    ) -> Fault:
        """An HTTP error with OpenAI's error object, or Anthropic's where that is spoken; streams too end so.

        `retry_after` becomes the header of that name.
        """
        sent = dict(headers or {})
        if retry_after is not None:
            sent["Retry-After"] = str(retry_after)
        error = {"message": message, "type": kind, "param": param, "code": code}
        return cls("status", status, json.dumps({"error": error}).encode(), sent)

    @classmethod
    def drop(cls) -> Fault:
        """The connection is closed without a reply."""
        return cls("drop")

    @classmethod
    def cut(cls, after: int = 2, answer: Any = SAID) -> Fault:
        """The connection breaks in the middle."""
        return cls("cut", after=after, answer=answer)

    @classmethod
    def slow(cls, seconds: float, answer: Any = SAID) -> Fault:
        """The whole answer trickles in over `seconds`."""
        return cls("slow", amount=seconds, answer=answer)

    @classmethod
    def stall(cls, seconds: float = 3600, after: int = 2, answer: Any = SAID) -> Fault:
        """Silence for `seconds` in the middle; then the rest comes."""
        return cls("stall", amount=seconds, after=after, answer=answer)

    @classmethod
    def malformed(cls, after: int = 2, answer: Any = SAID) -> Fault:
        """JSON that ends too early: the body, or one event of a stream that then goes on."""
        return cls("malformed", after=after, answer=answer)

    @classmethod
    def error_event(
        cls,
        message: str = "the server broke off",
        *,
        code: str | None = "server_error",
        kind: str = "overloaded_error",
        after: int = 2,
        answer: Any = SAID,
    ) -> Fault:
        """An error that comes under status 200: in a stream after `after` events, otherwise instead of an answer."""
        error = {"message": message, "type": kind, "param": None, "code": code}
        return cls("error_event", body=json.dumps({"error": error}).encode(), after=after, answer=answer)

    @classmethod
    def form(cls, *forms: Form, answer: Any = SAID) -> Fault:
        """A right answer in an unusual form, which the rules of server-sent events mostly allow:

        "crlf" and "cr" end lines so; "tight" writes `data:{}` without a space; "comments" puts comments and pings
        between events; "fields" gives events an `id` and a `retry`; "lines" spreads the JSON of an event over several
        `data` lines; "split" sends pieces that end within a character and within a line; "bom" puts a byte order mark
        first. "no_usage" tells no tokens, "no_finish" leaves out how the answer finished and what follows, "no_end"
        only the last event of all (`[DONE]`, `message_stop`). "json_type" calls the stream application/json; "whole"
        answers in one piece though a stream was asked for.
        """
        for name in forms:
            if name not in FORMS:
                raise UsageError(f"no form {brief(name)} of a stream; there are {', '.join(FORMS)}")
        return cls("form", answer=answer, forms=frozenset(forms))

    @classmethod
    def garbage(cls, body: bytes = b"{]\x00 no json", content_type: str = "application/json") -> Fault:
        """Status 200 and any bytes for a body; no JSON unless told. With "text/event-stream", a stream byte by byte."""
        return cls("body", body=body, headers={"Content-Type": content_type})

    @classmethod
    def empty(cls) -> Fault:
        """Status 200 and no body."""
        return cls("body", headers={"Content-Type": "application/json"})

    @classmethod
    def html(cls) -> Fault:
        """Status 200 and a web page, as from a wrong address or a captive portal."""
        return cls("body", body=b"<html><body>Welcome</body></html>", headers={"Content-Type": "text/html"})

    @classmethod
    def huge(cls, size: int, *, announced: bool = False) -> Fault:
        """A body of `size` bytes, in a stream one line of that length; `announced` tells its length beforehand."""
        return cls("huge", amount=size, headers={"announced": "yes"} if announced else {})

    @classmethod
    def flood(cls, size: int) -> Fault:
        """A stream of deltas that goes on for `size` bytes; a reply in one piece is as `huge`."""
        return cls("flood", amount=size)

    @classmethod
    def redirect(cls, url: str, status: int = 307) -> Fault:
        """A redirect to another address."""
        return cls("redirect", status, headers={"Location": url})

    @classmethod
    def not_http(cls) -> Fault:
        """Bytes that are not HTTP."""
        return cls("not_http")
