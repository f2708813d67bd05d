"""Pinned models: an answer of another version than the tested one is not taken for it."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import outlast as ol
from outlast.errors import ConfigError, LMModelChanged
from outlast.lms.caching.cache import Cached
from outlast.lms.layers.pinned import Pinned
from outlast.lms.protocol import LM
from outlast.messages import Finished, Response, TextDelta
from outlast.testing import FakeServer, ScriptedLM


def answering(*models: str) -> ScriptedLM:
    return ScriptedLM([Response("x", model) for model in models], name="alias")


@pytest.mark.parametrize("pin", ["gpt-5-mini-2026-03-11", "gpt-5-mini-2026-*", "gpt-5-mini-????-03-11"])
def test_another_version_is_an_error(pin: str):
    lm = Pinned(answering("gpt-5-mini-2026-03-11", "gpt-5-mini-2027-01-01"), pin)
    assert lm("q").model == "gpt-5-mini-2026-03-11"
    with pytest.raises(
        LMModelChanged, match=r"alias is pinned to '.*', and 'gpt-5-mini-2027-01-01' answered"
    ) as caught:
        lm("q")
    error = caught.value
    assert (error.pinned, error.response.model, error.retryable) == (pin, "gpt-5-mini-2027-01-01", False)
    assert error.request is not None
    assert isinstance(error, ValueError)


def test_first_pins_whatever_answers_first():
    lm = Pinned(answering("m-1", "m-1", "m-2"))
    lm("q")
    lm("q")
    with pytest.raises(LMModelChanged, match="'m-1'.*'m-2' answered"):
        lm("q")
    assert lm.info()[0].facts == {"model": "m-1", "on_change": "error"}


def test_a_name_with_brackets_is_a_name():
    Pinned(answering("m[1]"), "m[1]")("q")


def test_an_answer_without_a_name_is_no_proof():
    lm = Pinned(ScriptedLM([Response("x")], name=""), "m-1")
    with pytest.raises(LMModelChanged, match="a model without a name"):
        lm("q")


def test_a_warning_comes_once_and_every_answer_says_so():
    lm = Pinned(answering("m-2", "m-2", "m-3", "m-1"), "m-1", on_change="warn")
    with pytest.warns(RuntimeWarning, match="'m-2' answered"):
        first = lm("q")
    second = lm("q")
    assert first.adaptations == second.adaptations == ("alias is pinned to 'm-1', and 'm-2' answered",)
    with pytest.warns(RuntimeWarning, match="'m-3' answered"):
        lm("q")
    assert lm("q").adaptations == ()


async def test_a_stream_ends_with_the_error():
    lm = Pinned(answering("m-2"), "m-1")
    seen: list[Any] = []
    with pytest.raises(LMModelChanged):
        [seen.append(event) async for event in lm.events("q")]
    assert seen == [TextDelta("x")]
    assert [type(event) async for event in Pinned(answering("m-1"), "m-1").events("q")] == [TextDelta, Finished]


def test_what_was_refused_is_paid_for():
    model = ScriptedLM(lambda _: Response("x", "m-2", usage=ol.Usage(1, 1, cost=0.5)), price=0.5)
    with ol.budget(dollars=1) as spent, pytest.raises(LMModelChanged):
        Pinned(model, "m-1")("q")
    assert spent.dollars == 0.5


def test_a_cache_holds_no_answers_of_other_versions(tmp_path: Any):
    path = tmp_path / "cache.db"
    assert Cached(answering("m-1"), path)("q").model == "m-1"
    assert Cached(Pinned(answering("m-2"), "m-2"), path)("q").model == "m-2"
    assert Cached(Pinned(answering("m-2"), "m-2"), path)("q").cache == "hit"
    assert Pinned(answering(), "m").identity != Pinned(answering(), "n").identity
    assert Pinned(answering(), "first").identity == answering().identity


def test_a_model_is_opened_pinned(tmp_path: Any):
    versions = iter(["m-1", "m-1", "m-2", "m-2"])
    reply = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}
    with FakeServer(lambda _: {**reply, "model": next(versions)}) as server:
        lm = LM("openai/m", base_url=server.url, pin="m-1", cache=str(tmp_path / "c.db"), retries=0)
        assert [layer.kind for layer in lm.info()][:3] == ["OpenedModel", "Cached", "Pinned"]
        assert lm("one").model == "m-1"
        assert pickle.loads(pickle.dumps(lm)) == lm == copy.copy(lm)
        first = LM("openai/m", base_url=server.url, pin="first", cache=False, retries=0)
        first("two")
        for model in (lm, first):
            with pytest.raises(LMModelChanged):
                model("three")


@pytest.mark.parametrize("pin", ["", 3, None])
def test_a_pin_that_names_nothing_is_refused(pin: Any):
    with pytest.raises(ConfigError, match="pin is the name"):
        Pinned(answering(), pin)
    with pytest.raises(ConfigError, match="on_change"):
        Pinned(answering(), "m", on_change="shrug")  # type: ignore[arg-type]
    if pin is not None:
        with pytest.raises(ConfigError, match="pin is the name"):
            LM("openai/m", pin=pin)
