"""`COPRO` and `OPRO`: a proposer is shown what was tried with its scores, in ascending order."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.optimize.studies import COLOURS, Paint, Pick, study_of, whole_field, within

import outlast as ol
from outlast.testing import ScriptedLM
from outlast.testing.contracts import check_optimizer


class Namer(ol.LM):
    """A proposer that adds one colour to the best instruction that it sees, another one for each draw."""

    name = "namer"
    blocking_safe = True

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def complete(self, request: Any) -> Any:
        attempts = whole_attempts(request.messages)
        if attempts:
            self.seen.append(attempts)
        best = attempts.rpartition("Instruction #")[2].partition(": ")[2].partition("\n")[0]
        text = best or whole_field(request.messages, "instruction")
        missing = [colour for colour in COLOURS if colour not in text]
        colour = missing[request.sample % len(missing)] if missing else ""
        return ol.Response(f"<<improved>>\n{text} {colour}\n\n<<end>>", self.name)


def whole_attempts(messages: Any) -> str:
    text = messages[-1].text
    return text.partition("<<attempted_instructions>>\n")[2].partition("\n\n<<examples>>")[0]


def scores_in(text: str) -> list[int]:
    return [int(found) for found in re.findall(r"Resulting Score: (\d+)", text)]


def test_copro_climbs_by_what_it_is_shown():
    lm = Namer()
    study = study_of(Pick(), proposer=lm)
    winner = within(study, lambda: ol.COPRO(breadth=4, depth=4).search(study))
    assert all(colour in winner.changes["pick.instruction"] for colour in COLOURS)
    assert study.tally(winner).mean == 1
    assert lm.seen
    for text in lm.seen:
        assert scores_in(text) == sorted(scores_in(text))
    assert scores_in(lm.seen[0])[0] == 0  # the start is among the attempts
    assert scores_in(lm.seen[-1])[-1] > scores_in(lm.seen[0])[-1]


def test_copro_takes_one_text_after_the_other():
    study = study_of(Paint(), proposer=Namer())
    winner = within(study, lambda: ol.COPRO(breadth=4, depth=4).search(study))
    assert study.tally(winner).mean == 1
    for candidate in study.candidates.values():
        parent = study.candidates.get(candidate.parent)
        if parent is not None:
            assert sum(candidate.changes.get(path) != parent.changes.get(path) for path in candidate.changes) == 1


def test_opro_shows_the_best_attempts_and_examples():
    lm = Namer()
    study = study_of(Pick(), proposer=lm)
    winner = within(study, lambda: ol.OPRO(steps=5, per_step=3, shown=4, examples=2).search(study))
    assert study.tally(winner).mean == 1
    assert all(len(scores_in(text)) <= 4 for text in lm.seen)
    for text in lm.seen:
        assert scores_in(text) == sorted(scores_in(text))


@pytest.mark.parametrize("optimizer", [ol.COPRO(breadth=3, depth=2), ol.OPRO(steps=2)])
def test_a_locked_text_is_left_alone_and_costs_nothing(optimizer: Any):
    lm = ScriptedLM([])
    study = study_of(Pick(), lock=["pick.instruction"], proposer=lm)
    assert within(study, lambda: optimizer.search(study)) == study.start
    assert (study.rollouts, lm.calls) == (0, 0)


@pytest.mark.parametrize("make", [lambda: ol.COPRO(breadth=1), lambda: ol.OPRO(steps=0), lambda: ol.OPRO(examples=-1)])
def test_options_that_mean_nothing_are_refused(make: Any):
    with pytest.raises(ol.errors.UsageError):
        make()


def test_the_estimate_counts_the_texts_of_a_program():
    assert ol.COPRO(breadth=10, depth=3).estimate(Pick(), 20, 30) == 30 * 30
    assert ol.COPRO(breadth=10, depth=3).estimate(Paint(), 20, 30) == (1 + 29 * 2) * 30


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [ol.COPRO(breadth=3, depth=2), ol.OPRO(steps=2, per_step=2)])
def test_they_keep_the_contract(optimizer: Any):
    check_optimizer(optimizer)
