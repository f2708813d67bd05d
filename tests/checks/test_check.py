"""What a check is: a function of fields, called the same way wherever it is used."""

from __future__ import annotations

from typing import Any

import pytest

import outlast as ol
from outlast.checks.check import built
from outlast.errors import CheckFailed, MetricError, UsageError


@ol.check
def short(answer: str) -> bool:
    """At most ten characters."""
    return len(answer) <= 10


def test_a_check_reads_the_fields_that_its_parameters_name() -> None:
    assert short.needs == ("answer",)
    assert short.run({"answer": "yes", "other": 1}) == ol.CheckResult(True)
    assert short.run({"answer": "no" * 10}) == ol.CheckResult(False)
    assert short("yes") is True
    with pytest.raises(UsageError, match="needs the field 'answer'"):
        short.run({"anwser": "yes"})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (True, ol.CheckResult(True)),
        (False, ol.CheckResult(False, "say it in English")),
        ((False, "no"), ol.CheckResult(False, "no")),
        (ol.CheckResult(False, score=0.5), ol.CheckResult(False, "say it in English", 0.5)),
        (None, None),
    ],
)
def test_a_check_may_answer_in_several_forms(given: Any, expected: Any) -> None:
    made = ol.check(message="say it in English")(lambda answer: given)
    assert made.run({"answer": "x"}) == expected


@pytest.mark.parametrize("given", [1, "yes", (True,), (1, "x"), float("nan")])
def test_what_is_no_verdict_is_refused(given: Any) -> None:
    with pytest.raises(MetricError, match="gives a bool"):
        ol.check(lambda answer: given).run({"answer": "x"})


def test_each_looks_at_the_items_of_a_list_and_proposes_the_rest() -> None:
    made = ol.check(each=True, on_fail="filter", message="too long")(lambda names: len(names) < 3)
    result = made.run({"names": ["a", "bbb", "c", "dddd"]})
    assert result is not None
    assert (result.ok, result.score, result.fix) == (False, 0.5, {"names": ["a", "c"]})
    assert "item 2 of 4" in result.message
    with pytest.raises(UsageError, match="items of the list"):
        made.run({"names": "abc"})


def test_demand_is_the_check_as_a_test() -> None:
    short.demand(answer="yes")
    with pytest.raises(AssertionError) as caught:
        short.demand(answer="no" * 10)
    assert isinstance(caught.value, CheckFailed)
    assert caught.value.check == "short"


def test_a_check_stands_where_a_metric_does() -> None:
    data = ol.Dataset([ol.Example(inputs={"q": "a"}), ol.Example(inputs={"q": "b" * 20})])
    result = ol.evaluate(lambda q: q, data, short, progress=False)
    assert result.metric == "short"
    assert [row.score for row in result.rows] == [1.0, 0.0]


@pytest.mark.parametrize(
    "options",
    [{"on_fail": "retyr"}, {"on_fail": "fallback"}, {"on_fail": "filter"}, {"cost": "free"}, {"needs": ()}],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ol.check(**options)(lambda answer: True)


def test_a_parameter_that_cannot_be_named_is_refused() -> None:
    with pytest.raises(UsageError, match="names of fields"):
        ol.check(lambda *fields: True)


def test_factories_called_alike_make_equal_checks() -> None:
    def most(n: int) -> ol.Check:
        return built("most", ("answer",), lambda text: len(text) <= n, most=n)

    assert most(3) == most(3)
    assert hash(most(3)) == hash(most(3))
    assert most(3) != most(4)
    assert most(3).run({"answer": "abcd"}) == ol.CheckResult(False)


def test_needs_are_names_that_the_function_takes() -> None:
    assert ol.check(needs="answer")(lambda **values: bool(values["answer"])).needs == ("answer",)
    with pytest.raises(UsageError, match="names of fields; got 1"):
        ol.check(needs=[1, "answer"])(lambda **values: True)
    with pytest.raises(UsageError, match="is called with answer by name"):
        ol.check(needs=["answer"])(lambda text: True)


@pytest.mark.parametrize(
    "given",
    [{"ok": 1}, {"ok": True, "message": None}, {"ok": True, "score": float("nan")}, {"ok": True, "score": 7}],
)
def test_a_result_that_says_nothing_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="CheckResult"):
        ol.CheckResult(**given)


def test_a_check_looks_at_what_a_program_gave() -> None:
    out = ol.Prediction(answer="yes")
    assert short.run(out)
    short.demand(out)
    with pytest.raises(UsageError, match="values by field name"):
        short.run("yes")
    with pytest.raises(UsageError, match="values by field name"):
        short.demand("yes")


@pytest.mark.parametrize(
    "given", [{"action": "bogus"}, {"action": "retry", "times": 0}, {"action": "fix", "then": "log"}]
)
def test_a_policy_that_means_nothing_is_refused(given: Any) -> None:
    with pytest.raises(UsageError):
        ol.checks.Policy(**given)
    with pytest.raises(UsageError, match="a number above 0"):
        ol.checks.retry(seconds=True)
