from __future__ import annotations

import io
import json
import math
import pickle
from typing import Any

import pytest

from outlast.data import Example
from outlast.errors import DataError, UsageError
from outlast.evals import Evaluation, Score, evaluate, wording


async def program(message):
    number = int(message[1:])
    if number % 10 == 7:
        raise ValueError(f"cannot do {message}")
    return {"team": "yes", "sure": number % 2 == 0}


def result(n=40, score=None, **options):
    data = [Example({"message": f"m{i}"}, {"team": "yes" if i % 4 else "no"}) for i in range(n)]
    return evaluate(program, data, score or (lambda e, out: out["team"] == e.team), progress=False, **options)


def test_slices_by_input_target_output_and_function():
    evaluation = result()
    by_target = evaluation.slices("team")
    assert set(by_target) == {"yes", "no"}
    assert by_target["yes"].score.value == 1
    assert by_target["no"].score.value == 0
    assert sum(part.n for part in by_target.values()) == 40
    assert by_target["yes"].about.total == by_target["yes"].n
    by_output = evaluation.slices("sure")
    assert {key: part.n for key, part in by_output.items()} == {True: 20, False: 16, None: 4}
    assert by_output[None].states["error"] == 4
    assert set(evaluation.slices(lambda row: row.index // 20)) == {0, 1}
    with pytest.raises(DataError, match=r"no field 'teem'. Did you mean 'team'\? Fields: message, team, sure"):
        evaluation.slices("teem")


def test_failures_are_rows_that_failed_worst_first():
    def graded(example, out):
        return (int(example.message[1:]) % 3) / 2

    failures = result(score=graded).failures()
    assert [row.score for row in failures] == sorted(row.score for row in failures)
    assert all(row.state == "fail" for row in failures)
    assert len(failures) == sum(1 for i in range(40) if i % 10 != 7 and i % 3 != 2)


def test_estimate_by_method_and_level():
    evaluation = result()
    wide, narrow = evaluation.estimate(level=0.99), evaluation.estimate(level=0.8)
    assert wide.interval.low < evaluation.score.interval.low < narrow.interval.low
    assert evaluation.estimate("t").method == "t"
    assert result(level=0.8).score == narrow
    with pytest.raises(UsageError):
        evaluation.estimate("wilsen")


def test_numbers_outside_0_and_1_are_not_said_in_per_cent():
    evaluation = result(score=lambda e, out: int(e.message[1:]))
    assert repr(evaluation).startswith("19.")
    assert "%" not in repr(evaluation).partition("(95%")[0]
    assert repr(evaluation).endswith(" of 36 scored on 40: 35 pass, 1 fail, 4 errors (left out)")


def test_one_example_gives_an_honest_interval():
    evaluation = result(1)
    assert repr(evaluation) == f"0.0% (95% CI 0.0..{100 * evaluation.score.interval.high:.1f}, Wilson) on 1: 1 fail"
    assert repr(result(1, score=lambda e, out: 3.5)) == "3.5 (no interval from 1) on 1: 1 pass"


def test_latency_quantiles():
    evaluation = result()
    assert 0 <= evaluation.latency(0) <= evaluation.latency() <= evaluation.latency(1)
    with pytest.raises(UsageError, match="share of 0..1"):
        evaluation.latency(95)
    assert math.isnan(Evaluation.of(evaluation.about, []).latency())


def test_jsonl_round_trip(tmp_path):
    evaluation = result()
    evaluation.to_jsonl(tmp_path / "rows.jsonl")
    again = Evaluation.from_jsonl(tmp_path / "rows.jsonl")
    assert repr(again) == repr(evaluation)
    assert again.about == evaluation.about
    assert again.score == evaluation.score
    assert [row.to_json() for row in again.rows] == [row.to_json() for row in evaluation.rows]
    assert [str(group) for group in again.errors] == [str(group) for group in evaluation.errors]
    assert again.seconds == evaluation.seconds
    again.to_jsonl(tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "rows.jsonl").read_bytes()
    with pytest.raises(DataError, match="cannot write '/dev/full'"):
        evaluation.to_jsonl("/dev/full")


def row(**more):
    """A header and a row in which something is odd."""
    fields = {"index": 0, "id": "x", "state": "pass", "score": 1.0, "inputs": {}, "targets": {}, "outputs": None}
    return "HEAD" + json.dumps({**fields, **more}) + "\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is no file of an evaluation"),
        ('{"index": 0}\n', "is no file of an evaluation"),
        ("[1]\n", "line 1: not an object"),
        ("{\n", "line 1: not JSON"),
        ('{"outlast": "evaluation", "version": 2}\n', "version 2 of the format is not known here"),
        ('{"outlast": "evaluation", "version": 1}\n', "line 1: not a row of an evaluation"),
        ("HEAD" + '{"index": 0, "id": "x", "state": "great"}\n', "line 2: not a row .*state is one of"),
        ("HEAD" + '{"index": 0}\n', "line 2: not a row of an evaluation"),
        (row(score="1"), "line 2: .*finite numbers; got '1'"),
        (row(score=float("nan")), "line 2: .*finite numbers; got nan"),
        (row(score=True), "line 2: .*finite numbers; got True"),
        (row(score=None), "line 2: .*a row in state 'pass' has a score; got None"),
        (row(state="error"), "line 2: .*a row in state 'error' has no score; got 1.0"),
        (row(state="unscored"), "line 2: .*a row in state 'unscored' has no score; got 1.0"),
        (row(parts={"p": "1"}), "line 2: .*finite numbers; got '1'"),
        (row(seconds=None), "line 2: .*finite numbers; got None"),
        (row(index="0"), "line 2: .*index is a whole number"),
        (row(epoch=-1), "line 2: .*epoch is a whole number"),
        (row(epoch=1), "line 2: epoch 1 of an evaluation with 1"),
        (row(id=None), "line 2: .*id is text"),
        (row(cluster=3), "line 2: .*cluster is text"),
        (row(inputs=3), "line 2: .*inputs are fields by name"),
        (row(checks=[]), "line 2: not a row of an evaluation"),
        (row() + "OTHER", "line 3: another evaluation begins"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content, message):
    path = tmp_path / "rows.jsonl"
    result(2).to_jsonl(path)
    head = path.read_text().splitlines()[0] + "\n"
    other = head.replace('"epochs": 1', '"epochs": 3')
    path.write_text(content.replace("HEAD", head).replace("OTHER", other))
    with pytest.raises(DataError, match=message):
        Evaluation.from_jsonl(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="cannot read .*No such file"):
        Evaluation.from_jsonl(tmp_path / "nowhere.jsonl")


def test_an_evaluation_can_be_sent_to_another_process():
    evaluation = result()
    again = pickle.loads(pickle.dumps(evaluation))
    assert repr(again) == repr(evaluation)
    assert [row.to_json() for row in again.rows] == [row.to_json() for row in evaluation.rows]


def test_durations_are_said_in_fitting_units():
    said = [wording.duration(seconds) for seconds in (0.0025, 0.42, 12.4, 200, 7500, math.nan)]
    assert said == ["2.5 ms", "0.4 s", "12 s", "3 min 20 s", "2 h 5 min", "n/a"]


def test_dataframe():
    frame = result().to_dataframe()
    assert len(frame) == 40
    assert list(frame.columns[:5]) == ["index", "id", "input.message", "target.team", "output.team"]
    assert frame["state"].value_counts().to_dict() == {"pass": 26, "fail": 10, "error": 4}
    assert frame.loc[7, "error"] == "ValueError: cannot do m7"


def test_the_table_shows_score_slices_and_errors():
    out = io.StringIO()
    result().print_table(by="team", file=out)
    text = out.getvalue()
    for part in ("72.2%", "26 pass, 10 fail, 4 error", "by team", "ValueError: cannot do m7", "program", "time"):
        assert part in text, text


def test_rich_and_notebook_forms():
    from rich.console import Console

    console = Console(file=io.StringIO(), width=200)
    console.print(result())
    assert "72.2%" in console.file.getvalue()
    page = result()._repr_html_()
    assert "72.2%" in page
    assert "cannot do m7" in page


HOSTILE = "<script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>\"'{{ 7*7 }}[red]"


def test_hostile_output_shows_as_text_everywhere(tmp_path):
    async def hostile(message):
        if message == "m1":
            raise ValueError(HOSTILE)
        return {"team": HOSTILE, HOSTILE: "[/red]"}

    data = [Example({"message": f"m{i}"}, {"team": HOSTILE, "n": i}) for i in range(4)]
    evaluation = evaluate(hostile, data, lambda e, out: (e.n > 2) or None, progress=False)
    path = tmp_path / "page.html"
    evaluation.to_html(path)
    page = path.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<img" not in page
    assert "{{ 7*7 }}" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.count("http") == page.count("http-equiv") + page.count("http://evil.example")
    assert "Content-Security-Policy" in page
    out = io.StringIO()
    evaluation.print_table(by="team", file=out)
    assert "[red]" in out.getvalue()
    assert "<script" not in evaluation._repr_html_()


def test_the_page_shows_the_worst_rows_first_and_says_what_it_left_out(tmp_path):
    path = tmp_path / "page.html"
    result().to_html(path, limit=10)
    page = path.read_text(encoding="utf-8")
    assert page.count("<details>") == 10
    assert "30 more left out" in page
    assert page.index("error in the program") < page.index("output team")
    assert "72.2% (95% CI" in page
    assert "ValueError: cannot do m7" in page


def test_rows_as_json_have_what_one_needs():
    row = result().rows[7]
    data = json.loads(json.dumps(row.to_json()))
    assert data["state"] == "error"
    assert data["error"]["type"] == "ValueError"
    assert "in program" in data["error"]["where"]
    assert data["inputs"] == {"message": "m7"}
    assert result().rows[0].to_json().keys() == {
        "index", "id", "state", "score", "inputs", "targets", "outputs", "seconds",
    }  # fmt: skip


def test_parts_of_the_scores_are_averaged_and_shown(capsys: pytest.CaptureFixture[str]):
    def metric(example: Any, out: Any) -> Score:
        number = int(example.q)
        return Score(0.5, parts={"team": float(number % 2), **({"urgency": 0.25} if number < 10 else {})})

    data = [Example({"q": str(i)}, {"a": "x"}) for i in range(40)]
    result = evaluate(lambda q: q, data, metric, progress=False)
    assert (result.parts["team"].value, result.parts["team"].n) == (0.5, 40)
    assert (result.parts["urgency"].value, result.parts["urgency"].n) == (0.25, 10)
    assert result.parts["team"].interval.low < 0.5 < result.parts["team"].interval.high
    result.print_table()
    shown = capsys.readouterr().out
    assert "parts of the score" in shown
    assert "urgency" in shown


async def test_the_first_error_of_a_group_is_the_first_in_the_data():
    import asyncio

    from outlast.evals import aevaluate

    async def program(q: str) -> str:
        await asyncio.sleep(0.02 if q == "0" else 0)
        raise ValueError(f"row {q} is bad")

    data = [Example({"q": str(i)}, {"a": "x"}) for i in range(8)]
    result = await aevaluate(program, data, lambda example, out: True, progress=False)
    (group,) = result.errors
    assert (group.count, group.index, group.message) == (8, 0, "row 0 is bad")
