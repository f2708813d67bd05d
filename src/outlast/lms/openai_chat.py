"""The OpenAI chat dialect, spoken by most servers there are: pure functions, and the LM that uses them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from outlast.errors import LMResponseError, LMServerError, UsageError
from outlast.lms.openai_errors import error_from
from outlast.lms.protocol import Capabilities
from outlast.lms.providers import COMMON, Quirks
from outlast.lms.strict_schema import StrictSchema, strict_schema
from outlast.messages import FinishReason, Message, OutputSchema, Request, Response, Settings, Usage
from outlast.types import TRUSTED, Label

RESERVED = ("messages", "model", "n", "stream")

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
    "recitation": "content_filter",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}
_BROKEN_OFF = ("error", "insufficient_system_resource", "abort")

ANYTHING = Capabilities(json_schema=True, json_object=True, reasoning=True)


class Encoded(NamedTuple):
    """A request as it goes on the wire, and what of it could not be sent as asked."""

    body: dict[str, Any]
    adaptations: tuple[str, ...]


def encode(
    request: Request,
    model: str,
    quirks: Quirks = COMMON,
    *,
    capabilities: Capabilities = ANYTHING,
    refused: Collection[str] = (),
    strict: Callable[[OutputSchema], StrictSchema] | None = None,
) -> Encoded:
    """The JSON body for a request.

    `refused` are wire names that the server was seen to refuse, "json_schema" and "json_object" among them; what
    they would have carried is left out and noted. `strict` makes a schema strict, for callers that remember them.
    Raises `UsageError` for a request that means nothing: no messages, an extra setting that outlast itself sets.
    """
    if not request.messages:
        raise UsageError("a request needs at least one message; got none")
    notes: list[str] = []
    body: dict[str, Any] = {"model": model, "messages": [_message(message) for message in request.messages]}
    for name, value, shown in _settings(request.settings, quirks, notes):
        if name in refused:
            notes.append(f"{shown} not sent: {model!r} refuses {name!r}")
        else:
            body[name] = value
    if request.output is not None:
        form = _response_format(request.output, quirks, capabilities, refused, strict or _strict, notes)
        if form is not None:
            body["response_format"] = form
    extra = request.settings.extra
    if extra:
        for name in extra:
            if name in RESERVED:
                raise UsageError(f"extra may not hold {name!r}: outlast sets it. Draw several replies with sample=")
        body.update(extra)
    return Encoded(body, tuple(notes))


def _message(message: Message) -> dict[str, Any]:
    if isinstance(message.content, str):
        return {"role": message.role, "content": message.content}
    return message.to_json()


def _settings(settings: Settings, quirks: Quirks, notes: list[str]) -> Iterable[tuple[str, Any, str]]:
    """Wire name, value and how to speak of it, for each setting that is set."""
    if settings.temperature is not None:
        yield "temperature", settings.temperature, f"temperature={settings.temperature:g}"
    if settings.top_p is not None:
        yield "top_p", settings.top_p, f"top_p={settings.top_p:g}"
    if settings.max_tokens is not None:
        yield quirks.max_tokens, settings.max_tokens, f"max_tokens={settings.max_tokens}"
    if settings.stop is not None:
        yield "stop", list(settings.stop), f"stop={list(settings.stop)!r}"
    if settings.seed is not None:
        yield quirks.seed, settings.seed, f"seed={settings.seed}"
    effort = settings.reasoning
    if effort is None:
        return
    shown = f"reasoning={effort!r}"
    if quirks.reasoning == "effort":
        yield "reasoning_effort", effort, shown
    elif quirks.reasoning == "thinking":
        yield "thinking", {"type": "disabled" if effort == "none" else "enabled"}, shown
        if effort != "none":
            yield "reasoning_effort", effort, shown
    else:
        variables: dict[str, Any] = {"enable_thinking": effort != "none"}
        if effort != "none":
            variables["reasoning_effort"] = effort
            notes.append(f"{shown} sent as variables of the chat template, which may ignore them")
        yield "chat_template_kwargs", variables, shown


def _strict(output: OutputSchema) -> StrictSchema:
    return strict_schema(output.schema)


def _response_format(
    output: OutputSchema | str,
    quirks: Quirks,
    capabilities: Capabilities,
    refused: Collection[str],
    strict: Callable[[OutputSchema], StrictSchema],
    notes: list[str],
) -> dict[str, Any] | None:
    """The nearest thing to `output` that the model can be held to."""
    asked = "output='json'" if isinstance(output, str) else f"the JSON schema {output.name!r}"
    if isinstance(output, OutputSchema):
        if capabilities.json_schema and "json_schema" not in refused and "response_format" not in refused:
            return _json_schema(output, quirks, strict, notes)
        why = "refuses" if capabilities.json_schema else "is not known to take"
        notes.append(f"{asked} not sent: the model {why} schemas")
    if capabilities.json_object and "json_object" not in refused and "response_format" not in refused:
        return {"type": "json_object"}
    if isinstance(output, str):
        notes.append(
            f"{asked} not sent: the model {'refuses' if capabilities.json_object else 'is not known to take'} it"
        )
    return None


def _json_schema(
    output: OutputSchema, quirks: Quirks, strict: Callable[[OutputSchema], StrictSchema], notes: list[str]
) -> dict[str, Any]:
    form: dict[str, Any] = {"name": re.sub(r"[^A-Za-z0-9_-]", "_", output.name)[:64] or "output"}
    if not quirks.strict:
        return {"type": "json_schema", "json_schema": {**form, "schema": output.schema}}
    made = strict(output)
    if not made.strict:
        notes.append(f"the JSON schema {output.name!r} sent without strict: {made.why}")
    elif made.left_out:
        notes.append(f"the JSON schema {output.name!r} sent without {', '.join(made.left_out)}")
    form["schema"], form["strict"] = made.schema, made.strict
    return {"type": "json_schema", "json_schema": form}


def serialize(body: Mapping[str, Any]) -> tuple[bytes, bool]:
    """The bytes of a body, and whether lone surrogates in it were replaced by U+FFFD.

    Raises `UsageError` when it holds something that JSON cannot.
    """
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_as_dict)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the request cannot be written as JSON: {error}") from None
    try:
        return text.encode(), False
    except UnicodeEncodeError:
        return mend(text).encode(), True


def _as_dict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    raise TypeError(f"{type(value).__name__} is not JSON-ready")


def mend(text: str) -> str:
    """The text with pairs of surrogates joined and lone ones replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def decode(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    model: str = "",
    subject: str = "the server",
    quirks: Quirks = COMMON,
    price: tuple[float, float] | None = None,
    seconds: float = 0.0,
    adaptations: Sequence[str] = (),
    label: Label = TRUSTED,
    redact: Callable[[str], str] = str,
) -> Response:
    """The response in a reply with a status of 2xx. Header names are in lower case.

    `price` is dollars per million tokens, (input, output); cached input is counted at the full price. `redact` takes
    secrets out of what errors show. Raises `LMResponseError` when the reply is not a chat completion and what
    `error_from` makes of an error inside it.
    """
    data = _object(status, headers, body, subject, redact)
    choice, message = _choice(data, status, headers, body, subject, redact)
    raw_finish = choice.get("finish_reason")
    finish = _FINISH.get(str(raw_finish).lower(), "other") if raw_finish is not None else "other"
    if raw_finish in _BROKEN_OFF:
        raise LMServerError(f"{subject}: the server broke off with finish_reason {raw_finish!r}", status=status)
    text, reasoning = _content(message)
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        text, finish = text or refusal, "content_filter"
    notes = list(adaptations)
    mended, mended_reasoning = mend(text), None if reasoning is None else mend(reasoning)
    if mended != text or mended_reasoning != reasoning:
        notes.append("lone surrogates in the reply replaced by U+FFFD")
    served = data.get("model")
    identifier = headers.get("x-request-id") or headers.get("request-id") or data.get("id")
    return Response(
        text=mended,
        model=served if isinstance(served, str) and served else model,
        reasoning=mended_reasoning,
        usage=_usage(data.get("usage"), quirks, price),
        finish=finish,
        seconds=seconds,
        request_id=identifier if isinstance(identifier, str) else None,
        adaptations=tuple(notes),
        label=label,
    )


def _object(
    status: int, headers: Mapping[str, str], body: bytes, subject: str, redact: Callable[[str], str]
) -> dict[str, Any]:
    kind = headers.get("content-type", "no content type")[:80]
    if not body.strip():
        raise LMResponseError(f"{subject}: HTTP {status} with an empty body", status=status)
    data = _parsed(body)
    if data is None:  # raised here and not where parsing failed: that error holds the body, which may hold the key
        raise LMResponseError(
            f"{subject}: the reply is not JSON but {kind!r} and begins with {_start(body, redact)!r}. "
            "Does base_url name an OpenAI-compatible server?",
            status=status,
        )
    if not isinstance(data, dict):
        raise LMResponseError(f"{subject}: the reply is a JSON {type(data).__name__}, not an object", status=status)
    return cast("dict[str, Any]", data)


def _parsed(body: bytes) -> Any:
    """The JSON in a body, None when there is none. Bytes that are not UTF-8 become U+FFFD."""
    for text in (lambda: body, lambda: body.decode("utf-8", "replace")):
        try:
            return json.loads(text())
        except (ValueError, RecursionError):
            continue
    return None


def _choice(
    data: dict[str, Any],
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    subject: str,
    redact: Callable[[str], str],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first choice and its message. Some servers say 200 and put an error there."""
    choices = data.get("choices")
    choice: Any = cast("list[Any]", choices)[0] if isinstance(choices, list) and choices else None
    for place in (data, choice):
        error = cast("dict[str, Any]", place).get("error") if isinstance(place, dict) else None
        if error:
            code = cast("dict[str, Any]", error).get("code") if isinstance(error, dict) else None
            told = code if isinstance(code, int) and 400 <= code < 600 else 502
            raise error_from(told, headers, json.dumps({"error": error}).encode(), subject=subject, redact=redact)
    message = cast("dict[str, Any]", choice).get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise LMResponseError(
            f"{subject}: the reply holds no message; it begins with {_start(body, redact)!r}", status=status
        )
    return cast("dict[str, Any]", choice), cast("dict[str, Any]", message)


def _start(body: bytes, redact: Callable[[str], str]) -> str:
    return redact(body[:4096].decode("utf-8", "replace"))[:120]


def _content(message: dict[str, Any]) -> tuple[str, str | None]:
    """The text of a message and its native reasoning, from either of their shapes."""
    content = message.get("content")
    reasoning: Any = message.get("reasoning_content") or message.get("reasoning")
    text = content if isinstance(content, str) else ""
    if isinstance(content, list):
        parts = [cast("dict[str, Any]", part) for part in cast("list[Any]", content) if isinstance(part, dict)]
        text = "".join(str(part.get("text") or "") for part in parts if part.get("type") in ("text", "output_text"))
        thoughts = [_thought(part.get("thinking")) for part in parts if part.get("type") == "thinking"]
        reasoning = reasoning or "".join(thoughts) or None
    return text, reasoning if isinstance(reasoning, str) and reasoning else None


def _thought(thinking: Any) -> str:
    if isinstance(thinking, str):
        return thinking
    chunks = cast("list[Any]", thinking) if isinstance(thinking, list) else []
    return "".join(str(cast("dict[str, Any]", chunk).get("text") or "") for chunk in chunks if isinstance(chunk, dict))


def _usage(data: Any, quirks: Quirks, price: tuple[float, float] | None) -> Usage:
    told = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    incoming, outgoing = _count(told, "prompt_tokens"), _count(told, "completion_tokens")
    cached = _count(told.get("prompt_tokens_details"), "cached_tokens")
    if cached is None:
        cached = _count(told, "prompt_cache_hit_tokens")
    reasoning = _count(told.get("completion_tokens_details"), "reasoning_tokens")
    total = _count(told, "total_tokens")
    if incoming is not None and outgoing is not None and total is not None:
        hidden = total - incoming - outgoing
        # Some servers count reasoning only in the total; it is output, and billed as such.
        if hidden > 0 and (quirks.hides_reasoning or hidden == reasoning):
            outgoing += hidden
    cost, source = None, None
    if price is not None and incoming is not None and outgoing is not None:
        cost, source = (incoming * price[0] + outgoing * price[1]) / 1e6, "user"
    elif quirks.reports_cost:
        charged = told.get("cost")
        if isinstance(charged, (int, float)) and not isinstance(charged, bool) and math.isfinite(charged):
            cost, source = float(charged), "provider"
    return Usage(incoming, outgoing, cached, reasoning, cost, source)


def _count(data: Any, name: str) -> int | None:
    """A count that was told, or None: 0 only when the server said 0."""
    value = cast("dict[str, Any]", data).get(name) if isinstance(data, dict) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
