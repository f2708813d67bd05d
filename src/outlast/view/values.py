"""Values as people read them: markdown, code, tables, pictures, folded JSON. What comes in is never trusted."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from markupsafe import Markup

from outlast.types.media import MEDIA, short_media, sniffed
from outlast.view.code import coloured
from outlast.view.markdown import looks_like_markdown, markdown
from outlast.view.texts import beginning, clean, folding, plain

PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_LARGEST = 4_000_000  # bytes of a picture
_MANY = 12  # fields from which an object inside another is folded
_ITEMS = 200  # of one list or object
_NODES = 3_000  # of one value
_DEEPEST = 24
_COLUMNS = 8
_REPEATED = 160  # characters from which a value is not shown twice
_OBVIOUS = 400  # characters of JSON whose text nobody misses
_NOTHING = Markup('<span class="nothing">{}</span>')


def shown(value: Any, known: Any = None, of: str = "") -> Markup:
    """A value of JSON-ready data as markup.

    A text with signs of markdown is rendered, with its source a click away; JSON in a text is read; rows with equal
    fields are a table; media that are stored are shown, and nothing else is loaded. Long fields that are the same in
    `known`, which was shown before and is called `of`, are only named.
    """
    if isinstance(value, Mapping) and isinstance(known, Mapping):
        return _Walk().mapping(
            _without_known(cast("Mapping[str, Any]", value), cast("Mapping[str, Any]", known), of), 0
        )
    return _Walk().value(value)


def literal(value: Any) -> Markup:
    """A value as it is: texts are not rendered, which is how a prompt is read."""
    return plain(value) if isinstance(value, str) else shown(value)


def raw(value: Any) -> Markup:
    """The JSON of a value, with the bytes of media told by their number."""
    text = json.dumps(short_media(value), ensure_ascii=False, indent=2, default=str)
    return (
        coloured(text, "json")
        if len(text) < 20_000
        else Markup('<pre class="code" tabindex="0">{}</pre>').format(clean(text[:400_000]))
    )


class _Walk:
    """One value; counts what was shown, so that a huge one ends."""

    def __init__(self) -> None:
        self.nodes = 0

    def value(self, value: Any, depth: int = 0) -> Markup:
        self.nodes += 1
        if isinstance(value, Markup):
            return value
        if self.nodes > _NODES or depth > _DEEPEST:
            return _NOTHING.format("… more in the raw JSON")
        if isinstance(value, str):
            return self.text(value, depth)
        if isinstance(value, Mapping):
            return self.mapping(cast("Mapping[str, Any]", value), depth)
        if isinstance(value, list | tuple):
            return self.sequence(cast("Sequence[Any]", value), depth)
        if value is None:
            return _NOTHING.format("none")
        return Markup('<code class="atom">{}</code>').format(clean(json.dumps(value, default=str)))

    def text(self, text: str, depth: int) -> Markup:
        if not text:
            return _NOTHING.format("empty")
        if text[:1] in "{[" and text.rstrip()[-1:] in "}]" and (data := _read(text)) is not None:
            inside = self.value(data, depth + 1)
            return inside if len(text) < _OBVIOUS else inside + _as_text(text)
        return markdown(text) + _as_text(text) if looks_like_markdown(text) else plain(text)

    def mapping(self, data: Mapping[str, Any], depth: int) -> Markup:
        if not data:
            return _NOTHING.format("empty object")
        special = _special(data)
        if special is not None:
            return special
        lines = [self._line(str(name), value, depth) for name, value in list(data.items())[:_ITEMS]]
        body = Markup('<dl class="json">{}</dl>').format(Markup("").join(lines) + _more(len(data)))
        if _is_small(data) or depth < (2 if len(data) <= _MANY else 1):
            return body
        return folding(f"{', '.join(map(str, list(data)[:6]))}", f"{len(data)} fields", body)

    def _line(self, name: str, value: Any, depth: int) -> Markup:
        return Markup("<dt>{}</dt><dd>{}</dd>").format(clean(beginning(name, 80)), self.value(value, depth + 1))

    def sequence(self, items: Sequence[Any], depth: int) -> Markup:
        if not items:
            return _NOTHING.format("empty list")
        if (names := _columns(items)) is not None:
            return self._table(names, cast("Sequence[Mapping[str, Any]]", items), depth)
        entries = [Markup("<li>{}</li>").format(self.value(item, depth + 1)) for item in items[:_ITEMS]]
        body = Markup('<ol class="json" start="0">{}</ol>').format(Markup("").join(entries)) + _more(len(items))
        if depth < 2 or _is_small(items):
            return body
        return folding("list", f"{len(items)} items", body)

    def _table(self, names: list[str], rows: Sequence[Mapping[str, Any]], depth: int) -> Markup:
        head = Markup("").join(Markup('<th scope="col">{}</th>').format(clean(name)) for name in names)
        body = Markup("").join(
            Markup("<tr>{}</tr>").format(
                Markup("").join(Markup("<td>{}</td>").format(self.value(row.get(name), depth + 2)) for name in names)
            )
            for row in rows[:_ITEMS]
        )
        table = Markup(
            '<div class="scroll" tabindex="0" role="group" aria-label="table"><table class="data"><thead><tr>{}</tr>'
            "</thead><tbody>{}</tbody></table></div>"
        ).format(head, body)
        return table + _more(len(rows))


def _without_known(value: Mapping[str, Any], known: Mapping[str, Any], of: str) -> dict[str, Any]:
    def same(name: str, inner: Any) -> bool:
        return name in known and known[name] == inner and len(json.dumps(inner, default=str)) > _REPEATED

    return {name: _NOTHING.format(f"as of {of}") if same(name, inner) else inner for name, inner in value.items()}


def _as_text(text: str) -> Markup:
    """The text itself, a click away."""
    return Markup('<details class="source"><summary>as text</summary>{}</details>').format(plain(text, folded=False))


def _more(count: int) -> Markup:
    left = count - _ITEMS
    return (
        Markup('<p class="muted">… {} more; the raw JSON has them</p>').format(f"{left:,}") if left > 0 else Markup("")
    )


def _columns(items: Sequence[Any]) -> list[str] | None:
    """The names of the columns when the items are rows of a table: small objects with the same fields."""
    if len(items) < 2 or not all(isinstance(item, Mapping) for item in items):
        return None
    first = list(cast("Mapping[str, Any]", items[0]))
    if not 1 < len(first) <= _COLUMNS or "type" in first:
        return None
    wanted = set(first)
    rows = cast("Sequence[Mapping[str, Any]]", items)
    return [str(name) for name in first] if all(set(row) == wanted for row in rows) else None


def _is_small(data: Any) -> bool:
    values = list(cast("Mapping[str, Any]", data).values()) if isinstance(data, Mapping) else list(data)
    return len(values) <= 4 and all(
        isinstance(value, int | float | None) or (isinstance(value, str) and len(value) < 80) for value in values
    )


def _read(text: str) -> Any:
    """The JSON data in a text, None where it is none or too large to be worth it."""
    if len(text) > 200_000:
        return None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("Any", data) if isinstance(data, dict | list) else None


# Objects that stand for something


def _special(data: Mapping[str, Any]) -> Markup | None:
    kind = data.get("type")
    if kind in MEDIA:
        return medium(data)
    if kind == "code" and isinstance(data.get("text"), str) and set(data) <= {"type", "text", "language"}:
        return coloured(data["text"], str(data.get("language", "")))
    if kind == "document" and isinstance(data.get("text"), str):
        title = str(data.get("title") or data.get("source") or "document")
        return folding(title, f"document, {len(data['text']):,} characters", shown(data["text"]))
    return None


def medium(data: Mapping[str, Any]) -> Markup:
    """A picture whose bytes are stored and are what they say; everything else is named, and nothing is loaded."""
    mime, encoded = str(data.get("mime", "")), data.get("data")
    name = str(data.get("name") or "")
    if not isinstance(encoded, str):
        address = str(short_media(dict(data)).get("url", ""))
        return Markup('<span class="unloaded">{} {} {}</span>').format(clean(mime), clean(name), clean(address[:300]))
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if mime in PICTURES and sniffed(content) == mime and len(content) <= _LARGEST:
        again = base64.b64encode(content).decode()
        return Markup('<img class="medium" src="data:{};base64,{}" alt="{}">').format(mime, again, name or "a picture")
    return Markup('<span class="unloaded">{} {} {} bytes</span>').format(clean(mime), clean(name), f"{len(content):,}")
