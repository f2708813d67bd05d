"""Traces that are stored go elsewhere: to a collector of OpenTelemetry, or a backend that takes its spans."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from outlast.cli import options
from outlast.cli.app import NO, OK
from outlast.cli.output import emit_pretty, say
from outlast.cli.stores import RULE, add_store, elsewhere, named, opened, place_of
from outlast.cli.wording import counted
from outlast.errors import UsageError

EPILOG = f"""\
examples:
  outlast traces export --otlp http://localhost:4318                      (Jaeger, or any collector)
  outlast traces export traces.db --otlp http://localhost:6006 --project support       (Phoenix)
  outlast traces export --otlp http://localhost:5000 --header x-mlflow-experiment-id=0 (MLflow)
  outlast traces export --since '2 hours' --content --format gen_ai

Without --otlp the variables of OpenTelemetry say where, such as OTEL_EXPORTER_OTLP_ENDPOINT; a key is better kept in
OTEL_EXPORTER_OTLP_HEADERS than on a command line. Messages, inputs and outputs stay here without --content.

{RULE}"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("verb", choices=("export",), help="export: send traces over OTLP/HTTP")
    add_store(parser)
    parser.add_argument("--otlp", metavar="URL", help="the collector; /v1/traces is added where there is no path")
    parser.add_argument(
        "--format",
        choices=("gen_ai", "openinference", "both"),
        default="both",
        help="which convention attributes follow: OpenTelemetry's, OpenInference's or both (both)",
    )
    parser.add_argument("--content", action="store_true", help="send messages, inputs and outputs too")
    parser.add_argument("--header", action="append", default=[], metavar="NAME=VALUE", help="sent along; repeat")
    parser.add_argument("--service", metavar="NAME", help="service.name (OTEL_SERVICE_NAME, else outlast)")
    parser.add_argument("--project", metavar="NAME", help="the project in Phoenix")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds for one message (60)")
    which = parser.add_argument_group("which traces")
    which.add_argument("--since", metavar="TIME", help="such as '2 days', 90m, today, 2026-11-29")
    which.add_argument("--run", metavar="ID", help="of this run")
    which.add_argument("--name", metavar="NAME", help="of this program")
    which.add_argument("--tag", metavar="TAG", help="with this tag")
    which.add_argument("--limit", type=options.count, metavar="N", help="the newest N")
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives its exit code."""
    from outlast.cli.talk.since import moment_of
    from outlast.tracing.otel.exporting import export_traces
    from outlast.tracing.otel.live import checked_headers
    from outlast.tracing.otel.sending import Sender, otlp_exporter, resource_attributes
    from outlast.tracing.record import TraceFilter

    if not 0 < args.timeout <= 3600:
        raise UsageError(f"--timeout is in seconds, above 0; got {args.timeout:g}")
    headers = checked_headers(dict(_headers(args.header)))
    where = TraceFilter(
        run=args.run, name=args.name, tag=args.tag, since=None if args.since is None else moment_of(args.since)
    )
    place = place_of(named(args))
    with opened(place) as store:
        sender = Sender(
            otlp_exporter(args.otlp, headers, args.timeout), resource_attributes(args.service, args.project)
        )
        try:
            done = export_traces(
                store,
                sender,
                where,
                format=args.format,
                content=args.content,
                limit=args.limit,
                progress=None if args.no_progress else _progress,
            )
        finally:
            sender.close()
    if args.json:
        emit_pretty(asdict(done))
    else:
        _tell(done)
        if not done.traces and not done.stopped:
            say(f"outlast: looked in {place}.{elsewhere(place)}")
    return NO if done.lost else OK


def _headers(words: Iterable[str]) -> Iterable[tuple[str, str]]:
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.strip():
            raise UsageError("--header takes name=value, such as --header x-mlflow-experiment-id=0")
        yield name.strip(), value


def _progress(done: Any) -> None:
    if done.traces % 1000 < 100 and done.traces >= 1000:
        say(f"outlast: {counted(done.spans, 'span')} of {counted(done.traces, 'trace')}")


def _tell(done: Any) -> None:
    from outlast.cli.output import stdout

    if done.stopped:
        say("outlast: the collector took nothing of the first message; the rest was not tried")
        return
    print(f"{counted(done.spans, 'span')} of {counted(done.traces, 'trace')} sent", file=stdout())
    if done.lost:
        say(f"outlast: {counted(done.lost, 'span')} did not arrive")
    if done.open:
        say(f"outlast: {counted(done.open, 'trace')} not over yet, left out")
