from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import PathError, UsageError
from outlast.optimize.candidate import Candidate
from outlast.optimize.ledger import Ledger
from outlast.optimize.study import Study
from outlast.testing.world import Triage, World, right

WORLD = World(examples=100, base=0.3, gain=0.65)


class Keep(ol.Optimizer):
    """Remembers the study that it is given."""

    def __init__(self) -> None:
        self.tunable: Sequence[str] = ()

    def rollouts(self, train: int, select: int) -> int:
        return 0

    async def search(self, study: Study) -> Candidate:
        self.tunable = study.tunable
        return study.start


def never(inputs: Any, out: Any) -> float:
    return 0.0


def compiled(**options: Any) -> Any:
    options.setdefault("optimizer", ol.RandomSearch(candidates=4))
    options.setdefault("study", False)
    return ol.compile(Triage(), WORLD.data(), right, lm=WORLD.lm(), progress=False, **options)


def study_of(lock: Sequence[str]) -> Study:
    data = list(WORLD.data())
    return Study(Triage(), right, train=data[:20], select=data[20:40], ledger=Ledger(None, {}), lock=lock)


@pytest.mark.parametrize("lock", ["route.instruction", "route"])
def test_a_locked_path_is_refused_by_name(lock: str):
    study = study_of([lock])
    assert study.locked("route.instruction")
    assert not study.locked("rate.instruction")
    with pytest.raises(UsageError, match=r"'route\.instruction' is locked.*study\.locked.*study\.tunable"):
        study.propose({"route.instruction": "Pick a team."}, origin="test")
    assert len(study.candidates) == 1


def test_a_lock_holds_what_is_below_it_and_not_its_namesakes():
    study = study_of(["route.fields"])
    assert study.locked("route.fields.team")
    assert not study.locked("route.instruction")
    assert not study.locked("route.fieldsmith")


def test_setting_what_is_locked_to_what_it_is_changes_nothing():
    study = study_of(["route"])
    same = ol.parameters(study.program)["route.instruction"]
    assert study.propose({"route.instruction": same}, origin="test") == study.start


def test_a_strategy_that_would_lose_what_is_locked_is_refused():
    study = study_of(["route.instruction"])
    with pytest.raises(UsageError, match=r"'route\.instruction' is locked"):
        study.propose({"route.strategy": ol.BestOfN(n=2, reward=never)}, origin="test")


def test_a_strategy_may_change_beside_locked_demonstrations():
    study = study_of(["rate"])
    assert study.propose({"route.strategy": ol.ChainOfThought}, origin="test") != study.start


@pytest.mark.parametrize(("lock", "meant"), [("route.instructon", "route.instruction"), ("rout", "route")])
def test_a_misspelt_lock_is_told_what_is_near_before_anything_is_paid(lock: str, meant: str):
    with pytest.raises(PathError, match=f"no parameter or part '{lock}'.*{meant}"):
        compiled(lock=[lock])


@pytest.mark.parametrize("lock", ["route", 5, [5]])
def test_a_lock_that_is_no_list_of_paths_is_refused(lock: Any):
    with pytest.raises(UsageError, match="lock is a list of paths"):
        compiled(lock=lock)


def test_tunable_lists_what_operators_may_touch():
    keep = Keep()
    compiled(optimizer=keep, lock=["route.demos", "rate"])
    assert "route.instruction" in keep.tunable
    assert "route.demos" not in keep.tunable
    assert "route.lm" not in keep.tunable
    assert not any(path.startswith("rate.") for path in keep.tunable)


@pytest.mark.parametrize(
    "optimizer", [ol.LabeledFewShot(k=4), ol.BootstrapFewShot(max_demos=4), ol.RandomSearch(candidates=4)]
)
def test_optimizers_of_demonstrations_leave_locked_predictors_alone(optimizer: ol.Optimizer):
    found = compiled(optimizer=optimizer, lock=["route.demos"])
    assert "route.demos" not in found.report.candidate.changes
    assert found.winner.route == Triage().route


def test_locks_are_in_the_record_and_decide_the_ledger(studies: Path):
    first = compiled(study=None, lock=["rate", "route.instruction", "rate"])
    assert first.report.record["search"]["lock"] == ["rate", "route.instruction"]
    again = compiled(study=None, lock=["route.instruction", "rate"])
    assert again.ledger == first.ledger
    assert again.report.spending.calls == 0
    free = compiled(study=None)
    assert free.ledger != first.ledger
    assert "lock" not in free.report.record["search"]
