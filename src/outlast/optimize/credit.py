"""Which text of a program to work on: what its edits have brought, and whom the feedback names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from outlast.optimize.texts import owner_of, texts

if TYPE_CHECKING:
    from outlast.optimize.candidate import Outcome
    from outlast.optimize.study import Study

_NAMED = 3.0  # how much more a module counts that the feedback of every failure names


def choose_text(study: Study, failed: Sequence[Outcome], rng: Random) -> str:
    """The path of the text to change (such as `answer.instruction`), drawn by Thompson sampling.

    Each text's chance that a change helps has a Beta posterior from the candidates so far that changed it: those that
    were accepted against those that were rejected. It counts up to three times as much when the feedback of the
    failures names its module, which is a hint and may mislead. Locked texts are left out. Raises `ValueError` when
    none may change.
    """
    paths = texts(study)
    if len(paths) == 1:
        return paths[0]
    best, most = "", -1.0
    for path in paths:
        helped, failed_to = outcomes_of_changes(study, path)
        drawn = rng.betavariate(1 + helped, 1 + failed_to) * (1 + (_NAMED - 1) * named(path, failed))
        if drawn > most:
            best, most = path, drawn
    if most < 0:
        raise ValueError("the program has no text that may change")
    return best


def outcomes_of_changes(study: Study, parameter: str) -> tuple[int, int]:
    """How many candidates that changed this parameter of their parent were accepted, and how many rejected."""
    counts = [0, 0]
    for number, some in enumerate((study.accepted, study.rejected)):
        for candidate in some:
            parent = study.candidates.get(candidate.parent, study.start)
            counts[number] += candidate.changes.get(parameter) != parent.changes.get(parameter)
    return counts[0], counts[1]


def named(path: str, failed: Sequence[Outcome]) -> float:
    """The share of the failures whose feedback names what the text at this path belongs to."""
    name = owner_of(path)
    if not name or not failed:
        return 0.0
    word = re.compile(rf"\b{re.escape(name)}\b", re.IGNORECASE)
    return sum(bool(word.search(outcome.feedback)) for outcome in failed) / len(failed)
