"""Instructions that were tried with their scores, as a proposer is shown them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from outlast.optimize.texts import text_of

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study


def attempts(study: Study, some: Iterable[Candidate], path: str, *, most: int) -> str:
    """The `most` best texts at a path with their scores on the selection examples, from 0 to 100, the best last.

    A text that several candidates have counts with its best score. Free.
    """
    scores: dict[str, float] = {}
    for candidate in some:
        tally = study.tally(candidate)
        if tally.values:
            text = text_of(study, candidate, path)
            scores[text] = max(scores.get(text, 0.0), tally.mean)
    ranked = sorted(scores.items(), key=lambda pair: pair[1])[-most:]
    return "\n\n".join(
        f"Instruction #{number}: {text}\nResulting Score: {100 * score:.0f}"
        for number, (text, score) in enumerate(ranked, 1)
    )


def new_ones(made: Sequence[Candidate], known: Iterable[Candidate]) -> list[Candidate]:
    """The candidates that are not known yet, each once."""
    seen = set(known)
    return [candidate for candidate in dict.fromkeys(made) if candidate not in seen]
