"""`outlast models`: providers, what is known of a model, and one question to it."""

from __future__ import annotations

import json

from outlast.lms.wire.providers import PROVIDERS
from outlast.testing import FakeServer, Fault


def test_every_provider_is_listed_with_its_key(outlast, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    result = outlast("models")
    assert result.code == 0
    for name in PROVIDERS:
        assert name in result.out
    assert "OPENAI_API_KEY is set" in result.out
    assert "GROQ_API_KEY is not set" in result.out
    assert "sk-very-secret" not in result.out
    rows = {row["provider"]: row for row in json.loads(outlast("models", "--json").out)}
    assert rows["openai"]["key"] is True
    assert rows["ollama"]["key"] is None


def test_a_model_is_told_without_asking_it(outlast, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    result = outlast("models", "openai/gpt-5-mini")
    assert result.code == 0
    assert "WireLM" in result.out
    assert "json_schema" in result.out
    assert "without  logprobs, temperature, top_p" in result.out
    assert "set the environment variable OPENAI_API_KEY" in result.out
    told = outlast("models", "outlast/baseline").out
    assert "needs none" in told
    assert "built in" in told


def test_asking_shows_what_came_back(outlast):
    with FakeServer("OK") as server:
        result = outlast("models", "my-model", "--base-url", server.url, "--ask")
        again = json.loads(outlast("models", "my-model", "--base-url", server.url, "--ask", "--json").out)
        assert server.count == 2
    assert "said     'OK' as my-model" in result.out
    assert "5 in, 1 out; cost unknown" in result.out
    assert again["answer"]["text"] == "OK"


def test_a_model_that_cannot_be_asked_is_exit_code_4(outlast):
    with FakeServer(Fault.error(401, "no such key")) as server:
        result = outlast("models", "my-model", "--base-url", server.url, "--ask")
    assert result.code == 4
    assert "no such key" in result.err


def test_wrong_use_is_explained(outlast):
    assert outlast("models", "--ask").code == 2
    result = outlast("models", "opnai/gpt-5")
    assert result.code == 3
    assert "Did you mean 'openai'" in result.err
