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
    """The optimizer and its options: "RandomSearch(candidates=16, max_demos=16), seed 0"."""
    given = ", ".join(f"{name}={value!r}" for name, value in search.items() if name not in _SEARCH_FACTS)
    return f"{search.get('optimizer', 'unknown')}({given}), seed {search.get('seed')}"


def models_words(models: object) -> str:
    """One name of a model or several: "openai/gpt-5-mini, outlast/baseline"; "" when nothing is known."""
    if isinstance(models, str):
        return models
    return ", ".join(str(name) for name in cast("list[object]", models)) if isinstance(models, list | tuple) else ""
