"""An evaluation in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outlast.evals import wording

if TYPE_CHECKING:
    from outlast.evals.evaluation import Evaluation

UNSEEN = (
    "no call of the program's modules was seen: plain threads do not inherit the run, so its lm, adapter and budget "
    "did not reach them; use ol.gather or contextvars.copy_context().run"
)


def headline(evaluation: Evaluation) -> str:
    """The score with its interval, what it is made of, and what to know before believing it."""
    score = wording.estimate_text(evaluation.score, evaluation.is_share)
    line = f"{score}{_scored(evaluation)} on {_made_of(evaluation)}"
    if evaluation.redrawn:
        line = f"{line} [{wording.redrawn_text(evaluation.redrawn)}]"
    if evaluation.unseen:
        line = f"{line} [{UNSEEN}]"
    if not evaluation.stopped:
        return line
    return f"{line} [{evaluation.stopped} after {evaluation.n} of {evaluation.about.total or 'unknown'}]"


def _scored(evaluation: Evaluation) -> str:
    scored, errors = evaluation.score.n, evaluation.run_states["error"]
    return f" of {scored} scored" if 0 < scored < evaluation.n and errors else ""


def _made_of(evaluation: Evaluation) -> str:
    """ "200: 145 pass, 53 fail, 2 errors (left out)", and with epochs how many, and how many examples are flaky."""
    states, errors, about = evaluation.states, evaluation.run_states["error"], evaluation.about
    note = wording.errors_note(errors, evaluation.unanswered, about.on_error)
    if about.epochs == 1:
        return f"{evaluation.n}: {wording.states_text(states, note)}"
    flaky = f"; {evaluation.tally.flaky} flaky" if evaluation.tally.flaky else ""
    broken = f"; {errors} of {evaluation.runs} runs were errors{note}" if errors else ""
    return f"{evaluation.n} x {about.rule.epochs}: {wording.states_text(states)}{flaky}{broken}"
