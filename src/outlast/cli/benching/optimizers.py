"""Optimizers by what is written on the command line: `Auto`, `RandomSearch(candidates=8)`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from outlast.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from outlast.optimize.protocol import Optimizer


def optimizer_of(text: str) -> Optimizer:
    """The optimizer that `text` names: a class of `outlast`, with options as plain values.

    Raises `UsageError` for what is none; nothing of the text is evaluated.
    """
    name, options = _parsed(text)
    known = _known()
    if name not in known:
        raise UsageError(f"no optimizer {name!r}.{did_you_mean(name, known)} There are {', '.join(known)}")
    try:
        return known[name](**options)
    except TypeError as error:
        raise UsageError(f"{text}: {error}") from error


def _parsed(text: str) -> tuple[str, dict[str, Any]]:
    wrong = UsageError(f"an optimizer is written Name or Name(option=value, ...); got {text!r}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise wrong from None
    if isinstance(tree, ast.Name):
        return tree.id, {}
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name) or tree.args:
        raise wrong
    options: dict[str, Any] = {}
    for keyword in tree.keywords:
        if keyword.arg is None:
            raise wrong
        try:
            options[keyword.arg] = ast.literal_eval(keyword.value)
        except ValueError:
            raise UsageError(f"{text}: {keyword.arg} is a plain value: a number, a text, True, False, None") from None
    return tree.func.id, options


def _known() -> dict[str, Any]:
    """The optimizers that `outlast` offers, by name."""
    import outlast
    from outlast.optimize.protocol import Optimizer

    found: dict[str, Any] = {}
    for name in sorted(outlast.__all__):
        value = getattr(outlast, name)
        if isinstance(value, type) and issubclass(value, Optimizer) and value is not Optimizer:
            found[name] = value
    return found
