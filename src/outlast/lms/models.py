"""Opening a model by name: a provider's row of data, checked options, and the stack of wrappers around it."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from outlast.errors import ConfigError, UsageError, brief, did_you_mean, refuse_unknown
from outlast.lms.caching.cache import Cached, named_place
from outlast.lms.caching.redis_cache import RedisCache, safe_place
from outlast.lms.engines import engine_of
from outlast.lms.layers.adaptive import AdaptiveLimited
from outlast.lms.layers.limit import Limited
from outlast.lms.layers.pinned import FIRST, Pinned
from outlast.lms.layers.rate import RateLimited
from outlast.lms.layers.retry import Retrying
from outlast.lms.layers.tier import TierFallback
from outlast.lms.options import SETTING_NAMES, settings_from
from outlast.lms.prices import Price, as_price
from outlast.lms.protocol import LM, Capabilities, Wrapper
from outlast.lms.wire.dialects import decisions_named, dialect_named
from outlast.lms.wire.model import Policy, WireLM, key_from
from outlast.lms.wire.providers import PROVIDERS, UNKNOWN, Provider
from outlast.lms.wire.reply import serialize
from outlast.lms.wire.transport import Endpoint, Secret, checked_url
from outlast.messages import Request, Response, Settings, StreamEvent

BUILT_IN = ("outlast/baseline",)


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What `LM("provider/model", ...)` takes besides the name. Building one checks every value.

    `base_url` is another server to ask, without user name or query. `api_key` is the key; without it the key comes
    from the provider's environment variable, at each call, and goes only to the provider's own hosts or to a base URL
    that comes from the environment too. `capabilities` replaces what is assumed of the model. `dialect`
    is the wire format where the server speaks another one than its provider ("openai-chat", "openai-responses",
    "anthropic-messages"), `decisions` that of typed questions ("openai", "systemone"). `adapt` says what happens to
    settings that the model does not take: "note" leaves them out and says so in `Response.adaptations`, "refuse"
    raises `LMUnsupported`. `cache` is
    True for the default file, a path for another, False for none. `retries`: tries after the first. `timeout`:
    seconds for one whole exchange. `concurrency`: calls in flight at once, or "adaptive" (see `AdaptiveLimited`).
    `requests_per_minute`, `tokens_per_minute`: see `RateLimited`; `shared_rate` is the file through which processes
    keep them together. `price`: US dollars per million tokens, (input, output) or a `Price`. `pin`: the version
    that must answer, see `Pinned`. `fallback_tier`: see `TierFallback`. `max_response_bytes`: a longer reply is an
    error. The others are default `Settings`; `extra` is pickled with the model, so it is no place for a secret.
    """

    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    capabilities: Capabilities | None = None
    dialect: str | None = None
    decisions: str | None = None
    adapt: str = "note"
    cache: bool | str | os.PathLike[str] | RedisCache = field(default=True, repr=False)  # may hold a password
    retries: int = 4
    timeout: float = 120.0
    concurrency: int | Literal["adaptive"] = 256
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    shared_rate: str | os.PathLike[str] | None = None
    price: tuple[float, float] | Price | None = None
    pin: str | None = None
    fallback_tier: str | None = None
    max_response_bytes: int = 16 << 20
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: Sequence[str] | None = None
    seed: int | None = None
    reasoning: str | None = None
    extra: Mapping[str, Any] | None = None
    show_reasoning: bool | None = None
    logprobs: int | None = None
    tier: str | None = None
    prediction: str | None = None
    parallel_tools: bool | None = None
    grammar: str | None = None

    def __post_init__(self) -> None:
        if self.api_key is not None and not isinstance(self.api_key, str):
            raise ConfigError(f"api_key is text; got a {type(self.api_key).__name__}")
        if self.capabilities is not None and not isinstance(self.capabilities, Capabilities):
            raise ConfigError(f"capabilities is a Capabilities(...); got {brief(self.capabilities)}")
        if not isinstance(self.cache, (bool, str, os.PathLike, RedisCache)) or self.cache == "":
            raise ConfigError(
                f"cache is True, False, the path of a file or 'redis://host:port/0'; got {brief(self.cache)}"
            )
        if not isinstance(self.cache, bool):
            named_place(self.cache)
        if self.adapt not in ("note", "refuse"):
            raise ConfigError(f"adapt is 'note' or 'refuse'; got {brief(self.adapt)}")
        if self.dialect is not None:
            dialect_named(self.dialect)
        if self.decisions is not None:
            decisions_named(self.decisions)
        _whole("retries", self.retries, 0)
        _number("timeout", self.timeout, above=0)
        if self.concurrency != "adaptive":
            _whole("concurrency", self.concurrency, 1, ', or "adaptive"')
        _whole("max_response_bytes", self.max_response_bytes, 1)
        as_price(self.price)
        if self.fallback_tier is not None and (not isinstance(self.fallback_tier, str) or not self.fallback_tier):
            raise ConfigError(f"fallback_tier is the name of a service tier; got {brief(self.fallback_tier)}")
        if self.pin is not None and (not isinstance(self.pin, str) or not self.pin):
            raise ConfigError(f"pin is the name of a model version, a pattern, or 'first'; got {brief(self.pin)}")
        _ = self.settings  # raises for a value that no model can follow
        self._check_extra()

    def _check_extra(self) -> None:
        if self.extra is None:
            return
        reserved = dialect_named(self.dialect or "openai-chat").reserved
        for name in self.extra:
            if name in reserved:
                raise UsageError(f"extra may not hold {name!r}: outlast sets it. Draw several replies with sample=")
        serialize(self.extra)

    @property
    def settings(self) -> Settings:
        """The default settings among the options."""
        return settings_from({name: getattr(self, name) for name in SETTING_NAMES})


class OpenedModel(Wrapper):
    """A model opened by name: one value around its stack of wrappers.

    Two are equal when their identities are: name on the server, server, default settings. Copies are the model
    itself; a pickle holds the name and options but never a key, which the other process takes from its environment.
    """

    spends = False
    _checked = True

    def __init__(self, model: str, stack: LM, leaf: LM, options: Mapping[str, Any], chosen: ModelOptions) -> None:
        super().__init__(stack)
        self._chosen = replace(chosen, api_key=None)
        self.model = model
        self.options = {name: value for name, value in options.items() if name != "api_key"}
        if "cache" in options:
            self.options["cache"] = safe_place(options["cache"])
        self.leaf = leaf

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.model

    @property
    def capabilities(self) -> Capabilities:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.leaf.capabilities

    @property
    def identity(self) -> str:
        return self.inner.identity

    async def complete(self, request: Request) -> Response:
        """Answer one request through the stack."""
        return await self.inner.complete(request)

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        """Answer one request through the stack, in pieces."""
        async with aclosing(self.inner.stream(request)) as events:
            async for event in events:
                yield event

    def facts(self) -> Mapping[str, Any]:
        return {"model": self.model}

    def through(self, way: Callable[[WireLM], LM]) -> LM | None:
        """The same model with another way to its server in the place of its retries and limits; its pin and its cache
        stay. None for a model that is not behind a server."""
        return _kept(way(self.leaf), self._chosen) if isinstance(self.leaf, WireLM) else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OpenedModel) and other.identity == self.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    def __copy__(self) -> OpenedModel:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> OpenedModel:
        return self

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _reopen, (self.model, self.options)

    def __repr__(self) -> str:
        return f"LM({self.model!r}: {self.inner!r})"


def _reopen(model: str, options: Mapping[str, Any]) -> LM:
    return open_model(model, **options)


def open_model(model: str, **options: Any) -> LM:
    """Open a model by name; what `LM("provider/model", ...)` calls. Makes no connection and needs no key yet.

    `model` is "provider/name" with one of the known providers, or with `base_url=` any name: a known provider's
    prefix is taken off, anything else goes to the server as it is; or "engine:model", which asks through the library
    of an engine (`outlast.lms.engines`); or "hf/<folder or hub id>", a model in this process. `options` are those of
    `ModelOptions`, for "hf/" those of `outlast.lms.hf.opening.LocalOptions`. The result
    caches, retries, limits and asks, in that order from the outside. Raises `ConfigError` for a provider that is not
    known or an option out of range, `UsageError` for an option that does not exist or a setting out of range.
    """
    kind = _options_kind(model)
    refuse_unknown(options, [option.name for option in fields(kind)], "LM(...)")
    if not isinstance(model, str) or not model:
        raise ConfigError(f"a model is named by text such as 'openai/gpt-5-mini'; got {brief(model)}")
    if model.startswith("outlast/"):
        return _built_in(model, options)
    chosen = kind(**options)
    leaf = _leaf(model, chosen)
    limited = _limited(leaf, chosen)
    if chosen.fallback_tier is not None:
        limited = TierFallback(limited, chosen.fallback_tier)
    stack = _kept(Retrying(limited, chosen.retries), chosen)
    return OpenedModel(model, stack, leaf, options, chosen)


def through(model: OpenedModel, way: Callable[[WireLM], LM]) -> LM | None:
    """The same model with another way to its server, in the place of its retries and limits; its pin and cache stay.

    None for a model that is not behind a server of ours to ask: local ones, and those that an engine asks.
    """
    leaf = model.leaf
    return _kept(way(leaf), ModelOptions(**model.options)) if type(leaf) is WireLM else None


def _kept(stack: LM, chosen: ModelOptions) -> LM:
    """What answers to a model must go through, whichever way they come."""
    if chosen.pin not in (None, FIRST):  # inside the cache, which then holds no answers of other versions
        stack = Pinned(stack, chosen.pin)
    if chosen.cache is not False:
        stack = Cached(stack, None if chosen.cache is True else chosen.cache)
    return Pinned(stack) if chosen.pin == FIRST else stack


def _options_kind(model: str) -> type[ModelOptions]:
    """The options that a model of this name takes."""
    if isinstance(model, str) and model.startswith("hf/"):
        from outlast.lms.hf.opening import LocalOptions

        return LocalOptions
    return ModelOptions


def _leaf(model: str, chosen: ModelOptions) -> LM:
    """The bare model, without wrappers: local, through the library of an engine, or behind a server."""
    if model.startswith("hf/"):
        from outlast.lms.hf.opening import LocalOptions, open_local

        return open_local(model, cast("LocalOptions", chosen))
    through = engine_of(model)
    if through is not None:
        engine, name = through
        return engine.open(model, name, chosen)
    added = _of_plugin(model, chosen)
    if added is not None:
        return added
    prefix, name, provider = _provider(model, chosen.base_url)
    base_url, provider, key = _server(model, prefix, provider, chosen)
    dialect = dialect_named(chosen.dialect or provider.dialect)
    auth = dialect.auth if chosen.dialect is not None or provider.auth is None else provider.auth
    endpoint = Endpoint(base_url, chosen.timeout, chosen.max_response_bytes, auth, dialect.headers)
    capabilities = chosen.capabilities or provider.capabilities(name)
    decisions = chosen.decisions or (provider.decisions if capabilities.decisions else None)
    if decisions is not None:
        capabilities = replace(capabilities, decisions=True)
    return WireLM(
        name,
        endpoint,
        dialect,
        name=model,
        key=key,
        settings=chosen.settings,
        quirks=provider.quirks_of(name),
        capabilities=capabilities,
        price=as_price(chosen.price),
        seller=_seller(prefix, base_url),
        adapt=cast("Policy", chosen.adapt),
        decisions=None if decisions is None else decisions_named(decisions),
    )


def _of_plugin(model: str, chosen: ModelOptions) -> LM | None:
    """The bare model that a plugin opens; None where its prefix is ours, or a server is named. Raises `ConfigError`."""
    prefix, slash, name = model.partition("/")
    if not slash or prefix in PROVIDERS or chosen.base_url is not None:
        return None
    from outlast.plugins import load

    opener = load("lms", prefix)
    if opener is None:
        return None
    made: Any = opener(name, chosen)
    if isinstance(made, LM):
        return made
    raise ConfigError(f"the plugin {prefix!r} opens {model!r} as {brief(made)}; it has to give an LM")


def _limited(leaf: LM, chosen: ModelOptions) -> LM:
    """The leaf under the limits that were asked for: rates innermost, next to the server."""
    rates = chosen.requests_per_minute, chosen.tokens_per_minute
    if rates != (None, None) or chosen.shared_rate is not None:
        leaf = RateLimited(leaf, *rates, shared=chosen.shared_rate)
    if chosen.concurrency == "adaptive":
        return AdaptiveLimited(leaf)
    return Limited(leaf, chosen.concurrency)


def _built_in(model: str, options: Mapping[str, Any]) -> LM:
    if model not in BUILT_IN:
        raise ConfigError(
            f"no built-in model {model!r}.{did_you_mean(model, BUILT_IN)} There is: {', '.join(BUILT_IN)}."
        )
    if options:
        raise ConfigError(
            f"{model!r} takes no options: it is deterministic, local and free, and nothing of it can be set; "
            f"got {', '.join(options)}"
        )
    from outlast.lms.baseline.model import Baseline

    return Baseline()


def _provider(model: str, base_url: str | None) -> tuple[str, str, Provider]:
    """The prefix, the name on the server, and the provider's row."""
    prefix, slash, name = model.partition("/")
    known = PROVIDERS.get(prefix)
    if slash and known is not None:
        if not name:
            raise ConfigError(f"{model!r} names a provider but no model: write '{prefix}/<model>'")
        return prefix, name, known
    if base_url is not None:
        return "", model, UNKNOWN
    from outlast.plugins import names as added

    names = [*PROVIDERS, "outlast", *added("lms")]
    if not slash:
        raise ConfigError(
            f"a model is named 'provider/model'; got {model!r}. Providers: {', '.join(PROVIDERS)}; without any model "
            "or key there is 'outlast/baseline'; any other OpenAI-compatible server: LM(name, base_url='http://...')"
        )
    raise ConfigError(
        f"no provider {prefix!r} (in {model!r}).{did_you_mean(prefix, names)} Providers: {', '.join(names)}. "
        f"Any other OpenAI-compatible server: LM({model!r}, base_url='http://...', api_key=...)"
    )


def _server(
    model: str, prefix: str, provider: Provider, options: ModelOptions
) -> tuple[str, Provider, Callable[[], Secret | None]]:
    """The address to ask, the row that describes it, and where its key comes from."""
    from_env = os.environ.get(provider.url_env, "").strip() if provider.url_env else ""
    if options.base_url is not None:
        base_url = checked_url(options.base_url)
    elif from_env:
        base_url = checked_url(from_env, f"the environment variable {provider.url_env}")
    else:
        base_url = provider.base_url
    if prefix == "azure":
        base_url = _azure(model, base_url)
    host = _host(base_url)
    at_home = _at_home(provider, host)
    if provider.own_models and not at_home and not provider.knows(model.partition("/")[2]):
        # "openai" with another address says what is spoken there, not who speaks it
        provider = replace(UNKNOWN, dialect=provider.dialect)
    explicit = None if options.api_key is None else Secret(options.api_key).checked("api_key")
    variable = PROVIDERS[prefix].key_env if prefix else None
    if explicit is not None or variable is None or not (at_home or options.base_url is None):
        return base_url, provider, lambda: explicit
    needed = at_home and not provider.key_optional
    return base_url, provider, lambda: key_from(variable, repr(model), needed=needed)


def _at_home(provider: Provider, host: str) -> bool:
    """Whether a host is one of the provider's own."""
    homes = (_host(provider.base_url), *provider.hosts)
    return any(host == home or host.endswith("." + home) for home in homes if home)


def _seller(prefix: str, base_url: str) -> str:
    """Who sells what a server answers, as price tables know them: a provider at home, or whoever has the address."""
    return prefix if prefix and _at_home(PROVIDERS[prefix], _host(base_url)) else base_url


def _azure(model: str, base_url: str) -> str:
    """The address of an Azure resource with the path of its OpenAI-compatible interface."""
    if not base_url:
        raise ConfigError(
            f"{model!r} needs the address of your resource: set AZURE_OPENAI_ENDPOINT, or pass base_url="
            "'https://<resource>.openai.azure.com'"
        )
    return base_url if urlsplit(base_url).path.strip("/") else f"{base_url}/openai/v1"


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _whole(name: str, value: Any, least: int, other: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} is a whole number from {least}{other}; got {brief(value)}")


def _number(name: str, value: Any, *, above: float = -math.inf, least: float = -math.inf) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value <= above or value < least:
        rule = f"above {above:g}" if above > -math.inf else f"from {least:g}"
        raise ConfigError(f"{name} is a number {rule}; got {brief(value)}")
