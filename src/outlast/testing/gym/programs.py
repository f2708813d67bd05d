"""The programs and labels of the worlds."""

from __future__ import annotations

from typing import Any, Literal

from outlast.modules.module import Module
from outlast.modules.predict import Predict
from outlast.signatures.field import input, output
from outlast.signatures.record import Prediction
from outlast.signatures.signature import Signature

TEAMS = ("amber", "cobalt", "coral", "indigo", "jade", "maroon", "teal", "umber")
KINDS = ("granite", "basalt", "marble", "slate", "quartz")
DESKS = ("falcon", "heron", "osprey", "plover", "raven")

Team = Literal["amber", "cobalt", "coral", "indigo", "jade", "maroon", "teal", "umber"]
Kind = Literal["granite", "basalt", "marble", "slate", "quartz"]
Desk = Literal["falcon", "heron", "osprey", "plover", "raven"]


class Route(Signature):
    """Route the message to the team that should answer it."""

    message: str = input()
    team: Team = output()


class RouteHastily(Signature):
    """Route the message to the team that should answer it."""

    message: str = input()
    team: Team = output()
    thinking: str = output()


class RouteCalmly(Signature):
    """Route the message to the team that should answer it."""

    message: str = input()
    thinking: str = output()
    team: Team = output()


class Sort(Signature):
    """Say what kind of message this is."""

    message: str = input()
    kind: Kind = output()


class Place(Signature):
    """Say which desk takes the message."""

    message: str = input()
    kind: Kind = input()
    desk: Desk = output()


class Close(Signature):
    """Say which team closes the case."""

    message: str = input()
    kind: Kind = input()
    desk: Desk = input()
    team: Team = output()


class Office(Module):
    """Three steps, of which each needs the one before."""

    sort = Predict(Sort)
    place = Predict(Place)
    close = Predict(Close)

    async def forward(self, message: str) -> Any:
        """Sort, place, close."""
        kind = (await self.sort.acall(message=message)).kind
        desk = (await self.place.acall(message=message, kind=kind)).desk
        team = (await self.close.acall(message=message, kind=kind, desk=desk)).team
        return Prediction(kind=kind, desk=desk, team=team)
