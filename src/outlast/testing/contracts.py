"""What every part that others may write must keep to, as one call to make in a test."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from outlast.data.example import Example, id_of
from outlast.errors import BudgetExceeded
from outlast.lms.protocol import LM
from outlast.messages import Request, Response, Usage
from outlast.modules.module import Module
from outlast.modules.paths import parameters, update
from outlast.optimize.budget import Purse
from outlast.optimize.candidate import Candidate, Outcome
from outlast.optimize.ledger import Ledger
from outlast.optimize.protocol import Optimizer
from outlast.optimize.setting import split_data
from outlast.optimize.study import Study
from outlast.runtime import Budget, run_blocking, running
from outlast.testing.world import Triage, World, right


def check_optimizer(optimizer: Optimizer, *, lm: LM | None = None) -> None:
    """Check that an optimizer keeps its side of the bargain; raises `AssertionError` with what it breaks.

    On a small two-module program it must: give a candidate that it proposed; do the same again for the same seed and
    results; run again on its own ledger without one call; stop when the budget ends, however small it is, and let
    `BudgetExceeded` pass; rank on selection examples only, and make demonstrations of training examples only; stay
    within `rollouts(...)`; leave the program as it was; have a `describe()` that is the same each time. All of it must
    hold whatever a proposer says: the optimizer is checked with one that writes, one that writes rubbish and one that
    cannot be read at all, unless `lm` answers the program and the modules that the optimizer asks itself.
    """
    assert optimizer.describe() == optimizer.describe(), "describe() gives something else each time"
    world = World(examples=80)
    if lm is not None:
        _check(optimizer, world, _Counting(lm))
        return
    writer = Writing(world.lm())
    _check(optimizer, world, _Counting(writer))
    if writer.asked:  # for nothing, what a proposer says makes no difference
        _check(optimizer, world, _Counting(Writing(world.lm(), rubbish=True)))
        _check(optimizer, world, _Counting(world.lm()))


def _check(optimizer: Optimizer, world: World, model: _Counting) -> None:
    program = Triage()
    before = dict(parameters(program))
    parts = {name: list(part) for name, part in split_data(world.data(), 0).items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.study.db"
        winner, study = _search(optimizer, program, parts, model, path)
        _check_winner(winner, study, program)
        _check_costs(optimizer, study, parts)
        first, calls = _results(study), model.calls
        again, resumed = _search(optimizer, program, parts, model, path)
        assert model.calls == calls, (
            f"running again on the same ledger made {model.calls - calls} calls; resume is free"
        )
        assert again == winner, f"the same search on its own ledger chose {again.id} instead of {winner.id}"
        assert list(resumed.candidates) == list(study.candidates), "running again proposed other candidates"
        fresh, repeated = _search(optimizer, program, parts, model, Path(folder) / "two.study.db")
        assert fresh == winner, f"the same seed chose {fresh.id} instead of {winner.id}; draw from study.rng(...) only"
        assert _results(repeated) == first, "the same seed ran other rollouts; draw from study.rng(...) only"
        for allowed in sorted({1, calls // 10, calls // 2} & set(range(1, calls))):
            _check_budget(optimizer, program, parts, model, Path(folder), calls, allowed)
    after = dict(parameters(program))
    assert after == before, "the optimizer changed the program; propose changes instead"


class Writing(LM):
    """A model that answers for `inner` what it cannot: it fills every output of a module that writes proposals.

    Texts are short and differ from request to request, lists have an item or two. With `rubbish` the outputs are
    empty, endless or of another type. `asked` counts what it answered.
    """

    def __init__(self, inner: LM, *, rubbish: bool = False) -> None:
        self.inner = inner
        self.name = f"{inner.name}{'-rubbish' if rubbish else '-writing'}"
        self.capabilities = inner.capabilities
        self.blocking_safe = inner.blocking_safe
        self.rubbish = rubbish
        self.asked = 0

    async def complete(self, request: Request) -> Response:
        """What the inner model says, or an answer in the form that the request asks for."""
        asked = re.findall(r"<<(\w+)>>", request.messages[-1].text.rpartition("Reply with ")[2])
        if not asked or "team" in asked or "urgent" in asked:
            return await self.inner.complete(request)
        self.asked += 1
        digest = hashlib.blake2b(f"{request.sample}".encode(), digest_size=4)
        for message in request.messages:
            digest.update(message.text.encode())
        draw = int.from_bytes(digest.digest(), "big")
        head = request.messages[0].text
        fields = "".join(f"<<{name}>>\n{self._value(name, head, draw)}\n\n" for name in asked if name != "end")
        return Response(f"{fields}<<end>>", self.name, usage=Usage(1, 1, cost=0.001, cost_source="simulated"))

    def _value(self, name: str, head: str, draw: int) -> str:
        listed = re.search(rf"- {name} \(JSON", head) is not None
        if self.rubbish:
            return ("", "x" * 50_000, "{}", "[null]", "<<<>>>")[draw % 5]
        line = f"Rule {draw % 97}: look at word {draw % 7} of the message."
        if not listed:
            return line
        edit = {"op": "add", "line": "", "text": line}
        return json.dumps([edit if "edit" in name else line])


class _Counting(LM):
    """Counts what a model is asked."""

    def __init__(self, inner: LM) -> None:
        self.inner = inner
        self.name = inner.name
        self.capabilities = inner.capabilities
        self.blocking_safe = inner.blocking_safe
        self.calls = 0

    @property
    def identity(self) -> str:
        return self.inner.identity

    async def complete(self, request: Any) -> Any:
        """Ask the model."""
        self.calls += 1
        return await self.inner.complete(request)


def _search(
    optimizer: Optimizer,
    program: Module,
    parts: Mapping[str, Sequence[Example]],
    lm: LM,
    path: Path,
    budget: Budget | None = None,
) -> tuple[Candidate, Study]:
    async def run() -> tuple[Candidate, Study]:
        ledger = Ledger(path, {"contract": "check_optimizer"})
        purse = Purse(budget or Budget())
        study = Study(program, right, train=parts["train"], select=parts["select"], ledger=ledger, purse=purse)
        try:
            with running(lm=lm), study.stage("search"):
                optimizer.check(study)
                return await asyncio.wait_for(optimizer.search(study), 300), study
        finally:
            study.close()
            ledger.close()

    return run_blocking(run)


def _results(study: Study) -> list[Outcome]:
    """All rollouts of a study, without what differs from run to run."""
    found = [outcome for outcome in study.outcomes if outcome.candidate in study.candidates]
    return sorted(
        (Outcome(o.candidate, o.example, o.sample, o.state, o.score) for o in found),
        key=lambda o: (o.candidate, o.example, o.sample),
    )


def _check_winner(winner: Any, study: Study, program: Module) -> None:
    assert isinstance(winner, Candidate), f"search(...) gives a Candidate; got {winner!r}"
    assert winner.id in study.candidates, f"search(...) gave {winner.id!r}, which it did not propose"
    built = study.build(winner)
    assert update(program, dict(winner.changes)) == built, "the changes of the winner do not make its program"
    train = {id_of(example) for example in study.train}
    for candidate in study.candidates.values():
        for path, value in candidate.changes.items():
            if path.rpartition(".")[2] != "demos":
                continue
            for demo in value:
                words = demo.source.split(" ")
                source = words[1] if words[0] == "example" and len(words) > 1 else ""
                assert not source or source in train, (
                    f"{candidate.id} shows example {source} at {path!r}, which is no training example"
                )


def _check_costs(optimizer: Optimizer, study: Study, parts: Mapping[str, Sequence[Example]]) -> None:
    promised = optimizer.estimate(study.program, len(parts["train"]), len(parts["select"]))
    assert study.rollouts <= promised, (
        f"rollouts(...), or estimate(...), promises at most {promised}; the search used {study.rollouts}"
    )
    confirm = {id_of(example) for example in parts["confirm"]}
    for outcome in study.outcomes:
        assert outcome.example not in confirm, "the search ran on an example of the part that proves its winner"


def _check_budget(
    optimizer: Optimizer,
    program: Module,
    parts: Mapping[str, Sequence[Example]],
    lm: _Counting,
    folder: Path,
    needed: int,
    allowed: int,
) -> None:
    before = lm.calls
    try:
        _, study = _search(optimizer, program, parts, lm, folder / f"{allowed}.study.db", Budget(calls=allowed))
    except BudgetExceeded:
        pass
    else:
        assert study.purse.refused is None, (
            f"the search needs {needed} calls and went on after its budget of {allowed} was used up; let "
            f"BudgetExceeded pass"
        )
    made = lm.calls - before
    assert made <= allowed, f"a budget of {allowed} calls paid for {made}"
