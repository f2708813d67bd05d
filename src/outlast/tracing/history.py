"""`history()`: the last exchanges with models, readable."""

from __future__ import annotations

import time
from typing import Any

from outlast.errors import UsageError, brief
from outlast.modules.module import recent_traces
from outlast.runtime import Span, current


class History(list[Span]):
    """Spans that print as a conversation: what was sent, what came back, what was wrong."""

    def __repr__(self) -> str:
        if not self:
            return (
                "<no history: a call is kept only while its result is held, or inside `with ol.trace():`. "
                "Keep the result (`out = program(...)`) and look again, or use `out.trace`.>"
            )
        return "\n".join(show(span) for span in self)

    def __rich__(self) -> Any:
        from rich.text import Text

        return Text(repr(self))


def history(n: int | None = None) -> History:
    """The last `n` exchanges (all when None) of calls whose results are still held, oldest first.

    Nothing is recorded for it: inside `with ol.trace():` it shows that block, elsewhere the traces of recent
    results that are still alive, at most those of the last 100 calls.
    """
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 0):
        raise UsageError(f"history(n) takes a whole number from 0; got {brief(n)}")
    collected = current().trace
    traces = recent_traces() if collected is None else [collected]
    spans = [span for one in traces for span in list(one)]
    return History(spans if n is None else spans[len(spans) - min(n, len(spans)) :])


def show(span: Span) -> str:
    """One exchange as text."""
    when = time.strftime("%H:%M:%S", time.localtime(span.started))
    where = "outside the program" if span.path is None else span.path or "the program"
    again = f", try {span.attempt + 1}" if span.attempt else ""
    lines = [f"── {where} · {span.module}({span.signature}){again} · {when} · {span.seconds * 1000:.0f} ms"]
    if span.joined:
        lines.append(f"[what was sent: the exchanges of decide before this, {span.joined} in all]\n")
    else:
        lines += [f"[{message.role}]\n{message.shown}\n" for message in span.request.messages]
    if span.joined and span.response is not None:
        lines.append(f"[joined from their replies]\n{span.response.text}")
    elif span.response is not None:
        usage = span.response.usage
        tokens = f"{_known(usage.input_tokens)} in, {_known(usage.output_tokens)} out"
        state = "" if span.response.cache == "miss" else f", cache {span.response.cache}"
        if span.response.reasoning:
            lines.append(f"[reasoning]\n{span.response.reasoning}\n")
        lines.append(f"[{span.response.model or 'model'} answered; tokens: {tokens}{state}]\n{span.response.text}")
    if span.error is not None:
        lines.append(f"[{type(span.error).__name__}] {span.error}")
    return "\n".join(lines) + "\n"


def _known(count: int | None) -> str:
    return "?" if count is None else str(count)
