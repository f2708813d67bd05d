"""Finds the command, runs it, and turns how it ended into an exit code.

    0    done; a gate: PASS
    1    done, and the answer is no: a gate: FAIL, not better with --require-better, rows of `run` ended in errors
    2    the command line cannot mean anything; with --gate instead: INCONCLUSIVE
    3    data, an artefact or a setting cannot be used
    4    a model could not be asked
    64   with --gate: the command line cannot mean anything, so that a typo is never taken for a gate that cannot tell
    70   an exception in your own code, or a bug in outlast; the traceback says which
    130  interrupted (Ctrl-C)
    141  whoever read the output went away

Only argparse is imported here, so that `outlast --help` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from outlast.cli.output import results_apart, say
from outlast.errors import ConfigError, InputError, LMError, OutlastError, UsageError, did_you_mean

if TYPE_CHECKING:
    from outlast.plugins import Plugin

OK, NO, USAGE, DATA, MODEL, CRASH, INTERRUPTED, CLOSED = 0, 1, 2, 3, 4, 70, 130, 141
INCONCLUSIVE, GATE_USAGE = 2, 64

COMMANDS = {
    "demo": "compile a support-triage program and watch it get better; needs no key",
    "run": "run a program on inputs: JSON lines in, JSON lines out",
    "eval": "score a program on data, with intervals",
    "compile": "search for a better prompt, prove the gain, save it to a file",
    "replay": "run again what a store of traces holds: offline, or with a model and beside what it was",
    "data": "make a data set of traces that were labelled, for outlast compile",
    "compare": "saved evaluations: paired difference, p, slices and what flipped; a gate",
    "prune": "leave out of a prompt what does not help, prove that nothing is lost",
    "diff": "two compiled files: what changed in the prompts and in the score",
    "explain": "a compiled file: where every part of the prompt came from",
    "models": "providers and keys; what is known of a model, and whether it answers",
    "export": "the exact prompts with slots for the inputs: to read, as JSON or as Jinja templates",
    "cost": "what was spent, by model; or what a call of a model costs",
    "sandbox": "which sandboxes for code of a model run here; install one",
    "bench-optimizers": "optimizers on simulated worlds: true and reported score at equal budgets",
    "import": "logs of llm, Inspect and promptfoo, into the store of traces",
    "traces": "send stored traces to a collector of OpenTelemetry",
    "view": "look at traces, runs and programs in the browser",
    "queue": "choose which traces people look at next",
    "inspect": "look into a program, a compiled file or the ledger of a search",
    "prompt": "ask a model once, from a shell or a pipe; logged",
    "chat": "talk with a model; logged",
    "logs": "what was asked and answered: read it, search it, add up what it cost",
    "templates": "prompts with slots that `outlast prompt -t NAME` fills",
    "keys": "keep keys of providers: in the system's keyring, or in a file that only you can read",
    "aliases": "short names for models",
    "plugins": "what other packages add, and what of it cannot be loaded",
}

_FILES = {"import": "importing"}  # where the name of the command is no name of a module

EXIT_CODES = """\
exit codes:
  0 done   1 the answer is no (a gate failed, --require-better, rows with errors)   2 usage
  with --gate: 0 PASS   1 FAIL   2 INCONCLUSIVE   64 usage
  3 data, artefact or setting cannot be used   4 a model could not be asked
  70 exception in your own code   130 interrupted   141 the reader went away"""


class Parser(argparse.ArgumentParser):
    """argparse with our own help layout and messages that name what is near."""

    def __init__(self, *, prog: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=f"{epilog}\n\n{EXIT_CODES}" if epilog else EXIT_CODES,
            formatter_class=_Layout,
            allow_abbrev=False,
        )
        self.add_argument("--debug", action="store_true", help="show the traceback of an error")

    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ").split()[0] if "unrecognized" in message else ""
        hint = did_you_mean(unknown, self._option_string_actions) if unknown.startswith("-") else ""
        say(f"{self.prog}: {message}.{hint} See {self.prog} --help.")
        raise SystemExit(USAGE)


class _Layout(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=min(100, _columns() - 2))


def _columns() -> int:
    try:
        return max(60, os.get_terminal_size().columns)
    except OSError:
        return 100


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code. `argv` is without the program's name, `sys.argv[1:]` when None."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    usage = GATE_USAGE if "--gate" in words else USAGE
    try:
        code = dispatch(words)
        sys.stdout.flush()
        return code
    except SystemExit as stop:  # argparse: help, version, usage
        code = stop.code if isinstance(stop.code, int) else OK if stop.code is None else USAGE
        return usage if code == USAGE else code
    except BrokenPipeError:
        _silence_stdout()
        return CLOSED
    except KeyboardInterrupt:
        print("outlast: interrupted", file=sys.stderr)
        return INTERRUPTED
    except OutlastError as error:
        if debug:
            _print_traceback()
        say(f"outlast: {_message(error)}")
        code = exit_code(error)
        return usage if code == USAGE else code
    except Exception:
        _print_traceback()
        return CRASH


def exit_code(error: BaseException) -> int:
    """The exit code that an error of ours stands for: that of its cause where a model is behind it."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, LMError):
            return MODEL
        inner = inner.__cause__
    if isinstance(error, UsageError) and not isinstance(error, InputError):
        return USAGE
    return DATA


def dispatch(words: list[str]) -> int:
    """Run the command of these words, which are used up; gives its exit code. What it raises is the caller's."""
    rest = [word for word in words if word != "--debug"]
    command = _command(rest[0]) if rest and not rest[0].startswith("-") else None
    if command is not None:
        words.remove(rest[0])
        beyond: list[str] | None = None
        if getattr(command, "TAKES_COMMAND", False) and "--" in words:
            at = words.index("--")
            words, beyond = words[:at], words[at + 1 :]
        parser = Parser(prog=f"outlast {rest[0]}", description=command.__doc__ or "", epilog=command.EPILOG)
        command.configure(parser)
        args = parser.parse_intermixed_args(words)
        args.beyond = beyond  # the words after --, for a command that runs another one
        with results_apart():
            place = getattr(args, "kept_in", None)
            if not isinstance(place, str):
                return command.run(args)
            from outlast.cli.options import kept

            with kept(place):
                return command.run(args)
    return _top(words, rest[0] if rest and not rest[0].startswith("-") else "")


def _command(name: str) -> Any:
    """The module of a command: ours, else that of a plugin; None when there is none of this name."""
    if name in COMMANDS:
        return import_module(f"outlast.cli.{_FILES.get(name, name.replace('-', '_'))}")
    from outlast.plugins import load

    found = load("commands", name)
    missing = [part for part in ("configure", "run", "EPILOG") if found is not None and not hasattr(found, part)]
    if missing:
        raise ConfigError(f"the command {name!r} of a plugin lacks {', '.join(missing)}: it is a module that has them")
    return found


def _top(words: list[str], name: str) -> int:
    added = {one.name: f"of the plugin {one.package}" for one in _added() if one.name not in COMMANDS}
    listed = "\n".join(f"  {command:<16} {line}" for command, line in {**COMMANDS, **added}.items())
    parser = Parser(
        prog="outlast",
        description=f"Program language models: run, evaluate, compile, review.\n\ncommands:\n{listed}",
        epilog="outlast COMMAND --help says more. Try: outlast demo",
    )
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--version", action="store_true", help="print the version")
    parser.usage = "outlast COMMAND [options]"
    if name:
        every = [*COMMANDS, *added]
        parser.error(f"no command {name!r}.{did_you_mean(name, every)} Commands: {', '.join(every)}")
    if parser.parse_args(words).version:
        from outlast import __version__

        print(f"outlast {__version__}")
        return OK
    parser.print_help(sys.stderr)
    return USAGE


def _added() -> Sequence[Plugin]:
    from outlast.plugins import plugins

    return plugins("commands")


_PYTHON_WORDS = {"resume=True": "--resume", "(study=...)": "(--study)", "allow_changed=True": "--allow-changed"}


def _message(error: OutlastError) -> str:
    """What the error says, with the options of the command line in place of Python's."""
    text = str(error) or type(error).__name__
    if isinstance(error, ConfigError) and "no LM is configured" in text:
        return "no model: give --lm openai/gpt-5-mini, or --lm outlast/baseline to try things without a key"
    for python, here in _PYTHON_WORDS.items():
        text = text.replace(python, here)
    return text


def _print_traceback() -> None:
    import traceback

    traceback.print_exc()


def _silence_stdout() -> None:
    """Point stdout nowhere, so that the interpreter does not stumble over the closed pipe when it exits."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):
        return  # a replaced stdout has no descriptor, and nothing to flush at exit
