"""`Committee`: several candidates answer together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import UsageError
from outlast.optimize.committee import Committee, places, seated
from outlast.optimize.ledger import Ledger
from outlast.optimize.study import Study
from outlast.runtime import run_blocking, running
from outlast.testing import ScriptedLM
from outlast.testing.contracts import check_optimizer
from outlast.testing.world import Triage, World, right

FRUIT = [ol.Example({"text": f"t{n}"}, {"kind": "pear"}) for n in range(40)]


def same(example: Any, out: Any) -> bool:
    return example.kind == out.kind


def often_wrong(messages: Any) -> str:
    """Each of three instructions is right on two thirds of the texts, on others each."""
    told, asked = str(messages[0].content), str(messages[-1].content)
    found = re.search(r"\bt(\d+)", asked)
    number = int(found[1]) if found else 0
    at = next((n for n in range(3) if f"way {n}" in told), None)
    wrong = at is None or number % 3 == at
    return f"<<kind>>\n{'apple' if wrong else 'pear'}"


class Ways(ol.Optimizer):
    """Three instructions that are equally good."""

    def rollouts(self, train: int, select: int) -> int:
        return 4 * select

    async def search(self, study: Study) -> Any:
        made = [study.propose({"instruction": f"Use way {n}."}, origin=f"way {n}") for n in range(3)]
        return (await study.race([study.start, *made]))[0]


def searched(optimizer: Any, program: Any, lm: Any, data: Any = FRUIT, metric: Any = same) -> Any:
    async def run() -> Any:
        study = Study(program, metric, train=data[:10], select=data[10:], ledger=Ledger(None, {}))
        with running(lm=lm), study.stage("search"):
            return await optimizer.search(study), study

    return run_blocking(run)


def test_it_keeps_the_contract_of_optimizers() -> None:
    check_optimizer(Committee(ol.RandomSearch(candidates=3)))


def test_those_that_are_wrong_elsewhere_are_right_together() -> None:
    winner, study = searched(Committee(Ways()), ol.Predict("text -> kind"), ScriptedLM(often_wrong))
    assert winner.operator == "committee"
    assert study.tally(winner).mean == 1.0
    program = study.build(winner)
    assert isinstance(program, ol.Ensemble)
    assert {part.instruction for part in program.parts} == {"Use way 0.", "Use way 1.", "Use way 2."}


def test_a_file_holds_it(tmp_path: Path) -> None:
    winner, study = searched(Committee(Ways()), ol.Predict("text -> kind"), ScriptedLM(often_wrong))
    path = tmp_path / "vote.outlast.json"
    ol.save(study.build(winner), path)
    program = ol.load(path, ol.Predict("text -> kind"))
    assert program == study.build(winner)
    with ol.context(lm=ScriptedLM(often_wrong)):
        assert [program(text=f"t{n}").kind for n in range(3)] == ["pear"] * 3


def test_a_committee_that_is_no_better_is_not_worth_its_price() -> None:
    always = ScriptedLM(lambda messages: "<<kind>>\npear" if "way" in str(messages[0].content) else "<<kind>>\napple")
    winner, study = searched(Committee(Ways()), ol.Predict("text -> kind"), always)
    assert winner.origin == "way 0"
    assert any(one.operator == "committee" for one in study.candidates.values())


def test_each_module_of_a_program_votes_with_its_demonstrations() -> None:
    data = list(World(examples=40).data())
    _, study = searched(ol.LabeledFewShot(k=1), Triage(), World().lm(), data, right)
    demo = {"message": "m", "team": "cards", "urgent": True}
    one = study.propose({"route.instruction": "Think.", "rate.demos": [demo]}, origin="a")
    other = study.propose({"route.instruction": "Look."}, origin="b")
    made = study.build(seated(study, [one, other]))
    assert places(study.program) == ["route", "rate"]
    assert [part.instruction for part in made.route.parts] == ["Think.", "Look."]
    assert [len(part.demos) for part in made.rate.parts] == [1, 0]


def test_locked_modules_stay() -> None:
    data = list(World(examples=40).data())
    study = Study(Triage(), right, train=data[:10], select=data[10:], ledger=Ledger(None, {}), lock=["rate"])
    some = [study.propose({"route.instruction": text}, origin="x") for text in ("a", "b")]
    made = study.build(seated(study, some))
    assert isinstance(made.route, ol.Ensemble)
    assert isinstance(made.rate, ol.Predict)


def test_options() -> None:
    wrong: Any = "auto"
    with pytest.raises(UsageError, match="search_by"):
        Committee(wrong)
    with pytest.raises(UsageError, match="size"):
        Committee(size=1)
