"""Keep keys of providers: in the system's keyring where there is one, else in a file that only you can read.

A key is read from the terminal without showing it, or from a pipe; never from the command line, which other programs
can see and shells remember. No command prints one.
"""

from __future__ import annotations

import argparse
import os
import sys

from outlast.cli.app import NO, OK
from outlast.cli.output import console, emit_pretty, say, stdout
from outlast.errors import UsageError

EPILOG = """\
examples:
  outlast keys set openai                    asks for the key; kept as OPENAI_API_KEY
  pass show openai | outlast keys set OPENAI_API_KEY
  outlast keys list                          which there are and where; never what they are
  outlast keys remove openai

A model's key comes from the environment, then from the keyring (pip install 'outlast[keyring]'), then from the file.
The file has the mode 0600; one that others can read is refused."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("verb", nargs="?", choices=("set", "list", "remove", "path"), default="list")
    parser.add_argument("name", nargs="?", help="a provider such as openai, or an environment variable")
    parser.add_argument("--file", action="store_true", help="of set: into the file, even where there is a keyring")
    parser.add_argument("--json", action="store_true", help="of list: as JSON")


def run(args: argparse.Namespace) -> int:
    """Keep, list or forget keys."""
    from outlast.lms.keys import keys_file, remove_key, variable_of

    if args.verb in ("list", "path"):
        if args.name is not None:
            raise UsageError(f"keys {args.verb} takes no name; got {args.name!r}")
        if args.verb == "path":
            print(keys_file(), file=stdout())
            return OK
        return _list(args.json)
    if args.name is None:
        raise UsageError(f"keys {args.verb} needs a name: outlast keys {args.verb} openai")
    variable = variable_of(args.name)
    if args.verb == "set":
        return _set(variable, args.file)
    place = remove_key(variable)
    say(f"outlast: {variable} is no longer in the {place}" if place else f"outlast: no {variable} is kept here")
    return OK if place else NO


def _set(variable: str, in_file: bool) -> int:
    from outlast.lms.keys import keys_file, store_key

    place = store_key(variable, _read(variable), place="file" if in_file else None)
    say(f"outlast: {variable} is in the keyring" if place == "keyring" else f"outlast: {variable} is in {keys_file()}")
    if os.environ.get(variable, "").strip():
        say(f"outlast: the environment sets {variable} too, and that one is used")
    return OK


def _read(variable: str) -> str:
    """The key: typed unseen at a terminal, else one line of standard input."""
    if sys.stdin is not None and sys.stdin.isatty():
        from getpass import getpass

        try:
            return getpass(f"{variable}: ", stream=sys.stderr)
        except EOFError:
            raise UsageError("no key was typed; nothing is kept") from None
    lines = [] if sys.stdin is None else sys.stdin.read(1 << 16).strip().splitlines()
    if len(lines) != 1:
        raise UsageError(f"the key comes as one line of standard input; got {len(lines)} lines")
    return lines[0]


def _list(as_json: bool) -> int:
    from outlast.lms.keys import read_keys
    from outlast.lms.wire.providers import PROVIDERS

    kept = read_keys()
    where = dict.fromkeys(kept.keyring, "keyring") | dict.fromkeys(kept.keys, "file")
    users: dict[str, list[str]] = {name: [] for name in where}
    for provider, row in PROVIDERS.items():
        if row.key_env is not None and (row.key_env in where or os.environ.get(row.key_env, "").strip()):
            users.setdefault(row.key_env, []).append(provider)
    rows = [
        {
            "name": name,
            "from": "environment" if os.environ.get(name, "").strip() else where[name],
            "kept": where.get(name),
            "providers": providers,
        }
        for name, providers in sorted(users.items())
    ]
    if as_json:
        emit_pretty(rows)
        return OK
    if not rows:
        say("outlast: no keys. Keep one: outlast keys set openai")
        return OK
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("key", "used from", "providers"):
        table.add_column(title, overflow="fold")
    for row in rows:
        other = f" (one in the {row['kept']} is not used)" if row["kept"] and row["from"] == "environment" else ""
        table.add_row(str(row["name"]), f"{row['from']}{other}", ", ".join(row["providers"] or ()))
    console().print(table)
    return OK
