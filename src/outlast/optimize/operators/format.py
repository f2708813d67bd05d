"""`AdapterChoice` and `DropHints`: the format of replies, which is the business of adapters and of nobody else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from outlast.adapters.chat import Chat
from outlast.adapters.json import JSON
from outlast.adapters.native import Tools
from outlast.adapters.protocol import Adapter
from outlast.adapters.xml import XML
from outlast.errors import ConfigError, UsageError, brief
from outlast.modules.settings import chosen_adapter, chosen_lm
from outlast.modules.state import has_form
from outlast.optimize.edits import split_lines
from outlast.optimize.operators.structure import Guess, Structural, modules_with, owner, together_and_apart
from outlast.runtime import current

if TYPE_CHECKING:
    from outlast.modules.predict import Predict
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study

_SENTENCE = re.compile(r"(?<=[.;!?])\s+")
_FORMAT = re.compile(
    r"\bformat(?:s|ted|ting)?\b|\bjson\b|\bxml\b|\byaml\b|\bmarkdown\b|\bhtml\b|\bcsv\b|\blatex\b|\\boxed|####"
    r"|\btags?\b|\bbrackets?\b|\bbraces?\b|\bquotes?\b|\bquotation marks?\b|\bdelimit|```|\bcode block\b|\bbullet"
    r"|\b(?:nothing else|no other text|without any (?:other|further|additional) (?:text|words))\b"
    r"|\b(?:single|one) (?:word|line|letter|token)\b|\b(?:upper|lower)[ -]?case\b|\bcapital letters?\b"
    r"|\b(?:start|begin|end|prefix|finish)\b[^.]{0,30}\b(?:answer|reply|response|output)\b"
    r"|\b(?:answer|reply|respond|write|output|return)\b[^.]{0,40}\b(?:only|just|exactly|first)\b"
    r"|\b(?:final )?answer:|<\w+>",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class AdapterChoice(Structural):
    """Ask for replies in another format: `adapters` None are `Chat()`, `JSON()` and `XML()`, and `Tools()` for models
    that call tools. All modules at once, then each alone.

    Source: formatting alone moves accuracy by many points and differs from model to model, Sclar et al. 2024
    (arXiv 2310.11324).
    """

    name: ClassVar[str] = "adapter"
    adapters: Sequence[Adapter] | None = None

    def __post_init__(self) -> None:
        Structural.__post_init__(self)
        if self.adapters is None:
            return
        given: Any = self.adapters
        if not isinstance(given, list | tuple) or not given or not all(isinstance(one, Adapter) for one in given):  # pyright: ignore[reportUnknownVariableType]
            raise UsageError(f"AdapterChoice(adapters=...) is a list of adapters such as ol.JSON(); got {brief(given)}")
        for one in self.adapters:
            if not has_form(one):
                raise UsageError(f"AdapterChoice: {brief(one)} has no form in a compiled file, so it cannot be chosen")

    def guesses(self, study: Study, parent: Candidate) -> Iterable[Guess]:
        """Adapters that differ from those that the parent's modules use."""
        parts = modules_with(study, parent, "adapter")
        return together_and_apart({path: self._others(part) for path, part in parts.items()}, "format of replies")

    def describe(self) -> dict[str, Any]:
        """Name and options."""
        some = None if self.adapters is None else [repr(one) for one in self.adapters]
        return {"operator": type(self).__name__, "most": self.most, "adapters": some}

    def _others(self, part: Predict[..., Any]) -> list[Adapter]:
        now = chosen_adapter(part.adapter, current())
        if self.adapters is not None:
            return [one for one in self.adapters if one != now]
        some: list[Adapter] = [Chat(), JSON(), XML()]
        if _calls_tools(part):
            some.append(Tools())
        return [one for one in some if type(one) is not type(now)]


def _calls_tools(part: Predict[..., Any]) -> bool:
    try:
        return chosen_lm(part.lm, current()).capabilities.tools
    except ConfigError:  # no model is set here
        return False


@dataclass(frozen=True, slots=True)
class DropHints(Structural):
    """Delete what an instruction says about the format of replies: every such sentence, then each alone.

    The format is what the adapter asks for, and an instruction that asks for another one makes replies unreadable, or
    keeps the model from reasoning.
    """

    name: ClassVar[str] = "hints"

    def guesses(self, study: Study, parent: Candidate) -> Iterator[Guess]:
        """Instructions without some of their sentences."""
        hints = {path: format_hints(part.instruction) for path, part in self._parts(study, parent)}
        texts = {path: part.instruction for path, part in self._parts(study, parent)}
        whole = {path: without(texts[path], some) for path, some in hints.items() if some}
        if len(whole) > 1:
            yield Guess(whole, f"no word on the format in {', '.join(map(owner, whole))}")
        for path, text in whole.items():
            yield Guess({path: text}, f"no word on the format in {owner(path)}: {_cut(' '.join(hints[path]))}")
        for path, some in hints.items():
            for one in some if len(some) > 1 else ():
                yield Guess({path: without(texts[path], [one])}, f"without a sentence of {owner(path)}: {_cut(one)}")

    def _parts(self, study: Study, parent: Candidate) -> list[tuple[str, Predict[..., Any]]]:
        return list(modules_with(study, parent, "instruction").items())


def format_hints(instruction: str) -> list[str]:
    """The sentences of an instruction that talk about the format of replies."""
    parts = [part for line in split_lines(instruction) for part in _SENTENCE.split(line.strip())]
    return [part for part in parts if part and _FORMAT.search(part)]


def without(instruction: str, sentences: Sequence[str]) -> str:
    """The instruction without these sentences; lines that had nothing else go."""
    kept: list[str] = []
    for line in split_lines(instruction):
        parts = [part for part in _SENTENCE.split(line) if part.strip() not in sentences]
        if any(part.strip() for part in parts):
            kept.append(" ".join(parts))
    return "\n".join(kept)


def _cut(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:119]}…"
