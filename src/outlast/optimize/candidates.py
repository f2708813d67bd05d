"""The candidates of a search: each change of the program once, however often and by whomever it is proposed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from outlast.errors import ArtifactError, UsageError, brief
from outlast.messages import canonical
from outlast.modules.module import Module
from outlast.modules.paths import parameters, predictors_of, update
from outlast.modules.state import difference, dump_changes, with_strategies
from outlast.optimize.candidate import Candidate
from outlast.optimize.ledger import Ledger
from outlast.optimize.locks import Locks
from outlast.tracing.identity import program_hash


class Candidates:
    """Makes candidates out of changes, keeps them in the ledger, and builds their programs.

    Its methods say what `Study` says of those of the same names.
    """

    def __init__(self, program: Module, locks: Locks, ledger: Ledger) -> None:
        self.start = Candidate("start", {}, "", "the program as it is")
        self.known: dict[str, Candidate] = {"start": self.start}
        self._program = program
        self._locks = locks
        self._ledger = ledger
        self._programs: dict[str, Module] = {"start": program}
        ledger.add_candidate(self.start, {})

    def propose(
        self,
        changes: Mapping[str, Any],
        *,
        origin: str,
        parent: Candidate | None = None,
        operator: str = "",
        cause: Sequence[str] = (),
    ) -> Candidate:
        """The candidate that is its parent with these parameters changed."""
        base = self.start if parent is None else parent
        program = self._changed(self.build(base), changes)
        whole = difference(self._program, program, models=True)
        data = _held(program, whole)
        return self._admit(program, data, Candidate("", whole, base.id, origin, operator, tuple(cause)))

    def check(self, changes: Mapping[str, Any]) -> None:
        """Raise what `propose` would for these changes of the start program, and propose nothing."""
        self._changed(self._program, changes)

    def adopt(self, program: Module, *, origin: str) -> Candidate:
        """The candidate that is another program with modules at the same paths."""
        own = predictors_of(program) if isinstance(program, Module) else {}
        if not any(path in own for path in predictors_of(self._program)):
            raise UsageError(
                f"a teacher is a program with modules at the paths of the student's "
                f"({', '.join(map(repr, predictors_of(self._program)))}); got {brief(program)}"
            )
        models = {path: part.lm.identity for path, part in own.items() if part.lm is not None}
        data = {"program": type(program).__name__, "hash": program_hash(program), "models": models}
        return self._admit(program, data, Candidate("", {}, "start", origin))

    def build(self, candidate: Candidate) -> Module:
        """The program of a candidate."""
        program = self._programs.get(candidate.id)
        if program is None:
            raise UsageError(f"candidate {candidate.id!r} was not proposed to this study; use propose(...)")
        return program

    def _changed(self, before: Module, changes: Mapping[str, Any]) -> Module:
        """A program with changes that a candidate may have."""
        known = parameters(with_strategies(before, changes))
        for path in changes:
            if path not in known:
                update(before, changes)  # says what is wrong with the path
                raise UsageError(f"a candidate changes parameters; {path!r} is a part. Parameters: {', '.join(known)}.")
        program = update(before, changes)
        self._locks.check(before, changes, program)
        values = parameters(program)
        _held(program, {path: values[path] for path in changes})
        return program

    def _admit(self, program: Module, data: dict[str, Any], made: Candidate) -> Candidate:
        if not data:
            return self.start
        key = hashlib.blake2b(canonical(data), digest_size=6).hexdigest()
        known = self.known.get(key)
        if known is not None:
            return known
        candidate = replace(made, id=key)
        self.known[key] = candidate
        self._programs[key] = program
        self._ledger.add_candidate(candidate, data)
        return candidate


def _held(program: Module, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes as a file holds them; raises `UsageError` for what none can hold."""
    try:
        return dump_changes(program, changes, models=True)
    except ArtifactError as error:
        raise UsageError(f"this change cannot be a candidate: {error}") from error
