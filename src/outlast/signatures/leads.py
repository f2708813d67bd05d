"""What models write around a short value: its name before it, characters that nobody sees."""

from __future__ import annotations

import re

INVISIBLE = "\ufeff\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069"
_LEAD = r"[*_`]{{0,3}}(?:the |my )?{name}[*_`]{{0,3}}\s{{0,9}}(?:[:=]|\bis\b)[*_`:]{{0,3}}\s{{0,9}}"


def visible(text: str) -> str:
    """A text without white space, and characters that nobody sees, at its ends."""
    while (bare := text.strip().strip(INVISIBLE)) != text:
        text = bare
    return text


def without_lead(name: str, text: str) -> str | None:
    """A text without a lead such as "Team: " or "The team is ", None when it has none."""
    spelled = re.escape(name).replace("_", r"[\s_-]")
    lead = re.match(_LEAD.format(name=spelled), text, re.IGNORECASE)
    return None if lead is None else text[lead.end() :]
