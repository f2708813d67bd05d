"""An evaluation or a comparison as Markdown, for the summary of a CI run or a comment on a pull request.

What a model or a data set wrote is shown in code spans, in which nothing is markup: no link, image, mention, HTML or
table row can come out of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from outlast.evals import wording
from outlast.evals.comparing.slices import CORRECTIONS, By, fields_of

if TYPE_CHECKING:
    from outlast.evals.comparing.compare import Comparison, Comparisons
    from outlast.evals.comparing.gate import Gate
    from outlast.evals.comparing.slices import SliceChange
    from outlast.evals.evaluation import Evaluation
    from outlast.evals.row import Row

_SIGNS = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "⚠️"}
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_BREAKS = re.compile(r"\s*[\r\n\u2028\u2029]\s*")


def code(value: Any, limit: int = 160) -> str:
    """Text of unknown origin as one code span of at most `limit` characters.

    Line breaks show as ⏎ and bars, which would end a cell of a table, as ¦; characters that do not show, or turn the
    direction of writing, are left out.
    """
    text = _BREAKS.sub(" ⏎ ", str(value)).replace("\t", " ").replace("|", "¦")
    text = _UNSEEN.sub("", text).strip()
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if not text:
        return ""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def evaluation_markdown(
    evaluation: Evaluation,
    gates: Sequence[Gate] = (),
    by: By | None = None,
    *,
    limit: int = 10,
) -> str:
    """The gates, the score with its interval, the slices, the checks, the errors and the worst `limit` failures."""
    about = evaluation.about
    lines = [f"## {code(evaluation.program)} on {code(evaluation.metric)}", "", *_gates(gates)]
    lines += [f"**{_plain(evaluation.headline)}**", ""]
    facts = {
        "model": code(", ".join(evaluation.models) or about.lm),
        "spent": _plain(str(evaluation.spending)),
        "code": code(evaluation.provenance.code) if evaluation.provenance is not None else "",
        "program": code(about.program_hash[:12]),
        "metric": code(about.metric_hash[:12]),
        "data": code(about.data_hash[:12]),
    }
    lines += [" · ".join(f"{name} {value}" for name, value in facts.items() if value), ""]
    if evaluation.reads is not None:
        lines += [f"Held-out data: {_plain(str(evaluation.reads))}.", ""]
    for field in [] if by is None else fields_of(by):
        lines += _slices(evaluation, field)
    if evaluation.checks:
        lines += _checks(evaluation)
    if evaluation.errors:
        rows = [(str(group.count), code(f"{group.type}: {group.message}")) for group in evaluation.errors[:limit]]
        lines += ["### Errors", "", *_table(("times", "error"), rows), ""]
    failed = evaluation.failures() if evaluation.kept else ()
    if failures := failed[:limit]:
        rows = [
            (code(row.id[:8]), code(_inputs(row)), f"{row.score:g}", code(row.feedback or row.outputs))
            for row in failures
        ]
        lines += [f"### Worst {len(rows)} of {len(failed)} failures", ""]
        lines += [*_table(("example", "inputs", "score", "feedback or output"), rows), ""]
    return "\n".join(lines)


def comparison_markdown(comparison: Comparison, gates: Sequence[Gate] = (), *, limit: int = 10) -> str:
    """The gates, the change with its interval and how it was tested, the slices, and what flipped, worst first."""
    a, b = comparison.a, comparison.b
    lines = [f"## {code(b.program)} against {code(a.program)} on {code(b.metric)}", "", *_gates(gates)]
    lines += [f"**{_plain(comparison.headline)}**", "", f"Method: {_plain(comparison.method)}.", ""]
    if comparison.slices:
        lines += _changes(comparison)
    if flips := comparison.flips[:limit]:
        rows = [
            (code(flip.id[:8]), code(_inputs(flip.b)), f"{flip.a_score:g}", f"{flip.b_score:g}", code(flip.b.feedback))
            for flip in flips
        ]
        lines += [f"### Changed examples ({len(flips)} of {len(comparison.flips)}, worst first)", ""]
        lines += [*_table(("example", "inputs", "before", "after", "feedback"), rows), ""]
    return "\n".join(lines)


def comparisons_markdown(results: Comparisons, gates: Sequence[Gate] = ()) -> str:
    """A line for each candidate."""
    rows = [
        (
            code(name),
            wording.number(one.a_mean, one.is_share),
            wording.number(one.b_mean, one.is_share),
            f"{wording.difference(one.paired.difference, one.is_share)} "
            f"({wording.span(one.paired.interval, one.is_share)})",
            wording.p_text(one.p),
            str(one.n),
            one.verdict,
        )
        for name, one in results.items()
    ]
    methods = dict.fromkeys(one.method for one in results.values())
    head = ("candidate", "before", "after", "change (interval)", "p", "examples", "verdict")
    title = f"## {len(results)} candidates against {code(results.base.program)}"
    return "\n".join([title, "", *_gates(gates), *_table(head, rows), "", *(f"Method: {m}." for m in methods), ""])


def _gates(gates: Sequence[Gate]) -> list[str]:
    lines: list[str] = []
    for gate in gates:
        lines += [f"{_SIGNS[gate.decision]} **{gate.decision}**: {_plain(gate.rule)}. {_plain(gate.reason)}", ""]
    return lines


def _checks(evaluation: Evaluation) -> list[str]:
    rows: list[tuple[str, ...]] = []
    for name, one in evaluation.checks.items():
        shares = [wording.estimate_text(side, True) if side.n else "" for side in (one.first, one.final)]
        rows.append((code(name), *shares, str(one.n), str(one.added_calls)))
    head = ("", "pass at first", "pass as given", "examples", "calls added")
    return ["### Checks", "", *_table(head, rows), ""]


def _slices(evaluation: Evaluation, by: str | Callable[[Row], Any]) -> list[str]:
    rows: list[tuple[str, ...]] = []
    for value, part in evaluation.slices(by).items():
        states = wording.states_text(part.states)
        rows.append((code(value), wording.estimate_text(part.score, part.is_share), str(part.n), states))
    name = by if isinstance(by, str) else getattr(by, "__name__", "function")
    return [f"### By {code(name)}", "", *_table(("", "score", "examples", "states"), rows), ""]


def _changes(comparison: Comparison) -> list[str]:
    tested = sum(not one.small for one in comparison.slices)
    lines = ["### Slices", ""]
    rows = [_change(one, comparison.is_share) for one in comparison.slices]
    lines += [*_table(("slice", "before", "after", "change (interval)", "p", "examples", "verdict"), rows), ""]
    lines.append(f"p: {CORRECTIONS[comparison.correction]} over {tested} slices; intervals are not corrected.")
    if any(one.small for one in comparison.slices):
        lines.append("Too few: fewer examples than min_n, so shown without a verdict.")
    return [*lines, ""]


def _change(one: SliceChange, share: bool) -> tuple[str, ...]:
    interval = one.paired.interval
    span = f" ({wording.span(interval, share)})" if interval.known else ""
    return (
        f"{code(one.field)} {code(one.value)}",
        wording.number(one.a_mean, share),
        wording.number(one.b_mean, share),
        wording.difference(one.paired.difference, share) + span,
        "" if one.small else wording.p_text(one.p),
        str(one.n),
        one.verdict,
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(cells)} |" for cells in rows),
    ]


def _inputs(row: Row) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in row.inputs.items())


def _plain(text: str) -> str:
    """Words of outlast, in which only names come from elsewhere: what could be markup is a character reference."""
    text = _UNSEEN.sub("", _BREAKS.sub(" ", text))
    return re.sub(r"[^\w\s.,;()%+=$/-]|_|(?<=www)\.", lambda found: f"&#{ord(found[0])};", text)
