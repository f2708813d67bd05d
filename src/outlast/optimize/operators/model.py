"""`ModelChoice`: which of several models answers, at each place of a program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from outlast.errors import ConfigError, UsageError, brief
from outlast.lms.protocol import LM
from outlast.modules.settings import as_lm, chosen_lm
from outlast.optimize.operators.structure import Guess, Structural, modules_with, together_and_apart
from outlast.runtime import current

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study


@dataclass(frozen=True, slots=True)
class ModelChoice(Structural):
    """Ask another model: `models` are those to try, as LMs or by name. All modules at once, then each alone.

    A compiled file names the model that won; `ol.load(path, program, known={name: lm})` takes it from your code. Models
    differ in price, so mind `prefer=` and a budget in dollars. Raises `UsageError` for two models of one name.
    """

    name: ClassVar[str] = "model"
    models: Sequence[LM | str] = ()

    def __post_init__(self) -> None:
        Structural.__post_init__(self)
        given: Any = self.models
        if not isinstance(given, list | tuple) or not given:
            raise UsageError(f"ModelChoice(models=...) is a list of models or of their names; got {brief(given)}")
        found = tuple(as_lm(one) for one in self.models)
        names = [one.name for one in found]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise UsageError(f"ModelChoice: two models are named {twice!r}, so a file could not tell them apart")
        object.__setattr__(self, "models", found)

    def guesses(self, study: Study, parent: Candidate) -> Iterable[Guess]:
        """Models other than those that the parent's modules ask."""
        found: dict[str, list[LM]] = {}
        for path, part in modules_with(study, parent, "lm").items():
            try:
                now = chosen_lm(part.lm, current()).identity
            except ConfigError:  # no model is set here
                now = ""
            found[path] = [one for one in cast("Sequence[LM]", self.models) if one.identity != now]
        return together_and_apart(found, "model")

    def describe(self) -> dict[str, Any]:
        """Name and options; models by what decides their answers."""
        return {
            "operator": type(self).__name__,
            "most": self.most,
            "models": [one.identity for one in cast("Sequence[LM]", self.models)],
        }
