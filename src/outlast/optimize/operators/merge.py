"""Merging candidates: what each changed since their common ancestor, together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from outlast.modules.paths import parameters
from outlast.optimize.edits import split_lines
from outlast.optimize.texts import texts

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study


def ancestor(study: Study, one: Candidate, other: Candidate) -> Candidate:
    """The youngest candidate that both come from; the start when there is no younger one."""
    line = {one.id: one}
    while one.id != "start":
        one = study.candidates.get(one.parent, study.start)
        line[one.id] = one
    while other.id not in line:
        other = study.candidates.get(other.parent, study.start)
    return other


def merged(study: Study, some: Sequence[Candidate], *, operator: str = "merge") -> Candidate:
    """One candidate with the changes of several, the most trusted first.

    A parameter that only one changed since the common ancestor is taken from it. Texts that several changed are
    merged line by line: lines that any of them removed go, lines that any of them added come. Of other values the
    first one's counts. Free. Source: merging of lineages, after Agrawal et al. 2025 (GEPA, arXiv 2507.19457, section
    3.4), line by line as in version control.
    """
    first, *others = some
    for other in others:
        first = _two(study, first, other, operator)
    return first


def _two(study: Study, one: Candidate, other: Candidate, operator: str) -> Candidate:
    base = parameters(study.build(ancestor(study, one, other)))
    written = texts(study)
    ours, theirs = parameters(study.build(one)), parameters(study.build(other))
    changes: dict[str, Any] = {}
    for path, value in theirs.items():
        if path not in base or path not in ours or value == base[path] or value == ours[path]:
            continue
        if ours[path] == base[path]:
            changes[path] = value
        elif path in written:
            changes[path] = merge_lines(base[path], ours[path], value)
    changes = {path: value for path, value in changes.items() if not study.locked(path)}
    if not changes:
        return one
    return study.propose(
        changes,
        origin=f"{one.id} and {other.id} together",
        parent=one,
        operator=operator,
        cause=tuple(dict.fromkeys((*one.cause, *other.cause))),
    )


def merge_lines(base: str, ours: str, theirs: str) -> str:
    """Three versions of a text, merged by lines: what either removed goes, what either added comes, ours first."""
    old, yours = split_lines(base), split_lines(theirs)
    kept = [line for line in ours.split("\n") if not line.strip() or line.rstrip() in yours or line.rstrip() not in old]
    have = {line.rstrip() for line in kept}
    made = "\n".join([*kept, *(line for line in yours if line not in old and line not in have)])
    return made if made.strip() else ours


def changed_paths(study: Study, candidate: Candidate) -> Mapping[str, Any]:
    """What a candidate changed of its parent, by parameter path."""
    parent = study.candidates.get(candidate.parent, study.start)
    return {path: value for path, value in candidate.changes.items() if parent.changes.get(path) != value}
