"""Batches: half the price, nothing paid twice, whatever breaks in between."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import (
    BudgetExceeded,
    ConfigError,
    LMAuthError,
    LMConnectionError,
    LMRequestError,
    LMServerError,
    LMTimeout,
    UsageError,
)
from outlast.lms.batch.batched import Batched, Batches
from outlast.lms.batch.store import BatchStore
from outlast.lms.batch.wire import ANTHROPIC, OPENAI, Result, wire_for
from outlast.lms.prices import Price
from outlast.lms.protocol import LM
from outlast.testing import FakeServer, Fault, ScriptedLM

QUICK: dict[str, Any] = {"idle": 0.15, "poll": (0.02, 0.05)}
HALF = Price(10, 10, tiers={"batch": 0.5})


def opened(server: FakeServer, **options: Any) -> LM:
    return LM("openai/gpt-5-mini", base_url=server.url, **{"cache": False, "price": HALF, **options})


def batched(server: FakeServer, path: Path, **options: Any) -> Batched:
    return Batched(opened(server), path / "b.db", **{**QUICK, **options})


async def all_of(lm: LM, count: int, start: int = 0) -> list[Any]:
    asked = (lm.acall(f"question {number}") for number in range(start, start + count))
    return await asyncio.gather(*asked, return_exceptions=True)


def batches_of(server: FakeServer) -> list[Any]:
    return list(server.batches.batches.values())


async def test_calls_at_the_same_time_are_one_batch_at_half_the_price(tmp_path: Path):
    with FakeServer(batch_delay=0.1) as server:
        answers = await all_of(batched(server, tmp_path), 50)
    assert [answer.text for answer in answers] == [f"question {number}" for number in range(50)]
    assert len(batches_of(server)) == 1
    first = answers[0]
    assert (first.tier, first.cache) == ("batch", "miss")
    assert first.usage.cost == pytest.approx(4 * 10 / 1e6 / 2)
    assert first.usage.cost_source == "user, tier batch"
    assert first.queued_seconds >= 0.1


async def test_what_came_back_once_is_never_sent_again(tmp_path: Path):
    with FakeServer() as server:
        await all_of(batched(server, tmp_path), 5)
        lm = batched(server, tmp_path)  # as after a restart
        again = await all_of(lm, 8)
        assert [answer.cache for answer in again] == ["hit"] * 5 + ["miss"] * 3
        assert [len(batch.requests) for batch in batches_of(server)] == [5, 3]
        assert server.count == 8


async def test_equal_questions_are_one_request_paid_once(tmp_path: Path):
    with FakeServer() as server:
        lm = batched(server, tmp_path)
        with ol.budget(dollars=1) as spent:
            answers = await asyncio.gather(*(lm.acall("same", max_tokens=9) for _ in range(10)))
    assert server.count == 1
    assert sorted(answer.cache for answer in answers) == ["miss"] + ["shared"] * 9
    assert (spent.calls, spent.cached) == (1, 9)


def test_threads_and_blocking_programs_share_a_batch(tmp_path: Path):
    with FakeServer(batch_delay=0.1) as server:
        lm = batched(server, tmp_path)
        texts: list[str] = []
        threads = [threading.Thread(target=lambda n=n: texts.append(lm(f"thread {n}").text)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert sorted(texts) == [f"thread {number}" for number in range(8)]
    assert len(batches_of(server)) == 1


async def test_a_batch_is_no_larger_than_asked(tmp_path: Path):
    with FakeServer() as server:
        answers = await all_of(batched(server, tmp_path, most=20), 50)
    assert all(isinstance(answer, ol.Response) for answer in answers)
    assert [len(batch.requests) for batch in batches_of(server)] == [20, 20, 10]


async def test_settings_schema_and_samples_reach_the_batch(tmp_path: Path):
    with FakeServer() as server:
        lm = Batched(opened(server, seed=5), tmp_path / "b.db", **QUICK)
        await asyncio.gather(lm.acall("q", max_tokens=7), lm.acall("q", max_tokens=7, sample=1))
        (batch,) = batches_of(server)
    assert [body["seed"] for body in batch.requests.values()] == [5, 5]
    assert {body["max_completion_tokens"] for body in batch.requests.values()} == {7}
    assert len(batch.requests) == 2


async def test_items_that_fail_for_good_are_errors_of_their_own(tmp_path: Path):
    def handler(body: dict[str, Any]) -> Any:
        text = body["messages"][-1]["content"]
        return Fault.error(400, "no such thing", code="bad") if text.endswith(("3", "7")) else text

    with FakeServer(handler) as server:
        answers = await all_of(batched(server, tmp_path), 10)
        assert [type(answer) for answer in answers].count(LMRequestError) == 2
        assert isinstance(answers[3], LMRequestError)
        assert "no such thing" in str(answers[3])
        assert answers[3].request.messages[0].text == "question 3"
        assert answers[4].text == "question 4"
        assert len(batches_of(server)) == 1


async def test_items_that_fail_in_passing_go_into_a_later_batch(tmp_path: Path):
    failures = {"question 2": 2, "question 5": 99}

    def handler(body: dict[str, Any]) -> Any:
        text = body["messages"][-1]["content"]
        if failures.get(text, 0) > 0:
            failures[text] -= 1
            return Fault.error(503, "busy")
        return text

    with FakeServer(handler) as server:
        answers = await all_of(batched(server, tmp_path, retries=2), 8)
        assert answers[2].text == "question 2"
        assert isinstance(answers[5], LMServerError)
        assert [len(batch.requests) for batch in batches_of(server)] == [8, 2, 2]


async def test_what_expired_is_sent_again_and_the_rest_is_kept(tmp_path: Path):
    with FakeServer(batch_delay=None) as server:
        work = asyncio.create_task(all_of(batched(server, tmp_path), 10))
        await asyncio.to_thread(until, lambda: len(batches_of(server)) == 1)
        await asyncio.to_thread(server.finish_batches, 6)  # the other 4 expire
        await asyncio.to_thread(until, lambda: len(batches_of(server)) == 2)
        await asyncio.to_thread(server.finish_batches)
        answers = await work
        assert [answer.text for answer in answers] == [f"question {number}" for number in range(10)]
        assert [len(batch.requests) for batch in batches_of(server)] == [10, 4]
        assert server.count == 10


async def test_what_expires_again_and_again_is_an_error(tmp_path: Path):
    with FakeServer(batch_delay=None) as server:
        work = asyncio.create_task(all_of(batched(server, tmp_path, retries=1), 2))
        for number in (1, 2):
            await asyncio.to_thread(until, lambda number=number: len(batches_of(server)) == number)
            await asyncio.to_thread(server.finish_batches, 0)
        answers = await work
    assert [type(answer) for answer in answers] == [LMTimeout, LMTimeout]
    assert "batch_expired" in str(answers[0])


async def test_a_batch_that_somebody_cancelled_is_not_sent_again(tmp_path: Path):
    with FakeServer(batch_delay=None) as server:
        work = asyncio.create_task(all_of(batched(server, tmp_path), 3))
        await asyncio.to_thread(until, lambda: len(batches_of(server)) == 1)
        await asyncio.to_thread(lambda: server.finish_batches(1, cancel=True))
        answers = await work
        assert sum(isinstance(answer, LMRequestError) and "cancelled" in str(answer) for answer in answers) == 2
        assert sum(isinstance(answer, ol.Response) for answer in answers) == 1
        assert len(batches_of(server)) == 1


async def test_a_server_that_restarts_still_has_the_batch(tmp_path: Path):
    server = FakeServer(batch_delay=None)
    with server:
        lm = batched(server, tmp_path)
        work = asyncio.create_task(all_of(lm, 4))
        await asyncio.to_thread(until, lambda: len(batches_of(server)) == 1)
    await asyncio.sleep(0.2)  # looks in between find nobody
    with server:
        server.finish_batches()
        answers = await work
    assert [answer.text for answer in answers] == [f"question {number}" for number in range(4)]
    assert server.count == 4


async def test_giving_up_leaves_the_batch_under_way(tmp_path: Path):
    with FakeServer(batch_delay=None) as server:
        work = asyncio.create_task(all_of(batched(server, tmp_path), 4))
        await asyncio.to_thread(until, lambda: len(batches_of(server)) == 1)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        lm = batched(server, tmp_path)
        work = asyncio.create_task(all_of(lm, 6))
        await asyncio.to_thread(until, lambda: len(batches_of(server)) == 2)
        await asyncio.to_thread(server.finish_batches)
        answers = await work
        assert [answer.text for answer in answers] == [f"question {number}" for number in range(6)]
        assert [len(batch.requests) for batch in batches_of(server)] == [4, 2]


async def test_a_wrong_key_is_told_and_nothing_stays_under_way(tmp_path: Path):
    with FakeServer(key="right") as server:
        wrong = Batched(opened(server, api_key="wrong"), tmp_path / "b.db", **QUICK)
        answers = await all_of(wrong, 2)
        assert [type(answer) for answer in answers] == [LMAuthError, LMAuthError]
        assert "wrong" not in str(answers[0])
        right = Batched(opened(server, api_key="right"), tmp_path / "b.db", **QUICK)
        assert [answer.text for answer in await all_of(right, 2)] == ["question 0", "question 1"]


class Lossy(FakeServer):
    """Makes the batch and then drops the connection, as often as told."""

    def __init__(self, losses: int, **options: Any) -> None:
        super().__init__(**options)
        self.losses = losses

    async def lose(self, request: Any, handler: Any) -> Any:
        from aiohttp import web

        response = await handler(request)
        if request.method == "POST" and request.path.endswith("/batches") and self.losses:
            self.losses -= 1
            request.transport.close()
            return web.Response()
        return response


@pytest.fixture
def lossy(monkeypatch: pytest.MonkeyPatch):
    from aiohttp import web

    made: list[Lossy] = []

    def serve(losses: int) -> Lossy:
        server = Lossy(losses)
        made.append(server)
        return server

    plain = web.Application

    def application(**options: Any) -> Any:
        @web.middleware
        async def lose(request: Any, handler: Any) -> Any:
            return await made[-1].lose(request, handler)

        return plain(**options, middlewares=[lose])

    monkeypatch.setattr(web, "Application", application)
    return serve


async def test_a_batch_whose_making_was_not_confirmed_is_found_and_not_made_twice(tmp_path: Path, lossy: Any):
    with lossy(1) as server:
        answers = await all_of(batched(server, tmp_path), 5)
        assert [answer.text for answer in answers] == [f"question {number}" for number in range(5)]
        assert len(batches_of(server)) == 1


async def test_without_a_listing_an_unconfirmed_batch_is_an_error_that_says_so(tmp_path: Path, lossy: Any, monkeypatch):
    from dataclasses import replace

    monkeypatch.setattr("outlast.lms.batch.batched.wire_for", lambda _: replace(OPENAI, listing=None))
    with lossy(1) as server:
        answers = await all_of(batched(server, tmp_path), 2)
        assert [type(answer) for answer in answers] == [LMConnectionError] * 2
        assert "not known whether a batch of 2 requests was made" in str(answers[0])


async def test_the_budget_holds_and_is_set_aside_at_the_batch_price(tmp_path: Path):
    with FakeServer() as server:
        lm = Batched(opened(server, max_tokens=100), tmp_path / "b.db", **QUICK)
        most = lm.bound(ol.Request((ol.Message("user", "question 0"),))).dollars or 0
        whole = opened(server, max_tokens=100).bound(ol.Request((ol.Message("user", "question 0"),))).dollars or 0
        assert most == pytest.approx(whole / 2)
        with ol.budget(dollars=most * 3.5) as spent:
            answers = await all_of(lm, 3)
            assert all(isinstance(answer, ol.Response) for answer in answers)
        with ol.budget(dollars=most * 0.9), pytest.raises(BudgetExceeded):
            await lm.acall("one too dear")
    assert spent.dollars == pytest.approx(3 * 2e-5)


async def test_the_cache_and_the_pin_of_a_model_stay(tmp_path: Path):
    with FakeServer() as server:
        plain = opened(server, cache=str(tmp_path / "cache.db"), pin="gpt-5-mini")
        await plain.acall("question 0")
        lm = Batched(plain, tmp_path / "b.db", **QUICK)
        answers = await all_of(lm, 2)
        assert [answer.cache for answer in answers] == ["hit", "miss"]
        assert (await plain.acall("question 1")).cache == "hit"
        assert lm.identity == plain.identity
        assert [layer.kind for layer in lm.info()] == ["Batched", "Cached", "Pinned", "_Collected"]


async def test_a_parameter_that_the_server_refuses_is_learnt(tmp_path: Path):
    def handler(body: dict[str, Any]) -> Any:
        if "seed" in body:
            return Fault.error(400, "Unsupported parameter: 'seed'", param="seed", code="unsupported_parameter")
        return "fine"

    with FakeServer(handler) as server:
        lm = Batched(opened(server, seed=3), tmp_path / "b.db", **QUICK)
        answers = await all_of(lm, 3)
        assert [answer.text for answer in answers] == ["fine"] * 3
        assert any("seed" in note for note in answers[0].adaptations)
        assert len(batches_of(server)) == 2


async def test_what_is_written_wrong_fails_the_batch_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from dataclasses import replace

    broken = replace(OPENAI, write=lambda path, requests: b"{]\n")
    monkeypatch.setattr("outlast.lms.batch.batched.wire_for", lambda _: broken)
    with FakeServer() as server:
        answers = await all_of(batched(server, tmp_path), 1)
    assert isinstance(answers[0], LMRequestError)
    assert "not parseable as valid JSON" in str(answers[0])


async def test_a_batch_that_is_too_much_goes_out_in_halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from dataclasses import replace

    def read(data: dict[str, Any]) -> Any:
        job = OPENAI.read(data)
        many = data["request_counts"]["total"] > 3
        return job._replace(ended=True, failed="Enqueued token limit reached (token_limit_exceeded)") if many else job

    monkeypatch.setattr("outlast.lms.batch.batched.wire_for", lambda _: replace(OPENAI, read=read))
    with FakeServer(batch_delay=None) as server:
        work = asyncio.create_task(all_of(batched(server, tmp_path), 12))
        await asyncio.to_thread(until, lambda: sum(len(batch.requests) <= 3 for batch in batches_of(server)) == 4)
        await asyncio.to_thread(server.finish_batches)
        answers = await work
    assert [answer.text for answer in answers] == [f"question {number}" for number in range(12)]
    assert [len(batch.requests) for batch in batches_of(server)] == [12, 6, 6, 3, 3, 3, 3]


def test_only_models_of_a_server_can_be_batched(tmp_path: Path):
    for model in (ScriptedLM(["x"]), LM("outlast/baseline"), ol.Limited(LM("openai/m", cache=False))):
        with pytest.raises(ConfigError, match="cannot be asked in batches"):
            Batched(model, tmp_path / "b.db")
    for options in ({"idle": -1}, {"most": 0}, {"poll": (5, 1)}, {"poll": 3}, {"retries": True}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            Batched(LM("openai/m", cache=False), tmp_path / "b.db", **options)
    with pytest.raises(ConfigError, match="path of a file"):
        Batched(LM("openai/m", cache=False), None)  # type: ignore[arg-type]


def test_a_store_is_not_taken_for_another_database(tmp_path: Path):
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE mine (x)")
    other.close()
    for name, content in (("other.db", None), ("text.db", b"not a database, but long enough to be looked at" * 30)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        before = (tmp_path / name).read_bytes()
        with pytest.raises(ConfigError, match=r"batch store"):
            BatchStore(tmp_path / name).reply("k")
        assert (tmp_path / name).read_bytes() == before


def test_two_processes_claim_each_request_once(tmp_path: Path):
    one, other = BatchStore(tmp_path / "b.db"), BatchStore(tmp_path / "b.db")
    assert one.claim("t1", "s", "d", ["a", "b"]) == ["a", "b"]
    assert other.claim("t2", "s", "d", ["b", "c"]) == ["c"]
    assert (other.job_of("a"), other.job_of("c"), other.job_of("x")) == ("t1", "t2", None)
    assert other.claim("t3", "s", "d", ["a"]) == []
    assert other.job("t3") is None
    one.made("t1", "remote")
    one.settle("t1", {"a": {"text": "x"}})
    assert other.reply("a") == {"text": "x"}
    assert (other.job_of("b"), other.tries("b")) == (None, 1)  # it brought nothing, and may be sent again
    assert other.claim("t4", "s", "d", ["a", "b"]) == ["b"]
    assert other.tries("b") == 2
    other.forget("t4")
    assert other.tries("b") == 1
    assert oct(os.stat(tmp_path / "b.db").st_mode & 0o777) == "0o600"


def test_what_is_older_than_providers_keep_it_is_forgotten(tmp_path: Path):
    store = BatchStore(tmp_path / "b.db")
    store.claim("old", "s", "d", ["a"])
    store.claim("new", "s", "d", ["b"])
    store.close()
    db = sqlite3.connect(tmp_path / "b.db")
    db.execute("UPDATE job SET created = created - 31 * 86400 WHERE token = 'old'")
    db.commit()
    db.close()
    assert (store.job_of("a"), store.job_of("b")) == (None, "new")


def test_the_baseline_is_asked_as_it_is(tmp_path: Path):
    baseline = LM("outlast/baseline")
    assert Batches(tmp_path / "b.db")(baseline) is baseline


@pytest.mark.parametrize("options", [{"idle": -1}, {"poll": 5}, {"poll": (5, 1)}, {"most": 0}, {"retries": True}])
def test_options_of_a_transport_are_checked_where_they_are_given(tmp_path: Path, options: dict[str, Any]):
    with pytest.raises(ConfigError, match=next(iter(options))):
        Batches(tmp_path / "b.db", **options)


def test_an_option_that_a_transport_does_not_have_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="'idel'. Did you mean 'idle'"):
        Batches(tmp_path / "b.db", idel=5)
    assert not (tmp_path / "b.db").exists()


def test_a_copy_works_on_the_same_store(tmp_path: Path):
    import copy
    import pickle

    lm = Batched(LM("openai/m", base_url="http://127.0.0.1:1/v1", cache=False), tmp_path / "b.db", most=5)
    for twin in (copy.copy(lm), pickle.loads(pickle.dumps(lm))):
        assert twin.store.path == lm.store.path
        assert twin.identity == lm.identity


def test_a_claim_of_a_process_that_died_is_seen(tmp_path: Path):
    store = BatchStore(tmp_path / "b.db")
    store.claim("t1", "s", "d", ["a"])
    job = store.job("t1")
    assert job is not None
    assert (job.remote, job.sender) == ("", True)
    gone = dead_process()
    db = sqlite3.connect(tmp_path / "b.db")
    db.execute("UPDATE job SET process = ?", (gone,))
    db.commit()
    db.close()
    job = store.job("t1")
    assert job is not None
    assert not job.sender


@pytest.mark.parametrize("made", [True, False])
async def test_a_batch_that_was_being_sent_when_the_process_died_is_looked_for(tmp_path: Path, made: bool):
    """Killed between the request that makes the batch and the note of its id: our token is in the batch."""
    gone = await asyncio.to_thread(dead_process)
    with FakeServer(batch_delay=0.1) as server:
        lm = batched(server, tmp_path)
        leaf = next(layer for layer in ol_layers(lm) if hasattr(layer, "leaf"))
        questions = [f"question {number}" for number in range(3)]
        requests = [ol.Request((ol.Message("user", question),)) for question in questions]
        keys = [leaf._keys.of(leaf.identity, request).hex() for request in requests]
        lm.store.claim("token", server.url, "openai-chat", keys)
        db = sqlite3.connect(lm.store.path)
        db.execute("UPDATE job SET process = ?", (gone,))
        db.commit()
        db.close()
        if made:
            bodies = {key: leaf.leaf.write(request).body for key, request in zip(keys, requests, strict=True)}
            await leaf._jobs._create(bodies, "token")
        answers = await all_of(lm, 3)
        assert [answer.text for answer in answers] == questions
        assert len(batches_of(server)) == 1
        assert server.count == 3


def dead_process() -> int:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    return gone.pid


def ol_layers(lm: Any) -> Any:
    from outlast.lms.layers.trying import layers

    return layers(lm)


def test_results_of_both_styles_are_read():
    lines = [
        {"custom_id": "a", "response": {"status_code": 200, "body": {"x": 1}}, "error": None},
        {"custom_id": "b", "response": {"status_code": 429, "body": {"error": {}}}, "error": None},
        {"custom_id": "c", "response": None, "error": {"code": "batch_expired"}},
    ]
    body = b"\n".join(json.dumps(line).encode() for line in lines) + b'\n{"custom_id": "d", "resp'
    assert list(OPENAI.results(body)) == [
        Result("a", 200, {"x": 1}),
        Result("b", 429, {"error": {}}),
        Result("c", 0, {}, "batch_expired"),
    ]
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}
    results = [
        {"custom_id": "a", "result": {"type": "succeeded", "message": {"x": 1}}},
        {"custom_id": "b", "result": {"type": "errored", "error": error}},
        {"custom_id": "c", "result": {"type": "expired"}},
    ]
    told = list(ANTHROPIC.results(b"\n".join(json.dumps(line).encode() for line in results)))
    assert told == [Result("a", 200, {"x": 1}), Result("b", 529, error), Result("c", 0, {}, "expired")]
    assert wire_for("something") is None


@pytest.mark.parametrize("name", ["../../v1/keys", "a b", "", None, "x" * 300, "a?b=c"])
def test_an_id_that_would_lead_elsewhere_is_refused(name: Any):
    from outlast.errors import LMResponseError

    for wire in (OPENAI, ANTHROPIC):
        with pytest.raises(LMResponseError, match="no id"):
            wire.read({"id": name, "status": "completed", "processing_status": "ended"})
    assert OPENAI.read({"id": "b", "status": "completed", "output_file_id": "../x"}).results == ()


def until(done: Any, seconds: float = 20) -> None:
    """Wait for something that another thread brings about."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)


# Whole evaluations and compiles.


@ol.metric
def right(example: Any, out: Any) -> bool:
    return out.answer == example.answer


def examples(count: int) -> ol.Dataset:
    return ol.Dataset([ol.Example({"question": f"q{n}"}, {"answer": "x"}) for n in range(count)])


def answering(body: dict[str, Any]) -> str:
    return "<<answer>>\nx\n\n<<end>>"


def test_an_evaluation_in_batches(tmp_path: Path):
    with FakeServer(answering) as server:
        program = ol.Predict("question -> answer", lm=opened(server))
        save = tmp_path / "rows.jsonl"
        # Longer than the garbage collector of a worker that ran thousands of tests may stand still.
        transport = Batches(tmp_path / "b.db", idle=3, poll=(0.02, 0.05))
        found = ol.evaluate(program, examples(150), right, transport=transport, progress=False, save=save)
        assert found.score.value == 1
        assert len(batches_of(server)) == 1
        assert found.spending.dollars == pytest.approx(sum(row.spending.dollars for row in found.rows))
    with pytest.raises(UsageError, match="'direct', 'batch'"):
        ol.evaluate(program, examples(1), right, transport="bach", progress=False)  # type: ignore[arg-type]


class Plainly(ol.Module):
    """Written without async: it runs in threads."""

    ask = ol.Predict("question -> answer")

    def forward(self, question: str) -> Any:
        return self.ask(question=question)


def test_plain_programs_are_collected_too(tmp_path: Path):
    with FakeServer(answering, batch_delay=0.05) as server:
        transport = Batches(tmp_path / "b.db", idle=3, poll=(0.02, 0.05))
        lm = opened(server)
        found = ol.evaluate(Plainly(), examples(40), right, lm=lm, transport=transport, progress=False)
        assert found.score.value == 1
        assert sum(len(batch.requests) for batch in batches_of(server)) == 40
        assert len(batches_of(server)) <= 3


def test_a_model_that_has_no_batches_ends_the_evaluation_and_says_why(tmp_path: Path):
    program = ol.Predict("question -> answer", lm=ScriptedLM(lambda _: {"answer": "x"}))
    with pytest.raises(ol.errors.EvaluationStopped, match="cannot be asked in batches"):
        ol.evaluate(program, examples(3), right, transport=Batches(tmp_path / "b.db"), progress=False)


def test_a_compile_in_batches_asks_what_a_direct_one_asks(tmp_path: Path):
    from outlast.testing.world import Triage, World
    from outlast.testing.world import right as correct

    world = World(examples=60, base=0.5, gain=0.4)
    simulated = world.lm()

    def handler(body: dict[str, Any]) -> str:
        turns = tuple(ol.Message(turn["role"], turn["content"]) for turn in body["messages"])
        return simulated.answer(ol.Request(turns))

    with FakeServer(handler) as server:
        results = [
            ol.compile(
                Triage(),
                world.data(),
                correct,
                lm=opened(server),
                optimizer=ol.RandomSearch(candidates=2),
                transport=transport,
                study=tmp_path / f"{number}.study.db",
                progress=False,
            )
            for number, transport in enumerate(["direct", Batches(tmp_path / "b.db", **QUICK)])
        ]
        count = sum(len(batch.requests) for batch in batches_of(server))
    direct, batch = (result.report for result in results)
    assert direct.record["result"] == batch.record["result"]
    assert batch.spending.calls == count
    assert batch.spending.dollars == pytest.approx(direct.spending.dollars / 2)


_CHILD = """
import sys
sys.path[:0] = [{tests!r}]
import outlast as ol
from test_batch_child import right, examples, QUICK
lm = ol.LM("openai/gpt-5-mini", base_url={url!r}, cache=False)
program = ol.Predict("question -> answer", lm=lm)
found = ol.evaluate(program, examples(30), right, save={save!r}, resume=True, progress=False,
                    transport=ol.Batches({store!r}, **QUICK))
print(found.score.value, found.spending.calls)
"""


@pytest.mark.server
@pytest.mark.slow
def test_a_killed_evaluation_goes_on_with_its_batch_and_pays_nothing_twice(tmp_path: Path):
    module = tmp_path / "test_batch_child.py"
    module.write_text(
        "import outlast as ol\n"
        "QUICK = {'idle': 0.5, 'poll': (0.02, 0.05)}\n"
        "@ol.metric\n"
        "def right(example, out):\n    return out.answer == example.answer\n"
        "def examples(count):\n"
        "    return ol.Dataset([ol.Example({'question': f'q{n}'}, {'answer': 'x'}) for n in range(count)])\n"
    )
    with FakeServer(answering, batch_delay=None) as server:
        code = _CHILD.format(
            tests=str(tmp_path), url=server.url, save=str(tmp_path / "rows.jsonl"), store=str(tmp_path / "b.db")
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OUTLAST_CACHE": "off"}
        child = subprocess.Popen([sys.executable, "-c", code], env=environment)
        until(lambda: len(batches_of(server)) == 1, 60)
        time.sleep(0.1)
        child.send_signal(signal.SIGKILL)
        assert child.wait(20) == -signal.SIGKILL
        server.finish_batches()
        again = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=True
        )
    assert again.stdout.split() == ["1.0", "30"]
    assert len(batches_of(server)) == 1
    assert server.count == 30


async def test_anthropics_batches_expire_fail_and_are_read_like_openais(tmp_path: Path):
    def handler(body: dict[str, Any]) -> Any:
        text = body["messages"][-1]["content"]
        text = text if isinstance(text, str) else text[0]["text"]
        return Fault.error(400, "no such thing") if text.endswith("3") else text

    with FakeServer(handler, batch_delay=None) as server:
        model = LM(
            "anthropic/claude-sonnet-4-5", base_url=server.url, api_key="k", cache=False, price=HALF, max_tokens=9
        )
        work = asyncio.create_task(all_of(Batched(model, tmp_path / "b.db", **QUICK), 6))
        await asyncio.to_thread(until, lambda: len(batches_of(server)) == 1)
        await asyncio.to_thread(server.finish_batches, 4)
        await asyncio.to_thread(until, lambda: len(batches_of(server)) == 2)
        await asyncio.to_thread(server.finish_batches)
        answers = await work
        assert [batch.style for batch in batches_of(server)] == ["anthropic"] * 2
        assert [len(batch.requests) for batch in batches_of(server)] == [6, 2]
    assert isinstance(answers[3], LMRequestError)
    assert "no such thing" in str(answers[3])
    good = [answer for answer in answers if isinstance(answer, ol.Response)]
    assert [answer.text for answer in good] == [f"question {number}" for number in (0, 1, 2, 4, 5)]
    assert {answer.tier for answer in good} == {"batch"}
    assert good[0].usage.cost == pytest.approx((good[0].usage.input_tokens + good[0].usage.output_tokens) * 5 / 1e6)


async def test_the_responses_dialect_is_batched_too(tmp_path: Path):
    with FakeServer() as server:
        model = LM("openai-responses/gpt-5-mini", base_url=server.url, cache=False)
        answers = await all_of(Batched(model, tmp_path / "b.db", **QUICK), 3)
        assert [answer.text for answer in answers] == [f"question {number}" for number in range(3)]
        assert [batch.path for batch in batches_of(server)] == ["/v1/responses"]


def test_a_batched_model_keeps_the_contract_of_models(tmp_path: Path):
    from outlast.testing import check_lm

    with FakeServer("yes it is") as server:
        check_lm(batched(server, tmp_path))
