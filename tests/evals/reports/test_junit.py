"""JUnit XML that CI systems can read, whatever a model wrote."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from outlast.errors import DataError
from outlast.evals import About, Evaluation, Row, RowError, compare
from outlast.tracing.provenance import Provenance

ABOUT = About(program="Triage", program_hash="p" * 32, metric="correct", metric_hash="m" * 32, data_hash="d" * 32)
HOSTILE = 'a]]>\x00\x08\x1b\ud800\uffff<!-- "quoted" & \'</failure><testcase name="forged"/> \u202e'


def rows():
    return [
        Row(0, "a" * 32, {"q": 1}, {"team": "x"}, {"team": "x"}, 1.0, "pass", seconds=0.5),
        Row(1, "b" * 32, {"q": HOSTILE}, {"team": "x"}, {"team": HOSTILE}, 0.25, "fail", HOSTILE, seconds=1),
        Row(
            2,
            "c" * 32,
            {"q": 3},
            {},
            None,
            None,
            "error",
            error=RowError("program", "ValueError", HOSTILE, where="f:3"),
        ),
        Row(3, "d" * 32, {"q": 4}, {}, "?", None, "unscored", "the judge could not be read"),
    ]


def parse(path):
    """The document, checked against what the schemas of Ant and of Jenkins have in common."""
    root = ElementTree.parse(path).getroot()
    assert root.tag == "testsuites"
    for number, suite in enumerate(root):
        assert suite.tag == "testsuite"
        assert set(suite.attrib) == {
            *("id", "package", "name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname")
        }
        assert suite.attrib["id"] == str(number)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
        assert re.fullmatch(r"\d+\.\d{3}", suite.attrib["time"])
        assert suite.attrib["hostname"]
        assert [child.tag for child in suite if child.tag != "testcase"] == ["properties", "system-out", "system-err"]
        assert suite[0].tag == "properties"
        cases = suite.findall("testcase")
        assert all({"name", "classname", "time"} == set(case.attrib) for case in cases)
        assert all(len(case) <= 1 for case in cases)
        assert len({case.attrib["name"] for case in cases}) == len(cases) == int(suite.attrib["tests"])
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            found = suite.findall(f"testcase/{tag}")
            assert int(suite.attrib[name]) == len(found)
            assert all("message" in one.attrib for one in found)
            assert all("type" in one.attrib for one in found if tag != "skipped")
    return root


def test_each_example_is_a_case_and_hostile_text_is_text(tmp_path) -> None:
    Evaluation.of(ABOUT, rows()).to_junit(tmp_path / "out.xml")
    (suite,) = parse(tmp_path / "out.xml")
    assert suite.attrib["name"] == "Triage.correct"
    assert {suite.attrib[name] for name in ("failures", "errors", "skipped")} == {"1"}
    passed, failed, error, skipped = suite.findall("testcase")
    assert (passed.attrib["name"], len(passed), passed.attrib["time"]) == ("0 aaaaaaaaaaaa", 0, "0.500")
    assert failed[0].attrib["message"].startswith("score 0.25, below 1: a]]>")
    assert '<testcase name="forged"/>' in failed[0].attrib["message"]
    assert 'targets: {"team": "x"}' in failed[0].text
    assert (error[0].tag, error[0].attrib["type"]) == ("error", "ValueError")
    assert error[0].text.startswith("f:3\n")
    assert skipped[0].attrib["message"] == "the judge could not be read"


def test_properties_say_the_score_and_where_it_came_from(tmp_path) -> None:
    Evaluation.of(ABOUT, rows()).to_junit(tmp_path / "out.xml")
    found = {one.attrib["name"]: one.attrib["value"] for one in parse(tmp_path / "out.xml").iter("property")}
    assert float(found["score"]) == 0.625
    assert 0 <= float(found["interval.low"]) < 0.625 < float(found["interval.high"]) <= 1
    assert found["program_hash"] == "p" * 32
    assert found["metric_hash"] == "m" * 32
    assert found["data_hash"] == "d" * 32
    assert found["interval.method"]


def test_the_session_says_when_and_where(tmp_path) -> None:
    session = Provenance(
        "2026-11-29T08:00:00+00:00",
        "0.1",
        "3.12",
        "Linux",
        "ci-7",
        "/work",
        ("outlast",),
        commit="c" * 40,
        diff="x" * 999,
    )
    Evaluation.of(ABOUT, rows(), sessions=(session,)).to_junit(tmp_path / "out.xml")
    (suite,) = parse(tmp_path / "out.xml")
    assert (suite.attrib["timestamp"], suite.attrib["hostname"]) == ("2026-11-29T08:00:00", "ci-7")
    found = {one.attrib["name"]: one.attrib["value"] for one in suite.iter("property")}
    assert found["commit"] == "c" * 40
    assert "diff" not in found


def test_gates_are_a_suite_of_their_own(tmp_path) -> None:
    run = Evaluation.of(ABOUT, [rows()[0]])
    gates = [run.gate(0.1), run.gate(0.9), Evaluation.of(ABOUT, rows()[1:2] * 20).gate(0.95)]
    run.to_junit(tmp_path / "out.xml", gates)
    suite = parse(tmp_path / "out.xml")[1]
    assert suite.attrib["name"] == "gate"
    assert [[child.tag for child in case] for case in suite.findall("testcase")] == [[], ["skipped"], ["failure"]]


def test_long_values_are_cut(tmp_path) -> None:
    Evaluation.of(ABOUT, [Row(0, "i", {"q": "x" * 10**6}, {}, "y" * 10**6, 0.0, "fail", "z" * 10**6)]).to_junit(
        tmp_path / "out.xml"
    )
    assert (tmp_path / "out.xml").stat().st_size < 20_000
    parse(tmp_path / "out.xml")


def test_in_a_comparison_what_got_worse_is_a_failure(tmp_path) -> None:
    def run(scores):
        return Evaluation.of(
            ABOUT,
            [
                Row(i, f"id{i}", {"q": i}, {}, f"out{s}", float(s), "pass" if s else "fail")
                for i, s in enumerate(scores)
            ],
        )

    result = compare(run([1, 0, 1]), run([0, 1, 1]))
    result.to_junit(tmp_path / "out.xml", [result.gate()])
    suite, gate = parse(tmp_path / "out.xml")
    failed = [case for case in suite.findall("testcase") if len(case)]
    assert [case.attrib["name"] for case in failed] == ["0 id0"]
    assert failed[0][0].attrib["message"] == "score 1 -> 0"
    assert 'outputs before: "out1"' in failed[0][0].text
    assert gate.attrib["skipped"] == "1"


def test_rows_that_were_not_kept_cannot_be_written(tmp_path) -> None:
    with pytest.raises(DataError, match="were not kept"):
        Evaluation.of(ABOUT, [], kept=False).to_junit(tmp_path / "out.xml")
    assert not (tmp_path / "out.xml").exists()


def test_a_diff_is_no_property(tmp_path) -> None:
    session = Provenance("", "0", "3", "p", "h", "/", (), commit="c" * 40, diff="+secret plan", diff_hash="d" * 32)
    Evaluation.of(ABOUT, rows(), sessions=(session,)).to_junit(tmp_path / "r.xml")
    parse(tmp_path / "r.xml")
    assert "secret plan" not in (tmp_path / "r.xml").read_text()
