from __future__ import annotations

import fractions

import pytest

from outlast.errors import MetricError, UsageError
from outlast.evals import Score, Unscored, as_score, metric, unscored
from outlast.evals.judging import Rubric


@pytest.mark.parametrize(
    ("result", "value"),
    [(True, 1.0), (False, 0.0), (3, 3.0), (0.25, 0.25), (fractions.Fraction(1, 4), 0.25), (-2, -2.0)],
)
def test_numbers_and_truth_values_are_scores(result, value):
    score = as_score(result, "m")
    assert score == Score(value)
    assert type(score.value) is float


def test_numpy_scalars_are_scores():
    import numpy

    assert as_score(numpy.float32(0.5), "m") == Score(0.5)
    assert as_score(numpy.bool_(True), "m") == Score(1.0)
    assert as_score(numpy.int64(2), "m") == Score(2.0)


def test_none_is_unscored_not_zero():
    assert as_score(None, "m") == Unscored("metric returned None")
    assert as_score(unscored("no reference"), "m") == Unscored("no reference")
    with pytest.raises(UsageError, match="takes the reason as text"):
        unscored("")


@pytest.mark.parametrize("bad", ["yes", (1, "good"), [1], {"score": 1}, object(), 1j, b"1"])
def test_other_things_are_refused(bad):
    with pytest.raises(MetricError, match=r"metric 'm': a score is a bool, a finite number, Score"):
        as_score(bad, "m")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 10**400, 1e200])
def test_numbers_that_are_no_scores_are_refused(bad):
    with pytest.raises(MetricError, match="a score is a finite number"):
        as_score(bad, "m")
    with pytest.raises(MetricError):
        Score(bad)


def test_a_score_has_feedback_and_parts():
    score = Score(True, "close", {"team": True, "urgency": 0})
    assert score.value == 1.0
    assert score.parts == {"team": 1.0, "urgency": 0.0}
    assert float(score) == 1.0
    with pytest.raises(MetricError, match="feedback is text"):
        Score(1, 3)
    with pytest.raises(MetricError, match="part 'x'"):
        Score(1, "", {"x": "high"})


def test_metric_keeps_a_plain_function():
    @metric
    def correct(example, out):
        return out == example

    @metric(name="right")
    def other(example, out):
        return False

    assert correct(1, 1) is True
    assert correct.__name__ == "correct"
    assert other.__name__ == "right"


@pytest.mark.parametrize(
    "wrong", [lambda example: 1, lambda a, b, c: 1, lambda: 1, lambda a, b, *, gold: 1, lambda *, a, b: 1]
)
def test_a_metric_of_wrong_arity_is_refused_at_once(wrong):
    with pytest.raises(UsageError, match=r"called with two arguments, \(example, prediction\)"):
        metric(wrong)


def test_things_that_are_no_functions_are_refused():
    for wrong in (3, "accuracy", None, dict):
        with pytest.raises(UsageError, match="a metric is a function"):
            metric(wrong) if wrong is not None else metric(0)
    with pytest.raises(UsageError, match=r"A rubric is judged by ol\.Judge"):
        metric(Rubric("tone", "It is kind."))


def test_a_metric_may_have_more_arguments_with_defaults():
    def lenient(example, out, trace=None, *, strict=False):
        return True

    assert metric(lenient) is lenient


def test_parts_have_names():
    with pytest.raises(MetricError, match="a name is text; got 1"):
        Score(1, parts={1: 0.5})
