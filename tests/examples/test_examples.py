"""Every example runs, on small data where the real ones are not at hand, and says so when there are none."""

from __future__ import annotations

import json
import os
import runpy
from pathlib import Path
from typing import Any

import pytest

import outlast as ol

EXAMPLES = Path(__file__).parents[2] / "examples"
DATA = Path(os.environ.get("OUTLAST_DATA") or EXAMPLES.parents[1] / "shared" / "data")


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
    example = load("banking77/run")
    assert example.main(["--data", "data", "--candidates", "2", "--max-demos", "9", "--out", "b.outlast.json"]) == 0
    out = capsys.readouterr().out
    assert "against" not in out
    words = ["--data", "data", "--optimizer", "auto", "--most", "60", "--out", "a.outlast.json"]
    assert example.main([*words, "--against", "b.outlast.json"]) == 0
    assert "test set, against" in capsys.readouterr().out
    for words in ("test set, before", "test set, after", "test set, paired", "saved"):
        assert words in out
    program = ol.load(here / "b.outlast.json", example.classifier(list(topics)))
    with ol.context(lm="outlast/baseline"):
        assert program(text="my pin is blocked").label == "pin_blocked"


def test_facility_support_on_small_data(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = [
        ("The boiler burst, come at once", "high", "negative", ["emergency_repair_services"]),
        ("Thanks for the spotless windows", "low", "positive", ["customer_feedback_and_complaints"]),
        ("Please plan the weekly cleaning", "medium", "neutral", ["cleaning_services_scheduling"]),
    ]
    rows = [
        {"id": n, "message": f"{text}, floor {n}", "urgency": urgency, "sentiment": feeling, "categories": categories}
        for n in range(24)
        for text, urgency, feeling, categories in kinds
    ]
    (here / "data").mkdir()
    for number, name in enumerate(("train", "dev", "test")):
        write(here / "data" / f"{name}.jsonl", rows[24 * number : 24 * (number + 1)])
    example = load("facility_support/run")
    words = ["--data", "data", "--candidates", "2", "--max-demos", "6", "--out", "f.outlast.json"]
    assert example.main(words) == 0
    assert "against" not in capsys.readouterr().out
    assert example.main([*words, "--against", "f.outlast.json"]) == 0
    assert "on 24 held-out examples" in capsys.readouterr().out
    assert (here / "f.html").is_file()
    program = ol.load(here / "f.outlast.json", ol.Predict(example.Sort))
    with ol.context(lm="outlast/baseline"):
        out = program(message="The boiler burst, come at once, floor 99")
    assert (out.urgency, out.categories) == ("high", ["emergency_repair_services"])


def test_the_metric_of_facility_support_says_what_was_wrong() -> None:
    judge = load("facility_support/run").sorted_right
    wanted = {"urgency": "low", "sentiment": "neutral", "categories": ["general_inquiries", "training_and_support"]}
    example = ol.Example({"message": "Hello"}, wanted)
    score = judge(example, ol.Prediction(urgency="high", sentiment="neutral", categories=["general_inquiries"]))
    assert score.value == pytest.approx((0 + 1 + 0.5) / 3)
    assert score.feedback == "urgency is 'low'; categories is ['general_inquiries', 'training_and_support']"
    assert judge(example, ol.Prediction(**wanted)).value == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["banking77", "facility_support"])
def test_demonstrations_help_the_baseline_on_real_data(
    name: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (DATA / name).is_dir():
        pytest.skip(f"no data at {DATA / name}; set OUTLAST_DATA")
    words = ["--data", str(DATA / name), "--candidates", "2", "--max-demos", "66", "--out", "x.outlast.json"]
    words += ["--limit", "600", "--test", "60"] if name == "banking77" else ["--limit", "40"]
    assert load(f"{name}/run").main(words) == 0
    verdict = json.loads((here / "x.outlast.json").read_text())["record"]["result"]
    assert verdict["verdict"] != "worse"
    if name == "facility_support":
        assert verdict["verdict"] == "better"
        assert verdict["difference"]["interval"][0] > 0.05


@pytest.mark.parametrize("search", ["random", "auto"])
@pytest.mark.parametrize("name", ["banking77", "facility_support"])
def test_committed_artefacts_load_and_carry_their_proof(name: str, search: str, here: Path) -> None:
    example, stem = load(f"{name}/run"), name if search == "random" else f"{name}.auto"
    path = EXAMPLES / name / f"{stem}.outlast.json"
    data = json.loads(path.read_text())
    record = data["record"]
    if name == "banking77":  # the labels stand with the data, in an order of their own
        labels = {demo["values"]["label"] for demo in data["parameters"]["demos"]}
        program: Any = ol.load(path, example.classifier(sorted(labels)), allow_changed=True)
    else:
        program = ol.load(path, ol.Predict(example.Sort))
    assert record["result"]["verdict"] == "better"
    assert record["search"]["optimizer"] == {"random": "RandomSearch", "auto": "Auto"}[search]
    assert program.demos
    readme = (EXAMPLES / name / "README.md").read_text()
    assert "licence" in readme.lower()
    result, page = record["result"], path.with_name(f"{stem}.html").read_text()
    said = f"{100 * result['winner']['score']:.1f}%"
    assert said in page
    assert said in readme


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


@pytest.mark.parametrize("name", ["banking77/run", "facility_support/run", "gsm8k"])
def test_missing_data_is_one_clear_line(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load(name).main(["--data", "nowhere"]) == 3
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "--data or OUTLAST_DATA" in err
