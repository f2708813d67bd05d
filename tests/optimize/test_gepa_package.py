from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.optimize.studies import COLOURS, Paint, Pick, knows, matches, study_of, things, within

import outlast as ol
from outlast.errors import BudgetExceeded, ConfigError, LMAuthError, LMContextError, UsageError
from outlast.messages import Message
from outlast.optimize.gepa_adapter import components_of, package
from outlast.testing import ScriptedLM


class Named(ol.Module):
    """A program with a text of its own and a number."""

    rules = ol.param(ol.Text("Pick a colour.", description="how to pick"))
    count = ol.param(3)

    async def forward(self, thing: str) -> ol.Prediction:
        colour = COLOURS[int(thing.split()[-1]) % 4]
        return ol.Prediction(colour=colour if colour in self.rules else "none")


class Silent:
    def log(self, message: str) -> None:
        pass


def missing(text: str) -> list[str]:
    return [colour for colour in COLOURS if f"the colour is {colour}" in text]


def reflect(prompt: Any) -> str:
    """A reflection model that writes what the feedback names, in the form that the package asks for."""
    text = prompt if isinstance(prompt, str) else str(prompt)
    now = text.split("```")[1].strip()
    return f"I see.\n```\n{now} {' '.join(missing(text))}\n```"


def student(messages: tuple[Message, ...]) -> Any:
    """The program's model and the proposer in one."""
    return reflect(messages[-1].text) if "I provided an assistant" in messages[-1].text else knows(messages)


def test_the_package_optimizes_a_program_of_ours_and_the_result_comes_back():
    program, lm = Pick(), ScriptedLM(knows)
    adapter = ol.gepa_adapter(program, matches, lm=lm)
    result = package().optimize(
        seed_candidate=adapter.seed_candidate,
        trainset=things(20),
        valset=things(20, first=20),
        adapter=adapter,
        reflection_lm=reflect,
        max_metric_calls=200,
        logger=Silent(),
    )
    better = ol.from_gepa(program, result)
    assert all(colour in ol.parameters(better)["pick.instruction"] for colour in COLOURS)
    with ol.context(lm=lm):
        assert ol.evaluate(better, things(20, first=40), matches, progress=False).score.value == 1.0
        assert ol.evaluate(program, things(20, first=40), matches, progress=False).score.value == 0.0


def test_the_reflection_sees_what_each_component_did():
    adapter = ol.gepa_adapter(Paint(), matches, lm=ScriptedLM(knows))
    batch = adapter.evaluate(things(2, name="text"), adapter.seed_candidate, capture_traces=True)
    assert batch.scores == [0.0, 0.0]
    assert [output["colour"] for output in batch.outputs] == ["none", "none"]
    found = adapter.make_reflective_dataset(adapter.seed_candidate, batch, ["pick.instruction", "read.instruction"])
    assert found["pick.instruction"][1] == {
        "Inputs": {"thing": "thing 1"},
        "Generated Outputs": {"colour": "none"},
        "Feedback": "Score: 0\nExpected: colour = green\nthe colour is green",
    }
    assert found["read.instruction"][1]["Generated Outputs"] == {"thing": "thing 1"}
    assert adapter.evaluate(things(2, name="text"), adapter.seed_candidate).trajectories is None


def test_a_text_of_the_programs_own_is_a_component_and_is_told_of_the_whole():
    adapter = ol.gepa_adapter(Named(), matches)
    assert adapter.seed_candidate == {"rules": "Pick a colour."}
    batch = adapter.evaluate(things(1), {"rules": "green"}, capture_traces=True)
    found = adapter.make_reflective_dataset({"rules": "green"}, batch, ["rules"])["rules"][0]
    assert found["Inputs"] == {"thing": "thing 0"}
    assert found["Generated Outputs"] == {"colour": "none"}


def test_an_example_that_fails_scores_nothing_and_says_why():
    def long(messages: tuple[Message, ...]) -> Any:
        if "thing 1" in messages[-1].text:
            raise LMContextError("too long")
        return knows(messages)

    adapter = ol.gepa_adapter(Pick(), matches, lm=ScriptedLM(long))
    batch = adapter.evaluate(things(2), {"pick.instruction": "red green"}, capture_traces=True)
    assert batch.scores == [1.0, 0.0]
    told = adapter.make_reflective_dataset({}, batch, ["pick.instruction"])["pick.instruction"][1]
    assert "Error: LMContextError: too long" in told["Feedback"]


def test_a_refused_key_is_raised():
    def refused(messages: tuple[Message, ...]) -> Any:
        raise LMAuthError("no such key", status=401)

    adapter = ol.gepa_adapter(Pick(), matches, lm=ScriptedLM(refused))
    with pytest.raises(LMAuthError):
        adapter.evaluate(things(2), adapter.seed_candidate)


def test_locked_texts_are_no_components():
    assert components_of(Paint(), ["read"]) == {"pick.instruction": "Pick a colour."}
    with pytest.raises(UsageError, match="no text that may change"):
        ol.gepa_adapter(Pick(), matches, lock=["pick.instruction"])


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ({"pick.instructions": "x"}, "has no text 'pick.instructions'. Did you mean 'pick.instruction'"),
        ({"pick.demos": "x"}, "has no text 'pick.demos'"),
        ({"pick.instruction": 3}, "'pick.instruction'"),
        ("be brief", "takes a GEPAResult"),
    ],
)
def test_a_result_that_does_not_fit_is_refused(result: Any, says: str):
    with pytest.raises(UsageError, match=says):
        ol.from_gepa(Pick(), result)


def test_the_package_runs_in_a_study_and_its_winner_is_proven(tmp_path: Path):
    options: dict[str, Any] = {
        "optimizer": ol.GepaPackage(most=300),
        "study": tmp_path / "s.db",
        "progress": False,
        "budget": ol.Budget(rollouts=400),
    }
    found = ol.compile(Pick(), things(120), matches, lm=ScriptedLM(student), **options)
    assert found.improved, found
    assert all(colour in ol.parameters(found.program)["pick.instruction"] for colour in COLOURS)
    winner = found.report.candidate
    assert winner.operator == "gepa"
    assert winner.cause
    assert winner.origin == "gepa wrote pick.instruction"
    again = ol.compile(Pick(), things(120), matches, lm=ScriptedLM([]), **options)  # which answers nothing
    assert again.winner == found.winner
    assert again.report.rollouts == found.report.rollouts


def test_the_budget_of_the_study_ends_it():
    study = study_of(Pick(), budget=ol.Budget(rollouts=30))
    with pytest.raises(BudgetExceeded):
        within(study, lambda: ol.GepaPackage(most=500).search(study), student)
    assert study.rollouts == 30


def test_a_proposer_that_gives_nothing_costs_its_calls_only():
    study = study_of(Pick(), proposer=ScriptedLM(lambda messages: "  "))
    winner = within(study, lambda: ol.GepaPackage(most=60).search(study))
    assert winner == study.start
    assert study.rollouts <= ol.GepaPackage(most=60).rollouts(12, 12)


def test_where_the_package_is_missing_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "gepa", None)
    monkeypatch.setitem(sys.modules, "gepa.core.adapter", None)
    study = study_of(Pick())
    with pytest.raises(ConfigError, match=r"outlast\[gepa\]"):
        within(study, lambda: ol.GepaPackage().search(study))


@pytest.mark.parametrize("options", [{"most": 0}, {"minibatch": 1.5}, {"selection": "best"}])
def test_options_that_mean_nothing_are_refused(options: Any):
    with pytest.raises(UsageError, match="GepaPackage"):
        ol.GepaPackage(**options)
