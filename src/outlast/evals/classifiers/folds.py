"""Parts for cross-validation: each class spread evenly, what belongs together kept together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from outlast.data.jsonform import content_hash
from outlast.errors import DataError, UsageError, brief


def fold_of(groups: Sequence[str], values: Sequence[Any], folds: int, seed: int) -> list[int]:
    """The fold of each text, 0 to `folds` - 1. Large groups go first, each to the fold that has the fewest of its
    classes; among equals, and so for single texts, a hash of the seed decides.

    Raises `DataError` when a class would be missing from a training part.
    """
    if isinstance(folds, bool) or not isinstance(folds, int) or not 2 <= folds <= 20:
        raise UsageError(f"folds is a whole number from 2 to 20; got {brief(folds)}")
    members: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    order = sorted(members, key=lambda group: (-len(members[group]), content_hash([seed, group])))
    totals = Counter(values)
    held: list[Counter[Any]] = [Counter() for _ in range(folds)]
    sizes = [0] * folds
    found = [0] * len(groups)
    for group in order:
        counts = Counter(values[place] for place in members[group])

        def load(fold: int, counts: Counter[Any] = counts) -> tuple[float, int, int]:
            crowd = sum(times * held[fold][value] / totals[value] for value, times in counts.items())
            return crowd, sizes[fold], fold

        best = min(range(folds), key=load)
        held[best].update(counts)
        sizes[best] += len(members[group])
        for place in members[group]:
            found[place] = best
    for value, total in totals.items():
        if any(one[value] == total for one in held):
            raise DataError(
                f"all labels of {value!r} belong to one group, so that no part can be trained on some and tested on "
                f"others. Label texts of other groups, or join classes."
            )
    return found
