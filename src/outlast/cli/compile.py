"""Search for a better prompt within a budget, prove the gain on held-out data, and save it to a file for review."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlast.cli import options
from outlast.cli.app import INTERRUPTED, NO, OK
from outlast.cli.output import console, emit_pretty, say
from outlast.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    from outlast.modules.module import Module
    from outlast.optimize.compile import Compiled
    from outlast.optimize.protocol import Optimizer
    from outlast.runtime import Budget

EPILOG = """\
examples:
  outlast compile app.py:triage data.jsonl --metric app.py:correct --lm openai/gpt-5-mini --dollars 2 \\
      --out triage.outlast.json --html report.html
  outlast compile app.py:triage data.jsonl --metric app.py:correct --lm ollama/qwen3 --from triage.outlast.json

DATA is split by content into train (demonstrations), select (ranking) and confirm (proof). Interrupted or killed, run
the same command again: it goes on where it was and pays nothing twice. Without --out nothing is written; when the
winner is not proven better, --out holds the program as it was and says so; when the budget left too little for a
search, it is not written, and the command exits with 1. An --out that is there is only replaced when it is a compiled
file of the same program; --force replaces any."""

# The class of each name, and what it calls the options that the command line has for it.
_OPTIMIZERS: dict[str, tuple[str, dict[str, str]]] = {
    "auto": ("Auto", {}),
    "random": ("RandomSearch", {"candidates": "candidates", "max_demos": "max_demos"}),
    "bootstrap": ("BootstrapFewShot", {"max_demos": "max_demos"}),
    "labeled": ("LabeledFewShot", {"max_demos": "k"}),
    "knn": ("KNNFewShot", {"max_demos": "k"}),
    "copro": ("COPRO", {}),
    "opro": ("OPRO", {}),
    "mipro": ("MIPRO", {"candidates": "candidates", "max_demos": "max_demos"}),
    "gepa": ("GEPA", {}),
    "textgrad": ("TextGrad", {}),
    "infer-rules": ("InferRules", {"candidates": "candidates", "max_demos": "max_demos"}),
    "capo": ("CAPO", {"max_demos": "max_demos"}),
    "simba": ("SIMBA", {"max_demos": "max_demos"}),
    "structure": ("StructureSearch", {}),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_task(parser, out="save the compiled program here", better="exit with 1 unless proven better")
    search = parser.add_argument_group("search")
    search.add_argument(
        "--optimizer", default="auto", metavar="NAME", help=f"how to search: {', '.join(_OPTIMIZERS)} (auto)"
    )
    search.add_argument(
        "--candidates", type=options.count, metavar="N", help=f"of {_having('candidates')}: how many to propose"
    )
    search.add_argument(
        "--max-demos", type=options.count, metavar="N", help=f"of {_having('max_demos')}: demos in a prompt"
    )
    search.add_argument("--proposer", metavar="MODEL", help="the model that writes proposals (the program's)")
    search.add_argument("--prefer", default="best", metavar="WISH", help="such as 'cheapest within 1 point' (best)")
    search.add_argument("--margin", type=float, default=0.0, metavar="X", help="a loss up to X counts as no worse")
    add_search(parser, search)


def add_task(parser: argparse.ArgumentParser, *, out: str, better: str) -> None:
    """What is compiled, by what it is judged, and what is written; `out` and `better` say what --out and
    --require-better do."""
    parser.add_argument("target", metavar="TARGET", help="module.py:name")
    parser.add_argument("data", metavar="DATA", help="examples; at least 34 (10 in the smallest part)")
    parser.add_argument(
        "--metric", required=True, metavar="FILE.py:NAME", help="function (example, prediction) -> score"
    )
    parser.add_argument("--out", "-o", metavar="X.outlast.json", help=out)
    parser.add_argument("--force", action="store_true", help="replace --out whatever it holds")
    parser.add_argument("--html", metavar="REPORT.html", help="write a self-contained report")
    parser.add_argument("--require-better", action="store_true", help=better)


def add_search(parser: argparse.ArgumentParser, search: argparse._ArgumentGroup) -> None:
    """What every search takes: locks, ledger, level, budget, a file to begin from, the model and the data."""
    search.add_argument("--lock", action="append", default=[], metavar="PATH", help="leave this as it is; repeatable")
    search.add_argument("--study", metavar="PATH", help="the ledger of the search (in the cache folder)")
    search.add_argument("--level", type=float, default=0.95, metavar="X", help="of the proof (0.95)")
    _add_budget(parser)
    options.add_artifact(parser)
    _add_asking(parser)
    options.add_data(parser)
    options.add_trace(parser)
    options.add_common(parser)


def _add_budget(parser: argparse.ArgumentParser) -> None:
    """The limits of a search."""
    budget = parser.add_argument_group("budget (the first one reached ends the search; the proof is always kept back)")
    budget.add_argument("--calls", type=options.count, metavar="N", help="calls to models")
    budget.add_argument("--tokens", type=options.count, metavar="N", help="tokens in and out")
    budget.add_argument("--dollars", type=float, metavar="X", help="US dollars")
    budget.add_argument("--seconds", type=float, metavar="X", help="wall time")
    budget.add_argument("--rollouts", type=options.count, metavar="N", help="runs of the program on an example")


def _add_asking(parser: argparse.ArgumentParser) -> None:
    """The model of a search and how it is asked."""
    options.add_model(parser, concurrency=32)
    parser.add_argument(
        "--transport",
        choices=("direct", "batch"),
        default="direct",
        help="batch: half the price, within a day for each step, by the provider's batch interface",
    )
    parser.set_defaults(concurrency=None)


def budget_of(args: argparse.Namespace) -> Budget:
    """The limits that were given."""
    from outlast.runtime import Budget

    return Budget(**{name: getattr(args, name) for name in ("calls", "tokens", "dollars", "seconds", "rollouts")})


def run(args: argparse.Namespace) -> int:
    """Run the command; gives its exit code."""
    from outlast.cli.targets import load_metric
    from outlast.optimize.compile import compile

    program = options.program_of(args)
    metric = load_metric(args.metric)
    with options.model_in_use(args):
        options.need_model(program)
    optimizer = optimizer_of(args)
    check_writable(args.out, args.html)
    if args.out and not args.force:
        check_replaceable(args.out, program)
    data = options.data_of(args, program)
    compiled = compile(
        program,
        data,
        metric,
        optimizer=optimizer,
        budget=budget_of(args),
        lock=args.lock,
        prefer=args.prefer,
        seed=args.seed,
        lm=options.model_of(args),
        proposer=None if args.proposer is None else options.named_model(args.proposer),
        adapter=options.adapter_of(args),
        study=args.study,
        margin=args.margin,
        level=args.level,
        concurrency=args.concurrency,
        transport=args.transport,
        progress=not args.no_progress,
    )
    if compiled.report.stopped == "interrupted":
        console().print(str(compiled.report), soft_wrap=True)
        say("outlast: interrupted, nothing saved. Run the same command again: it goes on and pays nothing twice.")
        return INTERRUPTED
    saved = save(compiled, args)
    if args.html:
        compiled.to_html(args.html)
    _report(compiled, args, saved)
    return code_of(compiled, args, saved)


def save(compiled: Compiled[Any], args: argparse.Namespace) -> str | None:
    """Write the result where --out says and give the path; None when it has nothing that a search could have found."""
    if not args.out:
        return None
    if not compiled.report.searched:
        say(f"outlast: the budget left too little for a search, so nothing is saved to {args.out}")
        return None
    compiled.save(args.out)
    return args.out


def code_of(compiled: Compiled[Any], args: argparse.Namespace, saved: str | None) -> int:
    """The exit code of a search that came to its end: `NO` when --require-better or --out did not get its wish."""
    return NO if (args.require_better and not compiled.improved) or (args.out and saved is None) else OK


def optimizer_of(args: argparse.Namespace) -> Optimizer:
    """The optimizer of the command line; raises `UsageError` for an option that it does not have."""
    import outlast

    name, known = _OPTIMIZERS.get(args.optimizer, ("", {}))
    given: dict[str, Any] = {}
    for option in ("candidates", "max_demos"):
        value = getattr(args, option)
        if value is None:
            continue
        if option not in known:
            flag = option.replace("_", "-")
            raise UsageError(f"--{flag} is not an option of --optimizer {args.optimizer}; {_having(option)} have it")
        given[known[option]] = value
    if not name:
        return options.added("optimizers", args.optimizer, "--optimizer", _OPTIMIZERS)
    made: Optimizer = getattr(outlast, name)(**given)
    return made


def _having(option: str) -> str:
    """The optimizers that have an option of the command line."""
    return ", ".join(name for name, (_, known) in _OPTIMIZERS.items() if option in known)


def check_writable(*paths: str | None) -> None:
    """Raise `UsageError` before anything is paid when a result could not be written to where it should go."""
    for path in paths:
        if path is None:
            continue
        target = Path(path)
        folder = target.parent
        if target.is_dir():
            raise UsageError(f"{path!r} is a folder; name a file")
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"cannot write {path!r}: {str(folder)!r} is not a folder")


def check_replaceable(path: str, program: Module) -> None:
    """Raise `UsageError` before anything is paid when `path` holds what is no compiled file of this program."""
    from outlast import artifact

    if not Path(path).exists():
        return
    try:
        differs = artifact.mismatches(artifact.read(path), program)
    except ArtifactError as error:
        raise UsageError(
            f"--out would replace {path!r}, which cannot be read as a compiled file ({error}); "
            f"name another file, or give --force to replace it"
        ) from error
    if differs:
        listed = "\n".join(f"  - {line}" for line in differs)
        raise UsageError(
            f"--out would replace {path!r}, which was compiled for another program:\n{listed}\n"
            f"Name another file, or give --force to replace it"
        )


def _report(compiled: Compiled[Any], args: argparse.Namespace, saved: str | None) -> None:
    report = compiled.report
    if args.json:
        emit_pretty(
            {
                **report.record,
                "improved": compiled.improved,
                "seconds": round(report.seconds, 3),
                "ledger": None if compiled.ledger is None else str(compiled.ledger),
                "saved": saved,
                "html": args.html,
            }
        )
        return
    console().print(str(report), soft_wrap=True)
    if not compiled.improved and saved:
        say(f"outlast: not proven better, so {saved} holds the program as it was")
    for what, path in (("compiled file", saved), ("report", args.html), ("ledger", compiled.ledger)):
        if path:
            say(f"{what}: {path}")
