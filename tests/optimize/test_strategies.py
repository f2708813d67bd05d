from __future__ import annotations

import json
from typing import Any

import pytest

import outlast as ol
from outlast.optimize.ledger import Ledger
from outlast.optimize.setting import split_data
from outlast.optimize.study import Study
from outlast.runtime import run_blocking, running
from outlast.testing import ScriptedLM
from outlast.testing.contracts import check_optimizer
from outlast.testing.world import Triage, World, right


def calm(out: Any) -> bool:
    return True


SEARCHES = [
    ol.StrategySearch({"route": [ol.Majority(n=3)]}),
    ol.StrategySearch({"route": [ol.Majority(n=3), ol.BestOfN(n=2, reward=calm)], "rate": [ol.Retry(n=2)]}, most=3),
]


@pytest.mark.parametrize("search", SEARCHES, ids=["one", "several"])
def test_it_keeps_the_contract_of_optimizers(search: Any):
    check_optimizer(search)


def test_every_combination_is_raced_and_the_better_strategy_wins():
    world = World(examples=240, base=0.75, gain=0.0)
    parts = split_data(world.data(), 0)
    search = ol.StrategySearch({"route": [ol.Majority(n=7)], "rate": [ol.Majority(n=7)]})

    async def run() -> Any:
        study = Study(Triage(), right, train=parts["train"], select=parts["select"], ledger=Ledger(None, {}))
        with running(lm=world.lm()), study.stage("search"):
            return await search.search(study), study

    winner, study = run_blocking(run)
    assert len(study.candidates) == 4
    assert ol.parameters(study.build(winner))["route.strategy"] == ol.Majority(n=7)


def test_the_compiled_file_holds_the_strategy_and_loads(tmp_path: Any):
    def answer(messages: Any) -> Any:
        text = messages[-1].text
        return {"reasoning": "so", "answer": "right"} if "<<reasoning" in text else {"answer": "wrong"}

    rows = [ol.Example({"question": f"{i}"}, {"answer": "right"}) for i in range(150)]
    program = ol.Predict("question -> answer")
    search = ol.StrategySearch({"": [ol.ChainOfThought(), ol.BestOfN(n=2, reward=calm)]})
    with ol.context(lm=ScriptedLM(answer)):
        done = ol.compile(program, rows, metric=ol.exact_match("answer"), optimizer=search, study=False, progress=False)
    assert isinstance(done.program, ol.ChainOfThought)
    done.save(tmp_path / "p.outlast.json")
    loaded = ol.load(tmp_path / "p.outlast.json", program)
    assert isinstance(loaded, ol.ChainOfThought)


def test_what_no_file_can_hold_is_refused_before_anything_is_asked():
    with pytest.raises(ol.errors.UsageError, match="named function"):
        ol.StrategySearch({"route": [ol.BestOfN(n=2, reward=lambda out: 1)]})


@pytest.mark.parametrize(
    "strategies",
    [{}, {"route": []}, {"route": ol.Majority(n=3)}, {"route": ["cot"]}, {"route": [ol.Predict("a -> b")]}, []],
)
def test_options_that_mean_nothing_are_refused(strategies: Any):
    with pytest.raises(ol.errors.UsageError):
        ol.StrategySearch(strategies)
    with pytest.raises(ol.errors.UsageError):
        ol.StrategySearch({"route": [ol.Majority(n=3)]}, most=0)


def test_the_description_is_json_and_tells_the_strategies_apart():
    one, other = (ol.StrategySearch({"route": [ol.Majority(n=n)]}).describe() for n in (3, 5))
    assert json.dumps(one) != json.dumps(other)
