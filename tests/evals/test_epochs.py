"""Several runs of each example: their draws, their one score, and what they say of its variance."""

from __future__ import annotations

import io
import math
import random
import statistics

import pytest

from outlast.data import Dataset, Example
from outlast.errors import DataError, UsageError
from outlast.evals import Evaluation, evaluate
from outlast.evals.epochs import Epochs
from outlast.lms.protocol import LM
from outlast.messages import Response
from outlast.modules import Predict
from outlast.runtime import current


def examples(n):
    return [Example({"message": f"m{i}"}, {"team": "yes"}) for i in range(n)]


async def by_draw(message):
    """What a model would draw: right in draws 0 and 1, and for even messages in all."""
    number, draw = int(message[1:]), current().sample % 3
    if number == 5 and draw == 2:
        raise ConnectionError("gone")
    if number == 7:
        raise ConnectionError("gone")
    return number % 2 == 0 or draw < 2


def right(example, out):
    return None if example.message == "m9" else out


def run(program=by_draw, data=None, metric=right, **options):
    options.setdefault("progress", False)
    return evaluate(program, examples(12) if data is None else data, metric, **options)


def test_the_unit_is_the_example():
    result = run(epochs=3)
    assert (result.n, result.runs, len(result.rows), len(result.items)) == (12, 36, 36, 12)
    assert [(row.index, row.epoch) for row in result.rows] == [(i, e) for i in range(12) for e in range(3)]
    third = pytest.approx(2 / 3)
    assert [item.score for item in result.items] == [1, third, 1, third, 1, 1, 1, None, 1, None, 1, third]
    states = ["pass", "fail", "pass", "fail", "pass", "pass", "pass", "error", "pass", "unscored", "pass", "fail"]
    assert [item.state for item in result.items] == states
    assert result.states == {"pass": 7, "fail": 3, "error": 1, "unscored": 1}
    assert result.run_states == {"pass": 26, "fail": 3, "error": 4, "unscored": 3}
    assert result.score.n == 10
    assert result.score.value == pytest.approx((7 + 2) / 10)
    assert sorted(result.values) == sorted(item.score for item in result.items if item.score is not None)
    assert [item.index for item in result.flaky] == [1, 3, 11]
    assert repr(result).endswith(
        " of 10 scored on 12 x 3 epochs, mean: 7 pass, 3 fail, 1 error, 1 unscored; 3 flaky; "
        "4 of 36 runs were errors (left out)"
    )


def test_epochs_do_not_make_the_interval_narrower_than_their_examples_allow():
    assert (
        run(lambda message: message < "m5", epochs=50).score.interval
        == run(lambda message: message < "m5").score.interval
    )


def test_draws_are_numbered_as_those_of_strategies():
    seen = []

    class Asked(LM):
        name = "asked"
        blocking_safe = True

        async def complete(self, request):
            seen.append(request.sample)
            return Response(text="<<team>>\nyes\n<<end>>", model="asked-1")

    run(Predict("message -> team"), examples(2), lambda e, o: True, lm=Asked(), epochs=3, concurrency=1)
    assert seen == [0, 1, 2, 0, 1, 2]
    seen.clear()
    run(Predict("message -> team"), examples(1), lambda e, o: True, lm=Asked(), epochs=3, sample=2)
    assert sorted(seen) == [6, 7, 8]


@pytest.mark.parametrize(
    ("reducer", "expected"),
    [("mean", 0.9), ("min", 0.7), ("max", 1.0), ("majority", 1.0), ("pass@2", 1.0), ("pass^2", (7 + 1) / 10)],
)
def test_reducers_make_one_score_of_the_runs(reducer, expected):
    result = run(epochs=Epochs(3, reducer))
    assert result.score.value == pytest.approx(expected)
    assert run(epochs=3).reduced(reducer).score == result.score


def test_an_example_with_fewer_scores_than_the_reducer_needs_is_left_out():
    result = run(epochs=Epochs(3, "pass^3"))
    assert result.items[5].state == "error"
    assert result.items[5].score is None
    assert result.score.n == 9
    with pytest.raises(UsageError, match="needs at least 4 epochs, got 3"):
        result.reduced("pass@4")
    with pytest.raises(UsageError, match="there is no reducer"):
        run(epochs=Epochs(3, "avg"))


def test_unusable_answers_count_as_0_inside_an_example_too():
    class Mumbling(LM):
        name = "mumbling"
        blocking_safe = True

        async def complete(self, request):
            return Response(text="<<n>>\n1\n<<end>>" if request.sample else "hm", model="mumbling-1")

    result = run(Predict("message -> n: int"), examples(2), lambda e, o: True, lm=Mumbling(), epochs=2)
    assert [item.score for item in result.items] == [0.5, 0.5]
    assert [item.state for item in result.items] == ["fail", "fail"]
    assert len(result.flaky) == 2
    assert result.counting("exclude_all").score.value == 1
    once = run(Predict("message -> n: int"), examples(2), lambda e, o: True, lm=Mumbling())
    assert (once.score.value, once.states["error"]) == (0, 2)


def test_the_policy_for_errors_holds_inside_an_example():
    result = run(epochs=3, on_error="fail")
    assert result.items[5].score == pytest.approx(2 / 3)
    assert (result.items[7].score, result.items[7].state) == (0, "error")
    assert "4 of 36 runs were errors (counted as 0)" in repr(result)


def test_the_file_holds_each_epoch_and_resume_runs_what_is_missing(tmp_path):
    path = tmp_path / "rows.jsonl"
    calls = []

    async def program(message):
        calls.append((message, current().sample))
        return current().sample < 2

    whole = run(program, examples(4), epochs=3, concurrency=1, save=path)
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if b'"provenance"' not in line]
    path.write_bytes(b"".join(lines[:6]))  # one example and two epochs of the next
    partial = Evaluation.from_jsonl(path)
    assert (partial.n, partial.runs, partial.items[1].score) == (2, 5, 1.0)
    calls.clear()
    again = run(program, examples(4), epochs=3, concurrency=1, save=path, resume=True)
    assert calls == [("m1", 2), *((f"m{i}", e) for i in (2, 3) for e in range(3))]
    assert repr(again) == repr(whole) == repr(Evaluation.from_jsonl(path))
    with pytest.raises(DataError, match=r"its epochs \(3 then, 2 now\) differs"):
        run(program, examples(4), epochs=2, save=path, resume=True)
    other = run(program, examples(4), epochs=Epochs(3, "max"), save=path, resume=True)
    assert other.score.value == 1
    assert Evaluation.from_jsonl(path).about.reducer == "max"


def test_totals_without_rows_are_the_same():
    kept, bare = run(epochs=3), run(epochs=3, keep="nothing")
    assert repr(bare) == repr(kept)
    assert bare.variance == kept.variance
    with pytest.raises(DataError, match="items needs the rows"):
        bare.items  # noqa: B018 - raises
    stopped = run(epochs=3, data=iter(examples(12)))
    assert (stopped.n, repr(stopped)) == (12, repr(kept))


def test_parts_are_averaged_inside_the_example():
    from outlast.evals import Score

    def graded(example, out):
        return Score(1.0, parts={"even": float(current().sample % 2)})

    async def nothing(message):
        return None

    even = run(nothing, metric=graded, epochs=3).parts["even"]
    assert (even.n, even.value) == (12, pytest.approx(1 / 3))


def test_slices_keep_the_epochs_of_an_example_together():
    parts = run(epochs=3).slices("message")
    assert {(part.n, part.runs, part.about.total) for part in parts.values()} == {(1, 3, 1)}
    by_output = run(epochs=3).slices(lambda row: row.outputs)
    assert by_output[False].n == 4


def test_variance_between_and_within_is_that_of_the_analysis_of_variance():
    rng = random.Random(5)
    drawn = {(i, e): random.Random(i).gauss(0, 2) + rng.gauss(0, 1) for i in range(40) for e in range(4)}

    async def program(message):
        return drawn[int(message[1:]), current().sample]

    result = run(program, examples(40), lambda e, o: o, epochs=4)
    means = [statistics.fmean(drawn[i, e] for e in range(4)) for i in range(40)]
    within = statistics.fmean(statistics.variance(drawn[i, e] for e in range(4)) for i in range(40))
    assert result.variance.within == pytest.approx(within)
    assert result.variance.between == pytest.approx(statistics.variance(means) - within / 4)
    assert (result.variance.examples, result.variance.runs) == (40, 160)
    assert result.variance.within_sd == pytest.approx(math.sqrt(within))
    assert math.isnan(run().variance.within)


def test_a_data_set_with_equal_examples_keeps_them_apart():
    data = Dataset([*examples(3), *examples(3)], duplicates="keep")
    assert run(data=data, epochs=2).n == 6


def test_the_table_lists_flaky_examples_and_the_variance():
    out = io.StringIO()
    run(epochs=3).print_table(file=out)
    text = out.getvalue()
    assert "flaky examples (3 of 3)" in text
    assert [line.split()[1:] for line in text.splitlines() if "message='m3'" in line] == [
        ["message='m3'", "2", "of", "3", "0.667"]
    ]
    assert "from epoch to epoch" in text
    out = io.StringIO()
    run().print_table(file=out)
    assert "flaky" not in out.getvalue()


def test_an_example_passes_when_each_epoch_scores_just_the_threshold():
    for score, count in ((0.7, 3), (0.9, 9)):
        result = run(metric=lambda example, out, score=score: score, threshold=score, epochs=count)
        assert result.states["fail"] == 0


@pytest.mark.parametrize("reducer", ["pass@1", "pass^1", "at_least_1"])
def test_a_reducer_that_counts_passes_does_so_for_one_epoch_too(reducer):
    for score, threshold, counted in ((0.6, 1.0, 0), (0.6, 0.5, 1), (7, 5, 1), (7, 8, 0)):
        options = {"metric": lambda example, out, score=score: score, "threshold": threshold, "data": examples(4)}
        for count in (1, 3):
            result = run(**options, epochs=Epochs(count, reducer))
            assert result.score.value == counted == result.items[0].score
            assert result.states["pass" if counted else "fail"] == 4
        assert Evaluation.of(result.about, result.rows).score.value == counted
