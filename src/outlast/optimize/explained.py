"""An explanation as text: the lineage first, then each part with the number of the step that brought it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outlast.optimize.explaining import Explanation, Failure, Origin, Part

LONGEST = 120  # characters of one value of a failure or a demonstration


def as_text(explanation: Explanation, *, full: bool = False) -> str:
    """The whole of it; `full` with all failures that are known, else one line for the worst of each step."""
    held = "the winner of the search" if explanation.kept == "winner" else "the program as it was"
    head = [f"{explanation.program}: {held}"]
    if explanation.verdict:
        head.append(f"  {explanation.verdict}")
    return "\n".join([*head, *lineage_lines(explanation, full=full), *part_lines(explanation)])


def lineage_lines(explanation: Explanation, *, full: bool = False) -> list[str]:
    """The steps from the start to the winner; empty when there are none."""
    if not explanation.lineage:
        return []
    lines = ["lineage", "  [0] the program as it was"]
    for number, one in enumerate(explanation.lineage, 1):
        if number == explanation.own + 1:
            lines.append("merged in from")
        lines += _step(number, one, full)
    return lines


def _step(number: int, one: Origin, full: bool) -> Iterator[str]:
    by = f"{one.operator}: " if one.operator else ""
    yield f"  [{number}] {by}{one.how}  (candidate {one.id})"
    if one.changes:
        yield f"      changes {', '.join(one.changes)}"
    yield "      against its parent: " + (
        "not measured on the same examples" if one.effect is None else str(one.effect)
    )
    if one.siblings:
        yield f"      {one.siblings} other candidate{'s were' if one.siblings != 1 else ' was'} made out of that parent"
    if not one.cause:
        return
    yield f"      because of {len(one.cause)} failure{'s' if len(one.cause) != 1 else ''}" + (
        ":" if one.failures else ""
    )
    shown = sorted(one.failures, key=lambda failure: 2.0 if failure.score is None else failure.score)
    for failure in shown if full else shown[:1]:
        yield from (f"        {line}" for line in _failure(failure, full))


def _failure(one: Failure, full: bool) -> Iterator[str]:
    score = "" if one.score is None else f" scored {one.score:g}"
    if not full:
        yield f"{one.example[:10]}{score}: {_brief(one.inputs)} -> {_brief(one.said or one.got or 'not known')}"
        return
    yield f"{one.example[:10]}{score}"
    for name in ("inputs", "expected", "got", "said"):
        if text := getattr(one, name):
            yield f"  {name}: {_brief(text)}"


def part_lines(explanation: Explanation) -> list[str]:
    """Each parameter with its lines or demonstrations, and what is gone."""
    lines: list[str] = []
    for path, some in groupby(explanation.parts, key=lambda part: part.path):
        lines.append(path)
        for part in some:
            lines += _part(part)
        lines += (f"  [-] {line}" for line in explanation.removed.get(path, ()))
    return lines


def _part(part: Part) -> Iterator[str]:
    step = "  " if part.step is None else f"[{part.step}] "
    text = " · ".join(_brief(line) for line in part.text.split("\n")) if part.kind == "demo" else part.text
    yield f"  {step}{text}"
    if part.source:
        yield f"      {part.source}"
    if part.alone is not None:
        yield f"      without it alone: {part.alone}"


def _brief(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
