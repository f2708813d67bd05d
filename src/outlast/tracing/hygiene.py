"""What is not to be in data for training: tests, what was evaluated, copies, and what is nearly one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from outlast.data.example import Example, id_of, input_hash, inputs_of
from outlast.data.jsonform import json_form
from outlast.data.near import NearTexts, text_of
from outlast.tracing.store import Store


@dataclass(frozen=True, slots=True)
class Found:
    """What one trace gives: its id, what went in, and what is known of the right answer."""

    trace: str
    inputs: dict[str, Any]
    targets: dict[str, Any]


class Held:
    """Inputs that are not to be in the data, and what is near them."""

    def __init__(self, near: float | None) -> None:
        self._exact: dict[str, str] = {}
        self._near = None if near is None else NearTexts(near)

    def add_all(self, why: str, inputs: Iterable[Mapping[str, Any]]) -> None:
        """Keep inputs, with the reason for which they are held."""
        for one in inputs:
            example = Example(json_form(dict(one), lenient=True))
            key = input_hash(example)
            if key not in self._exact:
                self._exact[key] = why
                if self._near is not None:
                    self._near.add(why, text_of(inputs_of(example)))

    def why(self, key: str, text: str) -> str | None:
        """Why an example with these inputs is not to be in the data; None when it may."""
        if key in self._exact:
            return self._exact[key]
        found = None if self._near is None else self._near.find(text)
        return None if found is None else f"nearly {found}"


def scored(store: Store) -> Iterator[Mapping[str, Any]]:
    """The inputs that evaluations in the store were scored on."""
    for run in store.runs("eval", limit=1_000_000):
        for row in store.results(run.id):
            inputs: Any = row.inputs
            if isinstance(inputs, dict):
                yield cast("dict[str, Any]", inputs)


def without_copies(
    found: Sequence[Found], held: Held, near: float | None, dropped: Counter[str]
) -> tuple[list[Example], dict[str, str]]:
    """One example for each input, without what is held and without near copies; and the trace of each."""
    groups: dict[str, list[tuple[Example, str]]] = {}
    for one in found:
        names = {name: value for name, value in one.targets.items() if name not in one.inputs}
        example = Example(one.inputs, names)
        groups.setdefault(input_hash(example), []).append((example, one.trace))
    known = None if near is None else NearTexts(near)
    rows: list[Example] = []
    traces: dict[str, str] = {}
    for key, some in groups.items():
        example, trace = some[-1]
        text = text_of(inputs_of(example))
        why = held.why(key, text)
        if why is not None:
            dropped[why] += len(some)
        elif len({id_of(one) for one, _ in some}) > 1:
            dropped["conflicting"] += len(some)
        elif known is not None and known.find(text) is not None:
            dropped["near copies"] += len(some)
        else:
            if len(some) > 1:
                dropped["repeats"] += len(some) - 1
            rows.append(example)
            traces[id_of(example)] = trace
            if known is not None:
                known.add(key, text)
    return rows, traces
