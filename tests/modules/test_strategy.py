"""A strategy is a parameter: made without a signature, put in by `update`, listed, compared, saved and loaded."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import ArtifactError, PathError, UsageError
from outlast.testing import ScriptedLM


class Ask(ol.Signature):
    """Answer with a number."""

    question: str = ol.input(desc="what is asked")
    number: int = ol.output()


class Program(ol.Module):
    answer = ol.Predict(
        Ask,
        instruction="Count.",
        demos=[{"question": "two", "number": 2}],
        fields={"number": "in digits"},
        temperature=0.7,
    )

    def forward(self, question: str) -> Any:
        return self.answer(question=question)


def short(out: Any) -> bool:
    return out.number < 10


STRATEGIES = [
    ol.ChainOfThought(),
    ol.BestOfN(n=3, reward=short),
    ol.BestOfN(ol.ChainOfThought(), n=3, reward=short, threshold=1),
    ol.TreeSearch(n=4, reward=short),
    ol.Debate(agents=2),
    ol.Debate([ol.Predict(), ol.ChainOfThought()]),
    ol.MapReduce(size=5000),
]


@pytest.mark.parametrize("recipe", STRATEGIES, ids=repr)
def test_a_strategy_takes_the_place_of_another_with_what_is_tuned(recipe: Any) -> None:
    program = ol.update(Program(), {"answer.strategy": recipe})
    assert ol.parameters(program)["answer.strategy"] == recipe
    main = next(part for part in ol.modules_of(program).values() if getattr(part, "instruction", "") == "Count.")
    assert main.demos == Program().answer.demos
    assert main.fields == {"number": "in digits"}
    assert all(
        part.settings.temperature == 0.7 for part in ol.modules_of(program).values() if isinstance(part, ol.Predict)
    )
    assert Program().answer.signature is program.answer.signature


@pytest.mark.parametrize("recipe", STRATEGIES, ids=repr)
def test_every_parameter_can_be_written_back(recipe: Any) -> None:
    program = ol.update(Program(), {"answer.strategy": recipe})
    assert ol.update(program, ol.parameters(program)) == program
    assert ol.update(Program(), ol.parameters(program)) == program
    assert pickle.loads(pickle.dumps(program)) == program


@pytest.mark.parametrize("recipe", STRATEGIES, ids=repr)
def test_a_file_holds_the_strategy_and_code_gives_its_functions(recipe: Any, tmp_path: Path) -> None:
    program = ol.update(Program(), {"answer.strategy": recipe})
    path = ol.save(program, tmp_path / "p.outlast.json")
    assert ol.load(path, Program(), known={"short": short}) == program
    if "short" in path.read_text():
        with pytest.raises(ArtifactError, match="known={'short'"):
            ol.load(path, Program())
        assert ol.load(path, program) == program  # the program's own strategy holds it


def test_back_to_where_it_was() -> None:
    program = ol.update(Program(), {"answer.strategy": ol.BestOfN(n=3, reward=short)})
    assert ol.update(program, {"answer.strategy": ol.Predict}) == Program()


def test_changes_below_a_new_strategy_are_those_of_the_new_program() -> None:
    changes = {"answer.strategy": ol.BestOfN(n=2, reward=short), "answer.inner.instruction": "Count again."}
    assert ol.update(Program(), changes).answer.inner.instruction == "Count again."
    with pytest.raises(PathError, match=r"answer\.instruction"):
        ol.update(Program(), {"answer.strategy": ol.BestOfN(n=2, reward=short), "answer.instruction": "x"})


def test_a_root_that_is_a_strategy_is_swapped_too() -> None:
    assert ol.update(ol.Predict(Ask), {"strategy": ol.ChainOfThought}) == ol.ChainOfThought(Ask)


def test_strategies_inside_strategies_are_swapped_by_their_own_path() -> None:
    program = ol.update(Program(), {"answer.strategy": ol.BestOfN(n=2, reward=short)})
    deeper = ol.update(program, {"answer.inner.strategy": ol.ChainOfThought})
    assert deeper == ol.update(Program(), {"answer.strategy": ol.BestOfN(ol.ChainOfThought(), n=2, reward=short)})


def test_a_file_from_before_a_swap_says_what_differs(tmp_path: Path) -> None:
    path = ol.save(Program(), tmp_path / "p.outlast.json")
    changed = ol.update(Program(), {"answer.strategy": ol.ChainOfThought})
    with pytest.raises(ArtifactError, match="ChainOfThought"):
        ol.load(path, changed)


@pytest.mark.parametrize(
    "entry",
    [
        3,
        {},
        {"strategy": "os.system", "options": {}},
        {"strategy": "Predict"},
        {"strategy": "Predict", "options": {"colour": 1}},
        {"strategy": "BestOfN", "options": {"n": 3, "reward": {"known": "os"}}},
        {"strategy": "BestOfN", "options": {"n": "x", "reward": {"known": "short"}}},
        {"strategy": "BestOfN", "options": {"n": 3, "reward": {"import": "os"}}},
        {"strategy": "Predict", "options": {"lm": "openai/x"}},
        {"strategy": "Predict", "options": {"extra": {"dict": {"api_base": "http://evil"}}}},
    ],
)
def test_a_file_with_another_strategy_entry_is_refused(entry: Any, tmp_path: Path) -> None:
    import json

    program = ol.update(Program(), {"answer.strategy": ol.BestOfN(n=2, reward=short)})
    path = ol.save(program, tmp_path / "p.outlast.json")
    data = json.loads(path.read_text())
    data["parameters"]["answer.strategy"] = entry
    path.write_text(json.dumps(data))
    with pytest.raises(ArtifactError):
        ol.load(path, Program(), known={"short": short})


def test_what_has_no_name_has_no_form_in_a_file(tmp_path: Path) -> None:
    program = ol.update(Program(), {"answer.strategy": ol.BestOfN(n=2, reward=lambda out: 1)})
    with pytest.raises(ArtifactError, match="named function"):
        ol.save(program, tmp_path / "p.outlast.json")


def test_a_recipe_is_a_value_and_no_program() -> None:
    assert ol.BestOfN(n=3, reward=short) == ol.BestOfN(n=3, reward=short, threshold=None)
    assert ol.BestOfN(n=3, reward=short) != ol.BestOfN(n=4, reward=short)
    assert hash(ol.ChainOfThought()) == hash(ol.ChainOfThought())
    assert repr(ol.BestOfN(ol.ChainOfThought(), n=3, reward=short)) == "BestOfN(ChainOfThought(), n=3, reward=short)"
    with pytest.raises(UsageError, match="no signature yet"):
        ol.ChainOfThought()(question="x")

    class Wrong(ol.Module):
        part = ol.ChainOfThought()

        def forward(self) -> None: ...

    with pytest.raises(UsageError, match="without a signature"):
        Wrong()


@pytest.mark.parametrize("value", ["ChainOfThought", 3, None, ol.Predict(Ask), Program, Program()])
def test_what_is_no_strategy_cannot_stand_there(value: Any) -> None:
    with pytest.raises(UsageError):
        ol.update(Program(), {"answer.strategy": value})


def test_a_program_of_ones_own_has_no_strategy() -> None:
    with pytest.raises(PathError):
        ol.update(Program(), {"strategy": ol.ChainOfThought})


def test_options_of_a_recipe_are_checked_when_it_is_made() -> None:
    with pytest.raises(UsageError):
        ol.BestOfN(n=0, reward=short)
    with pytest.raises(TypeError):
        ol.BestOfN(n=3)  # type: ignore[call-arg]
    with pytest.raises(UsageError):
        ol.Predict(colour="red")  # type: ignore[call-arg]


def test_a_strategy_of_ones_own_is_swapped_in_the_same_way() -> None:
    class Twice(ol.Strategy):
        def __init__(self, inner: Any = None, *, times: int = 2) -> None:
            from outlast.modules.strategy import as_module, signature_of

            self.inner = as_module(inner, "Twice")
            self.signature = signature_of(self.inner)
            self.times = times

        async def forward(self, /, **inputs: Any) -> Any:
            for _ in range(self.times):
                out = await self.inner.acall(**inputs)
            return out

    program = ol.update(Program(), {"answer.strategy": Twice(times=3)})
    lm = ScriptedLM([{"number": n} for n in (1, 2, 3)])
    with ol.context(lm=lm):
        assert program(question="x").number == 3
    assert ol.update(program, ol.parameters(program)) == program


class Tooled(ol.Module):
    """A module that holds tools."""

    def __init__(self, tools: Any) -> None:
        self.tools = {tool.name: tool for tool in tools}

    def forward(self) -> None: ...


def look(city: str, days: int = 1) -> str:
    """The weather.

    Args:
        city: where
    """
    return city


def test_the_texts_of_tools_are_parameters(tmp_path: Path) -> None:
    program = Tooled([ol.Tool.of(look)])
    found = ol.parameters(program)
    assert found == {
        "tools.look.description": "The weather.",
        "tools.look.arguments.city": "where",
        "tools.look.arguments.days": "",
    }
    assert ol.update(program, found) == program
    changed = ol.update(program, {"tools.look.description": "Rain?", "tools.look.arguments.city": "a town"})
    assert changed.tools["look"].description == "Rain?"
    assert changed.tools["look"].parameters["properties"]["city"]["description"] == "a town"
    assert changed.tools["look"].function is look
    assert program.tools["look"].description == "The weather."
    for path in ("tools.peek.description", "tools.look.arguments.town", "tools.look.strict", "tools.look"):
        with pytest.raises((PathError, UsageError)):
            ol.update(program, {path: "x"})
    with pytest.raises(UsageError, match="text"):
        ol.update(program, {"tools.look.description": 3})
