"""The identity of a model behind a server: other for all that shapes what is asked, or decides whether it is."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import LMUnsupported
from outlast.lms.protocol import Capabilities
from outlast.lms.wire.decisions import DECISIONS, SYSTEM_ONE
from outlast.lms.wire.dialects import dialect_named
from outlast.lms.wire.model import WireLM
from outlast.lms.wire.quirks import COMMON, SHAPING, Quirks
from outlast.lms.wire.transport import Endpoint
from outlast.testing import FakeServer

OTHER: dict[str, Any] = {
    "max_tokens": "max_completion_tokens",
    "seed": "random_seed",
    "system_role": "developer",
    "reasoning": "object",
    "reasoning_off": None,
    "strict": False,
    "thought_field": "reasoning",
    "forced_tools": False,
    "prefill": "prefix",
    "plain_text": True,
    "schemas": "gemini",
    "samples_at": ("none",),
    "plain_ids": True,
    "max_output": 9,
    "grammar": "grammar",
}
ALL = Capabilities(json_schema=True, json_object=True, reasoning=True, citations=True)


def identity(dialect: str = "openai-chat", **options: Any) -> str:
    given: dict[str, Any] = {"capabilities": ALL, **options}
    return WireLM("m", Endpoint("http://a.test/v1"), dialect_named(dialect), **given).identity


def test_every_quirk_is_part_of_it_or_about_counting():
    assert OTHER.keys() == SHAPING
    assert {each.name for each in fields(Quirks)} - SHAPING == {
        "hides_reasoning",
        "reports_cost",
        "stream_usage",
        "cache_control",
    }


@pytest.mark.parametrize("name", OTHER)
def test_what_shapes_a_request_is_part_of_it(name: str):
    assert identity(quirks=replace(COMMON, **{name: OTHER[name]})) != identity()


@pytest.mark.parametrize(
    ("dialect", "name", "part"),
    [
        ("openai-chat", "json_schema", True),
        ("openai-chat", "json_object", True),
        ("openai-responses", "reasoning", True),
        ("anthropic-messages", "citations", True),
        ("openai-chat", "citations", False),
        ("openai-chat", "images", False),
    ],
)
def test_capabilities_are_part_of_it_where_the_dialect_asks_otherwise_by_them(dialect: str, name: str, part: bool):
    changed = replace(ALL, **{name: not getattr(ALL, name)})
    assert (identity(dialect) != identity(dialect, capabilities=changed)) == part


def test_so_are_the_endpoint_of_typed_questions_and_the_policy():
    told = {identity(), identity(decisions=DECISIONS), identity(decisions=SYSTEM_ONE), identity(adapt="refuse")}
    assert len(told) == 4


@pytest.mark.server
def test_a_model_that_refuses_is_not_answered_what_another_was_with_something_left_out(tmp_path: Path):
    with FakeServer("hi") as server:
        options: Any = {"base_url": server.url, "dialect": "openai-responses", "cache": str(tmp_path / "c.db")}
        assert ol.LM("m", **options)("hi", seed=3).adaptations != ()
        with pytest.raises(LMUnsupported, match="seed=3"):
            ol.LM("m", **options, adapt="refuse")("hi", seed=3)


def test_a_provider_and_the_same_server_by_its_address_are_two_when_they_are_asked_differently():
    own = ol.LM("openai-responses/m", cache=False)
    plain = ol.LM("m", base_url="https://api.openai.com/v1", dialect="openai-responses", cache=False)
    assert '"system_role": "developer"' in own.identity
    assert plain.identity != own.identity
