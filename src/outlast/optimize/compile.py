"""`compile`: search for better parameters of a program within a budget, prove the gain, keep the proof."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from outlast import artifact
from outlast.adapters.protocol import Adapter
from outlast.data.dataset import Dataset
from outlast.data.example import Example
from outlast.errors import BudgetExceeded, DataError, UsageError, brief
from outlast.evals.identity import metric_hash, name_of, program_hash
from outlast.evals.score import check_metric
from outlast.lms.protocol import LM
from outlast.messages import Spending, canonical
from outlast.modules.module import Module
from outlast.modules.paths import predictors_of
from outlast.modules.settings import as_adapter, as_lm, chosen_adapter, chosen_lm
from outlast.modules.state import program_key
from outlast.optimize.budget import Budget
from outlast.optimize.candidate import Candidate, Outcome
from outlast.optimize.ledger import Ledger
from outlast.optimize.protocol import Optimizer
from outlast.optimize.random_search import RandomSearch
from outlast.optimize.study import Point, Progress, Study
from outlast.optimize.verdict import Verdict, judge
from outlast.runtime import Meter, Run, current, default, run_blocking, running

M = TypeVar("M", bound=Module)

SHARES = {"train": 0.4, "select": 0.3, "confirm": 0.3}
SMALLEST = 10  # examples in a part; with fewer nothing can be told


@dataclass(frozen=True)
class Report:
    """What a compile found and what it cost."""

    verdict: Verdict
    candidate: Candidate
    candidates: int
    rollouts: int
    spending: Spending
    seconds: float
    points: tuple[Point, ...]
    stopped: str
    record: Mapping[str, Any]

    def __str__(self) -> str:
        verdict = self.verdict
        if verdict.paired is None or verdict.start is None or verdict.winner is None:
            line = f"{verdict.word}: {verdict.reason}"
        else:
            low, high = verdict.paired.interval.low, verdict.paired.interval.high
            p = "p<0.001" if verdict.paired.p < 0.001 else f"p={verdict.paired.p:.3f}"
            line = (
                f"{verdict.word}: {100 * verdict.start.value:.1f}% -> {100 * verdict.winner.value:.1f}% "
                f"({100 * verdict.paired.difference:+.1f}, {verdict.level:.0%} CI {100 * low:.1f}..{100 * high:.1f}, "
                f"{p}) on {verdict.paired.n} held-out examples"
            )
        stop = f"; stopped: {self.stopped}" if self.stopped else ""
        return f"{line}; {self.candidates} candidates, {self.rollouts} rollouts, {self.spending}, {self.seconds:.1f} s{stop}"

    __repr__ = __str__

    def __rich__(self) -> Any:
        from rich.text import Text

        return Text(str(self))


@dataclass(frozen=True)
class Compiled(Generic[M]):
    """The result of `compile`.

    `program` is the winner when it is proven better, else the program that you gave. `winner` is what the search would
    ship regardless of proof, `start` the program as given, `report` the figures, `ledger` the file with everything
    that ran (None when it was kept in memory).
    """

    program: M
    winner: M
    start: M
    report: Report
    ledger: Path | None

    @property
    def improved(self) -> bool:
        """True when `program` is a proven improvement."""
        return self.report.verdict.better

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write `program` and how it came about to `path` (by custom `*.outlast.json`); gives the path."""
        return artifact.save(self.program, path, record=self.report.record)

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write a report as one self-contained HTML file: verdict, score against calls, the prompts; gives the path."""
        from outlast.optimize.page import write_page

        return write_page(self, Path(path))

    def __repr__(self) -> str:
        return f"<Compiled {self.report}>"


def compile(
    program: M,
    data: Dataset | Sequence[Example] | Mapping[str, Dataset | Sequence[Example]],
    metric: Callable[..., Any],
    *,
    optimizer: Optimizer | None = None,
    budget: Budget | None = None,
    seed: int = 0,
    lm: LM | str | None = None,
    adapter: Adapter | None = None,
    study: str | os.PathLike[str] | bool | None = None,
    margin: float = 0.0,
    level: float = 0.95,
    concurrency: int = 32,
    progress: bool | Callable[[Progress], None] = True,
) -> Compiled[M]:
    """Search for better parameters of `program`, then prove the gain on data that the search never ranked on.

    `data` is split by the hashes of its examples into train (demonstrations), select (ranking) and confirm (proof), or
    given as a mapping with these three names. `metric(example, prediction)` gives a bool, a number or a `Score`.
    `optimizer` is `RandomSearch()` unless given. `budget` bounds everything, the proof included; a part for the proof
    is kept back from the search. The ledger of the search is the file `study` (None: in the cache folder under the
    hash of program, data, metric, model, optimizer and seed, so that running the same compile again resumes or repeats
    it for nothing; False: in memory). `margin` is the loss that still counts as "no worse", in score.

    Errors of the model's making (no usable answer) rank as 0 in the search and in the proof and are counted apart;
    examples that failed for other reasons are left out of the proof pairwise. Ctrl-C or the end of the budget ends the
    search, not the ledger. Raises `DataError` when there is too little data and `UsageError` for a budget that cannot
    pay the proof. Cost in LM calls: at most (rollouts of the optimizer + 2 x confirm examples) x calls of a rollout.
    """
    return run_blocking(
        lambda: acompile(
            program,
            data,
            metric,
            optimizer=optimizer,
            budget=budget,
            seed=seed,
            lm=lm,
            adapter=adapter,
            study=study,
            margin=margin,
            level=level,
            concurrency=concurrency,
            progress=progress,
        )
    )


async def acompile(
    program: M,
    data: Dataset | Sequence[Example] | Mapping[str, Dataset | Sequence[Example]],
    metric: Callable[..., Any],
    *,
    optimizer: Optimizer | None = None,
    budget: Budget | None = None,
    seed: int = 0,
    lm: LM | str | None = None,
    adapter: Adapter | None = None,
    study: str | os.PathLike[str] | bool | None = None,
    margin: float = 0.0,
    level: float = 0.95,
    concurrency: int = 32,
    progress: bool | Callable[[Progress], None] = True,
) -> Compiled[M]:
    """`compile` from async code; takes and gives the same."""
    if not isinstance(program, Module):
        raise UsageError(f"compile takes a program (an ol.Module); got {brief(program)}")
    if concurrency < 1 or not 0.5 <= level < 1 or margin < 0:
        raise UsageError("compile takes concurrency >= 1, 0.5 <= level < 1 and margin >= 0")
    check_metric(metric)
    search = optimizer or RandomSearch()
    if not isinstance(search, Optimizer):
        raise UsageError(f"optimizer is an Optimizer such as ol.RandomSearch(); got {brief(search)}")
    parts = split_data(data, seed)
    run = current()
    model = as_lm(lm) if lm is not None else _default_lm(program, run)
    chosen = as_adapter(adapter) if adapter is not None else chosen_adapter(None, run)
    setting = _Setting(program, parts, metric, search, seed, model, chosen, level, margin)
    ledger = Ledger(_ledger_path(study, setting), setting.identity())
    try:
        with running(lm=model, adapter=chosen, root=None, trace=None, meter=None, memo=None):
            return await _compile(program, setting, ledger, budget or Budget(), concurrency, progress)
    finally:
        ledger.close()


@dataclass(frozen=True)
class _Setting:
    """Everything that decides the result of a compile."""

    program: Module
    parts: Mapping[str, Dataset]
    metric: Callable[..., Any]
    optimizer: Optimizer
    seed: int
    lm: LM | None  # None: every module brings its own
    adapter: Adapter
    level: float
    margin: float

    def identity(self) -> dict[str, str]:
        """What a ledger must agree on, by name. The optimizer and the seed may differ: results are shared."""
        own = {path: part.lm.identity for path, part in predictors_of(self.program).items() if part.lm is not None}
        return {
            "program": f"{type(self.program).__name__} {program_hash(self.program)}",
            "metric": f"{name_of(self.metric)} {metric_hash(self.metric)}",
            "data": ", ".join(f"{name} {part.hash}" for name, part in self.parts.items()),
            "model": (self.lm.identity if self.lm else "") + (f" {sorted(own.items())}" if own else ""),
            "adapter": repr(self.adapter),
        }


def _default_lm(program: Module, run: Run) -> LM | None:
    """The model for modules without their own; raises `ConfigError` when one needs it and none is set."""
    if all(part.lm is not None for part in predictors_of(program).values()):
        return run.lm or default("lm")
    return chosen_lm(None, run)


def _asked(setting: _Setting) -> list[str]:
    """Names of the models that the program asks."""
    parts = predictors_of(setting.program).values()
    return sorted({lm.name for part in parts if (lm := part.lm or setting.lm) is not None})


def split_data(data: Any, seed: int) -> dict[str, Dataset]:
    """The three parts of the data; raises `DataError` when one is too small or they overlap."""
    if isinstance(data, Mapping):
        given = cast("Mapping[str, Any]", data)
        if set(given) != set(SHARES):
            raise UsageError(f"data by part has the keys {', '.join(SHARES)}; got {', '.join(map(str, given))}")
        parts = {name: _dataset(given[name]) for name in SHARES}
        seen: dict[str, str] = {}
        for name, part in parts.items():
            for key in _ids(part):
                if key in seen:
                    raise DataError(f"example {key} is in {seen[key]!r} and in {name!r}; parts must not overlap")
                seen[key] = name
    else:
        parts = dict(_dataset(data).split(**SHARES, seed=seed).items())
    for name, part in parts.items():
        if len(part) < SMALLEST:
            raise DataError(
                f"compile needs at least {SMALLEST} examples in each part; {name!r} has {len(part)}. "
                f"Parts by default: {', '.join(f'{n} {s:.0%}' for n, s in SHARES.items())}."
            )
    return parts


def _dataset(data: Any) -> Dataset:
    if isinstance(data, Dataset):
        return data
    if isinstance(data, str) or not isinstance(data, Sequence):
        raise UsageError(f"data is a Dataset or a list of Examples; got {brief(data)}")
    return Dataset(cast("Sequence[Example]", data))


def _ids(part: Dataset) -> list[str]:
    from outlast.data.example import id_of

    return [id_of(example) for example in part]


def _ledger_path(study: Any, setting: _Setting) -> Path | None:
    if study is False:
        return None
    if study is None or study is True:
        folder = os.environ.get("OUTLAST_STUDIES")
        if folder == "off" and study is None:
            return None
        root = Path(folder) if folder and folder != "off" else _cache_home() / "outlast" / "studies"
        data = [setting.identity(), repr(setting.optimizer), setting.seed]
        key = hashlib.blake2b(canonical(data), digest_size=8).hexdigest()
        return root / f"{key}.study.db"
    return Path(study)


def _cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


async def _compile(
    program: M,
    setting: _Setting,
    ledger: Ledger,
    budget: Budget,
    concurrency: int,
    progress: bool | Callable[[Progress], None],
) -> Compiled[M]:
    from outlast.optimize.progress import shown

    began = time.monotonic()
    total = budget.meter()
    with shown(progress, setting, budget) as listener:
        study = Study(
            program,
            setting.metric,
            train=setting.parts["train"],
            select=setting.parts["select"],
            ledger=ledger,
            meter=total,
            seed=setting.seed,
            concurrency=concurrency,
            listener=listener,
        )
        study.keep_examples("confirm", setting.parts["confirm"])
        proof = await _first_proof(study, setting, total)
        study.meter = _search_meter(budget, total)
        study.phase = "search"
        winner, stopped = await _search(study, setting.optimizer)
        study.meter = total
        study.phase = "confirm"
        verdict = await _confirm(study, setting, winner, proof, stopped)
    record = _record(study, setting, winner, verdict, stopped, total)
    report = Report(
        verdict,
        winner,
        len(study.candidates) - 1,
        study.rollouts,
        total.spent,
        time.monotonic() - began,
        tuple(study.points),
        stopped,
        record,
    )
    ledger.add_event("report", record)
    built = cast("M", study.build(winner))
    return Compiled(built if verdict.better else program, built, program, report, ledger.path)


async def _first_proof(study: Study, setting: _Setting, total: Meter) -> list[Outcome]:
    """Run the start program on the confirmation examples: half of the proof, and what a rollout costs."""
    study.phase = "start"
    try:
        return await study.evaluate(study.start, setting.parts["confirm"])
    except BudgetExceeded as error:
        raise UsageError(
            f"the budget does not pay for the proof, which runs {len(setting.parts['confirm'])} examples twice: {error}. "
            f"Raise it, or give less data to the part 'confirm'."
        ) from error


def _search_meter(budget: Budget, total: Meter) -> Meter:
    """A meter that keeps back from the search what confirming its winner will cost.

    The winner's prompts may be longer than the start's, so tokens and dollars are kept back three times over.
    """
    spent = total.spent

    def left(limit: float | None, used: float, factor: float) -> Any:
        return None if limit is None else max(limit - used - factor * used, 0)

    calls = left(budget.calls, spent.calls, 1)
    return Meter(
        calls=None if calls is None else int(calls),
        tokens=left(budget.tokens, spent.tokens, 3),
        dollars=left(budget.dollars, spent.dollars, 3),
        seconds=left(budget.seconds, total.elapsed, 1.5),
        outer=total,
    )


async def _search(study: Study, optimizer: Optimizer) -> tuple[Candidate, str]:
    """The winner of the search and why it ended early, if it did."""
    try:
        return await optimizer.search(study), ""
    except BudgetExceeded as error:
        return study.leader(), f"the budget of {error.limit} was used up"
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        return study.leader(), "interrupted"


async def _confirm(
    study: Study, setting: _Setting, winner: Candidate, proof: Sequence[Outcome], stopped: str
) -> Verdict:
    if winner == study.start:
        return Verdict(
            "inconclusive", "The search found nothing better than the program as it is.", level=setting.level
        )
    if stopped == "interrupted":
        return Verdict(
            "unproven",
            f"Interrupted before the leader ({winner.origin}) was confirmed. Run the same compile to go on.",
            level=setting.level,
        )
    try:
        found = await study.evaluate(winner, setting.parts["confirm"])
    except BudgetExceeded:
        return Verdict("unproven", "The budget ended before the winner was confirmed.", level=setting.level)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        return Verdict("unproven", "Interrupted while the winner was being confirmed.", level=setting.level)
    pairs = [
        (a.value, b.value) for a, b in zip(proof, found, strict=True) if a.value is not None and b.value is not None
    ]
    if len(pairs) < SMALLEST:
        return Verdict("unproven", f"Only {len(pairs)} confirmation examples could be scored for both programs.")
    return judge(
        [a for a, _ in pairs],
        [b for _, b in pairs],
        level=setting.level,
        margin=setting.margin,
        seed=setting.seed,
    )


def _record(
    study: Study, setting: _Setting, winner: Candidate, verdict: Verdict, stopped: str, total: Meter
) -> dict[str, Any]:
    """How the program came about, for the artefact: nothing secret, everything hashed."""
    return {
        "result": verdict.to_json(),
        "kept": "winner" if verdict.better else "original",
        "winner": {
            "id": winner.id,
            "origin": winner.origin,
            "parent": winner.parent,
            "changes": sorted(winner.changes),
            "provenance": _provenance(winner),
        },
        "start": {"key": program_key(setting.program)},
        "search": {
            "optimizer": repr(setting.optimizer),
            "seed": setting.seed,
            "candidates": len(study.candidates) - 1,
            "rollouts": study.rollouts,
            "stopped": stopped,
        },
        "data": {name: {"n": len(part), "hash": part.hash} for name, part in setting.parts.items()},
        "metric": {"name": name_of(setting.metric), "hash": metric_hash(setting.metric)},
        "models": {"asked": _asked(setting)},
        "adapter": repr(setting.adapter),
        "cost": total.spent.to_json(),
        "compiled_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _provenance(winner: Candidate) -> dict[str, Any]:
    """Where each changed parameter came from; for demonstrations, example by example."""
    found: dict[str, Any] = {}
    for path, value in winner.changes.items():
        if path == "demos" or path.endswith(".demos"):
            found[path] = [demo.source for demo in value]
        else:
            found[path] = winner.origin
    return found
