"""Traces become a data set, and none of it gets into a test split."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.data.example import inputs_of, targets_of
from outlast.errors import DataError, UsageError
from outlast.runtime import set_defaults
from outlast.samples.triage import Triage, messages
from outlast.testing import ScriptedLM
from outlast.tracing.examples import examples_from_traces
from outlast.tracing.record import TraceFilter
from outlast.tracing.store import open_store
from outlast.tracing.switch import flush


class QA(ol.Signature):
    """Answer the question."""

    question: str = ol.input()
    answer: str = ol.output()
    sure: bool = ol.output()


class Shop(ol.Module):
    """Answers."""

    ask = ol.Predict(QA)

    def forward(self, question: str) -> Any:
        if question == "boom":
            raise RuntimeError("a bug")
        return self.ask(question=question)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "traces.db"
    set_defaults(recording=None)
    flush()


ECHO = ScriptedLM(lambda messages: {"answer": f"re: {messages[-1].text.splitlines()[1]}", "sure": True})


def asked(path: Path, *questions: str, lm: ol.LM = ECHO) -> dict[str, str]:
    """The ids of traces by the question."""
    ids: dict[str, str] = {}
    with ol.trace(store=path), ol.context(lm=lm):
        for question in questions:
            ids[question] = Shop()(question=question).trace.id
    assert flush()
    return ids


def rows(found: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(dict(inputs_of(one)), dict(targets_of(one))) for one in found.data]


QUESTIONS = ("Where is my parcel?", "May I return shoes?", "Do you ship to Norway?")


def test_what_was_given_becomes_examples_in_the_order_of_the_traces(path: Path) -> None:
    ids = asked(path, *QUESTIONS)
    found = examples_from_traces(path, program="Shop")
    assert rows(found) == [({"question": one}, {"answer": f"re: {one}", "sure": True}) for one in QUESTIONS]
    assert list(found.traces.values()) == [ids[one] for one in QUESTIONS]
    assert found.dropped == {}
    assert found.about["program"] == "Shop"
    assert str(found) == f"3 examples ({found.hash[:12]})"


def test_only_what_was_labelled_so_is_taken(path: Path) -> None:
    ids = asked(path, *QUESTIONS)
    ol.feedback(ids[QUESTIONS[0]], True, store=path)
    ol.feedback(ids[QUESTIONS[1]], "fail", name="tone", store=path)
    found = examples_from_traces(path, label="pass")
    assert [inputs for inputs, _ in rows(found)] == [{"question": QUESTIONS[0]}]
    assert found.dropped == {"labelled otherwise": 1}
    assert examples_from_traces(path, label="fail", label_name="tone").data[0].question == QUESTIONS[1]
    with pytest.raises(DataError, match="no example is left of 2 traces .*: 2 labelled otherwise"):
        examples_from_traces(path, label="pass", label_name="tone", program="Shop")


def test_people_count_before_users_and_disputes_are_left_out(path: Path) -> None:
    ids = asked(path, *QUESTIONS)
    first, second, third = (ids[one] for one in QUESTIONS)
    ol.feedback(first, "fail", name="good", store=path, author="u", source="user")
    ol.feedback(first, "pass", name="good", store=path, author="ann", source="human")
    ol.feedback(second, "pass", name="good", store=path, author="ann", source="human")
    ol.feedback(second, "fail", name="good", store=path, author="bob", source="human")
    ol.feedback(third, "pass", name="good", store=path, author="judge", source="judge")
    found = examples_from_traces(path, label=True, label_name="good")
    assert [inputs["question"] for inputs, _ in rows(found)] == [QUESTIONS[0], QUESTIONS[2]]
    assert found.dropped == {"disputed": 1}


def test_what_people_put_right_takes_the_place_of_what_was_given(path: Path) -> None:
    ids = asked(path, *QUESTIONS)
    ol.feedback(ids[QUESTIONS[0]], "It is in Oslo", name="answer", store=path)
    ol.feedback(ids[QUESTIONS[1]], "pass", store=path)
    ol.feedback(ids[QUESTIONS[2]], "fail", store=path)
    found = examples_from_traces(path, label="pass", targets="corrections", fields=["answer"])
    assert rows(found) == [
        ({"question": QUESTIONS[0]}, {"answer": "It is in Oslo"}),
        ({"question": QUESTIONS[1]}, {"answer": f"re: {QUESTIONS[1]}"}),
    ]
    assert found.dropped == {"without a correction": 1}


def test_labels_themselves_can_be_the_targets(path: Path) -> None:
    ids = asked(path, *QUESTIONS)
    ol.feedback(ids[QUESTIONS[0]], 4, name="stars", store=path)
    assert rows(examples_from_traces(path, targets="labels")) == [({"question": QUESTIONS[0]}, {"stars": 4})]


def test_a_module_inside_gives_examples_too(path: Path) -> None:
    asked(path, *QUESTIONS[:2])
    found = examples_from_traces(path, path="ask", fields="answer")
    assert rows(found)[0] == ({"question": QUESTIONS[0]}, {"answer": f"re: {QUESTIONS[0]}"})
    with pytest.raises(DataError, match="2 without a module at 'asks'"):
        examples_from_traces(path, path="asks")


def test_equal_near_and_contradicting_traces_are_one_example_or_none(path: Path) -> None:
    long = "My parcel with the number 1234 has not arrived in Oslo although it was sent two weeks ago, please help"
    asked(path, long, long, long.replace("please", "please,").upper(), long.replace("1234", "1235"), QUESTIONS[0])
    asked(path, QUESTIONS[0], lm=ScriptedLM(lambda _: {"answer": "another", "sure": False}))
    found = examples_from_traces(path)
    assert [inputs["question"] for inputs, _ in rows(found)] == [long]
    assert found.dropped == {"conflicting": 2, "near copies": 2, "repeats": 1}
    assert len(examples_from_traces(path, near=None).data) == 3


def test_what_stands_in_a_test_split_is_left_out_with_what_is_near_it(path: Path) -> None:
    long = "My parcel with the number 1234 has not arrived in Oslo although it was sent two weeks ago, please help"
    asked(path, *QUESTIONS, long)
    test = ol.Dataset.from_list(
        [
            {"question": QUESTIONS[0], "answer": "another label"},
            {"question": long.replace("1234", "1239"), "answer": "x"},
        ],
        inputs=["question"],
    ).named("test")
    found = examples_from_traces(path, never_into=test)
    assert [inputs["question"] for inputs, _ in rows(found)] == list(QUESTIONS[1:])
    assert found.dropped == {"in a test split": 1, "nearly in a test split": 1}
    assert found.about["never_into"] == [test.hash]
    assert len(examples_from_traces(path, never_into=[test], near=1).data) == 3


def test_what_an_evaluation_was_scored_on_is_never_trained_on(path: Path) -> None:
    data = ol.Dataset.from_list([{"question": QUESTIONS[0], "answer": "x"}], inputs=["question"]).named("dev")
    with ol.trace(store=path), ol.context(lm=ECHO):
        ol.evaluate(Shop(), data, lambda example, out: 1.0, progress=False)
    asked(path, *QUESTIONS)
    found = examples_from_traces(path)
    assert [inputs["question"] for inputs, _ in rows(found)] == list(QUESTIONS[1:])
    assert found.dropped == {"of evaluations, compilations or replays": 1, "scored by an evaluation": 1}
    assert len(examples_from_traces(path, evaluated=True).data) == 3
    [run] = ol.open_store(path).runs("eval")
    assert len(examples_from_traces(path, TraceFilter(run=run.id), evaluated=True).data) == 1


def test_failures_calls_of_models_and_traces_without_content_give_nothing(path: Path) -> None:
    asked(path, QUESTIONS[0])
    with ol.trace(store=path), ol.context(lm=ECHO):
        with pytest.raises(RuntimeError):
            Shop()(question="boom")
        ECHO("line one\nline two")
    with ol.trace(store=path, capture="hash"), ol.context(lm=ECHO):
        Shop()(question=QUESTIONS[1])
    assert flush()
    found = examples_from_traces(path)
    assert len(found.data) == 1
    assert found.dropped == {"failed or not over": 1, "of no program": 1, "without content": 1}


def test_it_is_saved_as_a_version_that_says_where_it_comes_from(path: Path, tmp_path: Path) -> None:
    ids = asked(path, *QUESTIONS)
    found = examples_from_traces(path, program="Shop", limit=2)
    found.save(tmp_path / "train.jsonl")
    assert ol.Dataset.from_jsonl(tmp_path / "train.jsonl") == found.data
    about = json.loads((tmp_path / "train.jsonl.about.json").read_text())
    assert about["data"] == found.data.hash
    assert about["store"] == str(path)
    assert (about["examples"], about["looked_at"], about["targets"]) == (2, 2, "outputs")
    assert set(about["traces"].values()) == {ids[QUESTIONS[1]], ids[QUESTIONS[2]]}


def test_options_that_mean_nothing_are_refused(path: Path) -> None:
    asked(path, QUESTIONS[0])
    with pytest.raises(UsageError, match="targets are 'outputs', 'corrections', 'labels'"):
        examples_from_traces(path, targets="output")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="never_into is a Dataset"):
        examples_from_traces(path, never_into=["test.jsonl"])  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="limit is a whole number"):
        examples_from_traces(path, limit=0)
    with pytest.raises(UsageError, match="a likeness is"):
        examples_from_traces(path, near=2)
    with pytest.raises(UsageError, match="program is an ol.Module"):
        examples_from_traces(path, program=3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="the filter says name='Other'"):
        examples_from_traces(path, TraceFilter(name="Other"), program=Shop())
    with pytest.raises(DataError, match="there is no trace of 'Nobody'"):
        examples_from_traces(path, program="Nobody")


@pytest.mark.slow
def test_production_traces_make_a_program_better(path: Path, tmp_path: Path) -> None:
    """From what ran, over what people put right, to a compiled program that is proven better on a test of its own."""
    known = messages()
    live, test = known[:300], known[300:].named("test")
    with ol.trace(store=path), ol.context(lm="outlast/baseline"):
        for example in live:
            out = Triage()(message=example.message)
            for name in ("team", "urgency"):
                ol.feedback(out, example[name], name=name, source="human", author="ann")
    assert flush()
    found = examples_from_traces(path, program="Triage", targets="corrections", never_into=test)
    assert len(found.data) > 280
    assert all(example.team == known_team for example, known_team in _teams(found.data, known))
    found.save(tmp_path / "train.jsonl")
    data = ol.Dataset.from_jsonl(tmp_path / "train.jsonl")
    compiled = ol.compile(
        Triage(),
        data,
        ol.metric(lambda example, out: out.team == example.team),
        optimizer=ol.RandomSearch(candidates=3, max_demos=24),
        lm="outlast/baseline",
        study=False,
        progress=False,
    )
    assert compiled.improved, str(compiled.report)
    with ol.context(lm="outlast/baseline"):
        before, after = (
            sum(program(message=one.message).team == one.team for one in test)
            for program in (Triage(), compiled.program)
        )
    assert after > before


def _teams(data: ol.Dataset, known: ol.Dataset) -> list[tuple[Any, str]]:
    teams = {one.message: one.team for one in known}
    return [(one, teams[one.message]) for one in data]


def test_why_nothing_is_left_is_told(path: Path) -> None:
    ids = asked(path, *QUESTIONS)
    with pytest.raises(DataError, match="3 traces of 'Shop' in .*, and none has a label"):
        examples_from_traces(path, program="Shop", label="pass")
    with pytest.raises(DataError, match=r"no trace of 'Shp' in .*\. Did you mean 'Shop'\? Programs: 'Shop'\."):
        examples_from_traces(path, program="Shp", label="pass")
    ol.feedback(ids[QUESTIONS[0]], True, store=path)
    with pytest.raises(DataError, match="no trace of 'Shop' .* fits the filter"):
        examples_from_traces(path, TraceFilter(until=1.0), program="Shop", label="pass")


def test_a_correction_is_of_the_type_of_the_output_or_left_out(path: Path) -> None:
    ids = asked(path, *QUESTIONS)
    ol.feedback(ids[QUESTIONS[0]], "perhaps", name="sure", store=path)
    ol.feedback(ids[QUESTIONS[1]], "false", name="sure", store=path)
    ol.feedback(ids[QUESTIONS[2]], 5, name="stars", store=path)
    for which, at in ((Shop(), None), (Shop(), "ask")):
        found = examples_from_traces(path, program=which, path=at, targets="corrections", fields=["sure"])
        assert rows(found) == [({"question": QUESTIONS[1]}, {"sure": False})]
        assert found.dropped == {"not of the type of sure": 1, "without a correction": 1}
    assert len(examples_from_traces(path, program="Shop", targets="corrections").data) == 2  # no types are known


def test_a_value_that_no_example_can_hold_leaves_out_its_trace_alone(path: Path) -> None:
    class Priced(ol.Module):
        """Gives what it was asked for."""

        def forward(self, number: str) -> Any:
            return {"price": float(number), "items": [float(number)]}

    with ol.trace(store=path):
        for number in ("1", "2"):
            Priced()(number=number)
    assert flush()
    with open_store(path) as store:
        ids = [one.id for one in store.traces()][::-1]
    ol.feedback(ids[0], "[1e999]", name="items", store=path)
    ol.feedback(ids[1], "[3.5]", name="items", store=path)
    found = examples_from_traces(path, targets="corrections", fields=["items"])
    assert (rows(found), found.dropped) == (
        [({"number": "2"}, {"items": [3.5]})],
        {"with a value that JSON cannot hold": 1},
    )


def test_a_label_that_is_nearly_called_as_an_output_is_an_error(path: Path) -> None:
    ids = asked(path, *QUESTIONS)
    ol.feedback(ids[QUESTIONS[0]], "Oslo", name="anser", store=path)
    with pytest.raises(UsageError, match="'anser', which is no output: answer, sure. Did you mean 'answer'?"):
        examples_from_traces(path, targets="corrections")
