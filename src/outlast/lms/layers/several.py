"""What layers over several models have in common: their members, what all of them can do, and one identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from outlast.errors import ConfigError
from outlast.lms.layers.trying import Trying
from outlast.lms.protocol import LM, Capabilities, LayerInfo, opened
from outlast.messages import Request, canonical
from outlast.runtime import Bound


class Several(Trying):
    """A layer over several models. It can do what all of them can, and is named after them."""

    def __init__(self, members: Sequence[LM | str], least: int = 1) -> None:
        self.members = tuple(opened(type(self).__name__, member) for member in members)
        if len(self.members) < least:
            raise ConfigError(f"{type(self).__name__}(...) takes {least} models or more; got {len(self.members)}")

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return f"{type(self).__name__.lower()}({', '.join(member.name for member in self.members)})"

    @property
    def capabilities(self) -> Capabilities:  # pyright: ignore[reportIncompatibleVariableOverride]
        return shared_by([member.capabilities for member in self.members])

    @property
    def identity(self) -> str:
        return canonical([type(self).__name__, *(member.identity for member in self.members)]).decode()

    def bound(self, request: Request) -> Bound:
        """The most that a call of any member can take."""
        bounds = [member.bound(request) for member in self.members]
        tokens = [bound.tokens for bound in bounds]
        dollars = [bound.dollars for bound in bounds]
        return Bound(
            None if None in tokens else max(each for each in tokens if each is not None),
            None if None in dollars else max(each for each in dollars if each is not None),
            self.name,
        )

    def facts(self) -> Mapping[str, Any]:
        return {"members": len(self.members)}

    def info(self) -> tuple[LayerInfo, ...]:
        """This layer, then the stack of each member in turn."""
        own = LayerInfo(type(self).__name__, self.facts())
        return (own, *(layer for member in self.members for layer in member.info()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.members))})"


def shared_by(capabilities: Sequence[Capabilities]) -> Capabilities:
    """What all can do; `without` is what any of them refuses."""
    flags = {f.name: all(getattr(each, f.name) for each in capabilities) for f in fields(Capabilities)}
    flags.pop("without")
    return Capabilities(**flags, without=frozenset(name for each in capabilities for name in each.without))
