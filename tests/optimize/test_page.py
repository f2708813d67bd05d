"""The report of a compile: one self-contained page in which nothing but outlast's own markup is markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.optimize.figures import WIDTH, axis_of, curve, forest, said
from outlast.optimize.page import line_diff, module_views, other_changes, render_page, write_page
from outlast.optimize.study import Point
from outlast.optimize.summary import changed_examples, exchanges, scores, summarize
from outlast.optimize.verdict import Verdict, judge
from outlast.optimize.words import models_words, search_words, source_words

EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)"> https://evil.example/x </td></table>{{ 7*7 }}{% raw %}'
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Outline(HTMLParser):
    """What a browser would make of a page: tags, attributes, text, and whether every tag is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.problems: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        self.problems += [f"{tag} is never closed" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"</{tag}> closes something else")

    def handle_data(self, data: str) -> None:
        self.text += data


def data(n: int = 90) -> list[ol.Example]:
    topics = {"cards": "card pin contactless", "loans": "loan mortgage rate", "app": "login crash update"}
    found = []
    for number in range(n):
        team = list(topics)[number % 3]
        words = f"{topics[team].split()[number % 3]} number {number} {EVIL if number % 5 == 0 else ''}"
        found.append(ol.Example({"message": words}, {"team": team}))
    return found


def right(example: ol.Example, out: Any) -> ol.Score:
    return ol.Score(float(out.team == example.team), feedback=f"expected {example.team} {EVIL}")


def program() -> ol.Predict[..., Any]:
    return ol.Predict("message -> team", instruction=f"Say the team. {EVIL}", fields={"message": EVIL})


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> ol.Compiled[Any]:
    search = ol.RandomSearch(candidates=3, max_demos=24)
    ledger = tmp_path_factory.mktemp("page") / "search.study.db"
    found = ol.compile(program(), data(), right, optimizer=search, lm="outlast/baseline", study=ledger, progress=False)
    assert found.report.verdict.word == "better", found.report
    return found


@pytest.fixture(scope="module")
def page(compiled: ol.Compiled[Any]) -> str:
    return render_page(compiled)


def test_the_page_is_well_formed_and_has_every_part(page: str) -> None:
    outline = Outline(page)
    assert outline.problems == []
    for part in ("Before and after", "Score against calls", "The prompt, before and after", "Candidates", "Held-out"):
        assert part in outline.text
    assert outline.tags.count("svg") == 3


def test_it_asks_for_nothing_and_runs_nothing(page: str) -> None:
    outline = Outline(page)
    assert not {"script", "img", "link", "iframe", "object", "embed", "form", "base", "audio", "video"} & set(
        outline.tags
    )
    assert not [name for name, _ in outline.attributes if name.startswith("on") or name in ("src", "href", "srcset")]
    policy = next(value for name, value in outline.attributes if name == "content" and "default-src" in value)
    assert "default-src 'none'" in policy
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    assert "url(" not in style.group(1)
    assert "@import" not in style.group(1)
    assert "prefers-color-scheme: dark" in style.group(1)
    assert "@media print" in style.group(1)
    assert "://" not in re.sub(r">[^<]*<", "><", page), "addresses stand in text only"


def test_hostile_text_is_shown_as_text(page: str) -> None:
    assert "<script>" not in page
    assert "<img" not in page
    outline = Outline(page)
    assert EVIL in outline.text, "in the instruction"
    assert outline.text.count("<script>alert(1)</script>") > 5, "in demonstrations, messages and feedback too"
    assert "49" not in re.findall(r"\{\{ (\S+) \}\}", outline.text)


def test_the_figures_are_those_of_the_report(compiled: ol.Compiled[Any], page: str) -> None:
    text = Outline(page).text
    verdict = compiled.report.verdict
    assert verdict.start is not None
    assert verdict.winner is not None
    assert verdict.paired is not None
    for value in (verdict.start.value, verdict.winner.value):
        assert f"{100 * value:.1f}%" in text
    assert f"{100 * verdict.paired.difference:+.1f} points" in text
    assert compiled.report.candidate.id in text
    assert compiled.report.record["metric"]["hash"] in text
    for part in compiled.report.record["data"].values():
        assert part["hash"] in text
    assert "optimistic" in text
    assert page.count('class="dot"') == len(compiled.report.points)


def test_every_demonstration_says_where_it_came_from(compiled: ol.Compiled[Any], page: str) -> None:
    text = Outline(page).text
    for demo in compiled.winner.demos:
        assert source_words(demo.source) in text


def test_candidates_are_those_of_the_ledger(compiled: ol.Compiled[Any], page: str) -> None:
    assert compiled.ledger is not None
    summary = summarize(compiled.ledger)
    for one in summary.candidates:
        assert (one.id in page) == (one.n > 0)
    assert page.count("winner</span>") == 1
    start = next(one for one in summary.candidates if one.id == "start")
    assert start.changes == {}
    assert summary.parts["confirm"] == compiled.report.record["data"]["confirm"]["n"]
    assert tuple(summary.points) == compiled.report.points


def test_the_ledger_tells_scores_and_changed_examples(compiled: ol.Compiled[Any]) -> None:
    verdict, winner = compiled.report.verdict, compiled.report.candidate.id
    assert compiled.ledger is not None
    assert verdict.paired is not None
    assert verdict.start is not None
    known = scores(compiled.ledger, "start", "confirm")
    assert sum(known) / len(known) == pytest.approx(verdict.start.value)
    pairs = changed_examples(compiled.ledger, "start", winner)
    assert sum(pair.change > 0 for pair in pairs) == verdict.paired.wins
    assert sum(pair.change < 0 for pair in pairs) == verdict.paired.losses
    assert [pair.change for pair in pairs] == sorted((pair.change for pair in pairs), reverse=True)
    assert set(pairs[0].targets) == {"team"}


def test_what_was_sent_is_there_to_the_letter(compiled: ol.Compiled[Any], page: str) -> None:
    assert compiled.ledger is not None
    winner = compiled.report.candidate.id
    pair = changed_examples(compiled.ledger, "start", winner)[0]
    (exchange,) = exchanges(compiled.ledger, winner, pair.example)
    rendered = compiled.winner.render(**pair.inputs)
    assert exchange.turns == tuple((message.role, message.text) for message in rendered)
    assert pair.after.outputs["team"] in exchange.reply
    text = Outline(page).text
    for _, words in exchange.turns:
        assert words in text
    assert exchanges(compiled.ledger, "nobody", pair.example) == ()


def test_reading_leaves_no_files_beside_a_ledger(compiled: ol.Compiled[Any]) -> None:
    assert compiled.ledger is not None
    summarize(compiled.ledger)
    assert [path.name for path in compiled.ledger.parent.iterdir()] == ["search.study.db"]


def test_writing(compiled: ol.Compiled[Any], tmp_path: Path) -> None:
    path = compiled.to_html(tmp_path / "new" / "report.html")
    assert Outline(path.read_text(encoding="utf-8")).problems == []
    with pytest.raises(ol.OutlastError, match="cannot write"):
        write_page(compiled, tmp_path)


class Graded(ol.Module):
    def __init__(self) -> None:
        self.route = ol.Predict("message -> team: Literal['cards', 'loans', 'app'], why: str")
        self.tone = ol.param(ol.Choice(["dry", "kind"]))

    async def forward(self, message: str) -> Any:
        return await self.route.acall(message=message)


def test_every_parameter_that_changed_is_shown() -> None:
    start = Graded()
    demos = tuple(ol.Demo({"message": f"m{n}", "team": "app", "why": "w"}, "hand") for n in range(44))
    changes = {
        "route.demos": demos,
        "route.shown": ol.Nearest(8),
        "route.order": ("why", "team"),
        "route.strategy": ol.ChainOfThought(),
        "route.adapter": ol.JSON(),
        "route.settings": ol.Settings(temperature=0.3),
        "tone": "kind",
    }
    winner = ol.update(start, changes)
    (view,) = module_views(start, winner)
    assert view.shows == "each call shows the 8 of the 44 whose inputs are most like its own"
    assert not view.shows_before
    assert ("order", "none", "why, team") in view.others
    assert ("settings", "none", "temperature=0.3") in view.others
    assert {name for name, _, _ in view.others} == {"order", "strategy", "adapter", "settings"}
    assert other_changes(start, winner) == [("tone", "dry", "kind")]
    assert other_changes(start, start) == []
    assert module_views(start, start)[0].others == ()


def test_the_page_says_what_a_call_shows_of_a_pool() -> None:
    search = ol.KNNFewShot(k=4)
    found = ol.compile(program(), data(), right, optimizer=search, lm="outlast/baseline", study=False, progress=False)
    pool = len(found.winner.demos)
    text = Outline(render_page(found)).text
    assert f"none before, {pool} after; each call shows the 4 of the {pool} whose inputs are most like its own" in text


def test_without_a_ledger_the_page_says_so() -> None:
    found = ol.compile(
        program(), data(), right, optimizer=ol.LabeledFewShot(k=3), lm="outlast/baseline", study=False, progress=False
    )
    outline = Outline(render_page(found))
    assert outline.problems == []
    assert "kept in memory" in outline.text
    assert "Held-out examples" not in outline.text


def test_no_gain_is_said_and_the_original_is_what_ships(tmp_path: Path) -> None:
    found = ol.compile(
        program(),
        data(),
        lambda example, out: 0.5,
        optimizer=ol.LabeledFewShot(k=3),
        lm="outlast/baseline",
        study=tmp_path / "s.db",
        progress=False,
    )
    outline = Outline(render_page(found))
    assert outline.problems == []
    assert "No proven gain" in outline.text
    assert "The program as it was is what" in outline.text


def test_a_search_that_found_nothing_still_has_a_page(tmp_path: Path) -> None:
    class Idle(ol.Optimizer):
        def rollouts(self, train: int, select: int) -> int:
            return 0

        async def search(self, study: ol.Study) -> Any:
            return study.start

    found = ol.compile(
        program(), data(), right, optimizer=Idle(), lm="outlast/baseline", study=tmp_path / "s.db", progress=False
    )
    outline = Outline(render_page(found))
    assert outline.problems == []
    assert outline.tags.count("svg") == 0
    assert "Nothing was changed." in outline.text


def test_scores_outside_the_unit_interval_are_not_per_cent(tmp_path: Path) -> None:
    found = ol.compile(
        program(),
        data(),
        lambda example, out: 250.0 * (out.team == example.team) - 100,
        optimizer=ol.RandomSearch(candidates=2, max_demos=24),
        lm="outlast/baseline",
        study=tmp_path / "s.db",
        progress=False,
    )
    outline = Outline(render_page(found))
    assert outline.problems == []
    start = found.report.verdict.start
    assert start is not None
    assert f"{start.value:.4g}" in outline.text


# The drawings


def test_an_axis_holds_its_values_and_has_round_ticks() -> None:
    axis = axis_of([0.546, 0.74, 0.478, 0.793], 100, 500, True)
    assert axis.low <= 0.478 < 0.793 <= axis.high
    assert [text for _, text in axis.ticks] == ["40%", "50%", "60%", "70%", "80%"]
    assert axis.at(axis.low) == 100
    assert axis.at(axis.high) == 500
    assert axis.at(-9) == 100, "what is outside is drawn on the edge"
    upside_down = axis_of([0, 1], 300, 20, True)
    assert upside_down.at(1) == 20


@pytest.mark.parametrize("values", [[0.0], [0.5, 0.5], [-3.0, 1e6], [1e-7, 2e-7], [0.0, 3.0], [1e9, 1e9 + 1]])
def test_an_axis_for_any_values(values: list[float]) -> None:
    axis = axis_of(values, 0, 100, False)
    assert axis.low <= min(values) <= max(values) <= axis.high
    pixels = [pixel for pixel, _ in axis.ticks]
    assert pixels == sorted(pixels)
    assert 2 <= len(pixels) <= 12


def test_the_forest_stays_inside_the_drawing() -> None:
    drawing = forest(judge([0.0, 1.0] * 20, [1.0] * 40, level=0.95, margin=0, seed=0))
    assert drawing is not None
    for bar in (*drawing.bars, drawing.gain):
        assert 0 < bar.low <= bar.mid <= bar.high < WIDTH
    assert drawing.gain.text == "+50.0 points"
    assert forest(Verdict("unproven", "stopped")) is None


def test_the_curve_has_a_dot_for_each_point() -> None:
    points = [Point(10, 10, "a", 0.4, 10), Point(30, 30, "b", 0.6, 20)]
    drawing = curve(points, Verdict("unproven", "stopped"))
    assert drawing is not None
    assert len(drawing.dots) == 2
    assert drawing.whiskers == ()
    first, second = drawing.dots
    assert second.x > first.x
    assert second.y < first.y, "higher scores are drawn higher"
    assert second.r > first.r, "more examples are drawn larger"
    assert "60.0% on 20 after 30 calls" in second.text
    assert curve([], Verdict("unproven", "stopped")) is None
    assert curve([Point(0, 0, "a", 0.0, 1)], Verdict("unproven", "stopped")) is not None


# The words


def test_words() -> None:
    assert source_words("example 0123456789abcdef") == "label of example 0123456789"
    assert source_words("example 0123456789abcdef answered by candidate fedcba9876543210") == (
        "own answer to example 0123456789 that the metric accepted (candidate fedcba9876)"
    )
    assert source_words("hand") == "hand"
    assert source_words("") == "unknown"
    assert models_words("a") == models_words(["a"]) == "a"
    assert models_words(["a", "b"]) == "a, b"
    assert models_words(None) == ""
    told = search_words({"optimizer": "LabeledFewShot", "k": 3, "seed": 7, "tried": 1, "rollouts": 2, "stopped": ""})
    assert told == "LabeledFewShot(k=3), seed 7"
    assert said(0.5, True) == "50.0%"
    assert said(12345.678, False) == "1.235e+04"


def test_texts_are_compared_line_by_line() -> None:
    assert [(line.kind, line.text) for line in line_diff("a\nb\nc", "a\nx\nc")] == [
        ("same", "a"),
        ("old", "b"),
        ("new", "x"),
        ("same", "c"),
    ]
