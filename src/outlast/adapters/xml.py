"""Fields inside tags: for models that were raised on XML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING, Any

from outlast.adapters.chat import ChatPlan
from outlast.adapters.elements import from_elements
from outlast.adapters.layout import failed
from outlast.adapters.protocol import Adapter, Plan, Task, check_limits
from outlast.adapters.tags import ESCAPE, Tags
from outlast.lms.protocol import Capabilities
from outlast.messages import Response
from outlast.signatures.codec import Codec, codecs

if TYPE_CHECKING:
    from outlast.adapters.partial import PartialReader


@dataclass(frozen=True, slots=True)
class XML(Adapter):
    """Every field stands inside its tags: `<team>cards</team>`; what is nested is JSON inside them.

    Tags count only for the names of fields, so HTML in a text is text. When data holds something like a tag of a
    field, all tags of that call carry a nonce that the data does not hold, `<team-7f3a9c01>`, so that data never
    reads as structure. Reads prose around, code fences, CDATA, a tag that nothing closes where it is plain where the
    value ends, and a JSON object instead of tags. A field given twice is an error, and so are a reply that was cut off
    and a text with XML escapes, which could be meant or not.
    """

    reasks: int = 2
    fallback: Adapter | None = None

    def __post_init__(self) -> None:
        check_limits(self)

    def compile(self, task: Task, capabilities: Capabilities) -> Plan:
        """The plan for a task; of the model's capabilities only citations matter."""
        return XMLPlan(task, cites=capabilities.citations)


class XMLPlan(ChatPlan):
    """A task whose system message and demonstrations are rendered with tags."""

    grammar = Tags

    def __init__(self, task: Task, *, cites: bool = False) -> None:
        super().__init__(task, cites=cites)
        self.kept_tags = self.signature.fields

    def partial(self, nonce: str) -> PartialReader:
        """A reader for the pieces of one reply."""
        from outlast.adapters.partial_tags import TaggedReader

        assert isinstance(self.markers, Tags)
        return TaggedReader(self.markers, nonce, codecs(self.signature), self.kept_tags)

    def written_output(self, codec: Codec, value: Any) -> str:
        """The value without anything that reads as an XML escape or as CDATA."""
        text = codec.write(value)
        if not ESCAPE.search(text) and not text.startswith("<!["):
            return text
        if codec.style != "json" and not text.startswith('"'):
            text = json.dumps(text, ensure_ascii=False)
        return text.replace("&", "\\u0026")

    def values(self, found: Mapping[str, str], response: Response) -> dict[str, Any]:
        """The values that the texts say, with escapes taken back where only that can be meant."""
        table = codecs(self.signature)
        plain: dict[str, str] = {}
        wrong: list[str] = []
        for name, text in found.items():
            try:
                plain[name] = _unescaped(table[name], text)
            except ValueError as error:
                wrong.append(f"{name}: {error}")
        if wrong:
            raise failed(self.signature, response, wrong)
        return super().values(plain, response)


def _unescaped(codec: Codec, text: str) -> str:
    """A text with its XML escapes taken back where only that can be meant; raises `ValueError` for doubt."""
    if codec.style == "json" and text.lstrip().startswith("<"):
        data = from_elements(text, codec.schema())
        if data is not None:
            return json.dumps(data)
    found = ESCAPE.search(text) if "&" in text else None
    if found is None:
        return text
    plain = unescape(text)
    escaped_value, plain_value = _reading(codec, text), _reading(codec, plain)
    if not escaped_value or escaped_value == plain_value:
        return plain
    if not plain_value:
        return text
    raise ValueError(
        f"holds the XML escape {found[0]}, which may be meant as it stands or not; write the character as it is, or "
        f"the text as a JSON string with \\u0026 for &"
    )


def _reading(codec: Codec, text: str) -> tuple[Any, ...]:
    """The value of a text in a 1-tuple, () when it is none."""
    try:
        return (codec.read(text),)
    except (ValueError, RecursionError):
        return ()
