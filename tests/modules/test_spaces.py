from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import ArtifactError, UsageError
from outlast.modules.paths import spaces_of

HALF: Any = 0.5  # no type checker may object before the class does


class Search(ol.Module):
    """A module with one parameter of each kind."""

    rules = ol.param(ol.Text("Be brief.", description="what to keep to"))
    share = ol.param(ol.Float(0, 1, start=0.7))
    count = ol.param(ol.Int(1, 9))
    engine = ol.param(ol.Choice(["bm25", "dense", None]), "what finds passages")

    def forward(self, q: str) -> list[Any]:
        return [self.rules, self.share, self.count, self.engine]


def test_a_parameter_starts_where_its_space_does():
    assert Search()("x") == ["Be brief.", 0.7, 5, "bm25"]
    assert ol.parameters(Search()) == {"rules": "Be brief.", "share": 0.7, "count": 5, "engine": "bm25"}
    assert list(spaces_of(Search())) == ["rules", "share", "count", "engine"]


def test_it_changes_within_its_space_and_remembers_it():
    new = ol.update(Search(), {"share": 1, "count": 9, "engine": None, "rules": "Say why."})
    assert new("x") == ["Say why.", 1.0, 9, None]
    assert spaces_of(pickle.loads(pickle.dumps(new))) == spaces_of(Search())


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("share", 1.2, "'share' is a number from 0 to 1; got 1.2"),
        ("share", float("nan"), "from 0 to 1; got nan"),
        ("share", True, "from 0 to 1; got True"),
        ("count", 3.0, "'count' is a whole number from 1 to 9; got 3.0"),
        ("count", 0, "from 1 to 9; got 0"),
        ("engine", "splade", "'engine' is one of 'bm25', 'dense', None; got 'splade'"),
        ("rules", None, "'rules' is text; got None"),
    ],
)
def test_what_lies_outside_is_refused(path: str, value: Any, says: str):
    with pytest.raises(UsageError, match=says):
        ol.update(Search(), {path: value})


def test_one_is_not_true_in_a_choice():
    switch = ol.Choice([True, 1, "1"])
    assert [switch.check(value, "x") for value in (1, True, "1")] == [1, True, "1"]
    with pytest.raises(UsageError, match="got 1.0"):
        switch.check(1.0, "x")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ol.Float(1, 1), "low is below high"),
        (lambda: ol.Float(0, float("inf")), "finite"),
        (lambda: ol.Float(0, 1, start=2), "from 0 to 1; got 2"),
        (lambda: ol.Float(0, 1, log=True), "above 0"),
        (lambda: ol.Int(HALF, 2), "whole numbers"),
        (lambda: ol.Choice([]), "a list of values"),
        (lambda: ol.Choice("ab"), "a list of values"),
        (lambda: ol.Choice([object()]), "Give each a name"),
        (lambda: ol.Choice(["a"], start="b"), "one of 'a'"),
        (lambda: ol.Text(HALF), "takes texts"),
    ],
)
def test_spaces_that_mean_nothing_are_refused(make: Any, says: str):
    with pytest.raises(UsageError, match=says):
        make()


def test_a_scale_of_sizes_starts_in_its_geometric_middle():
    assert ol.Float(0.01, 1, log=True).start == pytest.approx(0.1)
    assert ol.Int(1, 100, log=True).start == 10


def test_a_file_cannot_leave_the_space(tmp_path: Path):
    path = ol.save(ol.update(Search(), {"count": 2}), tmp_path / "x.outlast.json")
    assert ol.load(path, Search()).count == 2
    path.write_text(path.read_text().replace('"count": 2', '"count": 99'))
    with pytest.raises(ArtifactError, match="from 1 to 9; got 99"):
        ol.load(path, Search())
