"""What came of a replay, in words: what differs, what is missing."""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from outlast.cli.output import SHORT_ID, console, say
from outlast.cli.wording import counted

if TYPE_CHECKING:
    from outlast.errors import LMReplayError
    from outlast.tracing.aligned import Pair
    from outlast.tracing.replay import Replay, ReplayedTrace

_LINES = 12  # of a difference that is shown


def missing(error: LMReplayError, others: tuple[str, ...], *, verbose: bool) -> Iterator[str]:
    """What was asked and is not in the recording, as lines: how the first differs from the nearest, and the others."""
    text = str(error)
    if verbose and error.difference:
        text = f"{text.partition(chr(10))[0]}\n{error.difference}"
    yield f"outlast: {text}"
    if others:
        yield f"outlast: {counted(len(others), 'other request')} {'is' if len(others) == 1 else 'are'} not there either"
        for other in others if verbose else ():
            yield f"outlast: {other}"
    if not verbose and (others or " more line" in text):
        yield "outlast: --verbose shows all of it"


def show(found: Replay, args: argparse.Namespace) -> None:
    """Print what came of each trace, and say how many were the same."""
    from outlast.cli.talk.terminal import shown

    out = console()
    for trace in found.traces:
        if found.mode == "live":
            out.print(shown(_text(trace.outputs)), soft_wrap=True)
            continue
        head = f"{trace.trace_id[:SHORT_ID]} {trace.name}: {'the same' if trace.same else 'something else came out'}"
        out.print(shown(head + (f" ({trace.note})" if trace.note else "")), soft_wrap=True)
        for line in _lines(trace, args.all, None if args.verbose else _LINES):
            out.print(shown(line), soft_wrap=True)
    told = str(found)
    if found.left_out:
        told += f"; {found.left_out} of other programs left out"
    if found.run_id:
        told += f"; kept as run {found.run_id[:SHORT_ID]}"
    say(f"outlast: {told}")


def hint(record: Any) -> None:
    """How the command of an evaluation or a compilation runs as a whole, as its run says what it was."""
    import shlex

    words = record.provenance.get("argv") or ()
    if getattr(record, "kind", "") in ("eval", "compile") and len(words) > 1:
        said = shlex.join(str(word) for word in words[1:])
        say(f"outlast: the whole command, offline: outlast replay {record.id[:SHORT_ID]} -- {said}")


def _lines(trace: ReplayedTrace, every: bool, most: int | None) -> list[str]:
    lines: list[str] = []
    told: list[list[str]] = []
    for pair in trace.pairs:
        if not (every or pair.changed):
            continue
        sign = {"added": "+", "missing": "-"}.get(pair.changed[0], "~") if pair.changed else "="
        where = f"{pair.kind} {pair.path}".rstrip() + (f" (attempt {pair.attempt + 1})" if pair.attempt else "")
        lines.append(f"  {sign} {where}: {', '.join(pair.changed) or 'the same'}{_figures(pair)}")
        found = _difference(pair, most)
        if found in told:  # a program of one step: what came out of both is the same
            lines[-1] += " (as above)"
        elif found:
            told.append(found)
            lines += [f"      {line}" for line in found]
    return lines


def _figures(pair: Pair) -> str:
    """Tokens, cost and time, then and now."""
    told: list[str] = []
    if pair.kind == "lm":
        for name, form in (("input_tokens", "{} in"), ("output_tokens", "{} out"), ("cost", "${:.6f}")):
            told += _then_now(pair, name, form)
    told += _then_now(pair, "seconds", "{:.2f} s")
    return f"  [{', '.join(told)}]" if told else ""


def _then_now(pair: Pair, name: str, form: str) -> list[str]:
    sides = [None if side is None else getattr(side, name) for side in (pair.stored, pair.new)]
    shown = ["?" if value is None else form.format(value) for value in sides]
    if sides == [None, None]:
        return []
    return [shown[0] if shown[0] == shown[1] else " -> ".join(shown)]


def _difference(pair: Pair, most: int | None) -> list[str]:
    """How two spans differ, in `most` lines for each thing that does."""
    if pair.stored is None or pair.new is None:
        side = pair.new or pair.stored
        return [] if side is None else _text(side.error or side.outputs).split("\n")[:most]
    lines: list[str] = []
    for name in pair.changed:
        texts = (_text(getattr(side, name)).replace("\\n", "\n") for side in (pair.stored, pair.new))
        before, after = (text.split("\n") for text in texts)
        found = list(difflib.unified_diff(before, after, name, name, lineterm="", n=1))[2:]
        left = 0 if most is None else len(found) - most
        lines += found[:most] + ([f"... {left} more lines"] if left > 0 else [])
    return lines


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, indent=2)
