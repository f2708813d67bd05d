"""Evaluations and compilations run again from their traces: the same result, and no model is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import LMReplayError
from outlast.evals.evaluate import evaluate
from outlast.messages import Request, Response
from outlast.optimize.compile import compile
from outlast.runtime import set_defaults
from outlast.samples.triage import Route, Triage, messages, triaged
from outlast.testing import ScriptedLM
from outlast.tracing.switch import flush

TEAMS = ("billing", "cards", "transfers", "identity")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("OUTLAST_SPLITS", "off")
    yield tmp_path / "traces.db"
    set_defaults(recording=None)
    flush()


class Moody(ol.LM):
    """Says something else each time, and now and then nothing that can be read."""

    name = "moody"
    blocking_safe = True

    def __init__(self, *, dead: bool = False) -> None:
        self.dead = dead
        self.calls = 0

    async def complete(self, request: Request) -> Response:
        assert not self.dead, "a model was asked"
        self.calls += 1
        if self.calls % 7 == 0:
            return Response("I would rather not say")
        return Response(f"<<team>>\n{TEAMS[self.calls % 4]}\n<<end>>")


def proposer(*, dead: bool = False) -> ScriptedLM:
    count = [0]

    def write(_: Any) -> dict[str, Any]:
        assert not dead, "a model was asked"
        count[0] += 1
        return {"instruction": f"Route the message, version {count[0]}.", "instructions": [f"version {count[0]}"]}

    return ScriptedLM(write, name="proposer")


def compiled(optimizer: Any, writer: ol.LM, folder: Path) -> dict[str, Any]:
    """The file of a compile, without the time in it."""
    found = compile(
        Triage(),
        messages()[:120],
        triaged,
        optimizer=optimizer,
        lm="outlast/baseline",
        proposer=writer,
        budget=ol.Budget(calls=700),
        study=False,
        progress=False,
    )
    found.save(folder / "compiled.outlast.json")
    data = json.loads((folder / "compiled.outlast.json").read_text())
    del data["record"]["compiled_at"]
    return data


@pytest.mark.parametrize(
    "optimizer", [ol.COPRO(), ol.GEPA(), ol.RandomSearch(candidates=1, max_demos=4)], ids=lambda o: type(o).__name__
)
def test_a_compile_with_a_proposer_replays_to_the_same_file(optimizer: Any, path: Path, tmp_path: Path) -> None:
    with ol.trace(store=path):
        first = compiled(optimizer, proposer(), tmp_path)
    store = ol.open_store(path)
    [run] = store.runs("compile")
    with ol.replaying(store, run.id) as answers:
        second = compiled(optimizer, proposer(dead=True), tmp_path)
    assert second == first
    assert answers.given > 100


@pytest.mark.parametrize("epochs", [1, 3])
def test_an_evaluation_of_a_model_with_moods_replays_row_by_row(epochs: int, path: Path) -> None:
    data = messages()[:40]
    route = ol.Predict(Route)
    options: dict[str, Any] = {"epochs": epochs, "progress": False, "concurrency": 8}
    with ol.trace(store=path):
        first = evaluate(route, data, ol.exact_match("team"), lm=Moody(), **options)
    with ol.replaying(path):
        second = evaluate(route, data, ol.exact_match("team"), lm=Moody(dead=True), **options)
    assert [(row.outputs, row.state, row.score) for row in second.rows] == [
        (row.outputs, row.state, row.score) for row in first.rows
    ]
    assert second.spending.calls == first.spending.calls


def test_an_evaluation_on_more_than_was_recorded_is_loud(path: Path) -> None:
    with ol.trace(store=path):
        evaluate(ol.Predict(Route), messages()[:5], ol.exact_match("team"), lm=Moody(), progress=False)

    def again() -> None:
        with ol.replaying(path):
            evaluate(ol.Predict(Route), messages()[:9], ol.exact_match("team"), lm=Moody(dead=True), progress=False)

    with pytest.raises(LMReplayError, match="is not in the recording"):
        again()


def test_batches_are_not_sent_within_a_replay(path: Path, tmp_path: Path) -> None:
    data = messages()[:5]
    with ol.trace(store=path):
        first = evaluate(ol.Predict(Route), data, ol.exact_match("team"), lm=Moody(), progress=False)
    with ol.replaying(path):
        second = evaluate(
            ol.Predict(Route),
            data,
            ol.exact_match("team"),
            lm=Moody(dead=True),
            transport=ol.Batches(tmp_path / "batches.db"),
            progress=False,
        )
    assert [row.outputs for row in second.rows] == [row.outputs for row in first.rows]


def test_streams_and_typed_decisions_replay(path: Path) -> None:
    class Deciding(ScriptedLM):
        async def complete(self, request: Request) -> Response:
            assert self.piece is not None, "a model was asked"
            return Response("<<team>>\ncards\n<<end>>" if "<<team>>" in request.messages[-1].text else "yes")

    live, dead = (Deciding([], name="d", piece=piece) for piece in (3, None))

    def ask(lm: ol.LM) -> tuple[str, Any]:
        with ol.context(lm=lm):
            events = ol.Predict(Route).stream(message="My card is gone")
            [final] = [event for event in events if isinstance(event, ol.Final)]
        return final.prediction.team, lm.decide("My card is gone", {"card": "Is it about a card?"}, samples=3).decisions

    with ol.trace(store=path):
        first = ask(live)
    with ol.replaying(path):
        assert ask(dead) == first
