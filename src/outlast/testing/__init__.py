"""Kit for testing programs and parts of outlast: scripted models, a fake server, assertions, contract suites."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from outlast.testing.adapter_contract import check_adapter as check_adapter
    from outlast.testing.asserting import assert_example as assert_example
    from outlast.testing.asserting import assert_no_worse as assert_no_worse
    from outlast.testing.asserting import assert_score as assert_score
    from outlast.testing.asserting import examples as examples
    from outlast.testing.contracts import check_optimizer as check_optimizer
    from outlast.testing.judging import JudgingLM as JudgingLM
    from outlast.testing.lm_contract import check_layer as check_layer
    from outlast.testing.lm_contract import check_lm as check_lm
    from outlast.testing.replaying import replay as replay
    from outlast.testing.sandbox_contract import check_sandbox as check_sandbox
    from outlast.testing.scripted import ScriptedLM as ScriptedLM
    from outlast.testing.server import Answer as Answer
    from outlast.testing.server import FakeServer as FakeServer
    from outlast.testing.server import Fault as Fault
    from outlast.testing.world import SimulatedLM as SimulatedLM
    from outlast.testing.world import World as World

_HOMES = {
    "Answer": "server",
    "FakeServer": "server",
    "Fault": "server",
    "JudgingLM": "judging",
    "ScriptedLM": "scripted",
    "SimulatedLM": "world",
    "World": "world",
    "assert_example": "asserting",
    "assert_no_worse": "asserting",
    "assert_score": "asserting",
    "check_adapter": "adapter_contract",
    "check_layer": "lm_contract",
    "check_lm": "lm_contract",
    "check_optimizer": "contracts",
    "check_sandbox": "sandbox_contract",
    "examples": "asserting",
    "replay": "replaying",
}
__all__ = [
    "Answer",
    "FakeServer",
    "Fault",
    "JudgingLM",
    "ScriptedLM",
    "SimulatedLM",
    "World",
    "assert_example",
    "assert_no_worse",
    "assert_score",
    "check_adapter",
    "check_layer",
    "check_lm",
    "check_optimizer",
    "check_sandbox",
    "examples",
    "replay",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"outlast.testing has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"outlast.testing.{_HOMES[name]}"), name)
