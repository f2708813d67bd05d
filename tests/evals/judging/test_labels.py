"""Labels: whose, under which version of the rubric; stale ones are kept; splits keep items together; files."""

from __future__ import annotations

import io
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import outlast as ol
from outlast.errors import DataError, FrozenError, UsageError
from outlast.evals.judging import Item
from outlast.testing import ScriptedLM

TONE = ol.Rubric("tone", "The reply is friendly.", passes="It thanks.", fails="It blames.")
HELP = ol.Rubric("help", "The reply helps.", scale=(1, 5))


def label(text: str, value: Any, author: str = "ann", rubric: Any = TONE, **more: Any) -> ol.Label:
    return ol.Label({"answer": text}, value, rubric=rubric, author=author, **more)


def test_a_label_holds_a_verdict_of_the_rubric_and_its_version() -> None:
    one = label("Thanks!", True)
    assert (one.value, one.rubric, one.rubric_version, one.author) == ("pass", "tone", TONE.version, "ann")
    assert one.time.tzinfo is UTC
    with pytest.raises(UsageError, match="rubric 'tone': a verdict is one of fail, pass; got 'great'"):
        label("Thanks!", "great")
    with pytest.raises(FrozenError):
        one.item.fields = {}  # type: ignore[misc]


def test_an_edited_rubric_makes_labels_stale_not_wrong() -> None:
    labels = ol.Labels([label("a", "pass"), label("b", "fail")])
    edited = TONE.edited(fails=["It blames.", "It sighs."])
    assert len(labels.of(TONE)) == 2
    assert len(labels.stale(TONE)) == 0
    assert len(labels.of(edited)) == 0
    assert [row.value for row in labels.stale(edited)] == ["pass", "fail"]
    held = labels.confirmed(edited, "ann", ids=[labels[0].item.id])
    assert [row.value for row in held.of(edited)] == ["pass"]
    assert len(held.stale(edited)) == 2


def test_the_last_word_of_each_author_counts() -> None:
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    labels = ol.Labels(
        [
            label("a", "fail", time=late),
            label("a", "pass", time=early),
            label("a", "pass", "bob"),
            label("b", None),
            label("a", 4, rubric=HELP),
        ]
    )
    assert labels.by_item(TONE) == {labels[0].item.id: {"ann": "fail", "bob": "pass"}}
    assert len(labels.open()) == 1
    assert labels.authors == ("ann", "bob")
    assert labels.rubrics == ("tone", "help")
    assert repr(labels) == "<Labels of 2 items by 2 authors (tone: 4, help: 1), 1 to be labelled>"


def test_one_item_never_falls_into_two_parts() -> None:
    rows = [
        ol.Label(Item({"question": f"q{n % 40}", "answer": f"a{n}"}, ["question"]), n % 2, rubric=TONE, author=who)
        for n in range(120)
        for who in ("ann", "bob")
    ]
    parts = ol.Labels(rows).split(train=0.2, dev=0.4, test=0.4)
    assert sum(map(len, parts)) == 240
    assert parts.test.part == "test"
    questions = [{row.item["question"] for row in part} for part in parts]
    assert not questions[0] & questions[1]
    assert not questions[1] & questions[2]
    assert not questions[0] & questions[2]
    again = ol.Labels(reversed(rows)).split(train=0.2, dev=0.4, test=0.4)
    assert set(again.train.items) == set(parts.train.items)
    by_answer = ol.Labels(rows).split(0.5, 0.5, by="answer")
    assert {row.item["answer"] for row in by_answer[0]}.isdisjoint(row.item["answer"] for row in by_answer[1])
    with pytest.raises(DataError, match="has no field 'anwser'. Did you mean 'answer'"):
        ol.Labels(rows).split(0.5, 0.5, by="anwser")


def full() -> ol.Labels:
    return ol.Labels(
        [
            ol.Label(
                Item({"n": 3, "question": "=cmd|' /C calc'!A0", "answer": 'two\nlines, "quoted"'}, ["n", "question"]),
                "pass",
                rubric=TONE,
                author="ann",
                note="'=kept",
            ),
            ol.Label({"answer": "'=5", "tags": ["a"]}, None, rubric=TONE),
            ol.Label({"answer": ""}, 4, rubric=HELP, author="bob"),
        ]
    )


def test_files_give_back_the_same_labels(tmp_path: Path) -> None:
    labels = full()
    labels.to_jsonl(tmp_path / "x.jsonl")
    assert ol.Labels.from_jsonl(tmp_path / "x.jsonl") == labels
    assert pickle.loads(pickle.dumps(labels)) == labels
    rows = ol.Labels([labels[0]])
    rows.to_csv(tmp_path / "x.csv")
    text = (tmp_path / "x.csv").read_text()
    assert text.startswith("input.n:json,input.question,output.answer,label,author,time,note,rubric,rubric_version\n")
    assert "3,'=cmd" in text
    back = ol.Labels.from_csv(tmp_path / "x.csv", rubric=TONE)
    assert back == rows
    assert back[0].item.inputs == ("n", "question")


def test_csv_keeps_fields_that_some_items_lack(tmp_path: Path) -> None:
    labels = full()
    labels.to_csv(tmp_path / "x.csv")
    back = ol.Labels.from_csv(tmp_path / "x.csv", rubric=TONE)
    assert [row.item.id for row in back] == [row.item.id for row in labels]
    assert [str(row.value) for row in back] == ["pass", "None", "4"]
    assert back.of(HELP)[0].value == 4


def test_a_table_of_any_kind_is_read_by_names_of_columns() -> None:
    table = io.StringIO("q,a,ok\nwhy,because,yes\nhow,so,\n")
    labels = ol.Labels.from_csv(table, rubric=TONE, author="ann", value="ok", inputs="q", outputs="a")
    assert [(row.value, row.author) for row in labels] == [("pass", "ann"), (None, "ann")]
    assert labels[0].item == Item({"q": "why", "a": "because"})


def test_a_column_of_the_item_is_no_column_of_the_label() -> None:
    text = "invoice,note,author,ok,reason\nI,ann wants 3,Poe,no,should be 4\n"
    (one,) = ol.Labels.from_csv(
        io.StringIO(text), rubric=TONE, author="ann", value="ok", inputs=["invoice", "author"], outputs="note"
    )
    assert (one.item["note"], one.item["author"], one.note, one.author) == ("ann wants 3", "Poe", "", "ann")
    (two,) = ol.Labels.from_csv(io.StringIO(text), rubric=TONE, value="ok", note="reason", outputs="note")
    assert (two.item["note"], two.note, two.author) == ("ann wants 3", "should be 4", "Poe")
    with pytest.raises(DataError, match="no column 'reasn'. Did you mean 'reason'"):
        ol.Labels.from_csv(io.StringIO(text), rubric=TONE, value="ok", note="reasn", outputs="note")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,label\nx,maybe\n", {"outputs": "a"}, "line 2: rubric 'tone': a verdict is one of fail, pass; got 'maybe'"),
        ("a,label\nx,pass\n", {"outputs": "b"}, "line 2: no column 'b'"),
        ("a,lable\nx,pass\n", {"outputs": "a"}, "line 2: no column 'label'. Did you mean 'lable'"),
        ("a,label\nx,pass\n", {}, "line 2: which columns are the item"),
        ("a,label,time\nx,pass,noon\n", {"outputs": "a"}, "line 2: Label: a time is a date and time in ISO format"),
        ("a,label\nx\n", {"outputs": "a"}, "line 2: 1 cells for 2 columns"),
        ("", {"outputs": "a"}, "is empty"),
    ],
)
def test_a_bad_table_is_refused_with_its_line(text: str, options: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        ol.Labels.from_csv(io.StringIO(text), rubric=TONE, **options)
    assert message in str(caught.value)


def test_bad_json_lines_are_refused_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"outputs": {"a": "x"}, "label": "pass"}\n{"outputs": {"a": "x"}, "label": "so so"}\n')
    with pytest.raises(DataError, match="line 2: rubric 'tone'"):
        ol.Labels.from_jsonl(path, rubric=TONE)
    with pytest.raises(DataError, match="line 1: no rubric"):
        ol.Labels.from_jsonl(path)


def test_an_evaluation_becomes_a_sheet_to_fill_in() -> None:
    data = ol.Dataset.from_list([{"n": 1, "twice": 2}, {"n": 2, "twice": 5}], inputs=["n"])

    def twice(n: int) -> int:
        return 2 * n

    run = ol.evaluate(twice, data, lambda example, out: out == example.twice, progress=False)
    sheet = ol.Labels.from_rows(run, TONE)
    assert [dict(row.item.fields) for row in sheet] == [{"n": 1, "answer": 2}, {"n": 2, "answer": 4}]
    assert len(sheet.open(TONE)) == 2
    assert sheet[0].item.inputs == ("n",)
    done = ol.Labels.from_rows(run, TONE, value=lambda row: row.state, author="metric")
    assert [row.value for row in done] == ["pass", "fail"]
    by_id = ol.Labels.from_rows(run, TONE, value={run.rows[1].id: "fail"}, author="ann")
    assert [row.value for row in by_id] == [None, "fail"]


words = st.text(st.characters(codec="utf-8"), max_size=12)


@settings(max_examples=60, deadline=None)
@given(words, words, words, st.sampled_from(["pass", "fail", None]))
def test_any_text_survives_a_csv_file(question: str, answer: str, note: str, value: Any) -> None:
    labels = ol.Labels([ol.Label(Item({"q": question, "a": answer}, ["q"]), value, rubric=TONE, note=note)])
    file = io.StringIO(newline="")
    labels.to_csv(file)
    file.seek(0)
    assert ol.Labels.from_csv(file, rubric=TONE) == labels


def test_many_labels_are_no_trouble() -> None:
    labels = ol.Labels([label(f"a{k // 3}", k % 2, str(k % 3)) for k in range(9000)])
    assert len(labels.items) == 3000
    assert len(labels.by_item(TONE)) == 3000


def test_what_a_program_gave_can_be_labelled() -> None:
    program = ol.Predict("question -> answer", lm=ScriptedLM([{"answer": "blue"}, {"answer": "blue"}]))
    made = ol.Label(program(question="Which?"), "pass", rubric=TONE)
    run = ol.evaluate(program, ol.Dataset([ol.Example({"question": "Which?"})]), lambda *_: 1.0, progress=False)
    row = ol.Labels.from_rows(run, TONE)[0].item
    assert (made.item, made.item.inputs) == (row, row.inputs)


def test_scalars_of_numpy_and_blank_cells_are_what_they_look_like() -> None:
    assert TONE.read(np.bool_(True)) == TONE.read(np.int64(1)) == "pass"
    with pytest.raises(UsageError, match="a number from 1 to 5"):
        ol.Rubric("help", "It helps.", scale=(1, 5)).read(10**400)
    table = io.StringIO("question,answer,label\na,b, \n")
    labels = ol.Labels.from_csv(table, rubric=TONE, inputs="question", outputs="answer")
    assert labels[0].value is None


def test_values_by_ids_that_no_row_has_are_refused() -> None:
    run = ol.evaluate(lambda q: "x", ol.Dataset([ol.Example({"q": "a"})]), lambda *_: 1.0, progress=False)
    assert ol.Labels.from_rows(run, TONE, value={run.rows[0].id: "pass", "more": "fail"})[0].value == "pass"
    with pytest.raises(DataError, match="no row has any of its ids: nope"):
        ol.Labels.from_rows(run, TONE, value={"nope": "pass"})
