"""How many tokens a call will take, before it is made: from the length of its prompt and from calls before it."""

from __future__ import annotations

from outlast.messages import Request, Response, TextPart
from outlast.runtime.waiting import ForkSafeLock
from outlast.types import Document

_PER_CHARACTER = 0.25  # English text, until the model's own figures are known
_PER_PART = 4000.0  # characters that an image or a file counts as
_OUTPUT = 256.0  # tokens of a reply whose length nobody bounds, until some are known
_FEWEST = 8  # replies before their mean is believed
_NEWEST = 0.05  # weight of the newest call in the moving averages


class Estimate:
    """Moving averages of tokens for each character of a prompt, and of tokens of a reply."""

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self._per_character = _PER_CHARACTER
        self._output = 0.0
        self._replies = 0

    @property
    def typical(self) -> float | None:
        """Tokens of a reply, on average; None while too few are known."""
        return round(self._output, 1) if self._replies >= _FEWEST else None

    def of(self, request: Request) -> tuple[float, float]:
        """Characters of the prompt, and tokens of the whole call."""
        characters = _characters(request)
        return characters, characters * self._per_character + self._reply(request)

    def _reply(self, request: Request) -> float:
        if request.questions:
            return float(len(request.questions))
        most = request.settings.max_tokens
        if self._replies >= _FEWEST:
            return self._output if most is None else min(self._output, most)
        return _OUTPUT if most is None else most

    def learn(self, characters: float, response: Response) -> float | None:
        """Take a response into the averages. Gives the tokens that it really took, None when it does not say."""
        usage = response.usage
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        with self._lock:
            if characters and usage.input_tokens:
                ratio = usage.input_tokens / characters
                self._per_character += (0.5 if self._replies == 0 else _NEWEST) * (ratio - self._per_character)
            if not response.decisions:
                self._replies += 1
                self._output += max(_NEWEST, 1 / self._replies) * (usage.output_tokens - self._output)
        return float(usage.input_tokens + usage.output_tokens)


def _characters(request: Request) -> float:
    total = 0.0
    for message in request.messages:
        content = message.content
        if isinstance(content, str):
            total += len(content) + 16
        else:
            total += 16 + sum(
                len(part.text) if isinstance(part, (TextPart, Document)) else _PER_PART for part in content
            )
    return total + sum(len(question.text) + 16 * len(question.options) for _, question in request.questions)
