"""`KNNFewShot`: demonstrations chosen for each input from a pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outlast.adapters.protocol import Nearest
from outlast.errors import UsageError, brief
from outlast.modules.paths import predictors_of
from outlast.optimize.candidate import Candidate
from outlast.optimize.demos import bootstrapped_demos, changes_for, free_demos
from outlast.optimize.harvest import harvest, shown_as
from outlast.optimize.protocol import Optimizer, must_have
from outlast.optimize.study import Study


@dataclass(frozen=True, slots=True)
class KNNFewShot(Optimizer):
    """Keep a pool of training examples in the program, and show at each call the `k` whose inputs are nearest.

    The pool are at most `pool` examples: labels, and answers of the program's own that scored `threshold` or more where
    rollouts are paid for already; what is more likely mislabelled than not is left out (see `harvest`). `k` may be
    several numbers, which are raced with the start program. A predictor that no label fits is bootstrapped: one rollout
    for each training example, once, in the search; never when the program is used. What is near is decided by spelling
    alone (`Nearest`), so that a call costs no other call, and a pool that would not fit into one prompt is no trouble.
    Cost of the search: no rollout, with several `k` one for each and selection example.
    Source: Liu et al. 2022 (arXiv 2101.06804).
    """

    k: int | tuple[int, ...] = 8
    pool: int = 1000
    threshold: float = 1.0

    def __post_init__(self) -> None:
        sizes = list(self.k) if isinstance(self.k, list | tuple) else [self.k]
        if not sizes:
            raise UsageError("KNNFewShot(k=...) is a whole number from 1, or several; got none")
        for size in sizes:
            Nearest(size)
        if isinstance(self.pool, bool) or not isinstance(self.pool, int) or self.pool < 1:
            raise UsageError(f"KNNFewShot(pool=...) is a whole number from 1; got {brief(self.pool)}")
        object.__setattr__(self, "k", tuple(sizes) if len(sizes) > 1 else sizes[0])

    def rollouts(self, train: int, select: int) -> int:
        """A bootstrap, and what a race of several `k` takes."""
        return train + (0 if isinstance(self.k, int) else (len(self.k) + 1) * select)

    def check(self, study: Study) -> None:
        """Raise `UsageError` when demonstrations, and which of them are shown, may not change."""
        must_have(self, study, "demonstrations and which of them are shown", self._free(study))

    async def search(self, study: Study) -> Candidate:
        """The start program with a pool."""
        shelf = harvest(study, threshold=self.threshold)
        if any(not shelf.labels.get(path) for path in predictors_of(study.program)):
            await bootstrapped_demos(study, study.start, study.train, threshold=self.threshold)
            shelf = harvest(study, threshold=self.threshold)
        changes = changes_for(study.program, shown_as(study, shelf, shelf.trusted[: self.pool]))
        free = {path: demos for path, demos in changes.items() if path in self._free(study)}
        entries = [self._proposed(study, free, k) for k in ((self.k,) if isinstance(self.k, int) else self.k)]
        return entries[0] if len(entries) == 1 else (await study.race([study.start, *entries]))[0]

    def _free(self, study: Study) -> list[str]:
        """The demonstrations that may change, and which of them are shown too."""
        owners = [f"{path}.".lstrip(".") for path in free_demos(study)]
        return [f"{owner}demos" for owner in owners if not study.locked(f"{owner}shown")]

    def _proposed(self, study: Study, changes: Mapping[str, Any], k: int) -> Candidate:
        shown = {f"{path.removesuffix('demos')}shown": Nearest(k) for path in changes}
        sizes = ", ".join(str(len(demos)) for demos in changes.values())
        origin = f"the {k} nearest of {sizes} examples"
        return study.propose({**changes, **shown}, origin=origin, operator="near demos")
