"""Short names for models, wherever a command takes one.

They are yours and this machine's: programs, compiled files and logs hold the model that an alias stands for. `default`
is the model of `outlast prompt` and `outlast chat` when none is named.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from outlast.cli.app import NO, OK
from outlast.cli.output import console, emit_pretty, say, stdout
from outlast.errors import ConfigError, UsageError, did_you_mean

EPILOG = """\
examples:
  outlast aliases set mini openai/gpt-5-mini
  outlast aliases set local qwen3 --base-url http://gpu-box:8000/v1
  outlast aliases set default mini
  outlast prompt -m mini "Why is the sky blue?"

Python code names models by their own names: ol.LM("mini") is an error, so that no program depends on this file."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # no slash and no colon: no alias can stand before a model
_OPTIONS = ("base_url", "dialect")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("verb", nargs="?", choices=("set", "list", "remove", "path"), default="list")
    parser.add_argument("name", nargs="?", metavar="ALIAS")
    parser.add_argument("model", nargs="?", metavar="MODEL", help="of set: what it stands for, or another alias")
    parser.add_argument("--base-url", metavar="URL", help="of set: an OpenAI-compatible server to ask")
    parser.add_argument("--dialect", metavar="NAME", help="of set: the wire format of that server")
    parser.add_argument("--json", action="store_true", help="of list: as JSON")


def run(args: argparse.Namespace) -> int:
    """Keep, list or forget aliases."""
    given = [word for word in (args.name, args.model) if word is not None]
    wanted = {"set": 2, "remove": 1, "list": 0, "path": 0}[args.verb]
    if len(given) != wanted:
        form = {"set": " ALIAS MODEL", "remove": " ALIAS"}.get(args.verb, "")
        raise UsageError(f"it is: outlast aliases {args.verb}{form}")
    if args.verb == "path":
        print(aliases_file(), file=stdout())
        return OK
    if args.verb == "set":
        return _set(args)
    return _remove(args.name) if args.verb == "remove" else _list(args.json)


def aliases_file() -> Path:
    """Where aliases are kept. It need not be there."""
    from outlast.lms.places import config_folder

    return config_folder() / "aliases.json"


def resolved(name: str) -> tuple[str, dict[str, Any]]:
    """The model that a name stands for, and where it is, as options of `LM`; a name that is no alias is itself."""
    if "/" in name or ":" in name:
        return name, {}
    found = read_aliases().get(name)
    if found is None:
        return name, {}
    return found["model"], {option: found[option] for option in _OPTIONS if option in found}


def read_aliases() -> dict[str, dict[str, str]]:
    """What each alias stands for: {"model": ...} and what else is said of it. Raises `ConfigError`."""
    from outlast.lms.places import read_settings

    text = read_settings(aliases_file())
    if text is None:
        return {}
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{str(aliases_file())!r} is no JSON ({error}); mend it or remove it") from None
    if not isinstance(data, dict) or not all(_is_entry(entry) for entry in cast("dict[str, Any]", data).values()):
        raise ConfigError(f"{str(aliases_file())!r} holds what is no alias; mend it or remove it")
    return cast("dict[str, dict[str, str]]", data)


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, Mapping):
        return False
    found = cast("Mapping[Any, Any]", entry)
    return isinstance(found.get("model"), str) and all(isinstance(value, str) for value in found.values())


def _set(args: argparse.Namespace) -> int:
    from outlast.lms.models import open_model
    from outlast.lms.places import one_at_a_time

    if not _NAME.fullmatch(args.name):
        raise UsageError(f"an alias is letters, digits, '.', '_' and '-', at most 64; got {args.name!r}")
    model, options = resolved(args.model)
    options |= {name: value for name in _OPTIONS if (value := getattr(args, name)) is not None}
    open_model(model, **options)  # raises for what is no model; makes no connection
    with one_at_a_time(aliases_file()):
        _write({**read_aliases(), args.name: {"model": model, **options}})
    say(f"outlast: {args.name} is {model}")
    return OK


def _remove(name: str) -> int:
    from outlast.lms.places import one_at_a_time

    with one_at_a_time(aliases_file()):
        known = read_aliases()
        if name not in known:
            listed = f" Aliases: {', '.join(sorted(known))}." if known else " There are none."
            say(f"outlast: no alias {name!r}.{did_you_mean(name, known)}{listed}")
            return NO
        _write({one: entry for one, entry in known.items() if one != name})
    say(f"outlast: {name} is no alias any more")
    return OK


def _write(aliases: Mapping[str, Mapping[str, str]]) -> None:
    from outlast.lms.places import write_settings

    write_settings(aliases_file(), json.dumps(dict(sorted(aliases.items())), indent=2, ensure_ascii=False) + "\n")


def _list(as_json: bool) -> int:
    known = read_aliases()
    if as_json:
        emit_pretty(known)
        return OK
    if not known:
        say("outlast: no aliases. Make one: outlast aliases set mini openai/gpt-5-mini")
        return OK
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("alias", "model", ""):
        table.add_column(title, overflow="fold")
    for name, entry in known.items():
        table.add_row(name, entry["model"], " ".join(entry[option] for option in _OPTIONS if option in entry))
    console().print(table)
    return OK
