"""A search that takes its time, in a process of its own: `python -m tests.view.slow_search LEDGER SECONDS_A_CALL`."""

from __future__ import annotations

import asyncio
import sys

import outlast as ol
from outlast.messages import Request, Response
from tests.optimize.test_explain import Digits, Echo, Steps, right


class Slow(Digits):
    """Waits before each answer."""

    blocking_safe = False

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def complete(self, request: Request) -> Response:
        await asyncio.sleep(self.seconds)
        return await super().complete(request)


if __name__ == "__main__":
    data = [ol.Example({"number": k}, {"answer": k}) for k in range(160)]
    ol.compile(
        ol.Predict(Echo),
        data,
        right,
        optimizer=Steps(),
        lm=Slow(float(sys.argv[2])),
        study=sys.argv[1],
        concurrency=1,
        progress=False,
    )
