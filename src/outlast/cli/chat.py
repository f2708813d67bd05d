"""Talk with a model. Every turn is logged, all turns as one session: see `outlast logs`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from outlast.cli.app import OK
from outlast.cli.output import say, stdout
from outlast.cli.talk.asking import add_asking, how_asked, model_to_ask, pairs, settings_of, template_of, with_system
from outlast.errors import ConfigError, DataError, LMError, UsageError, did_you_mean

if TYPE_CHECKING:
    from outlast.lms.protocol import LM
    from outlast.messages import Message, TextPart
    from outlast.types.media import Media

EPILOG = """\
examples:
  outlast chat -m openai/gpt-5-mini
  outlast chat -s "You are a patient teacher of Latin"
  outlast chat -c                    goes on with the last conversation, also one of outlast prompt

in the chat:
  !multi         several lines, until a line with !end
  !edit          write the message in $VISUAL or $EDITOR
  !file PATH     show a file or an address with the next message: text, image, sound, PDF
  !new           forget what was said, begin a new session
  !usage         what it has cost so far
  !help          this list
  !quit          leave, as does Ctrl-D; Ctrl-C ends a reply, not the chat"""

_HELP = EPILOG.partition("in the chat:\n")[2]
_COMMANDS = ("!multi", "!edit", "!file", "!new", "!usage", "!help", "!quit", "!exit")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_asking(parser)
    parser.add_argument("--no-stream", action="store_true", help="print replies when they are whole")
    parser.add_argument("--usage", "-u", action="store_true", help="tokens, cost and time after each reply")


def run(args: argparse.Namespace) -> int:
    """Talk until the person leaves; gives the exit code."""
    from outlast.cli.talk.log import Earlier, earlier, new_session

    template = template_of(args)
    if template.schema or template.schema_multi or template.extract:
        raise UsageError("a template with a schema or extract asks once; use outlast prompt -t")
    if args.go_on and args.cid is not None:
        raise UsageError("--continue is for the last conversation; --cid names another one")
    before = earlier(args.cid, args.store) if args.go_on or args.cid is not None else Earlier(new_session())
    settings = settings_of(args, template)
    params = pairs(args.p, "-p")
    system = template.filled("", params)[1]
    named = how_asked(args, template, before)
    lm = model_to_ask(named, cache=args.cache)
    chat = Chat(lm, named, args.system or system or before.system, settings, before.session, args)
    chat.messages = list(before.messages)
    chat.filled = lambda typed: template.filled(typed, params)[0]
    if sys.stdin is not None and sys.stdin.isatty():
        say(f"Talking with {lm.name}. !help lists what else there is; Ctrl-D leaves.")
        for message in chat.messages[-2:]:
            say(f"{'you' if message.role == 'user' else 'it'}: {_start(message.shown)}")
    chat.listen(Lines())
    return OK


class Lines:
    """What the person types, line by line, with the keys of the terminal; None at the end."""

    def __init__(self) -> None:
        self.typed = sys.stdin is not None and sys.stdin.isatty()
        if self.typed:
            with suppress(ImportError):
                import_module("readline")  # arrows and history work from here on

    def __call__(self, prompt: str) -> str | None:
        """One line without its end. Raises `KeyboardInterrupt`."""
        if not self.typed:
            line = sys.stdin.readline() if sys.stdin is not None else ""
            return line.rstrip("\n") if line else None
        # `input` edits lines only where both ends are the terminal, and stdout is turned away for results.
        with redirect_stdout(stdout()):
            try:
                return input(prompt)
            except EOFError:
                print()
                return None


class Chat:
    """A conversation: what was said, and what is to be shown with the next message."""

    def __init__(
        self,
        lm: LM,
        named: Mapping[str, str],
        system: str,
        settings: Mapping[str, Any],
        session: str,
        args: argparse.Namespace,
    ) -> None:
        self.lm = lm
        self.named = named
        self.system = system
        self.settings = settings
        self.session = session
        self.args = args
        self.messages: list[Message] = []
        self.attached: list[Media | TextPart] = []
        self.spent: list[Mapping[str, Any]] = []
        self.filled: Callable[[str], str] = str  # what a template makes of a message

    def listen(self, read: Callable[[str], str | None]) -> None:
        """Take lines until the last one or !quit."""
        while True:
            try:
                line = read("> ")
                if line is None:
                    return
                if line.strip() in ("!quit", "!exit"):
                    return
                text = self._command(line.strip(), read) if line.lstrip().startswith("!") else line
                if text is not None and text.strip():
                    self.say(text)
            except KeyboardInterrupt:
                say("")  # the line that was begun is given up, and no more
            except (ConfigError, DataError, UsageError) as error:
                say(f"outlast: {error}")

    def _command(self, line: str, read: Callable[[str], str | None]) -> str | None:
        """Do what a line with `!` asks for; gives the message that it makes, if any."""
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        if word == "!multi":
            return _several(read)
        if word == "!edit":
            return _edited(rest)
        if word == "!file":
            self._attach(rest)
        elif word == "!new":
            from outlast.cli.talk.log import new_session

            self.messages, self.attached, self.session = [], [], new_session()
            say("a new session")
        elif word == "!usage":
            say(self._usage())
        elif word == "!help":
            say(_HELP)
        elif not word[1:].isalpha():  # "!= is not equal" is something to say
            return line
        else:
            say(f"no command {word!r}.{did_you_mean(word, _COMMANDS)} !help lists them")
        return None

    def _attach(self, place: str) -> None:
        from outlast.cli.talk.attach import attachment

        if not place or place == "-":
            raise UsageError("it is: !file PATH, or an address")
        self.attached.append(attachment(str(Path(place).expanduser()) if "://" not in place else place))
        say(f"{place} goes with your next message")

    def say(self, text: str) -> None:
        """Send a message and print the reply. Ctrl-C ends the reply; what came of it stays in the conversation."""
        from outlast.cli.talk.attach import turn
        from outlast.cli.talk.log import logged
        from outlast.cli.talk.terminal import at_terminal, print_stream, shown
        from outlast.messages import Message

        asked = [*self.messages, turn(self.filled(text), self.attached)]
        messages = with_system(self.system, asked)
        events = self.lm.events(messages, **self.settings) if at_terminal() and not self.args.no_stream else None
        try:
            with logged(self.session, "chat", self.named, store=self.args.store, off=self.args.no_log) as kept:
                response = self.lm(messages, **self.settings) if events is None else print_stream(events)
        except KeyboardInterrupt:
            said = "" if events is None else events.text
            say("(ended)")
            if said.strip():
                self.messages = [*asked, Message("assistant", said)]
                self.attached = []
            return
        except LMError as error:
            say(f"outlast: {error}")
            return
        if events is None:
            print(shown(response.text), file=stdout(), flush=True)
        self.messages = [*asked, response.message]
        self.attached = []
        self.spent.append(kept.to_json())
        if self.args.usage:
            say(kept.usage_line())

    def _usage(self) -> str:
        calls, known = sum(one["calls"] for one in self.spent), [one["cost"] for one in self.spent]
        tokens = sum(one["input_tokens"] + one["output_tokens"] for one in self.spent)
        priced = [cost for cost in known if cost is not None]
        unknown = ["cost unknown" if not priced else f"cost of {len(known) - len(priced)} turns unknown"]
        cost = [f"${sum(priced):.6f}"] if priced or not known else []
        return ", ".join([f"{calls} calls", f"{tokens:,} tokens", *cost, *(unknown if None in known else [])])


def _several(read: Callable[[str], str | None]) -> str | None:
    """Lines until one that says !end."""
    lines: list[str] = []
    while (line := read(". ")) is not None and line.strip() != "!end":
        lines.append(line)
    return "\n".join(lines)


def _edited(text: str) -> str | None:
    """A message written in an editor."""
    from outlast.cli.templates import edit_file

    with TemporaryDirectory(prefix="outlast-") as folder:
        path = Path(folder) / "message.md"
        path.write_text(text, encoding="utf-8")
        edit_file(path)
        written = path.read_text(encoding="utf-8").strip()
    if not written:
        say("nothing was written; nothing is sent")
    return written


def _start(text: str, limit: int = 200) -> str:
    from outlast.cli.talk.terminal import printable

    line = printable(" ".join(text.split()))
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
