"""A model that is watched: how often it was asked, what that cost, and the CPU time that it took itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from outlast.lms.protocol import LM, Capabilities
from outlast.messages import Request, Response
from outlast.runtime import Bound


class Metered(LM):
    """Answers as `inner` does and counts. `cpu` is in seconds, of answers that never waited."""

    blocking_safe = True

    def __init__(self, inner: LM) -> None:
        self.inner = inner
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

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.inner.name

    @property
    def capabilities(self) -> Capabilities:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.inner.capabilities

    @property
    def identity(self) -> str:
        return self.inner.identity

    def bound(self, request: Request) -> Bound:
        return self.inner.bound(request)

    def facts(self) -> Mapping[str, Any]:
        return self.inner.facts()
