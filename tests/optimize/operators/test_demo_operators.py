"""Operators on demonstrations."""

from __future__ import annotations

from typing import Any, Literal

import pytest

import outlast as ol
from outlast.data.example import id_of
from outlast.errors import UsageError
from outlast.optimize.demos import example_of
from outlast.optimize.ledger import Ledger
from outlast.optimize.operators.demos import AddDemos, DropDemos, NearDemos, OrderDemos, SwapDemos
from outlast.optimize.study import Study
from outlast.runtime import run_blocking, running
from outlast.testing import ScriptedLM
from outlast.testing.world import Triage, World, right

EVERY = [AddDemos(), SwapDemos(), DropDemos(), OrderDemos(), NearDemos()]


class Climate(ol.Signature):
    """Say what the weather is like."""

    text: str = ol.input()
    weather: Literal["warm", "cold"] = ol.output()


def rows(start: int, end: int) -> list[ol.Example]:
    """Texts in two clusters; every seventh has the wrong label."""
    found: list[ol.Example] = []
    for number in range(start, end):
        warm = number % 2 == 0
        said = "sunny beach holiday" if warm else "snow storm glacier"
        label = "warm" if warm != (number % 7 == 3) else "cold"
        found.append(ol.Example({"text": f"{said} day{number}"}, {"weather": label}))
    return found


def same(example: Any, out: Any) -> bool:
    return example.weather == out.weather


def a_study(**options: Any) -> Study:
    train, select = rows(0, 42), rows(42, 60)
    return Study(ol.Predict(Climate), same, train=train, select=select, ledger=Ledger(None, {}), **options)


def propose(study: Study, operator: Any, parent: Any, number: int, lm: Any = None) -> list[Any]:
    async def run() -> Any:
        with running(lm=lm or ScriptedLM([])), study.stage("search"):
            return await operator.propose(study, parent, number)

    return run_blocking(run)


def evaluated(study: Study, lm: Any, candidate: Any, examples: Any) -> None:
    async def run() -> None:
        with running(lm=lm), study.stage("search"):
            await study.evaluate(candidate, examples)

    run_blocking(run)


def shown(candidate: Any, path: str = "demos") -> list[str]:
    return [example_of(demo) for demo in candidate.changes[path]]


def test_what_is_added_covers_both_labels_and_leaves_out_the_mislabelled() -> None:
    study = a_study()
    wrong = {id_of(example) for number, example in enumerate(study.train) if number % 7 == 3}
    (made,) = propose(study, AddDemos(), study.start, 0)
    assert len(shown(made)) == 8
    assert {demo.values["weather"] for demo in made.changes["demos"]} == {"warm", "cold"}
    assert not set(shown(made)) & wrong
    assert (made.operator, made.parent) == ("add demos", "start")
    assert study.rollouts == 0


def test_attempts_differ_in_number_and_rule() -> None:
    study = a_study()
    made = [one for number in range(12) for one in propose(study, AddDemos(), study.start, number)]
    assert len({len(shown(one)) for one in made}) >= 5
    assert len({one.id for one in made}) == 12
    few = [one for number in range(4) for one in propose(study, AddDemos(sizes=(3,)), study.start, number)]
    assert {len(shown(one)) for one in few} == {3}


def test_more_is_added_to_what_a_parent_shows() -> None:
    study = a_study()
    (first,) = propose(study, AddDemos(), study.start, 2)
    (more,) = propose(study, AddDemos(), first, 0)
    assert shown(more)[:4] == shown(first)
    assert len(shown(more)) == 12


def test_the_same_attempt_gives_the_same_candidate() -> None:
    for operator in EVERY:
        for number in range(5):
            made: list[list[str]] = []
            for _ in range(2):
                study = a_study()
                (parent,) = propose(study, AddDemos(), study.start, 0)
                made.append([one.id for one in propose(study, operator, parent, number)])
            assert made[0] == made[1]


def test_failures_draw_in_what_resembles_them() -> None:
    study = a_study()
    (parent,) = propose(study, AddDemos(sizes=(4,)), study.start, 0)
    always_warm = ScriptedLM(lambda messages: "<<weather>>\nwarm")
    evaluated(study, always_warm, parent, study.select)
    (swapped,) = propose(study, SwapDemos(), parent, 1)
    new = [demo for demo in swapped.changes["demos"] if example_of(demo) not in shown(parent)]
    assert len(new) == 2
    assert len(shown(swapped)) == 4
    assert "snow" in new[-1].values["text"]
    assert swapped.operator == "swap demos"


def test_dropping_keeps_the_rest_in_order_and_ends_with_none() -> None:
    study = a_study()
    (parent,) = propose(study, AddDemos(), study.start, 0)
    kept = [propose(study, DropDemos(), parent, number) for number in range(4)]
    sizes = [len(shown(made[0])) for made in kept if made]
    assert sizes == [6, 4, 2]
    assert kept[3] == []  # without any it is the start
    rest = shown(kept[0][0])
    assert rest == [one for one in shown(parent) if one in rest]


def test_what_hurt_is_dropped_first() -> None:
    study = a_study()
    examples = study.train
    demos = [ol.Demo({"text": e.text, "weather": e.weather}, f"example {id_of(e)}") for e in examples[4:8]]
    poison = example_of(demos[1])
    bad = ScriptedLM(lambda messages: f"<<weather>>\n{'warm' if demos[1].values['text'] in str(messages) else 'cold'}")
    cold = [one for one in study.select if one.weather == "cold"]
    whole = study.propose({"demos": demos}, origin="all")
    for picked in ([0, 1], [1, 2], [0, 2], [2, 3], [0, 3], [0, 1, 2, 3]):
        one = study.propose({"demos": [demos[at] for at in picked]}, origin="some")
        evaluated(study, bad, one, cold)
    evaluated(study, bad, study.start, cold)
    (made,) = propose(study, DropDemos(), whole, 0)
    assert poison not in shown(made)
    assert len(shown(made)) == 3


def test_orders_are_permutations_and_run_out() -> None:
    study = a_study()
    (parent,) = propose(study, AddDemos(sizes=(2,)), study.start, 0)
    every = [propose(study, OrderDemos(), parent, number) for number in range(4)]
    made = [one for some in every for one in some]
    assert [sorted(shown(one)) for one in made] == [sorted(shown(parent))]
    assert shown(made[0]) == shown(parent)[::-1]


def test_a_pool_for_each_input() -> None:
    study = a_study()
    (made,) = propose(study, NearDemos(sizes=(2,)), study.start, 0)
    assert made.changes["shown"] == ol.Nearest(2)
    wrong = {id_of(example) for number, example in enumerate(study.train) if number % 7 == 3}
    assert len(wrong & set(shown(made))) <= 1
    assert len(shown(made)) >= 36
    assert propose(study, NearDemos(sizes=(2,)), study.start, 1) == []
    assert not OrderDemos().applies(study, made)
    (fixed,) = propose(study, AddDemos(), made, 1)
    assert fixed.changes.get("shown") is None


def test_demonstrations_written_by_hand_stay_in_front() -> None:
    hand = {"text": "ice", "weather": "cold"}
    study = Study(
        ol.Predict(Climate, demos=[hand]), same, train=rows(0, 42), select=rows(42, 60), ledger=Ledger(None, {})
    )
    (parent,) = propose(study, AddDemos(), study.start, 0)
    for operator in EVERY:
        for one in propose(study, operator, parent, 0):
            assert dict(one.changes["demos"][0].values) == hand


def test_inner_modules_get_demonstrations_of_a_small_bootstrap() -> None:
    class Inner(ol.Module):
        note = ol.Predict("message -> note")
        route = ol.Predict("message, note -> team")

        async def forward(self, message: str) -> Any:
            return await self.route.acall(message=message, note=(await self.note.acall(message=message)).note)

    def answer(messages: Any) -> str:
        return "<<note>>\nlook" if "Reply with <<note>>" in str(messages[-1].content) else "<<team>>\ncards"

    data = [ol.Example({"message": f"m{n}"}, {"team": "cards"}) for n in range(40)]
    study = Study(Inner(), lambda e, o: e.team == o.team, train=data[:20], select=data[20:], ledger=Ledger(None, {}))
    (made,) = propose(study, AddDemos(sizes=(4,)), study.start, 0, ScriptedLM(answer))
    assert made.changes["note.demos"][0].values["note"] == "look"
    assert 4 <= study.rollouts <= 16


def test_one_of_several_predictors_at_a_time_in_odd_attempts() -> None:
    data = list(World(examples=60).data())
    study = Study(Triage(), right, train=data[:40], select=data[40:], ledger=Ledger(None, {}))
    changed = [
        {path for path in one.changes if path.endswith("demos")}
        for number in range(4)
        for one in propose(study, AddDemos(sizes=(2, 4, 8, 16)), study.start, number)
    ]
    assert changed == [{"route.demos", "rate.demos"}, {"route.demos"}, {"route.demos", "rate.demos"}, {"rate.demos"}]


def test_locked_demonstrations_stay() -> None:
    study = a_study(lock=["demos"])
    assert not any(operator.applies(study, study.start) for operator in EVERY)
    study = a_study(lock=["shown"])
    assert not NearDemos().applies(study, study.start)
    assert propose(study, AddDemos(), study.start, 0)


def test_they_describe_themselves() -> None:
    assert AddDemos().describe()["operator"] == "AddDemos"
    with pytest.raises(UsageError, match="tokens"):
        AddDemos(tokens=0)
