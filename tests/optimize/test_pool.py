"""What a search knows of its candidates, and how it merges and credits them."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from outlast.optimize.credit import choose_text, named
from outlast.optimize.ledger import Ledger
from outlast.optimize.operators.merge import ancestor, merge_lines, merged
from outlast.optimize.operators.protocol import Operator
from outlast.optimize.pool import Gain, gain_between, mended
from outlast.optimize.portfolio import Portfolio
from outlast.optimize.race import Tally
from outlast.optimize.study import Study
from outlast.testing.world import Triage, World, right


def study(**options: object) -> Study:
    data = list(World().data())
    return Study(Triage(), right, train=data[:40], select=data[40:80], ledger=Ledger(None, {}), **options)  # pyright: ignore[reportArgumentType]


def test_a_gain_is_shrunk_and_its_chance_grows_with_evidence():
    few = gain_between({"a": 1.0, "b": 1.0}, {"a": 0.0, "b": 0.0})
    many = gain_between(dict.fromkeys(map(str, range(40)), 1.0), dict.fromkeys(map(str, range(40)), 0.0))
    assert 0 < few.mean < 0.5 < many.mean < 1
    assert 0.5 < few.chance < many.chance <= 1
    assert gain_between({"a": 1.0}, {"b": 0.0}) == Gain(0.0, gain_between({}, {}).error, 0)
    assert gain_between({}, {}).chance == 0.5


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=30))
def test_gains_are_antisymmetric(pairs: list[tuple[float, float]]):
    ours = {str(n): a for n, (a, _) in enumerate(pairs)}
    theirs = {str(n): b for n, (_, b) in enumerate(pairs)}
    forth, back = gain_between(ours, theirs), gain_between(theirs, ours)
    assert abs(forth.mean + back.mean) < 1e-9
    assert abs(forth.chance + back.chance - 1) < 1e-9


def test_mending_counts_only_beyond_luck_and_breaking_counts_against():
    parent = Tally(values={"f1": 0.0, "f2": 0.0, "p1": 1.0, "p2": 1.0})
    assert mended(parent, Tally(values={"f1": 1.0, "f2": 1.0, "p1": 1.0}), ["f1", "f2"], 0.25) == 1.5
    assert mended(parent, Tally(values={"f1": 0.0, "f2": 1.0, "p1": 0.0}), ["f1", "f2"], 0.25) == -0.5
    assert mended(parent, Tally(values={"elsewhere": 1.0}), [], 0.25) == 0.0


def test_texts_merge_by_lines():
    base = "Route it.\nBe quick.\nOld line."
    ours = "Route it.\nBe quick.\nOld line.\nRefunds go to billing."
    theirs = "Route it.\nBe quick.\nCards go to cards."
    assert merge_lines(base, ours, theirs) == "Route it.\nBe quick.\nRefunds go to billing.\nCards go to cards."
    assert merge_lines(base, base, base) == base


def test_lineages_merge_from_their_common_ancestor():
    job = study()
    first = job.propose({"route.instruction": "Route it."}, origin="a", cause=("1",))
    left = job.propose({"route.instruction": "Route it.\nLeft."}, origin="l", parent=first, cause=("2",))
    right_ = job.propose(
        {"route.instruction": "Route it.\nRight.", "rate.instruction": "Rate it."}, origin="r", parent=first
    )
    assert ancestor(job, left, right_) == first
    assert ancestor(job, left, job.start) == job.start
    both = merged(job, [left, right_])
    assert both.changes == {"route.instruction": "Route it.\nLeft.\nRight.", "rate.instruction": "Rate it."}
    assert both.operator == "merge"
    assert merged(job, [left, left]) == left


class Always(Operator):
    """An operator in name only."""

    def __init__(self, name: str) -> None:
        self.name = name  # pyright: ignore[reportAttributeAccessIssue]

    async def propose(self, study: object, parent: object, number: int) -> list[object]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return []


def test_a_portfolio_learns_and_forgets():
    some = [Always("good"), Always("bad")]
    portfolio = Portfolio(some)
    for _ in range(20):
        portfolio.told("good", 1.0)
        portfolio.told("bad", 0.0)
    job, rng = study(), Random(1)

    def share() -> float:
        return sum(portfolio.draw(job, job.start, rng) is some[0] for _ in range(400)) / 400

    assert 0.85 < share() < 1.0  # what is left is the hedge
    for _ in range(60):
        portfolio.age()
    assert 0.35 < share() < 0.65
    assert (portfolio.records["good"].tried, portfolio.records["good"].helped) == (20, 20.0)


async def test_credit_goes_where_changes_helped_and_where_the_feedback_points():
    job = study()
    assert set(job.locks.tunable(job.program))  # the lock's own list is there
    failed = await _failures(job)
    drawn = [choose_text(job, failed, Random(n)) for n in range(300)]
    assert 0.35 < drawn.count("route.instruction") / 300 < 0.65
    for number in range(8):
        job.judged(job.propose({"route.instruction": f"R{number}"}, origin="x"), accepted=True)
        job.judged(job.propose({"rate.instruction": f"R{number}"}, origin="x"), accepted=False)
    drawn = [choose_text(job, failed, Random(n)) for n in range(300)]
    assert drawn.count("route.instruction") / 300 > 0.9
    assert named("route.instruction", failed) == 0.0


async def _failures(job: Study) -> list[object]:  # pyright: ignore[reportReturnType]
    import outlast as ol

    with ol.context(lm=World().lm()), job.stage("search"):
        outcomes = await job.evaluate(job.start, job.train)
    return [outcome for outcome in outcomes if outcome.value == 0]
