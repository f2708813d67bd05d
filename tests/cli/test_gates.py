"""`--gate` of `outlast eval` and `outlast compare`: decisions, exit codes and the files for CI."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

LM = ("--lm", "outlast/baseline")
EVAL = ("eval", "app.py:route", "data.jsonl", "--metric", "app.py:correct", *LM, "--no-progress")
NEVER = ("eval", "never.py:Never", "data.jsonl", "--metric", "app.py:correct", *LM, "--no-progress")


@pytest.fixture(autouse=True)
def never(desk, monkeypatch) -> None:
    """A program that is always wrong, and no CI around us."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    (desk / "never.py").write_text(
        "import outlast as ol\n\n\nclass Never(ol.Module):\n    def forward(self, message):\n"
        "        return ol.Prediction(team='none')\n"
    )


def test_a_gate_on_the_score_uses_the_interval(outlast) -> None:
    score = outlast(*EVAL, "--json").json["score"]
    passed = outlast(*EVAL, "--gate", "--min-score", "0.1", "--json")
    assert passed.code == 0
    assert passed.json["gate"][0]["decision"] == "PASS"
    assert "outlast: gate PASS: the score has to be at least 10.0%. It is" in passed.err
    unsure = outlast(*EVAL, "--gate", "--min-score", f"{score - 0.001}")
    assert unsure.code == 2
    assert "INCONCLUSIVE" in unsure.err
    assert outlast(*EVAL, "--min-score", f"{score - 0.001}").code == 0  # without --gate the mean decides
    assert outlast(*EVAL, "--gate", "--min-score", f"{score - 0.001}", "--allow-inconclusive").code == 0
    assert outlast(*EVAL, "--gate", "--min-score", "0.99").code == 1
    assert outlast(*EVAL, "--gate", "--min-score", "0.99", "--allow-inconclusive").code == 1


def test_a_gate_against_a_saved_run(outlast) -> None:
    assert outlast(*NEVER, "--save", "never.jsonl").code == 0
    assert outlast(*EVAL, "--save", "real.jsonl").code == 0
    better = outlast(*EVAL, "--gate", "--against", "never.jsonl")
    assert better.code == 0
    assert "gate PASS: the change has to be a gain." in better.err
    worse = outlast(*NEVER, "--gate", "--against", "real.jsonl", "--min-delta", "-0.02")
    assert worse.code == 1
    assert "gate FAIL: the change has to be above -2.0 points." in worse.err
    assert outlast(*EVAL, "--gate", "--against", "real.jsonl").code == 2
    same = outlast(*EVAL, "--gate", "--against", "real.jsonl", "--min-delta", "-0.1", "--json", "--by", "team")
    assert same.code == 0
    assert same.json["against"]["verdict"] == "inconclusive" or same.json["against"]["difference"] == 0
    assert {one["field"] for one in same.json["against"]["slices"]} == {"team"}
    both = outlast(*EVAL, "--gate", "--against", "real.jsonl", "--min-delta", "-0.1", "--min-score", "0.99")
    assert both.code == 1


def test_a_typo_is_never_taken_for_a_gate_that_cannot_tell(outlast) -> None:
    assert outlast(*EVAL, "--gate").code == 64
    assert outlast(*EVAL, "--gate", "--min-scor", "0.9").code == 64
    assert outlast("eval", "app.py:rout", *EVAL[2:], "--gate", "--min-score", "0.9").code == 64
    assert outlast("compare", "a.jsonl", "--gate").code == 64
    assert outlast(*EVAL, "--min-scor", "0.9").code == 2
    assert outlast(*EVAL, "--allow-inconclusive").code == 2
    assert outlast(*EVAL, "--min-delta", "-0.1").code == 2
    assert outlast(*EVAL, "--gate", "--against", "nothing.jsonl").code == 3


def test_a_run_on_other_data_is_no_base(outlast) -> None:
    assert outlast(*EVAL, "--save", "part.jsonl", "--limit", "50").code == 0
    refused = outlast(*EVAL, "--gate", "--against", "part.jsonl")
    assert refused.code == 3
    assert "different data" in refused.err


def test_a_base_that_cannot_be_compared_is_refused_before_anything_is_asked(outlast, desk) -> None:
    outlast(*EVAL, "--save", "real.jsonl")
    gate = ("--gate", "--against", "real.jsonl")
    (desk / "asks.py").write_text(
        "import outlast as ol\nfrom outlast.testing import ScriptedLM\n\n"
        "def answer(messages):\n    raise AssertionError('asked')\n\n"
        "route = ol.Predict('message -> team', lm=ScriptedLM(answer))\n\n"
        "def other(example, out):\n    return True\n"
    )
    words = ("eval", "asks.py:route", "data.jsonl", "--metric")
    for metric, more, told in (
        ("asks.py:other", (), "different metrics"),
        ("app.py:correct", ("--limit", "50"), "different data"),
        ("app.py:correct", ("--epochs", "3", "--reducer", "max"), "made in different ways"),
        ("app.py:correct", ("--on-error", "fail"), "errors count differently"),
    ):
        refused = outlast(*words, metric, *gate, *more)
        assert refused.code == 3
        assert told in refused.err
        assert "asked" not in refused.err


def test_compare_decides_too(outlast) -> None:
    outlast(*NEVER, "--save", "never.jsonl")
    outlast(*EVAL, "--save", "real.jsonl")
    better = outlast("compare", "never.jsonl", "real.jsonl", "--gate", "--by", "team", "--min-n", "12")
    assert better.code == 0
    assert "change by team" in better.out
    assert outlast("compare", "real.jsonl", "never.jsonl", "--gate", "--min-delta", "-0.1").code == 1
    assert outlast("compare", "real.jsonl", "real.jsonl", "--gate").code == 2
    assert outlast("compare", "real.jsonl", "real.jsonl", "--gate", "--allow-inconclusive").code == 0
    found = outlast("compare", "never.jsonl", "real.jsonl", "--gate", "--by", "team", "--json").json
    assert found["gate"][0]["decision"] == "PASS"
    assert "McNemar test" in found["method"]
    assert found["mde"] > 0
    assert sum(one["n"] for one in found["slices"]) == 120


def test_several_candidates(outlast, desk) -> None:
    outlast(*NEVER, "--save", "never.jsonl")
    outlast(*EVAL, "--save", "real.jsonl")
    (desk / "copy.jsonl").write_bytes((desk / "never.jsonl").read_bytes())
    table = outlast("compare", "never.jsonl", "real.jsonl", "copy.jsonl")
    assert table.code == 0
    assert "p of 2 candidates, Holm" in " ".join(table.out.split())
    gated = outlast("compare", "never.jsonl", "real.jsonl", "copy.jsonl", "--gate", "--json")
    assert gated.code == 2
    assert [gate["rule"] for gate in gated.json["gate"]] == [
        "real: the change has to be a gain",
        "copy: the change has to be a gain",
    ]
    assert gated.json["best"] == "real"
    assert outlast("compare", "never.jsonl", "real.jsonl", "copy.jsonl", "--require-better").code == 0
    assert outlast("compare", "never.jsonl", "copy.jsonl", "copy.jsonl").code == 2
    assert outlast("compare", "never.jsonl", "real.jsonl", "copy.jsonl", "--junit", "x.xml").code == 2


def test_the_files_for_ci(outlast, desk, monkeypatch) -> None:
    outlast(*NEVER, "--save", "never.jsonl")
    words = ("--gate", "--against", "never.jsonl", "--junit", "out.xml", "--markdown", "out.md", "--by", "team")
    assert outlast(*EVAL, *words).code == 0
    suites = ElementTree.parse(desk / "out.xml").getroot()
    assert [suite.attrib["tests"] for suite in suites] == ["120", "1"]
    text = (desk / "out.md").read_text()
    assert "✅ **PASS**: the change has to be a gain" in text
    assert "### Slices" in text
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(desk / "summary.md"))
    (desk / "summary.md").write_text("what another step wrote\n")
    assert outlast("compare", "never.jsonl", "never.jsonl", "--markdown", "out.md").code == 0
    summary = (desk / "summary.md").read_text()
    assert summary.startswith("what another step wrote\n## `Never` against `Never`")
    assert (desk / "out.md").read_text().startswith("## `Never`")
    assert outlast("compare", "never.jsonl", "never.jsonl", "--markdown", "summary.md").code == 0
    assert (desk / "summary.md").read_text().startswith(summary)
    assert (desk / "summary.md").read_text().count("## `Never`") == 2


def test_pages_show_slices_and_changes(outlast, desk) -> None:
    outlast(*NEVER, "--save", "never.jsonl")
    assert outlast(*EVAL, "--save", "real.jsonl", "--html", "real.html", "--by", "team").code == 0
    assert "<h2>By team</h2>" in (desk / "real.html").read_text()
    assert outlast("compare", "never.jsonl", "real.jsonl", "--by", "team", "--html", "change.html").code == 0
    page = (desk / "change.html").read_text()
    assert "Change by team" in page
    assert '<span class="verdict better">' in page
    assert outlast("compare", "never.jsonl", "real.jsonl", "never.jsonl", "--html", "all.html").code == 0
    assert "Score and cost" in (desk / "all.html").read_text()


def test_what_means_nothing_is_refused_before_anything_is_asked(outlast, desk) -> None:
    for options, said in (
        (("--min-score", "nan"), "--min-score is a finite number; got nan"),
        (("--gate", "--min-score", "inf"), "--min-score is a finite number; got inf"),
        (("--against", "x.jsonl", "--min-delta", "nan"), "--min-delta is a finite number; got nan"),
        (("--by", "teem"), "there is no field 'teem'. Did you mean 'team'? Fields: message, team"),
    ):
        refused = outlast(*EVAL, *options, "--save", "rows.jsonl")
        assert refused.code == (64 if "--gate" in options else 2)
        assert said in refused.err
        assert not (desk / "rows.jsonl").exists()


def test_an_evaluation_that_could_not_go_on_leaves_its_files(outlast, desk) -> None:
    stopped = outlast(
        *(
            "eval",
            "app.py:route",
            "data.jsonl",
            "--metric",
            "app.py:crashes",
            *LM,
            "--no-progress",
            "--max-errors",
            "1",
        ),
        *("--junit", "out.xml", "--markdown", "out.md", "--gate", "--min-score", "0.5", "--concurrency", "1"),
    )
    assert stopped.code == 3
    assert "more than max_errors=1 errors" in stopped.err
    (suite,) = ElementTree.parse(desk / "out.xml").getroot()
    assert suite.attrib["errors"] == "2"
    assert "errors after 2 of" in (desk / "out.md").read_text()


def test_a_gate_that_was_not_scored_is_no_pass(outlast) -> None:
    crashed = outlast(*EVAL[:4], "app.py:crashes", *LM, "--gate", "--min-score", "0.1")
    assert crashed.code == 1
    assert "nothing was scored" in crashed.err
