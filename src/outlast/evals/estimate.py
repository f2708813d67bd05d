"""What a run will ask and cost, before it: the program runs on some examples, and no model is asked."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, NamedTuple

from outlast.data.example import Example
from outlast.errors import DataError, OutlastError, UsageError, brief
from outlast.lms.baseline.model import Baseline
from outlast.lms.bounds import asked_tier, input_bound, output_bound
from outlast.lms.layers.trying import layers
from outlast.lms.prices import Priced, find_price
from outlast.lms.protocol import LM, Wrapper
from outlast.lms.wire.model import WireLM
from outlast.messages import Message, Request, Response, Settings, Usage
from outlast.runtime import run_blocking, running

_UNSURE = 0.75  # share of the likely tokens that the low figure takes


class Range(NamedTuple):
    """Three figures. `high` is what these calls cannot exceed, None where nothing bounds them."""

    low: float
    likely: float
    high: float | None

    def times(self, factor: float) -> Range:
        """All three multiplied."""
        return Range(self.low * factor, self.likely * factor, None if self.high is None else self.high * factor)


_NOTHING = Range(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run over `examples` will take, from `sampled` of them. `dollars` is None when a price is not known.

    `high` is what a budget sets aside: each byte of text a token, `max_tokens` of output; None without `max_tokens`.
    `likely` counts words for input, and for output what the built-in baseline wrote in the same form: models that
    reason or explain write more. Calls that are made again, after an error or an answer of no use, come on top.
    `models` were asked; `sources` say where prices are from, `unpriced` which models have none.
    """

    examples: int
    sampled: int
    calls: float
    input_tokens: Range
    output_tokens: Range
    dollars: Range | None
    models: tuple[str, ...]
    sources: tuple[str, ...]
    unpriced: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form."""
        data = {
            "examples": self.examples,
            "sampled": self.sampled,
            "calls": round(self.calls),
            "input_tokens": self.input_tokens._asdict(),
            "output_tokens": self.output_tokens._asdict(),
            "dollars": None if self.dollars is None else self.dollars._asdict(),
        }
        return {**data, "models": self.models, "sources": self.sources, "unpriced": self.unpriced}

    def __str__(self) -> str:
        lines = [
            f"{self.examples:,} examples, about {self.calls:,.0f} calls of {', '.join(self.models) or 'no model'}",
            f"input   {_shown(self.input_tokens)} tokens",
            f"output  {_shown(self.output_tokens)} tokens",
        ]
        if self.dollars is None:
            lines.append(f"cost    unknown: nobody knows the price of {', '.join(self.unpriced)}")
        else:
            lines.append(f"cost    {_shown(self.dollars, money=True)} ({'; '.join(self.sources) or 'no price'})")
        if self.output_tokens.high is None:
            lines.append("        without max_tokens nothing bounds the output")
        return "\n".join(lines)


@dataclass(slots=True)
class _Seen:
    """What was asked so far."""

    asked: list[tuple[LM, Request, Usage]] = field(default_factory=list[tuple[LM, Request, Usage]])


class _Foreseen(Wrapper):
    """Notes what a model would be asked and answers as the built-in baseline does."""

    spends = False

    def __init__(self, inner: LM, seen: _Seen) -> None:
        super().__init__(inner)
        self._seen = seen
        self._baseline = Baseline()

    async def complete(self, request: Request) -> Response:
        """The baseline's answer. Cost: no LM call."""
        try:
            response = await self._baseline.complete(_text_of(request))
        except OutlastError:
            self._seen.asked.append((self.inner, request, Usage()))
            raise
        self._seen.asked.append((self.inner, request, response.usage))
        return response


def estimate(
    program: Any,
    data: Iterable[Example],
    *,
    lm: LM | str | None = None,
    sample: int = 20,
    output_tokens: float | None = None,
) -> Forecast:
    """What running `program` over `data` will take: calls, tokens and dollars. Asks no model and costs nothing.

    The program runs on `sample` examples, evenly spread, with the built-in baseline in the place of its models, so that
    later steps are seen too; a program whose number of steps depends on what the model says may take more or fewer.
    `output_tokens` is what one reply takes, if you know better than the baseline. Metrics are not run.
    """
    rows = list(data)
    if not rows:
        raise DataError("an estimate needs at least one example; got none")
    if isinstance(sample, bool) or not isinstance(sample, int) or sample < 1:
        raise UsageError(f"sample is a whole number from 1; got {brief(sample)}")
    if output_tokens is not None and not (math.isfinite(output_tokens) and output_tokens >= 0):
        raise UsageError(f"output_tokens is a number from 0; got {brief(output_tokens)}")
    seen, chosen = _Seen(), list(islice(rows, 0, None, max(1, len(rows) // sample)))[:sample]
    run_blocking(lambda: _run(program, chosen, lm, seen))
    return _forecast(seen, len(rows), len(chosen), output_tokens)


async def _run(program: Any, rows: list[Example], lm: LM | str | None, seen: _Seen) -> None:
    from outlast.evals.runner import RowRunner

    def foreseen(model: LM) -> LM:
        return _Foreseen(model, seen)

    with running(transport=foreseen, meter=None, memo=None, trace=None):
        runner = RowRunner(program, lambda example, out: True, lm=lm)
        for index, example in enumerate(rows):
            await runner(index, example, run=runner.run)
        runner.close()


def _text_of(request: Request) -> Request:
    """What the baseline reads of a request: its text, so that later steps are seen where there are media or tools."""
    messages = tuple(Message(message.role, message.text) for message in request.messages)
    return replace(request, messages=messages, tools=(), tool_choice="auto")


def _forecast(seen: _Seen, examples: int, sampled: int, output_tokens: float | None) -> Forecast:
    incoming = outgoing = dollars = _NOTHING
    sources: dict[str, None] = {}
    unpriced: dict[str, None] = {}
    for lm, request, usage in seen.asked:
        price, settings = _price(lm, request)
        one = _tokens(request, settings, usage, output_tokens)
        incoming, outgoing = _add(incoming, one[0]), _add(outgoing, one[1])
        cost = _cost(lm, request, price, *one)
        if cost is None:
            unpriced[lm.name] = None
        else:
            dollars = _add(dollars, cost)
            sources[price.source if price is not None else lm.name] = None
    scale = examples / sampled
    return Forecast(
        examples,
        sampled,
        len(seen.asked) * scale,
        incoming.times(scale),
        outgoing.times(scale),
        None if unpriced else dollars.times(scale),
        tuple(dict.fromkeys(lm.name for lm, _, _ in seen.asked)),
        tuple(sources),
        tuple(unpriced),
    )


def _tokens(request: Request, settings: Settings, usage: Usage, told: float | None) -> tuple[Range, Range]:
    bound, cap = input_bound(request), output_bound(settings)
    likely = float(usage.input_tokens or sum(len(message.text) for message in request.messages) / 4)
    reply = float(usage.output_tokens or 0) if told is None else told
    reply = reply if cap is None else min(reply, cap)
    incoming = Range(likely * _UNSURE, likely, None if bound is None else float(bound))
    return incoming, Range(reply * _UNSURE, reply, None if cap is None else float(cap))


def _price(lm: LM, request: Request) -> tuple[Priced | None, Settings]:
    """The price of a model behind a server, and the settings that it sends."""
    for layer in layers(lm):
        if isinstance(layer, WireLM):
            settings = layer.sent(request)
            return find_price(layer.model, layer.seller, tier=asked_tier(settings), price=layer.price), settings
    return None, request.settings


def _cost(lm: LM, request: Request, price: Priced | None, incoming: Range, outgoing: Range) -> Range | None:
    if price is None:
        each = lm.bound(request).dollars
        return None if each is None else Range(each, each, each)
    low, likely = (price.price.cost(Usage(round(i), round(o))) for i, o in zip(incoming[:2], outgoing[:2], strict=True))
    if low is None or likely is None:
        return None
    if incoming.high is None or outgoing.high is None:
        return Range(low, likely, None)
    return Range(low, likely, price.price.most(math.ceil(incoming.high), math.ceil(outgoing.high)))


def _add(one: Range, other: Range) -> Range:
    high = None if one.high is None or other.high is None else one.high + other.high
    return Range(one.low + other.low, one.likely + other.likely, high)


def _shown(figures: Range, *, money: bool = False) -> str:
    def text(value: float) -> str:
        return f"${value:,.4f}" if money else f"{value:,.0f}"

    most = "" if figures.high is None else f", at most {text(figures.high)}"
    return f"about {text(figures.likely)}{most}"
