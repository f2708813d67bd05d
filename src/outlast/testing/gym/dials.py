"""How a simulated model takes what a prompt says: the figures of a world's formula."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dials:
    """How a model of a world takes what a prompt says. Gains and losses are in logits of being right.

    `base` without any help, `spread` the standard deviation of how hard items are, `rule` the gain of the rule that an
    item needs, `wrong` the loss by one that says otherwise. `demo` is the gain of a demonstration that shows the same
    cue, `alike` the share of that which needs the same words, `poison` the loss by such a demonstration with a wrong
    label; with a rule present the greater of both gains counts. `cover` is the gain of demonstrations that show every
    cue rightly, and less in proportion. `last` multiplies what the last demonstration does.
    Each distractor costs `distract` on the share `hurt` of items. Sentences beyond `room` cost `dilute` each, and
    demonstrations beyond `shelf` cost `crowd` each; rules in the middle of many lose the share `middle`. `think` is
    the gain of reasoning before the answer, `heat` the loss for each unit of temperature from 1 on (a gain below).
    `unreadable` is the chance of a reply in no form.
    """

    base: float = -1.9
    spread: float = 0.6
    rule: float = 4.4
    wrong: float = 2.5
    demo: float = 1.2
    alike: float = 0.3
    poison: float = 1.2
    cover: float = 0.0
    last: float = 1.0
    distract: float = 2.0
    hurt: float = 0.15
    room: int = 16
    dilute: float = 0.12
    shelf: int = 8
    crowd: float = 0.15
    middle: float = 0.15
    think: float = 0.2
    heat: float = 0.2
    unreadable: float = 0.01
