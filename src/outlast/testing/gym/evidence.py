"""What a simulated proposer finds in the text that it is given: the instruction, failures, labelled items, advice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from outlast.testing.gym.language import Sense, sentences
from outlast.testing.gym.reading import Prompt
from outlast.testing.gym.seen import Item

if TYPE_CHECKING:
    from outlast.testing.gym.world import World

_CASE = re.compile(r"case \d+: [a-z ]+\.?")
_FENCED = re.compile(r"```\w*\n(.*?)\n```", re.DOTALL)
_ORIGINAL = re.compile(r"Original Instructions:\s*\n(.*?)(?=\n-{8,}|\Z)", re.DOTALL)
_EXPECTED = r"(?:expected|should have (?:been|said)|should be|correct(?: answer)?(?: is|:)?|target|label|wanted|truth)"
_WRONG = re.compile(
    r"\bwrong\b|\bincorrect\b|score\W{0,4}(?:=|:|is|of)?\W{0,3}0(?:\.0+)?\b|could not be (?:read|used)|failed to parse",
    re.IGNORECASE,
)
_UNREAD = re.compile(r"could not be (?:read|used)|failed to parse|no usable answer|couldn't parse", re.IGNORECASE)
_INSTRUCTION = ("current_instruction", "basic_instruction", "instruction", "prompt", "current", "text", "variable")
_TRIED = re.compile(r"fail|tried|avoid|memory|previous|attempt|reject|history", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Labelled:
    """An item with the label that the text gives it for a step; `failed` says that the model was wrong there."""

    item: Item
    step: int
    label: str
    failed: bool


@dataclass
class Evidence:
    """All that a proposer has to go by."""

    instruction: list[str] = field(default_factory=list[str])
    labelled: list[Labelled] = field(default_factory=list[Labelled])
    advice: list[str] = field(default_factory=list[str])
    tried: set[str] = field(default_factory=set[str])
    unread: bool = False
    modules: tuple[str, ...] = ()

    @property
    def failures(self) -> list[Labelled]:
        """Only what went wrong."""
        return [one for one in self.labelled if one.failed]


def gathered(world: World, prompt: Prompt) -> Evidence:
    """Read a prompt that asks for a proposal."""
    found = Evidence()
    current = _current(prompt)
    found.instruction = _lines(current)
    own = set(found.instruction)
    text = prompt.whole.replace("\\n", "\n").replace('\\"', '"')
    found.labelled = _labelled(world, text)
    found.unread = _UNREAD.search(text) is not None
    found.modules = _modules(prompt)
    tried = "\n".join(value for name, value in prompt.given.items() if _TRIED.search(name))
    found.tried = set(sentences(_flat(tried)))
    for sentence in sentences(_flat(text)):
        if sentence not in own and sentence not in found.tried and len(sentence) < 300:
            sense = world.language.sense(_clean(sentence))
            if (sense.rules or sense.router) and not _CASE.search(sentence) and "expected" not in sentence:
                found.advice.append(_clean(sentence))
    return found


def _current(prompt: Prompt) -> str:
    """The instruction that is to be improved."""
    names = [name for name in prompt.given if not _TRIED.search(name)]
    for wanted in _INSTRUCTION:
        for name in names:
            if name == wanted or (wanted == "instruction" and "instruction" in name):
                return prompt.given[name]
    if found := _FENCED.search(prompt.whole):
        return found[1]
    if found := _ORIGINAL.search(prompt.whole):
        return found[1]
    attempts = prompt.given.get("attempted_instructions") or prompt.given.get("previous_instructions")
    return _best_attempt(attempts) if attempts else ""


def _best_attempt(attempts: str) -> str:
    """The last of the instructions that were tried: they stand in increasing order of their scores."""
    found = re.findall(r"Instruction #\d+: (.*?)(?=\n?Prefix #|\n?Resulting Score|\Z)", _flat(attempts), re.DOTALL)
    return found[-1] if found else ""


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines() if line.strip()]


def _flat(text: str) -> str:
    return text.replace("\\n", "\n")


def _clean(sentence: str) -> str:
    return sentence.strip("\"'[],{} \t-*«»")


def _modules(prompt: Prompt) -> tuple[str, ...]:
    try:
        names = json.loads(prompt.given.get("module_names", "[]"))
    except ValueError:
        return ()
    return tuple(str(name) for name in cast("list[Any]", names)) if isinstance(names, list) else ()


def _labelled(world: World, text: str) -> list[Labelled]:
    """Every message in a text, with what is said of it up to the next message."""
    spots = list(_CASE.finditer(text))
    merged: list[tuple[str, list[str]]] = []
    for at, spot in enumerate(spots):
        end = spots[at + 1].start() if at + 1 < len(spots) else len(text)
        after = text[spot.end() : end]
        if merged and merged[-1][0] == spot[0]:
            merged[-1][1].append(after)
        else:
            merged.append((spot[0], [after]))
    found: list[Labelled] = []
    for message, parts in merged:
        found += _said_of(world, world.item(message), "\n".join(parts))
    if not found and (outside := _oracle(world, text)) and merged:
        found = [Labelled(world.item(merged[0][0]), step, label, True) for step, label in outside]
    return list(dict.fromkeys(found))


def _said_of(world: World, item: Item, about: str) -> list[Labelled]:
    found: list[Labelled] = []
    wrong = _WRONG.search(about) is not None
    for number, step in enumerate(world.steps):
        labels = "|".join(step.labels)
        hit = re.search(rf"{_EXPECTED}[^.\n]{{0,60}}?\b({labels})\b", about, re.IGNORECASE)
        if hit is not None:
            found.append(Labelled(item, number, hit[1].lower(), wrong))
            continue
        named = re.search(rf"\b{step.output}\b\W{{1,12}}({labels})\b", about)
        if named is not None and not wrong:
            found.append(Labelled(item, number, named[1], False))
    return found


def _oracle(world: World, text: str) -> list[tuple[int, str]]:
    at = text.find("oracle_metadata")
    if at < 0:
        return []
    near = text[at : at + 200]
    return [
        (number, hit[1])
        for number, step in enumerate(world.steps)
        if (hit := re.search(rf"\b({'|'.join(step.labels)})\b", near))
    ]


def present(world: World, lines: Iterable[str]) -> set[tuple[int, int, str]]:
    """The rules that some lines state."""
    return {rule for line in lines for one in sentences(line) for rule in world.language.sense(one).rules}


def senses(world: World, line: str) -> list[Sense]:
    """What the sentences of a line say."""
    return [world.language.sense(one) for one in sentences(line)]


def plain(value: Any) -> str:
    """A value as text."""
    return value if isinstance(value, str) else json.dumps(value)
