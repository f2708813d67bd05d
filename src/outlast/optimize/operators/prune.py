"""`Prune`: leave out what does not help, line by line and demonstration by demonstration."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from outlast.adapters.protocol import Demo, Nearest
from outlast.errors import UsageError, brief
from outlast.modules.paths import parameters, predictors_of
from outlast.optimize.demos import example_of
from outlast.optimize.lineage import Effect, paired_effect, pieces
from outlast.optimize.operators.protocol import Operator
from outlast.optimize.race import lag
from outlast.optimize.setting import SMALLEST

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study

BLOCK = 20  # examples before a part that clearly helps is measured no further
SPARE = 0.5  # standard errors that the loss of all together must have to spare
CLEAR = 2.0  # standard errors by which a program without it lies behind
_LONGEST = 120  # characters of a part in the record

Spot = tuple[str, int]  # a parameter's path and the place in it


@dataclass(frozen=True, slots=True)
class Measured:
    """Some parts that were left out together: what that changed in score, and how many tokens a rollout it saves."""

    spots: tuple[Spot, ...]
    effect: Effect | None
    tokens: float


@dataclass(frozen=True, slots=True)
class Prune(Operator):
    """Leave out lines of instructions and demonstrations that do not help.

    Each part is left out alone (a leave-one-out), on shared selection examples; one without which the score clearly
    falls is measured on the first 20 only. Of those without which the mean falls by at most `within` points, the most
    go together, best first, that lose no more than that as a whole, with half a standard error to spare, on the
    training examples, which chose none of them. With `most_tokens`, the mean tokens of a rollout, more goes, what costs
    least score for its tokens first, until it fits. Of more than `most_parts` parts, neighbouring demonstrations are
    left out together. Locked parameters stay, and so do the lines of a signature's own description and one line of each
    text. Of a pool that `Nearest` chooses from nothing is left out, as that would save no tokens: fewer of it are shown
    at a call, by a half, a quarter, an eighth, and what of these goes together. `study.note(pruned=...)` keeps all
    effects.

    These are choices on data that ranks; the proof on held-out examples says what they are worth.
    Cost: at most (parts + 2) x selection examples + (1 + log2(parts)) x training examples.
    """

    name: ClassVar[str] = "prune"
    within: float = 2.0
    most_tokens: int | None = None
    most_parts: int = 24

    def __post_init__(self) -> None:
        if isinstance(self.within, bool) or not isinstance(self.within, int | float) or not 0 <= self.within <= 100:
            raise UsageError(f"Prune(within) is a number of points from 0 to 100; got {brief(self.within)}")
        for field, value in (("most_tokens", self.most_tokens), ("most_parts", self.most_parts)):
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
            if not whole and not (field == "most_tokens" and value is None):
                raise UsageError(f"Prune({field}) is a whole number from 1; got {brief(value)}")

    def applies(self, study: Study, parent: Candidate) -> bool:
        """Whether there is anything to leave out."""
        return bool(self.groups(study, parent))

    def groups(self, study: Study, parent: Candidate) -> list[tuple[Spot, ...]]:
        """What is left out alone, each part or some together: at most about `most_parts`."""
        spots = spots_of(study, parent)
        slots = _slots(study, parent)[: self.most_parts - bool(spots)]
        return [*(grouped(spots, self.most_parts - len(slots)) if spots else []), *slots]

    async def propose(self, study: Study, parent: Candidate, number: int) -> list[Candidate]:
        """The parent without what does not help; empty when all of it does, and on every attempt but the first."""
        groups = [] if number else self.groups(study, parent)
        if not groups:
            return []
        trials = [_without(study, parent, group, f"without {_words(study, parent, group)}") for group in groups]
        await _measure(study, parent, trials)
        found = [self._measured(study, parent, group, trial) for group, trial in zip(groups, trials, strict=True)]
        made = await self._together(study, parent, found)
        study.note(pruned=_effects(study, parent, found, made))
        return [] if made == parent else [made]

    def _measured(self, study: Study, parent: Candidate, group: tuple[Spot, ...], trial: Candidate) -> Measured:
        effect = paired_effect(study.tally(trial).values, study.tally(parent).values)
        ours, base = study.items(trial), study.items(parent)
        shared = [example for example in ours if example in base]
        saved = sum(base[e].tokens - ours[e].tokens for e in shared) / len(shared) if shared else 0.0
        return Measured(group, effect, saved)

    async def _together(self, study: Study, parent: Candidate, found: Sequence[Measured]) -> Candidate:
        """The parent without the most of the harmless parts that it can lose together, and within the length."""
        margin = self.within / 100
        harmless = [one for one in found if one.effect is not None and one.effect.difference >= -margin - 1e-9]
        harmless.sort(key=lambda one: (-_gain(one), -one.tokens))
        low, high, best = 0, len(harmless), parent
        count = high
        while count > low:
            spots = [spot for one in harmless[:count] for spot in one.spots]
            trial = _without(study, parent, spots, f"pruned: {len(spots)} parts that do not help")
            if trial != parent and await _no_worse(study, trial, parent, margin):
                low, best = count, trial
            else:
                high = count - 1
            count = (low + high + 1) // 2
        await _measure(study, parent, [best])
        return best if self.most_tokens is None else await self._fitted(study, parent, found, harmless[:low])

    async def _fitted(
        self, study: Study, parent: Candidate, found: Sequence[Measured], gone: Sequence[Measured]
    ) -> Candidate:
        """Leave out more, what loses least score for its tokens first, until a rollout has few enough tokens."""
        assert self.most_tokens is not None
        left = [one for one in found if one not in gone and one.tokens > 0]
        left.sort(key=lambda one: -_gain(one) / one.tokens)
        out = list(gone)
        while True:
            spots = [spot for one in out for spot in one.spots]
            trial = _without(study, parent, spots, f"pruned: {len(spots)} parts, to {self.most_tokens} tokens")
            await _measure(study, parent, [trial])
            over = study.vector(trial).tokens - self.most_tokens
            if over <= 0 or not left:
                return trial
            while left and over > 0:
                out.append(left.pop(0))
                over -= out[-1].tokens


async def _no_worse(study: Study, trial: Candidate, parent: Candidate, margin: float) -> bool:
    """Whether the loss stays within the margin on training examples, by half a standard error.

    The parts were chosen by the selection examples, on which the lot of them looks better than it is. Examples that the
    parent shows as demonstrations are left out: their own answers help them. Where a pool holds next to all of them,
    the selection examples have to do.
    """
    values = parameters(study.build(parent))
    shown = {example_of(demo) for part in predictors_of(study.build(parent)).values() for demo in part.demos}
    fresh = [example for example in study.train if study.key_of(example) not in shown]
    if len(fresh) < SMALLEST and any(_pooled(values, path) for path in values):
        fresh = list(study.select)
    both = await asyncio.gather(*(study.evaluate(one, fresh) for one in (trial, parent)), return_exceptions=True)
    for found in both:
        if isinstance(found, BaseException):
            raise found
    ours, base = (
        {one.example: one.value for one in found if one.value is not None}
        for found in both
        if not isinstance(found, BaseException)
    )
    changes = [value - base[example] for example, value in ours.items() if example in base]
    if len(changes) < 2:
        return False
    mean = sum(changes) / len(changes)
    # Half an imaginary change keeps the spread from being 0 where all agree.
    variance = (sum((change - mean) ** 2 for change in changes) + 0.5) / (len(changes) - 1)
    return mean - SPARE * math.sqrt(variance / len(changes)) >= -margin


def _gain(one: Measured) -> float:
    return one.effect.difference if one.effect is not None else 0.0


def spots_of(study: Study, parent: Candidate) -> list[Spot]:
    """What may be left out: lines of texts that have more than one, and demonstrations; nothing that is locked."""
    values = parameters(study.build(parent))
    found: list[Spot] = []
    for path in study.tunable:
        value = values.get(path)
        some = pieces(value)
        if isinstance(value, str):
            own = _described(study, path)
            places = [place for place, line in enumerate(some) if line.strip() and line.strip() not in own]
            lines = sum(bool(line.strip()) for line in some)
            found += [(path, place) for place in places] if lines > 1 else []
        elif isinstance(some[0], Demo) and not _pooled(values, f"{path.removesuffix('demos')}shown"):
            found += [(path, place) for place in range(len(some))]
    return found


def _slots(study: Study, parent: Candidate) -> list[tuple[Spot, ...]]:
    """What fewer of a pool may be shown at a call: a half of them, a quarter, and so on; the nearest one (0) stays."""
    values = parameters(study.build(parent))
    found: list[tuple[Spot, ...]] = []
    for path in study.tunable:
        size, place = _pooled(values, path) // 2, 1
        while size:
            found.append(tuple((path, place + number) for number in range(size)))
            size, place = size // 2, place + size
    return found


def _pooled(values: Mapping[str, Any], path: str) -> int:
    """How many of its demonstrations a call shows, for the path of a `Nearest` that leaves some out; else 0."""
    shown = values.get(path)
    demos = values.get(f"{path.removesuffix('shown')}demos", ())
    return shown.k if isinstance(shown, Nearest) and shown.k < len(demos) else 0


def _described(study: Study, path: str) -> set[str]:
    """The lines that a signature says itself; a person wrote them."""
    part = predictors_of(study.program).get(path.rpartition(".")[0])
    is_instruction = path.rpartition(".")[2] == "instruction"
    return {line.strip() for line in part.signature.description.split("\n")} if part and is_instruction else set()


def grouped(spots: Sequence[Spot], most: int) -> list[tuple[Spot, ...]]:
    """Each part alone; of more than `most` parts, neighbours of one parameter together."""
    size = -(-len(spots) // most)
    groups: list[tuple[Spot, ...]] = []
    for spot in spots:
        if groups and groups[-1][-1][0] == spot[0] and len(groups[-1]) < size:
            groups[-1] = (*groups[-1], spot)
        else:
            groups.append((spot,))
    return groups


def _without(study: Study, parent: Candidate, spots: Iterable[Spot], origin: str) -> Candidate:
    """The parent without these parts. The first line of a text stays when all of its lines would go."""
    gone = set(spots)
    values = parameters(study.build(parent))
    changes: dict[str, Any] = {}
    for path in sorted({path for path, _ in gone}):
        if _pooled(values, path):
            changes[path] = Nearest(values[path].k - sum(spot[0] == path for spot in gone))
            continue
        some = pieces(values[path])
        kept = [one for place, one in enumerate(some) if (path, place) not in gone]
        if isinstance(values[path], str):
            changes[path] = "\n".join(kept) if any(line.strip() for line in kept) else next(filter(str.strip, some))
        else:
            changes[path] = tuple(kept)
    return study.propose(changes, origin=origin, parent=parent, operator=Prune.name) if changes else parent


async def _measure(study: Study, parent: Candidate, trials: Sequence[Candidate]) -> None:
    """Run candidates on the selection examples, those that fall clearly behind on the first of them only."""
    examples = list(study.select)
    study.rng("prune").shuffle(examples)
    alive = [trial for trial in dict.fromkeys(trials) if trial != parent]
    for start in range(0, len(examples), BLOCK):
        block = examples[start : start + BLOCK]
        results = await asyncio.gather(
            *(study.evaluate(one, block) for one in (parent, *alive)), return_exceptions=True
        )
        failure = next((found for found in results if isinstance(found, BaseException)), None)
        if failure is not None:
            raise failure
        alive = [trial for trial in alive if lag(study, trial, parent) <= CLEAR]
        study.mark(parent)


def _effects(study: Study, parent: Candidate, found: Sequence[Measured], made: Candidate) -> list[dict[str, Any]]:
    """What is known of each part, JSON-ready; `now` is its place in what was made, None when it is gone."""
    before = parameters(study.build(parent))
    after = parameters(study.build(made))
    rows: list[dict[str, Any]] = []
    left: dict[str, list[Any]] = {
        path: list(pieces(after[path])) for path in {p for m in found for p, _ in m.spots if not _pooled(before, p)}
    }
    fewer = {path: before[path].k - after[path].k for path in before if _pooled(before, path)}
    offsets: Mapping[str, dict[int, int]] = {path: _kept(pieces(before[path]), some) for path, some in left.items()}
    for one in found:
        told = {
            "tokens": round(one.tokens, 1),
            "effect": None if one.effect is None else one.effect.to_json(),
        }
        path, place = one.spots[0]
        if path in fewer:  # sizes are such that what went together tells which of them did
            gone = len(one.spots) <= fewer[path]
            fewer[path] -= len(one.spots) if gone else 0
            text = _slots_words(before[path].k, len(one.spots))
            rows.append(
                {"path": path, "place": place, "text": text, "now": None if gone else place, "together": 1, **told}
            )
            continue
        for path, place in one.spots:
            text, now = _brief(pieces(before[path])[place]), offsets[path].get(place)
            rows.append({"path": path, "place": place, "text": text, "now": now, "together": len(one.spots), **told})
    return rows


def _slots_words(k: int, size: int) -> str:
    return f"{size} of the {k} demonstrations that a call shows, those least like it"


def _kept(before: Sequence[Any], after: Sequence[Any]) -> dict[int, int]:
    """Where each part that is still there stands now."""
    found: dict[int, int] = {}
    now = 0
    for place, piece in enumerate(before):
        if now < len(after) and after[now] == piece:
            found[place] = now
            now += 1
    return found


def _words(study: Study, parent: Candidate, group: Sequence[Spot]) -> str:
    path, place = group[0]
    values = parameters(study.build(parent))
    if k := _pooled(values, path):
        return _slots_words(k, len(group))
    what = _brief(pieces(values[path])[place])
    return f"{what!r} of {path}" + (f" and {len(group) - 1} more" if len(group) > 1 else "")


def _brief(piece: Any) -> str:
    text = "; ".join(f"{name}: {value}" for name, value in piece.values.items()) if isinstance(piece, Demo) else piece
    line = " ".join(str(text).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
