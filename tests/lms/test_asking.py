"""What a model gives is looked at once: where it is not ours."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from outlast.errors import LMRateLimited, UsageError
from outlast.lms.layers.limit import Limited
from outlast.lms.layers.retry import Retrying
from outlast.lms.protocol import LM, Wrapper
from outlast.messages import Request, Response, StreamEvent, TextDelta
from outlast.runtime import Meter, running


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


class Breaks(Fine):
    """Writes so many pieces, then refuses to go on."""

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        for _ in range(self.pieces):
            yield TextDelta("word ")
        raise LMRateLimited("enough", status=429)


@pytest.mark.parametrize("pieces", [0, 1, 3])
@pytest.mark.parametrize("around", [lambda lm: lm, Limited, lambda lm: Retrying(Limited(lm), 0)])
async def test_whoever_writes_something_before_it_refuses_may_bill_it(around: Any, pieces: int) -> None:
    meter = Meter(calls=5)
    with running(meter=meter), pytest.raises(LMRateLimited) as caught:
        async for _ in around(Breaks(pieces)).events("hi"):
            pass
    assert caught.value.begun is (pieces > 0)
    assert (meter.spent.calls, meter.spent.uncertain) == (1, int(pieces > 0))
