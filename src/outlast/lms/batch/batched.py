"""Half price for those who can wait: calls are collected into batches, which survive a restart."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

from outlast.errors import ConfigError, LMError, UsageError, brief, refuse_unknown
from outlast.lms.asking import ask, ask_stream
from outlast.lms.batch.jobs import Jobs, Pace
from outlast.lms.batch.store import BatchStore
from outlast.lms.batch.wire import wire_for
from outlast.lms.bounds import bound_of
from outlast.lms.caching.key import Keys
from outlast.lms.layers.remade import Remade
from outlast.lms.prices import find_price
from outlast.lms.protocol import LM, Capabilities, Wrapper, opened
from outlast.lms.wire.model import WireLM
from outlast.messages import Request, Response, StreamEvent
from outlast.runtime import Bound, current, running
from outlast.runtime.waiting import ForkSafeLock

TIER = "batch"
_DEFAULTS = Pace(idle=1.5, most=10_000, poll=(5.0, 60.0), retries=2)


class Batched(Remade, Wrapper):
    """A model opened by name, asked through its provider's batch interface: half the price, within a day.

    Calls that are under way at the same time are collected until none came for `idle` seconds, or until there are
    `most`, and go out as one batch. Which requests are in which batch is written to the file `store` before anything
    is sent and before anything is waited for: after a crash, or Ctrl-C, which leaves a batch under way, the same
    program finds its batch again, or the results of it, and pays nothing twice. Looks at a batch after `poll[0]`
    seconds, then less and less often, down to every `poll[1]` seconds. Requests that expired or failed for a passing
    reason go into a later batch, up to `retries` times.

    What the store holds is not asked again for 30 days, also without a cache: another `sample`, or another store, draws
    anew. The cache and the pin of the model stay in place; its retries and limits do not apply. The interfaces of
    OpenAI and Anthropic are spoken, and those of servers that have the same. Raises `ConfigError` for other models.
    Only worth it for many calls at once: each step of a program that waits for an answer waits for a whole batch.
    Cost: one call at the provider's batch price for each request that the store does not hold.
    """

    spends = False

    def __init__(
        self,
        inner: LM | str,
        store: str | Path | BatchStore,
        *,
        idle: float = _DEFAULTS.idle,
        most: int = _DEFAULTS.most,
        poll: tuple[float, float] = _DEFAULTS.poll,
        retries: int = _DEFAULTS.retries,
    ) -> None:
        from outlast.lms.models import OpenedModel

        pace = Pace(idle, most, poll, retries).checked()
        kept = store if isinstance(store, BatchStore) else BatchStore(_path(store))
        asking: LM | None = None
        inner = opened(type(self).__name__, inner)
        if isinstance(inner, OpenedModel):
            asking = inner.through(lambda leaf: _Collected(leaf, kept, pace))
        elif isinstance(inner, WireLM):
            asking = _Collected(inner, kept, pace)
        if asking is None:
            raise ConfigError(
                f"{inner!r} cannot be asked in batches: that takes a model of a provider's server, opened by name, "
                "such as ol.LM('openai/gpt-5-mini')"
            )
        super().__init__(asking)
        self.store = kept

    async def complete(self, request: Request) -> Response:
        """Answer one request, as part of a batch."""
        return await ask(self.inner, request)

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        """Answer one request, as part of a batch, in one piece."""
        async with aclosing(ask_stream(self.inner, request)) as events:
            async for event in events:
                yield event

    def facts(self) -> Mapping[str, Any]:
        return {"store": str(self.store.path)}


class Batches:
    """Stands a `Batched` in for each model that is asked, all with one store; takes what `Batched` takes. The built-in
    baseline is asked as it is.

    ol.evaluate(program, data, metric, transport=ol.Batches("batches.db", most=50_000))

    Raises `UsageError` for an option that does not exist and `ConfigError` for one out of range.
    """

    def __init__(self, store: str | Path, **options: Any) -> None:
        refuse_unknown(options, [option.name for option in fields(Pace)], "Batches(...)")
        replace(_DEFAULTS, **options).checked()
        self.store = BatchStore(_path(store))
        self._options = options
        self._made: dict[str, Batched] = {}
        self._lock = ForkSafeLock()

    def __call__(self, lm: LM) -> LM:
        from outlast.lms.baseline.model import Baseline

        if isinstance(lm, (Batched, Baseline)):  # what costs nothing needs no discount
            return lm
        with self._lock:
            made = self._made.get(lm.identity)
            if made is None:
                made = self._made[lm.identity] = Batched(lm, self.store, **self._options)
            return made


Transport = Literal["direct", "batch"] | Batches


@contextmanager
def carried(transport: Any, beside: str | os.PathLike[str] | None, *, subject: str) -> Generator[bool]:
    """Send what a block asks by a transport: "direct", "batch" or a `Batches`; says whether that is in batches.

    The store of "batch" is `<beside>.batches.db`, or `outlast/batches.db` in the cache folder. Raises `UsageError`.
    Within a replay nothing is sent at all.
    """
    if getattr(current().transport, "offline", False):
        yield transport != "direct"
        return
    if isinstance(transport, str) and transport == "direct":
        yield False
        return
    if isinstance(transport, str) and transport == "batch":
        transport = Batches(_cache_home() / "outlast" / "batches.db" if beside is None else f"{beside}.batches.db")
    if not isinstance(transport, Batches):
        raise UsageError(f"{subject}(transport=...) is 'direct', 'batch' or ol.Batches(path); got {brief(transport)}")
    with running(transport=transport):
        yield True


def _cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


class _Collected(LM):
    """The bare model, reached through batches."""

    blocking_safe = True

    def __init__(self, leaf: WireLM, store: BatchStore, pace: Pace) -> None:
        wire = wire_for(leaf.dialect.name)
        if wire is None:
            raise ConfigError(f"{leaf.name!r} speaks {leaf.dialect.name!r}, which has no batch interface")
        self.name = leaf.name
        self.leaf = leaf
        self.store = store
        self._keys = Keys("batch")
        self._jobs = Jobs(leaf, wire, store, pace)

    @property
    def identity(self) -> str:
        return self.leaf.identity

    @property
    def capabilities(self) -> Capabilities:  # pyright: ignore[reportIncompatibleVariableOverride]
        return replace(self.leaf.capabilities, decisions=False, streaming=False)

    async def complete(self, request: Request) -> Response:
        """Answer one request from the store, or as part of a batch."""
        digest = self._keys.of(self.leaf.identity, request)
        if digest is None:
            raise UsageError(f"{self.name}: the request holds what JSON cannot, and so cannot be part of a batch")
        key, started = digest.hex(), time.monotonic()
        self.leaf.write(request)  # raises at once for what cannot be sent
        known = self.store.reply(key)
        if known is not None:
            return self._read(known, request, key).as_cached("hit")
        answer = await self._jobs.ask(key, request)
        if isinstance(answer.outcome, LMError):
            raise _copied(answer.outcome, request)
        response = self._read(answer.outcome, request, key)
        response = replace(response, queued_seconds=time.monotonic() - started)
        return response if answer.first else response.as_cached("shared")

    def bound(self, request: Request) -> Bound:
        """The most that a call can take, at the price of a batch where that is known."""
        leaf = self.leaf
        found = find_price(leaf.model, leaf.seller, tier=TIER, price=leaf.price) or find_price(
            leaf.model, leaf.seller, price=leaf.price
        )
        return bound_of(request, leaf.sent(request), model=self.name, prices=() if found is None else (found.price,))

    def _read(self, data: dict[str, Any], request: Request, key: str) -> Response:
        try:
            return self.leaf.read(data, request, self.leaf.write(request), tier=TIER)
        except LMError as error:
            self.store.drop(key)  # or the same reply would be read again and again
            error.request = request
            raise

    def facts(self) -> Mapping[str, Any]:
        return {**self.leaf.facts(), "transport": "batch"}


def _copied(error: LMError, request: Request) -> LMError:
    """The error for one caller of several."""
    twin = copy.copy(error)
    twin.request = request
    return twin


def _path(store: Any) -> Path:
    if not isinstance(store, (str, Path)) or not str(store):
        raise ConfigError(f"the store of batches is the path of a file; got {brief(store)}")
    return Path(store)
