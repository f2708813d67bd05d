"""The wire dialects by name, each loaded when a model first speaks it."""

from __future__ import annotations

from importlib import import_module

from outlast.errors import ConfigError, brief, did_you_mean
from outlast.lms.wire.dialect import DecisionDialect, Dialect

_HOMES = {
    "openai-chat": ("openai_chat_reply", "CHAT"),
    "openai-responses": ("openai_responses_reply", "RESPONSES"),
    "anthropic-messages": ("anthropic_messages_reply", "MESSAGES"),
}
_DECISIONS = {"openai": ("decisions", "DECISIONS"), "systemone": ("decisions", "SYSTEM_ONE")}
NAMES = tuple(_HOMES)


def dialect_named(name: str) -> Dialect:
    """The dialect of this name. Raises `ConfigError`."""
    if not isinstance(name, str) or name not in _HOMES:
        raise ConfigError(f"no dialect {brief(name)}.{did_you_mean(str(name), _HOMES)} Dialects: {', '.join(_HOMES)}")
    module, attribute = _HOMES[name]
    return getattr(import_module(f"outlast.lms.wire.{module}"), attribute)


def decisions_named(name: str) -> DecisionDialect:
    """The dialect of typed questions of this name. Raises `ConfigError`."""
    if not isinstance(name, str) or name not in _DECISIONS:
        raise ConfigError(
            f"no dialect of decisions {brief(name)}.{did_you_mean(str(name), _DECISIONS)} "
            f"Dialects: {', '.join(_DECISIONS)}"
        )
    module, attribute = _DECISIONS[name]
    return getattr(import_module(f"outlast.lms.wire.{module}"), attribute)
