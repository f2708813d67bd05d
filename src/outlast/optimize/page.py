"""The report of a compile as one HTML file that needs nothing else: no script, no request, light and dark.

All text of data, models and programs is escaped by the template; none of it is ever markup.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlast.adapters.protocol import Demo, Nearest
from outlast.data.files import write_lines
from outlast.errors import OutlastError
from outlast.evals.wording import p_text
from outlast.lms.protocol import LM
from outlast.messages import Settings
from outlast.modules.paths import parameters, predictors_of
from outlast.modules.predict import Predict
from outlast.optimize.explaining import Origin, explain_data
from outlast.optimize.figures import curve, forest, said, scatter
from outlast.optimize.summary import Pair, Summary, Tried, changed_examples, exchanges, summarize
from outlast.optimize.words import models_words, search_words, source_words

if TYPE_CHECKING:
    from outlast.optimize.compile import Compiled

SHOWN_DEMOS = 3
SHOWN_PAIRS = 5
LONGEST = 4000  # characters of one value

_OTHERS = ("order", "strategy", "adapter", "settings", "lm")  # of a predictor, beside its texts and demonstrations
_BADGES = {
    "better": ("good", "Better"),
    "no worse": ("even", "No worse"),
    "inconclusive": ("even", "No proven gain"),
    "worse": ("bad", "Worse"),
    "unproven": ("even", "Unproven"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a text before and after: kind is "same", "old" or "new"."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class DemoView:
    """A demonstration as text: (field, is an output, value), and where it came from."""

    fields: tuple[tuple[str, bool, str], ...]
    source: str


@dataclass(frozen=True, slots=True)
class ModuleView:
    """One predictor before and after: its instruction, the texts that changed, its demonstrations and how many of them
    a call shows, and `others`, (name, before, after) of all else that changed.
    """

    path: str
    signature: str
    instruction: tuple[Line, ...]
    instruction_changed: bool
    texts: tuple[tuple[str, tuple[Line, ...]], ...]
    demos_before: tuple[DemoView, ...]
    demos: tuple[DemoView, ...]
    shows_before: str = ""
    shows: str = ""
    others: tuple[tuple[str, str, str], ...] = ()


def write_page(compiled: Compiled[Any], path: Path) -> Path:
    """Write the report of a compile to `path`; gives the path. Raises `DataError` when it cannot be written.

    Candidates and examples come from the ledger; a compile that kept it in memory has no such tables.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_lines(path, render_page(compiled).rstrip("\n").split("\n"))
    return path


def render_page(compiled: Compiled[Any]) -> str:
    """The page as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("outlast.optimize", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(_context(compiled))


def _context(compiled: Compiled[Any]) -> dict[str, Any]:
    from outlast import __version__

    report = compiled.report
    tone, badge = _BADGES[report.verdict.word]
    summary = _summary(compiled)
    ranked = summary.candidates if summary is not None else ()
    return {
        "said": said,
        "show": show,
        "p_text": p_text,
        "version": __version__,
        "program": type(compiled.start).__name__,
        "report": report,
        "verdict": report.verdict,
        "record": report.record,
        "facts": facts(compiled),
        "model": models_words(report.record["models"].get("asked")),
        "tone": tone,
        "badge": badge,
        "sentence": sentence(compiled),
        "forest": forest(report.verdict),
        "curve": curve(report.points, report.verdict),
        "front": scatter(report.record.get("front", {}), report.candidate.id),
        "lineage": lineage_view(compiled),
        "operators": report.record.get("operators", {}),
        "modules": module_views(compiled.start, compiled.winner),
        "others": other_changes(compiled.start, compiled.winner),
        "same": compiled.start == compiled.winner,
        "shipped": compiled.improved,
        "candidates": _ranking(ranked, report.candidate.id),
        "confirm_changes": _pairs(compiled),
        "summary": summary,
        "share": _is_share(report),
        "shown": SHOWN_DEMOS,
        "ledger": compiled.ledger,
    }


def sentence(compiled: Compiled[Any]) -> str:
    """The verdict in one plain sentence."""
    verdict = compiled.report.verdict
    if verdict.start is None or verdict.winner is None or verdict.paired is None:
        return verdict.reason
    share = _is_share(compiled.report)
    before, after = said(verdict.start.value, share), said(verdict.winner.value, share)
    move = f"{before} before, {after} after, on {verdict.paired.n} held-out examples that the search never saw"
    return f"{move}. {verdict.reason}"


def facts(compiled: Compiled[Any]) -> list[tuple[str, str]]:
    """All that says where a compiled program came from, as name and text; without what is not known."""
    report, record = compiled.report, compiled.report.record
    cost: Mapping[str, Any] = record["cost"]
    budget: Mapping[str, Any] = record["search"].get("budget") or {}
    models: Mapping[str, Any] = record["models"]
    asked, answered = models_words(models.get("asked")), models_words(models.get("answered"))
    tokens = cost["input_tokens"] + cost["output_tokens"]
    paid = f"${cost['dollars']:.4f}" if cost["dollars"] or not cost["unpriced"] else "price unknown"
    foreseen = record["search"].get("expected_calls")
    data = "; ".join(f"{name} {part['n']} ({part['hash']})" for name, part in record["data"].items())
    reads = report.reads
    found = [
        ("cost over all runs", f"{cost['calls']:,} calls, {tokens:,} tokens, {paid}"),
        ("paid in this run", f"{report.spending}, {report.seconds:.1f} s"),
        ("known before it", f"{report.known:,} replies of earlier runs" if report.known else ""),
        ("budget", ", ".join(f"{value:g} {name}" for name, value in budget.items()) or "no limit"),
        ("stopped early", report.stopped),
        ("calls foreseen", f"at most {foreseen:,} for the search and the proof" if foreseen else ""),
        ("search", search_words(record["search"])),
        ("winner", f"{report.candidate.id}: {report.candidate.origin}"),
        ("optimism", f"while ranking, the gain looked {report.flattery}" if report.flattery else ""),
        ("proof examples", f"read for the {reads.time} time" if reads and reads.count > 1 else ""),
        ("outside failures", f"{report.failures} rollouts" if report.failures else ""),
        ("failed proposals", report.no_proposals),
        ("model asked", asked),
        ("model answered", answered if answered != asked else ""),
        ("adapter", str(record["adapter"])),
        ("metric", f"{record['metric']['name']} ({record['metric']['hash']})"),
        ("data", data),
        ("program as given", str(record["start"].get("hash", ""))),
        ("ledger", str(compiled.ledger or "in memory")),
    ]
    return [(name, text) for name, text in found if text]


def lineage_view(compiled: Compiled[Any]) -> tuple[list[Origin], list[Origin]]:
    """The steps from the start to the winner, and the candidates that something was merged in from."""
    record = {**compiled.report.record, "kept": "winner"}  # the winner is explained whether it ships or not
    explanation = explain_data({"record": record, "program": {}, "parameters": {}})
    return list(explanation.lineage[: explanation.own]), list(explanation.lineage[explanation.own :])


def module_views(start: Any, winner: Any) -> list[ModuleView]:
    """What changed in each predictor from one program to another of the same kind."""
    before, after = parameters(start), parameters(winner)
    old, new = predictors_of(start), predictors_of(winner)
    views: list[ModuleView] = []
    for path, part in new.items():
        dot = f"{path}." if path else ""
        texts = tuple(
            (key.removeprefix(dot), tuple(line_diff(str(before.get(key, "")), str(after[key]))))
            for key in after
            if key.startswith(f"{dot}fields.") and before.get(key) != after[key]
        )
        was = old[path].instruction if path in old else ""
        views.append(
            ModuleView(
                path or "the program",
                part.signature.__name__,
                tuple(line_diff(was, part.instruction)),
                was != part.instruction,
                texts,
                tuple(demo_view(part, demo) for demo in (old[path].demos if path in old else ())),
                tuple(demo_view(part, demo) for demo in part.demos),
                _shows(old[path].shown, len(old[path].demos)) if path in old else "",
                _shows(part.shown, len(part.demos)),
                tuple(_changed(before, after, {f"{dot}{name}": name for name in _OTHERS})),
            )
        )
    return views


def other_changes(start: Any, winner: Any) -> list[tuple[str, str, str]]:
    """(path, before, after) of what changed outside of predictors: own parameters, strategies of parts, tools."""
    after, parts = parameters(winner), predictors_of(winner)
    own = {f"{path}." if path else "" for path in parts}
    inside = {f"{dot}{name}" for dot in own for name in ("instruction", "demos", "shown", *_OTHERS)}
    fields = tuple(f"{dot}fields." for dot in own)
    paths = (path for path in after if path not in inside and not path.startswith(fields))
    return _changed(parameters(start), after, {path: path for path in paths})


def _shows(shown: Nearest | None, pool: int) -> str:
    """How many of its demonstrations a call shows, in words; "" for all of them."""
    if shown is None or shown.k >= pool:
        return ""
    return f"each call shows the {shown.k} of the {pool} whose inputs are most like its own"


def _changed(
    before: Mapping[str, Any], after: Mapping[str, Any], names: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    """Name, value before and value after of the parameters at these paths that are another now."""
    rows = [(name, _words(before.get(path)), _words(after.get(path))) for path, name in names.items() if path in after]
    return [row for row in rows if row[1] != row[2]]


def _words(value: Any) -> str:
    """A value of a parameter for people: models by name, of settings those that are set."""
    if isinstance(value, LM):
        return value.name
    if isinstance(value, Settings):
        given = ((one.name, getattr(value, one.name)) for one in dataclasses.fields(value))
        value = ", ".join(f"{name}={one!r}" for name, one in given if one is not None and one != {})
    elif isinstance(value, tuple):
        value = ", ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return show(value if isinstance(value, str) else "" if value is None else str(value)) or "none"


def line_diff(old: str, new: str) -> list[Line]:
    """Two texts as lines that stayed, went and came."""
    kinds = {"  ": "same", "- ": "old", "+ ": "new"}
    lines = difflib.ndiff(old.split("\n"), new.split("\n"))
    return [Line(kinds[line[:2]], line[2:]) for line in lines if line[:2] in kinds]


def demo_view(part: Predict[..., Any], demo: Demo) -> DemoView:
    """A demonstration as text, inputs first."""
    outputs = part.asked().outputs
    fields = tuple((name, name in outputs, show(value)) for name, value in demo.values.items())
    return DemoView(fields, source_words(demo.source))


def show(value: Any) -> str:
    """A value as text: strings as they are, others as JSON; very long ones cut."""
    if isinstance(value, str):
        text = value
    else:
        try:
            text = json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError):
            text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


def _summary(compiled: Compiled[Any]) -> Summary | None:
    if compiled.ledger is None:
        return None
    try:
        return summarize(compiled.ledger)
    except OutlastError:  # moved away since: the page goes without its tables
        return None


def _ranking(ranked: Sequence[Tried], winner: str) -> list[Tried]:
    """The candidates that were ranked, and the winner in any case."""
    return [one for one in ranked if one.n or one.id == winner]


def _pairs(compiled: Compiled[Any]) -> Mapping[str, Any] | None:
    """The held-out examples that gained most and lost most, how many did either, and what was sent for the first."""
    if compiled.ledger is None or compiled.report.verdict.paired is None:
        return None
    try:
        pairs = changed_examples(compiled.ledger, "start", compiled.report.candidate.id)
    except OutlastError:
        return None
    up: list[Pair] = [pair for pair in pairs if pair.change > 0]
    down: list[Pair] = [pair for pair in reversed(pairs) if pair.change < 0]
    sent = None
    if pairs:
        one, winner = pairs[0].example, compiled.report.candidate.id
        sent = (exchanges(compiled.ledger, "start", one), exchanges(compiled.ledger, winner, one))
    return {"up": up[:SHOWN_PAIRS], "down": down[:SHOWN_PAIRS], "ups": len(up), "downs": len(down), "sent": sent}


def _is_share(report: Any) -> bool:
    estimates = [one for one in (report.verdict.start, report.verdict.winner) if one is not None]
    return all(0 <= one.value <= 1 for one in estimates) and all(0 <= point.score <= 1 for point in report.points)
