"""What is special about any-llm: providers with packages of their own."""

from __future__ import annotations

import pytest

from outlast.errors import ConfigError, LMAuthError, LMError
from outlast.lms.protocol import LM
from outlast.testing.server import Answer, FakeServer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def model(name: str, **options) -> LM:
    return LM(f"any-llm:{name}", **{"api_key": "k-0123456789", "cache": False, "retries": 0, **options})


def test_provider_and_model_are_both_named():
    with pytest.raises(ConfigError, match="'any-llm:provider/model'"):
        model("gpt-5")


def test_a_provider_in_its_own_dialect():
    with FakeServer(Answer("yes", reasoning="Hm.")) as server:
        reply = model("anthropic/claude-opus-4-1", base_url=server.root)("hi", max_tokens=2048)
        assert (reply.text, reply.reasoning) == ("yes", "Hm.")
        assert server.requests[0].headers["x-api-key"] == "k-0123456789"


def test_what_its_adapters_do_not_take_is_told():
    with FakeServer("yes") as server:
        reply = model("anthropic/claude-opus-4-1", base_url=server.root)("hi", max_tokens=9, seed=3)
        assert ("seed" in server.requests[-1].body) != any("seed=3" in note for note in reply.adaptations)


def test_an_unknown_provider_and_a_missing_key_are_told(monkeypatch):
    with pytest.raises(LMError, match="no-such"):
        model("no-such/model")("hi")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(LMAuthError, match=r"OPENAI_API_KEY.*Pass api_key="):
        model("openai/gpt-5", api_key=None)("hi")
