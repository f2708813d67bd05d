"""Ask again when asking again may help, politely."""

from __future__ import annotations

import random as random_module
import time
from collections.abc import Mapping
from typing import Any, TypeVar

from outlast.errors import ConfigError, LMAuthError, LMError, LMQuotaError, LMRateLimited
from outlast.lms.layers.retry_budget import RetryBudget
from outlast.lms.layers.trying import Attempt, Mark, Trying, checked_number, checked_whole, layers
from outlast.lms.protocol import LM, Wrapper
from outlast.messages import Request
from outlast.runtime import sleep

T = TypeVar("T")

_GIVEN_UP = "given up after"
_SPARE = 200  # retries a minute that are always allowed: a short run, or the start of one, knows no shares


class Retrying(Trying, Wrapper):
    """Asks `inner` up to `1 + retries` times while its error says `retryable`.

    Before try n it waits a random time between 0 and `min(max_wait, base * 2**n)` seconds (full jitter; Brooker,
    "Exponential Backoff And Jitter", 2015). When the server says how long to wait, that holds, plus up to a tenth
    so that not everybody comes back at once; when it asks for more than `max_wait`, the error is raised at once.
    After a rate limit all calls of this LM pause together: as long as the server says, or `base` at most when it says
    nothing. No try begins later than `deadline` seconds after the first. A stream is tried again only while nothing of
    it was given on. Keys that are refused, accounts without credit and requests that are wrong are never tried again.
    Where nothing has answered this LM yet and there is no connection either, there is one more try and no other: a
    wrong address or a server that was not started is told within a second or so, while one that goes away during a run
    is waited for.

    `budget` bounds what an outage costs: within a minute at most 200 retries plus that share of the calls follow
    failures other than rate limits, and beyond it the error is raised at once; None for no bound. `inner` must not
    retry itself, or tries would multiply: that is a `ConfigError`.

    `Response.attempts` counts the tries, `queued_seconds` what went by before the last of them. Cost: up to
    `1 + retries` calls; failed ones are rarely billed.
    """

    def __init__(
        self,
        inner: LM | str,
        retries: int = 4,
        *,
        max_wait: float = 60.0,
        deadline: float = 600.0,
        base: float = 1.0,
        budget: float | None = 0.3,
        random: random_module.Random | None = None,
    ) -> None:
        super().__init__(inner)
        self.retries = checked_whole("retries", retries)
        self.max_wait = checked_number("max_wait", max_wait, unit="of seconds")
        self.deadline = checked_number("deadline", deadline, unit="of seconds")
        self.base = checked_number("base", base, unit="of seconds")
        self.budget = None if budget is None else checked_number("budget", budget)
        _refuse_nested(self.inner, retries)
        self._allowance = None if budget is None else RetryBudget(budget, _SPARE)
        # The user's global random state is theirs; SystemRandom has none, so forked children do not wait in step.
        self._random = random or random_module.SystemRandom()
        self._paused_until = 0.0
        self._retried = 0
        self._reached = False  # whether anything answered, if only with an error

    async def reach(self, request: Request, attempt: Attempt[T]) -> tuple[T, Mark]:
        """The result of the first try that succeeds. Raises the last error when none does."""
        started = time.monotonic()
        if self._allowance is not None:
            self._allowance.called(started)
        tries = 0
        while True:
            pause = self._paused_until - time.monotonic()
            if pause > 0:
                await sleep(pause + min(1.0, pause) * self._random.random())
            tries += 1
            queued = time.monotonic() - started
            try:
                result = await attempt(self.inner)
            except LMError as error:
                self._reached = self._reached or error.sent
                wait = self._wait(error, tries, time.monotonic() - started)
                if isinstance(wait, str):
                    if tries > 1 or wait:
                        _tell(error, f"{_GIVEN_UP} {tries} tries in {time.monotonic() - started:.1f} s{wait}")
                    raise
                if isinstance(error, LMRateLimited):
                    # What the server says holds for all; the backoff of the unluckiest call is its own.
                    pause = wait if error.retry_after is not None else min(wait, self.base)
                    self._paused_until = max(self._paused_until, time.monotonic() + pause)
            else:
                self._reached = True
                return result, Mark(attempts=tries - 1, queued_seconds=queued if queued > 1e-3 else 0.0)
            self._retried += 1
            await sleep(wait)

    def _wait(self, error: LMError, tries: int, elapsed: float) -> float | str:
        """Seconds to wait before the next try, or why there is none ("" when that is plain)."""
        if not error.retryable or tries > self.retries or isinstance(error, LMQuotaError | LMAuthError):
            return ""
        if not (self._reached or error.sent) and tries > 1:
            return ": nothing has answered there yet"
        asked = error.retry_after
        if asked is None:
            wait = self._random.random() * min(self.max_wait, self.base * 2.0 ** min(tries - 1, 64))
        elif asked > self.max_wait:
            return f": the server asks to wait {asked:.0f} s, longer than max_wait={self.max_wait:g}"
        else:
            wait = asked * (1 + 0.1 * self._random.random())
        if elapsed + wait > self.deadline:
            return f": the next try would begin after the deadline of {self.deadline:g} s"
        if self._allowance is None or isinstance(error, LMRateLimited) or self._allowance.take(time.monotonic()):
            return wait
        return (
            f": too many calls fail to try all again; budget={self.budget:g} allows {_SPARE} retries a minute and "
            f"{self.budget:g} for each call"
        )

    def facts(self) -> Mapping[str, Any]:
        paused = max(0.0, self._paused_until - time.monotonic())
        return {
            "retries": self.retries,
            "deadline": self.deadline,
            "budget": self.budget,
            "retried": self._retried,
            "paused_seconds": round(paused, 3),
        }

    def __repr__(self) -> str:
        return f"Retrying({self.inner!r}, retries={self.retries})"


def _refuse_nested(inner: LM, retries: int) -> None:
    """Retries inside retries multiply: five tries of five tries are 25 calls for one question."""
    for layer in layers(inner) if retries else ():
        if isinstance(layer, Retrying) and layer.retries:
            raise ConfigError(
                f"Retrying(...) around a model that retries itself ({layer.name!r}, retries={layer.retries}) would "
                f"multiply the tries to {(1 + retries) * (1 + layer.retries)}. Open the inner one with retries=0, or "
                "leave this one out"
            )


def _tell(error: LMError, note: str) -> None:
    """Put the note on the error, in place of an earlier one when the same object is raised again."""
    earlier = [text for text in getattr(error, "__notes__", ()) if not text.startswith(_GIVEN_UP)]
    error.__notes__ = [*earlier, note]
