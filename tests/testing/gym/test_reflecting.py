"""The simulated proposer finds what it is shown, in every form, and errs as much as it should."""

import json

import pytest
from tests.testing.gym.prompts import Anew, Edits, Rules, failures, gepa

import outlast as ol
from outlast.testing import gym
from outlast.testing.gym.evidence import present

TASK = "Route the message to the team that should answer it."


@pytest.fixture(scope="module")
def world():
    return gym.world("RuleBook", seed=1)


def sure(world, **options):
    """A proposer that makes no mistake."""
    return world.reflector(strength=1.0, **{"specific": 0.0, "forget": 0.0, "most": 1, **options})


def right(world, text):
    """How many right rules and how many wrong ones a text states."""
    rules = present(world, text.splitlines())
    good = sum(world.steps[step].answers[cue] == label for step, cue, label in rules)
    return good, len(rules) - good


@pytest.mark.parametrize("adapter", [ol.Chat(), ol.JSON(), ol.XML(), ol.Tools()], ids=lambda one: type(one).__name__)
def test_it_answers_whatever_outputs_a_proposer_asks_for(world, adapter):
    shown = "\n\n".join(failures(world, 3))
    with ol.context(lm=sure(world), adapter=adapter):
        edits = ol.Predict(Edits)(instruction=TASK, episodes=shown).edits
        improved = ol.Predict(Anew)(instruction=TASK, episodes=shown).improved
        rules = ol.Predict(Rules)(examples=shown).rules
    assert right(world, "\n".join(edit.text for edit in edits if edit.op == "add")) == (1, 0)
    assert improved.startswith(TASK)
    assert right(world, improved) == (1, 0)
    assert right(world, "\n".join(rules))[0] >= 1


def test_it_answers_gepa_and_plain_json(world):
    shown = "\n\n".join(failures(world, 3))
    said = sure(world).answer(gepa(TASK, shown))
    assert said.startswith("```\n" + TASK)
    assert right(world, said) == (1, 0)
    asked = (
        f"[[ ## current_instruction ## ]]\n{TASK}\n\n[[ ## examples_with_feedback ## ]]\n"
        f"{json.dumps([{'Inputs': one} for one in failures(world, 3)])}\n\n"
        "Respond with a JSON object in the following order of fields: `new_instruction`."
    )
    assert right(world, json.loads(sure(world).answer([("user", asked)]))["new_instruction"]) == (1, 0)


def test_it_finds_only_what_it_is_shown(world):
    for sample in range(20):
        said = sure(world).answer(gepa(TASK, "\n\n".join(failures(world, 2))), sample=sample)
        shown = {world.item(row["message"]).cues[0] for row in list(world.parts()["train"])[:2]}
        assert {cue for _, cue, _ in present(world, said.splitlines())} <= shown
    assert right(world, sure(world).answer(gepa(TASK, "nothing to see"))) == (0, 0)


def test_strength_is_the_share_of_failures_that_lead_to_their_rule(world):
    def share(lm):
        shown = ["\n\n".join(failures(world, number)[-2:]) for number in range(2, 82)]
        return sum(right(world, lm.answer(gepa(TASK, one)))[0] for one in shown) / len(shown)

    weak = share(world.reflector(strength=0.3, specific=0.0, most=1))
    strong = share(world.reflector(strength=0.9, specific=0.0, most=1))
    assert 0.15 < weak < 0.5
    assert strong > 0.75


def test_more_failures_than_it_can_use_make_it_weaker(world):
    def share(number):
        texts = ["\n\n".join(failures(world, at + number)[at:]) for at in range(40)]
        lm = world.reflector(strength=0.9, specific=0.0, most=1, capacity=2)
        return sum(right(world, lm.answer(gepa(TASK, one)))[0] for one in texts) / 40

    assert share(2) > share(30) + 0.1


def test_it_forgets_lines_when_it_writes_anew_and_none_when_it_edits(world):
    lines = "\n".join([TASK, *(world.rule(cue) for cue in range(10))])
    shown = "\n\n".join(failures(world, 3))
    kept = 0
    with ol.context(lm=world.reflector(forget=0.3)):
        for sample in range(20):
            with ol.context(sample=sample):
                kept += right(world, ol.Predict(Anew)(instruction=lines, episodes=shown).improved)[0]
                edits = ol.Predict(Edits)(instruction=lines, episodes=shown).edits
                assert sum(edit.op == "delete" for edit in edits) <= 2
    assert 110 < kept < 180


def test_it_takes_over_rules_that_others_state(world):
    advice = f"It seems that {world.steps[0].cues[3][0]} should mean something.\n{world.rule(5)}"
    said = sure(world).answer(gepa(TASK, advice))
    assert (0, 5, world.steps[0].answers[5]) in present(world, said.splitlines())


def test_it_thinks_of_the_router_only_when_it_sees_both_niches():
    world = gym.world("TwoCities", seed=1)
    rows = {niche: [] for niche in (0, 1)}
    for row, text in zip(world.parts()["train"], failures(world, 150), strict=True):
        rows[world.niche_of(world.item(row["message"]).cues[0])].append(text)
    one = [sure(world).answer(gepa(TASK, "\n\n".join(rows[0][:3])), sample=at) for at in range(20)]
    both = [sure(world).answer(gepa(TASK, rows[0][0] + "\n\n" + rows[1][0]), sample=at) for at in range(20)]
    assert not any(world.router in said for said in one)
    assert any(world.router in said for said in both)


def test_it_edits_the_module_that_it_is_asked_about():
    world = gym.world("Chain", seed=1)
    row = world.parts()["train"][0]
    wrong = ol.Prediction(kind="none", desk="none", team="none")
    said = world.metric(row, wrong).feedback
    shown = f"Inputs: message = {row['message']}\nFeedback: {said}\nScore: 0"
    close = sure(world).answer(gepa("Say which team closes the case.", shown))
    assert {step for step, _, _ in present(world, close.splitlines())} == {2}


def test_the_model_of_a_program_proposes_too_but_worse(world):
    assert world.lm().manner.strength < world.reflector().manner.strength
    assert world.lm().answer(gepa(TASK, "\n\n".join(failures(world, 3)))).startswith("```")
