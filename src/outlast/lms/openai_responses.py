"""The OpenAI responses dialect."""

from __future__ import annotations

from typing import Any

from outlast.errors import LMUnsupported
from outlast.lms.dialect import Dialect, Encoded, Told, Wire
from outlast.lms.openai_chat_reply import ChatReader
from outlast.messages import Request, Response

NAME = "openai-responses"


def encode(request: Request, wire: Wire, stream: bool = False) -> Encoded:
    """The JSON body for a request."""
    raise LMUnsupported(f"{wire.model!r}: the dialect {NAME!r} is not spoken yet")


def decode(data: dict[str, Any], told: Told) -> Response:
    """The response in a reply."""
    raise LMUnsupported(f"{told.subject}: the dialect {NAME!r} is not spoken yet")


RESPONSES = Dialect(NAME, "/responses", encode, decode, ChatReader)
