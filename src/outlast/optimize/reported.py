"""`report_cost`: what a function spent where outlast does not see it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

from outlast.errors import UsageError, brief
from outlast.messages import Response, Usage
from outlast.optimize.memory import Recorder
from outlast.runtime import current

_INPUT = ("input_tokens", "prompt_tokens", "request_tokens")
_OUTPUT = ("output_tokens", "completion_tokens", "response_tokens")


def report_cost(
    usage: Any = None,
    *,
    tokens: int | None = None,
    dollars: float | None = None,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
) -> None:
    """Say what a call to a model took that outlast did not make, from inside a function that `optimize` tunes.

    `usage` is what the SDKs give as such (`response.usage` of OpenAI and Anthropic, `result.usage()` of pydantic-ai) or
    a dict with the same names. `tokens` is input and output together, `dollars` the price. It counts as one call; a
    budget that bounds it is told afterwards, so that what runs at the same time may exceed it. Elsewhere it counts for
    the budget around (`ol.budget`), and without one it does nothing.
    """
    read, written = _tokens_of(usage) if usage is not None else (None, None)
    if usage is not None and read is None and written is None:
        raise UsageError(f"report_cost takes a usage with input_tokens and output_tokens; got {brief(usage)}")
    read = read if input_tokens is None else input_tokens
    written = written if output_tokens is None else output_tokens
    if tokens is not None:
        if read is not None or written is not None:
            raise UsageError("report_cost takes tokens= or input_tokens= and output_tokens=, not both")
        read, written = tokens, 0
    for name, amount in (("tokens", read), ("tokens", written), ("dollars", dollars)):
        whole = name == "dollars" or isinstance(amount, int)
        good = isinstance(amount, int | float) and not isinstance(amount, bool) and whole and 0 <= amount < math.inf
        if amount is not None and not good:
            raise UsageError(f"report_cost({name}=...) is a number from 0; got {brief(amount)}")
    source = None if dollars is None else "reported"
    _count(Response("", usage=Usage(read, written, cost=dollars, cost_source=source)))


def _count(response: Response) -> None:
    run = current()
    if isinstance(run.memo, Recorder):
        run.memo.report(response)
    elif run.meter is not None:
        run.meter.note(response)


def usage_of(result: Any) -> Any:
    """The usage that a result brings along, as those of SDKs do; None without one that says its tokens."""
    usage = getattr(result, "usage", None)
    if callable(usage):
        try:
            usage = usage()
        except Exception:  # some method of that name with another meaning
            return None
    return usage if usage is not None and _tokens_of(usage) != (None, None) else None


def _tokens_of(usage: Any) -> tuple[int | None, int | None]:
    held = cast("Mapping[str, Any]", usage) if isinstance(usage, Mapping) else _Attributes(usage)

    def first(names: tuple[str, ...]) -> int | None:
        for name in names:
            value = held.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
        return None

    return first(_INPUT), first(_OUTPUT)


class _Attributes:
    """An object read as a mapping is."""

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    def get(self, name: str) -> Any:
        """The attribute of that name, None without one."""
        return getattr(self._thing, name, None)
