"""What a label says, whoever gave it: pass, fail or neither; which labels of people and judges belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from outlast.tracing.record import LabelRecord

Verdict = Literal["pass", "fail"]

JUDGES = frozenset({"judge", "classifier"})
PEOPLE = frozenset({"human", "user"})
DEFAULT = "label"  # the name of labels that were given none
THRESHOLD = 0.5
_PASSES = frozenset({"pass", "true", "yes", "good", "ok"})
_FAILS = frozenset({"fail", "false", "no", "bad"})


def verdict_of(value: Any, threshold: float = THRESHOLD) -> Verdict | None:
    """ "pass" or "fail" as far as a value says one: words, truth values, and numbers from `threshold` on; None for
    "defer", for no value and for other words.

    >>> [verdict_of(value) for value in ("pass", False, 0.8, "defer", None)]
    ['pass', 'fail', 'pass', None, None]
    """
    if isinstance(value, bool):
        return "pass" if value else "fail"
    if isinstance(value, int | float):
        return "pass" if value >= threshold else "fail"
    if isinstance(value, str):
        word = value.strip().lower()
        return "pass" if word in _PASSES else "fail" if word in _FAILS else None
    return None


def score_of(value: Any) -> float | None:
    """The value as a number from 0 to 1; None where it is none."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    word = verdict_of(value) if isinstance(value, bool | str) else None
    return None if word is None else float(word == "pass")


@dataclass(frozen=True, slots=True)
class Both:
    """A trace on which people and a judge gave a verdict each: `people` by author, and the judge's label. `name` is
    that of the people's labels."""

    trace_id: str
    name: str
    people: Mapping[str, Verdict]
    judge: LabelRecord
    judged: Verdict

    @property
    def against(self) -> int:
        """How many people say something else than the judge."""
        return sum(said != self.judged for said in self.people.values())


def beside_people(labels: Iterable[LabelRecord], threshold: float = THRESHOLD) -> list[Both]:
    """Each judge's newest label of a trace beside what people say of it, in the order of the judges' labels.

    A judge is held against people's labels of its own name, or where nobody uses that name against those that have no
    name of their own.
    """
    known = list(labels)
    people: dict[tuple[str, str], dict[str, Verdict]] = {}
    for one in known:
        said = verdict_of(one.value, threshold) if one.source in PEOPLE and not one.span_id else None
        if said is not None:
            people.setdefault((one.name, one.trace_id), {})[one.author] = said
    named = {name for name, _ in people}
    found: list[Both] = []
    for one in known:
        judged = verdict_of(one.value, threshold) if one.source in JUDGES and not one.span_id else None
        if judged is None:
            continue
        name = one.name if one.name in named else DEFAULT
        beside = people.get((name, one.trace_id))
        if beside:
            found.append(Both(one.trace_id, name, beside, one, judged))
    return found
