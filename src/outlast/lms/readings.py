"""What a reply answers to a typed question, in words or in percentages; nothing where that is in doubt."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from outlast.messages import Question

_MOST_OFF = 5.0  # of 100: what percentages may miss it by, as models round them
_MARKS = r"[*_`\"'\u201c\u201d\u2018\u2019]*+"
_BULLET = re.compile(r"[\u2022*>-]\s+")
_LEAD = re.compile(
    rf"{_MARKS}(?:(?:the|my)\s+)?(?:final\s+)?answer{_MARKS}(?:\s+is\b\s*:?|\s*:)[\s*_`]*", re.IGNORECASE
)
_END = re.compile(
    rf"[.!]*+{_MARKS}[.!]*+\s*\Z|{_MARKS}[.,;:!]{_MARKS}\s+|{_MARKS}[^\S\n]*+\n\s*|{_MARKS}\s++[-\u2013\u2014]++\s+"
)
_TAKEN_BACK = re.compile(
    r"\b(?:not?|nor|never|neither|none|cannot|but|however|although|though|or|maybe|perhaps|possibly|unless|actually|"
    r"wait|instead|rather|unsure|uncertain|either|both|depends?|correction|sorry)\b|n['\u2019]t\b|[?%]",
    re.IGNORECASE,
)
_NUMBER = (
    r"(?P<sign>[+\-\u2212][^\S\n]*+)?+(?P<number>\d++(?:\.\d++)?+)(?![\w.,/]*\d)(?!\w)"
    rf"{_MARKS}[^\S\n]*+(?P<percent>%?+)(?![^\S\n]*+(?:[-\u2013\u2014/]|to\b|or\b)\s*\d)"
)


class _Names(NamedTuple):
    """The forms in which answers may stand in a reply, as a pattern, and the answer that each form means."""

    pattern: str
    flags: re.RegexFlag
    meaning: dict[str, str]

    def of(self, form: str) -> str | None:
        """The answer that a form means."""
        return self.meaning.get(form.casefold() if self.flags & re.IGNORECASE else form)


def told(question: Question, answer: str) -> str:
    """An answer as it is shown to a model, with what is said of it."""
    described = dict(question.described).get(answer)
    return f"{answer} ({described})" if described else answer


def read_answer(question: Question, text: str) -> str | None:
    """The one answer that a reply is, or None.

    Either the whole reply, or what stands first in it, before a stop and words that name no other answer, hold no
    digit where the answers are numbers, and take nothing back. "Yes, it is urgent." is a yes; "Not yes", "no. yes",
    "4 or 5", "3.5" and "definitely not spam" are in doubt.
    """
    said = text.strip()
    if said in question.answers:
        return said
    openings = [said]
    if lead := _LEAD.match(said):
        openings.append(said[lead.end() :])
    if (bullet := _BULLET.match(said)) and not any(answer.startswith("-") for answer in question.answers):
        openings.append(said[bullet.end() :])
    found = (_first(question, opening) for opening in openings)
    return next((answer for answer in found if answer is not None), None)


def _first(question: Question, said: str) -> str | None:
    """The answer with which a reply opens, when nothing after it is against it."""
    names = _names(question)
    opening = re.match(rf"{_MARKS}({names.pattern})", said, names.flags)
    end = None if opening is None else _END.match(said, opening.end())
    if opening is None or end is None:
        return None
    answer, rest = names.of(opening[1]), said[end.end() :]
    others = re.finditer(rf"(?<!\w)(?:{names.pattern})(?!\w)", rest, names.flags)
    doubtful = _TAKEN_BACK.search(rest) or any(names.of(other[0]) != answer for other in others)
    if doubtful or (question.kind == "score" and re.search(r"\d", rest)):
        return None
    return answer


def percentages_in(question: Question, text: str) -> dict[str, float] | None:
    """The weight of each answer by the percentages in a reply, or None.

    Each answer has one, without a sign, up to 100, and they add up to about 100; or they are shares that add up to
    about 1. Where one of yes and no is given in percent, the other has the rest.
    """
    names = _names(question)
    said: dict[str, tuple[float, bool]] = {}
    separator = rf"{_MARKS}[^\S\n]*+(?:[:=|\u2192]|[-\u2013\u2014]+>?(?=\s))?+[^\S\n]*+{_MARKS}"
    line = rf"(?<![^\n,;%|])(?:[^\S\n]|[>\u2022*_`\"']|-(?=\s))*+(?P<answer>{names.pattern})(?!\w){separator}{_NUMBER}"
    for found in re.finditer(line, text, names.flags):
        answer, value = names.of(found["answer"]), (float(found["number"]), bool(found["percent"]))
        if answer is None or found["sign"] or value[0] > 100 or said.setdefault(answer, value) != value:
            return None
    if question.kind == "yes_no" and len(said) == 1:
        ((answer, (value, in_percent)),) = said.items()
        other = "no" if answer == "yes" else "yes"
        alone = re.search(rf"\b{other}\b", text, re.IGNORECASE) is None  # nothing is said of it that was not understood
        return {answer: value, other: 100 - value} if in_percent and alone else None
    if len(said) < len(question.answers):
        return None
    total = sum(value for value, _ in said.values())
    shares = not any(in_percent for _, in_percent in said.values()) and total < 2
    off = abs(total * 100 - 100) if shares else abs(total - 100)
    return {answer: value for answer, (value, _) in said.items()} if off <= _MOST_OFF else None


@lru_cache(maxsize=256)
def _names(question: Question) -> _Names:
    """The answers, as they are and as they are shown; in any case where that tells them apart."""
    exact = {form: answer for answer in question.answers for form in (told(question, answer), answer)}
    folded = {form.casefold(): answer for form, answer in exact.items()}
    apart = all(folded[form.casefold()] == answer for form, answer in exact.items())
    pattern = "|".join(re.escape(form) for form in sorted(exact, key=len, reverse=True))
    return _Names(pattern, re.IGNORECASE if apart else re.NOFLAG, folded if apart else exact)
