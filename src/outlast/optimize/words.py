"""How the origin of things is said, on pages and terminals alike. Imports nothing, so that a help text stays quick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

# What a record says of a search besides the optimizer's own options.
_SEARCH_FACTS = (
    "optimizer",
    "seed",
    "tried",
    "rollouts",
    "expected_calls",
    "calls",
    "budget",
    "stopped",
    "lock",
    "prefer",
)


_MOST_NAMED, _LONGEST = 3, 60  # things in a list; characters of one option


def source_words(source: str) -> str:
    """Where a demonstration came from, in words: "label of example 0890874963"."""
    words = source.split(" ")
    if words[0] != "example" or len(words) < 2:
        return source or "unknown"
    example = words[1][:10]
    if len(words) > 2:
        return f"own answer to example {example} that the metric accepted (candidate {words[-1][:10]})"
    return f"label of example {example}"


def search_words(search: Mapping[str, Any]) -> str:
    """The optimizer and its options: "RandomSearch(candidates=16, max_demos=16), seed 0".

    Of operators and optimizers among the options only the names are told, of many only how many they are.
    """
    given = ", ".join(f"{name}={_option(value)}" for name, value in search.items() if name not in _SEARCH_FACTS)
    return f"{search.get('optimizer', 'unknown')}({given}), seed {search.get('seed')}"


def _option(value: object) -> str:
    if isinstance(value, Mapping):
        some = cast("Mapping[str, object]", value)
        named = next((some[kind] for kind in ("operator", "optimizer") if isinstance(some.get(kind), str)), None)
        return str(named) if named is not None else _cut(repr(dict(some)))
    if isinstance(value, list | tuple):
        each = [_option(one) for one in cast("list[object]", value)]
        return (
            f"[{', '.join(each)}]" if len(each) <= _MOST_NAMED else f"[{', '.join(each[:_MOST_NAMED])}, … {len(each)}]"
        )
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def models_words(models: object) -> str:
    """One name of a model or several: "openai/gpt-5-mini, outlast/baseline"; "" when nothing is known."""
    if isinstance(models, str):
        return models
    return ", ".join(str(name) for name in cast("list[object]", models)) if isinstance(models, list | tuple) else ""
