"""The drawing of true and reported scores."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from outlast.cli.benching.curves import panels, series_of, spread, world_panel
from outlast.cli.benching.page import page
from outlast.cli.benching.records import Record
from outlast.cli.benching.summary import summarize

RECORDS = [
    Record(
        method, world, seed, budget, true=true + 0.01 * seed, reported=true + 0.05, start=0.3, best=0.9,
        rollouts=budget, proposer_calls=3, dollars=0.0001 * budget * cost, seconds=1.0,
    )
    for method, true, cost in (("Auto", 0.6, 1.0), ("<b>&Peer", 0.5, 2.0))
    for world in ("RuleBook", "NullLand")
    for seed in (0, 1)
    for budget in (300, 1000)
]  # fmt: skip


def test_series_are_joined_by_budget_the_best_first() -> None:
    series = series_of(summarize(RECORDS), "dollars", "true")
    assert [one.name for one in series] == ["Auto", "<b>&Peer"]
    assert [round(x, 4) for x, _, _ in series[1].points] == [0.06, 0.2]


def test_four_panels_are_well_formed_and_say_the_figures() -> None:
    svg = panels(summarize(RECORDS), "scores")
    root = ElementTree.fromstring(svg)
    name = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{name}g")) == 4
    assert len(root.findall(f".//{name}path[@class='line']")) == 8
    assert len(root.findall(f".//{name}path[@class='span']")) == 16
    assert "Auto at 300 rollouts: true 60.5, reported 65.0" in (root.findtext(f"{name}desc") or "")
    assert "<b>" not in svg


def test_points_lie_in_their_panel() -> None:
    svg = world_panel(summarize(RECORDS), "RuleBook", ["Auto"])
    wide, high = map(float, re.search(r'viewBox="0 0 (\d+) (\d+)"', svg).groups())
    for x, y in re.findall(r'<circle[^>]* cx="([\d.]+)" cy="([\d.]+)"', svg):
        assert 0 < float(x) < wide
        assert 0 < float(y) < high


def test_one_budget_and_one_seed_are_drawn() -> None:
    few = [one for one in RECORDS if one.budget == 300 and one.seed == 0 and one.method == "Auto"]
    svg = panels(summarize(few), "one")
    ElementTree.fromstring(svg)
    assert 'class="span"' not in svg


def test_names_keep_apart_and_inside() -> None:
    places = spread([50.0, 52.0, 51.0, 300.0], 13.0, 40.0, 290.0)
    ordered = sorted(places)
    assert all(b - a >= 13.0 - 1e-9 for a, b in zip(ordered, ordered[1:]))
    assert ordered[0] >= 40.0
    assert ordered[-1] <= 290.0
    assert places[0] < places[2] < places[1]
    assert spread([], 13.0, 0.0, 1.0) == []


def test_the_page_needs_nothing_else_and_escapes_names() -> None:
    text = page(RECORDS)
    assert "<script" not in text
    assert "src=" not in text
    assert "&lt;b&gt;&amp;Peer" in text
    assert "<b>" not in text
    assert text.count("<svg") == 3
    assert "2 worlds of the gym, 2 seeds, 16 runs" in text
