"""Native tool calls over real sockets, in every dialect: the call, its demonstration, the re-ask after a wrong one."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

import outlast as ol
from outlast.testing import Answer, FakeServer

pytestmark = pytest.mark.server


class Triage(ol.Signature):
    """Route it."""

    message: str = ol.input()
    team: Literal["billing", "cards"] = ol.output()
    urgency: int = ol.output(ge=1, le=5)


WRONG = Answer(tools=[("Triage", {"team": "mortgages", "urgency": 4})])
RIGHT = Answer(tools=[("Triage", {"team": "cards", "urgency": 4})])
DEMO = {"message": "Charged twice", "team": "billing", "urgency": 2}


@pytest.mark.parametrize("dialect", ["openai-chat", "openai-responses", "anthropic-messages"])
def test_a_wrong_call_is_mended_in_a_conversation_that_the_server_takes(dialect: str) -> None:
    with FakeServer([WRONG, RIGHT]) as server:
        capabilities = ol.Capabilities(tools=True)
        lm = ol.LM("any-name", base_url=server.url, dialect=dialect, cache=False, capabilities=capabilities)
        out = ol.Predict(Triage, lm=lm, adapter=ol.Tools(), demos=[DEMO])(message="My card is gone")
        asked: list[Any] = [request.body for request in server.requests]
    assert (out.team, out.urgency, len(out.trace)) == ("cards", 4, 2)
    first, second = (json.dumps(body) for body in asked)
    assert "Triage" in first
    assert "Received." in first
    assert "must be one of" in second
    assert "mortgages" in second
