"""Options that several commands share, and how they are read."""

from __future__ import annotations

import argparse
import inspect
import io
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlast.errors import ConfigError, DataError, UsageError, did_you_mean

if TYPE_CHECKING:
    from outlast.adapters.protocol import Adapter
    from outlast.data.dataset import Dataset
    from outlast.lms.protocol import LM
    from outlast.modules.module import Module

_ADAPTERS = ("chat", "json", "xml", "tools", "decisions")
_TYPES: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "str": str}


def add_model(parser: argparse.ArgumentParser, *, concurrency: int) -> None:
    """Which model is asked, and how."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--lm", "-m", metavar="NAME", help="such as openai/gpt-5-mini, ollama/qwen3, outlast/baseline, or an alias"
    )
    group.add_argument("--base-url", metavar="URL", help="an OpenAI-compatible server to ask instead of the provider's")
    group.add_argument("--dialect", metavar="NAME", help="the wire format of that server, such as openai-responses")
    group.add_argument(
        "--adapter", metavar="NAME", help=f"how prompts are written and replies are read: {', '.join(_ADAPTERS)}"
    )
    group.add_argument(
        "--concurrency", type=count, default=concurrency, metavar="N", help=f"examples in flight ({concurrency})"
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    """Which examples are used. `DATA` itself is a positional argument of the command."""
    group = parser.add_argument_group("data")
    group.add_argument("--inputs", type=names, metavar="A,B", help="columns that the program is given (its inputs)")
    group.add_argument("--targets", type=names, metavar="C", help="columns that the metric compares with (the rest)")
    group.add_argument("--types", type=types, default={}, metavar="C=int", help="columns of a CSV that are not text")
    group.add_argument("--limit", type=count, metavar="N", help="a random sample of N examples, drawn by --seed")
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of everything that is drawn at random (0)")


def add_on_error(parser: argparse.ArgumentParser, *, default: str | None) -> None:
    """What errors count as."""
    parser.add_argument(
        "--on-error",
        choices=("exclude", "exclude_all", "fail"),
        default=default,
        help="what counts as 0: answers that never came (exclude: the other errors are left out), no error, or every "
        f"error ({default or 'as the runs say'})",
    )


def add_artifact(parser: argparse.ArgumentParser) -> None:
    """A compiled file to start from."""
    parser.add_argument("--from", dest="artifact", metavar="X.outlast.json", help="load what was tuned from this file")
    parser.add_argument(
        "--allow-changed", action="store_true", help="load it even if signatures have changed, as far as it fits"
    )


def add_trace(parser: argparse.ArgumentParser) -> None:
    """Where what happens is kept: `outlast.cli.app` sees to it for every command that has the option."""
    parser.add_argument(
        "--trace", dest="kept_in", metavar="FILE|URL", help="keep every call there, for outlast logs and outlast view"
    )


def add_common(parser: argparse.ArgumentParser, *, progress: bool = True) -> None:
    """How results are shown."""
    parser.add_argument("--json", action="store_true", help="the result as JSON on stdout")
    if progress:
        parser.add_argument("--no-progress", action="store_true", help="show nothing on stderr while running")


def model_of(args: argparse.Namespace) -> LM | None:
    """The model that --lm names, or None. Raises `UsageError` for --base-url or --dialect alone."""
    told = given_options(args)
    if args.lm is None:
        if "base_url" in told:
            raise UsageError("--base-url says where to ask; give --lm with the model's name there too")
        if told:
            raise UsageError("--dialect says how to ask; give --lm with the model's name too")
        return None
    return named_model(args.lm, **told)


def given_options(args: argparse.Namespace) -> dict[str, Any]:
    """Where --base-url and --dialect say that the model is, as options of `LM`."""
    return {name: value for name in ("base_url", "dialect") if (value := getattr(args, name, None)) is not None}


def named_model(name: str, **told: Any) -> LM:
    """The model of a name on the command line, which may be an alias; `told` wins over what the alias says."""
    from outlast.cli.aliases import resolved
    from outlast.lms.models import open_model

    model, own = resolved(name)
    chosen = {**own, **told}
    try:
        return open_model(model, **chosen)
    except ConfigError as error:
        if "/" in model or "base_url" in chosen:
            raise
        raise ConfigError(f"{error}. Or it is an alias (outlast aliases list): there is none of that name") from None


def adapter_of(args: argparse.Namespace) -> Adapter | None:
    """The adapter that --adapter names, ours or that of a plugin, or None. Raises `UsageError`."""
    if args.adapter is None:
        return None
    if args.adapter not in _ADAPTERS:
        return added("adapters", args.adapter, "--adapter", _ADAPTERS)
    from outlast.adapters.chat import Chat
    from outlast.adapters.decisions import Decisions
    from outlast.adapters.json import JSON
    from outlast.adapters.native import Tools
    from outlast.adapters.xml import XML

    kinds: dict[str, type[Adapter]] = {"chat": Chat, "json": JSON, "xml": XML, "tools": Tools, "decisions": Decisions}
    return kinds[args.adapter]()


def added(kind: str, name: str, option: str, known: Iterable[str]) -> Any:
    """What the plugin of a kind and name gives: itself, or what it makes without arguments. Raises `UsageError` when
    there is none, and `ConfigError` when it is broken."""
    from outlast import plugins

    found = plugins.load(kind, name)
    if found is None:
        names = [*known, *plugins.names(kind)]
        raise UsageError(f"{option}: there is no {name!r}.{did_you_mean(name, names)} There is: {', '.join(names)}.")
    if not isinstance(found, type) and not inspect.isfunction(found):
        return found
    try:
        return found()
    except Exception as error:
        raise ConfigError(
            f"the plugin {name!r} (outlast.{kind}) cannot be made: {type(error).__name__}: {error}"
        ) from error


@contextmanager
def model_in_use(args: argparse.Namespace) -> Generator[None]:
    """A block in which programs ask the model of the command line."""
    from outlast.modules.settings import context

    with context(lm=model_of(args), adapter=adapter_of(args)):
        yield


@contextmanager
def kept(place: str) -> Generator[None]:
    """A block whose calls are kept in a store."""
    import outlast as ol

    ol.configure(trace=place)  # not `ol.trace`, which would hold all of it in memory too
    try:
        yield
    finally:
        ol.configure(trace=False)


def need_model(program: Module) -> None:
    """Raise `ConfigError` before anything is read or asked when some part of the program has no model."""
    from outlast.modules.paths import predictors_of
    from outlast.modules.settings import chosen_lm
    from outlast.runtime import current

    for part in predictors_of(program).values():
        chosen_lm(part.lm, current())


def program_of(args: argparse.Namespace) -> Module:
    """The program of the command line, with what the compiled file says when one is named."""
    from outlast.cli.targets import load_program

    program = load_program(args.target)
    if args.artifact is None:
        return program
    from outlast import artifact

    return artifact.load(args.artifact, program, allow_changed=args.allow_changed)


def data_of(args: argparse.Namespace, program: Module) -> Dataset:
    """The examples of the command line.

    Without --inputs and --targets the columns named like the program's inputs are its inputs, unless the rows have
    the form that `Dataset.to_jsonl` writes.
    """
    inputs, targets = args.inputs, args.targets
    source = _Stdin(sys.stdin.buffer.read()) if args.data == "-" else args.data
    if inputs is None and targets is None and not _has_own_form(source):
        from outlast.cli.targets import input_names

        inputs = input_names(program)
        if inputs is None:
            raise UsageError(f"which columns of {args.data!r} are inputs? Say --inputs a,b or --targets c")
    data = _read(source, inputs, targets, args.types)
    if args.data != "-":
        data = data.named(Path(args.data).stem or args.data)
    if args.limit is not None and args.limit < len(data):
        return data.sample(args.limit, args.seed)
    return data


class _Stdin(io.BytesIO):
    """Standard input, whole, so that it can be looked at before it is read."""

    name = "standard input"


def _has_own_form(source: str | _Stdin) -> bool:
    """Whether the first row says itself what its inputs are."""
    from outlast.data.readers import read_jsonl

    if isinstance(source, str) and not source.endswith((".jsonl", ".ndjson")):
        return False
    try:
        next(read_jsonl(source), None)
    except DataError:
        return False
    finally:
        if not isinstance(source, str):
            source.seek(0)
    return True


def _read(source: str | _Stdin, inputs: Any, targets: Any, types: dict[str, Any]) -> Dataset:
    from outlast.data.dataset import Dataset
    from outlast.data.readers import load_examples

    if isinstance(source, str) and source.lower().endswith((".csv", ".tsv")):
        delimiter = "," if source.lower().endswith(".csv") else "\t"
        return Dataset.from_csv(source, inputs=inputs, targets=targets, types=types, delimiter=delimiter)
    if types:
        raise UsageError("--types is for CSV, where every cell is text; other formats say the types themselves")
    return load_examples(source, inputs=inputs, targets=targets)


# Values of options


def count(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1; got {text!r}")
    return value


def names(text: str) -> list[str]:
    """A list of names with commas between them."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise argparse.ArgumentTypeError("names with commas between them, such as a,b")
    return found


def types(text: str) -> dict[str, Callable[[str], Any]]:
    """`a=int,b=float` as a mapping."""
    found: dict[str, Callable[[str], Any]] = {}
    for item in names(text):
        name, _, kind = item.partition("=")
        if kind not in _TYPES:
            raise argparse.ArgumentTypeError(f"column=type with a type of {', '.join(_TYPES)}; got {item!r}")
        found[name] = _TYPES[kind]
    return found
