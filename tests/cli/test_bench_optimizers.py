"""`outlast bench-optimizers`: what it runs, keeps and shows."""

from __future__ import annotations

import argparse
import json
from typing import Any

import pytest

from outlast.cli.bench_optimizers import numbers
from outlast.cli.benching.job import Job, run_job
from outlast.cli.benching.metered import Metered
from outlast.cli.benching.optimizers import optimizer_of
from outlast.cli.benching.pool import run_all
from outlast.cli.benching.records import Record, Results
from outlast.errors import UsageError
from outlast.messages import Message, Request
from outlast.optimize.random_search import RandomSearch
from outlast.testing import ScriptedLM

SMALL = ("--worlds", "NullLand", "--seeds", "0-1", "--budgets", "300", "--processes", "1", "--no-progress")


def test_it_runs_shows_and_goes_on_where_it_was(outlast, desk) -> None:
    words = ("bench-optimizers", "RandomSearch(candidates=2)", *SMALL, "--out", "x.jsonl")
    first = outlast(*words)
    assert first.code == 0
    assert "300 rollouts: 1 world, 2 seeds, 2 runs of each method" in first.out
    lines = (desk / "x.jsonl").read_text().splitlines()
    assert [json.loads(line)["seed"] for line in lines] == [0, 1]
    (desk / "x.jsonl").write_text(lines[0] + "\n" + lines[1].replace('"true": 0.5', '"true": 0.9') + "\n")
    again = outlast(*words, "--html", "x.html", "--svg", "x.svg")
    assert again.out != first.out  # what the file has is not run again
    assert (desk / "x.html").read_text().count("<svg") == 2
    assert (desk / "x.svg").read_text().startswith("<svg")


def test_results_of_others_are_shown_beside_for_the_same_runs(outlast, desk) -> None:
    peers = [_record("peer", "NullLand", 0, 0.25), _record("peer", "RuleBook", 0, 0.75), _record("peer", "NullLand", 7)]
    (desk / "peers.jsonl").write_text("".join(one.to_line() + "\n" for one in peers))
    words = ("bench-optimizers", "RandomSearch(candidates=1)", *SMALL, "--seeds", "0", "--against", "peers.jsonl")
    shown = outlast(*words).out
    assert "peer" in shown
    assert "25.0" in shown
    assert "75.0" not in shown
    rows = outlast(*words, "--json").lines
    assert [(row["method"], row["world"], row["seed"]) for row in rows] == [
        ("RandomSearch(candidates=1)", "NullLand", 0),
        ("peer", "NullLand", 0),
    ]
    alone = outlast("bench-optimizers", "--against", "peers.jsonl")
    assert "RuleBook" in alone.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("Atuo",), "did you mean 'Auto'"),
        (("RandomSearch(candidates=open('x'))",), "a plain value"),
        (("RandomSearch(8)",), "written Name or Name(option=value"),
        (("RandomSearch(colour=8)",), "colour"),
        (("Study",), "no optimizer 'Study'"),
        (("Auto", "--worlds", "RuleBok"), "did you mean 'RuleBook'"),
        (("Auto", "--strength", "2"), "from 0 to 1"),
        (("Auto", "--budgets", "300,30"), "--budgets are rollouts, 40 at least"),
        (("--against", "none.jsonl"), "there is no 'none.jsonl'"),
        ((), "nothing to show"),
    ],
)
def test_bad_words_are_refused_before_anything_runs(outlast, words: tuple[str, ...], said: str) -> None:
    result = outlast("bench-optimizers", *words)
    assert result.code == 2
    assert said.lower() in result.err.lower()


def test_numbers() -> None:
    assert numbers("0-2,100, 1") == [0, 1, 2, 100]
    for wrong in ("", "a", "3-", "-3", "5-2"):
        with pytest.raises(argparse.ArgumentTypeError):
            numbers(wrong)


def test_options_of_optimizers_are_plain_values() -> None:
    assert optimizer_of("RandomSearch(candidates=3)") == RandomSearch(candidates=3)
    with pytest.raises(UsageError, match="written Name"):
        optimizer_of("__import__('os').system('true')")
    with pytest.raises(UsageError, match="written Name"):
        optimizer_of("RandomSearch(**{})")


def test_a_job_is_scored_by_what_the_world_knows() -> None:
    from outlast.testing import gym

    record = run_job(Job("RandomSearch(candidates=2)", "DemoShelf", 0, 400))
    world: Any = gym.world("DemoShelf", seed=0)
    assert record.start == world.expected(world.program())
    assert record.best == world.best()
    assert record.start <= record.true <= record.best
    assert record.true in (record.start, record.found)
    assert record.reported is not None
    assert 0 < record.rollouts <= 400
    assert record.proposer_calls == 0
    assert record.cpu_ms is not None
    assert record.cpu_ms > 0
    again = run_job(Job("RandomSearch(candidates=2)", "DemoShelf", 0, 400))
    assert (again.true, again.reported, again.verdict) == (record.true, record.reported, record.verdict)


def test_a_metered_model_counts_calls_dollars_and_its_own_time() -> None:
    model = Metered(ScriptedLM(lambda _: "x", price=0.25))
    for _ in range(3):
        assert model([Message("user", "hi")]).text == "x"
    assert (model.calls, model.dollars) == (3, 0.75)
    assert model.cpu > 0
    assert model.identity == model.inner.identity
    request = Request((Message("user", "hi"),))
    assert model.bound(request) == model.inner.bound(request)


def test_what_is_done_is_kept_when_a_job_fails(tmp_path) -> None:
    def run(job: Job) -> Record:
        if job.seed == 2:
            raise RuntimeError("the third breaks")
        return _record(job.method, job.world, job.seed)

    told: list[int] = []
    results = Results(tmp_path / "x.jsonl")
    jobs = [Job("A", "NullLand", seed, 300) for seed in range(4)]
    with pytest.raises(RuntimeError, match="third"):
        run_all(jobs, results, processes=1, told=lambda done, of, record: told.append(done), run=run)
    assert [one.seed for one in Results(tmp_path / "x.jsonl")] == [0, 1]
    assert told == [1, 2]


@pytest.mark.slow
def test_processes_give_the_same_as_one(tmp_path) -> None:
    jobs = [Job("RandomSearch(candidates=1)", "NullLand", seed, 300) for seed in range(2)]
    alone, many = Results(None), Results(None)
    run_all(jobs, alone, processes=1, told=lambda done, of, record: None)
    run_all(jobs, many, processes=2, told=lambda done, of, record: None)
    said = [{one.key: (one.true, one.reported, one.verdict) for one in some} for some in (alone, many)]
    assert said[0] == said[1]


def _record(method: str, world: str, seed: int, true: float = 0.5) -> Record:
    return Record(method, world, seed, 300, true, true, 0.5, 0.9, 300.0, 0, 0.0, 1.0)
