"""A model within a checkpoint: what it has answered already is taken from there."""

from __future__ import annotations

from outlast.lms.asking import ask, ask_within
from outlast.lms.protocol import LM, Wrapper
from outlast.messages import Request, Response
from outlast.messages.canonical import canonical
from outlast.runtime import current
from outlast.runtime.journal import Journal, key_of


class Journaled(Wrapper):
    """Asks `inner` what the journal does not know, and keeps the reply before it gives it.

    A reply from the journal is as it was, with what it cost: it counts in a budget again, so that a run which goes on
    stops where the whole one would have.
    """

    spends = False

    def __init__(self, inner: LM, journal: Journal) -> None:
        super().__init__(inner)
        self.journal = journal

    async def complete(self, request: Request) -> Response:
        """The reply. Raises what `inner` raises, and `DataError` when the reply cannot be kept."""
        place = self.journal.place(key_of("lm", self.inner.identity, canonical(request.to_json())))
        meter = current().meter
        if place.answer is not None:
            response = Response.from_json(place.answer)
            for one in () if meter is None else meter.chain:
                one.recall(response)
            return response
        if meter is None:
            response = await ask(self.inner, request)
        else:
            response = await ask_within(meter, self.inner, request)
        self.journal.end(place, response.to_json())
        return response
