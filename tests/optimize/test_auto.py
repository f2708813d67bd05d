"""`Auto`: what it does on the gym's worlds, with a useless proposer, with little to do, and when it is run again."""

from __future__ import annotations

from typing import Any

import pytest
from tests.optimize.studies import Pick, study_of, within

import outlast as ol
from outlast.errors import UsageError
from outlast.optimize.auto import _Search  # pyright: ignore[reportPrivateUsage]
from outlast.testing import ScriptedLM, gym
from outlast.testing.contracts import check_optimizer
from outlast.testing.world import Triage, World, right


def compiled(name: str, *, rollouts: int, seed: int = 0, **options: Any) -> tuple[Any, Any]:
    world = gym.world(name, seed=seed)
    parts = world.parts()
    options.setdefault("proposer", world.reflector())
    found = ol.compile(
        world.program(),
        [*parts["train"], *parts["val"]],
        world.metric,
        lm=world.lm(),
        budget=ol.Budget(rollouts=rollouts),
        proposer_budget=ol.Budget(calls=rollouts // 10),
        study=options.pop("study", False),
        progress=False,
        seed=seed,
        **options,
    )
    return world, found


def test_it_keeps_the_bargain_whatever_a_proposer_says():
    check_optimizer(ol.Auto(most=100))


def test_rules_that_failures_show_are_found():
    world, found = compiled("RuleBook", rollouts=400)
    assert found.report.verdict.better
    assert world.expected(found.program) > world.expected(world.program()) + 0.2
    assert found.report.rollouts <= 400
    lines = found.program.instruction.splitlines()
    assert len(lines) >= 3


def test_what_is_told_as_the_most_is_what_the_budget_pays_for():
    told: list[Any] = []
    world = gym.world("RuleBook", seed=0)
    parts = world.parts()
    found = ol.compile(
        world.program(),
        [*parts["train"], *parts["val"]][:60],
        world.metric,
        lm=world.lm(),
        budget=ol.Budget(calls=700),
        proposer=world.reflector(),
        study=False,
        progress=told.append,
    )
    assert found.report.rollouts > ol.Auto().rollouts(24, 16)  # what it takes without a budget
    assert found.report.spending.calls <= (found.report.expected or 0) <= 700
    assert all(state.rollouts <= state.expected for state in told)
    assert all(state.expected <= 800 for state in told)


def test_structure_is_mended_before_anything_else():
    world, found = compiled("SeedTrap", rollouts=300)
    assert found.report.verdict.better
    assert world.expected(found.program) > 0.7


def test_nothing_worse_is_shipped_where_nothing_helps():
    for seed in range(3):
        world, found = compiled("NullLand", rollouts=300, seed=seed)
        assert world.expected(found.program) >= world.expected(world.program()) - 0.01


def test_a_proposer_that_writes_rubbish_costs_its_calls_and_nothing_else():
    world, found = compiled("DemoShelf", rollouts=300, proposer=ScriptedLM(lambda messages: ""))
    assert world.expected(found.program) > world.expected(world.program()) + 0.2


def test_it_ends_where_there_is_nothing_to_gain():
    world = World(examples=200, base=1.0)
    found = ol.compile(Triage(), world.data(), right, lm=world.lm(), study=False, progress=False)
    sizes = {name: part["n"] for name, part in found.report.record["data"].items()}
    assert found.report.rollouts <= sizes["confirm"] + 2 * sizes["select"]
    assert found.report.verdict.word == "inconclusive"


def test_locked_parts_stay_as_they_are():
    _, found = compiled("SeedTrap", rollouts=300, lock=["order", "strategy", "adapter"])
    assert not {"order", "strategy", "adapter"} & set(found.report.candidate.changes)


def test_running_it_again_gives_the_same_and_asks_nothing(tmp_path: Any):
    path = tmp_path / "search.db"
    _, first = compiled("RuleBook", rollouts=300, seed=2, study=path)
    _, again = compiled("RuleBook", rollouts=300, seed=2, study=path)
    assert again.report.candidate == first.report.candidate
    assert again.report.spending.calls == 0
    assert str(again.report.verdict.word) == str(first.report.verdict.word)


def test_it_is_the_default_and_without_a_budget_the_data_bounds_it():
    world = World(examples=60)
    lm = world.lm()
    found = ol.compile(Triage(), world.data(), right, lm=lm, study=False, progress=False)
    assert found.report.record["search"]["optimizer"] == "Auto", "the default"
    proof = 2 * found.report.record["data"]["confirm"]["n"]
    sizes = {name: part["n"] for name, part in found.report.record["data"].items()}
    assert found.report.rollouts <= 12 * sizes["select"] + 4 * sizes["train"] + proof


@pytest.mark.parametrize("options", [{"most": 0}, {"parallel": True}, {"patience": 1.5}])
def test_bad_options_are_refused(options: dict[str, Any]):
    with pytest.raises(UsageError, match="Auto"):
        ol.Auto(**options)


def test_scores_on_another_scale_are_searched_too():
    """A metric from 0 to 10: nothing below the best is taken for right, and no mean above 1 for perfection."""
    world = gym.world("RuleBook", seed=0)
    parts = world.parts()

    def tenfold(example: Any, prediction: Any) -> ol.Score:
        score = world.metric(example, prediction)
        return ol.Score(1 + 9 * float(score.value), feedback=score.feedback)

    found = ol.compile(
        world.program(),
        [*parts["train"], *parts["val"]],
        tenfold,
        lm=world.lm(),
        proposer=world.reflector(),
        budget=ol.Budget(rollouts=400),
        study=False,
        progress=False,
    )
    assert found.report.verdict.better
    assert world.expected(found.program) > world.expected(world.program()) + 0.15


@pytest.mark.parametrize("operators", [["x"], [ol.ReflectEdit], ol.ReflectEdit(), []])
def test_operators_are_a_list_of_operators(operators: Any):
    with pytest.raises(UsageError, match="list of operators"):
        ol.Auto(operators=operators)


def test_an_operator_without_a_name_is_refused_when_the_optimizer_is_made():
    class Nameless(ol.Operator):
        async def propose(self, study: Any, parent: Any, number: int) -> Any:
            return []

    with pytest.raises(UsageError, match=r"Nameless has None\. Write `name: ClassVar\[str\] = 'nameless'`"):
        ol.Auto(operators=[Nameless()])
    with pytest.raises(UsageError, match="an operator has a name"):
        ol.StructureSearch(operators=[Nameless()])


def test_an_operator_that_gives_nonsense_is_named():
    class Odd(ol.Operator):
        name = "odd"

        async def propose(self, study: Any, parent: Any, number: int) -> Any:
            return ["x"]

    world = World(examples=100)
    with pytest.raises(UsageError, match=r"propose\(...\) of Odd gives a list of candidates"):
        ol.compile(
            Triage(),
            world.data(),
            right,
            lm=world.lm(),
            optimizer=ol.Auto(operators=[Odd()]),
            study=False,
            progress=False,
        )


def test_a_bound_below_a_first_look_runs_nothing():
    world = World(examples=200)
    found = ol.compile(
        Triage(), world.data(), right, lm=world.lm(), optimizer=ol.Auto(most=5), study=False, progress=False
    )
    assert found.report.rollouts == found.report.record["data"]["confirm"]["n"]


def test_the_scale_of_a_metric_decides_nothing():
    """The same metric from .7 to 1 lets edits through as well as from 0 to 1."""
    world = gym.world("RuleBook", seed=1)
    parts = world.parts()

    def searched(low: float) -> float:
        def metric(example: Any, prediction: Any) -> ol.Score:
            score = world.metric(example, prediction)
            return ol.Score(low + (1 - low) * float(score.value), feedback=score.feedback)

        found = ol.compile(
            world.program(),
            [*parts["train"], *parts["val"]],
            metric,
            lm=world.lm(),
            proposer=world.reflector(),
            budget=ol.Budget(rollouts=400),
            study=False,
            progress=False,
        )
        return world.expected(found.winner)

    start = world.expected(world.program())
    plain, squeezed = searched(0.0), searched(0.7)
    assert plain > start + 0.1
    assert squeezed > start + 0.1


@pytest.mark.parametrize("options", [{"failures": 0}, {"failures": "3"}, {"block": -1}, {"proposer": "gpt"}])
def test_bad_options_of_an_operator_are_refused(options: dict[str, Any]):
    with pytest.raises(UsageError, match="ReflectEdit"):
        ol.ReflectEdit(**options)


def test_what_a_first_look_dropped_is_looked_at_again() -> None:
    study = study_of(Pick(), select=40)
    search = _Search(ol.Auto(), study)
    good, idle = (
        study.propose({"pick.instruction": f"Pick a colour. {words}"}, origin=words, operator="order")
        for words in ("red green blue grey", "Mind the tone.")
    )

    async def look() -> tuple[bool, bool]:
        search.contest.width = 30
        search.sweep.dropped = [idle, good]
        return await search.sweep.again(0), await search.sweep.again(0)

    assert within(study, look) == (True, False)  # there is nothing left then
    assert study.build(search.pool.best()).pick.instruction == study.build(good).pick.instruction
    assert idle not in search.pool.members
