"""The worlds of the gym."""

from __future__ import annotations

from outlast.testing.gym.seen import Item, Seen
from outlast.testing.gym.world import Dials, World


class RuleBook(World):
    """Fourteen rules of Zipf frequency, each of which a proposer can find in a failure that shows it.

    Start about .2, best about .89. Each distractor hurts 15% of the items, sentences beyond 16 dilute. Blind search
    and rewriting fail here; feedback, small edits and pruning win.
    """

    name = "RuleBook"


class NullLand(World):
    """No prompt is better than the start, three phrases are slightly worse. Start and best about .6.

    Measures what is claimed where there is nothing to gain.
    """

    name = "NullLand"
    dials = Dials(base=0.5, spread=1.2, heat=0.0, think=0.0)

    def gain(self, seen: Seen, item: Item) -> float:
        """Nothing but harm."""
        return -0.3 * len(seen.phrases & self.harmful)

    def best_program(self):
        """The start."""
        return self.program()


WORLDS: dict[str, type[World]] = {one.name: one for one in (RuleBook, NullLand)}
