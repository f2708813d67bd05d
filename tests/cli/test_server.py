"""Commands with a model behind a real connection: the one flag that changes the model."""

from __future__ import annotations

import json

import pytest

from outlast.testing.server import FakeServer, Fault

TEAMS = ("billing", "cards", "transfers", "identity", "fraud", "app", "lending", "complaints")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def knowing(request) -> str:
    """Answers well once the prompt holds examples, badly before: a model that prompts can help."""
    shown = len(request["messages"]) > 4
    text = request["messages"][-1]["content"]
    team = next((team for team in TEAMS if team.rstrip("s") in text.lower()), "billing") if shown else "complaints"
    return json.dumps({"team": team} if "urgency" not in request["messages"][0]["content"] else {"urgency": 3})


def test_run_with_a_server(outlast) -> None:
    with FakeServer('{"team": "fraud"}') as server:
        words = ("--lm", "openai/test", "--base-url", server.url, "--adapter", "json")
        result = outlast("run", "app.py:route", "inputs.jsonl", *words)
        assert result.code == 0, result.err
        assert result.lines == [{"team": "fraud"}] * 5
        assert server.count == 5
        assert outlast("run", "app.py:route", "inputs.jsonl", *words).lines == [{"team": "fraud"}] * 5
        assert server.count == 5, "the second time all answers came from the cache"


@pytest.mark.parametrize("dialect", ["openai-responses", "anthropic-messages"])
def test_a_server_that_speaks_another_dialect_is_one_word(outlast, dialect: str) -> None:
    with FakeServer('{"team": "cards"}') as server:
        words = ("--lm", "my-model", "--base-url", server.url, "--dialect", dialect, "--adapter", "json")
        result = outlast("run", "app.py:route", "--input", "message=My card is gone", *words)
    assert result.code == 0, result.err
    assert '"cards"' in result.out
    assert server.requests[0].path == ("/v1/responses" if dialect == "openai-responses" else "/v1/messages")


def test_a_refused_key(outlast) -> None:
    with FakeServer(Fault.error(401)) as server:
        result = outlast("run", "app.py:route", "inputs.jsonl", "--lm", "openai/test", "--base-url", server.url)
    assert result.code == 4
    assert result.out == ""
    assert "Traceback" not in result.err
    assert "sk-test" not in result.err


def test_the_quickstart_with_another_model_is_one_flag(outlast, desk) -> None:
    with FakeServer(knowing) as server:
        words = ("--lm", "openai/test", "--base-url", server.url, "--candidates", "1", "--max-demos", "8")
        result = outlast("demo", *words)
        url = server.url
    assert result.code == 0, result.err
    assert "openai/test" in result.out
    assert "at most" in result.out, "what it may cost is said before"
    assert "price unknown" in result.out
    assert f'ol.configure(lm=ol.LM("openai/test", base_url="{url}"))' in result.out
    assert (desk / "quickstart" / "triage-openai-test.study.db").is_file()
    saved = (desk / "quickstart" / "triage.outlast.json").read_text()
    assert url not in saved, "a compiled file names no server"
    assert "sk-test" not in saved + (desk / "quickstart" / "report.html").read_text()
