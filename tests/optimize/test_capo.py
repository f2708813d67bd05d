"""`CAPO`: a population with demonstrations, races that drop, and a price on length."""

from __future__ import annotations

from typing import Any

import pytest
from tests.optimize.studies import COLOURS, Pick, study_of, whole_field, within

import outlast as ol
from outlast.optimize.blocks import ahead
from outlast.testing import ScriptedLM
from outlast.testing.contracts import check_optimizer


def mixes(messages: Any) -> dict[str, str]:
    """A proposer: a variation names one more colour; a combination names those of both."""
    text = messages[-1].text
    colours = [colour for colour in COLOURS if colour in text.rpartition("<<end>>")[0]]
    if "<<second_instruction>>" in text:
        return {"merged": f"Name {' '.join(colours)}."}
    missing = [colour for colour in COLOURS if colour not in colours]
    return {"improved": f"Name {' '.join([*colours, *missing[:1]])}."}


SMALL = {"population": 3, "steps": 4, "crossovers": 3, "block": 10, "max_demos": 0}


def test_crossing_and_varying_lifts_the_program():
    study = study_of(Pick(), train=12, select=40, proposer=ScriptedLM(mixes))
    winner = within(study, lambda: ol.CAPO(**SMALL).search(study))
    assert study.tally(winner).mean == 1
    assert winner.operator == "capo"
    assert any("crossed" in candidate.origin for candidate in study.candidates.values())


def test_a_race_drops_who_is_behind_the_population():
    drawn = iter(["Say nothing 1.", "Say nothing 2.", *[f"Name red green blue grey {n}." for n in range(6)]])

    def reply(messages: Any) -> dict[str, str]:
        if "<<second_instruction>>" in messages[-1].text:
            return {"merged": "Both."}
        return {"improved": next(drawn)}

    study = study_of(Pick(), train=12, select=60, proposer=ScriptedLM(reply))
    winner = within(study, lambda: ol.CAPO(**{**SMALL, "steps": 1, "crossovers": 5}).search(study))
    assert study.tally(winner).mean == 1
    seen = {candidate.id: len(study.tally(candidate).values) for candidate in study.candidates.values()}
    assert seen["start"] == 10  # all five children are ahead after the first block
    assert sum(count == 60 for count in seen.values()) == 5  # equals, so that no block tells them apart


def test_of_equals_the_shorter_prompt_wins():
    long = f"Name red green blue grey. {'And so on. ' * 30}"

    def reply(messages: Any) -> dict[str, str]:
        if "<<second_instruction>>" in messages[-1].text:
            return {"merged": "Both."}
        return {"improved": "Name red green blue grey." if "Both." in whole_field(messages, "instruction") else long}

    study = study_of(Pick(), train=12, select=40, proposer=ScriptedLM(reply))
    winner = within(study, lambda: ol.CAPO(**SMALL).search(study))
    assert winner.changes["pick.instruction"] == "Name red green blue grey."
    free = study_of(Pick(), train=12, select=40, proposer=ScriptedLM(reply))
    other = within(free, lambda: ol.CAPO(**SMALL, length_penalty=0).search(free))
    assert free.tally(other).mean == 1


def test_members_have_demonstrations_and_children_mix_them():
    study = study_of(Pick(), train=20, select=20, proposer=ScriptedLM(mixes))
    options = {**SMALL, "max_demos": 4, "population": 6}
    within(study, lambda: ol.CAPO(**options).search(study))
    sizes = {len(candidate.changes.get("pick.demos", ())) for candidate in study.candidates.values()}
    assert len(sizes) > 2
    assert max(sizes) <= 4


def test_ahead_is_a_paired_test():
    better = {str(n): 1.0 for n in range(12)}
    worse = {**better, **{str(n): 0.0 for n in range(5)}}
    assert ahead(better, worse, 0.2)
    assert not ahead(worse, better, 0.2)
    assert not ahead({**worse, "11": 1.0}, {**worse, "11": 1.0}, 0.2)
    assert not ahead({"1": 1.0}, {"1": 0.0}, 0.2)


@pytest.mark.parametrize("lm", [ScriptedLM(lambda _: ""), ScriptedLM(lambda _: {"improved": "", "merged": ""})])
def test_a_proposer_that_has_nothing_to_say_leaves_the_start(lm: Any):
    study = study_of(Pick(), proposer=lm)
    assert within(study, lambda: ol.CAPO(**SMALL).search(study)) == study.start


@pytest.mark.parametrize(
    "make",
    [lambda: ol.CAPO(population=1), lambda: ol.CAPO(alpha=0.7), lambda: ol.CAPO(length_penalty=-1)],
)
def test_options_that_mean_nothing_are_refused(make: Any):
    with pytest.raises(ol.errors.UsageError):
        make()


@pytest.mark.slow
def test_it_keeps_the_contract():
    check_optimizer(ol.CAPO(population=3, steps=2, crossovers=2, block=10))
