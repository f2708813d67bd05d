"""What a handler may answer with in any dialect, and how it is cut into tokens that tests can count."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, NamedTuple, cast

_TOKEN = re.compile(r"\s*\S+|\s+")
_numbers = count(1)


def number() -> int:
    """A number that no other reply of this process has."""
    return next(_numbers)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says, the same in every dialect.

    `tools` are calls of functions, (name, arguments), the arguments a mapping or text as the model wrote it.
    `citations` go into the text as they are, in the form of the dialect. `logprobs` gives the probabilities of each
    token, the first entry being the token chosen; without it they are made up when a request asks for them. `finish`
    is one of OpenAI's words. `cached` and `cache_write` are the input tokens read from and written to a prompt cache;
    None tells nothing. `headers` are added to those of the reply, `tier` is the service tier told,
    `fingerprint` the system fingerprint of a chat completion.
    """

    text: str = ""
    reasoning: str = ""
    tools: Sequence[tuple[str, Mapping[str, Any] | str]] = ()
    refusal: str | None = None
    citations: Sequence[Mapping[str, Any]] = ()
    logprobs: Sequence[Mapping[str, float]] | None = None
    finish: Literal["stop", "length", "tool_calls", "content_filter"] | None = None
    cached: int | None = None
    cache_write: int | None = None
    model: str | None = None
    tier: str | None = None
    fingerprint: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def output_tokens(self) -> int:
        """Words of everything that it says."""
        said = [
            self.text,
            self.reasoning,
            self.refusal or "",
            *(f"{name} {as_text(args)}" for name, args in self.tools),
        ]
        return sum(map(words, said))


class Event(NamedTuple):
    """One server-sent event: its data and, where the dialect names its events, the name."""

    data: str
    name: str = ""


class Tokens(NamedTuple):
    """What a reply says that was used: all the input, all the output."""

    input: int
    output: int


def as_answer(given: str | Answer) -> Answer:
    """Text as an `Answer`."""
    return Answer(given) if isinstance(given, str) else given


def words(text: str) -> int:
    """How many tokens the fake model counts in a text."""
    return len(text.split())


def pieces(text: str) -> list[str]:
    """The text cut as a stream sends it; joined they are the text."""
    return _TOKEN.findall(text)


def halves(text: str) -> list[str]:
    """Pieces of at most 8 characters: arguments of a call, cut at places that mean nothing."""
    return [text[start : start + 8] for start in range(0, len(text), 8)]


def as_text(arguments: Mapping[str, Any] | str) -> str:
    """Arguments of a call as the model writes them."""
    return arguments if isinstance(arguments, str) else json.dumps(dict(arguments))


def said_in(content: Any) -> str:
    """The text of a message, a part or a list of either, in any dialect's request."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(said_in(part) for part in cast("list[Any]", content))
    if isinstance(content, dict):
        part = cast("dict[str, Any]", content)
        return said_in(part.get("text") or part.get("content") or part.get("output") or "")
    return ""


def asked_words(turns: Any) -> int:
    """Words in the messages of a request."""
    if isinstance(turns, str):
        return words(turns)
    return sum(words(said_in(turn)) for turn in cast("list[Any]", turns or []))


def token_logprobs(answer: Answer, alternatives: int) -> list[dict[str, Any]]:
    """One entry a token, as OpenAI writes them: the token chosen and the likeliest `alternatives`."""
    given = answer.logprobs
    if given is None:
        given = [{token: -0.125, f"{token}?": -2.5, " ...": -3.5} for token in pieces(answer.text)]
    entries: list[dict[str, Any]] = []
    for position in given:
        ranked = sorted(position.items(), key=lambda pair: -pair[1])[:alternatives]
        chosen = next(iter(position))
        entries.append({**_scored(chosen, position[chosen]), "top_logprobs": [_scored(*pair) for pair in ranked]})
    return entries


def _scored(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def dumps(data: Any) -> str:
    """JSON with its characters as they are, so that bytes of UTF-8 go over the wire."""
    text = json.dumps(data, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which only an escape can carry
        return json.dumps(data)
    return text
