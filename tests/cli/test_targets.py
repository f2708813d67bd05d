"""What `module.py:name` may name, and what is said when it does not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from outlast.cli.targets import input_names, load_metric, load_program, looks_like_target
from outlast.errors import UsageError
from outlast.modules.module import Module
from outlast.modules.predict import Predict


@pytest.mark.parametrize(
    ("target", "kind"),
    [("app.py:Triage", Module), ("app.py:route", Predict), ("app.py:team_of", Predict), ("app:Triage", Module)],
)
def test_a_class_a_module_and_a_function_are_programs(desk: Path, target: str, kind: type) -> None:
    program = load_program(target)
    assert isinstance(program, kind)
    assert input_names(program) == ["message"]


def test_the_same_file_is_imported_once(desk: Path) -> None:
    (desk / "app.py").write_text((desk / "app.py").read_text() + "\nCOUNT = []\nCOUNT.append(1)\n")
    load_program("app.py:route")
    load_metric(f"{desk}/app.py:correct")
    load_program("app:route")
    assert sys.modules["app"].COUNT == [1]


def test_the_folder_of_the_file_is_on_the_path(desk: Path) -> None:
    inner = desk / "inner"
    inner.mkdir()
    (inner / "mine.py").write_text("from beside import route\n")
    (inner / "beside.py").write_text("import outlast as ol\nroute = ol.Predict('message -> team')\n")
    assert isinstance(load_program("inner/mine.py:route"), Predict)


def test_a_file_in_a_package_is_imported_by_its_dotted_name(desk: Path) -> None:
    (desk / "pack").mkdir()
    (desk / "pack" / "__init__.py").write_text("")
    (desk / "pack" / "tools.py").write_text("WORDS = 'message -> team'\n")
    (desk / "pack" / "prog.py").write_text(
        "import outlast as ol\nfrom .tools import WORDS\nroute = ol.Predict(WORDS)\n"
    )
    assert isinstance(load_program("pack/prog.py:route"), Predict)
    assert load_program("pack.prog:route") is load_program("pack/prog.py:route")


def test_a_file_called_like_a_module_of_the_standard_library(desk: Path) -> None:
    import json

    (desk / "json.py").write_text("import outlast as ol\nroute = ol.Predict('message -> team')\n")
    assert isinstance(load_program("json.py:route"), Predict)
    assert sys.modules["json"] is json


def test_two_files_of_one_name_in_two_folders(desk: Path) -> None:
    for name in ("a", "b"):
        (desk / name).mkdir()
        (desk / name / "same.py").write_text(f"import outlast as ol\nroute = ol.Predict('{name} -> team')\n")
    assert input_names(load_program("a/same.py:route")) == ["a"]
    assert input_names(load_program("b/same.py:route")) == ["b"]
    assert load_program("b/same.py:route") is load_program("b/same.py:route")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("app.py", ["a target is module.py:name", "Triage"]),
        ("app.py:", ["a target is module.py:name"]),
        ("nothing.py:route", ["no file 'nothing.py'"]),
        ("ap.py:route", ["Did you mean 'app.py'?"]),
        ("app.py:Triag", ["has no 'Triag'", "Did you mean 'Triage'?", "Needs"]),
        ("app.py:Route", ["is a signature", "ol.Predict(Route)"]),
        ("app.py:correct", ["is a plain function", "Programs: Triage"]),
        ("app.py:Team", ["typing.Literal"]),
        ("app.py:Needs", ["programs take arguments, (self, size)"]),
        ("no.such.module:route", ["no module 'no.such.module'"]),
    ],
)
def test_a_bad_target_says_what_there_is(desk: Path, target: str, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        load_program(target)
    for word in words:
        assert word in str(caught.value)


def test_an_import_that_fails_inside_the_users_module_is_not_blamed_on_the_target(desk: Path) -> None:
    (desk / "needy.py").write_text("import not_installed_anywhere\n")
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        load_program("needy:route")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("app.py:Triage", "is the class Triage"),
        ("app.py:corect", "Did you mean 'correct'?"),
        ("app.py:wrong_shape", "two arguments"),
        ("app.py:route", "a metric is a function"),
    ],
)
def test_a_bad_metric(desk: Path, target: str, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("?", r"\?")):
        load_metric(target)


def test_inputs_of_a_program_that_takes_any(desk: Path) -> None:
    (desk / "any.py").write_text(
        "import outlast as ol\n\nclass Any(ol.Module):\n    def forward(self, **inputs):\n        return 1\n"
    )
    assert input_names(load_program("any.py:Any")) is None


def test_what_looks_like_a_target(desk: Path) -> None:
    assert looks_like_target("app.py:route")
    assert looks_like_target("pack.app:route")
    assert not looks_like_target("data.jsonl")
    (desk / "odd:name").write_text("")
    assert not looks_like_target("odd:name")


def test_judges_and_checks_are_metrics_too(tmp_path: Path) -> None:
    path = tmp_path / "rules.py"
    path.write_text(
        "import outlast as ol\n"
        "judge = ol.Judge(ol.Rubric('kind', 'It is kind.'), ['reply'], lm='outlast/baseline')\n"
        "short = ol.checks.length('reply', max=9)\n"
        "program = ol.Predict('message -> reply')\n"
    )
    assert load_metric(f"{path}:judge").name == "kind"
    assert load_metric(f"{path}:short").name == "length"
    with pytest.raises(UsageError, match="judge, short"):
        load_metric(f"{path}:program")
