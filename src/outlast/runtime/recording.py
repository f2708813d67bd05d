"""What is kept of a run while it goes on: the open span that new ones belong to, and who keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from outlast.messages import Request
    from outlast.runtime.trace import Span
    from outlast.types import Label


class Recording(Protocol):
    """An open span, or a place where traces begin. Whatever happens below it is told to it, and none of its methods
    waits or raises; see `outlast.tracing.recorder`."""

    @property
    def trace(self) -> str:
        """The id of the trace that the span belongs to, "" where the next program begins one."""
        ...

    def module(self, module: object, path: str | None, inputs: Mapping[str, Any]) -> Recording:
        """A call of a module begins."""
        ...

    def tool(self, name: str, arguments: Mapping[str, Any]) -> Recording:
        """A call of a tool begins."""
        ...

    def exchange(self, span: Span) -> None:
        """A model was asked."""
        ...

    def amend(self, request: Request, outcome: Mapping[str, Any]) -> None:
        """What became of the answer to a request, told after its exchange: fields of `Span`."""
        ...

    def note(self, checks: Mapping[str, Any]) -> None:
        """What became of checks, by name."""
        ...

    def end(self, value: Any, *, error: BaseException | None = None, label: Label | None = None) -> None:
        """The call is over: with what it gave, or with an error."""
        ...
