"""The most that a call can take, before it is made: what a budget sets aside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from outlast.lms.prices import Price
from outlast.messages import Message, Request, Settings, TextPart, Thought, ToolCall, ToolResult
from outlast.runtime import Bound
from outlast.types import Document

_PROMPT = 256  # tokens that a chat template may put around everything
_MESSAGE = 32  # and around each message
_TOOLS = 1024  # what providers add once there are tools
_QUESTION = 64  # tokens in the answer to one typed question
_CAPS = ("max_tokens", "max_completion_tokens", "max_output_tokens")  # names by which `extra` may raise the limit


def input_bound(request: Request) -> int | None:
    """Tokens that the input has at most; None when it holds media, whose tokens only the provider can count.

    Each token of the byte-level tokenizers in use covers at least one byte of UTF-8, so the bytes of all text, with
    room for what chat templates add, are never exceeded. English text has a fourth of that many tokens.
    """
    total = _PROMPT
    for message in request.messages:
        size = _size(message)
        if size is None:
            return None
        total += size + _MESSAGE
    total += sum(_bytes(str(question.to_json())) for _, question in request.questions)
    if request.output is not None and not isinstance(request.output, str):
        total += _bytes(str(request.output.schema)) + _MESSAGE
    if request.tools:
        total += _TOOLS + sum(_bytes(str(tool.to_json())) for tool in request.tools)
    if request.settings.extra:
        total += _bytes(str(request.settings.extra))
    return total


def output_bound(settings: Settings) -> int | None:
    """Tokens that the output has at most; None when the settings do not limit them."""
    caps = [value for name in _CAPS if isinstance(value := settings.extra.get(name), int)]
    if settings.max_tokens is None and not caps:
        return None
    most = max((*caps, settings.max_tokens or 0))
    if settings.prediction is not None:  # what of it is not in the reply is billed as output too
        most += _bytes(settings.prediction)
    return most


def asked_tier(settings: Settings) -> str | None:
    """The service tier that a call asks for, be it in `extra`, which is sent in its place."""
    tier: Any = settings.extra.get("service_tier", settings.tier)
    return tier if isinstance(tier, str) else None


def bound_of(request: Request, settings: Settings | None = None, *, model: str, prices: Sequence[Price] = ()) -> Bound:
    """The most that a call can take, for a model that keeps to `max_tokens`.

    `settings` are those that are sent, when not the request's own; `prices` those that may apply, none when unknown.
    """
    incoming = input_bound(request)
    outgoing = output_bound(settings or request.settings)
    if request.questions and outgoing is None:
        outgoing = _QUESTION * len(request.questions)
    if incoming is None or outgoing is None:
        return Bound(None, None, model)
    dollars = max((price.most(incoming, outgoing) for price in prices), default=None)
    return Bound(incoming + outgoing, dollars, model)


def _size(message: Message) -> int | None:
    if isinstance(message.content, str):
        return len(message.content) if message.content.isascii() else _bytes(message.content)
    total = 0
    for part in message.content:
        if isinstance(part, (TextPart, ToolResult)):
            total += _bytes(part.text) + _MESSAGE
        elif isinstance(part, Document):
            total += _bytes(part.__prompt__()) + _MESSAGE
        elif isinstance(part, ToolCall):
            total += _bytes(part.id + part.name + part.arguments) + _MESSAGE
        elif isinstance(part, Thought):
            total += _bytes(part.text + part.state) + _MESSAGE
        else:
            return None
    return total


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
