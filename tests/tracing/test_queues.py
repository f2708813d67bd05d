"""Queues: what a person looks at next is chosen as the strategy says, says why, and is the same for the same seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from outlast.errors import DataError, UsageError
from outlast.tracing.clusters import grouped, vectors_of
from outlast.tracing.queues import STRATEGIES, choose, make_queue
from outlast.tracing.record import Content, ResultRecord, RunRecord, SpanRecord, TraceFilter, TraceRecord
from outlast.tracing.saving import WholeTrace
from outlast.tracing.store import Store, open_store
from outlast.tracing.verdicts import beside_people, score_of, verdict_of


def id_of(number: int) -> str:
    return f"{number:032x}"


def trace(number: int, **more: Any) -> TraceRecord:
    usual: dict[str, Any] = {
        "name": "Triage",
        "status": "ok",
        "calls": 0,
        "seconds": 1.0,
        "input": f"question {number}",
    }
    return TraceRecord(id_of(number), started=1_000.0 + number, **{**usual, **more})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "traces.db", create=True) as opened:
        yield opened


def fill(store: Store, *traces: TraceRecord) -> None:
    store.save_records([], [WholeTrace(one) for one in traces])


def test_a_random_queue_is_a_sample_that_a_seed_fixes(store: Store) -> None:
    fill(store, *(trace(number) for number in range(40)))
    first, again, other = (choose(store, "random", 10, seed=seed).trace_ids for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert len(set(first)) == 10
    assert choose(store, "random", 100).pool == 40
    seen = Counter(id for seed in range(200) for id in choose(store, "random", 10, seed=seed).trace_ids)
    assert len(seen) == 40
    assert all(25 <= count <= 80 for count in seen.values())


def test_strata_are_all_there_however_rare(store: Store) -> None:
    fill(store, *(trace(number, name="Common") for number in range(30)), trace(90, name="Rare"), trace(91, name="Odd"))
    chosen = choose(store, "stratified", 6)
    assert Counter(chosen.reasons.values()) == {"name: Common": 4, "name: Rare": 1, "name: Odd": 1}
    by_tag = choose(store, "stratified", 3, by="tag")
    assert set(by_tag.reasons.values()) == {"tag: none"}


def test_the_slowest_and_the_dearest_come_first(store: Store) -> None:
    fill(store, trace(1, seconds=3.0, cost=0.1), trace(2, seconds=9.0), trace(3, seconds=5.0, cost=0.7))
    assert choose(store, "slow").trace_ids == (id_of(2), id_of(3), id_of(1))
    assert choose(store, "costly").trace_ids == (id_of(3), id_of(1))
    assert choose(store, "slow").reasons[id_of(2)] == "9 s"


def test_failures_of_each_kind_stand_before_more_of_the_same(store: Store) -> None:
    limit = "RateLimitError: 429, retry after {} s"
    fill(store, *(trace(number, status="error", error=limit.format(number)) for number in range(5)))
    fill(store, trace(10, status="error", error="ParseError: no field"), trace(11), trace(12))
    store.add_label(id_of(11), "fail", author="ann")
    chosen = choose(store, "failures", 3)
    assert set(chosen.trace_ids[:3]) == {id_of(10), id_of(11), id_of(4)}
    assert chosen.reasons[id_of(11)] == "human ann: fail"
    assert id_of(12) not in choose(store, "failures", 50).trace_ids


def test_rows_of_an_evaluation_that_failed_are_failures(store: Store) -> None:
    run = RunRecord("e" * 32, "eval")
    rows = [
        WholeTrace(
            trace(number, run_id=run.id, example="x"),
            result=ResultRecord(run.id, number, trace_id=id_of(number), state="pass" if number else "fail"),
        )
        for number in range(3)
    ]
    store.save_records([run], rows)
    assert choose(store, "failures", evaluated=True).reasons == {id_of(0): "row 0: fail"}
    assert choose(store, "failures", where=TraceFilter(run=run.id)).trace_ids == (id_of(0),)


def test_what_nobody_asked_in_earnest_is_left_out_unless_asked_for(store: Store) -> None:
    runs = [RunRecord(kind[0] * 32, kind) for kind in ("eval", "compile", "replay", "process")]
    rows = [trace(number, run_id=run.id) for number, run in enumerate(runs)]
    rows += [trace(10, tags=("replay",)), trace(11, attributes={"a": 1, "of": "metric"}), trace(12, tags=("replayed",))]
    store.save_records(runs, [WholeTrace(one) for one in rows])
    chosen = choose(store, "random")
    assert set(chosen.trace_ids) == {id_of(3), id_of(12)}
    assert (chosen.pool, chosen.fitting, choose(store, most=1).fitting) == (2, 2, 2)
    everything = choose(store, "random", evaluated=True)
    assert len(everything.trace_ids) == 6
    assert id_of(11) not in everything.trace_ids  # what a judge said would unblind who labels its row
    assert id_of(11) in choose(store, "random", evaluated=True, where=TraceFilter(name=rows[5].name)).trace_ids
    assert choose(store, "random", where=TraceFilter(run=runs[0].id)).trace_ids == (id_of(0),)
    with pytest.raises(UsageError, match="no trace fits the filter; 3 of evaluations, .* evaluated=True"):
        make_queue(store, "q", where=TraceFilter(until=1_002.5))


def test_uncertain_are_scores_near_the_line_and_decisions_that_could_be_either(store: Store) -> None:
    fill(store, *(trace(number) for number in range(4)))
    for number, score in enumerate((0.95, 0.52, 0.3)):
        store.add_label(id_of(number), score, source="judge", author="gpt")
    shares = {"yes": 0.51, "no": 0.49}
    span = SpanRecord("a" * 16, id_of(9), kind="lm")
    response = {"text": "", "decisions": {"spam": {"value": True, "probabilities": shares, "evidence": "native"}}}
    whole = WholeTrace(trace(9, calls=1), (span,), {span.id: Content(request={"messages": []}, response=response)})
    store.save_records([], [whole])
    chosen = choose(store, "uncertain")
    assert chosen.trace_ids == (id_of(9), id_of(1), id_of(2), id_of(0))
    assert chosen.reasons[id_of(9)] == "spam: sure to 51%"
    assert chosen.reasons[id_of(1)] == "judge gpt: 0.52"
    assert choose(store, "uncertain", threshold=0.3).trace_ids[0] == id_of(2)


def test_disagreement_is_between_people_and_judges_or_among_people(store: Store) -> None:
    fill(store, *(trace(number) for number in range(5)))
    for number, judged in ((0, "pass"), (1, "pass"), (2, "fail")):
        store.add_label(id_of(number), judged, source="judge", author="gpt", name="tone")
    for author in ("ann", "bob"):
        store.add_label(id_of(0), "fail", author=author)
        store.add_label(id_of(1), "pass", author=author)
    store.add_label(id_of(3), "fail", author="ann")
    store.add_label(id_of(3), "pass", author="bob")
    store.add_label(id_of(4), "defer", author="bob")
    chosen = choose(store, "disagreement")
    assert chosen.trace_ids == (id_of(0), id_of(3))
    assert chosen.reasons == {
        id_of(0): "gpt says pass, 2 of 2 people do not",
        id_of(3): "people say different things",
    }


def test_a_judge_is_held_against_labels_of_its_own_name_where_there_are_any(store: Store) -> None:
    fill(store, trace(0), trace(1))
    store.add_label(id_of(0), "fail", author="ann")
    store.add_label(id_of(0), "pass", author="ann", name="tone")
    store.add_label(id_of(0), "pass", source="judge", author="gpt", name="tone")
    [both] = beside_people(store.labels())
    assert both.against == 0
    assert both.people == {"ann": "pass"}


def test_clusters_give_one_of_each_kind_the_largest_first(store: Store) -> None:
    kinds = ["my card was charged twice", "where is my bank transfer", "I cannot log in to the app"]
    for kind, count in enumerate((8, 5, 2)):
        fill(store, *(trace(100 * kind + at, input=f"{kinds[kind]} {at}", output="") for at in range(count)))
    chosen = choose(store, "clusters", 3)
    assert [int(id, 16) // 100 for id in chosen.trace_ids] == [0, 1, 2]
    assert list(chosen.reasons.values()) == [
        "one of 8 that are alike",
        "one of 5 that are alike",
        "one of 2 that are alike",
    ]
    assert choose(store, "clusters", 3) == chosen
    assert len(set(choose(store, "clusters", 15).trace_ids)) == 15


def test_groups_hold_every_text_once() -> None:
    texts = [f"{word} {word} {number}" for number, word in enumerate(["red", "green", "blue", "red", "blue", "red"])]
    groups = grouped(vectors_of(texts), 3, seed=4)
    assert sorted(at for group in groups for at in group) == list(range(6))
    assert {frozenset(group) for group in groups} == {frozenset({0, 3, 5}), frozenset({1}), frozenset({2, 4})}
    assert grouped(vectors_of(["", ""]), 5) == [[0, 1]]
    assert grouped([], 3) == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_takes_an_empty_store_and_a_filter(store: Store, strategy: str) -> None:
    assert choose(store, strategy).trace_ids == ()
    fill(store, *(trace(number, name="AB"[number % 2], status="error", error="x", cost=1.0) for number in range(10)))
    assert all(int(id, 16) % 2 for id in choose(store, strategy, where=TraceFilter(name="B")).trace_ids)


def test_only_the_newest_are_chosen_from_and_it_says_so(store: Store) -> None:
    fill(store, *(trace(number) for number in range(30)))
    chosen = choose(store, "random", 50, most=10)
    assert (chosen.pool, chosen.fitting) == (10, 30)
    assert min(int(id, 16) for id in chosen.trace_ids) == 20


def test_what_still_runs_is_left_out(store: Store) -> None:
    fill(store, trace(1), replace(trace(2), status="open"))
    assert choose(store, "random").trace_ids == (id_of(1),)


def test_a_queue_is_kept_with_how_it_was_made(store: Store) -> None:
    fill(store, *(trace(number, seconds=float(number)) for number in range(5)))
    queue = make_queue(store, "", "slow", 2, where=TraceFilter(name="Triage"), about={"label": "tone"})
    assert store.queue(queue.id) == queue
    assert (queue.name, queue.strategy, queue.trace_ids) == ("slow", "slow", (id_of(4), id_of(3)))
    assert queue.about["filter"] == {"name": "Triage"}
    assert (queue.about["label"], queue.about["asked"], queue.about["pool"]) == ("tone", 2, 5)
    with pytest.raises(UsageError, match="none of them qualifies as 'costly'"):
        make_queue(store, "x", "costly")
    with pytest.raises(UsageError, match="no trace fits"):
        make_queue(store, "x", where=TraceFilter(name="nobody"))


def test_what_makes_no_sense_is_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="Did you mean 'random'"):
        choose(store, "randon")
    with pytest.raises(UsageError, match="strata are by"):
        choose(store, "stratified", by="colour")
    with pytest.raises(UsageError, match="n is a whole number"):
        choose(store, "random", 0)


def test_values_of_labels_as_verdicts_and_scores() -> None:
    assert [verdict_of(value) for value in ("Pass", True, 1, 0.5, "no", 0.49, "defer", None, "")] == [
        *("pass", "pass", "pass", "pass", "fail", "fail"),
        *(None, None, None),
    ]
    assert verdict_of(0.6, threshold=0.7) == "fail"
    assert [score_of(value) for value in (0.3, "pass", False, 5, None)] == [0.3, 1.0, 0.0, None, None]


def test_labels_of_several_traces_are_read_at_once(store: Store) -> None:
    fill(store, *(trace(number) for number in range(4)))
    for number in range(4):
        store.add_label(id_of(number), "fail", author="ann")
        store.add_label(id_of(number), "pass", author="ann")
    some = [id_of(1), id_of(3), id_of(77)]
    assert [(one.trace_id, one.value) for one in store.labels(some)] == [(id_of(1), "pass"), (id_of(3), "pass")]
    assert len(store.labels(some, history=True)) == 4
    assert store.labels([]) == []


def test_two_queues_do_not_have_one_name(store: Store) -> None:
    fill(store, trace(1))
    first = make_queue(store, "mine")
    with pytest.raises(UsageError, match=f"a queue 'mine' already, {first.id}, of 1 traces; give another name"):
        make_queue(store, "mine")
    assert [make_queue(store, "").name for _ in range(3)] == ["random", "random 2", "random 3"]
    assert len(store.queues()) == 4


def test_an_id_that_several_have_is_told_with_which(store: Store) -> None:
    fill(store, *(trace(number, input=f"what\n{number}") for number in range(3)))
    with pytest.raises(
        DataError, match=f"several traces begin .*give more of the id\n  {id_of(2)}  program  Triage  wh"
    ):
        store.trace("0" * 30)
    fill(store, *(trace(number) for number in range(3, 9)))
    with pytest.raises(DataError) as told:
        store.trace("0" * 30)
    assert len(str(told.value).splitlines()) == 7
    assert str(told.value).endswith("...")
