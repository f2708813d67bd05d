"""Code with colours: classes of the style sheet, never a style in the page."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

from markupsafe import Markup

from outlast.view.texts import LONG, clean, folding

LONGEST = 20_000  # characters that are coloured; more stays plain


def coloured(text: str, language: str = "") -> Markup:
    """The code as it is, in the colours of its language when that is known."""
    body = _marked(text, language) if language and len(text) <= LONGEST else clean(text)
    block = Markup('<pre class="code" tabindex="0"{}>{}</pre>').format(_named(language), body)
    if len(text) > LONG:
        return folding(f"{language or 'code'}", f"{text.count(chr(10)) + 1:,} lines", block)
    return block


def _named(language: str) -> Markup:
    return Markup(' data-language="{}"').format(language[:20]) if language else Markup("")


def _marked(text: str, language: str) -> Markup:
    lexer = _lexer(language)
    if lexer is None:
        return clean(text)
    parts: list[Any] = []
    for kind, piece in lexer.get_tokens(text):
        name = _class(kind)
        parts.append(Markup('<span class="{}">{}</span>').format(name, clean(piece)) if name else clean(piece))
    return Markup("").join(parts)


@lru_cache(64)
def _lexer(language: str) -> Any:
    from pygments import lexers
    from pygments.util import ClassNotFound

    try:
        return cast("Any", lexers).get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def _class(kind: Any) -> str:
    """One of seven classes for a kind of token, "" for the rest."""
    name = str(kind).removeprefix("Token.")
    for beginning, shown in _KINDS:
        if name.startswith(beginning):
            return shown
    return ""


_KINDS = (
    ("Comment", "c-note"),
    ("Keyword", "c-word"),
    ("Operator.Word", "c-word"),
    ("Name.Function", "c-name"),
    ("Name.Class", "c-name"),
    ("Name.Tag", "c-word"),
    ("Name.Attribute", "c-name"),
    ("Name.Builtin", "c-built"),
    ("Name.Decorator", "c-name"),
    ("Literal.String", "c-text"),
    ("Literal.Number", "c-number"),
    ("Generic.Inserted", "c-text"),
    ("Generic.Deleted", "c-number"),
)
