"""What a prompt says of a step of a world, as its model takes it in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from outlast.testing.gym.language import Sense, sentences
from outlast.testing.gym.reading import Prompt
from outlast.testing.gym.seen import Seen, Shown

if TYPE_CHECKING:
    from outlast.testing.gym.world import World

_WORD = re.compile(r"[a-z]+")
_REASONS = frozenset(("reasoning", "rationale", "thinking", "thoughts", "critique", "analysis", "plan"))
_FEW = 12  # lines that it takes for the middle of them to be overlooked


def look(world: World, prompt: Prompt, step: int) -> Seen:
    """Read a prompt for a step: rules, distractors, phrases, demonstrations, the order of outputs, the form."""
    told = [world.language.sense(one) for one in sentences(prompt.instruction)]
    beside = [world.language.sense(one) for one in sentences(prompt.rest)]
    every = told + [sense for sense in beside if sense.rules or sense.noise or sense.phrases or sense.hint]
    rules: dict[int, float] = {}
    wrong: dict[int, float] = {}
    misled: dict[int, str] = {}
    for at, sense in enumerate(every):
        weight = _weight(at, len(every), world.dials.middle)
        for cue, label, denied in _said(sense, step):
            right = label == world.steps[step].answers[cue]
            if denied and not right:
                continue
            into = rules if right and not denied else wrong
            into[cue] = max(weight, into.get(cue, 0.0))
            if into is wrong and not denied:
                misled[cue] = label
    demos = [_shown(world, turn.given, turn.said, step) for turn in prompt.turns]
    return Seen(
        step,
        len(told),
        rules,
        wrong,
        misled,
        tuple(dict.fromkeys(word for sense in every if not sense.rules for word in sense.noise)),
        frozenset(key for sense in every for key in sense.phrases),
        any(sense.hint for sense in every),
        any(sense.router for sense in every),
        tuple(one for one in demos if one is not None),
        _thinks(world, prompt, step),
        prompt.form.kind,
    )


def _weight(at: int, number: int, middle: float) -> float:
    """How much a sentence counts at its place: those in the middle of many are overlooked at times."""
    if number < 2:
        return 1.0
    place = 2 * at / (number - 1) - 1
    return 1.0 - middle * (1 - place * place) * min(1.0, number / _FEW)


def _thinks(world: World, prompt: Prompt, step: int) -> str:
    """Where reasoning stands among the outputs: "before" the answer, "after" it, or "" for nowhere."""
    names = prompt.form.outputs
    answer = next((at for at, name in enumerate(names) if world.outputs.get(name) == step), 0)
    thinks = [at for at, name in enumerate(names) if name in _REASONS]
    return "" if not thinks else "before" if min(thinks) < answer else "after"


def _shown(world: World, given: Mapping[str, str], said: Mapping[str, str], step: int) -> Shown | None:
    label = said.get(world.steps[step].output)
    if label is None and "" in said:
        words = _WORD.findall(said[""].lower())
        label = next((word for word in words if world.language.labels.get(word) == step), None)
    text = given.get("message")
    if text is None or label is None:
        return None
    item = world.item(text)
    return Shown(item, label, label == world.cue_label(item, step))


def _said(sense: Sense, step: int) -> list[tuple[int, str, bool]]:
    rules = [(cue, label, False) for number, cue, label in sense.rules if number == step]
    return rules + [(cue, label, True) for number, cue, label in sense.denied if number == step]
