"""Record what a model said once, and replay it for ever: tests and examples that need no key and no network."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

from outlast.errors import ConfigError, LMReplayError, brief
from outlast.lms.caching.cache import uncached
from outlast.lms.caching.tape import Exchange, asked_form, difference, key_of, read_tape, writer_for, written
from outlast.lms.protocol import LM, Wrapper, ask, ask_stream
from outlast.messages import Finished, Request, Response, StreamEvent, events_of
from outlast.runtime.waiting import forks

MODES = ("replay", "auto", "record")
VARIABLE = "OUTLAST_CASSETTE"


class Cassette(Wrapper):
    """Answers from a recording, a JSONL file that belongs into git; records with `inner` what it is told to.

    `mode` is "replay" (never ask `inner`; a request that is not in the file is an error that shows how it differs
    from the nearest one), "auto" (ask for what is missing and append it), or "record" (ask for everything and begin
    the file anew); None is what `OUTLAST_CASSETTE` says, else "replay". Requests are matched by the model's identity
    and all that decides the answer, as in a cache. When one was recorded several times, each cassette gives its
    answers in that order, and the last of them from then on. Replies, streams and typed questions are alike.

    A line is one exchange, written whole when it has ended, in the order in which the requests were made. Errors and
    streams that were given up are not recorded. No secret is: values under names such as "api_key", the values of
    environment variables such as `OPENAI_API_KEY`, and texts of the shape of a key are replaced, in requests before
    they are matched. Cassettes on one file at the same time in one process share one recording; put one cassette
    around each model, outside of its cache. Raises `ConfigError` for another mode or path, `LMReplayError` for what
    is not recorded and for a bad line of the file, `OSError` when the file cannot be written. Cost: no call in replay,
    else at most one.
    """

    spends = False
    _fresh = True  # a model with a cache of its own is refused

    def __init__(self, inner: LM | str, path: str | os.PathLike[str], mode: str | None = None) -> None:
        super().__init__(uncached(inner, "Cassette") if self._fresh else inner)
        if not isinstance(path, (str, os.PathLike)) or path == "":
            raise ConfigError(f"the file of a cassette is a path such as 'tests/triage.jsonl'; got {brief(path)}")
        named = os.environ.get(VARIABLE, "").strip() if mode is None else ""
        self.mode = mode if mode is not None else named or "replay"
        if self.mode not in MODES:
            where = f"the environment variable {VARIABLE}" if named else "mode"
            raise ConfigError(f"{where} is {', '.join(map(repr, MODES[:2]))} or {MODES[2]!r}; got {brief(self.mode)}")
        self.path = Path(path)
        self._writer = writer_for(self.path)
        self._recorded: dict[bytes, list[Exchange]] | None = None
        self._given = Counter[bytes]()
        self._forks = forks()
        self._lock = threading.Lock()

    async def complete(self, request: Request) -> Response:
        """Answer one request from the recording, or record it."""
        asked = asked_form(self.inner.identity, request)
        known = self._find(asked, request)
        if known is not None:
            return known
        place = self._writer.begin(self.mode == "record")
        line: str | None = None
        try:
            response = await ask(self.inner, request)
            line = self._kept(asked, response)
        finally:
            self._writer.end(place, line)
        return response

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        """Answer one request in pieces; what is recorded comes in one piece of each kind."""
        asked = asked_form(self.inner.identity, request)
        known = self._find(asked, request)
        if known is not None:
            for event in events_of(known):
                yield event
            return
        place = self._writer.begin(self.mode == "record")
        line: str | None = None
        try:
            async with aclosing(ask_stream(self.inner, request)) as events:
                async for event in events:
                    if isinstance(event, Finished):
                        line = self._kept(asked, event.response)
                    yield event
        finally:
            self._writer.end(place, line)

    def _find(self, asked: Mapping[str, Any], request: Request) -> Response | None:
        """The recorded answer; None when the model is to be asked."""
        if self.mode == "record":
            return None
        if self._forks != forks():
            self._forks, self._lock = forks(), threading.Lock()
        key = key_of(asked)
        with self._lock:
            recorded = self._load()
            found = recorded.get(key)
            if found is not None:
                turn = min(self._given[key], len(found) - 1)
                self._given[key] += 1
                return found[turn].response.as_cached("replayed")
        if self.mode == "auto":
            return None
        raise self._missing(asked, request)

    def _load(self) -> dict[bytes, list[Exchange]]:
        if self._recorded is None:
            recorded: dict[bytes, list[Exchange]] = {}
            for exchange in read_tape(self.path):
                recorded.setdefault(key_of(exchange.asked), []).append(exchange)
            self._recorded = recorded
        return self._recorded

    def _kept(self, asked: Mapping[str, Any], response: Response) -> str:
        """The line of an exchange, which is from now on known."""
        if self._recorded is not None:
            with self._lock:
                self._recorded.setdefault(key_of(asked), []).append(Exchange(0, dict(asked), response))
        return written(asked, response)

    def _missing(self, asked: Mapping[str, Any], request: Request) -> LMReplayError:
        recorded = [exchange for found in self._load().values() for exchange in found]
        recorded.sort(key=lambda exchange: exchange.line)
        number = f"{len(recorded)} recorded exchange{'' if len(recorded) == 1 else 's'}"
        there = number if recorded or self.path.exists() else "no such file"
        told = difference(asked, recorded)
        return LMReplayError(
            f"this request of {self.name!r} is not in the recording {str(self.path)!r} ({there}). Record it with "
            f"mode='auto' or {VARIABLE}=auto." + (f" The nearest differs:\n{told}" if told else ""),
            request=request,
        )

    def facts(self) -> Mapping[str, Any]:
        return {"path": str(self.path), "mode": self.mode}

    def close(self) -> None:
        """Write what has ended although something before it has not. Not needed: it happens at exit."""
        self._writer.flush()

    def __reduce__(self) -> tuple[Any, ...]:
        return cast("Any", Cassette), (self.inner, self.path, self.mode)
