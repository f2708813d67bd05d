"""The program of the README passes a strict type checker, and what it returns is known to the last field."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def checked(source: str, folder: Path) -> list[tuple[str, str]]:
    """What pyright says of a program, as (severity, message)."""
    (folder / "program.py").write_text(source, encoding="utf-8")
    settings = {"extraPaths": [str(ROOT / "src")], "typeCheckingMode": "strict"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    options = ["--project", str(folder), "--pythonpath", sys.executable, "--outputjson"]
    done = subprocess.run([sys.executable, "-m", "pyright", *options], capture_output=True, text=True, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 1, done.stdout + done.stderr
    return [(item["severity"], item["message"]) for item in report["generalDiagnostics"]]


@pytest.mark.slow
def test_the_program_of_the_readme_is_typed_to_the_last_field(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (program,) = (b for b in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "class Triage" in b)
    last = (
        'reveal_type(compiled.program(message="x").urgency)\n'
        'reveal_type(ol.load("x", Triage())(message="x").urgency)\n'
        "Triage()(mesage=1)\n"
    )
    found = checked(program + last, tmp_path)
    assert [text for severity, text in found if severity == "information"] == [
        'Type of "compiled.program(message="x").urgency" is "int"',
        'Type of "ol.load("x", Triage())(message="x").urgency" is "int"',
    ]
    errors = [text for severity, text in found if severity == "error"]
    assert errors, "the checker looked at nothing"
    assert all("mesage" in text or '"message"' in text for text in errors), errors
