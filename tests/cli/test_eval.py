"""`outlast eval` and `outlast compare`."""

from __future__ import annotations

import json

import pytest

LM = ("--lm", "outlast/baseline")
EVAL = ("eval", "app.py:route", "data.jsonl", "--metric", "app.py:correct", *LM)


def test_the_table_has_the_score_its_interval_and_the_cost(outlast) -> None:
    result = outlast(*EVAL)
    assert result.code == 0
    assert "% (95% CI " in result.out
    assert "on 120:" in result.out
    assert "outlast/baseline" in result.out


def test_json(outlast) -> None:
    found = outlast(*EVAL, "--json", "--no-progress").json
    assert found["n"] == found["scored"] == 120
    assert found["interval"][0] < found["score"] < found["interval"][1]
    assert found["states"]["pass"] + found["states"]["fail"] == 120
    assert found["spending"]["calls"] == 120
    assert found["stopped"] == ""


def test_columns_named_like_the_inputs_are_inputs_and_flags_win(outlast) -> None:
    plain = outlast(*EVAL, "--json").json
    assert outlast(*EVAL, "--json", "--targets", "team").json["data"] == plain["data"]
    assert outlast(*EVAL, "--json", "--inputs", "message").json["data"] == plain["data"]
    wrong = outlast(*EVAL, "--inputs", "messag")
    assert wrong.code == 3
    assert "Did you mean 'message'?" in wrong.err


def test_the_form_that_data_sets_write_needs_no_flags(outlast, desk) -> None:
    from outlast.samples.triage import messages

    messages()[:30].to_jsonl(desk / "own.jsonl")
    assert outlast("eval", "app.py:route", "own.jsonl", "--metric", "app.py:correct", *LM, "--json").json["n"] == 30


def test_standard_input(shell, desk) -> None:
    rows = (desk / "data.jsonl").read_text()
    result = shell("eval", "app.py:route", "-", "--metric", "app.py:correct", *LM, "--json", stdin=rows)
    assert result.code == 0, result.err
    assert result.json["n"] == 120


def test_csv_and_its_types(outlast, desk) -> None:
    (desk / "app2.py").write_text(
        "import outlast as ol\n\n\nclass Same(ol.Module):\n    def forward(self, n):\n        return n\n\n\n"
        "def doubled(example, out):\n    return example.twice == 2 * out\n"
    )
    (desk / "rows.csv").write_text("n,twice\n1,2\n2,4\n3,7\n")
    words = ("eval", "app2.py:Same", "rows.csv", "--metric", "app2.py:doubled", *LM, "--json")
    assert outlast(*words, "--types", "n=int,twice=int").json["score"] == pytest.approx(2 / 3)
    assert outlast(*words, "--types", "n=date").code == 2
    assert outlast(*EVAL, "--types", "n=int").code == 2


def test_parquet(outlast, desk) -> None:
    import pandas

    pandas.DataFrame({"message": ["my card is gone"], "team": ["cards"]}).to_parquet(desk / "rows.parquet")
    words = ("eval", "app.py:route", "rows.parquet", "--metric", "app.py:correct", *LM, "--json")
    assert outlast(*words).json["score"] == 1.0


def test_a_gate_does_not_pass_on_what_was_not_answered(outlast, desk) -> None:
    (desk / "half.py").write_text(
        "import outlast as ol\n\n\nclass Half(ol.Module):\n    def forward(self, n):\n"
        "        if n % 2:\n            raise ValueError('odd')\n        return n\n\n\n"
        "def right(example, out):\n    return out == example.want\n"
    )
    (desk / "n.jsonl").write_text("".join(f'{{"n": {n}, "want": {n}}}\n' for n in range(20)))
    words = ("eval", "half.py:Half", "n.jsonl", "--metric", "half.py:right", *LM)
    failed = outlast(*words, "--min-score", "0.9")
    assert failed.code == 1
    assert "with its 10 errors counted as 0 is 0.5, below --min-score 0.9" in failed.err
    passed = outlast(*words, "--min-score", "0.4")
    assert passed.code == 0
    assert "the gate passed: the score with its 10 errors counted as 0 is 0.5" in passed.err


def test_a_limit_is_a_sample_drawn_by_the_seed(outlast) -> None:
    first = outlast(*EVAL, "--json", "--limit", "20").json
    assert first["n"] == 20
    assert outlast(*EVAL, "--json", "--limit", "20").json["data"] == first["data"]
    assert outlast(*EVAL, "--json", "--limit", "20", "--seed", "1").json["data"] != first["data"]
    assert outlast(*EVAL, "--json", "--limit", "1000").json["n"] == 120


def test_a_gate(outlast) -> None:
    assert outlast(*EVAL, "--min-score", "0.05").code == 0
    failed = outlast(*EVAL, "--min-score", "0.99")
    assert failed.code == 1
    assert "the gate failed" in failed.err


def test_nothing_scored_is_not_a_success(outlast, desk) -> None:
    crashed = outlast("eval", "app.py:route", "data.jsonl", "--metric", "app.py:crashes", *LM, "--json")
    assert crashed.code == 1
    assert crashed.json["score"] is None
    (desk / "down.py").write_text(
        "import outlast as ol\nfrom outlast.errors import LMConnectionError\nfrom outlast.testing import ScriptedLM\n\n"
        "def answer(messages):\n    raise LMConnectionError('no server')\n\n"
        "route = ol.Predict('message -> team', lm=ScriptedLM(answer))\n"
    )
    down = outlast("eval", "down.py:route", "data.jsonl", "--metric", "app.py:correct", "--limit", "3")
    assert down.code == 4


def test_too_many_errors_stop_it(outlast) -> None:
    result = outlast("eval", "app.py:route", "data.jsonl", "--metric", "app.py:crashes", *LM, "--max-errors", "3")
    assert result.code == 3
    assert "the metric broke" in result.err
    assert outlast(*EVAL, "--max-errors", "1.5").code == 2


def test_slices(outlast) -> None:
    result = outlast(*EVAL, "--by", "team")
    for team in ("billing", "cards", "complaints"):
        assert team in result.out


def test_the_page(outlast, desk) -> None:
    assert outlast(*EVAL, "--html", "page.html").code == 0
    assert "<html" in (desk / "page.html").read_text()


def test_saved_rows_are_compared(outlast, desk) -> None:
    (desk / "always.py").write_text(
        "import outlast as ol\n\n\nclass Always(ol.Module):\n    def forward(self, message):\n"
        "        return ol.Prediction(team='cards')\n"
    )
    assert outlast(*EVAL, "--save", "b.jsonl").code == 0
    words = ("eval", "always.py:Always", "data.jsonl", "--metric", "app.py:correct", *LM, "--save", "a.jsonl")
    assert outlast(*words).code == 0
    table = outlast("compare", "a.jsonl", "b.jsonl", "--flips", "2")
    assert table.code == 0
    assert "better" in table.out
    found = outlast("compare", "a.jsonl", "b.jsonl", "--json", "--flips", "2").json
    assert found["verdict"] == "better"
    assert found["after"] - found["before"] == pytest.approx(found["difference"])
    assert found["wins"] + found["losses"] + found["ties"] == found["n"] == 120
    assert len(found["flips"]) == 2
    assert outlast("compare", "a.jsonl", "b.jsonl", "--require-better").code == 0
    assert outlast("compare", "b.jsonl", "a.jsonl", "--require-better").code == 1


def test_saving_twice_needs_resume(outlast, desk) -> None:
    assert outlast(*EVAL, "--save", "a.jsonl", "--limit", "10").code == 0
    again = outlast(*EVAL, "--save", "a.jsonl", "--limit", "10")
    assert again.code == 3
    assert "--resume" in again.err
    assert outlast(*EVAL, "--save", "a.jsonl", "--limit", "10", "--resume").code == 0
    assert len([line for line in (desk / "a.jsonl").read_text().splitlines() if "index" in json.loads(line)]) == 10


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("eval", "app.py:route", "nothing.jsonl", "--metric", "app.py:correct", *LM), 3, "nothing.jsonl"),
        (("eval", "app.py:route", "app.py", "--metric", "app.py:correct", *LM), 3, "app.py"),
        (("eval", "app.py:route", "data.jsonl", *LM), 2, "--metric"),
        (("eval", "app.py:route", "data.jsonl", "--metric", "app.py:correct"), 3, "--lm"),
        (("eval", "app.py:route", "data.jsonl", "--metric", "app.py:wrong_shape", *LM), 2, "wrong_shape"),
        ((*EVAL, "--resume"), 2, "--save"),
        (("compare", "data.jsonl", "data.jsonl"), 3, "no file of an evaluation"),
        (("compare", "nothing.jsonl", "data.jsonl"), 3, "nothing.jsonl"),
        (("compare", "data.jsonl"), 2, "B.jsonl"),
    ],
)
def test_what_cannot_be_done(outlast, words: tuple[str, ...], code: int, told: str) -> None:
    result = outlast(*words)
    assert (result.code, result.out) == (code, "")
    assert told in result.err


def test_in_a_process_of_its_own(shell) -> None:
    result = shell(*EVAL, "--json", "--no-progress", "--limit", "20")
    assert result.code == 0
    assert result.err == ""
    assert result.json["n"] == 20
    compared = shell("compare", "data.jsonl", "data.jsonl")
    assert compared.code == 3
    assert "Traceback" not in compared.err
