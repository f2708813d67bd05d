"""What is special about the openai SDK: what it takes from the environment, and what it sends unasked."""

from __future__ import annotations

import pytest

from outlast.errors import LMError
from outlast.lms.protocol import LM
from outlast.testing.server import FakeServer


def test_the_environment_decides_without_a_base_url(monkeypatch):
    with FakeServer("yes") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
        assert LM("openai-sdk:fake", cache=False, retries=0)("hi").text == "yes"
        assert server.requests[0].headers["authorization"] == "Bearer sk-of-the-environment"


def test_organisation_and_project_go_to_no_other_server(monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-secret")
    with FakeServer("yes") as server:
        LM("openai-sdk:fake", base_url=server.url, cache=False)("hi")
        assert [name for name in server.requests[0].headers if name.startswith("openai-")] == []


def test_a_missing_key_is_told(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(LMError, match="OPENAI_API_KEY"):
        LM("openai-sdk:fake", cache=False, retries=0)("hi")


def test_it_costs_what_openai_charges_unless_elsewhere(monkeypatch):
    assert LM("openai-sdk:gpt-5-mini").leaf.seller == "openai"
    assert LM("openai-sdk:gpt-5-mini", base_url="http://a.test/v1").leaf.seller == ""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://a.test/v1")
    assert LM("openai-sdk:gpt-5-mini").leaf.seller == ""
