"""Look at a store of traces in the browser: traces, runs, programs. Only on this machine, and nothing leaves it."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlast.cli import options
from outlast.cli.app import OK
from outlast.cli.output import say
from outlast.cli.stores import RULE, Place, add_store, elsewhere, named, opened, place_of
from outlast.errors import UsageError

if TYPE_CHECKING:
    from outlast.view.replaying import Replays
    from outlast.view.server import Server

EPILOG = f"""\
examples:
  outlast view                            the store of this folder, or your log, in your browser
  outlast view postgresql://me@db/traces --no-open
  outlast view traces.db -m openai/gpt-5-mini --budget 2     exchanges can be replayed from the page
  outlast view traces.db --export site    the same pages as files, for a CI run to keep

The printed address holds a token; without it the page answers to nobody. Ctrl-C ends it.

{RULE}"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_store(parser)
    parser.add_argument("--port", type=_port, metavar="N", help="where it listens (7654, or the next that is free)")
    parser.add_argument("--host", default="127.0.0.1", metavar="H", help="the address it listens on (127.0.0.1)")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a name this machine is known by"
    )
    parser.add_argument(
        "--artifact",
        action="append",
        default=[],
        metavar="X.outlast.json",
        help="a compiled file, to compare prompts with",
    )
    parser.add_argument(
        "--study", action="append", default=[], metavar="FILE", help="the ledger of a search, to watch it while it runs"
    )
    parser.add_argument(
        "--lm", "-m", action="append", default=[], metavar="NAME", help="a model that may be asked from the page"
    )
    parser.add_argument(
        "--budget", type=float, metavar="DOLLARS", help="what asking models from the page may cost in all (1)"
    )
    parser.add_argument("--read-only", action="store_true", help="write nothing, not even labels")
    parser.add_argument("--no-open", action="store_true", help="do not open a browser")
    parser.add_argument("--export", metavar="DIR", help="write the pages as files and end")
    parser.add_argument(
        "--limit", type=options.count, default=1000, metavar="N", help="of --export: pages at most (1000)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command; gives its exit code."""
    from outlast.view.server import Server, need_packages

    need_packages()
    place = place_of(named(args))
    args.read_only = args.read_only or (place.file is not None and not os.access(place.file, os.W_OK))
    replays = _replays(args)
    if args.export:
        return _export(place, args)
    with opened(place, write=not args.read_only) as store:
        server = Server(
            store,
            name=shown_name(place.address),
            place=place.address,
            host=args.host,
            port=args.port,
            allow=args.allow_host,
            read_only=args.read_only,
            artifacts=_artifacts(args.artifact),
            studies=_studies(args.study),
            replays=replays,
        )
        server.run(lambda: _greet(server, place, args))
    say("outlast: the page is closed")
    return OK


def shown_name(place: str) -> str:
    """The store's name for people: never the password of a database URL, never the folders above a file."""
    if "://" not in place:
        return Path(place).name
    from urllib.parse import urlsplit

    parts = urlsplit(place)
    return f"{parts.hostname or ''}{parts.path}"


def _artifacts(paths: list[str]) -> dict[str, dict[str, Any]]:
    """What the compiled files say, by the name of each file: read now, so that no request ever reads one."""
    from outlast import artifact

    names = [Path(path).name for path in paths]
    shown = names if len(set(names)) == len(names) else paths
    return {name: artifact.read(path) for name, path in zip(shown, paths, strict=True)}


def _studies(paths: list[str]) -> dict[str, Path]:
    """The ledgers by a name for each, which stands in addresses: that of its file, without its ending."""
    from outlast.optimize.summary import is_database

    for path in paths:
        if not is_database(path):
            raise UsageError(f"no ledger at {path!r}: give the file that compile wrote (study=...)")
    names = [re.sub(r"[^\w.-]+", "-", Path(path).name.removesuffix(".db").removesuffix(".study")) for path in paths]
    if len(set(names)) < len(names):
        names = [f"{number}-{name}" for number, name in enumerate(names, 1)]
    return {name: Path(path).resolve() for name, path in zip(names, paths, strict=True)}


def _replays(args: argparse.Namespace) -> Replays | None:
    """The models that may be asked from the page, opened now, so that no request ever names one."""
    if not args.lm:
        if args.budget is not None:
            raise UsageError("--budget bounds what models cost that are asked from the page; name one with --lm")
        return None
    if args.export or args.read_only:
        why = "an export is files" if args.export else "a replay is kept in the store, which is only read here"
        raise UsageError(f"{why}; leave --lm out")
    from outlast.cli.aliases import resolved
    from outlast.lms.models import BUILT_IN
    from outlast.view.replaying import DOLLARS, Replays

    fresh = [{} if resolved(name)[0] in BUILT_IN else {"cache": False} for name in args.lm]  # what it says now
    models = [options.named_model(name, **told) for name, told in zip(args.lm, fresh, strict=True)]
    return Replays(models, DOLLARS if args.budget is None else args.budget)


def _greet(server: Server, place: Place, args: argparse.Namespace) -> None:
    """Say where the page is, and open it."""
    say(f"outlast: {server.site.name} at {server.url}", "outlast: Ctrl-C ends it")
    if place.why != "named":
        say(f"outlast: it shows {place}.{elsewhere(place)}")
    if not server.local:
        say(f"outlast: it listens on {args.host}: the token is the only door, and what is sent is not encrypted")
    if not args.no_open and sys.stderr.isatty():
        import webbrowser

        webbrowser.open(server.url)


def _export(place: Place, args: argparse.Namespace) -> int:
    from outlast.view.exporting import export

    with opened(place) as store:
        done = export(
            store,
            args.export,
            name=shown_name(place.address),
            most=args.limit,
            artifacts=_artifacts(args.artifact),
            studies=_studies(args.study),
        )
    left = f"; {done.left_out} links lead to pages beyond --limit {args.limit}" if done.left_out else ""
    say(f"outlast: {done.pages} pages in {args.export}{left}. Open {Path(args.export) / 'index.html'}")
    return OK


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value < 65_536:
        raise argparse.ArgumentTypeError(f"a port is 0 to 65535; got {text!r}")
    return value
