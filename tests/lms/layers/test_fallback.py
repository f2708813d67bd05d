"""Fallback: on what it goes on, what the response says, and what it never hides."""

from __future__ import annotations

import pytest

import outlast as ol
from outlast.errors import (
    ConfigError,
    LMAuthError,
    LMCircuitOpen,
    LMConnectionError,
    LMQuotaError,
    LMRateLimited,
    LMRequestError,
    LMServerError,
    LMTimeout,
)
from outlast.lms.layers.fallback import Fallback
from outlast.lms.protocol import LM
from outlast.messages import Finished, Response, TextDelta


class Model(LM):
    """Answers with its name, or raises `error` after some pieces."""

    blocking_safe = True

    def __init__(self, name: str, error: Exception | None = None, pieces: int = 0, **abilities: bool) -> None:
        self.name = name
        self.error = error
        self.pieces = pieces
        self.capabilities = ol.Capabilities(**abilities)
        self.calls = 0

    async def complete(self, request):
        self.calls += 1
        if self.error is not None:
            raise self.error
        return Response(text=self.name, model=self.name)

    async def stream(self, request):
        self.calls += 1
        for _ in range(self.pieces):
            yield TextDelta(self.name)
        if self.error is not None:
            raise self.error
        yield Finished(Response(text=self.name, model=self.name))


@pytest.mark.parametrize(
    "error", [LMConnectionError("x"), LMTimeout("x"), LMRateLimited("x"), LMServerError("x"), LMCircuitOpen("x")]
)
def test_an_unavailable_model_is_replaced_and_the_response_says_so(error):
    first, second, third = Model("first", error), Model("second"), Model("third")
    response = Fallback(first, second, third)("hi")
    assert (response.text, response.model, response.attempts) == ("second", "second", 2)
    assert response.adaptations == (f"fallback: second answered; first: {type(error).__name__}",)
    assert (first.calls, second.calls, third.calls) == (1, 1, 0)


def test_the_first_answers_unmarked():
    second = Model("second")
    response = Fallback(Model("first"), second)("hi")
    assert (response.text, response.adaptations, response.attempts, second.calls) == ("first", (), 1, 0)


@pytest.mark.parametrize("error", [LMAuthError("x"), LMQuotaError("x"), LMRequestError("x"), ValueError("x")])
def test_what_is_not_the_servers_trouble_goes_out(error):
    second = Model("second")
    with pytest.raises(type(error)):
        Fallback(Model("first", error), second)("hi")
    assert second.calls == 0


def test_unless_asked_for():
    lm = Fallback(Model("first", LMQuotaError("x")), Model("second"), on=LMQuotaError)
    assert lm("hi").text == "second"
    both = Fallback(Model("first", LMAuthError("x")), Model("second"), on=(LMAuthError, LMQuotaError))
    assert both("hi").text == "second"
    with pytest.raises(LMServerError):
        Fallback(Model("first", LMServerError("x")), Model("second"), on=LMQuotaError)("hi")


def test_the_last_error_goes_out_and_tells_of_those_before():
    with pytest.raises(LMTimeout) as caught:
        Fallback(Model("a", LMServerError("x")), Model("b", LMConnectionError("y")), Model("c", LMTimeout("z")))("hi")
    assert caught.value.__notes__ == ["the last of 3 models; before it a: LMServerError, b: LMConnectionError"]


def test_a_stream_falls_back_only_before_its_first_piece():
    events = list(Fallback(Model("a", LMServerError("x")), Model("b", pieces=2)).events("hi"))
    assert [event.text for event in events[:2]] == ["b", "b"]
    assert events[2].response.adaptations == ("fallback: b answered; a: LMServerError",)
    second = Model("b")
    with pytest.raises(LMServerError):
        list(Fallback(Model("a", LMServerError("x"), pieces=1), second).events("hi"))
    assert second.calls == 0


def test_identity_covers_all_and_capabilities_are_what_all_have():
    lm = Fallback(Model("a", json_schema=True, tools=True), Model("b", tools=True))
    assert lm.identity == '["Fallback","a","b"]'
    assert lm.identity != Fallback(Model("b"), Model("a")).identity
    assert (lm.capabilities.tools, lm.capabilities.json_schema) == (True, False)
    assert lm.name == "fallback(a, b)"
    assert [told.kind for told in lm.info()] == ["Fallback", "Model", "Model"]
    assert lm.facts()["on"][0] == "LMConnectionError"


def test_models_may_be_named():
    lm = Fallback("outlast/baseline", Model("b"))
    assert lm.members[0].name == "outlast/baseline"


@pytest.mark.parametrize(
    ("models", "options"),
    [
        ((Model("a"),), {}),
        ((Model("a"), 3), {}),
        ((Model("a"), Model("b")), {"on": ValueError}),
        ((Model("a"), Model("b")), {"on": "LMTimeout"}),
        ((Model("a"), Model("b")), {"on": (LMTimeout, Exception)}),
    ],
)
def test_options_are_checked(models, options):
    with pytest.raises(ConfigError):
        Fallback(*models, **options)
