"""Reads a rendered prompt the way a model would: what is asked for, in which format, what was shown before.

Only the messages are looked at. Three formats are known, the field markers of `Chat`, the tags of `XML` and the
objects of `JSON`;
any other conversation is free text.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from outlast.lms.baseline.schema import Schema, listed, part, resolve, schema_of
from outlast.lms.baseline.text import Index, Terms, clip, count_tokens, terms
from outlast.messages import Message, OutputSchema

Style = Literal["chat", "xml", "json", "free"]

_MARKER = re.compile(r"^[ \t]*<<([^\W\d]\w*)(?:#(\w+))?>>[ \t]*$", re.MULTILINE)
_TAGGED = re.compile(r"^<([^\W\d]\w*)(?:-([0-9a-f]{8}))?>\.\.\.</\S+>$", re.MULTILINE)  # the shape of a reply
_HEADER = re.compile(r"^[#*]*\s?(inputs?|outputs?)(?: fields)?\s*:?[*]*\s*$", re.IGNORECASE)
_BULLET = re.compile(r"^[-*]\s+[`\"'*]*([^\W\d]\w*)[`\"'*]*\s*(?=[(:]|$)")
_SHORT = 40  # an input value of at most so many characters also counts as a whole


@dataclass(frozen=True, slots=True)
class Asked:
    """One output that the prompt asks for. `root` is where the `$ref`s of its schema point to."""

    name: str
    schema: Schema
    root: Schema
    desc: str = ""

    @property
    def bare(self) -> bool:
        """True when the chat format writes the value as plain text: text, or a choice among texts."""
        schema = resolve(self.schema, self.root)
        if values := listed(schema, "enum"):
            return all(isinstance(value, str) for value in values)
        return schema.get("type") == "string" and "format" not in schema


@dataclass(frozen=True, slots=True)
class Spec:
    """What the system message and the requested output ask for; `whole` means an answer that is no object."""

    style: Style
    instruction: str
    inputs: Mapping[str, str]
    outputs: tuple[Asked, ...]
    nonce: str = ""
    end: str = "end"
    whole: bool = False

    def tag(self, name: str) -> str:
        """What stands in the tags of a field in the XML format."""
        return f"{name}-{self.nonce}" if self.nonce else name

    def marker(self, name: str) -> str:
        """The line that opens a field in the chat format."""
        return f"<<{name}#{self.nonce}>>" if self.nonce else f"<<{name}>>"


@dataclass(frozen=True, slots=True)
class Demo:
    """One earlier exchange: the inputs as text, the outputs that were given as values."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Prefix:
    """All that comes before the question, ready to be compared with it."""

    messages: tuple[Message, ...]
    spec: Spec
    demos: tuple[Demo, ...]
    index: Index
    tokens: int


def read_spec(text: str, output: OutputSchema | Literal["json"] | None) -> Spec:
    """What a system message asks for."""
    lines = text.split("\n")
    found_in = _section(lines, "input")
    found_out = _section(lines, "output")
    rows_in = found_in[1] if found_in else {}
    rows_out = found_out[1] if found_out else {}
    starts = [section[0] for section in (found_in, found_out) if section]
    instruction = "\n".join(lines[: min(starts)] if starts else lines).strip()
    inputs = {name: desc for name, (_, desc) in rows_in.items()}
    schemas = {name: schema_of(words) for name, (words, _) in rows_out.items()}
    asked = tuple(Asked(name, schemas[name], schemas[name], desc) for name, (_, desc) in rows_out.items())
    markers = _MARKER.findall(text)
    tagged = _TAGGED.findall(text) if output is None else []
    if tagged and [name for name, _ in tagged[-len(asked) :]] == [field.name for field in asked]:
        return Spec("xml", instruction, inputs, asked, tagged[-1][1])
    if output is not None or not (markers and (asked or inputs)):
        return _json_spec(text, instruction, inputs, asked, output)
    end, nonce = cast("tuple[str, str]", markers[-1])
    names = {field.name for field in asked}
    if not asked:
        names = {name for name, its in markers if its == nonce and name not in inputs and name != end}
        asked = tuple(Asked(name, {"type": "string"}, {}) for name in sorted(names))
    return Spec("chat", instruction, inputs, asked, nonce, "end" if end in names else end)


def _json_spec(
    text: str,
    instruction: str,
    inputs: Mapping[str, str],
    asked: tuple[Asked, ...],
    output: OutputSchema | Literal["json"] | None,
) -> Spec:
    if isinstance(output, OutputSchema):
        root = output.schema
        schema = resolve(root, root)
        properties = part(schema, "properties")
        told = {field.name: field.desc for field in asked}
        if not properties:
            whole = Asked("", root, root)
            return Spec("json", instruction, inputs, asked or (whole,), whole=not asked)
        fields = tuple(
            Asked(
                name,
                part(properties, name),
                root,
                told.get(name) or str(part(properties, name).get("description") or ""),
            )
            for name in properties
        )
        return Spec("json", instruction, inputs, fields)
    wants_json = output == "json" or (bool(asked) and re.search(r"\bJSON object\b", text) is not None)
    return Spec("json" if wants_json else "free", instruction, inputs, asked)


def _section(lines: Sequence[str], which: str) -> tuple[int, dict[str, tuple[str, str]]] | None:
    """The last list of fields under a header: the header's line, and name -> (type words, description)."""
    for start in range(len(lines) - 1, -1, -1):
        header = _HEADER.match(lines[start])
        if header is None or not header[1].lower().startswith(which):
            continue
        rows: dict[str, tuple[str, str]] = {}
        name = ""
        for line in lines[start + 1 :]:
            bullet = _BULLET.match(line)
            if bullet:
                name = bullet[1]
                rows[name] = _typed(line[bullet.end() :])
            elif not line.rstrip("\r") or not name:  # an empty line inside a description is indented
                break
            else:
                rows[name] = (rows[name][0], f"{rows[name][1]}\n{line.strip()}")
        if rows:
            return start, rows
    return None


def _typed(rest: str) -> tuple[str, str]:
    """`(type words): description` taken apart; parentheses and quotes inside the type are minded."""
    rest = rest.strip()
    if not rest.startswith("("):
        return "", rest.lstrip(":").strip()
    depth, quoted, skip = 0, False, False
    for at, char in enumerate(rest):
        if skip or (quoted and char == "\\"):
            skip = not skip
        elif char == '"':
            quoted = not quoted
        elif not quoted and char in "()":
            depth += 1 if char == "(" else -1
            if depth == 0:
                return rest[1:at], rest[at + 1 :].lstrip(" :").strip()
    return rest[1:], ""


def locate(messages: Sequence[Message], spec: Spec) -> int:
    """The place of the turn that asks: the user's last in the prompt's format. Later ones are re-asks."""
    users = [at for at, message in enumerate(messages) if message.role == "user"]
    if spec.style != "free":
        for at in reversed(users):
            if is_question(messages[at].text, spec):
                return at
    return users[-1] if users else len(messages)


def is_question(text: str, spec: Spec) -> bool:
    """True when a user turn has the format of the prompt."""
    if spec.style == "json":
        return text.lstrip().startswith("{") and (bool(read_inputs(text, spec)) or not _object(text))
    if spec.style == "xml":
        first = re.match(r"<([^<>]+)>", text)
        return first is not None and first[1] in map(spec.tag, spec.inputs)
    first = _MARKER.match(text.lstrip())
    return first is not None and (first[2] or "") == spec.nonce and (first[1] in spec.inputs or first[1] == spec.end)


def read_inputs(text: str, spec: Spec) -> dict[str, str]:
    """The inputs of one user turn by name, as text; empty when the turn is not in the prompt's format."""
    if spec.style in ("chat", "xml"):
        return {name: _unquoted(value) for name, value in _fields(text, spec, spec.inputs).items()}
    if spec.style == "json":
        return {
            name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in _object(text).items()
            if name in spec.inputs or not spec.inputs
        }
    return {"text": text} if text.strip() else {}


def read_outputs(text: str, spec: Spec) -> dict[str, Any]:
    """The outputs of one assistant turn by name; those that are missing or unreadable are left out."""
    if spec.style == "json":
        data = _object(text)
        return {field.name: data[field.name] for field in spec.outputs if field.name in data}
    found = _fields(text, spec, {field.name: "" for field in spec.outputs})
    values: dict[str, Any] = {}
    for field in spec.outputs:
        if field.name not in found:
            continue
        raw = found[field.name]
        if field.bare:
            values[field.name] = _unquoted(raw)
            continue
        try:
            values[field.name] = json.loads(raw)
        except (ValueError, RecursionError):
            values[field.name] = raw
    return values


def _fields(text: str, spec: Spec, names: Mapping[str, str]) -> dict[str, str]:
    """The text under each marker, or in each tag, of the prompt's own kind; any other is data."""
    if spec.style == "xml":
        return _inside_tags(text, spec, names)
    marks = [match for match in _MARKER.finditer(text) if (match[2] or "") == spec.nonce]
    marks = [match for match in marks if match[1] in names or match[1] == spec.end]
    found: dict[str, str] = {}
    for at, match in enumerate(marks):
        if match[1] == spec.end and match[1] not in names:
            break
        stop = marks[at + 1].start() if at + 1 < len(marks) else len(text)
        found.setdefault(match[1], text[match.end() : stop].strip())
    return found


def _inside_tags(text: str, spec: Spec, names: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        _, opened, rest = text.partition(f"<{spec.tag(name)}>")
        value, closed, _ = rest.partition(f"</{spec.tag(name)}>")
        if opened and closed:
            found[name] = value.strip()
    return found


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
        return value if isinstance(value, str) else text
    return text


def _object(text: str) -> dict[str, Any]:
    start = text.find("{")
    if start < 0:
        return {}
    try:
        data, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}


def read_prefix(messages: tuple[Message, ...], spec: Spec) -> Prefix:
    """The turns before the question: every answered user turn is a demonstration."""
    demos: list[Demo] = []
    for before, after in itertools.pairwise(messages):
        if spec.style == "free" or before.role != "user" or after.role != "assistant":
            continue
        demo = Demo(read_inputs(before.text, spec), read_outputs(after.text, spec))
        if demo.outputs:
            demos.append(demo)
    index = Index([comparable(demo.inputs) for demo in demos])
    tokens = sum(count_tokens(message.text) for message in messages)
    return Prefix(messages, spec, tuple(demos), index, tokens)


def comparable(inputs: Mapping[str, str]) -> Terms:
    """What a set of inputs is compared by: their text, and each short value as a whole."""
    short = [f"{name}={value}" for name, value in inputs.items() if 0 < len(value) <= _SHORT]
    return terms("\n".join(clip(value) for value in inputs.values()), short)
