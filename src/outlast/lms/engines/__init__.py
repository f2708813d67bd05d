"""Models reached through another library: `LM("litellm:...")`, one file an engine, each loaded when first named."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from outlast.errors import ConfigError, UsageError
from outlast.lms.protocol import LM, Capabilities
from outlast.lms.wire.providers import PROVIDERS
from outlast.lms.wire.transport import Endpoint, Secret, checked_url

if TYPE_CHECKING:
    from outlast.lms.models import ModelOptions


USUAL = Capabilities(json_schema=True, json_object=True, tools=True, streaming=True)
_SAME = {
    "openai-chat": "openai",
    "azure_ai": "azure",
}  # other names for rows of ours


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine: where the class is that asks through it, the package that it needs and the extra that installs it."""

    home: str
    package: str
    extra: str
    seller: str = ""  # whose prices hold, when that is not the first part of the model's name

    def _seller(self, model: str) -> tuple[str, str]:
        """The provider and its model in "provider/model", "provider:model" or, with engines for one, "model"."""
        first, rest = (*re.split("[/:]", model, maxsplit=1), "")[:2]
        if self.seller or not rest:
            return self.seller, model
        return _SAME.get(first, first), rest

    def open(self, name: str, model: str, options: ModelOptions) -> LM:
        """The bare model of an engine, without wrappers; `name` is the whole name, `model` what the engine calls it.

        Loads nothing of the package. Raises `ConfigError` when it is not installed, and for options that mean
        nothing here.
        """
        if not model:
            raise ConfigError(f"{name!r} names an engine but no model: write '{name}<model>'")
        if find_spec(self.package) is None:
            raise ConfigError(
                f"{name!r} needs the package {self.package!r}, which is not installed: "
                f"pip install 'outlast[{self.extra}]'"
            )
        for option in ("dialect", "decisions"):
            if getattr(options, option) is not None:
                raise UsageError(f"{option}= means nothing for {name!r}: the engine chooses what is spoken")
        base_url = "" if options.base_url is None else checked_url(options.base_url)
        key = None if options.api_key is None else Secret(options.api_key).checked("api_key")
        seller, named = self._seller(model)
        if base_url or _moved(seller):
            seller = ""
        module, _, kind = self.home.partition(":")
        made: Any = getattr(import_module(f"outlast.lms.engines.{module}"), kind)(
            model,
            Endpoint(base_url, options.timeout, options.max_response_bytes),
            name=name,
            key=lambda: key,
            settings=options.settings,
            capabilities=options.capabilities or _capabilities(seller, named),
            price=options.price,
            seller=seller,
            adapt=options.adapt,
        )
        return cast("LM", made)


def _moved(seller: str) -> bool:
    """Whether the environment names another address for a provider, which libraries follow too."""
    provider = PROVIDERS.get(seller)
    return bool(provider and provider.url_env and os.environ.get(provider.url_env, "").strip())


def _capabilities(seller: str, model: str) -> Capabilities:
    """What a model can do through an engine, as far as is known without asking it.

    That of our own row for the provider, where there is one, without what engines do not carry; else the usual, as
    libraries translate it or refuse it, and then it is left out and told.
    """
    provider = PROVIDERS.get(seller)
    if provider is None:
        return USUAL
    return replace(provider.capabilities(model), prefill=False, citations=False, decisions=False)


ENGINES: Mapping[str, Engine] = {
    "litellm": Engine("litellm:LiteLLM", "litellm", "litellm"),
    "any-llm": Engine("any_llm:AnyLLM", "any_llm", "any-llm"),
    "lm15": Engine("lm15:LM15", "lm15", "lm15"),
    "llm": Engine("llm:LLMEngine", "llm", "llm"),
    "openai-sdk": Engine("openai_sdk:OpenAISDK", "openai", "openai", "openai"),
}


def engine_of(name: str) -> tuple[Engine, str] | None:
    """The engine and the model of "engine:model"; None for any other name."""
    prefix, colon, model = name.partition(":")
    engine = ENGINES.get(prefix) if colon else None
    return None if engine is None else (engine, model)


def package(name: str) -> Any:
    """A package of an engine, imported now. Its types are not ours to know, so it is `Any`."""
    return import_module(name)


async def load(name: str, how: Callable[[], Any] | None = None) -> None:
    """Import a package in a thread, unless it is there: that takes seconds, which a loop has not."""
    if name not in sys.modules:
        await asyncio.to_thread(how or (lambda: package(name)))
