"""Batches of both styles, by the official SDKs: answers, errors, expiry, cancelling, and a restart in between."""

from __future__ import annotations

import json
import time

import anthropic
import openai
import pytest

from outlast.errors import UsageError
from outlast.testing import FakeServer, Fault

pytestmark = pytest.mark.server


def line(name: str, text: str = "hi there", url: str = "/v1/chat/completions") -> dict:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    return {"custom_id": name, "method": "POST", "url": url, "body": body}


def upload(sdk: openai.OpenAI, lines: list[dict]) -> str:
    content = "".join(json.dumps(entry) + "\n" for entry in lines).encode()
    return sdk.files.create(file=("in.jsonl", content), purpose="batch").id


def submit(sdk: openai.OpenAI, lines: list[dict]):
    identifier = upload(sdk, lines)
    return sdk.batches.create(input_file_id=identifier, endpoint="/v1/chat/completions", completion_window="24h")


def results(sdk: openai.OpenAI, identifier: str | None) -> dict[str, dict]:
    if identifier is None:
        return {}
    entries = [json.loads(text) for text in sdk.files.content(identifier).text.splitlines()]
    return {entry["custom_id"]: entry for entry in entries}


def openai_client(server: FakeServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.url, api_key="k", max_retries=0, timeout=10)


def anthropic_client(server: FakeServer) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.root, api_key="k", max_retries=0, timeout=10)


def picky(body):
    text = body["messages"][-1]["content"]
    return Fault.error(400, "not that") if "bad" in text else text.upper()


def test_a_batch_gives_answers_and_errors_in_files_of_their_own():
    with FakeServer(picky, key="k") as server, openai_client(server) as sdk:
        made = submit(sdk, [line("a", "first one"), line("b", "bad"), line("c", "third")])
        assert made.status == "in_progress"
        done = sdk.batches.retrieve(made.id)
        assert done.status == "completed"
        assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (3, 2, 1)
        good, bad = results(sdk, done.output_file_id), results(sdk, done.error_file_id)
        assert list(good) == ["c", "a"], "an order that nobody can rely on"
        assert good["a"]["response"]["body"]["choices"][0]["message"]["content"] == "FIRST ONE"
        assert bad["b"]["response"]["status_code"] == 400
        assert bad["b"]["response"]["body"]["error"]["message"] == "not that"
        assert (server.answered, server.told) == (2, (3, 3))
        assert [batch.id for batch in sdk.batches.list().data] == [made.id]
        sdk.files.delete(done.output_file_id)
        with pytest.raises(openai.NotFoundError):
            sdk.files.content(done.output_file_id)


def test_a_batch_can_expire_with_part_of_its_answers():
    with FakeServer(batch_delay=None) as server, openai_client(server) as sdk:
        made = submit(sdk, [line("a", "one"), line("b", "two"), line("c", "three")])
        server.progress_batches(1)
        under_way = sdk.batches.retrieve(made.id)
        assert (under_way.status, under_way.request_counts.completed) == ("in_progress", 1)
        server.finish_batches(first=2)
        done = sdk.batches.retrieve(made.id)
        assert (done.status, done.request_counts.completed) == ("expired", 2)
        assert set(results(sdk, done.output_file_id)) == {"a", "b"}
        assert results(sdk, done.error_file_id)["c"]["error"]["code"] == "batch_expired"


def test_a_batch_can_be_cancelled_and_takes_its_time():
    with FakeServer(batch_delay=0.2) as server, openai_client(server) as sdk:
        first, second = submit(sdk, [line("a")]), submit(sdk, [line("a")])
        assert sdk.batches.cancel(second.id).status == "cancelling"
        assert sdk.batches.retrieve(first.id).status == "in_progress"
        time.sleep(0.25)
        assert sdk.batches.retrieve(first.id).status == "completed"
        gone = sdk.batches.retrieve(second.id)
        assert (gone.status, gone.output_file_id) == ("cancelled", None)
        assert results(sdk, gone.error_file_id)["a"]["error"]["code"] == "batch_cancelled"
        with pytest.raises(openai.ConflictError):
            sdk.batches.cancel(first.id)


def test_batches_that_are_wrong_fail_or_are_refused():
    with FakeServer() as server, openai_client(server) as sdk:
        lines = [line("a"), line("a"), line("b", url="/v1/responses"), {"custom_id": "c"}]
        failed = submit(sdk, lines)
        assert failed.status == sdk.batches.retrieve(failed.id).status == "failed"
        assert [(error.line, error.code) for error in failed.errors.data] == [
            (2, "duplicate_custom_id"),
            (3, "mismatched_url"),
            (4, "invalid_json_line"),
        ]
        for wrong in ({"input_file_id": "file-none"}, {"endpoint": "/v1/nothing"}, {"completion_window": "1h"}):
            asked = {"input_file_id": upload(sdk, [line("a")]), "endpoint": "/v1/chat/completions"}
            with pytest.raises((openai.BadRequestError, openai.NotFoundError)):
                sdk.batches.create(**({"completion_window": "24h"} | asked | wrong))
        with pytest.raises(openai.NotFoundError):
            sdk.batches.retrieve("batch_none")
    with FakeServer(key="other") as server, openai_client(server) as sdk, pytest.raises(openai.AuthenticationError):
        submit(sdk, [line("a")])


def test_a_server_that_starts_again_still_has_its_batches():
    server = FakeServer(batch_delay=None)
    with server, openai_client(server) as sdk:
        url, made = server.url, submit(sdk, [line("a")])
    with server, openai_client(server) as sdk:
        assert server.url == url
        server.finish_batches()
        done = sdk.batches.retrieve(made.id)
        assert set(results(sdk, done.output_file_id)) == {"a"}
    with pytest.raises(UsageError, match="not running"):
        server.finish_batches()


def entry(name: str, text: str = "hi there") -> dict:
    params = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": text}]}
    return {"custom_id": name, "params": params}


def test_a_batch_of_messages():
    with FakeServer(picky, batch_delay=None, key="k") as server, anthropic_client(server) as sdk:
        made = sdk.messages.batches.create(requests=[entry("a", "one"), entry("b", "bad"), entry("c", "three")])
        assert (made.processing_status, made.request_counts.processing, made.results_url) == ("in_progress", 3, None)
        with pytest.raises(anthropic.AnthropicError):
            sdk.messages.batches.results(made.id)
        server.finish_batches(first=2)
        done = sdk.messages.batches.retrieve(made.id)
        counts = done.request_counts
        assert (done.processing_status, counts.succeeded, counts.errored, counts.expired) == ("ended", 1, 1, 1)
        got = {result.custom_id: result.result for result in sdk.messages.batches.results(made.id)}
        assert got["a"].message.content[0].text == "ONE"
        assert (got["b"].type, got["b"].error.error.message) == ("errored", "not that")
        assert got["c"].type == "expired"


def test_batches_of_messages_that_are_cancelled_or_wrong():
    with FakeServer(batch_delay=None) as server, anthropic_client(server) as sdk:
        made = sdk.messages.batches.create(requests=[entry("a")])
        assert sdk.messages.batches.cancel(made.id).processing_status == "canceling"
        assert sdk.messages.batches.retrieve(made.id).request_counts.canceled == 1
        assert [result.result.type for result in sdk.messages.batches.results(made.id)] == ["canceled"]
        for wrong in ([entry("no spaces")], [entry("a"), entry("a")], []):
            with pytest.raises(anthropic.BadRequestError):
                sdk.messages.batches.create(requests=wrong)
        with pytest.raises(anthropic.NotFoundError):
            sdk.messages.batches.retrieve("msgbatch_none")
