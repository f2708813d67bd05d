"""Service tiers: a cheap one without room can give way to another, when that is asked for."""

from __future__ import annotations

from typing import Any

import pytest

import outlast as ol
from outlast.errors import ConfigError, LMRateLimited
from outlast.lms.layers.tier import TierFallback, has_no_room
from outlast.lms.protocol import LM
from outlast.messages import Finished
from outlast.testing import FakeServer, Fault, ScriptedLM

FULL = Fault.error(429, "Resource unavailable", code="resource_unavailable", retry_after=1)


def only_default(body: dict[str, Any]) -> Any:
    return FULL if body.get("service_tier") == "flex" else "yes"


def opened(server: FakeServer, **options: Any) -> LM:
    return LM("openai/m", base_url=server.url, cache=False, **{"tier": "flex", "retries": 0, **options})


def test_a_tier_without_room_gives_way_and_the_response_says_so():
    with FakeServer(only_default) as server:
        price = ol.Price(1, 1, tiers={"flex": 0.5})
        with ol.budget(dollars=1) as spent:
            reply = opened(server, fallback_tier="default", price=price, max_tokens=10)("q")
        assert [seen.body["service_tier"] for seen in server.requests] == ["flex", "default"]
    assert reply.text == "yes"
    assert reply.adaptations == ("the service tier had no room: asked in 'default'",)
    assert reply.attempts == 2
    assert (spent.calls, spent.failed, spent.dollars) == (2, 1, pytest.approx(2e-6))


def test_without_the_option_it_is_a_rate_limit():
    with FakeServer(only_default) as server, pytest.raises(LMRateLimited) as caught:
        opened(server)("q")
    assert caught.value.code == "resource_unavailable"
    assert has_no_room(caught.value)


def test_a_tier_of_the_request_gives_way_too_and_other_limits_do_not():
    with FakeServer(only_default) as server:
        reply = opened(server, tier=None, fallback_tier="default")("q", tier="flex")
        assert reply.adaptations == ("the tier 'flex' had no room: asked in 'default'",)
    with FakeServer(Fault.error(429, "too many requests", code="rate_limit_exceeded")) as server:
        with pytest.raises(LMRateLimited):
            opened(server, fallback_tier="default")("q")
        assert server.count == 1


def test_groq_says_it_with_a_status_of_its_own():
    with FakeServer([Fault.error(498, "no capacity"), "yes"]) as server:
        assert opened(server, fallback_tier="on_demand")("q").text == "yes"


def test_the_other_tier_may_be_full_too():
    with FakeServer(FULL) as server, pytest.raises(LMRateLimited):
        opened(server, fallback_tier="default")("q")


async def test_streams_give_way_before_their_first_event():
    with FakeServer(only_default) as server:
        events = [event async for event in opened(server, fallback_tier="default").events("q")]
    assert isinstance(events[-1], Finished)
    assert events[-1].response.adaptations == ("the service tier had no room: asked in 'default'",)


def test_what_names_no_tier_is_refused():
    for tier in ("", 3):
        with pytest.raises(ConfigError, match="fallback_tier"):
            TierFallback(ScriptedLM(["x"]), tier)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="fallback_tier"):
            LM("openai/m", fallback_tier=tier)
