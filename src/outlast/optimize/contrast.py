"""Runs of one example that came out differently, and what a proposer learns from the best and the worst of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from outlast.modules.paths import predictors_of
from outlast.optimize.edits import Edit, apply_edits
from outlast.optimize.episodes import about_program, episode
from outlast.optimize.texts import instruction_at, text_of, together

if TYPE_CHECKING:
    from outlast.data.example import Example
    from outlast.modules.module import Module
    from outlast.optimize.candidate import Candidate, Outcome
    from outlast.optimize.study import Study

_MOST_RULES = 6000  # characters that advice may add to an instruction in all


async def contrasts(study: Study, drawn: Sequence[Candidate], examples: Sequence[Example]) -> list[list[Outcome]]:
    """The scored runs of each example, best first; those whose scores differ most come first.

    A candidate that is drawn more than once makes independent draws. Cost: a rollout for each candidate and example.
    """
    draws: dict[str, int] = {}
    jobs: list[Any] = []
    for one in drawn:
        sample = draws[one.id] = draws.get(one.id, -1) + 1
        jobs.append(study.evaluate(one, examples, sample=sample))
    runs = await together(jobs)
    buckets: list[list[Outcome]] = []
    for at in range(len(examples)):
        known = [found[at] for found in runs if found[at].value is not None]
        known.sort(key=lambda outcome: -(outcome.value or 0.0))
        if known:
            buckets.append(known)
    return sorted(buckets, key=_unlike)


def _unlike(runs: Sequence[Outcome]) -> tuple[float, float, float]:
    """The order of examples: scores that differ most, then the best run, then how far it is above the mean."""
    values = [outcome.value or 0.0 for outcome in runs]
    mean = math.fsum(values) / len(values)
    return (values[-1] - values[0], -values[0], mean - values[0])


async def advised(
    study: Study, parent: Candidate, best: Outcome, worst: Outcome, advise: Module, *, sample: int
) -> dict[str, str]:
    """Instructions of a candidate with advice from two runs of an example, by path; empty when there was none.

    What an instruction says already is not added, and all that is added to the start's is bounded. `advise` takes the
    inputs of `AdviseFromContrast`. Cost: one proposal.
    """
    paths = {path or "program": path for path in predictors_of(study.program)}
    out = await study.ask(
        advise,
        sample=sample,
        program=about_program(study.program),
        modules=", ".join(paths),
        better=episode(study, best),
        worse=episode(study, worst),
    )
    advice = getattr(out, "advice", None)
    changes: dict[str, str] = {}
    told = cast("dict[Any, Any]", advice) if isinstance(advice, dict) else {}
    for module, text in told.items():
        if module in paths and isinstance(text, str):
            where = instruction_at(paths[module])
            after = apply_edits(text_of(study, parent, where), [Edit(op="add", text=text)])
            grown = len(after) - len(text_of(study, study.start, where))
            if grown <= _MOST_RULES and where in study.tunable:
                changes[where] = after
    return changes
