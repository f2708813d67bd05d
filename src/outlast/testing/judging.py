"""A model that judges, simulated: it reads the prompt that it is sent, and may err at known rates."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from outlast.messages import Message
from outlast.testing.scripted import ScriptedLM

_FIRST = re.compile(r"<<\w+?(#\w+)?>>\n")


class JudgingLM(ScriptedLM):
    """A model that answers a judge with a critique and what `decide(fields)` says of the fields that it is shown.

        lm = JudgingLM(lambda fields: "pass" if "thank" in fields["reply"] else "fail")

    `decide` gets the inputs as texts, read from the prompt that was sent, by `ol.Chat()`. What it gives is the verdict,
    or the outputs by name; None is a reply that cannot be read. Other keywords are those of `ScriptedLM`.
    """

    def __init__(self, decide: Callable[[Mapping[str, str]], Any], **options: Any) -> None:
        def reply(messages: tuple[Message, ...]) -> Any:
            said = decide(fields_in(messages))
            if said is None:
                return "I would rather not say."
            if isinstance(said, Mapping):
                return cast("Mapping[str, Any]", said)
            return {"critique": f"It is {said}.", "verdict": said}

        super().__init__(reply, **options)


def fields_in(messages: tuple[Message, ...]) -> dict[str, str]:
    """The inputs of the question, as a model reads them from the prompt of `ol.Chat()`."""
    for message in reversed(messages):  # after the question there may be turns that ask again
        if first := _FIRST.match(message.text):
            guard = re.escape(first[1] or "")  # what tells markers from texts that look like them
            return dict(re.findall(rf"<<(\w+){guard}>>\n(.*?)\n\n(?=<<\w+{guard}>>)", message.text, re.DOTALL))
    return {}


def chance(*parts: Any) -> float:
    """A number from 0 to 1 that depends on the parts alone: to err at a known rate, the same in every run."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56
