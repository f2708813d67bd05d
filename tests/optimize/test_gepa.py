"""`GEPA`: specialists stay in the pool, one text is rewritten at a time, and lineages are merged."""

from __future__ import annotations

from typing import Any

import pytest
from tests.optimize.studies import COLOURS, Paint, Pick, study_of, whole_field, within

import outlast as ol
from outlast.optimize.candidate import Candidate
from outlast.optimize.pareto import best_somewhere
from outlast.testing import ScriptedLM, gym
from outlast.testing.contracts import check_optimizer


def tells_colours(messages: Any) -> dict[str, str]:
    """A proposer that writes down the colour that the last failure in view should have had."""
    text = messages[-1].text
    colour = text.rpartition("the colour is ")[2].partition("\n")[0]
    return {"improved": f"{whole_field(messages, 'instruction')}\nSay {colour}."}


def one(name: str) -> Candidate:
    return Candidate(name)


def test_the_front_keeps_a_specialist_and_not_who_is_covered():
    generalist, specialist, covered = one("generalist"), one("specialist"), one("covered")
    values = {
        generalist: {"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.0},
        specialist: {"a": 0.0, "b": 0.0, "c": 0.0, "d": 1.0},
        covered: {"a": 1.0, "b": 1.0, "c": 0.0, "d": 0.0},
    }
    assert best_somewhere(values) == {generalist: 3, specialist: 1}


def test_of_twins_one_stays_on_the_front():
    assert len(best_somewhere({one("a"): {"x": 1.0}, one("b"): {"x": 1.0}})) == 1


def test_reflection_lifts_the_program_to_the_top():
    lm = ScriptedLM(tells_colours, keep=True)
    study = study_of(Pick(), proposer=lm)
    winner = within(study, lambda: ol.GEPA(steps=12).search(study))
    assert study.tally(winner).mean == 1
    assert all(colour in winner.changes["pick.instruction"] for colour in COLOURS)
    assert winner.cause
    assert winner.operator == "gepa"
    assert "answered: colour = none" in lm.requests[0].messages[-1].text


def test_a_child_that_is_no_better_on_the_minibatch_is_not_run_on_the_selection_examples():
    study = study_of(Pick(), proposer=ScriptedLM(lambda _: {"improved": "Pick any."}))
    winner = within(study, lambda: ol.GEPA(steps=3).search(study))
    assert winner == study.start
    (child,) = [candidate for candidate in study.candidates.values() if candidate != study.start]
    assert study.tally(child).values == {}
    assert study.rejected == [child]


def test_the_texts_of_a_program_take_turns():
    seen: list[str] = []

    def rewrite(messages: Any) -> dict[str, str]:
        seen.append(whole_field(messages, "module").split(":")[0])
        return {"improved": f"Try {len(seen)}."}

    study = study_of(Paint(), proposer=ScriptedLM(rewrite))
    within(study, lambda: ol.GEPA(steps=4).search(study))
    assert seen == ["read", "pick", "read", "pick"]


class Halves(ol.Module):
    """Two modules that answer for half of the things each; they can be learned apart and merged."""

    warm = ol.Predict("thing -> colour: str", instruction="Say blue.")
    cold = ol.Predict("thing -> colour: str", instruction="Cold.")

    async def forward(self, thing: str) -> Any:
        part = self.warm if int(thing.split()[-1]) % 2 == 0 else self.cold
        return await part.acall(thing=thing)


def test_lineages_that_learned_different_parts_are_merged():
    def rewrite(messages: Any) -> dict[str, str]:
        warm = whole_field(messages, "module").startswith("warm")
        return {"improved": "Say red." if warm else "Say green or grey."}

    merges: list[tuple[ol.Study, Candidate]] = []
    for seed in range(6):
        study = study_of(Halves(), proposer=ScriptedLM(rewrite), seed=seed)
        within(study, lambda study=study: ol.GEPA(steps=10).search(study))
        merges += [(study, one) for one in study.candidates.values() if one.operator == "merge"]
    assert merges
    for study, merged in merges:
        assert merged.changes == {"warm.instruction": "Say red.", "cold.instruction": "Say green or grey."}
        assert study.tally(merged).mean == 0.75


def test_several_steps_at_once_ask_at_once():
    lm = ScriptedLM(tells_colours, latency=0.05)
    study = study_of(Pick(), proposer=lm)
    winner = within(study, lambda: ol.GEPA(steps=16, parallel=8).search(study))
    assert study.tally(winner).mean > study.tally(study.start).mean


@pytest.mark.parametrize("seed", [0, 1])
def test_it_lifts_the_rule_book(seed: int):
    lifted(ol.GEPA(steps=300), seed)


def lifted(optimizer: ol.Optimizer, seed: int, world: str = "RuleBook") -> None:
    """The true score of what a search within 1,000 rollouts gives is clearly above that of the start."""
    place = gym.world(world, seed=seed)
    found = ol.compile(
        place.program(),
        data_of(place),
        place.metric,
        optimizer=optimizer,
        budget=ol.Budget(rollouts=1000),
        proposer=place.reflector(),
        proposer_budget=ol.Budget(calls=100),
        lm=place.lm(),
        study=False,
        progress=False,
    )
    assert place.expected(found.winner) > place.expected(place.program()) + 0.07


def data_of(place: Any) -> Any:
    """Training examples, and the validation examples halved for ranking and proof."""
    parts = place.parts()
    val = list(parts["val"])
    return {"train": parts["train"], "select": val[:60], "confirm": val[60:]}


@pytest.mark.parametrize("make", [lambda: ol.GEPA(steps=0), lambda: ol.GEPA(minibatch=0), lambda: ol.GEPA(merges=-1)])
def test_options_that_mean_nothing_are_refused(make: Any):
    with pytest.raises(ol.errors.UsageError):
        make()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [ol.GEPA(steps=4), ol.GEPA(steps=6, parallel=3)])
def test_it_keeps_the_contract(optimizer: Any):
    check_optimizer(optimizer)
