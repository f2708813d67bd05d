"""What a model gives is looked at once: where it is not ours."""

from __future__ import annotations

from typing import Any

import pytest

from outlast.errors import UsageError
from outlast.lms.layers.limit import Limited
from outlast.lms.layers.retry import Retrying
from outlast.lms.protocol import LM, Wrapper
from outlast.messages import Request, Response


class Talks(LM):
    name = "talks"
    blocking_safe = True

    async def complete(self, request: Request) -> Any:
        return "just text"


class Strips(Wrapper):
    async def complete(self, request: Request) -> Any:
        return "stripped"


class Spoils(Limited):
    """A layer of ours that somebody changed."""

    async def complete(self, request: Request) -> Any:
        return "spoilt"


class Fine(Talks):
    async def complete(self, request: Request) -> Response:
        return Response("fine")


@pytest.mark.parametrize(
    "lm",
    [
        Talks(),
        Limited(Talks()),
        Retrying(Limited(Talks())),
        Strips(Fine()),
        Limited(Strips(Fine())),
        Spoils(Fine()),
        Retrying(Spoils(Fine())),
    ],
    ids=repr,
)
async def test_what_is_no_response_is_found_out_under_any_layers(lm: LM) -> None:
    with pytest.raises(UsageError, match="must answer with a Response"):
        await lm.acall("hi")
    with pytest.raises(UsageError, match="must answer with a Response"):
        await Retrying(lm, retries=0).acall("hi")


async def test_responses_pass() -> None:
    assert (await Retrying(Limited(Fine())).acall("hi")).text == "fine"
