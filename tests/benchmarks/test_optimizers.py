"""What the benchmark of optimizers judges, and over which runs."""

from __future__ import annotations

from typing import Any

from benchmarks.optimizers import against_peers, honesty, jobs_of, rare

from outlast.cli.benching.records import Record


def record(method: str, world: str, seed: int, budget: int, true: float, **options: Any) -> Record:
    given: dict[str, Any] = {"reported": true, "start": 0.4, "best": 0.9, "rollouts": budget, "cpu_ms": 0.5}
    given |= {"proposer_calls": 1, "dollars": 0.1, "seconds": 1.0} | options
    return Record(method, world, seed, budget, true=true, **given)


def test_a_share_is_refuted_only_by_enough_runs() -> None:
    assert rare(0, 10)
    assert rare(1, 11)
    assert not rare(3, 11)
    assert rare(5, 100)
    assert not rare(10, 100)


def test_ours_are_compared_over_the_runs_that_both_have() -> None:
    ours = [record("Auto", "X", 100, 1000, 0.7), record("Auto", "X", 100, 300, 0.5), record("Auto", "Y", 100, 300, 0.9)]
    peers = [record("P", "X", 100, 300, 0.6), record("P", "X", 100, 1000, 0.6), record("P", "X", 100, 3000, 0.65)]
    bars = against_peers(ours, peers)
    assert [bar.met for bar in bars] == [False, True, True]
    assert "-10.0 points above P at 300 rollouts, 1 worlds" in bars[0].text
    assert "70.0 with 1,000 rollouts, P 65.0 with 3,000" in bars[2].text
    assert against_peers(ours[:1], peers[:1])[-1].met is None


def test_honesty_is_judged_where_seeds_tell() -> None:
    flattering = [record("Auto", "X", seed, 1000, 0.5, reported=0.6) for seed in range(6)]
    null = [record("Auto", "NullLand", seed, 300, 0.4, verdict="better") for seed in range(3)]
    bars = {bar.text.split(" in ")[0]: bar.met for bar in honesty([*flattering, *null])}
    assert bars["reported minus true +10.0 (+10.0..+10.0)"] is False
    assert bars["reported minus true"] is None
    assert bars['"better"'] is False
    assert bars["0.50 ms of CPU for a rollout outside the models (under 1)"] is True


def test_a_sample_has_every_world_and_all_seeds_of_nullland() -> None:
    from outlast.testing import gym

    jobs = jobs_of("Auto", False, [])
    assert {job.world for job in jobs} == set(gym.names())
    assert len({job.seed for job in jobs if job.world == "NullLand"}) == 10
    assert len(jobs_of("Auto", True, [])) == 10 * 3 * len(gym.names())
