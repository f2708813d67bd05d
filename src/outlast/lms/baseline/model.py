"""The model that is built in: a classical baseline, so that everything here runs without a key.

It has no weights and no network and costs nothing. It is the floor that a real model must beat, not a
language model: it answers by analogy with the demonstrations in its prompt, by what the prompt says of the
values that it allows, else with a sentence or a number of the input (`baseline_evidence`, `baseline_answer`).
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from outlast.errors import LMUnsupported, brief
from outlast.lms.baseline.answer import answer
from outlast.lms.baseline.evidence import Question, ask
from outlast.lms.baseline.prompt import (
    Asked,
    Prefix,
    Spec,
    is_question,
    locate,
    read_inputs,
    read_outputs,
    read_prefix,
    read_spec,
)
from outlast.lms.baseline.schema import minimal
from outlast.lms.baseline.text import Index, best_sentence, count_tokens, cut_tokens, sentences
from outlast.lms.protocol import LM, Capabilities
from outlast.messages import FinishReason, Message, Request, Response, Settings, Usage
from outlast.types import Document, Media

T = TypeVar("T")

_VERSION = 1  # part of the identity: raised when answers change, so that no cache answers with old ones
_REMEMBERED = 64  # prompts; one with 32 demonstrations of a sentence or two takes 1.6 MB
_REFUSED = re.compile(r"^- (\w+)\b", re.MULTILINE)
_MARKER_LIKE = re.compile(r"<<(?=\s*\w+\s*(?:#\s*\w*\s*)?>>)")


class Baseline(LM):
    """The built-in model `outlast/baseline`: deterministic, free, offline; a classical baseline.

    Reads the rendered messages like any model: the formats of the `Chat` and `JSON` adapters, and free
    conversation, which it answers with the sentence of the earlier text that fits the last turn best. A JSON
    schema is followed, except for `pattern` and `format`s other than dates, times and durations.

    Tokens are words, in pieces of at most eight characters, and punctuation marks. `max_tokens` and `stop`
    are kept; `temperature`, `top_p` and `reasoning` have no meaning here and are reported in `adaptations`.
    Every `sample` of a request gets the same reply. A call takes only CPU time: 0.3 ms with 16 demonstrations
    met before, 10 ms with new ones, 0.2 s for a megabyte of input. Safe to share between threads.

    Example:

        Baseline()("Refunds take five days. Cards take two. How long does a refund take?").text
    """

    name = "outlast/baseline"
    capabilities = Capabilities(json_schema=True, json_object=True)
    blocking_safe = True

    def __init__(self) -> None:
        self._known: _Recent[_Known] = _Recent(_REMEMBERED)
        self._prefixes: _Recent[Prefix] = _Recent(_REMEMBERED)

    @property
    def identity(self) -> str:
        """The name and the version of the method."""
        return f"{self.name}@{_VERSION}"

    def __reduce__(self) -> tuple[type[Baseline], tuple[()]]:
        return type(self), ()

    async def complete(self, request: Request) -> Response:
        """Answer at once. Raises `LMUnsupported` for tools, unless `tool_choice` is "none", and for media; no text
        makes it raise."""
        started = time.perf_counter()
        _refuse_unread(request)
        messages = request.messages
        known = self._read(request)
        at = locate(messages, known.spec)
        before = messages[:at]
        # what is remembered holds what its key identifies, so that no `id` is given away while it is in use
        prefix = self._prefixes.get((before, id(known.spec)), lambda: read_prefix(before, known.spec))
        text, finish = _limited(_reply(messages, at, prefix, known.guides), request.settings)
        usage = Usage(
            input_tokens=prefix.tokens + sum(count_tokens(message.text) for message in messages[at:]),
            output_tokens=count_tokens(text),
            cost=0.0,
            cost_source=self.name,
        )
        return Response(
            text,
            self.name,
            usage=usage,
            finish=finish,
            seconds=time.perf_counter() - started,
            adaptations=_ignored(request.settings),
            label=request.label,
        )

    def _read(self, request: Request) -> _Known:
        text = "\n\n".join(message.text for message in request.messages if message.role == "system")
        output = request.output
        return self._known.get((text, id(output)), lambda: _Known(read_spec(text, output), output))


@dataclass(frozen=True, slots=True)
class _Known:
    """What a system message and an output schema ask for; `guides` fills with what they say of values."""

    spec: Spec
    output: object
    guides: dict[tuple[str, str], Index] = field(default_factory=dict[tuple[str, str], Index])


class _Recent(Generic[T]):
    """The values used last, at most `size`. Threads that miss together may each make a value; one is kept."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            found = self._values.get(key)
            if found is not None:
                self._values.move_to_end(key)
                return found
        made = make()
        with self._lock:
            kept = self._values.setdefault(key, made)
            self._values.move_to_end(key)
            if len(self._values) > self._size:
                self._values.popitem(last=False)
        return kept


def _reply(messages: Sequence[Message], at: int, prefix: Prefix, guides: dict[tuple[str, str], Index]) -> str:
    spec = prefix.spec
    text = messages[at].text if at < len(messages) else ""
    if spec.style == "free":
        return _printable(_talk(prefix, text))
    inputs = read_inputs(text, spec) if is_question(text, spec) else {"text": text}
    question = ask(prefix, inputs, guides)
    later = messages[at + 1 :]
    values = {asked.name: _value(question, asked, later) for asked in spec.outputs}
    if spec.style == "json":
        data: Any = values[""] if spec.whole else values
        return _printable(json.dumps(data, ensure_ascii=False))
    if spec.style == "xml":
        return _printable("\n".join(_tagged(values[asked.name], asked, spec) for asked in spec.outputs))
    written = [f"{spec.marker(asked.name)}\n{_written(values[asked.name], asked, spec)}" for asked in spec.outputs]
    return _printable("\n\n".join([*written, spec.marker(spec.end)]))


def _value(question: Question, asked: Asked, later: Sequence[Message]) -> Any:
    """The value of an output; the smallest valid one when it was given in this conversation and refused."""
    value = answer(question, asked)
    if not later or later[-1].role != "user" or asked.name not in _REFUSED.findall(later[-1].text):
        return value
    spec = question.prefix.spec
    given = [read_outputs(message.text, spec) for message in later if message.role == "assistant"]
    refused = any(asked.name in outputs and outputs[asked.name] == value for outputs in given)
    return minimal(asked.schema, asked.root) if refused else value


def _written(value: Any, asked: Asked, spec: Spec) -> str:
    """A value under a marker: bare text where it survives as that, else JSON."""
    if asked.bare and isinstance(value, str) and value and value == value.strip() and value[0] != '"':
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False)
    # plain markers promise that no data looks like one; a sentence put together here must keep that promise
    return text if spec.nonce or "<<" not in text else _MARKER_LIKE.sub("< <", text)


def _tagged(value: Any, asked: Asked, spec: Spec) -> str:
    """A value inside its tags; what could be taken for a tag or an escape is written as JSON says it."""
    text = _written(value, asked, replace(spec, nonce="-"))
    if "<" in text or "&" in text:
        text = text if text[:1] in '"[{' else json.dumps(text, ensure_ascii=False)
        text = text.replace("<", "\\u003c").replace("&", "\\u0026")
    gap = "\n" if "\n" in text else ""
    return f"<{spec.tag(asked.name)}>{gap}{text}{gap}</{spec.tag(asked.name)}>"


def _talk(prefix: Prefix, text: str) -> str:
    """A reply to free conversation: the sentence of the earlier text that fits the last turn best.

    Without earlier text the last sentence of the turn is the question and those before it are the text.
    """
    earlier = "\n".join(message.text for message in prefix.messages)
    if earlier.strip():
        return best_sentence(text, earlier)[0]
    parts = sentences(text)
    return best_sentence(parts[-1], "\n".join(parts[:-1]))[0] or parts[-1] if parts else ""


def _limited(text: str, settings: Settings) -> tuple[str, FinishReason]:
    """The reply up to the first stop sequence and the token limit."""
    places = [place for mark in settings.stop or () if mark and (place := text.find(mark)) >= 0]
    if places:
        text = text[: min(places)]
    if settings.max_tokens is not None and count_tokens(text) > settings.max_tokens:
        return cut_tokens(text, settings.max_tokens), "length"
    return text, "stop"


def _ignored(settings: Settings) -> tuple[str, ...]:
    """What was asked for and has no meaning here. Temperature 0 and top_p 1 ask for what is done anyway."""
    idle = {"temperature": (None, 0), "top_p": (None, 1), "reasoning": (None, "none")}
    asked = [name for name, values in idle.items() if getattr(settings, name) not in values]
    return tuple(f"{name} ignored: the baseline is deterministic" for name in asked)


def _refuse_unread(request: Request) -> None:
    """Raise for what cannot be read here and would be another question when left out."""
    if request.tools and request.tool_choice != "none":
        raise LMUnsupported(
            f"outlast/baseline calls no tools; the request has {', '.join(tool.name for tool in request.tools[:8])}. "
            "Use a model with native tools, such as 'openai/gpt-5-mini', or tool_choice='none'",
            request=request,
        )
    for message in request.messages:
        found = () if isinstance(message.content, str) else message.content
        for part in found:
            if isinstance(part, (Media, Document)):
                raise LMUnsupported(
                    f"outlast/baseline reads text only; a message of the role {message.role!r} holds {brief(part)}. "
                    f"Use a model that takes such parts (kind {part.kind!r}), or give its text",
                    request=request,
                )


def _printable(text: str) -> str:
    """The text with each lone surrogate replaced, so that it can be sent and stored."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text
