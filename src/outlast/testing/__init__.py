"""Kit for testing programs and parts of outlast: scripted models, a fake server, contract suites."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from outlast.testing.adapter_contract import check_adapter as check_adapter
    from outlast.testing.contracts import check_optimizer as check_optimizer
    from outlast.testing.judging import JudgingLM as JudgingLM
    from outlast.testing.lm_contract import check_layer as check_layer
    from outlast.testing.lm_contract import check_lm as check_lm
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
    "check_adapter": "adapter_contract",
    "check_layer": "lm_contract",
    "check_lm": "lm_contract",
    "check_optimizer": "contracts",
    "check_sandbox": "sandbox_contract",
}
__all__ = [
    "Answer",
    "FakeServer",
    "Fault",
    "JudgingLM",
    "ScriptedLM",
    "SimulatedLM",
    "World",
    "check_adapter",
    "check_layer",
    "check_lm",
    "check_optimizer",
    "check_sandbox",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"outlast.testing has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"outlast.testing.{_HOMES[name]}"), name)
