"""Ask again when asking again may help, politely."""

from __future__ import annotations

import random as random_module
import time
from dataclasses import replace

from outlast.errors import ConfigError, LMError, LMRateLimited, brief
from outlast.lms.protocol import LM, Wrapper, ask
from outlast.messages import Request, Response
from outlast.runtime import sleep

_GIVEN_UP = "given up after"


class Retrying(Wrapper):
    """Asks `inner` up to `1 + retries` times while its error says `retryable`.

    Before try n it waits a random time between 0 and `min(max_wait, base * 2**n)` seconds (full jitter; Brooker,
    "Exponential Backoff And Jitter", 2015). When the server says how long to wait, that holds, plus up to a tenth
    so that not everybody comes back at once; when it asks for more than `max_wait`, the error is raised at once.
    After a rate limit all calls of this LM pause together. No try begins later than `deadline` seconds after the
    first. `Response.attempts` counts the tries. Cost: up to `1 + retries` calls; failed ones are rarely billed.
    """

    def __init__(
        self,
        inner: LM,
        retries: int = 4,
        *,
        max_wait: float = 60.0,
        deadline: float = 600.0,
        base: float = 1.0,
        random: random_module.Random | None = None,
    ) -> None:
        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise ConfigError(f"retries is a whole number from 0; got {brief(retries)}")
        for name, value in (("max_wait", max_wait), ("deadline", deadline), ("base", base)):
            if not isinstance(value, (int, float)) or not value >= 0:
                raise ConfigError(f"{name} is a number of seconds from 0; got {brief(value)}")
        super().__init__(inner)
        self.retries = retries
        self.max_wait = max_wait
        self.deadline = deadline
        self.base = base
        # The user's global random state is theirs; SystemRandom has none, so forked children do not wait in step.
        self._random = random or random_module.SystemRandom()
        self._paused_until = 0.0

    async def complete(self, request: Request) -> Response:
        """Answer one request. Raises the last error when no try succeeded."""
        started = time.monotonic()
        tries = 0
        while True:
            pause = self._paused_until - time.monotonic()
            if pause > 0:
                await sleep(pause + min(1.0, pause) * self._random.random())
            tries += 1
            try:
                response = await ask(self.inner, request)
            except LMError as error:
                wait = self._wait(error, tries, time.monotonic() - started)
                if isinstance(wait, str):
                    if tries > 1 or wait:
                        _tell(error, f"{_GIVEN_UP} {tries} tries in {time.monotonic() - started:.1f} s{wait}")
                    raise
                if isinstance(error, LMRateLimited):
                    self._paused_until = max(self._paused_until, time.monotonic() + wait)
            else:
                return response if tries == 1 else replace(response, attempts=response.attempts + tries - 1)
            await sleep(wait)

    def _wait(self, error: LMError, tries: int, elapsed: float) -> float | str:
        """Seconds to wait before the next try, or why there is none ("" when that is plain)."""
        if not error.retryable or tries > self.retries:
            return ""
        asked = error.retry_after
        if asked is None:
            wait = self._random.random() * min(self.max_wait, self.base * 2.0 ** min(tries - 1, 64))
        elif asked > self.max_wait:
            return f": the server asks to wait {asked:.0f} s, longer than max_wait={self.max_wait:g}"
        else:
            wait = asked * (1 + 0.1 * self._random.random())
        if elapsed + wait > self.deadline:
            return f": the next try would begin after the deadline of {self.deadline:g} s"
        return wait

    def __repr__(self) -> str:
        return f"Retrying({self.inner!r}, retries={self.retries})"


def _tell(error: LMError, note: str) -> None:
    """Put the note on the error, in place of an earlier one when the same object is raised again."""
    earlier = [text for text in getattr(error, "__notes__", ()) if not text.startswith(_GIVEN_UP)]
    error.__notes__ = [*earlier, note]
