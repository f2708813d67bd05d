"""A comparison as one HTML page that needs nothing else: verdict, slices, and what changed side by side."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, NamedTuple

from outlast.evals import wording
from outlast.evals.comparing.slices import CORRECTIONS
from outlast.evals.reports.page import facts_of, outputs_of, shown, template
from outlast.evals.reports.plots import ForestRow, Point, forest, scatter

if TYPE_CHECKING:
    from outlast.evals.comparing.comparison import Comparison, Comparisons
    from outlast.evals.comparing.pairing import Flip
    from outlast.evals.comparing.slices import SliceChange
    from outlast.evals.evaluation import Evaluation
    from outlast.evals.row import Row

_LONGEST = 20_000  # characters of a text that are compared word by word
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_TONES = {"better": "better", "worse": "worse", "too few": "few"}
_READING = (
    "An interval is made so that it holds the true change as often as its level says; a verdict needs the interval and "
    "the test to agree. “Inconclusive” is not “no difference”: these examples cannot tell."
)


class _Line(NamedTuple):
    name: str
    verdict: str
    headline: str
    n: int


class Side(NamedTuple):
    """One of the two answers to an example, with its fields as markup."""

    name: str
    state: str
    epoch: int
    fields: list[tuple[str, Any]]


def comparison_page(comparison: Comparison, limit: int) -> str:
    """The page of one comparison, with at most `limit` of the examples that changed. Everything is escaped."""
    flips, before, after = comparison.flips, _facts(comparison.a), _facts(comparison.b)
    return _page(
        title=f"{comparison.a.program} → {comparison.b.program}: {comparison.a.metric}",
        compared=[_Line("", comparison.verdict, comparison.headline, comparison.n)],
        forests=forests_of(comparison),
        square=square_of(comparison),
        sides=("before", "after"),
        facts=[(name, (before[name], after[name])) for name in before],
        notes=notes_of(comparison),
        flips=[(flip, sides_of(flip)) for flip in flips[:limit]],
        changed=len(flips),
        hidden=max(0, len(flips) - limit),
    )


def comparisons_page(comparisons: Comparisons) -> str:
    """The page of several candidates against one baseline."""
    from markupsafe import Markup

    runs = {"baseline": comparisons.base} | {name: one.b for name, one in comparisons.items()}
    first = next(iter(comparisons.values()))
    share = all(one.is_share for one in comparisons.values())
    rows = [_change_row(name, one) for name, one in comparisons.items()]
    facts = {name: _facts(one) for name, one in runs.items()}
    count = f"{len(rows)} candidate{'' if len(rows) == 1 else 's'}"
    correction = f"p corrected for {count}: {CORRECTIONS[first.correction]}"
    return _page(
        title=f"{count} against {comparisons.base.program}: {comparisons.base.metric}",
        compared=[_Line(name, one.verdict, one.headline, one.n) for name, one in comparisons.items()],
        scatter=_score_and_cost(runs, comparisons, share),
        forests=[
            Markup(_changes("Change against the baseline", rows, share)),
            *(plot for name, one in comparisons.items() if one.slices for plot in forests_of(one, f"{name}: change")),
        ],
        sides=tuple(runs),
        facts=[(name, tuple(one[name] for one in facts.values())) for name in facts["baseline"]],
        notes={"Method": first.method, "Correction": correction, "Metric": _metric(comparisons.base)},
    )


def _facts(evaluation: Evaluation) -> dict[str, str]:
    last = evaluation.provenance
    run = "" if last is None else f"{last.started}; {last.machine}; {last.code}"
    return facts_of(evaluation) | {"Run": run or "not noted"}


def _page(**values: Any) -> str:
    empty = {"scatter": None, "square": None, "flips": None, "changed": 0, "hidden": 0, "reading": _READING}
    return template("comparison.html").render(empty | values)


def forests_of(comparison: Comparison, said: str = "Change") -> list[Any]:
    """A forest plot of the change for each field that it was sliced by; of the whole alone when by none."""
    from markupsafe import Markup

    share, whole = comparison.is_share, _change_row("all", comparison)
    fields: dict[str, list[SliceChange]] = {}
    for one in comparison.slices:
        fields.setdefault(one.field, []).append(one)
    if not fields:
        return [Markup(_changes("Change of the mean score; dashed: none", [whole], share))]
    note = f"p: {CORRECTIONS[comparison.correction]} over the slices; intervals are not corrected"
    return [
        Markup(_changes(f"{said} by {field} ({note})", [whole, *(_slice_row(one, share) for one in some)], share))
        for field, some in fields.items()
    ]


def _changes(title: str, rows: Sequence[ForestRow], share: bool) -> str:
    return forest(
        title,
        rows,
        share=share,
        heads=("before", "after"),
        reference=0.0,
        signed=True,
        last="verdict",
    )


def _change_row(name: str, one: Comparison) -> ForestRow:
    means = wording.number(one.a_mean, one.is_share), wording.number(one.b_mean, one.is_share)
    note = f"{one.verdict}, {wording.p_text(one.p)}"
    paired = one.paired
    return ForestRow(name, one.n, paired.difference, paired.interval, means, note, _TONES.get(one.verdict, ""))


def _slice_row(one: SliceChange, share: bool) -> ForestRow:
    means = wording.number(one.a_mean, share), wording.number(one.b_mean, share)
    note = one.verdict if one.small else f"{one.verdict}, {wording.p_text(one.p)}"
    paired = one.paired
    return ForestRow(
        str(one.value), one.n, paired.difference, paired.interval, means, note, _TONES.get(one.verdict, "")
    )


def square_of(comparison: Comparison) -> tuple[int, int, int, int] | None:
    """Examples that passed twice, stopped passing, began to, and failed twice; None for graded scores."""
    pairs = comparison.pairs.pairs
    if not all(pair.a_score in (0.0, 1.0) and pair.b_score in (0.0, 1.0) for pair in pairs):
        return None
    counts = [0, 0, 0, 0]
    for pair in pairs:
        counts[2 * (pair.a_score == 0) + (pair.b_score == 0)] += 1
    return counts[0], counts[1], counts[2], counts[3]


def notes_of(comparison: Comparison) -> dict[str, str]:
    """How the numbers were made and what they could have shown, by name."""
    seen = comparison.mde()
    notes = {"Method": comparison.method, "Metric": _metric(comparison.a)}
    if seen < float("inf"):
        found = wording.difference(seen, comparison.is_share).lstrip("+")
        notes["Could be seen"] = f"a true change of {found}, in 4 of 5 cases, on this many examples"
    if comparison.unmatched:
        notes["Not compared"] = f"{len(comparison.unmatched)} examples that only one of the two ran"
    for name, run in (("before", comparison.a), ("after", comparison.b)):
        if run.reads is not None:
            notes[f"Held-out data, {name}"] = str(run.reads)
    return notes


def _metric(evaluation: Evaluation) -> str:
    return f"{evaluation.metric} ({evaluation.about.metric_hash[:12]})"


def _score_and_cost(runs: Mapping[str, Evaluation], comparisons: Comparisons, share: bool) -> Any:
    """Score against what an example costs: dollars, or tokens where nothing is paid, or seconds."""
    from markupsafe import Markup

    def per_example(total: float, one: Evaluation) -> float:
        return total / max(1, one.n)

    costs = {name: per_example(one.spending.dollars, one) for name, one in runs.items()}
    x_name = "dollars an example"
    if not any(costs.values()):
        costs = {name: per_example(one.spending.tokens, one) for name, one in runs.items()}
        x_name = "tokens an example"
    if not any(costs.values()):
        costs = {name: one.latency() for name, one in runs.items()}
        x_name = "seconds an example (median)"
    tones = {name: _TONES.get(one.verdict, "") for name, one in comparisons.items()} | {"baseline": "base"}
    points = [
        Point(name, costs[name], one.score.value, one.score.interval, tones[name])
        for name, one in runs.items()
        if one.score.n
    ]
    return Markup(scatter("Score and cost of each run", points, share=share, x_name=x_name, y_name="score"))


def sides_of(flip: Flip) -> list[Side]:
    """Both answers, each field with what the other has not marked."""
    before, after = _texts(flip.a), _texts(flip.b)
    sides = Side("before", flip.a.state, flip.a.epoch, []), Side("after", flip.b.state, flip.b.epoch, [])
    for name in dict.fromkeys([*before, *after]):
        old, new = marked(before.get(name, ""), after.get(name, ""))
        if name in before:
            sides[0].fields.append((name, old))
        if name in after:
            sides[1].fields.append((name, new))
    return list(sides)


def _texts(row: Row) -> dict[str, str]:
    outputs = outputs_of(row) or {"output": row.outputs}
    texts = {name: shown(value) for name, value in outputs.items() if value is not None}
    if row.feedback:
        texts["feedback"] = row.feedback
    if row.error is not None:
        texts[f"error in the {row.error.subject}"] = str(row.error)
    return texts


def marked(before: str, after: str) -> tuple[Any, Any]:
    """Both texts as markup, with the words that only one of them has in `del` and `ins`."""
    from markupsafe import Markup

    if len(before) + len(after) > _LONGEST or not before or not after:
        return Markup("{}").format(before), Markup("{}").format(after)
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    left: list[Any] = []
    right: list[Any] = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=len(old) + len(new) > 2_000).get_opcodes():
        left.append(_wrapped("del", old[a:b], kind))
        right.append(_wrapped("ins", new[c:d], kind))
    return Markup("").join(left), Markup("").join(right)


def _wrapped(tag: str, words: Iterable[str], kind: str) -> Any:
    from markupsafe import Markup

    text = "".join(words)
    if kind == "equal" or not text:
        return Markup("{}").format(text)
    return Markup(f"<{tag}>{{}}</{tag}>").format(text)
