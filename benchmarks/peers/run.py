"""One run of a peer on one world, as a record of the form that `outlast bench-optimizers` reads."""

from __future__ import annotations

import contextlib
import io
import logging
import time
from functools import lru_cache
from typing import Any

from benchmarks.peers.environment import versions
from benchmarks.peers.meter import Proposer, Student

from outlast.cli.benching.records import Key, Record

RECORDED = ("gepa", "dspy.GEPA", "dspy.MIPROv2", "dspy.SIMBA", "dspy.BootstrapRS")
METHODS = (*RECORDED, "dspy.COPRO")


def run(key: Key) -> Record:
    """Run a peer until it ends or its rollouts are used up. Raises `KeyError` for a method that is none."""
    world = _world(key.world, key.seed)
    student = Student(world.lm(), key.budget * world.calls)
    proposer = Proposer(world.reflector())
    wall, cpu = time.perf_counter(), time.process_time()
    with _hushed():
        true, start, claimed, options = (_gepa if key.method == "gepa" else _dspy)(world, key, student, proposer)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rollouts = student.calls / world.calls
    return Record(
        *key[:1],
        world=key.world,
        seed=key.seed,
        budget=key.budget,
        true=true,
        reported=claimed,
        found=true,
        start=start,
        best=world.best(),
        rollouts=rollouts,
        proposer_calls=proposer.calls,
        dollars=student.dollars + proposer.dollars,
        seconds=wall,
        stopped=student.gone,
        about={**versions(), "options": options, "recalled": student.recalled, "cpu_s": round(cpu, 2)},
    )


@lru_cache(maxsize=16)
def _world(name: str, seed: int) -> Any:
    """A world, kept: its words and true scores are worked out once."""
    from outlast.testing import gym

    return gym.world(name, seed=seed)


def _gepa(world: Any, key: Key, student: Student, proposer: Proposer) -> tuple[float, float, float | None, Any]:
    from benchmarks.peers import gepa_peer

    program, claimed, options = gepa_peer.run(world, key.seed, key.budget, student, proposer)
    return world.expected(program), world.expected(world.program()), claimed, options


def _dspy(world: Any, key: Key, student: Student, proposer: Proposer) -> tuple[float, float, float | None, Any]:
    import dspy
    from benchmarks.peers import dspy_peers
    from benchmarks.peers.dspy_world import GymLM, program_of, requests_of, true_score

    peers = {
        "dspy.GEPA": dspy_peers.dspy_gepa,
        "dspy.MIPROv2": dspy_peers.mipro,
        "dspy.SIMBA": dspy_peers.simba,
        "dspy.BootstrapRS": dspy_peers.random_search,
        "dspy.COPRO": dspy_peers.copro,
    }
    bench = dspy_peers.Bench(world, key.seed, key.budget, student, proposer)
    with dspy.context(lm=GymLM(student), disable_history=True):
        found = peers[key.method](bench)
    same, ours = world.expected_from(requests_of(world, program_of(world))), world.expected(world.program())
    if abs(same - ours) > 1e-9:
        raise RuntimeError(f"{world!r}: the program to start from scores {same} in DSPy and {ours} here")
    return true_score(world, found.program), true_score(world, program_of(world)), found.claimed, found.options


@contextlib.contextmanager
def _hushed() -> Any:
    """Peers print and log much."""
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
