"""Show or write the exact prompts of a program, with slots where its inputs go. Asks no model."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from outlast.cli import options
from outlast.cli.app import OK
from outlast.cli.output import emit_pretty, say, stdout
from outlast.errors import DataError, UsageError

if TYPE_CHECKING:
    from outlast.modules.export import Prompt

EPILOG = """\
examples:
  outlast export app.py:triage                         (to read)
  outlast export app.py:triage --from triage.outlast.json --format json > prompts.json
  outlast export app.py:triage --format jinja -o prompts/

--format messages shows the messages, with {{name}} where an input goes; json is one document with all of it, jinja a
template for each message. -o writes one file for each message (jinja) or prompt (json, messages)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("target", metavar="TARGET", help="module.py:name")
    parser.add_argument("--format", choices=("messages", "jinja", "json"), default="messages", help="how to write them")
    parser.add_argument("--path", metavar="PATH", help="only the predictor at this path")
    parser.add_argument("-o", "--out", metavar="FOLDER", help="write files there instead of stdout")
    options.add_artifact(parser)
    options.add_model(parser, concurrency=1)
    options.add_common(parser, progress=False)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives its exit code."""
    from outlast.modules.export import export

    program = options.program_of(args)
    with options.model_in_use(args):
        prompts = export(program, args.path)
    if not prompts:
        raise UsageError(f"{args.target} asks no model, so it has no prompts")
    if args.out is not None:
        _write(prompts, Path(args.out), args.format)
    elif args.format == "messages" and not args.json:
        for path, prompt in prompts.items():
            title = f"== {path or 'the program'}: {prompt.signature}, {prompt.adapter}"
            print(f"{title}\n\n{prompt}", file=stdout())
    else:
        emit_pretty({path: prompt.to(args.format) for path, prompt in prompts.items()})
    return OK


def _write(prompts: Mapping[str, Prompt], folder: Path, form: str) -> None:
    files: dict[str, str] = {}
    for path, prompt in prompts.items():
        name = path or "program"
        if form != "jinja":
            data = prompt.to_json() if form == "json" else prompt.to_messages()
            files[f"{name}.json"] = json.dumps(data, indent=1) + "\n"
            continue
        for number, message in enumerate(prompt.to_jinja(), 1):
            if "turns" in message:
                files[f"{name}.{number}.turns"] = "\n".join(message["turns"]) + "\n"
            else:
                files[f"{name}.{number}.{message['role']}.jinja"] = message["template"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise DataError(f"cannot write {str(error.filename or folder)!r}: {error.strerror}") from error
    say(f"outlast: {len(files)} files in {folder}")
