"""The order in which the outputs of a signature are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from outlast.errors import UsageError, brief, did_you_mean


def ordered(signature: Any, names: Sequence[str]) -> Any:
    """The signature with its outputs in the order of `names`; itself for none and for its own order.

    Outputs that `names` leaves out stay at their place, names of others do not count. Made once for each order.
    """
    whole = _whole(names, tuple(signature.outputs)) if names else ()
    if not whole or whole == tuple(signature.outputs):
        return signature
    made: dict[tuple[str, ...], Any] = signature.__dict__.get("__orders__", {})
    found = made.get(whole)
    if found is None:
        found = made[whole] = signature.reordered(whole)
        type.__setattr__(signature, "__orders__", made)
    return found


def as_order(value: Any, declared: Any, asked: Any) -> tuple[str, ...]:
    """An order in its one form: () for the signature's own.

    It names every output of `declared` once, and may name those that a strategy adds in `asked`. Raises `UsageError`.
    """
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise UsageError(f"order is a list of the names of outputs; got {brief(value)}")
    names = tuple(cast("Iterable[Any]", value))
    outputs = tuple(asked.outputs)
    for number, name in enumerate(names):
        if name not in outputs:
            hint = did_you_mean(str(name), outputs)
            raise UsageError(f"{asked.__name__} has no output {name!r} to order.{hint} Outputs: {', '.join(outputs)}.")
        if name in names[:number]:
            raise UsageError(f"order names {name!r} twice; each output stands in it once")
    missing = [name for name in declared.outputs if name not in names]
    if names and missing:
        raise UsageError(
            f"order names every output of {declared.__name__}; {', '.join(map(repr, missing))} "
            f"{'are' if len(missing) > 1 else 'is'} missing. Got: {', '.join(names)}."
        )
    whole = _whole(names, outputs) if names else outputs
    if whole == outputs:
        return ()
    short = tuple(name for name in whole if name in declared.outputs)
    return short if _whole(short, outputs) == whole else whole


def _whole(names: Iterable[str], outputs: Sequence[str]) -> tuple[str, ...]:
    """The outputs in the order of the names; those that they leave out keep their place."""
    found = [name for name in names if name in outputs]
    for place, name in enumerate(outputs):
        if name not in found:
            found.insert(place, name)
    return tuple(found)
