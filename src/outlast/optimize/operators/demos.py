"""Operators on demonstrations. What they show comes from labels and from rollouts that are paid for already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from outlast.adapters.protocol import Demo, Nearest
from outlast.data.example import Example, id_of
from outlast.errors import UsageError, brief
from outlast.modules.paths import predictors_of
from outlast.optimize.choosing import balanced, cover, orders, relevant, spread, varied
from outlast.optimize.demos import bootstrapped_demos, demos_at, example_of
from outlast.optimize.harvest import Shelf, harvest, influences, likeness_to, shown_as, shown_examples, within
from outlast.optimize.operators.protocol import Operator

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study

__all__ = ["AddDemos", "DropDemos", "NearDemos", "OrderDemos", "SwapDemos"]

_FEW = 3  # failures that say what is missing
_MOST_GOALS = 200  # examples to be covered

# Attempts in the order in which they paid in simulation; later ones repeat with other draws.
_ATTEMPTS: tuple[tuple[int, str], ...] = (
    (8, "cover"),
    (16, "cover"),
    (4, "cover"),
    (32, "cover"),
    (8, "failures"),
    (16, "random"),
    (64, "cover"),
    (2, "cover"),
    (16, "failures"),
    (8, "spread"),
    (8, "random"),
    (4, "failures"),
)


@dataclass(frozen=True, slots=True)
class _Demos(Operator):
    """What the operators on demonstrations share: `threshold` is the score from which a rollout may be shown (None: the
    full one), `tokens` bounds the demonstrations of one prompt."""

    threshold: float | None = None
    tokens: int = 6000

    def __post_init__(self) -> None:
        if isinstance(self.tokens, bool) or not isinstance(self.tokens, int) or self.tokens < 1:
            raise UsageError(f"{type(self).__name__}(tokens=...) is a whole number from 1; got {brief(self.tokens)}")

    def applies(self, study: Study, parent: Candidate) -> bool:
        """Whether some predictor's demonstrations are free to change, and there is training data to show."""
        return bool(study.train) and bool(_free(study, parent))

    def _shown(self, study: Study, parent: Candidate) -> list[str]:
        """The ids of the examples that the parent shows, in order."""
        found: dict[str, None] = {}
        for part in predictors_of(study.build(parent)).values():
            found |= {example_of(demo): None for demo in part.demos if example_of(demo)}
        return list(found)

    def _made(
        self, study: Study, parent: Candidate, demos: Mapping[str, Sequence[Demo]], origin: str, **also: Any
    ) -> list[Candidate]:
        """The parent with these demonstrations after those written by hand; nothing when that changes nothing.

        Predictors that `demos` does not name keep theirs; `also` are values of other parameters of each.
        """
        parts = predictors_of(study.build(parent))
        changes: dict[str, Any] = {}
        for path, some in within(demos, self.tokens).items():
            if path not in _free(study, parent):
                continue
            own = [demo for demo in parts[path].demos if not example_of(demo)]
            dot = f"{path}." if path else ""
            changes[f"{dot}demos"] = (*own, *some)
            changes |= {f"{dot}{name}": value for name, value in also.items() if not study.locked(f"{dot}{name}")}
        if not changes:
            return []
        made = study.propose(changes, origin=origin, parent=parent, operator=self.name, cause=_cause(study, parent))
        return [] if made in (parent, study.start) else [made]

    def _scope(self, study: Study, parent: Candidate, demos: Mapping[str, list[Demo]], number: int) -> dict[str, Any]:
        """All predictors in even attempts, one of them in odd ones."""
        free = [path for path in demos if path in _free(study, parent)]
        if len(free) < 2 or number % 2 == 0:
            return dict(demos)
        path = free[number // 2 % len(free)]
        return {path: demos[path]}


@dataclass(frozen=True, slots=True)
class AddDemos(_Demos):
    """Show a set of examples: labels, and answers of the program itself that the metric accepted.

    Attempts vary how many (`sizes`) and how they are chosen: covering the training data and the labels evenly, near the
    failures of the parent, far apart, or at random; on a parent that shows some, they are added to them or replace
    them in turn. Mislabelled ones, as far as rollouts and neighbours tell, come last. No LM call; only where no label
    fits a predictor and no rollout passed yet, a bootstrap of at most 64 rollouts of the parent.
    """

    name: ClassVar[str] = "add demos"
    sizes: tuple[int, ...] = (2, 4, 8, 16, 32, 64)

    async def propose(self, study: Study, parent: Candidate, number: int) -> list[Candidate]:
        """One set of demonstrations."""
        shelf = await _filled(study, parent, self.threshold)
        attempts = [one for one in _ATTEMPTS if one[0] in self.sizes] or [(size, "cover") for size in self.sizes]
        k, rule = attempts[number % len(attempts)]
        if number >= len(attempts) and rule != "failures":
            rule = "random"
        known = {row.example: place for place, row in enumerate(shelf.rows)}
        have = [known[one] for one in self._shown(study, parent) if one in known] if number % 2 == 0 else []
        new = _chosen(study, parent, shelf, k, rule, have, number)
        goals = _goals(study, parent, shelf)
        places = [*have, *_rising(new, goals)]
        demos = self._scope(study, parent, shown_as(study, shelf, places), number)
        how = f"{len(new)} more examples" if have else f"{len(new)} examples"
        return self._made(study, parent, demos, f"{how}, chosen by {rule}", shown=None) if new else []


@dataclass(frozen=True, slots=True)
class SwapDemos(_Demos):
    """Replace the least useful demonstrations by ones that resemble what the parent fails on.

    Useful is what candidates that show an example gain over those that do not, as far as known; then trust in its
    label. No LM call. Source of the usefulness: influences of examples, Nguyen and Wong 2023 (arXiv 2302.11042).
    """

    name: ClassVar[str] = "swap demos"

    def applies(self, study: Study, parent: Candidate) -> bool:
        """Whether the parent shows examples."""
        parts = predictors_of(study.build(parent)).values()
        return bool(_free(study, parent)) and any(example_of(demo) for part in parts for demo in part.demos)

    async def propose(self, study: Study, parent: Candidate, number: int) -> list[Candidate]:
        """The parent with 1, 2, 4 or half of its demonstrations replaced."""
        shelf = await _filled(study, parent, self.threshold)
        known = {row.example: place for place, row in enumerate(shelf.rows)}
        have = [known[one] for one in self._shown(study, parent) if one in known]
        if not have:
            return []
        count = min(len(have), (1, 2, 4, max(1, len(have) // 2))[number % 4])
        kept = have[:]
        for place in _worst_first(study, shelf, have, number)[:count]:
            kept.remove(place)
        failing = _failing(study, parent, shelf)
        goals = failing or _goals(study, parent, shelf)
        free = [place for place in shelf.trusted if place not in have]
        if number >= 4:
            rng = study.rng(f"{self.name} {parent.id} {number}")
            free = rng.sample(free, max(1, len(free) // 2)) if free else []
        new = cover(goals, count, allowed=free, given=kept, worth=shelf.worth, groups=None if failing else shelf.groups)
        demos = self._scope(study, parent, shown_as(study, shelf, [*kept, *_rising(new, goals)]), number)
        return self._made(study, parent, demos, f"{count} demonstrations replaced") if new else []


@dataclass(frozen=True, slots=True)
class DropDemos(_Demos):
    """Show fewer: without the harmful and doubtful ones, then half, a quarter, none. No LM call."""

    name: ClassVar[str] = "drop demos"

    def applies(self, study: Study, parent: Candidate) -> bool:
        """Whether the parent shows examples."""
        parts = predictors_of(study.build(parent)).values()
        return bool(_free(study, parent)) and any(example_of(demo) for part in parts for demo in part.demos)

    async def propose(self, study: Study, parent: Candidate, number: int) -> list[Candidate]:
        """The parent with a part of its demonstrations."""
        shelf = harvest(study, threshold=self.threshold)
        shown = self._shown(study, parent)
        known = {row.example: place for place, row in enumerate(shelf.rows)}
        have = [known[one] for one in shown if one in known]
        worst = [shelf.rows[place].example for place in _worst_first(study, shelf, have, number)]
        count = (max(1, len(shown) // 4), len(shown) // 2, 3 * len(shown) // 4, len(shown))[number % 4]
        gone = set(worst[:count]) if count < len(shown) else set(shown)
        parts = predictors_of(study.build(parent))
        changes = {
            demos_at(path): tuple(demo for demo in part.demos if example_of(demo) not in gone)
            for path, part in parts.items()
            if path in _free(study, parent)
        }
        origin = f"{len(gone)} of {len(shown)} demonstrations dropped"
        made = study.propose(changes, origin=origin, parent=parent, operator=self.name, cause=_cause(study, parent))
        return [] if made in (parent, study.start) else [made]


@dataclass(frozen=True, slots=True)
class OrderDemos(_Demos):
    """Show the same demonstrations in another order: what resembles the failures last, then first, then shuffled.

    No LM call. Source: order sensitivity, Lu et al. 2022 (arXiv 2104.08786).
    """

    name: ClassVar[str] = "order demos"

    def applies(self, study: Study, parent: Candidate) -> bool:
        """Whether the parent shows two examples or more, all of them at every call."""
        parts = predictors_of(study.build(parent)).values()
        fixed = all(part.shown is None for part in parts)
        return fixed and bool(_free(study, parent)) and len(self._shown(study, parent)) > 1

    async def propose(self, study: Study, parent: Candidate, number: int) -> list[Candidate]:
        """The parent with its demonstrations in one other order."""
        shelf = harvest(study, threshold=self.threshold)
        shown = self._shown(study, parent)
        known = {row.example: place for place, row in enumerate(shelf.rows)}
        merit = relevant(_failing(study, parent, shelf) or _goals(study, parent, shelf))
        merits = [merit[known[one]] if one in known else 0.0 for one in shown]
        rng = study.rng(f"{self.name} {parent.id}")
        every = orders(len(shown), rng, number + 1, relevance=merits)
        if number >= len(every):
            return []
        rank = {shown[place]: at for at, place in enumerate(every[number])}
        demos = {
            path: sorted(own, key=lambda demo: rank[example_of(demo)])
            for path, part in predictors_of(study.build(parent)).items()
            if (own := [demo for demo in part.demos if example_of(demo)])
        }
        how = ("the most relevant last", "the most relevant first")[number] if number < 2 else "shuffled"
        return self._made(study, parent, demos, f"demonstrations in another order, {how}")


@dataclass(frozen=True, slots=True)
class NearDemos(_Demos):
    """Keep a pool of examples, and show at each call those nearest to its input (`Nearest`).

    The pool are at most `pool` examples that are more likely right than wrong; attempts vary how many of them are
    shown. No LM call, as `AddDemos`. Source: Liu et al. 2022 (arXiv 2101.06804).
    """

    name: ClassVar[str] = "near demos"
    sizes: tuple[int, ...] = (8, 4, 16, 2, 32)
    pool: int = 1000

    def applies(self, study: Study, parent: Candidate) -> bool:
        """Whether demonstrations, and which of them are shown, are free to change."""
        return bool(study.train) and any(not study.locked(f"{path}.shown".lstrip(".")) for path in _free(study, parent))

    async def propose(self, study: Study, parent: Candidate, number: int) -> list[Candidate]:
        """The parent with a pool, `sizes[number]` of which are shown."""
        if number >= len(self.sizes):
            return []
        shelf = await _filled(study, parent, self.threshold)
        k, pool = self.sizes[number], shelf.trusted[: self.pool]
        demos = shown_as(study, shelf, pool)
        wide = NearDemos(self.threshold, 10**9, self.sizes, self.pool)  # a pool is not all in one prompt
        origin = f"the {k} nearest of {len(pool)} examples"
        return wide._made(study, parent, demos, origin, shown=Nearest(k))


def _free(study: Study, parent: Candidate) -> list[str]:
    """The predictors whose demonstrations may change."""
    paths = predictors_of(study.build(parent))
    return [path for path in paths if not study.locked(demos_at(path))]


def _cause(study: Study, parent: Candidate) -> tuple[str, ...]:
    """The training examples that the parent failed on."""
    return tuple(sorted(key for key, value in study.tally(parent, "train").values.items() if value < 0.5))[:20]


async def _filled(study: Study, parent: Candidate, threshold: float | None) -> Shelf:
    """The harvest; after a small bootstrap when some predictor of the program could not show anything."""
    shelf = harvest(study, threshold=threshold)
    bare = [path for path in _free(study, parent) if not shelf.labels.get(path)]
    if bare and not any(row.outcome for row in shelf.rows):
        examples = list(study.train)
        study.rng("small bootstrap").shuffle(examples)
        unseen = [one for one in examples if id_of(one) not in shown_examples(study.build(parent))]
        await bootstrapped_demos(study, parent, unseen[:64], threshold=threshold, needed=4)
        shelf = harvest(study, threshold=threshold)
    return shelf


def _goals(study: Study, parent: Candidate, shelf: Shelf) -> list[Sequence[float]]:
    """What is to be covered: the training examples, or some of them, evenly."""
    step = max(1, len(shelf.rows) // _MOST_GOALS)
    return list(shelf.similar[::step])


def _failing(study: Study, parent: Candidate, shelf: Shelf) -> list[Sequence[float]]:
    """The examples that the parent failed on, training and selection; none when they are too few to say anything."""
    failed: list[Example] = []
    for part in ("train", "select"):
        values = study.tally(parent, part).values
        failed += [study.example(key) for key, value in sorted(values.items()) if value < 0.5]
    if len(failed) < _FEW:
        return []
    return [likeness_to(study, shelf, example) for example in failed[:_MOST_GOALS]]


def _rising(places: Sequence[int], goals: Sequence[Sequence[float]]) -> list[int]:
    """The same places, the most relevant last."""
    merit = relevant([[row[place] for place in places] for row in goals])
    rank = dict(zip(places, merit, strict=False))  # no goals, no merits
    return sorted(places, key=lambda place: rank.get(place, 0.0))


def _chosen(
    study: Study, parent: Candidate, shelf: Shelf, k: int, rule: str, have: Sequence[int], number: int
) -> list[int]:
    """`k` places that are not shown yet, by one of the rules."""
    free = [place for place in shelf.trusted if place not in have]
    rng = study.rng(f"add demos {parent.id} {number}")
    if rule == "failures":
        failing = _failing(study, parent, shelf)
        if failing:
            return varied(relevant(failing), shelf.similar, k, allowed=free)
        rule = "random"
    if rule == "spread":
        return spread(shelf.similar, k, allowed=free)
    if rule == "random":
        drawn = rng.sample(free, len(free))
        return (balanced(drawn, shelf.groups) if shelf.groups is not None else drawn)[:k]
    goals = _goals(study, parent, shelf)
    return cover(goals, k, allowed=free, given=have, worth=shelf.worth, groups=shelf.groups)


def _worst_first(study: Study, shelf: Shelf, places: Sequence[int], number: int) -> list[int]:
    """Shown places, the least useful first: what shows them gains least, then who trusts them least."""
    gained = influences(study)
    rng = study.rng(f"worst {number}")
    noise = {place: rng.random() for place in places}

    def merit(place: int) -> tuple[float, float]:
        row = shelf.rows[place]
        return round(gained.get(row.example, 0.0), 2) - row.doubt, noise[place]

    return sorted(places, key=merit)
