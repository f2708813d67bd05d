"""The workflow of the CI guide and the tests of the testing guide: they mean what they say, and run."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

GUIDES = Path(__file__).parents[2] / "docs" / "guides"


def _blocks() -> Any:
    spec = spec_from_file_location("ci_blocks", Path(__file__).with_name("test_blocks.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["ci_blocks"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


blocks = _blocks()


def run_guide(name: str, folder: Path) -> Any:
    """Run a guide in a folder, where it leaves the files that it shows."""
    path = GUIDES / name
    page = blocks.Page(path, path.read_text(encoding="utf-8").split("\n"))
    with blocks.alone(folder):
        blocks.run_page(page, folder)
    return page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with all that the guide writes before its workflow."""
    run_guide("ci.md", tmp_path)
    return tmp_path


def commands(workflow: dict) -> list[str]:
    (job,) = workflow["jobs"].values()
    return [step["run"] for step in job["steps"] if "run" in step and not step["run"].startswith("pip install")]


def test_the_workflow_is_one_that_github_takes(folder: Path) -> None:
    workflow = yaml.safe_load((folder / "evals.yml").read_text())
    assert workflow[True] == "pull_request"  # "on", as YAML 1.1 reads it
    assert workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    assert job["runs-on"]
    assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    kept = job["steps"][-1]["with"]["path"].split()
    (command,) = commands(workflow)
    assert all(name in command for name in kept)


def test_the_commands_of_the_workflow_run(folder: Path) -> None:
    (command,) = commands(yaml.safe_load((folder / "evals.yml").read_text()))
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": paths, "GITHUB_STEP_SUMMARY": str(folder / "summary.md"), "OUTLAST_CACHE": "off"}
    done = subprocess.run(
        ["/bin/bash", "-e", "-c", command], cwd=folder, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "gate PASS" in done.stderr
    assert "✅ **PASS**" in (folder / "summary.md").read_text(encoding="utf-8")
    assert (folder / "evals.md").read_text() == (folder / "summary.md").read_text()[:-1] + "\n"
    assert len(ElementTree.parse(folder / "evals.xml").getroot()) == 2
    assert (folder / "rows.jsonl").read_text().count('\n{"index"') == 400


def test_the_tests_of_the_testing_guide_pass_and_say_what_it_shows(tmp_path: Path) -> None:
    page = run_guide("testing.md", tmp_path)
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:outlast",
        "-p",
        "outlast.testing.pytest_plugin",
        "-p",
        "no:asyncio",
    ]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    (shown,) = (block for block in blocks.blocks_of(page.lines) if block.title.startswith("what pytest says"))
    assert "\n".join(shown.lines) in done.stdout
