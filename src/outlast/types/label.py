"""Labels say where a value came from and who may read it.

The slot exists on messages, responses, spans, cache rows and artefacts so that nothing has to be rebuilt when
policies arrive; until then labels are carried and joined, never enforced.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Label:
    """Where a value came from (`sources`) and who may read it (`readers`; None is everyone).

    The empty label is trusted and public. Joining two labels unites the sources and intersects the readers.
    """

    sources: frozenset[str] = frozenset()
    readers: frozenset[str] | None = None

    def join(self, other: Label) -> Label:
        """The label of something made from both."""
        if self == other or other is TRUSTED:
            return self
        if self is TRUSTED:
            return other
        if self.readers is None or other.readers is None:
            readers = self.readers if other.readers is None else other.readers
        else:
            readers = self.readers & other.readers
        return Label(self.sources | other.sources, readers)

    def to_json(self) -> dict[str, list[str] | None]:
        """A JSON-ready form; `Label.from_json` reads it back."""
        return {
            "sources": sorted(self.sources),
            "readers": None if self.readers is None else sorted(self.readers),
        }

    @classmethod
    def from_json(cls, data: dict[str, list[str] | None]) -> Label:
        """The label that `to_json` wrote."""
        readers = data.get("readers")
        return cls(frozenset(data.get("sources") or ()), None if readers is None else frozenset(readers))


TRUSTED = Label()
