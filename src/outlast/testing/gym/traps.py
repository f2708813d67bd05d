"""Worlds that mislead: SeedTrap, where only the structure helps, and Mirage, where failures teach nothing."""

from __future__ import annotations

from outlast.modules.module import Module
from outlast.modules.paths import update
from outlast.modules.predict import Predict
from outlast.testing.gym.chance import unit
from outlast.testing.gym.dials import Dials
from outlast.testing.gym.language import PHRASES
from outlast.testing.gym.programs import RouteCalmly, RouteHastily
from outlast.testing.gym.seen import Item, Seen
from outlast.testing.gym.world import World

_TASK = "Route the message to the team that should answer it."


class SeedTrap(World):
    """The start asks for the answer before the thinking, and its instruction demands a form that nobody can read.

    Start about .3 with 40% of the replies unreadable, best about .86; either fault mended alone reaches about .5. No
    rule helps. What helps is the order of outputs (or a strategy that thinks first), another adapter (JSON and Tools
    insist on their form), and the deletion of the line about the form.
    """

    name = "SeedTrap"
    hints = ("yaml",)
    hint = "Write your reply as a YAML list between %% signs."
    dials = Dials(base=0.0, rule=0.0, wrong=0.0, demo=0.4, poison=0.4, distract=0.5, think=2.1)
    forms = {"json": 0.08, "dspy-json": 0.08, "tools": 0.03, "tags": 0.3, "dspy-tags": 0.3}

    def program(self) -> Module:
        """The start, with its two faults."""
        return update(Predict(RouteHastily), {"instruction": f"{_TASK}\n{self.hint}"})

    def best_program(self) -> Module:
        """Thinking first, and no demand for another form."""
        return Predict(RouteCalmly)

    def unreadable(self, seen: Seen) -> float:
        """High with the demand, the less the form insists."""
        return self.forms.get(seen.kind, 0.4) if seen.hint else 0.02


class Mirage(World):
    """What failures suggest helps nothing: 30% of the items are hopeless, and lines beyond three dilute.

    Start about .48, best about .6. Three phrases that only whoever proposes without failures thinks of each help all
    other items; two of them together harm. Whoever reflects on failures or merges what helped loses here.
    """

    name = "Mirage"
    hopeless = 0.3
    dials = Dials(base=0.9, rule=0.0, wrong=0.0, demo=0.0, poison=0.0, distract=0.3, room=3, dilute=0.12, think=0.0)

    def gain(self, seen: Seen, item: Item) -> float:
        """One phrase helps, two harm; nothing helps what is hopeless."""
        if unit("mirage", self.seed, item.text) < self.hopeless:
            return -6.0
        said = len(seen.phrases & self.helpful)
        return super().gain(seen, item) + (1.1 if said == 1 else -0.9 if said else 0.0)

    def best_program(self) -> Module:
        """One of the phrases that help."""
        return update(self.program(), {"instruction": f"{_TASK}\n{PHRASES[min(self.helpful)][1]}"})
