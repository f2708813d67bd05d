"""How the winner of a search came about: its ancestors, what each one changed and why, and what that brought."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from outlast.adapters.protocol import Demo
from outlast.data.example import as_json
from outlast.modules.paths import parameters

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate, Outcome
    from outlast.optimize.study import Study

MOST_STEPS = 40  # of a lineage that are kept in a record
MOST_FAILURES = 3  # that are shown for a step
LONGEST = 240  # characters of one text of a failure
FEW = 10  # examples; with fewer nothing is said


@dataclass(frozen=True, slots=True)
class Effect:
    """The paired difference of a candidate to its parent on the `n` examples of `part` that both were run on."""

    difference: float
    low: float | None
    high: float | None
    n: int
    part: str = "select"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        ends = [None if end is None else round(end, 6) for end in (self.low, self.high)]
        return {"score": round(self.difference, 6), "interval": ends, "n": self.n, "part": self.part}

    def __str__(self) -> str:
        from outlast.evals.wording import difference

        where = f"{self.n} {_PARTS.get(self.part, self.part)} example{'s' if self.n != 1 else ''}"
        share = abs(self.difference) <= 1
        said = difference(self.difference, share) + (" points" if share else "")
        if self.n < FEW or self.low is None or self.high is None:
            return f"{said} on {where}: too few to tell"
        said += f" ({difference(self.low, share)}..{difference(self.high, share)}) on {where}"
        if self.low > 0 or self.high < 0:
            return said
        return f"{said}: may be chance"


_PARTS = {"select": "selection", "train": "training"}


def paired_effect(child: Mapping[str, float], parent: Mapping[str, float], *, part: str = "select") -> Effect | None:
    """What a change brought on the examples that both have; None without any. Interval of 95%, for one look only."""
    from outlast.evals.statistics import paired_difference

    shared = sorted(child.keys() & parent.keys())
    if not shared:
        return None
    paired = paired_difference([parent[e] for e in shared], [child[e] for e in shared])
    ends = [end if math.isfinite(end) else None for end in (paired.interval.low, paired.interval.high)]
    return Effect(paired.difference, ends[0], ends[1], paired.n, part)


def effect_of(study: Study, child: Candidate, parent: Candidate) -> Effect | None:
    """On selection examples, where demonstrations cannot answer for themselves; else on training examples."""
    for part in ("select", "train"):
        found = paired_effect(study.tally(child, part).values, study.tally(parent, part).values, part=part)
        if found is not None:
            return found
    return None


def ancestors(study: Study, winner: Candidate) -> list[Candidate]:
    """From the start to the winner."""
    chain = [winner]
    while chain[0].parent and len(chain) < MOST_STEPS:
        parent = study.candidates.get(chain[0].parent)
        if parent is None or parent in chain:
            break
        chain.insert(0, parent)
    if chain[0].id != "start":
        chain.insert(0, study.start)
    return chain


def pieces(value: Any) -> list[Any]:
    """What of a parameter's value has an origin of its own: the lines of a text, the demonstrations, else the whole."""
    if isinstance(value, str):
        return value.split("\n")
    if isinstance(value, tuple) and value and all(isinstance(one, Demo) for one in value):  # pyright: ignore[reportUnknownVariableType]
        return list(value)  # pyright: ignore[reportUnknownArgumentType]
    return [value]


def lineage_of(study: Study, winner: Candidate) -> dict[str, Any]:
    """The part of a record that explains the winner without its ledger, JSON-ready.

    `steps` are the ancestors after the start, then the candidates outside that line from which a merge took something;
    `own` says how many of them are ancestors. `lines` has for each changed parameter the number of the step (0: the
    start) that brought each line or demonstration; `removed` the lines of the start's texts that are gone.
    """
    chain = ancestors(study, winner)
    values = [parameters(study.build(one)) for one in chain]
    lines: dict[str, list[int]] = {}
    removed: dict[str, list[str]] = {}
    for path in sorted(winner.changes):
        history = [pieces(some[path]) if path in some else [] for some in values]
        lines[path] = [_brought(piece, history) for piece in history[-1]]
        if isinstance(values[-1][path], str):
            gone = [line for line in history[0] if isinstance(line, str) and line.strip() and line not in history[-1]]
            if gone:
                removed[path] = [_short(line) for line in gone[:MOST_STEPS]]
    steps = [_step(study, child, parent) for parent, child in pairwise(chain)]
    own = len(steps)
    for side, places in _merged_in(study, chain, lines, values[-1]).items():
        if len(steps) < MOST_STEPS:
            found = study.candidates[side]
            steps.append(_step(study, found, study.candidates.get(found.parent, study.start)))
            for path, place in places:
                lines[path][place] = len(steps)
    return {"steps": steps, "own": own, "lines": lines, "removed": removed}


def _merged_in(
    study: Study, chain: Sequence[Candidate], lines: Mapping[str, list[int]], last: Mapping[str, Any]
) -> dict[str, list[tuple[str, int]]]:
    """For what merges brought: the earliest candidate that had it, and the places of it in the winner."""
    order = list(study.candidates)
    found: dict[str, list[tuple[str, int]]] = {}
    for path, numbers in lines.items():
        for place, number in enumerate(numbers):
            step = chain[number]
            if "merge" not in step.operator and "cross" not in step.operator:
                continue
            piece = pieces(last[path])[place]
            for key in order[: order.index(step.id)]:
                if path in study.candidates[key].changes and piece in pieces(study.candidates[key].changes[path]):
                    found.setdefault(key, []).append((path, place))
                    break
    return found


def _brought(piece: Any, history: Sequence[list[Any]]) -> int:
    """The first of the last unbroken run of ancestors that hold a piece."""
    at = len(history) - 1
    while at > 0 and piece in history[at - 1]:
        at -= 1
    return at


def _step(study: Study, child: Candidate, parent: Candidate) -> dict[str, Any]:
    effect = effect_of(study, child, parent)
    return {
        "id": child.id,
        "parent": parent.id,
        "operator": child.operator,
        "origin": child.origin,
        "changes": sorted(path for path in child.changes if not _same(child, parent, path)),
        "cause": list(child.cause[: 2 * MOST_FAILURES]),
        "failures": [_failure(study, key, parent) for key in _failures(study, child, parent)],
        "effect": None if effect is None else effect.to_json(),
    }


def _same(child: Candidate, parent: Candidate, path: str) -> bool:
    return path in parent.changes and parent.changes[path] == child.changes[path]


def _failure(study: Study, key: str, parent: Candidate) -> dict[str, Any]:
    """An example as the parent failed on it, in brief."""
    data = as_json(study.example(key))
    found: dict[str, Any] = {"example": key, "inputs": _short(data["inputs"]), "expected": _short(data["targets"])}
    outcome = _outcome(study, key, parent)
    if outcome is None:
        return found
    return found | {"score": outcome.value, "said": _short(outcome.feedback or outcome.error)}


def _failures(study: Study, child: Candidate, parent: Candidate) -> list[str]:
    """Those causes that the search may show, where the parent itself failed first."""
    known = [key for key in child.cause if study.knows(key)]
    scores = {key: 2.0 if (found := _outcome(study, key, parent)) is None else found.value or 0.0 for key in known}
    return sorted(known, key=lambda key: scores[key])[:MOST_FAILURES]


def _outcome(study: Study, key: str, candidate: Candidate) -> Outcome | None:
    some = [*study.outcomes_of(candidate, "train"), *study.outcomes_of(candidate, "select")]
    return next((outcome for outcome in some if outcome.example == key), None)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
