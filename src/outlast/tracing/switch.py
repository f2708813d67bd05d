"""Switching on: where what runs is kept, for a block, for the process, or by an environment variable."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from outlast.errors import ConfigError, OutlastError, UsageError, brief, refuse_unknown
from outlast.runtime import Latest, Trace, current, default, recording, running, set_defaults
from outlast.tracing.around import place_around, said_of
from outlast.tracing.recorder import CAPTURES, Capture, Place, remember_secrets
from outlast.tracing.retention import retention_of
from outlast.tracing.writer import Writer, writer_of

if TYPE_CHECKING:
    from outlast.adapters.protocol import Adapter
    from outlast.lms.protocol import LM
    from outlast.tracing.otel.live import OTel

VARIABLE = "OUTLAST_TRACE"
_COLLECTOR = "OUTLAST_OTEL"
_OFF = ("0", "off", "false", "no")


class Options(TypedDict, total=False):
    """How much is kept, and what is said of it; see `trace`."""

    capture: Capture | None
    redact: Callable[[str], str] | None
    session: str | None
    tags: Iterable[str]
    retention: str | float | None


_OPTIONS = tuple(Options.__annotations__)


@contextmanager
def trace(
    store: str | os.PathLike[str] | None = None,
    *,
    capture: Capture | None = None,
    redact: Callable[[str], str] | None = None,
    session: str | None = None,
    tags: Iterable[str] = (),
    retention: str | float | None = None,
) -> Generator[Trace]:
    """Collect the exchanges of every program call in a block: `with ol.trace() as spans: ...`.

    A call's spans are there when it ends, even when it fails. Blocks may be nested: the outer one gets all. With a
    `store`, which holds them all, `spans` are at least the last 1,000 of the block, and `spans.spending` is of all.

    With a `store`, a file such as "traces.db" or an address such as "postgresql://user@host/name", all that happens is
    kept there too, whole calls with the parts they are made of, for `outlast logs`, `outlast view` and replay; without
    one the options apply to the store that is in use, if any. `capture` says how much: "full"; "redacted", without
    what identifies a person as far as `ol.checks.no_pii` finds it; "hash", only what tells equal things apart; "off",
    no content at all. Keys and other secrets are never kept. `redact` gets every text before it is kept and gives what
    is kept instead. `session` names the conversation that calls belong to, `tags` are for finding them again; neither
    is given to `redact`. A block that names the store in use again goes on with all that it does not name itself.

    `retention`, such as "30d" or a number of seconds, has this process remove traces from that store that began longer
    ago, a little at a time while nothing waits to be written; without it `OUTLAST_TRACE_RETENTION` says so, if
    anything. Traces with a label, in a queue, or of an evaluation or compilation stay, unless the words `labelled`,
    `queued`, `evaluations` follow the age ("30d evaluations"). What was said last counts; False keeps all.

    The block never waits for the store and no trouble with it is raised: `spans.id` is the id of the last call.
    Raises `ConfigError` and `DataError` at the beginning of the block for what is no store, and `UsageError` for
    options inside a program that is kept, whose trace has begun.
    """
    outer = current().trace
    spans = Trace() if store is None or not (outer is None or isinstance(outer, Latest)) else Latest()
    changes: dict[str, Any] = {"trace": spans}
    around = place_around()
    place = _place(
        store, capture=capture, redact=redact, session=session, tags=tags, retention=retention, around=around
    )
    if place is not None:
        changes["recording"] = place.about(told=spans.kept_as, around=around)
    try:
        with running(**changes):
            yield spans
    finally:
        if outer is not None:
            outer.extend(spans)


def configure(
    *,
    lm: LM | str | None = None,
    adapter: Adapter | None = None,
    approver: Callable[..., Any] | None = None,
    trace: str | os.PathLike[str] | bool | None = None,
    otel: OTel | str | bool | None = None,
    **options: Unpack[Options],
) -> None:
    """Set process-wide defaults, at any time and from any thread; None leaves a thing as it is.

    `lm` is an `LM` or a model name such as "openai/gpt-5-mini". `approver` decides about calls of tools that ask first.
    `trace` is the store in which all calls are kept, with the options of `ol.trace` (`capture`, `redact`, `session`,
    `tags`, `retention`); False ends that. A call that is made after this uses it at once, wherever it is made, unless
    the program or a `context` block says otherwise.

    `otel` sends the traces of that store to a collector of OpenTelemetry too, when they have ended: an address such as
    "http://localhost:4318", True for that of OTEL_EXPORTER_OTLP_ENDPOINT, or an `ol.OTel` with options; False ends it.
    """
    refuse_unknown(options, ("lm", "adapter", "approver", "trace", "otel", *_OPTIONS), "configure()")
    sink = _sink(otel)
    from outlast.modules import settings  # all that runs programs, which a block of `trace` may do without

    settings.configure(lm=lm, adapter=adapter, approver=approver)
    if trace is False:
        if options:
            raise UsageError(f"configure(trace=False) takes no {', '.join(options)}")
        set_defaults(recording=None)
    elif trace is True:
        raise UsageError("configure(trace=...) names a store, such as 'traces.db'; got True")
    elif trace is not None or options:
        set_defaults(recording=_place(trace, **options))
    if otel is not None:
        _send_to(sink)


def _sink(otel: OTel | str | bool | None) -> OTel | None:
    """Where traces are sent. Raises `ConfigError` without the extra, `UsageError`."""
    if otel is None or otel is False:
        return None
    from outlast.tracing.otel.live import OTel

    if isinstance(otel, OTel):
        return otel
    if otel is True or isinstance(otel, str):
        return OTel(None if otel is True else otel)
    raise UsageError(f"configure(otel=...) takes an address, an ol.OTel, True or False; got {brief(otel)}")


def _send_to(sink: OTel | None) -> None:
    place = default("recording")
    if isinstance(place, Place):
        from outlast.tracing.otel.following import follow

        follow(place.writer, sink)
    elif sink is not None:
        raise UsageError(
            "configure(otel=...) sends what a store of traces keeps, and none is in use: give trace='traces.db' too"
        )


def from_environment() -> None:
    """Keep what happens where `OUTLAST_TRACE` says, and send it on where `OUTLAST_OTEL` does: an address, or "on" for
    what the variables of OpenTelemetry say. What cannot be used is a warning."""
    place = os.environ.get(VARIABLE, "").strip()
    if not place or place.lower() in _OFF:
        return
    try:
        set_defaults(recording=_place(place))
    except OutlastError as error:
        logging.getLogger("outlast.trace").warning("%s: %s; nothing is kept", VARIABLE, error)
        return
    collector = os.environ.get(_COLLECTOR, "").strip()
    if collector and collector.lower() not in _OFF:
        try:
            _send_to(_sink(collector if collector.lower() not in ("on", "1", "true", "yes") else True))
        except OutlastError as error:
            logging.getLogger("outlast.trace").warning("%s: %s; nothing is sent", _COLLECTOR, error)


def _place(
    store: str | os.PathLike[str] | None,
    *,
    capture: Capture | None = None,
    redact: Callable[[str], str] | None = None,
    session: str | None = None,
    tags: Iterable[str] = (),
    retention: str | float | None = None,
    around: Place | None = None,
) -> Place | None:
    """Where traces begin; None without a store. What is `around` goes on where it keeps them in the same store."""
    changes: dict[str, Any] = {}
    if capture is not None:
        if capture not in CAPTURES:
            raise UsageError(f"capture is one of {', '.join(CAPTURES)}; got {brief(capture)}")
        changes["capture"] = capture
    if redact is not None:
        if not callable(redact):
            raise UsageError(f"redact is a function from a text to a text; got {brief(redact)}")
        changes["redact"] = redact
    if session is not None:
        if not isinstance(session, str):
            raise UsageError(f"session is a text; got {brief(session)}")
        changes["session"] = session
    if isinstance(tags, str):
        raise UsageError(f"tags are a list of texts; got {brief(tags)}")
    if listed := tuple(tags):
        changes["tags"] = listed
    age = None if retention is None else retention_of(retention)
    if store is not None:
        place = begun(store, around=around, capture=capture, redact=redact)
        if retention is not None:
            place.writer.keep(age)
        return place.about(**changes)
    inner = recording()
    if isinstance(inner, Place):
        if retention is not None:
            inner.writer.keep(age)
        return inner.about(**changes)
    if retention is not None:
        changes["retention"] = age
    if inner is not None and changes:
        raise UsageError(
            f"inside a program its trace has begun: {', '.join(changes)} is said around the call of the program"
        )
    return None


def begun(
    store: str | os.PathLike[str],
    *,
    around: Place | None = None,
    capture: Capture | None = None,
    redact: Callable[[str], str] | None = None,
) -> Place:
    """Where traces begin in a store: as what is `around` says where that, or the process, keeps them in it already;
    else where this process begins in it. What is kept of the process itself is as `capture` and `redact` say when it
    begins. Raises `ConfigError`, `DataError`."""
    from outlast.tracing.retention import from_environment as retention_said
    from outlast.tracing.runs import StoredRun

    writer = _writer(store)
    here = said_of(writer.database, around)
    if writer.run is None:
        writer.run = run = StoredRun("process")
        writer.keep(retention_said(), asked=False)
        if here is not None:  # by another name of the store
            capture, redact = capture or here.capture, redact or here.redact
        run.shows, run.redact = capture not in ("hash", "off"), redact
        writer.put(run, 1000)
    return Place(writer, writer.run.id) if here is None else here.about(writer=writer)


def begun_apart(store: str | os.PathLike[str]) -> Place:
    """Where a run of its own begins in a store, inside that of the process where this has kept something before. As
    much is kept as what is around here says of that store. Raises `ConfigError`, `DataError`."""
    writer = _writer(store)
    around = place_around()
    here = said_of(writer.database, around)
    run = writer.run.id if writer.run is not None and writer.in_use else ""
    place = Place(writer, run, around=around)
    return place if here is None else place.about(capture=here.capture, redact=here.redact)


def _writer(store: str | os.PathLike[str]) -> Writer:
    """What writes into a store, which is open then."""
    from outlast.tracing.database import database_at

    remember_secrets()
    writer = writer_of(database_at(store))
    writer.database.open()
    return writer


def store_in_use() -> str:
    """Where traces are kept here: what the block or the process says, else `OUTLAST_TRACE`. Raises `ConfigError`."""
    place = place_around()
    database = None if place is None else getattr(place.writer, "database", None)
    if database is not None:
        return database.address
    named = os.environ.get(VARIABLE, "").strip()
    if named and named.lower() not in _OFF:
        return named
    raise ConfigError(
        "no store of traces is in use: give store='traces.db', or set OUTLAST_TRACE or ol.configure(trace='traces.db')"
    )


def flush(timeout: float = 10.0) -> bool:
    """Wait until all that was told so far is in the stores, and sent on where `configure(otel=...)` says so; False when
    that takes longer than `timeout` seconds."""
    from outlast.tracing.writer import all_writers

    done = [writer.flush(timeout) for writer in all_writers()]  # each gets its time
    following: Any = sys.modules.get("outlast.tracing.otel.following")
    return all(done) and (following is None or following.flush(timeout))
