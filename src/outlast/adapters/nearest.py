"""Demonstrations chosen anew for each call: those of the pool whose inputs are most like those of the call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from outlast.adapters.placing import is_history
from outlast.adapters.protocol import Adapter, Plan, Prepared, Slots, Task
from outlast.errors import UsageError
from outlast.lms.baseline.text import Index, Terms, clip, terms
from outlast.lms.protocol import Capabilities
from outlast.signatures.codec import Codec, codecs

_MOST_SETS = 256  # compiled prompts of one plan: calls with inputs alike often see the same demonstrations


def compiled(adapter: Adapter, task: Task, capabilities: Capabilities) -> Plan:
    """The plan of a task, with any adapter; one that chooses its demonstrations when the task says so.

    Raises what `Adapter.compile` raises.
    """
    if task.shown is None or len(task.demos) <= task.shown.k:
        return adapter.compile(task, capabilities)
    return NearestPlan(adapter, task, capabilities)


class NearestPlan(Plan):
    """A task whose demonstrations are chosen at each call, see `Nearest`. The index over the pool is built once."""

    def __init__(self, adapter: Adapter, task: Task, capabilities: Capabilities) -> None:
        assert task.shown is not None
        self._adapter = adapter
        self._task = task
        self._capabilities = capabilities
        self._k = task.shown.k
        table = codecs(task.signature)
        self._inputs = [(name, table[name]) for name in task.signature.inputs if not is_history(table[name])]
        self._index = Index([input_terms(self._inputs, demo.values) for demo in task.demos])
        self._sets: dict[tuple[int, ...], Plan] = {}
        self._compiled(tuple(range(self._k)))  # what no prompt of this adapter could hold is found now

    def prepare(self, inputs: Mapping[str, Any]) -> Prepared:
        """Render one call with the demonstrations nearest to it."""
        return self._compiled(self.chosen(inputs)).prepare(inputs)

    def chosen(self, inputs: Mapping[str, Any]) -> tuple[int, ...]:
        """The places in the pool of what is shown for these inputs, the nearest last; of equals the earlier wins."""
        similar = self._index.similarities(input_terms(self._inputs, inputs))
        return tuple(reversed(nearest(similar, self._k)))

    def _compiled(self, places: tuple[int, ...]) -> Plan:
        found = self._sets.get(places)
        if found is None:
            if len(self._sets) >= _MOST_SETS:
                self._sets.clear()
            demos = tuple(self._task.demos[place] for place in places)
            found = self._adapter.compile(replace(self._task, demos=demos, shown=None), self._capabilities)
            self._sets[places] = found
        return found

    def outline(self, marks: Mapping[str, str], nonce: str) -> Prepared:
        """There is none: raises `UsageError`."""
        raise self._unfixed()

    def slots(self, inputs: Mapping[str, Any]) -> Slots:
        """There are none: raises `UsageError`."""
        raise self._unfixed()

    def _unfixed(self) -> UsageError:
        return UsageError(
            f"{self._task.signature.__name__} has no one prompt that could be exported: shown=Nearest(k={self._k}) "
            f"picks {self._k} of its {len(self._task.demos)} demonstrations for each input. Call the program, whose "
            f"render(...) shows the prompt for an input, or export update(program, {{'<path>.shown': None}}), which "
            f"shows them all."
        )


def input_terms(inputs: Sequence[tuple[str, Codec]], values: Mapping[str, Any]) -> Terms:
    """What the inputs of a call or of a demonstration are compared by: the words of all their texts."""
    return terms("\n".join(clip(codec.write(values[name])) for name, codec in inputs if name in values))


def nearest(similar: Sequence[float], k: int) -> list[int]:
    """The places of the `k` greatest numbers, the greatest first; of equals the earlier."""
    return sorted(range(len(similar)), key=lambda place: -similar[place])[:k]
