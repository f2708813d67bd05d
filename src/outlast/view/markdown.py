"""Markdown of models as safe markup: no HTML, no image that is loaded, no address but http and https."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from markupsafe import Markup, escape

from outlast.view.code import coloured
from outlast.view.texts import clean

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

LONGEST = 20_000  # characters; a longer text stays as it is
# Linear in the length of the text, whoever wrote it.
_SIGNS = re.compile(
    r"^```|^~~~|^#{1,6} \S|^\s{0,3}(?:[-*+]|\d{1,3}[.)]) \S.*\n\s{0,3}(?:[-*+]|\d{1,3}[.)]) \S"
    r"|^\|.*\|[ \t]*\n[ \t]*\|[ :|-]+\|"
    r"|\*\*\S[^*\n]*\*\*|(?<!`)`[^`\n]+`(?!`)|\[[^\[\]\n]{1,200}\]\(https?://|^> \S|^\$\$",
    re.MULTILINE,
)


def looks_like_markdown(text: str) -> bool:
    """Whether the text has signs of markdown that people would miss when they see it raw."""
    return len(text) <= LONGEST and _SIGNS.search(text) is not None


def markdown(text: str) -> Markup:
    """The text as markup, made of a fixed set of elements without any attribute but classes and checked addresses."""
    return Markup('<div class="md">{}</div>').format(Markup(_parser().render(text[:LONGEST])))


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    parser.validateLink = _is_web  # what is no address of the web stays text
    for name, rule in _RULES.items():
        parser.add_render_rule(name, rule)
    return parser


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme.lower() in ("http", "https") and bool(parts.hostname)


def _text(_: Any, tokens: Sequence[Token], at: int, *__: Any) -> str:
    return str(clean(tokens[at].content))


def _code(_: Any, tokens: Sequence[Token], at: int, *__: Any) -> str:
    return f"<code>{clean(tokens[at].content)}</code>"


def _fence(_: Any, tokens: Sequence[Token], at: int, *__: Any) -> str:
    language = (tokens[at].info or "").split()
    return str(coloured(tokens[at].content, language[0] if language else ""))


def _link(_: Any, tokens: Sequence[Token], at: int, *__: Any) -> str:
    """A link that goes nowhere by itself, tells its page nothing, and says where it leads."""
    address = str(tokens[at].attrs.get("href", ""))
    if not _is_web(address):
        return '<span class="out">'
    return f'<a class="out" href="{escape(address)}" rel="noopener noreferrer nofollow" target="_blank">'


def _link_end(_: Any, tokens: Sequence[Token], at: int, *__: Any) -> str:
    opened = next((one for one in reversed(tokens[:at]) if one.type == "link_open"), None)
    address = str(opened.attrs.get("href", "")) if opened is not None else ""
    if not _is_web(address):
        return "</span>"
    return f'</a> <span class="host">{clean(urlsplit(address).hostname or "")}</span>'


def _image(_: Any, tokens: Sequence[Token], at: int, *__: Any) -> str:
    """A picture is named and never loaded."""
    token = tokens[at]
    return f'<span class="unloaded">image: {clean(token.content)} {clean(str(token.attrs.get("src", ""))[:300])}</span>'


def _heading(_: Any, tokens: Sequence[Token], at: int, *__: Any) -> str:
    """Not a heading of our page: its outline is ours."""
    return f'<p class="h {tokens[at].tag}">'


def _heading_end(_: Any, __: Sequence[Token], ___: int, *____: Any) -> str:
    return "</p>\n"


def _cell(_: Any, tokens: Sequence[Token], at: int, *__: Any) -> str:
    """Where a cell's text stands is a class: styles in the page itself are refused."""
    token = tokens[at]
    side = str(token.attrs.get("style", "")).removeprefix("text-align:")
    return f'<{token.tag} class="{side}">' if side in ("left", "right", "center") else f"<{token.tag}>"


def _table(*_: Any) -> str:
    """A wide one scrolls by itself, also by keys."""
    return '<div class="scroll" tabindex="0" role="group" aria-label="table"><table>'


def _table_end(*_: Any) -> str:
    return "</table></div>\n"


_RULES: dict[str, Any] = {
    "text": _text,
    "code_inline": _code,
    "fence": _fence,
    "code_block": _fence,
    "link_open": _link,
    "link_close": _link_end,
    "image": _image,
    "heading_open": _heading,
    "heading_close": _heading_end,
    "table_open": _table,
    "table_close": _table_end,
    "th_open": _cell,
    "td_open": _cell,
}
