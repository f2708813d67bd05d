"""Models reached through another library: `LM("litellm:...")`, one file an engine, each loaded when first named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from outlast.errors import ConfigError, UsageError
from outlast.lms.transport import Endpoint, Secret, checked_url

if TYPE_CHECKING:
    from outlast.lms.models import ModelOptions
    from outlast.lms.protocol import LM


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine: where the class is that asks through it, the package that it needs and the extra that installs it."""

    home: str
    package: str
    extra: str
    seller: str = ""  # whose prices hold, when that is not the first part of the model's name

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
        module, _, kind = self.home.partition(":")
        made: Any = getattr(import_module(f"outlast.lms.engines.{module}"), kind)(
            model,
            Endpoint(base_url, options.timeout, options.max_response_bytes),
            name=name,
            key=lambda: key,
            settings=options.settings,
            price=options.price,
            seller="" if base_url else self.seller or _first(model),
            adapt=options.adapt,
            **({} if options.capabilities is None else {"capabilities": options.capabilities}),
        )
        return cast("LM", made)


def _first(model: str) -> str:
    """The provider in "provider/model" or "provider:model", empty in other names."""
    return parts[0] if len(parts := re.split("[/:]", model)) > 1 else ""


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
