"""Plots: markup that parses, numbers where they belong, and nothing that a text can break."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from outlast.evals.reports.plots import (
    Bin,
    ForestRow,
    Point,
    bins_of,
    calibration_error,
    forest,
    reliability,
    scatter,
    ticks,
)
from outlast.evals.statistics import Interval, wilson

HOSTILE = "<script>alert(1)</script>\"'&"


def interval(low: float, high: float) -> Interval:
    return Interval(low, high, 0.95, "wilson")


def parsed(markup: str) -> ElementTree.Element:
    """The markup as a tree: it is well-formed XML too."""
    return ElementTree.fromstring(f"<x>{markup}</x>")


def drawn(row: ElementTree.Element) -> tuple[float, float, float]:
    """The ends of the interval and the place of the dot, in per cent of the width."""
    span = row.find(".//path[@class='span']").get("d")
    dot = row.find(".//path[@class='dot']").get("d")
    low, high = re.fullmatch(r"M([\d.]+) 10H([\d.]+)", span).groups()
    return float(low), float(high), float(re.fullmatch(r"M([\d.]+) 10h0", dot)[1])


def test_a_forest_draws_every_interval_to_one_scale_and_says_it_in_numbers():
    rows = [
        ForestRow("cards", 40, 0.6, interval(0.5, 0.7), note="fine"),
        ForestRow("fraud", 12, 0.2, interval(0.0, 0.4), tone="worse"),
    ]
    tree = parsed(forest("By team", rows, share=True, reference=0.5, last="note"))
    first, second = tree.findall(".//tbody/tr")
    axis = {float(mark.text): float(mark.get("x")[:-1]) for mark in tree.findall(".//tfoot//text")}
    assert axis[0] == 0
    assert drawn(second)[0] == 0
    per_point = (axis[60] - axis[0]) / 60
    assert drawn(first) == pytest.approx((50 * per_point, 70 * per_point, 60 * per_point), abs=0.02)
    assert [cell.text for cell in first.findall("td") if cell.text] == ["60.0%", "50.0..70.0", "fine", "40"]
    assert second.get("class") == "worse"
    assert first.find(".//title").text == "cards: 60.0%, interval 50.0..70.0"
    assert tree.find(".//caption").text == "By team"


def test_a_forest_of_differences_has_signs_and_leaves_out_what_is_unknown():
    unknown = Interval(-math.inf, math.inf, 0.95, "unknown")
    rows = [ForestRow("a", 3, -0.1, interval(-0.3, 0.1)), ForestRow("b", 1, 0.05, unknown)]
    tree = parsed(forest("Change", rows, share=True, signed=True, reference=0.0))
    first, second = tree.findall(".//tbody/tr")
    assert [cell.text for cell in first.findall("td") if cell.text] == ["-10.0", "-30.0..10.0", "3"]
    assert second.find(".//path[@class='span']") is None
    assert "unknown" in [cell.text for cell in second.findall("td")]


def test_a_forest_of_equal_shares_has_no_marks_beyond_all():
    unknown = Interval(-math.inf, math.inf, 0.95, "unknown")
    tree = parsed(forest("By vendor", [ForestRow("a", 5, 1.0, unknown)], share=True, reference=1.0))
    assert [span.text for span in tree.findall(".//tfoot//text")] == ["80", "85", "90", "95", "100"]


def test_a_scatter_names_its_points_side_by_side():
    points = [Point(f"model {i}", i / 10, 0.5 + i / 100, interval(0.4, 0.7)) for i in range(4)]
    points.append(Point("model 0 again", 0.0, 0.5, interval(0.4, 0.6), "better"))
    tree = parsed(scatter("Score and cost", points, share=True, x_name="dollars", y_name="score"))
    labels = tree.findall(".//text[@class='label']")
    places = {(label.get("x"), label.get("y")) for label in labels}
    assert len(labels) == len(places) == 5
    assert "model 2: score 52.0% at dollars 0.2" in tree.find(".//desc").text
    assert len(tree.findall(".//tbody/tr")) == 5
    circles = tree.findall(".//circle")
    assert {circle.get("class").strip() for circle in circles} == {"point", "point better"}
    heights = {circle.get("cy") for circle in circles}
    assert len(heights) == 4, "two points have the same score"


def test_a_reliability_diagram_shows_bins_and_their_size():
    bins = [Bin(0.55, 0.5, wilson(5, 10), 10), Bin(0.95, 0.9, wilson(90, 100), 100)]
    tree = parsed(reliability("Calibration", bins))
    small, large = (float(circle.get("r")) for circle in tree.findall(".//circle"))
    assert small < large
    assert [cell.text for cell in tree.findall(".//tbody/tr")[1]] == ["95.0%", "90.0%", "82.6..94.5", "100"]
    assert calibration_error(bins) == pytest.approx((10 * 0.05 + 100 * 0.05) / 110)


def test_bins_hold_confidences_of_one_tenth():
    bins = bins_of([(0.91, True), (1.0, False), (0.05, False), (0.3, True)])
    assert [(one.n, one.right) for one in bins] == [(1, 0), (1, 1), (2, 0.5)]
    assert bins[2].confidence == pytest.approx(0.955)
    assert bins[2].interval == wilson(1, 2)
    assert math.isnan(calibration_error([]))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.12, 0.93], [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ([-0.3, 0.26], [-0.4, -0.2, 0, 0.2, 0.4]),
        ([5, 5], [4.4, 4.6, 4.8, 5, 5.2, 5.4, 5.6]),
        ([0, 0], [-0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6]),
        ([0, 1234], [0, 250, 500, 750, 1000, 1250]),
        ([], [0, 0.2, 0.4, 0.6, 0.8, 1]),
    ],
)
def test_ticks_are_round_and_hold_all_values(values, expected):
    marks = ticks(values)
    assert marks == pytest.approx(expected)


def test_hostile_names_show_as_the_text_that_they_are():
    row = ForestRow(HOSTILE, 1, 0.5, interval(0.1, 0.9), cells=(HOSTILE,), note=HOSTILE, tone='"><b')
    point = Point(HOSTILE, 1.0, 0.5, interval(0.1, 0.9), '"><b')
    for markup in (
        forest(HOSTILE, [row], share=True, heads=(HOSTILE,), last=HOSTILE),
        scatter(HOSTILE, [point], share=True, x_name=HOSTILE, y_name=HOSTILE),
        reliability(HOSTILE, [Bin(0.5, 0.5, interval(0.1, 0.9), 3)]),
    ):
        assert "<script" not in markup
        assert "<b" not in markup
        assert parsed(markup).find(".//caption").text == HOSTILE
