"""Every adapter keeps to the contract, and the contract can fail."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

import outlast as ol
from outlast.adapters import Plan, Prepared, Task
from outlast.adapters.chat import ChatPlan
from outlast.errors import ParseError
from outlast.messages import Message, OutputSchema, Response, user
from outlast.testing import ScriptedLM, check_adapter

ADAPTERS: dict[str, ol.Adapter] = {
    "chat": ol.Chat(),
    "json": ol.JSON(),
    "xml": ol.XML(),
    "tools": ol.Tools(),
    "two steps": ol.TwoStep(ScriptedLM([])),
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_adapter_keeps_to_the_contract(name: str) -> None:
    check_adapter(ADAPTERS[name])


def test_json_keeps_to_it_on_a_model_without_any_mode() -> None:
    check_adapter(ol.JSON(), capabilities=ol.Capabilities())


Change = Callable[[Prepared, Mapping[str, Any]], Prepared]


@dataclass(frozen=True)
class Broken(ol.Adapter):
    """Another adapter whose calls are changed."""

    change: Change
    inner: ol.Adapter = ol.JSON()  # noqa: RUF009 - a value
    reasks: int = 0
    fallback: ol.Adapter | None = None

    def compile(self, task: Task, capabilities: ol.Capabilities) -> Plan:
        return BrokenPlan(self.inner.compile(task, capabilities), self.change)


class BrokenPlan(Plan):
    def __init__(self, inner: Plan, change: Change) -> None:
        self.inner = inner
        self.change = change

    def prepare(self, inputs: Mapping[str, Any]) -> Prepared:
        return self.change(self.inner.prepare(inputs), inputs)


def reading(read: Callable[[Prepared, Response], dict[str, Any]]) -> Change:
    return lambda prepared, _: replace(prepared, read=lambda response: read(prepared, response))


def without_breakpoint(prepared: Prepared, _: Mapping[str, Any]) -> Prepared:
    return replace(prepared, messages=tuple(replace(message, cache=False) for message in prepared.messages))


def inputs_first(prepared: Prepared, inputs: Mapping[str, Any]) -> Prepared:
    return replace(prepared, messages=(user(str(inputs)), *prepared.messages))


def any_schema(prepared: Prepared, _: Mapping[str, Any]) -> Prepared:
    return replace(prepared, output=OutputSchema("x", {"type": "object"}))


def first_object(prepared: Prepared, response: Response) -> dict[str, Any]:
    """The first object in the reply, which may be an echo."""
    try:
        found, _ = json.JSONDecoder().raw_decode(response.text, response.text.index("{"))
        return {name: found[name] for name in ("reasoning", "team", "urgency", "tags")}
    except (ValueError, KeyError):
        return prepared.read(response)


def crash(prepared: Prepared, response: Response) -> dict[str, Any]:
    try:
        return prepared.read(response)
    except ParseError as error:
        raise KeyError("team") from error


def silent(prepared: Prepared, response: Response) -> dict[str, Any]:
    try:
        return prepared.read(response)
    except ParseError as error:
        raise ParseError(str(error), response=response) from error


def connect(prepared: Prepared, response: Response) -> dict[str, Any]:
    socket.socket().close()
    return prepared.read(response)


def whatever_finish(prepared: Prepared, response: Response) -> dict[str, Any]:
    return prepared.read(replace(response, finish="stop"))


def trimmed(prepared: Prepared, response: Response) -> dict[str, Any]:
    found: Any = prepared.read(response)
    return {**found, "reasoning": found["reasoning"].strip()}


def said_twice(prepared: Prepared, response: Response) -> dict[str, Any]:
    first, _, rest = response.text.partition("\n\n")
    return prepared.read(replace(response, text=first if rest.startswith("{") else response.text))


def mute(_: Response, error: ParseError) -> tuple[Message, ...]:
    return (user(error.for_model),)


BROKEN: dict[str, tuple[ol.Adapter, str]] = {
    "no breakpoint": (Broken(without_breakpoint), "cache=True"),
    "inputs first": (Broken(inputs_first), "share all messages"),
    "a schema for all": (Broken(any_schema), "schema is sent to a model without"),
    "echoes are answers": (Broken(reading(first_object)), "forged|two answers|input"),
    "another exception": (Broken(reading(crash)), "KeyError"),
    "nothing for the model": (Broken(reading(silent)), "for_model"),
    "a socket": (Broken(reading(connect)), "socket"),
    "cut replies are whole": (Broken(reading(whatever_finish), ol.Chat()), "filter stopped|cut off"),
    "values changed": (Broken(reading(trimmed)), "was read as"),
    "the first of two answers": (Broken(reading(said_twice)), "two answers"),
    "no reply in the next turn": (Broken(lambda p, _: replace(p, again=mute)), "begins with the reply"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_adapter_that_breaks_the_contract_is_told_what_it_breaks(name: str) -> None:
    adapter, words = BROKEN[name]
    with pytest.raises(AssertionError, match=words):
        check_adapter(adapter)


def test_markers_without_a_nonce_are_forged(monkeypatch: pytest.MonkeyPatch) -> None:
    for adapter in (ol.Chat(), ol.XML()):
        with monkeypatch.context() as patch:
            patch.setattr(ChatPlan, "nonce", lambda self, held: "")
            patch.setattr("outlast.adapters.markers.Markers.holds", lambda self, text: False)
            patch.setattr("outlast.adapters.tags.Tags.holds", lambda self, text: False)
            with pytest.raises(AssertionError, match=r"forged|was refused|breaks the reading"):
                check_adapter(adapter)
