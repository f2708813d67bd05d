"""Prompts with slots, and how each is asked, kept as one TOML file each. `outlast prompt -t NAME` uses one."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from outlast.cli.app import NO, OK
from outlast.cli.output import console, emit_pretty, say, stdout
from outlast.errors import ConfigError, UsageError, did_you_mean

if TYPE_CHECKING:
    from outlast.cli.talk.template import Template

EPILOG = """\
examples:
  outlast prompt --save tidy -s 'Mend the grammar. Answer in $language.' -p language English -m mini
  outlast templates                       what there is
  outlast templates edit tidy             in $VISUAL or $EDITOR; what cannot be read is not kept
  cat draft.txt | outlast prompt -t tidy -p language German

A template may say: prompt, system, model, schema, schema_multi, extract, description, [options] and [params], which
are defaults of slots. $input is what was typed or piped, $name a value of -p, $$ a dollar sign."""

_NEW = """\
# $input is what was typed or piped; $name is a value of `-p name value`; $$ is a dollar sign.
description = ""
# model = "openai/gpt-5-mini"
# schema = "name, age int"
system = ""
prompt = \"\"\"
$input
\"\"\"

# [options]
# temperature = 0.2

# [params]
# name = "a default"
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("verb", nargs="?", choices=("list", "show", "edit", "path", "remove"), default="list")
    parser.add_argument("name", nargs="?", metavar="NAME")
    parser.add_argument("--json", action="store_true", help="of list and show: as JSON")


def run(args: argparse.Namespace) -> int:
    """List, show, edit or remove templates."""
    from outlast.cli.talk.template import load_template, template_file, templates_folder

    if args.verb == "list":
        if args.name is not None:
            raise UsageError(f"templates list takes no name; got {args.name!r}. outlast templates show {args.name}?")
        return _list(args.json)
    if args.verb == "path":
        print(templates_folder() if args.name is None else template_file(args.name), file=stdout())
        return OK
    if args.name is None:
        raise UsageError(f"it is: outlast templates {args.verb} NAME")
    if args.verb == "edit":
        return _edit(args.name)
    if args.verb == "remove":
        return _remove(args.name)
    template = load_template(args.name)
    if args.json:
        emit_pretty(template.to_json())
    else:
        print(template_file(args.name).read_text(encoding="utf-8").rstrip("\n"), file=stdout())
    return OK


def _list(as_json: bool) -> int:
    from outlast.cli.talk.template import load_template, template_names

    known: dict[str, Template] = {}
    for name in template_names():
        try:
            known[name] = load_template(name)
        except ConfigError as error:
            say(f"outlast: {error}")
    if as_json:
        emit_pretty({name: template.to_json() for name, template in known.items()})
        return OK
    if not known:
        say('outlast: no templates. Make one: outlast prompt --save tidy -s "Mend the grammar"')
        return OK
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("template", "slots", "model", "what"):
        table.add_column(title, overflow="fold")
    for name, template in known.items():
        told = template.description or template.system or template.prompt
        line = " ".join(told.split())
        table.add_row(
            name, ", ".join(template.slots), template.model or "", line[:79] + "…" if len(line) > 80 else line
        )
    console().print(table)
    return OK


def _edit(name: str) -> int:
    """Have an editor change a copy, and keep it when it can be read."""
    from tempfile import TemporaryDirectory

    from outlast.cli.talk.template import read_template, template_file
    from outlast.lms.places import read_settings, write_settings

    path = template_file(name)
    before = read_settings(path)
    with TemporaryDirectory(prefix="outlast-") as folder:
        copy = Path(folder) / path.name
        copy.write_text(_NEW if before is None else before, encoding="utf-8")
        edit_file(copy)
        after = copy.read_text(encoding="utf-8")
    if after == (before if before is not None else _NEW):
        say("outlast: nothing was changed")
        return OK
    try:
        read_template(after, name)
    except ConfigError as error:
        kept = path.with_suffix(".rejected")
        write_settings(kept, after)
        raise ConfigError(f"{error}. What was written is in {kept}") from error
    write_settings(path, after)
    say(f"outlast: saved as {path}")
    return OK


def edit_file(path: Path) -> None:
    """Have `$VISUAL` or `$EDITOR` change a file, and wait. Raises `ConfigError`."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ("notepad" if os.name == "nt" else "vi")
    try:
        done = subprocess.run([*shlex.split(editor), str(path)], check=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot start the editor {editor!r}: {error}; set EDITOR to another one") from error
    if done.returncode != 0:
        raise ConfigError(f"the editor {editor!r} ended with the code {done.returncode}; nothing is kept")


def _remove(name: str) -> int:
    from outlast.cli.talk.template import template_file, template_names

    path = template_file(name)
    try:
        path.unlink()
    except FileNotFoundError:
        say(f"outlast: no template {name!r}.{did_you_mean(name, template_names())}")
        return NO
    except OSError as error:
        raise ConfigError(f"cannot remove {str(path)!r}: {error.strerror}") from error
    say(f"outlast: the template {name} is gone")
    return OK
