"""Worlds in which demonstrations decide: DemoShelf, DemoShelfKNN and Parrot."""

from __future__ import annotations

from functools import cached_property
from random import Random

from outlast.adapters.protocol import Demo
from outlast.modules.module import Module
from outlast.modules.paths import update
from outlast.testing.gym.dials import Dials
from outlast.testing.gym.programs import TEAMS
from outlast.testing.gym.seen import Item, Seen, Shown, Step
from outlast.testing.gym.world import World


class DemoShelf(World):
    """Four hundred examples of twelve clusters to show, of which 20% have a wrong label. Rules do next to nothing.

    Start about .21, best about .87; the first eight as they come reach about .5. Demonstrations help by the clusters
    that they cover, and each its own cluster; one with a wrong label poisons it; the last one counts double; more than
    eight dilute. Showing the first few loses, and so do the nearest, which cover little (about .78 when filtered);
    filtering by label, coverage and order win.
    """

    name = "DemoShelf"
    train = 400
    mislabelled = 0.2
    cues = 12
    zipf = 0.5
    dials = Dials(
        base=-1.4,
        rule=0.3,
        wrong=0.3,
        demo=1.3,
        alike=0.3,
        poison=2.5,
        cover=4.0,
        last=2.0,
        distract=0.5,
        crowd=0.45,
        middle=0.0,
    )

    def make_steps(self) -> tuple[Step, ...]:
        """One, whose cues are clusters of eight words, of which a message has three."""
        return (self.step("", "team", TEAMS, self.cues, words=8),)

    def label(self, rng: Random, text: str, part: str) -> dict[str, str]:
        """The team, which is wrong in a fifth of the training examples."""
        right = self.cue_label(self.item(text), 0)
        if part == "train" and rng.random() < self.mislabelled:
            return {"team": rng.choice([one for one in TEAMS if one != right])}
        return {"team": right}

    @cached_property
    def pool(self) -> list[Shown]:
        """The training examples with a right label, as demonstrations."""
        rows = [(self.item(row["message"]), row["team"]) for row in self.parts()["train"]]
        return [Shown(item, team, True) for item, team in rows if team == self.cue_label(item, 0)]

    def showing(self, demos: list[Shown]) -> Module:
        """The program with these demonstrations."""
        return update(
            self.program(), {"demos": tuple(Demo({"message": one.item.text, "team": one.label}) for one in demos)}
        )

    def best_program(self) -> Module:
        """The best demonstration of each of the most frequent clusters, as many and in such an order as is best."""
        ranked: list[Shown] = []
        for cue in range(self.cues):
            own = [item for item in self.tested if item.cues[0] == cue]
            some = [one for one in self.pool if one.item.cues[0] == cue]
            if own and some:
                ranked.append(max(some, key=lambda one: sum(self.alike(item, one.item, 0) for item in own)))
        sizes = [self.showing(ranked[:size]) for size in range(5, len(ranked) + 1)]
        size = 5 + max(range(len(sizes)), key=lambda at: self.expected(sizes[at]))
        chosen = ranked[:size]
        orders = [[*chosen[:at], *chosen[at + 1 :], chosen[at]] for at in range(size)]
        return max((self.showing(order) for order in orders), key=self.expected)


class DemoShelfKNN(DemoShelf):
    """DemoShelf where a demonstration must be much alike: those chosen for each input win.

    Start about .23; the best fixed set reaches about .57, the four nearest by words about .76, and best, those of the
    right ones, about .95.
    """

    name = "DemoShelfKNN"
    dials = Dials(
        base=-1.3, rule=0.3, wrong=0.3, demo=4.5, alike=0.9, poison=2.5, last=1.3, distract=0.5, crowd=0.3, middle=0.0
    )

    def nearest(self, item: Item, number: int = 4) -> list[Shown]:
        """The training examples with a right label that share most cue words with an item, the nearest last."""
        words = self.cue_words(item, 0)
        ranked = sorted(self.pool, key=lambda one: len(words & one.item.words))
        return ranked[-number:]

    @cached_property
    def _best(self) -> float:
        total = 0.0
        for item in self.tested:
            seen = Seen(0, 1, demos=tuple(self.nearest(item)))
            total += self.chance(seen, item) * (1 - self.unreadable(seen))
        return total / len(self.tested)


class Parrot(World):
    """Demonstrations hurt: the model copies the answer of the one that has most words in common with the message.

    Start about .25, best about .88 with ten rules and no demonstration; eight demonstrations then cost 20 points.
    Whoever harvests and shows demonstrations loses here.
    """

    name = "Parrot"
    cues = 10
    dials = Dials(base=-1.2, rule=3.6, demo=0.0, poison=0.0)

    def gain(self, seen: Seen, item: Item) -> float:
        """As everywhere, less what the nearest demonstration does."""
        copied = self.copied(seen, item)
        loss = 0.0 if copied is None else 2.4 if copied.label != self.cue_label(item, 0) else -0.5
        return super().gain(seen, item) - loss

    def copied(self, seen: Seen, item: Item) -> Shown | None:
        """The demonstration with most words in common, the later of equals."""
        if not seen.demos:
            return None
        return max(reversed(seen.demos), key=lambda one: len(one.item.words & item.words))

    def mistake(self, seen: Seen, item: Item, draw: float) -> str:
        """The copied answer, where there is one."""
        copied = self.copied(seen, item)
        right = self.cue_label(item, 0)
        if copied is not None and copied.label in TEAMS and copied.label != right:
            return copied.label
        return super().mistake(seen, item, draw)
