"""Routes: the function decides, wrong names are errors, and identity covers the models and the function's name."""

from __future__ import annotations

import copy
from functools import partial

import pytest

from outlast.errors import ConfigError, UsageError
from outlast.lms.layers.route import Routed
from outlast.messages import Finished
from outlast.testing import ScriptedLM


def by_length(request) -> str:
    return "big" if len(request.messages[-1].text) > 5 else "small"


def models() -> dict:
    return {name: ScriptedLM(lambda messages, name=name: name, name=name) for name in ("small", "big")}


def test_each_request_goes_where_the_function_says():
    lm = Routed(by_length, models())
    assert [lm("hi").text, lm("a long one").text, lm("x").text] == ["small", "big", "small"]
    assert lm.facts() == {"choose": "by_length", "models": ["small", "big"], "routed": {"small": 2, "big": 1}}
    events = list(lm.events("a long one"))
    assert isinstance(events[-1], Finished)
    assert events[-1].response.model == "big"
    assert lm("hi").adaptations == ()


@pytest.mark.parametrize("name", ["bigg", None, 3, ["small"]])
def test_a_name_that_is_not_there_is_an_error(name):
    lm = Routed(lambda request: name, models(), identity="always")
    with pytest.raises(UsageError, match="which is no model here") as caught:
        lm("hi")
    assert "Models: small, big." in str(caught.value)
    assert ("Did you mean 'big'?" in str(caught.value)) == (name == "bigg")


def test_an_error_of_the_function_goes_out():
    with pytest.raises(ZeroDivisionError):
        Routed(lambda request: 1 / 0, models(), identity="none")("hi")


def test_identity():
    lm = Routed(by_length, models())
    assert lm.identity == f'["Routed","{__name__}.by_length",{{"big":"big","small":"small"}}]'
    assert lm.identity != Routed(always_big, models()).identity
    assert lm.name == "routed(small, big)"
    named = Routed(by_length, models(), identity="by length, 2")
    assert named.identity == '["Routed","by length, 2",{"big":"big","small":"small"}]'
    assert copy.copy(named).identity == named.identity


def always_big(request) -> str:
    return "big"


def fixed(name: str):
    def choose(request) -> str:
        return name

    return choose


class Chooser:
    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, request) -> str:
        return self.name


@pytest.mark.parametrize("kind", [lambda name: lambda request: "big", fixed, Chooser, lambda name: partial(max, name)])
def test_what_has_no_name_of_its_own_must_be_given_one(kind):
    with pytest.raises(ConfigError, match="identity='by length, 1'"):
        Routed(kind("big"), models())
    one, two = (Routed(kind(name), models(), identity=name) for name in ("big", "small"))
    assert one.identity != two.identity


async def awaited(request) -> str:
    return "big"


@pytest.mark.parametrize(
    ("choose", "wrong"),
    [
        ("big", {}),
        (awaited, {"big": ScriptedLM(["x"])}),
        (by_length, {}),
        (by_length, []),
        (by_length, {"": 1}),
        (by_length, {"a": 1}),
    ],
)
def test_options_are_checked(choose, wrong):
    with pytest.raises(ConfigError):
        Routed(choose, wrong)


@pytest.mark.parametrize("identity", ["", 3])
def test_an_identity_is_text(identity):
    with pytest.raises(ConfigError, match="identity is text"):
        Routed(by_length, models(), identity=identity)
