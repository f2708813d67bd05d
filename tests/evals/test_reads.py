"""The ledger of readings of held-out data: what is counted, by whom, and that it never stops a run."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from outlast.data import Dataset
from outlast.errors import UsageError
from outlast.evals import evaluate
from outlast.evals.reads import Reads, is_held_out, note_read


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with git, in whose folder `src` we work."""
    monkeypatch.delenv("OUTLAST_SPLITS")
    (tmp_path / ".git" / "refs" / "heads").mkdir(parents=True)
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / ".git" / "refs" / "heads" / "main").write_text("0123456789abcdef0123456789abcdef01234567\n")
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")
    return tmp_path


def data(n: int = 60) -> Dataset:
    return Dataset.from_list([{"q": i, "a": i % 3} for i in range(n)], inputs=["q"])


def right(q):
    return q % 3


def wrong(q):
    return 4


def correct(example, out):
    return out == example.a


def entries(project: Path) -> list[dict]:
    file = project / ".outlast" / "splits.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines if line]  # one who saw half a line of another process begins a new one


def test_each_reading_of_a_test_split_is_a_line_and_is_told(project) -> None:
    train, test = data().split(train=0.5, test=0.5)
    first = evaluate(right, test, correct, progress=False)
    assert str(first.reads) == "split 'test' is read for the first time"
    evaluate(right, test, correct, progress=False)
    third = evaluate(wrong, test, correct, progress=False)
    assert (third.reads.count, third.reads.programs) == (3, 2)
    assert str(third.reads).startswith("split 'test' is read for the 3rd time, by 2 programs, since 20")
    assert evaluate(right, train, correct, progress=False).reads is None
    assert [one["program"] for one in entries(project)] == ["right", "right", "wrong"]
    line = entries(project)[0]
    assert (line["part"], line["data"], line["of"], line["read"]) == ("test", test.hash, len(test), len(test))
    assert (line["by"], line["metric"]) == ("evaluate", "correct")
    assert line["commit"] == "0123456789abcdef0123456789abcdef01234567"
    assert not (project / "src" / ".outlast").exists()


def test_it_is_shown_where_results_are_shown(project) -> None:
    result = evaluate(right, data().split(test=0.9).test, correct, progress=False)
    out = io.StringIO()
    result.print_table(file=out)
    assert "split 'test' is read for the first time" in out.getvalue()
    assert "Held-out data: split &#39;test&#39; is read for the first time." in result.to_markdown()
    result.to_html(project / "page.html")
    assert "is read for the first time" in (project / "page.html").read_text()


def test_some_of_a_part_in_any_order_is_the_part(project) -> None:
    test = data().split(test=0.9).test
    for some in (test, test.shuffle(1), test.sample(10), test[:5], test.filter(lambda example: example.q > 3)):
        assert some.part == "test"
        assert some.whole == test
        evaluate(right, some, correct, progress=False)
    assert [one["read"] for one in entries(project)][2:4] == [10, 5]
    assert evaluate(right, test, correct, progress=False).reads.count == 6
    assert test.split(0.5, 0.5)[0].part == "0"


def test_data_that_came_in_a_file_of_its_own_is_named(project) -> None:
    whole = data()
    assert whole.part == ""
    assert evaluate(right, whole, correct, progress=False).reads is None
    named = whole.named("test 2026")
    assert named == whole
    assert evaluate(right, named, correct, progress=False).reads.count == 1
    assert pickle.loads(pickle.dumps(named.sample(3))).whole.part == "test 2026"
    with pytest.raises(UsageError, match="a part of a split has a name"):
        whole.named("")


@pytest.mark.parametrize(
    ("part", "counted"),
    [
        *[(name, True) for name in ("test", "Test", "test_2026", "held_out", "holdout", "final", "proof", "confirm")],
        *[(name, False) for name in ("", "train", "dev", "validation", "0", "latest", "my test")],
    ],
)
def test_only_parts_named_like_held_out_data_are_counted(part, counted) -> None:
    assert is_held_out(part) is counted


def test_going_on_with_a_run_is_no_further_reading(project, tmp_path) -> None:
    test = data().split(test=0.9).test
    first = evaluate(right, test, correct, progress=False, save=tmp_path / "rows.jsonl")
    again = evaluate(right, test, correct, progress=False, save=tmp_path / "rows.jsonl", resume=True)
    assert first.reads.count == 1
    assert again.reads is None
    assert len(entries(project)) == 1


def test_it_can_be_elsewhere_or_off(project, monkeypatch) -> None:
    test = data().split(test=0.9).test
    monkeypatch.setenv("OUTLAST_SPLITS", str(project / "ours.jsonl"))
    assert evaluate(right, test, correct, progress=False).reads.count == 1
    assert (project / "ours.jsonl").read_text().count("\n") == 1
    monkeypatch.setenv("OUTLAST_SPLITS", "off")
    assert evaluate(right, test, correct, progress=False).reads is None
    assert entries(project) == []


def test_a_file_that_cannot_be_used_never_stops_a_run(project, monkeypatch) -> None:
    test = data().split(test=0.9).test
    (project / ".outlast").write_text("a file where the folder should be")
    assert evaluate(right, test, correct, progress=False).reads.count == 1
    monkeypatch.setenv("OUTLAST_SPLITS", str(project / "odd.jsonl"))
    good = json.dumps({"data": test.hash, "program_hash": "p", "time": "2026-01-02T03:04:05Z"})
    (project / "odd.jsonl").write_bytes(b'\xff\n[1]\nnull\n{"data": 3}\n' + good.encode() + b'\n{"torn": ')
    reads = evaluate(right, test, correct, progress=False).reads
    assert (reads.count, reads.since) == (2, "2026-01-02T03:04:05Z")


def test_processes_may_write_at_once(project) -> None:
    code = (
        "from outlast.data import Dataset\nfrom outlast.evals.reads import note_read\n"
        "data = Dataset.from_list([{'q': i} for i in range(9)], inputs=['q']).named('test')\n"
        "for i in range(50): note_read(data, 'p' * 2000, 'h', 'm', by='evaluate')\n"
    )
    workers = [subprocess.Popen([sys.executable, "-c", code], env=dict(os.environ)) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert len(entries(project)) == 150


def test_numbers_are_said_as_people_do() -> None:
    def said(count):
        return str(Reads("test", count, 1, "2026-01-01T00:00:00Z"))

    assert [said(n).split("the ")[1].split()[0] for n in (2, 3, 4, 11, 12, 13, 21, 111, 122)] == (
        ["2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "111th", "122nd"]
    )


def test_other_data_is_never_counted(project) -> None:
    assert note_read([1, 2], right, "h", "m", by="evaluate", part="test") is None
    assert note_read(data(), right, "h", "m", by="evaluate") is None
    assert entries(project) == []


def test_runs_that_begin_together_count_different_times_and_torn_lines_cost_none(project) -> None:
    (project / ".outlast").mkdir()
    (project / ".outlast" / "splits.jsonl").write_text('{"torn": ')
    script = (
        "import sys, time; from outlast.data import Dataset; from outlast.evals.reads import note_read\n"
        "test = Dataset.from_list([{'q': i} for i in range(9)], inputs=['q']).split(test=0.5).test\n"
        "print(*[note_read(test, None, 'p', 'm', by='evaluate').count for _ in range(50)])"
    )
    command = [sys.executable, "-c", script]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    counts = [int(word) for run in runs for word in run.communicate()[0].split()]
    assert sorted(counts) == list(range(1, 151))
