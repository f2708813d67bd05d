from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
import weakref

import pytest

from outlast.adapters import JSON, Chat
from outlast.data import Dataset, Example
from outlast.errors import (
    BudgetExceeded,
    ConfigError,
    DataError,
    EvaluationStopped,
    InputError,
    LMAuthError,
    LMServerError,
    UsageError,
)
from outlast.evals import Evaluation, RowRunner, Score, aevaluate, evaluate, exact_match, metric, unscored
from outlast.lms.protocol import LM
from outlast.messages import Response, Usage
from outlast.modules import Module, Predict
from outlast.runtime import Meter, current, running
from outlast.runtime import run as run_module
from outlast.testing import ScriptedLM


def examples(n, wrong_every=4):
    """n examples; a program that answers "yes" is wrong on every fourth."""
    return [Example({"message": f"m{i}"}, {"team": "no" if i % wrong_every == 0 else "yes"}) for i in range(n)]


async def says_yes(message):
    return {"team": "yes"}


@metric
def correct(example, out):
    return out["team"] == example.team


def run(program=says_yes, data=None, score=correct, **options):
    options.setdefault("progress", False)
    return evaluate(program, examples(20) if data is None else data, score, **options)


class Counting(LM):
    """Answers "yes"; counts calls."""

    name = "counting"
    blocking_safe = True

    def __init__(self, fail=None):
        self.calls = 0
        self.fail = fail

    async def complete(self, request):
        self.calls += 1
        if self.fail is not None:
            raise self.fail
        usage = Usage(input_tokens=10, output_tokens=2, cost=0.5)
        return Response(text="<<team>>\nyes\n<<end>>", model="counting-1", usage=usage)


# Results


def test_an_evaluation_has_rows_in_order_and_a_score_with_an_interval():
    result = run()
    assert [row.index for row in result.rows] == list(range(20))
    assert result.score.value == 0.75
    assert result.score.interval.low < 0.75 < result.score.interval.high
    assert result.score.method == "wilson"
    assert result.states == {"pass": 15, "fail": 5, "error": 0, "unscored": 0}
    assert repr(result) == "75.0% (95% CI 53.1..88.8, Wilson) on 20: 15 pass, 5 fail"
    row = result.rows[0]
    assert (row.state, row.score, row.outputs, dict(row.targets)) == ("fail", 0.0, {"team": "yes"}, {"team": "no"})
    assert row.id == examples(1)[0].id
    assert result.data_hash == Dataset(examples(20)).hash
    assert (result.program, result.metric, result.stopped, result.n) == ("says_yes", "correct", "", 20)


def test_the_data_set_itself_and_its_list_have_one_hash():
    assert run(data=Dataset(examples(20))).data_hash == run().data_hash == run(data=iter(examples(20))).data_hash


def plain(message):
    return {"team": "yes"}


class Callable:
    async def __call__(self, message):
        return {"team": "yes"}


class WithACall:
    async def acall(self, message):
        return {"team": "yes"}

    def __call__(self, message):
        raise AssertionError("acall comes first")


class Plain(Module):
    def forward(self, message):
        return {"team": "yes"}


class Async(Module):
    async def forward(self, message):
        return {"team": "yes"}


@pytest.mark.parametrize(
    "program",
    [
        says_yes,
        plain,
        Callable(),
        WithACall(),
        Plain(),
        Async(),
        lambda message: {"team": "yes"},
        lambda message: says_yes(message),
    ],
)
def test_any_kind_of_program_runs(program):
    assert run(program).score.value == 0.75


async def test_from_async_code():
    result = await aevaluate(says_yes, examples(20), correct, progress=False)
    assert result.score.value == 0.75
    assert (await asyncio.to_thread(run)).score.value == 0.75


async def test_evaluate_works_where_a_loop_is_running():
    assert run().score.value == 0.75  # as in a notebook


def test_spending_models_and_traces_are_those_of_the_row():
    lm = Counting()
    result = run(Predict("message -> team"), score=exact_match("team"), lm=lm, keep="traces")
    assert lm.calls == 20
    assert result.spending.calls == 20
    assert result.spending.dollars == 10
    assert all(row.spending.calls == 1 and row.spending.tokens == 12 for row in result.rows)
    assert result.models == ("counting-1",)
    assert result.about.lm == "counting"
    assert len(result.rows[3].trace) == 1
    assert result.rows[3].outputs == {"team": "yes"}
    assert run(Predict("message -> team"), score=exact_match("team"), lm=lm).rows[0].trace is None


def test_a_blocking_program_in_threads_has_its_spending_too():
    step = Predict("message -> team")

    def program(message):
        return step(message=message)

    result = run(program, score=exact_match("team"), lm=Counting())
    assert result.spending.calls == 20
    assert all(row.spending.calls == 1 for row in result.rows)


def test_the_surroundings_of_the_caller_reach_the_program_and_are_left_as_they_were():
    seen = []

    async def program(message):
        seen.append((current().lm, current().sample, current().root))
        return {"team": "yes"}

    lm = Counting()
    with running(lm=lm, sample=7):
        run(program, examples(1))
        run(program, examples(1), sample=2)
        assert current().lm is lm
    assert seen == [(lm, 7, None), (lm, 2, None)]
    assert current().lm is None


def test_at_most_concurrency_examples_are_in_flight_and_all_of_it_is_used():
    now, most = 0, 0

    async def program(message):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= 1
        return {"team": "yes"}

    run(program, examples(60), concurrency=7)
    assert most == 7
    most = 0
    run(program, examples(5), concurrency=1000)
    assert most == 5


def test_plain_programs_run_in_as_many_threads():
    barrier = threading.Barrier(40, timeout=60)

    def program(message):
        barrier.wait()
        return {"team": "yes"}

    assert run(program, examples(80), concurrency=40).states["error"] == 0


# Metrics


def test_metrics_give_scores_with_feedback_and_parts():
    def graded(example, out):
        return Score(0.5, "half", {"a": 1, "b": 0})

    result = run(score=graded)
    assert result.score.value == 0.5
    assert result.rows[0].feedback == "half"
    assert result.rows[0].parts == {"a": 1.0, "b": 0.0}
    assert result.states["fail"] == 20
    assert run(score=graded, threshold=0.5).states["pass"] == 20


def test_async_metrics_and_metrics_that_return_awaitables():
    async def judge(example, out):
        await asyncio.sleep(0)
        return out["team"] == example.team

    assert run(score=judge).score.value == 0.75
    assert run(score=lambda example, out: judge(example, out)).score.value == 0.75


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_judge_that_asks_a_model_is_paid_for_by_the_metric(kind):
    judge, lm = Predict("text -> team"), Counting()

    def blocking(example, out):
        return judge(text="x").team == example.team

    async def asynchronous(example, out):
        return (await judge.acall(text="x")).team == example.team

    result = run(score=blocking if kind == "def" else asynchronous, lm=lm)
    assert result.score.value == 0.75
    assert result.metric_spending.calls == 20
    assert result.spending.calls == 0
    assert result.rows[0].metric_spending.dollars == 0.5


def test_a_slow_plain_metric_does_not_make_the_evaluation_serial():
    def slow(example, out):
        time.sleep(0.06)
        return True

    started = time.perf_counter()
    run(score=slow, data=examples(100), concurrency=50)
    assert time.perf_counter() - started < 4  # 6 s one after another


def test_none_is_unscored_and_out_of_the_mean():
    def some(example, out):
        if example.message in ("m0", "m1"):
            return None
        return unscored("no reference") if example.message == "m2" else True

    result = run(score=some)
    assert result.states == {"pass": 17, "fail": 0, "error": 0, "unscored": 3}
    assert result.score.value == 1.0
    assert result.score.n == 17
    assert result.rows[0].feedback == "metric returned None"
    assert result.rows[2].feedback == "no reference"
    assert result.rows[0].score is None


def test_a_metric_that_always_returns_none_gives_no_score():
    result = run(score=lambda example, out: None)
    assert repr(result) == "no score on 20: 20 unscored"
    assert result.score.n == 0


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda e, p: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda e, p: float("nan"), "MetricError: metric 'lambda': a score is a finite number"),
        (lambda e, p: "good", "MetricError: metric 'lambda': a score is a bool"),
        (lambda e, p: p.team, "AttributeError: 'dict' object has no attribute 'team'"),
    ],
)
def test_a_metric_that_fails_makes_errors_of_the_metric(bad, message):
    result = run(score=bad)
    assert result.states["error"] == 20
    assert result.score.n == 0
    (group,) = result.errors
    assert (group.subject, group.count) == ("metric", 20)
    assert str(group).startswith(f"20x {message}")
    assert result.rows[0].error.exception is not None
    assert result.rows[0].outputs == {"team": "yes"}


@pytest.mark.parametrize("wrong", [lambda example: 1, lambda a, b, c: 1, "accuracy", None, dict])
def test_a_wrong_metric_is_found_before_any_call(wrong):
    lm = Counting()
    with pytest.raises(UsageError, match="metric"):
        run(Predict("message -> team"), score=wrong, lm=lm)
    assert lm.calls == 0


def test_a_metric_for_a_target_that_is_not_there_is_found_before_any_call():
    lm = Counting()
    with pytest.raises(UsageError, match=r"reads the target 'teem'.*Did you mean 'team'.*Targets: team"):
        run(Predict("message -> team"), score=exact_match("teem"), lm=lm)
    assert lm.calls == 0


# Errors of the program


class Unlucky(Exception):
    pass


async def unlucky(message):
    if message in ("m1", "m5"):
        raise Unlucky(f"no luck with {message}")
    return {"team": "yes"}


def test_errors_are_never_zeros():
    result = run(unlucky)
    assert result.states == {"pass": 13, "fail": 5, "error": 2, "unscored": 0}
    assert result.score.n == 18
    assert result.score.value == pytest.approx(13 / 18)
    row = result.rows[1]
    assert (row.state, row.score, row.outputs) == ("error", None, None)
    assert isinstance(row.error.exception, Unlucky)
    assert (row.error.subject, row.error.type, row.error.message) == ("program", "Unlucky", "no luck with m1")
    assert "in unlucky" in row.error.where
    (group,) = result.errors
    assert (group.count, group.index) == (2, 1)
    assert repr(result).endswith(" of 18 scored on 20: 13 pass, 5 fail, 2 errors (left out)")


def test_errors_count_as_zeros_when_told_so():
    result = run(unlucky, on_error="fail")
    assert result.score.value == 13 / 20
    assert result.score.n == 20
    assert result.states["error"] == 2
    assert repr(result).endswith(" on 20: 13 pass, 5 fail, 2 errors (counted as 0)")
    assert repr(run(unlucky).counting("fail")) == repr(result)
    assert repr(result.counting("exclude")) == repr(run(unlucky))


def test_the_first_error_ends_the_run_when_told_so():
    with pytest.raises(
        EvaluationStopped, match=r"an error, and on_error='raise'; the first: Unlucky: no luck"
    ) as caught:
        run(unlucky, on_error="raise", concurrency=1)
    assert isinstance(caught.value.__cause__, Unlucky)
    assert caught.value.evaluation.n == 2
    assert caught.value.evaluation.rows[1].error.exception is caught.value.__cause__


def test_a_dead_program_ends_with_errors_and_no_score():
    async def dead(message):
        raise ConnectionError("nobody there")

    result = run(dead)
    assert repr(result) == "no score on 20: 20 errors (left out)"
    assert result.errors[0].count == 20


@pytest.mark.parametrize("limit", [{"max_errors": 3}, {"max_error_rate": 0.15}])
def test_too_many_errors_stop_with_the_first_error_and_what_was_done(limit):
    calls = 0

    async def half(message):
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        if int(message[1:]) % 2:
            raise Unlucky(message)
        return {"team": "yes"}

    with pytest.raises(EvaluationStopped, match=r"more than max_error.*=.* the first: Unlucky: m1") as caught:
        run(half, concurrency=1, **limit)
    partial = caught.value.evaluation
    assert isinstance(caught.value.__cause__, Unlucky)
    assert partial.states == {"pass": 2, "fail": 2, "error": 4, "unscored": 0}
    assert partial.stopped == "errors"
    assert partial.about.total == 20
    assert calls == 8
    assert "[errors after 8 of 20]" in repr(partial)


def test_max_errors_that_are_not_exceeded_do_not_stop():
    assert run(unlucky, max_errors=2).states["error"] == 2
    assert run(unlucky, max_error_rate=0.1).states["error"] == 2
    with pytest.raises(EvaluationStopped):
        run(unlucky, max_errors=0)
    with pytest.raises(EvaluationStopped):
        run(unlucky, data=iter(examples(20)), max_error_rate=0.05)


@pytest.mark.parametrize("error", [LMAuthError("bad key", status=401), ConfigError("no LM is configured")])
def test_an_error_that_every_example_would_meet_stops_at_once(error):
    lm = Counting(fail=error)
    with pytest.raises(EvaluationStopped, match="every further example would fail like this") as caught:
        run(Predict("message -> team"), lm=lm, concurrency=2)
    assert lm.calls <= 2
    assert caught.value.__cause__ is error
    assert caught.value.evaluation.stopped == "failed"


def test_no_model_at_all_says_so():
    with pytest.raises(EvaluationStopped, match="no LM is configured"):
        run(Predict("message -> team"))


def test_a_used_up_budget_returns_what_was_done():
    with running(meter=Meter(calls=7)):
        result = run(Predict("message -> team"), score=exact_match("team"), lm=Counting(), concurrency=3)
    assert result.stopped == "budget"
    assert result.n == 7
    assert result.states["error"] == 0


def test_a_budget_of_the_programs_own_is_an_error_of_the_row():
    async def program(message):
        raise BudgetExceeded("my own limit", limit="calls")

    assert run(program).states["error"] == 20


@pytest.mark.parametrize(
    "error", [SystemExit(3), asyncio.CancelledError(), MemoryError(), RecursionError(), StopIteration()]
)
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_no_exception_of_a_program_ends_the_evaluation(error, kind):
    def blocking(message):
        if message == "m3":
            raise error
        return {"team": "yes"}

    async def asynchronous(message):
        return blocking(message)

    result = run(blocking if kind == "def" else asynchronous)
    assert result.states["error"] == 1
    assert result.n == 20


def test_an_exception_that_cannot_be_printed_is_recorded():
    class Broken(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    async def program(message):
        raise Broken

    assert "could not be made" in run(program).rows[0].error.message


def test_many_different_errors_are_grouped_and_bounded():
    async def program(message):
        raise ValueError("word " + "abcdefghijklmnopqrstuvwxyz"[int(message[1:]) % 26] * (int(message[1:]) // 26 + 1))

    result = run(program, examples(300))
    assert sum(group.count for group in result.errors) == 300
    assert len(result.errors) <= 101

    async def numbered(message):
        raise ValueError(f"request {message} failed at 0x7f{message}")

    assert len(run(numbered, examples(50)).errors) == 1


def test_errors_do_not_keep_the_frames_of_every_call_alive():
    class Big:
        pass

    alive = []

    async def program(message):
        big = Big()
        alive.append(weakref.ref(big))
        raise ValueError("x")

    result = run(program, examples(100))
    gc.collect()
    assert sum(ref() is not None for ref in alive) <= 20
    assert result.rows[99].error.exception is not None


# Wrong use


def test_empty_data():
    for empty in ([], iter([]), Dataset([])):
        with pytest.raises(DataError, match="the data set is empty"):
            run(data=empty)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([{"message": "x"}], "item 0 is {'message': 'x'}"),
        ("rows.jsonl", "Files are read by load_examples"),
        (3, "data is a Dataset"),
        ({"message": "x"}, "data is a Dataset"),
    ],
)
def test_data_that_is_none(data, message):
    with pytest.raises(UsageError, match=message):
        run(data=data)


@pytest.mark.parametrize("program", [None, "name", 3, Plain, Predict])
def test_a_program_that_is_none(program):
    with pytest.raises(UsageError, match="program"):
        run(program)


def test_inputs_that_a_function_does_not_take_are_found_before_any_call():
    async def other(mesage):
        raise AssertionError("not called")

    with pytest.raises(UsageError, match=r"program other\(mesage\) cannot be called .*\(message\): missing a required"):
        run(other)


class Routes(Module):
    step = Predict("message -> team")

    def forward(self, mesage):
        return self.step(message=mesage)


@pytest.mark.parametrize("program", [Predict("mesage -> team"), Routes()])
def test_inputs_that_a_module_does_not_take_are_refused_before_any_call(program):
    lm = Counting()
    with pytest.raises(InputError, match=r"first example .* has no input 'message'. Did you mean 'mesage'\?"):
        run(program, lm=lm)
    assert lm.calls == 0


def test_a_value_that_an_input_cannot_have_is_an_error_of_its_row():
    data = [Example({"n": n}, {"team": "yes"}) for n in ("many", 2)]
    result = run(Predict("n: int -> team"), data, lm=Counting(), score=lambda e, o: o.team == "yes")
    assert result.states == {"pass": 1, "fail": 0, "error": 1, "unscored": 0}
    assert result.rows[0].answered  # no model said anything wrong


def picky():
    """An LM that answers questions about m1... in a form that cannot be read."""
    return ScriptedLM(lambda said: "no number" if said[-1].text.count("m1") else "<<n>>\n1\n<<end>>")


def test_what_the_program_did_not_answer_is_said_and_survives_the_file(tmp_path):
    program = Predict("message -> n: int")
    result = run(program, lm=picky(), score=lambda e, o: o.n == 1, adapter=Chat(reasks=0), save=tmp_path / "r.jsonl")
    assert result.states == {"pass": 9, "fail": 0, "error": 11, "unscored": 0}
    assert repr(result).startswith("45.0% (95% CI ")
    assert repr(result).endswith(" on 20: 9 pass, 11 errors (11 gave no usable answer: counted as 0)")
    without = result.counting("exclude_all")
    assert repr(without).startswith("100.0% (95% CI ")
    assert repr(without).endswith(" of 9 scored on 20: 9 pass, 11 errors (left out, 11 gave no usable answer)")
    assert [row.answered for row in result.rows[:3]] == [True, False, True]
    again = Evaluation.from_jsonl(tmp_path / "r.jsonl")
    assert again.unanswered == 11
    assert repr(again) == repr(result)


def test_an_error_that_the_model_did_not_cause_was_not_a_failure_to_answer():
    down = run(Predict("message -> team"), lm=Counting(LMServerError("down")))
    assert (down.states["error"], down.unanswered) == (20, 0)
    judged = run(Predict("message -> team"), lm=Counting(), score=lambda e, o: 1 / 0)
    assert (judged.states["error"], judged.unanswered) == (20, 0)


class Crashes(Module):
    step = Predict("message -> team")

    def forward(self, message):
        return {"no": 1}[self.step(message=message).team]


def test_a_program_that_breaks_on_what_the_model_said_did_not_answer():
    result = run(Crashes(), lm=Counting())
    assert (result.states["error"], result.unanswered) == (20, 20)


class Threads(Module):
    step = Predict("message -> team", lm=None)

    def forward(self, message):
        found = []
        thread = threading.Thread(target=lambda: found.append(self.step(message=message)))
        thread.start()
        thread.join()
        return {"team": found[0].team}


def test_calls_that_were_not_seen_are_said(tmp_path, monkeypatch):
    configured, given = Counting(), Counting()
    monkeypatch.setitem(run_module._defaults, "lm", configured)
    with pytest.warns(RuntimeWarning, match="no call of the program's modules was seen: plain threads do not inherit"):
        result = run(Threads(), lm=given, save=tmp_path / "rows.jsonl")
    assert (configured.calls, given.calls) == (20, 0)
    assert "no call of the program's modules was seen" in repr(result)
    assert repr(Evaluation.from_jsonl(tmp_path / "rows.jsonl")) == repr(result)


def test_an_exception_that_closes_generators_is_an_error_of_its_row():
    def closes(example, out):
        raise GeneratorExit("stop")

    assert run(score=closes).states["error"] == 20
    assert run(Predict("message -> team"), lm=Counting(GeneratorExit("stop"))).states["error"] == 20


def test_closing_a_row_from_outside_is_not_caught():
    async def endless(message):
        await asyncio.sleep(1000)

    async def main():
        row = RowRunner(endless, correct)(0, examples(1)[0])
        row.send(None)
        return row

    row = asyncio.run(main())
    row.close()
    with pytest.raises(RuntimeError, match="reuse"):
        row.send(None)


@pytest.mark.parametrize("name", ["num_threads", "threads", "concurency", "metrics"])
def test_an_unknown_keyword_raises(name):
    with pytest.raises(TypeError, match=f"evaluate has no option '{name}'"):
        run(**{name: 4})
    with pytest.raises(UsageError, match="Did you mean 'concurrency'"):
        run(concurency=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurrency": 0}, "concurrency is a whole number"),
        ({"concurrency": 2.5}, "concurrency is a whole number"),
        ({"max_errors": -1}, "max_errors is a number of errors, a whole number from 0"),
        ({"max_errors": 0.05}, "max_errors is .*; a share is max_error_rate=0.05"),
        ({"max_errors": 1.5}, "max_errors"),
        ({"max_errors": True}, "max_errors"),
        ({"max_errors": "5%"}, "max_errors"),
        ({"max_error_rate": 5}, "max_error_rate is a share of 0..1.*; a number of errors is max_errors=5"),
        ({"max_error_rate": -0.1}, "max_error_rate is a share"),
        ({"max_error_rate": True}, "max_error_rate is a share"),
        ({"on_error": "exlude"}, "on_error is one of 'exclude' .*Did you mean 'exclude'"),
        ({"on_error": None}, "on_error is one of"),
        ({"epochs": 0}, "epochs is a whole number from 1"),
        ({"epochs": True}, "epochs is a whole number from 1"),
        ({"epochs": "3"}, "epochs is a whole number from 1"),
        ({"cluster": 3}, "cluster is the name of an input or target"),
        ({"retry": "all"}, "retry is 'accidents'"),
        ({"sample": -1}, "sample is the number of a draw"),
        ({"threshold": float("nan")}, "threshold is a finite number"),
        ({"level": 95}, "level is a share"),
        ({"keep": "all"}, "keep is 'rows'"),
        ({"resume": True}, "give save="),
        ({"progress": "bar"}, "progress is True, False or a function"),
        ({"lm": 3}, "lm is an LM"),
        ({"adapter": "chat"}, "adapter is an Adapter"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        run(**options)


@pytest.mark.parametrize("name", ["self", "items", "lm", "config", "program", "data", "id", "inputs", "example"])
def test_inputs_of_any_name_reach_the_program(name):
    data = [Example({name: "x"}, {"team": "x"})]

    class Taking(Module):
        async def forward(this, **inputs):  # noqa: N805
            return {"team": inputs[name]}

    assert run(Taking(), data).score.value == 1
    result = run(Predict(f"{name} -> team"), data, exact_match("team"), lm=Counting())
    assert result.states["error"] == 0


# Streams


def test_a_stream_is_evaluated_in_constant_memory(tmp_path):
    alive = most = 0

    def gone(ref):
        nonlocal alive
        alive -= 1

    refs = set()

    def stream():
        nonlocal alive, most
        for i in range(20_000):
            example = Example({"message": f"m{i}"}, {"team": "yes"})
            refs.add(weakref.ref(example, lambda ref: (gone(ref), refs.discard(ref))))
            alive += 1
            most = max(most, alive)
            yield example

    path = tmp_path / "rows.jsonl"
    result = run(data=stream(), save=path)
    assert most < 200  # 64 in flight, and the one that the stream holds
    assert (result.n, result.rows, result.kept) == (20_000, (), False)
    assert result.score.value == 1
    assert result.about.total == 20_000
    with open(path, "rb") as file:
        assert sum(1 for _ in file) == 20_003  # what it is, where it comes from, how it ended


def test_rows_of_a_stream_are_read_from_its_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    result = run(unlucky, iter(examples(20)), save=path)
    for use in (result.failures, lambda: result.slices("team"), lambda: result.to_jsonl("x"), result.to_dataframe):
        with pytest.raises(DataError, match=r"were not kept.*Evaluation.from_jsonl\('.*rows.jsonl'\)"):
            use()
    again = Evaluation.from_jsonl(path)
    assert len(again.failures()) == 5
    assert repr(again) == repr(result)
    assert again.data_hash == result.data_hash
    kept = run(unlucky, iter(examples(20)), keep="rows")
    assert len(kept.rows) == 20
    assert run(keep="nothing").rows == ()


def test_a_stream_that_breaks_keeps_what_was_done():
    def stream():
        yield from examples(5)
        raise OSError("disk gone")

    with pytest.raises(EvaluationStopped, match="the data could not be read on: disk gone") as caught:
        run(data=stream(), keep="rows", concurrency=1)
    assert caught.value.evaluation.n == 5
    assert caught.value.evaluation.data_hash == ""
    assert isinstance(caught.value.__cause__, OSError)


def test_a_stream_with_something_else_in_it():
    def stream():
        yield from examples(3)
        yield {"message": "x"}

    with pytest.raises(EvaluationStopped, match="item 3 is {'message'"):
        run(data=stream())


def test_work_per_example_does_not_grow_with_the_number_of_examples():
    def cost(n):
        data = examples(n)
        Dataset(data).hash  # noqa: B018 - ids are made once, not here
        started = time.process_time()
        run(data=data)
        return (time.process_time() - started) / n

    cost(200)
    small, large = min(cost(500) for _ in range(3)), cost(8000)
    assert large < 2.5 * small + 20e-6


# Files


def test_rows_are_saved_as_they_finish(tmp_path):
    path = tmp_path / "rows.jsonl"
    seen = []

    async def program(message):
        seen.append(path.read_bytes().count(b'\n{"index"'))
        return {"team": "yes"}

    result = run(program, concurrency=1, save=path)
    assert seen == list(range(20))
    lines = [json.loads(line) for line in path.read_text().splitlines() if '"provenance"' not in line]
    assert lines[0]["outlast"] == "evaluation"
    assert lines[0]["metric"] == "correct"
    assert lines[1]["inputs"] == {"message": "m0"}
    assert lines[-1]["outlast"] == "end"
    assert result.saved == str(path)


def test_an_existing_file_is_not_overwritten(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("precious\n")
    with pytest.raises(DataError, match="exists. Use resume=True"):
        run(save=path)
    assert path.read_text() == "precious\n"
    with pytest.raises(DataError, match="not JSON"):
        run(save=path, resume=True)
    with pytest.raises(DataError, match="save: cannot write"):
        run(save=tmp_path / "no" / "such" / "place.jsonl")


@pytest.mark.parametrize("torn", [False, True])
def test_resume_runs_only_what_is_missing_or_failed(tmp_path, torn):
    path = tmp_path / "rows.jsonl"
    calls = []

    mended = threading.Event()  # the state of the world outside is no part of what a program is

    async def program(message):
        calls.append(message)
        if not mended.is_set() and message in ("m3", "m4"):
            raise Unlucky(message)
        return {"team": "yes"}

    run(program, concurrency=1, save=path)
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if b'"provenance"' not in line]
    path.write_bytes(b"".join(lines[:11]) + (lines[11][:30] if torn else b""))  # killed after ten rows
    unfinished = Evaluation.from_jsonl(path)
    assert (unfinished.n, unfinished.stopped) == (10, "unfinished")
    calls.clear()
    mended.set()
    result = run(program, concurrency=1, save=path, resume=True)
    assert calls == ["m3", "m4", *(f"m{i}" for i in range(10, 20))]
    assert repr(result) == repr(run())
    again = Evaluation.from_jsonl(path)
    assert repr(again) == repr(result)
    assert [row.index for row in again.rows] == list(range(20))
    calls.clear()
    assert repr(run(program, save=path, resume=True)) == repr(result)
    assert calls == []


def test_resume_refuses_a_file_of_another_evaluation(tmp_path):
    path = tmp_path / "rows.jsonl"
    run(save=path)
    with pytest.raises(
        DataError, match=r"belongs to another evaluation: its program \('says_yes' then, 'unlucky' now\) differs"
    ):
        run(unlucky, save=path, resume=True)
    with pytest.raises(DataError, match="its metric .* differs"):
        run(score=lambda e, p: True, save=path, resume=True)
    with pytest.raises(DataError, match="its data .* differs"):
        run(data=examples(21), save=path, resume=True)
    with pytest.raises(DataError, match="its sample .* differs"):
        run(save=path, resume=True, sample=1)


class Tuned(Counting):
    @property
    def identity(self):
        return "counting at another address"


def test_resume_refuses_rows_of_other_models_adapters_and_thresholds(tmp_path):
    path, program = tmp_path / "rows.jsonl", Predict("message -> team")

    def go(lm, program=program, **options):
        return run(program, lm=lm, score=lambda e, o: o.team == e.team, save=path, **options)

    go(Counting())
    again = Counting()
    go(again, resume=True)
    assert again.calls == 0
    with pytest.raises(DataError, match="settings of the lm .*; its adapter .*JSON.* now.*; its threshold .* differ"):
        go(Tuned(), resume=True, adapter=JSON(), threshold=0.5)
    with pytest.raises(DataError, match="its models of the modules"):
        go(Counting(), Predict("message -> team", lm=Tuned()), resume=True)
    path.unlink()
    go(Counting(), Predict("message -> team", lm=Counting()))
    with pytest.raises(DataError, match="its models of the modules .*another address"):
        go(Counting(), Predict("message -> team", lm=Tuned()), resume=True)


def test_a_full_disk_does_not_lose_the_result():
    with pytest.warns(RuntimeWarning, match=r"could not be saved to '/dev/full'.*No space.*all rows are in memory"):
        result = run(save="/dev/full")
    assert result.n == 20
    assert len(result.rows) == 20
    assert result.stopped == ""
    assert "No space" in result.save_error


def test_a_full_disk_under_a_stream_stops_and_says_what_is_known():
    with pytest.warns(RuntimeWarning, match="rows are lost"):
        with pytest.raises(EvaluationStopped, match="can no longer be saved") as caught:
            run(data=iter(examples(2000)), save="/dev/full", concurrency=4)
    assert 1 <= caught.value.evaluation.n < 10
    assert isinstance(caught.value.__cause__, OSError)


def test_hostile_outputs_are_saved_and_read_back(tmp_path):
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    outputs = {
        "surrogate": "\ud800",
        "nan": float("nan"),
        "object": object(),
        "newline": "a\nb\u2028c",
        "bytes": b"\xff",
        "html": "<script>alert(1)</script>",
    }

    async def program(message):
        return deep if message == "m1" else outputs

    path = tmp_path / "rows.jsonl"
    result = run(program, score=lambda e, p: True, save=path)
    again = Evaluation.from_jsonl(path)
    assert len(again.rows) == 20
    assert again.rows[0].outputs == result.rows[0].outputs
    assert again.rows[0].outputs["surrogate"] == "\ud800"
    assert isinstance(again.rows[1].outputs, str)


def test_neither_program_nor_metric_can_change_the_data():
    def consumes(lines, seen):
        seen.add("x")
        return {"team": lines.pop(), "all": lines}

    def spoils(example, out):
        example.lines.clear()
        example.wanted["k"].append(1)
        out["all"].append("spoilt")
        return True

    data = [Example({"lines": ["a", "b"], "seen": {1}}, {"wanted": {"k": []}})]
    for _ in range(2):
        result = run(consumes, data, spoils)
        assert result.rows[0].outputs == {"team": "b", "all": ["a"]}
    assert (data[0].lines, data[0].seen, data[0].wanted) == (["a", "b"], {1}, {"k": []})
