"""Ask a model once, from a shell or a pipe. What was asked and answered is logged: see `outlast logs`.

What is piped in comes before the words of the command line. With --schema the answer is JSON that fits it: it is
checked, and the model is asked again with what is wrong before the command gives up.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from outlast.cli.app import NO, OK
from outlast.cli.output import emit, say, stdout
from outlast.cli.talk.asking import (
    add_asking,
    how_asked,
    model_to_ask,
    pairs,
    piped,
    settings_of,
    template_of,
    with_system,
)
from outlast.errors import UsageError

if TYPE_CHECKING:
    from outlast.cli.talk.log import Earlier, Logged
    from outlast.cli.talk.shape import Shape
    from outlast.cli.talk.template import Template
    from outlast.lms.protocol import LM
    from outlast.messages import TextPart
    from outlast.types.media import Media

EPILOG = """\
examples:
  outlast prompt -m openai/gpt-5-mini "Ten names for a pelican"
  cat error.log | outlast prompt -s "Explain the error in two sentences"
  outlast prompt -a photo.jpg "What is this?" --schema 'name, age int, tags list[str]: what you see'
  outlast prompt -c "And shorter?"                      goes on with the last conversation
  outlast prompt -x "A Python function that ..." > f.py    the first code block alone
  outlast prompt --save tidy -s "Mend the grammar. Keep the words." -m mini
  cat draft.txt | outlast prompt -t tidy

A schema is fields with commas between them, NAME [TYPE] [: words], or a JSON schema: a file.json, or text that begins
with {. Types are those of signatures in text: int, float, date, list[str], Literal["a", "b"]; int? may be null."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("prompt", nargs="*", metavar="PROMPT", help="what to ask; what is piped in comes before it")
    add_asking(parser)
    parser.add_argument(
        "-a", action="append", default=[], metavar="FILE", help="a file or an address to show; - is stdin"
    )
    parser.add_argument(
        "--at", nargs=2, action="append", default=[], metavar=("FILE", "TYPE"), help="the same, of this media type"
    )
    answer = parser.add_argument_group("answer")
    answer.add_argument("--schema", metavar="FIELDS", help="the answer is JSON of this form")
    answer.add_argument("--schema-multi", metavar="FIELDS", help="the answer is a list of such things")
    answer.add_argument("--extract", "-x", action="store_true", help="print the first fenced code block alone")
    answer.add_argument("--json", action="store_true", help="one line of JSON: the answer, model, tokens, cost, ids")
    answer.add_argument("--usage", "-u", action="store_true", help="tokens, cost and time on stderr")
    answer.add_argument("--no-stream", action="store_true", help="print the answer when it is whole")
    parser.add_argument("--save", metavar="NAME", help="keep all this as a template; asks nothing")


def run(args: argparse.Namespace) -> int:
    """Ask, print, log; gives the exit code."""
    template = template_of(args)
    if args.save is not None:
        return _save(args, template)
    shape = _shape(args, template)
    settings = settings_of(args, template)
    places = [(place, None) for place in args.a] + [(place, mime) for place, mime in args.at]
    stdin_is_file = any(place == "-" for place, _ in places)
    typed = "\n\n".join(part for part in ("" if stdin_is_file else piped(), " ".join(args.prompt)) if part)
    prompt, system = template.filled(typed, pairs(args.p, "-p"))
    if not prompt.strip() and not places:
        raise UsageError('ask what? outlast prompt "..."; or pipe something in')
    from outlast.cli.talk.attach import attachment

    attachments = [attachment(place, mime) for place, mime in places]
    before = _before(args)
    named = how_asked(args, template, before)
    lm = model_to_ask(named, cache=args.cache)
    asked = Asked(lm, named, prompt, args.system or system or before.system, attachments, settings, before)
    if shape is None:
        return _text(args, asked, extract=args.extract or template.extract)
    return _values(args, asked, shape)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked, of whom."""

    lm: LM
    named: Mapping[str, str]
    prompt: str
    system: str
    attachments: Sequence[Media | TextPart]
    settings: Mapping[str, Any]
    before: Earlier


def _shape(args: argparse.Namespace, template: Template) -> Shape | None:
    single, multi = args.schema, args.schema_multi
    if single is None and multi is None:
        single, multi = template.schema, template.schema_multi
    if single is not None and multi is not None:
        raise UsageError("--schema and --schema-multi exclude one another")
    if single is None and multi is None:
        return None
    if args.extract:
        raise UsageError("--extract is for text; with --schema the answer is JSON")
    from outlast.cli.talk.shape import as_shape

    return as_shape(single or multi or "", multi=multi is not None)


def _before(args: argparse.Namespace) -> Earlier:
    from outlast.cli.talk.log import Earlier, earlier, new_session

    if args.go_on and args.cid is not None:
        raise UsageError("--continue is for the last conversation; --cid names another one")
    return earlier(args.cid, args.store) if args.go_on or args.cid is not None else Earlier(new_session())


def _text(args: argparse.Namespace, asked: Asked, *, extract: bool) -> int:
    """Ask for text, and print it as it comes where somebody watches."""
    from outlast.cli.talk.attach import turn
    from outlast.cli.talk.log import logged
    from outlast.cli.talk.terminal import at_terminal, print_stream, shown

    messages = with_system(asked.system, (*asked.before.messages, turn(asked.prompt, asked.attachments)))
    live = at_terminal() and not (extract or args.json or args.no_stream)
    with logged(asked.before.session, "prompt", asked.named, store=args.store, off=args.no_log) as kept:
        events = asked.lm.events(messages, **asked.settings) if live else None
        response = asked.lm(messages, **asked.settings) if events is None else print_stream(events)
    answer = first_block(response.text) if extract else response.text
    if answer is None:
        say(f"outlast: the answer holds no code block{'' if args.no_log else '; outlast logs -n 1 shows it'}")
        return NO
    if not live and not args.json:
        print(shown(answer), file=stdout(), flush=True)
    if response.finish == "length":
        say("outlast: the answer was cut off by the limit on tokens")
    _report(args, kept, answer)
    return OK


def _values(args: argparse.Namespace, asked: Asked, shape: Shape) -> int:
    """Ask for values, and print them as JSON: one line into a pipe, indented where somebody reads."""
    from outlast.cli.talk.log import logged
    from outlast.cli.talk.terminal import at_terminal, printable
    from outlast.data.jsonform import json_form
    from outlast.signatures.record import outputs_of

    program, inputs = _program(asked, shape)
    with logged(asked.before.session, "prompt", asked.named, store=args.store, off=args.no_log) as kept:
        outputs = outputs_of(program(**inputs))
    answer = json_form(shape.answer(outputs), lenient=True)
    if at_terminal() and not args.json:
        print(printable(json.dumps(answer, ensure_ascii=False, indent=2)), file=stdout(), flush=True)
    elif not args.json:
        emit(answer)
    _report(args, kept, answer)
    return OK


def _program(asked: Asked, shape: Shape) -> tuple[Any, dict[str, Any]]:
    """The program that asks for the values of a shape, and its inputs."""
    from outlast.adapters.json import JSON
    from outlast.messages import History, TextPart
    from outlast.modules.predict import Predict
    from outlast.signatures.spelling import signature

    name = shape.free("prompt")
    texts = "".join(one.text for one in asked.attachments if isinstance(one, TextPart))
    kinds, values = {name: "str"}, {name: texts + asked.prompt}
    inputs: dict[str, Any] = dict(values)
    for number, medium in enumerate((one for one in asked.attachments if not isinstance(one, TextPart)), 1):
        name = shape.free(f"attachment_{number}")
        kinds[name], inputs[name] = type(medium).__name__, medium
    if asked.before.messages:
        name = shape.free("history")
        kinds[name], inputs[name] = "History", History().say(*asked.before.messages)
    asks: Any = signature(shape.spelled(kinds), asked.system, types={**shape.types, "History": History})
    can = asked.lm.capabilities
    adapter = JSON() if can.json_schema or can.json_object else None
    return Predict(asks, fields=shape.told, lm=asked.lm, adapter=adapter, **asked.settings), inputs


def _report(args: argparse.Namespace, kept: Logged, answer: Any) -> None:
    """What --json and --usage ask for."""
    if args.usage:
        say(kept.usage_line())
    if args.json:
        emit({"answer": answer, **kept.to_json()})


def _save(args: argparse.Namespace, template: Template) -> int:
    """Keep the command line as a template."""
    from outlast.cli.talk.template import read_template, save_template
    from outlast.cli.talk.toml_text import to_toml

    if args.a or args.at or args.go_on or args.cid:
        raise UsageError("a template holds no attachments and no conversation; leave -a, --at, -c and --cid away")
    if args.base_url or args.dialect:
        raise UsageError("a template names its model alone; where that is stands in an alias: outlast aliases set")
    _shape(args, template)
    made = replace(
        template,
        prompt=" ".join(args.prompt) or template.prompt,
        system=args.system or template.system,
        model=args.lm or template.model,
        schema=args.schema or template.schema,
        schema_multi=args.schema_multi or template.schema_multi,
        extract=args.extract or template.extract,
        options=settings_of(args, template),
        params={**template.params, **pairs(args.p, "-p")},
    )
    read_template(to_toml(made.to_json()), f"--save {args.save}")  # raises for what would not be read back
    say(f"outlast: saved as {save_template(args.save, made)}")
    return OK


def first_block(text: str) -> str | None:
    """The content of the first fenced code block of a text, None when there is none; one that is not closed, as an
    answer that was cut off has it, goes on to the end."""
    match = _BLOCK.search(text)
    return None if match is None else match["code"]


_BLOCK = re.compile(
    r"^[ ]{0,3}(?P<fence>`{3,}|~{3,})[^\n`]*\n(?P<code>.*?)\n?(?:^[ ]{0,3}(?P=fence)[`~]*[ \t]*$|\Z)",
    re.DOTALL | re.MULTILINE,
)
