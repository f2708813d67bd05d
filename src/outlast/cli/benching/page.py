"""The curves and the figures as one HTML page that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from outlast.cli.benching.curves import panels, world_panel
from outlast.cli.benching.records import Record
from outlast.cli.benching.summary import Line, comparable, counted, summarize

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2129; --muted: #5f6774; --paper: #fff; --line: #dfe2e7; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --muted: #9aa3b2; --paper: #14161a; --line: #333842; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 72rem;
  margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.3rem; margin: 0 0 .2rem; } h2 { font-size: 1.05rem; margin: 2.2rem 0 .5rem; }
p { max-width: 46rem; color: var(--muted); }
svg { width: 100%; height: auto; }
.worlds { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: .5rem 1rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .2rem .8rem .2rem 0; border-top: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 500; color: var(--muted); } th:first-child, td:first-child { text-align: left; }
"""


def page(records: Sequence[Record], level: float = 0.95) -> str:
    """The page. Means are over worlds, intervals over seeds; only runs that all methods have are counted."""
    kept, left = comparable(records)
    lines = summarize(kept, level)
    order = list(dict.fromkeys(line.method for line in lines))
    worlds = list(dict.fromkeys(one.world for one in kept))
    seeds = len({one.seed for one in kept})
    missing = f" {left} runs that another method lacks are left out." if left else ""
    size = f"{counted(len(worlds), 'world')} of the gym, {counted(seeds, 'seed')}, {len(kept)} runs"
    about = (
        f"{size}. Scores are means over worlds, in per cent; intervals ({level:.0%}) are over seeds. The true score is "
        f"the exact expected test score of the program that a method returned, the reported one what the method says "
        f"of it.{missing}"
    )
    small = [
        world_panel(summarize([one for one in kept if one.world == world], level), world, order) for world in worlds
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>bench-optimizers</title>'
        f"<style>{_STYLE}</style></head><body><h1>Optimizers on the gym</h1><p>{escape(about)}</p>"
        f"{panels(lines, 'True and reported score by rollouts and dollars')}"
        f'<h2>Figures</h2><div class="scroll">{_figures(lines)}</div>'
        f'<h2>True score in each world</h2><div class="worlds">{"".join(small)}</div></body></html>'
    )


def _figures(lines: Sequence[Line]) -> str:
    heads = ("method", "rollouts", "true", "interval", "reported", "reported - true", "worse", "proposals", "dollars")
    rows: list[str] = []
    for line in lines:
        span = line.true.interval
        cells = (
            line.method,
            f"{line.budget:,}",
            _number(line.true.value),
            f"{100 * span.low:.1f}..{100 * span.high:.1f}" if span.known else "",
            _number(line.reported.value),
            _number(line.optimism.value, signed=True),
            f"{line.worse} of {line.runs}",
            f"{line.proposer_calls:.0f}",
            f"{line.dollars:.3f}",
        )
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _number(value: float, *, signed: bool = False) -> str:
    return "" if math.isnan(value) else f"{100 * value:{'+' if signed else ''}.1f}"
