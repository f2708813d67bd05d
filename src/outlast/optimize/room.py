"""Whether a budget leaves a search any room beside the proof, so that "nothing was found" is not said of no search."""

from __future__ import annotations

from outlast.optimize.candidate import Candidate
from outlast.optimize.study import Study
from outlast.optimize.verdict import INTERRUPTED

NO_ROOM = "the budget left too little for a search"
_DIGITS = 2  # of how much would do


def cramped(study: Study, least: int) -> str:
    """Asked as a search begins: that the budget leaves less than `least` rollouts beside the proof, and how much would
    leave so many, in a sentence; "" when there is room. Time does not count, of which every run has its own."""
    room = study.affordable()
    if room >= least:
        return ""
    enough: list[str] = []
    for name, limit in study.purse.limits.items():
        each = 1.0 if name == "rollouts" else study.plan.experience.each(name)
        if limit is not None and name != "seconds" and (short := least * each - study.purse.left(name)) > 0:
            need = float(f"{limit + short:.{_DIGITS}g}")
            need += 0 if need >= limit + short else 10 ** (len(str(int(need))) - _DIGITS)
            enough.append(f"${need:.3g}" if name == "dollars" else f"{need:,.0f} {name}")
    left = f"only {room:.0f} rollouts" if room >= 1.5 else "no rollouts"
    return (
        f"The budget of {study.purse.budget} left {left} for a search beside the proof; about {' and '.join(enough)} "
        f"would do."
    )


def came_to_nothing(study: Study, winner: Candidate, stopped: str) -> bool:
    """Whether a search ended with the start program, and for no other reason than what it had."""
    other = study.advisor.failures or "headroom" in study.notes or stopped == INTERRUPTED
    return winner == study.start and not other
