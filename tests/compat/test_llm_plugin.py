"""Programs as models and templates of the real `llm`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llm
import pytest
from click.testing import CliRunner
from llm.cli import cli

from outlast.compat import llm_plugin
from outlast.compat.llm_programs import NamedProgram, keep, named_in, programs, programs_file
from outlast.errors import ConfigError

APP = '''
from typing import Literal

import outlast as ol


class Route(ol.Signature):
    """Route a customer message to the team. A fee of $5 is no reason."""

    message: str = ol.input()
    team: Literal["billing", "cards"] = ol.output()


triage = ol.Predict(Route)
shown = ol.update(triage, {"demos": [ol.Demo({"message": "a fee of $9", "team": "billing"})]})
counts = ol.Predict("question, n: int -> answer")
many = ol.Predict("question -> answer, certainty: float")


class Both(ol.Module):
    first = ol.Predict("question -> answer")
    second = ol.Predict("answer -> verdict")

    def forward(self, question):
        return self.second(answer=self.first(question=question).answer)


both = Both()
number = 7
'''


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with programs, and settings of llm of its own. The plugin is there even where it is not installed."""
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path / "user"))
    (tmp_path / "user").mkdir()
    (tmp_path / f"app_{tmp_path.name}.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    llm.get_models()  # loads what is installed
    mine = not any(module is llm_plugin for module in llm.pm.get_plugins())
    if mine:
        llm.pm.register(llm_plugin, name="outlast-test")
    yield tmp_path
    if mine:
        llm.pm.unregister(llm_plugin)


@pytest.fixture
def app(place: Path) -> str:
    """The file of programs."""
    return f"app_{place.name}.py"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`llm` with these words."""

    def call(*words: str, told: str | None = None) -> Any:
        monkeypatch.setattr(sys, "argv", ["llm", *words])
        return CliRunner().invoke(cli, list(words), input=told)

    return call


def named(app: str, name: str = "triage", **more: Any) -> Any:
    """A model of a program that has a name."""
    keep({"it": NamedProgram("it", f"{app}:{name}", lm="outlast/baseline", **more)})
    return llm.get_model("outlast:it")


def test_a_program_is_asked_by_its_file(run: Any, app: str) -> None:
    done = run("-m", f"outlast:{app}:triage", "my card is gone", "-o", "lm", "outlast/baseline", "--no-log")
    assert (done.exit_code, done.output) == (0, "cards\n")


def test_a_program_is_asked_from_a_pipe_by_its_name(run: Any, app: str) -> None:
    assert (
        run("outlast", "add", "route", f"{app}:triage", "--lm", "outlast/baseline").output == "llm -m outlast:route\n"
    )
    assert run("-m", "outlast:route", "--no-log", told="a refund, a fee").exit_code == 0
    listed = run("outlast", "list").output
    assert listed == f"outlast:route  {Path(app).resolve()}:triage  outlast/baseline\n"
    assert "outlast:route" in run("models", "list").output
    assert run("outlast", "remove", "route").exit_code == 0
    assert run("outlast", "list").output == ""
    assert "no program has the name 'route'" in run("outlast", "remove", "route").output


def test_what_it_cost_is_told(app: str) -> None:
    reply = named(app).prompt("my card is gone")
    assert reply.text() == "cards"
    assert reply.usage().input > 0
    assert reply.response_json["outputs"] == {"team": "cards"}
    assert reply.response_json["calls"] == 1
    assert reply.resolved_model == "outlast/baseline"


def test_inputs_are_the_prompt_options_or_json(app: str) -> None:
    model = named(app, "counts")
    assert model.prompt("why?", n="3").text()
    assert model.prompt('{"question": "why?", "n": 3}').text()
    assert model.prompt("", question="why?", n="3").text()
    for prompt, options in (("why?", {}), ("why?", {"question": "a", "n": "3"})):
        with pytest.raises(llm.ModelError, match="JSON object|no place for a prompt"):
            model.prompt(prompt, **options).text()
    with pytest.raises(llm.ModelError, match="integer|whole"):
        model.prompt("why?", n="many").text()


def test_several_outputs_are_json(app: str) -> None:
    assert set(json.loads(named(app, "many").prompt("why?").text())) == {"answer", "certainty"}


def test_a_module_with_parts_is_asked_too(app: str) -> None:
    reply = named(app, "both").prompt("why?")
    assert reply.text()
    assert reply.response_json["calls"] == 2


def test_the_async_model_asks_within_the_loop(app: str) -> None:
    named(app)

    async def several() -> list[str]:
        model = llm.get_async_model("outlast:it")
        replies = [model.prompt(f"my card {n} is gone") for n in range(3)]
        return list(await asyncio.gather(*(reply.text() for reply in replies)))

    assert asyncio.run(several()) == ["cards"] * 3


def test_a_compiled_file_is_in_use(app: str, place: Path) -> None:
    import outlast as ol
    from outlast.cli.targets import load_program

    program = load_program(f"{app}:triage")
    tuned = ol.update(program, {"instruction": "Say cards."})
    ol.save(tuned, place / "x.outlast.json")
    model = named(app, artifact=str(place / "x.outlast.json"))
    assert model.program.instruction == "Say cards."
    assert llm_plugin.load_template("it").system.startswith("Say cards.")


def test_without_a_model_the_usual_one_of_llm_is_asked(app: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Echo(llm.Model):
        model_id = "echo-usual"

        def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> Iterator[str]:
            asked.append(self.model_id)
            yield "<<team>>\nbilling\n<<end>>"

    class Plugin:
        @llm.hookimpl
        def register_models(self, register: Any) -> None:
            register(Echo())

    plugin = Plugin()
    llm.pm.register(plugin)
    try:
        keep({"it": NamedProgram("it", f"{app}:triage")})
        llm.set_default_model("echo-usual")
        assert llm.get_model("outlast:it").prompt("a fee").text() == "billing"
        assert asked == ["echo-usual"]
        llm.set_default_model("outlast:it")
        with pytest.raises(llm.ModelError, match="which model is asked"):
            llm.get_model("outlast:it").prompt("a fee").text()
    finally:
        llm.pm.unregister(plugin)


def test_what_has_no_place_in_a_program_is_refused(run: Any, app: str) -> None:
    named(app)
    with pytest.raises(llm.ModelError, match="instructions of its own"):
        llm.get_model("outlast:it").prompt("x", system="Be brief.").text()
    done = run("-m", "outlast:nowhere.py:triage", "x", "--no-log")
    assert (done.exit_code, done.output) == (1, "Error: no file 'nowhere.py'.\n")
    for name in ("a b", "a:b", "", "../x"):
        assert run("outlast", "add", name, f"{app}:triage").exit_code != 0
    assert "a program is an ol.Module" in run("outlast", "add", "n", f"{app}:number").output
    assert list(programs()) == ["it"]


def test_nothing_is_imported_until_a_program_is_asked(place: Path) -> None:
    (place / "broken.py").write_text("raise RuntimeError('imported')")
    keep({"bad": NamedProgram("bad", "broken.py:x")})
    assert "outlast:bad" in [model.model_id for model in llm.get_models()]
    with pytest.raises(RuntimeError, match="imported"):
        llm.get_model("outlast:bad").prompt("x").text()


def test_a_broken_list_of_programs_leaves_the_other_models_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for content in ("{", "[]", '{"a": 7}', '{"a": {"target": 1}}', '{"a": {"target": "x:y", "more": "z"}}'):
        programs_file().write_text(content)
        with pytest.raises(ConfigError):
            programs()
        assert llm.get_models() is not None
        assert "outlast: " in capsys.readouterr().err


def test_a_template_has_the_prompt_of_a_program(run: Any, app: str) -> None:
    template = llm_plugin.load_template(f"{app}:triage")
    prompt, system = template.evaluate("my card costs $3", {})
    assert system.startswith("Route a customer message to the team. A fee of $5 is no reason.")
    assert "my card costs $3" in prompt
    shown = run("templates", "show", f"outlast:{app}:triage").output
    assert "$input" in shown


def test_a_template_of_several_inputs_takes_parameters(app: str) -> None:
    template = llm_plugin.load_template(f"{app}:counts")
    assert template.vars() == {"question", "n"}
    prompt, _ = template.evaluate("", {"question": "why?", "n": 3})
    assert "why?" in prompt


def test_a_template_shows_demonstrations_as_text(app: str) -> None:
    prompt, _ = llm_plugin.load_template(f"{app}:shown").evaluate("and $7?", {})
    assert prompt.index("a fee of $9") < prompt.index("billing") < prompt.index("and $7?")


def test_a_template_is_one_prompt(run: Any, app: str) -> None:
    with pytest.raises(ValueError, match="has several prompts"):
        llm_plugin.load_template(f"{app}:both")
    assert llm_plugin.load_template(f"{app}:both@second").vars() == {"input"}
    with pytest.raises(ValueError, match="no predictor 'third'"):
        llm_plugin.load_template(f"{app}:both@third")
    with pytest.raises(ValueError, match="no program 'nothing'"):
        llm_plugin.load_template("nothing")


def test_programs_on_the_command_line() -> None:
    words = [
        "llm",
        "-m",
        "outlast:a.py:x",
        "--model=outlast:b.py:y",
        "-moutlast:c.py:z",
        "outlast:named",
        "say outlast: x",
    ]
    assert list(named_in(words)) == ["a.py:x", "b.py:y", "c.py:z"]
    assert named_in([]) == {}
