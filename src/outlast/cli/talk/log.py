"""The log: the store of traces that `outlast prompt` and `outlast chat` write and `outlast logs` reads."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from outlast.cli.stores import OFF, Place, elsewhere, opened, place_of, where_else
from outlast.errors import ConfigError, DataError, OutlastError
from outlast.lms.places import config_folder, write_settings

if TYPE_CHECKING:
    from outlast.messages import Message, Spending
    from outlast.runtime import Trace
    from outlast.tracing.record import TraceRecord
    from outlast.tracing.store import Store

TAG = "cli"  # of every trace of prompt and chat
_MOST_FAILED = 20  # exchanges without an answer that are passed over for the last one with one


def log_off() -> str:
    """Why nothing is logged; empty when it is."""
    if os.environ.get("OUTLAST_LOG", "").strip().lower() in OFF:
        return "OUTLAST_LOG is off"
    return "switched off by `outlast logs off`" if off_file().exists() else ""


def off_file() -> Path:
    """The file that stands for `outlast logs off`."""
    return config_folder() / "logs-off"


def switch(on: bool) -> None:
    """Log from now on, or no more. Raises `ConfigError`."""
    if not on:
        write_settings(off_file(), "`outlast logs off` made this file; `outlast logs on` removes it.\n")
        return
    try:
        off_file().unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot remove {str(off_file())!r}: {error.strerror}") from error


class Logged:
    """What became of a turn: its exchanges with models, how long it took, and the id of its trace, empty when it is not
    logged."""

    def __init__(self, session: str) -> None:
        self.session = session
        self.trace_id = ""
        self.seconds = 0.0
        self.spans: Trace | None = None

    @property
    def spending(self) -> Spending:
        """Calls, tokens and dollars of it."""
        from outlast.messages import Spending

        return Spending() if self.spans is None else self.spans.spending

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data of it: cost is in US dollars, None where a price is unknown."""
        spending = self.spending
        unknown = spending.unpriced > 0
        return {
            "model": self._model(),
            "session": self.session if self.trace_id else None,
            "trace": self.trace_id or None,
            "calls": spending.calls,
            "cached": spending.cached,
            "input_tokens": spending.input_tokens,
            "output_tokens": spending.output_tokens,
            "cost": None if unknown else spending.dollars,
            "seconds": round(self.seconds, 3),
        }

    def usage_line(self) -> str:
        """Model, tokens, cost and time in one line."""
        spending = self.spending
        tokens = f"{spending.input_tokens:,} tokens in, {spending.output_tokens:,} out"
        cost = "cost unknown" if spending.unpriced else f"${spending.dollars:.6f}"
        asked = "" if spending.calls == 1 else f", {spending.calls} calls"
        return f"{self._model() or 'model'}: {tokens}, {cost}, {self.seconds:.1f} s{asked}"

    def _model(self) -> str:
        answers = [span.response for span in self.spans or () if span.response is not None]
        return answers[-1].model if answers else ""


@contextmanager
def logged(
    session: str,
    command: str,
    asked: Mapping[str, str] | None = None,
    *,
    store: str | None = None,
    off: bool = False,
) -> Generator[Logged]:
    """A block whose exchanges are one turn of a session in the store; when that fails, stderr says so and it goes on.

    `asked` is how the model was named, so that the conversation can go on with it.
    """
    import outlast as ol

    told = Logged(session)
    kept: Any = None
    began = time.perf_counter()
    with ExitStack() as stack:
        if not (off or log_off()):
            kept = _begun(stack, place_of(store), session, command, asked or {})
        elif os.environ.get("OUTLAST_TRACE", "").strip():
            ol.configure(trace=False)
        told.spans = kept if kept is not None else stack.enter_context(ol.trace())
        try:
            yield told
        finally:
            told.seconds = time.perf_counter() - began
    if kept is not None:
        told.trace_id = kept.id


def _begun(stack: ExitStack, place: Place, session: str, command: str, asked: Mapping[str, str]) -> Any:
    """Begin to keep what happens; None where that cannot be done."""
    import outlast as ol
    from outlast.cli.output import say
    from outlast.runtime import recording, running
    from outlast.tracing import recorder

    try:
        if place.file is not None:
            place.file.parent.mkdir(parents=True, exist_ok=True)
        kept = stack.enter_context(ol.trace(store=place.address, session=session, tags=(TAG, command)))
    except (OutlastError, OSError) as error:
        say(f"outlast: not logged: {error}")
        return None
    here = recording()
    if isinstance(here, recorder.Place):
        stack.enter_context(running(recording=here.about(attributes={"asked": dict(asked)})))
    return kept


def new_session() -> str:
    """A name for a conversation that sorts by time."""
    return f"{time.time_ns() // 1_000_000:011x}{token_hex(3)}"


@dataclass(frozen=True, slots=True)
class Earlier:
    """A conversation so far: its messages without a system message, that message's text, and how the model was named:
    `lm`, and where they were given `base_url` and `dialect`. `address` is a `base_url` that is not trusted."""

    session: str
    messages: tuple[Message, ...] = ()
    system: str = ""
    asked: Mapping[str, str] = field(default_factory=dict[str, str])
    address: str = ""


def earlier(session: str | None = None, store: str | None = None) -> Earlier:
    """The conversation of this name, or of the trace of this id, or the last one; as it was at its last answer.

    Raises `DataError` when there is none.
    """
    from outlast.tracing.record import TraceFilter

    place = place_of(store)
    with closing(opened(place)) as kept:
        if session is None:
            found = kept.traces(TraceFilter(tag=TAG), limit=_MOST_FAILED)
        else:
            found = kept.traces(TraceFilter(session=session), limit=_MOST_FAILED)
            if not found:
                session = _session_of(kept, place, session)
                found = kept.traces(TraceFilter(session=session), limit=_MOST_FAILED)
        for trace in found:
            told = _answered(kept, trace)
            if told is not None:
                return told if place.why != "here" else _without_address(told)
    where = f"{place} holds no answer" if session is None else f"the conversation {session!r} holds no answer"
    raise DataError(f"{where} to go on with.{elsewhere(place) if session is None else ''}")


def _without_address(told: Earlier) -> Earlier:
    """A conversation of a file that lies in a folder, which may be anybody's: it does not say where words are sent."""
    return replace(told, asked={"lm": told.asked.get("lm", "")}, address=told.asked.get("base_url", ""))


def _answered(store: Store, trace: TraceRecord) -> Earlier | None:
    """The conversation up to the answer of a trace; None where there was none, or it was not kept."""
    for span in reversed(store.spans(trace.id)):
        content = store.content(span) if span.kind == "lm" else None
        request = None if content is None else content.as_request()
        response = None if content is None else content.as_response()
        if request is None or response is None:
            continue
        said = tuple(message for message in request.messages if message.role != "system")
        system = "" if trace.kind == "program" else _system(request.messages)
        asked = trace.attributes.get("asked") or {"lm": span.lm_asked}
        return Earlier(trace.session, (*said, response.message), system, asked)
    return None


def _session_of(store: Store, place: Place, trace_id: str) -> str:
    try:
        session = store.trace(trace_id).session
    except DataError as error:
        raise where_else(place, error, trace_id) from None
    if not session:
        raise DataError(f"the trace {trace_id!r} is no part of a conversation")
    return session


def _system(messages: tuple[Message, ...]) -> str:
    return "\n\n".join(message.text for message in messages if message.role == "system")
