"""`Committee`: several of the best candidates answer together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from outlast.errors import UsageError, brief
from outlast.modules.ensemble import Ensemble
from outlast.modules.module import Module
from outlast.modules.paths import STRATEGY, is_strategy, modules_of, parameters
from outlast.modules.strategy import recipe_of, signature_of
from outlast.optimize.candidate import Candidate
from outlast.optimize.protocol import Optimizer
from outlast.optimize.random_search import RandomSearch
from outlast.optimize.study import Study
from outlast.optimize.texts import whole_numbers


@dataclass(frozen=True, slots=True)
class Committee(Optimizer):
    """Run `search`, and let the `size` best candidates answer together: what most of them say is the answer.

    Wherever they differ, the module becomes an `ol.Ensemble` of theirs, which a compiled file holds like any strategy.
    The committee must beat its best member in the race, as it costs `size` times as much at every call. It votes on the
    outputs of each module; modules whose outputs are free text seldom agree.
    Cost: that of `search`, and `size` rollouts' worth for each selection example.
    Source: DSPy's Ensemble; voting over prompts, Wang et al. 2022 (arXiv 2207.00747).
    """

    search_by: Optimizer = field(default_factory=RandomSearch)
    size: int = 3

    def __post_init__(self) -> None:
        whole_numbers(self, size=2)
        if not isinstance(self.search_by, Optimizer):
            raise UsageError(f"Committee(search_by=...) is an optimizer such as ol.Auto(); got {brief(self.search_by)}")

    def rollouts(self, train: int, select: int) -> int:
        """Those of the search, and a race of three."""
        return self.search_by.rollouts(train, select) + (self.size + 2) * select

    @property
    def takes_what_is_paid(self) -> bool:
        """As the search does."""
        return self.search_by.takes_what_is_paid

    def check(self, study: Study) -> None:
        """What the search raises."""
        self.search_by.check(study)

    async def search(self, study: Study) -> Candidate:
        """The committee when it is better than its best member, else that member."""
        best = await self.search_by.search(study)
        members = ranked(study, best)[: self.size]
        if len(members) < 2:
            return best
        # the members first, on all selection examples: the committee then asks them nothing new where they agree
        made = seated(study, members)
        if made in (study.start, best):
            return best
        order = await study.race([study.start, best, made])
        return made if order[0] == made and study.tally(made).mean > study.tally(best).mean else best


def ranked(study: Study, best: Candidate) -> list[Candidate]:
    """The candidates of a search that may still win, the best first, the start among them if it is one of the best."""
    others = [one for one in study.contenders() if one != best]
    others.sort(key=lambda one: (-len(study.tally(one).values), -study.tally(one).mean))
    return [best, *others]


def seated(study: Study, members: Sequence[Candidate]) -> Candidate:
    """The program in which, wherever these candidates differ, each has a part in an `Ensemble`. Makes no LM call."""
    programs = [modules_of(study.build(one)) for one in members]
    changes: dict[str, Any] = {}
    for path in places(study.program):
        parts = [modules[path] for modules in programs if path in modules]
        dot = f"{path}." if path else ""
        if len(parts) < 2 or all(part == parts[0] for part in parts) or study.locked(f"{dot}{STRATEGY}"):
            continue
        changes[f"{dot}{STRATEGY}"] = Ensemble([recipe_of(part) for part in parts])
        for number, part in enumerate(parts):
            for name, value in parameters(part).items():
                if not is_strategy(name) and name.rpartition(".")[2] != "lm":
                    changes[f"{dot}parts.{number}.{name}"] = value
    names = ", ".join(one.id for one in members)
    return study.propose(changes, origin=f"a vote of {names}", parent=members[0], operator="committee")


def places(program: Module) -> list[str]:
    """The outermost modules that answer a signature, by path."""
    found: list[str] = []
    for path, part in modules_of(program).items():
        inside = any(not outer or path.startswith(f"{outer}.") for outer in found)
        if signature_of(part) is not None and not inside:
            found.append(path)
    return found
