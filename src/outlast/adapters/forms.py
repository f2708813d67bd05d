"""Replies in another form than the one that was asked for: tags, labels, and values that stand alone.

Nothing here is guarded by a nonce, so it is read only where no input of the call and no earlier turn holds anything of
that form, and where no demonstration or instruction holds the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from outlast.adapters.markers import Unreadable
from outlast.adapters.tags import ESCAPE, Tags
from outlast.signatures.codec import codecs
from outlast.signatures.jsontext import strict
from outlast.signatures.leads import without_lead

_LABEL = re.compile(
    r"[ \t>]{0,9}+(?:[-*+•][ \t]++|\d{1,2}[.)][ \t]++)?+(?P<head>\#{1,6}[ \t]++)?+[*_`\"]{0,3}+"
    r"(?P<name>[^\W\d_][\w -]{0,60}?)[*_`\"]{0,3}(?P<sign>[ \t]*+[:=])?+[*_`]{0,3}+(?:[ \t]++(?P<rest>.*))?"
)
_PARAGRAPHS = re.compile(r"\S[ \t]*+\r?\n[ \t]*+\r?\n\s*+\S")
_REFUSAL = re.compile(  # a plain quote stands for curly ones, too
    r"\W*(?:(?:i'm|i am) (?:sorry|unable|not able|afraid|an ai)|sorry|unfortunately|my apologies|as an ai"
    r"|i apologi[sz]e|(?:i|we) (?:can't|cannot|can not|couldn't|could not|won't)"
    r"|(?:i|we) (?:do not|don't) (?:have|know))\b",
    re.IGNORECASE,
)
_PREAMBLE = re.compile(r"\W*(?:sure|certainly|of course|okay|here(?:'s| is| are)|based on)\b[^\n]*\n", re.IGNORECASE)
_WORD = re.compile(r"\w")
_WORDS = re.compile(r"\w++")
_LONGEST = 20_000  # characters; a longer reply in labels is no reply


class OtherForms:
    """Reads the outputs of one signature from tags or from labels such as `**Team:** cards`."""

    def __init__(self, signature: Any) -> None:
        table = codecs(signature)
        self.outputs: tuple[str, ...] = tuple(signature.outputs)
        self.required = frozenset(name for name, field in signature.outputs.items() if field.required)
        self.free = frozenset(name for name in self.outputs if table[name].takes_text)
        self.alone = len(self.outputs) == 1 and bool(self.free)
        self.tags = Tags(self.outputs, tuple(signature.inputs), "", lambda name: table[name].takes_text)
        names = {_fold(name): name for name in self.outputs}
        self.names = names if len(names) == len(self.outputs) else {}
        spelled = "|".join(_spelled(name) for name in self.outputs)
        self._like_label = re.compile(rf"(?<!\w)(?:{spelled})\W{{0,9}}?[:=\n\\]", re.IGNORECASE)

    def read(self, text: str, given: Sequence[str], examples: Sequence[str] = ()) -> dict[str, str] | None:
        """The texts of all outputs by name, None when they are in neither form, or only repeat `examples`.

        `given` are the texts of the call's inputs and earlier turns, `examples` those of the instruction and the
        demonstrations. Raises `Unreadable` for a field that is given twice.
        """
        found = self._found(text, given)
        if found and all(is_repeated(name, value, examples) for name, value in found.items()):
            return None
        return found

    def _found(self, text: str, given: Sequence[str]) -> dict[str, str] | None:
        if not any(self.tags.holds(held) for held in given):
            found = self.tags.read(text)
            if found.marked:
                if self.alone and _WORD.search(self.tags.outside(text)):
                    raise Unreadable(f"{self.outputs[0]}: stands in tags, with other text around them")
                plain = found.ended and not any(ESCAPE.search(value) for value in found.found.values())
                return found.found if plain else None
        if self.names and len(text) <= _LONGEST and not any(self._like_label.search(f"{held}\n") for held in given):
            return self._labelled(text)
        return None

    def _labelled(self, text: str) -> dict[str, str] | None:
        found: dict[str, list[str]] = {}
        current: list[str] | None = None
        for line in text.splitlines():
            name, rest = self._label(line)
            if name is None:
                if current is not None:
                    current.append(line)
                continue
            if name in found:
                raise Unreadable(f"{name}: is given more than once")
            current = found[name] = [rest]
        if self.alone and current is not None and not self._label(text.lstrip().partition("\n")[0])[0]:
            raise Unreadable(f"{self.outputs[0]}: a line within the reply opens with its name")
        values = {name: "\n".join(lines).strip() for name, lines in found.items()}
        if not self.required <= values.keys() or not values:
            return None
        unsure = next((name for name, value in values.items() if name in self.free and _PARAGRAPHS.search(value)), None)
        if unsure is not None:
            raise Unreadable(f"{unsure}: it is in doubt where it ends")
        return values

    def _label(self, line: str) -> tuple[str | None, str]:
        """The output that a line opens, and what follows on it."""
        match = _LABEL.fullmatch(line)
        if match is None:
            return None, ""
        name = self.names.get(_fold(match["name"]))
        rest = match["rest"] or ""
        if name is None or not (match["sign"] or (match["head"] and not rest)):
            return None, ""
        return name, rest


def forms_of(signature: Any) -> OtherForms:
    """The reader for a signature, made at the first use."""
    found = signature.__dict__.get("__forms__")
    if found is None:
        found = OtherForms(signature)
        type.__setattr__(signature, "__forms__", found)
    return found


def is_repeated(name: str, value: str, texts: Iterable[str]) -> bool:
    """True when a text has the name of an output and then the value, or one that begins with the same word."""
    word = _WORDS.search(value)
    begins = re.escape(word[0]) + r"(?!\w)" if word else ""
    sign = r"(?:\s{0,9}(?:[^\w\s]|\n|\bis\b)\W{0,9})"
    told = re.compile(rf"(?<!\w){_spelled(name)}{sign}{begins}", re.IGNORECASE)
    return any(told.search(text) for text in texts)


def doubtful(name: str, text: str) -> str | None:
    """Why a text that stands alone may be something else than the text that was asked for; None when it may not."""
    plain = text.replace("\u2019", "'")
    if _REFUSAL.match(plain):
        return "it may be a refusal"
    if _PREAMBLE.match(plain):
        return "what is said before it may not belong to it"
    if without_lead(name, text.lstrip()) is not None:
        return "it opens with its own name"
    if text.lstrip().startswith("<"):
        return "it opens with a tag"
    if text.lstrip()[:1] in ("{", "["):
        try:
            strict(text)
        except ValueError:
            return None
        return "it is JSON"
    return None


def _spelled(name: str) -> str:
    """A pattern for the name of a field, in words or as it is."""
    return re.escape(name).replace("_", r"[\s_-]")


def _fold(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()
