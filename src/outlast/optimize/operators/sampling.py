"""`Sampling`: how the model draws its replies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from outlast.errors import UsageError, brief
from outlast.lms.options import check_settings
from outlast.messages import Settings
from outlast.optimize.operators.structure import Guess, Structural, modules_with, together_and_apart

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study

USUAL = (Settings(temperature=0.0), Settings(temperature=0.6), Settings(temperature=1.0))


@dataclass(frozen=True, slots=True)
class Sampling(Structural):
    """Other settings for the model: `settings` are laid over those that a module has, each in turn.

    `[ol.Settings(temperature=0.3, top_p=0.9), ol.Settings(max_tokens=2000), ol.Settings(reasoning="high")]`; the
    default is temperatures 0, 0.6 and 1. All modules at once, then each alone. `SampledSearch` searches numbers
    between such points.
    """

    name: ClassVar[str] = "sampling"
    settings: Sequence[Settings] = USUAL

    def __post_init__(self) -> None:
        Structural.__post_init__(self)
        given: Any = self.settings
        if not isinstance(given, list | tuple) or not given or not all(isinstance(one, Settings) for one in given):  # pyright: ignore[reportUnknownVariableType]
            raise UsageError(f"Sampling(settings=...) is a list of ol.Settings(...); got {brief(given)}")
        for one in self.settings:
            check_settings(one)

    def guesses(self, study: Study, parent: Candidate) -> Iterable[Guess]:
        """Settings that differ from those of the parent's modules."""
        found: dict[str, list[Settings]] = {}
        for path, part in modules_with(study, parent, "settings").items():
            some = [one.over(part.settings) for one in self.settings]
            found[path] = [one for one in some if one != part.settings]
        return together_and_apart(found, "settings")

    def describe(self) -> dict[str, Any]:
        """Name and options."""
        return {
            "operator": type(self).__name__,
            "most": self.most,
            "settings": [one.to_json() for one in self.settings],
        }
