"""How a simulated model proposes: it reads instruction, failures and labels in its prompt and writes what is asked for.

A stand-in for the reflection of real models (GEPA, arXiv 2507.19457, and others), whose faults have names: it misses
what failures show, forgets lines when it rewrites, states facts about single messages as rules, and makes less of each
failure the more it is shown at once.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from outlast.errors import ConfigError, brief
from outlast.testing.gym.evidence import Evidence, Labelled, gathered, present, senses
from outlast.testing.gym.language import PHRASES
from outlast.testing.gym.reading import Prompt
from outlast.testing.gym.seen import Item

if TYPE_CHECKING:
    from outlast.testing.gym.world import World

_FORMS = (
    "Messages that mention {cue} go to {label}.",
    "When you see {cue}, answer {label}.",
    "{Cue} in the message means {label}.",
    "Anything about {cue} belongs to {label}.",
    "If the text says {cue}, the answer is {label}.",
)
_HEEDED = 0.9  # of the rules that others state, the share that is taken over
_MORE = 0.4  # the chance of each further line
_AGAIN = 1.5  # how much surer a rule is that several items show
_LIST = re.compile(r"array|list\[|\[\]|\"type\": \"array\"", re.IGNORECASE)
_DICT = re.compile(r"dict\[|object|map of|mapping", re.IGNORECASE)
_NUMBER = re.compile(r"\b(number|int|float|integer)\b")
_YES = re.compile(r"\b(yes/no|bool|boolean|true or false)\b")
_CHOICE = re.compile(r'(?:one of|Literal|enum)\W*["\']([^"\']+)["\']((?:\W+["\'][^"\']+["\'])*)')
_WHOLE = re.compile(
    r"instruction|prompt|improved|propos|variable|rewritten|merged|varied|proposed|combined|text$", re.IGNORECASE
)
_ADVICE = re.compile(r"rule|advice|lesson|gradient|criti|feedback|insight|guid|hint|tip|observ|summary|change|critic")


@dataclass(frozen=True, slots=True)
class Manner:
    """How well a model proposes; shares are from 0 to 1.

    `strength`: how often a failure in view leads to the rule that it shows, rather than to a plausible distractor.
    `grounded`: the same, times `strength`, for items with labels but no failure. `forget`: lines lost when a whole text
    is written anew. `specific`: proposals that are facts about one message. `capacity`: failures of which it can make
    full use at once; with more, strength falls by the root of it. `most`: new lines in one proposal.
    """

    strength: float = 0.6
    grounded: float = 0.4
    forget: float = 0.15
    specific: float = 0.1
    capacity: int = 6
    most: int = 2

    def __post_init__(self) -> None:
        for name in ("strength", "grounded", "forget", "specific"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is a share from 0 to 1; got {brief(getattr(self, name))}")
        if self.capacity < 1 or self.most < 1:
            raise ConfigError("capacity and most are whole numbers from 1")


def propose(world: World, manner: Manner, prompt: Prompt, draw: str) -> dict[str, Any]:
    """The values of all outputs that a prompt asks for; `draw` names the draw."""
    rng = Random(f"{world.name}/{world.seed}/{draw}/{prompt.key}/{prompt.whole}")
    found = gathered(world, prompt)
    outputs = prompt.form.outputs or ("text",)
    rules = any("rule" in name for name in outputs)
    ideas = _ideas(world, manner, found, 3 * manner.most if rules else manner.most, rng)
    dropped = _dropped(world, manner, found, rng)
    named = any(_WHOLE.search(name) for name in outputs) or prompt.form.kind in ("fence", "text")
    return {
        name: _value(name, prompt.types.get(name, ""), named, (world, manner, found, ideas, dropped, rng))
        for name in outputs
    }


def _ideas(world: World, manner: Manner, found: Evidence, most: int, rng: Random) -> list[str]:
    """New lines, best first."""
    known = present(world, found.instruction)
    tried = found.tried | set(found.instruction)
    ideas = [line for line in found.advice if not present(world, [line]) <= known and rng.random() < _HEEDED]
    if special := world.special_idea(found.labelled, found.instruction, manner.strength, rng):
        ideas.append(special)
    known |= present(world, ideas)
    shown = found.failures or found.labelled
    number = 1 + sum(rng.random() < _MORE for _ in range(most - 1))
    if not shown and not ideas:
        ideas = [_blind(world, found, rng) for _ in range(number)]
    for _ in range(number if shown else 0):
        pick = _picked(shown, known, rng)
        if pick is None:
            break
        ideas.append(_idea(world, manner, pick, shown, found, rng))
        known |= present(world, ideas)
    return [line for line in dict.fromkeys(ideas) if line not in tried]


def _picked(shown: list[Labelled], known: set[tuple[int, int, str]], rng: Random) -> Labelled | None:
    """An item to learn from: the more often its cue comes, the likelier."""
    new = [one for one in shown if one.item.cues[one.step] >= 0 and _rule(one) not in known]
    if not new:
        return None
    return rng.choices(new, [sum(_rule(one) == _rule(other) for other in new) for one in new])[0]


def _rule(one: Labelled) -> tuple[int, int, str]:
    return one.step, one.item.cues[one.step], one.label


def _idea(world: World, manner: Manner, one: Labelled, shown: list[Labelled], found: Evidence, rng: Random) -> str:
    """What an item suggests: its rule, a fact about it alone, or a distractor that it makes plausible."""
    strength = manner.strength * math.sqrt(min(1.0, manner.capacity / len(shown)))
    if not one.failed:
        strength *= manner.grounded
    if sum(_rule(one) == _rule(other) for other in shown) > 1:
        strength = min(1.0, strength * _AGAIN)
    if rng.random() < manner.specific:
        return f"The message “{one.item.text.rstrip('.')}” goes to {one.label}."
    if rng.random() < strength:
        return _stated(rng.choice(sorted(world.cue_words(one.item, one.step))), one.label, rng)
    if not one.failed and rng.random() < 0.5:
        return _blind(world, found, rng)
    return _stated(_noise(world, one.item, rng), one.label, rng)


def _noise(world: World, item: Item, rng: Random) -> str:
    some = sorted(item.words & world.language.noise)
    return rng.choice(some or list(world.noise))


def _stated(word: str, label: str, rng: Random) -> str:
    return rng.choice(_FORMS).format(cue=word, Cue=word.capitalize(), label=label)


def _blind(world: World, found: Evidence, rng: Random) -> str:
    """A line without any data to go by: most do nothing."""
    if rng.random() < 0.75:
        return rng.choice(PHRASES)[1]
    step = rng.choice(world.steps) if found.step is None else world.steps[found.step]
    return _stated(rng.choice(world.noise), rng.choice(step.labels), rng)


def _dropped(world: World, manner: Manner, found: Evidence, rng: Random) -> list[str]:
    """Lines to delete: now and then one that hurts a failure in view, seldom one that does not."""
    gone: list[str] = []
    failures = found.failures
    for line in found.instruction[1:]:
        words = {word for sense in senses(world, line) if not sense.rules for word in sense.noise}
        hurts = any(world.is_hurt(one.item, word) for one in failures for word in words)
        bad = any(rule[2] != world.steps[rule[0]].answers[rule[1]] for rule in present(world, [line]))
        if (hurts or (bad and failures)) and rng.random() < 0.4 * manner.strength:
            gone.append(line)
    for line in found.instruction:
        if any(sense.hint for sense in senses(world, line)) and found.unread and rng.random() < 0.3 * manner.strength:
            gone.append(line)
    if len(found.instruction) > 3 and rng.random() < 0.05:
        gone.append(rng.choice(found.instruction[1:]))
    return list(dict.fromkeys(gone))[:2]


Work = tuple["World", Manner, Evidence, list[str], list[str], Random]


def _value(name: str, kind: str, named: bool, work: Work) -> Any:
    """The value of one output, by its name and what the prompt says of its type."""
    world, manner, found, ideas, dropped, rng = work
    if "edit" in name or ("op" in kind and "line" in kind):
        edits = [{"op": "delete", "line": line, "text": ""} for line in dropped]
        return edits + [{"op": "add", "line": "", "text": line} for line in ideas]
    if found.modules and (_DICT.search(kind) or "advice" in name):
        return {module: " ".join(ideas) or _filler(rng) for module in found.modules[-1:]}
    if choice := _CHOICE.search(kind):
        return rng.choice([choice[1], *re.findall(r"[\"']([^\"']+)[\"']", choice[2])])
    if _YES.search(kind):
        return True
    if _NUMBER.search(kind) and not _LIST.search(kind):
        return 1
    if _LIST.search(kind):
        return ideas if _ADVICE.search(name) or not named else ideas[:1]
    if _DICT.search(kind):
        return {}
    if _WHOLE.search(name) and "prefix" not in name:
        return _rewritten(world, manner, found, ideas, dropped, rng)
    if _ADVICE.search(name):
        return "\n".join([*found.advice[:2], *ideas]) or _filler(rng)
    return "Answer:" if "prefix" in name else _filler(rng)


def _rewritten(world: World, manner: Manner, found: Evidence, ideas: list[str], dropped: list[str], rng: Random) -> str:
    """The whole instruction anew: lines may be forgotten and said otherwise."""
    kept = [line for line in found.instruction if line not in dropped and rng.random() >= manner.forget]
    lines = [_said_anew(world, line, rng) for line in kept] + ideas
    return "\n".join(lines) or "Answer as well as you can."


def _said_anew(world: World, line: str, rng: Random) -> str:
    """A line in other words, at times; the meaning of a rule stays."""
    known = senses(world, line)
    if len(known) != 1 or len(known[0].rules) != 1 or known[0].noise or rng.random() < 0.6:
        return line
    (step, cue, label), names = known[0].rules[0], known[0].names
    word = next((one for one in names if world.language.cues.get(one) == (step, cue)), names[0])
    return _stated(word, label, rng)


def _filler(rng: Random) -> str:
    return rng.choice(
        (
            "The answers depend on a few words of each message.",
            "The messages are short and hold words that tell them apart.",
            "Each message belongs to one team, and the wording decides which.",
        )
    )
