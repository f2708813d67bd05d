"""What happened in a run: spans in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outlast.errors import LMCircuitOpen, LMError, LMReplayError
from outlast.messages import Request, Response, Spending
from outlast.types import TRUSTED, Label


@dataclass(frozen=True, slots=True)
class Span:
    """One exchange with a model, in the order in which it happened.

    `path` is the parameter path of the module that asked ("hops.1.answer"), "" for a program that is itself one
    module and None for a module outside the program. `attempt` counts from 0 within one question; later ones are
    re-asks. `values` are the parsed outputs, None when parsing failed; then `error` says why. `started` is in
    seconds since the epoch, `seconds` is how long it took. `joined` is not 0 where the reply was made of that many
    exchanges, whose spans stand before it: they are what was sent and what counts; this request never was.
    """

    path: str | None
    module: str
    signature: str
    inputs: Mapping[str, Any]
    request: Request
    response: Response | None
    values: Mapping[str, Any] | None
    error: Exception | None
    attempt: int
    started: float
    seconds: float
    label: Label = TRUSTED
    joined: int = 0


class Trace(list[Span]):
    """The spans of one program call, in the order in which they ended."""

    __slots__ = ("__weakref__",)

    @property
    def spending(self) -> Spending:
        """Calls, tokens and dollars of all spans; of a joined reply those of its exchanges, once. A request that
        brought no answer is a failed call."""
        from outlast.runtime.meter import may_be_billed  # it waits, and so imports the run that has a trace

        total = Spending()
        for span in self:
            if span.response is not None:
                if not span.joined:
                    total.add(span.response)
            elif isinstance(span.error, LMError) and not isinstance(span.error, LMCircuitOpen | LMReplayError):
                total.fail(uncertain=may_be_billed(span.error))
        return total

    def __repr__(self) -> str:
        return f"<Trace of {len(self)} spans, {self.spending}>"
