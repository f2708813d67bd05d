"""What docs/dependencies.md promises: every package is explained, and none is imported before it is needed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = (
    "aiohttp",
    "jiter",
    "json_repair",
    "rich",
    "jinja2",
    "sqlite3",
    "numpy",
    "pandas",
    "pyarrow",
    "openai",
    "httpx",
)


def packages() -> list[str]:
    """Every package that pyproject.toml names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    return [re.split(r"[\[<>=! ]", line)[0] for line in [*project["dependencies"], *extras]]


def loaded(code: str) -> set[str]:
    """The packages that a fresh interpreter has loaded after running some code."""
    code += "; import sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_every_package_is_explained() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    assert packages()
    assert [name for name in packages() if not re.search(rf"\b{re.escape(name)}\b", page)] == []


def test_the_core_table_has_the_packages_that_are_installed_and_no_other() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    table = page.split("## Core")[1].split("\n###")[0]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert re.findall(r"^\| `([\w-]+)` ", table, flags=re.MULTILINE) == [
        re.split(r"[<>=! ]", line)[0] for line in project["dependencies"]
    ]


def test_import_outlast_loads_no_package_at_all() -> None:
    assert loaded("import outlast") & {*HEAVY, "pydantic", "asyncio"} == set()


@pytest.mark.parametrize(
    "code",
    [
        "import outlast as ol; [getattr(ol, name) for name in ol.__all__]",
        "import outlast as ol; ol.Predict('question -> answer', lm='outlast/baseline')(question='Who?')",
    ],
    ids=["every name", "a first call"],
)
def test_packages_are_loaded_when_they_are_needed_and_not_before(code: str) -> None:
    found = loaded(code)
    assert "pydantic" in found
    assert found & set(HEAVY) == set()
