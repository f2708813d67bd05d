"""`compile`: search for better parameters of a program within a budget, prove the gain, keep the proof."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, Unpack, cast

from outlast import artifact
from outlast.data.dataset import Dataset
from outlast.errors import BudgetExceeded, UsageError, brief
from outlast.evals.forms import Metric, as_metric
from outlast.evals.reads import note_read
from outlast.evals.score import check_metric
from outlast.lms.protocol import LM
from outlast.modules.module import Module
from outlast.modules.settings import as_adapter, as_lm, chosen_adapter
from outlast.optimize.budget import Purse
from outlast.optimize.candidate import Candidate
from outlast.optimize.ledger import Ledger
from outlast.optimize.locks import Locks
from outlast.optimize.options import CompileOptions, Options
from outlast.optimize.prefer import Prefer, choose
from outlast.optimize.progress import shown
from outlast.optimize.proof import answer_interrupt, confirm, first_proof, go_on, unpayable
from outlast.optimize.protocol import Optimizer
from outlast.optimize.report import Compiled, Report, ranked_gain, record_of
from outlast.optimize.room import NO_ROOM, came_to_nothing, cramped
from outlast.optimize.setting import FEWEST, SMALLEST, Data, Setting, default_lm, ledger_path, split_data
from outlast.optimize.study import Progress, Study
from outlast.optimize.verdict import Verdict
from outlast.runtime import Budget, Meter, current, run_blocking, running
from outlast.tracing.identity import metric_hash, name_of, program_hash
from outlast.tracing.runs import StoredRun, stored_run

if TYPE_CHECKING:
    from outlast.evals.reads import Reads

__all__ = ["Compiled", "Report", "acompile", "compile"]

M = TypeVar("M", bound=Module)

_GRACE = 0.1  # seconds that a search gets to end by itself when its time is over


def compile(program: M, data: Data, metric: Metric, **options: Unpack[CompileOptions]) -> Compiled[M]:
    """Search for better parameters of `program`, then prove the gain on data that the search never ranked on.

    `data` is split by the hashes of its examples into train (demonstrations), select (ranking) and confirm (proof), or
    given as a mapping with these three names; the parts that you give are used whole, while of ours the proof uses
    fewer examples (20 at least) when it would take more than 25% of the budget, and more again when the search leaves
    some over. `metric(example, prediction)` gives a bool, a number or a `Score`. `optimizer` is `Auto()`
    unless given. `budget` bounds everything, the proof included; a part for the proof is kept back from the search.
    `lock` are paths that no candidate may change, parameters ("answer.instruction") or parts with all in them
    ("answer").

    `prefer` says which candidate to ship: the "best", or "cheapest within 1 point" (also "fastest", "fewest tokens";
    `Prefer` as a value): of those that lose no more than that to the best one, the one that takes least. It is shipped
    when it is proven better than the start, or proven to take less and to lose no more than the margin.

    The ledger of the search is the file `study`. None: in the folder `outlast/studies` of the cache folder, under the
    hash of program, data, metric, model, optimizer, locks and seed, so that running the same compile again goes on
    where it was, or repeats its result for nothing; the report says how many replies were known. False: in memory. Two
    processes may search on one ledger at the same time; both come to the same result.

    `proposer` is the model (or its name) that writes proposals for optimizers which ask for some; the program's model
    unless given. With `proposer_budget` proposals are paid from that alone, and `budget` bounds the program's own
    calls; without it both are paid from `budget`. When the budget of the proposer ends, the search goes on without it.

    `lm` and `adapter` stand in for those of the surrounding block. `seed` (0) decides the split of the data and what
    is drawn, `level` (0.95) is that of the intervals. `margin` is the loss that still counts as "no worse", in score.
    `concurrency` is how many rollouts run at once (32; with batches 1,000). `transport="batch"` asks through the
    providers' batch interfaces, at half the price and within a day for each step of the search; what is under way is
    kept in `<study>.batches.db`, so that the same compile goes on with it after a crash.
    `progress` is True (a live line on a terminal, else a line now and then on stderr), False, or a function that gets
    a `Progress` at most ten times a second.

    A program that fails on what the model said (no usable answer, an exception in `forward`) scores 0 in the search
    and in the proof; examples that failed for other reasons are left out of the proof pairwise. Ctrl-C or the end of
    the budget ends the search, not the ledger: the result says "unproven" or proves the leader so far.

    Raises, before any call, `DataError` when there is too little data, `InputError` for examples that the program
    cannot take, `UsageError` for a budget that cannot pay the proof and an optimizer that has nothing it may change,
    `PathError` for a path to lock or to search that leads nowhere, `StudyError` for a ledger that cannot be used; and
    later `SearchStopped` when rollouts keep failing. Cost in LM calls: at most (rollouts of the optimizer + 2 x
    confirm examples) x calls of a rollout, and the proposals.
    """
    return run_blocking(lambda: acompile(program, data, metric, **options))


async def acompile(program: M, data: Data, metric: Metric, **options: Unpack[CompileOptions]) -> Compiled[M]:
    """`compile` from async code; takes and gives the same. A cancelled task gets the result so far."""
    from outlast.lms.batch.batched import carried

    if not isinstance(program, Module):
        raise UsageError(f"compile takes a program (an ol.Module); got {brief(program)}")
    check_metric(metric)
    chosen = Options.of(options, "compile")
    writer = as_lm(chosen.proposer) if chosen.proposer is not None else None
    setting = _setting(program, data, metric, chosen)
    whole = isinstance(data, Mapping)  # parts that were given are used whole
    confirm = len(setting.parts["confirm"])
    least = confirm if whole else min(FEWEST, confirm)
    _check_calls(chosen.limits, least, confirm)
    ledger = Ledger(ledger_path(chosen.study, setting, writer), setting.identity(), seed=None if whole else chosen.seed)
    try:
        run = current()
        with (
            running(lm=setting.lm, adapter=setting.adapter, root=None, trace=None, meter=None, memo=None),
            carried(chosen.transport, ledger.path, subject="compile") as in_batches,
            shown(chosen.progress, chosen.limits) as listener,
            stored_run("compile", type(program).__name__) as kept,
        ):
            if kept is not None:
                _keep(kept, setting, ledger.path)
            width = chosen.width(in_batches=in_batches)
            job = _study(setting, chosen, ledger, run.meter, writer, width, listener)
            try:
                setting.optimizer.check(job)
                compiled = await _compile(program, setting, job, least)
                if kept is not None:
                    kept.summary = {"verdict": compiled.report.verdict.word, "headline": str(compiled.report)}
                return compiled
            finally:
                job.close()
    finally:
        ledger.close()


def _setting(program: Module, data: Data, metric: Metric, chosen: Options) -> Setting:
    """What is compiled, by what and how, checked as far as it can be before anything is spent."""
    locks, wish = Locks.on(program, chosen.lock), chosen.wish
    scoring = as_metric(metric)  # a judge takes its model from around the compile, not from the program
    parts = split_data(data, chosen.seed)
    run = current()
    model = as_lm(chosen.lm) if chosen.lm is not None else default_lm(program, run)
    adapter = as_adapter(chosen.adapter) if chosen.adapter is not None else chosen_adapter(None, run)
    setting = Setting(
        program,
        parts,
        scoring,
        chosen.search,
        chosen.seed,
        model,
        adapter,
        chosen.level,
        wish.margin or chosen.margin,
        locks.paths,
        wish,
    )
    setting.check()
    artifact.to_data(program)  # what no file can hold is found here, not after the search
    return setting


def _study(
    setting: Setting,
    chosen: Options,
    ledger: Ledger,
    around: Meter | None,
    writer: LM | None,
    concurrency: int,
    listener: Callable[[Progress], None] | None,
) -> Study:
    """The study of a compile, within its budgets and those around it."""
    own = chosen.proposer_budget
    return Study(
        setting.program,
        setting.metric,
        train=setting.parts["train"],
        select=setting.parts["select"],
        ledger=ledger,
        purse=Purse(chosen.limits, around),
        confirm=len(setting.parts["confirm"]),
        expected=_expected(setting.optimizer, setting.program, setting.parts),
        fills=setting.optimizer.takes_what_is_paid,
        seed=setting.seed,
        concurrency=concurrency,
        proposer=writer,
        proposer_purse=Purse(own, around) if own is not None else None,
        listener=listener,
        lock=setting.lock,
    )


def _keep(run: StoredRun, setting: Setting, ledger: Path | None) -> None:
    """Say in the store of traces what is compiled."""
    run.program, run.metric = program_hash(setting.program), metric_hash(setting.metric)
    run.lm = ", ".join(setting.asked())
    run.dataset = setting.parts["train"].hash
    run.attributes = {
        "optimizer": repr(setting.optimizer),
        "seed": setting.seed,
        "ledger": None if ledger is None else str(ledger),
    }


def _expected(search: Optimizer, program: Module, parts: Mapping[str, Dataset]) -> int:
    """The most rollouts of search and proof together, as far as no budget limits them."""
    return search.estimate(program, len(parts["train"]), len(parts["select"])) + 2 * len(parts["confirm"])


def _check_calls(budget: Budget, least: int, confirm: int) -> None:
    """Refuse a budget that no program can be proven with, before anything is spent."""
    if budget.rollouts is not None and budget.rollouts < 2 * least:
        raise unpayable(f"the budget of {budget}", least, confirm, f"that takes {2 * least} rollouts")
    if budget.calls is not None and budget.calls < 2 * least:
        raise unpayable(f"the budget of {budget}", least, confirm, f"that takes at least {2 * least} calls")


async def _compile(program: M, setting: Setting, study: Study, least: int) -> Compiled[M]:
    began = time.monotonic()
    study.ledger.add_examples("confirm", setting.parts["confirm"])
    about = {"seed": setting.seed, "budget": study.purse.budget.to_json(), "known": study.known}
    study.ledger.add_event("run", {**setting.optimizer.describe(), **about})
    winner, stopped, cramp, expected = study.start, "", "", None
    try:
        with study.stage("start"):
            proof = await first_proof(study, setting, least)
        expected = study.plan.expected_calls()
        with study.stage("search"):
            cramp = cramped(study, setting.optimizer.least(len(study.train), len(study.select)))
            winner, stopped = await _search(study, setting.optimizer)
            cramp = cramp if came_to_nothing(study, winner, stopped) else ""
            stopped = stopped or (NO_ROOM if cramp else "")
        if not setting.optimizer.weighs_cost:
            winner = preferred(study, setting.prefer, winner)
        with study.stage("confirm"):
            verdict, late = await confirm(study, setting, winner, proof, stopped, cramp)
            stopped = stopped or late
    except asyncio.CancelledError:
        stopped = answer_interrupt()
        verdict = Verdict(
            "unproven",
            f"Interrupted before the program as it is was measured. {go_on(study)}",
            level=setting.level,
        )
    reads = _looked(study, setting, winner, verdict)
    record = record_of(study, setting, winner, verdict, stopped, expected)
    study.ledger.add_event("report", record)
    report = Report(
        verdict=verdict,
        candidate=winner,
        candidates=len(study.candidates) - 1,
        rollouts=study.rollouts,
        spending=study.purse.paid,
        proposing=study.advisor.purse.paid if study.advisor.purse is not study.purse else None,
        seconds=time.monotonic() - began,
        points=tuple(study.standing.points),
        stopped=stopped,
        record=record,
        known=study.known,
        failures=study.failures.count,
        expected=expected,
        ranked=ranked_gain(study, winner),
        reads=reads,
        no_proposals=study.advisor.failures,
        searched=not cramp,
    )
    built = cast("M", study.build(winner))
    return Compiled(built if verdict.ships else program, built, program, report, study.ledger.path)


def _looked(study: Study, setting: Setting, winner: Candidate, verdict: Verdict) -> Reads | None:
    """Note that the held-out examples were read, unless this is the same look again: a winner that an earlier run of
    this ledger proved on as many of them."""
    if verdict.paired is None:
        return None
    for record in study.ledger.events("report"):
        before = record["result"].get("difference")
        if before is not None and record["winner"]["id"] == winner.id and before["n"] >= verdict.paired.n:
            return None
    program = setting.program
    return note_read(setting.parts["confirm"], program, program_hash(program), name_of(setting.metric), by="compile")


def preferred(study: Study, prefer: Prefer, best: Candidate) -> Candidate:
    """The candidate to prove: the one that takes least among those that lose no more to `best` than allowed.

    Candidates count that were run on at least half as many selection examples as the best one, ten at least.
    """
    if prefer.cost is None:
        return best
    items = {one.id: study.items(one) for one in (best, *study.contenders())}
    enough = max(SMALLEST, len(items[best.id]) / 2)
    measured = {key: some for key, some in items.items() if key == best.id or len(some) >= enough}
    return study.candidates[choose(measured, best.id, prefer)]


async def _search(study: Study, optimizer: Optimizer) -> tuple[Candidate, str]:
    """The winner of the search and why it ended early, if it did."""
    try:
        async with study.plan.deadline.within(grace=_GRACE):
            winner = await optimizer.search(study)
    except BudgetExceeded as error:
        return study.leader(), f"the budget of {error.limit or study.purse.budget} was used up"
    except asyncio.CancelledError:
        return study.leader(), answer_interrupt()
    if not isinstance(winner, Candidate) or (winner.id != "start" and not winner.changes):
        raise UsageError(f"search(...) of {type(optimizer).__name__} gives a proposed candidate; got {brief(winner)}")
    study.build(winner)
    return winner, ""
