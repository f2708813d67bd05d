"""`RandomSearch`: many sets of demonstrations, raced on shared examples."""

from __future__ import annotations

from dataclasses import dataclass, replace

from outlast.adapters.protocol import Demo
from outlast.errors import UsageError
from outlast.modules.module import Module
from outlast.optimize.candidate import Candidate
from outlast.optimize.choosing import cover
from outlast.optimize.demos import bootstrapped_demos, changes_for, free_demos, labels_for, teacher_candidate
from outlast.optimize.harvest import Row, Shelf, demos_of, harvest, within
from outlast.optimize.protocol import Optimizer, must_have
from outlast.optimize.study import Study

_SIZES = (8, 16, 4, 32, 2)


@dataclass(frozen=True, slots=True)
class RandomSearch(Optimizer):
    """Draw `candidates` sets of demonstrations and race them, and the start program, on the selection examples.

    Each set mixes demos bootstrapped from rollouts of a teacher that score `threshold` or more (as `BootstrapFewShot`;
    `bootstrap=False` does without) with labelled ones, in random number (up to `max_demos` on a logarithmic scale,
    within `tokens`), choice and order; every predictor sees the same examples. Every third set is no draw: it covers
    the training data with `max_demos`, then with 8, 16, 4, 32 and 2. Examples whose label is more likely wrong than
    right are left out. A race evaluates all on blocks of shared examples and drops those that are clearly behind.
    Cost: at most one rollout for each training example and (candidates + 1) for each selection example; a race of many
    examples takes about half of that.
    Source: random search over bootstrapped demos, Khattab et al. 2023 (arXiv 2310.03714); racing, Maron and Moore 1994.
    """

    candidates: int = 16
    max_demos: int = 64
    max_labeled_teacher: int = 16
    bootstrap: bool = True
    threshold: float = 1.0
    teacher: Module | None = None
    tokens: int = 8000

    def __post_init__(self) -> None:
        if self.candidates < 1 or self.max_demos < 1 or self.max_labeled_teacher < 0 or self.tokens < 1:
            raise UsageError("RandomSearch takes candidates, max_demos and tokens >= 1, max_labeled_teacher >= 0")

    def rollouts(self, train: int, select: int) -> int:
        """The bootstrap and every candidate on every selection example."""
        return (train if self.bootstrap else 0) + (self.candidates + 1) * select

    def check(self, study: Study) -> None:
        """Raise `UsageError` when no demonstrations may change, or none are bootstrapped and the data have none."""
        must_have(self, study, "demonstrations", free_demos(study) if self.bootstrap else labels_for(study))

    async def search(self, study: Study) -> Candidate:
        """The best candidate of the race."""
        if self.bootstrap:
            examples = list(study.train)
            study.rng("order").shuffle(examples)
            count = 0 if self.teacher is not None else min(self.max_labeled_teacher, len(examples) // 2)
            teacher = teacher_candidate(study, self.teacher, examples[:count])
            await bootstrapped_demos(study, teacher, examples[count:], threshold=self.threshold)
        shelf = harvest(study, threshold=self.threshold)
        sizes = [size for size in dict.fromkeys((self.max_demos, *_SIZES)) if size <= self.max_demos]
        entries = [study.start]
        for number in range(self.candidates):
            turn, rest = divmod(number, 3)
            covers = rest == 0 and turn < len(sizes)
            made = self._covering(study, number, shelf, sizes[turn]) if covers else self._draw(study, number, shelf)
            entries.append(made)
        return (await study.race(entries))[0]

    def _covering(self, study: Study, number: int, shelf: Shelf, size: int) -> Candidate:
        """The set that covers the training data, what is most useful last."""
        goals = shelf.similar[:: max(1, len(shelf.rows) // 200)]
        places = cover(goals, size, allowed=shelf.trusted, worth=shelf.worth, groups=shelf.groups)
        rows = [shelf.rows[place] for place in reversed(places)]
        return self._proposed(study, shelf, rows, f"set {number}: {len(rows)} examples that cover the training data")

    def _draw(self, study: Study, number: int, shelf: Shelf) -> Candidate:
        """One set of demonstrations. Demos of one example stay together over all predictors."""
        rng = study.rng(f"set {number}")
        trusted = [shelf.rows[place] for place in shelf.trusted]
        passed = [row for row in trusted if row.outcome is not None]
        size = round(self.max_demos ** max(rng.random(), rng.random()))
        share = rng.random() if passed else 0.0
        kept = rng.sample(passed, min(len(passed), round(size * share)))
        used = {row.place for row in kept}
        free = [replace(row, outcome=None) for row in trusted if row.place not in used and shelf.is_labelled(row)]
        filled = rng.sample(free, min(len(free), size - len(kept)))
        rows = [*kept, *filled]
        rng.shuffle(rows)
        origin = f"set {number}: {len(kept)} bootstrapped and {len(filled)} labelled demos"
        return self._proposed(study, shelf, rows, origin)

    def _proposed(self, study: Study, shelf: Shelf, rows: list[Row], origin: str) -> Candidate:
        found: dict[str, list[Demo]] = {}
        for row in rows:
            for path, demo in demos_of(study, shelf, row).items():
                found.setdefault(path, []).append(demo)
        changes = changes_for(study.program, within(found, self.tokens))
        free = {path: demos for path, demos in changes.items() if not study.locked(path)}
        return study.propose(free, origin=origin, operator="demos")
