"""Results of optimizers as lines of a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from outlast.cli.benching.records import Key, Record, Results, read
from outlast.errors import DataError

ONE = Record("Auto", "NullLand", 3, 300, 0.5, 0.55, 0.5, 0.5, 290.0, 12, 0.4, 1.5, found=0.4, verdict="inconclusive")


def test_a_record_comes_back_from_its_line(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(ONE.to_line() + "\n")
    assert read(path) == [ONE]
    assert ONE.optimism == pytest.approx(0.05)
    assert replace(ONE, reported=None).optimism is None


def test_a_result_file_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "results.jsonl"
    first = Results(path)
    first.add(ONE)
    again = Results(path)
    assert Key("Auto", "NullLand", 3, 300) in again
    assert Key("Auto", "NullLand", 4, 300) not in again
    again.add(replace(ONE, seed=4))
    assert [one.seed for one in Results(path)] == [3, 4]
    assert again.only([Key("Auto", "NullLand", 4, 300), Key("Auto", "NullLand", 9, 300)]) == [replace(ONE, seed=4)]


def test_a_line_that_a_killed_process_left_is_passed_over_and_mended(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(ONE.to_line() + "\n" + replace(ONE, seed=4).to_line()[:40])
    results = Results(path)
    assert [one.seed for one in results] == [3]
    results.add(replace(ONE, seed=5))
    assert [one.seed for one in read(path)] == [3, 5]


def test_the_last_of_two_results_of_one_run_counts(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(ONE.to_line() + "\n" + replace(ONE, true=0.75).to_line() + "\n")
    assert [one.true for one in read(path)] == [0.75]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1"),
        ("[1]", "an object"),
        ('{"method": "A", "world": "W", "seed": 0, "budget": 300, "true": 1, "start": 1}', "it has no best"),
        ('{"method": "A", "world": "W", "seed": 0, "budget": 300, "true": "1", "start": 1, "best": 1}', "true is a nu"),
    ],
)
def test_other_lines_are_refused(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(line + "\n" + ONE.to_line() + "\n")
    with pytest.raises(DataError, match=said):
        read(path)


def test_fields_of_later_versions_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(ONE.to_line()[:-1] + ', "colour": "red"}\n')
    assert read(path) == [ONE]


def test_without_a_path_results_are_kept_in_memory() -> None:
    results = Results(None)
    results.add(ONE)
    assert list(results) == [ONE]
