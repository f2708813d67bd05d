"""Tests that need no key and no network: whatever a block asks any model is answered from a recording."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outlast.errors import ConfigError, UsageError, brief
from outlast.lms.caching.cassette import MODES, VARIABLE, Cassette
from outlast.lms.caching.tape import Exchange, key_of, written
from outlast.lms.protocol import LM
from outlast.messages import Response
from outlast.modules.settings import as_lm
from outlast.runtime import running
from outlast.tracing.answering import Answers, offline, recorded_in
from outlast.tracing.store import Store


@dataclass(frozen=True, slots=True)
class Replaying:
    """What a block is answered from: `mode` is "replay", "auto" or "record"; `answers` those of the recording, None
    where models are asked."""

    mode: str
    answers: Answers | None = None

    @property
    def given(self) -> int:
        """How many answers the recording gave so far; 0 where models are asked."""
        return 0 if self.answers is None else self.answers.given


@contextmanager
def replay(
    source: Store | str | os.PathLike[str],
    id: str | None = None,
    *,
    lm: LM | str | None = None,
    mode: str | None = None,
) -> Generator[Replaying]:
    """Answer all models in a block from a recording: `with ol.testing.replay("tests/triage.jsonl"): ...`.

    `source` is a cassette (*.jsonl), a small file that belongs into git and is reviewed there, or a store of traces
    with the `id` of a run, a trace or a span. A cassette comes from stored traces (`outlast replay ID --to
    tests/triage.jsonl`, `ol.write_cassette`), or is recorded by the block itself: `mode` is "replay" (no model is
    reached), "auto" (ask for what is missing and append it) or "record" (ask for everything and begin the file anew);
    None is what `OUTLAST_CASSETTE` says, else "replay". It holds no secret. Unlike one `ol.Cassette` this is for every
    model that the block asks, also those that modules bring along, judges and proposers.

    `lm` is the model for modules without one; without it the one that is configured, else in a replay the one that was
    asked most often. Answers are marked as replayed, and are free. With a store tools do not run and give what they
    gave; a cassette does not know them, and they run.

    Raises `LMReplayError` for a request that is not in the recording, with how it differs from the nearest: where it is
    asked and once more when the block ends; `DataError` when there is no recording.
    """
    chosen = _mode(mode)
    path = None if isinstance(source, Store) else os.fspath(source)
    taped = isinstance(path, str) and path.endswith(".jsonl")
    if chosen != "replay" and not taped:
        if mode is None:
            chosen = "replay"  # OUTLAST_CASSETTE speaks of cassettes
        else:
            raise UsageError(f"a store of traces is replayed; it is not recorded by mode={mode!r}")
    if chosen == "replay":
        answers, results = recorded_in(source, id, as_recorded=False)
        with offline(answers, results, lm):
            yield Replaying(chosen, answers)
        return
    if id is not None:
        raise UsageError(f"a cassette is recorded whole; leave the id {id!r} out")
    assert path is not None
    changes: dict[str, Any] = {} if lm is None else {"lm": as_lm(lm)}
    with running(transport=_Taping(Path(path), chosen), **changes):
        yield Replaying(chosen)


def _mode(mode: str | None) -> str:
    named = os.environ.get(VARIABLE, "").strip() if mode is None else ""
    chosen = mode if mode is not None else named or "replay"
    if chosen not in MODES:
        where = f"the environment variable {VARIABLE}" if named else "mode"
        raise ConfigError(f"{where} is {', '.join(map(repr, MODES[:2]))} or {MODES[2]!r}; got {brief(chosen)}")
    return chosen


class _Taping:
    """The way to every model while a cassette is recorded."""

    def __init__(self, path: Path, mode: str) -> None:
        self._path = path
        self._mode = mode
        self._around: dict[str, _Taped] = {}

    def __call__(self, lm: LM) -> LM:
        if isinstance(lm, Cassette):
            return lm
        found = self._around.get(lm.identity)
        if found is None:
            found = self._around.setdefault(lm.identity, _Taped(lm, self._path, self._mode))
        return found


class _Taped(Cassette):
    """A model whose answers are recorded with its name, also those that its own cache gives."""

    _fresh = False

    def _kept(self, asked: Mapping[str, Any], response: Response) -> str:
        if self._recorded is not None:
            with self._lock:
                self._recorded.setdefault(key_of(asked), []).append(Exchange(0, dict(asked), response))
        return written({"model": asked["model"], "name": self.name, "request": asked["request"]}, response)
