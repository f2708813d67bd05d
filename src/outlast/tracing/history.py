"""`history()`: the last exchanges with models, readable."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from typing import Any

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
    results that are still alive, at most the last 100 calls.
    """
    collected = current().trace
    spans: list[Span] = list(collected) if collected else [span for one in recent_traces() for span in one]
    return History(spans if n is None else spans[-n:] if n > 0 else [])


def show(span: Span) -> str:
    """One exchange as text."""
    out = io.StringIO()
    when = time.strftime("%H:%M:%S", time.localtime(span.started))
    where = span.path or "(the program)" if span.path is not None else "(outside the program)"
    again = f", try {span.attempt + 1}" if span.attempt else ""
    out.write(
        f"── {where} · {span.module}({span.signature}){again} · {when} · {span.seconds * 1000:.0f} ms\n"
    )
    for message in span.request.messages:
        out.write(f"[{message.role}]\n{message.text}\n\n")
    if span.response is not None:
        usage = span.response.usage
        tokens = f"{_known(usage.input_tokens)} in, {_known(usage.output_tokens)} out"
        state = "" if span.response.cache == "miss" else f", cache {span.response.cache}"
        out.write(f"[{span.response.model or 'model'} answered; {tokens}{state}]\n{span.response.text}\n")
    if span.error is not None:
        out.write(f"[{type(span.error).__name__}] {span.error}\n")
    return out.getvalue()


def _known(count: int | None) -> str:
    return "?" if count is None else str(count)


def shown(spans: Sequence[Span]) -> str:
    """Several exchanges as text."""
    return "\n".join(show(span) for span in spans)
