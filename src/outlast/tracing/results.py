"""What tools gave in a recording, for a replay in which no tool runs."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from outlast.errors import LMReplayError, brief
from outlast.lms.caching.hiding import known_secrets, without_secrets
from outlast.messages.canonical import canonical
from outlast.runtime.journal import Journal, Place, key_of
from outlast.tracing.store import Store
from outlast.types import TRUSTED

_AT_ONCE = 400  # traces of one query


class ToolResults(Journal):
    """A journal that is read only: the n-th call of a tool with equal arguments gives what the n-th gave, the last of
    them from then on. A call that is not there is an `LMReplayError`, and the tool does not run; `on_missing` gets it
    too. Safe for threads."""

    def __init__(self, results: Mapping[str, Sequence[Mapping[str, Any]]], place: str) -> None:
        self.path = Path(place)
        self.about = {}
        self.replayed = self.added = 0
        self.on_missing: Callable[[LMReplayError], None] | None = None
        self._place_name = place
        self._results = results
        self._turns = Counter[str]()
        self._turning = threading.Lock()

    def tool_place(self, name: str, arguments: bytes, sample: int) -> Place:
        """The next call of a tool."""
        given = without_secrets(json.loads(arguments), known_secrets())
        key = _key(name, given)
        with self._turning:
            found = self._results.get(key)
            number = self._turns[key]
            if found:
                self._turns[key] += 1
                self.replayed += 1
                return Place(key, number, found[min(number, len(found) - 1)], True)
        error = LMReplayError(
            f"the call {name}({brief(given, 200)}) is not in the recording {self._place_name}; the tool was not run"
        )
        if self.on_missing is not None:
            self.on_missing(error)
        raise error

    def back(self, place: Place) -> None:
        """Nothing waits here."""

    def end(self, place: Place, answer: Mapping[str, Any]) -> None:
        """Nothing is kept."""

    def begin(self, place: Place) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """There is no file."""


def tool_results(store: Store, trace_ids: Sequence[str]) -> ToolResults:
    """What the tools of traces gave; a program that is a tool runs again, and is left out."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for start in range(0, len(trace_ids), _AT_ONCE):
        some = trace_ids[start : start + _AT_ONCE]
        spans = [span for span in store.spans_of(some) if span.kind == "tool" and span.status != "open"]
        if not spans:
            continue
        contents = store.contents_of(some)
        for span in spans:
            content = contents[span.id]
            inputs: Any = content.inputs
            given = cast("dict[str, Any]", inputs) if isinstance(inputs, dict) else {}
            answer: dict[str, Any] = {
                "name": span.name,
                "arguments": given,
                "seconds": span.seconds or 0.0,
                "label": TRUSTED.to_json() if span.label is None else span.label,
            }
            if span.status == "error":
                why = "timeout" if span.error_type == "TimeoutError" else "failed"
                answer |= {"why": why, "text": content.outputs if isinstance(content.outputs, str) else span.error}
            else:
                answer["data"] = content.outputs
            found.setdefault(_key(span.name, given), []).append(answer)
    return ToolResults(found, repr(store.database.place))


def _key(name: str, given: Any) -> str:
    return key_of("tool", name, canonical(given))
