"""Every sandbox keeps the contract of sandboxes; and the contract notices one that does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

import outlast as ol
from outlast.sandbox.process import ProcessGuest
from outlast.sandbox.protocol import Guest, Sandbox
from outlast.sandbox.values import Done, Isolation, Limits, Step
from outlast.testing import check_sandbox


@pytest.mark.slow
def test_the_contract_is_kept(sandbox: Sandbox) -> None:
    check_sandbox(sandbox)


@dataclass(frozen=True)
class Boasting(ol.Local):
    """Claims to keep code in, and does not."""

    isolation: ClassVar[Isolation] = "process"


class MuteGuest(ProcessGuest):
    async def begin(self, code: str, variables: Mapping[str, Any], seconds: float) -> Step:
        step = await super().begin(code, variables, seconds)
        return replace(step, stdout="") if isinstance(step, Done) else step


@dataclass(frozen=True)
class Mute(ol.Local):
    """Loses what code prints."""

    def open(self, limits: Limits, tools: tuple[str, ...]) -> Guest:
        whole = super().open(limits, tools)
        assert isinstance(whole, ProcessGuest)
        return MuteGuest(whole._command, limits, tools)


class PatientGuest(ProcessGuest):
    async def begin(self, code: str, variables: Mapping[str, Any], seconds: float) -> Step:
        return await super().begin(code, variables, seconds + 3)


@dataclass(frozen=True)
class Patient(ol.Local):
    """Gives code more time than it may have."""

    def open(self, limits: Limits, tools: tuple[str, ...]) -> Guest:
        whole = super().open(limits, tools)
        assert isinstance(whole, ProcessGuest)
        return PatientGuest(whole._command, limits, tools)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "said"),
    [(Mute, "output comes out as"), (Patient, "took 4"), (Boasting, "reading .* by open gives")],
)
def test_the_contract_notices(broken: type[ol.Local], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_sandbox(broken(trust_me=True))
