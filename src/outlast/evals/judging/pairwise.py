"""`pairwise`: which of two programs answers better, asked in both orders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from outlast.data.jsonform import content_hash, json_form
from outlast.errors import BudgetExceeded, DataError, UsageError, brief
from outlast.evals.evaluation import Evaluation
from outlast.evals.judging.asked import HOPELESS
from outlast.evals.judging.asking import as_shown
from outlast.evals.judging.judge import TARGET, Judge
from outlast.evals.judging.labelfile import outputs_by_name
from outlast.evals.judging.length import length_bias
from outlast.evals.judging.pair import PairJudge
from outlast.evals.judging.pairs import Pair, Pairwise, won_by_b
from outlast.evals.judging.rubric import Rubric
from outlast.evals.row import Row, RowError
from outlast.evals.score import Unscored
from outlast.evals.statistics.values import check_level
from outlast.lms.protocol import LM
from outlast.modules.attempts import check_count
from outlast.modules.paths import predictors_of, update
from outlast.runtime import Trace, gather, run_blocking, running
from outlast.signatures.record import Record, fields_of

Answers = Evaluation | Iterable[tuple[Mapping[str, Any], Any, Any]]


def pairwise(
    judge: Judge | PairJudge | Rubric,
    a: Answers,
    b: Evaluation | None = None,
    *,
    lm: LM | str | None = None,
    level: float = 0.95,
    concurrency: int = 16,
) -> Pairwise:
    """Which of two programs answers better: each pair of answers is judged in both orders.

        result = ol.pairwise(judge, before, after)        # two evaluations of the same examples
        print(result)                                     # tone: b wins 61.2% (52.4..69.3) of 120 pairs ...

    Models prefer a place, so a win counts only when it is one in both orders; where the orders disagree it is a tie.
    `judge` is an `ol.PairJudge`, an `ol.Judge` (its rubric, fields and model are taken), or a rubric, for which `lm`
    says who judges. `a` and `b` are evaluations, aligned by example and epoch, whose scores play no part; or `a` alone
    holds triples `(inputs, answer_a, answer_b)`. Answers are mappings, records or plain values (named `answer`). Equal
    answers are ties and cost nothing. A pair for which a reply cannot be read is unscored.

    Raises `DataError` when no example has an answer of both. Cost: two LM calls for each pair of different answers,
    `concurrency` at a time. `apairwise` is the same for async code.
    """
    return run_blocking(lambda: apairwise(judge, a, b, lm=lm, level=level, concurrency=concurrency))


async def apairwise(
    judge: Judge | PairJudge | Rubric,
    a: Answers,
    b: Evaluation | None = None,
    *,
    lm: LM | str | None = None,
    level: float = 0.95,
    concurrency: int = 16,
) -> Pairwise:
    """What `pairwise` does, from async code."""
    check_level(level)
    check_count("pairwise", "concurrency", concurrency)
    found, unmatched = _pairs_of(a, b)
    asker = _Asker.of(judge, found[0], lm)
    spans = Trace()
    with running(trace=spans, root=None):
        shown = [asker.shown(pair) for pair in found]
        pairs = await gather(*(asker.ask(pair) for pair in shown), limit=concurrency)
    done = tuple(cast("list[Pair]", pairs))
    scored = [pair for pair in done if pair.winner is not None]
    length = length_bias([_length(pair.b) - _length(pair.a) for pair in scored], [won_by_b(p) for p in scored], level)
    asked_lm = next(iter(predictors_of(asker.judge).values())).lm
    judged_by = "" if asked_lm is None else asked_lm.identity
    return Pairwise(asker.judge.name, asker.judge.rubric, judged_by, done, unmatched, level, length, spans.spending)


def _length(answer: Mapping[str, Any]) -> int:
    return sum(len(str(value)) for value in answer.values())


# The pairs


def _pairs_of(a: Any, b: Any) -> tuple[list[Pair], int]:
    """The answers side by side, and how many have no partner."""
    if isinstance(a, Evaluation):
        if not isinstance(b, Evaluation):
            raise UsageError(f"pairwise takes two evaluations; the second is {brief(b)}")
        return _of_evaluations(a, b)
    if b is not None or isinstance(a, str | Mapping) or not isinstance(a, Iterable):
        raise UsageError(
            f"pairwise takes two evaluations, or one list of (inputs, answer_a, answer_b); got {brief(a)}, {brief(b)}"
        )
    found: list[Pair] = []
    for place, row in enumerate(cast("Iterable[Any]", a)):
        match row:
            case (Mapping(), first, second):
                given = cast("Mapping[str, Any]", row[0])
                answers = _answer(first), _answer(second)
                key = content_hash(json_form([given, *answers, place], lenient=True))
                found.append(Pair(key, given, *answers))
            case _:
                raise UsageError(f"pairwise: pair {place} is (inputs, answer_a, answer_b); got {brief(row)}")
    if not found:
        raise DataError("pairwise: there is no pair to compare")
    return found, 0


def _answer(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Record):
        return fields_of(value)
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {"answer": value}


def _of_evaluations(a: Evaluation, b: Evaluation) -> tuple[list[Pair], int]:
    for run in (a, b):
        if not run.kept:
            raise DataError("pairwise needs the rows of both evaluations, which were not kept (keep='rows' keeps them)")
    ours, theirs = _by_place(a.rows), _by_place(b.rows)
    both = [key for key in ours if key in theirs]
    if not both:
        raise DataError(
            f"pairwise: no example has an answer in both evaluations ({len(ours)} in a, {len(theirs)} in b). Run both "
            f"on the same data set."
        )
    found = [
        Pair(
            f"{key[0]} {key[1]} {key[2]}",
            {**ours[key].inputs, **{f"{TARGET}{name}": value for name, value in ours[key].targets.items()}},
            outputs_by_name(ours[key]),
            outputs_by_name(theirs[key]),
            example=key[0],
        )
        for key in both
    ]
    return found, len(ours) + len(theirs) - 2 * len(both)


def _by_place(rows: Sequence[Row]) -> dict[tuple[str, int, int], Row]:
    """The rows with outputs by example, epoch, and the how-many-th of its kind."""
    seen: Counter[tuple[str, int]] = Counter()
    found: dict[tuple[str, int, int], Row] = {}
    for row in rows:
        place = row.id, row.epoch
        if row.outputs is not None:
            found[(*place, seen[place])] = row
        seen[place] += 1
    return found


# The questions


@dataclass(frozen=True, slots=True)
class _Asker:
    """A judge of pairs, and what of the data it is shown: names that it is shown, and fields that they are."""

    judge: PairJudge
    given: Mapping[str, str]
    outputs: Mapping[str, str]

    @classmethod
    def of(cls, judge: Any, first: Pair, lm: LM | str | None) -> _Asker:
        if lm is not None and not isinstance(judge, Rubric):
            raise UsageError("pairwise: lm= goes with a rubric; a judge has its own: update(judge, {'better.lm': ...})")
        if isinstance(judge, PairJudge):
            made = judge.pinned()
            return cls(made, {n: n for n in made.given}, {n: n for n in made.outputs})
        if isinstance(judge, Rubric):
            given = {name: name for name in first.given if not name.startswith(TARGET)}
            outputs = {name: name for name in first.a if name not in given}
            return cls(PairJudge(judge, outputs, given=given, lm=lm).pinned(), given, outputs)
        if not isinstance(judge, Judge):
            raise UsageError(f"pairwise takes an ol.PairJudge, an ol.Judge or a rubric; got {brief(judge)}")
        outputs = {shown: source for shown, source in judge.fields.items() if source in first.a}
        given = {shown: source for shown, source in judge.fields.items() if source not in first.a}
        if not outputs:
            raise UsageError(
                f"pairwise: the judge {judge.name!r} is shown no output of the programs ({', '.join(first.a)}); it is "
                f"shown {', '.join(judge.fields.values())}"
            )
        part = next(iter(predictors_of(judge.pinned()).values()))
        made = PairJudge(judge.rubric, outputs, given=given, lm=part.lm, adapter=part.adapter)
        return cls(update(made, {"better.settings": part.settings}), given, outputs)

    def shown(self, pair: Pair) -> Pair:
        """The pair as the judge is shown it; raises `DataError` when a field is not there."""
        rows = (("inputs", self.given, pair.given), ("a", self.outputs, pair.a), ("b", self.outputs, pair.b))
        parts: list[dict[str, Any]] = []
        for what, names, values in rows:
            for source in names.values():
                if source not in values:
                    raise DataError(
                        f"pairwise: the judge {self.judge.name!r} is shown {source!r}, which the {what} of pair "
                        f"{pair.id[:8]} do not have. Fields: {', '.join(values) or 'none'}."
                    )
            parts.append({name: as_shown(values[source], None) for name, source in names.items()})
        return replace(pair, given=parts[0], a=parts[1], b=parts[2])

    async def ask(self, pair: Pair) -> Pair:
        """The pair with the verdicts of both orders."""
        if pair.same:
            return pair
        try:
            forward, backward = await gather(
                self.judge.acompare(pair.given, pair.a, pair.b), self.judge.acompare(pair.given, pair.b, pair.a)
            )
        except (BudgetExceeded, *HOPELESS):
            raise
        except Exception as error:
            return replace(pair, error=RowError.of(error, "metric"))
        if isinstance(forward, Unscored) or isinstance(backward, Unscored):
            reasons = tuple(one.reason if isinstance(one, Unscored) else one[1] for one in (forward, backward))
            return replace(pair, critiques=cast("tuple[str, str]", reasons))
        critiques = forward[1], backward[1]
        return replace(pair, forward=forward[0], backward=backward[0], critiques=critiques)
