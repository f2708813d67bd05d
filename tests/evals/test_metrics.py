from __future__ import annotations

import enum
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from outlast.data import Example
from outlast.errors import DataError, MetricError, UsageError
from outlast.evals import answer_in, exact_match, json_equal, numeric, token_f1
from outlast.signatures import Prediction
from outlast.types import Code, Document


def example(**targets):
    return Example({"question": "q"}, targets)


class Team(enum.Enum):
    CARDS = "cards"


class Person(BaseModel):
    name: str


@pytest.mark.parametrize(
    ("target", "given", "same"),
    [
        ("cards", "cards", True),
        ("Cards ", " cARDS\n", True),
        ("two  words", "two words", True),
        ("\ufb01ve", "five", True),
        ("cards", "card", False),
        (3, 3.0, True),
        (3, "3", True),
        ("1,200", 1200, True),
        (True, "true", True),
        (True, 1, False),
        (None, None, True),
        (None, "", False),
        ("cards", Team.CARDS, True),
        (["a", "B"], ("A", "b"), True),
        (["a", "b"], ["b", "a"], False),
        ({"name": "ann"}, Person(name="Ann"), True),
        ({"name": "ann"}, {"name": "ann", "age": 3}, False),
        ("x", 3, False),
        ("inf", float("inf"), True),
    ],
)
def test_exact_match_compares_by_meaning(target, given, same):
    assert exact_match("x")(example(x=target), {"x": given}).value == same


def test_exact_match_strict():
    strict = exact_match("x", strict=True)
    assert strict(example(x="a"), {"x": "a"}).value == 1
    assert strict(example(x="a"), {"x": "A"}).value == 0
    assert strict(example(x=3), {"x": "3"}).value == 0


def test_exact_match_of_several_fields_has_parts_and_feedback():
    score = exact_match("team", "urgency")(example(team="cards", urgency=3), {"team": "cards", "urgency": 4})
    assert score.value == 0
    assert score.parts == {"team": 1.0, "urgency": 0.0}
    assert score.feedback == "urgency: expected 3, got 4"
    every = exact_match()(example(team="cards", urgency=3), {"team": "cards", "urgency": 3})
    assert every.value == 1
    assert every.feedback == ""


def test_predictions_may_be_records_mappings_objects_or_plain_values():
    metric = exact_match("title")
    for prediction in (Prediction(title="x"), {"title": "x"}, SimpleNamespace(title="x"), "x"):
        assert metric(example(title="x"), prediction).value == 1, prediction
    assert exact_match()(example(n=3), 3).value == 1
    items = exact_match("items")
    assert items(example(items=[1]), Prediction(items=[1])).value == 1


def test_missing_fields_are_errors_not_zeros():
    with pytest.raises(DataError, match=r"no target 'teem'. Did you mean 'team'\? Targets: team"):
        exact_match("teem")(example(team="x"), {"teem": "x"})
    with pytest.raises(MetricError, match=r"no field 'team'. Did you mean 'teem'\? Fields: teem"):
        exact_match("team")(example(team="x"), {"teem": "x"})
    with pytest.raises(MetricError, match="no field 'team'"):
        exact_match("team")(example(team="x"), Prediction(other=1))
    with pytest.raises(DataError, match="no targets"):
        exact_match()(Example({"q": 1}), {})
    with pytest.raises(UsageError, match="named as text"):
        exact_match(3)


def test_token_f1_is_that_of_squad():
    f1 = token_f1("answer")
    assert f1(example(answer="the cat sat"), {"answer": "A cat, sat!"}).value == 1
    assert f1(example(answer="black cat"), {"answer": "cat"}).value == pytest.approx(2 / 3)
    assert f1(example(answer="dog"), {"answer": "cat"}).value == 0
    assert f1(example(answer=["dog", "black cat"]), {"answer": "black cat"}).value == 1
    assert f1(example(answer=""), {"answer": ""}).value == 1
    assert f1(example(answer="x"), {"answer": ""}).value == 0
    assert f1(example(answer="東京都"), {"answer": "東京"}).value == pytest.approx(0.8)
    assert token_f1("answer", "gold")(example(gold="x"), {"answer": "x"}).value == 1
    with pytest.raises(DataError, match="accepted answers is empty"):
        f1(example(answer=[]), {"answer": "x"})


@given(st.text(max_size=30), st.text(max_size=30))
def test_token_f1_is_symmetric_and_within_0_and_1(a, b):
    f1 = token_f1("x")
    value = f1(example(x=a), {"x": b}).value
    assert 0 <= value <= 1
    assert value == f1(example(x=b), {"x": a}).value
    assert f1(example(x=a), {"x": a}).value == 1


def test_answer_in():
    metric = answer_in("answer", "answers")
    answers = example(answers=["New York", "NYC"])
    assert metric(answers, {"answer": "nyc"}).value == 1
    assert metric(answers, {"answer": "in NYC"}).value == 0
    within = answer_in("answer", "answers", within=True)
    assert within(answers, {"answer": "It is in new york, of course."}).value == 1
    assert within(answers, {"answer": "newyorker"}).value == 0
    assert "expected one of" in within(answers, {"answer": "Rome"}).feedback
    assert answer_in("answer")(example(answer="x"), {"answer": "x"}).value == 1


@pytest.mark.parametrize(
    ("target", "given", "right"),
    [
        ("18", "The answer is 18.", True),
        (1234.5, "$1,234.50", True),
        (12, "12%", True),
        (5, "10-5", True),
        (-5, "-5", True),
        (-5, "\u22125", True),
        (18, "18 eggs minus 3", False),
        (1e3, "1e3", True),
        (0.1, 0.1, True),
        (18, "none", False),
        (1, True, False),
        (1, float("nan"), False),
        (".5", 0.5, True),
        (10**40, str(10**40), True),
        (10**40, str(10**40 + 1), False),
    ],
)
def test_numeric_reads_the_last_number(target, given, right):
    assert numeric("x")(example(x=target), {"x": given}).value == right


def test_numeric_tolerances():
    assert numeric("x", tol=0.1)(example(x=1), {"x": 1.1}).value == 1
    assert numeric("x", tol=0.1)(example(x=1), {"x": 1.11}).value == 0
    assert numeric("x", relative=0.05)(example(x=200), {"x": "209"}).value == 1
    assert numeric("x", relative=0.05)(example(x=200), {"x": "211"}).value == 0
    with pytest.raises(UsageError, match="tol is a number"):
        numeric("x", tol=-1)
    with pytest.raises(DataError, match="holds no number"):
        numeric("x")(example(x="none"), {"x": 3})


def test_numeric_survives_hostile_text():
    hostile = ["9" * 100_000, "1," * 50_000, "-" * 100_000, "." * 100_000, "1e" * 50_000]
    for text in hostile:
        assert numeric("x")(example(x=3), {"x": text}).value == 0


def test_json_equal():
    metric = json_equal("data")
    target = example(data={"a": [1, 2], "b": None})
    assert metric(target, {"data": '{"b": null, "a": [1, 2.0]}'}).value == 1
    assert metric(target, {"data": {"a": [1, 2], "b": None}}).value == 1
    assert metric(target, {"data": {"a": [1, 3], "b": None}}).feedback == "data: $.a[1]: expected 2, got 3"
    assert metric(target, {"data": {"a": [2, 1], "b": None}}).value == 0
    assert json_equal("data", ordered=False)(target, {"data": {"a": [2, 1], "b": None}}).value == 1
    assert json_equal("data", ordered=False)(target, {"data": {"a": [2, 2], "b": None}}).value == 0
    assert metric(target, {"data": {"a": [1]}}).value == 0
    assert "missing" in metric(target, {"data": {"a": [1, 2]}}).feedback
    assert "not expected" in metric(target, {"data": {"a": [1, 2], "b": None, "c": 1}}).feedback
    assert "not JSON" in metric(target, {"data": "{broken"}).feedback
    assert metric(target, {"data": "[" * 100_000}).value == 0
    assert metric(example(data="plain"), {"data": "plain"}).value == 1
    assert metric(example(data=1), {"data": True}).value == 0


def test_made_metrics_say_what_they_were_made_for():
    assert exact_match("team").__name__ == "exact_match('team')"
    assert numeric("n", tol=0.5).__name__ == "numeric('n', tol=0.5)"
    assert token_f1("a", "b").__name__ == "token_f1('a', 'b')"


def test_exact_match_folds_width_but_not_what_means_something_else():
    def same(target, value):
        return exact_match("a")(Example({"q": 1}, {"a": target}), {"a": value}).value

    assert same("10\u00b2", "102") == 0
    assert same("\u2460", "1") == 0
    assert same("\uff21\uff22\u3000\uff11", "ab 1") == 1
    assert same("\uff76\uff9e", "\u30ac") == 1  # half-width katakana with its mark
    assert same("e\u0301t\u00e9", "\u00c9TE\u0301") == 1


@pytest.mark.parametrize("kind", [Code, Document])
def test_code_and_documents_are_compared_with_text_by_their_text(kind):
    metrics = (
        exact_match("program"),
        exact_match("program", strict=True),
        answer_in("program"),
        answer_in("program", within=True),
        token_f1("program"),
        json_equal("program"),
    )
    for metric in metrics:
        for target in ("x = 1", kind("x = 1")):
            row = example(program=target)
            assert metric(row, {"program": kind("x = 1")}).value == 1.0, metric
            assert metric(row, {"program": kind("y = 2")}).value < 1.0, metric
