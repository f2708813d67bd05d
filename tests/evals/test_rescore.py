"""Saved answers scored by another metric: no model of the program is asked, and types come back when asked for."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Literal, NamedTuple

import pytest

import outlast as ol
from outlast.checks import check
from outlast.data import Dataset, Example
from outlast.errors import ConfigError, DataError, EvaluationStopped, UsageError
from outlast.evals import Evaluation, Score, compare, evaluate
from outlast.evals.rescore import arescore, prediction_of, rescore
from outlast.lms.protocol import LM
from outlast.messages import Response, Usage
from outlast.modules import Predict
from outlast.runtime import Meter, current, running


class Visit(ol.Signature):
    """When is the visit?"""

    message: str = ol.input()
    day: date = ol.output()
    guests: set[int] = ol.output()


class Clerk(LM):
    """Says the 2nd of May; fails to answer m3."""

    name = "clerk"
    blocking_safe = True

    def __init__(self):
        self.calls = 0

    async def complete(self, request):
        self.calls += 1
        asked = " ".join(message.text for message in request.messages)
        text = "hm" if "m3" in asked else "<<day>>\n2024-05-02\n<<guests>>\n[1, 2]\n<<end>>"
        return Response(text=text, model="clerk-1", usage=Usage(input_tokens=10, output_tokens=2, cost=0.5))


def examples(n=6):
    return [Example({"message": f"m{i}"}, {"day": "2024-05-02", "guest": i}) for i in range(n)]


def right_day(example, out):
    return out.day == date(2024, 5, 2)


def before(tmp_path=None, **options):
    lm = Clerk()
    options.setdefault("lm", lm)
    save = {} if tmp_path is None else {"save": tmp_path / "before.jsonl"}
    return evaluate(Predict(Visit), examples(), right_day, progress=False, **save, **options)


def quiet(evaluation, metric, **options):
    return rescore(evaluation, metric, progress=False, **options)


def invited(example, out):
    return Score(float(example.guest in out.guests), parts={"guests": len(out.guests)})


@pytest.mark.parametrize("saved", [False, True])
def test_a_new_metric_scores_the_old_answers(tmp_path, saved):
    lm = Clerk()
    first = before(tmp_path, lm=lm)
    calls = lm.calls
    result = quiet(tmp_path / "before.jsonl" if saved else first, invited, program=Predict(Visit))
    assert lm.calls == calls
    assert [row.score for row in result.rows] == [0, 1, 1, None, 0, 0]
    assert [row.state for row in result.rows] == ["fail", "pass", "pass", "error", "fail", "fail"]
    assert (result.metric, result.about.rescored, result.program) == ("invited", "right_day", "Predict")
    assert result.parts["guests"].value == 2
    assert (result.data_hash, result.n) == (first.data_hash, 6)
    assert result.spending == first.spending  # what the answers cost then
    assert result.models == ("clerk-1",)
    assert result.rows[3].error.message == first.rows[3].error.message
    assert (result.unanswered, result.score.n) == (1, 6)


def test_without_a_signature_the_metric_sees_plain_values():
    def plain(example, out):
        return out.day == example.day and out.guests == [1, 2]

    assert quiet(before(), plain).states["pass"] == 5


def test_a_rescored_evaluation_compares_with_one_that_was_scored_so_at_once():
    at_once = evaluate(Predict(Visit), examples(), invited, lm=Clerk(), progress=False)
    result = quiet(before(), invited, signature=Visit)
    assert compare(at_once, result).paired.difference == 0
    with pytest.raises(DataError, match="different metrics"):
        compare(before(), result)


def test_epochs_clusters_and_policies_stay(tmp_path):
    drawn = [0, 1, 1]

    async def program(message):
        return {"n": drawn[current().sample % 3]}

    first = evaluate(
        program,
        examples(),
        lambda e, o: True,
        epochs=ol.Epochs(3, "majority"),
        cluster=lambda e: e.guest // 2,
        on_error="fail",
        level=0.9,
        save=tmp_path / "rows.jsonl",
        progress=False,
    )
    assert first.score.value == 1
    for given in (first, tmp_path / "rows.jsonl"):
        result = quiet(given, lambda e, o: o.n == 0)
        assert [row.score for row in result.rows] == [1, 0, 0] * 6
        assert (result.score.value, result.n, result.score.interval.level) == (0, 6, 0.9)
        assert "cluster-robust" in result.score.method
        assert result.about.on_error == "fail"


def test_what_was_left_out_by_the_old_metric_is_scored_by_the_new_one():
    def fails(example, out):
        raise ValueError("broken metric")

    first = evaluate(Predict(Visit), examples(3), fails, lm=Clerk(), progress=False)
    assert first.states["error"] == 3
    assert quiet(first, right_day, program=Predict(Visit)).states == {"pass": 3, "fail": 0, "error": 0, "unscored": 0}
    guarded = ol.guard(Predict(Visit), output=[ol.check(lambda day: True)])
    assert quiet(first, right_day, program=guarded).states == {"pass": 3, "fail": 0, "error": 0, "unscored": 0}
    again = quiet(first, fails)
    assert [(row.error.subject, row.error.type) for row in again.rows] == [("metric", "ValueError")] * 3
    assert quiet(first, lambda e, o: None).states["unscored"] == 3


def test_checks_and_async_metrics_can_rescore():
    @check
    def two_guests(guests):
        return len(guests) == 2

    assert quiet(before(), two_guests).states["pass"] == 5

    async def waits(example, out):
        return True

    assert quiet(before(), waits).states["pass"] == 5


class Judge(LM):
    name = "judge"
    blocking_safe = True
    calls = 0

    async def complete(self, request):
        self.calls += 1
        return Response(text="<<ok>>\ntrue\n<<end>>", model="judge-1", usage=Usage(cost=0.25))


def asking(judge):
    inner = Predict("guests: list[int] -> ok: bool", lm=judge)

    async def judged(example, out):
        return (await inner.acall(guests=out.guests)).ok

    return judged


def test_a_judge_costs_its_own_calls_only_and_none_twice(tmp_path):
    judge, path, first = Judge(), tmp_path / "judged.jsonl", before()
    with running(meter=Meter(calls=3)):
        partial = quiet(first, asking(judge), save=path, concurrency=1)
    assert (partial.stopped, judge.calls) == ("budget", 3)
    result = quiet(before(), asking(judge), save=path, resume=True)
    assert judge.calls == 5
    assert result.states == {"pass": 5, "fail": 0, "error": 1, "unscored": 0}
    assert (result.metric_spending.calls, result.metric_spending.dollars) == (5, 1.25)
    assert result.rows[0].metric_models == ("judge-1",)
    assert result.retried == 0
    assert repr(Evaluation.from_jsonl(path)) == repr(result)
    with pytest.raises(DataError, match="belongs to another evaluation: its metric"):
        quiet(before(), right_day, save=path, resume=True)


async def test_from_async_code():
    assert (await arescore(before(), right_day, signature=Visit, progress=False)).states["pass"] == 5


def test_the_examples_themselves_reach_the_metric():
    data = [Example({"message": f"m{i}"}, {"when": date(2024, 5, i + 1)}) for i in range(3)]
    first = evaluate(Predict(Visit), data, lambda e, o: True, lm=Clerk(), save=None, progress=False)
    plain = dataclasses.replace(first, rows=tuple(type(row).from_json(row.to_json()) for row in first.rows))

    def right(example, out):
        return example.when == out.day

    assert quiet(plain, right, signature=Visit).states["pass"] == 0
    assert quiet(plain, right, signature=Visit, data=Dataset(data)).states["pass"] == 1
    with pytest.raises(DataError, match=r"lacks the example of row 2"):
        quiet(plain, right, data=data[:2])


def test_equal_examples_keep_their_own_answers():
    data = Dataset([*examples(2), *examples(2)], duplicates="keep")
    first = evaluate(Predict(Visit), data, right_day, lm=Clerk(), progress=False)
    assert quiet(first, right_day, signature=Visit, data=data).states["pass"] == 4


class Point(NamedTuple):
    x: int
    on: date


@dataclasses.dataclass
class Report:
    mood: Literal["good", "bad"]
    on: date


def test_predictions_are_rebuilt_in_their_types():
    @ol.predict
    def mood(text: str) -> Literal["good", "bad"]:
        """Mood."""

    @ol.predict
    def report(text: str) -> Report:
        """Report."""

    @ol.predict
    def point(text: str) -> Point:
        """Point."""

    assert prediction_of("good", mood.signature) == "good"
    assert prediction_of({"mood": "bad", "on": "2024-05-02"}, report.signature) == Report("bad", date(2024, 5, 2))
    assert prediction_of([3, "2024-05-02"], point.signature) == Point(3, date(2024, 5, 2))
    record = prediction_of({"day": "2024-05-02", "guests": [2, 1]}, Visit, {"message": "m"})
    assert isinstance(record, Visit)
    assert (record.day, record.guests, record.message) == (date(2024, 5, 2), {1, 2}, "m")
    assert prediction_of(3) == 3
    assert prediction_of({"n": 1}).n == 1
    for outputs, message in (
        ({"day": "soon", "guests": []}, "saved output 'day' is not of its type: 'soon'"),
        ({"day": "2024-05-02"}, "lack guests"),
        ("2024", "has no fields"),
    ):
        with pytest.raises(DataError, match=message):
            prediction_of(outputs, Visit)


def test_an_output_that_does_not_fit_is_an_error_of_its_row():
    first = before()
    odd = dataclasses.replace(first.rows[0], outputs={"day": "soon", "guests": [1]})
    result = quiet(Evaluation.of(first.about, [odd, *first.rows[1:]]), lambda e, o: True, signature=Visit)
    assert (result.states["error"], result.states["pass"]) == (2, 4)
    assert "is not of its type" in result.rows[0].error.message


def test_wrong_use_is_refused():
    first = before()
    for options, message in (
        ({"program": Predict(Visit), "signature": Visit}, "program= or signature=, not both"),
        ({"program": right_day}, "has none; give signature="),
        ({"epochs": 3}, "rescore has no option 'epochs'"),
        ({"concurency": 3}, "Did you mean 'concurrency'"),
        ({"resume": True}, "give save="),
    ):
        with pytest.raises(UsageError, match=message):
            quiet(first, right_day, **options)
    with pytest.raises(UsageError, match="takes an Evaluation or the path"):
        quiet([1], right_day)
    with pytest.raises(UsageError, match="reads the target 'team'"):
        quiet(first, ol.exact_match("team"))
    bare = evaluate(Predict(Visit), examples(), right_day, lm=Clerk(), keep="nothing", progress=False)
    with pytest.raises(DataError, match="rescore needs the rows"):
        quiet(bare, right_day)
    with pytest.raises(EvaluationStopped, match="an error, and on_error='raise'"):
        quiet(first, lambda e, o: 1 / 0, on_error="raise", concurrency=1)


def test_what_was_not_whole_is_not_whole_after_rescoring(tmp_path):
    async def program(message):
        if message == "m4":
            raise ConfigError("no model")
        return message

    with pytest.raises(EvaluationStopped) as stop:
        evaluate(program, examples(), lambda e, o: 1, progress=False, concurrency=1, save=tmp_path / "rows.jsonl")
    for source in (stop.value.evaluation, tmp_path / "rows.jsonl"):
        result = quiet(source, lambda e, o: 1, save=tmp_path / f"{type(source).__name__}.jsonl")
        assert result.stopped == "failed"
        assert "[failed after 5 of 6]" in result.headline
        assert Evaluation.from_jsonl(result.saved).stopped == "failed"
        assert result.counting("exclude_all").gate(0.1).decision == "INCONCLUSIVE"


def test_resume_scores_answers_that_changed_meanwhile(tmp_path):
    gone, calls = tmp_path / "gone", []

    async def program(message):
        if gone.exists() and message in ("m1", "m2"):
            raise ConnectionError("gone")
        return f"{message} {'before' if gone.exists() else 'after'}"

    def after(example, out):
        calls.append(out)
        return "after" in out

    rows, scored = tmp_path / "rows.jsonl", tmp_path / "scored.jsonl"
    gone.touch()
    evaluate(program, examples(), lambda e, o: 1, progress=False, save=rows)
    assert quiet(rows, after, save=scored).states["error"] == 2
    gone.unlink()
    evaluate(program, examples(), lambda e, o: 1, progress=False, save=rows, resume=True)
    calls.clear()
    result = quiet(rows, after, save=scored, resume=True)
    assert [row.state for row in result.rows] == ["fail", "pass", "pass", "fail", "fail", "fail"]
    assert calls == ["m1 after", "m2 after"]  # the others stand
    assert result.headline == Evaluation.from_jsonl(scored).headline == quiet(rows, after).headline


def test_rescoring_takes_no_checks():
    with pytest.raises(UsageError, match="no option 'checks'"):
        quiet(before(), lambda e, o: 1, checks=[])


def test_a_signature_that_is_not_that_of_the_answers_is_refused():
    with pytest.raises(DataError, match=r"the saved outputs \(day, guests\) lack answer"):
        quiet(before(), lambda e, o: 1, signature="message -> answer")
    with pytest.raises(DataError, match="the saved output 'day' is not of its type"):
        quiet(before(), lambda e, o: 1, signature="message -> day: int, guests: set[int]")


def test_resume_keeps_the_answers_of_equal_examples_apart(tmp_path):
    """A process that died had scored the second of two equal examples, whose answers differ."""
    answers = iter(("good", "bad"))
    twice = ol.Dataset([Example({"message": "m"}, {})] * 2, duplicates="keep")
    first = evaluate(lambda message: next(answers), twice, lambda e, o: 0, concurrency=1, progress=False)

    def good(example, out):
        return out == "good"

    path = tmp_path / "scored.jsonl"
    quiet(first, good, save=path, concurrency=1)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b'"index": 0' not in line and b'"end"' not in line))
    result = quiet(first, good, save=path, resume=True)
    assert [row.score for row in result.rows] == [1, 0]
    assert Evaluation.from_jsonl(path).score.value == 0.5
