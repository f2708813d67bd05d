"""A gym for optimizers: tasks whose models are simulated and read the prompt, so that the true score is known.

world = gym.world("RuleBook", seed=3)
world.expected(world.program())  # the exact score over 2,000 test examples
"""

from __future__ import annotations

from outlast.errors import UsageError, did_you_mean
from outlast.testing.gym.dials import Dials
from outlast.testing.gym.model import GymLM
from outlast.testing.gym.reflecting import Manner
from outlast.testing.gym.shelves import DemoShelf, DemoShelfKNN, Parrot
from outlast.testing.gym.traps import Mirage, SeedTrap
from outlast.testing.gym.world import World
from outlast.testing.gym.worlds import Chain, NullLand, RuleBook, TwoCities

__all__ = ["Dials", "GymLM", "Manner", "World", "names", "world"]

_WORLDS: dict[str, type[World]] = {
    one.name: one for one in (RuleBook, NullLand, TwoCities, Chain, DemoShelf, DemoShelfKNN, SeedTrap, Parrot, Mirage)
}


def names() -> tuple[str, ...]:
    """The names of the worlds."""
    return tuple(_WORLDS)


def world(name: str, seed: int = 0) -> World:
    """A world by name; all of it is made from the seed. Raises `UsageError` for a name that there is not."""
    if name not in _WORLDS:
        raise UsageError(
            f"the gym has no world {name!r}.{did_you_mean(str(name), names())} Worlds: {', '.join(names())}"
        )
    return _WORLDS[name](seed)
