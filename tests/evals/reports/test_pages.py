"""The pages of evaluations and comparisons: what they show, that they ask for nothing, and that nothing breaks out."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from outlast.data import Example
from outlast.errors import DataError
from outlast.evals import Evaluation, Score, compare, evaluate
from outlast.evals.epochs import Epochs
from outlast.evals.reports.comparison_page import marked
from outlast.messages import Spending

HOSTILE = "<script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>\"'{{ 7*7 }}"
DATA = [Example({"message": f"m{i} {HOSTILE if i == 3 else ''}"}, {"team": "ab"[i % 2], "n": i}) for i in range(40)]


def right(example, out):
    return out["team"] == example.team


def run(wrong, *, epochs=None, confidence=None, data=DATA, metric=right):
    seen: dict[str, int] = {}

    async def program(message):
        number = int(message[1:].split()[0])
        seen[message] = seen.get(message, 0) + 1
        if number == 7:
            raise ValueError(HOSTILE)
        said = {"team": "z" if wrong(number, seen[message]) else "ab"[number % 2], "reply": f"Dear you, {HOSTILE}"}
        return said if confidence is None else said | {"confidence": confidence}

    return evaluate(program, data, metric, progress=False, **({"epochs": epochs} if epochs else {}))


def written(thing, tmp_path, **options) -> str:
    path = tmp_path / "page.html"
    thing.to_html(path, **options)
    text = path.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<img" not in text
    assert not re.search(r"""(src|href|action)\s*=\s*["']|url\(|@import""", text), "a page asks for nothing"
    assert "default-src 'none'" in text
    assert text.count("<svg") == text.count("</svg>")
    return text


def test_the_page_of_an_evaluation_plots_slices(tmp_path):
    page = written(run(lambda n, _: n % 4 == 0), tmp_path, by=["team", lambda row: row.targets["n"] < 3])
    assert "<h2>By team</h2>" in page
    assert "dashed: all examples (74.4%)" in page
    assert 'aria-label="b: 100.0%' in page
    assert "<h2>By &lt;lambda&gt;</h2>" in page
    assert "too few" in page
    assert page.index("By team") < page.index("<h2>Errors</h2>") < page.index("<h2>Examples</h2>")
    with pytest.raises(DataError, match="has no field 'teams'"):
        run(lambda n, _: False).to_html(tmp_path / "x.html", by="teams")


def test_without_slices_parts_checks_or_confidence_the_page_has_no_such_section(tmp_path):
    page = written(run(lambda n, _: False), tmp_path)
    for section in ("By ", "Parts of the score", "Checks", "Calibration", "Flaky examples"):
        assert f"<h2>{section}" not in page


def test_epochs_that_disagree_are_listed(tmp_path):
    page = written(run(lambda n, time: n == 5 and time == 2, epochs=Epochs(3, "mean")), tmp_path)
    assert "1 of 40 examples pass in some epochs and not in others." in page
    marks = re.search(r'<td class="epochs">(.*?)</td>', page)[1]
    assert re.findall(r'aria-label="(\w+)"', marks) == ["pass", "fail", "pass"]
    assert "5, epoch 2" in page


def test_confidence_is_held_against_what_is_right(tmp_path):
    page = written(run(lambda n, _: n % 2 == 0, confidence=0.9), tmp_path)
    assert "39 answers came with a confidence. On average it is 41.3 points from the share that is right" in page
    assert "<h2>Calibration</h2>" in page


def test_confidence_may_be_a_part_of_the_score_and_not_of_grades(tmp_path):
    def decided(example, out):
        return Score(right(example, out), parts={"confidence": 0.75})

    page = written(run(lambda n, _: n % 4 == 0, metric=decided), tmp_path)
    assert "39 answers came with a confidence. On average it is 0.6 points from" in page
    graded = run(lambda n, _: False, confidence=0.9, metric=lambda example, out: 0.7)
    assert "<h2>Calibration</h2>" not in written(graded, tmp_path)


def test_parts_of_a_score_have_their_intervals(tmp_path):
    def scored(example, out):
        return Score(0.5, parts={"tone <b>": 0.25, "facts": 0.75})

    page = written(run(lambda n, _: False, metric=scored), tmp_path)
    assert "<h2>Parts of the score</h2>" in page
    assert 'aria-label="tone &lt;b&gt;: 25.0%' in page


def test_the_page_of_a_comparison_shows_verdict_slices_and_flips(tmp_path):
    before, after = run(lambda n, _: n % 2 == 0), run(lambda n, _: n == 11)
    comparison = compare(before, after, by="team")
    page = written(comparison, tmp_path)
    assert '<span class="verdict better">better</span>' in page
    assert "Change by team (p: Holm over the slices; intervals are not corrected)" in page
    assert re.search(r'passed before</th><td>18</td><td class="down">1 down</td>', page)
    assert re.search(r'failed before</th><td class="up">20 up</td><td>0</td>', page)
    assert "21 of 39 changed, worst first" in page
    assert page.index("m11") < page.index("m0 "), "worst first"
    assert "<del>b</del>" in page
    assert "<ins>z</ins>" in page
    assert "exact unconditional McNemar test" in page
    assert page.count("<details>") == 21
    assert written(comparison, tmp_path, limit=5).count("<details>") == 5


def test_a_comparison_of_grades_has_no_square_and_names_an_inconclusive_verdict(tmp_path):
    def graded(example, out):
        return 0.5 + example.n / 100 * (out["team"] == "z")

    before = run(lambda n, _: False, metric=graded)
    after = run(lambda n, _: n in (3, 4), metric=graded)
    page = written(compare(before, after), tmp_path)
    assert "passed before" not in page
    assert 'class="verdict inconclusive"' in page


def test_the_page_of_several_candidates_plots_score_against_cost(tmp_path):
    base = run(lambda n, _: n % 2 == 0)
    candidates = {"cheap": run(lambda n, _: n % 3 == 0), HOSTILE: run(lambda n, _: False)}
    page = written(compare(base, candidates), tmp_path)
    assert "<h2>Score and cost</h2>" in page
    assert "seconds an example (median)" in page
    assert page.count('<circle class="point') == 3
    assert "p corrected for 2 candidates: Holm" in page
    rows = [replace(row, spending=Spending(calls=1, dollars=0.02)) for row in candidates["cheap"].rows]
    page = written(compare(base, {"dear": Evaluation.of(base.about, rows)}), tmp_path)
    assert "dollars an example" in page
    assert '<td class="num">0.02</td>' in page


def test_words_that_changed_are_marked_and_escaped():
    old, new = marked("the <b> cat sat", "the <b> dog sat down")
    assert str(old) == "the &lt;b&gt; <del>cat</del> sat"
    assert str(new) == "the &lt;b&gt; <ins>dog</ins> sat<ins> down</ins>"
    assert tuple(map(str, marked("", "<i>"))) == ("", "&lt;i&gt;")
    long = "word " * 5000
    assert str(marked(long, long + "x")[1]).endswith("x")
