"""Answers a question with what was said to a near one. Off unless asked for: it trades correctness for cost."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from outlast.errors import ConfigError, UsageError, brief
from outlast.lms.caching.cache import is_worth_keeping
from outlast.lms.caching.key import Keys
from outlast.lms.caching.lexical import lexical
from outlast.lms.caching.semantic_error import (
    ROUNDING,
    Calibration,
    Embed,
    FalseHits,
    calibrate,
    embed_some,
    false_hits,
)
from outlast.lms.layers.remade import Remade
from outlast.lms.protocol import LM, Wrapper, ask, ask_stream
from outlast.messages import Finished, Request, Response, StreamEvent, events_of
from outlast.runtime import current
from outlast.runtime.waiting import forks

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class SemanticStats:
    """What a semantic cache did since it was made: answers given from near questions, calls made, answers held."""

    hits: int
    misses: int
    entries: int


class SemanticCache(Remade, Wrapper):
    """Answers with what was said to a near question. **Some of its answers are wrong**: measure how many, first.

    Two requests are near when the texts of their last messages are, as vectors of `embed` (a function from a list of
    texts to as many vectors, plain or async; `lexical` compares spelling), and all else about them is equal: model,
    earlier messages, settings, schema, tools, sample, label. `text` may pick a part of that text, such as the input of
    a template, or None for a request that the model is to answer; calibrate on texts of the same kind.

    It cannot be made without a `calibration` (see `calibrate`) or a `threshold` of your own, a similarity from 0 to 1.
    A response from a near question says `cache="semantic"` and names the similarity in `adaptations`; no `Cached` keeps
    it, and the identity of this LM is its own. Within `compile` it raises `UsageError`: a search that is answered with
    near answers measures nothing. At most `entries` answers are held, in memory; the oldest go first. A copy or pickle
    is a new one, which holds none. Needs numpy (extra `semantic`). Raises `ConfigError` for options out of range. Cost:
    at most one call, and one of `embed`.
    """

    spends = False

    def __init__(
        self,
        inner: LM | str,
        *,
        embed: Embed | None = None,
        threshold: float | None = None,
        calibration: Calibration | None = None,
        text: Callable[[Request], str | None] | None = None,
        entries: int = 10_000,
    ) -> None:
        super().__init__(inner)
        if (threshold is None) == (calibration is None):
            raise ConfigError(
                "a semantic cache needs either calibration=SemanticCache.calibrate(examples, max_error=...), which "
                "measures how often it will be wrong, or a threshold= of your own"
            )
        if calibration is not None and embed is not None and embed is not calibration.embed:
            raise ConfigError("the calibration was measured with another embedding than embed=; leave embed= out")
        if threshold is not None and (
            isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1
        ):
            raise ConfigError(f"threshold is a similarity above 0, up to 1; got {brief(threshold)}")
        if isinstance(entries, bool) or not isinstance(entries, int) or entries < 1:
            raise ConfigError(f"entries is a whole number from 1; got {brief(entries)}")
        self.calibration = calibration
        self.threshold = calibration.threshold if calibration is not None else float(threshold or 0)
        self.embed: Embed = calibration.embed if calibration is not None else embed or lexical
        self.entries = entries
        self._text = text or last_text
        self._keys = Keys("semantic")
        self._shelves: OrderedDict[bytes, _Shelf] = OrderedDict()
        self._hits = self._misses = self._held = 0
        self._lock = threading.Lock()
        self._forks = forks()

    @staticmethod
    def measure(examples: Sequence[Any], threshold: float, *, embed: Embed = lexical, level: float = 0.95) -> FalseHits:
        """How often it would be wrong at a threshold, on (text, label) pairs or (text, other text, same) triples."""
        return false_hits(embed, examples, threshold, level)

    @staticmethod
    def calibrate(
        examples: Sequence[Any], max_error: float, *, embed: Embed = lexical, level: float = 0.95
    ) -> Calibration:
        """The lowest threshold with at most `max_error` false hits, on (text, label) pairs or (text, other text, same)
        triples. Raises `ConfigError` when there is none."""
        return calibrate(embed, examples, max_error, level)

    @property
    def identity(self) -> str:
        """Another than that of the model, whose answers to these questions are not known."""
        name = getattr(self.embed, "__qualname__", type(self.embed).__qualname__)
        return f"{self.inner.identity} | near questions by {name} from {self.threshold:g}"

    async def complete(self, request: Request) -> Response:
        """Answer one request, from a near one if it can."""
        place = await self._place(request)
        found = None if place is None else self._nearest(place)
        if found is not None:
            return found
        response = await ask(self.inner, request)
        self._keep(place, response)
        return response

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        """Answer one request in pieces, from a near one if it can."""
        place = await self._place(request)
        found = None if place is None else self._nearest(place)
        if found is not None:
            for event in events_of(found):
                yield event
            return
        async with aclosing(ask_stream(self.inner, request)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    self._keep(place, event.response)
                yield event

    async def _place(self, request: Request) -> tuple[bytes, np.ndarray[Any, Any]] | None:
        """Where the answer to a request is held: with what it must equal, and where its text lies."""
        if current().memo is not None:
            raise UsageError(
                "a semantic cache cannot be used within compile: its answers are those of other questions, so nothing "
                "that is measured with them holds. Compile with the model itself, and put the cache around it after."
            )
        text = self._text(request)
        if text is None:
            return None
        key = self._keys.of(self.inner.identity, _without_last(request, text))
        if key is None:
            return None
        return key, (await embed_some(self.embed, [text]))[0]

    def _nearest(self, place: tuple[bytes, np.ndarray[Any, Any]]) -> Response | None:
        key, vector = place
        with self._renewed():
            shelf = self._shelves.get(key)
            found = None if shelf is None else shelf.nearest(vector)
            if found is None or found[1] < self.threshold - ROUNDING:
                self._misses += 1
                return None
            self._hits += 1
            self._shelves.move_to_end(key)
        response, similarity = found
        told = f"answered with the answer to a near question (similarity {similarity:.3f})"
        return replace(response.as_cached("semantic"), adaptations=(*response.adaptations, told))

    def _keep(self, place: tuple[bytes, np.ndarray[Any, Any]] | None, response: Response) -> None:
        if place is None or not is_worth_keeping(response):
            return
        key, vector = place
        if not vector.any():  # nothing to compare: near to nothing
            return
        with self._renewed():
            shelf = self._shelves.setdefault(key, _Shelf())
            self._shelves.move_to_end(key)
            self._held += 1
            while self._held > self.entries:
                oldest = next(iter(self._shelves))
                self._held -= 1
                self._shelves[oldest].drop_oldest()
                if oldest != key and not len(self._shelves[oldest]):
                    del self._shelves[oldest]
            shelf.add(vector, response)

    def _renewed(self) -> threading.Lock:
        """The lock, another one after a fork."""
        if self._forks != forks():
            self._forks, self._lock = forks(), threading.Lock()
        return self._lock

    def stats(self) -> SemanticStats:
        """What this cache did since it was made."""
        return SemanticStats(self._hits, self._misses, self._held)

    def clear(self) -> None:
        """Forget every answer."""
        with self._renewed():
            self._shelves.clear()
            self._held = 0

    def facts(self) -> Mapping[str, Any]:
        told: dict[str, Any] = {"threshold": self.threshold}
        if self.calibration is not None:
            told["max_error"] = self.calibration.max_error
        return told


class _Shelf:
    """Answers to requests that differ in one text only, with the vectors of the texts. The lock is its owner's."""

    def __init__(self) -> None:
        self._responses: list[Response] = []
        self._vectors: np.ndarray[Any, Any] | None = None
        self._first = 0  # older ones were dropped

    def __len__(self) -> int:
        return len(self._responses) - self._first

    def nearest(self, vector: np.ndarray[Any, Any]) -> tuple[Response, float] | None:
        """The answer whose text is the nearest, and its similarity. Raises `UsageError` for other vectors."""
        vectors = self._vectors
        if vectors is None:
            return None
        if vectors.shape[1] != len(vector):
            raise UsageError(f"embed gave {len(vector)} numbers for a text and {vectors.shape[1]} for another")
        if not len(self):
            return None
        near = vectors[self._first : len(self._responses)] @ vector
        best = int(near.argmax())
        return self._responses[self._first + best], float(near[best])

    def add(self, vector: np.ndarray[Any, Any], response: Response) -> None:
        """Hold one more answer."""
        import numpy as np

        count, vectors = len(self._responses), self._vectors
        if vectors is None or count == len(vectors):
            held = len(self)
            grown = np.empty((max(16, 2 * held), len(vector)), np.float32)
            if vectors is not None:
                grown[:held] = vectors[self._first : count]
            self._responses, self._first = self._responses[self._first :], 0
            self._vectors = vectors = grown
            count = held
        vectors[count] = vector
        self._responses.append(response)

    def drop_oldest(self) -> None:
        """Hold the oldest answer no longer."""
        self._first += 1


def last_text(request: Request) -> str | None:
    """The text of the last message when it is the user's and nothing but text."""
    last = request.messages[-1] if request.messages else None
    return last.content if last is not None and last.role == "user" and isinstance(last.content, str) else None


def _without_last(request: Request, text: str) -> Request:
    """The request with the compared text taken out of its last message: what is left must be equal."""
    *earlier, last = request.messages
    content = last.content.replace(text, "", 1) if text and isinstance(last.content, str) else last.content
    return replace(request, messages=(*earlier, replace(last, content=content)))
