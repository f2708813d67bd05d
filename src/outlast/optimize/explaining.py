"""Where each part of a compiled prompt came from, why, and what it brought: from its file and, if given, its ledger."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from outlast import artifact
from outlast.errors import StudyError, UsageError, brief
from outlast.optimize.lineage import Effect, paired_effect
from outlast.optimize.summary import failures_of, summarize, values_of
from outlast.optimize.words import source_words
from outlast.types.media import short_media

if TYPE_CHECKING:
    from outlast.optimize.report import Compiled


@dataclass(frozen=True, slots=True)
class Failure:
    """An example whose failure led to a candidate: its inputs, what was expected, the parent's score and what the
    metric said of it, as texts; "" where it is not known.
    """

    example: str
    inputs: str = ""
    expected: str = ""
    got: str = ""
    said: str = ""
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """One step of a lineage: a candidate, what made it out of which parent, because of which failures, to what effect.

    `cause` are the ids of all those examples, `failures` some of them. `effect` is the paired difference to the parent;
    None when they were run on no common example. `siblings` counts the other candidates that were made out of the same
    parent, and is known from a ledger only.
    """

    id: str
    parent: str
    operator: str
    how: str
    changes: tuple[str, ...] = ()
    cause: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    effect: Effect | None = None
    siblings: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a text, one demonstration, or one other value of a compiled program.

    `step` is the number of the lineage's step that brought it, 0 for what was there at the start, None when it is not
    known. `source` says where a demonstration was taken from. `alone` is what the program loses (or gains, above 0)
    without this part alone, as measured by pruning.
    """

    path: str
    kind: str
    text: str
    step: int | None = None
    source: str = ""
    alone: Effect | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where everything in a compiled program came from. `str(...)` is the text, `to_json()` the data.

    `parts` are what is tuned, in the order of the file; `lineage` the steps, the first `own` of them from the start to
    the winner, the others candidates that something was merged in from; `removed` the lines of the start's texts that
    are gone, by path. `kept` says which program the file holds.
    """

    program: str
    kept: str
    verdict: str
    lineage: tuple[Origin, ...]
    parts: tuple[Part, ...]
    removed: Mapping[str, tuple[str, ...]]
    own: int = 0

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "program": self.program,
            "kept": self.kept,
            "verdict": self.verdict,
            "lineage": [_origin_json(one) for one in self.lineage],
            "own": self.own,
            "parts": [_part_json(one) for one in self.parts],
            "removed": {path: list(lines) for path, lines in self.removed.items()},
        }

    def text(self, *, full: bool = False) -> str:
        """The explanation for people; `full` with every failure that is known."""
        from outlast.optimize.explained import as_text

        return as_text(self, full=full)

    def __str__(self) -> str:
        return self.text()


def explain(
    compiled: Compiled[Any] | str | os.PathLike[str], *, study: str | os.PathLike[str] | None = None
) -> Explanation:
    """Explain a compiled program: each line and demonstration with its origin, causes and measured effect.

    `compiled` is what `compile` gave, or a compiled file. The file alone holds the lineage of its winner; `study`, the
    ledger of the search, adds the failures in full and how many others were tried. Raises `ArtifactError` for a file
    that is none, `StudyError` for a ledger that is none or of another search. Cost: no LM call.
    """
    from outlast.optimize.report import Compiled

    if isinstance(compiled, Compiled):
        data = artifact.to_data(compiled.program, record=compiled.report.record)
        study = study if study is not None else compiled.ledger
    elif isinstance(compiled, str | os.PathLike):
        data = artifact.read(compiled)
    else:
        raise UsageError(f"explain takes a Compiled or the path of a compiled file; got {brief(compiled)}")
    explanation = explain_data(data)
    return explanation if study is None else _deepened(explanation, study, _text(_map(data["record"], "winner"), "id"))


def explain_data(data: Mapping[str, Any]) -> Explanation:
    """The explanation of the content of a compiled file; what is not in it, or damaged, is left out."""
    record = _map(data, "record")
    lineage = _map(record, "lineage")
    steps = tuple(_origin(step) for step in _list(lineage, "steps") if isinstance(step, Mapping))
    kept = record.get("kept") == "winner"
    lines: Mapping[str, Any] = _map(lineage, "lines") if kept else {}
    alone = _alone(record) if kept else {}
    parts: list[Part] = []
    for path, value in _map(data, "parameters").items():
        numbers = dict(enumerate(_list(lines, path)))
        for place, part in enumerate(parts_of(path, value)):
            number = numbers.get(place, 0)
            known = kept and isinstance(number, int) and 0 <= number <= len(steps)
            parts.append(replace(part, step=number if known else None, alone=alone.get((path, place))))
    gone: Mapping[str, Any] = _map(lineage, "removed") if kept else {}
    return Explanation(
        _text(_map(data, "program"), "class"),
        "winner" if kept else "original",
        _text(_map(record, "result"), "reason"),
        steps if kept else (),
        tuple(parts),
        {path: tuple(str(line) for line in _list(gone, path)) for path in gone},
        own if kept and isinstance(own := lineage.get("own"), int) else len(steps) if kept else 0,
    )


def _deepened(explanation: Explanation, study: str | os.PathLike[str], winner: str) -> Explanation:
    """With what the ledger knows beyond the file."""
    summary = summarize(study)
    known = {one.id: one for one in summary.candidates}
    if winner and winner not in known:
        raise StudyError(f"the ledger {str(study)!r} has no candidate {winner!r}: it is of another search")
    steps: list[Origin] = []
    for one in explanation.lineage:
        siblings = sum(other.parent == one.parent and other.id != one.id for other in summary.candidates)
        failures = tuple(Failure(**found) for found in failures_of(study, one.parent, one.cause))
        effect = one.effect or _effect(study, one)
        steps.append(replace(one, siblings=siblings, failures=failures or one.failures, effect=effect))
    return replace(explanation, lineage=tuple(steps))


def _effect(study: str | os.PathLike[str], one: Origin) -> Effect | None:
    for part in ("select", "train"):
        found = paired_effect(values_of(study, one.id, part), values_of(study, one.parent, part), part=part)
        if found is not None:
            return found
    return None


def parts_of(path: str, value: Any) -> list[Part]:
    """What of a parameter, as a file holds it, has an origin of its own: the lines of a text, the demonstrations."""
    if path == "demos" or path.endswith(".demos"):
        return [_demo(path, one) for one in _list({"demos": value}, "demos") if isinstance(one, Mapping)]
    if isinstance(value, str):
        return [Part(path, "line", line) for line in value.split("\n")]
    return [Part(path, "value", _plain(value))]


def _demo(path: str, demo: Any) -> Part:
    text = "\n".join(f"{name}: {_plain(value)}" for name, value in _map(demo, "values").items())
    return Part(path, "demo", text, source=source_words(_text(demo, "source")))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(short_media(value), ensure_ascii=False, default=str)


def _origin(step: Any) -> Origin:
    return Origin(
        _text(step, "id"),
        _text(step, "parent"),
        _text(step, "operator"),
        _text(step, "origin"),
        tuple(str(path) for path in _list(step, "changes")),
        tuple(str(key) for key in _list(step, "cause")),
        tuple(_failure(one) for one in _list(step, "failures") if isinstance(one, Mapping)),
        _effect_from(_map(step, "effect")),
    )


def _failure(data: Any) -> Failure:
    score = data.get("score")
    texts = (_text(data, name) for name in ("example", "inputs", "expected", "got", "said"))
    return Failure(*texts, score=float(score) if isinstance(score, int | float) else None)


def _effect_from(data: Mapping[str, Any]) -> Effect | None:
    score, n, ends = data.get("score"), data.get("n"), _list(data, "interval")
    if not isinstance(score, int | float) or not isinstance(n, int) or len(ends) != 2:
        return None
    low, high = (float(end) if isinstance(end, int | float) else None for end in ends)
    return Effect(float(score), low, high, n, _text(data, "part") or "select")


def _alone(record: Mapping[str, Any]) -> dict[tuple[str, int], Effect]:
    """What pruning measured of the parts that stayed, by path and place."""
    found: dict[tuple[str, int], Effect] = {}
    for one in _list(_map(record, "notes"), "pruned"):
        place = _map({"one": one}, "one").get("now")
        effect = _effect_from(_map(one, "effect"))
        if isinstance(place, int) and effect is not None:
            found[_text(one, "path"), place] = effect
    return found


def _origin_json(one: Origin) -> dict[str, Any]:
    return {
        "id": one.id,
        "parent": one.parent,
        "operator": one.operator,
        "origin": one.how,
        "changes": list(one.changes),
        "cause": list(one.cause),
        "failures": [asdict(failure) for failure in one.failures],
        "effect": None if one.effect is None else one.effect.to_json(),
        "siblings": one.siblings,
    }


def _part_json(one: Part) -> dict[str, Any]:
    alone = None if one.alone is None else one.alone.to_json()
    return {
        "path": one.path,
        "kind": one.kind,
        "text": one.text,
        "step": one.step,
        "source": one.source,
        "alone": alone,
    }


def _map(data: Any, name: str) -> Mapping[str, Any]:
    """The mapping under a name; empty when there is none."""
    value = cast("Mapping[str, Any]", data).get(name) if isinstance(data, Mapping) else None
    if not isinstance(value, Mapping):
        return {}
    return cast("Mapping[str, Any]", value)


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    value = data.get(name)
    return cast("list[Any]", value) if isinstance(value, list) else []


def _text(data: Any, name: str) -> str:
    value = cast("Mapping[str, Any]", data).get(name) if isinstance(data, Mapping) else None
    return value if isinstance(value, str) else ""
