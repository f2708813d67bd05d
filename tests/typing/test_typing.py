"""Runs pyright, as an editor does, over the files of this folder."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
EXPECTED = HERE / "errors_expected.py"
MARK = "# error"


@pytest.fixture(scope="module")
def diagnostics(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What pyright says about each file, by file name; one run, because most of it is starting up.

    The settings are those of pyproject.toml, which leaves the expected errors out.
    """
    files = [HERE / "public_api.py", EXPECTED]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyright"]
    settings |= {"extraPaths": [str(ROOT / "src")]}
    for name in ("include", "exclude", "venvPath", "venv"):
        settings.pop(name, None)
    config = tmp_path_factory.mktemp("pyright") / "pyrightconfig.json"
    config.write_text(json.dumps(settings))
    options = ["--project", str(config), "--pythonpath", sys.executable, "--outputjson"]
    command = [sys.executable, "-m", "pyright", *options, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == len(files), done.stdout + done.stderr
    found: dict[str, list[dict[str, Any]]] = {file.name: [] for file in files}
    for item in report["generalDiagnostics"]:
        found[Path(item["file"]).name].append(item)
    return found


def line_of(item: dict[str, Any]) -> int:
    return item["range"]["start"]["line"] + 1


@pytest.mark.slow
def test_types_are_known_to_the_last_attribute(diagnostics: dict[str, list[dict[str, Any]]]) -> None:
    assert [(line_of(item), item["message"]) for item in diagnostics["public_api.py"]] == []


@pytest.mark.slow
def test_mistakes_are_errors_in_the_editor(diagnostics: dict[str, list[dict[str, Any]]]) -> None:
    lines = EXPECTED.read_text().splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith(MARK)}
    assert len(marked) > 20
    found = {line_of(item) for item in diagnostics[EXPECTED.name] if item["severity"] == "error"}
    assert found == marked, {
        "not noticed": [lines[number - 1].strip() for number in sorted(marked - found)],
        "not expected": [i["message"] for i in diagnostics[EXPECTED.name] if line_of(i) not in marked],
    }
