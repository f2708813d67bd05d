"""What was spent, by model, out of the files that runs leave; or what one call of a model costs."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from outlast.cli import options
from outlast.cli.app import OK
from outlast.cli.output import console, emit_pretty, say
from outlast.cli.wording import clean, counted, listing, pick, table
from outlast.errors import DataError, OutlastError, UsageError

EPILOG = """\
examples:
  outlast cost rows.jsonl triage.study.db            what these runs spent, by model
  outlast cost runs/                                 every row file, ledger and compiled file below a folder
  outlast cost openai/gpt-5-mini --in 1200 --out 300        what one such call costs, and who says so
  outlast cost anthropic/claude-sonnet-4-5 --in 90000 --cached 80000 --out 500 --tier batch

A compiled file tells what its search cost, which is in the ledger of the search too: where there are ledgers, compiled
files are listed and not added up. Prices come from the extra: pip install 'outlast[prices]'."""

_ENDINGS = (".study.db", ".jsonl", ".outlast.json")
_Json = dict[str, Any]


@dataclass(slots=True)
class Spent:
    """A sum over calls of one model; `None` where a file does not keep it."""

    calls: int = 0
    cached: int = 0
    failed: int = 0
    input_tokens: int = 0
    cached_tokens: int | None = 0
    output_tokens: int = 0
    reasoning_tokens: int | None = 0
    dollars: float = 0.0
    unpriced: int = 0
    uncertain_dollars: float = 0.0

    def add(self, other: Spent) -> None:
        """Count what another sum counted."""
        for f in fields(self):
            one, more = getattr(self, f.name), getattr(other, f.name)
            setattr(self, f.name, None if one is None or more is None else one + more)

    def to_json(self) -> _Json:
        """By name; `dollars` is null when no call has a known price."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**data, "dollars": None if self.unpriced and not self.dollars else self.dollars}


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("what", nargs="+", metavar="PATH|MODEL", help="files, folders, or one model")
    price = parser.add_argument_group("price of a call")
    price.add_argument("--in", dest="incoming", type=options.count, metavar="N", help="tokens in, cached ones included")
    price.add_argument("--out", dest="outgoing", type=options.count, metavar="N", help="tokens out, reasoning included")
    price.add_argument("--cached", type=options.count, default=0, metavar="N", help="of --in, read from a prompt cache")
    price.add_argument("--tier", metavar="NAME", help="service tier, such as flex, priority or batch")
    options.add_common(parser, progress=False)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives its exit code."""
    if len(args.what) == 1 and not Path(args.what[0]).exists() and _names_a_model(args.what[0]):
        return _price(args)
    if args.incoming is not None or args.outgoing is not None or args.tier is not None:
        raise UsageError("--in, --out and --tier are about one model, such as openai/gpt-5-mini; give its name alone")
    files = {str(path): _read(path) for path in _files(args.what)}
    if not files:
        raise DataError(f"no row file, ledger or compiled file in {', '.join(map(repr, args.what))}")
    counted_in = [name for name in files if not name.endswith(".outlast.json")] or list(files)
    totals: dict[str, Spent] = {}
    for name in counted_in:
        for model, spent in files[name].items():
            totals.setdefault(model, Spent()).add(spent)
    if args.json:
        emit_pretty({"models": _as_json(totals), "files": {name: _as_json(found) for name, found in files.items()}})
    else:
        _print(totals, files, counted_in)
    return OK


def _names_a_model(word: str) -> bool:
    from outlast.lms.wire.providers import PROVIDERS

    prefix, slash, name = word.partition("/")
    return bool(slash and name) and prefix in PROVIDERS


def _files(words: Iterable[str]) -> Iterator[Path]:
    """The files that are named, and those below the folders that are."""
    for word in words:
        path = Path(word)
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.name.endswith(_ENDINGS) and _fits(file))
        elif path.is_file():
            yield path
        else:
            raise DataError(
                f"no file {word!r}, and no model either: a model is named with its provider, openai/gpt-5-mini"
            )


def _fits(path: Path) -> bool:
    """Whether a file below a folder is one of ours: other JSON lines lie about, such as data."""
    try:
        _read(path)
    except OutlastError:
        return False
    return True


def _read(path: Path) -> dict[str, Spent]:
    """What a file says was spent, by model."""
    from outlast.optimize.summary import is_database, replies_by_model

    if is_database(path):
        return {model: _of_replies(replies) for model, replies in replies_by_model(path).items()}
    if path.name.endswith(".json"):
        return _of_record(path)
    from outlast.evals.rowfile import read_evaluation

    found: dict[str, Spent] = {}
    saved = read_evaluation(path)
    for row in saved.rows:
        for spending, named in ((row.spending, row.models), (row.metric_spending, ("metric",))):
            if spending.calls or spending.cached:
                name = " + ".join(named) or saved.about.lm or "unknown"
                found.setdefault(name, Spent()).add(_of_spending(spending.to_json()))
    return found


def _of_replies(replies: Iterable[Any]) -> Spent:
    total = Spent()
    for reply in replies:
        usage = reply.usage
        total.add(
            Spent(
                calls=1,
                input_tokens=usage.input_tokens or 0,
                cached_tokens=usage.cached_tokens or 0,
                output_tokens=usage.output_tokens or 0,
                reasoning_tokens=usage.reasoning_tokens or 0,
                dollars=usage.cost or 0.0,
                unpriced=int(usage.cost is None),
            )
        )
    return total


def _of_record(path: Path) -> dict[str, Spent]:
    from outlast import artifact

    record = table(artifact.read(path), "record")
    cost = table(record, "cost")
    if not cost:
        return {}
    answered = " + ".join(clean(str(model)) for model in listing(record, "models", "answered"))
    return {answered or "unknown": _of_spending(cost)}


def _of_spending(data: Mapping[str, Any]) -> Spent:
    def whole(name: str) -> int:
        return pick(data, name, kind=int) or 0

    return Spent(
        calls=whole("calls"),
        cached=whole("cached"),
        failed=whole("failed"),
        input_tokens=whole("input_tokens"),
        cached_tokens=None,
        output_tokens=whole("output_tokens"),
        reasoning_tokens=None,
        dollars=pick(data, "dollars", kind=float) or 0.0,
        unpriced=whole("unpriced"),
        uncertain_dollars=pick(data, "uncertain_dollars", kind=float) or 0.0,
    )


def _as_json(found: Mapping[str, Spent]) -> _Json:
    return {model: spent.to_json() for model, spent in sorted(found.items())}


def _print(totals: Mapping[str, Spent], files: Mapping[str, Mapping[str, Spent]], counted_in: list[str]) -> None:
    from rich.table import Table

    shown = Table(box=None, pad_edge=False)
    shown.add_column("model", overflow="fold")
    for name in ("calls", "cached", "failed", "tokens in", "re-read", "out", "hidden", "dollars"):
        shown.add_column(name, justify="right", no_wrap=True)
    whole = Spent()
    for model, spent in sorted(totals.items()):
        whole.add(spent)
        shown.add_row(clean(model), *_cells(spent))
    if len(totals) > 1:
        shown.add_row("all", *_cells(whole))
    out = console()
    out.print(shown)
    out.print("tokens in: all input; re-read: of it from a prompt cache; hidden: of the output, reasoning")
    if whole.unpriced:
        out.print(f"{counted(whole.unpriced, 'call')} of unknown price are not in the dollars.")
    if whole.uncertain_dollars:
        out.print(f"Calls that broke off may have been billed too, with at most ${whole.uncertain_dollars:,.4f}.")
    left_out = [name for name in files if name not in counted_in]
    if left_out:
        say(f"outlast: {counted(len(left_out), 'compiled file')} not added up: its search is in a ledger")


def _cells(spent: Spent) -> list[str]:
    unknown = spent.unpriced and not spent.dollars
    more = " + ?" if spent.unpriced and not unknown else ""
    counts = (spent.calls, spent.cached, spent.failed, spent.input_tokens, spent.cached_tokens)
    outputs = (spent.output_tokens, spent.reasoning_tokens)
    shown = ["-" if value is None else f"{value:,}" for value in (*counts, *outputs)]
    return [*shown, "unknown" if unknown else f"${spent.dollars:,.4f}{more}"]


def _price(args: argparse.Namespace) -> int:
    from outlast.lms.prices import find_price
    from outlast.lms.prices import table as price_table
    from outlast.messages import Usage

    model = args.what[0]
    provider, _, name = model.partition("/")
    found = find_price(name, provider, tier=args.tier)
    if found is None:
        why = "the table of prices is not installed: pip install 'outlast[prices]'"
        listed = price_table()
        if listed is not None:
            tier = f" in the tier {args.tier!r}" if args.tier else ""
            why = f"{listed} lists no price of it{tier}; say what it costs with ol.LM(..., price=(input, output))"
        raise DataError(f"nobody knows what {model!r} costs: {why}")
    usage = Usage(args.incoming or 0, args.outgoing or 0, args.cached)
    if args.cached > (args.incoming or 0):
        raise UsageError(f"--cached counts tokens of --in; got {args.cached} of {args.incoming or 0}")
    asked = args.incoming is not None or args.outgoing is not None
    cost = found.price.cost(usage) if asked else None
    rate = found.price.of(usage.input_tokens or 0)
    if args.json:
        rates = {f.name: getattr(rate, f.name) for f in fields(rate) if f.name not in ("longer", "tiers")}
        emit_pretty({"model": model, "tier": args.tier, "price": rates, "cost": cost, "source": found.source})
        return OK
    lines: list[str] = []
    cached = "" if rate.cached_input is None else f", ${rate.cached_input:g} cached"
    written = "" if rate.cache_write is None else f", ${rate.cache_write:g} written to the cache"
    lines.append(f"{clean(model)}: ${rate.input:g} in{cached}{written}, ${rate.output:g} out, per million tokens")
    if rate.call:
        lines.append(f"and ${rate.call:g} for each call")
    for above, price in found.price.longer:
        if rate != price:
            lines.append(f"with more than {above:,} tokens in: ${price.input:g} in, ${price.output:g} out")
    if cost is not None:
        lines.append(f"this call: ${cost:.6f}")
    console().print("\n".join([*lines, f"source: {found.source}"]), soft_wrap=True)
    return OK
