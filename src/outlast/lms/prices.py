"""What a call costs: the price that the user gave, that the provider charged or that a dated table lists, no guess."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from importlib import import_module
from ipaddress import ip_address
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from outlast.errors import ConfigError, brief
from outlast.messages import Usage
from outlast.runtime.threads import start

STANDARD = frozenset((None, "", "default", "standard", "auto", "on_demand"))
"""Service tiers at the plain price."""

# Documented at half the plain price; applied to prices that users give. The table lists the tiers that it knows.
_HALF = frozenset(
    (
        ("openai", "flex"),
        ("openai", "batch"),
        ("anthropic", "batch"),
        ("google", "flex"),
        ("google", "batch"),
        ("mistral", "batch"),
        ("groq", "batch"),
    )
)
_SELLERS = {  # where our name for a provider and the table's differ
    "gemini": "google",
    "openai-responses": "openai",
    "xai": "x-ai",
    "moonshot": "moonshotai",
}
_UNLISTED = frozenset(
    ("ollama", "vllm", "sglang", "lm_studio", "llama_cpp", "hf", "outlast")
)  # on your own machine: nobody lists what it costs
_RATES = ("input", "output", "cached_input", "cache_write", "reasoning", "call")
_MINUTE = 60  # some prices depend on the time of day


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in US dollars per million tokens.

    `cached_input` is for input read from the provider's prompt cache, `cache_write` for input written to it,
    `reasoning` for hidden output; None: the price of plain input or output. `call` is dollars for each call.
    `longer` holds (input tokens, price) pairs in rising order: with more input than that, all tokens of the call have
    that price. `tiers` are factors of service tiers, such as `{"priority": 2.0}`.
    """

    input: float
    output: float
    cached_input: float | None = None
    cache_write: float | None = None
    reasoning: float | None = None
    call: float = 0.0
    longer: tuple[tuple[int, Price], ...] = ()
    tiers: Mapping[str, float] = field(default_factory=dict[str, float], hash=False)

    def __post_init__(self) -> None:
        for name in _RATES:
            value: Any = getattr(self, name)
            if not _is_amount(value) and (value is not None or name in ("input", "output", "call")):
                raise ConfigError(f"the price of {name} is a number of dollars from 0; got {brief(value)}")
        for name, factor in self.tiers.items():
            if not _is_amount(factor):
                raise ConfigError(f"the price factor of tier {name!r} is a number from 0; got {brief(factor)}")

    def of(self, input_tokens: int) -> Price:
        """The price of a call with this much input."""
        for above, price in reversed(self.longer):
            if input_tokens > above:
                return price
        return self

    def times(self, factor: float) -> Price:
        """Every price multiplied."""
        scaled = {name: value * factor for name in _RATES if (value := getattr(self, name)) is not None}
        longer = tuple((above, price.times(factor)) for above, price in self.longer)
        return replace(self, **scaled, longer=longer)

    def cost(self, usage: Usage) -> float | None:
        """Dollars for what a call used; None when its tokens are not known."""
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        rate = self.of(usage.input_tokens)
        cached = min(usage.cached_tokens or 0, usage.input_tokens)
        written = min(usage.cache_write_tokens or 0, usage.input_tokens - cached)
        hidden = min(usage.reasoning_tokens or 0, usage.output_tokens)
        return (
            (usage.input_tokens - cached - written) * rate.input
            + cached * _either(rate.cached_input, rate.input)
            + written * _either(rate.cache_write, rate.input)
            + (usage.output_tokens - hidden) * rate.output
            + hidden * _either(rate.reasoning, rate.output)
        ) / 1e6 + rate.call

    def most(self, input_tokens: int, output_tokens: int) -> float:
        """The most that a call can cost with at most so many tokens."""
        return max(
            (
                input_tokens * max(rate.input, rate.cached_input or 0.0, rate.cache_write or 0.0)
                + output_tokens * max(rate.output, rate.reasoning or 0.0)
            )
            / 1e6
            + rate.call
            for rate in (self, *(price for above, price in self.longer if input_tokens > above))
        )


class Priced(NamedTuple):
    """A price and where it is from: "user", or the table with its version and the date of its data."""

    price: Price
    source: str


def as_price(value: Any) -> Price | None:
    """A price as users write it: None, (input, output) or a `Price`. Raises `ConfigError` for anything else."""
    if value is None or isinstance(value, Price):
        return value
    pair = cast("Sequence[Any]", value) if isinstance(value, (tuple, list)) else ()
    if len(pair) != 2 or not all(_is_amount(number) for number in pair):
        raise ConfigError(
            f"price is (input, output) in dollars per million tokens, each from 0, or a Price(...); got {brief(value)}"
        )
    return Price(float(pair[0]), float(pair[1]))


def find_price(
    model: str,
    provider: str = "",
    *,
    tier: str | None = None,
    price: Price | None = None,
    asked: str | None = None,
    at: float | None = None,
) -> Priced | None:
    """The price of a model now, or at a time in seconds since 1970; None when it is not known.

    `provider` is its prefix ("openai") or the base URL of its server; a model of an unknown server has no known price,
    whatever its name. `tier` is the service tier, "batch" among them:
    a tier whose price is not known gives None. `price`, when given, is what the user says the plain tier costs.
    `asked` is the name to look up when `model` is not listed: the alias that a newer version answered for.
    """
    provider = _SELLERS.get(provider, provider)
    if price is not None:
        factor = _factor(price, provider, tier)
        if factor is None:
            return None
        return Priced(price, "user") if factor == 1 else Priced(price.times(factor), f"user, tier {tier}")
    minute = int((time.time() if at is None else at) // _MINUTE)
    tier = None if tier in STANDARD else tier
    found = _listed(model, provider, tier, minute)
    if found is None and asked and asked != model:
        found = _listed(asked, provider, tier, minute)
    return found


def priced(
    usage: Usage,
    model: str,
    provider: str = "",
    *,
    tier: str | None = None,
    asked_tier: str | None = None,
    price: Price | None = None,
    asked: str | None = None,
    at: float | None = None,
) -> Usage:
    """The usage with `cost` and `cost_source` set, if they can be known; the arguments are those of `find_price`.

    The user's price counts first, then what the provider said it charged (a cost that the usage holds already), then
    the table. `tier` is the one that served; when the provider does not say, the dearer of the plain one and
    `asked_tier` counts. Unknown tokens, an unknown model and an unknown tier leave the cost None, never 0.
    """
    if price is None and usage.cost is not None:
        return usage
    if usage.input_tokens is None or usage.output_tokens is None:
        return usage
    tiers = {tier} if tier is not None or asked_tier in STANDARD else {None, asked_tier}
    bills: list[tuple[float, str]] = []
    for each in tiers:
        found = find_price(model, provider, tier=each, price=price, asked=asked, at=at)
        cost = None if found is None else found.price.cost(usage)
        if found is None or cost is None:
            return usage
        bills.append((cost, found.source))
    cost, source = max(bills)
    return replace(usage, cost=cost, cost_source=source)


def possible_prices(
    model: str, provider: str = "", *, tier: str | None = None, price: Price | None = None
) -> tuple[Price, ...]:
    """The prices that a call which is made now may have, none when one of them is not known.

    A call in another tier may be served in the plain one, and prices that depend on the time may change within the
    hour.
    """
    now = time.time()
    found = [
        find_price(model, provider, tier=each, price=price, at=at)
        for each in {tier, None}
        for at in ((now,) if price is not None else (now, now + 3600))
    ]
    known = [each.price for each in found if each is not None]
    return tuple(known) if len(known) == len(found) else ()


def may_be_listed(provider: str) -> bool:
    """Whether it is of any use to look a provider's models up in the table."""
    return bool(provider) and provider not in _UNLISTED and not _is_local(provider)


@cache
def prepare() -> None:
    """Begin to load the table in a thread, once: it takes 0.2 s, which a call spends waiting for its reply anyway."""
    start(table)


def table() -> str | None:
    """The price table in use with its version and the date of its data, None when the extra is not installed."""
    snapshot = _snapshot()
    return None if snapshot is None else _table_name(snapshot)


def _factor(price: Price, provider: str, tier: str | None) -> float | None:
    """What a tier multiplies a user's price by, None when nobody said."""
    if tier in price.tiers:
        return price.tiers[tier or ""]
    if tier in STANDARD:
        return 1.0
    return 0.5 if (provider, tier) in _HALF else None


def _is_local(provider: str) -> bool:
    """Whether a base URL is on this machine or its network: nobody lists what that costs, and the table is large."""
    host = urlsplit(provider).hostname if "://" in provider else None
    if host is None:
        return False
    try:
        return ip_address(host).is_private
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))


@lru_cache(maxsize=4096)
def _listed(model: str, provider: str, tier: str | None, minute: int) -> Priced | None:
    """What the table says. One look-up a minute for each model: the table is long and searched in order."""
    snapshot = _snapshot() if model and may_be_listed(provider) else None
    if snapshot is None:
        return None
    if "://" in provider:
        where = {"provider_id": None, "provider_api_url": provider}
    else:
        where = {"provider_id": provider, "provider_api_url": None}
    try:
        seller, info = snapshot.find_provider_model(model, None, **where)
        when = datetime.fromtimestamp(minute * _MINUTE, UTC)
        rates = info.get_prices(when)
        if tier is not None:
            rates = _at_tier(seller, info, tier, when)
        price = None if rates is None else _from_rates(rates)
    except (LookupError, AttributeError, TypeError, ValueError):  # not listed, or a table in another form than we know
        return None
    name = _table_name(snapshot)
    return None if price is None else Priced(price, name if tier is None else f"{name}, tier {tier}")


def _at_tier(seller: Any, info: Any, tier: str, when: datetime) -> Any:
    """The rates of a service tier, None when this seller lists none for it."""
    context = {"processing": "batch"} if tier == "batch" else {"service_tier": tier}
    own = any(info is model for model in seller.models)  # tiers of one seller say nothing of another's
    for variant in info.price_variants or () if own else ():
        begun = variant.constraint is None or variant.constraint.active(when)
        if begun and all(context.get(key) == value for key, value in variant.when.items()):
            return info.get_prices(when, context)
    return None


def _from_rates(rates: Any) -> Price | None:
    """Our form of a table's prices; None when it does not price text in and text out."""
    if rates.input_mtok is None or rates.output_mtok is None:
        return None
    names = {
        "input": rates.input_mtok,
        "output": rates.output_mtok,
        "cached_input": rates.cache_read_mtok,
        "cache_write": rates.cache_write_mtok,
        "reasoning": getattr(rates, "output_reasoning_mtok", None),
    }
    call = getattr(rates, "requests_kcount", None)
    each = {"call": 0.0 if call is None else float(_rate_at(call, 0)) / 1000}
    starts = sorted({tier.start for rate in names.values() for tier in getattr(rate, "tiers", ())})

    def at(tokens: int) -> dict[str, Any]:
        return {name: float(_rate_at(rate, tokens)) for name, rate in names.items() if rate is not None} | each

    return Price(**at(0), longer=tuple((start, Price(**at(start + 1))) for start in starts))


def _rate_at(rate: Any, input_tokens: int) -> Any:
    """A rate that may depend on the length of the input."""
    found = getattr(rate, "base", rate)
    for tier in getattr(rate, "tiers", ()):
        if input_tokens > tier.start:
            found = tier.price
    return found


def _snapshot() -> Any:
    """The table of genai-prices, None without it. A process that lets it update itself gets the newest."""
    library = _library()
    return None if library is None else library.data_snapshot.get_snapshot()


@cache
def _library() -> Any:
    try:
        return import_module("genai_prices")
    except ImportError:
        return None


def _table_name(snapshot: Any) -> str:
    if snapshot.from_auto_update:
        return f"genai-prices {_library().__version__}, {snapshot.timestamp.date().isoformat()}"
    return _bundled_name()


@cache
def _bundled_name() -> str:
    """The package says no date for its data: the newest date in them that is not after they were installed."""
    data = import_module("genai_prices.data")
    installed = date.fromtimestamp(os.stat(str(data.__file__)).st_mtime)
    begun = [day for provider in data.providers for info in provider.models for day in _dates(info) if day <= installed]
    newest = f", {max(begun).isoformat()}" if begun else ""
    return f"genai-prices {_library().__version__}{newest}"


def _dates(info: Any) -> list[date]:
    """The days from which prices of a model hold."""
    listed: Any = info.prices
    conditional = cast("list[Any]", listed) if isinstance(listed, list) else []
    bounds = [part.constraint for part in (*conditional, *(info.price_variants or ()))]
    return [bound.start_date for bound in bounds if hasattr(bound, "start_date")]


def _either(price: float | None, otherwise: float) -> float:
    return otherwise if price is None else price


def _is_amount(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
