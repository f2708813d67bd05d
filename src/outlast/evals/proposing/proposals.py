"""What came of proposing checks: those chosen, what they catch on labels that had no say in it, and their source."""

from __future__ import annotations

from dataclasses import dataclass
from keyword import iskeyword

from outlast.checks.check import Check
from outlast.errors import UsageError, brief
from outlast.evals.proposing.candidates import Candidate
from outlast.evals.proposing.choosing import Figures
from outlast.evals.statistics import Estimate

_MOST_SAME = 3


@dataclass(frozen=True, slots=True)
class Proposed:
    """A check that was chosen: its figures on the part that it was chosen on, and on the part held out. `same` are
    candidates that said the same of every output there: the labels cannot tell which of them is meant, you may."""

    candidate: Candidate
    selection: Figures
    held_out: Figures
    same: tuple[Candidate, ...] = ()

    @property
    def check(self) -> Check:
        """The check."""
        return self.candidate.check


@dataclass(frozen=True, slots=True)
class Proposals:
    """Checks proposed from labelled outputs.

    `chosen` in the order of choice. `selection` are the figures of all together where they were chosen, which flatter
    them; `held_out` those on labels that had no say: believe these. `tried` candidates differed from each other, of
    which `unable` raised on some output and were dropped (with those that the model wrote and that were no functions);
    `most_false` was the largest share of good outputs that may fail. `dropped` items had no majority among labels.
    """

    chosen: tuple[Proposed, ...]
    selection: Figures
    held_out: Figures
    tried: int
    unable: int
    most_false: float
    dropped: int = 0

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks, for `checks=[...]` of a signature, `ol.guard`, `ol.evaluate`, or a test."""
        return tuple(one.check for one in self.chosen)

    def to_python(self, name: str = "checks") -> str:
        """A module of Python that makes the checks, for review and git. Code that a model wrote stays a string that
        runs in a sandbox. `name` is that of the list."""
        if not isinstance(name, str) or not name.isidentifier() or iskeyword(name):
            raise UsageError(f"to_python(name) is a Python identifier; got {brief(name)}")
        lines = [
            '"""Checks proposed from labelled outputs by ol.propose_checks. Read them before use."""',
            "",
            "import outlast as ol",
            "",
            f"# held out: {told(self.held_out)}",
            f"{name} = [",
        ]
        for one in self.chosen:
            lines.append(f"    # held out: {told(one.held_out)}")
            lines += [f"    # said the same: {other.source}" for other in one.same[:_MOST_SAME] if _short(other)]
            lines.append(f"    {one.candidate.source},")
        return "\n".join([*lines, "]", ""])

    def table(self) -> str:
        """The checks and both kinds of figures, as text; a sentence where there are none."""
        if not self.chosen:
            return (
                f"no check proposed: none of {self.tried} candidates tells good outputs from bad ones better than "
                f"chance would let one of so many. Label more outputs, or let a model write checks (lm=...)."
            )
        rows = [("check", "caught, chosen on", "caught, held out", "good that fail, held out", "by")]
        for one in self.chosen:
            rows.append((_named(one.check), *_cells(one.selection, one.held_out), one.candidate.origin))
        rows.append(("all together", *_cells(self.selection, self.held_out), ""))
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        note = (
            f"{self.tried} candidates tried, {self.unable} could not run. The figures they were chosen on flatter; "
            f"those held out do not. At most {self.most_false:.0%} of the good outputs may fail."
        )
        return "\n".join([*lines, note])

    def __str__(self) -> str:
        return self.table()


def _short(candidate: Candidate) -> bool:
    """Whether its source fits a comment: that of a template does, code of a model never stands outside its string."""
    return candidate.origin == "template" and len(candidate.source.splitlines()) == 1


def told(figures: Figures) -> str:
    """The figures in words."""
    return f"catches {_share(figures.coverage)} bad, fails {_share(figures.false_failures)} good"


def _cells(selection: Figures, held_out: Figures) -> tuple[str, str, str]:
    return _share(selection.coverage), _share(held_out.coverage), _share(held_out.false_failures)


def _share(estimate: Estimate) -> str:
    low, high = estimate.interval.low, estimate.interval.high
    return f"{round(estimate.value * estimate.n)} of {estimate.n} ({low:.0%}..{high:.0%})"


def _named(check: Check) -> str:
    said = check.message or next((str(value) for key, value in check.options.items() if key == "message" and value), "")
    more = ", ".join(
        f"{key}={value!r}" for key, value in check.options.items() if key in ("min", "max", "unit") and value
    )
    name = f"{check.name}({', '.join(check.needs)}{', ' + more if more else ''})"
    text = f"{name}: {said}" if said else name
    return text if len(text) <= 70 else f"{text[:69]}…"
