"""What to ship when several candidates will do: the best one, or the cheapest, fastest or shortest that is near it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from outlast.errors import UsageError, brief, did_you_mean
from outlast.optimize.vectors import COSTS, Cost, Item

_WORDS: dict[str, Cost] = {"cheapest": "dollars", "fastest": "seconds", "fewest tokens": "tokens"}
_FORM = re.compile(r"(?P<what>[a-z]+(?: [a-z]+)?) within (?P<points>\d+(?:\.\d+)?) points?")
_EXAMPLE = "'best', 'cheapest within 1 point', 'fastest within 2 points' or 'fewest tokens within 0.5 points'"


@dataclass(frozen=True, slots=True)
class Prefer:
    """The wish that decides among candidates: `Prefer("dollars", within=1)` is "cheapest within 1 point".

    `what` is "score" (the best one), "dollars", "seconds" or "tokens" of a rollout; `within` is the loss of score
    against the best candidate that this may cost, in points, which are hundredths of a score of 0 to 1. Raises
    `UsageError` for anything else.
    """

    what: Literal["score", "dollars", "seconds", "tokens"] = "score"
    within: float = 0.0

    def __post_init__(self) -> None:
        if self.what not in ("score", *COSTS):
            raise UsageError(
                f"Prefer(what) is 'score', {', '.join(map(repr, COSTS))}; got {brief(self.what)}."
                f"{did_you_mean(str(self.what), ('score', *COSTS))}"
            )
        number = isinstance(self.within, int | float) and not isinstance(self.within, bool)
        if not number or not math.isfinite(self.within) or self.within < 0:
            raise UsageError(f"Prefer(within) is a number of points from 0; got {brief(self.within)}")
        if self.what == "score" and self.within:
            raise UsageError("the best score needs no margin: Prefer('score') stands alone")

    @classmethod
    def read(cls, wish: object) -> Prefer:
        """The wish from text such as "cheapest within 1 point", None (the best) or a `Prefer`; raises `UsageError`."""
        if isinstance(wish, cls):
            return wish
        if wish is None or wish == "best":
            return cls()
        found = _FORM.fullmatch(wish) if isinstance(wish, str) else None
        if found is None or found["what"] not in _WORDS:
            near = did_you_mean(found["what"], _WORDS) if found else ""
            raise UsageError(f"prefer is {_EXAMPLE}; got {brief(wish)}.{near}")
        return cls(_WORDS[found["what"]], float(found["points"]))

    @property
    def cost(self) -> Cost | None:
        """The cost that is to be small; None when only the score counts."""
        return None if self.what == "score" else self.what

    @property
    def margin(self) -> float:
        """The loss that is allowed, in score."""
        return self.within / 100

    def __str__(self) -> str:
        if self.what == "score":
            return "best"
        word = next(word for word, cost in _WORDS.items() if cost == self.what)
        return f"{word} within {self.within:g} point{'s' if self.within != 1 else ''}"


BEST = Prefer()


def choose(items: Mapping[str, Mapping[str, Item]], best: str, prefer: Prefer) -> str:
    """The candidate of `items` (by candidate and example) that costs least and loses no more to `best` than allowed.

    Both are judged on the examples that a candidate shares with the best one. Of equal costs the higher score wins,
    then the best one itself, then the first.
    """
    cost = prefer.cost
    if cost is None or best not in items:
        return best
    found: list[tuple[float, float, bool, int, str]] = []
    for place, (key, own) in enumerate(items.items()):
        shared = [example for example in own if example in items[best]]
        if not shared:
            continue
        change = math.fsum(own[e].score - items[best][e].score for e in shared) / len(shared)
        spent = math.fsum(own[e].cost(cost) for e in shared)
        usual = math.fsum(items[best][e].cost(cost) for e in shared)
        if change >= -prefer.margin - 1e-9:
            share = spent / usual if usual else float(spent > 0)
            found.append((round(share, 6), -round(change, 9), key != best, place, key))
    return min(found)[-1] if found else best
