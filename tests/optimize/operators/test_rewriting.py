"""The operators that write texts: what the proposer is shown, what becomes of its answer."""

from __future__ import annotations

from typing import Any, cast

import pytest
from tests.optimize.studies import Paint, Pick, study_of, within

import outlast as ol
from outlast.optimize.operators.crossover import Crossover, exchanged
from outlast.optimize.operators.induce import Induce
from outlast.optimize.operators.propose import ProposeGrounded
from outlast.optimize.operators.rewrite import Rewrite
from outlast.optimize.texts import minibatch, texts
from outlast.testing import ScriptedLM

EVERY = [Rewrite(), Induce(), ProposeGrounded(), Crossover()]


def test_a_rewrite_is_shown_the_episodes_and_says_what_caused_it():
    lm = ScriptedLM(lambda _: {"improved": "Name red, green, blue or grey."}, keep=True)
    study = study_of(Pick(), proposer=lm)
    (made,) = within(study, lambda: Rewrite().propose(study, study.start, 0))
    assert made.changes == {"pick.instruction": "Name red, green, blue or grey."}
    assert (made.operator, made.parent, len(made.cause)) == ("rewrite", "start", 3)
    shown = lm.requests[0].messages[-1].text
    assert "Pick a colour." in shown
    assert shown.count("answered: colour = none") == 3
    assert "Feedback: the colour is" in shown


def test_nothing_is_asked_where_nothing_failed():
    lm = ScriptedLM(lambda _: {"improved": "x y"})
    study = study_of(ol.update(Pick(), {"pick.instruction": "red green blue grey"}), proposer=lm)
    assert within(study, lambda: Rewrite().propose(study, study.start, 0)) == []
    assert lm.calls == 0


def test_induced_rules_stand_below_the_instruction_and_none_twice():
    lm = ScriptedLM(lambda _: {"rules": ["Say red.", "Say green.", "Say red.", "Pick a colour."]}, keep=True)
    study = study_of(Pick(), proposer=lm)
    (made,) = within(study, lambda: Induce(shown=4).propose(study, study.start, 0))
    assert made.changes == {"pick.instruction": "Pick a colour.\nSay red.\nSay green."}
    assert lm.requests[0].messages[-1].text.count("Expected: colour =") == 4


def test_a_grounded_proposal_sees_code_data_and_another_tip_each_time():
    lm = ScriptedLM(lambda _: {"proposed": "Name a colour."}, keep=True)
    study = study_of(Pick(), proposer=lm)

    async def twice() -> Any:
        return [await ProposeGrounded().propose(study, study.start, number) for number in (0, 3)]

    first, second = within(study, twice)
    assert first == second
    one, other = (request.messages[-1].text for request in lm.requests)
    assert "class Pick(ol.Module)" in one
    assert "Values of colour: " in one
    assert "a good instruction" in one
    assert "one a line" in other


def test_a_crossover_makes_one_text_of_two():
    lm = ScriptedLM(lambda _: {"merged": "Both."}, keep=True)
    study = study_of(Pick(), proposer=lm)
    one = study.propose({"pick.instruction": "Red."}, origin="one")
    two = study.propose({"pick.instruction": "Green."}, origin="two")

    async def run() -> Any:
        await study.evaluate(two, study.select)
        assert Crossover().applies(study, one)
        return await Crossover().propose(study, one, 0)

    (made,) = within(study, run)
    assert made.changes == {"pick.instruction": "Both."}
    assert "Red." in (text := lm.requests[0].messages[-1].text)
    assert "Green." in text


def test_exchange_takes_each_part_from_the_side_that_changed_it():
    study = study_of(Paint())
    one = study.propose({"read.instruction": "A."}, origin="one")
    two = study.propose({"pick.instruction": "B red."}, origin="two")
    three = study.propose({"read.instruction": "C."}, origin="three", parent=two)

    async def run() -> Any:
        for candidate in (one, two, three):
            await study.evaluate(candidate, study.select)

    within(study, run)
    made = exchanged(study, one, two)
    assert made is not None
    assert made.changes == {"read.instruction": "A.", "pick.instruction": "B red."}
    assert exchanged(study, two, three) is None
    assert exchanged(study, one, three) is None  # three wins both parts, so that nothing new comes of it


@pytest.mark.parametrize("operator", EVERY, ids=lambda operator: operator.name)
@pytest.mark.parametrize("reply", ["", {"improved": "  ", "rules": [], "proposed": "", "merged": " "}, "x" * 90_000])
def test_rubbish_makes_no_candidate(operator: Any, reply: Any):
    study = study_of(Pick(), proposer=ScriptedLM(lambda _: reply))
    other = study.propose({"pick.instruction": "Another."}, origin="other")

    async def run() -> Any:
        await study.evaluate(other, study.select)
        return await operator.propose(study, study.start, 0)

    assert within(study, run) == []
    assert len(study.candidates) == 2


@pytest.mark.parametrize("operator", EVERY, ids=lambda operator: operator.name)
def test_where_all_texts_are_locked_nothing_applies(operator: Any):
    study = study_of(Pick(), lock=["pick.instruction"], proposer=ScriptedLM([]))
    assert not operator.applies(study, study.start)
    assert within(study, lambda: operator.propose(study, study.start, 0)) == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rewrite(batch=0),
        lambda: Induce(rules=0),
        lambda: Crossover(partners=True),
        lambda: Induce(proposer=cast("Any", 1)),
    ],
)
def test_options_that_mean_nothing_are_refused(make: Any):
    with pytest.raises(ol.errors.UsageError):
        make()


class Spoken(ol.Module):
    style = ol.param("Speak like a sailor.")
    kind = ol.param("plain")
    pick = ol.Predict("thing -> colour: str", instruction="Pick a colour.")

    async def forward(self, thing: str) -> Any:
        return await self.pick.acall(thing=f"{self.style} {thing}")


def test_declared_prose_is_a_text_too_and_a_single_word_is_not():
    assert texts(study_of(Spoken())) == ["style", "pick.instruction"]
    assert texts(study_of(Spoken(), lock=["pick"])) == ["style"]


def test_minibatches_go_through_all_examples_before_one_comes_again():
    study = study_of(Pick(), train=7)
    seen = [example.thing for number in range(7) for example in minibatch(study, number, 3)]
    assert len(set(seen[:7])) == 7
    assert len(set(seen[7:14])) == 7
    assert seen[:7] != seen[7:14]
    assert minibatch(study, 2, 3) == minibatch(study, 2, 3)
