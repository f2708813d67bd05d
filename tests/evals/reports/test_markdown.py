"""Summaries in Markdown, in which nothing that a model wrote is markup."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from outlast.evals import About, Evaluation, Row, RowError, compare
from outlast.evals.reports.markdown import code

ABOUT = About(program="Triage", program_hash="p" * 32, metric="correct", metric_hash="m" * 32, data_hash="d" * 32)
HOSTILE = (
    "| a | b |\n|---|---|\n| x | y |",
    "![pixel](https://evil.example/p.png)",
    "[click](javascript:alert(1))",
    "<img src=https://evil.example/p.png><script>alert(1)</script>",
    "`` ``` ` <b>bold</b> `",
    "\\` \\| \\",
    "https://evil.example www.evil.example a@evil.example @octocat #1",
    "# heading\n> quote\n- item\n\n```\ncode\n```",
    "text\u202egnp.exe\x1b[31m\x00\ud800",
    "&lt;b&gt; &#124; $x$",
    "|" * 40,
    "`" * 40,
)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)


def tags(markdown: str) -> list[str]:
    found = Tags()
    found.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))
    return found.tags


def run(scores, text="plain"):
    rows = [
        Row(i, f"id{i}", {"q": text, "lang": text}, {}, {"team": text}, float(s), "pass" if s else "fail", text)
        for i, s in enumerate(scores)
    ]
    rows.append(
        Row(99, "id99", {"q": text, "lang": text}, {}, None, None, "error", error=RowError("program", "E", text))
    )
    return Evaluation.of(ABOUT, rows)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_adds_nothing_to_the_page(text) -> None:
    plain, hostile = run([0, 1] * 6), run([0, 1] * 6, text)
    gates = [hostile.gate(0.5)]
    assert tags(hostile.to_markdown(gates, "lang")) == tags(plain.to_markdown(gates, "lang"))
    before = compare(run([1] * 12), run([0, 1] * 6), by="lang")
    after = compare(run([1] * 12, text), run([0, 1] * 6, text), by="lang")
    assert tags(after.to_markdown([after.gate()])) == tags(before.to_markdown([before.gate()]))
    assert "\x1b" not in after.to_markdown()
    assert "\u202e" not in after.to_markdown()


@given(st.text(min_size=1, max_size=60))
def test_any_text_is_one_cell_of_one_row(text) -> None:
    page = MarkdownIt("commonmark").enable("table").render(f"| a | b |\n|---|---|\n| {code(text)} | end |\n")
    assert page.count("<td") == 2
    assert page.count("<tr") == 2
    found = Tags()
    found.feed(page)
    assert set(found.tags) <= {"table", "thead", "tbody", "tr", "th", "td", "code"}


def test_code_shows_what_there_is() -> None:
    assert code("My card is gone") == "`My card is gone`"
    assert code("two\nlines | bar") == "`two ⏎ lines ¦ bar`"
    assert code("a `tick`") == "`` a `tick` ``"
    assert code("x" * 300) == f"`{'x' * 159}…`"
    assert code(" \n ") == "`⏎`"
    assert code("") == ""
    assert code("\x00") == ""


def test_an_evaluation_in_words() -> None:
    text = run([0, 1] * 6).to_markdown([run([0, 1] * 6).gate(0.99)], "lang")
    assert text.startswith("## `Triage` on `correct`\n")
    assert "❌ **FAIL**: the score has to be at least 99.0%. It is 46.2%" in text
    assert "**50.0% (95% CI " in text
    assert "| `plain` | 50.0%" in text
    assert "### Worst 6 of 6 failures" in text
    assert "| 1 | `E: plain` |" in text


def test_a_comparison_in_words() -> None:
    result = compare(run([1] * 12), run([0, 1] * 6), by="lang")
    text = result.to_markdown([result.gate(-0.02)])
    assert "## `Triage` against `Triage` on `correct`" in text
    assert "**FAIL**: the change has to be above -2.0 points. It is -50.0, 95" in text
    assert f"Method: {result.method}." in text
    assert "| `lang` `plain` | 100.0% | 50.0% | -50.0 (" in text
    assert "p: Holm over 1 slices" in text
    assert "### Changed examples (6 of 6, worst first)" in text


def test_several_candidates_in_words() -> None:
    base = run([0] * 12)
    text = compare(base, {"a|b": run([1] * 12), "same": base}).to_markdown()
    assert "## 2 candidates against `Triage`" in text
    assert "| `a¦b` | 0.0% | 100.0% | +100.0 (" in text
    assert "McNemar test; p of 2 candidates, Holm." in text
