"""Assertions by intervals, and what their failures show."""

from __future__ import annotations

import pytest

import outlast as ol
from outlast.errors import DataError, UsageError
from outlast.evals import About, Evaluation, Row, RowError
from outlast.testing import assert_example, assert_no_worse, assert_score, examples

ABOUT = About(program="p", program_hash="p", metric="m", metric_hash="m", data_hash="d", total=10)


def evaluation(scores):
    rows = []
    for index, score in enumerate(scores):
        state = "error" if score is None else "pass" if score >= 1 else "fail"
        error = RowError("program", "ValueError", "bad\x1b[2J") if score is None else None
        rows.append(
            Row(index, f"id{index}", {"q": f"q{index}"}, {}, "out\x1b[31m", score, state, f"why {index}", error=error)
        )
    return Evaluation.of(ABOUT, rows)


def test_a_score_is_proven_or_the_test_fails_with_the_numbers() -> None:
    run = evaluation([1.0] * 90 + [0.0] * 9 + [None])
    assert_score(run, 0.8)
    with pytest.raises(AssertionError) as raised:
        assert_score(run, 0.9)
    text = str(raised.value)
    assert text.startswith("INCONCLUSIVE: the score has to be at least 90.0%. It is 90.0% (95% CI ")
    assert "the worst of 10 that failed:\n  example 99 (id99)" in text
    assert "error: 'ValueError: bad\\x1b[2J'" in text
    assert text.count("example ") == 5
    assert "\x1b" not in text
    with pytest.raises(AssertionError, match="^FAIL: "):
        assert_score(run, 0.99, inconclusive="pass")
    assert_score(run, 0.9, inconclusive="pass")
    with pytest.raises(pytest.skip.Exception, match="INCONCLUSIVE"):
        assert_score(run, 0.9, inconclusive="skip")
    with pytest.raises(UsageError, match="inconclusive is"):
        assert_score(run, 0.9, inconclusive="maybe")


def test_no_worse_than_an_earlier_run_or_its_file(tmp_path) -> None:
    old, new = evaluation([1.0] * 60), evaluation([1.0] * 40 + [0.0] * 20)
    assert assert_no_worse(old, old, min_delta=-0.1).verdict == "no worse"
    old.to_jsonl(tmp_path / "old.jsonl")
    assert assert_no_worse(old, tmp_path / "old.jsonl", min_delta=-0.1).n == 60
    with pytest.raises(AssertionError) as raised:
        assert_no_worse(new, tmp_path / "old.jsonl", min_delta=-0.1)
    assert str(raised.value).startswith("FAIL: the change has to be above -10.0 points. It is -33.3, 95% CI ")
    assert "the worst of 20 that fell:\n1 -> 0\n  example 40 (id40), score 0\n    inputs: {'q': 'q40'}" in str(
        raised.value
    )
    with pytest.raises(DataError):
        assert_no_worse(new, tmp_path / "none.jsonl", min_delta=-0.1)
    with pytest.raises(TypeError):
        assert_no_worse(new, old)
    with pytest.raises(DataError, match="errors count differently"):
        assert_no_worse(old, old.counting("fail"), min_delta=-0.1)
    assert assert_no_worse(old, old.counting("fail"), min_delta=-0.1, on_error="fail").on_error == "fail"


def test_one_example() -> None:
    def half(q):
        if q < 0:
            raise ValueError("below")
        return q // 2

    def right(example, out):
        return ol.Score(1 if out == example.a else 0.25, feedback=f"not {example.a}")

    assert assert_example(half, ol.Example({"q": 4}, {"a": 2}), right).score == 1
    assert assert_example(half, ol.Example({"q": 4}, {"a": 3}), right, at_least=0.2).score == 0.25
    with pytest.raises(
        AssertionError, match="score 0.25, at least 1 is needed\n  example [0-9a-f]{8}, .*\n    inputs: {'q': 4}"
    ):
        assert_example(half, ol.Example({"q": 4}, {"a": 3}), right)
    with pytest.raises(AssertionError, match="the program failed") as raised:
        assert_example(half, ol.Example({"q": -1}, {"a": 3}), right)
    assert isinstance(raised.value.__cause__, ValueError)
    with pytest.raises(AssertionError, match="no score, at least 1"):
        assert_example(half, ol.Example({"q": 1}, {"a": 3}), lambda example, out: ol.unscored("unreadable"))


def test_examples_lie_beside_the_test_or_in_the_working_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.jsonl").write_text('{"q": 1, "a": 2}\n{"q": 2, "a": 3}\n')

    name, cases = examples("two.jsonl", inputs=["q"]).mark.args
    assert name == "example"
    assert [case.values[0].q for case in cases] == [1, 2]
    assert len(examples(ol.Dataset.from_jsonl("two.jsonl", inputs=["q"]), limit=1).mark.args[1]) == 1
    with pytest.raises(DataError, match="cannot read"):
        examples("nothing.jsonl", inputs=["q"])
