"""Which traces a person looks at next: chosen from all that fit a filter, by a strategy that says why each is there.

A strategy is a function of a pool of traces; it reads the store and changes nothing. The same seed chooses the same.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from outlast.errors import UsageError, brief, did_you_mean
from outlast.tracing.clusters import grouped, vectors_of
from outlast.tracing.judged import judged_runs
from outlast.tracing.record import ALL, QueueRecord, TraceFilter, TraceRecord
from outlast.tracing.verdicts import JUDGES, THRESHOLD, beside_people, score_of, verdict_of

if TYPE_CHECKING:
    from outlast.tracing.store import Store

POOL = 5_000  # newest traces that a choice is made from
DECISIONS = 1_000  # traces whose exchanges are read for probabilities
CLUSTERED = 1_000  # traces that are clustered
MOST_CLUSTERS = 30
KEYS = ("name", "model", "tag", "status", "session", "program", "run")
_NOT_OVER = ("open", "killed")
_TOGETHER = 250  # traces or spans that are read at once
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Traces in the order in which they are looked at, each with the reason why it is there, "" for none.

    `pool` is how many traces they were chosen from, `fitting` how many pass the filter in all; the pool are the newest.
    """

    trace_ids: tuple[str, ...]
    reasons: Mapping[str, str]
    pool: int
    fitting: int


@dataclass(frozen=True, slots=True)
class Pool:
    """What a strategy chooses from, and how: `by` is what strata are made of, `threshold` the line of a score."""

    store: Store
    traces: Sequence[TraceRecord]
    dice: random.Random
    by: str = "name"
    threshold: float = THRESHOLD

    def shuffled(self, traces: Sequence[TraceRecord]) -> list[TraceRecord]:
        """These in a random order."""
        return self.dice.sample(traces, len(traces))


Reasoned = tuple[str, str]
"""The id of a trace, and why it is there."""


def choose(
    store: Store,
    strategy: str = "random",
    n: int = 50,
    *,
    where: TraceFilter = ALL,
    by: str = "name",
    threshold: float = THRESHOLD,
    seed: int = 0,
    most: int = POOL,
    evaluated: bool = False,
) -> Chosen:
    """At most `n` traces among the newest `most` that fit `where`. Those of evaluations, compilations and replays, and
    those of metrics, are not among them without `evaluated`, unless `where` names their run: no examples are made of
    them afterwards. The strategies:

    random        each as likely as any other
    stratified    as many of each `by` (name, model, tag, status, session, program, run), so that rare ones are there
    uncertain     where a decision was least sure, or a judge's or classifier's score nearest to `threshold`
    disagreement  where people and a judge say different things, or people among themselves
    slow, costly  the longest, the dearest
    failures      errors, failed labels and rows that did not pass; one of each kind of error first
    clusters      representatives of groups of similar texts, the largest group first

    Fewer are given where fewer qualify. Raises `UsageError` for an unknown strategy or key and for n below 1.
    """
    if strategy not in STRATEGIES:
        near = did_you_mean(strategy, STRATEGIES) if isinstance(strategy, str) else ""
        raise UsageError(f"no strategy {brief(strategy)}.{near} Strategies: {', '.join(STRATEGIES)}.")
    if by not in KEYS:
        raise UsageError(f"strata are by {', '.join(KEYS)}; got {brief(by)}")
    for name, value in (("n", n), ("most", most)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"{name} is a whole number from 1; got {brief(value)}")
    where = everyday(where, evaluated)
    traces = [one for one in store.all_traces(_without_metrics(where), most) if one.status not in _NOT_OVER]
    pool = Pool(store, traces, random.Random(seed), by, threshold)
    chosen = STRATEGIES[strategy].choose(pool, n)[:n]
    reasons = {id: why for id, why in chosen if why}
    return Chosen(tuple(id for id, _ in chosen), reasons, len(traces), count_fitting(store, where))


def make_queue(
    store: Store,
    name: str,
    strategy: str = "random",
    n: int = 50,
    *,
    about: Mapping[str, Any] | None = None,
    **how: Any,
) -> QueueRecord:
    """Choose as `choose` does, and keep it in the store as a queue. `about` is kept with it, beside how it was chosen
    and why each trace is there. Raises `UsageError` when nothing qualifies and when there is a queue of that `name`;
    without a name it is called as the strategy, with a number where there is such a queue."""
    taken = {one.name: one for one in store.queues()[::-1]}
    if name in taken:
        there = taken[name]
        raise UsageError(
            f"there is a queue {name!r} already, {there.id}, of {len(there.trace_ids)} traces; give another name"
        )
    chosen = choose(store, strategy, n, **how)
    if not chosen.trace_ids:
        raise UsageError(_nothing(store, strategy, chosen, how))
    where: TraceFilter = how.get("where", ALL)
    told = {
        **(about or {}),
        "asked": n,
        "evaluated": bool(how.get("evaluated")),
        "seed": how.get("seed", 0),
        "filter": {key: value for key, value in asdict(where).items() if value is not None},
        "pool": chosen.pool,
        "fitting": chosen.fitting,
        "reasons": dict(chosen.reasons),
    }
    if strategy == "stratified":
        told["by"] = how.get("by", "name")
    called = name or next(one for one in _names(strategy) if one not in taken)
    return store.add_queue(called, strategy, chosen.trace_ids, told)


def _names(first: str) -> Iterator[str]:
    yield first
    yield from (f"{first} {number}" for number in itertools.count(2))


def everyday(where: TraceFilter, evaluated: bool = False) -> TraceFilter:
    """The filter without traces of evaluations, compilations and replays, unless they or their run are asked for."""
    return (
        where if evaluated or where.run is not None or where.evaluated is not None else replace(where, evaluated=False)
    )


def _nothing(store: Store, strategy: str, chosen: Chosen, how: Mapping[str, Any]) -> str:
    """Why there is nothing to put in a queue."""
    where: TraceFilter = how.get("where", ALL)
    if chosen.fitting:
        told = f"{chosen.fitting} traces fit the filter, and none of them qualifies as {strategy!r}"
    else:
        told = "no trace fits the filter"
    narrowed = everyday(where, bool(how.get("evaluated")))
    others = store.count(replace(narrowed, evaluated=True)) if narrowed != where else 0
    if others:
        told += (
            f"; {others:,} of evaluations, compilations and replays {'were' if others > 1 else 'was'} left out: "
            "evaluated=True (--evaluated) takes them too"
        )
    return f"nothing to put in a queue: {told}"


def count_fitting(store: Store, where: TraceFilter) -> int:
    """How many traces a queue of this filter could have: those that are over."""
    wanted = _without_metrics(where)
    if where.status is not None:
        return 0 if where.status in _NOT_OVER else store.count(wanted)
    return store.count(wanted) - sum(store.count(replace(wanted, status=status)) for status in _NOT_OVER)


def _without_metrics(where: TraceFilter) -> TraceFilter:
    """The filter without traces of a metric, such as what a judge was asked of a row, unless a program is asked for by
    name: beside the rows that they are of they would only tell the verdict."""
    named = where.name is not None or where.program is not None or where.metrics is not None
    return where if named else replace(where, metrics=False)


# The strategies


def _random(pool: Pool, n: int) -> list[Reasoned]:
    return [(one.id, "") for one in pool.dice.sample(pool.traces, min(n, len(pool.traces)))]


def _stratified(pool: Pool, n: int) -> list[Reasoned]:
    strata: dict[str, list[TraceRecord]] = {}
    for one in pool.shuffled(pool.traces):
        strata.setdefault(_stratum(one, pool.by), []).append(one)
    ordered = [strata[name] for name in sorted(strata, key=lambda name: (len(strata[name]), name))]
    return [(one.id, f"{pool.by}: {_stratum(one, pool.by) or 'none'}") for one in _in_turn(ordered, n)]


def _stratum(one: TraceRecord, by: str) -> str:
    match by:
        case "model":
            return ", ".join(one.models)
        case "tag":
            return ", ".join(sorted(one.tags))
        case "program":
            return one.program[:8]
        case "run":
            return one.run_id[:12]
        case _:
            return str(getattr(one, by))


def _in_turn(groups: Sequence[Sequence[TraceRecord]], n: int) -> list[TraceRecord]:
    """One of each group after the other, until there are `n`."""
    found: list[TraceRecord] = []
    for place in range(max(map(len, groups), default=0)):
        found += [group[place] for group in groups if place < len(group)]
        if len(found) >= n:
            break
    return found[:n]


def _uncertain(pool: Pool, n: int) -> list[Reasoned]:
    known = {one.id for one in pool.traces}
    sure: dict[str, tuple[float, str]] = {}  # 0: could be either
    for label in pool.store.labels():
        score = score_of(label.value) if label.source in JUDGES and label.trace_id in known else None
        if score is not None and not isinstance(label.value, str | bool):
            reach = max(pool.threshold, 1 - pool.threshold)
            why = f"{label.source} {label.author or label.name}: {score:.2f}"
            _keep(sure, label.trace_id, abs(score - pool.threshold) / reach, why)
    asked = [one.id for one in pool.traces if one.calls][:DECISIONS]
    for start in range(0, len(asked), _TOGETHER):
        for id, name, probability, answers in _decisions(pool.store, asked[start : start + _TOGETHER]):
            least = 1 / max(2, answers)
            _keep(sure, id, max(0.0, probability - least) / (1 - least), f"{name}: sure to {probability:.0%}")
    ordered = sorted(sure, key=lambda id: (sure[id][0], id))
    return [(id, sure[id][1]) for id in ordered if sure[id][0] < 1][:n]


def _keep(sure: dict[str, tuple[float, str]], id: str, value: float, why: str) -> None:
    if id not in sure or value < sure[id][0]:
        sure[id] = (value, why)


def _decisions(store: Store, trace_ids: Sequence[str]) -> list[tuple[str, str, float, int]]:
    """The decisions in the exchanges of traces: trace, question, how likely the answer was, how many answers it had."""
    exchanges = {span.id: span.trace_id for span in store.spans_of(trace_ids) if span.kind == "lm"}
    found: list[tuple[str, str, float, int]] = []
    ids = list(exchanges)
    for start in range(0, len(ids), _TOGETHER):
        for span_id, content in store.contents_of(ids[start : start + _TOGETHER], of="span").items():
            for name, decision in _table((content.response or {}).get("decisions")).items():
                shares = [
                    value for value in _table(_table(decision).get("probabilities")).values() if _is_number(value)
                ]
                if shares:
                    found.append((exchanges[span_id], name, max(shares), len(shares)))
    return found


def _table(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _disagreement(pool: Pool, n: int) -> list[Reasoned]:
    known = {one.id for one in pool.traces}
    rows = [label for run in judged_runs(pool.store) for label in run.verdicts]
    labels = [one for one in (*pool.store.labels(), *rows) if one.trace_id in known]
    found: dict[str, tuple[int, str]] = {}
    for both in beside_people(labels, pool.threshold):
        if both.against:
            who, others = both.judge.author or both.judge.name, f"{both.against} of {len(both.people)} people do not"
            found[both.trace_id] = (both.against, f"{who} says {both.judged}, {others}")
    said: dict[tuple[str, str], set[str]] = {}
    for one in labels:
        verdict = verdict_of(one.value, pool.threshold) if one.source not in JUDGES and not one.span_id else None
        if verdict is not None:
            said.setdefault((one.trace_id, one.name), set()).add(verdict)
    for (trace_id, _), verdicts in said.items():
        if len(verdicts) > 1:
            found.setdefault(trace_id, (0, "people say different things"))
    place = {one.id: at for at, one in enumerate(pool.traces)}
    return [(id, found[id][1]) for id in sorted(found, key=lambda id: (-found[id][0], place[id]))][:n]


def _slow(pool: Pool, n: int) -> list[Reasoned]:
    timed = [one for one in pool.traces if one.seconds is not None]
    ordered = sorted(timed, key=lambda one: -(one.seconds or 0.0))[:n]
    return [(one.id, f"{one.seconds:.3g} s") for one in ordered]


def _costly(pool: Pool, n: int) -> list[Reasoned]:
    priced = [one for one in pool.traces if one.cost]
    return [(one.id, f"${one.cost:.3g}") for one in sorted(priced, key=lambda one: -(one.cost or 0.0))[:n]]


def _failures(pool: Pool, n: int) -> list[Reasoned]:
    failed: dict[str, str] = {}
    for label in pool.store.labels():
        if verdict_of(label.value, pool.threshold) == "fail":
            failed[label.trace_id] = f"{label.source} {label.author or label.name}: fail"
    for run_id in {one.run_id for one in pool.traces if one.example and one.run_id}:
        for state in ("fail", "error"):
            for row in pool.store.results(run_id, state=state, limit=POOL):
                failed.setdefault(row.trace_id, f"row {row.index}: {state}")
    kinds: dict[str, list[TraceRecord]] = {}
    whys: dict[str, str] = {}
    for one in pool.traces:
        if one.status == "error":
            kinds.setdefault(_NUMBER.sub("0", one.error)[:120], []).append(one)
            whys[one.id] = one.error.split("\n")[0][:120] or "error"
        elif one.id in failed:
            kinds.setdefault(failed[one.id].partition(":")[0].split()[0], []).append(one)
            whys[one.id] = failed[one.id]
    return [(one.id, whys[one.id]) for one in _in_turn(list(kinds.values()), n)]


def _clusters(pool: Pool, n: int) -> list[Reasoned]:
    some = list(pool.traces)
    if len(some) > CLUSTERED:
        some = pool.dice.sample(some, CLUSTERED)
    vectors = vectors_of([f"{one.input}\n{one.error or one.output}" for one in some])
    groups = grouped(vectors, min(n, MOST_CLUSTERS), seed=pool.dice.randrange(2**31))
    size = {some[at].id: len(group) for group in groups for at in group}
    first = {some[group[0]].id for group in groups}
    chosen = _in_turn([[some[at] for at in group] for group in groups], n)
    return [(one.id, f"{'one' if one.id in first else 'another'} of {size[one.id]} that are alike") for one in chosen]


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way to choose, and what it is good for."""

    choose: Callable[[Pool, int], list[Reasoned]]
    about: str


STRATEGIES: Mapping[str, Strategy] = {
    "random": Strategy(_random, "An unbiased sample: rates that you count in it hold for all."),
    "stratified": Strategy(_stratified, "As many of each kind, so that rare ones are there."),
    "clusters": Strategy(_clusters, "One of each group of similar texts, the largest group first."),
    "uncertain": Strategy(_uncertain, "Where a decision was least sure, or a judge's score nearest to the line."),
    "disagreement": Strategy(_disagreement, "Where people and a judge differ, or people among themselves."),
    "failures": Strategy(_failures, "Errors and failed rows; one of each kind first."),
    "slow": Strategy(_slow, "The longest first."),
    "costly": Strategy(_costly, "The dearest first."),
}
