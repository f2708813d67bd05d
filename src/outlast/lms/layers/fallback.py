"""When one model cannot be asked, another answers, and the response says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from outlast.errors import (
    ConfigError,
    LMCircuitOpen,
    LMConnectionError,
    LMError,
    LMRateLimited,
    LMServerError,
    LMTimeout,
    brief,
)
from outlast.lms.layers.several import Several
from outlast.lms.layers.trying import Attempt, Mark
from outlast.lms.protocol import LM
from outlast.messages import Request

T = TypeVar("T")

UNAVAILABLE = (LMConnectionError, LMTimeout, LMRateLimited, LMServerError, LMCircuitOpen)


class Fallback(Several):
    """Asks the first of `models`; when it raises one of the errors in `on`, the next, and so on.

    By default that is a model that cannot be reached: no connection, no answer in time, a rate limit, a 5xx, an open
    circuit. Give each model its own retries, so that the next is asked only when they are used up. Other errors go
    out at once: a refused key, an account without credit or a wrong request would be hidden by going on. A stream
    goes over to the next model only before its first event.

    `Response.model` says who answered, and `adaptations` that it was not the first. **A fallback changes the model
    under test**: leave it out of an evaluation or a compile, or look at the adaptations. Its identity covers all
    members; put the cache inside each member, so that an answer of the second is not given for the first later.
    Cost: up to one call of each member.
    """

    def __init__(self, *models: LM | str, on: type[LMError] | tuple[type[LMError], ...] = UNAVAILABLE) -> None:
        super().__init__(models, least=2)
        self.on = on if isinstance(on, tuple) else (on,)
        for kind in self.on:
            if not isinstance(kind, type) or not issubclass(kind, LMError):
                raise ConfigError(f"on is an LMError class or a tuple of them; got {brief(kind)}")
        self._fell = 0

    async def reach(self, request: Request, attempt: Attempt[T]) -> tuple[T, Mark]:
        """The answer of the first member that has one. Raises the last error, with a note of those before it."""
        failed: list[str] = []
        for member in self.members[:-1]:
            try:
                return await attempt(member), self._mark(member, failed)
            except self.on as error:
                failed.append(f"{member.name}: {type(error).__name__}")
        self._fell += 1
        last = self.members[-1]
        try:
            return await attempt(last), self._mark(last, failed)
        except LMError as error:
            error.add_note(f"the last of {len(self.members)} models; before it {', '.join(failed)}")
            raise

    def _mark(self, member: LM, failed: list[str]) -> Mark:
        if not failed:
            return Mark()
        return Mark(attempts=len(failed), adaptations=(f"fallback: {member.name} answered; {', '.join(failed)}",))

    def facts(self) -> Mapping[str, Any]:
        return {"members": len(self.members), "on": [kind.__name__ for kind in self.on], "last_resort": self._fell}
