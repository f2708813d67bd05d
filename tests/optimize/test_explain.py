"""Where the parts of a compiled prompt came from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast import artifact
from outlast.errors import ArtifactError, StudyError, UsageError
from outlast.lms.protocol import LM
from outlast.messages import Request, Response, Usage
from outlast.optimize.candidate import Candidate
from outlast.optimize.explaining import explain_data
from outlast.optimize.figures import scatter
from outlast.optimize.lineage import Effect, paired_effect
from outlast.optimize.page import render_page
from outlast.optimize.study import Study

FIRST, SECOND, THIRD = "Know the ones.", "Know the twos.", "Know the threes."


class Digits(LM):
    """Answers the last digit right when the prompt names it."""

    blocking_safe = True
    name = "digits"

    async def complete(self, request: Request) -> Response:
        prompt = "\n".join(message.text for message in request.messages)
        number = int(prompt.rsplit("number", 1)[1].split(">>", 1)[1].split("<<", 1)[0].strip())
        known = {1: "ones", 2: "twos", 3: "threes"}.get(number % 4, "number")
        text = number if known in prompt else -1
        return Response(f"<<answer>>\n{text}\n\n<<end>>", self.name, usage=Usage(10, 1, cost=0.0, cost_source="test"))


class Echo(ol.Signature):
    """Give back the number.
    Take your time."""

    number: int = ol.input()
    answer: int = ol.output()


@dataclass(frozen=True)
class Steps(ol.Optimizer):
    """A child, a cousin, and both merged; the second line of the start is dropped on the way."""

    def rollouts(self, train: int, select: int) -> int:
        return 4 * select + train

    async def search(self, study: Study) -> Candidate:
        failed = [o.example for o in await study.evaluate(study.start, study.train[:12]) if not o.score]
        base = "Give back the number."
        about: Any = {"origin": "reflected", "operator": "reflect", "cause": failed[:4]}
        one = study.propose({"instruction": f"{base}\n{FIRST}"}, **about)
        cousin = study.propose({"instruction": f"{base}\n{SECOND}"}, **about)
        study.propose({"instruction": f"{base}\nNothing."}, **about)
        both = study.propose(
            {"instruction": f"{base}\n{FIRST}\n{SECOND}"}, origin="both", operator="merge", parent=one, cause=failed[:1]
        )
        last = study.propose(
            {"instruction": f"{base}\n{FIRST}\n{SECOND}\n{THIRD}"}, origin="more", operator="reflect", parent=both
        )
        await study.race([study.start, one, cousin, both, last])
        return last


def right(example: Any, out: Any) -> ol.Score:
    good = out.answer == example.answer
    return ol.Score(float(good), "right" if good else f"expected {example.answer}")


def compiled(path: Path | bool = False, optimizer: ol.Optimizer | None = None) -> Any:
    data = [ol.Example({"number": k}, {"answer": k}) for k in range(200)]
    return ol.compile(
        ol.Predict(Echo), data, right, optimizer=optimizer or Steps(), lm=Digits(), study=path, progress=False
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return compiled(tmp_path_factory.mktemp("explain") / "steps.study.db")


def by_text(explanation: ol.Explanation) -> dict[str, int | None]:
    return {part.text: part.step for part in explanation.parts if part.kind == "line"}


def test_each_line_names_the_step_that_brought_it_and_merged_lines_the_one_they_came_from(found: Any):
    explained = ol.explain(found)
    assert [(one.operator, one.how) for one in explained.lineage] == [
        ("reflect", "reflected"),
        ("merge", "both"),
        ("reflect", "more"),
        ("reflect", "reflected"),
    ]
    assert explained.own == 3
    assert by_text(explained) == {"Give back the number.": 0, FIRST: 1, SECOND: 4, THIRD: 3}
    assert explained.lineage[3].id != explained.lineage[0].id
    assert explained.removed == {"instruction": ("Take your time.",)}


def test_causes_and_effects_are_told(found: Any):
    first = ol.explain(found).lineage[0]
    assert len(first.cause) == 4
    assert all(failure.score == 0 and failure.said.startswith("expected") for failure in first.failures)
    assert '"number"' in first.failures[0].inputs
    assert first.effect is not None
    assert first.effect.part == "select"
    assert first.effect.difference > 0.1
    assert first.siblings == 2  # the cousin and the one that nothing came of


def test_the_file_alone_explains_and_the_ledger_adds(found: Any, tmp_path: Path):
    path = found.save(tmp_path / "x.outlast.json")
    alone, more = ol.explain(path), ol.explain(path, study=found.ledger)
    assert by_text(alone) == by_text(more)
    assert alone.lineage[0].siblings is None
    assert more.lineage[0].siblings == 2
    assert len(alone.lineage[0].failures) == 3
    assert len(more.lineage[0].failures) == 4
    assert more.lineage[0].failures[0].got
    assert alone.lineage[0].effect == more.lineage[0].effect


def test_the_text_says_it_all(found: Any):
    text = str(ol.explain(found))
    assert "[1] reflect: reflected" in text
    assert "merged in from" in text
    assert "[4] Know the twos." in text
    assert "[-] Take your time." in text
    assert "because of 4 failures" in text
    assert len(ol.explain(found).text(full=True)) > len(text)


def test_the_data_is_json(found: Any):
    data = json.loads(json.dumps(ol.explain(found).to_json()))
    assert data["lineage"][0]["effect"]["n"] > 10
    assert data["parts"][1]["step"] == 1


def test_demonstrations_say_their_example_and_step(tmp_path: Path):
    found = compiled(optimizer=ol.LabeledFewShot(k=3))
    explained = explain_data(artifact.to_data(found.winner, record={**found.report.record, "kept": "winner"}))
    demos = [part for part in explained.parts if part.kind == "demo"]
    assert [part.step for part in demos] == [1, 1, 1]
    assert all(part.source.startswith("label of example") for part in demos)
    assert "number: " in demos[0].text


def test_a_program_that_was_kept_has_no_lineage(tmp_path: Path):
    found = compiled(optimizer=ol.LabeledFewShot(k=3))
    assert not found.improved
    explained = ol.explain(found.save(tmp_path / "x.outlast.json"))
    assert explained.lineage == ()
    assert explained.kept == "original"
    assert all(part.step is None for part in explained.parts)
    assert "the program as it was" in str(explained)


def test_a_file_without_a_record_is_explained_as_far_as_it_goes(tmp_path: Path):
    path = ol.save(ol.Predict(Echo), tmp_path / "x.outlast.json")
    assert [part.text for part in ol.explain(path).parts if part.kind == "line"][0] == "Give back the number."


def test_a_damaged_record_hurts_nobody(found: Any):
    data = artifact.to_data(found.program, record=found.report.record)
    damaged: list[Any] = [
        5,
        {"steps": 5, "lines": [], "own": "x"},
        {"steps": [5, {"effect": {"n": "x"}}], "lines": {"instruction": 3}},
        {"steps": [], "lines": {"instruction": [7, "x", None]}},
    ]
    for broken in damaged:
        assert str(explain_data({**data, "record": {**data["record"], "lineage": broken}}))


def test_what_is_no_compiled_program_is_refused(tmp_path: Path, found: Any):
    with pytest.raises(UsageError, match="explain takes"):
        ol.explain(5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ArtifactError):
        ol.explain(tmp_path / "nothing.outlast.json")
    other = compiled(tmp_path / "other.study.db", optimizer=ol.LabeledFewShot(k=3))
    path = found.save(tmp_path / "x.outlast.json")
    with pytest.raises(StudyError, match="of another search"):
        ol.explain(path, study=other.ledger)


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        (Effect(0.5, -0.1, 0.9, 4), "+50.0 points on 4 selection examples: too few to tell"),
        (Effect(0.05, -0.02, 0.12, 60), "+5.0 points (-2.0..+12.0) on 60 selection examples: may be chance"),
        (Effect(0.2, 0.1, 0.3, 60, "train"), "+20.0 points (+10.0..+30.0) on 60 training examples"),
        (Effect(1.0, None, None, 1), "+100.0 points on 1 selection example: too few to tell"),
    ],
)
def test_an_effect_is_told_honestly(effect: Effect, words: str):
    assert str(effect) == words


def test_an_effect_is_paired():
    assert paired_effect({"a": 1.0}, {"b": 0.0}) is None
    found = paired_effect({"a": 1.0, "b": 1.0, "c": 0.0}, {"a": 0.0, "b": 1.0, "d": 1.0})
    assert found is not None
    assert (found.difference, found.n) == (0.5, 2)


def test_the_page_draws_the_lineage_the_operators_and_the_front(found: Any):
    page = render_page(found)
    for words in (
        "How the winner came about",
        "merged in from",
        "Operators",
        "Score against cost",
        "because of 4 failures",
    ):
        assert words in page
    drawn = scatter(found.report.record["front"], found.report.candidate.id)
    assert drawn is not None
    assert drawn.cost == "tokens of a rollout"
    assert {mark.kind for mark in drawn.marks} >= {"winner", "start"}
    assert all(drawn.x.start <= mark.x <= drawn.x.end for mark in drawn.marks)
    assert scatter({"cost": "dollars", "candidates": []}, "x") is None
    assert scatter({}, "x") is None


def test_a_lineage_on_the_page_is_text(tmp_path: Path):
    evil = "<script>alert(1)</script>"

    class Evil(ol.Optimizer):
        def rollouts(self, train: int, select: int) -> int:
            return 0

        async def search(self, study: Study) -> Candidate:
            return study.propose({"instruction": evil}, origin=evil, operator=evil, cause=[evil])

    page = render_page(compiled(optimizer=Evil()))
    assert evil not in page
    assert "&lt;script&gt;alert(1)" in page
