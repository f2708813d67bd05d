"""`MIPRO`: grounded proposals and sets of demos, combined by trials on shared minibatches."""

from __future__ import annotations

from typing import Any

import pytest
from tests.optimize.studies import COLOURS, Paint, Pick, field_of, knows, study_of, whole_field, within

import outlast as ol
from outlast.optimize.demos import example_of
from outlast.testing import ScriptedLM
from outlast.testing.contracts import check_optimizer

SMALL = {"minibatch": 6, "full_every": 3, "sampler": "own"}


def proposes(messages: Any) -> dict[str, str]:
    """A proposer: sums up the data, and names one colour or all, by the tip."""
    if "<<tip>>" not in messages[-1].text:
        return {"observations": "Things have colours."}
    named = " ".join(COLOURS) if "rules" in whole_field(messages, "tip") else "red"
    return {"proposed": f"Name {named}."}


def test_the_proposer_sees_a_summary_of_the_data_the_code_and_a_tip():
    lm = ScriptedLM(proposes, keep=True)
    study = study_of(Pick(), train=20, select=20, proposer=lm)
    winner = within(study, lambda: ol.MIPRO(candidates=8, trials=9, **SMALL).search(study))
    assert len(lm.requests) == 1 + 8
    assert len({whole_field(request.messages, "tip") for request in lm.requests[1:]}) > 1
    for request in lm.requests[1:]:
        text = request.messages[-1].text
        assert "Things have colours." in text
        assert "class Pick(ol.Module)" in text
        assert "Values of colour: " in text
    assert study.tally(winner).mean == 1
    assert winner.operator == "mipro"


def shown_helps(messages: Any) -> dict[str, str]:
    """A student that answers rightly what it is shown as a demonstration or told about."""
    if "<<text>>" in messages[-1].text:
        return {"thing": field_of(messages, "text")}
    number = int(field_of(messages, "thing").split()[-1])
    colour = COLOURS[number % len(COLOURS)]
    told = "\n".join(message.text for message in messages[:-1])
    return {"colour": colour if colour in told else "none"}


def test_sets_of_demos_are_chosen_too_and_show_training_examples_only():
    study = study_of(Pick(), train=20, select=20, proposer=ScriptedLM(lambda _: ""))
    winner = within(study, lambda: ol.MIPRO(candidates=4, trials=9, **SMALL).search(study), shown_helps)
    assert study.tally(winner).mean > study.tally(study.start).mean
    train = {study.key_of(example) for example in study.train}
    for candidate in study.candidates.values():
        for demo in candidate.changes.get("pick.demos", ()):
            assert example_of(demo) in train
    assert len(winner.changes["pick.demos"]) <= 4


def test_without_demos_there_is_no_bootstrap():
    study = study_of(Pick(), proposer=ScriptedLM(proposes))
    within(study, lambda: ol.MIPRO(candidates=4, trials=4, max_demos=0, **SMALL).search(study))
    assert study.outcomes_of(study.start, "train") == []
    assert all("pick.demos" not in candidate.changes for candidate in study.candidates.values())


def test_trials_between_full_runs_share_their_minibatch():
    study = study_of(Pick(), train=20, select=40, proposer=ScriptedLM(lambda messages: {**proposes(messages)}))
    within(study, lambda: ol.MIPRO(candidates=6, trials=3, max_demos=0, **SMALL).search(study))
    batches = {
        frozenset(study.tally(one).values)
        for one in study.candidates.values()
        if one != study.start and len(study.tally(one).values) == 6
    }
    assert len(batches) <= 1
    sizes = {len(study.tally(one).values) for one in study.candidates.values()}
    assert 40 in sizes


def test_every_module_has_its_own_choice():
    study = study_of(Paint(), train=20, select=20, proposer=ScriptedLM(proposes))
    winner = within(study, lambda: ol.MIPRO(candidates=7, trials=12, max_demos=0, **SMALL).search(study))
    assert study.tally(winner).mean == 1
    changed = [set(candidate.changes) for candidate in study.candidates.values()]
    assert {"pick.instruction"} in changed or {"read.instruction"} in changed


def test_nothing_to_choose_costs_one_pass_at_most():
    lm = ScriptedLM(lambda _: "")
    study = study_of(Pick(), proposer=lm, lock=["pick.demos"])
    assert within(study, lambda: ol.MIPRO(candidates=3, **SMALL).search(study), knows) == study.start
    assert study.tally(study.start).values == {}


@pytest.mark.parametrize(
    "make",
    [lambda: ol.MIPRO(candidates=0), lambda: ol.MIPRO(trials=0), lambda: ol.MIPRO(sampler="other")],
)
def test_options_that_mean_nothing_are_refused(make: Any):
    with pytest.raises(ol.errors.UsageError):
        make()


def test_its_description_says_which_sampler_runs():
    assert ol.MIPRO(sampler="own").describe()["sampler"] == "own"
    assert ol.MIPRO().describe()["sampler"] in ("own", "optuna")


@pytest.mark.slow
def test_it_keeps_the_contract():
    check_optimizer(ol.MIPRO(candidates=2, trials=5, minibatch=10, sampler="own"))
