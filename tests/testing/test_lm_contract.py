"""The contract of models and layers: ours keep it, and one that breaks it is told what it breaks."""

from __future__ import annotations

from itertools import count

import pytest

import outlast as ol
from outlast.lms.caching.cache import Cached
from outlast.lms.caching.cassette import Cassette
from outlast.lms.layers.budget import Budgeted
from outlast.lms.layers.pinned import Pinned
from outlast.lms.layers.tier import TierFallback
from outlast.lms.protocol import LM, Wrapper, ask, ask_stream
from outlast.messages import Finished, Response, TextDelta, Usage
from outlast.testing import FakeServer, ScriptedLM, check_layer, check_lm

LAYERS = {
    "Limited": ol.Limited,
    "AdaptiveLimited": ol.AdaptiveLimited,
    "RateLimited": lambda lm: ol.RateLimited(lm, 100_000),
    "Retrying": lambda lm: ol.Retrying(lm, base=0.0),
    "Timeout": lambda lm: ol.Timeout(lm, 60),
    "Hedged": lambda lm: ol.Hedged(lm, after=20.0),
    "CircuitBreaker": lambda lm: ol.CircuitBreaker(lm, 100),
    "Fallback": lambda lm: ol.Fallback(lm, ScriptedLM(["spare"])),
    "Balanced": lambda lm: ol.Balanced([lm]),
    "Routed": lambda lm: ol.Routed(lambda request: "only", {"only": lm}, identity="only"),
    "Pinned": lambda lm: Pinned(lm, "probe"),
    "Budgeted": lambda lm: Budgeted(lm, calls=1000),
    "TierFallback": TierFallback,
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_of_ours_keeps_it(name):
    check_layer(LAYERS[name])


def test_a_cache_and_a_recording_keep_it(tmp_path):
    numbers = count()
    check_layer(lambda lm: Cached(lm, tmp_path / f"{next(numbers)}.db"))
    check_layer(lambda lm: Cassette(lm, tmp_path / f"{next(numbers)}.jsonl", "record"))


def test_models_of_ours_keep_it():
    check_lm(ScriptedLM(lambda messages: "yes", latency=0.002))
    check_lm(ol.LM("outlast/baseline"))
    with FakeServer("yes it is", latency=0.01) as server:
        check_lm(ol.LM("m", base_url=server.url, cache=False))


class Breaking(Wrapper):
    """Breaks one rule."""

    def __init__(self, inner: LM, rule: str) -> None:
        super().__init__(inner)
        self.rule = rule
        self.kept = []
        self.calls = 0

    @property
    def identity(self) -> str:
        return f"{self.inner.identity} {self.calls if self.rule == 'identity' else ''}"

    async def complete(self, request):
        self.calls += 1
        if self.rule == "own":
            return Response(text="mine", model="m")
        try:
            response = await ask(self.inner, request)
        except Exception:
            if self.rule == "swallow":
                return Response(text="all is well", model="m")
            raise
        if self.rule == "usage":
            return Response(text=response.text, usage=Usage(1, 1))
        return response

    async def stream(self, request):
        if self.rule == "whole":
            async for event in super().stream(request):
                yield event
            return
        events = ask_stream(self.inner, request)
        if self.rule == "leak":
            self.kept.append(events)
        try:
            async for event in events:
                if isinstance(event, Finished) and self.rule == "unfinished":
                    return
                yield event
        except Exception:
            if self.rule != "again":
                raise
            yield TextDelta("yes ")
            raise

    def info(self):
        return self.inner.info() if self.rule == "hidden" else super().info()

    def __repr__(self) -> str:
        return f"Breaking({self.inner.key})" if self.rule == "secret" else super().__repr__()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("own", "does not reach the inner model"),
        ("swallow", "swallows the error"),
        ("usage", "where the model told"),
        ("whole", "where the model gave two pieces"),
        ("unfinished", "not with Finished|must end its stream"),
        ("again", "said twice"),
        ("leak", "leaves 1 calls of the inner model open"),
        ("identity", "after some calls"),
        ("hidden", "not with the layer itself"),
        ("secret", "show a secret"),
    ],
)
def test_a_layer_that_breaks_a_rule_is_told_which(rule, message):
    with pytest.raises((AssertionError, ol.OutlastError), match=message):
        check_layer(lambda lm: Breaking(lm, rule))


class Odd(LM):
    """A model that breaks one rule."""

    blocking_safe = True

    def __init__(self, rule: str) -> None:
        self.name = "odd"
        self.rule = rule

    async def complete(self, request):
        usage = Usage(-1, 0) if self.rule == "negative" else Usage()
        return Response(text="yes", model="" if self.rule == "nameless" else "odd", usage=usage)

    async def stream(self, request):
        yield TextDelta("no" if self.rule == "other words" else "yes")
        yield Finished(await self.complete(request))


@pytest.mark.parametrize(
    ("rule", "message"),
    [("negative", "input_tokens is -1"), ("nameless", "which model answered"), ("other words", "pieces said 'no'")],
)
def test_a_model_that_breaks_a_rule_is_told_which(rule, message):
    with pytest.raises(AssertionError, match=message):
        check_lm(Odd(rule))
