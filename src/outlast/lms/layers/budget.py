"""Limits on spending that a program states where it spends: for a block of code, or for one model."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any

from outlast.errors import ConfigError, brief
from outlast.lms.asking import ask_within, stream_within
from outlast.lms.layers.remade import Remade
from outlast.lms.protocol import LM, Wrapper
from outlast.messages import Request, Response, Spending, StreamEvent
from outlast.runtime import Meter, current, running
from outlast.runtime.meter import Joined

_WHOLE = ("calls", "tokens")


@contextmanager
def budget(
    *,
    dollars: float | None = None,
    tokens: int | None = None,
    calls: int | None = None,
    seconds: float | None = None,
    on_unknown: str = "refuse",
) -> Generator[Spending]:
    """Limit what the models that a block of code asks may cost; gives the running `Spending`.

        with ol.budget(dollars=1) as spent:
            evaluation = ol.evaluate(program, data, metric)
        print(spent)

    Holds for everything inside: programs, direct calls, `evaluate`, threads and tasks that outlast starts. Blocks nest,
    and a call spends from all of them. Before each request the most that it can cost is set aside: its text at a byte
    a token, and `max_tokens` of output. So with `max_tokens` set and the price known the limit is never exceeded, and
    when too little is left `BudgetExceeded` is raised, after calls in flight were waited for. Without `max_tokens`
    what the dearest recent calls took is set aside instead, and only such calls in flight can exceed the limit. A
    failed request counts as a call; one that broke off counts with all that was set aside for it, as the provider may
    bill it. Answers from a cache cost nothing. `seconds` is wall time, looked at before each request.

    A model whose price nobody knows ends a budget in dollars with a `ConfigError` after its first answer
    (`on_unknown="refuse"`), or counts as 0 dollars and in `spent.unpriced` ("count").
    """
    limits = {"dollars": dollars, "tokens": tokens, "calls": calls, "seconds": seconds}
    meter = new_meter("budget", limits, on_unknown, outer=current().meter)
    with running(meter=meter):
        yield meter.spent


class Budgeted(Remade, Wrapper):
    """Limits what `inner` may cost, whoever asks it and from whatever thread; takes what `budget` takes.

    `spent` is the running sum over all who use this object. A copy or a pickle is a new one that has spent nothing.
    """

    spends = False

    def __init__(
        self,
        inner: LM | str,
        *,
        dollars: float | None = None,
        tokens: int | None = None,
        calls: int | None = None,
        seconds: float | None = None,
        on_unknown: str = "refuse",
    ) -> None:
        super().__init__(inner)
        limits = {"dollars": dollars, "tokens": tokens, "calls": calls, "seconds": seconds}
        self.meter = new_meter("Budgeted", limits, on_unknown)

    @property
    def spent(self) -> Spending:
        """What was spent so far."""
        return self.meter.spent

    async def complete(self, request: Request) -> Response:
        """Answer one request within the budget. Raises `BudgetExceeded`."""
        return await ask_within(self._joined(), self.inner, request, noting=self.meter)

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        """Answer one request in pieces within the budget. Raises `BudgetExceeded`."""
        async with aclosing(stream_within(self._joined(), self.inner, request, noting=self.meter)) as events:
            async for event in events:
                yield event

    def facts(self) -> Mapping[str, Any]:
        limits = {name: limit for name, limit in self.meter.limits.items() if limit is not None}
        return {**limits, "spent": str(self.spent)}

    def _joined(self) -> Meter:
        outer = current().meter
        return self.meter if outer is None else Joined(self.meter, outer)


def new_meter(
    subject: str, limits: Mapping[str, float | int | None], on_unknown: str, outer: Meter | None = None
) -> Meter:
    """A meter with checked limits, at least one of which must be set. Raises `ConfigError`."""
    for name, value in limits.items():
        if value is not None:
            check_limit(f"{subject}({name}=...)", name, value)
    if all(value is None for value in limits.values()):
        raise ConfigError(f"{subject} takes at least one limit: {', '.join(limits)}")
    if on_unknown not in ("refuse", "count"):
        raise ConfigError(f"{subject}(on_unknown=...) is 'refuse' or 'count'; got {brief(on_unknown)}")
    given: dict[str, Any] = dict(limits)
    return Meter(**given, on_unknown=on_unknown, outer=outer)


def check_limit(subject: str, name: str, value: Any) -> None:
    """Raise `ConfigError` unless the value is a limit that means something."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ConfigError(f"{subject} is a number above 0; got {brief(value)}")
    if name in _WHOLE and (math.isinf(value) or value != int(value)):
        raise ConfigError(f"{subject} is a whole number; got {brief(value)}")
