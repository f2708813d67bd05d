"""Strategies as data: names from a fixed list, plain options, and the names of what only code can hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, cast

from outlast.errors import ArtifactError, brief, did_you_mean
from outlast.lms.protocol import LM
from outlast.modules.module import Module
from outlast.modules.recipe import Recipe
from outlast.modules.strategy import Strategy
from outlast.runtime import Budget
from outlast.types import Tool

_HOMES = {  # nothing else is ever imported for a file
    "BestOfN": "best_of_n",
    "Cascade": "cascade",
    "ChainOfThought": "chain_of_thought",
    "CodeAct": "code_act",
    "Debate": "debate",
    "Ensemble": "ensemble",
    "Fallback": "fallback",
    "MultiChainComparison": "multi_chain_comparison",
    "Parallel": "parallel",
    "Retry": "retry",
    "Route": "route",
    "Majority": "majority",
    "MapReduce": "map_reduce",
    "PlanAndExecute": "plan_and_execute",
    "Predict": "predict",
    "ProgramOfThought": "program_of_thought",
    "RLM": "rlm",
    "Refine": "refine",
    "ReAct": "react",
    "TreeSearch": "tree_search",
}
_KEYS = ("strategy", "options")
_DEEPEST = 8  # strategies inside strategies


def dump_recipe(path: str, recipe: Any, plain: Callable[[str, Any], Any]) -> dict[str, Any]:
    """A strategy as JSON-ready data. Functions, models, tools and modules stand by their names, which `restore_recipe`
    looks up in code. Raises `ArtifactError` for one that has no name, and for a strategy of the user's own."""
    if not isinstance(recipe, Recipe) or _kind(recipe.kind.__name__) is not recipe.kind:
        raise ArtifactError(
            f"{path!r} is {brief(recipe)}, a strategy that has no form in a file; those of outlast have: "
            f"{', '.join(_HOMES)}. Write it in code"
        )
    options = {name: _dump(path, value, plain) for name, value in sorted(recipe.options.items())}
    return {"strategy": recipe.kind.__name__, "options": options}


def _dump(path: str, value: Any, plain: Callable[[str, Any], Any]) -> Any:
    if isinstance(value, Recipe):
        return dump_recipe(path, value, plain)
    if isinstance(value, Budget):
        return {"budget": value.to_json()}
    if isinstance(value, list | tuple):
        return {"list": [_dump(path, item, plain) for item in cast("list[Any]", value)]}
    if isinstance(value, Mapping):
        return {"dict": {str(key): _dump(path, item, plain) for key, item in cast("Mapping[Any, Any]", value).items()}}
    if value is None or isinstance(value, bool | int | float | str):
        return plain(path, value)
    return {"known": _name(path, value)}


def _name(path: str, value: Any) -> str:
    """The name by which code gives a thing that no file holds."""
    name = value.name if isinstance(value, Tool | LM) else getattr(value, "__name__", None)
    if isinstance(value, Module | type):
        name = type(value).__name__ if isinstance(value, Module) else value.__name__
    if not isinstance(name, str) or not name or name == "<lambda>":
        raise ArtifactError(
            f"{path!r} holds {brief(value)}, which has neither a form in a file nor a name that it could be given by "
            f"when the file is loaded; use a named function"
        )
    return name


def named_parts(recipe: Any) -> dict[str, Any]:
    """What the strategy that the code has now holds, by the names that a file uses."""
    return dict(_parts(recipe)) if isinstance(recipe, Recipe) else {}


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Recipe):
        for item in value.options.values():
            yield from _parts(item)
    elif isinstance(value, list | tuple):
        for item in cast("list[Any]", value):
            yield from _parts(item)
    elif isinstance(value, Mapping):
        for item in cast("Mapping[Any, Any]", value).values():
            yield from _parts(item)
    elif value is not None and not isinstance(value, bool | int | float | str | Budget):
        name = value.name if isinstance(value, Tool | LM) else getattr(value, "__name__", None)
        if isinstance(name, str):
            yield name, value


def restore_recipe(path: str, data: Any, known: Mapping[str, Any], depth: int = 0) -> Recipe:
    """The strategy that `dump_recipe` wrote; raises `ArtifactError`."""
    if not isinstance(data, dict) or set(cast("dict[str, Any]", data)) != set(_KEYS) or depth > _DEEPEST:
        raise ArtifactError(f"{path!r} is a strategy: an object with {' and '.join(_KEYS)}; got {brief(data)}")
    entry = cast("dict[str, Any]", data)
    kind = _kind(entry["strategy"])
    options = entry["options"]
    if kind is None:
        raise ArtifactError(f"{path!r}: unknown strategy {brief(entry['strategy'])}; known: {', '.join(_HOMES)}")
    if not isinstance(options, dict):
        raise ArtifactError(f"{path!r}: the options of a strategy are an object; got {brief(options)}")
    values = {name: _restore(path, value, known, depth + 1) for name, value in cast("dict[str, Any]", options).items()}
    return Recipe(kind, values).checked()


def _restore(path: str, value: Any, known: Mapping[str, Any], depth: int) -> Any:
    if depth > _DEEPEST:
        raise ArtifactError(f"{path!r} is nested too deep")
    if not isinstance(value, dict):
        return value
    entry = cast("dict[str, Any]", value)
    if "strategy" in entry:
        return restore_recipe(path, entry, known, depth)
    if len(entry) != 1:
        raise ArtifactError(f"{path!r} has an option that cannot be read: {brief(entry)}")
    ((key, inner),) = entry.items()
    if key == "budget" and isinstance(inner, dict):
        return Budget(**cast("dict[str, Any]", inner))
    if key == "list" and isinstance(inner, list):
        return tuple(_restore(path, item, known, depth + 1) for item in cast("list[Any]", inner))
    if key == "dict" and isinstance(inner, dict):
        items = cast("dict[str, Any]", inner).items()
        return {name: _restore(path, item, known, depth + 1) for name, item in items}
    if key == "known" and isinstance(inner, str):
        if inner not in known:
            raise ArtifactError(
                f"{path!r} uses {inner!r}, which is code and stands in no file: give it by name, "
                f"load(path, program, known={{{inner!r}: ...}}).{did_you_mean(inner, known)}"
            )
        return known[inner]
    raise ArtifactError(f"{path!r} has an option that cannot be read: {brief(entry)}")


def _kind(name: Any) -> type[Strategy] | None:
    home = _HOMES.get(name) if isinstance(name, str) else None
    return None if home is None else getattr(import_module(f"outlast.modules.{home}"), name)
