"""What a person asks at a shell: read from options, a template and a pipe, and sent."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from outlast.cli import options
from outlast.cli.stores import HERE, add_store_option
from outlast.errors import ConfigError, DataError, UsageError, refuse_unknown

if TYPE_CHECKING:
    from outlast.cli.talk.log import Earlier
    from outlast.cli.talk.template import Template
    from outlast.lms.protocol import LM
    from outlast.messages import Message


def add_asking(parser: argparse.ArgumentParser) -> None:
    """The options that prompt and chat share."""
    asked = parser.add_argument_group("model")
    asked.add_argument("--lm", "-m", metavar="NAME", help="such as openai/gpt-5-mini, or an alias (the alias default)")
    asked.add_argument("--base-url", metavar="URL", help="an OpenAI-compatible server to ask instead")
    asked.add_argument("--dialect", metavar="NAME", help="the wire format of that server")
    asked.add_argument("--system", "-s", metavar="TEXT", help="what the model is told about its task")
    asked.add_argument(
        "-o", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), help="a setting, such as temperature 0.2"
    )
    asked.add_argument("--cache", action="store_true", help="take the answer from the cache where it has it")
    group = parser.add_argument_group("conversation and log")
    group.add_argument("--continue", "-c", dest="go_on", action="store_true", help="go on with the last conversation")
    group.add_argument("--cid", metavar="ID", help="go on with this one: its session, or the id of a trace of it")
    add_store_option(group, words="the store of traces that it is kept in, and that -c and --cid look in")
    group.add_argument("--no-log", "-n", action="store_true", help="keep nothing of it")
    parser.add_argument("--template", "-t", metavar="NAME", help="a template; see outlast templates")
    parser.add_argument(
        "-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="what fills a slot of the template"
    )


def template_of(args: argparse.Namespace) -> Template:
    """The template of the command line; an empty one when none is named."""
    from outlast.cli.talk.template import Template, load_template

    if args.template is None:
        if args.p and getattr(args, "save", None) is None:
            raise UsageError("-p fills a slot of a template; name one with -t")
        return Template()
    return load_template(args.template)


def pairs(given: Iterable[Sequence[str]], option: str) -> dict[str, str]:
    """Values by name of an option that may be repeated. Raises `UsageError` for one name twice."""
    found: dict[str, str] = {}
    for name, value in given:
        if name in found:
            raise UsageError(f"{option} {name} is given twice")
        found[name] = value
    return found


def settings_of(args: argparse.Namespace, template: Template) -> dict[str, Any]:
    """The settings of the template and of -o, which wins; checked. Values are JSON where they can be, else text."""
    from outlast.lms.options import SETTING_NAMES, settings_from

    given = {**template.options, **{name: _value(text) for name, text in pairs(args.o, "-o").items()}}
    refuse_unknown(given, SETTING_NAMES, "-o")
    settings_from(given)
    return given


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def how_asked(args: argparse.Namespace, template: Template, before: Earlier) -> dict[str, str]:
    """How the model is named: by --lm, else the template, else as `before` in the conversation, else by the alias
    `default`; with --base-url and --dialect. Raises `ConfigError` when there is no model, and `DataError` when only a
    file that lies in the folder says where it is."""
    from outlast.cli.aliases import resolved

    told = options.given_options(args)
    name = args.lm or template.model
    if name is not None:
        return {"lm": name, **told}
    if before.address and "base_url" not in told:
        raise DataError(
            f"this conversation of {HERE} in this folder was with {before.address}, and a file that lies in a folder "
            f"does not say where your words go: --base-url {before.address} does, and so does -m with an alias"
        )
    if before.asked:
        return {**before.asked, **told}
    if resolved("default")[0] == "default":
        raise ConfigError(
            "no model: give -m openai/gpt-5-mini, or make one the default: outlast aliases set default "
            "openai/gpt-5-mini. Without a key there is -m outlast/baseline"
        )
    return {"lm": "default", **told}


def model_to_ask(asked: Mapping[str, str], *, cache: bool) -> LM:
    """The model that is named so. Without `cache` it keeps no answers: who asks again wants another one."""
    from outlast.cli.aliases import resolved
    from outlast.lms.models import BUILT_IN

    told: dict[str, Any] = {name: value for name, value in asked.items() if name != "lm"}
    if not cache and resolved(asked["lm"])[0] not in BUILT_IN:
        told["cache"] = False
    return options.named_model(asked["lm"], **told)


def piped() -> str:
    """What stands on standard input when it is no terminal. Raises `DataError` for what is no text."""
    if sys.stdin is None or sys.stdin.isatty():
        return ""
    source = getattr(sys.stdin, "buffer", None)  # as UTF-8, whatever the terminal's language is
    try:
        text = sys.stdin.read() if source is None else source.read().decode()
        return text.removeprefix("\ufeff").strip()
    except UnicodeDecodeError as error:
        raise DataError(f"standard input is no text ({error}); -a - shows it as a file") from error


def with_system(system: str, messages: Iterable[Message]) -> tuple[Message, ...]:
    """The messages after one that instructs, where there is such a text."""
    from outlast.messages import Message

    return (Message("system", system), *messages) if system else tuple(messages)
