"""`TextGrad`: criticism goes back through the modules, and a worse program is taken back."""

from __future__ import annotations

from typing import Any

import pytest
from tests.optimize.studies import COLOURS, Paint, Pick, study_of, whole_field, within
from tests.optimize.test_gepa import lifted

import outlast as ol
from outlast.optimize.candidate import Step
from outlast.optimize.textgrad import users_of
from outlast.testing import ScriptedLM
from outlast.testing.contracts import check_optimizer


class Critic(ol.LM):
    """Criticises, and writes what was criticised into the instruction. Keeps what it was asked, in order."""

    name = "critic"
    blocking_safe = True

    def __init__(self) -> None:
        self.criticised: list[tuple[str, str]] = []
        self.applied: list[tuple[str, str]] = []

    async def complete(self, request: Any) -> Any:
        messages = request.messages
        module = whole_field(messages, "module").split(":")[0]
        if "<<step>>" in messages[-1].text:
            verdict = messages[-1].text.partition("<<verdict>>\n")[2].partition("\n\n<<end>>")[0]
            self.criticised.append((module, verdict))
            colour = verdict.partition("the colour is ")[2].partition("\n")[0].split(" ")[0]
            return ol.Response(f"<<criticism>>\n{module} forgot that the colour is {colour}\n\n<<end>>", self.name)
        text = messages[-1].text.partition("<<criticism>>\n")[2].partition("\n\n<<end>>")[0]
        self.applied.append((module, text))
        named = [colour for colour in COLOURS if colour in f"{whole_field(messages, 'instruction')} {text}"]
        return ol.Response(f"<<improved>>\nSay {' or '.join(named)}.\n\n<<end>>", self.name)


def test_criticism_travels_backwards():
    lm = Critic()
    study = study_of(Paint(), proposer=lm)
    winner = within(study, lambda: ol.TextGrad(steps=1, batch=1).search(study))
    (last, from_metric), (first, from_later) = lm.criticised
    assert (last, first) == ("pick", "read")
    assert "Feedback: the colour is" in from_metric
    assert from_later.startswith("Of module pick: pick forgot that the colour is")
    assert {module for module, _ in lm.applied} == {"read", "pick"}
    assert set(winner.changes) == {"read.instruction", "pick.instruction"}
    assert winner.cause


def test_steps_lift_the_program_to_the_top():
    study = study_of(Pick(), proposer=Critic())
    winner = within(study, lambda: ol.TextGrad(steps=6).search(study))
    assert study.tally(winner).mean == 1


def test_the_criticisms_of_a_batch_are_shown_together():
    lm = Critic()
    study = study_of(Pick(), proposer=lm)
    within(study, lambda: ol.TextGrad(steps=1, batch=3).search(study))
    (applied,) = lm.applied
    assert applied[1].count("Criticism: ") == 3


def test_a_program_that_does_worse_is_taken_back():
    study = study_of(
        ol.update(Pick(), {"pick.instruction": "Say red."}),
        proposer=ScriptedLM(lambda _: {"criticism": "bad", "improved": "Say nothing at all."}),
    )
    winner = within(study, lambda: ol.TextGrad(steps=2).search(study))
    assert winner == study.start
    assert len(study.rejected) == 1


def test_what_only_is_criticised_in_part_is_rewritten_in_part():
    """A critic that has nothing to say about one module leaves its instruction alone."""

    def reply(messages: Any) -> dict[str, str]:
        reading = whole_field(messages, "module").startswith("read")
        return {"criticism": "" if reading else "say red, green, blue, grey", "improved": "red green blue grey"}

    study = study_of(Paint(), proposer=ScriptedLM(reply))
    winner = within(study, lambda: ol.TextGrad(steps=1).search(study))
    assert set(winner.changes) == {"pick.instruction"}


def test_who_used_an_answer_is_seen_in_the_trace():
    steps = [
        Step("a", {"q": "x"}, {"notes": "all about cats", "flag": True}),
        Step("b", {"flag": True, "topic": "dogs"}, {"out": "no"}),
        Step("c", {"text": "Notes: all about cats."}, {"out": "yes"}),
        Step("d", {"other": True, "out": "yes"}, {"final": "z"}),
    ]
    assert users_of(steps, 0) == [1, 2]
    assert users_of(steps, 2) == [3]
    assert users_of(steps, 3) == []


@pytest.mark.parametrize("seed", [0, 1])
def test_it_lifts_the_rule_book(seed: int):
    lifted(ol.TextGrad(steps=30), seed)


def test_options_that_mean_nothing_are_refused():
    with pytest.raises(ol.errors.UsageError):
        ol.TextGrad(batch=0)


@pytest.mark.slow
def test_it_keeps_the_contract():
    check_optimizer(ol.TextGrad(steps=3))
