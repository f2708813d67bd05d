"""Worlds in which the instruction decides: RuleBook, NullLand, TwoCities and Chain."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from outlast.modules.module import Module
from outlast.testing.gym.chance import sigmoid, unit
from outlast.testing.gym.dials import Dials
from outlast.testing.gym.programs import DESKS, KINDS, TEAMS, Office
from outlast.testing.gym.seen import Item, Seen, Step
from outlast.testing.gym.world import World

if TYPE_CHECKING:
    from outlast.testing.gym.evidence import Labelled


class RuleBook(World):
    """Fourteen rules of Zipf frequency, each of which a proposer can find in a failure that shows it.

    Start about .14, best about .88. Each distractor hurts 15% of the items, sentences beyond 16 dilute. Blind search
    and rewriting lose here; feedback, small edits and pruning win.
    """

    name = "RuleBook"


class NullLand(World):
    """No prompt is better than the start, and three phrases are slightly worse. Start and best about .59.

    Measures what an optimizer claims where there is nothing to gain.
    """

    name = "NullLand"
    dials = Dials(base=0.5, spread=1.2, heat=0.0, think=0.0)

    def gain(self, seen: Seen, item: Item) -> float:
        """Nothing but a little harm."""
        del item
        return -0.3 * len(seen.phrases & self.harmful)

    def best_program(self) -> Module:
        """The start."""
        return self.program()


class TwoCities(World):
    """Two niches of messages, with seven rules each: those of one hurt the other, unless a router line is there.

    Start about .14; the rules of one niche alone reach about .48, all rules without the router about .37, best about
    .87. A proposer thinks of the router when it sees failures of both niches. Greedy search stalls; candidates that
    each are best somewhere, merging and batches of both kinds win.
    """

    name = "TwoCities"
    niches = ("northbank", "southbank")
    router = "First decide whether it is about northbank or southbank, and then follow only the rules for that bank."
    zipf = 0.5
    interference = 0.38

    def message(self, rng: Random, case: int) -> str:
        """A message that names its niche."""
        text = super().message(rng, case)
        cue = self._read_item(text).cues[0]
        return text.replace(": ", f": {self.niches[self.niche_of(cue)]} ", 1)

    def niche_of(self, cue: int) -> int:
        """Rules take turns, so that niches are about as frequent."""
        return cue % 2

    def gain(self, seen: Seen, item: Item) -> float:
        """As everywhere, less what the rules of the other niche do."""
        foreign = sum(self.niche_of(cue) != self.niche_of(item.cues[0]) for cue in seen.rules)
        return super().gain(seen, item) - (0.0 if seen.router else self.interference * foreign)

    def special_idea(self, shown: Sequence[Labelled], lines: Sequence[str], strength: float, rng: Random) -> str:
        """The router, for whoever sees failures of both niches."""
        both = {self.niche_of(one.item.cues[0]) for one in shown if one.failed}
        there = any(all(niche in line for niche in self.niches) for line in lines)
        return self.router if len(both) == 2 and not there and rng.random() < 0.5 * strength else ""

    def best_program(self) -> Module:
        """All rules and the router."""
        return self.taught(self.program(), [self.router])


class Chain(World):
    """Three modules, all of which must be right. The data have the last answer only.

    Start about .17, best about .80; one of two modules alone reaches about .35. Feedback names the module at fault, and
    in 30% of the cases another one with a wrong answer. `place` is as good as it gets. The most frequent cue of `sort`
    comes with that of `close`, both are hard, so that the rule for one of them shows little without the other.
    """

    name = "Chain"
    calls = 3
    cues = 6
    bases = (-0.1, 2.6, 0.0)
    gains = (3.2, 0.0, 3.2)
    pair = 1.6  # harder, in logits
    misleading = 0.3

    def make_steps(self) -> tuple[Step, ...]:
        """Sort, place and close."""
        return (
            self.step("sort", "kind", KINDS, self.cues),
            self.step("place", "desk", DESKS, self.cues, given=("kind",)),
            self.step("close", "team", TEAMS, self.cues, given=("kind", "desk")),
        )

    def program(self) -> Module:
        """Sort, place, close."""
        return Office()

    def message(self, rng: Random, case: int) -> str:
        """A message whose cues of `sort` and `close` come together when they are the most frequent."""
        while True:
            text = super().message(rng, case)
            sort, _, close = self._read_item(text).cues
            if (sort == 0) == (close == 0):
                return text

    def chance(self, seen: Seen, item: Item, temperature: float = 1.0, skill: float = 0.0) -> float:
        """As everywhere, with figures for each step."""
        dials, step, cue = self.dials, seen.step, item.cues[seen.step]
        hard = self.pair if cue == 0 and step != 1 else 0.0
        good, bad = self.demo_gain(seen, item)
        logit = self.bases[step] - hard + skill + dials.spread * item.hard[step] - bad
        logit += max((self.gains[step] + hard) * seen.rules.get(cue, 0.0), good if self.gains[step] else 0.0)
        logit -= dials.wrong * seen.wrong.get(cue, 0.0) + self.crowding(seen) + dials.heat * (temperature - 1.0)
        logit -= dials.distract * sum(self.is_hurt(item, word) for word in seen.noise)
        return sigmoid(logit + (dials.think if seen.thinks == "before" else 0.0))

    def feedback(self, example: Any, prediction: Any, right: bool) -> str:
        """The right answer, and which module was at fault, if that is true."""
        if right:
            return "Right."
        item = self.item(example.message)
        said = [getattr(prediction, step.output, None) for step in self.steps]
        fault = next(
            (number for number, one in enumerate(said) if one != self.cue_label(item, number)), len(self.steps) - 1
        )
        label = self.cue_label(item, fault)
        if unit("blame", self.seed, item.text) < self.misleading:
            fault = (fault + 1 + int(2 * unit("whom", self.seed, item.text))) % len(self.steps)
            others = [one for one in self.steps[fault].labels if one != self.cue_label(item, fault)]
            label = others[int(len(others) * unit("what", self.seed, item.text))]
        step = self.steps[fault]
        text = f"Wrong: expected team {example.team!r}, got {said[-1]!r}."
        return f"{text} It went wrong in {step.path!r}, which should have said {step.output} {label!r}."
