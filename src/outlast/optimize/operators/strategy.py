"""`StrategyChoice`: another way to answer, at each place of a program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from outlast.errors import ArtifactError, ConfigError, UsageError, brief
from outlast.modules.chain_of_thought import ChainOfThought
from outlast.modules.paths import STRATEGY, modules_of, parameters
from outlast.modules.predict import Predict
from outlast.modules.recipe import Recipe
from outlast.modules.recipes import dump_recipe
from outlast.modules.settings import chosen_lm
from outlast.modules.strategy import as_recipe, recipe_of, signature_of
from outlast.optimize.operators.structure import Guess, Structural, together_and_apart
from outlast.runtime import current

if TYPE_CHECKING:
    from outlast.modules.module import Module
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study


@dataclass(frozen=True, slots=True)
class StrategyChoice(Structural):
    """Answer a signature in another way. `strategies` None are those of one call: `Predict` and `ChainOfThought`.

    With strategies of your own (`[ol.ChainOfThought, ol.Majority(n=3)]`) those are tried, in this order; mind that a
    rollout costs as many calls as its strategy. All places at once, then each alone. What is tuned on a module goes
    over to the strategy in its place. A model that reasons by itself is not asked to.
    """

    name: ClassVar[str] = "strategy"
    strategies: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        Structural.__post_init__(self)
        if self.strategies is None:
            return
        given: Any = self.strategies
        if not isinstance(given, list | tuple) or not given:
            raise UsageError(
                f"StrategyChoice(strategies=...) is a list such as [ol.ChainOfThought]; got {brief(given)}"
            )
        recipes = tuple(as_recipe(one, STRATEGY) for one in self.strategies)
        for one in recipes:
            try:
                dump_recipe(STRATEGY, one, lambda _, value: value)
            except ArtifactError as error:
                raise UsageError(f"this strategy cannot be a candidate: {error}") from error
        object.__setattr__(self, "strategies", recipes)

    def guesses(self, study: Study, parent: Candidate) -> Iterable[Guess]:
        """Strategies that differ from those of the parent."""
        known = parameters(study.program)
        program = study.build(parent)
        found: dict[str, list[Recipe]] = {}
        for path, part in modules_of(program).items():
            at = f"{path}.{STRATEGY}".lstrip(".")
            if signature_of(part) is not None and at in known and not study.locked(at):
                found[at] = self._others(part)
        found = {path: some for path, some in found.items() if some}
        inner = [path for path in found if any(path != one and _inside(path, one) for one in found)]
        return together_and_apart({path: some for path, some in found.items() if path not in inner}, "strategy")

    def _others(self, part: Module) -> list[Recipe]:
        now = recipe_of(part)
        if self.strategies is not None:
            return [one for one in self.strategies if one != now]
        one_call = [as_recipe(kind, STRATEGY) for kind in (ChainOfThought, Predict)]
        if now not in one_call or _reasons(part):
            return []
        return [one for one in one_call if one != now]

    def describe(self) -> dict[str, Any]:
        """Name and options; strategies as a file holds them."""
        some = self.strategies
        forms = None if some is None else [dump_recipe(STRATEGY, one, lambda _, value: value) for one in some]
        return {"operator": type(self).__name__, "most": self.most, "strategies": forms}


def _inside(path: str, other: str) -> bool:
    """Whether a strategy stands inside what another one would replace."""
    return path.startswith(other.removesuffix(STRATEGY))


def _reasons(part: Any) -> bool:
    try:
        return chosen_lm(part.lm, current()).capabilities.reasoning
    except ConfigError:  # no model is set here
        return False
