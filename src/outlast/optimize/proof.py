"""The proof of a compile: the start program and the winner on examples that the search never ranked on."""

from __future__ import annotations

import asyncio
import math
import statistics
import sys
from collections.abc import Sequence
from typing import Any

from outlast.data.dataset import Dataset
from outlast.errors import BudgetExceeded, DataError, SearchStopped, UsageError
from outlast.evals.score import NO_RESULT
from outlast.modules.module import Module
from outlast.modules.paths import predictors_of
from outlast.optimize.budget import Purse
from outlast.optimize.candidate import Candidate, Outcome
from outlast.optimize.function import Function
from outlast.optimize.setting import SMALLEST, Setting
from outlast.optimize.study import Study
from outlast.optimize.verdict import INTERRUPTED, KEPT_NOWHERE, Verdict, judge, saving_of, without_winner
from outlast.tracing.identity import name_of

_PROBES = 3  # examples that may fail for no fault of the program before a compile gives up
_PROOF_SHARE = 0.25  # of a budget, when it does not pay for the whole proof and a search
_FIRST_LOOK = 10  # examples that tell what a rollout costs, and whether the metric gives anything at all
_NO_ANSWER = ("AnswerError", "ParseError", "LMContextError")  # a prompt may mend these


def unpayable(which: str, least: int, confirm: int, why: str) -> UsageError:
    """The error for a budget that does not pay for a proof on `least` of the `confirm` examples."""
    some = f"at least {least} of the {confirm}" if least < confirm else f"the {confirm}"
    fewer = f", or give fewer examples to that part ({SMALLEST} at least)" if SMALLEST < least == confirm else ""
    return UsageError(
        f"{which} does not pay for the proof, which runs {some} examples of the part 'confirm' twice: {why}. "
        f"Raise it{fewer}."
    )


def _refuse_unpayable(purse: Purse, rollouts: int, least: int, confirm: int, known: int) -> None:
    """Refuse what the proof will not fit in at the cost of the first rollouts: the budget, which known replies count
    in too, or one around it, which pays for new ones alone."""
    for name in ("calls", "tokens", "dollars"):
        limit, each = purse.limits[name], getattr(purse.spent, name) / rollouts
        why = f"a rollout takes {each:g} {name}"
        if limit is not None and 2 * least * each > limit:
            raise unpayable(f"the budget of {purse.budget}", least, confirm, why)
        for meter in () if known else purse.chain[1:]:
            if (2 * least - rollouts) * each > meter.left(name):
                left = f"{why}, and {meter.left(name):g} are left"
                raise unpayable(f"the budget around this compile ({name}={meter.limits[name]:g})", least, confirm, left)


async def first_proof(study: Study, setting: Setting, least: int) -> list[Outcome]:
    """Run the start program on confirmation examples: half of the proof, and what a rollout costs.

    The first rollout runs alone, so that what is wrong with the program, the metric or the key costs one. A budget
    that is small for the examples gets a proof on fewer of them, `least` at least.
    """
    confirm = setting.parts["confirm"]
    try:
        await _probe(study, setting, confirm)
        if study.rollouts:
            _refuse_unpayable(study.purse, study.rollouts, least, len(confirm), study.known)
        looked = await study.evaluate(study.start, confirm[:_FIRST_LOOK])
        _refuse_silent(setting, looked)
        _refuse_unseen(study.purse, setting.program, looked)
        _refuse_unpriced(study, setting, looked)
        _refuse_slow(study, least, len(confirm))
        size = max(least, int(min(len(confirm), study.plan.share(_PROOF_SHARE) / 2)))
        study.plan.reserve.examples = size
        outcomes = await study.evaluate(study.start, confirm[:size])
    except BudgetExceeded as error:
        own = study.purse.refused is not None
        which = f"the budget of {study.purse.budget}" if own else "a budget around this compile, or of its model,"
        raise unpayable(which, least, len(confirm), str(error)) from error
    scored = sum(outcome.value is not None for outcome in outcomes)
    if scored < SMALLEST:
        reasons = [outcome.error or outcome.feedback for outcome in outcomes if outcome.value is None]
        raise DataError(
            f"only {scored} of the {len(outcomes)} confirmation examples could be scored for the program as it is; "
            f"the first of the others: {reasons[0]}. At least {SMALLEST} are needed."
        )
    broken = [outcome for outcome in outcomes if outcome.state == "error" and not outcome.error.startswith(_NO_ANSWER)]
    if len(broken) > len(outcomes) / 2:
        raise SearchStopped(
            f"the program as it is fails on {len(broken)} of {len(outcomes)} confirmation examples; the first: "
            f"{broken[0].error}. Mend the program first."
        )
    return outcomes


def _refuse_silent(setting: Setting, outcomes: Sequence[Outcome]) -> None:
    """Stop when the metric returned None for all of a first look, as one does that lacks a `return`; None for some is
    its way to say that it cannot judge them."""
    if all(outcome.state == "unscored" and outcome.feedback == NO_RESULT for outcome in outcomes):
        raise SearchStopped(
            f"the metric {name_of(setting.metric)!r} returned None for the first {len(outcomes)} confirmation "
            f"examples, which is no score: is a 'return' missing? What it cannot judge it says with "
            f"ol.unscored(reason)."
        )


def _refuse_slow(study: Study, least: int, confirm: int) -> None:
    """Refuse what the proof will not fit in at the speed of the first rollouts."""
    purse, at_once = study.purse, study.plan.reserve.concurrency
    left = purse.seconds_left()
    if study.known or math.isinf(left):
        return
    each = statistics.median(outcome.seconds for outcome in study.outcomes)
    if 2 * math.ceil(least / at_once) * each > left:
        which = f"the budget of {purse.budget}" if purse.soonest is purse else "the budget around this compile"
        why = f"a rollout takes {each:.3g} seconds, {at_once} run at a time, and {max(left, 0):.3g} seconds are left"
        raise unpayable(which, least, confirm, why)


def _refuse_unseen(purse: Purse, program: Module, outcomes: Sequence[Outcome]) -> None:
    """Stop when nothing that the program asks is seen: then no budget, model or demonstration reaches it."""
    if isinstance(program, Function):
        for name in ("calls", "tokens", "dollars"):
            if purse.limits[name] is not None and not any(getattr(outcome, name) for outcome in outcomes):
                raise UsageError(
                    f"the budget bounds {name}, and the function reported none in {len(outcomes)} runs: tell them with "
                    f"ol.report_cost(...) where it asks a model, or bound rollouts= and seconds="
                )
        return
    if predictors_of(program) and all(outcome.calls == 0 and outcome.state != "error" for outcome in outcomes):
        raise UsageError(
            f"{type(program).__name__} ran on {len(outcomes)} examples, and none of its modules was seen to ask a "
            f"model. Plain threads (ThreadPoolExecutor, threading.Thread) do not know the run that started them: use "
            f"ol.gather(...), or give them contextvars.copy_context().run."
        )


def _refuse_unpriced(study: Study, setting: Setting, outcomes: Sequence[Outcome]) -> None:
    """Stop when dollars shall decide and are not known, or what a function does not tell."""
    cost = setting.prefer.cost
    if cost is not None and isinstance(setting.program, Function) and not any(getattr(o, cost) for o in outcomes):
        raise UsageError(
            f"prefer={str(setting.prefer)!r} needs {cost}, and the function reported none in {len(outcomes)} runs: "
            f"tell them with ol.report_cost(...), or say 'fastest within {setting.prefer.within:g} points'"
        )
    if setting.prefer.cost == "dollars" and study.ledger.unpriced("start"):
        raise UsageError(
            f"prefer={str(setting.prefer)!r} needs prices, and that of {', '.join(setting.asked())} is not known; "
            f"say 'fewest tokens within {setting.prefer.within:g} points'"
        )


async def _probe(study: Study, setting: Setting, examples: Dataset) -> None:
    """One rollout of the start program before all others; what is nobody's fault may be chance twice."""
    for number in range(_PROBES):
        outcome = (await study.evaluate(study.start, examples[number : number + 1]))[0]
        if outcome.state != "error" or outcome.error.startswith(_NO_ANSWER):
            return
        ours = not outcome.answered and not isinstance(study.program, Function)  # whose exceptions may be answers
        if number < _PROBES - 1 and not ours:
            continue
        first = f"the first {number + 1} confirmation examples" if number else "the first confirmation example"
        whose = f"the metric {name_of(setting.metric)!r}" if study.failures.in_metric else "the program as it is"
        raise SearchStopped(f"{whose} fails on {first}: {outcome.error}") from study.failures.last


def answer_interrupt() -> str:
    """The request to end is answered by giving what is done."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
    return INTERRUPTED


def go_on(study: Study) -> str:
    """What to do after an interrupt, in a sentence."""
    if study.ledger.path is None:
        return f"The same compile runs {KEPT_NOWHERE}."
    return "Run the same compile again to go on."


def spare_of(study: Study, winner: Candidate) -> float:
    """How many rollouts can be paid beyond the proof; under a limit in seconds what the first run found, so that
    compiling again repeats the proof, however much faster it is."""
    if not study.plan.deadline.bounded:
        return study.plan.spare(winner)
    about: dict[str, Any] = {"winner": winner.id, "budget": study.purse.budget.to_json()}
    if around := [limit for meter in study.purse.chain[1:] if (limit := meter.limits["seconds"]) is not None]:
        about["around"] = around
    for known in study.ledger.events("spare"):
        if known["about"] == about:
            return known["rollouts"]
    rollouts = min(study.plan.spare(winner), float(sys.maxsize))
    study.ledger.add_event("spare", {"about": about, "rollouts": rollouts})
    return rollouts


async def _sharpened(
    study: Study,
    setting: Setting,
    winner: Candidate,
    spare: float,
    proof: Sequence[Outcome],
    found: Sequence[Outcome],
) -> tuple[Sequence[Outcome], Sequence[Outcome]]:
    """The proof on as many more examples as what the search left over pays for; how many, the results do not decide."""
    examples = setting.parts["confirm"][len(proof) :]
    more = examples[: int(min(len(examples), spare / 2))]
    try:
        ours, theirs = await study.evaluate(study.start, more), await study.evaluate(winner, more)
    except BudgetExceeded:  # they cost more than those before
        return proof, found
    return [*proof, *ours], [*found, *theirs]


def _nothing_found(study: Study, setting: Setting, stopped: str) -> str:
    """That the start won the search, and what kept anything else from it."""
    found = "nothing better than the program as it is"
    if setting.prefer.cost is not None:
        found = f"nothing that is {setting.prefer} of the best but the program as it is"
    within = f" that could be proven before {stopped}" if stopped else ""
    failures = study.advisor.failures
    return f"The search found {found}{within}{f': {failures}' if failures else ''}."


async def confirm(
    study: Study, setting: Setting, winner: Candidate, proof: Sequence[Outcome], stopped: str, cramp: str = ""
) -> tuple[Verdict, str]:
    """The verdict, and why the proof ended early, if it did. `cramp` says that a search had too
    little to find anything, where that was so."""

    about: Any = {"level": setting.level, "seed": setting.seed}

    def unproven(reason: str) -> Verdict:
        return without_winner("unproven", reason, proof, level=setting.level, margin=setting.margin)

    if stopped == INTERRUPTED:
        found = f"the leader ({winner.origin}) was confirmed" if winner != study.start else "anything better was found"
        return unproven(f"Interrupted before {found}. {go_on(study)}"), stopped
    if winner == study.start:
        reason = cramp or _nothing_found(study, setting, stopped)
        return without_winner("inconclusive", reason, proof, level=setting.level, margin=setting.margin), stopped
    try:
        spare = 0.0 if stopped else spare_of(study, winner)
        found = await study.evaluate(winner, setting.parts["confirm"][: len(proof)])
        if spare:
            proof, found = await _sharpened(study, setting, winner, spare, proof, found)
    except BudgetExceeded as error:
        late = f"the budget of {error.limit or study.purse.budget} was used up"
        return unproven(f"The budget ended before the leader ({winner.origin}) was confirmed."), late
    except asyncio.CancelledError:
        reason = f"Interrupted while the leader ({winner.origin}) was being confirmed. {go_on(study)}"
        return unproven(reason), answer_interrupt()
    scored = [(a, b) for a, b in zip(proof, found, strict=True) if a.value is not None and b.value is not None]
    if len(scored) < SMALLEST:
        return unproven(f"Only {len(scored)} confirmation examples could be scored for both programs."), ""
    sides = ([a for a, _ in scored], [b for _, b in scored])
    saving, cost = None, setting.prefer.cost
    if cost is not None:
        saving = saving_of(cost, *([getattr(one, cost) for one in side] for side in sides), **about)
    values = ([one.value or 0.0 for one in side] for side in sides)
    return judge(*values, **about, margin=setting.margin, saving=saving), ""
