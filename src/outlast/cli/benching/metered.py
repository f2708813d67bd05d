"""A model that is watched: how often it was asked, what that cost, and the CPU time that it took itself."""

from __future__ import annotations

import threading
import time

from outlast.lms.protocol import LM, Wrapper
from outlast.messages import Request, Response


class Metered(Wrapper):
    """Answers as `inner` does and counts. `cpu` is in seconds, of answers that never waited."""

    def __init__(self, inner: LM) -> None:
        super().__init__(inner)
        self.calls = 0
        self.dollars = 0.0
        self.cpu = 0.0
        self._lock = threading.Lock()

    async def complete(self, request: Request) -> Response:
        """The answer of the model."""
        began = time.thread_time()
        response = await self.inner.complete(request)
        took = time.thread_time() - began
        with self._lock:
            self.calls += 1
            self.dollars += response.usage.cost or 0.0
            self.cpu += took
        return response
