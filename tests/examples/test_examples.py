"""Every example runs, on small data where the real ones are not at hand, and says so when there are none."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

import outlast as ol

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> Any:
    """An example as a module, without running its main part."""
    return type("Loaded", (), runpy.run_path(str(EXAMPLES / f"{name}.py")))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OUTLAST_STUDIES", str(tmp_path / "studies"))
    return tmp_path


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_support_triage_is_the_program_of_the_readme() -> None:
    def normal(text: str) -> list[str]:
        return [line.strip() for line in text.splitlines() if line.strip() and "__main__" not in line]

    readme = (EXAMPLES.parent / "README.md").read_text()
    block = next(part.split("```")[0] for part in readme.split("```python\n")[1:] if "class Triage" in part)
    program = (EXAMPLES / "support_triage.py").read_text().split('"""', 2)[2]
    assert normal(program) == normal(block)


def test_support_triage_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from outlast.runtime import set_defaults

    try:
        runpy.run_path(str(EXAMPLES / "support_triage.py"), run_name="__main__")
    finally:
        set_defaults(lm=None)
    assert "held-out examples" in capsys.readouterr().out
    assert (here / "triage.outlast.json").is_file()


def test_banking77_on_small_data(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    topics = {"card_arrival": "where is my card", "top_up_failed": "top up failed", "pin_blocked": "pin is blocked"}
    rows = [{"text": f"{words} {n}", "label": label} for n in range(40) for label, words in topics.items()]
    (here / "data").mkdir()
    write(here / "data" / "train.jsonl", rows[:90])
    write(here / "data" / "test.jsonl", rows[90:])
    (here / "data" / "labels.json").write_text(json.dumps(list(topics)))
    example = load("banking77")
    assert example.main(["--data", "data", "--candidates", "2", "--max-demos", "9", "--out", "b.outlast.json"]) == 0
    out = capsys.readouterr().out
    for words in ("test set, before", "test set, after", "test set, paired", "saved"):
        assert words in out
    program = ol.load(here / "b.outlast.json", example.classifier(list(topics)))
    with ol.context(lm="outlast/baseline"):
        assert program(text="my pin is blocked").label == "pin_blocked"


def test_gsm8k_on_small_data_says_plainly_what_to_expect(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"question": f"Ann has {n} apples and buys {n + 1}. How many?", "answer": str(2 * n + 1), "solution": "add"}
        for n in range(90)
    ]
    (here / "data").mkdir()
    write(here / "data" / "train.jsonl", rows[:60])
    write(here / "data" / "test.jsonl", rows[60:])
    words = ["--data", "data", "--candidates", "1", "--max-demos", "4", "--test", "20", "--out", "g.outlast.json"]
    assert load("gsm8k").main(words) == 0
    out = capsys.readouterr().out
    assert "cannot calculate" in out
    assert "test set, paired" in out
    assert (here / "g.outlast.json").is_file()


@pytest.mark.parametrize("name", ["banking77", "gsm8k"])
def test_missing_data_is_one_clear_line(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load(name).main(["--data", "nowhere"]) == 3
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "--data or OUTLAST_DATA" in err
