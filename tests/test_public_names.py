"""The public names: there, documented, and loaded only when they are used."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import outlast as ol

HEAVY = ("pydantic", "asyncio", "aiohttp", "numpy", "rich", "jinja2", "sqlite3", "jiter", "json_repair", "typing")
LAZY = ("aiohttp", "numpy", "pandas", "rich", "jinja2", "sqlite3", "json_repair", "openai", "scipy", "socketserver")


def loaded_after(code: str) -> set[str]:
    """The modules that are loaded in a fresh interpreter after some code."""
    code += "; import sys, json; print(json.dumps(sorted(sys.modules)))"
    options = [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"]
    done = subprocess.run(options, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_the_import_loads_nothing_but_itself() -> None:
    loaded = loaded_after("import outlast") - loaded_after("pass")
    assert {name for name in loaded if name.startswith("outlast")} == {"outlast"}
    assert loaded & set(HEAVY) == set()
    assert len(loaded) < 5, loaded


def test_a_name_of_another_module_is_told() -> None:
    with pytest.raises(AttributeError, match=r"no 'SequentialTest'; it is in outlast\.evals\.statistics"):
        ol.SequentialTest  # type: ignore[attr-defined]  # noqa: B018


def test_a_program_can_be_built_and_run_without_what_it_does_not_need() -> None:
    loaded = loaded_after(
        "import outlast as ol; from outlast.testing import ScriptedLM; "
        "p = ol.ChainOfThought('question -> answer: int'); "
        "assert p.render(question='x'); ol.update(p, {'instruction': 'y'}); "
        "ol.configure(lm=ScriptedLM([{'reasoning': 'r', 'answer': 3}])); assert p(question='x').answer == 3"
    )
    assert loaded & set(LAZY) == set()


@pytest.mark.parametrize("name", ol.__all__)
def test_every_public_name_is_there_and_says_what_it_is(name: str) -> None:
    value: Any = getattr(ol, name)
    if name == "__version__":
        assert value.count(".") == 2
        return
    text = inspect.getdoc(value)
    assert text, f"{name} has no docstring"
    if inspect.isclass(value):
        assert value.__dict__.get("__doc__"), f"{name} inherits its docstring"
        assert not text.startswith(f"{name}("), f"{name} has a generated docstring only"


def test_the_list_is_sorted_and_complete() -> None:
    assert list(ol.__all__) == sorted(set(ol.__all__))
    assert dir(ol) == ol.__all__


def test_type_checkers_see_the_same_names() -> None:
    """The names under TYPE_CHECKING are written out; they must be those that load."""
    tree = ast.parse(Path(ol.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen: dict[str, str] = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name, "written `X as X`, which says that it is public"
            seen[alias.name] = node.module or ""
    assert sorted([*seen, "__version__"]) == ol.__all__
    for name, module in seen.items():
        if name == "optimize":  # the package itself, which can be called
            assert callable(ol.optimize)
            continue
        assert getattr(importlib.import_module(module), name) is getattr(ol, name)


def test_an_unknown_name_is_an_error_with_a_hint() -> None:
    with pytest.raises(AttributeError, match="outlast has no 'Predct'. Did you mean 'Predict'?"):
        ol.Predct  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError):
        exec("from outlast import Predct")
    assert not hasattr(ol, "_private")


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(ol.__file__).parent / "py.typed").exists()
