"""Demonstrations chosen anew for each call: those of the pool whose inputs are most like those of the call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

from outlast.adapters.placing import is_history
from outlast.adapters.protocol import Adapter, Plan, Prepared, Slots, Task
from outlast.errors import UsageError
from outlast.lms.baseline.text import Index, clip, terms
from outlast.lms.protocol import Capabilities
from outlast.signatures.codec import Codec, codecs

_MOST_SETS = 256  # compiled prompts of one plan: calls with inputs alike often see the same demonstrations
_MOST_CHOICES = 4096  # remembered by one pool


def compiled(adapter: Adapter, task: Task, capabilities: Capabilities) -> Plan:
    """The plan of a task, with any adapter; one that chooses its demonstrations when the task says so.

    Raises what `Adapter.compile` raises.
    """
    if task.shown is None or len(task.demos) <= task.shown.k:
        return adapter.compile(task, capabilities)
    return NearestPlan(adapter, task, capabilities)


class NearestPlan(Plan):
    """A task whose demonstrations are chosen at each call, see `Nearest`."""

    def __init__(self, adapter: Adapter, task: Task, capabilities: Capabilities) -> None:
        assert task.shown is not None
        self._adapter = adapter
        self._task = task
        self._capabilities = capabilities
        self._k = task.shown.k
        table = codecs(task.signature)
        self._inputs = [(name, table[name]) for name in task.signature.inputs if not is_history(table[name])]
        self._pool = pool_of(tuple(input_text(self._inputs, demo.values) for demo in task.demos))
        self._sets: dict[tuple[int, ...], Plan] = {}
        self._compiled(tuple(range(self._k)))  # what no prompt of this adapter could hold is found now

    def prepare(self, inputs: Mapping[str, Any]) -> Prepared:
        """Render one call with the demonstrations nearest to it."""
        return self._compiled(self.chosen(inputs)).prepare(inputs)

    def chosen(self, inputs: Mapping[str, Any]) -> tuple[int, ...]:
        """The places in the pool of what is shown for these inputs, the nearest last; of equals the earlier wins."""
        return self._pool.chosen(input_text(self._inputs, inputs), self._k)

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


class Pool:
    """Texts that others are compared with. Equal questions are answered once."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        self._index = Index([terms(text) for text in texts])
        self._choices: dict[tuple[str, int], tuple[int, ...]] = {}

    def chosen(self, text: str, k: int) -> tuple[int, ...]:
        """The places of the `k` texts most like this one, the nearest last; of equals the earlier wins."""
        found = self._choices.get((text, k))
        if found is None:
            if len(self._choices) >= _MOST_CHOICES:
                self._choices.clear()
            found = tuple(reversed(nearest(self._index.similarities(terms(text)), k)))
            self._choices[text, k] = found
        return found


# The candidates of a search mostly share one pool; it stays as long as a prompt that chooses from it.
_pools: WeakValueDictionary[tuple[str, ...], Pool] = WeakValueDictionary()


def pool_of(texts: tuple[str, ...]) -> Pool:
    """The pool of these texts, whose index is built once for all prompts that choose from it."""
    found = _pools.get(texts)
    if found is None:
        found = _pools[texts] = Pool(texts)
    return found


def input_text(inputs: Sequence[tuple[str, Codec]], values: Mapping[str, Any]) -> str:
    """What the inputs of a call or of a demonstration are compared by: all their texts."""
    return "\n".join(clip(codec.write(values[name])) for name, codec in inputs if name in values)


def nearest(similar: Sequence[float], k: int) -> list[int]:
    """The places of the `k` greatest numbers, the greatest first; of equals the earlier."""
    return sorted(range(len(similar)), key=lambda place: -similar[place])[:k]
