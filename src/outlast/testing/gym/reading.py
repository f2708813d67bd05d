"""How a simulated model reads a prompt: its instruction, demonstrations, question and the form of the answer.

It knows no adapter by name. It looks for what a model would look for: markers, tags, JSON, tools, a last line that says
what to reply with. Prompts of outlast's adapters and of DSPy's are read, and plain text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, cast

from outlast.messages import Message, Request, ToolCall

Kind = Literal["markers", "json", "tags", "tools", "dspy", "dspy-json", "dspy-tags", "fence", "text"]

_MARK = re.compile(r"<<(\w+?)(#\w+)?>>")
_MARKED = re.compile(r"^<<(\w+?)(?:#\w+)?>>\n(.*?)(?=^<<\w+?(?:#\w+)?>>|\Z)", re.DOTALL | re.MULTILINE)
_DSPY = re.compile(
    r"^\[\[ ## (\w+) ## \]\]\n?(.*?)(?=^\[\[ ## \w+ ## \]\]|^Respond with |\Z)", re.DOTALL | re.MULTILINE
)
_TAGGED = re.compile(r"<(\w+)((?:-\w+)?)>(.*?)</\1\2>", re.DOTALL)
_TICKED = re.compile(r"`(?:\[\[ ## )?<?(\w+)>?(?: ## \]\])?`")
_TABLE = re.compile(r"^(?:- (\w+)|\d+\. `(\w+)`) \((.*?)\)(?=: |:?$)", re.MULTILINE)
CASE = re.compile(r"case \d+: [a-z ]+\.?")
"""How a message of a world looks wherever it stands."""
_TASK = "your objective is:"
_KEYS = re.compile(r"with these keys: (.*?)\. Nothing else")
_OPEN = re.compile(r"<(\w+)((?:-\w+)?)>\.\.\.</")


@dataclass(frozen=True, slots=True)
class Form:
    """The form of the answer: its kind, the outputs in their order and `mark`, what guards the markers."""

    kind: Kind
    outputs: tuple[str, ...] = ()
    mark: str = ""
    end: str = "end"


@dataclass(frozen=True, slots=True)
class Turn:
    """One demonstration: its inputs and outputs as texts by name."""

    given: Mapping[str, str]
    said: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Prompt:
    """All that a request says. `types` are what it says of the types of its fields, by name."""

    instruction: str
    rest: str
    turns: tuple[Turn, ...]
    given: Mapping[str, str]
    form: Form
    types: Mapping[str, str] = field(default_factory=dict[str, str])
    whole: str = ""
    key: Any = ()


def as_messages(prompt: Request | Sequence[Any]) -> tuple[tuple[Message, ...], Request | None]:
    """The messages of a request, of (role, text) pairs, of `Message`s, or of mappings with `role` and `content`."""
    if isinstance(prompt, Request):
        return prompt.messages, prompt
    found: list[Message] = []
    for one in prompt:
        if isinstance(one, Message):
            found.append(one)
        elif isinstance(one, Mapping):
            said = cast("Mapping[str, Any]", one)
            found.append(Message(said["role"], _content(said["content"])))
        else:
            role, text = one
            found.append(Message(role, _content(text)))
    return tuple(found), None


def read(prompt: Request | Sequence[Any], inputs: frozenset[str] = frozenset()) -> Prompt:
    """Read a prompt. `inputs` are names of inputs that a question of the world has: they tell it from what follows it,
    such as a model being told that its reply could not be used."""
    messages, request = as_messages(prompt)
    heads = [one.text for one in messages if one.role == "system"]
    talk = [one for one in messages if one.role != "system"]
    head = heads[0] if len(heads) == 1 else "\n\n".join(heads)
    at = _question(talk, inputs)
    asked = talk[at].text if talk else ""
    tools = tuple(_tool(one) for one in request.tools) if request is not None and request.tools else ()
    form = _form(head, asked[-1500:], tools)
    shown = tuple((one.role, _said(one)) for one in talk[:at])
    turns = _turns(shown) if shown else ()
    given = fields_of(asked)
    instruction, rest, types = _head(head)
    if form.kind == "text" and not given and (spots := list(CASE.finditer(asked))):
        plain, turns, given = _plainly(asked, spots)
        instruction, shown = f"{instruction}\n{plain}".strip(), (*shown, ("user", asked[: spots[-1].start()]))
    if tools:
        types = {**{name: kind for _, names in tools for name, kind in names}, **types}
    return Prompt(instruction, rest, turns, given, form, types, asked, (head, shown, form))


def fields_of(text: str) -> dict[str, str]:
    """The fields that a text holds, as texts by name, whatever their form; none for plain text."""
    text = text.strip()
    if text.startswith("{"):
        try:
            data, _ = json.JSONDecoder(strict=False).raw_decode(text)
        except ValueError:
            data = {}
        return {str(name): _plain(value) for name, value in cast("dict[str, Any]", data).items()}
    if "[[ ## " in text:
        return {name: value.strip() for name, value in _DSPY.findall(text) if name != "completed"}
    if "<<" in text and (found := _MARKED.findall(text)):
        return {name: value.strip() for name, value in found if not name.startswith("end")}
    if "</" in text:
        return {name: value.strip() for name, _, value in _TAGGED.findall(text) if value != "..."}
    return {}


def _plainly(asked: str, spots: Sequence[re.Match[str]]) -> tuple[str, tuple[Turn, ...], dict[str, str]]:
    """The instruction, demonstrations and question of a prompt in plain text: its last message is the question.

    What stands after an earlier message, up to the next, is its answer, under the name "".
    """
    ends = [spot.start() for spot in spots[1:]]
    turns = [Turn({"message": spot[0]}, {"": asked[spot.end() : end]}) for spot, end in zip(spots, ends, strict=False)]
    around = asked[: spots[0].start()], asked[spots[-1].end() :]
    return "\n".join(around), tuple(turns), {"message": spots[-1][0]}


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = cast("Iterable[Any]", content or ())
    return "".join(
        cast("Mapping[str, Any]", one).get("text", "") if isinstance(one, Mapping) else str(one) for one in parts
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _question(talk: Sequence[Message], inputs: frozenset[str]) -> int:
    last = len(talk) - 1
    for at in range(last, -1, -1):
        if talk[at].role == "user" and (not inputs or inputs & fields_of(talk[at].text).keys()):
            return at
    return next((at for at in range(last, -1, -1) if talk[at].role == "user"), max(last, 0))


def _said(message: Message) -> str:
    if not isinstance(message.content, str):
        for part in message.content:
            if isinstance(part, ToolCall):
                return part.arguments
    return message.text


@lru_cache(maxsize=1024)
def _turns(talk: tuple[tuple[str, str], ...]) -> tuple[Turn, ...]:
    found: list[Turn] = []
    given: dict[str, str] = {}
    for role, text in talk:
        if role == "user":
            given = fields_of(text)
        elif role == "assistant" and given:
            found.append(Turn(given, fields_of(text)))
            given = {}
    return tuple(found)


@lru_cache(maxsize=4096)
def _head(head: str) -> tuple[str, str, Mapping[str, str]]:
    """The instruction, the rest, and the types of the fields."""
    types = {one or other: kind for one, other, kind in _TABLE.findall(head)}
    if _TASK in head:
        before, _, task = head.rpartition(_TASK)
        return "\n".join(line.strip() for line in task.strip().splitlines()), before, types
    cut = re.search(r"^(Inputs|Outputs):\n- ", head, re.MULTILINE)
    if cut is None:
        return head, "", types
    return head[: cut.start()].strip(), head[cut.start() :], types


def _tool(tool: Any) -> tuple[str, tuple[tuple[str, str], ...]]:
    properties = tool.parameters.get("properties", {})
    return tool.name, tuple((name, json.dumps(kind)) for name, kind in properties.items())


@lru_cache(maxsize=4096)
def _form_of_head(head: str) -> Form | None:
    if found := _KEYS.search(head):
        return Form("json", tuple(re.findall(r'"(\w+)"', found[1])))
    return None


def _form(head: str, asked: str, tools: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]) -> Form:
    if tools:
        return Form("tools", tuple(name for name, _ in tools[0][1]), tools[0][0])
    at = asked.rfind("\nRespond with ")
    if at >= 0 and "`" in asked[at:]:
        return _of_dspy(asked[at:])
    at = asked.rfind("\nReply with <")
    if at >= 0:
        return _of_tail(asked[at:])
    if (found := _form_of_head(head)) is not None:
        return found
    return Form("fence" if "```" in asked[-300:] else "text")


@lru_cache(maxsize=4096)
def _of_tail(tail: str) -> Form:
    if marks := _MARK.findall(tail):
        return Form("markers", tuple(name for name, _ in marks[:-1]), marks[-1][1], marks[-1][0])
    opened = _OPEN.findall(tail)
    return Form("tags", tuple(name for name, _ in opened), opened[0][1] if opened else "")


@lru_cache(maxsize=4096)
def _of_dspy(tail: str) -> Form:
    names = tuple(dict.fromkeys(name for name in _TICKED.findall(tail) if name != "completed"))
    kind: Kind = "dspy-json" if "JSON object" in tail else "dspy-tags" if "XML tags" in tail else "dspy"
    return Form(kind, names)
