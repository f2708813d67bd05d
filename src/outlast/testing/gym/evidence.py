"""What a simulated proposer finds in the text that it is given: the instruction, failures, labelled items, advice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from outlast.testing.gym.language import Sense, sentences
from outlast.testing.gym.reading import CASE, Prompt
from outlast.testing.gym.seen import Item

if TYPE_CHECKING:
    from outlast.testing.gym.world import World

_FENCED = re.compile(r"```\w*\n(.*?)\n```", re.DOTALL)
_ORIGINAL = re.compile(r"Original Instructions:\s*\n(.*?)(?=\n-{8,}|\Z)", re.DOTALL)
_ATTEMPT = re.compile(r"Instruction #\d+: (.*?)(?=\W*Prefix #|\W*Resulting Score|\Z)", re.DOTALL)
_SCORED = re.compile(r"(.*?) \| Score: [\d.]+\s*", re.DOTALL)
_LISTED = re.compile(r"^\[\d+\] |[«»]+", re.MULTILINE)
_GIVES = re.compile(r"->\s*(\w+(?:, \w+)*)")
_SAID = re.compile(r"(?:Generated Outputs|answered|outputs)\W+(\w+)", re.IGNORECASE)
_EXPECTED = r"(?:expected|should have (?:been|said)|should be|correct(?: answer)?(?: is|:)?|target|wanted|truth)"
_WRONG = re.compile(
    r"\bwrong\b|\bincorrect\b|score\W{0,4}(?:=|:|is|of)?\W{0,3}0(?:\.0+)?(?![.\d])"
    r"|could not be (?:read|used)|parse",
    re.IGNORECASE,
)
_UNREAD = re.compile(r"could not be (?:read|used)|failed to parse|no usable answer|couldn't parse", re.IGNORECASE)
_INSTRUCTION = ("current_instruction", "basic_instruction", "instruction", "prompt", "current", "text", "variable")
_TRIED = re.compile(r"fail(?!ures)|tried|avoid|memory|previous|attempt|reject|history", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Labelled:
    """An item with the label that the text gives it for a step; `failed` says that the model was wrong there."""

    item: Item
    step: int
    label: str
    failed: bool


@dataclass
class Evidence:
    """All that a proposer has to go by: the lines of the instruction, what is said of items, sentences that state
    rules, lines that were tried in vain. `step` is the one that the instruction is for, None when it does not say."""

    instruction: list[str] = field(default_factory=list[str])
    labelled: list[Labelled] = field(default_factory=list[Labelled])
    advice: list[str] = field(default_factory=list[str])
    tried: set[str] = field(default_factory=set[str])
    unread: bool = False
    modules: tuple[str, ...] = ()
    step: int | None = None

    @property
    def failures(self) -> list[Labelled]:
        """Only what went wrong."""
        return [one for one in self.labelled if one.failed]


def gathered(world: World, prompt: Prompt) -> Evidence:
    """Read a prompt that asks for a proposal."""
    current = _current(prompt)
    second = prompt.given.get("second", "") if "first" in prompt.given else ""
    lines = list(dict.fromkeys([*_lines(current), *_lines(second)]))
    tried = "\n".join(value for name, value in prompt.given.items() if _TRIED.search(name))
    found = Evidence(lines, tried={_clean(one).lstrip("+ ") for one in sentences(_flat(tried).replace(";", "\n"))})
    text = _rest(prompt, current)
    found.step = _step(world, prompt, lines, text)
    found.labelled = [one for one in _labelled(world, text) if found.step in (None, one.step)]
    found.unread = _UNREAD.search(text) is not None
    found.modules = _modules(prompt)
    if not second:
        found.advice = _advice(world, text, found)
    return found


def _rest(prompt: Prompt, current: str) -> str:
    """What there is beside the instruction and what was tried."""
    given = {
        name: value
        for name, value in prompt.given.items()
        if value != current and not _TRIED.search(name) and name not in ("first", "second")
    }
    if prompt.given:
        return _flat("\n\n".join(f"{name}\n{value}" for name, value in given.items()))
    return _flat(prompt.whole.replace(current, "", 1) if current else prompt.whole)


def _step(world: World, prompt: Prompt, lines: list[str], text: str) -> int | None:
    """The step that an instruction is for."""
    if len(world.steps) == 1:
        return 0
    if found := _GIVES.search(prompt.given.get("module", "")):
        named = [world.outputs[name] for name in found[1].split(", ") if name in world.outputs]
        return named[0] if named else None
    first = lines[0].lower() if lines else ""
    of_words = [number for name, number in world.outputs.items() if re.search(rf"\b{name}\b", first)]
    if len(of_words) == 1:
        return of_words[0]
    said = _SAID.search(text)
    return world.outputs.get(said[1]) if said else None


def _advice(world: World, text: str, found: Evidence) -> list[str]:
    """Sentences that state rules which are not in the instruction."""
    advice: list[str] = []
    for sentence in sentences(text):
        one = _clean(sentence)
        if one in found.instruction or one in found.tried or len(one) > 300 or CASE.search(one):
            continue
        sense = world.language.sense(one)
        if (sense.rules or sense.router) and not re.search(_EXPECTED, one, re.IGNORECASE):
            advice.append(one)
    return list(dict.fromkeys(advice))


def _current(prompt: Prompt) -> str:
    """The instruction that is to be improved."""
    names = [name for name in prompt.given if not _TRIED.search(name)]
    for wanted in _INSTRUCTION:
        for name in names:
            if name == wanted or (wanted == "instruction" and "instruction" in name):
                return prompt.given[name]
    if "first" in prompt.given:
        return prompt.given["first"]
    if not prompt.given and (found := _FENCED.search(prompt.whole)):
        return found[1]
    if found := _ORIGINAL.search(prompt.whole):
        return "\n".join(_lines(found[1]))
    attempts = next((value for name, value in prompt.given.items() if "attempt" in name or "previous" in name), "")
    told = _LISTED.sub("", _flat(attempts))
    tried = _ATTEMPT.findall(told) or _SCORED.findall(told)
    return tried[-1] if tried else ""


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines() if line.strip()]


def _flat(text: str) -> str:
    return text.replace("\\n", "\n").replace('\\"', '"')


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
    spots = list(CASE.finditer(text))
    about: dict[str, str] = {}
    for at, spot in enumerate(spots):
        end = spots[at + 1].start() if at + 1 < len(spots) else len(text)
        about[spot[0]] = about.get(spot[0], "") + text[spot.end() : end]
    oracle = text.find("oracle_metadata")
    if oracle >= 0 and len(about) == 1:
        target = text[oracle : oracle + 200]
        return [Labelled(world.item(one), step, label, True) for one in about for step, label in _labels(world, target)]
    found = [one for message, said in about.items() for one in _said_of(world, world.item(message), said)]
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
        named = re.search(rf"\b{step.output}\b\W{{1,12}}({labels})\b", about, re.IGNORECASE)
        if named is not None and not wrong:
            found.append(Labelled(item, number, named[1].lower(), False))
    return found


def _labels(world: World, text: str) -> list[tuple[int, str]]:
    return [
        (number, hit[1])
        for number, step in enumerate(world.steps)
        if (hit := re.search(rf"\b({'|'.join(step.labels)})\b", text))
    ]


def present(world: World, lines: Iterable[str]) -> set[tuple[int, int, str]]:
    """The rules that some lines state."""
    return {rule for line in lines for one in sentences(line) for rule in world.language.sense(one).rules}


def senses(world: World, line: str) -> list[Sense]:
    """What the sentences of a line say."""
    return [world.language.sense(one) for one in sentences(line)]
