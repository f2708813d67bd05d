"""The gate of a search: a first, cheap judgement of a candidate, on the examples that tell the most about it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from outlast.optimize.credit import named
from outlast.optimize.operators.reflect import ReflectEdit, edited_lines
from outlast.optimize.pool import Gain, Pool, gain_between, mended
from outlast.optimize.relevance import Relevance
from outlast.optimize.texts import texts

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study

_FIRST = 2  # failures that an edit has to do better on before it is run on more
_OTHERS = 2  # more examples that it is about
_BESIDES = 2  # and others, which it should not break
WORST = 2 * (_FIRST + _OTHERS + _BESIDES)  # rollouts that an edit takes at most, its parent's among them
_LUCK = 0.25  # of failures that pass when they are asked again, where that was not measured
_MOVED = 0.5  # of a mended failure: one that feedback no longer puts down to the module that was edited
AHEAD = 0.25  # examples by which a candidate must be ahead to pass


class Gate:
    """Judges candidates against their parents.

    An edit that failures caused runs on these first, and goes on to other examples that share its rare words and to
    some that passed only when it mends them; `luck` is what failures gain in the mean when they are simply asked again
    (None: not measured), which no edit is credited for. Everything else runs on `look` selection examples.
    """

    def __init__(self, study: Study, pool: Pool) -> None:
        self.luck: float | None = None
        self.look = min(12, pool.size)
        self._study = study
        self._pool = pool
        self._relevance = Relevance(study.train)

    def narrow(self, child: Candidate) -> bool:
        """Whether it is an edit that can be judged on the examples it is about."""
        return child.operator == ReflectEdit.name and bool(child.cause)

    def content(self, parent: Candidate, child: Candidate) -> frozenset[str]:
        """What an edit says about the data, so that the same in other words is found; empty for other changes."""
        return self._relevance.content(edited_lines(self._study, parent, child))

    async def score(self, child: Candidate, parent: Candidate, *, before: int = 0) -> float:
        """By how many examples a child is ahead of its parent.

        An edit that was judged `before` is run on more this time. Cost: `WORST` rollouts at most the first time, or
        twice `look`.
        """
        study = self._study
        if not self.narrow(child):
            await self._pool.measure([child, parent], self.look)
            return self._pool.gain(child, parent).mean * self.look / study.spread
        about = self._relevance.about(edited_lines(study, parent, child))
        cause = [key for key in about if key in child.cause] or list(child.cause[:1])
        others = [key for key in about if key not in child.cause]
        first = cause[:_FIRST] if not before else [*cause, *others][: _FIRST * (1 + before)]
        if await self._ahead(child, parent, first) <= 0:
            return 0.0  # it does not even mend what it was made for
        rng = study.rng(f"gate {child.id}")
        passing = [
            o.example
            for o in study.outcomes_of(parent, "train")
            if o.value is not None and o.value >= study.full and o.example not in about
        ]
        return await self._ahead(
            child, parent, [*first, *others[:_OTHERS], *rng.sample(passing, min(len(passing), _BESIDES))]
        )

    async def _ahead(self, child: Candidate, parent: Candidate, keys: Sequence[str]) -> float:
        """By how many of these training examples a child is ahead, beyond what luck would mend."""
        examples = [self._study.example(key) for key in dict.fromkeys(keys)]
        await asyncio.gather(self._study.evaluate(child, examples), self._study.evaluate(parent, examples))
        ours, theirs = self._study.tally(child, "train"), self._study.tally(parent, "train")
        luck = _LUCK * self._study.spread if self.luck is None else self.luck
        return mended(theirs, ours, child.cause, luck) / self._study.spread + self._moved(child, parent, keys)

    def _moved(self, child: Candidate, parent: Candidate, keys: Sequence[str]) -> float:
        """What it is worth that feedback on these failures names another module than the one that was edited.

        Where several modules have to be right, mending one of them may not show in the score yet.
        """
        study = self._study
        edited = [path for path in texts(study) if child.changes.get(path) != parent.changes.get(path)]
        if len(edited) != 1 or len(texts(study)) == 1:
            return 0.0
        ours, theirs = ({o.example: o for o in study.outcomes_of(one, "train")} for one in (child, parent))
        both = [(ours[key], theirs[key]) for key in keys if key in ours and key in theirs]
        equal = [(a, b) for a, b in both if a.value is not None and a.value == b.value and a.value < study.full]
        return _MOVED * sum(named(edited[0], [b]) - named(edited[0], [a]) for a, b in equal)

    def gain(self, one: Candidate, parent: Candidate) -> Gain:
        """The gain over the parent on selection and training examples, less those that were chosen by failure."""
        ours = {**self._pool.values(one), **self._study.tally(one, "train").values}
        theirs = {**self._pool.values(parent), **self._study.tally(parent, "train").values}
        for key in one.cause:
            ours.pop(key, None)
        return gain_between(ours, theirs, spread=self._study.spread)
