"""What a compile gives: the program to ship, the verdict on it, and the record that goes into its file."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from outlast import artifact
from outlast.errors import SearchStopped
from outlast.messages import Spending
from outlast.modules.module import Module
from outlast.optimize.candidate import Candidate
from outlast.optimize.lineage import lineage_of
from outlast.optimize.pareto import front_of
from outlast.optimize.screen import success_counts
from outlast.optimize.study import Point, Study
from outlast.optimize.verdict import INTERRUPTED, KEPT_NOWHERE, Verdict
from outlast.tracing.identity import metric_hash, name_of, program_hash

if TYPE_CHECKING:
    from outlast.evals.reads import Reads
    from outlast.optimize.setting import Setting

M = TypeVar("M", bound=Module)


@dataclass(frozen=True)
class Report:
    """What a compile found and what it cost.

    `rollouts` and `points` cover the whole search, whenever it ran; `spending` and `seconds` are of this run and
    `known` is how many replies earlier runs had left in the ledger. `expected` is the most calls that search and proof
    could take, told before the search from the rollouts of the start program. `ranked` is the winner's gain over the
    start on the selection examples, by which it was chosen; `optimism` is by how much that is above the confirmed
    gain: the best of many flatters itself. `failures` counts rollouts of this run that failed for no fault of a
    candidate. `proposing` is what proposals cost that were paid from a budget of their own. `reads` tells how often the
    examples of the proof were read: a compile repeated until it says "better" proves nothing. `no_proposals` says how
    many proposals failed, and why the last one did, when more than half of them did. `searched` is False when the
    budget left too little for a search, and what there was of it found nothing.
    """

    verdict: Verdict
    candidate: Candidate
    candidates: int
    rollouts: int
    spending: Spending
    seconds: float
    points: tuple[Point, ...]
    stopped: str
    record: Mapping[str, Any]
    known: int = 0
    failures: int = 0
    expected: int | None = None
    ranked: float | None = None
    reads: Reads | None = None
    proposing: Spending | None = None
    no_proposals: str = ""
    searched: bool = True

    @property
    def optimism(self) -> float | None:
        """Ranked minus confirmed gain of the winner; None when it has only one of them."""
        if self.ranked is None or self.verdict.paired is None:
            return None
        return self.ranked - self.verdict.paired.difference

    @property
    def flattery(self) -> str:
        """The optimism in words, "+4.1 points higher"; "" when it is not known."""
        from outlast.evals import wording

        if self.optimism is None:
            return ""
        said = wording.difference(self.optimism, self.verdict.share) + (" points" if self.verdict.share else "")
        return f"{said} higher" if self.optimism >= 0 else f"{said.removeprefix('-')} lower"

    def __str__(self) -> str:
        from outlast.evals import wording

        verdict = self.verdict
        if verdict.paired is None or verdict.start is None or verdict.winner is None:
            line = f"{verdict.word}: {verdict.reason.rstrip('.')}"
        else:
            paired, share = verdict.paired, verdict.share
            line = (
                f"{verdict.word}: {wording.number(verdict.start.value, share)} -> "
                f"{wording.number(verdict.winner.value, share)} ({wording.difference(paired.difference, share)}, "
                f"{verdict.level:.0%} CI {wording.span(paired.interval, share)}, "
                f"{wording.p_text(paired.p, verdict.level)}) on {paired.n} held-out examples"
            )
        if verdict.saving is not None:
            line += f"; {verdict.saving}"
        line += f"; {self.candidates} candidates, {self.rollouts} rollouts, {self.spending}, {self.seconds:.1f} s"
        if self.proposing is not None:
            line += f"; proposals: {self.proposing}"
        if self.optimism is not None:
            line += f"; while ranking the gain looked {self.flattery}"
        if self.known:
            line += f"; resumed with {self.known} replies known"
        if self.failures:
            line += f"; {self.failures} rollouts failed"
        if self.no_proposals and self.no_proposals not in line:  # the verdict says it when nothing was found
            line += f"; {self.no_proposals}"
        if self.reads is not None and self.reads.count > 1:
            line += f"; proof examples read for the {self.reads.time} time"
        return line + (f"; stopped: {self.stopped}" if self.stopped else "")

    __repr__ = __str__

    def __rich__(self) -> Any:
        from rich.text import Text

        return Text(str(self))


@dataclass(frozen=True)
class Compiled(Generic[M]):
    """The result of `compile`.

    `program` is the winner when it is proven better (or, with `prefer`, no worse and cheaper), else the program that
    you gave. `winner` is what the search would ship regardless of proof, `start` the program as given, `report` the
    figures, `ledger` the file with everything that ran (None when it was kept in memory).
    """

    program: M
    winner: M
    start: M
    report: Report
    ledger: Path | None

    @property
    def improved(self) -> bool:
        """True when `program` is a proven improvement: better, or with `prefer` no worse and cheaper."""
        return self.report.verdict.ships

    def save(self, path: str | os.PathLike[str], *, anyway: bool = False) -> Path:
        """Write `program` and how it came about to `path` (by custom `*.outlast.json`); gives the path.

        Raises `SearchStopped`, and writes nothing, when the compile was interrupted and proved nothing, or had no
        budget for a search: what would be written is the program as it was given, perhaps over a better one.
        `anyway=True` writes it all the same.
        """
        self.refuse_unsearched(anyway)
        models: list[str] = []
        if self.program is self.winner:
            models = [one for one in self.report.candidate.changes if one == "lm" or one.endswith(".lm")]
        return artifact.save(self.program, path, record=self.report.record, models=models)

    def refuse_unsearched(self, anyway: bool = False) -> None:
        """Raise `SearchStopped` when the compile ended before it could find or prove anything; see `save`."""
        if anyway or self.improved:
            return
        if self.report.stopped == INTERRUPTED:
            goes_on = "it goes on where it was" if self.ledger is not None else KEPT_NOWHERE
            why, advice = "was interrupted before anything was proven", f"Run the same compile again ({goes_on})"
        elif not self.report.searched:
            why, advice = "had too little budget for a search", f"{self.report.verdict.reason} Raise it"
        else:
            return
        raise SearchStopped(
            f"nothing is saved: the compile {why}, so that this would write the program as it was given. {advice}, or "
            f"give anyway=True."
        )

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write a report as one self-contained HTML file: verdict, score against calls, the prompts; gives the path."""
        from outlast.optimize.page import write_page

        return write_page(self, Path(path))

    def __repr__(self) -> str:
        return f"<Compiled {self.report}>"


def record_of(
    study: Study, setting: Setting, winner: Candidate, verdict: Verdict, stopped: str, expected: int | None
) -> dict[str, Any]:
    """How the program came about, for the artefact: nothing secret, everything hashed.

    It depends on the ledger and not on the run, so that compiling again writes the same file.
    """
    ranked = None
    if (gain := ranked_gain(study, winner)) is not None:
        tally = study.tally(winner)
        ranked = {"score": round(tally.mean, 6), "gain": round(gain, 6), "n": len(tally.values)}
    return {
        "result": verdict.to_json(),
        "kept": "winner" if verdict.ships else "original",
        "winner": {
            "id": winner.id,
            "origin": winner.origin,
            "parent": winner.parent,
            "changes": sorted(winner.changes),
            "provenance": _provenance(winner),
            "ranked": ranked,
        },
        "lineage": lineage_of(study, winner),
        **({"notes": dict(study.notes)} if study.notes else {}),
        "operators": {
            name: {"kept": kept, "tried": tried}
            for name, (kept, tried) in success_counts(list(study.candidates.values()), study.accepted).items()
        },
        "front": front_of(study, winner, setting.prefer),
        "start": {"hash": program_hash(setting.program)},
        "search": {
            **setting.optimizer.describe(),
            "seed": setting.seed,
            "tried": len(study.candidates) - 1,
            "rollouts": study.rollouts,
            "expected_calls": expected,
            "calls": study.calls,
            "budget": study.purse.budget.to_json(),
            "stopped": stopped,
            **({"lock": list(setting.lock)} if setting.lock else {}),
            **({"prefer": str(setting.prefer)} if setting.prefer.cost else {}),
        },
        "data": {name: {"n": len(part), "hash": part.hash} for name, part in setting.parts.items()},
        "metric": {"name": name_of(setting.metric), "hash": metric_hash(setting.metric)},
        "models": {"asked": setting.asked(), "answered": study.ledger.models()},
        "adapter": repr(setting.adapter),
        "cost": study.ledger.totals(),
        "compiled_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(study.ledger.last_change())),
    }


def ranked_gain(study: Study, winner: Candidate) -> float | None:
    """The winner's mean gain over the start on the selection examples that both were run on; None without any."""
    ours, base = study.tally(winner).values, study.tally(study.start).values
    gains = [value - base[example] for example, value in ours.items() if example in base]
    return math.fsum(gains) / len(gains) if gains and winner != study.start else None


def _provenance(winner: Candidate) -> dict[str, str]:
    """Where each changed parameter came from; demonstrations say it themselves, one by one."""
    source = f"candidate {winner.id}: {winner.origin}"
    return {path: source for path in winner.changes if path != "demos" and not path.endswith(".demos")}
