"""Text of models on a page: escaped, with what cannot be seen made visible, and long ones folded."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup, escape

LONG = 3_000  # characters; more is folded
LONGEST = 200_000  # characters; more is cut, and the page says so
_LINES = 60
# Controls, zero-width and direction marks, and the tag characters in which text can be hidden from people.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]|[\ud800-\udfff]"
)


def clean(text: str) -> Markup:
    """The text, escaped; characters that cannot be seen stand as their numbers."""
    return Markup(_UNSEEN.sub(_number, str(escape(text))))


def unseen(text: str) -> int:
    """How many characters of a text cannot be seen."""
    return len(_UNSEEN.findall(text))


def _number(found: re.Match[str]) -> str:
    return f'<span class="unseen" title="a character that cannot be seen">U+{ord(found[0]):04X}</span>'


def plain(text: str, *, folded: bool | None = None) -> Markup:
    """The text as it is, with its line breaks. A long one is folded unless `folded` is False."""
    shown, rest = text[:LONGEST], len(text) - LONGEST
    body = Markup('<pre class="said">{}</pre>').format(clean(shown))
    if rest > 0:
        body += Markup('<p class="muted">… {} more characters; the raw JSON has them</p>').format(f"{rest:,}")
    long = len(text) > LONG or text.count("\n") > _LINES
    if folded is False or (folded is None and not long):
        return body
    return folding(f"{beginning(text, 120)}", f"{len(text):,} characters", body)


def folding(title: str, note: str, body: Any, *, opened: bool = False) -> Markup:
    """A part that opens: its title (escaped here), a note, and what is inside."""
    return Markup(
        '<details class="fold"{}><summary><span class="text">{}</span> <span class="muted">{}</span></summary>{}'
        "</details>"
    ).format(Markup(" open") if opened else "", clean(title), note, body)


def beginning(text: str, limit: int) -> str:
    """The first words of a text, in one line."""
    line = " ".join(text[: 4 * limit].split())
    return line if len(line) <= limit and len(text) <= 4 * limit else f"{line[: limit - 1]}…"
