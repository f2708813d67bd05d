"""`InferRules`: rules from labels, below the instruction, raced."""

from __future__ import annotations

from typing import Any

import pytest
from tests.optimize.studies import COLOURS, Paint, Pick, study_of, within

import outlast as ol
from outlast.testing import ScriptedLM
from outlast.testing.contracts import check_optimizer


def finds_some(messages: Any) -> dict[str, Any]:
    """A proposer that finds as many colours as its draw of examples happens to begin with."""
    text = messages[-1].text
    first = text.partition("<<examples>>")[2][:160]
    return {"rules": [f"Some are {colour}." for colour in COLOURS if colour in first]}


def test_the_draw_with_the_best_rules_wins():
    lm = ScriptedLM(finds_some, keep=True)
    study = study_of(Pick(), train=20, select=40, proposer=lm)
    winner = within(study, lambda: ol.InferRules(candidates=8, max_demos=0).search(study))
    assert len(lm.requests) == 8
    assert len({request.messages[-1].text for request in lm.requests}) == 8
    assert winner.changes["pick.instruction"].startswith("Pick a colour.\nSome are ")
    values = [study.tally(one).mean for one in study.candidates.values()]
    assert study.tally(winner).mean == max(values) > 0.4
    assert all(candidate.operator == "inferrules" for candidate in study.candidates.values() if candidate.id != "start")


def test_demonstrations_come_with_the_rules_unless_they_are_not_wanted():
    study = study_of(Pick(), train=20, select=20, proposer=ScriptedLM(finds_some))
    winner = within(study, lambda: ol.InferRules(candidates=4, max_demos=3).search(study))
    assert len(winner.changes["pick.demos"]) == 3
    assert "Some are" in winner.changes["pick.instruction"]


def test_a_module_without_labels_of_its_own_sees_those_of_the_program():
    lm = ScriptedLM(finds_some, keep=True)
    study = study_of(Paint(), train=20, select=20, proposer=lm)
    within(study, lambda: ol.InferRules(candidates=1, max_demos=0).search(study))
    assert all("Expected: colour = " in request.messages[-1].text for request in lm.requests)
    assert {request.messages[-1].text.count("text = thing") for request in lm.requests} == {20}


def test_without_labels_or_rules_nothing_is_run():
    study = study_of(Pick(), proposer=ScriptedLM(lambda _: {"rules": []}))
    assert within(study, lambda: ol.InferRules(max_demos=0).search(study)) == study.start
    assert study.rollouts == 0


@pytest.mark.parametrize("make", [lambda: ol.InferRules(rules=0), lambda: ol.InferRules(rules=51)])
def test_options_that_mean_nothing_are_refused(make: Any):
    with pytest.raises(ol.errors.UsageError):
        make()


@pytest.mark.slow
def test_it_keeps_the_contract():
    check_optimizer(ol.InferRules(candidates=2))
