"""Operators that change the structure of a program: what they guess, what they leave alone."""

from __future__ import annotations

import re
from typing import Any, Literal

import pytest
from tests.optimize.studies import COLOURS, Paint, Pick, matches, study_of, things, within

import outlast as ol
from outlast.errors import ArtifactError, UsageError
from outlast.lms.protocol import Capabilities
from outlast.messages import Settings
from outlast.optimize.operators.descriptions import FieldDescriptions, ToolDescriptions
from outlast.optimize.operators.format import AdapterChoice, DropHints, format_hints, without
from outlast.optimize.operators.model import ModelChoice
from outlast.optimize.operators.order import OutputOrder
from outlast.optimize.operators.protocol import Operator
from outlast.optimize.operators.repair import Repair
from outlast.optimize.operators.sampling import Sampling
from outlast.optimize.operators.strategy import StrategyChoice
from outlast.optimize.structure_search import StructureSearch
from outlast.testing import ScriptedLM

EVERY: list[Operator] = [OutputOrder(), AdapterChoice(), DropHints(), Repair(), StrategyChoice(), Sampling()]


Hasty = "thing -> colour: Literal['red', 'green', 'blue', 'grey'], reasoning"


class Several(ol.Signature):
    """Pick a colour."""

    thing: str = ol.input()
    colour: Literal["red", "green", "blue", "grey"] = ol.output()
    sure: bool = ol.output()
    shades: list[str] = ol.output()
    why: str = ol.output()
    note: str = ol.output()


def changes_of(study: ol.Study, operator: Operator, number: int = 0, lm: Any = None) -> list[dict[str, Any]]:
    model = lm or ScriptedLM([])
    return [dict(one.changes) for one in within(study, lambda: operator.propose(study, study.start, number), model)]


# Order


def test_reasons_and_what_the_data_do_not_name_come_first() -> None:
    assert changes_of(study_of(ol.Predict(Hasty)), OutputOrder()) == [{"order": ("reasoning", "colour")}]
    first = changes_of(study_of(ol.Predict(Several)), OutputOrder())[0]
    assert first == {"order": ("why", "note", "shades", "sure", "colour")}


def test_few_outputs_are_tried_in_every_order_and_many_both_ways() -> None:
    three = study_of(ol.Predict("thing -> colour, why, note"))
    found = [one["order"] for number in (0, 1) for one in changes_of(three, OutputOrder(), number)]
    assert len(set(found)) == 5
    assert found[0] == ("why", "note", "colour")
    assert len(changes_of(study_of(ol.Predict(Several)), OutputOrder(most=9))) == 2
    assert changes_of(study_of(Pick()), OutputOrder()) == []
    assert changes_of(study_of(ol.ChainOfThought("thing -> colour")), OutputOrder()) == []
    assert changes_of(study_of(ol.ChainOfThought("thing -> colour, why")), OutputOrder()) == [
        {"order": ("why", "colour")}
    ]


def test_modules_are_changed_together_and_then_apart() -> None:
    class Two(ol.Module):
        one = ol.Predict("thing -> colour, why")
        two = ol.Predict("thing -> colour, why")

        async def forward(self, thing: str) -> Any:
            return await self.two.acall(thing=(await self.one.acall(thing=thing)).colour)

    order = ("why", "colour")
    assert changes_of(study_of(Two()), OutputOrder()) == [
        {"one.order": order, "two.order": order},
        {"one.order": order},
        {"two.order": order},
    ]
    assert changes_of(study_of(Two(), lock=["one"]), OutputOrder()) == [{"two.order": order}]


# Format


def test_adapters_other_than_the_one_in_use_are_tried() -> None:
    study = study_of(Pick())
    assert [one["pick.adapter"] for one in changes_of(study, AdapterChoice())] == [ol.JSON(), ol.XML()]
    able = ScriptedLM([], capabilities=Capabilities(tools=True))
    found = changes_of(study, AdapterChoice(), lm=able)
    assert [one["pick.adapter"] for one in found] == [ol.JSON(), ol.XML(), ol.Tools()]
    own = study_of(ol.update(Pick(), {"pick.adapter": ol.JSON()}))
    assert [type(one["pick.adapter"]) for one in changes_of(own, AdapterChoice())] == [ol.Chat, ol.XML]
    mine = AdapterChoice(adapters=[ol.JSON(reasks=0)])
    assert [one["pick.adapter"] for one in changes_of(own, mine)] == [ol.JSON(reasks=0)]


@pytest.mark.parametrize(
    "hint",
    [
        "Answer in JSON.",
        "Put the team into <answer> tags.",
        'Respond with a JSON object {"team": ...} and nothing else.',
        "Reply with one word.",
        "Write only the label.",
        "Your reply must be formatted as Markdown bullets.",
        "End your answer with #### and the number.",
        "Final answer: the letter of the option.",
    ],
)
def test_words_on_the_format_are_found_and_others_are_not(hint: str) -> None:
    task = "Route the message to the team that can resolve it.\nRefunds go to billing; lost cards go to cards."
    assert format_hints(f"{task}\n{hint}") == [hint]
    assert format_hints(f"{task} {hint}") == [hint]
    assert without(f"{task} {hint}", [hint]) == task
    assert without(f"{task}\n{hint}", [hint]) == task


@pytest.mark.parametrize(
    "line",
    [
        "Messages about a card that was stolen go to fraud.",
        "Think step by step before you answer.",
        "If the customer asks for a refund, choose billing.",
        "Rate how urgent it is from 1 to 5.",
        "Ignore greetings and signatures at the end of the message.",
    ],
)
def test_what_is_about_the_task_is_no_word_on_the_format(line: str) -> None:
    assert format_hints(line) == []


def test_hints_are_deleted_together_and_then_each_alone() -> None:
    told = "Pick a colour. Answer in JSON.\nReply with one word.\nGrass is green."
    study = study_of(ol.update(Pick(), {"pick.instruction": told}))
    assert changes_of(study, DropHints()) == [
        {"pick.instruction": "Pick a colour.\nGrass is green."},
        {"pick.instruction": "Pick a colour.\nReply with one word.\nGrass is green."},
        {"pick.instruction": "Pick a colour. Answer in JSON.\nGrass is green."},
    ]
    assert not DropHints().applies(study_of(Pick()), study_of(Pick()).start)


def test_a_start_is_repaired_at_once_where_both_faults_are_there() -> None:
    both = study_of(ol.Predict("thing -> colour, why", instruction="Pick a colour.\nAnswer in JSON."))
    assert changes_of(both, Repair()) == [{"order": ("why", "colour"), "instruction": "Pick a colour."}]
    for program in (
        ol.Predict("thing -> colour, why", instruction="Pick a colour."),
        ol.Predict("thing -> colour", instruction="Pick a colour.\nAnswer in JSON."),
    ):
        one = study_of(program)
        assert not Repair().applies(one, one.start)
        assert changes_of(one, Repair()) == []


# Strategies and settings


def test_modules_of_one_call_think_first_or_no_longer() -> None:
    (thinks,) = changes_of(study_of(ol.Predict("thing -> colour")), StrategyChoice())
    assert repr(thinks["strategy"]) == "ChainOfThought()"
    (plain,) = changes_of(study_of(ol.ChainOfThought("thing -> colour")), StrategyChoice())
    assert repr(plain["strategy"]) == "Predict()"
    native = ScriptedLM([], capabilities=Capabilities(reasoning=True))
    assert changes_of(study_of(ol.Predict("thing -> colour")), StrategyChoice(), lm=native) == []
    assert changes_of(study_of(ol.Predict(Hasty)), StrategyChoice()) == [], "it has a field `reasoning`"
    voting = study_of(ol.Majority("thing -> colour", n=3))
    (inner,) = changes_of(voting, StrategyChoice())
    assert repr(inner["inner.strategy"]) == "ChainOfThought()"


def test_strategies_of_ones_own_are_tried_in_their_order() -> None:
    study = study_of(Paint())
    operator = StrategyChoice(most=2, strategies=[ol.Majority(n=3), ol.ChainOfThought])
    first, second = changes_of(study, operator)
    at = ["pick.strategy", "read.strategy"]
    assert [repr(first[path]) for path in at] == ["Majority(n=3)"] * 2
    assert [repr(second[path]) for path in at] == ["ChainOfThought()"] * 2
    assert [[path for path in at if path in one] for one in changes_of(study, operator, 1)] == [[at[1]], [at[0]]]


def test_settings_are_laid_over_those_that_are_set() -> None:
    study = study_of(ol.update(Pick(), {"pick.settings": Settings(temperature=0.6, max_tokens=50)}))
    found = [one["pick.settings"] for one in changes_of(study, Sampling())]
    assert found == [Settings(temperature=0.0, max_tokens=50), Settings(temperature=1.0, max_tokens=50)]
    (one,) = changes_of(study, Sampling(settings=[Settings(top_p=0.5)]))
    assert one["pick.settings"] == Settings(temperature=0.6, max_tokens=50, top_p=0.5)


# Models


def able(name: str, share: float) -> ScriptedLM:
    """A model that knows the colours of this share of things."""

    def answer(messages: Any) -> dict[str, str]:
        number = int(re.findall(r"thing (\d+)", messages[-1].text)[-1])
        return {"colour": COLOURS[number % 4] if number % 10 < 10 * share else "none"}

    return ScriptedLM(answer, name=name)


def test_the_model_that_won_is_named_in_the_file_and_taken_from_code(tmp_path: Any) -> None:
    small, large = able("small", 0.3), able("large", 0.9)
    search = StructureSearch(operators=[ModelChoice(models=[small, large])])
    compiled = ol.compile(Pick(), things(160), matches, optimizer=search, lm=small, study=False, progress=False)
    assert compiled.report.verdict.better
    assert compiled.program.pick.lm is large
    path = compiled.save(tmp_path / "x.outlast.json")
    assert '"known": "large"' in path.read_text()
    with pytest.raises(ArtifactError, match="a search chose the model 'large'; a model is never taken from a file"):
        ol.load(path, Pick())
    with pytest.raises(ArtifactError, match="never taken from a file"):
        ol.load(path, Pick(), known={"large": "openai/gpt-5"})
    assert ol.load(path, Pick(), known={"large": large}) == compiled.program
    assert ol.load(path, ol.update(Pick(), {"pick.lm": large})) == compiled.program


def test_models_are_tried_together_and_apart_unless_locked() -> None:
    small, large = able("small", 0.3), able("large", 0.9)
    operator = ModelChoice(models=[small, large])
    found = changes_of(study_of(Paint()), operator, lm=small)
    assert found == [{"read.lm": large, "pick.lm": large}, {"read.lm": large}, {"pick.lm": large}]
    assert changes_of(study_of(Paint(), lock=["read.lm"]), operator, lm=small) == [{"pick.lm": large}]
    own = ol.update(Pick(), {"pick.lm": small})
    thinks = changes_of(study_of(own), StrategyChoice(strategies=[ol.Majority(n=3)]))[0]
    assert not any(path.endswith(".lm") for path in thinks), "it asks the model that was there"
    locked = study_of(Pick(), lock=["pick.lm"])
    with pytest.raises(UsageError, match="is locked"):
        locked.propose({"pick.lm": large}, origin="test")
    assert ModelChoice(models=[small]).describe() != operator.describe()
    for models in ([], [small, able("small", 0.5)], [3], "large"):
        with pytest.raises(UsageError):
            ModelChoice(models=models)  # type: ignore[arg-type]


# All of them


@pytest.mark.parametrize("operator", EVERY, ids=lambda one: one.name)
def test_the_same_attempt_gives_the_same_guesses_which_lie_in_files(operator: Operator) -> None:
    program = ol.Predict("thing -> colour, why", instruction="Pick a colour.\nAnswer in JSON.")
    study = study_of(program)
    assert operator.applies(study, study.start)
    first, again = (changes_of(study, operator, number) for number in (0, 0))
    assert first == again != []
    assert len(first) <= 3
    for candidate in list(study.candidates.values())[1:]:
        assert candidate.operator == operator.name
        assert candidate.parent == "start"
        assert candidate.origin
    if len(first) < 3:
        assert not operator.applies(study, study.start), "all is made"
    path = next(iter(first[0]))
    assert changes_of(study_of(program, lock=[path]), operator) == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: OutputOrder(most=0),
        lambda: AdapterChoice(adapters=[]),
        lambda: AdapterChoice(adapters=["JSON"]),  # type: ignore[list-item]
        lambda: AdapterChoice(adapters=[ol.TwoStep(ScriptedLM([]))]),
        lambda: StrategyChoice(strategies=[]),
        lambda: StrategyChoice(strategies=["ChainOfThought"]),
        lambda: Sampling(settings=[{"temperature": 1}]),  # type: ignore[list-item]
        lambda: Sampling(settings=[Settings(temperature=9)]),
        lambda: FieldDescriptions(failures=0),
        lambda: FieldDescriptions(proposer="x"),  # type: ignore[arg-type]
        lambda: StructureSearch(operators=[]),
        lambda: StructureSearch(rounds=0),
    ],
)
def test_bad_options_are_refused(make: Any) -> None:
    with pytest.raises(UsageError):
        make()


def test_options_are_told_apart() -> None:
    for one, other in [
        (Sampling(), Sampling(settings=[Settings(top_p=0.5)])),
        (AdapterChoice(), AdapterChoice(adapters=[ol.JSON(reasks=0)])),
        (StrategyChoice(strategies=[ol.Majority(n=3)]), StrategyChoice(strategies=[ol.Majority(n=5)])),
    ]:
        assert one.describe() != other.describe() == other.describe()
        assert StructureSearch(operators=[one]).describe() != StructureSearch(operators=[other]).describe()


# Descriptions


def test_a_field_is_described_anew_from_what_failed() -> None:
    said = {
        "diagnosis": "It does not know the colours.",
        "changed": [
            {"name": "colour", "text": "red, green, blue or grey"},
            {"name": "mood", "text": "no such field"},
            {"name": "thing", "text": "x" * 401},
        ],
    }
    lm = ScriptedLM(lambda _: said, keep=True)
    study = study_of(Pick(), proposer=lm)
    (made,) = within(study, lambda: FieldDescriptions().propose(study, study.start, 0))
    assert made.changes == {"pick.fields.colour": "red, green, blue or grey"}
    assert (made.operator, len(made.cause)) == ("fields", 4)
    shown = lm.requests[0].messages[-1].text
    assert "colour: (none)" in shown
    assert "nothing yet" in shown
    assert "Feedback: the colour is" in shown
    study.judged(made, accepted=False)
    assert within(study, lambda: FieldDescriptions().propose(study, study.start, 1)) == [made]
    assert "colour: red, green, blue or grey" in lm.requests[1].messages[-1].text


def test_nothing_is_described_where_nothing_failed_or_all_is_locked() -> None:
    lm = ScriptedLM([])
    knowing = study_of(ol.update(Pick(), {"pick.instruction": "red green blue grey"}), proposer=lm)
    assert within(knowing, lambda: FieldDescriptions().propose(knowing, knowing.start, 0)) == []
    locked = study_of(Pick(), lock=["pick.fields"])
    assert not FieldDescriptions().applies(locked, locked.start)
    assert within(locked, lambda: FieldDescriptions().propose(locked, locked.start, 0)) == []


def look(thing: str) -> str:
    """Look."""
    return "red" if thing else "none"


def test_tools_and_their_arguments_are_described_anew() -> None:
    said = {"diagnosis": "d", "changed": [{"name": "look", "text": "Call it."}, {"name": "look.thing", "text": "A."}]}
    agent = ol.ReAct("thing -> colour", tools=[look], native=False)
    study = study_of(agent, proposer=ScriptedLM(lambda _: said, keep=True))
    turns = ScriptedLM(lambda _: {"thought": "t", "calls": [], "colour": "none"})
    (made,) = within(study, lambda: ToolDescriptions().propose(study, study.start, 0), turns)
    assert made.changes["tools.look.description"] == "Call it."
    assert made.changes["tools.look.arguments.thing"] == "A."
    built: Any = study.build(made)
    assert built.tools["look"].description == "Call it."
    plain = study_of(Pick())
    assert not ToolDescriptions().applies(plain, plain.start)


# The search over them


def hasty(messages: Any) -> dict[str, str]:
    """A student that is right when it may reason before it answers and nobody asks for one word."""
    head = messages[0].text
    number = int(re.findall(r"thing (\d+)", messages[-1].text)[0])
    colour = COLOURS[number % 4]
    good = head.find("- reasoning") < head.find("- colour") and "one word" not in head
    said = colour if good or number % 3 == 0 else COLOURS[(number + 1) % 4]
    return {"reasoning": "because", "colour": said}


def test_structure_search_builds_on_what_won() -> None:
    program = ol.Predict(Hasty, instruction="Pick a colour.\nReply with one word.")
    study = study_of(program, train=12, select=40)
    best = within(study, lambda: StructureSearch().search(study), hasty)
    assert best.changes == {"order": ("reasoning", "colour"), "instruction": "Pick a colour."}
    assert study.tally(best).mean == 1.0


def test_structure_search_through_compile_is_resumed_for_nothing(tmp_path: Any) -> None:
    program = ol.Predict(Hasty, instruction="Pick a colour.\nReply with one word.")
    lm = ScriptedLM(hasty)
    options: Any = {"optimizer": StructureSearch(), "lm": lm, "study": tmp_path / "x.db", "progress": False}
    compiled = ol.compile(program, things(160), matches, **options)
    assert compiled.report.verdict.better
    assert compiled.program.order == ("reasoning", "colour")
    calls = lm.calls
    again = ol.compile(program, things(160), matches, **options)
    assert lm.calls == calls
    assert again.program == compiled.program
    assert ol.load(compiled.save(tmp_path / "x.outlast.json"), program) == compiled.program


def test_a_program_without_structure_to_change_is_given_back() -> None:
    study = study_of(Pick(), lock=["pick"])
    assert within(study, lambda: StructureSearch().search(study)) == study.start
    assert study.rollouts == 0
