"""`outlast queue`: traces are chosen, kept as a queue, and listed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outlast.cli.app import main
from outlast.tracing.record import RunRecord, TraceRecord
from outlast.tracing.saving import WholeTrace
from outlast.tracing.store import open_store


@pytest.fixture
def path(tmp_path: Path) -> str:
    place = tmp_path / "traces.db"
    with open_store(place, create=True) as store:
        store.save_records(
            [],
            [
                WholeTrace(
                    TraceRecord(
                        f"{number:032x}",
                        name="AB"[number % 2],
                        started=1000.0 + number,
                        seconds=float(number),
                        status="error" if number == 3 else "ok",
                    )
                )
                for number in range(12)
            ],
        )
    return str(place)


def test_traces_are_chosen_and_kept(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["queue", path, "--strategy", "slow", "-n", "2", "--program", "A", "--name", "slow A"]) == 0
    said = capsys.readouterr()
    assert said.out.split() == [f"{10:032x}", f"{8:032x}"]
    assert "queue 'slow A': 2 of 6 traces, slow. Label them with: outlast view" in said.err
    with open_store(path) as store:
        assert store.queues()[0].trace_ids == (f"{10:032x}", f"{8:032x}")


def test_as_json_with_what_was_asked(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["queue", path, "--errors", "--label", "tone", "--criterion", "It is kind.", "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["trace_ids"] == [f"{3:032x}"]
    assert (told["label"], told["criterion"], told["filter"]) == ("tone", "It is kind.", {"status": "error"})


def test_queues_are_listed_with_how_far_they_are(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["queue", path, "-n", "5", "--name", "first"])
    ids = capsys.readouterr().out.split()
    with open_store(path) as store:
        store.add_label(ids[0], "pass")
        store.add_label(ids[1], None, note="hm")
        store.add_label(ids[2], "fail", source="judge")
    assert main(["queue", path, "--list"]) == 0
    assert capsys.readouterr().out.split()[1:] == ["1", "of", "5", "random", "first"]
    assert main(["queue", path, "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labelled"] == 1
    main(["queue", path, "--unlabelled", "-n", "12"])
    assert not set(ids[:3]) & set(capsys.readouterr().out.split())


def test_what_makes_no_sense_is_said(path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["queue", path, "--strategy", "slo"]) == 2
    assert "Did you mean 'slow'" in capsys.readouterr().err
    assert main(["queue", path, "--strategy", "costly"]) == 2
    assert "none of them qualifies" in capsys.readouterr().err
    assert main(["queue", path, "--criterion", "x"]) == 2
    assert main(["queue", str(tmp_path / "nothing.db")]) == 3
    assert not (tmp_path / "nothing.db").exists()


def test_traces_of_evaluations_are_left_out_unless_asked_for(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    with open_store(path) as store:
        run = RunRecord("e" * 32, "eval")
        store.save_records(
            [run], [WholeTrace(TraceRecord("f" * 32, name="E", status="ok", started=9.0, run_id=run.id))]
        )
    assert main(["queue", path, "--program", "E"]) == 2
    assert "1 of evaluations, compilations and replays was left out" in capsys.readouterr().err
    for asked in (["--evaluated"], ["--run", "e" * 32]):
        assert main(["queue", path, "--program", "E", "--name", asked[0][2:], *asked]) == 0
        assert capsys.readouterr().out.split() == ["f" * 32]
