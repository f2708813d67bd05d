"""The operators that `Auto` works with unless it is given others."""

from __future__ import annotations

from outlast.optimize.operators.demos import AddDemos, NearDemos, SwapDemos
from outlast.optimize.operators.format import AdapterChoice, DropHints
from outlast.optimize.operators.induce import Induce
from outlast.optimize.operators.order import OutputOrder
from outlast.optimize.operators.propose import ProposeGrounded
from outlast.optimize.operators.protocol import Operator
from outlast.optimize.operators.reflect import ReflectEdit
from outlast.optimize.operators.repair import Repair
from outlast.optimize.operators.strategy import StrategyChoice


def portfolio() -> list[Operator]:
    """What its rounds draw from."""
    return [ReflectEdit(), ProposeGrounded(), Induce(), AddDemos(), NearDemos(), SwapDemos()]


def sweep() -> list[Operator]:
    """What it tries once at the start, the most likely to help first."""
    demos = [AddDemos(sizes=(8,)), NearDemos(sizes=(8,))]
    return [Repair(), OutputOrder(), DropHints(), *demos, StrategyChoice(), AdapterChoice()]
