"""An alignment as one HTML page that needs nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from outlast.evals import wording
from outlast.evals.reports.page import template

if TYPE_CHECKING:
    from outlast.evals.judging.alignment import Alignment
    from outlast.evals.statistics.values import Estimate


class Line(NamedTuple):
    """A figure as a line of a table."""

    name: str
    value: str
    interval: str
    n: str


def figures_of(report: Alignment) -> list[Line]:
    """The figures of an alignment, in words."""
    humans = report.humans
    kappa = "kappa" if report.rubric.binary else "weighted kappa"
    found = [
        _line("TPR (passes that it passes)", report.tpr, share=True),
        _line("TNR (fails that it fails)", report.tnr, share=True),
        _line("equal verdicts", report.accuracy, share=True),
        _line("mean distance", report.distance, share=True),
        _line("verdicts that change from run to run", report.flips, share=True),
        _line(kappa, report.kappa, share=False),
        _line("Spearman", report.spearman, share=False),
        Line(f"always {report.baseline[0]!r}", wording.number(report.baseline[1], True), "", str(report.n)),
    ]
    if humans is not None:
        found += [
            _line("people: one with the others", humans.agreement, share=True),
            _line("people: alpha", humans.alpha, share=False),
            _line("people: kappa", humans.kappa, share=False),
        ]
    return [line for line in found if line is not None]


def _line(name: str, figure: Estimate | None, *, share: bool) -> Line | None:
    if figure is None:
        return None
    unknown = figure.value != figure.value
    value = "" if not figure.n else wording.number(figure.value, share) if share or unknown else f"{figure.value:.3f}"
    interval = figure.interval
    span = wording.span(interval, True) if share else f"{interval.low:.3f}..{interval.high:.3f}"
    return Line(name, value, span if interval.known else "unknown", str(figure.n))


def alignment_page(report: Alignment, limit: int) -> str:
    """The page. Everything is escaped: what a model wrote shows as the text that it is."""
    facts = {
        "Rubric": f"{report.rubric.name}, version {report.rubric.version}\n{report.rubric.text()}",
        "Model": report.judged_by,
        "Labels": f"{report.labels_hash[:12]}{f', part {report.part!r}' if report.part else ''}",
        "Clusters": report.cluster,
        "Left out": str(report.left_out),
        "Readings": "" if report.reads is None else str(report.reads),
        "Spent": str(report.spending) if report.spending.calls else "",
    }
    return template("alignment.html").render(
        title=f"{report.name} and people: {report.n} items",
        report=report,
        level=wording.level(report.level),
        figures=figures_of(report),
        confusion=list(zip(report.confusion.labels, report.confusion.counts, strict=True)),
        facts={name: value for name, value in facts.items() if value},
        disagreements=report.disagreements[:limit],
        hidden=max(0, len(report.disagreements) - limit),
    )
