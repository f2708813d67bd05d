"""Code with a few colours: classes of the style sheet, never a style in the page.

One pass of one regular expression, linear in the length of the text: the text and the name of the language are a
model's, and lexers of whole languages can be made to take minutes.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from markupsafe import Markup

from outlast.view.texts import LONG, clean, folding

LONGEST = 20_000  # characters that are coloured; more stays plain
_TEXT = r""""(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?"""
_HASH, _SLASHES, _DASHES = r"\#[^\n]*", r"//[^\n]*|/\*(?s:.*?)(?:\*/|\Z)", r"--[^\n]*"


class _Look(NamedTuple):
    """What a language looks like: its comments, its words."""

    notes: str
    words: frozenset[str]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NAMED = _words("true false null True False None nil undefined")
_PYTHON = _Look(
    _HASH,
    _NAMED
    | _words(
        "def class return if elif else for while in not and or import from as with try except finally raise yield "
        "lambda pass break continue async await is del global nonlocal assert match case"
    ),
)
_BRACES = _Look(
    _SLASHES,
    _NAMED
    | _words(
        "function return if else for while do switch case break continue const let var new class extends import export "
        "from default async await try catch finally throw typeof this public private static void int float double "
        "char bool string struct enum fn let mut impl pub use match func package type interface func go defer"
    ),
)
_SQL = _Look(
    _DASHES,
    _words(
        "select from where join left right inner outer on group by order having limit offset insert into values update "
        "set delete create table index view with as and or not in is null distinct union all case when then else end"
    ),
)
_SHELL = _Look(_HASH, _words("if then else fi for do done while in case esac function echo export cd return exit"))
_PLAIN = _Look(_HASH, _NAMED)
_JSON = _Look("", _NAMED)
_LOOKS = {
    **dict.fromkeys(("python", "py", "python3"), _PYTHON),
    **dict.fromkeys(
        ("js", "javascript", "ts", "typescript", "jsx", "tsx", "java", "c", "cpp", "c++", "csharp"), _BRACES
    ),
    **dict.fromkeys(("go", "rust", "kotlin", "swift", "php", "scala", "dart"), _BRACES),
    **dict.fromkeys(("sql", "sqlite", "postgres", "postgresql", "mysql"), _SQL),
    **dict.fromkeys(("sh", "bash", "shell", "zsh", "console"), _SHELL),
    **dict.fromkeys(("yaml", "yml", "toml", "ini", "ruby", "rb", "r"), _PLAIN),
    **dict.fromkeys(("json", "jsonl", "json5"), _JSON),
}


def coloured(text: str, language: str = "") -> Markup:
    """The code as it is, in a few colours when its language is a well-known one."""
    look = _LOOKS.get(language.lower())
    body = _marked(text, look) if look is not None and len(text) <= LONGEST else clean(text)
    block = Markup('<pre class="code" tabindex="0"{}>{}</pre>').format(_named(language), body)
    if len(text) > LONG:
        return folding(language or "code", f"{text.count(chr(10)) + 1:,} lines", block)
    return block


def _named(language: str) -> Markup:
    return Markup(' data-language="{}"').format(language[:20]) if language else Markup("")


def _marked(text: str, look: _Look) -> Markup:
    parts: list[Markup] = []
    at = 0
    for found in _pattern(look.notes).finditer(text):
        kind = found.lastgroup or ""
        word = found[0]
        if kind == "word":
            if word not in look.words and (look is not _SQL or word.lower() not in look.words):
                continue
        elif kind == "text" and look is _JSON and text[found.end() : found.end() + 1] == ":":
            kind = "name"
        parts += [clean(text[at : found.start()]), Markup('<span class="c-{}">{}</span>').format(kind, clean(word))]
        at = found.end()
    return Markup("").join([*parts, clean(text[at:])])


@cache
def _pattern(notes: str) -> re.Pattern[str]:
    """Comments, texts, numbers and words. Nothing in it can fail after it began, so that it never goes back far."""
    first = f"(?P<note>{notes})|" if notes else ""
    return re.compile(rf"{first}(?P<text>{_TEXT})|(?P<number>\b\d[\w.]*)|(?P<word>[A-Za-z_]\w*)")
