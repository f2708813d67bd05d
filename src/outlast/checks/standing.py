"""What is given in place of an answer that a check refused, and what is put back that was hidden from the model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from outlast.errors import CheckFailed, UsageError, brief
from outlast.signatures.codec import Codec
from outlast.signatures.record import Record, outputs_of


async def outputs_of_fallback(
    value: Any, inputs: Mapping[str, Any], known: Sequence[str], looked: Sequence[str], table: Mapping[str, Codec]
) -> Any:
    """The outputs by name that a fallback gives, or one plain value. `known` are the names of outputs, as far as they
    are known; `looked` those that the check looks at. Cost: that of the module, when it is one."""
    if hasattr(value, "acall"):
        result = await value.acall(**inputs)
        if isinstance(result, Record):
            found = {name: one for name, one in outputs_of(result).items() if name not in inputs}
        else:
            found = result
    else:
        found = value
    if isinstance(found, Mapping) and all(name in known for name in cast("Mapping[Any, Any]", found)):
        return {name: _checked(name, one, table) for name, one in cast("Mapping[str, Any]", found).items()}
    only = looked if len(looked) == 1 else known
    if len(only) == 1:
        return {only[0]: _checked(only[0], found, table)}
    if not known:
        return dict(cast("Mapping[str, Any]", found)) if isinstance(found, Mapping) else found
    raise UsageError(f"a fallback gives values by output name ({', '.join(known)}); got {brief(found)}")


def _checked(name: str, value: Any, table: Mapping[str, Codec]) -> Any:
    return table[name].check(value) if name in table else value


def restored(
    values: Mapping[str, Any], undo: Mapping[str, str], table: Mapping[str, Codec], subject: str
) -> dict[str, Any]:
    """Values with every placeholder in `undo` put back; raises `CheckFailed` where the original does not fit its
    field."""
    longest_first = sorted(undo, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first)))
    return {name: _restored(name, value, pattern, undo, table.get(name), subject) for name, value in values.items()}


def _restored(
    name: str, value: Any, pattern: re.Pattern[str], undo: Mapping[str, str], codec: Codec | None, subject: str
) -> Any:
    plain = codec is None or isinstance(value, str)
    data = value if plain or codec is None else codec.dump(value)
    new = _replaced(data, pattern, undo)
    if new == data:
        return value
    if codec is None:
        return new
    try:
        return codec.check(new) if plain else codec.read_data(new)
    except ValueError as error:
        raise CheckFailed(
            f"{subject}: what was hidden from the model cannot be put back into {name!r}: {error}", values={name: value}
        ) from error


def _replaced(data: Any, pattern: re.Pattern[str], undo: Mapping[str, str]) -> Any:
    """Text, and text in lists and dicts, with placeholders replaced."""
    if isinstance(data, str):
        return pattern.sub(lambda match: undo[match[0]], data)
    if isinstance(data, list | tuple):
        items = [_replaced(item, pattern, undo) for item in cast("list[Any]", data)]
        return tuple(items) if isinstance(data, tuple) else items
    if isinstance(data, Mapping):
        return {key: _replaced(item, pattern, undo) for key, item in cast("Mapping[Any, Any]", data).items()}
    return data
