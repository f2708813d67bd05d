"""Whether there is anything to gain before anything is searched: a few rollouts that tell what could help."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from outlast.adapters.protocol import Adapter
from outlast.data.dataset import Dataset
from outlast.data.example import Example
from outlast.errors import DataError, UsageError, brief, refuse_unknown
from outlast.evals.forms import Metric, as_metric
from outlast.lms.protocol import LM
from outlast.modules.module import Module
from outlast.modules.paths import predictors_of, update
from outlast.modules.settings import as_adapter, as_lm, chosen_adapter
from outlast.optimize.budget import Purse
from outlast.optimize.demos import changes_for, labeled_demos
from outlast.optimize.ledger import Ledger
from outlast.optimize.pool import Gain, gain_between
from outlast.optimize.setting import SMALLEST, Data, dataset_of, default_lm, split_data
from outlast.optimize.study import Study
from outlast.runtime import Budget, current, run_blocking, running

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate

LITTLE = 0.02  # of score: less than this is not worth a search


@dataclass(frozen=True, slots=True)
class Headroom:
    """What `n` examples with `draws` independent draws each say about a program.

    `mean` is the mean score, `best_of` the mean of each example's best draw; their difference `reachable` is what the
    model can do without any new knowledge, if it only did it each time (0 for a model that always answers the same).
    `unanswered` is the share of rollouts without a usable answer, which the form of the prompt can mend. `demos` is the
    gain of a few labelled demonstrations, `strong` that of a stronger model, None where they were not tried. `full` is
    the full score: 1, or the highest seen of a metric that leaves 0 to 1, which then does not tell how much is missing.
    """

    n: int
    draws: int
    mean: float
    best_of: float
    unanswered: float
    demos: Gain | None = None
    strong: Gain | None = None
    full: float = 1.0

    @property
    def reachable(self) -> float:
        """By how much the best of the draws is above the mean."""
        return self.best_of - self.mean

    @property
    def missing(self) -> float:
        """What is missing to the full score."""
        return self.full - self.mean

    @property
    def none(self) -> bool:
        """True when nothing points to a gain worth a search: no draw, no form, no probe, or next to nothing missing."""
        if self.full == 1 and self.missing < LITTLE:
            return True
        probes = [gain for gain in (self.demos, self.strong) if gain is not None]
        return (
            bool(probes)
            and self.reachable < LITTLE * self.full
            and self.unanswered == 0
            and all(gain.mean + 2 * gain.error < 2 * LITTLE * self.full for gain in probes)
        )

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        data: dict[str, Any] = {
            "n": self.n,
            "draws": self.draws,
            "mean": round(self.mean, 6),
            "best_of": round(self.best_of, 6),
            "unanswered": round(self.unanswered, 6),
        }
        for name, gain in (("demos", self.demos), ("strong", self.strong)):
            if gain is not None:
                data[name] = {"gain": round(gain.mean, 6), "error": round(gain.error, 6), "n": gain.n}
        return data

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        unit, of, form = ("%", 100.0, ".0f") if self.full == 1 else ("", 1.0, ".3g")
        said = [f"{of * self.mean:{form}}{unit} on {self.n} examples x {self.draws}"]
        if self.draws > 1:
            said.append(f"best of {self.draws} draws {of * self.best_of:{form}}{unit}")
        said.append(f"{100 * self.unanswered:.0f}% without a usable answer")
        for name, gain in (("a few demonstrations", self.demos), ("the stronger model", self.strong)):
            if gain is not None:
                said.append(f"{name} {of * gain.mean:+{form}} points (+-{of * gain.error:{form}})")
        return "; ".join(said) + (": no headroom" if self.none else "")


class HeadroomOptions(TypedDict, total=False):
    """The keywords of `headroom` and `aheadroom`, for editors and type checkers; `Options` has the defaults."""

    examples: int
    draws: int
    strong: LM | str | None
    demos: bool
    lm: LM | str | None
    adapter: Adapter | None
    budget: Budget | None
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The keywords with their defaults, checked."""

    examples: int = 20
    draws: int = 3
    strong: Any = None
    demos: bool = True
    lm: Any = None
    adapter: Any = None
    budget: Budget | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("examples", 2), ("draws", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UsageError(f"headroom({name}=...) is a whole number from {least}; got {brief(value)}")


def headroom(program: Module, data: Data, metric: Metric, **options: Unpack[HeadroomOptions]) -> Headroom:
    """Test whether a search could gain anything, before paying for one.

    Runs `program` on up to `examples` (20) of the data, `draws` (3) times each, then once with eight labelled
    demonstrations (unless `demos` is False or the data have none for it) and once with the model `strong`, if one is
    named. `data` is what `compile` takes; of parts given by name, "select" is run on, "train" shown, and "confirm"
    stays unseen.
    Raises `UsageError` for bad options, `DataError` for fewer than 20 examples, `BudgetExceeded` when the budget ends.
    Cost: examples x (draws + 2) rollouts at most.
    """
    return run_blocking(lambda: aheadroom(program, data, metric, **options))


async def aheadroom(program: Module, data: Data, metric: Metric, **options: Unpack[HeadroomOptions]) -> Headroom:
    """`headroom` from async code; takes and gives the same."""
    refuse_unknown(options, HeadroomOptions.__annotations__, "headroom")
    chosen = Options(**options)
    if not isinstance(program, Module):
        raise UsageError(f"headroom takes a program (an ol.Module); got {brief(program)}")
    parts = _parts(data, chosen.seed)
    run = current()
    model = as_lm(chosen.lm) if chosen.lm is not None else default_lm(program, run)
    adapter = as_adapter(chosen.adapter) if chosen.adapter is not None else chosen_adapter(None, run)
    ledger = Ledger(None, {})
    with running(lm=model, adapter=adapter, root=None, trace=None, meter=None, memo=None):
        study = Study(
            program,
            as_metric(metric),
            train=parts["train"],
            select=parts["select"],
            ledger=ledger,
            purse=Purse(chosen.budget or Budget(), run.meter),
            seed=chosen.seed,
        )
        try:
            with study.stage("headroom"):
                other = None if chosen.strong is None else as_lm(chosen.strong)
                return await probe(
                    study, examples=chosen.examples, draws=chosen.draws, demos=chosen.demos, strong=other
                )
        finally:
            study.close()
            ledger.close()


def _parts(data: Any, seed: int) -> dict[str, Dataset]:
    """The examples to show and those to run on; of data given by part, the proof's are left alone."""
    if isinstance(data, Mapping):
        return split_data(data, seed)
    rows = dataset_of(data)
    if len(rows) < 2 * SMALLEST:
        raise DataError(f"headroom needs at least {2 * SMALLEST} examples; got {len(rows)}")
    return dict(rows.split(seed=seed, train=0.4, select=0.6).items())


async def probe(
    study: Study, *, examples: int = 20, draws: int = 3, demos: bool = True, strong: LM | None = None
) -> Headroom:
    """The headroom of a study's start program on its first selection examples.

    Cost: `examples` x (draws + demos + strong) rollouts, which later parts of the search use again.
    """
    order = list(study.select)
    study.rng("pool").shuffle(order)
    part = order[:examples]
    every: list[list[float]] = []
    unanswered = runs = 0
    for sample in range(draws):
        for number, outcome in enumerate(await study.evaluate(study.start, part, sample=sample)):
            runs += 1
            unanswered += not outcome.answered
            if sample == 0:
                every.append([])
            if outcome.value is not None:
                every[number].append(outcome.value)
    scored = [values for values in every if values]
    base = {study.key_of(one): math.fsum(v) / len(v) for one, v in zip(part, every, strict=True) if v}
    tried: dict[str, Gain | None] = {"demos": None, "strong": None}
    if demos and (shown := _demonstrated(study)) is not None:
        tried["demos"] = await _gain(study, shown, part, base)
    if strong is not None:
        other = study.adopt(_with_model(study, strong), origin="the stronger model")
        tried["strong"] = await _gain(study, other, part, base)
    return Headroom(
        len(scored),
        draws,
        math.fsum(math.fsum(v) / len(v) for v in scored) / len(scored) if scored else 0.0,
        math.fsum(max(v) for v in scored) / len(scored) if scored else 0.0,
        unanswered / runs if runs else 0.0,
        full=study.full,
        **tried,
    )


async def _gain(study: Study, candidate: Candidate, part: Sequence[Example], base: dict[str, float]) -> Gain:
    outcomes = await study.evaluate(candidate, part)
    values = {o.example: o.value for o in outcomes if o.value is not None}
    return gain_between(values, base, prior=2, spread=study.spread)


def _demonstrated(study: Study) -> Candidate | None:
    """The start with eight labelled demonstrations; None when the data have none for it, or they are locked."""
    examples = list(study.train)
    study.rng("headroom").shuffle(examples)
    changes = changes_for(study.program, labeled_demos(study.program, examples[:8]))
    changes = {path: value for path, value in changes.items() if not study.locked(path)}
    if not changes:
        return None
    return study.propose(changes, origin="eight labelled demonstrations", operator="headroom")


def _with_model(study: Study, lm: LM) -> Any:
    """The start program with another model at every place."""
    return update(study.program, {f"{path}.lm".lstrip("."): lm for path in predictors_of(study.program)})
