"""What an error counts as in the score of an example.

exclude        what gave no usable answer (`Row.answered` False) is a failure of the program and counts as 0;
               every other error (the model could not be asked, the metric failed) is left out
exclude_all    every error is left out
fail           every error counts as 0
raise          as exclude, but the first error ends the evaluation
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from outlast.errors import UsageError, brief, did_you_mean
from outlast.evals.epochs import ONCE, Epochs
from outlast.evals.statistics.reducers import fewest_scores, reduce_epochs

if TYPE_CHECKING:
    from outlast.evals.row import Row, State

OnError = Literal["exclude", "exclude_all", "fail", "raise"]
ON_ERROR: tuple[OnError, ...] = ("exclude", "exclude_all", "fail", "raise")
_MEANING = {
    "exclude": "errors left out, unusable answers count as 0",
    "exclude_all": "all errors left out, unusable answers too",
    "fail": "each error counts as 0",
    "raise": "the first error ends the run",
}


def check_on_error(value: Any) -> OnError:
    """Raise `UsageError` for what is no policy."""
    if value in ON_ERROR:
        return value
    near = did_you_mean(value, ON_ERROR) if isinstance(value, str) else ""
    meanings = "; ".join(f"{name!r} ({meaning})" for name, meaning in _MEANING.items())
    raise UsageError(f"on_error is one of {meanings}; got {brief(value)}.{near}")


def policy_text(on_error: str) -> str:
    """What a policy does, in a few words."""
    return _MEANING[on_error]


def counted(row: Row, on_error: str) -> float | None:
    """The score with which one run of an example counts; None when it does not."""
    if row.state != "error":
        return row.score
    if on_error == "fail" or (on_error != "exclude_all" and not row.answered):
        return 0.0
    return None


@dataclass(frozen=True, slots=True)
class Rule:
    """How the runs of an example become its score and its state."""

    epochs: Epochs = ONCE
    threshold: float = 1.0
    on_error: OnError = "exclude"

    def settle(self, runs: Sequence[tuple[State, float | None]]) -> tuple[float | None, State]:
        """The score and the state of an example, from the state and the counted score of each of its runs.

        Errors and unscored runs are left out as the policy says and the rest is reduced. An example has no score when
        nothing is left, or fewer than the reducer needs; then its state is "error" when a run ended in one, else
        "unscored". An example all of whose runs were errors is one in every case, also where they count as 0. Where the
        reducer gives the share of choices that pass ("pass@k"), an example passes when that is 1.
        """
        if self.epochs.count == 1 and len(runs) == 1 and not self.epochs.counts_passes:
            return runs[0][1], runs[0][0]
        scores = [score for _, score in runs if score is not None]
        broken = any(state == "error" for state, _ in runs)
        if not scores or len(scores) < fewest_scores(self.epochs.reducer):
            return None, "error" if broken else "unscored"
        score = reduce_epochs(scores, self.epochs.reducer, self.threshold)
        if broken and all(state == "error" for state, _ in runs):
            return score, "error"
        return score, "pass" if score >= (1.0 if self.epochs.counts_passes else self.threshold) else "fail"
