"""What a search keeps back for the proof of its winner."""

from __future__ import annotations

from random import Random

from outlast.optimize.candidate import Outcome
from outlast.optimize.reserve import Reserve


def outcome(candidate: str, calls: int, tokens: int) -> Outcome:
    return Outcome(candidate, "e", 0, "pass", 1.0, "", "", True, calls / 10, calls, tokens, tokens / 1000, ())


def test_what_is_kept_back_is_what_the_neediest_candidate_needs_whoever_ran_last_or_was_dropped() -> None:
    rng = Random(3)
    reserve, fresh = Reserve(20, 4), Reserve(20, 4)
    for step in range(300):
        if step == 150:
            reserve.examples = fresh.examples = 35
        some = f"c{rng.randrange(8)}"
        if rng.random() < 0.1:
            reserve.drop(some)
            fresh.drop(some)
        else:
            ran = outcome(some, rng.randrange(1, 9), rng.randrange(1000))
            reserve.add(ran)
            fresh.add(ran)
        fresh._most = {}  # looks at all of them
        assert reserve.amounts() == fresh.amounts()


def test_nothing_is_kept_back_before_anything_ran_and_when_all_are_dropped() -> None:
    reserve = Reserve(20, 4)
    assert reserve.amounts() == {}
    reserve.add(outcome("a", 1, 10))
    assert reserve.amounts()["calls"] == 20
    reserve.drop("a")
    assert reserve.amounts() == {}
