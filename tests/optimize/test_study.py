from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

import outlast as ol
from outlast.data.example import id_of
from outlast.errors import BudgetExceeded, PathError, SearchStopped, UsageError
from outlast.optimize.budget import Purse
from outlast.optimize.ledger import Ledger
from outlast.optimize.study import Progress, Study
from outlast.runtime import Budget, run_blocking, running
from outlast.testing import ScriptedLM
from outlast.testing.world import SimulatedLM, Triage, World, right

WORLD = World(examples=60)
DATA = list(WORLD.data())


def make(ledger: Ledger | None = None, **options: Any) -> Study:
    options.setdefault("train", DATA[:20])
    options.setdefault("select", DATA[20:])
    return Study(
        options.pop("program", None) or Triage(),
        options.pop("metric", right),
        ledger=ledger or Ledger(None, {}),
        **options,
    )


def within(study: Study, lm: Any, work: Any) -> Any:
    async def run() -> Any:
        with running(lm=lm), study.stage("search"):
            return await work()

    return run_blocking(run)


def test_a_result_is_asked_for_once_whoever_asks_how_often():
    lm, study = WORLD.lm(), make()

    async def work():
        first = await asyncio.gather(*(study.evaluate(study.start, DATA[:10]) for _ in range(5)))
        return [*first, await study.evaluate(study.start, DATA[:10])]

    results = within(study, lm, work)
    assert all(one == results[0] for one in results)
    assert lm.calls == 20
    assert study.rollouts == 10


def test_outcomes_come_in_the_order_of_the_examples():
    study = make()
    some = DATA[30:10:-1]
    outcomes = within(study, WORLD.lm(), lambda: study.evaluate(study.start, some))
    assert [outcome.example for outcome in outcomes] == [id_of(example) for example in some]


def test_equal_requests_of_different_candidates_are_paid_once():
    # the second module's prompt is the same for both candidates whenever the first gives the same team
    lm, study = WORLD.lm(), make()
    other = study.propose({"route.instruction": "Route it."}, origin="test")
    within(study, lm, lambda: study.evaluate(study.start, DATA[:10]))
    assert lm.calls == 20
    within(study, lm, lambda: study.evaluate(other, DATA[:10]))
    assert lm.calls < 40
    assert study.calls == 40  # what the results cost from scratch


def test_the_same_change_is_the_same_candidate_however_it_is_said():
    study = make()
    one = study.propose({"route.instruction": "a", "rate.instruction": "b"}, origin="first")
    assert study.propose({"rate.instruction": "b", "route.instruction": "a"}, origin="second") is one
    assert one.origin == "first"
    step = study.propose({"route.instruction": "a"}, origin="step")
    assert study.propose({"rate.instruction": "b"}, parent=step, origin="other way") is one
    assert study.propose({"route.demos": ()}, origin="no change") is study.start
    same = Triage().route.instruction
    assert study.propose({"route.instruction": same}, parent=step, origin="back") is study.start


def test_a_candidate_builds_on_its_parent_and_says_so():
    study = make()
    parent = study.propose({"route.instruction": "a"}, origin="one")
    child = study.propose({"rate.instruction": "b"}, parent=parent, origin="two")
    assert child.parent == parent.id
    assert parent.parent == "start"
    assert study.start.parent == ""
    assert child.changes == {"route.instruction": "a", "rate.instruction": "b"}
    built = study.build(child)
    assert (built.route.instruction, built.rate.instruction) == ("a", "b")


def test_proposing_calls_no_model_and_leaves_the_program_alone():
    lm, study = WORLD.lm(), make()
    before = dict(ol.parameters(study.program))
    study.propose({"route.demos": [{"message": "m", "team": "cards"}]}, origin="test")
    assert lm.calls == 0
    assert dict(ol.parameters(study.program)) == before


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"rout.instruction": "x"}, PathError),
        ({"route.instruction": 3}, UsageError),
        ({"route.lm": 3}, UsageError),
        ({"route": ol.Predict("message -> team")}, UsageError),
        ({"route.demos": [{"mesage": "m"}]}, UsageError),
    ],
)
def test_changes_that_the_program_cannot_take_are_refused(changes: Any, error: type[Exception]):
    with pytest.raises(error):
        make().propose(changes, origin="test")


def test_declared_parameters_can_be_candidates():
    class Shout(ol.Module):
        tone = ol.param("calm", "how to sound")
        limit = ol.param(3)
        route = ol.Predict("message -> team")

        async def forward(self, message: str) -> Any:
            return await self.route.acall(message=f"{self.tone} {self.limit} {message}")

    study = make(program=Shout(), metric=lambda example, out: out.team == "loud 9")
    lm = ScriptedLM(lambda messages: " ".join(messages[-1].text.split("\n")[1].split()[:2]))
    candidate = study.propose({"tone": "loud", "limit": 9}, origin="test")
    outcomes = within(study, lm, lambda: study.evaluate(candidate, DATA[:3]))
    assert [outcome.state for outcome in outcomes] == ["pass"] * 3
    with pytest.raises(UsageError):
        study.propose({"limit": "nine"}, origin="test")


def test_a_candidate_of_another_study_is_refused():
    foreign = make().propose({"route.instruction": "a"}, origin="test")
    study = make()
    with pytest.raises(UsageError, match="not proposed"):
        within(study, WORLD.lm(), lambda: study.evaluate(foreign, DATA[:2]))


def test_samples_are_independent_draws_and_each_is_remembered():
    world = World(examples=60, base=0.5, gain=0.0)
    lm, study = world.lm(), make()

    async def work():
        return [await study.evaluate(study.start, DATA[:30], sample=n % 3) for n in range(6)]

    draws = [[outcome.score for outcome in one] for one in within(study, lm, work)]
    assert draws[:3] == draws[3:]
    assert draws[0] != draws[1] != draws[2]
    assert study.rollouts == 90


def test_a_tally_averages_the_samples_of_an_example():
    study = make()

    async def work():
        for sample in range(4):
            await study.evaluate(study.start, DATA[20:22], sample=sample)

    within(study, World(examples=60, base=0.5, gain=0).lm(), work)
    tally = study.tally(study.start)
    assert len(tally.values) == 2
    assert all(value in (0, 0.25, 0.5, 0.75, 1) for value in tally.values.values())


def test_the_leader_is_the_one_with_the_best_paired_gain_and_the_start_when_nothing_gains():
    world = World(examples=60, base=0.2, gain=0.7, demos=2)
    study, lm = make(), world.lm()
    assert study.leader() is study.start
    demos = [{"message": f"d{i}", "team": "cards"} for i in range(4)]
    good = study.propose({"route.demos": demos}, origin="good")
    bad = study.propose({"route.instruction": "bad"}, origin="bad")
    within(study, lm, lambda: study.evaluate(study.start, study.select))
    assert study.leader() is study.start
    within(study, lm, lambda: study.evaluate(bad, study.select))
    within(study, lm, lambda: study.evaluate(good, study.select[:15]))
    assert study.leader() is good
    study.drop([good])
    assert study.leader() is not good


def test_the_leader_needs_more_than_a_few_lucky_examples():
    study = make()
    study.propose({"route.instruction": "lucky"}, origin="lucky")
    steady = study.propose({"route.instruction": "steady"}, origin="steady")
    from outlast.optimize.candidate import Outcome

    for number, example in enumerate(study.select):
        for candidate in list(study.candidates):
            gain = {"start": 0.0, steady.id: 0.5}.get(candidate, 1.0)
            if candidate in ("start", steady.id) or number < 2:
                study._count(Outcome(candidate, id_of(example), 0, "fail", gain), 0.0)
    assert study.leader() is steady


def test_no_more_rollouts_run_at_once_than_asked_for():
    lm = WORLD.lm(latency=0.002)
    study = make(concurrency=5)
    within(study, lm, lambda: study.evaluate(study.start, DATA))
    assert lm.most_flying == 5


def test_programs_with_a_blocking_forward_and_async_metrics_run_as_well():
    class Plain(ol.Module):
        route = ol.Predict(Triage().route.signature)

        def forward(self, message: str) -> Any:
            return self.route(message=message)

    async def metric(example: Any, out: Any) -> bool:
        await asyncio.sleep(0)
        return out.team == example.team

    lm, study = WORLD.lm(latency=0.001), make(program=Plain(), metric=metric)
    outcomes = within(study, lm, lambda: study.evaluate(study.start, DATA[:20]))
    assert {outcome.state for outcome in outcomes} == {"pass", "fail"}
    assert lm.calls == 20


def test_calls_of_a_metric_that_asks_a_model_are_remembered_and_counted():
    judge = ol.Predict("team -> good: bool")

    async def judged(example: Any, out: Any) -> bool:
        return (await judge.acall(team=out.team)).good

    lm = ScriptedLM(lambda messages: "<<team>>\ncards\n\n<<urgent>>\ntrue\n\n<<good>>\ntrue\n\n<<end>>")
    study = make(metric=judged)
    outcomes = within(study, lm, lambda: study.evaluate(study.start, DATA[:6]))
    assert all(outcome.state == "pass" and outcome.calls == 3 for outcome in outcomes)
    assert lm.calls == 13  # six routes, six ratings, one judgement on "cards"
    assert study.purse.spent.calls == 13


def test_modules_that_an_optimizer_asks_are_remembered_and_paid():
    writer = ol.Predict("task -> instruction")
    lm = ScriptedLM(lambda messages: f"say {len(messages[-1].text)}")
    ledger = Ledger(None, {})
    study = make(ledger, purse=Purse(Budget(calls=3)))

    async def work():
        one = await writer.acall(task="triage")
        two = await writer.acall(task="triage")
        with ol.context(sample=1):
            three = await writer.acall(task="triage")
        return one == two, three

    same, _ = within(study, lm, work)
    assert same
    assert lm.calls == 2
    assert ledger.count("reply") == 2

    async def more():
        for number in range(5):
            await writer.acall(task=f"triage {number}")

    with pytest.raises(BudgetExceeded):
        within(study, lm, more)
    assert lm.calls == 3


def test_a_program_that_fails_on_what_the_model_said_scores_zero():
    class Picky(ol.Module):
        route = ol.Predict("message -> team")

        async def forward(self, message: str) -> Any:
            out = await self.route.acall(message=message)
            return ol.Prediction(team={"cards": "cards"}[out.team], urgent=True)

    lm = ScriptedLM(lambda messages: "cards" if "message 1" in messages[-1].text else "other")
    study = make(program=Picky())
    outcomes = within(study, lm, lambda: study.evaluate(study.start, DATA[:20]))
    assert {outcome.state for outcome in outcomes if outcome.error} == {"error"}
    failed = [outcome for outcome in outcomes if outcome.error]
    assert failed
    assert all(o.value == 0.0 and o.score is None and not o.answered and "KeyError" in o.error for o in failed)


def test_a_metric_that_raises_on_some_examples_leaves_those_out():
    def shaky(example: Any, out: Any) -> bool:
        if id_of(example)[0] == "0":
            raise ValueError("broken label")
        return True

    study = make(metric=shaky)
    outcomes = within(study, WORLD.lm(), lambda: study.evaluate(study.start, DATA))
    odd = [outcome for outcome in outcomes if outcome.example[0] == "0"]
    assert odd
    assert all(outcome.value is None and "broken label" in outcome.error for outcome in odd)
    assert all(outcome.value == 1.0 for outcome in outcomes if outcome.example[0] != "0")
    assert study.failures.count == len(odd)


def test_a_metric_that_always_raises_ends_the_search_with_its_cause():
    def broken(example: Any, out: Any) -> bool:
        raise ZeroDivisionError("by zero")

    lm, study = WORLD.lm(), make(metric=broken, concurrency=4)
    with pytest.raises(SearchStopped, match="by zero") as caught:
        within(study, lm, lambda: study.evaluate(study.start, DATA))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert lm.calls < 40


def test_failures_here_and_there_do_not_end_a_search():
    world = World(examples=240)
    data = list(world.data())
    seen: list[int] = []

    def shaky(example: Any, out: Any) -> bool:
        seen.append(1)
        if len(seen) % 8 == 0:
            raise ValueError("now and then")
        return True

    study = make(train=data[:10], select=data[10:], metric=shaky)
    outcomes = within(study, world.lm(), lambda: study.evaluate(study.start, data))
    assert study.failures.count == 30
    assert sum(outcome.value is None for outcome in outcomes) == 30


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_metric_without_a_score_makes_no_zero(value: Any):
    study = make(metric=lambda example, out: value)
    outcomes = within(study, WORLD.lm(), lambda: study.evaluate(study.start, DATA[:5]))
    assert {outcome.value for outcome in outcomes} == {None}
    assert {outcome.state for outcome in outcomes} == {"unscored" if value is None else "error"}


def test_a_refused_key_ends_the_search_at_once():
    lm = ScriptedLM(lambda messages: ol.errors.LMAuthError("no such key", status=401))
    study = make(concurrency=4)
    with pytest.raises(ol.errors.LMAuthError):
        within(study, lm, lambda: study.evaluate(study.start, DATA))
    assert lm.calls <= 4


def test_a_server_that_dies_ends_the_search_soon_and_a_rerun_pays_only_what_is_missing():
    class Dying(SimulatedLM):
        alive = 50

        async def complete(self, request: Any) -> Any:
            if self.calls >= self.alive:
                self.calls += 1
                raise ol.errors.LMConnectionError("connection refused")
            return await super().complete(request)

    ledger = Ledger(None, {})
    lm = Dying(WORLD)
    study = make(ledger, concurrency=4)
    with pytest.raises(SearchStopped, match="connection refused"):
        within(study, lm, lambda: study.evaluate(study.start, DATA))
    assert lm.calls < 50 + 30
    assert ledger.count("reply") == 50
    well = WORLD.lm()
    again = make(ledger)
    outcomes = within(again, well, lambda: again.evaluate(again.start, DATA))
    assert len(outcomes) == 60
    assert well.calls == 120 - 50


def test_a_program_that_swallows_errors_does_not_turn_an_empty_purse_into_answers():
    class Calm(ol.Module):
        route = ol.Predict(Triage().route.signature)

        async def forward(self, message: str) -> Any:
            try:
                return await self.route.acall(message=message)
            except Exception:
                return ol.Prediction(team="cards")

    ledger = Ledger(None, {})
    study = make(ledger, program=Calm(), metric=lambda e, o: True, purse=Purse(Budget(calls=7)), concurrency=3)
    with pytest.raises(BudgetExceeded):
        within(study, WORLD.lm(), lambda: study.evaluate(study.start, DATA))
    assert ledger.count("rollout") == 7


def test_the_listener_is_told_ten_times_a_second_at_most_and_at_every_phase():
    told: list[Progress] = []
    study = make(listener=told.append, expected=100)
    began = time.monotonic()
    within(study, WORLD.lm(), lambda: study.evaluate(study.start, DATA))
    assert 1 <= len(told) <= 2 + 10 * (time.monotonic() - began)
    study.standing.tell(now=True)
    last = told[-1]
    assert last.rollouts == 60
    assert last.expected_calls == 200  # two calls each


def test_after_its_end_a_study_asks_no_more():
    lm, study = WORLD.lm(), make()
    study.close()
    with pytest.raises(ol.OutlastError, match="has ended"):
        within(study, lm, lambda: study.evaluate(study.start, DATA[:1]))
    assert lm.calls == 0


def test_a_study_keeps_what_it_was_given():
    study = make()
    assert study.rng("a").random() == study.rng("a").random() != study.rng("b").random()
    assert [id_of(example) for example in study.train] == [id_of(example) for example in DATA[:20]]
